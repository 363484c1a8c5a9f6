//! Training steps of networks of convolutions, dense and sparse, in turns in the same run on the same device.

use super::sparse::block;
use super::step::dispatches;
use super::{Sheet, Times, cache, tune};
use crate::data::{Dataset, Source, Split};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::Effort;
use crate::random::{Stream, word};
use crate::recipe::Recipe;
use crate::train::Session;

/// A preset and its settings.
const NETWORKS: &[(&str, &str)] = &[("cnn", ""), ("resnet20", ""), ("resnet20", ", width = 2.0")];
/// What is pruned of each: all by RigL, from random masks.
const SPARSITIES: [f64; 3] = [0.9, 0.95, 0.98];
/// Steps of one timed block: none with a mask update.
const BLOCK: usize = 4;
/// The network whose steps are shown dispatch by dispatch.
const IN_DETAIL: &str = "cnn";

/// 1,280 random images of 28x28 bytes: speed does not depend on what they show.
fn data() -> Result<Dataset> {
    let split = |samples: u32, tensor: u32| {
        let images = (0..samples * 784 / 4)
            .flat_map(|i| word(1, Stream::Synthetic, 0, tensor, i).to_le_bytes())
            .collect();
        Split::bytes(images, (0..samples).map(|i| (i % 10) as u8).collect())
    };
    let source = Source::new("random", vec![1, 28, 28], 10, split(1280, 0), split(128, 1));
    Dataset::from_arrays(Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source }, 0.0)
}

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let data = data()?;
    let header =
        &["network", "what", "kept", "ms / step", "spread", "to dense", "spread of that", "device bytes"];
    let (mut rows, mut steps) = (Vec::new(), Vec::new());
    for (preset, settings) in NETWORKS {
        let name = format!("{preset}{settings}");
        let (mut dense, dense_bytes) = session(gpu, &data, preset, settings, "")?;
        let mut base = Vec::new();
        let mut sparse_rows = Vec::new();
        for sparsity in SPARSITIES {
            let text = format!("method = 'rigl'\ntarget = {sparsity}\ndistribution = 'erk'");
            let (mut run, bytes) = session(gpu, &data, preset, settings, &text)?;
            // In turns: a machine that drifts slows both.
            let (mut all, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..repeats {
                let of_dense = block(gpu, &mut dense, BLOCK)?;
                let ms = block(gpu, &mut run, BLOCK)?;
                base.push(of_dense);
                all.push(ms);
                ratios.push(ms / of_dense);
            }
            let what = format!("rigl {:.0} %", 100.0 * sparsity);
            sparse_rows.push(row(&name, &what, &run, bytes, [Times::of(all), Times::of(ratios)])?);
        }
        rows.push(row(&name, "dense", &dense, dense_bytes, [Times::of(base), Times::of(vec![1.0])])?);
        rows.extend(sparse_rows);
        if *preset == IN_DETAIL {
            steps.push(dispatches(&mut dense, &format!("{name}, dense"), repeats)?);
        }
    }
    let title = "training steps of networks of convolutions, 28x28 images, batch 128, SGD with momentum, between mask \
        updates; ms by wall clock, in turns with dense steps"
        .to_string();
    steps.insert(0, Sheet { name: "networks", title, header, rows });
    Ok(steps)
}

fn row(name: &str, what: &str, run: &Session, bytes: u64, times: [Times; 2]) -> Result<Vec<String>> {
    let prunable = run.model.params.iter().filter(|param| param.prunable);
    let kept: usize = prunable.map(|param| param.kept()).sum::<Result<usize>>()?;
    let [times, ratios] = times;
    Ok(vec![
        name.to_string(),
        what.to_string(),
        kept.to_string(),
        format!("{:.1}", times.median),
        times.spread(),
        format!("{:.3}", ratios.median),
        ratios.spread(),
        bytes.to_string(),
    ])
}

/// A warm session, and the bytes of device memory that it takes.
fn session(
    gpu: &Gpu,
    data: &Dataset,
    preset: &str,
    settings: &str,
    sparsity: &str,
) -> Result<(Session, u64)> {
    let text = format!(
        "run = {{ epochs = 1000 }}\ndata = {{ name = 'random' }}\nmodel = {{ preset = '{preset}'{settings} }}\n\
         optim = {{ name = 'sgd', lr = 0.001, weight_decay = 5e-4 }}\n[sparsity]\n{sparsity}\n\
         schedule = {{ every = 1000 }}"
    );
    let recipe = Recipe::parse(&text, "bench", &[])?;
    let wanted = cache::Run { gpu, recipe: &recipe, data, initial: None, max_steps: None };
    let choices = tune::choices(&wanted, Effort::Brief, false)?;
    let before = gpu.memory().bytes;
    let mut run = Session::new(gpu, &recipe, data, choices)?;
    for _ in 0..3 {
        run.advance()?;
    }
    Ok((run, gpu.memory().bytes - before))
}
