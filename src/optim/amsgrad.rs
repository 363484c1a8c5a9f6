//! AMSGrad: Adam with the largest second moment so far, so that rates never rise again.
//!
//! Reddi, Kale & Kumar, 2018, Algorithm 2; PyTorch's form, which compares second moments before their correction.
//! Weight decay is added to the gradient.

use super::Entry;
use super::checks::update_checks;
use super::moments::Moments;
use super::rule::{Rule, Target, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/amsgrad.wgsl`.
    pub struct Args { quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 }
}

const KERNEL: Kernel = Kernel::own(source!("optim/amsgrad"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "amsgrad",
    about: "Adam, with the largest second moment so far",
    paper: "Reddi, Kale & Kumar 2018",
    kernels: &[KERNEL],
    settings: || Moments::settings(0.0),
    slots: &["first", "second", "largest"],
    build: |settings| Ok(Box::new(AmsGrad(Moments::read(settings)?))),
    checks: || {
        update_checks("amsgrad", ENTRY.slots, &["second", "largest"], || Box::new(AmsGrad(Moments::sample())))
    },
};

struct AmsGrad(Moments);

impl Rule for AmsGrad {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Moments { beta1, beta2, epsilon, weight_decay } = self.0;
        let (quads, mode) = (t.quads(), t.mode as u32);
        t.dispatch(rec, KERNEL, &Args { quads, mode, beta1, beta2, epsilon, weight_decay }, 15)
    }
    fn corrected(&self, step: Step) -> Step {
        self.0.corrected(step)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut first) = (t.f32_mut("weight"), t.f32_mut("first"));
    let (mut second, mut largest) = (t.f32_mut("second"), t.f32_mut("largest"));
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let m = args.beta1 * first[i] + (1.0 - args.beta1) * g;
        let v = args.beta2 * second[i] + (1.0 - args.beta2) * g * g;
        let l = largest[i].max(v);
        let move_by = (m / step.correction1) / ((l / step.correction2).sqrt() + args.epsilon);
        first[i] = hold(args.mode, kept, m);
        second[i] = hold(args.mode, kept, v);
        largest[i] = hold(args.mode, kept, l);
        weight[i] = hold(args.mode, kept, weight[i] - step.rate * move_by);
    }
}
