//! Whole training steps of sparse networks beside the dense one, in the same run on the same device.

use std::time::Instant;

use super::rows::Rows;
use super::step::{Timed, data, recipe};
use super::{Sheet, Times, fastest};
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::train::Session;

/// Networks 784-width-width-10 and what is pruned of them; mask updates every 100 steps where masks change. Those whose
/// names say so read bf16 activations.
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
    (1024, "rigl 80 %, bf16", "method = 'rigl'\ntarget = 0.8"),
    (1024, "rigl 90 %, bf16", "method = 'rigl'\ntarget = 0.9"),
    (1024, "rigl 95 %, bf16", "method = 'rigl'\ntarget = 0.95"),
    (1024, "rigl 98 %, bf16", "method = 'rigl'\ntarget = 0.98"),
    (1024, "rigl 99 %, bf16", "method = 'rigl'\ntarget = 0.99"),
    (1024, "8x1 80 %, bf16", "method = 'static'\ntarget = 0.8\npattern = 'block:8x1'"),
    (1024, "8x1 90 %, bf16", "method = 'static'\ntarget = 0.9\npattern = 'block:8x1'"),
    (1024, "8x1 95 %, bf16", "method = 'static'\ntarget = 0.95\npattern = 'block:8x1'"),
    (512, "rigl 98 %", "method = 'rigl'\ntarget = 0.98"),
    (2048, "rigl 99 %", "method = 'rigl'\ntarget = 0.99"),
];

/// The last layer has too few outputs for blocks of eight, and stays dense.
const HEAD: &str = "\n[[sparsity.rule]]\nmatch = 'head'\ndense = true";

/// Cases whose steps are shown dispatch by dispatch, at width 1024.
const IN_DETAIL: [&str; 5] = ["rigl 90 %", "rigl 90 %, bf16", "rigl 99 %", "rigl 99 %, bf16", "8x1 90 %"];

/// Steps of one timed block: one mask update falls into each of a sparse run's.
const BLOCK: usize = 100;
/// Steps of a dense block.
const DENSE_BLOCK: usize = 20;

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let data = data()?;
    let header =
        &["width", "what", "kept", "ms / step", "spread", "to dense", "spread of that", "device bytes"];
    let widths = CASES.chunk_by(|(a, ..), (b, ..)| a == b).count();
    let (mut rows, mut steps) = (Rows::new(header, CASES.len() + widths), Vec::new());
    let mut dense: Option<(usize, Session)> = None;
    for &(width, name, sparsity) in CASES {
        if dense.as_ref().is_none_or(|(of, _)| *of != width) {
            drop(dense.take()); // its memory first
            let (mut run, bytes) = session(gpu, &data, width, "", "f32")?;
            let times =
                Times::of((0..repeats).map(|_| block(gpu, &mut run, DENSE_BLOCK)).collect::<Result<_>>()?);
            rows.push(row(width, "dense", kept(&run)?, bytes, times, Times::of(vec![1.0])));
            dense = Some((width, run));
        }
        let (_, dense) = dense.as_mut().expect("just built");
        let rest = if sparsity.contains("block") { HEAD } else { "" };
        let activations = if name.ends_with("bf16") { "bf16" } else { "f32" };
        let text = format!("{sparsity}\nschedule = {{ every = 100 }}{rest}");
        let (mut run, bytes) = session(gpu, &data, width, &text, activations)?;
        // In turns: a machine that drifts slows both.
        let (mut all, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            let base = block(gpu, dense, DENSE_BLOCK)?;
            let ms = block(gpu, &mut run, BLOCK)?;
            all.push(ms);
            ratios.push(ms / base);
        }
        rows.push(row(width, name, kept(&run)?, bytes, Times::of(all), Times::of(ratios)));
        if width == 1024 && IN_DETAIL.contains(&name) {
            steps.push(Timed::of(&mut run, repeats)?.dispatches(&format!("{name}, width {width}")));
        }
    }
    let title = "training steps, 784-width-width-10, batch 128, SGD with momentum, mask updates included; \
        ms by wall clock, in turns with dense steps"
        .to_string();
    steps.insert(0, Sheet { name: "sparse", title, header, rows: rows.done() });
    Ok(steps)
}

fn row(width: usize, name: &str, kept: usize, bytes: u64, times: Times, ratios: Times) -> Vec<String> {
    vec![
        width.to_string(),
        name.to_string(),
        kept.to_string(),
        format!("{:.2}", times.median),
        times.spread(),
        format!("{:.3}", ratios.median),
        ratios.spread(),
        bytes.to_string(),
    ]
}

/// A warm session, and the bytes of device memory that it takes.
fn session(
    gpu: &Gpu,
    data: &Dataset,
    width: usize,
    sparsity: &str,
    activations: &str,
) -> Result<(Session, u64)> {
    let recipe = recipe(width, sparsity, activations)?;
    let choices = fastest(gpu, &recipe, data)?;
    let before = gpu.memory().bytes;
    let mut run = Session::new(gpu, &recipe, data, choices)?;
    for _ in 0..20 {
        run.advance()?;
    }
    Ok((run, gpu.memory().bytes - before))
}

/// Milliseconds a step over one block of steps, as a run takes them.
pub(super) fn block(gpu: &Gpu, run: &mut Session, steps: usize) -> Result<f64> {
    gpu.finish()?;
    let began = Instant::now();
    for _ in 0..steps {
        run.advance()?;
    }
    gpu.finish()?;
    Ok(began.elapsed().as_secs_f64() * 1e3 / steps as f64)
}

fn kept(run: &Session) -> Result<usize> {
    run.model.params.iter().filter(|param| param.prunable).map(|param| param.kept()).sum()
}
