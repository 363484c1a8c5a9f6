//! A whole training step, dispatch by dispatch, at two widths.

use std::time::Instant;

use super::super::{cache, drive, tune};
use super::{Sheet, Times, fastest};
use crate::data::{Dataset, Source, Split};
use crate::error::Result;
use crate::gpu::{Gpu, Phase, Timing};
use crate::ops::measure::Effort;
use crate::ops::variants::Choices;
use crate::random::{Stream, word};
use crate::recipe::Recipe;
use crate::train::Session;

/// Steps before the first that counts: pipelines are compiled at their first use.
const WARM_UP: usize = 20;

/// 1,280 random images of 784 bytes: speed does not depend on what they show.
pub(super) fn data() -> Result<Dataset> {
    let split = |samples: u32, tensor: u32| {
        let images = (0..samples * 784 / 4)
            .flat_map(|i| word(1, Stream::Synthetic, 0, tensor, i).to_le_bytes())
            .collect();
        Split::bytes(images, (0..samples).map(|i| (i % 10) as u8).collect())
    };
    let source = Source::new("random", vec![784], 10, split(1280, 0), split(128, 1));
    Dataset::from_arrays(Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source }, 0.0)
}

pub(super) fn recipe(width: usize, sparsity: &str, activations: &str) -> Result<Recipe> {
    let text = format!(
        "run = {{ epochs = 1000, activations = '{activations}' }}\ndata = {{ name = 'random' }}\nmodel = {{ preset = 'mlp', hidden = [{width}, {width}] }}\n\
         optim = {{ name = 'sgd', lr = 0.001, weight_decay = 5e-4 }}\n[sparsity]\n{sparsity}"
    );
    Recipe::parse(&text, "bench", &[])
}

const GMP: &str = "method = 'gmp'\ntarget = 0.9\nstorage = 'masked'\nschedule = { every = 100 }";

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let data = data()?;
    let mut totals = Vec::new();
    let mut sheets = Vec::new();
    for width in [512, 1024] {
        let recipe_dense = recipe(width, "", "f32")?;
        let fast = fastest(gpu, &recipe_dense, &data)?;
        for (name, sparsity) in [("dense", ""), ("gmp, masked, masks every 100 steps", GMP)] {
            let mut run = Session::new(gpu, &recipe(width, sparsity, "f32")?, &data, fast.clone())?;
            totals.push(whole(gpu, &mut run, width, name, repeats)?);
            if sparsity.is_empty() {
                sheets.push(Timed::of(&mut run, repeats)?.dispatches(&format!("dense, width {width}")));
            }
        }
        if width == 512 {
            let plain = Choices::plain(&Session::products(gpu, &recipe_dense, &data)?);
            let mut run = Session::new(gpu, &recipe_dense, &data, plain)?;
            totals.push(whole(gpu, &mut run, width, "dense, plain kernels", 2)?);
        }
    }
    let title =
        "training steps, 784-width-width-10, batch 128, SGD with momentum; ms by wall clock over many steps"
            .to_string();
    sheets.insert(
        0,
        Sheet { name: "steps", title, header: &["width", "what", "ms / step", "spread"], rows: totals },
    );
    Ok(sheets)
}

/// A step of somebody's recipe, with the kernels that a run would choose.
pub(super) fn of_recipe(gpu: &Gpu, name: &str, recipe: &Recipe, repeats: usize) -> Result<Vec<Sheet>> {
    let data = drive::data(recipe)?;
    let wanted = cache::Run { gpu, recipe, data: &data, initial: None, max_steps: None };
    let choices = tune::choices(&wanted, Effort::Brief, false)?;
    let mut run = Session::new(gpu, recipe, &data, choices)?;
    let timed = Timed::of(&mut run, repeats)?;
    Ok(vec![timed.kernels(name), timed.dispatches(name)])
}

/// Wall-clock time a step over blocks of steps, as a run takes them.
fn whole(gpu: &Gpu, run: &mut Session, width: usize, name: &str, repeats: usize) -> Result<Vec<String>> {
    const BLOCK: usize = 20;
    for _ in 0..WARM_UP {
        run.advance()?;
    }
    let mut all = Vec::new();
    for _ in 0..repeats {
        gpu.finish()?;
        let began = Instant::now();
        for _ in 0..BLOCK {
            run.advance()?;
        }
        gpu.finish()?;
        all.push(began.elapsed().as_secs_f64() * 1e3 / BLOCK as f64);
    }
    let times = Times::of(all);
    Ok(vec![width.to_string(), name.to_string(), format!("{:.2}", times.median), times.spread()])
}

/// The dispatches of one step, each with its times over some steps.
pub(super) struct Timed {
    clock: String,
    /// How many steps.
    steps: usize,
    all: Vec<(Timing, Vec<f64>)>,
}

impl Timed {
    /// Of steps with the dispatches of the first one after a warm-up: those with a mask update, say, have others.
    pub fn of(run: &mut Session, repeats: usize) -> Result<Self> {
        const TRIES: usize = 4;
        for _ in 0..WARM_UP {
            run.advance_timed()?;
        }
        let mut all: Vec<(Timing, Vec<f64>)> = Vec::new();
        let mut counted = 0;
        for _ in 0..TRIES * repeats {
            let (_, times) = run.advance_timed()?;
            if all.is_empty() {
                all = times.iter().map(|time| (time.clone(), Vec::new())).collect();
            }
            let labels = times.iter().map(|time| &time.label);
            if counted < repeats && labels.eq(all.iter().map(|(first, _)| &first.label)) {
                times.iter().zip(&mut all).for_each(|(time, (_, ms))| ms.push(time.ms));
                counted += 1;
            }
            if counted == repeats {
                break;
            }
        }
        Ok(Self { clock: format!("{:?}", run.gpu.clock()).to_lowercase(), steps: counted, all })
    }

    fn how(&self) -> String {
        format!("medians of {} steps, timed by {}", self.steps, self.clock)
    }

    /// Every dispatch by itself.
    pub fn dispatches(&self, what: &str) -> Sheet {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut sums = std::collections::BTreeMap::<Phase, f64>::new();
        for (Timing { label, phase, cost, .. }, ms) in &self.all {
            let times = Times::of(ms.clone());
            *sums.entry(*phase).or_default() += times.median;
            rows.push(vec![
                label.clone(),
                phase.name().into(),
                format!("{:.3}", times.median),
                times.spread(),
                format!("{:.1}", cost.flops as f64 / times.median / 1e6),
                format!("{:.1}", cost.bytes as f64 / times.median / 1e6),
            ]);
        }
        for (phase, ms) in sums {
            let [spread, flops, bytes] = [(); 3].map(|()| String::new());
            rows.push(vec!["all".into(), phase.name().into(), format!("{ms:.3}"), spread, flops, bytes]);
        }
        Sheet {
            name: "dispatches",
            title: format!("one {what} step, dispatch by dispatch, {}", self.how()),
            header: &["dispatch", "phase", "ms", "spread", "GFLOP/s", "GB/s"],
            rows,
        }
    }

    /// Times by kernel, the longest first: medians of each dispatch, added up.
    pub fn kernels(&self, what: &str) -> Sheet {
        let mut sums = std::collections::BTreeMap::<String, (usize, f64, u64)>::new();
        for (Timing { label, cost, .. }, ms) in &self.all {
            // What comes after the layer's name.
            let kernel = label.split_once(' ').map_or(label.as_str(), |(_, kernel)| kernel);
            let (count, total, flops) = sums.entry(kernel.to_string()).or_default();
            *count += 1;
            *total += Times::of(ms.clone()).median;
            *flops += cost.flops;
        }
        let all: f64 = sums.values().map(|(_, ms, _)| ms).sum();
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        let row = |(kernel, (count, ms, flops)): (String, (usize, f64, u64))| {
            vec![
                kernel,
                count.to_string(),
                format!("{ms:.3}"),
                format!("{:.1} %", 100.0 * ms / all),
                format!("{:.1}", flops as f64 / ms / 1e6),
            ]
        };
        Sheet {
            name: "by kernel",
            title: format!("one {what} step by kernel, {all:.1} ms in all, {}", self.how()),
            header: &["kernel", "dispatches", "ms", "of all", "GFLOP/s"],
            rows: sums.into_iter().map(row).collect(),
        }
    }
}
