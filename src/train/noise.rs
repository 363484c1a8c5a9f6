//! How noisy the gradients of a pruned network are: what the papers on N:M training compare.
//!
//! Bambhaniya et al., 2024, Section 5: the variance of |gradient| over a layer's weights, and that of Adam's second
//! moment. Of packed weights there are gradients where something is kept, and only those count.

use super::plans::How;
use super::session::Session;
use crate::error::Result;
use crate::param::Companion;
use crate::sparsity::Stage;

/// Batches that the noise at the end of a run is the mean of, if an epoch has as many.
const BATCHES: u64 = 16;

/// Of one maskable layer, over the gradient of the last step; or the mean over several batches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Noise {
    pub name: String,
    /// Weights that have a gradient: all of a masked layer, of a packed one those kept.
    pub count: usize,
    /// Mean of |gradient|.
    pub mean: f64,
    /// Variance of |gradient| over the layer.
    pub variance: f64,
    pub largest: f64,
    /// Variance over the layer of the optimizer's slot `second`, if it has one.
    pub second_variance: Option<f64>,
}

/// What the noise of all layers comes to.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NoiseSummary {
    /// Batches whose gradients were looked at.
    pub batches: usize,
    pub variance: NoiseMeans,
    /// Where the optimizer has a slot `second`.
    pub second_variance: Option<NoiseMeans>,
    pub layers: Vec<Noise>,
}

/// Of a figure that each layer has, two means.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct NoiseMeans {
    /// Each layer counts once.
    pub of_layers: f64,
    /// Each counts by its weights that have a gradient.
    pub of_weights: f64,
}

impl NoiseSummary {
    /// That of several batches, whose layers are the same. `None` where no layer is pruned.
    pub fn of(all: &[Vec<Noise>]) -> Option<Self> {
        let layers = mean_of(all);
        let means = |figure: &dyn Fn(&Noise) -> Option<f64>| {
            let all: Vec<(f64, f64)> = layers
                .iter()
                .map(|layer| Some((figure(layer)?, layer.count as f64)))
                .collect::<Option<Vec<_>>>()?;
            let weights: f64 = all.iter().map(|(_, count)| count).sum();
            (!all.is_empty()).then(|| NoiseMeans {
                of_layers: all.iter().map(|(value, _)| value).sum::<f64>() / all.len() as f64,
                of_weights: all.iter().map(|(value, count)| value * count).sum::<f64>() / weights.max(1.0),
            })
        };
        let variance = means(&|layer| Some(layer.variance))?;
        let second_variance = means(&|layer| layer.second_variance);
        Some(Self { batches: all.len(), variance, second_variance, layers })
    }
}

/// Layer by layer, the means over several batches, and the largest of all.
fn mean_of(all: &[Vec<Noise>]) -> Vec<Noise> {
    let Some(first) = all.first() else { return Vec::new() };
    let mean = |layer: usize, figure: &dyn Fn(&Noise) -> f64| {
        all.iter().map(|batch| figure(&batch[layer])).sum::<f64>() / all.len() as f64
    };
    let layer = |(i, own): (usize, &Noise)| Noise {
        mean: mean(i, &|noise| noise.mean),
        variance: mean(i, &|noise| noise.variance),
        largest: all.iter().map(|batch| batch[i].largest).fold(0.0, f64::max),
        ..own.clone()
    };
    first.iter().enumerate().map(layer).collect()
}

impl Session {
    /// The noise of every maskable layer that is pruned. Waits for the device.
    pub fn noise(&self) -> Result<Vec<Noise>> {
        let mut all = Vec::new();
        for param in self.model.params.iter().filter(|param| param.prunable && param.is_masked()) {
            let grad: Vec<f64> =
                param.gather(|segment| &segment.grad)?.iter().map(|g| f64::from(g.abs())).collect();
            let (mean, variance) = moments(&grad);
            let second = param.companion("second").map(Companion::read_f32).transpose()?;
            let variance_of =
                |values: Vec<f32>| moments(&values.into_iter().map(f64::from).collect::<Vec<_>>()).1;
            let second_variance = second.map(variance_of);
            let largest = grad.iter().copied().fold(0.0, f64::max);
            let count = grad.len();
            all.push(Noise { name: param.name.clone(), count, mean, variance, largest, second_variance });
        }
        Ok(all)
    }

    /// The noise at the end of a run: the mean over the last batches of its last epoch, with the weights and masks that
    /// the last step ended with, none of which changes. So it is a function of the run's last state, wherever the run was
    /// stopped in between. `None` before the end, and where no layer is pruned. Waits for the device.
    pub fn noise_at_end(&self) -> Result<Option<NoiseSummary>> {
        let Some(pruner) = self.pruner.as_ref().filter(|_| self.is_done() && self.step > 0) else {
            return Ok(None);
        };
        // Running means are state, and no part of a gradient.
        let how = How { plain: pruner.averages(), ..How::USUAL };
        let segment = self.segment(&[Stage::Masks, Stage::Forward, Stage::Backward], how)?;
        let totals = self.totals.read_u32()?;
        let state = || self.distill.iter().flat_map(|method| method.state());
        let before = state().map(|(_, tensor)| tensor.read_f32()).collect::<Result<Vec<_>>>()?;
        let (last, per_epoch) = (self.step - 1, self.length.steps_per_epoch);
        self.feed.shuffle(self.recipe.run.seed, self.epoch_of(last))?;
        self.open(last)?;
        let batch = |step| {
            self.pass_again(&segment, step)?;
            self.noise()
        };
        // Of the epoch whose order is there.
        let batches = (last / per_epoch * per_epoch).max(self.step.saturating_sub(BATCHES))..self.step;
        let all = self.aside(|_| batches.map(batch).collect::<Result<Vec<_>>>())?;
        state().zip(&before).try_for_each(|((_, tensor), values)| tensor.write(values))?;
        self.totals.write(&totals)?;
        pruner.show_hard()?;
        Ok(NoiseSummary::of(&all))
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
    use super::*;

    #[test]
    fn moments_of_few_numbers() {
        assert_eq!(moments(&[]), (0.0, 0.0));
        assert_eq!(moments(&[3.0]), (3.0, 0.0));
        assert_eq!(moments(&[1.0, 2.0, 3.0, 6.0]), (3.0, 3.5));
    }

    #[test]
    fn layers_count_alike_or_by_their_weights() {
        let layer = |count, variance, second_variance| Noise {
            name: String::new(),
            count,
            mean: 0.0,
            variance,
            largest: 0.0,
            second_variance,
        };
        let found = NoiseSummary::of(&[vec![layer(3, 1.0, Some(4.0)), layer(1, 5.0, Some(8.0))]]).unwrap();
        assert_eq!(found.variance, NoiseMeans { of_layers: 3.0, of_weights: 2.0 });
        assert_eq!(found.second_variance, Some(NoiseMeans { of_layers: 6.0, of_weights: 5.0 }));
        assert_eq!(NoiseSummary::of(&[vec![layer(3, 1.0, None)]]).unwrap().second_variance, None);
        assert_eq!(NoiseSummary::of(&[]), None);
        assert_eq!(NoiseSummary::of(&[Vec::new(), Vec::new()]), None);
    }

    #[test]
    fn batches_count_alike() {
        let batch = |mean, variance, largest| {
            vec![Noise { name: "a".into(), count: 2, mean, variance, largest, second_variance: Some(7.0) }]
        };
        let found = NoiseSummary::of(&[batch(1.0, 2.0, 9.0), batch(3.0, 6.0, 4.0)]).unwrap();
        let (batches, layer) = (found.batches, &found.layers[0]);
        assert_eq!((batches, layer.mean, layer.variance, layer.largest), (2, 2.0, 4.0, 9.0));
        assert_eq!((found.variance.of_layers, layer.second_variance), (4.0, Some(7.0)));
    }
}
