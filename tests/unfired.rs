//! Growth at random that takes weights first that were never kept: against a plain reading of it, masked and packed, on
//! every device and on the twins.

mod common;

use common::{bytes, everywhere};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, indices};
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::train::Session;

const SEED: u64 = 5;

fn session(gpu: &Gpu, by: &str, storage: &str) -> Session {
    let text = format!(
        "run = {{ epochs = 4, batch = 32, seed = {SEED} }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40, 24] }}\noptim = {{ name = 'sgd', lr = 0.05, momentum = 0.9 }}\n\
         sparsity = {{ method = 'set', target = 0.7, storage = '{storage}', distribution = 'uniform', \
         schedule = {{ end = '27', every = '2' }}, \
         growth = {{ by = '{by}', fraction = {{ type = 'constant', start = 0.4 }} }} }}"
    );
    Session::new(gpu, &Recipe::parse(&text, "test", &[]).unwrap(), &bytes(), Choices::default()).unwrap()
}

fn kept(run: &Session) -> Vec<Vec<u32>> {
    [0, 2, 4].map(|i| indices(&run.model.params[ParamId(i)].read_mask().unwrap())).into()
}

/// The weights of all masks that a run has had.
fn explored(run: &mut Session) -> Vec<Vec<Vec<u32>>> {
    let mut all = vec![kept(run)];
    while !run.is_done() {
        if run.advance().unwrap().is_some() {
            all.push(kept(run));
        }
    }
    all
}

#[test]
fn weights_that_were_never_kept_grow_first() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            let mut run = session(&gpu, "random-unfired", storage);
            let lens = [0, 2, 4].map(|i| run.model.params[ParamId(i)].len() as u32);
            let mut ever: Vec<Vec<bool>> = lens.map(|len| vec![false; len as usize]).into();
            let mut before = kept(&run);
            let (mut some_left, mut none_left) = (0, 0);
            while !run.is_done() {
                let step = run.step as u32;
                if run.advance().unwrap().is_none() {
                    continue;
                }
                let after = kept(&run);
                for layer in 0..3 {
                    before[layer].iter().for_each(|&i| ever[layer][i as usize] = true);
                    let drops = (before[layer].len() as f64 * 0.4 + 1e-6) as usize;
                    // The largest numbers of those that were never kept, drawn for this step.
                    let number = |i: u32| 1.0 + uniform(SEED, Stream::Growth, step, 2 * layer as u32, i);
                    let mut fresh: Vec<u32> =
                        (0..lens[layer]).filter(|&i| !ever[layer][i as usize]).collect();
                    fresh.sort_by(|&a, &b| number(b).total_cmp(&number(a)).then(a.cmp(&b)));
                    let left = fresh.len();
                    fresh.truncate(drops);
                    fresh.sort_unstable();
                    let came: Vec<u32> =
                        after[layer].iter().copied().filter(|&i| !ever[layer][i as usize]).collect();
                    assert_eq!(came, fresh, "{storage}, layer {layer} at step {step}: {left} were left");
                    assert_eq!(after[layer].len(), before[layer].len());
                    *if left < drops { &mut none_left } else { &mut some_left } += 1;
                }
                before = after;
            }
            assert!(some_left > 3 && none_left > 3, "both come about: {some_left} and {none_left}");
        }
    }
}

/// All weights are explored sooner than by a plain draw; the same seed explores the same, however weights are stored.
#[test]
fn the_same_seed_explores_the_same_and_more_than_a_plain_draw() {
    for gpu in everywhere() {
        let [masked, again, packed] = ["masked", "masked", "packed"]
            .map(|storage| explored(&mut session(&gpu, "random-unfired", storage)));
        assert_eq!(masked, again);
        assert_eq!(masked, packed, "on {:?}", gpu.identity());
        let plain = explored(&mut session(&gpu, "random", "masked"));
        let count = |masks: &[Vec<Vec<u32>>]| {
            let mut all: Vec<u32> = masks.iter().flat_map(|layers| layers[0].iter().copied()).collect();
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        // After three updates of a layer that keeps 288 of 960: 288 and three times 115.
        assert_eq!(count(&masked[..4]), 288 + 3 * 115);
        assert!(count(&plain[..4]) < count(&masked[..4]) - 30, "{}", count(&plain[..4]));
    }
}

#[test]
fn resuming_anywhere_changes_no_bit() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            let build = || session(&gpu, "random-unfired", storage);
            let (mut whole, mut snapshots) = (build(), Vec::new());
            while !whole.is_done() {
                snapshots.push(whole.snapshot().unwrap());
                whole.advance().unwrap();
            }
            let want = whole.snapshot().unwrap().digest;
            for snapshot in snapshots.iter().skip(1).step_by(3) {
                let mut again = build();
                again.restore(snapshot).unwrap();
                assert_eq!(again.snapshot().unwrap().digest, snapshot.digest);
                while !again.is_done() {
                    again.advance().unwrap();
                }
                assert_eq!(again.snapshot().unwrap().digest, want, "{storage}, from step {}", snapshot.step);
            }
            let mut without = snapshots[5].clone();
            without.arrays.remove("fc2.weight.ever").expect("a checkpoint holds it");
            let error = build().restore(&without).unwrap_err().to_string();
            assert!(error.contains("`fc2.weight.ever` is missing"), "{error}");
        }
    }
}

/// A draw has no gradient that new weights could start with.
#[test]
fn values_of_gradients_are_refused() {
    let text = "data = { name = 'bytes' }\nmodel = { preset = 'mlp', hidden = [8] }\noptim = { name = 'sgd', lr = 0.1 }\nsparsity = { method = 'set', target = 0.5, \
                growth = { by = 'random-unfired', value = 'gradient' } }";
    let recipe = Recipe::parse(text, "test", &[]).unwrap();
    let made = Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default());
    let said = made.err().expect("refused").to_string();
    assert!(said.contains("computes no gradient") && said.contains("by = \"random-unfired\""), "{said}");
}
