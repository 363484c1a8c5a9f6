//! The noise of gradients at the end of a run: what its batches have each, the same wherever the run was stopped, and
//! nothing of it stays behind.

mod common;

use common::everywhere;
use coppice::data;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Noise, Session, Summary, train};

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

/// 21 batches an epoch, the last of 13 samples.
fn session(gpu: &Gpu, more: &[&str]) -> Session {
    let text = "
        run = { epochs = 2, batch = 64, seed = 5 }
        data = { name = 'digits' }
        model = { preset = 'mlp', hidden = [32, 16] }
        optim = { name = 'adam', lr = 0.01 }";
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    let recipe = Recipe::parse(text, "test", &more).unwrap();
    Session::new(gpu, &recipe, &data::open("digits", 0.1).unwrap(), Choices::default()).unwrap()
}

fn run(session: &mut Session, control: &Control) -> Summary {
    train(session, control, &mut |_| Ok(())).unwrap()
}

/// Where the learning rate is 0 weights stay as they are, so that each of the last sixteen steps has the gradient that
/// its batch has at the end; masks and what is left of pruned weights, too.
#[test]
fn it_is_the_mean_of_the_last_sixteen_batches() {
    let methods = [
        "sparsity={method='sr-ste',pattern='1:4'}",
        "sparsity={method='mdgf',pattern='1:4',finetune=0.5}",
        "sparsity={method='static',target=0.9,storage='packed'}",
        "sparsity={method='static',target=0.5,storage='masked'}",
    ];
    for gpu in everywhere() {
        for method in methods {
            let mut session = session(&gpu, &["optim.lr=0.0", method]);
            let mut steps: Vec<Vec<Noise>> = Vec::new();
            while !session.is_done() {
                assert!(session.noise_at_end().unwrap().is_none(), "not before the end");
                session.advance().unwrap();
                steps.push(session.noise().unwrap());
            }
            let found = session.noise_at_end().unwrap().unwrap();
            assert_eq!((found.batches, steps.len()), (16, 42));
            let last = &steps[26..];
            for (i, layer) in found.layers.iter().enumerate() {
                let context = format!("{} by {method} on {:?}", layer.name, gpu.identity().backend);
                let mean =
                    |of: &dyn Fn(&Noise) -> f64| last.iter().map(|all| of(&all[i])).sum::<f64>() / 16.0;
                let close = |got: f64, want: f64| (got - want).abs() <= 1e-12 * want;
                assert!(layer.variance > 0.0 && close(layer.variance, mean(&|n| n.variance)), "{context}");
                assert!(close(layer.mean, mean(&|n| n.mean)), "{context}");
                let largest = last.iter().map(|all| all[i].largest).fold(0.0, f64::max);
                assert_eq!(layer.largest, largest, "{context}");
                assert_eq!(layer.second_variance, last[15][i].second_variance, "{context}");
                assert_ne!(layer.variance, last[15][i].variance, "batches differ, {context}");
            }
        }
    }
}

/// Methods that keep something besides weights and slots, and one that distils.
#[test]
fn it_is_the_same_wherever_a_run_was_stopped_and_leaves_nothing_behind() {
    let kinds: [&[&str]; 6] = [
        &["sparsity={method='sr-ste',pattern='1:4'}"],
        &["sparsity={method='mdgf',pattern='1:4',freeze=true}"],
        &["sparsity={method='snfs',target=0.8,storage='masked'}"],
        &["sparsity={method='snfs',target=0.8,storage='packed'}"],
        &["sparsity={method='str'}"],
        &["sparsity={method='gmp',target=0.8}", "distill.method=ps-kd"],
    ];
    for gpu in everywhere() {
        for more in kinds {
            let mut whole = session(&gpu, more);
            let summary = run(&mut whole, &FREE);
            assert!(summary.noise.as_ref().is_some_and(|noise| noise.batches == 16), "{more:?}");
            assert_eq!(whole.noise_at_end().unwrap(), summary.noise, "asked again, {more:?}");
            let mut stepped = session(&gpu, more);
            while !stepped.is_done() {
                stepped.advance().unwrap();
            }
            let arrays = |session: &Session| {
                session.take_totals().unwrap();
                session.snapshot().unwrap().arrays
            };
            assert!(arrays(&stepped) == arrays(&whole), "{more:?}");
            let before = stepped.snapshot().unwrap().digest;
            stepped.noise_at_end().unwrap().unwrap();
            assert_eq!(stepped.snapshot().unwrap().digest, before, "{more:?}");
            for stop in [20, 40] {
                let home = tempfile::tempdir().unwrap();
                let folder = Some(home.path().to_path_buf());
                let stopped = run(&mut session(&gpu, more), &Control { folder, stop_at: Some(stop), ..FREE });
                assert!(stopped.noise.is_none(), "it did not come to its end");
                let mut rest = session(&gpu, more);
                rest.restore(&checkpoint::load(home.path(), Which::Last).unwrap().0).unwrap();
                let rest = run(&mut rest, &FREE);
                assert_eq!(rest.noise, summary.noise, "{more:?}, stopped at {stop}");
                assert_eq!(rest.digest, summary.digest, "{more:?}, stopped at {stop}");
            }
        }
    }
}
