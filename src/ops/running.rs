//! Running statistics: means over the steps of what each of them observed.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Bind, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/running.wgsl`.
    pub struct Args { quads: u32 }
}
wgsl_struct! {
    /// How much of what was observed is taken over.
    pub struct Pace { momentum: f32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/running"), twin).proven();
const WG: usize = 64;

/// `value += momentum (observed - value)`, unless the flag of `totals` says that a loss was not finite. `pace` is a [`Pace`].
pub fn record(
    rec: &mut Recorder,
    pace: Bind,
    observed: &Tensor,
    value: &Tensor,
    totals: &Tensor,
) -> Result<()> {
    let quads = value.len().div_ceil(4);
    let args = Args { quads: quads as u32 };
    let binds = bind! { args: &args, pace: pace, totals: totals, observed: observed, value: value };
    rec.dispatch(&MAIN, binds, groups(quads, WG), 3 * value.len() as u64)
}

fn twin(t: &Twin) {
    let (pace, observed): (Pace, _) = (t.get("pace"), t.f32("observed"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    t.f32_mut("value").iter_mut().zip(observed.iter()).for_each(|(v, o)| *v += pace.momentum * (o - *v));
}

pub fn checks() -> Vec<Check> {
    let of = |broken: u32| {
        Check::new(format!("ops/running ({})", if broken == 0 { "finite" } else { "broken" }), move |t, n| {
            let (observed, value) = (t.input("observed", &[n])?, t.input("value", &[n])?);
            t.compare(&value, if broken == 0 { Tolerance::ROUNDING } else { Tolerance::EXACT });
            let totals = t.gpu.upload_u32("totals", &[5], &[0, 0, 0, 0, broken])?;
            record(&mut t.rec, (&Pace { momentum: 0.1 }).into(), &observed, &value, &totals)
        })
    };
    vec![of(0), of(7)]
}
