//! Sums over a whole tensor that mean and deviation come from: of values, of magnitudes, of squares.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/moments.wgsl`.
    pub struct Args { len: u32, first_part: u32, workgroups: u32 }
}

const PARTIAL: Kernel = Kernel::own(source!("ops/moments"), twin_partial).entry("partial").proven();
const TOTAL: Kernel = Kernel::own(source!("ops/moments"), twin_total).entry("total").proven();
/// Elements of one workgroup, but that there are no more than [`MOST`].
const EACH: usize = 4096;
/// Workgroups of one tensor, at most: what they leave to add is little.
const MOST: usize = 256;

/// `sums` (3,) becomes the sums of values, of magnitudes and of squares over all of `tensors` together.
pub fn record(rec: &mut Recorder, tensors: &[&Tensor], sums: &Tensor) -> Result<()> {
    let workgroups = |values: &Tensor| values.len().div_ceil(EACH).min(MOST);
    let all: usize = tensors.iter().map(|values| workgroups(values)).sum();
    let partials = rec.gpu.tensor("partial moments", Dtype::F32, &[all, 3])?;
    let mut first = 0;
    for &values in tensors {
        let own = workgroups(values);
        let args = Args { len: values.len() as u32, first_part: first as u32, workgroups: own as u32 };
        let binds = bind! { args: &args, values: values, partials: &partials };
        rec.dispatch(&PARTIAL, binds, own as u64, 4 * values.len() as u64)?;
        first += own;
    }
    let args = Args { len: all as u32, ..Default::default() };
    rec.dispatch(&TOTAL, bind! { args: &args, parts: &partials, sums: sums }, 1, 3 * all as u64)
}

/// All sums stand in the first part: how a tensor is divided is the device's affair. Zeros between the values, as masked
/// storage has them, change no bit here; on a device they change the tree, and so the last bits.
fn twin_partial(t: &Twin) {
    let args: Args = t.get("args");
    let values = t.f32("values");
    let sum = |of: fn(f64) -> f64| values.iter().map(|&v| of(f64::from(v))).sum::<f64>() as f32;
    let mut partials = t.f32_mut("partials");
    let (first, own) = (args.first_part as usize * 3, args.workgroups as usize * 3);
    if own > 0 {
        partials[first..first + own].fill(0.0);
        partials[first..first + 3].copy_from_slice(&[sum(|v| v), sum(f64::abs), sum(|v| v * v)]);
    }
}

fn twin_total(t: &Twin) {
    let (parts, mut sums) = (t.f32("parts"), t.f32_mut("sums"));
    for (k, sum) in sums.iter_mut().enumerate() {
        *sum = parts.iter().skip(k).step_by(3).map(|&v| f64::from(v)).sum::<f64>() as f32;
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/moments", |t, n| {
        // Several workgroups at the largest size, and two tensors of different lengths.
        let (long, short) = (t.input("values", &[n * 65])?, t.input("values", &[n])?);
        let sums = t.output("sums", &[3], Tolerance::sum(n * 66))?;
        record(&mut t.rec, &[&long, &short], &sums)
    })]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu};

    /// `w` of the specification's update: sums -.45, 3.15 and 1.9725; here in two tensors.
    #[test]
    fn sums_are_those_of_all_tensors() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let upload = |values: &[f32]| gpu.upload_f32("w", &[values.len()], values).unwrap();
            let [a, b] = [upload(&[0.0, -0.9, 0.4]), upload(&[0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25])];
            let sums = gpu.tensor("sums", Dtype::F32, &[3]).unwrap();
            let mut rec = Recorder::new(&gpu);
            record(&mut rec, &[&a, &b], &sums).unwrap();
            rec.finish().unwrap().replay().unwrap();
            if gpu.is_counted() {
                continue; // nothing runs there
            }
            for (got, want) in sums.read_f32().unwrap().into_iter().zip([-0.45, 3.15, 1.9725]) {
                assert!((got - want).abs() <= 1e-6, "got {got}, want {want}");
            }
        }
    }
}
