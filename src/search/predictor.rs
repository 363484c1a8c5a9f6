//! The accuracy of a network from its choices: a small network, trained as any other is.   Cai et al. 2020, Section 3.4.
//!
//! The paper's predictor has three hidden layers of 400 units and a squared error. Here it has two classes, right and wrong,
//! and learns by the cross-entropy to both their shares, which is least where the answer is that share. Shares are those
//! of a span that is a little wider than the accuracies, so that the whole range of the softmax is used.

use super::genes::Draw;
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Plan, Recorder, Tensor, Uniform};
use crate::nn::{Arena, Extent, Gradients, Model, Pass, Schedule, Wish};
use crate::ops::Step;
use crate::ops::cross_entropy::{self, Labels, Share, Target};
use crate::ops::tally::Totals;
use crate::ops::variants::Choices;
use crate::optim::Optimizer;
use crate::random::{Stream, permutation};
use crate::recipe::{self, Recipe};

/// Networks that are predicted together.
const ASKED: usize = 128;
/// How far the span reaches beyond the accuracies, as a share of their range.
const MARGIN: f64 = 0.1;
/// The least width of a span: what a few samples make of equal networks.
const LEAST_SPAN: f64 = 1e-3;

/// How a predictor is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Units of each hidden layer.
    pub hidden: Vec<u32>,
    /// Updates.
    pub steps: u32,
    /// Networks of a step.
    pub batch: usize,
    /// The first learning rate of Adam; it falls to 0 by a cosine.
    pub rate: f64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { hidden: vec![400; 3], steps: 600, batch: 64, rate: 1e-3 }
    }
}

/// A trained predictor.
pub struct Predictor {
    asked: Bench,
    /// The accuracies that shares of 0 and 1 stand for.
    span: [f64; 2],
}

/// A pass for batches of one size, and its plan.
struct Bench {
    pass: Pass,
    plan: Plan,
    soft: Option<Tensor>,
    cols: usize,
}

impl Predictor {
    /// Trains on networks (rows of features, of equal length) and their accuracies, 0 to 1: a function of these, of the
    /// device, and of `seed`.
    ///
    /// # Errors
    /// `Kind::Usage` for fewer than two networks; `Kind::Numbers` where training diverges.
    pub fn train(
        gpu: &Gpu,
        shape: &Shape,
        features: &[Vec<f32>],
        accuracies: &[f64],
        seed: u64,
    ) -> Result<Self> {
        let count = features.len();
        if count < 2 || accuracies.len() != count {
            return Err(Error::usage(format!("a predictor cannot learn from {count} networks")));
        }
        let span = span_of(accuracies);
        let share = |accuracy: f64| ((accuracy - span[0]) / (span[1] - span[0])) as f32;
        let net = recipe::Model::Mlp { hidden: shape.hidden.clone(), activation: "relu".into() };
        let mut model = Model::new(&net, Extent::features(features[0].len()), 2, seed)?;
        model.params.iter_mut().try_for_each(|param| param.allocate(gpu))?;
        let optimizer = Optimizer::new(gpu, &adam()?.optim, &mut model.params)?;
        let step = gpu.uniform("step", &Step::default())?;
        let totals = Totals::tensor(gpu)?;
        let batch = shape.batch.clamp(1, count);
        let cols = batch.next_multiple_of(4);
        let schedule = |cols, gradients| {
            let wish = Wish { gradients, ..Wish::default() };
            Schedule::new(&model, gpu, &Choices::default(), cols, wish)
        };
        let schedules = vec![schedule(cols, Gradients::Trained), schedule(ASKED, Gradients::None)];
        // The buffers live as long as the tensors that lie in them.
        let (_, passes) = Arena::new(gpu, schedules)?;
        let [learns, asked]: [Pass; 2] = passes.try_into().map_err(|_| Error::internal("two passes"))?;
        let learns = learning(gpu, &model, &optimizer, learns, (&step, &totals), cols)?;
        let soft = learns.soft.as_ref().expect("what is learned");
        // Each epoch is another order of all, and a batch may go on in the next one.
        let order = |epoch| permutation(seed, Stream::Search, Draw::Order as u32 + epoch, count as u32);
        let mut drawn = (0..).flat_map(order).map(|row| row as usize);
        for update in 0..shape.steps {
            let rows: Vec<usize> = drawn.by_ref().take(batch).collect();
            learns.pass.input().write(&columns(&rows, |row| &features[row], cols))?;
            let mut shares = vec![0.0f32; 2 * cols];
            for (col, &row) in rows.iter().enumerate() {
                let right = share(accuracies[row]);
                (shares[col], shares[cols + col]) = (1.0 - right, right);
            }
            soft.write(&shares)?;
            let live = batch as u32;
            let progress = f64::from(update) / f64::from(shape.steps);
            let rate = (shape.rate * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0) as f32;
            let numbers = Step { step: update, live, answers: live, together: live, rate, ..Step::default() };
            step.write(&optimizer.corrected(Step { update: update + 1, draw: update, ..numbers }))?;
            learns.plan.replay()?;
        }
        let mut rec = Recorder::new(gpu);
        model.forward(&mut rec, &Choices::default(), &step, &asked)?;
        let asked = Bench { plan: rec.finish()?, pass: asked, soft: None, cols: ASKED };
        step.write(&Step { live: ASKED as u32, answers: ASKED as u32, ..Step::default() })?;
        let own = Self { asked, span };
        match own.predict(&features[..1])?[0].is_finite() {
            true => Ok(own),
            false => Err(Error::new(crate::error::Kind::Numbers, "the predictor's training diverged")
                .hint("more evaluated networks, or a lower rate")),
        }
    }

    /// The accuracy that each network is expected to have, 0 to 1.
    pub fn predict(&self, features: &[Vec<f32>]) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for some in features.chunks(ASKED) {
            let rows: Vec<usize> = (0..some.len()).collect();
            self.asked.pass.input().write(&columns(&rows, |row| &some[row], ASKED))?;
            self.asked.plan.replay()?;
            let logits = self.asked.pass.heads()[0].0.read_f32()?;
            let [wrong, right] = [0, 1].map(|class| &logits[class * self.asked.cols..]);
            let share = |col: usize| 1.0 / (1.0 + f64::from(wrong[col] - right[col]).exp());
            all.extend(rows.into_iter().map(|col| self.span[0] + (self.span[1] - self.span[0]) * share(col)));
        }
        Ok(all)
    }
}

/// The accuracies that shares of 0 and 1 stand for.
fn span_of(accuracies: &[f64]) -> [f64; 2] {
    let low = accuracies.iter().copied().fold(f64::INFINITY, f64::min);
    let high = accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let margin = (MARGIN * (high - low)).max(LEAST_SPAN);
    [low - margin, high + margin]
}

/// A step of training: forward, loss, backward, update.
fn learning(
    gpu: &Gpu,
    model: &Model,
    optimizer: &Optimizer,
    pass: Pass,
    (step, totals): (&Uniform, &Tensor),
    cols: usize,
) -> Result<Bench> {
    let choices = Choices::default();
    let soft = gpu.tensor("soft", Dtype::F32, &[2, cols])?;
    // Which class a column is counted as right for; nobody asks.
    let label = gpu.tensor("label", Dtype::U32, &[cols])?;
    let (loss, hit) = (gpu.tensor("loss", Dtype::F32, &[cols])?, gpu.tensor("hit", Dtype::U32, &[cols])?);
    let mut rec = Recorder::new(gpu);
    model.forward(&mut rec, &choices, step, &pass)?;
    let (logits, d_logits) = pass.heads()[0];
    let d_logits = d_logits.ok_or_else(|| Error::internal("a pass without gradients cannot learn"))?;
    let target = Target::Soft { label: Labels { tensor: &label, batch: cols }, soft: &soft };
    cross_entropy::record(&mut rec, step, logits, target, Share::WHOLE, d_logits, &loss, &hit)?;
    model.backward(&mut rec, &choices, step, &pass)?;
    optimizer.record(&mut rec, &model.params, step, totals)?;
    Ok(Bench { plan: rec.finish()?, pass, soft: Some(soft), cols })
}

/// Rows of features as columns, (features, cols); columns beyond the last row are 0.
fn columns<'a>(rows: &[usize], of: impl Fn(usize) -> &'a Vec<f32>, cols: usize) -> Vec<f32> {
    let features = rows.first().map_or(0, |&row| of(row).len());
    let mut all = vec![0.0; features * cols];
    for (col, &row) in rows.iter().enumerate() {
        of(row).iter().enumerate().for_each(|(feature, &value)| all[feature * cols + col] = value);
    }
    all
}

/// A recipe for its optimizer alone.
fn adam() -> Result<Recipe> {
    let text = "run = { epochs = 1 }\ndata = { name = 'digits' }\nmodel = { preset = 'mlp', hidden = [] }\n\
                optim = { name = 'adam', lr = 0.001 }";
    Recipe::parse(text, "the predictor", &[])
}

#[cfg(test)]
mod tests {
    use super::super::rank::spearman;
    use super::*;
    use crate::random::uniform;

    /// Ten switches; accuracy is a weighted sum of them with one pair that helps together.
    fn synthetic(count: u32, tensor: u32) -> (Vec<Vec<f32>>, Vec<f64>) {
        let switch = |n: u32, i: u32| if uniform(9, Stream::Test, tensor, n, i) < 0.5 { 0.0 } else { 1.0 };
        let rows: Vec<Vec<f32>> = (0..count).map(|n| (0..10).map(|i| switch(n, i)).collect()).collect();
        let accuracy = |row: &Vec<f32>| {
            let sum: f32 = row.iter().enumerate().map(|(i, on)| on * (i as f32 + 1.0)).sum();
            0.8 + f64::from(sum + 8.0 * row[0] * row[1]) / 1000.0
        };
        let accuracies = rows.iter().map(accuracy).collect();
        (rows, accuracies)
    }

    #[test]
    fn it_ranks_networks_that_it_has_not_seen() {
        let shape = Shape { hidden: vec![24, 24], steps: 250, batch: 16, rate: 5e-3 };
        let (rows, accuracies) = synthetic(80, 0);
        let (others, wanted) = synthetic(40, 1);
        let gpu = Gpu::twin();
        let train = |seed| Predictor::train(&gpu, &shape, &rows, &accuracies, seed).unwrap();
        let found = train(1).predict(&others).unwrap();
        let rank = spearman(&found, &wanted).unwrap();
        assert!(rank > 0.9, "rank correlation {rank}");
        let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.015, "accuracies span {:?}, the largest error is {worst}", span_of(&wanted));
        assert_eq!(train(1).predict(&others).unwrap(), found, "the same seed, the same predictor");
        // Not by luck: a predictor that learned nothing is far off.
        let idle = Predictor::train(&gpu, &Shape { steps: 0, ..shape.clone() }, &rows, &accuracies, 1);
        let rank = spearman(&idle.unwrap().predict(&others).unwrap(), &wanted).unwrap();
        assert!(rank < 0.7, "an untrained predictor has a rank correlation of {rank}");
        assert!(Predictor::train(&gpu, &shape, &rows[..1], &accuracies[..1], 1).is_err());
    }

    #[test]
    fn a_span_is_wider_than_what_is_in_it() {
        let [low, high] = span_of(&[0.5, 0.7]);
        assert!((low - 0.48).abs() < 1e-12 && (high - 0.72).abs() < 1e-12);
        let [low, high] = span_of(&[0.5, 0.5]);
        assert!(low < 0.5 && high > 0.5);
    }
}
