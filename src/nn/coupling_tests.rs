//! Networks without some channels compute what networks do that have zeros there.

use proptest::prelude::*;

use super::*;
use crate::gpu::{Gpu, Recorder};
use crate::nn::graph::Value;
use crate::nn::tests::{numbers, replay};
use crate::nn::{Arena, Extent, Gradients, Graph, Schedule, Wish};
use crate::ops::Step;
use crate::ops::variants::Choices;
use crate::recipe::{self, Settings};

const CLASSES: usize = 4;
const BATCH: usize = 4;

fn image() -> Extent {
    Extent::new(2, vec![6, 6])
}

fn integers<const N: usize>(all: [(&str, usize); N]) -> Settings {
    let value = |(key, value): (&str, usize)| (key.to_string(), toml::Value::Integer(value as i64));
    all.into_iter().map(value).collect::<toml::Table>().into()
}

/// A network of images from random words: each adds a layer that reads values made before; what nobody reads is joined for
/// the head. Images keep their sites but for what a pool before the head takes.
fn random_network(words: &[u32]) -> Graph {
    let mut net = Graph::new();
    let data = net.data();
    let stem = net.conv2d("stem", data, 8, 3, 1, 1, true);
    let mut values = vec![(stem, 8)];
    let mut read = vec![false];
    for (number, word) in words.iter().enumerate() {
        let pick = |by: u32| (word / by) as usize % values.len();
        let (at, other) = (pick(16), pick(512));
        let ((x, width), name) = (values[at], format!("n{number}"));
        let partner = (0..values.len()).rev().find(|&i| values[i].1 == width && i != at);
        let made: (Value, usize) = match (word % 16, partner) {
            (0, _) => (net.batch_norm(&name, x), width),
            (1, _) => (net.relu(&name, x), width),
            (2, _) => {
                let kind = ["sigmoid", "hard_swish", "silu", "leaky_relu"][(word / 64) as usize % 4];
                (net.activation(kind, &name, x), width)
            }
            (3, _) => {
                read[other] = true;
                (net.concat(&name, &[x, values[other].0]), width + values[other].1)
            }
            (4, _) if width > 4 => (net.slice(&name, x, 1..width - 1), width - 2),
            (5 | 6, Some(partner)) => {
                read[partner] = true;
                (net.add(&name, &[x, values[partner].0]), width)
            }
            (7, Some(partner)) => {
                read[partner] = true;
                (net.multiply(&name, x, values[partner].0), width)
            }
            (8, _) => (net.squeeze_excite(&name, x, 2), width),
            (9, _) => {
                let all = [("out", width), ("kernel", 3), ("padding", 1), ("groups", width)];
                (net.layer("conv2d", &name, &[x], integers(all)), width)
            }
            (10, _) if width.is_multiple_of(2) => {
                let all = [("out", 6), ("kernel", 1), ("groups", 2)];
                (net.layer("conv2d", &name, &[x], integers(all)), 6)
            }
            (11, _) => (net.max_pool(&name, x, 3, 1, 1), width),
            (12, _) => {
                let padded = net.layer("pad_channels", &name, &[x], integers([("before", 1), ("after", 2)]));
                (padded, width + 3)
            }
            _ => {
                let out = if word / 64 % 2 == 0 { width } else { 5 + (word / 128) as usize % 5 };
                (net.conv2d(&name, x, out, 3, 1, 1, word / 256 % 2 == 0), out)
            }
        };
        read[at] = true;
        values.push(made);
        read.push(false);
    }
    let unread: Vec<Value> = (0..values.len()).filter(|&i| !read[i]).map(|i| values[i].0).collect();
    let joined = if unread.len() == 1 { unread[0] } else { net.concat("all", &unread) };
    let x = match words.len() % 3 {
        0 => net.global_average_pool("mean", joined),
        1 => net.flatten("flat", joined),
        _ => joined,
    };
    let x = net.linear("fc", x, 7);
    let x = net.relu("fc_act", x);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    net
}

/// Logits and gradients of a model whose parameters have these values.
fn computed(gpu: &Gpu, model: &mut Model, values: &[Vec<f32>], trains: bool) -> Vec<Vec<f32>> {
    for (param, values) in model.params.iter_mut().zip(values) {
        param.allocate(gpu).unwrap();
        param.write(values).unwrap();
    }
    let gradients = if trains { Gradients::All } else { Gradients::None };
    let choices = Choices::default();
    let schedule = Schedule::new(model, gpu, &choices, BATCH, Wish { gradients, ..Wish::default() });
    let (_, passes) = Arena::new(gpu, vec![schedule]).unwrap();
    if trains {
        return replay(model, &choices, &passes[0], gpu);
    }
    let step = gpu.uniform("step", &Step { live: BATCH as u32, ..Step::default() }).unwrap();
    passes[0].input().write(&numbers(model.input.numbers() * BATCH)).unwrap();
    let mut rec = Recorder::new(gpu);
    model.forward(&mut rec, &choices, &step, &passes[0]).unwrap();
    rec.finish().unwrap().replay().unwrap();
    passes[0].heads().iter().map(|(logits, _)| logits.read_f32().unwrap()).collect()
}

fn values_of(model: &Model) -> Vec<Vec<f32>> {
    let value = |len: usize, i: usize| ((i * 37 + len * 11) % 101) as f32 / 202.0 - 0.25;
    let of = |param: &crate::param::Param| {
        // Variances are positive.
        let least = if param.name.ends_with("running_var") { 0.5 } else { 0.0 };
        (0..param.len()).map(|i| value(param.len(), i) + least).collect()
    };
    model.params.iter().map(of).collect()
}

/// The first place where two lists of tensors differ by more than `bound`, and both numbers.
fn differs(got: &[Vec<f32>], want: &[Vec<f32>], bound: f32) -> Option<String> {
    for (tensor, (got, want)) in got.iter().zip(want).enumerate() {
        if got.len() != want.len() {
            return Some(format!("tensor {tensor}: {} numbers, not {}", got.len(), want.len()));
        }
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            if !((got - want).abs() <= bound * want.abs().max(1.0)) {
                return Some(format!("tensor {tensor}, number {i}: {got}, not {want}"));
            }
        }
    }
    (got.len() != want.len()).then(|| format!("{} tensors, not {}", got.len(), want.len()))
}

/// What a network computes with zeros in place of channels, beside what it does without them. Both have the logits, and in
/// training the gradients of what is left.
fn compared(net: &recipe::Model, kept: impl Fn(u32) -> bool, trains: bool) -> [Vec<Vec<f32>>; 2] {
    let gpu = Gpu::twin();
    let mut whole = Model::new(net, image(), CLASSES, 5).unwrap();
    let network = crate::nn::presets::network(net, &image(), CLASSES).unwrap();
    let coupling = whole.coupling();
    let mut flags: Vec<bool> = (0..coupling.channels.len() as u32).map(kept).collect();
    for width in &coupling.channels.widths {
        flags[width.channels.start as usize] = true; // something is left of each
    }
    let small = recipe::Model::Network(whole.without(&network, &coupling, &flags));
    let mut small = Model::new(&small, image(), CLASSES, 5).unwrap();
    let axes = &coupling.channels.axes;
    let values = values_of(&whole);
    let left: Vec<Vec<f32>> =
        axes.iter().zip(&values).map(|(axes, values)| axes.gather(values, &flags)).collect();
    for (param, left) in small.params.iter().zip(&left) {
        assert_eq!(param.len(), left.len(), "{}", param.name);
    }
    let masked: Vec<Vec<f32>> = (whole.params.iter().zip(axes))
        .zip(&values)
        .map(|((param, axes), values)| {
            let mask = axes.mask(&flags);
            let stays = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1 || !param.learns();
            values.iter().enumerate().map(|(i, &value)| if stays(i) { value } else { 0.0 }).collect()
        })
        .collect();
    let mut of_whole = computed(&gpu, &mut whole, &masked, trains);
    let of_small = computed(&gpu, &mut small, &left, trains);
    let heads = whole.heads().len();
    for (grad, axes) in of_whole[heads..].iter_mut().zip(axes) {
        *grad = axes.gather(grad, &flags);
    }
    [of_whole, of_small]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// The bound is that of sums in another order; kept channels alone are compared, so that what is left out is 0.
    #[test]
    fn removed_is_masked(words in prop::collection::vec(any::<u32>(), 1..12), kept in any::<u64>()) {
        let net = recipe::Model::from(random_network(&words));
        let [masked, removed] = compared(&net, |channel| kept >> (channel % 61) & 1 == 1, true);
        prop_assert_eq!(differs(&removed, &masked, 1e-5), None);
    }
}

#[test]
fn evaluations_agree_too_and_a_wrong_answer_is_noticed() {
    let mut net = Graph::new();
    let x = net.data();
    let x = net.conv2d("a", x, 6, 3, 1, 1, true);
    let x = net.batch_norm("norm", x);
    let x = net.activation("sigmoid", "act", x);
    let x = net.conv2d("b", x, 5, 3, 1, 1, true);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    let net = recipe::Model::from(net);
    for trains in [false, true] {
        let [masked, mut removed] = compared(&net, |channel| channel % 2 == 0, trains);
        assert_eq!(differs(&removed, &masked, 1e-5), None, "{trains}");
        assert!(masked[0].iter().any(|logit| logit.abs() > 1e-2));
        removed[0][3] += 1e-3;
        assert!(differs(&removed, &masked, 1e-5).is_some());
        removed[0][3] = f32::NAN;
        assert!(differs(&removed, &masked, 1e-5).is_some());
    }
}

fn widths(net: Graph) -> Vec<(usize, Vec<String>, Vec<String>)> {
    let model = Model::new(&net.into(), image(), CLASSES, 5).unwrap();
    let names = |ids: &[ParamId]| ids.iter().map(|&id| model.params[id].name.clone()).collect::<Vec<_>>();
    let channels = model.coupling().channels;
    channels.widths.iter().map(|width| (width.len(), names(&width.filters), names(&width.scales))).collect()
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| name.to_string()).collect()
}

/// Gates of a recurrent layer, and what is added to the batch as it is.
#[test]
fn what_mixes_channels_and_what_meets_the_batch_stay() {
    let mut net = Graph::new();
    let data = net.data();
    let x = net.layer("patches", "patches", &[data], integers([("size", 2)]));
    let x = net.linear("before", x, 6);
    let x = net.lstm("cell", x, 4);
    let x = net.layer("step", "last", &[x], Settings::default());
    let x = net.linear("after", x, 5);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    let found: Vec<Vec<String>> = widths(net).into_iter().map(|(_, filters, _)| filters).collect();
    assert_eq!(found, [names(&["before.weight"]), names(&["after.weight"])]);

    let mut net = Graph::new();
    let (data, plain) = (net.data(), net.plain_data());
    let inner = net.conv2d("inner", data, 3, 3, 1, 1, true);
    let outer = net.conv2d("outer", inner, 2, 3, 1, 1, true);
    let sum = net.add("sum", &[outer, plain]);
    let x = net.flatten("flat", sum);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    assert_eq!(widths(net), [(3, names(&["inner.weight"]), vec![])]);
}

#[test]
fn what_hangs_together_is_one() {
    // A residual block with a norm and squeeze and excitation; its head, and what mixes channels, stays.
    let mut net = Graph::new();
    let x = net.data();
    let stem = net.conv2d("stem", x, 8, 3, 1, 1, false);
    let y = net.batch_norm("norm", stem);
    let y = net.conv2d("inner", y, 6, 3, 1, 1, false);
    let y = net.conv2d("outer", y, 8, 3, 1, 1, false);
    let y = net.squeeze_excite("attend", y, 2);
    let x = net.add("sum", &[stem, y]);
    let x = net.global_average_pool("mean", x);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    let coupled = ["stem.weight", "outer.weight", "attend_excite.weight"];
    assert_eq!(
        widths(net),
        [
            (8, names(&coupled), names(&["norm.weight"])),
            (6, names(&["inner.weight"]), vec![]),
            (4, names(&["attend_squeeze.weight"]), vec![]),
        ]
    );

    // Groups go whole; a depthwise convolution passes channels on; a slice keeps its first channel.
    let mut net = Graph::new();
    let x = net.data();
    let x = net.conv2d("wide", x, 12, 1, 1, 0, true);
    let all = [("out", 12), ("kernel", 3), ("padding", 1), ("groups", 12)];
    let x = net.layer("conv2d", "depthwise", &[x], integers(all));
    let x = net.layer("conv2d", "grouped", &[x], integers([("out", 6), ("kernel", 1), ("groups", 3)]));
    let x = net.conv2d("last", x, 5, 1, 1, 0, true);
    let x = net.slice("some", x, 2..4);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    let filters = ["wide.weight", "depthwise.weight", "grouped.weight"];
    assert_eq!(widths(net), [(3, names(&filters), vec![]), (4, names(&["last.weight"]), vec![])]);

    // A norm over channels needs them all.
    let mut net = Graph::new();
    let x = net.data();
    let x = net.linear("first", x, 8);
    let x = net.layer_norm("norm", x);
    let x = net.linear("second", x, 8);
    let head = net.linear("head", x, CLASSES);
    net.output(head, 1.0);
    assert_eq!(widths(net), [(8, names(&["second.weight"]), vec![])]);
}

#[test]
fn every_preset_of_images_can_lose_half_of_its_filters() {
    for entry in
        crate::nn::presets::ALL.iter().filter(|entry| entry.reads == crate::nn::presets::Reads::Images)
    {
        let recipe = recipe::Model::Preset { name: entry.name.into(), settings: Settings::default() };
        let input = Extent::new(3, vec![32, 32]);
        let whole = Model::new(&recipe, input.clone(), 10, 0).unwrap();
        let network = crate::nn::presets::network(&recipe, &input, 10).unwrap();
        let coupling = whole.coupling();
        let channels = &coupling.channels;
        assert!(channels.len() > 20, "{}: {}", entry.name, channels.len());
        let kept: Vec<bool> = (0..channels.len()).map(|channel| channel % 2 == 0).collect();
        let small = recipe::Model::Network(whole.without(&network, &coupling, &kept));
        let small = Model::new(&small, input, 10, 0).unwrap();
        for (id, param) in whole.params.pairs() {
            let left = channels.axes(id).gather(&vec![0u8; param.len()], &kept).len();
            assert_eq!(small.params[id].len(), left, "{}: {}", entry.name, param.name);
        }
    }
}
