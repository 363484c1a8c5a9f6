//! Soft thresholds that are learned: the worked numbers, every step against a plain reading of the formula, and resuming
//! anywhere, on every device and on the twins.

mod common;

use common::{bytes, everywhere};
use coppice::error::Kind;
use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::Step;
use coppice::ops::tally::Totals;
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, THRESHOLD};
use coppice::recipe::Recipe;
use coppice::report::mask::applied;
use coppice::sparsity::update::threshold::{record_backward, record_descend, record_forward};
use coppice::train::{Control, Part, Session, train};

const SGD: &str =
    "{ name = 'sgd', lr = { type = 'cosine', start = 0.1 }, momentum = 0.9, weight_decay = 1e-3 }";
const ADAM: &str = "{ name = 'adam', lr = 0.01 }";
const STR: &str = "method = 'str', start = -2.5, decay = 0.1, schedule = { every = '3' }, \
                   rule = [{ match = 'head', dense = true }]";

fn recipe(sparsity: &str, optim: &str) -> Recipe {
    let text = format!(
        "run = {{ epochs = 4, batch = 32, seed = 5 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40, 24] }}\noptim = {optim}\nsparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn session(gpu: &Gpu, sparsity: &str, optim: &str) -> Session {
    Session::new(gpu, &recipe(sparsity, optim), &bytes(), Choices::default()).unwrap()
}

fn sigmoid(s: f64) -> f64 {
    1.0 / (1.0 + (-s).exp())
}

#[test]
fn gradients_are_not_clipped_beside_those_of_thresholds() {
    let recipe = recipe(STR, "{ name = 'sgd', lr = 0.1, clip = 1.0 }");
    let error = Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default()).err().unwrap();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("optim.clip = 1"), "{error}");
}

/// Ten weights, s = -1 and a gradient of ones.
#[test]
fn the_worked_numbers_come_out() {
    let w = [0.05, -0.9, 0.4, -0.02, 0.7, -0.3, 0.15, -0.6, 0.08, 0.25];
    let shrunk = [0.0, -0.631059, 0.131059, 0.0, 0.431059, -0.031059, 0.0, -0.331059, 0.0, 0.0];
    for gpu in everywhere() {
        let threshold = gpu.upload_f32("threshold", &[1], &[-1.0]).unwrap();
        let source = gpu.upload_f32("source", &[10], &w).unwrap();
        let mask = gpu.upload_u32("mask", &[1], &[0]).unwrap();
        let weight = gpu.tensor("weight", Dtype::F32, &[10]).unwrap();
        let counts = gpu.tensor("counts", Dtype::U32, &[1]).unwrap();
        let d_weight = gpu.upload_f32("d_weight", &[10], &[1.0; 10]).unwrap();
        let partial = gpu.tensor("partial", Dtype::F32, &[1]).unwrap();
        let totals = Totals::tensor(&gpu).unwrap();
        let step = gpu.uniform("step", &Step { rate: 1.0, ..Default::default() }).unwrap();
        let mut rec = Recorder::new(&gpu);
        record_forward(&mut rec, &threshold, &source, &mask, &weight, &counts).unwrap();
        record_backward(&mut rec, (&source, &mask, &d_weight), &partial, 0).unwrap();
        record_descend(&mut rec, 0.0, &partial, &threshold, (&step, &totals)).unwrap();
        rec.finish().unwrap().replay().unwrap();
        // The numbers are given to six decimals.
        for (got, want) in weight.read_f32().unwrap().into_iter().zip(shrunk) {
            assert!((got - want).abs() <= 1e-6, "got {got}, want {want}");
        }
        assert_eq!(d_weight.read_f32().unwrap(), [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        let moved = threshold.read_f32().unwrap()[0];
        assert!((moved + 1.0 + 0.196612).abs() <= 1e-6, "s moves to {moved}");
        let bits: Vec<u32> = (0..10).map(|i| mask.read_u32().unwrap()[0] >> i & 1).collect();
        assert_eq!(bits, [0, 1, 1, 0, 1, 1, 0, 1, 0, 0]);
    }
}

/// A threshold that is not a number would prune its whole layer.
#[test]
fn a_threshold_that_is_not_a_number_is_refused() {
    for gpu in everywhere() {
        let mut run = session(&gpu, STR, SGD);
        run.advance().unwrap();
        run.model.params[ParamId(2)].tensors(THRESHOLD)[0].write(&[f32::NAN]).unwrap();
        let error = (0..3).find_map(|_| run.advance().err()).expect("masks are recorded at step 3");
        let said = error.to_string();
        assert!(error.kind == Kind::Numbers && said.contains("thresholds of `fc2.weight`"), "{said}");
    }
}

/// At -3200 sigmoid and slope are exactly 0: nothing is pruned but zeros, and s moves by its decay alone.
#[test]
fn far_below_zero_the_threshold_moves_by_decay_alone() {
    for gpu in everywhere() {
        let sparsity = "method = 'str', start = -3200.0, decay = 0.01";
        let mut run = session(&gpu, sparsity, SGD);
        let mut want = -3200.0f64;
        while !run.is_done() {
            want -= run.learning_rate() * 0.01 * want;
            run.advance().unwrap();
        }
        let stored = run.stored(true).unwrap();
        for layer in ["fc1", "fc2", "head"] {
            let s = f64::from(stored[&format!("{layer}.weight.threshold")].to_f32()[0]);
            assert!((s - want).abs() <= 1e-2, "{layer}: got {s}, want {want}");
            assert_eq!(
                stored[&format!("{layer}.weight")],
                stored[&format!("{layer}.weight.latent")],
                "nothing is pruned"
            );
        }
    }
}

/// Every step agrees with the formula: what is seen, which weights have a gradient, and where the threshold goes.
#[test]
fn each_step_follows_the_formula() {
    for gpu in everywhere() {
        for optim in [SGD, ADAM] {
            let mut run = session(&gpu, STR, optim);
            let threshold = |run: &Session, i: usize| -> f64 {
                f64::from(run.model.params[ParamId(i)].tensors(THRESHOLD)[0].read_f32().unwrap()[0])
            };
            let numbers: Vec<usize> = (0..6).filter(|&i| run.model.params[ParamId(i)].is_masked()).collect();
            assert_eq!(numbers.len(), 2, "head is dense");
            let (mut pruned, mut changes) = (0, Vec::new());
            while !run.is_done() {
                let before: Vec<(f64, Vec<f32>)> = numbers
                    .iter()
                    .map(|&i| (threshold(&run, i), run.model.params[ParamId(i)].read_stored().unwrap()))
                    .collect();
                let rate = run.learning_rate();
                changes.extend(run.advance().unwrap());
                for (&i, (s, latent)) in numbers.iter().zip(&before) {
                    let param = &run.model.params[ParamId(i)];
                    let (seen, grad) = (param.read().unwrap(), param.read_grad().unwrap());
                    let mask = param.read_mask().unwrap();
                    let mut sum = 0.0;
                    for (j, &w) in latent.iter().enumerate() {
                        let bit = mask[j / 32] >> (j % 32) & 1 == 1;
                        let size = f64::from(w.abs()) - sigmoid(*s);
                        // Nobody can say on which side of the cut a weight within a rounding of it is.
                        assert!(bit == (size > 0.0) || size.abs() <= 1e-7, "{}[{j}]", param.name);
                        let want = f64::from(w.signum()) * size.max(0.0);
                        assert!((f64::from(seen[j]) - want).abs() <= 3e-7, "{}[{j}]", param.name);
                        assert!(bit || (seen[j] == 0.0 && grad[j] == 0.0), "{}[{j}]", param.name);
                        sum += if bit { f64::from(grad[j]) * f64::from(w.signum()) } else { 0.0 };
                        pruned += usize::from(!bit);
                    }
                    let slope = sigmoid(*s) * (1.0 - sigmoid(*s));
                    let want = s - rate * (0.1 * s - slope * sum);
                    let got = threshold(&run, i);
                    assert!((got - want).abs() <= 2e-6, "{}: s {got}, want {want}", param.name);
                    assert!((want - s).abs() > 2e-5 || rate < 1e-3, "the step is larger than the bound");
                }
            }
            assert!(pruned > 1000, "{pruned} were pruned over the steps");
            assert_eq!(
                changes.iter().map(|change| change.step).collect::<Vec<_>>(),
                [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
            );
            for change in changes {
                let want = 1.0 - change.kept as f64 / 2016.0;
                assert!((change.sparsity - want).abs() <= 1e-12);
                let layers: usize = change.layers.iter().map(|layer| layer.kept).sum();
                assert_eq!(layers + 96, change.kept);
            }
        }
    }
}

#[test]
fn resuming_and_looking_change_no_bit() {
    for gpu in everywhere() {
        for optim in [SGD, ADAM] {
            let mut whole = session(&gpu, STR, optim);
            let (mut snapshots, mut changes) = (Vec::new(), Vec::new());
            while !whole.is_done() {
                snapshots.push(whole.snapshot().unwrap());
                if whole.step.is_multiple_of(4) {
                    whole.evaluate(Part::Test).unwrap();
                }
                changes.extend(whole.advance().unwrap());
            }
            let want = whole.snapshot().unwrap().digest;
            for stop in (1..28).step_by(3).chain([2, 27]) {
                let mut again = session(&gpu, STR, optim);
                again.restore(&snapshots[stop]).unwrap();
                assert_eq!(again.snapshot().unwrap().digest, snapshots[stop].digest, "read back at {stop}");
                let last = changes.iter().rfind(|change| change.step < stop as u64).unwrap();
                let recorded =
                    again.pruner.as_ref().unwrap().recorded_sparsity(&again.model.params).unwrap().unwrap();
                assert!((recorded - last.sparsity).abs() <= 1e-12, "{recorded}, {}", last.sparsity);
                let mut rest = Vec::new();
                while !again.is_done() {
                    rest.extend(again.advance().unwrap());
                }
                assert_eq!(again.snapshot().unwrap().digest, want, "{optim}, resumed at {stop}");
                assert_eq!(rest, changes[changes.len() - rest.len()..]);
            }
            for name in ["fc1.weight.threshold", "fc1.weight.latent", "fc1.weight.recorded"] {
                let mut lacking = whole.snapshot().unwrap();
                lacking.arrays.remove(name).expect("state of the run");
                let error = session(&gpu, STR, optim).restore(&lacking).unwrap_err().to_string();
                assert!(error.contains(&format!("`{name}` is missing")), "{error}");
            }
        }
    }
}

/// What comes out is reported, and files hold what the forward pass sees: they are evaluated as any dense network.
#[test]
fn what_comes_out_is_reported_and_stored() {
    for gpu in everywhere() {
        let mut run = session(&gpu, STR, SGD);
        let free = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
        let summary = train(&mut run, &free, &mut |_| Ok(())).unwrap();
        let seen: usize = run
            .model
            .params
            .iter()
            .filter(|param| param.shape.len() > 1)
            .map(|param| param.read().unwrap().iter().filter(|w| **w != 0.0).count())
            .sum();
        assert_eq!(summary.kept, seen);
        let pruner = run.pruner.as_ref().unwrap();
        assert_eq!(
            (pruner.schedule().unwrap(), pruner.budgets(0.0).unwrap()),
            (vec![], vec![]),
            "not known before"
        );
        assert!(summary.kept < 1700, "{} of 2016", summary.kept);
        let mut dense = session(&gpu, "method = 'none'", SGD);
        dense.load_weights(&applied(&run.snapshot().unwrap().packed_weights().unwrap()).unwrap()).unwrap();
        let loss = |run: &Session| run.evaluate(Part::Test).unwrap().unwrap().totals.loss;
        assert_eq!(loss(&run), loss(&dense));
        assert_eq!(run.weights().unwrap()["fc1.weight"], run.stored(false).unwrap()["fc1.weight"]);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |sparsity: &str| {
        let text = format!(
            "data = {{ name = 'bytes' }}\nmodel = {{ preset = 'mlp', hidden = [40] }}\n\
             optim = {SGD}\nsparsity = {{ {sparsity} }}"
        );
        let session = |recipe| Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default());
        Recipe::parse(&text, "test", &[]).and_then(session).err().expect("refused").to_string()
    };
    for (sparsity, said) in [
        ("method = 'str', target = 0.9", "learns its sparsity"),
        ("method = 'str', rule = [{ match = 'fc1', target = 0.5 }]", "a rule cannot give a target"),
        ("method = 'str', decay = -1.0", "at least 0"),
        ("method = 'str', pattern = '2:4'", "cannot keep the pattern 2:4"),
        ("method = 'str', storage = 'packed'", "trains pruned weights, too"),
        ("method = 'str', init = 0.5", "sparser than it shall end"),
        ("method = 'gmp'", "`sparsity.target` is missing"),
    ] {
        let message = refusal(sparsity);
        assert!(message.contains(said), "{sparsity}: {message}");
    }
}
