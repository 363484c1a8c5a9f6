// The softmax of a column of logits (classes, cols), as the largest logit and the sum of exp(logit - largest).
// Who uses this has `logits`, `args.classes` and `args.cols`.
fn softmax_of(col: u32) -> vec2<f32> {
    var peak = logits[col];
    for (var k = 1u; k < args.classes; k++) { peak = max(peak, logits[k * args.cols + col]); }
    var total = 0.0;
    for (var k = 0u; k < args.classes; k++) { total += exp(logits[k * args.cols + col] - peak); }
    return vec2<f32>(peak, total);
}
