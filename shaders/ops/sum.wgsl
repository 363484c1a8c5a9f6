// Sum of squares by fixed trees: `partial` gives one number per 4,096 elements, `total` adds those in
// order of index. The same bits every time; no float atomics.
// values: (len,). partials: (ceil(len / 4096),). result: (1,).
//#use common/grid
//#use common/tree
alias Summed = f32;
const WG = 256u;
const EACH = 16u; // elements per invocation

struct Args { len: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read> parts: array<f32>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(WG)
fn partial(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var own = 0.0;
    for (var j = 0u; j < EACH; j++) {
        let i = (group * EACH + j) * WG + lane;
        if i < args.len { own += values[i] * values[i]; }
    }
    let sum = tree(lane, own);
    if lane == 0u { partials[group] = sum; }
}

@compute @workgroup_size(WG)
fn total(@builtin(local_invocation_index) lane: u32) {
    var own = 0.0;
    for (var i = lane; i < args.len; i += WG) { own += parts[i]; }
    let sum = tree(lane, own);
    if lane == 0u { result[0] = sum; }
}
