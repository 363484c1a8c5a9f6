//! The phases of N:M training: dense, then sparse, then fine-tuning, as shares of the run.
//!
//! Bambhaniya et al., 2024, "Progressive gradient flow for robust N:M sparsity training", Section 3.

use toml::Value;

use super::Length;
use crate::error::Result;
use crate::recipe::Settings;

/// Shares of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phases {
    pub dense: f64,
    pub finetune: f64,
    /// Whether masks are held from the start of fine-tuning on.
    pub freeze: bool,
}

/// Where a step lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Dense,
    /// So many steps after the dense phase, of so many.
    Sparse {
        step: u64,
        of: u64,
    },
    Finetune,
}

impl Phases {
    /// The settings with their defaults.
    pub fn settings(dense: f64, finetune: f64) -> Vec<(&'static str, Value)> {
        vec![
            ("dense", Value::Float(dense)),
            ("finetune", Value::Float(finetune)),
            ("freeze", Value::Boolean(false)),
        ]
    }

    /// # Errors
    /// `Kind::Usage` for shares outside 0 to 1, or that leave nothing in between.
    pub fn read(settings: &Settings) -> Result<Self> {
        let share = |key: &str| {
            let value = settings.f64(key)?;
            if (0.0..1.0).contains(&value) {
                Ok(value)
            } else {
                Err(settings.wrong(key, "a share of the run, from 0 up to, not including, 1"))
            }
        };
        let phases =
            Self { dense: share("dense")?, finetune: share("finetune")?, freeze: settings.bool("freeze")? };
        if phases.freeze && phases.finetune == 0.0 {
            return Err(settings.wrong("finetune", "a share of the run above 0, in which masks are frozen"));
        }
        if phases.dense + phases.finetune >= 1.0 {
            return Err(settings
                .wrong("finetune", "a share that leaves some of the run between the dense phase and it"));
        }
        Ok(phases)
    }

    /// The first sparse step, and the first of fine-tuning.
    pub fn bounds(&self, length: Length) -> (u64, u64) {
        let steps = length.steps as f64;
        let sparse = (self.dense * steps).round() as u64;
        (sparse, length.steps - (self.finetune * steps).round() as u64)
    }

    /// The step from which on masks are held.
    pub fn frozen_from(&self, length: Length) -> Option<u64> {
        self.freeze.then_some(self.bounds(length).1)
    }

    /// The phase of `step`.
    pub fn at(&self, step: u64, length: Length) -> Phase {
        let (sparse, finetune) = self.bounds(length);
        match step {
            _ if step < sparse => Phase::Dense,
            _ if step < finetune => Phase::Sparse { step: step - sparse, of: finetune - sparse },
            _ => Phase::Finetune,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_meet_without_a_gap() {
        let length = Length { steps: 1000, steps_per_epoch: 10 };
        let phases = Phases { dense: 0.1, finetune: 0.2, freeze: true };
        assert_eq!(phases.bounds(length), (100, 800));
        assert_eq!(phases.frozen_from(length), Some(800));
        assert_eq!(phases.at(99, length), Phase::Dense);
        assert_eq!(phases.at(100, length), Phase::Sparse { step: 0, of: 700 });
        assert_eq!(phases.at(799, length), Phase::Sparse { step: 699, of: 700 });
        assert_eq!(phases.at(800, length), Phase::Finetune);
        let all = Phases { dense: 0.0, finetune: 0.0, freeze: false };
        assert_eq!(all.at(0, length), Phase::Sparse { step: 0, of: 1000 });
        assert_eq!(all.at(999, length), Phase::Sparse { step: 999, of: 1000 });
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        let read = |dense: f64, finetune: f64| {
            Phases::read(&Settings::from(toml::Table::from_iter([
                ("dense".to_string(), Value::Float(dense)),
                ("finetune".to_string(), Value::Float(finetune)),
                ("freeze".to_string(), Value::Boolean(false)),
            ])))
        };
        assert!(read(0.1, 0.2).is_ok());
        for (dense, finetune) in [(0.5, 0.5), (1.0, 0.0), (-0.1, 0.0), (0.0, f64::NAN)] {
            assert!(read(dense, finetune).is_err(), "{dense} {finetune}");
        }
    }
}
