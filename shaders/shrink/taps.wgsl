// A smaller kernel as a learned function of the middle of a larger one: kernel transformation.   Cai et al., 2020.
//   y = matrix x for each row and channel;  d_x = matrix^T d_y;  d_matrix += sum over rows and channels of d_y x^T.
// x, y, d_x, d_y: (rows, taps, channels). matrix, d_matrix: (taps, taps), of all rows and channels.
// `apply`: one invocation per number of y. `grad`: one workgroup per number of d_matrix, by a fixed tree.
//#use common/grid
//#use common/tree
alias Summed = f32;
const WG = 64u;

override TRANSPOSED = false;

struct Args { rows: u32, taps: u32, channels: u32 }
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> matrix: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> d_y: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_matrix: array<f32>;

@compute @workgroup_size(WG)
fn apply(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.rows * args.taps * args.channels) { return; }
    let channel = i % args.channels;
    let tap = i / args.channels % args.taps;
    let row = i / (args.channels * args.taps);
    var sum = 0.0;
    for (var s = 0u; s < args.taps; s++) {
        let entry = select(tap * args.taps + s, s * args.taps + tap, TRANSPOSED);
        sum += matrix[entry] * x[(row * args.taps + s) * args.channels + channel];
    }
    y[i] = sum;
}

@compute @workgroup_size(WG)
fn grad(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let to = group / args.taps;
    let from_tap = group % args.taps;
    var own = 0.0;
    for (var i = lane; i < args.rows * args.channels; i += WG) {
        let first = i / args.channels * args.taps * args.channels + i % args.channels;
        own += d_y[first + to * args.channels] * x[first + from_tap * args.channels];
    }
    let sum = tree(lane, own);
    if lane == 0u { d_matrix[group] += sum; }
}
