// Parts of a weight: the first rows, the middle taps, the first channels.   Cai et al., 2020.
//   cut:  part[i] = whole[at(i)].
//   add:  whole[at(i)] += part[i].
//   fill: whole = part where that lies, and 0 elsewhere.
// part: (rows, height, width, channels). whole: (.., whole_height, whole_width, whole_channels), at least as large.
// One invocation per number of the part; of `fill`, per number of the whole. No number of the whole has two owners.
//#use common/grid
const WG = 64u;

struct Args {
    rows: u32,
    height: u32,
    width: u32,
    channels: u32,
    whole_height: u32,
    whole_width: u32,
    whole_channels: u32,
    len: u32, // invocations with something to do
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

// Where number i of the part lies in the whole.
fn at(i: u32) -> u32 {
    let channel = i % args.channels;
    let x = i / args.channels % args.width + (args.whole_width - args.width) / 2u;
    let y = i / (args.channels * args.width) % args.height + (args.whole_height - args.height) / 2u;
    let row = i / (args.channels * args.width * args.height);
    return ((row * args.whole_height + y) * args.whole_width + x) * args.whole_channels + channel;
}

@compute @workgroup_size(WG)
fn cut(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    result[i] = source[at(i)];
}

@compute @workgroup_size(WG)
fn add(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    result[at(i)] += source[i];
}

@compute @workgroup_size(WG)
fn fill(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.len) { return; }
    let channel = i % args.whole_channels;
    // What lies before the part wraps around to a large number.
    let x = i / args.whole_channels % args.whole_width - (args.whole_width - args.width) / 2u;
    let y = i / (args.whole_channels * args.whole_width) % args.whole_height
        - (args.whole_height - args.height) / 2u;
    let row = i / (args.whole_channels * args.whole_width * args.whole_height);
    var value = 0.0;
    if row < args.rows && y < args.height && x < args.width && channel < args.channels {
        value = source[((row * args.height + y) * args.width + x) * args.channels + channel];
    }
    result[i] = value;
}
