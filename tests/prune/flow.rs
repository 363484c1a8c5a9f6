//! GraSP's scores of a linear softmax in f64, with the exact Hessian: `-w (H g)` at any temperature.

use coppice::data::Split;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, indices};
use coppice::random::{Stream, uniform};
use coppice::sparsity::Look;
use coppice::train::Session;

use super::common::everywhere;
use super::{recipe, source};

/// A weight (classes, inputs) and samples with their classes.
struct Case {
    inputs: usize,
    weight: Vec<f32>,
    samples: Vec<f32>,
    labels: Vec<u8>,
}

impl Case {
    fn classes(&self) -> usize {
        self.weight.len() / self.inputs
    }
    fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        self.samples.chunks(self.inputs).zip(self.labels.iter().map(|&label| label as usize))
    }
    fn softmax(&self, x: &[f32], temperature: f64) -> Vec<f64> {
        let logit = |row: &[f32]| row.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>();
        let powers: Vec<f64> =
            self.weight.chunks(self.inputs).map(|row| (logit(row) / temperature).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    }
    /// The gradient of the mean loss.
    fn gradient(&self, temperature: f64) -> Vec<f64> {
        let scale = 1.0 / (self.labels.len() as f64 * temperature);
        let mut all = vec![0.0; self.weight.len()];
        for (x, label) in self.rows() {
            let p = self.softmax(x, temperature);
            for (i, d) in all.iter_mut().enumerate() {
                let (k, j) = (i / self.inputs, i % self.inputs);
                *d += scale * (p[k] - f64::from(u8::from(k == label))) * f64::from(x[j]);
            }
        }
        all
    }
    /// The Hessian times a vector: `d p_k = p_k (d z_k - sum_l p_l d z_l)`.
    fn hessian(&self, v: &[f64], temperature: f64) -> Vec<f64> {
        let scale = 1.0 / (self.labels.len() as f64 * temperature);
        let mut all = vec![0.0; self.weight.len()];
        for (x, _) in self.rows() {
            let p = self.softmax(x, temperature);
            let moves: Vec<f64> = v
                .chunks(self.inputs)
                .map(|row| row.iter().zip(x).map(|(v, &x)| v * f64::from(x)).sum::<f64>() / temperature)
                .collect();
            let mean: f64 = p.iter().zip(&moves).map(|(p, m)| p * m).sum();
            for (i, h) in all.iter_mut().enumerate() {
                let (k, j) = (i / self.inputs, i % self.inputs);
                *h += scale * p[k] * (moves[k] - mean) * f64::from(x[j]);
            }
        }
        all
    }
    fn scores(&self, temperature: f64) -> Vec<f64> {
        let flow = self.hessian(&self.gradient(temperature), temperature);
        self.weight.iter().zip(flow).map(|(&w, h)| -f64::from(w) * h).collect()
    }
}

/// As the published code does it.
fn normalised(scores: &[f64]) -> Vec<f64> {
    let total = scores.iter().sum::<f64>().abs() + 1e-10;
    scores.iter().map(|score| score / total).collect()
}

/// The specification's worked scores, at temperature 1 and 200: the oracle is right.
#[test]
fn the_worked_scores_come_out_in_f64() {
    let case =
        Case { inputs: 2, weight: vec![0.5, -0.3, 0.2, 0.8], samples: vec![1.0, 2.0], labels: vec![0] };
    for (got, want) in [
        (case.gradient(1.0), [-0.869892, -1.739783, 0.869892, 1.739783]),
        (case.hessian(&case.gradient(1.0), 1.0), [-0.984545, -1.969091, 0.984545, 1.969091]),
        (case.scores(1.0), [0.492273, -0.590727, -0.196909, -1.575273]),
        (normalised(&case.scores(1.0)), [0.263158, -0.315789, -0.105263, -0.842105]),
        (normalised(&case.scores(200.0)), [0.263070, -0.315684, -0.105228, -0.841823]),
    ] {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= 1e-6, "got {got}, want {want}");
        }
    }
}

/// The specification's numbers from a network on a device: gradients of its forward and backward passes, and `H g` as
/// the difference of two, 0.01 of the gradient's length to either side.
#[test]
fn the_worked_scores_come_out_of_a_network() {
    let weight = [0.5f32, -0.3, 0.2, 0.8];
    let one = || Split::floats(vec![1.0, 2.0], vec![0]);
    let close = |what: &str, got: &[f64], want: [f64; 4], bound: f64| {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= bound, "{what}: got {got}, want {want}");
        }
    };
    for gpu in everywhere() {
        for temperature in [1.0, 200.0] {
            let sparsity = format!("method = 'grasp', target = 0.5, temperature = {temperature:?}");
            let data = source(2, 2, one(), one());
            let run = Session::new(&gpu, &recipe("[]", &sparsity), &data, Choices::default()).unwrap();
            run.model.params[ParamId(1)].write(&[0.0, 0.0]).unwrap();
            let gradient = |weight: &[f32]| -> Vec<f64> {
                run.model.params[ParamId(0)].write(weight).unwrap();
                run.look(Look { ahead: 0, tempered: temperature != 1.0 }).unwrap();
                run.model.params[ParamId(0)].read_grad().unwrap().into_iter().map(f64::from).collect()
            };
            let g = gradient(&weight);
            let reach = 0.01 / g.iter().map(|g| g * g).sum::<f64>().sqrt();
            let moved = |sign: f64| -> Vec<f32> {
                weight.iter().zip(&g).map(|(&w, g)| (f64::from(w) + sign * reach * g) as f32).collect()
            };
            let [ahead, behind] = [1.0, -1.0].map(|sign| gradient(&moved(sign)));
            let flow: Vec<f64> = ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * reach)).collect();
            let scores: Vec<f64> = weight.iter().zip(&flow).map(|(&w, h)| -f64::from(w) * h).collect();
            if temperature == 1.0 {
                close("gradient", &g, [-0.869892, -1.739783, 0.869892, 1.739783], 2e-6);
                let snip: Vec<f64> = weight.iter().zip(&g).map(|(&w, g)| (f64::from(w) * g).abs()).collect();
                close("SNIP", &snip, [0.434946, 0.521935, 0.173978, 1.391826], 2e-6);
                // Gradients round to 1e-7, and their difference is divided by .007: some 1e-4.
                close("H g", &flow, [-0.984545, -1.969091, 0.984545, 1.969091], 2e-4);
                close("GraSP", &scores, [0.492273, -0.590727, -0.196909, -1.575273], 2e-4);
                close("shares", &normalised(&scores), [0.263158, -0.315789, -0.105263, -0.842105], 2e-4);
            } else {
                // Gradients there hardly change: see below.
                close("shares", &normalised(&scores), [0.263070, -0.315684, -0.105228, -0.841823], 2e-2);
            }
        }
    }
}

/// Which weights are kept of a case.
fn kept(gpu: &Gpu, case: &Case, target: f64, temperature: f64) -> Vec<u32> {
    let split = || Split::floats(case.samples.clone(), case.labels.clone());
    let data = source(case.inputs, case.classes() as u8, split(), split());
    let sparsity = format!("method = 'grasp', target = {target}, temperature = {temperature:?}");
    let mut run = Session::new(gpu, &recipe("[]", &sparsity), &data, Choices::default()).unwrap();
    run.model.params[ParamId(0)].write(&case.weight).unwrap();
    run.model.params[ParamId(1)].write(&vec![0.0; case.classes()]).unwrap();
    run.advance().unwrap().expect("a mask before the first step");
    indices(&run.model.params[ParamId(0)].read_mask().unwrap())
}

/// The same choice as by exact scores, at temperatures that choose differently. Finite differences in f32 are off by a
/// hundredth or two at 200, where gradients hardly change: where to cut is chosen by the widest gap between scores.
#[test]
fn temperature_decides_what_flows() {
    let number = |tensor: u32, i: u32| uniform(5, Stream::Test, 0, tensor, i) - 0.5;
    let case = Case {
        inputs: 8,
        weight: (0..24).map(|i| 6.0 * number(1, i)).collect(),
        samples: (0..96).map(|i| 2.0 * number(2, i)).collect(),
        labels: (0..12).map(|i| (i * 7 % 3) as u8).collect(),
    };
    for gpu in everywhere() {
        let mut chosen = Vec::new();
        for temperature in [1.0, 10.0, 200.0] {
            let scores = case.scores(temperature);
            let mut order: Vec<u32> = (0..24).collect();
            order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
            let score = |rank: usize| scores[order[rank] as usize];
            let gap = |keep: usize| score(keep) - score(keep - 1);
            let keep = (6..18).max_by(|&a, &b| gap(a).total_cmp(&gap(b))).unwrap();
            assert!(gap(keep) >= 0.04 * (score(23) - score(0)), "the gap is too narrow for f32");
            // The smallest scores stay.
            let mut want = order[..keep].to_vec();
            want.sort_unstable();
            let target = 1.0 - keep as f64 / 24.0;
            assert_eq!(kept(&gpu, &case, target, temperature), want, "{temperature} on {:?}", gpu.identity());
            let mut at_one: Vec<u32> = (0..24).collect();
            let cold = case.scores(1.0);
            at_one.sort_by(|&a, &b| cold[a as usize].total_cmp(&cold[b as usize]));
            at_one.truncate(keep);
            at_one.sort_unstable();
            chosen.push(at_one == want);
        }
        assert_eq!(chosen[0..1], [true]);
        assert!(!chosen[2], "temperature 200 chooses as temperature 1 does");
    }
}
