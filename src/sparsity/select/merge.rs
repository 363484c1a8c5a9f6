//! The mask after an update that drops and grows: what was kept, and what was grown.

use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/merge.wgsl`.
    pub struct Args { words: u32 }
}

const MAIN: Kernel = Kernel::own(source!("sparsity/select/merge"), twin).proven();
const WG: usize = 64;

/// `mask = keep | grow`; adds what is kept, new and gone to `counts`.
pub fn record(
    rec: &mut Recorder,
    keep: &Tensor,
    grow: &Tensor,
    mask: &Tensor,
    counts: &Tensor,
) -> Result<()> {
    let args = Args { words: mask.len() as u32 };
    let binds = bind! { args: &args, keep: keep, grow: grow, mask: mask, counts: counts };
    rec.dispatch(&MAIN, binds, groups(mask.len(), WG), 0)
}

fn twin(t: &Twin) {
    let (keep, grow) = (t.u32("keep"), t.u32("grow"));
    let (mut mask, mut counts) = (t.u32_mut("mask"), t.u32_mut("counts"));
    for (i, mask) in mask.iter_mut().enumerate() {
        let now = keep[i] | grow[i];
        counts[0] += now.count_ones();
        counts[1] += (now & !*mask).count_ones();
        counts[2] += (*mask & !now).count_ones();
        *mask = now;
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("sparsity/select/merge", |t, n| {
        let (keep, grow, mask) = (t.bits("keep", n)?, t.bits("grow", n)?, t.bits("mask", n)?);
        let counts = t.output_u32("counts", &[3])?;
        t.compare(&mask, crate::gpu::check::Tolerance::EXACT);
        record(&mut t.rec, &keep, &grow, &mask, &counts)
    })]
}
