//! Leaves of a tile only what may be among the largest scores, so that little has to be selected from.
//!
//! A floor is guessed from a sample, or is what the tile before has shown, and all scores that reach it are candidates. That
//! is exact where they are at least as many as are asked for, and not more than there is room for; else it is noted, and the
//! host takes the way without a guess.

use super::topk::{EXCLUDED, INFINITY, Keep, key};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/sieve.wgsl`.
    pub struct Args { len: u32 }
}

const GUESS: Kernel = Kernel::own(source!("sparsity/select/sieve"), twin_guess).entry("guess").proven();
const SIFT: Kernel = Kernel::own(source!("sparsity/select/sieve"), twin_sift).entry("sift").proven();
const SIFT_TEXELS: Kernel =
    Kernel::own(source!("sparsity/select/sieve"), twin_sift_texels).entry("sift_texels").proven();
/// Invocations of a workgroup of `sift`.
const WG: usize = 64;
/// Scores of a sample: a tile that is sieved has at least as many.
pub const SAMPLE: usize = 8192;
const SHIFT: u32 = 20;
const SPREAD: u32 = 2_654_435_769;
const SPARE: u32 = 16;

/// Records the guess of a floor that more than `keep` of the scores reach.
pub fn record_guess(rec: &mut Recorder, keep: &Uniform, score: &Tensor, guessed: &Tensor) -> Result<()> {
    debug_assert!(score.len() >= SAMPLE);
    let args = Args { len: score.len() as u32 };
    let binds = bind! { args: &args, budget: keep, score: score, guessed: guessed };
    rec.dispatch(&GUESS, binds, 1, 0)?;
    rec.moves(4 * SAMPLE as u64);
    Ok(())
}

/// Records which scores reach `floor_key`, and how many are not numbers.
pub fn record_sift(
    rec: &mut Recorder,
    score: &Tensor,
    floor_key: &Tensor,
    mask: &Tensor,
    noted: &Tensor,
) -> Result<()> {
    let texels = rec.gpu.prefers_texels();
    record_sift_by(rec, texels, score, [floor_key, mask, noted])
}

fn record_sift_by(rec: &mut Recorder, texels: bool, score: &Tensor, others: [&Tensor; 3]) -> Result<()> {
    let args = Args { len: score.len() as u32 };
    let (kernel, name) = if texels { (SIFT_TEXELS, "score_texels") } else { (SIFT, "score") };
    let [floor_key, mask, noted] = others;
    let binds = &[
        ("args", (&args).into()),
        (name, score.into()),
        ("floor_key", floor_key.into()),
        ("mask", mask.into()),
        ("noted", noted.into()),
    ];
    rec.dispatch(&kernel, binds, groups(score.len().div_ceil(32), WG), score.len() as u64)
}

fn twin_guess(t: &Twin) {
    let keep: Keep = t.get("budget");
    let score = t.f32("score");
    let len = score.len() as u32;
    let at = |i: u32| key(score[(i.wrapping_mul(SPREAD) % len) as usize]);
    let mut keys: Vec<u32> = (0..SAMPLE as u32).map(at).filter(|&k| k != key(EXCLUDED)).collect();
    keys.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = 2 * (keep.keep / (len / SAMPLE as u32)) + SPARE;
    t.u32_mut("guessed")[0] = keys.get(wanted as usize - 1).map_or(0, |k| k >> SHIFT << SHIFT);
}

fn twin_sift(t: &Twin) {
    sift(t, &t.f32("score"));
}
fn twin_sift_texels(t: &Twin) {
    sift(t, &t.f32("score_texels"));
}
fn sift(t: &Twin, score: &[f32]) {
    let (floor, mut mask, mut noted) = (t.u32("floor_key")[0], t.u32_mut("mask"), t.u32_mut("noted"));
    for (word, scores) in mask.iter_mut().zip(score.chunks(32)) {
        let reaches = |score: f32| key(score) >= floor && key(score) != key(EXCLUDED);
        let bits = scores.iter().enumerate().map(|(j, &score)| u32::from(reaches(score)) << j);
        *word = bits.fold(0, |all, bit| all | bit);
        noted[0] += scores.iter().filter(|&&score| key(score) > INFINITY).count() as u32;
    }
}

/// Floors from samples of scores without and with ties, some of them excluded or not numbers.
pub fn checks() -> Vec<Check> {
    let kinds = ["fine", "coarse", "not numbers", "excluded"];
    let ways = [("", false), (", texels", true)];
    let one = |(kind, (suffix, texels)): (&'static str, (&str, bool))| {
        Check::new(format!("sparsity/select/sieve ({kind}{suffix})"), move |t, n| {
            let len = SAMPLE + 37 * n;
            let score = |(i, v): (usize, f32)| match kind {
                "fine" => v,
                "not numbers" if i % 7 == 3 => f32::NAN,
                "excluded" if i % 97 != 3 => EXCLUDED,
                _ => (v * 9.0).round() / 9.0,
            };
            let scores: Vec<f32> = t.values(len).into_iter().enumerate().map(score).collect();
            let score = t.gpu.upload_f32("score", &[len], &scores)?;
            let keep = t.gpu.uniform("keep", &Keep { keep: 5 * n as u32 })?;
            let (floor, noted) = (t.output_u32("floor", &[1])?, t.output_u32("noted", &[2])?);
            let mask = t.bits("mask", len.div_ceil(32))?;
            t.compare(&mask, Tolerance::EXACT);
            record_guess(&mut t.rec, &keep, &score, &floor)?;
            record_sift_by(&mut t.rec, texels, &score, [&floor, &mask, &noted])
        })
    };
    kinds.into_iter().flat_map(|kind| ways.map(|way| one((kind, way)))).collect()
}
