// Sums over a tensor by fixed trees: of its values, of their magnitudes and of their squares. `partial` gives three
// numbers a workgroup, `total` adds those of all. The same bits every time; no float atomics.
// values: (len,). parts, partials: (workgroups, 3). sums: (3,).
//#use common/grid
//#use common/tree
alias Summed = vec3<f32>;
const WG = 256u;

struct Args {
    len: u32,        // of the values; `total`: how many parts
    first_part: u32, // `partial`: of this tensor, where several are summed up together
    workgroups: u32, // and the number of its parts
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;
@group(0) @binding(4) var<storage, read> parts: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WG)
fn partial(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    var own = vec3<f32>(0.0);
    for (var i = group * WG + lane; i < args.len; i += args.workgroups * WG) {
        let v = values[i];
        own += vec3<f32>(v, abs(v), v * v);
    }
    let sum = tree(lane, own);
    if lane < 3u { partials[(args.first_part + group) * 3u + lane] = sum[lane]; }
}

@compute @workgroup_size(WG)
fn total(@builtin(local_invocation_index) lane: u32) {
    var own = vec3<f32>(0.0);
    for (var i = lane; i < args.len; i += WG) {
        own += vec3<f32>(parts[3u * i], parts[3u * i + 1u], parts[3u * i + 2u]);
    }
    let sum = tree(lane, own);
    if lane < 3u { sums[lane] = sum[lane]; }
}
