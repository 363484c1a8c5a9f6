//! Masks drawn at random: a function of seed and parameter, the same whatever the device and the storage.

use super::candidates::{Draw, Noise, record_noise};
use super::running::Running;
use crate::error::Result;
use crate::gpu::{Gpu, Recorder};
use crate::ops::packed::{Form, Pattern};
use crate::param::mask_of;
use crate::random::{Stream, word};

/// A pattern of `keep` weights of a matrix (rows, inner): those with the largest random scores, or in each group of
/// an N:M form, whose number is fixed, those of it.
pub fn draw(
    gpu: &Gpu,
    seed: u64,
    param: u32,
    form: Form,
    (rows, inner): (usize, usize),
    keep: usize,
) -> Result<Pattern> {
    if let Form::Groups { keep, of } = form {
        let places = groups(seed, param, (rows, inner), keep, of);
        return Ok(Pattern::from_places(form, rows, inner, &places));
    }
    let (heads, entries) = (rows / form.height(), keep / form.height());
    if entries == heads * inner {
        return Ok(Pattern::from_places(form, rows, inner, &(0..entries as u32).collect::<Vec<_>>()));
    }
    // The fewer are drawn, those that stay or those that go, the less memory that takes.
    let (all, drawn) = (heads * inner, entries.min(heads * inner - entries));
    let running = Running::new(gpu, &[(heads, inner)], drawn)?;
    if gpu.is_counted() {
        // Nothing runs there: entries at equal distances stand for those that would be drawn.
        let place = |i: usize| (i as u128 * (heads * inner) as u128 / entries as u128) as u32;
        return Ok(Pattern::from_places(form, rows, inner, &(0..entries).map(place).collect::<Vec<_>>()));
    }
    let noise = Noise { seed, stream: Stream::Mask, tensor: param };
    let draw = gpu.uniform("draw", &Draw { step: 0 })?;
    let mut rec = Recorder::new(gpu);
    let found = running.record(&mut rec, heads, inner, |rec, own, tile| {
        record_noise(rec, noise, &draw, own.start * inner, tile)
    })?;
    running.keep(drawn)?;
    rec.finish()?.replay()?;
    let mut places = running.places(&found, drawn)?;
    if drawn < entries {
        let gone = mask_of(&places, all);
        places = (0..all as u32).filter(|&i| gone[i as usize / 32] >> (i % 32) & 1 == 0).collect();
    }
    Ok(Pattern::from_places(form, rows, inner, &places))
}

/// N of every M inputs: those with the largest random words, ties to the lower input.
fn groups(seed: u64, param: u32, (rows, inner): (usize, usize), keep: usize, of: usize) -> Vec<u32> {
    let mut places = Vec::new();
    for row in 0..rows {
        for first in (0..inner).step_by(of) {
            let mut own: Vec<u32> =
                (first..(first + of).min(inner)).map(|input| (row * inner + input) as u32).collect();
            own.sort_by_key(|&place| (std::cmp::Reverse(word(seed, Stream::Mask, 0, param, place)), place));
            own.truncate(keep);
            own.sort_unstable();
            places.extend(own);
        }
    }
    places
}
