//! Top-KAST: the worked sets and sums; what is seen, what is trained and what rests after every step; and resuming
//! anywhere, on every device and on the twins.

mod common;

use common::{bytes, everywhere};
use coppice::gpu::{Gpu, Recorder};
use coppice::ops::variants::Choices;
use coppice::param::ParamId;
use coppice::recipe::Recipe;
use coppice::sparsity::select::topk::{self, top_k};
use coppice::sparsity::update::shrink::{self, Pull};
use coppice::train::{Control, Session, train};

const SGD: &str = "{ name = 'sgd', lr = 0.05, momentum = 0.9, weight_decay = 1e-3 }";
const ADAM: &str = "{ name = 'adam', lr = 0.01 }";
const TOPKAST: &str = "method = 'top-kast', target = 0.8, reach = 0.15, schedule = { every = '3' }";

fn session(gpu: &Gpu, sparsity: &str, optim: &str) -> Session {
    let text = format!(
        "run = {{ epochs = 4, batch = 32, seed = 5 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40, 24] }}\noptim = {optim}\nsparsity = {{ {sparsity} }}"
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    Session::new(gpu, &recipe, &bytes(), Choices::default()).unwrap()
}

/// Ten weights at D = .3, M = .2: both sets, and the exploration loss by Euler's rule from the pull on the device: a
/// square is half its slope times the weight, an absolute value its slope times the weight.
#[test]
fn the_worked_sets_and_sums_come_out() {
    let w = [0.05f32, -0.9, 0.4, -0.02, 0.7, -0.3, 0.15, -0.6, 0.08, 0.25];
    for gpu in everywhere() {
        let chosen = |keep| topk::select(&gpu, &[&w[..]], keep).unwrap().0[0][0];
        let bits = |word: u32| (0..10).map(|i| word >> i & 1).collect::<Vec<_>>();
        let (seen, trained) = (chosen(3), chosen(5));
        assert_eq!(bits(seen), [0, 1, 0, 0, 1, 0, 0, 1, 0, 0]);
        assert_eq!(bits(trained), [0, 1, 1, 0, 1, 1, 0, 1, 0, 0]);
        for (signs, slope, share, want) in [(true, 1.0f32, 1.0, 4.533333), (false, 2.0, 0.5, 2.493333)] {
            let mask = gpu.upload_u32("mask", &[1], &[seen]).unwrap();
            let weight = gpu.upload_f32("weight", &[10], &w).unwrap();
            let d_weight = gpu.upload_f32("d_weight", &[10], &[0.0; 10]).unwrap();
            let mut rec = Recorder::new(&gpu);
            let pull = Pull { inside: slope, outside: slope / 0.3, signs };
            shrink::record(&mut rec, pull, &mask, &weight, &d_weight).unwrap();
            rec.finish().unwrap().replay().unwrap();
            let slopes = d_weight.read_f32().unwrap();
            let sum: f64 = (0..10)
                .filter(|&i| trained >> i & 1 == 1)
                .map(|i| f64::from(w[i]) * f64::from(slopes[i]) * share)
                .sum();
            // The numbers are given to six decimals.
            assert!((sum - want).abs() <= 1e-6, "got {sum}, want {want}");
            // And in plain words.
            let r = |w: f32| if signs { f64::from(w.abs()) } else { f64::from(w) * f64::from(w) };
            let plain: f64 = (0..10)
                .map(|i| match (seen >> i & 1, trained >> i & 1) {
                    (1, _) => r(w[i]),
                    (_, 1) => r(w[i]) / 0.3,
                    _ => 0.0,
                })
                .sum();
            assert!((plain - want).abs() <= 1e-6, "got {plain}, want {want}");
        }
    }
}

/// What a weight has: its value, whether it is seen, whether it is trained.
struct Look {
    values: Vec<f32>,
    seen: Vec<u32>,
    trained: Vec<u32>,
}

fn look(run: &Session) -> Vec<Look> {
    let of = |param: &coppice::param::Param| Look {
        values: param.read_stored().unwrap(),
        seen: param.read_mask().unwrap(),
        trained: param.trained()[0].read_u32().unwrap(),
    };
    run.model.params.iter().filter(|param| param.is_masked()).map(of).collect()
}

fn bit(mask: &[u32], i: usize) -> bool {
    mask[i / 32] >> (i % 32) & 1 == 1
}

/// At every update both sets are the largest magnitudes, exactly as many as are due; in between they stay. Values outside
/// the larger set do not move by a bit, most inside do, and the forward pass sees the smaller set alone.
#[test]
fn the_rest_keeps_its_value_and_the_forward_pass_sees_the_largest() {
    for gpu in everywhere() {
        for (spread, optim) in [("uniform", SGD), ("erk", ADAM), ("global", SGD), ("uniform", ADAM)] {
            let mut run = session(&gpu, &format!("{TOPKAST}, distribution = '{spread}'"), optim);
            let mut before = look(&run);
            while !run.is_done() {
                let step = run.step;
                let change = run.advance().unwrap();
                assert_eq!(change.is_some(), step.is_multiple_of(3));
                let after = look(&run);
                if let Some(change) = change {
                    assert_eq!(change.kept, 403, "a fifth of 2016");
                    let sets: [usize; 2] = [0, 1].map(|which| {
                        let mask = |l: &Look| if which == 0 { l.seen.clone() } else { l.trained.clone() };
                        after.iter().map(|l| (0..l.values.len()).filter(|&i| bit(&mask(l), i)).count()).sum()
                    });
                    // .15 of 960, 960 and 96 are 144, 144 and 14; of all 2016 together as many.
                    assert_eq!(sets, [403, 403 + 302], "{spread}");
                    let check = |values: &[f32], mask: &dyn Fn(usize) -> bool| {
                        let count = (0..values.len()).filter(|&i| mask(i)).count();
                        for (i, kept) in top_k(values, count).into_iter().enumerate() {
                            assert_eq!(mask(i), kept, "{spread}, weight {i} at step {step}");
                        }
                    };
                    if spread == "global" {
                        let all = before.iter().flat_map(|l| l.values.clone()).collect::<Vec<_>>();
                        let flat = |mask: &dyn Fn(&Look, usize) -> bool| -> Vec<bool> {
                            after.iter().flat_map(|l| (0..l.values.len()).map(move |i| mask(l, i))).collect()
                        };
                        let (seen, trained) =
                            (flat(&|l, i| bit(&l.seen, i)), flat(&|l, i| bit(&l.trained, i)));
                        check(&all, &|i| seen[i]);
                        check(&all, &|i| trained[i]);
                    } else {
                        for (was, is) in before.iter().zip(&after) {
                            check(&was.values, &|i| bit(&is.seen, i));
                            check(&was.values, &|i| bit(&is.trained, i));
                        }
                    }
                }
                let mut moved = 0;
                for (was, is) in before.iter().zip(&after) {
                    for i in 0..was.values.len() {
                        let same = was.values[i].to_bits() == is.values[i].to_bits();
                        assert!(same || bit(&is.trained, i), "weight {i} moved at step {step}");
                        assert!(bit(&is.trained, i) || !bit(&is.seen, i), "what is seen is trained");
                        moved += usize::from(!same);
                    }
                }
                assert!(moved > 500, "{moved} weights moved");
                let params = &run.model.params;
                for (param, is) in params.into_iter().filter(|param| param.is_masked()).zip(&after) {
                    for (i, &w) in param.read().unwrap().iter().enumerate() {
                        let want = if bit(&is.seen, i) { is.values[i] } else { 0.0 };
                        assert_eq!(w.to_bits(), want.to_bits());
                    }
                }
                before = after;
            }
        }
    }
}

/// The gradients of two runs that differ in nothing but the exploration loss differ by its pull.
#[test]
fn the_exploration_loss_pulls_what_is_not_seen_the_more() {
    for gpu in everywhere() {
        for (penalty, slope) in [("square", 2.0f32), ("abs", 1.0)] {
            let grads = |lambda: f32| {
                let sparsity = format!("{TOPKAST}, lambda = {lambda:?}, penalty = '{penalty}'");
                let mut run = session(&gpu, &sparsity, SGD);
                let start = run.model.params[ParamId(0)].read_stored().unwrap();
                run.advance().unwrap();
                let param = &run.model.params[ParamId(0)];
                (start, param.read_mask().unwrap(), param.read_grad().unwrap())
            };
            let ((start, seen, with), (.., without)) = (grads(0.25), grads(0.0));
            for i in 0..start.len() {
                let strength = if bit(&seen, i) { 0.25 } else { 0.25 / 0.2 };
                let r = if penalty == "abs" { start[i].signum() } else { start[i] };
                let (got, want) = (with[i] - without[i], strength * slope * r);
                // A few roundings of numbers near 1.
                assert!((got - want).abs() <= 1e-6, "{penalty} {i}: got {got}, want {want}");
            }
        }
    }
}

#[test]
fn resuming_anywhere_changes_no_bit() {
    for gpu in everywhere() {
        for optim in [SGD, ADAM] {
            let mut whole = session(&gpu, TOPKAST, optim);
            let mut snapshots = Vec::new();
            while !whole.is_done() {
                snapshots.push(whole.snapshot().unwrap());
                whole.advance().unwrap();
            }
            let want = whole.snapshot().unwrap().digest;
            for (stop, snapshot) in snapshots.iter().enumerate().skip(1) {
                let mut again = session(&gpu, TOPKAST, optim);
                again.restore(snapshot).unwrap();
                assert_eq!(again.snapshot().unwrap().digest, snapshot.digest, "read back at {stop}");
                while !again.is_done() {
                    again.advance().unwrap();
                }
                assert_eq!(again.snapshot().unwrap().digest, want, "{optim}, resumed at {stop}");
            }
            let mut lacking = snapshots.swap_remove(5);
            lacking.arrays.remove("fc1.weight.reach").expect("state of the run");
            let error = session(&gpu, TOPKAST, optim).restore(&lacking).unwrap_err().to_string();
            assert!(error.contains("`fc1.weight.reach` is missing"), "{error}");
        }
    }
}

#[test]
fn the_run_ends_with_as_many_as_were_asked_for() {
    let gpu = common::device();
    let mut run = session(&gpu, TOPKAST, SGD);
    let free = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
    let summary = train(&mut run, &free, &mut |_| Ok(())).unwrap();
    assert!(gpu.is_counted() || summary.kept == 403, "{}", summary.kept);
}

#[test]
fn what_cannot_be_is_refused_before_the_first_step() {
    for (sparsity, said) in [
        ("method = 'top-kast', target = 0.8, reach = 0.9", "from 0 up to the target, 0.8"),
        ("method = 'top-kast', target = 0.8, reach = -0.1", "from 0 up to the target, 0.8"),
        ("method = 'top-kast', target = 0.8, lambda = -1.0", "at least 0"),
        ("method = 'top-kast', target = 0.8, penalty = 'cube'", "cube"),
        ("method = 'top-kast', target = 0.8, init = 0.5", "keeps the same number of weights throughout"),
        ("method = 'top-kast', target = 0.8, storage = 'packed'", "trains pruned weights, too"),
        ("method = 'top-kast', pattern = '2:4'", "cannot keep the pattern 2:4"),
    ] {
        let text = format!(
            "data = {{ name = 'bytes' }}\nmodel = {{ preset = 'mlp', hidden = [40] }}\n\
             optim = {SGD}\nsparsity = {{ {sparsity} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        let error = Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default()).err().expect(sparsity);
        assert!(error.to_string().contains(said), "{sparsity}: {error}");
    }
}
