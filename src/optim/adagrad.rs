//! AdaGrad: each weight has its own rate, which falls with the squares of its gradients so far.
//!
//! Duchi, Hazan & Singer, 2011, Figure 1; PyTorch's form, with a decay of the rate besides. Weight decay is added
//! to the gradient.

use toml::Value;

use super::Entry;
use super::checks::update_checks;
use super::rule::{Rule, Target, at_least_zero, epsilon, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/adagrad.wgsl`.
    pub struct Args { quads: u32, mode: u32, lr_decay: f32, epsilon: f32, weight_decay: f32 }
}

const KERNEL: Kernel = Kernel::own(source!("optim/adagrad"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "adagrad",
    about: "a rate for each weight that falls with the squares of its gradients",
    paper: "Duchi, Hazan & Singer 2011",
    kernels: &[KERNEL],
    settings: || {
        vec![
            ("lr_decay", Value::Float(0.0)),
            ("epsilon", Value::Float(1e-10)),
            ("weight_decay", Value::Float(0.0)),
        ]
    },
    slots: &["squares"],
    build: |settings| {
        Ok(Box::new(AdaGrad {
            lr_decay: at_least_zero(settings, "lr_decay")?,
            epsilon: epsilon(settings)?,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        }))
    },
    checks: || {
        update_checks("adagrad", ENTRY.slots, ENTRY.slots, || {
            Box::new(AdaGrad { lr_decay: 0.1, epsilon: 1e-10, weight_decay: 0.01 })
        })
    },
};

struct AdaGrad {
    lr_decay: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Rule for AdaGrad {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Self { lr_decay, epsilon, weight_decay } = *self;
        let (quads, mode) = (t.quads(), t.mode as u32);
        t.dispatch(rec, KERNEL, &Args { quads, mode, lr_decay, epsilon, weight_decay }, 10)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut squares) = (t.f32_mut("weight"), t.f32_mut("squares"));
    let rate = step.rate / (1.0 + (step.update - 1) as f32 * args.lr_decay);
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let s = squares[i] + g * g;
        squares[i] = hold(args.mode, kept, s);
        weight[i] = hold(args.mode, kept, weight[i] - rate * g / (s.sqrt() + args.epsilon));
    }
}
