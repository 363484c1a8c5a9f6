//! Every pruning method with every optimizer: resuming in the middle of anything gives the same digest, held weights and
//! their slots are exactly 0 after every step, and the same seed gives the same masks.

mod common;
#[path = "matrix/convolutions.rs"]
mod convolutions;
#[path = "matrix/recurrent.rs"]
mod recurrent;

use std::collections::BTreeMap;

use coppice::data::{Dataset, Source, Split};
use coppice::error::{Kind, Result};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::optim;
use coppice::param::{MaskMode, ParamId};
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::sparsity::methods;
use coppice::store::{Array, Arrays};
use coppice::train::{Initial, Session};

/// A recipe's section for each method, with updates, phases and ends in the middle of epochs of a run of 20 steps.
fn section(method: &str) -> &'static str {
    match method {
        "none" => "method = 'none'",
        "static" => "method = 'static', target = 0.7",
        "held" => "method = 'held'",
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
    Dataset::from_arrays(Source::new("sums", vec![16], 2, train, test), 0.0).unwrap()
}

fn recipe(sparsity: &str, optimizer: &str) -> Recipe {
    recipe_with(sparsity, optimizer, &[])
}

fn recipe_with(sparsity: &str, optimizer: &str, more: &[&str]) -> Recipe {
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    let text = format!(
        "run = {{ epochs = 5, batch = 16, seed = 4 }}\ndata = {{ name = 'sums', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [16, 8] }}\noptim = {{ name = '{optimizer}', lr = 0.02 }}\n\
         sparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", &more).unwrap()
}

fn build(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Session {
    try_to_build(gpu, recipe, data).unwrap()
}

/// Weights of a file have zeros for those methods that look for some.
fn try_to_build(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Session> {
    if recipe.sparsity.method != "held" {
        return Session::new(gpu, recipe, data, Choices::default());
    }
    let shapes = [("fc1", 16, 16), ("fc2", 8, 16), ("head", 2, 8)];
    let mut arrays = Arrays::new();
    for (layer, outputs, inputs) in shapes {
        let value = |i: u32| uniform(11, Stream::Test, 0, outputs as u32, i) - 0.5;
        let kept = |i: u32| if i.is_multiple_of(3) { value(i) } else { 0.0 };
        let weights: Vec<f32> = (0..(outputs * inputs) as u32).map(kept).collect();
        arrays.insert(format!("{layer}.weight"), Array::f32([outputs, inputs], &weights));
        arrays.insert(format!("{layer}.bias"), Array::f32([outputs], &vec![0.0; outputs]));
    }
    let initial = Initial::matched(arrays, recipe, data)?;
    Session::starting_from(gpu, recipe, data, Choices::default(), Some(&initial))
}

/// Weights and slots behind held masks.
fn leaks(run: &Session) -> usize {
    let mut count = 0;
    for param in &run.model.params {
        if param.mask_mode() != MaskMode::Held || param.packed().is_some() {
            continue;
        }
        let mask = param.read_mask().unwrap();
        let slots = param.slots().map(|slot| slot.read_f32().unwrap());
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
            let recipe = recipe(section(method.name), optimizer.name);
            let pair = format!("{} with {}", method.name, optimizer.name);
            goes_on(&gpu, &recipe, &data, &[1, 3, 7, 8, 10, 14, 19], &pair);
        }
    }
}

/// The same on a device, with two optimizers; and a second run has the digests of the first.
#[test]
fn every_method_goes_on_on_devices_and_twice_the_same() {
    let data = data();
    for gpu in common::devices().into_iter().filter(Gpu::is_device) {
        for method in methods::ALL {
            for optimizer in ["sgd", "diffgrad"] {
                let recipe = recipe(section(method.name), optimizer);
                let pair = format!("{} with {optimizer}", method.name);
                goes_on_from(&gpu, &recipe, &data, &[&[8, 13]], &pair);
            }
        }
    }
}

/// Runs to the end, and again from each of these steps: every second one in turn by one run that stops there and goes on as
/// another session, the others by another such run. Digests must be equal at every stop and at the end. Returns the masks
/// of the end.
fn goes_on(gpu: &Gpu, recipe: &Recipe, data: &Dataset, stops: &[u64], context: &str) -> Vec<Vec<u32>> {
    let every_second = |first: usize| stops.iter().copied().skip(first).step_by(2).collect::<Vec<u64>>();
    goes_on_from(gpu, recipe, data, &[&every_second(0), &every_second(1)], context)
}

fn goes_on_from(
    gpu: &Gpu,
    recipe: &Recipe,
    data: &Dataset,
    chains: &[&[u64]],
    context: &str,
) -> Vec<Vec<u32>> {
    goes_on_built(&|| build(gpu, recipe, data), gpu, chains, context)
}

fn goes_on_built(build: &dyn Fn() -> Session, gpu: &Gpu, chains: &[&[u64]], context: &str) -> Vec<Vec<u32>> {
    let mut whole = build();
    let mut digests = BTreeMap::new();
    while !whole.is_done() {
        whole.advance().unwrap();
        // On devices this would wait for every slot of every step.
        assert!(gpu.is_device() || leaks(&whole) == 0, "{context}, step {}", whole.step);
        if whole.is_done() || chains.iter().any(|stops| stops.contains(&whole.step)) {
            digests.insert(whole.step, whole.snapshot().unwrap().digest);
        }
    }
    for stops in chains {
        let mut run = build();
        while !run.is_done() {
            run.advance().unwrap();
            let stops_here = stops.contains(&run.step);
            if stops_here || run.is_done() {
                let snapshot = run.snapshot().unwrap();
                assert_eq!(
                    snapshot.digest, digests[&run.step],
                    "{context}, step {}, stops {stops:?}",
                    run.step
                );
                if stops_here {
                    run = build();
                    run.restore(&snapshot).unwrap();
                }
            }
        }
    }
    masks(&whole)
}

fn masks(run: &Session) -> Vec<Vec<u32>> {
    run.model.params.iter().map(|param| param.read_mask().unwrap()).collect()
}

/// Slots that do not exist yet, that have just begun at 0, and those of a layer that has long been training.
#[test]
fn unfreezing_goes_on_with_every_optimizer() {
    let (gpu, data) = (Gpu::twin(), data());
    for method in ["none", "gmp", "set"] {
        for optimizer in optim::ALL {
            let phases = "unfreeze={groups=[['head'],['fc2'],['fc1']],phases=['7','14']}";
            let recipe = recipe_with(section(method), optimizer.name, &[phases]);
            let context = format!("{method} with {}", optimizer.name);
            goes_on(&gpu, &recipe, &data, &[1, 6, 7, 8, 13, 14, 15, 19], &context);
        }
    }
}

/// Packed slots move with their values where masks change, and stay where they do not.
#[test]
fn packed_weights_go_on_with_every_optimizer() {
    let data = data();
    for gpu in [Gpu::twin(), common::device()] {
        let stops = if gpu.is_device() { &[5, 13][..] } else { &[1, 4, 5, 13, 19] };
        for method in ["static", "held", "rigl"] {
            for optimizer in optim::ALL {
                let recipe = recipe(
                    &format!("{}, storage = 'packed', distribution = 'uniform'", section(method)),
                    optimizer.name,
                );
                let start = build(&gpu, &recipe, &data);
                assert!(start.model.params.iter().step_by(2).all(|param| param.packed().is_some()));
                let context = format!("{method} with {} on {:?}", optimizer.name, gpu.identity());
                let end = goes_on(&gpu, &recipe, &data, stops, &context);
                assert_eq!(end != masks(&start), method == "rigl", "{context}");
            }
        }
    }
}

/// Methods that prune before the first forward pass, in its first step.
const AT_ONCE: [&str; 10] = [
    "method = 'oneshot', target = 0.7, schedule = { type = 'oneshot', begin = '0' }",
    "method = 'gmp', target = 0.8, init = 0.5, schedule = { begin = '0', end = '13', every = '3' }",
    "method = 'gmp', target = 0.8, init = 0.5, latent = true, distribution = 'erk', schedule = { begin = '0', end = '13', every = '3' }",
    "method = 'asp', pattern = '2:4', permute = false, schedule = { type = 'oneshot', begin = '0' }",
    "method = 'ste', pattern = '1:4'",
    "method = 'sr-ste', pattern = '3:7'",
    "method = 'mdgf', pattern = '1:4', dense = 0.0",
    "method = 'sdgf', pattern = '2:5', dense = 0.0",
    "method = 'top-kast', target = 0.7",
    "method = 'str', start = -1.0",
];

/// Before anything is added up all adapters have equal numbers to decide by, the draws of the start and the first weights:
/// their masks are the twin's. Later weights are sums, rounded as each adapter does it, and the smallest of two may be
/// another.
#[test]
fn masks_by_equal_numbers_are_those_of_the_twin() {
    let data = data();
    for gpu in common::devices().into_iter().filter(Gpu::is_device) {
        for storage in ["masked", "packed"] {
            for method in ["static", "held", "granet", "set", "rigl", "snfs"] {
                let recipe = recipe(&format!("{}, storage = '{storage}'", section(method)), "sgd");
                let [own, twin] = [&gpu, &Gpu::twin()].map(|gpu| masks(&build(gpu, &recipe, &data)));
                assert_eq!(own, twin, "{method}, {storage}, at the start on {:?}", gpu.identity());
            }
        }
        for sparsity in AT_ONCE {
            let recipe = recipe(sparsity, "sgd");
            let [own, twin] = [&gpu, &Gpu::twin()].map(|gpu| {
                let mut run = Session::new(gpu, &recipe, &data, Choices::default()).unwrap();
                let kept = run.advance().unwrap().expect(sparsity).kept;
                assert!(kept < 400, "{sparsity}: {kept} of 400 weights");
                masks(&run)
            });
            assert_eq!(own, twin, "{sparsity}, on {:?}", gpu.identity());
        }
    }
}

/// A parameter, and what is said where one of its values is not a number right before the last mask update of a run.
/// Parameters are fc1's weight and bias, fc2's, and the head's: 0 to 5. Where the output is not a number, as with the
/// head's bias, every gradient is none.
fn faults(method: &str) -> &'static [(usize, &'static str)] {
    match method {
        // No mask update looks: the loss tells.
        "none" | "static" | "held" => &[(5, "the loss is not finite")],
        "set" => &[(0, "weights of `fc1.weight` are not a number"), (5, "the loss is not finite")],
        "rigl" | "granet" => &[
            (0, "1 weights of `fc1.weight` are not a number"),
            (5, "gradients of `fc1.weight` are not a number"),
        ],
        "snfs" => &[
            (0, "weights of `fc1.weight` are not a number"),
            (5, "running means of the gradient of `fc1.weight` are not a number"),
        ],
        "snip" => &[(0, "scores of `fc1.weight`"), (5, "scores of `fc1.weight`")],
        // In its passes with moved weights hidden units are not numbers, and their gradients pass no ReLU to fc1.
        "grasp" => {
            &[(0, "scores of `fc1.weight`"), (2, "scores of `fc2.weight`"), (5, "scores of `fc2.weight`")]
        }
        // What is rewound is a number again.
        "imp" => &[(2, "1 weights or scores of `fc2.weight`")],
        "gmp" | "oneshot" | "asp" | "top-kast" => {
            &[(2, "1 weights or scores of `fc2.weight`"), (5, "the loss is not finite")]
        }
        _ => &[(2, "1 weights of `fc2.weight` are not a number"), (5, "the loss is not finite")],
    }
}

/// Where what masks are made by is not a number, the layer is named, masked and packed.
#[test]
fn what_is_not_a_number_is_refused_by_every_method() {
    let data = data();
    for gpu in common::everywhere() {
        let mut packed = Vec::new();
        for method in methods::ALL {
            for storage in ["masked", "packed"] {
                let recipe = recipe(&format!("{}, storage = '{storage}'", section(method.name)), "sgd");
                for &(param, said) in faults(method.name) {
                    let context = format!("{}, {storage}, parameter {param}", method.name);
                    let mut run = match try_to_build(&gpu, &recipe, &data) {
                        Ok(run) => run,
                        Err(error) => {
                            assert!(storage == "packed", "{context}: {error}");
                            assert!(error.to_string().contains("cannot be packed"), "{context}: {error}");
                            continue;
                        }
                    };
                    let due = |step: &u64| run.pruner.as_ref().is_some_and(|p| p.due(*step).is_some());
                    let last = (0..20).rev().find(due).unwrap_or(7);
                    while run.step < last {
                        run.advance().unwrap();
                    }
                    let one = &run.model.params[ParamId(param)];
                    let tensor = one.stored()[0];
                    let mut values = tensor.read_f32().unwrap();
                    // The largest: it is kept.
                    let size = |&i: &usize| values[i].abs();
                    let at = (0..values.len()).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
                    values[at] = f32::NAN;
                    tensor.write(&values).unwrap();
                    if one.packed().is_some() && packed.last() != Some(&method.name) {
                        packed.push(method.name);
                    }
                    let error = run.advance().and_then(|_| run.take_totals()).expect_err(&context);
                    assert!(
                        error.kind == Kind::Numbers && error.to_string().contains(said),
                        "{context}: {error}"
                    );
                }
            }
        }
        // The others are packed by that update for the first time, or never; static has none.
        assert_eq!(packed, ["gmp", "granet", "imp", "set", "rigl", "snfs"]);
    }
}

/// What the sections above leave at their defaults.
const OPTIONS: [&str; 5] = [
    "method = 'gmp', target = 0.8, distribution = 'uniform', in_turn = true, schedule = { begin = '2', end = '11', every = '6' }",
    "method = 'gmp', target = 0.8, distribution = 'er', schedule = { begin = '2', end = '13', every = '3' }",
    "method = 'rigl', target = 0.7, distribution = 'er', schedule = { end = '15', every = '3' }, growth = { fraction = { type = 'exponential', power = 2.0 } }",
    "method = 'rigl', target = 0.7, schedule = { end = '15', every = '3' }, skip_update = false",
    "method = 'granet', target = 0.8, init = 0.4, schedule = { begin = '2', end = '13', every = '3' }, growth = { by = 'random-unfired' }",
];

#[test]
fn other_options_go_on_from_anywhere() {
    let data = data();
    for gpu in common::everywhere() {
        for sparsity in OPTIONS {
            for storage in ["masked", "packed"] {
                let recipe = recipe(&format!("{sparsity}, storage = '{storage}'"), "adam");
                let every = if gpu.is_device() { 5 } else { 1 };
                let stops: Vec<u64> = (2..20).step_by(every).collect();
                goes_on(&gpu, &recipe, &data, &stops, &format!("{sparsity}, {storage}"));
            }
        }
    }
}

/// Of linear layers ER and ERK are one formula; uniform is another.
#[test]
fn er_of_linear_layers_is_erk() {
    let kept = |distribution: &str| -> Vec<usize> {
        let sparsity = format!("method = 'static', target = 0.7, distribution = '{distribution}'");
        let run = Session::new(&Gpu::twin(), &recipe(&sparsity, "sgd"), &data(), Choices::default()).unwrap();
        run.model.params.iter().step_by(2).map(|param| param.kept().unwrap()).collect()
    };
    assert_eq!(kept("er"), kept("erk"));
    assert_ne!(kept("er"), kept("uniform"));
    assert_eq!(kept("er").iter().sum::<usize>(), 120, "three tenths of 16 x 16 + 16 x 8 + 8 x 2");
}

/// `skip_update = true` leaves the optimizer out on the step of a mask update, and its count of steps where it was.
#[test]
fn rigl_rests_on_updates_or_does_not() {
    let data = data();
    for gpu in common::everywhere() {
        for rests in [true, false] {
            let sparsity = format!(
                "method = 'rigl', target = 0.7, schedule = {{ begin = '3', end = '15', every = '3' }}, skip_update = {rests}"
            );
            let recipe = recipe(&sparsity, "adam");
            let mut run = Session::new(&gpu, &recipe, &data, Choices::default()).unwrap();
            for _ in 0..3 {
                assert!(run.advance().unwrap().is_none());
            }
            // The head's bias has no mask: what moves it is the optimizer.
            let bias = |run: &Session| run.model.params[ParamId(5)].read().unwrap();
            let weights = |run: &Session| -> (Vec<u32>, Vec<f32>) {
                let param = &run.model.params[ParamId(0)];
                (param.indices().unwrap(), param.read().unwrap())
            };
            let (before, (kept, values)) = (bias(&run), weights(&run));
            assert!(run.advance().unwrap().is_some(), "masks are updated at step 3");
            let (places, after) = weights(&run);
            assert_eq!(bias(&run) == before, rests);
            let stayed = places.iter().filter(|place| kept.contains(place)).map(|&place| place as usize);
            let (still, moved): (Vec<usize>, Vec<usize>) = stayed.partition(|&i| after[i] == values[i]);
            assert!(
                if rests { moved.is_empty() } else { moved.len() > still.len() },
                "skip_update = {rests}"
            );
            // Adam divides its averages by 1 - beta^t, where t counts the steps that it has made.
            let before = bias(&run);
            run.advance().unwrap();
            let own = &run.model.params[ParamId(5)];
            let [m, v] = ["first", "second"].map(|slot| own.companion(slot).unwrap().read_f32().unwrap());
            let t = if rests { 4 } else { 5 };
            for (i, (now, was)) in bias(&run).into_iter().zip(before).enumerate() {
                let (m, v) =
                    (f64::from(m[i]) / (1.0 - 0.9f64.powi(t)), f64::from(v[i]) / (1.0 - 0.999f64.powi(t)));
                let (want, got) = (-0.02 * m / (v.sqrt() + 1e-8), f64::from(now) - f64::from(was));
                // One t more or less is worth 5 %; a difference of weights below 1 is off by 1e-7.
                assert!((got - want).abs() <= 1e-3 * want.abs() + 2e-7, "{i}: moved by {got}, not {want}");
                assert!(want.abs() > 1e-4, "{i}: moved by more than the bound");
            }
        }
    }
}

/// Steps of several micro-batches: the last one of an epoch has fewer.
#[test]
fn every_method_goes_on_with_accumulated_gradients() {
    let (gpu, data) = (Gpu::twin(), data());
    for method in methods::ALL {
        let more = ["run.batch=8", "run.accumulate=3", "run.epochs=7"];
        let recipe = recipe_with(section(method.name), "adam", &more);
        goes_on(&gpu, &recipe, &data, &[2, 3, 8, 10, 14], method.name);
    }
}
