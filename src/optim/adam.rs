//! Adam.   Kingma & Ba, 2015, Algorithm 1; weight decay is added to the gradient.
//!
//! Its kernel also does AdamW (`adamw.rs`) and NAdam (`nadam.rs`): they have the same slots, and differ by a number.

use super::Entry;
use super::checks::update_checks;
use super::moments::Moments;
use super::rule::{Rule, Target, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/adam.wgsl`.
    pub struct Args {
        quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32, shrink: f32
    }
}

const KERNEL: Kernel = Kernel::own(source!("optim/adam"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "adam",
    about: "first and second moments of the gradient, corrected for their start at 0",
    paper: "Kingma & Ba 2015",
    kernels: &[KERNEL],
    settings: || Moments::settings(0.0),
    slots: &["first", "second"],
    build: |settings| Ok(Box::new(Adam { moments: Moments::read(settings)?, shrink: 0.0 })),
    checks: || {
        update_checks("adam", ENTRY.slots, &["second"], || {
            Box::new(Adam { moments: Moments::sample(), shrink: 0.0 })
        })
    },
};

pub(super) struct Adam {
    pub moments: Moments,
    /// AdamW's decay, beside the gradient; Adam's own is in `moments`.
    pub shrink: f32,
}

impl Rule for Adam {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Moments { beta1, beta2, epsilon, weight_decay } = self.moments;
        let (quads, mode, shrink) = (t.quads(), t.mode as u32, self.shrink);
        t.dispatch(rec, KERNEL, &Args { quads, mode, beta1, beta2, epsilon, weight_decay, shrink }, 18)
    }
    fn corrected(&self, step: Step) -> Step {
        self.moments.corrected(step)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut first, mut second) = (t.f32_mut("weight"), t.f32_mut("first"), t.f32_mut("second"));
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let m = args.beta1 * first[i] + (1.0 - args.beta1) * g;
        let v = args.beta2 * second[i] + (1.0 - args.beta2) * g * g;
        let direction = m / step.correction1 + step.lookahead * g;
        let move_by = direction / ((v / step.correction2).sqrt() + args.epsilon);
        let shrunk = if kept { weight[i] * (1.0 - step.rate * args.shrink) } else { weight[i] };
        first[i] = hold(args.mode, kept, m);
        second[i] = hold(args.mode, kept, v);
        weight[i] = hold(args.mode, kept, shrunk - step.rate * move_by);
    }
}
