// Softmax cross-entropy by log-sum-exp, its gradient, and whether the arg max is right.
// loss = -sum_k t_k log p_k, p = softmax(sharpness * logits);  d_logits = sharpness * (p - t) / labels of the step.
// logits, soft, d_logits: (classes, cols). label, loss, hit: (cols,), steps by samples of a batch. verdict: (samples, steps).
// A label IGNORED counts for nothing.
// LANES invocations per column, which share its classes: 1 for a few classes, several for a vocabulary. Neighbours read
// neighbouring columns.
//#use common/grid
//#use common/step
//#use ops/partner
const WG = 64u;
const IGNORED = 0xffffffffu;

override TEMPERED = false; // without, the product that sharpens is left out: it costs a software adapter a millisecond
override WEIGHTED = false; // the loss counts args.weight times, beside that of other outputs
override LANES = 1u;

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

// An invocation's column, of which it has the classes from `part` on, LANES apart. Past the last column it repeats that one.
struct Own { col: u32, part: u32, is_there: bool, lane: u32 }

fn own(group: u32, lane: u32) -> Own {
    let width = WG / LANES;
    let col = group * width + lane % width;
    return Own(min(col, args.cols - 1u), lane / width, col < args.cols, lane);
}

var<workgroup> told: array<f32, WG>;
var<workgroup> told_class: array<u32, WG>;

// The sum over the invocations of a column, in their order.
fn together(mine: Own, value: f32) -> f32 {
    if LANES == 1u { return value; }
    told[mine.lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = mine.lane % (WG / LANES); i < WG; i += WG / LANES) { sum += told[i]; }
    workgroupBarrier();
    return sum;
}

fn sharpened(k: u32, col: u32) -> f32 {
    let logit = logits[k * args.cols + col];
    if TEMPERED { return args.sharpness * logit; }
    return logit;
}

struct Column { peak: f32, total: f32, best: u32 }

// The largest logit (ties to the lower class) and the sum of exp(logit - largest).
fn column(mine: Own) -> Column {
    var c = Column(sharpened(mine.part, mine.col), 0.0, mine.part);
    for (var k = mine.part + LANES; k < args.classes; k += LANES) {
        let v = sharpened(k, mine.col);
        if v > c.peak { c.peak = v; c.best = k; }
    }
    if LANES > 1u {
        told[mine.lane] = c.peak;
        told_class[mine.lane] = c.best;
        workgroupBarrier();
        let first = mine.lane % (WG / LANES);
        c.peak = told[first];
        c.best = told_class[first];
        for (var i = first; i < WG; i += WG / LANES) {
            let is_lower = told[i] == c.peak && told_class[i] < c.best;
            if told[i] > c.peak || is_lower { c.peak = told[i]; c.best = told_class[i]; }
        }
        workgroupBarrier();
    }
    var total = 0.0;
    for (var k = mine.part; k < args.classes; k += LANES) { total += exp(sharpened(k, mine.col) - c.peak); }
    c.total = together(mine, total);
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

fn finish(mine: Own, loss_value: f32, hit_value: bool) {
    if !(mine.is_there && mine.part == 0u) { return; }
    let col = mine.col;
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
    if !(group < grid.end) { return; }
    let mine = own(group, lane);
    let col = mine.col;
    let c = column(mine);
    let log_total = c.peak + log(c.total);
    let off = args.smoothing / f32(args.classes);
    let on = 1.0 - args.smoothing + off;
    let share = share_of(col);
    var value = 0.0;
    let end = select(0u, args.classes, mine.is_there);
    for (var k = mine.part; k < end; k += LANES) {
        let logit = sharpened(k, col);
        let t = select(off, on, k == label[col]);
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(mine, together(mine, value), c.best == label[col]);
}

// As `hard`, with targets of two labels: that of the column and that of the one it was mixed with, each by its share.
@compute @workgroup_size(WG)
fn mixed(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let mine = own(group, lane);
    let col = mine.col;
    let c = column(mine);
    let log_total = c.peak + log(c.total);
    let other = label[col - col % args.batch + partner(col % args.batch)];
    let off = args.smoothing / f32(args.classes);
    let kept = 1.0 - args.smoothing;
    let share = share_of(col);
    var value = 0.0;
    let end = select(0u, args.classes, mine.is_there);
    for (var k = mine.part; k < end; k += LANES) {
        let logit = sharpened(k, col);
        let own = select(0.0, mix_of.share, k == label[col]) + select(0.0, 1.0 - mix_of.share, k == other);
        let t = off + kept * own;
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(mine, together(mine, value), c.best == label[col]);
}

// As `hard` without a gradient: for evaluation. The verdict on a sample is the confidence in the answer, its
// probability, with a minus sign where the answer is wrong, and 0 where none was asked. Samples come in the order of their
// numbers.
@compute @workgroup_size(WG)
fn judge(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let mine = own(group, lane);
    let col = mine.col;
    let c = column(mine);
    let right = c.best == label[col];
    finish(mine, c.peak + log(c.total) - logits[min(label[col], args.classes - 1u) * args.cols + col], right);
    let at = (step.first + col % args.batch) * (args.cols / args.batch) + col / args.batch;
    if mine.is_there && mine.part == 0u && col % args.batch < step.live && at < arrayLength(&verdict) {
        // exp(peak - peak) / total; nothing where nothing was asked
        verdict[at] = select(0.0, select(-1.0, 1.0, right) / c.total, counts(col));
    }
}

@compute @workgroup_size(WG)
fn by_soft(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
    let group = group_index(id, groups);
    if !(group < grid.end) { return; }
    let mine = own(group, lane);
    let col = mine.col;
    let c = column(mine);
    let log_total = c.peak + log(c.total);
    let share = share_of(col);
    var value = 0.0;
    let end = select(0u, args.classes, mine.is_there);
    for (var k = mine.part; k < end; k += LANES) {
        let logit = logits[k * args.cols + col];
        let t = soft[k * args.cols + col];
        value += t * (log_total - logit);
        d_logits[k * args.cols + col] = (exp(logit - c.peak) / c.total - t) * share;
    }
    finish(mine, together(mine, value), c.best == label[col]);
}
