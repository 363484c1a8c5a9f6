//! Adam.   Kingma & Ba, 2015, Algorithm 1; weight decay is added to the gradient.

use toml::Value;

use super::{Entry, Rule, Target, at_least_zero, below_one, hold, is_kept, update_checks};
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Twin};
use crate::ops::Step;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/adam.wgsl`.
    pub struct Args { quads: u32, flow: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32 }
}

const MAIN: Kernel = Kernel::own(source!("optim/adam"), twin).proven();
const BY_TEXELS: Kernel = MAIN.entry("by_texels");

pub const ENTRY: Entry = Entry {
    name: "adam",
    about: "first and second moments of the gradient, corrected for their start at 0",
    paper: "Kingma & Ba 2015",
    settings: || {
        vec![
            ("beta1", Value::Float(0.9)),
            ("beta2", Value::Float(0.999)),
            ("epsilon", Value::Float(1e-8)),
            ("weight_decay", Value::Float(0.0)),
        ]
    },
    slots: &["first", "second"],
    build: |settings| {
        let epsilon = settings.f32("epsilon")?;
        if !(epsilon >= f32::MIN_POSITIVE) {
            return Err(
                settings.wrong("epsilon", "a number above 1.2e-38: devices may flush smaller ones to 0")
            );
        }
        Ok(Box::new(Adam {
            beta1: below_one(settings, "beta1")?,
            beta2: below_one(settings, "beta2")?,
            epsilon,
            weight_decay: at_least_zero(settings, "weight_decay")?,
        }))
    },
    checks: || {
        let rule = || -> Box<dyn Rule> {
            Box::new(Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 })
        };
        update_checks("adam", 2, rule)
    },
};

struct Adam {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    weight_decay: f32,
}

impl Rule for Adam {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let args = Args {
            quads: t.block.quads() as u32,
            flow: t.flow as u32,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        };
        let (grad, mask, weight) = (&t.block.grad, &t.block.mask, t.block.stored());
        let (first, second) = (&t.slots[0], &t.slots[1]);
        let flops = 14 * t.block.weight.len() as u64;
        if t.texels {
            let binds = bind! { args: &args, step: t.step, totals: t.totals, grad_texels: grad, mask: mask,
            weight_texels: weight, weight: weight, first_texels: first, first: first, second_texels: second,
            second: second };
            return rec.dispatch(&BY_TEXELS, binds, t.groups(), flops);
        }
        let binds = bind! { args: &args, step: t.step, totals: t.totals, grad: grad, mask: mask, weight: weight,
        first: first, second: second };
        rec.dispatch(&MAIN, binds, t.groups(), flops)
    }

    /// `1 - beta^t` in f64: f32 loses half its digits at small t and beta near 1.
    fn corrections(&self, t: u64) -> (f32, f32) {
        let correction = |beta: f32| (1.0 - (beta as f64).powf(t as f64)) as f32;
        (correction(self.beta1), correction(self.beta2))
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
        let kept = is_kept(args.flow, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let m = args.beta1 * first[i] + (1.0 - args.beta1) * g;
        let v = args.beta2 * second[i] + (1.0 - args.beta2) * g * g;
        let move_by = (m / step.correction1) / ((v / step.correction2).sqrt() + args.epsilon);
        first[i] = hold(args.flow, kept, m);
        second[i] = hold(args.flow, kept, v);
        weight[i] = hold(args.flow, kept, weight[i] - step.rate * move_by);
    }
}
