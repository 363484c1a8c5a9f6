//! `run.accumulate`: several micro-batches make the step that one batch of all their samples would.

mod common;

use coppice::data::{Dataset, Source, Split, open_with};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::train::Session;

const NUMBERS: &str = "data = { name = 'random:12', classes = 3, samples = 22, validation = 0.0 }";
const PICTURES: &str = "data = { name = 'random:2x6x6', classes = 3, samples = 22, validation = 0.0 }";
const TEXT: &str = "data = { name = 'shakespeare', context = 8, validation = 0.0 }";
const STREAMS: &str = "data = { name = 'shakespeare', context = 8, order = 'streams', validation = 0.0 }";

const MLP: &str = "{ preset = 'mlp', hidden = [16, 8] }";
const CNN: &str = "{ layer = [
    { type = 'conv2d', name = 'c0', out = 4, kernel = 3, padding = 1 }, { type = 'relu', name = 'a0' },
    { type = 'conv2d', name = 'c1', out = 4, kernel = 3 }, { type = 'relu', name = 'a1' },
    { type = 'max_pool', name = 'p0', kernel = 2, stride = 2 }, { type = 'linear', name = 'head', out = 3 }] }";
const NORM: &str = "{ layer = [
    { type = 'conv2d', name = 'c0', out = 4, kernel = 3 }, { type = 'batch_norm', name = 'n0' },
    { type = 'relu', name = 'a0' }, { type = 'linear', name = 'head', out = 3 }] }";
const GPT: &str =
    "{ preset = 'gpt', layers = 1, width = 8, heads = 2, hidden = 12, dropout = 0.0, tied = true }";
const LSTM: &str = "{ preset = 'lstm-lm', layers = 1, width = 8, units = 8, dropout = 0.0 }";

const DENSE: &str = "method = 'none'";
const SGD: &str = "{ name = 'sgd', lr = 0.1 }";

fn recipe(
    data: &str,
    model: &str,
    optim: &str,
    sparsity: &str,
    (batch, accumulate): (usize, usize),
) -> Recipe {
    let text = format!(
        "run = {{ steps = 30, batch = {batch}, accumulate = {accumulate}, seed = 5 }}\n{data}\nmodel = {model}\n\
         optim = {optim}\nsparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn session(recipe: &Recipe) -> Session {
    let data = open_with(&recipe.data.name, recipe.data.validation, &recipe.data.settings).unwrap();
    Session::new(&Gpu::twin(), recipe, &data, Choices::default()).unwrap()
}

/// The largest difference of two sets of tensors, as a share of the largest number of each tensor.
fn apart(one: &coppice::store::Arrays, other: &coppice::store::Arrays) -> f32 {
    assert!(one.keys().eq(other.keys()));
    let of = |(one, other): (&coppice::store::Array, &coppice::store::Array)| {
        let (one, other) = (one.to_f32(), other.to_f32());
        let largest = other.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let most = one
            .iter()
            .zip(&other)
            .fold(0.0f32, |most, (a, b)| if (a - b).abs() <= most { most } else { (a - b).abs() });
        if largest == 0.0 { most } else { most / largest }
    };
    one.values().zip(other.values()).map(of).fold(0.0, |most, x| if x <= most { most } else { x })
}

/// A sum of N numbers, each rounded once, is off by N half units of the last place of the largest; below, four of each.
const ROUNDING: f32 = 8.0 * f32::EPSILON;

#[test]
fn micro_batches_make_the_step_of_one_large_batch() {
    for (data, model, batch) in [(NUMBERS, MLP, 8), (PICTURES, CNN, 8), (TEXT, GPT, 8)] {
        for optim in [SGD, "{ name = 'sgd', lr = 0.1, clip = 0.5 }"] {
            let mut large = session(&recipe(data, model, optim, DENSE, (batch, 1)));
            for parts in [2, 4] {
                let mut small = session(&recipe(data, model, optim, DENSE, (batch / parts, parts)));
                let context = format!("{model} in {parts} parts, {optim}");
                assert_eq!(small.length, large.length, "{context}");
                let mut whole = session(&recipe(data, model, optim, DENSE, (batch, 1)));
                whole.advance().unwrap();
                small.advance().unwrap();
                assert_eq!(small.samples_of(0).unwrap(), whole.samples_of(0).unwrap());
                let off = apart(&small.grads().unwrap(), &whole.grads().unwrap());
                assert!(off <= parts as f32 * ROUNDING, "{context}: gradients are off by {off:e}");
                // The last step of the first epoch has 6 samples of the 22; errors of steps add up.
                for _ in 1..4 {
                    whole.advance().unwrap();
                    small.advance().unwrap();
                }
                let off = apart(&small.weights().unwrap(), &whole.weights().unwrap());
                assert!(off <= 1e-5, "{context}: weights are off by {off:e}");
                let [one, other] = [&small, &whole].map(|run| run.take_totals().unwrap());
                assert_eq!((one.answers, one.hits), (other.answers, other.hits), "{context}");
                assert!((one.mean_loss() - other.mean_loss()).abs() <= 1e-5 * other.mean_loss(), "{context}");
            }
            // The comparison notices a step that lacks a part.
            let mut less = session(&recipe(data, model, optim, DENSE, (batch / 2, 1)));
            less.advance().unwrap();
            large.advance().unwrap();
            assert!(apart(&less.grads().unwrap(), &large.grads().unwrap()) > 0.01);
        }
    }
}

/// Growth of packed weights goes by the gradient of all micro-batches, also in the last step of an epoch, which has fewer.
#[test]
fn packed_weights_grow_where_masked_ones_do() {
    let methods = [
        "method = 'rigl', target = 0.7, schedule = { end = '25', every = '1' }",
        "method = 'rigl', target = 0.7, schedule = { end = '25', every = '2' }",
        "method = 'granet', target = 0.8, init = 0.6, schedule = { begin = '2', end = '20', every = '3' }",
        "method = 'snfs', target = 0.7, schedule = { end = '25', every = '2' }",
    ];
    for method in methods {
        let of = |storage: &str, parts| {
            let sparsity = format!("{method}, storage = '{storage}'");
            session(&recipe(NUMBERS, MLP, SGD, &sparsity, parts))
        };
        let masks = |run: &Session| -> Vec<Vec<u32>> {
            run.model.params.iter().map(|param| param.read_mask().unwrap()).collect()
        };
        let (mut masked, mut packed, mut first) =
            (of("masked", (4, 3)), of("packed", (4, 3)), of("masked", (4, 1)));
        let (mut changed, mut differs) = (0, false);
        while !masked.is_done() {
            let before = masks(&masked);
            let (one, other) = (masked.advance().unwrap(), packed.advance().unwrap());
            first.advance().unwrap();
            assert_eq!(one.is_some(), other.is_some());
            let now = masks(&masked);
            assert_eq!(now, masks(&packed), "{method}, step {}", masked.step);
            changed += usize::from(now != before);
            differs |= now != masks(&first);
        }
        assert!(changed > 4 && differs, "{method}: {changed} changes");
    }
}

/// 24 times the same sample.
fn same() -> Dataset {
    let sample: Vec<f32> = (0..16).map(|i| uniform(3, Stream::Test, 0, 0, i)).collect();
    let split = |count: usize| Split::floats(sample.repeat(count), vec![1; count]);
    Dataset::from_arrays(Source::new("same", vec![16], 2, split(24), split(4)), 0.0).unwrap()
}

#[test]
fn each_micro_batch_draws_what_it_drops() {
    let model = "{ layer = [{ type = 'dropout', name = 'drop', p = 0.5 }, { type = 'linear', name = 'head', out = 2 }] }";
    let grads = |parts| {
        let recipe = recipe("data = { name = 'same', validation = 0.0 }", model, SGD, DENSE, parts);
        let mut run = Session::new(&Gpu::twin(), &recipe, &same(), Choices::default()).unwrap();
        run.advance().unwrap();
        run.grads().unwrap()
    };
    // Did both halves drop alike, their mean would be that of one half.
    assert!(apart(&grads((8, 2)), &grads((8, 1))) > 0.01);
}

/// With a rate of next to nothing weights stay, and two steps of one batch see what one step of two sees.
#[test]
fn statistics_and_states_go_from_micro_batch_to_micro_batch() {
    let still = "{ name = 'sgd', lr = 1e-35 }";
    for (data, model, part) in [(PICTURES, NORM, "running"), (STREAMS, LSTM, "carried/")] {
        let state = |steps, parts| {
            let mut run = session(&recipe(data, model, still, DENSE, parts));
            (0..steps).for_each(|_| drop(run.advance().unwrap()));
            let mut arrays = run.snapshot().unwrap().arrays;
            arrays.retain(|name, _| name.contains(part));
            arrays
        };
        let once = state(1, (4, 2));
        assert!(!once.is_empty());
        assert_eq!(once, state(2, (4, 1)), "{part}");
        assert_ne!(once, state(1, (4, 1)), "{part}");
    }
}

#[test]
fn a_step_takes_the_memory_of_one_micro_batch() {
    let activations = |parts| session(&recipe(PICTURES, CNN, SGD, DENSE, parts)).memory().activations;
    let (one, two, four) = (activations((4, 1)), activations((4, 2)), activations((4, 4)));
    assert_eq!(two, four);
    let gradients = session(&recipe(PICTURES, CNN, SGD, DENSE, (4, 1))).memory().gradients;
    assert!(two <= one + gradients, "{two} bytes, {one} without");
    let packed = "method = 'rigl', target = 0.7, storage = 'packed'";
    let kept = |parts| session(&recipe(NUMBERS, MLP, SGD, packed, parts)).memory().activations;
    assert!(kept((4, 4)) > kept((4, 2)), "what growth multiplies is kept of each");
}
