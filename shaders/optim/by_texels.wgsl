// An update reads textures of the same tensors, which software adapters do several times as fast. Four are WebGPU's
// default limit: a third slot is read from its buffer. `stored` is not used, so that no driver loads it.
//#use ops/texels
@group(0) @binding(10) var grad_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(11) var weight_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(12) var slot_0_texels: texture_storage_2d<rgba32float, read>;
@group(0) @binding(13) var slot_1_texels: texture_storage_2d<rgba32float, read>;

fn grad_at(i: u32) -> vec4<f32> { return textureLoad(grad_texels, texel(i)); }
fn weight_at(i: u32) -> vec4<f32> { return textureLoad(weight_texels, texel(i)); }
fn slot_0(i: u32, stored: vec4<f32>) -> vec4<f32> { return textureLoad(slot_0_texels, texel(i)); }
fn slot_1(i: u32, stored: vec4<f32>) -> vec4<f32> { return textureLoad(slot_1_texels, texel(i)); }
