//! `run.recompute`: the same bits in less memory.

mod common;

use coppice::data::open_with;
use coppice::gpu::{Gpu, Phase};
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::train::Session;

const PICTURES: &str = "data = { name = 'random:3x12x12', classes = 4, samples = 96, validation = 0.0 }";
const TEXT: &str = "data = { name = 'shakespeare', context = 16, validation = 0.0 }";
const STREAMS: &str = "data = { name = 'shakespeare', context = 16, order = 'streams', validation = 0.0 }";

/// Eight convolutions, each with an activation that reads its input in the backward pass.
const CNN: &str = "{ layer = [
    { type = 'conv2d', name = 'c0', out = 8, kernel = 3, padding = 1 }, { type = 'gelu', name = 'a0' },
    { type = 'conv2d', name = 'c1', out = 8, kernel = 3, padding = 1 }, { type = 'gelu', name = 'a1' },
    { type = 'conv2d', name = 'c2', out = 8, kernel = 3, padding = 1 }, { type = 'silu', name = 'a2' },
    { type = 'conv2d', name = 'c3', out = 8, kernel = 3, padding = 1 }, { type = 'relu', name = 'a3' },
    { type = 'max_pool', name = 'p0', kernel = 3, stride = 1, padding = 1 },
    { type = 'conv2d', name = 'c4', out = 8, kernel = 3, padding = 1 }, { type = 'gelu', name = 'a4' },
    { type = 'conv2d', name = 'c5', out = 8, kernel = 3, padding = 1 }, { type = 'gelu', name = 'a5' },
    { type = 'conv2d', name = 'c6', out = 8, kernel = 3, padding = 1 }, { type = 'gelu', name = 'a6' },
    { type = 'max_pool', name = 'p1', kernel = 2, stride = 2 },
    { type = 'linear', name = 'head', out = 4 }] }";
/// So shallow that recomputation gains nothing.
const SHALLOW: &str = "{ preset = 'cnn', width = 0.25 }";
const RESNET: &str = "{ preset = 'resnet20', width = 0.25 }";
const GPT: &str = "{ preset = 'gpt', layers = 4, width = 24, heads = 3, hidden = 40, dropout = 0.1 }";
/// The state of the LSTM goes along from batch to batch: it is not called twice, its neighbours are.
const LSTM: &str = "{ layer = [
    { type = 'embedding', name = 'embed', out = 64 },
    { type = 'linear', name = 'f0', out = 64 }, { type = 'gelu', name = 'a0' },
    { type = 'linear', name = 'f1', out = 64 }, { type = 'gelu', name = 'a1' },
    { type = 'linear', name = 'f2', out = 64 }, { type = 'gelu', name = 'a2' },
    { type = 'linear', name = 'f3', out = 64 }, { type = 'gelu', name = 'a3' },
    { type = 'linear', name = 'in', out = 64 }, { type = 'lstm', name = 'lstm', carry = true },
    { type = 'dropout', name = 'drop', p = 0.2 },
    { type = 'linear', name = 'f4', out = 64 }, { type = 'gelu', name = 'a4' },
    { type = 'linear', name = 'f5', out = 64 }, { type = 'gelu', name = 'a5' },
    { type = 'linear', name = 'f6', out = 64 }, { type = 'gelu', name = 'a6' },
    { type = 'linear', name = 'f7', out = 64 }, { type = 'gelu', name = 'a7' },
    { type = 'linear', name = 'head', out = 256 }] }";
/// It begins anew with each window.
const WINDOWS: &str =
    "{ preset = 'lstm-lm', layers = 3, width = 16, units = 16, dropout = 0.2, carry = false }";

const DENSE: &str = "method = 'none'";
const MASKED: &str =
    "method = 'rigl', target = 0.8, storage = 'masked', schedule = { every = '2', end = '80%' }";
const PACKED: &str =
    "method = 'rigl', target = 0.8, storage = 'packed', schedule = { every = '2', end = '80%' }";
const GMP: &str = "method = 'gmp', target = 0.9, storage = 'packed', schedule = { every = '2', end = '60%' }";

fn recipe(data: &str, model: &str, sparsity: &str, bits: &str, recompute: bool) -> Recipe {
    let text = format!(
        "run = {{ steps = 8, batch = 10, seed = 3, activations = '{bits}', recompute = {recompute} }}\n{data}\n\
         model = {model}\noptim = {{ name = 'sgd', lr = 0.05, momentum = 0.9 }}\nsparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    let data = open_with(&recipe.data.name, recipe.data.validation, &recipe.data.settings).unwrap();
    Session::new(gpu, recipe, &data, Choices::default()).unwrap()
}

/// What a step has left.
#[derive(PartialEq)]
struct Left {
    loss: f32,
    gradients: Vec<Vec<f32>>,
    digest: String,
}

/// What each of five steps has left, and the operations that are computed again in one.
fn train(gpu: &Gpu, recipe: &Recipe) -> (Vec<Left>, u64) {
    let mut session = session(gpu, recipe);
    let mut step = |_| {
        session.advance().unwrap();
        let gradients = session.model.params.iter().map(|param| param.read_grad().unwrap()).collect();
        let (loss, digest) = (session.take_totals().unwrap().loss, session.snapshot().unwrap().digest);
        Left { loss, gradients, digest }
    };
    let steps = (0..5).map(&mut step).collect();
    let again = session.plans().iter().map(|plan| plan.cost_of(Phase::Recompute).flops).sum();
    (steps, again)
}

#[test]
fn no_bit_depends_on_what_is_computed_again() {
    let cases = [
        (PICTURES, CNN, DENSE, "f32"),
        (PICTURES, CNN, MASKED, "f32"),
        (PICTURES, CNN, PACKED, "bf16"),
        (PICTURES, SHALLOW, DENSE, "f32"),
        (PICTURES, RESNET, DENSE, "f32"),
        (PICTURES, RESNET, GMP, "f32"),
        (PICTURES, RESNET, GMP, "bf16"),
        (TEXT, GPT, DENSE, "f32"),
        (TEXT, GPT, MASKED, "f32"),
        (TEXT, GPT, PACKED, "bf16"),
        (STREAMS, LSTM, DENSE, "f32"),
        (TEXT, WINDOWS, DENSE, "f32"),
    ];
    common::side_by_side(vec![common::device(), Gpu::twin()], |gpu| {
        for (data, model, sparsity, bits) in cases {
            let of = |recompute| train(gpu, &recipe(data, model, sparsity, bits, recompute));
            let ((once, none), (again, some)) = (of(false), of(true));
            let name = format!("{model} {sparsity} {bits}");
            assert!(once.iter().all(|left| left.loss > 0.0 && left.loss.is_finite()), "{name}");
            assert!(once[0].gradients.iter().flatten().any(|g| *g != 0.0), "{name}");
            for (step, (once, again)) in once.iter().zip(&again).enumerate() {
                assert!(once == again, "{name}, step {step}: losses {} and {}", once.loss, again.loss);
            }
            assert_eq!(none, 0, "{name}");
            assert_eq!(some > 0, model != SHALLOW, "{name}: {some} operations again");
        }
    });
}

/// Activations of a step at the size of a real one, with and without.
#[test]
fn activations_take_less_memory() {
    let cifar = "data = { name = 'random:3x32x32', classes = 10, samples = 256, validation = 0.0 }";
    let text = "data = { name = 'shakespeare', context = 64, validation = 0.0 }";
    for (data, model, sparsity, bits, most) in [
        (cifar, "{ preset = 'resnet20' }", DENSE, "f32", 0.52),
        (cifar, "{ preset = 'resnet56' }", DENSE, "f32", 0.32),
        (cifar, "{ preset = 'resnet20' }", GMP, "bf16", 0.52),
        (text, "{ preset = 'gpt', layers = 8 }", DENSE, "f32", 0.25),
        (text, "{ preset = 'gpt', layers = 8 }", GMP, "bf16", 0.25),
    ] {
        let of = |recompute| {
            let gpu = Gpu::counted();
            let session = session(&gpu, &recipe(data, model, sparsity, bits, recompute));
            (session.memory().activations, gpu.memory().peak_bytes)
        };
        let ((once, peak), (again, less)) = (of(false), of(true));
        let share = again as f64 / once as f64;
        assert!(share < most, "{model} {sparsity} {bits}: {again} of {once} bytes, {share:.3}");
        assert!(less < peak, "{less} of {peak}");
    }
}
