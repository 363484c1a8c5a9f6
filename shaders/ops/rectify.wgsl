// max(x, 0) where that is a number, and NaN where x is none, which max and fast-math would hide. The test is on bits: as
// signed integers, -0, all negative numbers and -infinity are the least, and NaN with a sign comes behind them.
const NEGATIVE_INFINITY = -8388608; // 0xff800000

fn rectified(x: f32) -> f32 {
    return select(x, 0.0, bitcast<i32>(x) <= NEGATIVE_INFINITY);
}

fn rectified_quad(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), bitcast<vec4<i32>>(x) <= vec4<i32>(NEGATIVE_INFINITY));
}
