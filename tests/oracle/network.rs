//! The networks of the golden files, trained, and the files themselves.

#[path = "nets.rs"]
mod nets;

use std::cell::Cell;

use coppice::error::Result;
use coppice::gpu::{Gpu, Phase, Plan, Recorder, Tensor, Uniform};
use coppice::nn::{Arena, Gradients, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::batch::{self, Part, Set, pack_bytes};
use coppice::ops::cross_entropy::{self, Labels, Share, Target};
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::tally::{self, Totals};
use coppice::ops::text::Text;
use coppice::ops::variants::Choices;
use coppice::optim::Optimizer;
use coppice::param::{MaskMode, Storage, mask_of};
use coppice::recipe;

use nets::{CLASSES, STEPS};
pub use nets::{Net, Preset, Samples, hashed, keeps};

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
        recipe::Optim {
            name: name.as_str().expect("a text").into(),
            lr,
            clip,
            ema: None,
            settings: settings.into(),
        }
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
    Numbers(Box<Set>),
    Tokens(Box<Text>),
}

impl Store {
    fn new(gpu: &Gpu, net: Net, count: usize) -> Result<Self> {
        if let Some(tokens) = net.tokens() {
            let (stream, order) = (tokens.stream(net.first() - 1), tokens.order());
            return Text::new(gpu, &stream, tokens.vocabulary, tokens.cut(), &order)
                .map(|text| Self::Tokens(Box::new(text)));
        }
        let features = net.input().numbers();
        let samples: Vec<f32> = (0..count * features).map(|i| net.sample(i)).collect();
        let samples = gpu.upload_f32("samples", &[count, features], &samples)?;
        let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
        let order: Vec<u32> = (0..count as u32).collect();
        Ok(Self::Numbers(Box::new(Set {
            parts: vec![Part { begin: 0, end: count, samples }],
            labels: gpu.upload_u32("labels", &[count / 4], &pack_bytes(&labels))?,
            order: gpu.upload_u32("order", &[count], &order)?,
            features,
            normal: Set::normal(gpu, &[1.0], &[0.0])?,
            augment: None,
            mixup: None,
        })))
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
        let step =
            Step { live: live as u32, answers: answers[0], together: answers[0], ..Default::default() };
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
            together: answers,
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
