//! Networks as they are built, scheduled and placed.

use proptest::prelude::*;

use super::*;
use crate::error::Result;
use crate::gpu::{Choice, Dtype, Gpu, Recorder};
use crate::ops::packed::{Form, Pattern};
use crate::ops::variants::{Choices, Product};
use crate::ops::{Step, narrow};
use crate::param::Param;
use crate::recipe::{self, Recipe};

const CLASSES: usize = 4;

/// A third of a weight.
fn third(param: &Param) -> Pattern {
    let kept: Vec<u32> = (0..param.len() as u32).filter(|i| i % 3 == 0).collect();
    Pattern::from_indices(Form::Free, param.shape[0], param.shape[1], &kept)
}

/// Numbers between -0.4 and 0.6.
pub(super) fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 53) % 97) as f32 / 97.0 - 0.4).collect()
}

/// A model with memory, whose parameters have values; those that `packs` says so of keep a third.
pub(super) fn model(
    gpu: &Gpu,
    recipe: &recipe::Model,
    features: usize,
    packs: impl Fn(&str) -> bool,
) -> Model {
    let mut model = Model::new(recipe, Extent::features(features), CLASSES, 5).unwrap();
    for param in model.params.iter_mut() {
        if packs(&param.name) {
            let pattern = third(param);
            param.allocate_packed(gpu, pattern).unwrap();
        } else {
            param.allocate(gpu).unwrap();
        }
        // A frozen batch norm divides by the root of its running variance.
        let least = if param.name.ends_with("running_var") { 0.5 } else { -0.5 };
        let value = |i: usize| ((i * 37 + param.len()) % 101) as f32 / 101.0 + least;
        param.write(&(0..param.len()).map(value).collect::<Vec<_>>()).unwrap();
    }
    model
}

/// Replays a forward and a backward pass. Returns the logits of all heads and the gradients of all parameters.
pub(super) fn replay(model: &Model, choices: &Choices, pass: &Pass, gpu: &Gpu) -> Vec<Vec<f32>> {
    let (cols, features) = (pass.batch(), model.input.numbers());
    let batch = gpu.upload_f32("samples", &[features, cols], &numbers(features * cols)).unwrap();
    let step = gpu.uniform("step", &Step { live: cols as u32, ..Step::default() }).unwrap();
    let mut rec = Recorder::new(gpu);
    if pass.input().dtype() == Dtype::Bf16 {
        narrow::record(&mut rec, &batch, pass.input()).unwrap();
    } else {
        pass.input().write(&numbers(features * cols)).unwrap();
    }
    model.forward(&mut rec, choices, &step, pass).unwrap();
    rec.finish().unwrap().replay().unwrap();
    let mut all: Vec<Vec<f32>> = pass.heads().iter().map(|(logits, _)| logits.read_f32().unwrap()).collect();
    for (index, (logits, d_logits)) in pass.heads().into_iter().enumerate() {
        let shifted = numbers(logits.len() + index).split_off(index);
        d_logits.unwrap().write(&shifted).unwrap();
    }
    let mut rec = Recorder::new(gpu);
    model.backward(&mut rec, choices, &step, pass).unwrap();
    rec.finish().unwrap().replay().unwrap();
    all.extend(model.params.iter().map(|param| param.read_grad().unwrap()));
    assert!(all.iter().flatten().all(|number| number.is_finite()), "{all:?}");
    all
}

/// What a pass leaves for the dense gradients of packed weights.
fn left(model: &Model, pass: &Pass) -> Vec<Vec<f32>> {
    let kept = planner::kept(model, pass.schedule.wish);
    kept.iter().flat_map(|item| pass.wide(*item)).map(|tensor| tensor.read_f32().unwrap()).collect()
}

/// The first weights of a convolution, by the setting `init`: their deviation is that of He et al. 2015.
#[test]
fn weights_begin_as_wide_as_they_are_asked_to() {
    for (init, fan) in [("kaiming", 4 * 9), ("kaiming-out", 32 * 9)] {
        let mut net = Graph::new();
        let settings = format!("out = 32\nkernel = 3\nbias = false\ninit = {init:?}");
        let settings: toml::Table = toml::from_str(&settings).unwrap();
        let x = net.layer("conv2d", "conv", &[net.data()], settings.into());
        let x = net.flatten("flat", x);
        net.linear("head", x, CLASSES);
        let model = Model::new(&net.into(), Extent::new(4, vec![6, 6]), CLASSES, 5).unwrap();
        let weight = &model.params[model.nodes[0].params[0]];
        let values = weight.initial_values();
        let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        let ratio = variance * fan as f32 / 2.0;
        assert!((0.85..1.15).contains(&ratio), "{init}: {ratio}");
    }
}

/// What a pass of a model of two packed layers and a dense one computes, and which of its activations there are as f32. The
/// dense one has so many inputs.
fn narrow_pass(gpu: &Gpu, choices: &Choices, keeps: bool, inner: u32) -> (Vec<Vec<f32>>, [bool; 3]) {
    let mlp = recipe::Model::Mlp { hidden: vec![24, inner], activation: "relu".into() };
    let model = model(gpu, &mlp, 20, |name| ["fc1.weight", "fc2.weight"].contains(&name));
    let wish = Wish { gradients: Gradients::All, keeps, narrow: true, narrow_batch: true, ..Wish::default() };
    let schedule = Schedule::new(&model, gpu, choices, 16, wish);
    let (_, passes) = Arena::new(gpu, vec![schedule]).unwrap();
    let wide = ["fc1", "fc2", "head"].map(|name| {
        let node = model.nodes.iter().find(|node| node.name == name).unwrap();
        passes[0].wide(Item::Value(node.inputs[0])).is_some()
    });
    (replay(&model, choices, &passes[0], gpu), wide)
}

#[test]
fn no_bit_depends_on_what_is_kept() {
    for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
        let [(kept, wide), (narrow, none)] =
            [true, false].map(|keeps| narrow_pass(&gpu, &Choices::default(), keeps, 12));
        assert!(kept.iter().flatten().filter(|g| **g != 0.0).count() > 100, "{kept:?}");
        assert_eq!(kept, narrow);
        // The head is dense: nothing of it grows by tiles.
        assert_eq!((wide, none), ([true, true, false], [false; 3]));
    }
}

#[test]
fn which_kernels_are_the_fastest_does_not_decide_what_is_bf16() {
    let gpu = Gpu::open(&Choice::Auto).unwrap();
    for product in Product::ALL {
        let mut choices = Choices::default();
        choices.set(format!("{} 4x12x16", product.name()), format!("{}/plain", product.name()));
        let [(kept, _), (narrow, wide)] = [true, false].map(|keeps| narrow_pass(&gpu, &choices, keeps, 12));
        assert_eq!(kept, narrow);
        assert!(!wide[2], "fc2 writes bf16 for the head");
    }
}

/// Inputs that are no multiple of four: there are no kernels for it.
#[test]
fn a_dense_layer_that_cannot_read_bf16_is_written_f32() {
    for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
        let [(kept, _), (narrow, wide)] =
            [true, false].map(|keeps| narrow_pass(&gpu, &Choices::default(), keeps, 10));
        assert_eq!(kept, narrow);
        assert_eq!(wide, [false, false, true], "fc1 writes bf16 for fc2, and fc2 f32 for the head");
    }
}

/// A network from random words: each adds a layer that reads values made before; what nobody reads is joined for the head.
pub(super) fn random_network(words: &[u32]) -> (Graph, usize) {
    let mut net = Graph::new();
    let features = 8 + words[0] as usize % 5;
    let mut values = vec![(net.data(), features)];
    let mut read = vec![false];
    let mut linears: Vec<(Value, usize, usize)> = Vec::new();
    for (number, word) in words[1..].iter().enumerate() {
        let pick = |by: u32| (word / by) as usize % values.len();
        let (at, other) = (pick(8), pick(512));
        let ((x, width), name) = (values[at], format!("n{number}"));
        let shared = linears.iter().find(|(_, inner, _)| *inner == width).copied();
        let made = match (word % 10, shared) {
            (8, _) => (net.batch_norm(&format!("norm{number}"), x), width),
            (9, _) => (net.dropout(&name, x, 0.3), width),
            (0, _) => (net.relu(&name, x), width),
            (1, _) => {
                let kind = ["relu6", "hard_swish", "silu", "gelu"][(word / 64) as usize % 4];
                (net.layer(kind, &name, &[x], recipe::Settings::default()), width)
            }
            (2, _) => {
                read[other] = true;
                (net.concat(&name, &[x, values[other].0]), width + values[other].1)
            }
            (3, _) if width > 4 => (net.slice(&name, x, 1..width - 1), width - 2),
            (4 | 5, _) => {
                // A partner of the same width, perhaps the value itself; or one more value, the first once more.
                let partner =
                    (0..values.len()).rev().find(|&i| values[i].1 == width && i != at).unwrap_or(at);
                read[partner] = true;
                let all = [x, values[partner].0, x];
                (net.add(&name, &all[..2 + *word as usize % 2]), width)
            }
            (7, _) if word / 64 % 3 == 0 => {
                (net.layer("flatten", &name, &[x], recipe::Settings::default()), width)
            }
            (6, Some((of, _, out))) => (net.linear_shared(&name, x, of), out),
            _ => {
                let out = if word / 64 % 2 == 0 { width } else { 5 + (word / 128) as usize % 9 };
                let made = net.linear(&name, x, out);
                linears.push((made, width, out));
                (made, out)
            }
        };
        read[at] = true;
        values.push(made);
        read.push(false);
    }
    let unread: Vec<Value> = (1..values.len()).filter(|&i| !read[i]).map(|i| values[i].0).collect();
    let joined = if unread.len() == 1 { unread[0] } else { net.concat("all", &unread) };
    let head = net.linear("head", joined, CLASSES);
    net.output(head, 1.0);
    if words[0].is_multiple_of(3) {
        let side = net.linear("side", values[values.len() / 2].0, CLASSES);
        net.output(side, 0.5);
    }
    (net, features)
}

/// Faults of a schedule: reads before writes, and tensors in one buffer at one time.
pub(super) fn faults(schedule: &Schedule, placement: &Placement) -> Vec<String> {
    let mut all = Vec::new();
    let mut written = std::collections::HashSet::new();
    for (at, call) in schedule.calls.iter().enumerate() {
        let [reads, writes] = call.touches();
        all.extend(
            reads
                .iter()
                .filter(|key| !written.contains(*key))
                .map(|key| format!("{at}: {key:?} is not written")),
        );
        written.extend(writes);
    }
    let lives: Vec<_> = schedule.lives.iter().zip(&placement.buffer).collect();
    for (i, (a, buffer)) in lives.iter().enumerate() {
        if a.bytes() > placement.buffers[**buffer].bytes {
            all.push(format!("{:?} does not fit", a.key));
        }
        let meets = |b: &Life| a.first <= b.last && b.first <= a.last;
        let is_other = |b: &Life| a.root != b.root && meets(b);
        for (b, _) in lives[i + 1..].iter().filter(|(b, other)| *other == *buffer && is_other(b)) {
            all.push(format!("{:?} and {:?} share a buffer", a.key, b.key));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn passes_of_any_network_share_buffers_and_change_nothing(
        words in prop::collection::vec(any::<u32>(), 2..14),
        packed in any::<bool>(),
        narrow in any::<bool>(),
        keeps in any::<bool>(),
    ) {
        let (gpu, choices) = (Gpu::twin(), Choices::default());
        let (net, features) = random_network(&words);
        let packs = |name: &str| {
            packed && name.ends_with("weight") && name.len().is_multiple_of(2) && !name.starts_with("norm")
        };
        let model = model(&gpu, &net.into(), features, packs);
        let wish =
            Wish { gradients: Gradients::All, keeps, narrow, narrow_batch: narrow, ..Wish::default() };
        let schedule = || Schedule::new(&model, &gpu, &choices, 8, wish);
        let placement = place(&schedule().lives);
        prop_assert_eq!(faults(&schedule(), &placement), Vec::<String>::new());
        let before = gpu.memory().bytes;
        let (arena, passes) = Arena::new(&gpu, vec![schedule()]).unwrap();
        let planned: u64 = placement.buffers.iter().map(|room| room.bytes.next_multiple_of(4)).sum();
        prop_assert_eq!(arena.bytes(), planned);
        prop_assert!(gpu.memory().bytes - before >= planned);
        let shared = (replay(&model, &choices, &passes[0], &gpu), left(&model, &passes[0]));
        // Each tensor in a buffer of its own, those that are otherwise one with another, too.
        let lives = &schedule().lives;
        let apart = Placement {
            buffer: (0..lives.len()).collect(),
            buffers: lives.iter().map(|life| Room { narrow: life.key.narrow, bytes: life.bytes() }).collect(),
        };
        let (_, passes) = Arena::with(&gpu, vec![schedule()], vec![apart]).unwrap();
        let apart = (replay(&model, &choices, &passes[0], &gpu), left(&model, &passes[0]));
        prop_assert_eq!(shared, apart);
    }
}

#[test]
fn a_schedule_with_a_fault_is_noticed() {
    let gpu = Gpu::twin();
    let mlp = recipe::Model::Mlp { hidden: vec![8, 8], activation: "relu".into() };
    let model = model(&gpu, &mlp, 8, |_| false);
    let wish = Wish { gradients: Gradients::All, ..Wish::default() };
    let mut schedule = Schedule::new(&model, &gpu, &Choices::default(), 8, wish);
    let mut placement = place(&schedule.lives);
    assert!(faults(&schedule, &placement).is_empty());
    placement.buffer.iter_mut().for_each(|buffer| *buffer = 0);
    assert!(faults(&schedule, &placement).iter().any(|fault| fault.contains("share a buffer")));
    schedule.calls.remove(1);
    assert!(faults(&schedule, &placement).iter().any(|fault| fault.contains("is not written")));
}

/// The gradient of a sum is that of what it adds, until a layer adds to one of them that is still read as the other.
#[test]
fn a_sum_hands_its_gradient_on() {
    let gpu = Gpu::twin();
    let roots = |reads_sum: bool, relu: bool| {
        let mut net = Graph::new();
        let data = net.data();
        let stem = net.linear("stem", data, 8);
        let first = net.linear("first", stem, 8);
        let branch = net.linear("branch", first, 8);
        let mut sum = net.add("sum", &[stem, branch]);
        if relu {
            sum = net.relu("open", sum);
        }
        // Where the head reads the branch as well, that has a gradient before the sum's is handed on.
        let head = if reads_sum { sum } else { net.concat("all", &[sum, branch]) };
        let head = net.linear("head", head, CLASSES);
        net.output(head, 1.0);
        let model = model(&gpu, &net.into(), 8, |_| false);
        let wish = Wish { gradients: Gradients::All, ..Wish::default() };
        let schedule = Schedule::new(&model, &gpu, &Choices::default(), 8, wish);
        let root = |name: &str| {
            let key =
                Key::wide(Item::Grad(model.nodes.iter().find(|node| node.name == name).unwrap().output));
            schedule.lives.iter().find(|life| life.key == key).unwrap().root
        };
        ["sum", "stem", "branch"].map(root)
    };
    let [sum, stem, branch] = roots(true, false);
    assert_eq!([stem, branch], [sum; 2], "nothing is copied");
    let [sum, stem, branch] = roots(true, true);
    assert!(sum != stem && stem == branch, "the ReLU makes one gradient for both");
    let [sum, stem, branch] = roots(false, false);
    assert!(sum == stem && branch != sum, "the branch has a gradient of its own already");
}

/// Four layers: the gradients take the buffers of activations that are no longer read.
#[test]
fn gradients_take_the_place_of_activations() {
    let gpu = Gpu::twin();
    let mlp = recipe::Model::Mlp { hidden: vec![64, 64, 64, 64], activation: "relu".into() };
    let model = model(&gpu, &mlp, 64, |_| false);
    let wish = Wish { gradients: Gradients::All, ..Wish::default() };
    let schedule = Schedule::new(&model, &gpu, &Choices::default(), 8, wish);
    let large = place(&schedule.lives).buffers.iter().filter(|room| room.bytes == 64 * 8 * 4).count();
    // The batch, four activations, and one gradient more.
    assert_eq!(large, 6);
}

fn refused(layers: &str) -> String {
    let text = format!("data = {{ name = 'digits' }}\noptim = {{ name = 'sgd', lr = 1 }}\n{layers}");
    let recipe = Recipe::parse(&text, "net.toml", &[]).unwrap();
    let built: Result<Model> = Model::new(&recipe.model, Extent::features(8), CLASSES, 1);
    built.err().map_or("built".into(), |error| error.to_string())
}

#[test]
fn what_is_no_network_is_refused_by_name() {
    let layer = |kind: &str, name: &str, rest: &str| {
        format!("[[model.layer]]\ntype='{kind}'\nname='{name}'\n{rest}\n")
    };
    let fc = |name: &str, rest: &str| layer("linear", name, rest);
    let head = fc("head", "out=4");
    for (layers, wanted) in [
        ([fc("first", "out=8"), fc("head", "out=4\nfrom='frist'")].concat(), "unknown layer `frist`"),
        ([fc("first", "out=8"), fc("head", "out=4\nfrom='frist'")].concat(), "did you mean `first`?"),
        (
            [fc("a", "out=8\nfrom='b'"), fc("b", "out=8"), head.clone()].concat(),
            "layer `a` reads its own output",
        ),
        ([fc("a", "out=8\nfrom='b'"), fc("b", "out=8"), head.clone()].concat(), "`a` reads `b` reads `a`"),
        ([fc("a", "out=8\nfrom='a'"), head.clone()].concat(), "`a` reads `a`"),
        (
            [fc("a", "out=8\nfrom='b'"), fc("b", "out=8\nfrom='data'"), fc("head", "out=4\nfrom='a'")]
                .concat(),
            "layer `a` reads `b` before it is made",
        ),
        (
            [fc("a", "out=8"), fc("head", "out=4\nfrom='data'")].concat(),
            "nobody reads the output of layer `a`",
        ),
        ([fc("a", "out=8"), fc("a", "out=8"), head.clone()].concat(), "two values cannot both be called `a`"),
        ([fc("data", "out=8"), head.clone()].concat(), "two values cannot both be called `data`"),
        (
            [fc("a", "out=6"), layer("add", "sum", "from=['a','data']"), head.clone()].concat(),
            "layer `sum` cannot add values of different extents\n  `a` has 6, `data` has 8\n  where: net.toml, line 10",
        ),
        (
            [fc("a", "out=6"), layer("add", "sum", ""), head.clone()].concat(),
            "layer `sum` adds at least two values",
        ),
        (
            [fc("a", "out=6"), fc("head", "out=4\nfrom=['a','data']")].concat(),
            "layer `head` reads one value, and was given 2",
        ),
        ([fc("a", "out=8"), fc("b", "out=8\nshare='c'"), head.clone()].concat(), "unknown layer `c`"),
        (
            [fc("a", "out=6"), fc("b", "out=6\nshare='a'"), head.clone()].concat(),
            "layer `b` cannot share the weight of `a`",
        ),
        (
            [layer("slice", "s", "first=3\nend=9"), head.clone()].concat(),
            "layer `s` takes channels 3 to 9 of 8",
        ),
        (fc("head", "out=5"), "the last layer has 5 outputs; the data has 4 classes"),
        ([head.clone(), "[[model.output]]\nfrom='heed'".into()].concat(), "did you mean `head`?"),
        ([head.clone(), "[[model.output]]\nfrom='head'\nloss='mse'".into()].concat(), "unknown loss `mse`"),
        ([head.clone(), "[[model.output]]\nfrom='head'\nweight=0".into()].concat(), "a number above 0"),
        (
            [head.clone(), "[[model.output]]\nfrom='head'\n[[model.output]]\nfrom='head'".into()].concat(),
            "`head` is an output twice",
        ),
    ] {
        let error = refused(&layers);
        assert!(error.contains(wanted), "{layers}\n{error}\nwanted: {wanted}");
    }
    assert_eq!(refused(&head), "built");
}

#[test]
fn an_unknown_activation_of_a_preset_is_refused_by_name() {
    let mlp = recipe::Model::Mlp { hidden: vec![4], activation: "gleu".into() };
    let text = Model::new(&mlp, Extent::features(4), CLASSES, 5).err().expect("there is none").to_string();
    assert!(text.contains("unknown layer type `gleu`") && text.contains("did you mean `gelu`?"), "{text}");
    // A preset has no line in a file.
    assert!(!text.contains("where:"), "{text}");
}
