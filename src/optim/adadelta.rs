//! AdaDelta: the rate of each weight is the size of its last moves over that of its last gradients.
//!
//! Zeiler, 2012, Algorithm 1; PyTorch's form, with a learning rate, of customarily 1. Weight decay is added to the
//! gradient.

use toml::Value;

use super::Entry;
use super::checks::update_checks;
use super::rule::{Rule, Target, at_least_zero, below_one, epsilon, hold, is_kept};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/adadelta.wgsl`.
    pub struct Args { quads: u32, mode: u32, rho: f32, epsilon: f32, weight_decay: f32 }
}

const KERNEL: Kernel = Kernel::own(source!("optim/adadelta"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "adadelta",
    about: "moves as large as the last ones, relative to the gradients; its lr is 1",
    paper: "Zeiler 2012",
    kernels: &[KERNEL],
    settings: || {
        vec![("rho", Value::Float(0.9)), ("epsilon", Value::Float(1e-6)), ("weight_decay", Value::Float(0.0))]
    },
    slots: &["second", "moves"],
    build: |settings| {
        Ok(Box::new(AdaDelta {
            rho: below_one(settings, "rho")?,
            epsilon: epsilon(settings)?,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        }))
    },
    checks: || {
        update_checks("adadelta", ENTRY.slots, ENTRY.slots, || {
            Box::new(AdaDelta { rho: 0.9, epsilon: 1e-6, weight_decay: 0.01 })
        })
    },
};

struct AdaDelta {
    rho: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Rule for AdaDelta {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Self { rho, epsilon, weight_decay } = *self;
        let (quads, mode) = (t.quads(), t.mode as u32);
        t.dispatch(rec, KERNEL, &Args { quads, mode, rho, epsilon, weight_decay }, 18)
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut second, mut moves) = (t.f32_mut("weight"), t.f32_mut("second"), t.f32_mut("moves"));
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let v = args.rho * second[i] + (1.0 - args.rho) * g * g;
        let d = (moves[i] + args.epsilon).sqrt() / (v + args.epsilon).sqrt() * g;
        let u = args.rho * moves[i] + (1.0 - args.rho) * d * d;
        second[i] = hold(args.mode, kept, v);
        moves[i] = hold(args.mode, kept, u);
        weight[i] = hold(args.mode, kept, weight[i] - step.rate * d);
    }
}
