//! SGD with momentum, Nesterov's variant and weight decay.   Sutskever et al., 2013; PyTorch's form.

use toml::Value;

use super::Entry;
use super::checks::update_checks;
use super::rule::{Rule, Target, at_least_zero, below_one, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/sgd.wgsl`.
    pub struct Args { quads: u32, mode: u32, momentum: f32, weight_decay: f32, nesterov: u32 }
}

const KERNEL: Kernel = Kernel::own(source!("optim/sgd"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "sgd",
    about: "stochastic gradient descent with momentum, Nesterov's variant and weight decay",
    paper: "Sutskever, Martens, Dahl & Hinton 2013",
    kernels: &[KERNEL],
    settings: || {
        vec![
            ("momentum", Value::Float(0.9)),
            ("nesterov", Value::Boolean(false)),
            ("weight_decay", Value::Float(0.0)),
        ]
    },
    slots: &["velocity"],
    build: |settings| {
        Ok(Box::new(Sgd {
            momentum: below_one(settings, "momentum")?,
            nesterov: settings.bool("nesterov")?,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        }))
    },
    checks: || {
        let plain =
            || -> Box<dyn Rule> { Box::new(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.01 }) };
        let nesterov =
            || -> Box<dyn Rule> { Box::new(Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 }) };
        let mut all = update_checks("sgd", ENTRY.slots, &[], plain);
        all.extend(update_checks("sgd, nesterov", ENTRY.slots, &[], nesterov));
        all
    },
};

struct Sgd {
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
}

impl Rule for Sgd {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Self { momentum, nesterov, weight_decay } = *self;
        let (quads, mode, nesterov) = (t.quads(), t.mode as u32, nesterov as u32);
        t.dispatch(rec, KERNEL, &Args { quads, mode, momentum, weight_decay, nesterov }, 6)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut velocity) = (t.f32_mut("weight"), t.f32_mut("velocity"));
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let v = args.momentum * velocity[i] + g;
        let direction = if args.nesterov != 0 { g + args.momentum * v } else { v };
        velocity[i] = hold(args.mode, kept, v);
        weight[i] = hold(args.mode, kept, weight[i] - step.rate * direction);
    }
}
