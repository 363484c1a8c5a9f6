//! Batches of varied pictures: how each is varied is a function of (seed, epoch, sample), drawn on the device.

use super::batch::{EACH, Set, WG, byte};
use super::{Step, batch, groups};
use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::random::{self, Stream, unit};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// How pictures are varied; see `shaders/ops/augment.wgsl`.
    pub struct How {
        height: u32,
        width: u32,
        /// 1: every second picture is mirrored, left to right.
        flip: u32,
        /// Pixels by which a picture moves, in both directions.
        crop: u32,
        shift_down: u32,
        shift_across: u32,
        /// Radians, at most half a turn.
        rotate: f32,
        /// The size is between `1 - zoom` and `1 + zoom` of its own; less than 1.
        zoom: f32,
        /// Factors between `1 - x` and `1 + x`.
        brightness: f32,
        contrast: f32,
        /// The side of a square that becomes 0 as the model sees it, in pixels.
        cutout: u32,
        /// These are filled in when a set is varied.
        between: u32,
        coloured: u32,
        floats: u32,
        least: f32,
        most: f32,
    }
}

wgsl_struct! {
    /// What a draw depends on besides the sample.
    pub struct Epoch { seed_low: u32, seed_high: u32, epoch: u32 }
}

const DRAW: Kernel = Kernel::own(source!("ops/augment"), twin_draw).entry("draw").proven();
const VARY: Kernel = Kernel::own(source!("ops/augment"), twin_vary).entry("vary").proven();
/// Numbers that say how a column is varied.
const NUMBERS: usize = 12;

/// What a set needs to vary its samples.
pub struct Augment {
    how: How,
    epoch: Uniform,
    /// `(cols, 12)`, drawn anew for each batch.
    draws: Tensor,
}

impl Augment {
    /// Varies samples that are bytes, or floats, in batches of `cols` columns.
    pub fn new(gpu: &Gpu, how: How, floats: bool, cols: usize) -> Result<Self> {
        let (least, most) = if floats { (f32::MIN, f32::MAX) } else { (0.0, 255.0) };
        let how = How {
            between: u32::from(how.rotate > 0.0 || how.zoom > 0.0),
            coloured: u32::from(how.brightness > 0.0 || how.contrast > 0.0),
            floats: u32::from(floats),
            least,
            most,
            ..how
        };
        let epoch = gpu.uniform("epoch", &Epoch::default())?;
        Ok(Self { how, epoch, draws: gpu.tensor("draws", Dtype::F32, &[cols, NUMBERS])? })
    }
    /// Chooses the draws of an epoch: nothing is to be restored on resume.
    pub fn enter(&self, seed: u64, epoch: u32) -> Result<()> {
        self.epoch.write(&Epoch { seed_low: seed as u32, seed_high: (seed >> 32) as u32, epoch })
    }
    pub fn bytes(&self) -> u64 {
        self.draws.bytes()
    }
}

/// As [`batch::record`], of varied samples.
pub(super) fn record(
    rec: &mut Recorder,
    set: &Set,
    augment: &Augment,
    step: &Uniform,
    x: &Tensor,
    label: &Tensor,
) -> Result<()> {
    let (cols, how, draws) = (label.len(), &augment.how, &augment.draws);
    if x.dtype() != Dtype::F32 {
        return Err(Error::internal(format!("varied samples are not written as {:?}", x.dtype())));
    }
    let (labels, order, normal) = (&set.labels, &set.order, &set.normal);
    let Some(first) = set.parts.first() else { return Ok(()) };
    let binds = bind! { args: &set.args(first, cols), step: step, how: how, epoch: &augment.epoch, order: order,
    draws: draws };
    rec.dispatch(&DRAW, binds, groups(cols, WG), 0)?;
    for part in &set.parts {
        let words = part.samples.words();
        let binds = bind! { args: &set.args(part, cols), step: step, how: how, samples: &words, labels: labels,
        order: order, normal: normal, drawn: draws, x: x, label: label };
        let invocations = cols / 4 * set.features.div_ceil(EACH);
        // Where a value comes from, its mean of four, its colour, its scale.
        let flops =
            (6 + 12 * u64::from(how.between) + 5 * u64::from(how.coloured)) * (cols * set.features) as u64;
        rec.dispatch(&VARY.with(set.constants()), binds, groups(invocations, WG), flops)?;
        let stored = if how.floats == 1 { 4 } else { 1 };
        rec.moves((cols * set.features) as u64 * (stored + 4));
    }
    Ok(())
}

/// A whole number from `-most` to `most`.
fn whole(word: u32, most: u32) -> f32 {
    below(word, 2 * most + 1) - most as f32
}

/// A whole number below `count`.
fn below(word: u32, count: u32) -> f32 {
    ((u64::from(word) * u64::from(count)) >> 32) as f32
}

fn signed_unit(word: u32) -> f32 {
    2.0 * unit(word) - 1.0
}

fn twin_draw(t: &Twin) {
    let (args, step, how, epoch): (batch::Args, Step, How, Epoch) =
        (t.get("args"), t.get("step"), t.get("how"), t.get("epoch"));
    let (order, mut draws) = (t.u32("order"), t.f32_mut("draws"));
    let seed = u64::from(epoch.seed_high) << 32 | u64::from(epoch.seed_low);
    for col in 0..args.cols as usize {
        let sample = order[step.first as usize + col.min((step.live.max(1) - 1) as usize)];
        let words = |block| random::words(seed, Stream::Augment, epoch.epoch, sample, block);
        let (first, second, third) = (words(0), words(1), words(2));
        let mirror = if how.flip == 1 && first[0] >> 31 == 1 { -1.0 } else { 1.0 };
        let down = whole(first[1], how.crop) + whole(first[3], how.shift_down);
        let across = whole(first[2], how.crop) + whole(second[0], how.shift_across);
        let angle = how.rotate * signed_unit(second[1]);
        let (sine, cosine) = f64::from(angle).sin_cos();
        let (sine, cosine) = (sine as f32, cosine as f32);
        let size = 1.0 / (1.0 + how.zoom * signed_unit(second[2]));
        let (centre_x, centre_y) = (0.5 * (how.width as f32 - 1.0), 0.5 * (how.height as f32 - 1.0));
        let (moved_x, moved_y) = (centre_x + across, centre_y + down);
        let x_from = [mirror * size * cosine, -mirror * size * sine];
        let y_from = [size * sine, size * cosine];
        let half = (how.cutout / 2) as f32;
        let (top, left) = (below(third[1], how.height) - half, below(third[2], how.width) - half);
        draws[NUMBERS * col..NUMBERS * (col + 1)].copy_from_slice(&[
            x_from[0],
            x_from[1],
            centre_x - x_from[0] * moved_x - x_from[1] * moved_y,
            1.0 + how.brightness * signed_unit(second[3]),
            y_from[0],
            y_from[1],
            centre_y - y_from[0] * moved_x - y_from[1] * moved_y,
            1.0 + how.contrast * signed_unit(third[0]),
            top,
            left,
            top + how.cutout as f32,
            left + how.cutout as f32,
        ]);
    }
}

fn twin_vary(t: &Twin) {
    let (args, step, how): (batch::Args, Step, How) = (t.get("args"), t.get("step"), t.get("how"));
    let (samples, labels, order) = (t.u32("samples"), t.u32("labels"), t.u32("order"));
    let (drawn, normal) = (t.f32("drawn"), t.f32("normal"));
    let (mut x, mut label) = (t.f32_mut("x"), t.u32_mut("label"));
    let (features, cols) = (args.features as usize, args.cols as usize);
    let (height, width) = (how.height as i64, how.width as i64);
    let plane = (how.height * how.width) as usize;
    for col in 0..cols {
        if col >= step.live as usize {
            if args.begin == 0 {
                (0..features).for_each(|f| x[f * cols + col] = 0.0);
                label[col] = 0;
            }
            continue;
        }
        let sample = order[step.first as usize + col];
        if !(args.begin..args.end).contains(&sample) {
            continue;
        }
        label[col] = byte(&labels, sample as usize);
        let row = (sample - args.begin) as usize * features;
        let [a, b, c, gain, d, e, f, contrast, top, left, bottom, right] =
            <[f32; NUMBERS]>::try_from(&drawn[NUMBERS * col..NUMBERS * (col + 1)]).expect("twelve numbers");
        for feature in 0..features {
            let (channel, inside) = (feature / plane, feature % plane);
            let (px, py) = ((inside as i64 % width) as f32, (inside as i64 / width) as f32);
            let pixel = |y: i64, x: i64| match (0..height).contains(&y) && (0..width).contains(&x) {
                true if how.floats == 1 => {
                    f32::from_bits(samples[row + channel * plane + (y * width + x) as usize])
                }
                true => byte(&samples, row + channel * plane + (y * width + x) as usize) as f32,
                false => 0.0,
            };
            let (from_x, from_y) = (a * px + b * py + c, d * px + e * py + f);
            let (y0, x0) = (from_y.floor(), from_x.floor());
            let mut value = pixel(y0 as i64, x0 as i64);
            if how.between == 1 {
                let (wy, wx) = (from_y - y0, from_x - x0);
                let line = |y: i64| {
                    let (left, right) = (pixel(y, x0 as i64), pixel(y, x0 as i64 + 1));
                    left + (right - left) * wx
                };
                let (above, below) = (line(y0 as i64), line(y0 as i64 + 1));
                value = above + (below - above) * wy;
            }
            let own = if normal.len() > 2 { 2 * channel } else { 0 };
            if how.coloured == 1 {
                let mean = -normal[own + 1] / normal[own];
                let bright = (value * gain).clamp(how.least, how.most);
                value = (mean + (bright - mean) * contrast).clamp(how.least, how.most);
            }
            let is_cut = (top..bottom).contains(&py) && (left..right).contains(&px);
            x[feature * cols + col] = if is_cut { 0.0 } else { value * normal[own] + normal[own + 1] };
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/augment:draw", check_draws),
        Check::new("ops/augment:vary", |t, n| {
            for (channels, floats, ranges) in [
                (1, false, &[(0, batch::SAMPLES)][..]),
                (3, false, &[(0, 20), (20, batch::SAMPLES)][..]),
                (3, true, &[(0, batch::SAMPLES)][..]),
                (1, true, &[(0, 20), (20, batch::SAMPLES)][..]),
            ] {
                check_varied(t, [channels, 4, n], floats, ranges, MOVED)?;
                check_varied(t, [channels, 4, n], floats, ranges, ALL)?;
            }
            Ok(())
        }),
    ]
}

/// Whole pixels alone, and everything.
const MOVED: How = How { flip: 1, crop: 2, shift_down: 1, shift_across: 3, cutout: 3, ..NOTHING };
const ALL: How = How { rotate: 3.0, zoom: 0.5, brightness: 0.4, contrast: 0.6, ..MOVED };
const NOTHING: How = How {
    height: 0,
    width: 0,
    flip: 0,
    crop: 0,
    shift_down: 0,
    shift_across: 0,
    rotate: 0.0,
    zoom: 0.0,
    brightness: 0.0,
    contrast: 0.0,
    cutout: 0,
    between: 0,
    coloured: 0,
    floats: 0,
    least: 0.0,
    most: 0.0,
};

fn check_draws(t: &mut Trial, width: usize) -> Result<()> {
    let how = How { height: 9, width: width as u32, ..ALL };
    let (mut set, step) = batch::set(t, 9 * width, false, &[(0, batch::SAMPLES)], 1)?;
    let augment = Augment::new(&t.gpu, how, false, 68)?;
    augment.enter(0x0123_4567_89ab_cdef, 5)?;
    // Sines of a series, times a side of some hundred pixels.
    t.compare(&augment.draws, Tolerance { abs: 1e-3, rel: 1e-6 });
    let x = t.gpu.tensor("x", Dtype::F32, &[9 * width, 68])?;
    let label = t.gpu.tensor("label", Dtype::U32, &[68])?;
    set.augment = Some(augment);
    batch::record(&mut t.rec, &set, &step, &x, &label)
}

fn check_varied(
    t: &mut Trial,
    [channels, height, width]: [usize; 3],
    floats: bool,
    ranges: &[(usize, usize)],
    how: How,
) -> Result<()> {
    let features = channels * height * width;
    let how = How { height: height as u32, width: width as u32, ..how };
    // Between pixels, an error of 1e-4 in the place of a byte is one of up to 0.05 in its value, twice that when scaled; a
    // pixel too far is one of about 80.
    let between = if floats { Tolerance { abs: 1e-3, rel: 1e-5 } } else { Tolerance { abs: 0.1, rel: 1e-5 } };
    let tolerance = if how.rotate > 0.0 { between } else { Tolerance { abs: 1e-5, rel: 1e-6 } };
    let x = t.output("x", &[features, 68], tolerance)?;
    let label = t.output_u32("label", &[68])?;
    let (mut set, step) = batch::set(t, features, floats, ranges, channels)?;
    let augment = Augment::new(&t.gpu, how, floats, 68)?;
    augment.enter(7, 3)?;
    set.augment = Some(augment);
    batch::record(&mut t.rec, &set, &step, &x, &label)
}

#[cfg(test)]
#[path = "augment_tests.rs"]
mod tests;
