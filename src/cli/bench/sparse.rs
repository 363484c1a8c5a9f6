//! Whole training steps of sparse networks beside the dense one, in the same run on the same device.

use std::time::Instant;

use super::step::{data, dispatches, recipe};
use super::{Sheet, Times};
use crate::cli::cache;
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::train::Session;

/// Networks 784-width-width-10 and what is pruned of them; mask updates every 100 steps where masks change.
const CASES: &[(usize, &str, &str)] = &[
    (1024, "rigl 80 %", "method = 'rigl'\ntarget = 0.8"),
    (1024, "rigl 90 %", "method = 'rigl'\ntarget = 0.9"),
    (1024, "rigl 95 %", "method = 'rigl'\ntarget = 0.95"),
    (1024, "rigl 98 %", "method = 'rigl'\ntarget = 0.98"),
    (1024, "rigl 99 %", "method = 'rigl'\ntarget = 0.99"),
    (1024, "8x1 80 %", "method = 'static'\ntarget = 0.8\npattern = 'block:8x1'"),
    (1024, "8x1 90 %", "method = 'static'\ntarget = 0.9\npattern = 'block:8x1'"),
    (1024, "8x1 95 %", "method = 'static'\ntarget = 0.95\npattern = 'block:8x1'"),
    (1024, "1:8", "method = 'static'\npattern = '1:8'"),
    (1024, "1:16", "method = 'static'\npattern = '1:16'"),
    (1024, "1:32", "method = 'static'\npattern = '1:32'"),
    (512, "rigl 98 %", "method = 'rigl'\ntarget = 0.98"),
    (2048, "rigl 99 %", "method = 'rigl'\ntarget = 0.99"),
];

/// The last layer has too few outputs for blocks of eight: it keeps single weights, or stays dense.
const HEAD: &str = "\n[[sparsity.rule]]\nmatch = 'head'\n";

/// Cases whose steps are shown dispatch by dispatch, at width 1024.
const IN_DETAIL: [&str; 3] = ["rigl 90 %", "rigl 99 %", "8x1 90 %"];

/// Steps of one timed block: one mask update falls into each.
const BLOCK: usize = 100;

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let data = data()?;
    let mut rows = Vec::new();
    let mut steps = Vec::new();
    let mut dense: Option<(usize, f64)> = None;
    for &(width, name, sparsity) in CASES {
        if std::env::var("CASE").is_ok_and(|c| !c.split(',').any(|c| format!("{width} {name}").contains(c))) {
            continue;
        }
        if dense.is_none_or(|(of, _)| of != width) {
            let (times, kept, bytes) = time(gpu, &data, (width, "dense"), "", repeats, &mut steps)?;
            dense = Some((width, times.median));
            rows.push(row(width, "dense", kept, bytes, times, times.median));
        }
        let (_, base) = dense.expect("just measured");
        let rest = if sparsity.contains("block") { format!("{HEAD}dense = true") } else { String::new() };
        let text = format!("{sparsity}\nschedule = {{ every = 100 }}{rest}");
        let (times, kept, bytes) = time(gpu, &data, (width, name), &text, repeats, &mut steps)?;
        rows.push(row(width, name, kept, bytes, times, base));
    }
    let title = "training steps, 784-width-width-10, batch 128, SGD with momentum, mask updates included; ms by wall clock"
        .to_string();
    let header = &["width", "what", "kept", "ms / step", "spread", "to dense", "device bytes"];
    steps.insert(0, Sheet { name: "sparse", title, header, rows });
    Ok(steps)
}

fn row(width: usize, name: &str, kept: usize, bytes: u64, times: Times, base: f64) -> Vec<String> {
    vec![
        width.to_string(),
        name.to_string(),
        kept.to_string(),
        format!("{:.2}", times.median),
        times.spread(),
        format!("{:.3}", times.median / base),
        bytes.to_string(),
    ]
}

/// Times, weights kept, and bytes of device memory that the run takes.
fn time(
    gpu: &Gpu,
    data: &Dataset,
    (width, name): (usize, &str),
    sparsity: &str,
    repeats: usize,
    steps: &mut Vec<Sheet>,
) -> Result<(Times, usize, u64)> {
    let recipe = recipe(width, sparsity)?;
    let choices = cache::choices(gpu, &recipe, data)?;
    let before = gpu.memory().bytes;
    let mut run = Session::new(gpu, &recipe, data, choices)?;
    for _ in 0..20 {
        run.advance()?;
    }
    let bytes = gpu.memory().bytes - before;
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
    if width == 1024 && IN_DETAIL.contains(&name) {
        steps.push(dispatches(&mut run, &format!("{name}, width {width}"), repeats)?);
    }
    let mut kept = 0;
    for param in run.model.params().into_iter().filter(|param| param.is_maskable()) {
        kept += param.kept()?;
    }
    Ok((Times::of(all), kept, bytes))
}
