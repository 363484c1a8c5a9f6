//! NAdam: Adam with Nesterov's momentum, which starts low and rises.   Dozat, 2016; PyTorch's form.
//!
//! `mu_t = beta1 (1 - .5 * .96^(t psi))`, `P_t = mu_1 ... mu_t`; in place of Adam's `m / c1` stands
//! `mu_(t+1) / (1 - P_(t+1)) m + (1 - mu_t) / (1 - P_t) g`.

use toml::Value;

use super::Entry;
use super::adam::Adam;
use super::checks::update_checks;
use super::moments::Moments;
use super::rule::{Rule, Target, at_least_zero};
use crate::error::Result;
use crate::gpu::Recorder;
use crate::ops::Step;

pub const ENTRY: Entry = Entry {
    name: "nadam",
    about: "Adam, with Nesterov's momentum",
    paper: "Dozat 2016",
    kernels: &[],
    settings: || {
        let mut all = Moments::settings(0.0);
        all.push(("momentum_decay", Value::Float(4e-3)));
        all
    },
    slots: super::adam::ENTRY.slots,
    build: |settings| {
        let momentum_decay = at_least_zero(settings, "momentum_decay")? as f64;
        Ok(Box::new(NAdam { adam: Adam { moments: Moments::read(settings)?, shrink: 0.0 }, momentum_decay }))
    },
    checks: || {
        update_checks("nadam", ENTRY.slots, &["second"], || {
            Box::new(NAdam { adam: Adam { moments: Moments::sample(), shrink: 0.0 }, momentum_decay: 4e-3 })
        })
    },
};

struct NAdam {
    adam: Adam,
    /// psi.
    momentum_decay: f64,
}

impl Rule for NAdam {
    fn record(&self, rec: &mut Recorder, t: &Target) -> Result<()> {
        self.adam.record(rec, t)
    }
    fn corrected(&self, step: Step) -> Step {
        let t = step.update as u64;
        let (mu, product) = (self.mu(t), self.product(t));
        let next = self.mu(t + 1);
        Step {
            // A finite number also where beta1, and the moment's share with it, is 0.
            correction1: ((1.0 - product * next) / next).min(f32::MAX as f64) as f32,
            lookahead: ((1.0 - mu) / (1.0 - product)) as f32,
            ..self.adam.corrected(step)
        }
    }
}

impl NAdam {
    fn mu(&self, t: u64) -> f64 {
        self.adam.moments.beta1 as f64 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * self.momentum_decay))
    }
    /// `P_t`. The loop ends once it is too small to be seen in `1 - P_t`, which takes some fifty factors.
    fn product(&self, t: u64) -> f64 {
        let mut product = 1.0;
        for i in 1..=t {
            product *= self.mu(i);
            if 1.0 - product == 1.0 {
                break;
            }
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrected(beta1: f32, update: u32) -> Step {
        let moments = Moments { beta1, ..Moments::sample() };
        let rule = NAdam { adam: Adam { moments, shrink: 0.0 }, momentum_decay: 4e-3 };
        rule.corrected(Step { update, ..Default::default() })
    }

    /// The whole product, to its underflow and beyond.
    fn plain(beta1: f64, t: u32) -> (f64, f64) {
        let mu = |i: u32| beta1 * (1.0 - 0.5 * 0.96f64.powf(i as f64 * 4e-3));
        let product: f64 = (1..=t).map(mu).product();
        ((1.0 - mu(t)) / (1.0 - product), mu(t + 1) / (1.0 - product * mu(t + 1)))
    }

    #[test]
    fn the_product_may_end_early() {
        for beta1 in [0.5f32, 0.9, 0.999] {
            for t in [1, 2, 3, 10, 47, 48, 60, 500, 2000, 20_000] {
                let (step, (gradient, moment)) = (corrected(beta1, t), plain(beta1 as f64, t));
                let near = |got: f32, want: f64| (got as f64 - want).abs() <= 2e-7 * want;
                assert!(
                    near(step.lookahead, gradient) && near(1.0 / step.correction1, moment),
                    "{beta1}, {t}"
                );
            }
        }
    }

    #[test]
    fn without_momentum_the_gradient_alone_counts() {
        let step = corrected(0.0, 7);
        assert!(step.lookahead == 1.0 && step.correction1.is_finite() && step.correction1 > 1e38);
    }
}
