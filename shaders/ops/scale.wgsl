// Channels scaled by gates: y = x gate, the same at every site of a channel.   Hu et al., 2018.
// y += x gate if ADDS; d_x = d_y gate is the same function, and d_gate is in ops/sites.
// x, y: (channels, sites, batch). gate: (channels, batch). One invocation per quad.
//#use common/grid
const WG = 64u;

override ADDS = false;

struct Args {
    len: u32, // quads of y
    sites: u32,
    quads: u32, // of the batch
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let channel = i / (args.sites * args.quads);
    let value = x[i] * gate[channel * args.quads + i % args.quads];
    if ADDS {
        y[i] += value;
    } else {
        y[i] = value;
    }
}
