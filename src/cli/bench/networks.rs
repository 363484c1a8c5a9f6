//! Training steps of networks of convolutions and of text, dense and sparse, in turns in the same run on the same device.

use super::super::drive;
use super::rows::Rows;
use super::sparse::block;
use super::step::Timed;
use super::{Sheet, Times, cache, tune};
use crate::data::{Dataset, Source, Split};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::Effort;
use crate::random::{Stream, word};
use crate::recipe::Recipe;
use crate::train::Session;

/// Networks that read the same kind of samples.
struct Family {
    name: &'static str,
    title: &'static str,
    networks: &'static [Network],
    /// What is pruned of each: all by RigL, from random masks.
    sparsities: &'static [f64],
}

struct Network {
    preset: &'static str,
    settings: &'static str,
    batch: usize,
    optim: &'static str,
    /// Keys of the data set.
    data: &'static str,
    detail: Detail,
}

/// What is shown of a dense step besides its time.
#[derive(Clone, Copy, PartialEq)]
enum Detail {
    None,
    Dispatches,
    /// Times by kernel: it has too many dispatches.
    Kernels,
}

const SGD: &str = "name = 'sgd', lr = 0.001, weight_decay = 5e-4";
const ADAM: &str = "name = 'adamw', lr = 0.001";

const fn image(preset: &'static str, settings: &'static str, detail: Detail) -> Network {
    Network { preset, settings, batch: 128, optim: SGD, data: "", detail }
}

const IMAGES: Family = Family {
    name: "networks",
    title: "training steps of networks of convolutions, 28x28 images, batch 128, SGD with momentum, between mask \
        updates; ms by wall clock, in turns with dense steps",
    networks: &[
        image("cnn", "", Detail::Dispatches),
        image("resnet20", "", Detail::None),
        image("resnet20", ", width = 2.0", Detail::None),
    ],
    sparsities: &[0.9, 0.95, 0.98],
};
const TEXT: Family = Family {
    name: "text",
    title: "training steps of networks of text, batch 32: `gpt` at a context of 128, `lstm-lm` at 64, Adam, between mask \
        updates; ms by wall clock, in turns with dense steps",
    networks: &[
        Network {
            preset: "gpt",
            settings: "",
            batch: 32,
            optim: ADAM,
            data: "context = 128",
            detail: Detail::Kernels,
        },
        Network {
            preset: "lstm-lm",
            settings: "",
            batch: 32,
            optim: ADAM,
            data: "context = 64, order = 'streams'",
            detail: Detail::Kernels,
        },
    ],
    sparsities: &[0.9, 0.95],
};
/// Steps of one timed block: none with a mask update.
const BLOCK: usize = 4;

/// 1,280 random images of 28x28 bytes: speed does not depend on what they show.
fn images() -> Result<Dataset> {
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
    measure_family(gpu, repeats, &IMAGES)
}

pub fn measure_text(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    measure_family(gpu, repeats, &TEXT)
}

fn measure_family(gpu: &Gpu, repeats: usize, family: &Family) -> Result<Vec<Sheet>> {
    let header =
        &["network", "what", "kept", "ms / step", "spread", "to dense", "spread of that", "device bytes"];
    let count = family.networks.len() * (family.sparsities.len() + 1);
    let (mut rows, mut steps) = (Rows::new(header, count), Vec::new());
    for network in family.networks {
        let name = format!("{}{}", network.preset, network.settings);
        let data = match network.data {
            "" => images()?,
            _ => drive::data(&recipe(network, "")?)?,
        };
        let (mut dense, dense_bytes) = session(gpu, &data, network, "")?;
        let base = (0..repeats).map(|_| block(gpu, &mut dense, BLOCK)).collect::<Result<_>>()?;
        rows.push(row(&name, "dense", &dense, dense_bytes, [Times::of(base), Times::of(vec![1.0])])?);
        for sparsity in family.sparsities {
            let text = format!("method = 'rigl'\ntarget = {sparsity}\ndistribution = 'erk'");
            let (mut run, bytes) = session(gpu, &data, network, &text)?;
            // In turns: a machine that drifts slows both.
            let (mut all, mut ratios) = (Vec::new(), Vec::new());
            for _ in 0..repeats {
                let of_dense = block(gpu, &mut dense, BLOCK)?;
                let ms = block(gpu, &mut run, BLOCK)?;
                all.push(ms);
                ratios.push(ms / of_dense);
            }
            let what = format!("rigl {:.0} %", 100.0 * sparsity);
            rows.push(row(&name, &what, &run, bytes, [Times::of(all), Times::of(ratios)])?);
        }
        let what = format!("{name}, dense");
        match network.detail {
            Detail::None => {}
            Detail::Dispatches => steps.push(Timed::of(&mut dense, repeats)?.dispatches(&what)),
            Detail::Kernels => steps.push(Timed::of(&mut dense, repeats)?.kernels(&what)),
        }
    }
    steps.insert(0, Sheet { name: family.name, title: family.title.into(), header, rows: rows.done() });
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

fn recipe(network: &Network, sparsity: &str) -> Result<Recipe> {
    let Network { preset, settings, batch, optim, .. } = network;
    let data_keys = match network.data {
        "" => "name = 'random'".to_string(),
        keys => format!("name = 'shakespeare', {keys}"),
    };
    let text = format!(
        "run = {{ epochs = 1000, batch = {batch} }}\ndata = {{ {data_keys} }}\n\
         model = {{ preset = '{preset}'{settings} }}\noptim = {{ {optim} }}\n[sparsity]\n{sparsity}\n\
         schedule = {{ every = 1000 }}"
    );
    Recipe::parse(&text, "bench", &[])
}

/// A warm session, and the bytes of device memory that it takes.
fn session(gpu: &Gpu, data: &Dataset, network: &Network, sparsity: &str) -> Result<(Session, u64)> {
    let recipe = recipe(network, sparsity)?;
    let wanted = cache::Run { gpu, recipe: &recipe, data, initial: None, max_steps: None };
    let choices = tune::choices(&wanted, Effort::Brief, false)?;
    let before = gpu.memory().bytes;
    let mut run = Session::new(gpu, &recipe, data, choices)?;
    for _ in 0..3 {
        run.advance()?;
    }
    Ok((run, gpu.memory().bytes - before))
}
