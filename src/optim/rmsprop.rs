//! RMSProp: the gradient over the root of its mean square.
//!
//! Tieleman & Hinton, 2012, Lecture 6.5 of "Neural Networks for Machine Learning"; PyTorch's form, without momentum.
//! Weight decay is added to the gradient.

use toml::Value;

use super::Entry;
use super::checks::update_checks;
use super::rule::{Rule, Target, at_least_zero, below_one, epsilon, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/rmsprop.wgsl`.
    pub struct Args { quads: u32, mode: u32, alpha: f32, epsilon: f32, weight_decay: f32 }
}

const KERNEL: Kernel = Kernel::own(source!("optim/rmsprop"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "rmsprop",
    about: "the gradient over the root of its mean square",
    paper: "Tieleman & Hinton 2012",
    kernels: &[KERNEL],
    settings: || {
        vec![
            ("alpha", Value::Float(0.99)),
            ("epsilon", Value::Float(1e-8)),
            ("weight_decay", Value::Float(0.0)),
        ]
    },
    slots: &["second"],
    build: |settings| {
        Ok(Box::new(RmsProp {
            alpha: below_one(settings, "alpha")?,
            epsilon: epsilon(settings)?,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        }))
    },
    checks: || {
        update_checks("rmsprop", ENTRY.slots, ENTRY.slots, || {
            Box::new(RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay: 0.01 })
        })
    },
};

struct RmsProp {
    alpha: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Rule for RmsProp {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Self { alpha, epsilon, weight_decay } = *self;
        let (quads, mode) = (t.quads(), t.mode as u32);
        t.dispatch(rec, KERNEL, &Args { quads, mode, alpha, epsilon, weight_decay }, 11)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut second) = (t.f32_mut("weight"), t.f32_mut("second"));
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let v = args.alpha * second[i] + (1.0 - args.alpha) * g * g;
        second[i] = hold(args.mode, kept, v);
        weight[i] = hold(args.mode, kept, weight[i] - step.rate * g / (v.sqrt() + args.epsilon));
    }
}
