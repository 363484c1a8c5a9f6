//! Figures of confidence, and targets that a network makes for itself, on every adapter and on the twin.

mod common;

use coppice::data::{self, Dataset};
use coppice::distill::{self, Batch, Method, PsKd};
use coppice::error::Kind;
use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::cross_entropy::{self, Labels, Share, Target};
use coppice::ops::{Step, variants::Choices};
use coppice::recipe::Recipe;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Confidence, Control, Part, Session, Summary, train};

fn devices() -> Vec<Gpu> {
    common::devices().into_iter().filter(Gpu::is_device).chain([Gpu::twin()]).collect()
}

fn close(got: f64, want: f64, bound: f64) {
    assert!((got - want).abs() <= bound, "{got}, not {want}");
}

/// Probabilities (samples, classes) as logits (classes, cols), 0 where there is no sample.
fn logits_of(p: &[[f32; 3]], cols: usize) -> Vec<f32> {
    (0..3).flat_map(|k| (0..cols).map(move |s| p.get(s).map_or(0.0, |p| p[k].ln()))).collect()
}

#[test]
fn five_judged_samples_have_the_figures_worked_by_hand() {
    let p = [[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.85, 0.05], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]];
    let labels = [0, 1, 1, 2, 0, 0, 0, 0];
    for gpu in devices() {
        // In two batches of at most four columns: verdicts find their place by the first sample's number.
        let verdict = gpu.tensor("verdict", Dtype::F32, &[5]).unwrap();
        let (mut nll, mut hits) = (0.0, 0);
        for (first, live) in [(0, 4), (4, 1)] {
            let step = gpu
                .uniform("step", &Step { first, live, answers: live, together: live, ..Default::default() })
                .unwrap();
            let (from, to) = (first as usize, first as usize + 4);
            let logits = gpu.upload_f32("logits", &[3, 4], &logits_of(&p[from..to.min(5)], 4)).unwrap();
            let label = gpu.upload_u32("label", &[4], &labels[from..to]).unwrap();
            let label = Labels { tensor: &label, batch: 4 };
            let loss = gpu.tensor("loss", Dtype::F32, &[4]).unwrap();
            let hit = gpu.tensor("hit", Dtype::U32, &[4]).unwrap();
            let mut rec = Recorder::new(&gpu);
            cross_entropy::record_judgement(&mut rec, &step, &logits, label, &loss, &hit, &verdict).unwrap();
            rec.finish().unwrap().replay().unwrap();
            nll += loss.read_f32().unwrap().iter().map(|&l| f64::from(l)).sum::<f64>() / 5.0;
            hits += hit.read_u32().unwrap().iter().sum::<u32>();
        }
        assert_eq!(hits, 3);
        close(nll, 1.096208, 2e-6);
        let verdicts = verdict.read_f32().unwrap();
        for (got, want) in verdicts.iter().zip([0.7f32, -0.4, 0.85, 0.4, -0.9]) {
            close(f64::from(*got), f64::from(want), 1e-6);
        }
        // Samples 1 and 3 tie but for a rounding, which must not decide.
        let rounded: Vec<f32> = verdicts.iter().map(|v| (v * 1e4).round() / 1e4).collect();
        let found = Confidence::of(&rounded);
        close(found.ece, 0.25, 1e-6);
        close(found.aurc, 0.546667, 1e-6);
        close(found.e_aurc, 0.416667, 1e-6);
    }
}

#[test]
fn a_target_its_loss_and_its_gradient_are_those_worked_by_hand() {
    for gpu in devices() {
        let (classes, cols) = (3, 4);
        // Sample 2 of four, in a batch of one.
        let context = distill::Context { classes, cols, labels: &[1, 2, 0, 1] };
        let method = PsKd::new(&gpu, 0.4, &context).unwrap();
        let mut past = method.past.read_f32().unwrap();
        assert_eq!(past, [0., 1., 0., 0., 0., 1., 1., 0., 0., 0., 1., 0.], "labels stand in at first");
        past[6..9].copy_from_slice(&[0.6, 0.3, 0.1]);
        method.past.write(&past).unwrap();
        method.begin(0, 1).unwrap();
        let step = gpu
            .uniform("step", &Step { first: 3, live: 1, answers: 1, together: 1, ..Default::default() })
            .unwrap();
        let mut logits = vec![0.0; classes * cols];
        (logits[0], logits[cols], logits[2 * cols]) = (2.0, 1.0, 0.0);
        let logits = gpu.upload_f32("logits", &[classes, cols], &logits).unwrap();
        let label = gpu.upload_u32("label", &[cols], &[0; 4]).unwrap();
        let order = gpu.upload_u32("order", &[4], &[0, 1, 3, 2]).unwrap();
        let d_logits = gpu.tensor("d_logits", Dtype::F32, &[classes, cols]).unwrap();
        let loss = gpu.tensor("loss", Dtype::F32, &[cols]).unwrap();
        let hit = gpu.tensor("hit", Dtype::U32, &[cols]).unwrap();
        let mut rec = Recorder::new(&gpu);
        let batch = Batch { step: &step, logits: &logits, label: &label, order: &order };
        method.record(&mut rec, &batch).unwrap();
        let target = Target::Soft { label: Labels { tensor: &label, batch: cols }, soft: method.soft() };
        cross_entropy::record(&mut rec, &step, &logits, target, Share::WHOLE, &d_logits, &loss, &hit)
            .unwrap();
        rec.finish().unwrap().replay().unwrap();
        let column = |values: Vec<f32>| [0, 1, 2].map(|k| f64::from(values[k * cols]));
        let expect =
            |got: [f64; 3], want: [f64; 3]| got.iter().zip(want).for_each(|(g, w)| close(*g, w, 1e-6));
        expect(column(method.soft().read_f32().unwrap()), [0.84, 0.12, 0.04]);
        expect(column(d_logits.read_f32().unwrap()), [-0.174759, 0.124728, 0.050031]);
        close(f64::from(loss.read_f32().unwrap()[0]), 0.607606, 1e-6);
        assert_eq!(hit.read_u32().unwrap(), [1, 0, 0, 0]);
        // This step's prediction replaces the past's, of this sample alone.
        let now = method.past.read_f32().unwrap();
        expect([6, 7, 8].map(|i| f64::from(now[i])), [0.665241, 0.244728, 0.090031]);
        assert_eq!((&now[..6], &now[9..]), (&past[..6], &past[9..]));
    }
}

#[test]
fn a_smoothed_label_its_loss_and_its_gradient_are_those_worked_by_hand() {
    for gpu in devices() {
        // Probabilities 1/2, 1/4, 1/4; label 0 becomes 0.8, 0.1, 0.1.
        let logits = gpu.upload_f32("logits", &[3, 4], &logits_of(&[[0.5, 0.25, 0.25]], 4)).unwrap();
        let step =
            gpu.uniform("step", &Step { live: 1, answers: 1, together: 1, ..Default::default() }).unwrap();
        let label = gpu.upload_u32("label", &[4], &[0; 4]).unwrap();
        let label = Labels { tensor: &label, batch: 4 };
        let target = Target::Hard { label, smoothing: 0.3, temperature: 1.0 };
        let d_logits = gpu.tensor("d_logits", Dtype::F32, &[3, 4]).unwrap();
        let (loss, hit) =
            (gpu.tensor("loss", Dtype::F32, &[4]).unwrap(), gpu.tensor("hit", Dtype::U32, &[4]).unwrap());
        let mut rec = Recorder::new(&gpu);
        cross_entropy::record(&mut rec, &step, &logits, target, Share::WHOLE, &d_logits, &loss, &hit)
            .unwrap();
        rec.finish().unwrap().replay().unwrap();
        let d_logits = d_logits.read_f32().unwrap();
        for (k, want) in [-0.3, 0.15, 0.15].into_iter().enumerate() {
            close(f64::from(d_logits[4 * k]), want, 1e-6);
        }
        // 0.8 ln 2 + 0.2 ln 4.
        close(f64::from(loss.read_f32().unwrap()[0]), 1.2 * 2f64.ln(), 1e-6);
    }
}

/// What a run trains with, and is judged by, with labels smoothed by so much.
fn smoothed(gpu: &Gpu, smoothing: f64) -> (f64, f64) {
    let more = ["distill.method='none'", "run.batch=10000", &format!("loss.smoothing={smoothing}")];
    let mut session = Session::new(gpu, &recipe(&more), &digits(), Choices::default()).unwrap();
    let judged = session.evaluate(Part::Test).unwrap().unwrap().totals.mean_loss();
    session.advance().unwrap();
    (session.take_totals().unwrap().mean_loss(), judged)
}

#[test]
fn labels_are_smoothed_in_training_and_in_no_evaluation() {
    for gpu in devices() {
        let [plain, some, more] = [0.0, 0.1, 0.2].map(|smoothing| smoothed(&gpu, smoothing));
        assert_eq!([some.1, more.1], [plain.1; 2], "evaluations");
        // The loss is a straight line between that of labels and that of even targets.
        assert!((some.0 - plain.0).abs() > 1e-3, "{some:?} and {plain:?}");
        close(more.0 - plain.0, 2.0 * (some.0 - plain.0), 1e-5);
    }
    let recipe = recipe(&["loss.smoothing=0.1"]);
    let error = Session::new(&Gpu::twin(), &recipe, &digits(), Choices::default()).err().unwrap();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("loss.smoothing = 0.1"), "{error}");
}

fn digits() -> Dataset {
    data::open("digits", 0.1).unwrap()
}

fn recipe(more: &[&str]) -> Recipe {
    let text = "
        run = { epochs = 3, batch = 100, seed = 4, log_every = '7', checkpoint_every = '9' }
        data = { name = 'digits' }
        model = { preset = 'mlp', hidden = [24] }
        optim = { name = 'sgd', lr = 0.1, momentum = 0.9 }
        distill = { method = 'ps-kd' }";
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(text, "test", &more).unwrap()
}

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

fn run(gpu: &Gpu, recipe: &Recipe, control: &Control) -> Summary {
    let mut session = Session::new(gpu, recipe, &digits(), Choices::default()).unwrap();
    train(&mut session, control, &mut |_| Ok(())).unwrap()
}

/// A single layer that does not learn gives each sample the same prediction in every epoch: the past and the losses
/// can be worked out without the program, whatever the order of the samples.
#[test]
fn each_sample_meets_its_own_past() {
    let data = digits();
    for gpu in devices() {
        let recipe = recipe(&["model.hidden=[]", "optim.lr=0", "run.epochs=2", "distill.alpha=0.6"]);
        let mut session = Session::new(&gpu, &recipe, &data, Choices::default()).unwrap();
        let arrays = session.weights().unwrap();
        let (weight, bias) = (arrays["head.weight"].to_f32(), arrays["head.bias"].to_f32());
        let (n, features) = (data.train.len(), data.features());
        let rows: Vec<u32> = (0..n as u32).collect();
        let x = data.columns(&data.train, &rows);
        let predict = |s: usize| -> Vec<f64> {
            let logit = |k: usize| {
                let products =
                    (0..features).map(|f| f64::from(weight[k * features + f]) * f64::from(x[f * n + s]));
                (products.sum::<f64>() + f64::from(bias[k])).exp()
            };
            let all: Vec<f64> = (0..10).map(logit).collect();
            all.iter().map(|v| v / all.iter().sum::<f64>()).collect()
        };
        let p: Vec<Vec<f64>> = (0..n).map(predict).collect();
        // In epoch 0 the past is the label, whatever its share; in epoch 1 its share is all of alpha.
        for alpha in [0.0, 0.6] {
            for _ in 0..session.length.steps_per_epoch {
                session.advance().unwrap();
            }
            let loss = |s: usize| -> f64 {
                let label = data.train.labels[s] as usize;
                let target = |k: usize| (1.0 - alpha) * f64::from(u8::from(k == label)) + alpha * p[s][k];
                (0..10).map(|k| -target(k) * p[s][k].ln()).sum()
            };
            let want = (0..n).map(loss).sum::<f64>() / n as f64;
            close(session.take_totals().unwrap().mean_loss(), want, 1e-5);
            let past = session.snapshot().unwrap().arrays["distill/past"].to_f32();
            for (got, want) in past.iter().zip(p.iter().flatten()) {
                close(f64::from(*got), *want, 2e-6);
            }
        }
    }
}

#[test]
fn stopping_and_resuming_changes_no_bit() {
    let rigl = ["sparsity.method=rigl", "sparsity.target=0.8", "sparsity.schedule={every='5'}"];
    let stops: [&[u64]; 2] = [&[1, 5, 13, 14, 22, 26, 31, 38], &[22]];
    for (gpu, stops, more) in [
        (common::device(), stops[0], &[][..]),
        (common::device(), stops[0], &rigl),
        (Gpu::twin(), stops[1], &[]),
    ] {
        let with = |key| self::recipe(&[more, &[key]].concat());
        let recipe = recipe(more);
        let whole = run(&gpu, &recipe, &FREE);
        for &stop in stops {
            let home = tempfile::tempdir().unwrap();
            let control = Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
            run(&gpu, &recipe, &control);
            let (snapshot, damaged) = checkpoint::load(home.path(), Which::Last).unwrap();
            assert!(damaged.is_empty());
            let known = |name: &String| name.starts_with("fc1") || name.starts_with("head");
            assert!(snapshot.dense().unwrap().keys().all(known));
            let mut session = Session::new(&gpu, &recipe, &digits(), Choices::default()).unwrap();
            session.restore(&snapshot).unwrap();
            assert_eq!(session.step, stop);
            let rest = train(&mut session, &FREE, &mut |_| Ok(())).unwrap();
            assert_eq!(rest.digest, whole.digest, "resumed at step {stop}");
            // A run of another kind has no past to go on from.
            let without = with("distill.method=none");
            let other = Session::new(&gpu, &without, &digits(), Choices::default()).unwrap();
            let error = session.restore(&other.snapshot().unwrap()).unwrap_err();
            assert_eq!(error.kind, Kind::Checkpoint);
            assert!(error.to_string().contains("distill/past"), "{error}");
        }
        assert_ne!(whole.digest, run(&gpu, &with("distill.alpha=0.7"), &FREE).digest);
    }
}

#[test]
fn memory_is_as_planned() {
    let gpu = common::device();
    let planned = |recipe: &Recipe| {
        let counted = gpu.counted_like();
        Session::new(&counted, recipe, &digits(), Choices::default()).unwrap();
        counted.memory().peak_bytes
    };
    let (soft, hard) = (planned(&recipe(&[])), planned(&recipe(&["distill.method=none"])));
    // Ten probabilities of each sample and of each column, in f32.
    let past = 4 * 10 * (digits().train.len() as u64 + 100);
    assert!(soft - hard >= past && soft - hard < past + 2048, "{soft} - {hard}, {past} expected");
    run(&gpu, &recipe(&[]), &FREE);
    let (planned, real) = (soft as f64, gpu.memory().peak_bytes as f64);
    assert!((planned / real - 1.0).abs() < 0.05, "planned {planned}, measured {real}");
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |more: &[&str]| {
        let session = Session::new(&Gpu::twin(), &recipe(more), &digits(), Choices::default());
        let error = session.err().expect("refused");
        assert_eq!(error.kind, Kind::Usage);
        error.to_string()
    };
    assert!(refused(&["distill.method=pskd"]).contains("did you mean `ps-kd`"));
    assert!(refused(&["distill.alfa=0.5"]).contains("did you mean `alpha`"));
    for alpha in ["-0.1", "1.1"] {
        assert!(refused(&[&format!("distill.alpha={alpha}")]).contains("a number from 0 to 1"));
    }
    assert!(refused(&["distill.method=none", "distill.alpha=0.5"]).contains("distill.alpha"));
}
