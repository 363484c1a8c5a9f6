//! As many kept weights in ever larger networks: time and memory follow what is kept, not what could be.

use std::time::Instant;

use super::rows::Rows;
use super::{Sheet, Times, fastest};
use crate::data::{Dataset, Source, Split};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::random::{Stream, word};
use crate::recipe::Recipe;
use crate::report::table;
use crate::train::Session;

/// Kept weights of all networks: 1 % of the largest.
const KEPT: f64 = 1_342_177.0;
/// Networks width - 2 width - 2 width - width.
const WIDTHS: [usize; 3] = [1024, 2048, 4096];
const SAMPLES: u32 = 512;

pub(super) fn data(features: usize) -> Result<Dataset> {
    let split = |samples: u32, tensor: u32| {
        let words = samples * features as u32 / 4;
        let bytes = (0..words).flat_map(|i| word(1, Stream::Synthetic, 0, tensor, i).to_le_bytes()).collect();
        Split::bytes(bytes, (0..samples).map(|i| (i % features as u32) as u8).collect())
    };
    let source = Source::new("random", vec![features], features, split(SAMPLES, 0), split(128, 1));
    Dataset::from_arrays(Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source }, 0.0)
}

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let header = &[
        "width",
        "optimizer",
        "activations",
        "weights",
        "kept",
        "ms / step",
        "spread",
        "ms / mask update",
        "device peak",
        "bytes / kept weight",
        "host peak",
    ];
    let cases = [("sgd", "f32", &WIDTHS[..]), ("sgd", "bf16", &WIDTHS), ("adam", "f32", &WIDTHS[2..])];
    let mut rows = Rows::new(header, cases.iter().map(|(_, _, widths)| widths.len()).sum());
    for (optimizer, activations, widths) in cases {
        for &width in widths {
            rows.push(network(gpu, width, optimizer, activations, repeats)?);
        }
    }
    let title =
        "width - 2 width - 2 width - width, RigL from the start, batch 128; the same number of kept weights"
            .to_string();
    Ok(vec![Sheet { name: "scale", title, header, rows: rows.done() }])
}

fn network(
    gpu: &Gpu,
    width: usize,
    optimizer: &str,
    activations: &str,
    repeats: usize,
) -> Result<Vec<String>> {
    let data = data(width)?;
    let dense = (2 * width * width + 4 * width * width + 2 * width * width) as f64;
    let text = format!(
        "run = {{ epochs = 1000, activations = '{activations}' }}\ndata = {{ name = 'random' }}\n\
         model = {{ preset = 'mlp', hidden = [{0}, {0}] }}\noptim = {{ name = '{optimizer}', lr = 0.001 }}\n\
         [sparsity]\nmethod = 'rigl'\nstorage = 'packed'\ntarget = {1}\nschedule = {{ every = 100 }}",
        2 * width,
        1.0 - KEPT / dense
    );
    let recipe = Recipe::parse(&text, "bench", &[])?;
    let choices = fastest(gpu, &recipe, &data)?;
    gpu.forget_peak();
    let mut run = Session::new(gpu, &recipe, &data, choices)?;
    let mut steps = Vec::new();
    let mut updates = Vec::new();
    // The first step has a mask update; the next has one a hundred steps later.
    for step in 0..=100 {
        if step > repeats.max(10) && step < 100 {
            run.step += 1; // nothing is learnt from more steps of the same kind
            continue;
        }
        gpu.finish()?;
        let began = Instant::now();
        let changed = run.advance()?.is_some();
        gpu.finish()?;
        let ms = began.elapsed().as_secs_f64() * 1e3;
        match (changed, step) {
            (true, 0) => {} // pipelines are compiled at their first use
            (true, _) => updates.push(ms),
            (false, 1..4) => {}
            (false, _) => steps.push(ms),
        }
    }
    let (steps, updates) = (Times::of(steps), Times::of(updates));
    let (mut kept, mut held) = (0, 0);
    for param in run.model.params.iter().filter(|param| param.prunable) {
        kept += param.kept()?;
        held += param.bytes();
    }
    Ok(vec![
        width.to_string(),
        optimizer.to_string(),
        activations.to_string(),
        format!("{dense}"),
        kept.to_string(),
        format!("{:.1}", steps.median),
        steps.spread(),
        format!("{:.0}", updates.median - steps.median),
        table::bytes(gpu.memory().peak_bytes),
        format!("{:.1}", held as f64 / kept as f64),
        host_peak().map_or("unknown".into(), table::bytes),
    ])
}

/// The most memory that this process has had, where the system tells.
fn host_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
