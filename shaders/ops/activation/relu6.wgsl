// ReLU6: min(max(x, 0), 6), and NaN where x is none.   Krizhevsky, 2010.
//#use ops/rectify
const SIX = 0x40c00000u; // the bits of 6
const INFINITY = 0x7f800000u;

// Of a number that is not negative, or NaN; the test is on bits, as that of `rectified`.
fn at_most_six(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    return select(x, 6.0, bits > SIX && bits <= INFINITY);
}

fn activated(x: f32) -> f32 { return at_most_six(rectified(x)); }

fn slope(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0 && x < 6.0); }
