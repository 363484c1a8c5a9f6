//! diffGrad: Adam whose step shrinks where the gradient hardly changes.   Dubey et al., 2020, Algorithm 1.
//!
//! The step is multiplied by the friction `1 / (1 + exp(-|change|))`, where `change` is the last gradient less this
//! one, and the last one is 0 at first. Epsilon is added to the root of the uncorrected second moment. Weight decay is
//! added to the gradient, before the change is taken.
//!
//! The authors' first release kept the last gradient as another name of the present one: `change` was 0 but for the
//! first step, and the friction .5: Adam at half the rate. The paper's tables were made so. `bug = true` does the same.
//!
//! `version` has the paper's other frictions. Those of versions 3, 4 and 5 depend on mean and deviation of the magnitudes
//! of the whole tensor's gradient, which are computed first; which deviation the paper means it does not say: here the sum
//! of squares is divided by how many they are.

use toml::Value;

use super::Entry;
use super::checks::update_checks;
use super::moments::Moments;
use super::rule::{Rule, Target, hold, is_kept};
use super::spread;
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::Step;
use crate::{source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/optim/diffgrad_part.wgsl`.
    pub struct Args {
        quads: u32, mode: u32, beta1: f32, beta2: f32, epsilon: f32, weight_decay: f32, version: u32, bug: u32
    }
}

const KERNEL: Kernel = Kernel::own(source!("optim/diffgrad"), twin).proven();
const SPREAD: Kernel = Kernel::own(source!("optim/diffgrad_spread"), twin).proven();

pub const ENTRY: Entry = Entry {
    name: "diffgrad",
    about: "Adam, with smaller steps where the gradient hardly changes",
    paper: "Dubey et al. 2020",
    kernels: &[KERNEL, SPREAD],
    settings: || {
        let mut all = Moments::settings(0.0);
        all.extend([("version", Value::Integer(0)), ("bug", Value::Boolean(false))]);
        all
    },
    slots: &["first", "second", "previous"],
    build: |settings| {
        let version = settings.u32("version")?;
        if version > 5 {
            return Err(settings.wrong("version", "a number from 0 to 5"));
        }
        Ok(Box::new(DiffGrad { moments: Moments::read(settings)?, version, bug: settings.bool("bug")? }))
    },
    checks: || {
        let cases = [
            ("diffgrad", 0, false),
            ("diffgrad, 1", 1, false),
            ("diffgrad, 2", 2, false),
            ("diffgrad, 3", 3, false),
            ("diffgrad, 4", 4, false),
            ("diffgrad, 5", 5, false),
            ("diffgrad, bug", 0, true),
        ];
        let one = |(name, version, bug)| {
            update_checks(name, ENTRY.slots, &["second"], move || {
                Box::new(DiffGrad { moments: Moments::sample(), version, bug })
            })
        };
        cases.into_iter().flat_map(one).chain(spread::checks()).collect()
    },
};

struct DiffGrad {
    moments: Moments,
    version: u32,
    bug: bool,
}

impl Rule for DiffGrad {
    fn mixes(&self) -> bool {
        self.version > 2
    }
    fn record_spread(&self, rec: &mut Recorder, targets: &[Target]) -> Result<Option<Tensor>> {
        if self.mixes() {
            spread::record(rec, targets, self.moments.weight_decay).map(Some)
        } else {
            Ok(None)
        }
    }
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        let Moments { beta1, beta2, epsilon, weight_decay } = self.moments;
        let (quads, mode, version, bug) = (t.quads(), t.mode as u32, self.version, self.bug as u32);
        let kernel = if self.mixes() { SPREAD } else { KERNEL };
        t.dispatch(rec, kernel, &Args { quads, mode, beta1, beta2, epsilon, weight_decay, version, bug }, 22)
    }
    fn corrected(&self, step: Step) -> Step {
        self.moments.corrected(step)
    }
}

/// `1 / (1 + exp(-x))`, within the range of f32.
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x.clamp(-80.0, 80.0)).exp())
}

/// The factor of a step; `mean` and `deviation` are those of the magnitudes of the tensor's gradient.
fn friction(version: u32, change: f32, [mean, deviation]: [f32; 2]) -> f32 {
    match version {
        1 => sigmoid(change),
        2 => 9.0 * sigmoid(0.5 * change.abs()) - 4.0,
        3 => sigmoid(deviation * change.abs() - mean),
        4 => sigmoid(deviation * deviation * change.abs() - mean),
        5 => sigmoid(deviation.sqrt() * change.abs() - mean),
        _ => sigmoid(change.abs()),
    }
}

fn twin(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    if t.u32("totals")[4] != 0 {
        return;
    }
    let (grad, mask) = (t.f32("grad"), t.u32("mask"));
    let (mut weight, mut first) = (t.f32_mut("weight"), t.f32_mut("first"));
    let (mut second, mut previous) = (t.f32_mut("second"), t.f32_mut("previous"));
    let spread = if args.version > 2 { [t.f32("spread")[0], t.f32("spread")[1]] } else { [0.0; 2] };
    let rate = step.rate * step.correction2.sqrt() / step.correction1;
    for i in 0..weight.len() {
        let kept = is_kept(args.mode, &mask, i);
        let g = if kept { grad[i] + args.weight_decay * weight[i] } else { 0.0 };
        let m = args.beta1 * first[i] + (1.0 - args.beta1) * g;
        let v = args.beta2 * second[i] + (1.0 - args.beta2) * g * g;
        let change = if args.bug != 0 && step.update > 1 { 0.0 } else { previous[i] - g };
        let move_by = friction(args.version, change, spread) * m / (v.sqrt() + args.epsilon);
        first[i] = hold(args.mode, kept, m);
        second[i] = hold(args.mode, kept, v);
        previous[i] = hold(args.mode, kept, g);
        weight[i] = hold(args.mode, kept, weight[i] - rate * move_by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two roundings of f32 at values up to 9.
    fn near(got: f32, want: f64) -> bool {
        (got as f64 - want).abs() <= 1e-6
    }

    #[test]
    fn friction_is_that_of_the_paper() {
        let friction = |version, change| friction(version, change, [0.0; 2]);
        let printed =
            [(0.0, 0.5), (0.5, 0.622459331), (1.0, 0.731058579), (2.0, 0.880797078), (10.0, 0.999954602)];
        for (change, want) in printed {
            assert!(near(friction(0, change), want) && near(friction(0, -change), want), "{change}");
            assert!(near(friction(1, change), want) && near(friction(1, -change), 1.0 - want), "{change}");
        }
        for (change, want) in [(0.0, 0.5), (1.0, 1.602133981), (10.0, 4.939764342)] {
            assert!(near(friction(2, change), want) && near(friction(2, -change), want), "{change}");
        }
        assert!(
            near(friction(1, -1e30), 0.0) && near(friction(0, 1e30), 1.0) && near(friction(2, 1e30), 5.0)
        );
    }

    /// `1 / (1 + exp(mean - factor |change|))` by hand: at mean 1, deviation 4 and a change of .5 the exponents are
    /// -1, -7 and 0.
    #[test]
    fn friction_knows_the_spread_of_the_gradient() {
        for (version, want) in [(3, 0.731058579), (4, 0.999088949), (5, 0.5)] {
            assert!(near(friction(version, 0.5, [1.0, 4.0]), want), "version {version}");
            assert!(near(friction(version, -0.5, [1.0, 4.0]), want), "version {version}");
        }
    }
}
