//! Exact selection on every device, against a sort; and what gradual magnitude pruning promises.

mod common;

use common::everywhere;
use coppice::data::{Dataset, Source, Split};
use coppice::error::Kind;
use coppice::gpu::{Gpu, Recorder};
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, full_mask, kept};
use coppice::random::{Stream, uniform, word};
use coppice::recipe::Recipe;
use coppice::sparsity::budget::keep;
use coppice::sparsity::select::topk::{Selection, select, top_k};
use coppice::train::Session;

fn bits(mask: &[u32], len: usize) -> Vec<bool> {
    (0..len).map(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect()
}

#[test]
fn ties_go_to_the_lower_index() {
    let scores = [0.5, 0.2, -0.5, 0.5, 0.1, 0.5];
    for gpu in everywhere() {
        for (keep, want) in [(3, [1, 0, 1, 1, 0, 0]), (2, [1, 0, 1, 0, 0, 0]), (1, [1, 0, 0, 0, 0, 0])] {
            let (masks, counts) = select(&gpu, &[&scores], keep).unwrap();
            assert_eq!(bits(&masks[0], 6), want.map(|bit| bit == 1), "keep {keep} on {:?}", gpu.identity());
            assert_eq!((counts[0].kept as usize, counts[0].dropped as usize), (keep, 6 - keep));
        }
    }
}

#[test]
fn selection_over_several_tensors_is_that_of_a_sort() {
    for gpu in everywhere() {
        for case in 0..12u32 {
            let len = |tensor: u32| (word(9, Stream::Test, case, tensor, 0) % 20_000) as usize;
            let coarse = [1.0, 4.0, 1000.0][case as usize % 3]; // few, some or no equal scores
            let tensor = |tensor: u32| -> Vec<f32> {
                let value = |i| (uniform(9, Stream::Test, case, tensor + 9, i) * 2.0 - 1.0) * coarse;
                (0..len(tensor) as u32)
                    .map(|i| if coarse < 5.0 { value(i).round() } else { value(i) })
                    .collect()
            };
            let tensors = [tensor(1), tensor(2), tensor(3)];
            let all: Vec<f32> = tensors.concat();
            let keep = (word(9, Stream::Test, case, 99, 0) as usize) % (all.len() + 1);
            let slices: Vec<&[f32]> = tensors.iter().map(|t| &t[..]).collect();
            let (masks, counts) = select(&gpu, &slices, keep).unwrap();
            let got: Vec<bool> =
                masks.iter().zip(&tensors).flat_map(|(mask, t)| bits(mask, t.len())).collect();
            assert_eq!(got, top_k(&all, keep), "case {case} on {:?}", gpu.identity());
            assert_eq!(counts.iter().map(|count| count.kept as usize).sum::<usize>(), keep);
            assert_eq!(masks.iter().map(|mask| kept(mask)).sum::<usize>(), keep);
        }
    }
}

/// Around the sizes of workgroups, blocks and tiles, in one tensor and in two; scores that differ, of which many are equal,
/// that are all equal, and zeros; over masks of before that are random. By a sort of its own, not the twin's.
#[test]
fn selection_is_that_of_a_sort_at_the_edges_of_tiles() {
    let sizes = [1, 31, 33, 255, 257, 1023, 1024, 1025, 2049, 4097, 8191, 8192, 8193, 16_383, 16_385, 24_577];
    for gpu in everywhere() {
        for (number, len) in sizes.into_iter().enumerate() {
            for kind in 0..4u32 {
                let score = |i: u32| {
                    let value = uniform(12, Stream::Test, number as u32, kind, i) * 2.0 - 1.0;
                    [value, (value * 4.0).round(), 0.75f32.copysign(value), 0.0][kind as usize]
                };
                let scores: Vec<f32> = (0..len as u32).map(score).collect();
                let mut order: Vec<usize> = (0..len).collect();
                order.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()).then(a.cmp(&b)));
                // In two tensors ties go to the first.
                let cut = if kind % 2 == 0 { len } else { (len * 2 / 3).max(1) };
                let parts = [&scores[..cut], &scores[cut..]];
                let before: Vec<Vec<u32>> = parts
                    .iter()
                    .zip(0..)
                    .map(|(part, i)| {
                        let random = |w| word(12, Stream::Test, number as u32, 9 + i, w);
                        let own = full_mask(part.len()).into_iter().zip(0..);
                        own.map(|(word, w)| word & random(w)).collect()
                    })
                    .collect();
                for keep in [0, 1, len / 3, len - 1, len] {
                    let mut rec = Recorder::new(&gpu);
                    let tensors: Vec<_> = parts
                        .iter()
                        .zip(&before)
                        .filter(|(part, _)| !part.is_empty())
                        .map(|(part, mask)| {
                            let score = gpu.upload_f32("score", &[part.len()], part).unwrap();
                            (score, gpu.upload_u32("mask", &[mask.len()], mask).unwrap())
                        })
                        .collect();
                    let pairs: Vec<_> = tensors.iter().map(|(score, mask)| (score, mask)).collect();
                    let selection = Selection::over(&mut rec, &pairs).unwrap();
                    selection.keep(keep).unwrap();
                    rec.finish().unwrap().replay().unwrap();
                    let counts = selection.counts().unwrap();
                    let mut first = 0;
                    for (((_, mask), old), count) in tensors.iter().zip(&before).zip(counts) {
                        let own = if first == 0 { cut } else { len - cut };
                        let mut want = vec![false; own];
                        let chosen = order[..keep].iter().filter(|&&i| (first..first + own).contains(&i));
                        chosen.for_each(|&i| want[i - first] = true);
                        let got = bits(&mask.read_u32().unwrap(), own);
                        let what = format!("{keep} of {len}, kind {kind} on {:?}", gpu.identity());
                        assert!(got == want, "{what}: another mask");
                        let old = bits(old, own);
                        let number = |is: &dyn Fn(bool, bool) -> bool| -> u32 {
                            old.iter().zip(&got).filter(|&(&old, &now)| is(old, now)).count() as u32
                        };
                        let (grown, dropped) =
                            (number(&|old, now| !old && now), number(&|old, now| old && !now));
                        let kept = number(&|_, now| now);
                        assert_eq!(
                            (count.kept, count.grown, count.dropped, count.nans),
                            (kept, grown, dropped, 0),
                            "{what}"
                        );
                        let stayed = number(&|old, now| old && now);
                        assert_eq!(
                            stayed + dropped,
                            number(&|old, _| old),
                            "{what}: kept and dropped are those of before"
                        );
                        first += own;
                    }
                }
            }
        }
    }
}

#[test]
fn a_score_that_is_not_a_number_is_counted() {
    for gpu in everywhere() {
        let (_, counts) = select(&gpu, &[&[1.0, 2.0], &[f32::NAN, -f32::NAN, 3.0]], 2).unwrap();
        assert_eq!((counts[0].nans, counts[1].nans), (0, 2));
    }
}

fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 12).map(|i| uniform(2, Stream::Test, 0, tensor, i) - 0.5).collect();
        let labels = values.chunks(12).map(|row| u8::from(row[0] > 0.0)).collect();
        Split::floats(values, labels)
    };
    let (train, test) = (split(96, 0), split(32, 1));
    Dataset::from_arrays(Source::new("signs", vec![12], 2, train, test), 0.0).unwrap()
}

fn session(gpu: &Gpu, optim: &str, sparsity: &str) -> Session {
    let text = format!(
        "run = {{ epochs = 8, batch = 32 }}\ndata = {{ name = 'signs', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [19] }}\noptim = {optim}\n[sparsity]\nmethod = 'gmp'\nstorage = 'masked'\n{sparsity}"
    );
    Session::new(gpu, &Recipe::parse(&text, "test", &[]).unwrap(), &data(), Choices::default()).unwrap()
}

const OPTIMIZERS: [&str; 3] = [
    "{ name = 'sgd', lr = 0.1, momentum = 0.9, weight_decay = 0.01 }",
    "{ name = 'sgd', lr = 0.1, momentum = 0.9, nesterov = true }",
    "{ name = 'adam', lr = 0.01 }",
];

#[test]
fn held_weights_and_their_slots_stay_zero_and_the_count_never_rises() {
    for gpu in everywhere() {
        for optim in OPTIMIZERS {
            for distribution in ["global", "uniform", "erk"] {
                let sparsity = format!(
                    "target = 0.9\ndistribution = '{distribution}'\nschedule = {{ every = '3', end = '60%' }}"
                );
                let mut run = session(&gpu, optim, &sparsity);
                let mut before = usize::MAX;
                while !run.is_done() {
                    let change = run.advance().unwrap();
                    let mut now = 0;
                    for param in run.model.params.iter().filter(|param| param.is_masked()) {
                        let mask = bits(&param.read_mask().unwrap(), param.len());
                        now += mask.iter().filter(|kept| **kept).count();
                        let tensors =
                            param.slots().map(|slot| slot.read_f32().unwrap()).chain([param.read().unwrap()]);
                        for values in tensors {
                            let leaks = values
                                .iter()
                                .zip(&mask)
                                .filter(|(v, kept)| !**kept && v.to_bits() != 0)
                                .count();
                            assert_eq!(leaks, 0, "{optim}, {distribution}, step {}", run.step);
                        }
                    }
                    assert!(now <= before, "{now} kept after {before}");
                    assert!(change.is_none_or(|change| change.kept == now));
                    before = now;
                }
                assert_eq!(before, 27, "a tenth of 12 x 19 + 19 x 2, half to even");
            }
        }
    }
}

#[test]
fn latent_weights_live_on_behind_their_masks() {
    for gpu in everywhere() {
        let mut run = session(
            &gpu,
            OPTIMIZERS[0],
            "target = 0.8\nlatent = true\nschedule = { every = '3', end = '60%' }",
        );
        while !run.is_done() {
            run.advance().unwrap();
        }
        let param = &run.model.params[ParamId(0)];
        let mask = bits(&param.read_mask().unwrap(), param.len());
        let seen = param.read().unwrap();
        let stored = param.read_stored().unwrap();
        assert!(seen.iter().zip(&mask).all(|(w, kept)| *kept || *w == 0.0), "forward sees zeros");
        assert!(
            stored.iter().zip(&mask).any(|(w, kept)| !*kept && *w != 0.0),
            "a value is kept behind the mask"
        );
    }
}

#[test]
fn a_weight_that_is_not_a_number_is_refused_with_its_layer() {
    for gpu in everywhere() {
        let mut run = session(&gpu, OPTIMIZERS[0], "target = 0.8\nschedule = { every = '3', end = '60%' }");
        let param = &run.model.params[ParamId(0)];
        let mut values = param.read().unwrap();
        values[5] = f32::NAN;
        param.write(&values).unwrap();
        let error = run.advance().unwrap_err();
        assert_eq!(error.kind, Kind::Numbers);
        assert!(error.to_string().contains("fc1.weight"), "{error}");
    }
}

/// One layer at a time: the interval of 4 steps is divided between two layers.
#[test]
fn layers_may_take_turns() {
    let sparsity = "target = 0.8\nin_turn = true\ndistribution = 'uniform'\nschedule = { begin = '2', end = '14', every = '4' }";
    for gpu in everywhere() {
        let mut run = session(&gpu, OPTIMIZERS[0], sparsity);
        let mut changed = Vec::new();
        while !run.is_done() {
            let Some(change) = run.advance().unwrap() else { continue };
            let names =
                change.layers.iter().filter(|layer| layer.dropped > 0).map(|layer| layer.name.clone());
            changed.push((change.step, names.collect::<Vec<_>>(), change.kept));
        }
        let steps: Vec<u64> = changed.iter().map(|(step, ..)| *step).collect();
        assert_eq!(
            steps,
            [2, 4, 6, 8, 10, 12, 14, 16],
            "begin, then every second step, the last turn after the end"
        );
        for (step, names, _) in &changed[2..] {
            let own = if step % 4 == 2 { "fc1.weight" } else { "head.weight" };
            assert_eq!(names, &[own.to_string()], "step {step}");
        }
        assert_eq!(changed.last().unwrap().2, 53, "a fifth of 12 x 19 + 19 x 2, half to even");
    }
    for (sparsity, words) in [
        ("target = 0.8\nin_turn = true", "number of its own"),
        (
            "target = 0.8\nin_turn = true\ndistribution = 'erk'\nschedule = { end = '23', every = '8' }",
            "last layer's turn",
        ),
    ] {
        let text = format!(
            "run = {{ epochs = 8, batch = 32 }}\ndata = {{ name = 'signs', validation = 0.0 }}\n\
             model = {{ preset = 'mlp', hidden = [19] }}\noptim = {}\n[sparsity]\nmethod = 'gmp'\n{sparsity}",
            OPTIMIZERS[0]
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        let error = Session::new(&Gpu::twin(), &recipe, &data(), Choices::default()).err().expect("refused");
        assert!(error.kind == Kind::Usage && error.to_string().contains(words), "{error}");
    }
}

/// All layers but the first have the sparsity that is asked for, at the start as at the end; the network has less.
#[test]
fn a_dense_first_layer_is_not_made_up_for() {
    let spread = "distribution = 'uniform-first-dense'";
    let session = |gpu: &Gpu, sparsity: &str| {
        let text = format!(
            "run = {{ epochs = 8, batch = 32 }}\ndata = {{ name = 'signs', validation = 0.0 }}\n\
             model = {{ preset = 'mlp', hidden = [24, 16] }}\noptim = {{ name = 'sgd', lr = 0.1 }}\n\
             sparsity = {{ {sparsity} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        Session::new(gpu, &recipe, &data(), Choices::default()).unwrap()
    };
    for gpu in everywhere() {
        for (sparsity, start, end) in [
            ("method = 'gmp', target = 0.9, schedule = { end = '60%', every = '3' }", 0.0, 0.9),
            (
                "method = 'granet', target = 0.9, init = 0.5, schedule = { end = '60%', every = '3' }",
                0.5,
                0.9,
            ),
            ("method = 'rigl', target = 0.9, schedule = { every = '3' }", 0.9, 0.9),
            ("method = 'imp', target = 0.9, fraction = 0.5", 0.0, 0.9),
            ("method = 'sr-ste', pattern = '1:4', schedule = { every = '3' }", 0.0, 0.75),
        ] {
            let sparsity = format!("{sparsity}, {spread}");
            let mut run = session(&gpu, &sparsity);
            let pruned = |run: &Session| -> Vec<(usize, usize)> {
                let weights = run.model.params.iter().filter(|param| param.prunable);
                weights.map(|param| (kept(&param.read_mask().unwrap()), param.len())).collect()
            };
            let near = |counts: &[(usize, usize)], s: f64| {
                assert_eq!(counts[0].0, counts[0].1, "{sparsity}: the first layer is dense");
                for &(kept, len) in &counts[1..] {
                    assert!(kept.abs_diff(keep(len, s)) <= 1, "{sparsity}: {kept} of {len} at {s}");
                }
            };
            near(&pruned(&run), start);
            let mut last = None;
            while !run.is_done() {
                last = run.advance().unwrap().or(last);
            }
            let (counts, last) = (pruned(&run), last.expect("an update"));
            near(&counts, end);
            let others: usize = counts[1..].iter().map(|&(_, len)| keep(len, end)).sum();
            let (kept, total) = (counts[0].1 + others, counts.iter().map(|&(_, len)| len).sum::<usize>());
            assert_eq!(run.pruner.as_ref().unwrap().wanted().unwrap(), Some(kept), "{sparsity}");
            assert_eq!((last.kept, last.total), (kept, total), "{sparsity}");
            assert!((last.sparsity - (1.0 - kept as f64 / total as f64)).abs() <= 1e-9, "{sparsity}");
        }
        // A rule for the first layer is heeded.
        let ruled =
            format!("method = 'static', target = 0.9, {spread}, rule = [{{ match = 'fc1', target = 0.5 }}]");
        let run = session(&gpu, &ruled);
        let first = &run.model.params[ParamId(0)];
        assert_eq!(kept(&first.read_mask().unwrap()), first.len() / 2);
    }
    let alone = "run = { epochs = 1 }\ndata = { name = 'signs', validation = 0.0 }\n\
                 model = { preset = 'mlp', hidden = [] }\noptim = { name = 'sgd', lr = 0.1 }\n\
                 sparsity = { method = 'static', target = 0.9, distribution = 'uniform-first-dense' }";
    let recipe = Recipe::parse(alone, "test", &[]).unwrap();
    let error = Session::new(&Gpu::twin(), &recipe, &data(), Choices::default()).err().expect("refused");
    assert!(error.to_string().contains("the first layer is the only one"), "{error}");
}
