//! How many values are not finite, to name the weights that a loss which is not finite comes from.

use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/finite.wgsl`.
    pub struct Args { len: u32, place: u32, workgroups: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/finite"), twin).proven();
/// Values of one workgroup.
const EACH: usize = 4096;

/// Adds to `counts[place]` how many of `values` are not finite.
pub fn record(rec: &mut Recorder, values: &Tensor, counts: &Tensor, place: usize) -> Result<()> {
    let workgroups = values.len().div_ceil(EACH);
    let args = Args { len: values.len() as u32, place: place as u32, workgroups: workgroups as u32 };
    let binds = bind! { args: &args, values: values, counts: counts };
    rec.dispatch(&MAIN, binds, workgroups as u64, values.len() as u64)
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    let found = t.f32("values").iter().filter(|value| !value.is_finite()).count();
    t.u32_mut("counts")[args.place as usize] += found as u32;
}

/// Several workgroups at the largest size; every kind of value, in each place.
pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/finite", |t, n| {
        let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40, -0.0];
        let mut values = t.values(n * 65);
        let each = 13;
        values.iter_mut().step_by(each).zip(odd.into_iter().cycle()).for_each(|(value, odd)| *value = odd);
        let values = t.gpu.upload_f32("values", &[n * 65], &values)?;
        let counts = t.output_u32("counts", &[3])?;
        record(&mut t.rec, &values, &counts, 2)?;
        record(&mut t.rec, &values.first(&[n]), &counts, 0)
    })]
}
