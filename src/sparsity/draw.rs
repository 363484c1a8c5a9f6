//! Masks drawn at random: a function of seed and parameter, the same whatever the device and the storage.

use super::budget::whole_blocks;
use super::select::candidates::{Draw, Noise, record_noise};
use super::select::protect;
use super::select::running::{Running, tile_len, tile_rows};
use super::select::topk::EXCLUDED;
use super::structure::groups::{self, Gate};
use super::structure::pool::Blocks;
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Recorder};
use crate::ops::packed::{Form, Pattern};
use crate::param::mask_of;
use crate::random::Stream;

/// A pattern of `keep` weights of a matrix (rows, inner), or as many as whole blocks come nearest to: those with the
/// largest random scores, or in each group of an N:M form, whose number is fixed, those of it. Of single weights those that are
/// `protected` are among them.
///
/// # Errors
/// `Kind::Usage` where more are protected than kept.
pub fn draw(
    gpu: &Gpu,
    seed: u64,
    param: u32,
    form: Form,
    (rows, inner): (usize, usize),
    keep: usize,
    protected: &[u32],
) -> Result<Pattern> {
    if protected.len() > keep {
        let what = format!("a diagonal of {} weights has no room at the start", protected.len());
        return Err(Error::usage(what)
            .at(format!("{keep} are kept"))
            .hint("a smaller target, or a larger init"));
    }
    let noise = Noise { seed, stream: Stream::Mask, tensor: param };
    if let Form::Groups { keep, of } = form {
        let indices = groups(gpu, noise, (rows, inner), keep, of)?;
        return Ok(Pattern::from_indices(form, rows, inner, &indices));
    }
    if let Form::Tile { .. } | Form::Parts { .. } = form {
        // Blocks are drawn as single weights of a smaller matrix are.
        let blocks = Blocks::new(form, rows, inner);
        let number = whole_blocks(keep, blocks.count(), rows * inner);
        let (down, across) = (rows.div_ceil(blocks.height), inner.div_ceil(blocks.width));
        let drawn = draw(gpu, seed, param, Form::Free, (down, across), number, &[])?.mask();
        let is_kept = |&(_, block): &(usize, usize)| drawn[block / 32] >> (block % 32) & 1 == 1;
        let kept = blocks.of_weights().enumerate().filter(is_kept);
        let indices: Vec<u32> = kept.map(|(index, _)| index as u32).collect();
        return Ok(Pattern::from_indices(form, rows, inner, &indices));
    }
    let (block_rows, entries) = (rows / form.height(), keep / form.height());
    if entries == block_rows * inner {
        return Ok(Pattern::from_indices(form, rows, inner, &(0..entries as u32).collect::<Vec<_>>()));
    }
    // The fewer are drawn, those that stay or those that go, the less memory that takes.
    let (all, drawn) = (block_rows * inner, entries.min(block_rows * inner - entries));
    let running = Running::new(gpu, &[(block_rows, inner)], drawn)?;
    if gpu.is_counted() {
        // Nothing runs there: entries at equal distances stand for those that would be drawn.
        let index = |i: usize| (i as u128 * (block_rows * inner) as u128 / entries as u128) as u32;
        return Ok(Pattern::from_indices(form, rows, inner, &(0..entries).map(index).collect::<Vec<_>>()));
    }
    let draw = gpu.uniform("draw", &Draw { step: 0 })?;
    let mut rec = Recorder::new(gpu);
    let found = running.record(&mut rec, block_rows, inner, |rec, own, tile| {
        record_noise(rec, noise, &draw, own.start * inner, tile)?;
        let (first, end) = ((own.start * inner) as u32, (own.end * inner) as u32);
        let within = protected.iter().filter(|&&index| first <= index && index < end);
        let places: Vec<u32> = within.map(|index| index - first).collect();
        // Among those that go it has no place.
        protect::record(rec, &places, tile, if drawn < entries { EXCLUDED } else { protect::FIRST })
    })?;
    running.keep(drawn)?;
    rec.finish()?.replay()?;
    let mut indices = running.indices(&found, drawn)?;
    if drawn < entries {
        let gone = mask_of(&indices, all);
        indices = (0..all as u32).filter(|&i| gone[i as usize / 32] >> (i % 32) & 1 == 0).collect();
    }
    Ok(Pattern::from_indices(form, rows, inner, &indices))
}

/// N of every M inputs: those with the largest random scores, ties to the lower input; some rows at a time.
fn groups(
    gpu: &Gpu,
    noise: Noise,
    (rows, inner): (usize, usize),
    keep: usize,
    of: usize,
) -> Result<Vec<u32>> {
    if gpu.is_counted() {
        // Nothing runs there: the first of each group stand for those that would be drawn.
        let is_kept = |&index: &usize| index % inner % of < keep;
        return Ok((0..rows * inner).filter(is_kept).map(|index| index as u32).collect());
    }
    let step = tile_rows(rows, inner, tile_len(gpu));
    let tile = gpu.tensor("tile", Dtype::F32, &[step, inner])?;
    let bits = gpu.tensor("tile mask", Dtype::U32, &[tile.len().div_ceil(32)])?;
    let nans = gpu.tensor("not numbers", Dtype::U32, &[1])?;
    let draw = gpu.uniform("draw", &Draw { step: 0 })?;
    let gate = gpu.uniform("gate", &Gate { keep: keep as u32, group: of as u32, decay: 0.0 })?;
    let mut indices = Vec::with_capacity(rows * inner.div_ceil(of) * keep);
    for first in (0..rows).step_by(step.max(1)) {
        let own = tile.rows(0..step.min(rows - first));
        let mut rec = Recorder::new(gpu);
        record_noise(&mut rec, noise, &draw, first * inner, &own)?;
        groups::record_mark(&mut rec, &gate, of, &own, &bits, &nans)?;
        rec.finish()?.replay()?;
        let words = bits.read_u32()?;
        let is_kept = |&i: &usize| words[i / 32] >> (i % 32) & 1 == 1;
        indices.extend((0..own.len()).filter(is_kept).map(|i| (first * inner + i) as u32));
    }
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Limits};

    #[test]
    fn groups_keep_their_number_and_are_the_same_on_every_device() {
        let gpus = [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()];
        for (rows, inner, keep, of) in [(1, 1, 1, 4), (65, 63, 1, 4), (257, 96, 2, 5), (3, 65, 4, 16)] {
            let drawn = gpus.each_ref().map(|gpu| {
                draw(gpu, 7, 1, Form::Groups { keep, of }, (rows, inner), 0, &[])
                    .unwrap()
                    .indices()
                    .collect::<Vec<_>>()
            });
            assert_eq!(drawn[0], drawn[1]);
            for row in 0..rows {
                for first in (0..inner).step_by(of) {
                    let end = (first + of).min(inner);
                    let group = (row * inner + first) as u32..(row * inner + end) as u32;
                    let kept = drawn[0].iter().filter(|index| group.contains(index)).count();
                    assert_eq!(kept, keep.min(end - first), "row {row}, inputs {first}..{end}");
                }
            }
        }
    }

    /// 300 rows of 96 are 115,200 bytes.
    #[test]
    fn what_exceeds_a_binding_is_drawn_in_tiles_that_do_not() {
        let limits = Limits { binding_bytes: 100_000, ..Limits::default() };
        let small = Gpu::open_with(&Choice::Auto, limits).unwrap();
        for form in [Form::Free, Form::Groups { keep: 2, of: 4 }] {
            let [whole, tiled] =
                [&Gpu::twin(), &small].map(|gpu| draw(gpu, 7, 1, form, (300, 96), 5000, &[]).unwrap());
            assert!(whole == tiled, "{form:?}");
        }
    }

    #[test]
    fn what_is_protected_is_among_those_that_are_drawn() {
        let diagonal: Vec<u32> = (0..64).map(|row| row * 16 + row % 16).collect();
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for keep in [64, 65, 300, 600, 1000, 1024] {
                let pattern = |protected| draw(&gpu, 7, 1, Form::Free, (64, 16), keep, protected).unwrap();
                let drawn: Vec<u32> = pattern(&diagonal).indices().collect();
                assert_eq!(drawn.len(), keep);
                assert!(diagonal.iter().all(|index| drawn.contains(index)), "{keep}");
                let plain: Vec<u32> = pattern(&[]).indices().collect();
                assert!(keep == 1024 || diagonal.iter().any(|index| !plain.contains(index)), "{keep}");
            }
            let error = draw(&gpu, 7, 1, Form::Free, (64, 16), 63, &diagonal).expect_err("refused");
            assert!(error.to_string().contains("no room"), "{error}");
        }
    }

    #[test]
    fn every_place_of_a_group_is_drawn_about_as_often() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        let pattern = draw(&gpu, 3, 0, Form::Groups { keep: 1, of: 4 }, (256, 64), 0, &[]).unwrap();
        let mut often = [0usize; 4];
        pattern.indices().for_each(|index| often[index as usize % 4] += 1);
        // 4,096 draws: the deviation is 28.
        assert!(often.iter().all(|n| n.abs_diff(1024) < 140), "{often:?}");
    }
}
