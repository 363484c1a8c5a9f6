//! The networks of the golden files, in Coppice, and the files themselves. `make_golden.py`, `make_graph.py`, `make_conv.py`,
//! `make_presets.py` and `make_text.py` are their twins.

use std::cell::Cell;

use coppice::error::Result;
use coppice::gpu::{Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use coppice::nn::{Arena, Extent, Gradients, Graph, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::batch::{self, Part, Set, pack_bytes};
use coppice::ops::cross_entropy::{self, Labels, Share, Target};
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::tally::{self, Totals};
use coppice::ops::text::{Cut, Text};
use coppice::ops::variants::Choices;
use coppice::optim::Optimizer;
use coppice::param::{MaskMode, Param, Storage, mask_of};
use coppice::recipe;

const HIDDEN: [u32; 2] = [16, 8];
const CLASSES: usize = 5;
/// The number of the tokens of [`Net::Tied`], and what else there is to say of its embedding.
const TIED: usize = 800;
const TIED_WIDTH: usize = 8;
const PADDING: usize = 3;

/// As `make_golden.py`: (23 i^2 + 7919 i + 757 t) mod 1000 - 500, over `divisor`, rounded once.
fn value(t: usize, i: usize, divisor: f32) -> f32 {
    let number = (23 * i * i + 7919 * i + 757 * t) % 1000;
    (number as i32 - 500) as f32 / divisor
}

/// As `make_presets.py`: a number in [-0.5, 0.5) on a grid of 2^-24.
pub fn hashed(t: usize, i: usize) -> f32 {
    let mut x = (i as u32).wrapping_mul(0x9e37_79b1).wrapping_add((t as u32).wrapping_mul(0x85eb_ca6b));
    for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
        x = (x ^ (x >> shift)).wrapping_mul(factor);
    }
    x ^= x >> 16;
    (x >> 8) as f32 / (1 << 24) as f32 - 0.5
}

/// Whether a mask keeps weight `i` of its matrix.
pub fn keeps(i: usize) -> bool {
    31 * i % 10 < 4
}

/// Which network.
#[derive(Clone, Copy, PartialEq)]
pub enum Net {
    /// Of `make_golden.py`.
    Mlp,
    /// Of `make_graph.py`: two inputs, a shared weight, a residual connection, a concatenation and two outputs.
    Branches,
    /// Of `make_conv.py`: strides, borders, dilations, groups, one depthwise, one without bias.
    Convolutions,
    /// Of `make_presets.py` and `make_text.py`.
    Preset(Preset),
    /// Of `make_text.py`: an embedding with a row of padding, whose weight is that of the head, too.
    Tied,
    /// Convolutions with batch norm, a residual connection and poolings, all of them smooth: for differences alone.
    Smooth,
}

/// A preset on small samples.
#[derive(Clone, Copy, PartialEq)]
pub struct Preset {
    pub name: &'static str,
    pub samples: Samples,
    pub width: f64,
    /// Whether the head has the embedding's weight.
    pub tied: bool,
    /// Of its samples; its parameters have the following ones.
    pub number: usize,
}

/// What a network reads.
#[derive(Clone, Copy, PartialEq)]
pub enum Samples {
    /// The same in each step.
    Image([usize; 3]),
    /// Others in each step.
    Tokens(Tokens),
}

/// As `make_text.py` has them.
#[derive(Clone, Copy, PartialEq, serde::Deserialize)]
pub struct Tokens {
    vocabulary: usize,
    reads: usize,
    skips: usize,
    padding: Option<u32>,
    every: usize,
    live: usize,
    streams: bool,
}

/// Steps of a run.
pub const STEPS: usize = 10;

impl Tokens {
    const TIED: Tokens =
        Tokens { vocabulary: 7, reads: 6, skips: 0, padding: None, every: 6, live: 8, streams: false };
    fn cut(&self) -> Cut {
        Cut { every: self.every, reads: self.reads, skips: self.skips, padding: self.padding }
    }
    fn stream(&self, number: usize) -> Vec<u32> {
        let len = (self.live * STEPS - 1) * self.every + self.reads + 1;
        let token = |i| ((f64::from(hashed(number, i)) + 0.5) * self.vocabulary as f64) as u32;
        (0..len).map(token).collect()
    }
    fn order(&self) -> Vec<u32> {
        let rows = self.live * STEPS;
        let row = |at: usize| match self.streams {
            true => at % self.live * STEPS + at / self.live,
            false => (7 * at + 3) % rows,
        };
        (0..rows).map(|at| row(at) as u32).collect()
    }
    /// Labels that count in each step.
    fn answers(&self, number: usize) -> Vec<u32> {
        let (stream, order) = (self.stream(number), self.order());
        let of_row = |row: &u32| {
            let labels = &stream[*row as usize * self.every + 1..][self.skips..self.reads];
            labels.iter().filter(|&&label| Some(label) != self.padding).count() as u32
        };
        order.chunks(self.live).map(|rows| rows.iter().map(of_row).sum()).collect()
    }
}

impl Net {
    /// The number of its first parameter.
    fn first(self) -> usize {
        match self {
            Net::Mlp => 1,
            Net::Branches => 173,
            Net::Convolutions => 401,
            Net::Preset(preset) => preset.number + 1,
            Net::Smooth => 601,
            Net::Tied => TIED + 1,
        }
    }
    /// Whether a masked run masks this parameter.
    pub fn masks(self, param: &Param) -> bool {
        let depthwise = param.window.is_some_and(|window| window.groups > 1);
        param.prunable && !(depthwise && matches!(self, Net::Preset(_)))
    }
    fn tokens(self) -> Option<Tokens> {
        match self {
            Net::Preset(Preset { samples: Samples::Tokens(tokens), .. }) => Some(tokens),
            Net::Tied => Some(Tokens::TIED),
            _ => None,
        }
    }
    fn classes(self) -> usize {
        self.tokens().map_or(CLASSES, |tokens| tokens.vocabulary)
    }
    /// Those of a step.
    fn samples(self) -> usize {
        match self {
            Net::Preset(Preset { samples: Samples::Image(_), .. }) => 8,
            _ => self.tokens().map_or(16, |tokens| tokens.live),
        }
    }
    /// Whether a weight's gradient is not its derivative: an embedding learns nothing of padding.
    pub fn overlooks(self, param: &str, i: usize) -> bool {
        self == Net::Tied && param == "embed.weight" && i / TIED_WIDTH == PADDING
    }
    /// Value `i` of the samples.
    fn sample(self, i: usize) -> f32 {
        match self {
            Net::Preset(preset) => hashed(preset.number, i) * 2.0,
            _ => value(0, i, 500.0),
        }
    }
    /// Value `i` of parameter `t` at the start.
    fn start(self, t: usize, param: &Param, i: usize) -> f32 {
        let (Net::Preset(_) | Net::Tied) = self else {
            let is_scale = param.name.starts_with("bn") && param.name.ends_with(".weight");
            return f32::from(u8::from(is_scale)) + value(t, i, if param.prunable { 1000.0 } else { 5000.0 });
        };
        if param.is_matrix() && param.name.ends_with(".weight") {
            let inputs = param.len() / param.shape[0];
            return hashed(t, i) * 4.0 / (1 << (inputs.ilog2() / 2)) as f32;
        }
        match param.name.rsplit_once('.').expect("a layer's parameter").1 {
            "running_mean" => 0.0,
            "running_var" => 1.0,
            "weight" => hashed(t, i) * 0.5 + 1.0,
            _ if param.name.contains("bn") => hashed(t, i) * 0.5 + 0.75,
            _ => hashed(t, i) * 0.5,
        }
    }
    /// What a sample is.
    fn input(self) -> Extent {
        match self {
            Net::Mlp | Net::Branches => Extent::features(12),
            Net::Convolutions => Extent::of_samples(&[2, 5, 4]),
            Net::Preset(Preset { samples: Samples::Image(image), .. }) => Extent::of_samples(&image),
            Net::Preset(Preset { samples: Samples::Tokens(tokens), .. }) => {
                Extent::tokens(tokens.vocabulary, tokens.reads)
            }
            Net::Tied => Extent::tokens(Tokens::TIED.vocabulary, Tokens::TIED.reads),
            Net::Smooth => Extent::of_samples(&[2, 6, 6]),
        }
    }
    /// The golden file, but for the networks of several.
    fn file(self) -> serde_json::Value {
        let text = match self {
            Net::Mlp => include_str!("gradients.json"),
            Net::Branches => include_str!("graph.json"),
            Net::Convolutions => include_str!("conv.json"),
            Net::Tied => include_str!("tied.json"),
            Net::Preset(_) | Net::Smooth => panic!("it has none of its own"),
        };
        serde_json::from_str(text).expect("JSON")
    }
    fn recipe(self) -> recipe::Model {
        match self {
            Net::Mlp => recipe::Model::Mlp { hidden: HIDDEN.to_vec(), activation: "relu".into() },
            Net::Branches => Self::branches(),
            Net::Convolutions => Self::convolutions(),
            Net::Preset(preset) => {
                let settings = match preset.name {
                    "gpt" => {
                        format!("layers = 2\nwidth = 16\nheads = 2\nhidden = 24\ntied = {}", preset.tied)
                    }
                    "vit" => "layers = 2\nwidth = 8\nheads = 2\nhidden = 16".into(),
                    "lstm-lm" => "layers = 2\nwidth = 12\nunits = 8".into(),
                    "seq2seq" => "width = 12\nunits = 8\nheads = 2\nsource = 5".into(),
                    _ => format!("width = {}", preset.width),
                };
                let settings: toml::Table = settings.parse().expect("settings");
                recipe::Model::Preset { name: preset.name.into(), settings: settings.into() }
            }
            Net::Tied => Self::tied(),
            Net::Smooth => Self::smooth(),
        }
    }
    fn tied() -> recipe::Model {
        let mut net = Graph::new();
        let layer = |net: &mut Graph, kind: &str, name: &str, x, settings: String| {
            net.layer(kind, name, &[x], settings.parse::<toml::Table>().expect("settings").into())
        };
        let x = net.data();
        let x = layer(&mut net, "embedding", "embed", x, format!("out = {TIED_WIDTH}\npadding = {PADDING}"));
        let x = net.linear("mid", x, TIED_WIDTH);
        let x = net.activation("tanh", "act", x);
        layer(&mut net, "linear", "head", x, format!("out = {}\nshare = 'embed'", Tokens::TIED.vocabulary));
        net.into()
    }
    fn smooth() -> recipe::Model {
        let mut net = Graph::new();
        let layer = |net: &mut Graph, kind: &str, name: &str, x, settings: &str| {
            net.layer(kind, name, &[x], settings.parse::<toml::Table>().expect("settings").into())
        };
        let x = net.data();
        let x =
            layer(&mut net, "conv2d", "c1", x, "out = 6\nkernel = 3\npadding = 1\nstride = 2\nbias = false");
        let x = layer(&mut net, "batch_norm", "bn1", x, "");
        let a = layer(&mut net, "silu", "a", x, "");
        let x = layer(&mut net, "conv2d", "dw", a, "out = 6\nkernel = 3\npadding = 1\ngroups = 6");
        let x = layer(&mut net, "batch_norm", "bn2", x, "");
        let x = net.add("sum", &[x, a]);
        let x = layer(&mut net, "tanh", "b", x, "");
        let x = layer(&mut net, "conv2d", "pw", x, "out = 8\nkernel = 1\nbias = false");
        let x = layer(&mut net, "batch_norm", "bn3", x, "");
        let x = layer(&mut net, "silu", "d", x, "");
        let x = layer(&mut net, "average_pool", "halve", x, "kernel = 2\nstride = 1");
        let x = layer(&mut net, "global_average_pool", "mean", x, "");
        net.linear("out", x, CLASSES);
        net.into()
    }
    fn convolutions() -> recipe::Model {
        let mut net = Graph::new();
        let conv = |net: &mut Graph, name: &str, x, settings: &str| {
            let settings: toml::Table = settings.parse().expect("settings");
            net.layer("conv2d", name, &[x], settings.into())
        };
        let silu = |net: &mut Graph, name: &str, x| net.layer("silu", name, &[x], Default::default());
        let x = net.data();
        let x = conv(&mut net, "c1", x, "out = 8\nkernel = 3\npadding = 1");
        let x = silu(&mut net, "a", x);
        let x = conv(&mut net, "dw", x, "out = 8\nkernel = 3\nstride = 2\npadding = 1\ngroups = 8");
        let x = silu(&mut net, "b", x);
        let x = conv(&mut net, "pw", x, "out = 12\nkernel = 1\nbias = false");
        let x = conv(&mut net, "c2", x, "out = 8\nkernel = 2\npadding = 1\ngroups = 2");
        let x = silu(&mut net, "d", x);
        let x = conv(&mut net, "c3", x, "out = 8\nkernel = 3\npadding = 2\ndilation = 2\ngroups = 4");
        let x = silu(&mut net, "e", x);
        net.linear("out", x, CLASSES);
        net.into()
    }
    fn branches() -> recipe::Model {
        let mut net = Graph::new();
        let x = net.data();
        let (left, right) = (net.slice("left", x, 0..8), net.slice("right", x, 8..12));
        let a = net.linear("left_in", left, 8);
        let a = net.relu("a", a);
        let b = net.linear("right_in", right, 6);
        let tied = net.linear("tied", a, 8);
        let t = net.relu("t", tied);
        let u = net.linear_shared("u", t, tied);
        let sum = net.add("sum", &[u, a]);
        let r = net.relu("r", sum);
        let c = net.concat("c", &[r, b]);
        let (head, side) = (net.linear("out", c, CLASSES), net.linear("aux", t, CLASSES));
        net.output(head, 1.0);
        net.output(side, 0.3);
        net.into()
    }
}

/// How a network is trained.
#[derive(Clone)]
pub struct Setting {
    pub net: Net,
    pub optimizer: toml::Table,
    pub masked: bool,
    /// Whether only what the mask keeps is stored.
    pub packed: bool,
}

impl Setting {
    /// No mask, and an optimizer of no interest.
    pub fn dense(net: Net) -> Self {
        let settings = [("name".to_string(), "sgd".into()), ("lr".to_string(), 0.1.into())];
        Self { net, optimizer: settings.into_iter().collect(), masked: false, packed: false }
    }
    /// Multiplies a number of the optimizer. False if it has none of that name, or if it is 0.
    pub fn scale(&mut self, key: &str, by: f64) -> bool {
        match self.optimizer.get_mut(key) {
            Some(toml::Value::Float(value)) if *value != 0.0 => *value *= by,
            _ => return false,
        }
        true
    }
    fn rate(&self) -> f64 {
        self.optimizer["lr"].as_float().expect("a rate is a number")
    }
    /// As a recipe would have it.
    fn recipe(&self) -> recipe::Optim {
        let mut settings = self.optimizer.clone();
        let name = settings.remove("name").expect("an optimizer has a name");
        settings.remove("lr");
        let clip = settings.remove("clip").map(|clip| clip.as_float().expect("a number"));
        let shape = recipe::Shape::Constant { value: self.rate() };
        let lr = recipe::LrSchedule { shape, warmup: recipe::Duration::ZERO };
        recipe::Optim { name: name.as_str().expect("a text").into(), lr, clip, settings: settings.into() }
    }
}

/// One run of `training.json` or `graph.json`.
pub struct Run {
    pub name: String,
    pub setting: Setting,
    /// Before each step.
    pub losses: Vec<f64>,
    /// Of all weights and biases after the last step.
    pub sum: f64,
    pub norm: f64,
}

pub fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// All runs of `training.json`.
pub fn runs() -> Vec<Run> {
    let file: serde_json::Value = serde_json::from_str(include_str!("training.json")).expect("JSON");
    let run = |run: &serde_json::Value| {
        let masked = run["masked"].as_bool().expect("yes or no");
        let optimizer = toml::Table::try_from(&run["optimizer"]).expect("a table of settings");
        Run {
            name: format!(
                "{}{}",
                run["name"].as_str().expect("a name"),
                if masked { ", masked" } else { "" }
            ),
            setting: Setting { net: Net::Mlp, optimizer, masked, packed: false },
            losses: numbers(&run["losses"]),
            sum: run["sum"].as_f64().expect("a number"),
            norm: run["norm"].as_f64().expect("a number"),
        }
    };
    let all: Vec<_> = file["runs"].as_array().expect("a list of runs").iter().map(run).collect();
    assert!(all.len() == 6 && all.iter().all(|run| run.losses.len() == 10), "training.json was cut");
    all
}

/// The runs of `graph.json`, of `conv.json` and of `tied.json`.
pub fn graph_runs() -> Vec<Run> {
    [(Net::Branches, "branches"), (Net::Convolutions, "convolutions"), (Net::Tied, "tied")]
        .into_iter()
        .flat_map(|(net, name)| runs_of(net, name))
        .collect()
}

fn runs_of(net: Net, called: &str) -> Vec<Run> {
    let file = net.file();
    let run = |run: &serde_json::Value| {
        let masked = run["masked"].as_bool().expect("yes or no");
        let optimizer = toml::Table::try_from(&file["optimizer"]).expect("a table of settings");
        Run {
            name: format!("{called}, masked {masked}"),
            setting: Setting { net, optimizer, masked, packed: false },
            losses: numbers(&run["losses"]),
            sum: run["sum"].as_f64().expect("a number"),
            norm: run["norm"].as_f64().expect("a number"),
        }
    };
    let all: Vec<_> = file["runs"].as_array().expect("a list of runs").iter().map(run).collect();
    assert!(all.len() == 2 && all.iter().all(|run| run.losses.len() == 10), "the file of {called} was cut");
    all
}

/// The gradients of a network, by parameter, from the input to the output.
pub fn gradients(net: Net) -> Vec<(String, Vec<f32>)> {
    let file = net.file();
    let grads = file["gradients"].as_object().expect("parameters by name");
    let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    grads.iter().map(|(name, values)| (name.clone(), single(numbers(values)))).collect()
}

/// Samples on the device.
enum Store {
    Numbers(Set),
    Tokens(Text),
}

impl Store {
    fn new(gpu: &Gpu, net: Net, count: usize) -> Result<Self> {
        if let Some(tokens) = net.tokens() {
            let (stream, order) = (tokens.stream(net.first() - 1), tokens.order());
            return Text::new(gpu, &stream, tokens.vocabulary, tokens.cut(), &order).map(Self::Tokens);
        }
        let features = net.input().numbers();
        let samples: Vec<f32> = (0..count * features).map(|i| net.sample(i)).collect();
        let samples = gpu.upload_f32("samples", &[count, features], &samples)?;
        let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
        let order: Vec<u32> = (0..count as u32).collect();
        Ok(Self::Numbers(Set {
            parts: vec![Part { begin: 0, end: count, samples }],
            labels: gpu.upload_u32("labels", &[count / 4], &pack_bytes(&labels))?,
            order: gpu.upload_u32("order", &[count], &order)?,
            features,
            normal: Set::normal(gpu, &[1.0], &[0.0])?,
            augment: None,
        }))
    }
    fn record(&self, rec: &mut Recorder, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
        match self {
            Self::Numbers(set) => batch::record(rec, set, step, x, label),
            Self::Tokens(text) => text.record(rec, step, x, label),
        }
    }
}

/// The network with everything that a step touches, as three plans.
pub struct Network {
    pub model: Model,
    first: usize,
    optimizer: Optimizer,
    rate: f32,
    step: Uniform,
    /// Samples of a step, and where the next one's are.
    live: u32,
    stride: u32,
    /// Labels that count, by step, and those of the step at hand.
    answers: Vec<u32>,
    asked: Cell<u32>,
    loss: Tensor,
    totals: Tensor,
    forward: Plan,
    backward: Plan,
    update: Plan,
}

impl Network {
    pub fn new(gpu: &Gpu, setting: &Setting) -> Result<Self> {
        let mut model = Model::new(&setting.net.recipe(), setting.net.input(), setting.net.classes(), 0)?;
        for (t, param) in (setting.net.first()..).zip(model.params.iter_mut()) {
            let is_masked = setting.masked && setting.net.masks(param);
            if is_masked {
                param.storage = Storage::Masked(MaskMode::Held);
            }
            let kept: Vec<u32> = (0..param.len() as u32).filter(|&i| keeps(i as usize)).collect();
            if is_masked && setting.packed {
                let (rows, inner) = (param.matrix().rows, param.matrix().inner());
                param.allocate_packed(gpu, Pattern::from_indices(Form::Free, rows, inner, &kept))?;
            } else {
                param.allocate(gpu)?;
            }
            if is_masked && !setting.packed {
                param.write_mask(&mask_of(&kept, param.len()))?;
            }
            let start = |i| if is_masked && !keeps(i) { 0.0 } else { setting.net.start(t, param, i) };
            param.write(&(0..param.len()).map(start).collect::<Vec<_>>())?;
        }
        let optimizer = Optimizer::new(gpu, &setting.recipe(), &mut model.params)?;

        let live = setting.net.samples();
        // As many columns as whole vec4s are.
        let batch = live.next_multiple_of(4);
        let store = Store::new(gpu, setting.net, live)?;
        let (answers, stride, labels) = match setting.net.tokens() {
            Some(tokens) => {
                (tokens.answers(setting.net.first() - 1), live as u32, tokens.reads - tokens.skips)
            }
            None => (vec![live as u32; STEPS], 0, 1),
        };
        let count = labels * batch;
        let step = Step { live: live as u32, answers: answers[0], ..Default::default() };
        let step = gpu.uniform("step", &step)?;
        let u32s = |label: &str| gpu.upload_u32(label, &[count], &vec![0; count]);
        let (label, hit, other_hit) = (u32s("label")?, u32s("hit")?, u32s("other hit")?);
        let loss = gpu.upload_f32("loss", &[count], &vec![0.0; count])?;
        let totals = Totals::tensor(gpu)?;
        let choices = Choices::default();
        let wish = Wish { gradients: Gradients::All, ..Wish::default() };
        let schedule = Schedule::new(&model, gpu, &choices, batch, wish);
        let (_, mut passes) = Arena::new(gpu, vec![schedule])?;
        let pass: Pass = passes.remove(0);

        let mut rec = Recorder::new(gpu);
        store.record(&mut rec, &step, pass.input(), &label)?;
        model.forward(&mut rec, &choices, &step, &pass)?;
        rec.phase(Phase::Loss);
        for (index, (head, (logits, d_logits))) in model.heads().iter().zip(pass.heads()).enumerate() {
            let target =
                Target::Hard { label: Labels { tensor: &label, batch }, smoothing: 0.0, temperature: 1.0 };
            let share = Share { weight: head.weight, adds: index > 0 };
            let hit = if index == 0 { &hit } else { &other_hit };
            cross_entropy::record(&mut rec, &step, logits, target, share, d_logits.unwrap(), &loss, hit)?;
        }
        let forward = rec.finish()?;

        let mut rec = Recorder::new(gpu);
        model.backward(&mut rec, &choices, &step, &pass)?;
        let backward = rec.finish()?;

        let mut rec = Recorder::new(gpu);
        tally::record(&mut rec, &step, &loss, &hit, &totals)?;
        optimizer.record(&mut rec, &model.params, &step, &totals)?;
        model.record_statistics(&mut rec, &totals)?;
        let update = rec.finish()?;
        let rate = setting.rate() as f32;
        Ok(Self {
            model,
            first: setting.net.first(),
            optimizer,
            rate,
            step,
            live: live as u32,
            stride,
            asked: Cell::new(answers[0]),
            answers,
            loss,
            totals,
            forward,
            backward,
            update,
        })
    }

    /// The mean loss of the labels.
    pub fn evaluate(&self) -> Result<f64> {
        self.forward.replay()?;
        let loss = self.loss.read_f32()?;
        Ok(loss.iter().map(|&v| v as f64).sum::<f64>() / f64::from(self.asked.get()))
    }
    /// Computes all gradients; returns the mean loss.
    pub fn differentiate(&self) -> Result<f64> {
        let loss = self.evaluate()?;
        self.backward.replay()?;
        Ok(loss)
    }
    /// One training step; returns the mean loss before it. `step` counts from 0.
    pub fn step(&self, step: u32) -> Result<f64> {
        let answers = self.answers[step as usize];
        self.asked.set(answers);
        let number = Step {
            step,
            first: step * self.stride,
            live: self.live,
            answers,
            rate: self.rate,
            update: step + 1,
            ..Default::default()
        };
        self.step.write(&self.optimizer.corrected(number))?;
        let loss = self.differentiate()?;
        self.update.replay()?;
        Ok(loss)
    }
    /// The number that says where the values of parameter `index` are from.
    pub fn number(&self, index: usize) -> usize {
        self.first + index
    }
    /// All weights and biases, end to end.
    pub fn parameters(&self) -> Result<Vec<f32>> {
        let all: Result<Vec<_>> = self.model.params.iter().map(|param| param.read()).collect();
        Ok(all?.concat())
    }
    /// The mean loss over all steps as the device counted it.
    pub fn mean_loss(&self) -> Result<f64> {
        Ok(Totals::from_words(&self.totals.read_u32()?).mean_loss())
    }
}
