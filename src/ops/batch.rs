//! Batches, assembled on the device from a data set that lives there.

use super::augment::{self, Augment};
use super::mixup::Mixup;
use super::{Step, groups};
use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/batch_part.wgsl`.
    pub struct Args { features: u32, cols: u32, plane: u32, begin: u32, end: u32 }
}

const FROM_BYTES: Kernel = Kernel::own(source!("ops/batch"), twin_bytes).entry("from_bytes").proven();
const NARROW_BYTES: Kernel =
    Kernel::own(source!("ops/batch"), twin_narrow_bytes).entry("narrow_bytes").proven();
const FROM_FLOATS: Kernel = Kernel::own(source!("ops/batch"), twin_floats).entry("from_floats").proven();
pub(super) const WG: usize = 64;
/// Features of one invocation.
pub(super) const EACH: usize = 16;
/// A set of one part whose samples begin at multiples of four bytes, as most do, needs less.
const WHOLE: (&str, f64) = ("WHOLE", 1.0);
const ALIGNED: (&str, f64) = ("ALIGNED", 1.0);
const BY_CHANNEL: (&str, f64) = ("BY_CHANNEL", 1.0);

/// Samples `begin .. end` of a set, in one binding.
pub struct Part {
    pub begin: usize,
    pub end: usize,
    /// `(end - begin, features)`: bytes, four to a word (u32), or floats (f32).
    pub samples: Tensor,
}

/// A data set on the device.
pub struct Set {
    pub parts: Vec<Part>,
    /// Bytes, four to a word.
    pub labels: Tensor,
    /// `(samples,)`: the order of this epoch, rewritten by the host between epochs.
    pub order: Tensor,
    pub features: usize,
    /// `(channels, 2)`: scale and shift of each channel, or `(1, 2)`: those of all; see [`Set::normal`].
    pub normal: Tensor,
    /// How samples are varied; plain ones where it is `None`.
    pub augment: Option<Augment>,
    /// How they are mixed with each other, if they are.
    pub mixup: Option<Mixup>,
}

impl Set {
    /// Scales and shifts on the device: one of each, or one for each channel.
    pub fn normal(gpu: &Gpu, scale: &[f32], shift: &[f32]) -> Result<Tensor> {
        let pairs: Vec<f32> = scale.iter().zip(shift).flat_map(|(&scale, &shift)| [scale, shift]).collect();
        gpu.upload_f32("scale and shift", &[pairs.len() / 2, 2], &pairs)
    }
    pub(super) fn channels(&self) -> usize {
        self.normal.len() / 2
    }
    pub(super) fn args(&self, part: &Part, cols: usize) -> Args {
        Args {
            features: self.features as u32,
            cols: cols as u32,
            plane: (self.features / self.channels()).max(1) as u32,
            begin: part.begin as u32,
            end: part.end as u32,
        }
    }
    /// What a kernel need not look after.
    pub(super) fn constants(&self) -> &'static [(&'static str, f64)] {
        match (self.parts.len() == 1, self.features.is_multiple_of(4), self.channels() > 1) {
            (true, true, true) => &[WHOLE, ALIGNED, BY_CHANNEL],
            (true, true, false) => &[WHOLE, ALIGNED],
            (true, false, true) => &[WHOLE, BY_CHANNEL],
            (true, false, false) => &[WHOLE],
            (false, _, true) => &[BY_CHANNEL],
            (false, _, false) => &[],
        }
    }
    pub fn bytes(&self) -> u64 {
        let samples = self.parts.iter().map(|part| part.samples.bytes()).sum::<u64>();
        let augment = self.augment.as_ref().map_or(0, Augment::bytes);
        let mixup = self.mixup.as_ref().map_or(0, Mixup::bytes);
        samples + mixup + self.labels.bytes() + self.order.bytes() + self.normal.bytes() + augment
    }
    /// Whether samples are stored as floats, and not as bytes.
    pub fn is_floats(&self) -> bool {
        self.parts.iter().any(|part| part.samples.dtype() == Dtype::F32)
    }
    /// Whether batches can be written as bf16 alone.
    pub fn writes_narrow(&self) -> bool {
        let changed = self.augment.is_some() || self.mixup.is_some();
        !changed && self.parts.len() == 1 && self.parts[0].samples.dtype() == Dtype::U32
    }
}

/// Fills `x` (features, cols) and `label` (cols,) with samples `order[first ..]`; columns from `live` on
/// become 0. The value of a feature is `sample * scale + shift`, those of its channel;
/// where samples are varied, see [`augment`].
pub fn record(rec: &mut Recorder, set: &Set, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
    let Some(mixup) = &set.mixup else { return record_varied(rec, set, step, x, label) };
    record_varied(rec, set, step, mixup.plain(), label)?;
    mixup.record(rec, step, x)
}

/// As [`record`], before samples are mixed.
fn record_varied(rec: &mut Recorder, set: &Set, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
    match &set.augment {
        Some(how) => augment::record(rec, set, how, step, x, label),
        None => record_plain(rec, set, step, x, label),
    }
}

/// As [`record`], of samples as they are, also where the set varies them.
pub fn record_plain(rec: &mut Recorder, set: &Set, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
    let cols = label.len();
    for part in &set.parts {
        let args = set.args(part, cols);
        let (together, written) = if x.dtype() == Dtype::Bf16 { (8, 2) } else { (4, 4) };
        let groups = groups(cols / together * set.features.div_ceil(EACH), WG);
        let (labels, order, normal) = (&set.labels, &set.order, &set.normal);
        let flops = 2 * (cols * set.features) as u64;
        let fitted = |kernel: Kernel| kernel.with(set.constants());
        match (part.samples.dtype(), x.dtype()) {
            (Dtype::U32, Dtype::Bf16) if set.writes_narrow() => {
                let binds = bind! { args: &args, step: step, samples: &part.samples, labels: labels,
                order: order, normal: normal, x_pairs: x, label: label };
                rec.dispatch(&fitted(NARROW_BYTES), binds, groups, flops)?;
            }
            (Dtype::U32, Dtype::F32) => {
                let binds = bind! { args: &args, step: step, samples: &part.samples, labels: labels,
                order: order, normal: normal, x: x, label: label };
                rec.dispatch(&fitted(FROM_BYTES), binds, groups, flops)?;
            }
            (Dtype::F32, Dtype::F32) => {
                let binds = bind! { args: &args, step: step, floats: &part.samples, labels: labels,
                order: order, normal: normal, x: x, label: label };
                rec.dispatch(&fitted(FROM_FLOATS), binds, groups, flops)?;
            }
            _ => return Err(Error::internal(format!("this set writes no {x:?}"))),
        }
        // A stored value is read and a number written; the rest of the set is not touched.
        let stored = if part.samples.dtype() == Dtype::U32 { 1 } else { 4 };
        rec.moves((cols * set.features) as u64 * (stored + written));
    }
    Ok(())
}

/// Bytes, four to a word, little endian; the last word is padded with 0.
pub fn pack_bytes(bytes: &[u8]) -> Vec<u32> {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | byte as u32);
    bytes.chunks(4).map(word).collect()
}

pub(super) fn byte(words: &[u32], i: usize) -> u32 {
    words[i / 4] >> (i % 4 * 8) & 0xff
}

fn twin_bytes(t: &Twin) {
    let samples = t.u32("samples");
    twin(t, &mut t.f32_mut("x"), |i| byte(&samples, i) as f32);
}

fn twin_narrow_bytes(t: &Twin) {
    let samples = t.u32("samples");
    let mut x = t.values("x_pairs");
    twin(t, &mut x, |i| byte(&samples, i) as f32);
    t.set_values("x_pairs", &x);
}

fn twin_floats(t: &Twin) {
    let samples = t.f32("floats");
    twin(t, &mut t.f32_mut("x"), |i| samples[i]);
}

fn twin(t: &Twin, x: &mut [f32], value: impl Fn(usize) -> f32) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (labels, order, normal) = (t.u32("labels"), t.u32("order"), t.f32("normal"));
    let mut label = t.u32_mut("label");
    let (features, cols) = (args.features as usize, args.cols as usize);
    for col in 0..cols {
        if col >= step.live as usize {
            if args.begin == 0 {
                (0..features).for_each(|f| x[f * cols + col] = 0.0);
                label[col] = 0;
            }
            continue;
        }
        let sample = order[step.first as usize + col];
        if (args.begin..args.end).contains(&sample) {
            label[col] = byte(&labels, sample as usize);
            let row = (sample - args.begin) as usize * features;
            for f in 0..features {
                let channel = if normal.len() > 2 { f / args.plane as usize } else { 0 };
                x[f * cols + col] = value(row + f) * normal[2 * channel] + normal[2 * channel + 1];
            }
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/batch:from_bytes", |t, n| check(t, n, false)),
        Check::new("ops/batch:from_floats", |t, n| check(t, n, true)),
        Check::new("ops/batch:narrow_bytes", |t, n| {
            check_narrow(t, n, 1)?;
            check_narrow(t, n * 4, 1)?;
            check_narrow(t, n * 3, 3)
        }),
    ]
}

/// Samples of a set in the check.
pub(super) const SAMPLES: usize = 37;

fn check(t: &mut Trial, features: usize, floats: bool) -> Result<()> {
    let two = &[(0, 20), (20, SAMPLES)][..];
    let one = &[(0, SAMPLES)][..];
    check_parts(t, features, floats, two, 1)?;
    check_parts(t, features, floats, one, 1)?;
    check_parts(t, features * 4, floats, one, 1)?;
    check_parts(t, features * 3, floats, two, 3)?;
    check_parts(t, features * 12, floats, one, 3)
}

fn check_parts(
    t: &mut Trial,
    features: usize,
    floats: bool,
    ranges: &[(usize, usize)],
    channels: usize,
) -> Result<()> {
    let cols = 68;
    // A product and a sum: the device may fuse them.
    let x = t.output("x", &[features, cols], Tolerance { abs: 1e-5, rel: 1e-6 })?;
    let label = t.output_u32("label", &[cols])?;
    let (set, step) = set(t, features, floats, ranges, channels)?;
    record(&mut t.rec, &set, &step, &x, &label)
}

fn check_narrow(t: &mut Trial, features: usize, channels: usize) -> Result<()> {
    let x = t.gpu.tensor("x", Dtype::Bf16, &[features, 72])?;
    t.compare(&x, Tolerance::EXACT); // halves of bytes are exact, and so are the shifts
    let label = t.output_u32("label", &[72])?;
    let (set, step) = set(t, features, false, &[(0, SAMPLES)], channels)?;
    record(&mut t.rec, &set, &step, &x, &label)
}

/// A set and its step; each channel has its own scale and shift.
pub(super) fn set(
    t: &mut Trial,
    features: usize,
    floats: bool,
    ranges: &[(usize, usize)],
    channels: usize,
) -> Result<(Set, Uniform)> {
    let samples = ranges[ranges.len() - 1].1;
    let step = t.gpu.uniform("step", &Step { first: 2, live: 33, ..Default::default() })?;
    let mut parts = Vec::new();
    for &(begin, end) in ranges {
        let len = (end - begin) * features;
        let samples = if floats { t.input("samples", &[len])? } else { t.bits("samples", len.div_ceil(4))? };
        parts.push(Part { begin, end, samples });
    }
    let scale = [0.5, 0.25, 2.0];
    let shift = [-1.0, 3.0, 0.5];
    let set = Set {
        parts,
        labels: t.bits("labels", samples.div_ceil(4))?,
        order: t.indices("order", &[samples], samples as u32)?,
        features,
        normal: Set::normal(&t.gpu, &scale[..channels], &shift[..channels])?,
        augment: None,
        mixup: None,
    };
    Ok((set, step))
}
