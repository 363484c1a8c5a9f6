//! N of every M consecutive inputs of a row: the largest magnitudes of each group, ties to the lower input.
//!
//! Zhou et al., 2021, "Learning N:M fine-grained structured sparse neural networks from scratch", for the groups; here
//! they never leave a row, and a last group of fewer than M keeps N or all that it has.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups as workgroups;
use crate::param::Matrix;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/structure/groups.wgsl`.
    pub struct Args { rows: u32, inner: u32 }
}
wgsl_struct! {
    /// What passes: `keep` of every `group` inputs, and `decay` times the others; written by the host.
    pub struct Gate { keep: u32, group: u32, decay: f32 }
}

const MARK: Kernel = Kernel::own(source!("sparsity/structure/groups"), twin_mark).entry("mark").proven();
const GATE: Kernel = Kernel::own(source!("sparsity/structure/groups"), twin_gate).entry("gate").proven();
const BY_QUADS: Kernel = Kernel::own(source!("sparsity/structure/groups_quads"), twin_gate).proven();
const WG: usize = 64;

/// Groups of a matrix (rows, inner), of at least `of` inputs each.
fn count(rows: usize, inner: usize, of: usize) -> usize {
    rows * inner.div_ceil(of)
}

/// Writes which weights of `source` (out, taps.., in) are kept, of every group of inputs of one tap; adds scores that are not numbers to `counts[0]`. `of` is
/// the smallest group that the gate will ever name.
pub fn record_mark(
    rec: &mut Recorder,
    gate: &Uniform,
    of: usize,
    source: &Tensor,
    mask: &Tensor,
    counts: &Tensor,
) -> Result<()> {
    let (rows, inner) = Matrix::of(&source.shape).by_tap();
    let args = Args { rows: rows as u32, inner: inner as u32 };
    let binds = bind! { args: &args, gates: gate, source: source, mask: mask, counts: counts };
    rec.dispatch(&MARK, binds, workgroups(count(rows, inner, of), WG), source.len() as u64)
}

/// As [`record_mark`], and `weight = source` where it is kept, else `decay` times that.
pub fn record_gate(
    rec: &mut Recorder,
    gate: &Uniform,
    of: usize,
    source: &Tensor,
    mask: &Tensor,
    weight: &Tensor,
    counts: &Tensor,
) -> Result<()> {
    let (rows, inner) = Matrix::of(&source.shape).by_tap();
    let args = Args { rows: rows as u32, inner: inner as u32 };
    let binds =
        bind! { args: &args, gates: gate, source: source, mask: mask, weight: weight, counts: counts };
    // Patterns that change in the course of a run have groups that are multiples of the smallest.
    let kernel = if inner.is_multiple_of(4) && of.is_multiple_of(4) { &BY_QUADS } else { &GATE };
    rec.dispatch(kernel, binds, workgroups(count(rows, inner, of), WG), 2 * source.len() as u64)
}

/// The oracle: which of a row are kept, group by group, by sorting.
pub fn n_of_m(row: &[f32], keep: usize, of: usize) -> Vec<bool> {
    row.chunks(of).flat_map(|group| crate::sparsity::select::topk::top_k(group, keep)).collect()
}

fn twin_mark(t: &Twin) {
    let (args, gate): (Args, Gate) = (t.get("args"), t.get("gates"));
    let (source, mut mask, mut counts) = (t.f32("source"), t.u32_mut("mask"), t.u32_mut("counts"));
    let inner = args.inner as usize;
    for row in 0..args.rows as usize {
        let kept = n_of_m(&source[row * inner..][..inner], gate.keep as usize, gate.group as usize);
        for (i, kept) in kept.into_iter().enumerate() {
            let at = row * inner + i;
            mask[at / 32] = mask[at / 32] & !(1 << (at % 32)) | u32::from(kept) << (at % 32);
            counts[0] += u32::from(source[at].is_nan());
        }
    }
}

fn twin_gate(t: &Twin) {
    twin_mark(t);
    let gate: Gate = t.get("gates");
    let (source, mask, mut weight) = (t.f32("source"), t.u32("mask"), t.f32_mut("weight"));
    for (i, weight) in weight.iter_mut().enumerate() {
        let kept = mask[i / 32] >> (i % 32) & 1 == 1;
        *weight = if kept { source[i] } else { gate.decay * source[i] };
    }
}

/// Groups that fill rows and that do not, that fill words and that straddle them; few and many kept; ties.
pub fn checks() -> Vec<Check> {
    let cases = [
        (2, 4, 4, 1),
        (1, 16, 3, 1),
        (31, 32, 1, 1),
        (5, 7, 3, 1),
        (3, 100, 2, 1),
        (2, 2, 5, 1),
        (2, 4, 3, 4),
        (3, 4, 3, 4),
        (1, 16, 3, 4),
        (30, 32, 2, 4),
        (7, 12, 5, 4),
        (4, 4, 2, 4),
        (250, 300, 3, 5),
        (40, 512, 2, 5),
        (3, 1000, 2, 5),
        (999, 1000, 2, 5),
        (100, 300, 3, 8),
        (472, 512, 2, 8),
        (500, 1000, 2, 8),
    ];
    // The last number: of what rows are multiples.
    let one = |(keep, of, rows, by): (usize, usize, usize, usize)| {
        Check::new(format!("sparsity/structure/groups ({keep}:{of}, {by})"), move |t, n| {
            let n = n * by;
            let coarse = |v: &f32| (v * 9.0).round() / 9.0;
            let values: Vec<f32> = t.values(rows * n).iter().map(coarse).collect();
            let source = t.gpu.upload_f32("source", &[rows, n], &values)?;
            let gate = Gate { keep: keep as u32, group: of as u32, decay: 0.25 };
            let gate = t.gpu.uniform("gate", &gate)?;
            let (mask, other) =
                (t.bits("mask", source.len().div_ceil(32))?, t.bits("other", source.len().div_ceil(32))?);
            let weight = t.output("weight", &[rows, n], Tolerance::EXACT)?;
            let counts = t.output_u32("counts", &[1])?;
            [&mask, &other].into_iter().for_each(|mask| t.compare(mask, Tolerance::EXACT));
            record_mark(&mut t.rec, &gate, of, &source, &other, &counts)?;
            record_gate(&mut t.rec, &gate, of, &source, &mask, &weight, &counts)
        })
    };
    cases.map(one).into()
}
