// Softmax cross-entropy by log-sum-exp, its gradient, and whether the arg max is right.
// loss = -sum_k t_k log p_k, p = softmax(sharpness * logits);  d_logits = sharpness * (p - t) / labels of the step.
// logits, soft, d_logits: (classes, cols). label, loss, hit: (cols,), steps by samples of a batch. verdict: (samples, steps).
// A label IGNORED counts for nothing.
// One invocation per column.
//#use common/grid
//#use common/step
//#use ops/partner
const WG = 64u;
const IGNORED = 0xffffffffu;

override TEMPERED = false; // without, the product that sharpens is left out: it costs a software adapter a millisecond
override WEIGHTED = false; // the loss counts args.weight times, beside that of other outputs

struct Args {
    classes: u32,
    cols: u32,
    smoothing: f32, // hard targets become (1 - smoothing) one-hot + smoothing / classes
    sharpness: f32, // 1 / temperature; 1 in training and where soft targets are
    weight: f32, // of this loss among those of several outputs
    adds: u32, // 1: it is added to the losses of outputs before this one
    batch: u32, // samples at each step, with those that are missing
}
@group(0) @binding(1) var<uniform> args: Args;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> label: array<u32>;
@group(0) @binding(4) var<storage, read> soft: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_logits: array<f32>;
@group(0) @binding(6) var<storage, read_write> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> hit: array<u32>;
@group(0) @binding(8) var<storage, read_write> verdict: array<f32>;

struct Column { peak: f32, total: f32, best: u32 }

fn sharpened(k: u32, col: u32) -> f32 {
    let logit = logits[k * args.cols + col];
    if TEMPERED { return args.sharpness * logit; }
    return logit;
}

// The largest logit (ties to the lower class) and the sum of exp(logit - largest).
fn column(col: u32) -> Column {
    var c = Column(sharpened(0u, col), 0.0, 0u);
    for (var k = 1u; k < args.classes; k++) {
        let v = sharpened(k, col);
        if v > c.peak { c.peak = v; c.best = k; }
    }
    for (var k = 0u; k < args.classes; k++) {
        c.total += exp(sharpened(k, col) - c.peak);
    }
    return c;
}

fn counts(col: u32) -> bool {
    return col % args.batch < step.live && label[col] != IGNORED;
}

// What a column's loss counts for in that of the step, and its gradient at the logits as they are.
fn share_of(col: u32) -> f32 {
    var share = select(0.0, 1.0 / f32(step.together), counts(col));
    if TEMPERED { share *= args.sharpness; }
    if WEIGHTED { share *= args.weight; }
    return share;
}

fn finish(col: u32, loss_value: f32, hit_value: bool) {
    let live = counts(col);
    var value = loss_value;
    if WEIGHTED {
        value *= args.weight;
        if args.adds == 1u { value += loss[col]; }
    }
    loss[col] = select(0.0, value, live);
    hit[col] = select(0u, 1u, live && hit_value);
}

@compute @workgroup_size(WG)
fn hard(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let c = column(col);
    let log_total = c.peak + log(c.total);
    let off = args.smoothing / f32(args.classes);
    let on = 1.0 - args.smoothing + off;
    let share = share_of(col);
    var value = 0.0;
    for (var k = 0u; k < args.classes; k++) {
        let logit = sharpened(k, col);
        let t = select(off, on, k == label[col]);
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(col, value, c.best == label[col]);
}

// As `hard`, with targets of two labels: that of the column and that of the one it was mixed with, each by its share.
@compute @workgroup_size(WG)
fn mixed(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let c = column(col);
    let log_total = c.peak + log(c.total);
    let other = label[col - col % args.batch + partner(col % args.batch)];
    let off = args.smoothing / f32(args.classes);
    let kept = 1.0 - args.smoothing;
    let share = share_of(col);
    var value = 0.0;
    for (var k = 0u; k < args.classes; k++) {
        let logit = sharpened(k, col);
        let own = select(0.0, mix_of.share, k == label[col]) + select(0.0, 1.0 - mix_of.share, k == other);
        let t = off + kept * own;
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(col, value, c.best == label[col]);
}

// As `hard` without a gradient: for evaluation. The verdict on a sample is the confidence in the answer, its
// probability, with a minus sign where the answer is wrong, and 0 where none was asked. Samples come in the order of their
// numbers.
@compute @workgroup_size(WG)
fn judge(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let c = column(col);
    let right = c.best == label[col];
    finish(col, c.peak + log(c.total) - logits[min(label[col], args.classes - 1u) * args.cols + col], right);
    let at = (step.first + col % args.batch) * (args.cols / args.batch) + col / args.batch;
    if col % args.batch < step.live && at < arrayLength(&verdict) {
        // exp(peak - peak) / total; nothing where nothing was asked
        verdict[at] = select(0.0, select(-1.0, 1.0, right) / c.total, counts(col));
    }
}

@compute @workgroup_size(WG)
fn by_soft(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    let col = group * WG + lane;
    if !(group < grid.end && col < args.cols) { return; }
    let c = column(col);
    let log_total = c.peak + log(c.total);
    let share = share_of(col);
    var value = 0.0;
    for (var k = 0u; k < args.classes; k++) {
        let logit = logits[k * args.cols + col];
        let t = soft[k * args.cols + col];
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(col, value, c.best == label[col]);
}
