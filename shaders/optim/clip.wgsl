// Gradients of all parameters together, scaled so that their norm is at most `clip`:
// g *= min(1, clip / (norm + 1e-6)).   Pascanu et al., 2013, Algorithm 1; the small number is PyTorch's.
// Pruned weights do not count; by fixed trees.
// grad, scaled: (len,), the same numbers. parts: (parts,), sums of squares. factor: (1,).
//#use common/grid
//#use common/tree
alias Summed = f32;
//#use optim/weights
const INFINITY = 0x7f800000u;

struct Args {
    len: u32,        // of the segment; `find`: how many parts
    mode: u32,
    first_part: u32, // of the segment
    workgroups: u32, // and the number of its parts
    clip: f32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;
@group(0) @binding(7) var<storage, read_write> factor: array<f32>;
@group(0) @binding(8) var<storage, read_write> scaled: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn add(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var own = 0.0;
    for (var i = group * WG + lane; 4u * i < args.len; i += args.workgroups * WG) {
        let g = select(vec4<f32>(0.0), grad[i], kept(i, args.mode));
        own += dot(g, g);
    }
    let sum = tree(lane, own);
    if lane == 0u { parts[args.first_part + group] = sum; }
}

// The tests are on bits: fast-math may remove comparisons with NaN.
@compute @workgroup_size(WG)
fn find(@builtin(local_invocation_index) lane: u32) {
    var own = 0.0;
    for (var i = lane; i < args.len; i += WG) { own += parts[i]; }
    let sum = tree(lane, own);
    if lane == 0u {
        let bits = bitcast<u32>(sum) & 0x7fffffffu;
        var by = min(1.0, args.clip / (sqrt(sum) + 1e-6));
        if bits == INFINITY { by = 0.0; }
        if bits > INFINITY { by = 1.0; }
        factor[0] = by;
    }
}

@compute @workgroup_size(WG)
fn scale(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    let by = factor[0];
    if !(group < grid.end && 4u * i < args.len) || by == 1.0 { return; }
    scaled[i] *= by;
}
