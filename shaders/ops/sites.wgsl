// Sums over the sites of each channel, sample by sample, by fixed trees.
//   mean:     y = the mean of x over the sites.
//   products: y = the sum of a x over the sites (+= if ADDS).
// a, x: (channels, sites, batch). y: (channels, batch). One workgroup for QUADS quads of a row of y: LANES invocations share
// the sites of each, so that neighbours read neighbours and few channels keep a device busy.
//#use common/grid
//#use common/quad_tree
const WG = 256u;
const QUADS = 8u;
const LANES = 32u;

override ADDS = false;

struct Args {
    sites: u32,
    quads: u32,  // of the batch
    groups: u32, // of a channel
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

fn quad_of(group: u32, lane: u32) -> u32 { return group % args.groups * QUADS + lane % QUADS; }

@compute @workgroup_size(WG)
fn mean(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.groups;
    let quad = quad_of(group, lane);
    var own = vec4<f32>(0.0);
    if quad < args.quads {
        for (var site = lane / QUADS; site < args.sites; site += LANES) {
            own += x[(channel * args.sites + site) * args.quads + quad];
        }
    }
    let sum = total(lane, own);
    if lane < QUADS && quad < args.quads { y[channel * args.quads + quad] = sum / f32(args.sites); }
}

@compute @workgroup_size(WG)
fn products(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let channel = group / args.groups;
    let quad = quad_of(group, lane);
    var own = vec4<f32>(0.0);
    if quad < args.quads {
        for (var site = lane / QUADS; site < args.sites; site += LANES) {
            let at = (channel * args.sites + site) * args.quads + quad;
            own += a[at] * x[at];
        }
    }
    let sum = total(lane, own);
    if lane < QUADS && quad < args.quads {
        let to = channel * args.quads + quad;
        if ADDS {
            y[to] += sum;
        } else {
            y[to] = sum;
        }
    }
}
