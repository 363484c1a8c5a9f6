//! How noisy the gradients of a pruned network are: what the papers on N:M training compare.
//!
//! Bambhaniya et al., 2024, Section 5: the variance of |gradient| over a layer's weights, and that of Adam's second
//! moment. Of packed weights there are gradients where something is kept, and only those count.

use super::session::Session;
use crate::error::Result;

/// Of one maskable layer, over the gradient of the last step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Noise {
    pub name: String,
    /// Mean of |gradient|.
    pub mean: f64,
    /// Variance of |gradient| over the layer.
    pub variance: f64,
    pub largest: f64,
    /// Variance over the layer of the optimizer's slot `second`, if it has one.
    pub second_variance: Option<f64>,
}

impl Session {
    /// The noise of every maskable layer that is pruned. Waits for the device.
    pub fn noise(&self) -> Result<Vec<Noise>> {
        let second = self.optimizer.entry.slots.iter().position(|slot| *slot == "second");
        let mut all = Vec::new();
        for (index, param) in self.model.params().into_iter().enumerate().filter(|(_, p)| p.is_masked()) {
            let grad: Vec<f64> =
                param.gather(|block| &block.grad)?.iter().map(|g| f64::from(g.abs())).collect();
            let (mean, variance) = moments(&grad);
            let second_variance = match second {
                Some(slot) => {
                    let mut values = Vec::new();
                    for block in self.optimizer.slots_of(index) {
                        values.extend(block[slot].read_f32()?.into_iter().map(f64::from));
                    }
                    Some(moments(&values).1)
                }
                None => None,
            };
            let largest = grad.iter().copied().fold(0.0, f64::max);
            all.push(Noise { name: param.name.clone(), mean, variance, largest, second_variance });
        }
        Ok(all)
    }
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use super::moments;

    #[test]
    fn moments_of_few_numbers() {
        assert_eq!(moments(&[]), (0.0, 0.0));
        assert_eq!(moments(&[3.0]), (3.0, 0.0));
        assert_eq!(moments(&[1.0, 2.0, 3.0, 6.0]), (3.0, 3.5));
    }
}
