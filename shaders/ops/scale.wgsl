// Channels scaled by gates: y = x gate, the same at every site of a channel.   Hu et al., 2018.
//   main:          y = x gate (+= if ADDS); d_x = d_y gate is the same function.
//   gate_backward: d_gate = the sum of d_y x over the sites (+= if ADDS).
// x, y, d_y, d_x: (channels, sites, batch). gate, d_gate: (channels, batch). One invocation per quad of what is written.
//#use common/grid
const WG = 64u;

override ADDS = false;

struct Args {
    len: u32, // quads that are written
    sites: u32,
    quads: u32, // of the batch
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> d_y: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> d_gate: array<vec4<f32>>;

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

@compute @workgroup_size(WG)
fn gate_backward(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                 @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let first = i / args.quads * args.sites * args.quads + i % args.quads;
    var sum = vec4<f32>(0.0);
    for (var site = 0u; site < args.sites; site++) {
        let at = first + site * args.quads;
        sum += d_y[at] * x[at];
    }
    if ADDS {
        d_gate[i] += sum;
    } else {
        d_gate[i] = sum;
    }
}
