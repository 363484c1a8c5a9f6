//! `[augment]` on a data set: what the recipe asks for, as the kernels take it.

use super::feed::Feed;
use super::outline::extent;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Recorder};
use crate::nn::Extent;
use crate::ops::Step;
use crate::ops::augment::{Augment, How};
use crate::recipe::{self, Recipe};

/// `None` where nothing is varied.
///
/// # Errors
/// `Kind::Usage` where samples are no pictures, or smaller than what is cut off or blanked out.
pub(super) fn of(
    gpu: &Gpu,
    asked: &recipe::Augment,
    sample: &Extent,
    floats: bool,
    cols: usize,
) -> Result<Option<Augment>> {
    if asked.is_none() {
        return Ok(None);
    }
    let [height, width] = sample.sites[..] else {
        return Err(Error::usage("[augment] varies pictures")
            .at(format!("expected: samples of (channels, height, width); a sample has {sample}"))
            .hint("no [augment] for this data set"));
    };
    if asked.crop as usize >= height.min(width) {
        return Err(Error::usage("`augment.crop` is as large as the pictures").at(format!(
            "expected: less than {}; found: {}",
            height.min(width),
            asked.crop
        )));
    }
    if asked.cutout as usize > height.min(width) {
        return Err(Error::usage("`augment.cutout` is larger than the pictures").at(format!(
            "expected: a side of at most {}; found: {}",
            height.min(width),
            asked.cutout
        )));
    }
    let share = |extent: usize| (asked.shift * extent as f64).round() as u32;
    let how = How {
        height: height as u32,
        width: width as u32,
        flip: asked.flip.into(),
        crop: asked.crop,
        shift_down: share(height),
        shift_across: share(width),
        rotate: asked.rotate.to_radians() as f32,
        zoom: asked.zoom as f32,
        brightness: asked.brightness as f32,
        contrast: asked.contrast as f32,
        cutout: asked.cutout,
        ..How::default()
    };
    Augment::new(gpu, how, floats, cols).map(Some)
}

/// Some training samples as an epoch of a run shows them to the model: (features, rows.len()).
///
/// # Errors
/// As those of a run with this recipe.
///
/// # Panics
/// If a row is not one of the training part.
pub fn shown(gpu: &Gpu, recipe: &Recipe, data: &Dataset, epoch: u64, rows: &[u32]) -> Result<Vec<f32>> {
    let cols = rows.len().next_multiple_of(4);
    let mut feed = Feed::new(gpu, data, &data.train, rows.len().max(1))?;
    feed.vary(gpu, &recipe.augment, &extent(data), cols)?;
    feed.shuffle(recipe.run.seed, epoch)?;
    // These first; the rest is not looked at.
    let rest = (0..data.train.len() as u32).skip(rows.len());
    feed.store.order().write(&rows.iter().copied().chain(rest).collect::<Vec<u32>>())?;
    let step = gpu.uniform("step", &Step { live: rows.len() as u32, ..Default::default() })?;
    let x = gpu.tensor("x", Dtype::F32, &[data.features(), cols])?;
    let label = gpu.tensor("label", Dtype::U32, &[cols])?;
    let mut rec = Recorder::new(gpu);
    feed.store.record(&mut rec, &step, &x, &label)?;
    rec.finish()?.replay()?;
    Ok(x.read_f32()?.chunks(cols).flat_map(|row| row[..rows.len()].to_vec()).collect())
}
