// How long each sample is: steps up to the last token that is not padding, of those that are looked at.
// tokens: (time, batch). lengths: (batch,). One invocation per sample: neighbours read neighbours.
//#use common/grid
const WG = 64u;

struct Args {
    batch: u32,
    first: u32,   // the steps that are looked at
    end: u32,
    padding: u32, // the token that counts for nothing at the end
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.batch) { return; }
    var end = args.end;
    while end > args.first && tokens[(end - 1u) * args.batch + col] == args.padding { end -= 1u; }
    lengths[col] = end - args.first;
}
