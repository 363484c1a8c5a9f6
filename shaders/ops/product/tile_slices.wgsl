// A product whose tiles are too few to fill a GPU: the depth is cut into slices, each a workgroup of its own,
// and `add_slices` adds their sums up in the order of slices. One invocation a result of four columns.
// partial: (slices, lines, quads) of what the body makes.
// Workgroups of add_slices: ceil(lines * quads / 64).
struct Cut { slices: u32 }
@group(0) @binding(10) var<storage, read_write> partial: array<vec4<f32>>;
@group(0) @binding(11) var<uniform> cut: Cut;

fn slices() -> u32 { return cut.slices; }

fn leave(line: u32, quad: u32, value: vec4<f32>, slice: u32) {
    partial[(slice * lines() + line) * quads() + quad] = value;
}

@compute @workgroup_size(64)
fn add_slices(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * 64u + lane;
    let all = lines() * quads();
    if !(group < grid.end && i < all) { return; }
    var sum = partial[i];
    for (var slice = 1u; slice < cut.slices; slice++) { sum += partial[slice * all + i]; }
    finish(i / quads(), i % quads(), sum);
}
