//! Scores of those that may be selected, and [`EXCLUDED`] for all others.

use super::topk::EXCLUDED;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::ops::packed::{Form, Index, Pattern};
use crate::random::{self, Stream};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/candidates.wgsl`.
    pub struct Args {
        len: u32, want: u32, first_row: u32, rows: u32, inner: u32, first_index: u32,
        seed_low: u32, seed_high: u32, stream: u32, tensor: u32,
    }
}
wgsl_struct! {
    /// The step that random scores are drawn for; written by the host before a mask update.
    pub struct Draw { step: u32 }
}

const CHOOSE: Kernel =
    Kernel::own(source!("sparsity/select/candidates"), twin_choose).entry("choose").proven();
const CHOOSE_QUADS: Kernel = CHOOSE.entry("choose_quads");
const STRIKE: Kernel =
    Kernel::own(source!("sparsity/select/candidates"), twin_strike).entry("strike").proven();
const BAR: Kernel = Kernel::own(source!("sparsity/select/candidates"), twin_bar).entry("bar").proven();
const BAR_QUADS: Kernel = BAR.entry("bar_quads");
const NOISE: Kernel = Kernel::own(source!("sparsity/select/candidates"), twin_noise).entry("noise").proven();
const WG: usize = 64;

/// `score = source` where the mask's bit is `want`, else [`EXCLUDED`].
pub fn record_choose(
    rec: &mut Recorder,
    source: &Tensor,
    mask: &Tensor,
    want: bool,
    score: &Tensor,
) -> Result<()> {
    let args = Args { len: source.len() as u32, want: want as u32, ..Default::default() };
    if source.len().is_multiple_of(4) {
        let binds = bind! { args: &args, mask: mask, source_quads: source, score_quads: score };
        return rec.dispatch(&CHOOSE_QUADS, binds, groups(source.len() / 4, WG), 0);
    }
    let binds = bind! { args: &args, mask: mask, source: source, score: score };
    rec.dispatch(&CHOOSE, binds, groups(source.len(), WG), 0)
}

/// Excludes the scores where the mask has a bit.
pub fn record_bar(rec: &mut Recorder, mask: &Tensor, score: &Tensor) -> Result<()> {
    let args = Args { len: score.len() as u32, ..Default::default() };
    if score.len().is_multiple_of(4) {
        let binds = bind! { args: &args, mask: mask, score_quads: score };
        return rec.dispatch(&BAR_QUADS, binds, groups(score.len() / 4, WG), 0);
    }
    rec.dispatch(&BAR, bind! { args: &args, mask: mask, score: score }, groups(score.len(), WG), 0)
}

/// Excludes, in the scores of `rows` rows from `first_row` on, the entries of a packed weight whose bit is set.
pub fn record_strike(
    rec: &mut Recorder,
    index: &Index,
    mask: &Tensor,
    first_row: usize,
    rows: usize,
    score: &Tensor,
) -> Result<()> {
    let args = Args {
        first_row: first_row as u32,
        rows: rows as u32,
        inner: index.pattern.inner as u32,
        ..Default::default()
    };
    let binds =
        bind! { args: &args, mask: mask, starts: &index.starts, columns: &index.columns, score: score };
    rec.dispatch(&STRIKE, binds, groups(rows, WG), 0)?;
    // Of the scores only those of entries are written; an entry has a column and a bit.
    let entries: usize = (first_row..first_row + rows).map(|row| index.pattern.row(row).len()).sum();
    rec.moves((4 * (rows + 1) + 8 * entries + entries.div_ceil(8)) as u64);
    Ok(())
}

/// Where random scores come from: they are a function of this, of the step and of the index.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    pub seed: u64,
    pub stream: Stream,
    /// The number of the parameter.
    pub tensor: u32,
}

/// Uniform scores in [0, 1) for the indices from `first_index` on, a multiple of 4. `draw` holds a [`Draw`].
pub fn record_noise(
    rec: &mut Recorder,
    noise: Noise,
    draw: &Uniform,
    first_index: usize,
    score: &Tensor,
) -> Result<()> {
    let args = Args {
        len: score.len() as u32,
        first_index: first_index as u32,
        seed_low: noise.seed as u32,
        seed_high: (noise.seed >> 32) as u32,
        stream: noise.stream as u32,
        tensor: noise.tensor,
        ..Default::default()
    };
    rec.dispatch(
        &NOISE,
        bind! { args: &args, draw: draw, score: score },
        groups(score.len().div_ceil(4), WG),
        0,
    )
}

fn bit(mask: &[u32], i: usize) -> bool {
    mask[i / 32] >> (i % 32) & 1 == 1
}

fn twin_choose(t: &Twin) {
    let args: Args = t.get("args");
    let (mask, source) = (t.u32("mask"), t.f32("source"));
    for (i, score) in t.f32_mut("score").iter_mut().enumerate() {
        *score = if bit(&mask, i) == (args.want == 1) { source[i] } else { EXCLUDED };
    }
}

fn twin_strike(t: &Twin) {
    let args: Args = t.get("args");
    let (mask, starts, columns) = (t.u32("mask"), t.u32("starts"), t.u32("columns"));
    let mut score = t.f32_mut("score");
    for row in 0..args.rows as usize {
        let first = args.first_row as usize + row;
        for entry in starts[first] as usize..starts[first + 1] as usize {
            if bit(&mask, entry) {
                score[row * args.inner as usize + columns[entry] as usize] = EXCLUDED;
            }
        }
    }
}

fn twin_bar(t: &Twin) {
    let mask = t.u32("mask");
    let mut score = t.f32_mut("score");
    (0..score.len()).filter(|&i| bit(&mask, i)).for_each(|i| score[i] = EXCLUDED);
}

fn twin_noise(t: &Twin) {
    let (args, draw): (Args, Draw) = (t.get("args"), t.get("draw"));
    let seed = u64::from(args.seed_low) | u64::from(args.seed_high) << 32;
    for (i, score) in t.f32_mut("score").iter_mut().enumerate() {
        let block = args.first_index / 4 + i as u32 / 4;
        let counter = [block, args.tensor, draw.step, args.stream];
        let key = [seed as u32, (seed >> 32) as u32];
        *score = random::unit(random::philox4x32_10(counter, key)[i % 4]);
    }
}

pub fn checks() -> Vec<Check> {
    // Numbers of elements that are multiples of four, and that are not.
    let choose = |want: bool, by: usize| {
        Check::new(format!("sparsity/select/candidates:choose ({want}, {by})"), move |t, n| {
            let n = n * by;
            let (source, mask) = (t.input("source", &[n])?, t.bits("mask", n.div_ceil(32))?);
            let score = t.output("score", &[n], Tolerance::EXACT)?;
            record_choose(&mut t.rec, &source, &mask, want, &score)
        })
    };
    let strike = Check::new("sparsity/select/candidates:strike", |t, n| {
        let (rows, inner) = (n + 70, 9);
        let noise = t.values(rows * inner);
        let indices: Vec<u32> = (0..(rows * inner) as u32).filter(|&i| noise[i as usize] > 0.3).collect();
        let gpu = t.gpu.clone();
        let pattern = Pattern::from_indices(Form::Free, rows, inner, &indices);
        let index = Index::new(&gpu, "weight", pattern, None, false, 4)?;
        let mask = t.bits("mask", indices.len().div_ceil(32))?;
        let score = t.input("score", &[n * inner])?;
        t.compare(&score, Tolerance::EXACT);
        record_strike(&mut t.rec, &index, &mask, 64, n, &score)
    });
    let noise = Check::new("sparsity/select/candidates:noise", |t, n| {
        let score = t.output("score", &[n], Tolerance::EXACT)?;
        let draw = t.gpu.uniform("draw", &Draw { step: 3 })?;
        let noise = Noise { seed: 1 << 40 | 7, stream: Stream::Growth, tensor: 2 };
        record_noise(&mut t.rec, noise, &draw, 4 * n, &score)
    });
    let bar = |by: usize| {
        Check::new(format!("sparsity/select/candidates:bar ({by})"), move |t, n| {
            let (score, mask) = (t.input("score", &[n * by])?, t.bits("mask", (n * by).div_ceil(32))?);
            t.compare(&score, Tolerance::EXACT);
            record_bar(&mut t.rec, &mask, &score)
        })
    };
    let chosen = [(true, 1), (false, 1), (true, 4), (false, 4)].map(|(want, by)| choose(want, by));
    chosen.into_iter().chain([strike, bar(1), bar(4), noise]).collect()
}
