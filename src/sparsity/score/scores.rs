//! What weights are pruned by, where magnitude is not it: saliency (SNIP), and the change of gradient flow (GraSP).
//!
//! Lee, Ajanthan & Torr, 2019, "SNIP", equation 4: `|weight * grad|`. Wang, Zhang & Grosse, 2020, "Picking winning
//! tickets before training by preserving gradient flow", equation 8: `-weight * (H grad)`, of which the largest are
//! removed; `H grad` is a difference of gradients at `weight ± scale * grad`.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/score/scores.wgsl`.
    pub struct Args { len: u32, sign: f32 }
}
wgsl_struct! {
    /// How far weights are moved along their gradient; written by the host.
    pub struct Reach { scale: f32 }
}

const SALIENCY: Kernel =
    Kernel::own(source!("sparsity/score/scores"), twin_saliency).entry("saliency").proven();
const MORE_SALIENCY: Kernel =
    Kernel::own(source!("sparsity/score/scores"), twin_more_saliency).entry("more_saliency").proven();
const PROBE: Kernel = Kernel::own(source!("sparsity/score/scores"), twin_probe).entry("probe").proven();
const FLOW: Kernel = Kernel::own(source!("sparsity/score/scores"), twin_flow).entry("flow").proven();
const WG: usize = 64;

fn args(len: usize, sign: f32) -> Args {
    Args { len: len as u32, sign }
}

/// `result = |base * grad|`.
pub fn record_saliency(rec: &mut Recorder, base: &Tensor, grad: &Tensor, result: &Tensor) -> Result<()> {
    let binds = bind! { args: &args(base.len(), 0.0), base: base, grad: grad, result: result };
    rec.dispatch(&SALIENCY, binds, groups(base.len(), WG), 2 * base.len() as u64)
}

/// `result += |base * grad|`.
pub fn record_more_saliency(rec: &mut Recorder, base: &Tensor, grad: &Tensor, result: &Tensor) -> Result<()> {
    let binds = bind! { args: &args(base.len(), 0.0), base: base, grad: grad, result: result };
    rec.dispatch(&MORE_SALIENCY, binds, groups(base.len(), WG), 3 * base.len() as u64)
}

/// `result = base + sign * scale * grad`; `reach` holds a [`Reach`].
pub fn record_probe(
    rec: &mut Recorder,
    sign: f32,
    reach: &Uniform,
    base: &Tensor,
    grad: &Tensor,
    result: &Tensor,
) -> Result<()> {
    let binds = bind! { args: &args(base.len(), sign), base: base, grad: grad, result: result, reach: reach };
    rec.dispatch(&PROBE, binds, groups(base.len(), WG), 2 * base.len() as u64)
}

/// A score that orders as `base * (after - grad)` does, but for the last bit of it.
pub fn record_flow(
    rec: &mut Recorder,
    base: &Tensor,
    grad: &Tensor,
    after: &Tensor,
    result: &Tensor,
) -> Result<()> {
    let binds = bind! { args: &args(base.len(), 0.0), base: base, grad: grad, after: after, result: result };
    rec.dispatch(&FLOW, binds, groups(base.len(), WG), 3 * base.len() as u64)
}

/// A number whose magnitude orders as `x` does, the sign included; two neighbours may become equal.
fn ordered(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits(if bits >> 31 == 1 { !bits >> 1 } else { (bits | 1 << 31) >> 1 })
}

fn twin_saliency(t: &Twin) {
    let (base, grad, mut result) = (t.f32("base"), t.f32("grad"), t.f32_mut("result"));
    (0..result.len()).for_each(|i| result[i] = (base[i] * grad[i]).abs());
}

fn twin_more_saliency(t: &Twin) {
    let (base, grad, mut result) = (t.f32("base"), t.f32("grad"), t.f32_mut("result"));
    (0..result.len()).for_each(|i| result[i] += (base[i] * grad[i]).abs());
}

fn twin_probe(t: &Twin) {
    let (args, reach): (Args, Reach) = (t.get("args"), t.get("reach"));
    let (base, grad, mut result) = (t.f32("base"), t.f32("grad"), t.f32_mut("result"));
    (0..result.len()).for_each(|i| result[i] = base[i] + args.sign * reach.scale * grad[i]);
}

fn twin_flow(t: &Twin) {
    let (base, grad) = (t.f32("base"), t.f32("grad"));
    let (after, mut result) = (t.f32("after"), t.f32_mut("result"));
    (0..result.len()).for_each(|i| result[i] = ordered(base[i] * (after[i] - grad[i])));
}

pub fn checks() -> Vec<Check> {
    let saliency = Check::new("sparsity/score/scores:saliency", |t, n| {
        let (base, grad) = (t.input("base", &[n])?, t.input("grad", &[n])?);
        let result = t.output("result", &[n], Tolerance::EXACT)?;
        record_saliency(&mut t.rec, &base, &grad, &result)
    });
    let more = Check::new("sparsity/score/scores:more_saliency", |t, n| {
        let (base, grad) = (t.input("base", &[n])?, t.input("grad", &[n])?);
        let result = t.input("result", &[n])?;
        // A product and a sum of numbers below 1, perhaps fused.
        t.compare(&result, Tolerance { abs: 3e-7, rel: 3e-7 });
        record_more_saliency(&mut t.rec, &base, &grad, &result)
    });
    let probe = Check::new("sparsity/score/scores:probe", |t, n| {
        let (base, grad) = (t.input("base", &[n])?, t.input("grad", &[n])?);
        let reach = t.gpu.uniform("reach", &Reach { scale: 0.3 })?;
        // A product and a sum of numbers below 1, perhaps fused.
        let result = t.output("result", &[n], Tolerance { abs: 3e-7, rel: 3e-7 })?;
        record_probe(&mut t.rec, -1.0, &reach, &base, &grad, &result)
    });
    let flow = Check::new("sparsity/score/scores:flow", |t, n| {
        // Multiples of 1/16: differences and products are exact, so that the bits must agree.
        let mut coarse = |name: &str| {
            let values: Vec<f32> = t.values(n).iter().map(|v| (v * 16.0).round() / 16.0).collect();
            t.gpu.upload_f32(name, &[n], &values)
        };
        let (base, grad, after) = (coarse("base")?, coarse("grad")?, coarse("after")?);
        let result = t.output("result", &[n], Tolerance::EXACT)?;
        record_flow(&mut t.rec, &base, &grad, &after, &result)
    });
    vec![saliency, more, probe, flow]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype, Gpu};

    /// The specification's linear softmax: its weight, gradient and Hessian product.
    #[test]
    fn the_worked_scores_come_out() {
        let weight = [0.5, -0.3, 0.2, 0.8];
        let grad = [-0.869892, -1.739783, 0.869892, 1.739783];
        let product = [-0.984545, -1.969091, 0.984545, 1.969091];
        let close = |got: &[f32], want: [f64; 4], bound: f64| {
            for (&got, want) in got.iter().zip(want) {
                assert!((f64::from(got) - want).abs() <= bound, "got {got}, want {want}");
            }
        };
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let [base, grad, product] = [("base", weight), ("grad", grad), ("product", product)]
                .map(|(name, values)| gpu.upload_f32(name, &[4], &values).unwrap());
            let none = gpu.upload_f32("none", &[4], &[0.0; 4]).unwrap();
            let [saliency, flow] =
                ["saliency", "flow"].map(|name| gpu.tensor(name, Dtype::F32, &[4]).unwrap());
            let mut rec = Recorder::new(&gpu);
            record_saliency(&mut rec, &base, &grad, &saliency).unwrap();
            record_flow(&mut rec, &base, &none, &product, &flow).unwrap();
            rec.finish().unwrap().replay().unwrap();

            // Numbers are given to six decimals.
            let snip = saliency.read_f32().unwrap();
            close(&snip, [0.434946, 0.521935, 0.173978, 1.391826], 1.1e-6);
            let sum: f32 = snip.iter().sum();
            let shares: Vec<f32> = snip.iter().map(|score| score / sum).collect();
            close(&shares, [0.172414, 0.206897, 0.068966, 0.551724], 1.1e-6);

            // What is largest of `w (H g)` is kept, so the specification's score is the negative of it.
            let grasp: Vec<f32> = flow.read_f32().unwrap().into_iter().map(|x| -unordered(x)).collect();
            close(&grasp, [0.492273, -0.590727, -0.196909, -1.575273], 1.1e-6);
            let sum = grasp.iter().sum::<f32>().abs() + 1e-10;
            let shares: Vec<f32> = grasp.iter().map(|score| score / sum).collect();
            close(&shares, [0.263158, -0.315789, -0.105263, -0.842105], 1.1e-6);
        }
    }

    /// The number that was ordered, but for its last bit.
    fn unordered(x: f32) -> f32 {
        let bits = x.to_bits() << 1;
        f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
    }

    #[test]
    fn the_sign_is_part_of_the_order_and_nan_stays_recognisable() {
        let rising = [f32::NEG_INFINITY, -3.0, -1e-30, -0.0, 0.0, 1e-30, 0.5, 3.0, 1e30];
        for pair in rising.windows(2) {
            let [a, b] = [ordered(pair[0]).to_bits(), ordered(pair[1]).to_bits()];
            assert!(a < b || (a == b && pair[0] == 0.0), "{pair:?}");
        }
        assert!(ordered(f32::NAN).is_nan());
        assert!(!ordered(1e37).is_nan());
    }
}
