//! Rounds that prune and rewind: exact counts, values of the early step, moments and learning rate that start over, and
//! resuming anywhere, on every device and on the twins.

mod common;

use common::{bytes, everywhere};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::sparsity::{Change, select::topk};
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, train};

const SGD: &str = "{ name = 'sgd', lr = { type = 'cosine', start = 0.1 }, momentum = 0.9 }";
const ADAM: &str = "{ name = 'adam', lr = 0.01 }";
/// 2016 weights; four prunes, at .4, to 202.
const IMP: &str = "method = 'imp', target = 0.9, fraction = 0.4";

fn recipe(sparsity: &str, storage: &str, optim: &str) -> Recipe {
    let text = format!(
        "run = {{ epochs = 5, batch = 32, seed = 5 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40, 24] }}\noptim = {optim}\n\
         sparsity = {{ storage = '{storage}', {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    Session::new(gpu, recipe, &bytes(), Choices::default()).unwrap()
}

/// The specification's row: a fifth of ten weights are the two smallest.
#[test]
fn the_worked_prune_keeps_eight_of_ten() {
    let w = [0.05, -0.9, 0.4, -0.02, 0.7, -0.3, 0.15, -0.6, 0.08, 0.25];
    for gpu in everywhere() {
        let (masks, counts) = topk::select(&gpu, &[&w[..]], 8).unwrap();
        let bits: Vec<u32> = (0..10).map(|i| masks[0][0] >> i & 1).collect();
        assert_eq!(bits, [0, 1, 1, 0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(counts[0].kept, 8);
    }
}

/// Every prune keeps exactly what is due, the largest of what was left; nothing that is pruned comes back, and it is 0
/// from then on.
#[test]
fn each_round_keeps_the_largest_of_what_was_left() {
    for gpu in everywhere() {
        for (storage, sparsity) in [
            ("masked", IMP.to_string()),
            ("packed", format!("{IMP}, rewind = '3'")),
            ("masked", format!("{IMP}, distribution = 'uniform', rewind = '1ep'")),
            ("packed", format!("{IMP}, rule = [{{ match = 'head', dense = true }}]")),
        ] {
            let mut run = session(&gpu, &recipe(&sparsity, storage, SGD));
            let dense = if sparsity.contains("dense") { 96 } else { 0 };
            let end = 202 - dense;
            let mut want = vec![];
            let all = 2016 - dense;
            for share in (1..).map(|prune| 0.6f64.powi(prune) * all as f64) {
                want.push((share.round() as usize).max(end) + dense);
                if share <= end as f64 {
                    break;
                }
            }
            let mut seen = Vec::new();
            while !run.is_done() {
                let due = run.pruner.as_ref().unwrap().due(run.step).is_some();
                let values = |run: &Session| -> Vec<Vec<f32>> {
                    let weights = run.model.params.iter().filter(|param| param.is_masked());
                    weights.map(|param| param.read().unwrap()).collect()
                };
                let before = due.then(|| values(&run));
                let change = run.advance().unwrap();
                let masks: Vec<Vec<u32>> = run.model.params.iter().map(|p| p.read_mask().unwrap()).collect();
                for (param, mask) in run.model.params.iter().zip(&masks).filter(|(p, _)| p.is_masked()) {
                    for (i, &w) in param.read().unwrap().iter().enumerate() {
                        assert!(mask[i / 32] >> (i % 32) & 1 == 1 || w.to_bits() == 0, "{}", param.name);
                    }
                }
                let (Some(before), Some(change)) = (before, change) else { continue };
                seen.push(change.kept);
                if sparsity.contains("uniform") {
                    continue;
                }
                let all = before.concat();
                let kept = topk::top_k(&all, change.kept - dense);
                let mut first = 0;
                for (param, mask) in run.model.params.iter().zip(&masks).filter(|(p, _)| p.is_masked()) {
                    for i in 0..param.len() {
                        let bit = mask[i / 32] >> (i % 32) & 1 == 1;
                        assert_eq!(
                            bit,
                            kept[first + i],
                            "{sparsity}, {} at step {}",
                            param.name,
                            change.step
                        );
                    }
                    first += param.len();
                }
            }
            assert_eq!(seen, want, "{sparsity}");
        }
    }
}

/// The step of a prune begins from the values of the early step, with slots of 0 and the learning rate and number of
/// updates of that step, which the update rules as printed then show.
#[test]
fn the_step_after_a_prune_is_that_of_the_early_step() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            for (early, optim) in [(0u64, SGD), (4, SGD), (4, ADAM)] {
                let sparsity = format!("{IMP}, rewind = '{early}'");
                let mut run = session(&gpu, &recipe(&sparsity, storage, optim));
                let values = |run: &Session| -> Vec<Vec<f32>> {
                    run.model.params.iter().map(|param| param.read().unwrap()).collect()
                };
                let (mut want, mut prunes) = (values(&run), 0);
                let mut rates = Vec::new();
                while !run.is_done() {
                    if run.step == early {
                        want = values(&run);
                    }
                    rates.push(run.learning_rate());
                    let rate = run.learning_rate();
                    if run.advance().unwrap().is_none() {
                        continue;
                    }
                    prunes += 1;
                    assert_eq!(rate, rates[early as usize], "at step {}", run.step - 1);
                    for (param, want) in run.model.params.iter().zip(&want) {
                        let (mask, grad) = (param.read_mask().unwrap(), param.read_grad().unwrap());
                        for (i, &w) in param.read().unwrap().iter().enumerate() {
                            if mask[i / 32] >> (i % 32) & 1 == 0 {
                                continue;
                            }
                            let g = f64::from(grad[i]);
                            let moved = if optim == ADAM {
                                // Slots of 0, and t = early + 1.
                                let t = early as i32 + 1;
                                let m = 0.1 * g / (1.0 - 0.9f64.powi(t));
                                let v = 0.001 * g * g / (1.0 - 0.999f64.powi(t));
                                rate * m / (v.sqrt() + 1e-8)
                            } else {
                                rate * g
                            };
                            let expected = f64::from(want[i]) - moved;
                            // Some roundings of numbers below 1; a step is a hundredth.
                            let off = (f64::from(w) - expected).abs();
                            assert!(off <= 2e-6, "{sparsity}, {optim}, {}[{i}]: off by {off}", param.name);
                        }
                    }
                }
                assert_eq!(prunes, 5, "{sparsity}");
            }
        }
    }
}

/// To the end: all changes of masks, the masks, and the digest.
fn trace(gpu: &Gpu, recipe: &Recipe) -> (Vec<Change>, Vec<Vec<u32>>, String) {
    let mut run = session(gpu, recipe);
    let (mut changes, mut masks) = (Vec::new(), Vec::new());
    while !run.is_done() {
        if let Some(mut change) = run.advance().unwrap() {
            change.layers.iter_mut().for_each(|layer| layer.storage = ""); // that alone may differ
            changes.push(change);
            masks.extend(run.model.params.iter().map(|param| param.read_mask().unwrap()));
        }
    }
    (changes, masks, run.snapshot().unwrap().digest)
}

#[test]
fn packed_and_masked_storage_choose_the_same_weights() {
    for gpu in everywhere() {
        for rewind in ["0", "4"] {
            for optim in [SGD, ADAM] {
                let sparsity = format!("{IMP}, rewind = '{rewind}'");
                let [masked, packed] =
                    ["masked", "packed"].map(|storage| trace(&gpu, &recipe(&sparsity, storage, optim)));
                let context = format!("{sparsity}, {optim}, on {:?}", gpu.identity());
                assert_eq!(masked.0, packed.0, "{context}");
                assert_eq!(masked.1, packed.1, "{context}");
                if !gpu.is_device() {
                    // There both add the same products in the same order.
                    assert_eq!(masked.2, packed.2, "{context}");
                }
            }
        }
    }
}

#[test]
fn resuming_anywhere_changes_no_bit_over_a_rewind_too() {
    for gpu in everywhere() {
        for (rewind, storage, optim) in [("0", "packed", ADAM), ("4", "masked", SGD), ("4", "packed", ADAM)] {
            let recipe = recipe(&format!("{IMP}, rewind = '{rewind}'"), storage, optim);
            let mut whole = session(&gpu, &recipe);
            let mut snapshots = Vec::new();
            while !whole.is_done() {
                snapshots.push(whole.snapshot().unwrap());
                whole.advance().unwrap();
            }
            let want = whole.snapshot().unwrap().digest;
            // Every step of the first prunes, and some later ones.
            for stop in (1..12).chain((12..35).step_by(5)) {
                let mut again = session(&gpu, &recipe);
                again.restore(&snapshots[stop]).unwrap();
                assert_eq!(again.snapshot().unwrap().digest, snapshots[stop].digest, "read back at {stop}");
                while !again.is_done() {
                    again.advance().unwrap();
                }
                let got = again.snapshot().unwrap().digest;
                assert_eq!(got, want, "rewind {rewind}, {storage}, {optim}, resumed at {stop}");
            }
        }
    }
}

#[test]
fn checkpoints_hold_the_early_values() {
    let gpu = common::device();
    let recipe = recipe(&format!("{IMP}, rewind = '4'"), "packed", SGD);
    let free = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
    let whole = train(&mut session(&gpu, &recipe), &free, &mut |_| Ok(())).unwrap();
    for stop in [3, 4, 5, 20] {
        let home = tempfile::tempdir().unwrap();
        let folder = Some(home.path().to_path_buf());
        let control = Control { folder, stop_at: Some(stop), ..free };
        train(&mut session(&gpu, &recipe), &control, &mut |_| Ok(())).unwrap();
        let (mut snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
        let held = snapshot.arrays.keys().filter(|name| name.ends_with(".early")).count();
        assert_eq!(held, if stop < 4 { 0 } else { 6 }, "weights and biases of three layers");
        let mut again = session(&gpu, &recipe);
        again.restore(&snapshot).unwrap();
        let rest = train(&mut again, &free, &mut |_| Ok(())).unwrap();
        assert_eq!(rest.digest, whole.digest, "resumed at step {stop}");
        if snapshot.arrays.remove("head.bias.early").is_some() {
            let error = session(&gpu, &recipe).restore(&snapshot).unwrap_err().to_string();
            assert!(error.contains("`head.bias.early` is missing"), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_before_the_first_step() {
    for (sparsity, said) in [
        ("method = 'imp', target = 0.9, fraction = 0.0", "above 0 and below 1"),
        ("method = 'imp', target = 0.9, fraction = 1.0", "above 0 and below 1"),
        ("method = 'imp', target = 0.9, rewind = '31'", "the run is too short for its rounds"),
        ("method = 'imp', target = 0.9, fraction = 0.05", "the run is too short for its rounds"),
        ("method = 'imp', target = 0.9, rewind = 'early'", "a duration such as"),
        ("method = 'imp', target = 0.9, init = 0.5", "starts dense"),
        ("method = 'imp', target = 0.9, latent = true", "holds pruned weights at 0"),
        ("method = 'imp', target = 0.9, schedule = { every = '7' }", "has no schedule"),
        ("method = 'imp', pattern = '2:4'", "cannot keep the pattern 2:4"),
    ] {
        let recipe = recipe(sparsity, "packed", SGD);
        let error = Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default()).err().expect(sparsity);
        assert!(error.to_string().contains(said), "{sparsity}: {error}");
    }
}
