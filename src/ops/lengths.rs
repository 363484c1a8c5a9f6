//! How many steps each sample has: those up to its last token that is not padding; and kernels that overlook the others.

use std::ops::Range;

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Trial};
use crate::gpu::{Bind, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/lengths.wgsl`.
    pub struct Args { batch: u32, first: u32, end: u32, padding: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/lengths"), twin).proven();
const WG: usize = 64;

/// `lengths` (batch,): of the given steps of `tokens` (1, time batch), how many there are up to the last one that is not
/// `padding`.
pub fn record(
    rec: &mut Recorder,
    tokens: &Tensor,
    steps: Range<usize>,
    padding: u32,
    lengths: &Tensor,
) -> Result<()> {
    let [batch, first, end] = [lengths.len(), steps.start, steps.end].map(|n| n as u32);
    let args = Args { batch, first, end, padding };
    rec.dispatch(&MAIN, bind! { args: &args, tokens: tokens, lengths: lengths }, groups(lengths.len(), WG), 0)
}

/// A kernel for samples that have every step, and the same for samples with lengths, which are bound as `lengths`.
#[derive(Clone, Copy)]
pub struct Versions {
    pub whole: Kernel,
    ragged: Kernel,
}

impl Versions {
    /// Of a kernel of this name, whose shader leaves open which steps a sample has.
    pub(super) const fn of(kernel: Kernel, name: &'static str) -> Self {
        let whole = kernel.part(["", ""], source!("ops/lengths/whole"));
        Self { whole, ragged: kernel.part([name, " (ragged)"], source!("ops/lengths/ragged")) }
    }
    pub fn all(&self) -> [Kernel; 2] {
        [self.whole, self.ragged]
    }
    /// As [`Recorder::dispatch`], with the lengths of samples `(batch,)` where they have some.
    pub fn dispatch(
        &self,
        rec: &mut Recorder,
        lengths: Option<&Tensor>,
        binds: &[(&str, Bind)],
        groups: u64,
        flops: u64,
    ) -> Result<()> {
        let Some(lengths) = lengths else { return rec.dispatch(&self.whole, binds, groups, flops) };
        let binds = [binds, &[("lengths", Bind::from(lengths))]].concat();
        rec.dispatch(&self.ragged, &binds, groups, flops)
    }
}

/// The lengths of samples, as a twin sees them.
pub struct Ragged(Vec<u32>);

impl Ragged {
    pub fn of(t: &Twin) -> Self {
        Self(if t.has("lengths") { t.u32("lengths").to_vec() } else { Vec::new() })
    }
    /// Whether a sample has a step.
    pub fn is_there(&self, at: usize, sample: usize) -> bool {
        self.0.get(sample).is_none_or(|&length| at < length as usize)
    }
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    let tokens = t.u32("tokens");
    for (col, length) in t.u32_mut("lengths").iter_mut().enumerate() {
        let token = |step: u32| tokens[step as usize * args.batch as usize + col];
        let last = (args.first..args.end).rev().find(|&step| token(step) != args.padding);
        *length = last.map_or(0, |step| step + 1 - args.first);
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/lengths", |t: &mut Trial, n| {
        for steps in [0..1, 0..9, 3..7] {
            // Few different tokens, so that some samples end in padding, and some are nothing else.
            let (tokens, lengths) = (t.indices("tokens", &[1, 9 * n], 2)?, t.output_u32("lengths", &[1, n])?);
            if n > 0 {
                record(&mut t.rec, &tokens, steps, 1, &lengths)?;
            }
        }
        Ok(())
    })]
}
