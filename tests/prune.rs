//! One-time pruning and pruning of structures: SNIP, GraSP, one-shot, ASP, blocks and N:M, on every device and on the
//! twins.

#[path = "prune/alike.rs"]
mod alike;
#[path = "prune/asp.rs"]
mod asp;
#[path = "prune/blocks.rs"]
mod blocks;
mod common;
#[path = "prune/floors.rs"]
mod floors;
#[path = "prune/flow.rs"]
mod flow;
#[path = "prune/groups.rs"]
mod groups;
#[path = "prune/named.rs"]
mod named;
#[path = "prune/ties.rs"]
mod ties;

use common::everywhere;
use coppice::data::{Dataset, Source, Split};
use coppice::gpu::Gpu;
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::variants::Choices;
use coppice::param::{MaskMode, ParamId, indices};
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::sparsity::Look;
use coppice::sparsity::select::topk::top_k;
use coppice::sparsity::structure::groups::n_of_m;
use coppice::train::{Part, Session};

fn source(features: usize, classes: u8, train: Split, test: Split) -> Dataset {
    Dataset::from_arrays(Source::new("made", vec![features], classes.into(), train, test), 0.0).unwrap()
}

/// 160 random samples of 32 numbers; three classes.
fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 32).map(|i| uniform(3, Stream::Test, 0, tensor, i) - 0.5).collect();
        let class =
            |row: &[f32]| (0..3u8).max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize])).unwrap();
        let labels = values.chunks(32).map(class).collect();
        Split::floats(values, labels)
    };
    source(32, 3, split(160, 0), split(40, 1))
}

fn recipe(model: &str, sparsity: &str) -> Recipe {
    recipe_with(model, sparsity, &[])
}

fn recipe_with(model: &str, sparsity: &str, more: &[String]) -> Recipe {
    let text = format!(
        "run = {{ epochs = 6, batch = 32, seed = 4 }}\ndata = {{ name = 'made', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = {model} }}\n\
         optim = {{ name = 'adam', lr = 0.01, weight_decay = 1e-3 }}\nsparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", more).unwrap()
}

fn session(gpu: &Gpu, sparsity: &str) -> Session {
    Session::new(gpu, &recipe("[40, 24]", sparsity), &data(), Choices::default()).unwrap()
}

/// The worked linear softmax: W = [[.5, -.3], [.2, .8]], x = [1, 2], label 0.
fn worked(gpu: &Gpu, method: &str, target: f64) -> Vec<u32> {
    let one = || Split::floats(vec![1.0, 2.0], vec![0]);
    let data = source(2, 2, one(), one());
    let recipe = recipe("[]", &format!("method = '{method}', target = {target}"));
    let mut run = Session::new(gpu, &recipe, &data, Choices::default()).unwrap();
    run.model.params[ParamId(0)].write(&[0.5, -0.3, 0.2, 0.8]).unwrap();
    run.model.params[ParamId(1)].write(&[0.0, 0.0]).unwrap();
    let before = run.model.params[ParamId(0)].read().unwrap();
    let change = run.advance().unwrap().expect("a mask before the first step");
    assert_eq!(change.step, 0);
    let param = &run.model.params[ParamId(0)];
    let kept = indices(&param.read_mask().unwrap());
    // No step was made: what is kept has its initial value.
    let after = param.read().unwrap();
    kept.iter().for_each(|&i| assert_eq!(after[i as usize], before[i as usize]));
    kept
}

/// SNIP's scores there are .434946, .521935, .173978, 1.391826; GraSP's .492273, -.590727, -.196909, -1.575273, of which
/// the largest are removed.
#[test]
fn the_worked_scores_decide() {
    for gpu in everywhere() {
        let snip = |target| worked(&gpu, "snip", target);
        assert_eq!([snip(0.25), snip(0.5), snip(0.75)], [vec![0, 1, 3], vec![1, 3], vec![3]]);
        let grasp = |target| worked(&gpu, "grasp", target);
        assert_eq!([grasp(0.25), grasp(0.5), grasp(0.75)], [vec![1, 2, 3], vec![1, 3], vec![3]]);
    }
}

/// Saliency over the whole network, from the gradients of the first batch.
#[test]
fn snip_keeps_the_largest_products_of_weight_and_gradient() {
    for gpu in everywhere() {
        let mut run = session(&gpu, "method = 'snip', target = 0.8, storage = 'masked'");
        let weights: Vec<Vec<f32>> = run.model.params.iter().map(|p| p.read().unwrap()).collect();
        run.advance().unwrap();
        let mut scores = Vec::new();
        let mut masks = Vec::new();
        for (param, weights) in run.model.params.iter().zip(&weights).filter(|(p, _)| p.is_masked()) {
            let grads = param.read_grad().unwrap();
            scores.extend(weights.iter().zip(&grads).map(|(w, g)| (w * g).abs()));
            let mask = param.read_mask().unwrap();
            masks.extend((0..param.len()).map(|i| mask[i / 32] >> (i % 32) & 1 == 1));
        }
        let keep = (scores.len() as f64 * 0.2).round_ties_even() as usize;
        assert_eq!(masks, top_k(&scores, keep));
    }
}

/// Over several batches the scores of each are summed; nothing is trained in between, and no batch is left out after it.
#[test]
fn snip_sums_scores_over_batches() {
    for gpu in everywhere() {
        let mut run = session(&gpu, "method = 'snip', target = 0.8, batches = 4, storage = 'masked'");
        let gradients = |run: &Session, ahead: u64| -> Vec<f32> {
            run.look(Look { ahead, tempered: false }).unwrap();
            let maskable = run.model.params.iter().filter(|param| param.is_masked());
            maskable.flat_map(|param| param.read_grad().unwrap()).collect()
        };
        let weights = |run: &Session| -> Vec<f32> {
            let maskable = run.model.params.iter().filter(|param| param.is_masked());
            maskable.flat_map(|param| param.read().unwrap()).collect()
        };
        let before = weights(&run);
        let mut scores = vec![0.0f32; before.len()];
        let mut own = Vec::new();
        for ahead in (0..4).rev() {
            own = gradients(&run, ahead);
            scores.iter_mut().zip(before.iter().zip(&own)).for_each(|(s, (w, g))| *s += (w * g).abs());
        }
        let single = before.iter().zip(&own).map(|(w, g)| (w * g).abs()).collect::<Vec<f32>>();
        let keep = (scores.len() as f64 * 0.2).round_ties_even() as usize;
        let want = top_k(&scores, keep);
        assert_ne!(want, top_k(&single, keep), "one batch would have chosen the same");
        run.advance().unwrap();
        let kept: Vec<bool> = run
            .model
            .params
            .iter()
            .filter(|param| param.is_masked())
            .flat_map(|param| {
                let mask = param.read_mask().unwrap();
                (0..param.len()).map(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(kept, want);
        assert_eq!(run.take_totals().unwrap().answers, 32, "totals count the step's own batch alone");
        let after = weights(&run);
        assert!((0..after.len()).all(|i| after[i] == if want[i] { before[i] } else { 0.0 }));
        // The mask aside, the step's gradients are those of its own batch.
        let grads: Vec<f32> = run
            .model
            .params
            .iter()
            .filter(|param| param.is_masked())
            .flat_map(|param| param.read_grad().unwrap())
            .collect();
        assert_eq!(grads, own);
    }
}

#[test]
fn grasp_leaves_weights_and_totals_as_they_were() {
    for gpu in everywhere() {
        let mut run = session(&gpu, "method = 'grasp', target = 0.7, storage = 'masked'");
        let before: Vec<Vec<f32>> = run.model.params.iter().map(|p| p.read().unwrap()).collect();
        let mut other = session(&gpu, "method = 'snip', target = 0.7, storage = 'masked'");
        run.advance().unwrap();
        other.advance().unwrap();
        assert_eq!(run.take_totals().unwrap(), other.take_totals().unwrap());
        for (param, before) in run.model.params.iter().zip(before) {
            let mask = param.read_mask().unwrap();
            let kept = |i: usize| !param.is_masked() || mask[i / 32] >> (i % 32) & 1 == 1;
            let want: Vec<f32> =
                before.iter().enumerate().map(|(i, w)| if kept(i) { *w } else { 0.0 }).collect();
            assert_eq!(param.read().unwrap(), want, "{}", param.name);
        }
    }
}

const METHODS: [&str; 12] = [
    "method = 'snip', target = 0.8",
    "method = 'grasp', target = 0.8",
    "method = 'oneshot', target = 0.7, schedule = { type = 'oneshot', begin = '40%' }",
    "method = 'oneshot', pattern = '1:4', schedule = { type = 'oneshot', begin = '40%' }, rule = [{ match = 'head', dense = true }]",
    "method = 'asp', pattern = '2:4', schedule = { type = 'oneshot', begin = '50%' }",
    "method = 'gmp', target = 0.8, distribution = 'uniform', pattern = 'block:8x1', schedule = { every = '3', end = '60%' }, rule = [{ match = 'head', dense = true }]",
    "method = 'gmp', target = 0.8, distribution = 'uniform', pattern = 'block:4x1', pooling = 'max', schedule = { every = '3', end = '60%' }, rule = [{ match = 'head', dense = true }]",
    "method = 'gmp', target = 0.75, distribution = 'uniform', pattern = 'block:2x4', schedule = { every = '4', end = '60%' }, rule = [{ match = 'head', pattern = 'free' }]",
    "method = 'gmp', target = 0.7, distribution = 'uniform', pattern = 'block:3x5', schedule = { every = '4', end = '60%' }",
    "method = 'static', target = 0.6, pattern = 'block:8x1'",
    "method = 'snip', target = 0.8, batches = 5",
    "method = 'grasp', target = 0.8, temperature = 8.0",
];

/// Masks after every step, changes and the digest at the end.
fn trace(gpu: &Gpu, sparsity: &str) -> (Vec<Vec<u32>>, String) {
    let mut run = session(gpu, sparsity);
    let mut masks = Vec::new();
    while !run.is_done() {
        if run.advance().unwrap().is_some() {
            masks.extend(run.model.params.iter().map(|param| param.read_mask().unwrap()));
        }
        for param in run.model.params.iter().filter(|param| param.mask_mode() == MaskMode::Held) {
            let (mask, values) = (param.read_mask().unwrap(), param.read().unwrap());
            let leaks =
                (0..param.len()).filter(|&i| mask[i / 32] >> (i % 32) & 1 == 0 && values[i].to_bits() != 0);
            assert_eq!(leaks.count(), 0, "{sparsity}, {}", param.name);
        }
    }
    run.evaluate(Part::Test).unwrap();
    (masks, run.snapshot().unwrap().digest)
}

#[test]
fn packed_and_masked_storage_choose_the_same_weights() {
    for gpu in everywhere() {
        // Blocks of 2x4 and 3x5 are never packed, nor is a head of 3 outputs in blocks of 8.
        let packable = |sparsity: &&&str| {
            !["block:2x4", "block:3x5", "'static'"].iter().any(|never| sparsity.contains(never))
        };
        for sparsity in METHODS.iter().filter(packable) {
            let [masked, packed] = ["masked", "packed"]
                .map(|storage| trace(&gpu, &format!("{sparsity}, storage = '{storage}'")));
            assert_eq!(masked.0, packed.0, "{sparsity} on {:?}", gpu.identity());
            if !gpu.is_device() {
                assert_eq!(masked.1, packed.1, "{sparsity}: on the twin sums have the same order");
            }
        }
    }
}

#[test]
fn structures_are_whole_and_what_was_asked_for() {
    for gpu in everywhere() {
        for sparsity in METHODS {
            let mut run = session(&gpu, sparsity);
            while !run.is_done() {
                run.advance().unwrap();
            }
            for param in run.model.params.iter().filter(|param| param.is_masked()) {
                let (rows, inner, mask) = (param.shape[0], param.shape[1], param.read_mask().unwrap());
                let bit = |row: usize, column: usize| {
                    let i = row * inner + column;
                    mask[i / 32] >> (i % 32) & 1
                };
                match param.form {
                    Form::Tile { rows: height, columns: width } => {
                        for (row, column) in (0..rows).flat_map(|r| (0..inner).map(move |c| (r, c))) {
                            let first = bit(row / height * height, column / width * width);
                            assert_eq!(bit(row, column), first, "{sparsity}");
                        }
                    }
                    form => assert!(Pattern::from_mask(form, rows, inner, &mask).is_some(), "{sparsity}"),
                }
            }
        }
    }
}

#[test]
fn resuming_anywhere_changes_no_bit() {
    for gpu in everywhere() {
        for sparsity in METHODS {
            let mut whole = session(&gpu, sparsity);
            while !whole.is_done() {
                whole.advance().unwrap();
            }
            let want = whole.snapshot().unwrap().digest;
            for stop in [1u64, 11, 12, 13, 15, 16, 29] {
                let mut first = session(&gpu, sparsity);
                (0..stop).for_each(|_| drop(first.advance().unwrap()));
                let mut second = session(&gpu, sparsity);
                second.restore(&first.snapshot().unwrap()).unwrap();
                while !second.is_done() {
                    second.advance().unwrap();
                }
                assert_eq!(second.snapshot().unwrap().digest, want, "{sparsity}, stopped at {stop}");
            }
        }
    }
}

#[test]
fn groups_are_pruned_to_the_largest_of_each() {
    for gpu in everywhere() {
        let mut run = session(&gpu, METHODS[3]);
        for _ in 0..12 {
            run.advance().unwrap();
        }
        let dense = run.model.params[ParamId(0)].read().unwrap();
        run.advance().unwrap().expect("two fifths of the run are over");
        let mask = run.model.params[ParamId(0)].read_mask().unwrap();
        let want: Vec<bool> = dense.chunks(32).flat_map(|row| n_of_m(row, 1, 4)).collect();
        let got: Vec<bool> = (0..want.len()).map(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect();
        assert_eq!(got, want);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |sparsity: &str| {
        let made = Session::new(&Gpu::twin(), &recipe("[40, 24]", sparsity), &data(), Choices::default());
        made.err().expect("refused").to_string()
    };
    for (sparsity, words) in [
        ("method = 'oneshot', target = 0.5", "prunes once"),
        ("method = 'asp', target = 0.5, schedule = { type = 'oneshot', begin = '50%' }", "N of every M"),
        (
            "method = 'asp', pattern = '2:4', reset = false, schedule = { type = 'oneshot', begin = '50%' }",
            "slots are not permuted",
        ),
        (
            "method = 'asp', pattern = '2:300', schedule = { type = 'oneshot', begin = '50%' }",
            "no order of inputs is searched for in groups of more than 256",
        ),
        (
            "method = 'asp', pattern = '2:4', rounds = 0, schedule = { type = 'oneshot', begin = '50%' }",
            "at least 1",
        ),
        (
            "method = 'asp', pattern = '2:4', rounds = 9, permute = false, schedule = { type = 'oneshot', begin = '50%' }",
            "nothing is permuted",
        ),
        ("method = 'gmp', pattern = '2:4'", "cannot be reached gradually"),
        ("method = 'gmp', target = 0.5, latent = true, storage = 'packed'", "cannot be packed"),
        (
            "method = 'gmp', target = 0.5, distribution = 'uniform', pattern = 'block:2x4', storage = 'packed', rule = [{ match = 'head', dense = true }]",
            "`fc1.weight` cannot be packed: there are no products over blocks of 2x4",
        ),
        (
            "method = 'oneshot', target = 0.5, distribution = 'uniform', storage = 'packed', schedule = { type = 'oneshot', begin = '50%' }, rule = [{ match = 'fc2', pattern = 'block:8x2' }]",
            "`fc2.weight` cannot be packed: there are no products over blocks of 8x2",
        ),
        ("method = 'snip', target = 0.5, schedule = { begin = '30%' }", "has no schedule"),
        ("method = 'snip', target = 0.5, init = 0.7", "starts dense"),
        ("method = 'snip', target = 0.5, batches = 0", "at least 1"),
        ("method = 'snip', target = 0.5, batches = 6", "an epoch has no 6 batches"),
        ("method = 'grasp', target = 0.5, temperature = 0", "a number from 1e-3 to 1e6"),
        (
            "method = 'oneshot', target = 0.5, latent = true, schedule = { type = 'oneshot', begin = '50%' }",
            "leave latent out",
        ),
        ("method = 'granet', target = 0.9, reference = true, schedule = { every = '100' }", "no other"),
        ("method = 'gmp', target = 0.5, pooling = 'sum'", "sum"),
        (
            "method = 'gmp', target = 0.5, distribution = 'uniform', strict = true, pattern = 'block:3x1'",
            "40 outputs and 32 inputs; strict = true",
        ),
        (
            "method = 'rigl', target = 0.5, pattern = 'block:8x1', rule = [{ match = 'head', dense = true }]",
            "cannot keep the pattern",
        ),
        (
            "method = 'grasp', target = 0.5, pattern = 'block:8x1', rule = [{ match = 'head', dense = true }]",
            "cannot keep the pattern",
        ),
    ] {
        let message = refusal(sparsity);
        assert!(message.contains(words), "{sparsity}: {message}");
    }
}

/// A layer of single weights beside one with an N:M pattern: exactly the target in all.
#[test]
fn patterns_may_stand_beside_single_weights() {
    for gpu in everywhere() {
        let sparsity = "method = 'oneshot', target = 0.6, schedule = { type = 'oneshot', begin = '40%' }, rule = [{ match = 'fc2', pattern = '2:4' }]";
        let mut run = session(&gpu, sparsity);
        let mut last = None;
        while !run.is_done() {
            last = run.advance().unwrap().or(last);
        }
        let change = last.expect("it is pruned once");
        assert_eq!(change.kept, 925, "two fifths of 32 x 40 + 40 x 24 + 24 x 3, half to even");
        let fc2 = change.layers.iter().find(|layer| layer.name == "fc2.weight").unwrap();
        assert_eq!(fc2.kept, 480);
    }
}
