// An update reads buffers. The first two slots come as they are stored.
fn grad_at(i: u32) -> vec4<f32> { return grad[i]; }
fn weight_at(i: u32) -> vec4<f32> { return weight[i]; }
fn slot_0(i: u32, stored: vec4<f32>) -> vec4<f32> { return stored; }
fn slot_1(i: u32, stored: vec4<f32>) -> vec4<f32> { return stored; }
