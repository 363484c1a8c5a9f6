//! The networks of the golden files, in Coppice, and the files themselves. `make_golden.py`, `make_graph.py` and
//! `make_conv.py` are their twins.

use coppice::error::Result;
use coppice::gpu::{Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use coppice::nn::{Arena, Extent, Gradients, Graph, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::batch::{self, Part, Set, pack_bytes};
use coppice::ops::cross_entropy::{self, Share, Target};
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::tally::{self, Totals};
use coppice::ops::variants::Choices;
use coppice::optim::Optimizer;
use coppice::param::{MaskMode, Storage, mask_of};
use coppice::recipe;

const HIDDEN: [u32; 2] = [16, 8];
const CLASSES: usize = 5;
const SAMPLES: usize = 16;

/// As `make_golden.py`: (23 i^2 + 7919 i + 757 t) mod 1000 - 500, over `divisor`, rounded once.
fn value(t: usize, i: usize, divisor: f32) -> f32 {
    let number = (23 * i * i + 7919 * i + 757 * t) % 1000;
    (number as i32 - 500) as f32 / divisor
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
}

impl Net {
    /// The number of its first parameter.
    fn first(self) -> usize {
        match self {
            Net::Mlp => 1,
            Net::Branches => 173,
            Net::Convolutions => 401,
        }
    }
    /// What a sample is.
    fn input(self) -> Extent {
        match self {
            Net::Mlp | Net::Branches => Extent::features(12),
            Net::Convolutions => Extent::of_samples(&[2, 5, 4]),
        }
    }
    /// The golden file, but for the networks of several.
    fn file(self) -> serde_json::Value {
        let text = match self {
            Net::Mlp => include_str!("gradients.json"),
            Net::Branches => include_str!("graph.json"),
            Net::Convolutions => include_str!("conv.json"),
        };
        serde_json::from_str(text).expect("JSON")
    }
    fn recipe(self) -> recipe::Model {
        match self {
            Net::Mlp => recipe::Model::Mlp { hidden: HIDDEN.to_vec(), activation: "relu".into() },
            Net::Branches => Self::branches(),
            Net::Convolutions => Self::convolutions(),
        }
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
    optimizer: toml::Table,
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
        let shape = recipe::Shape::Constant { value: self.rate() };
        let lr = recipe::LrSchedule { shape, warmup: recipe::Duration::ZERO };
        recipe::Optim { name: name.as_str().expect("a text").into(), lr, settings: settings.into() }
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

fn numbers(value: &serde_json::Value) -> Vec<f64> {
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

/// The runs of `graph.json` and of `conv.json`.
pub fn graph_runs() -> Vec<Run> {
    [(Net::Branches, "branches"), (Net::Convolutions, "convolutions")]
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

/// The network with everything that a step touches, as three plans.
pub struct Network {
    pub model: Model,
    optimizer: Optimizer,
    rate: f32,
    step: Uniform,
    loss: Tensor,
    totals: Tensor,
    forward: Plan,
    backward: Plan,
    update: Plan,
}

impl Network {
    pub fn new(gpu: &Gpu, setting: &Setting) -> Result<Self> {
        let mut model = Model::new(&setting.net.recipe(), setting.net.input(), CLASSES, 0)?;
        for (t, param) in (setting.net.first()..).zip(model.params.iter_mut()) {
            let is_masked = setting.masked && param.prunable;
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
            let divisor = if param.prunable { 1000.0 } else { 5000.0 };
            let start = |i| if is_masked && !keeps(i) { 0.0 } else { value(t, i, divisor) };
            param.write(&(0..param.len()).map(start).collect::<Vec<_>>())?;
        }
        let optimizer = Optimizer::new(gpu, &setting.recipe(), &mut model.params)?;

        let features = setting.net.input().numbers();
        let samples: Vec<f32> = (0..SAMPLES * features).map(|i| value(0, i, 500.0)).collect();
        let samples = gpu.upload_f32("samples", &[SAMPLES, features], &samples)?;
        let labels: Vec<u8> = (0..SAMPLES).map(|i| (i % CLASSES) as u8).collect();
        let order: Vec<u32> = (0..SAMPLES as u32).collect();
        let set = Set {
            parts: vec![Part { begin: 0, end: SAMPLES, samples }],
            labels: gpu.upload_u32("labels", &[SAMPLES / 4], &pack_bytes(&labels))?,
            order: gpu.upload_u32("order", &[SAMPLES], &order)?,
            features,
            normal: Set::normal(gpu, &[1.0], &[0.0])?,
            augment: None,
        };
        let step = gpu.uniform("step", &Step { live: SAMPLES as u32, ..Default::default() })?;
        let u32s = |label: &str| gpu.upload_u32(label, &[SAMPLES], &[0; SAMPLES]);
        let (label, hit, other_hit) = (u32s("label")?, u32s("hit")?, u32s("other hit")?);
        let loss = gpu.upload_f32("loss", &[SAMPLES], &[0.0; SAMPLES])?;
        let totals = Totals::tensor(gpu)?;
        let choices = Choices::default();
        let wish = Wish { gradients: Gradients::All, ..Wish::default() };
        let schedule = Schedule::new(&model, gpu, &choices, SAMPLES, wish);
        let (_, mut passes) = Arena::new(gpu, vec![schedule])?;
        let pass: Pass = passes.remove(0);

        let mut rec = Recorder::new(gpu);
        batch::record(&mut rec, &set, &step, pass.input(), &label)?;
        model.forward(&mut rec, &choices, &step, &pass)?;
        rec.phase(Phase::Loss);
        for (index, (head, (logits, d_logits))) in model.heads().iter().zip(pass.heads()).enumerate() {
            let target = Target::Hard { label: &label, smoothing: 0.0, temperature: 1.0 };
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
        let update = rec.finish()?;
        let rate = setting.rate() as f32;
        Ok(Self { model, optimizer, rate, step, loss, totals, forward, backward, update })
    }

    /// The mean loss of the samples.
    pub fn evaluate(&self) -> Result<f64> {
        self.forward.replay()?;
        let loss = self.loss.read_f32()?;
        Ok(loss.iter().map(|&v| v as f64).sum::<f64>() / SAMPLES as f64)
    }
    /// Computes all gradients; returns the mean loss.
    pub fn differentiate(&self) -> Result<f64> {
        let loss = self.evaluate()?;
        self.backward.replay()?;
        Ok(loss)
    }
    /// One training step; returns the mean loss before it. `step` counts from 0.
    pub fn step(&self, step: u32) -> Result<f64> {
        let number =
            Step { step, live: SAMPLES as u32, rate: self.rate, update: step + 1, ..Default::default() };
        self.step.write(&self.optimizer.corrected(number))?;
        let loss = self.differentiate()?;
        self.update.replay()?;
        Ok(loss)
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
