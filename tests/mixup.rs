//! `augment.mixup`: samples and losses are mixtures of two; evaluations are of samples as they are.

use coppice::data::{Dataset, Source, Split};
use coppice::error::Kind;
use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::Step;
use coppice::ops::cross_entropy::{self, Labels, Share, Target};
use coppice::ops::mixup::Mix;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::train::{Part, Session};

fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 12).map(|i| uniform(9, Stream::Test, 0, tensor, i) - 0.5).collect();
        let labels = values.chunks(12).map(|row| u8::from(row[0] > 0.0) + u8::from(row[1] > 0.0)).collect();
        Split::floats(values, labels)
    };
    Dataset::from_arrays(Source::new("sums", vec![12], 3, split(60, 0), split(16, 1)), 0.0).unwrap()
}

fn recipe(run: &str, model: &str, more: &str) -> Recipe {
    let text = format!(
        "run = {{ steps = 20, seed = 5, {run} }}\ndata = {{ name = 'sums', validation = 0.0 }}\nmodel = {model}\n\
         optim = {{ name = 'sgd', lr = 0.1 }}\n{more}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn session(run: &str, model: &str, more: &str) -> Session {
    Session::new(&Gpu::twin(), &recipe(run, model, more), &data(), Choices::default()).unwrap()
}

const MLP: &str = "{ preset = 'mlp', hidden = [16, 8] }";
const MIXED: &str = "augment = { mixup = 0.4 }";

/// The loss of a mixture is the mixture of the losses of its two labels, and so is the gradient.
#[test]
fn losses_are_mixtures_of_two() {
    const CLASSES: usize = 5;
    const COLS: usize = 8;
    let gpu = Gpu::twin();
    let (live, share, shift) = (7, 0.7, 3);
    let labels: Vec<u32> = (0..COLS as u32).map(|col| col * 3 % CLASSES as u32).collect();
    let others: Vec<u32> = (0..COLS).map(|col| labels[(col + shift) % live]).collect();
    let logits: Vec<f32> =
        (0..CLASSES * COLS).map(|i| 3.0 * uniform(1, Stream::Test, 0, 0, i as u32)).collect();
    let logits = gpu.upload_f32("logits", &[CLASSES, COLS], &logits).unwrap();
    let step = Step { live: live as u32, answers: live as u32, together: live as u32, ..Step::default() };
    let step = gpu.uniform("step", &step).unwrap();
    let mix = gpu.uniform("mix_of", &Mix { share, shift: shift as u32 }).unwrap();
    let run = |labels: &[u32], mixed: bool| {
        let label = gpu.upload_u32("label", &[COLS], labels).unwrap();
        let label = Labels { tensor: &label, batch: COLS };
        let (smoothing, temperature) = (0.1, 1.0);
        let target = match mixed {
            true => Target::Mixed { label, smoothing, temperature, mix: &mix },
            false => Target::Hard { label, smoothing, temperature },
        };
        let [d_logits, loss] =
            [vec![CLASSES, COLS], vec![COLS]].map(|shape| gpu.tensor("out", Dtype::F32, &shape).unwrap());
        let hit = gpu.tensor("hit", Dtype::U32, &[COLS]).unwrap();
        let mut rec = Recorder::new(&gpu);
        cross_entropy::record(&mut rec, &step, &logits, target, Share::WHOLE, &d_logits, &loss, &hit)
            .unwrap();
        rec.finish().unwrap().replay().unwrap();
        ([d_logits.read_f32().unwrap(), loss.read_f32().unwrap()].concat(), hit.read_u32().unwrap())
    };
    let ((one, hits), (other, _), (mixed, mixed_hits)) =
        (run(&labels, false), run(&others, false), run(&labels, true));
    assert_eq!(hits, mixed_hits, "the heavier label is the sample's own");
    for (i, mixed) in mixed.iter().enumerate() {
        let want = share * one[i] + (1.0 - share) * other[i];
        assert!((mixed - want).abs() <= 1e-6 * (1.0 + want.abs()), "{i}: {mixed}, not {want}");
    }
    assert_ne!(mixed, one);
}

/// A linear layer's bias has the mean gradient of the logits, and its weight that times the mixed samples: worked here in f64 from
/// what `Mix` says of nothing but the samples, labels and the first weights.
#[test]
fn a_step_is_that_of_mixed_samples() {
    let head = "{ layer = [{ type = 'linear', name = 'head', out = 3 }] }";
    let (mut run, data) = (session("batch = 8", head, MIXED), data());
    let weight = run.model.params.named("head.weight").unwrap();
    let bias = run.model.params.named("head.bias").unwrap();
    let values = |run: &Session, id| -> Vec<f64> {
        run.model.params[id].read().unwrap().into_iter().map(f64::from).collect()
    };
    let (w, b) = (values(&run, weight), values(&run, bias));
    let samples: Vec<usize> = run.samples_of(0).unwrap().into_iter().map(|i| i as usize).collect();
    let coppice::data::Samples::Floats(all) = &data.train.images else { panic!("floats") };
    run.advance().unwrap();
    let found = run.model.params[weight].read_grad().unwrap();
    // The share and shift are drawn: one pair of all must explain the gradient, and only one.
    let (scale, shift_by) = (f64::from(data.scale[0]), f64::from(data.shift[0]));
    let x = |i: usize| all[samples[i] * 12..][..12].iter().map(|x| f64::from(*x) * scale + shift_by);
    let gradient = |share: f64, shift: usize| {
        let mut total = vec![0.0; 36];
        for i in 0..8 {
            let j = (i + shift) % 8;
            let mixed: Vec<f64> =
                x(i).zip(x(j)).map(|(own, other)| share * own + (1.0 - share) * other).collect();
            let logits: Vec<f64> =
                (0..3).map(|k| b[k] + (0..12).map(|f| w[k * 12 + f] * mixed[f]).sum::<f64>()).collect();
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            for (k, logit) in logits.iter().enumerate() {
                let is = |at: usize| if usize::from(data.train.labels[samples[at]]) == k { 1.0 } else { 0.0 };
                let d = (logit.exp() / sum - share * is(i) - (1.0 - share) * is(j)) / 8.0;
                (0..12).for_each(|f| total[k * 12 + f] += d * mixed[f]);
            }
        }
        total
    };
    let off = |share: f64, shift: usize| {
        let want = gradient(share, shift);
        found.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs()).fold(0.0, f64::max)
    };
    // By golden section: along the share the difference falls to its least and rises again.
    let least = |shift: usize| {
        let (mut low, mut high) = (0.5f64, 1.0f64);
        for _ in 0..60 {
            let (one, other) = (low + 0.382 * (high - low), low + 0.618 * (high - low));
            if off(one, shift) < off(other, shift) { high = other } else { low = one }
        }
        (off(low, shift), low)
    };
    let mut all: Vec<(f64, f64)> = (1..8).map(least).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(all[0].0 <= 1e-6, "{all:?}");
    // The opposite shift comes near: to first order it has the same products of pairs. Where hardly anything is mixed all do.
    assert!(all[0].1 < 0.99, "a share that tells shifts apart: {all:?}");
    assert!(all[1].0 > 1000.0 * all[0].0, "{all:?}");
}

#[test]
fn mixed_runs_go_on_and_are_judged_by_plain_samples() {
    for run in ["batch = 8", "batch = 4, accumulate = 3"] {
        let mut whole = session(run, MLP, MIXED);
        let mut stopped = session(run, MLP, MIXED);
        while !whole.is_done() {
            whole.advance().unwrap();
            stopped.advance().unwrap();
            let snapshot = stopped.snapshot().unwrap();
            assert_eq!(snapshot.digest, whole.snapshot().unwrap().digest, "{run}, step {}", whole.step);
            if [3, 8].contains(&stopped.step) {
                stopped = session(run, MLP, MIXED);
                stopped.restore(&snapshot).unwrap();
            }
        }
        let mut plain = session("batch = 8", MLP, "");
        plain.load_weights(&whole.weights().unwrap()).unwrap();
        let loss = |run: &Session| run.evaluate(Part::Test).unwrap().unwrap().totals.mean_loss();
        assert!((loss(&plain) - loss(&whole)).abs() <= 1e-6);
        let mut other = session("batch = 8", MLP, "");
        (0..20).for_each(|_| drop(other.advance().unwrap()));
        assert_ne!(other.weights().unwrap(), whole.weights().unwrap());
    }
}

#[test]
fn what_cannot_be_mixed_is_refused() {
    let refused = |recipe: &Recipe| {
        let data = coppice::data::open_with(&recipe.data.name, 0.0, &recipe.data.settings).unwrap();
        let error = Session::new(&Gpu::twin(), recipe, &data, Choices::default()).err().unwrap();
        assert_eq!(error.kind, Kind::Usage);
        error.to_string()
    };
    let of = |text: &str| Recipe::parse(text, "test", &[]).unwrap();
    let text = of(
        "data = { name = 'shakespeare', context = 8, validation = 0.0 }\nmodel = { preset = 'lstm-lm', layers = 1, width = 8, units = 8, carry = false }\n\
                   optim = { name = 'sgd', lr = 0.1 }\naugment = { mixup = 0.2 }",
    );
    assert!(refused(&text).contains("tokens cannot be mixed"));
    let soft = of(
        "data = { name = 'random:12', classes = 3, samples = 60, validation = 0.0 }\nmodel = { preset = 'mlp', hidden = [8] }\n\
                   optim = { name = 'sgd', lr = 0.1 }\naugment = { mixup = 0.2 }\ndistill = { method = 'ps-kd' }",
    );
    assert!(refused(&soft).contains("distillation has targets"));
}
