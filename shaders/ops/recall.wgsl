// A sequence one step at a time: what belongs to this step, what is remembered of all so far, and attention to that.
// The number of the step is step.first. memory: (2 width, steps, batch), keys and then values by heads of `depth` channels.
// scores: (heads, steps, batch), scratch. q, kv: (channels, batch), q from channel 0 on, k and v from `key_at` on; one tensor or
// two. y: (width, batch).
//#use common/grid
//#use common/step
const WG = 64u;

struct Args {
    rows: u32,   // of a table, or channels that are remembered, or heads
    steps: u32,
    width: u32,  // numbers of a row and step of a table
    batch: u32,
    depth: u32,
    key_at: u32,
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> q: array<f32>;
@group(0) @binding(7) var<storage, read> kv: array<f32>;
@group(0) @binding(4) var<storage, read_write> memory: array<f32>;
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// y (rows, width) is this step of a table (rows, steps, width). One invocation per number.
@compute @workgroup_size(WG)
fn look_up(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.rows * args.width) { return; }
    let row = i / args.width;
    y[i] = table[(row * args.steps + min(step.first, args.steps - 1u)) * args.width + i % args.width];
}

// Keys and values of this step go to the others. One invocation per number.
@compute @workgroup_size(WG)
fn remember(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let i = group * WG + lane;
    if !(group < grid.end && i < args.rows * args.batch && step.first < args.steps) { return; }
    let row = i / args.batch;
    memory[(row * args.steps + step.first) * args.batch + i % args.batch] = kv[args.key_at * args.batch + i];
}

var<workgroup> partial: array<f32, WG>;

// y = softmax(q k / sqrt(depth)) v over all steps so far. One workgroup per head and sample.
@compute @workgroup_size(WG)
fn attend(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let head = group / args.batch;
    let col = group % args.batch;
    let keys = min(step.first + 1u, args.steps);
    let stride = args.steps * args.batch;
    let first = head * args.depth;
    let scale = 1.0 / sqrt(f32(args.depth));
    var peak = -3.4028234e38;
    for (var key = lane; key < keys; key += WG) {
        var sum = 0.0;
        for (var c = first; c < first + args.depth; c++) {
            sum += q[c * args.batch + col] * memory[c * stride + key * args.batch + col];
        }
        scores[(head * args.steps + key) * args.batch + col] = sum * scale;
        peak = max(peak, sum * scale);
    }
    partial[lane] = peak;
    storageBarrier();
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if lane < half { partial[lane] = max(partial[lane], partial[lane + half]); }
        workgroupBarrier();
    }
    peak = partial[0];
    let values = args.rows * args.depth;
    for (var c = lane; c < args.depth; c += WG) {
        var total = 0.0;
        var sum = 0.0;
        for (var key = 0u; key < keys; key++) {
            let share = exp(scores[(head * args.steps + key) * args.batch + col] - peak);
            total += share;
            sum += share * memory[(values + first + c) * stride + key * args.batch + col];
        }
        y[(first + c) * args.batch + col] = sum / total;
    }
}
