//! Every pruning method with every optimizer: resuming in the middle of anything gives the same digest, held weights and
//! their slots are exactly 0 after every step, and the same seed gives the same masks.

mod common;

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::optim;
use coppice::param::Flow;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::sparsity::methods;
use coppice::train::Session;

/// A recipe's section for each method, with updates, phases and ends in the middle of epochs of a run of 20 steps.
fn section(method: &str) -> &'static str {
    match method {
        "none" => "method = 'none'",
        "static" => "method = 'static', target = 0.7",
        "oneshot" => "method = 'oneshot', target = 0.7, schedule = { type = 'oneshot', begin = '7' }",
        "gmp" => "method = 'gmp', target = 0.8, schedule = { begin = '2', end = '13', every = '3' }",
        "granet" => {
            "method = 'granet', target = 0.8, init = 0.6, schedule = { begin = '2', end = '13', every = '3' }"
        }
        "snip" => "method = 'snip', target = 0.7",
        "grasp" => "method = 'grasp', target = 0.7",
        "set" => "method = 'set', target = 0.7, schedule = { end = '15', every = '3' }",
        "rigl" => "method = 'rigl', target = 0.7, schedule = { end = '15', every = '3' }",
        "snfs" => "method = 'snfs', target = 0.7, schedule = { end = '15', every = '3' }",
        "ste" => "method = 'ste', pattern = '1:4', schedule = { every = '3' }",
        "sr-ste" => "method = 'sr-ste', pattern = '1:4', schedule = { every = '3' }, dense = 0.2",
        "mdgf" => "method = 'mdgf', pattern = '1:4', schedule = { every = '3' }, finetune = 0.25",
        "sdgf" => "method = 'sdgf', pattern = '1:4', schedule = { every = '3' }, finetune = 0.25",
        "top-kast" => "method = 'top-kast', target = 0.7, schedule = { every = '3' }",
        "str" => "method = 'str', schedule = { every = '3' }, start = -1.0",
        "imp" => "method = 'imp', target = 0.5, rewind = '2'",
        "asp" => "method = 'asp', pattern = '2:4', schedule = { type = 'oneshot', begin = '7' }",
        other => panic!("method `{other}` has no example here"),
    }
}

/// 64 random samples of 16 numbers; two classes.
fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 16).map(|i| uniform(9, Stream::Test, 0, tensor, i) - 0.5).collect();
        let labels = values.chunks(16).map(|row| u8::from(row[0] + row[1] > 0.0)).collect();
        Split::floats(values, labels)
    };
    let (train, test) = (split(64, 0), split(16, 1));
    let (name, origin) = ("sums".to_string(), "made by the test".to_string());
    Dataset::from_arrays(
        Source { name, shape: vec![16], classes: 2, scale: 1.0, shift: 0.0, train, test, origin },
        0.0,
    )
    .unwrap()
}

fn session(gpu: &Gpu, method: &str, optimizer: &str, data: &Dataset) -> Session {
    let text = format!(
        "run = {{ epochs = 5, batch = 16, seed = 4 }}\ndata = {{ name = 'sums', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [16, 8] }}\noptim = {{ name = '{optimizer}', lr = 0.02 }}\n\
         sparsity = {{ {} }}",
        section(method)
    );
    Session::new(gpu, &Recipe::parse(&text, "test", &[]).unwrap(), data, Choices::default()).unwrap()
}

/// Weights and slots behind held masks.
fn leaks(run: &Session) -> usize {
    let mut count = 0;
    for (index, param) in run.model.params().into_iter().enumerate() {
        if param.flow != Flow::Held || param.packed.is_some() {
            continue;
        }
        let mask = param.read_mask().unwrap();
        let slots = run.optimizer.slots_of(index).iter().flatten().map(|slot| slot.read_f32().unwrap());
        for values in slots.chain([param.read().unwrap()]) {
            let behind = (0..values.len()).filter(|&i| mask[i / 32] >> (i % 32) & 1 == 0);
            count += behind.filter(|&i| values[i].to_bits() != 0).count();
        }
    }
    count
}

#[test]
fn every_method_goes_on_with_every_optimizer() {
    let (gpu, data) = (Gpu::twin(), data());
    for method in methods::ALL {
        for optimizer in optim::ALL {
            let build = || session(&gpu, method.name, optimizer.name, &data);
            let pair = format!("{} with {}", method.name, optimizer.name);
            let mut whole = build();
            let mut snapshots = Vec::new();
            while !whole.is_done() {
                whole.advance().unwrap();
                assert_eq!(leaks(&whole), 0, "{pair}, step {}", whole.step);
                if [1, 3, 7, 8, 10, 14, 19].contains(&whole.step) {
                    snapshots.push(whole.snapshot().unwrap());
                }
            }
            let want = whole.snapshot().unwrap().digest;
            for snapshot in snapshots {
                let mut second = build();
                second.restore(&snapshot).unwrap();
                while !second.is_done() {
                    second.advance().unwrap();
                }
                let at = snapshot.step;
                assert_eq!(second.snapshot().unwrap().digest, want, "{pair}, gone on from step {at}");
            }
        }
    }
}

/// The same on a device, with two optimizers; and what it keeps is what the twin keeps, as long as rounding lets it.
#[test]
fn every_method_goes_on_on_devices_and_twice_the_same() {
    let data = data();
    for gpu in common::devices().into_iter().filter(Gpu::is_device) {
        for method in methods::ALL {
            for optimizer in ["sgd", "diffgrad"] {
                let run = |stop: Option<u64>| {
                    let mut run = session(&gpu, method.name, optimizer, &data);
                    while !run.is_done() {
                        run.advance().unwrap();
                        if Some(run.step) == stop {
                            let snapshot = run.snapshot().unwrap();
                            run = session(&gpu, method.name, optimizer, &data);
                            run.restore(&snapshot).unwrap();
                        }
                    }
                    run.snapshot().unwrap().digest
                };
                let digests = [run(None), run(None), run(Some(8)), run(Some(13))];
                assert!(digests.iter().all(|d| *d == digests[0]), "{} with {optimizer}", method.name);
            }
        }
    }
}
