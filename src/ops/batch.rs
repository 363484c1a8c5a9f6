//! Batches, assembled on the device from a data set that lives there.

use super::{Step, groups};
use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/batch.wgsl`.
    pub struct Args { features: u32, cols: u32, scale: f32, shift: f32, begin: u32, end: u32 }
}

const FROM_BYTES: Kernel = Kernel::own(source!("ops/batch"), twin_bytes).entry("from_bytes").proven();
const NARROW_BYTES: Kernel =
    Kernel::own(source!("ops/batch"), twin_narrow_bytes).entry("narrow_bytes").proven();
const FROM_FLOATS: Kernel = Kernel::own(source!("ops/batch"), twin_floats).entry("from_floats").proven();
const WG: usize = 64;
/// Features of one invocation.
const EACH: usize = 16;
/// A set of one part whose samples begin at multiples of four bytes, as most do, needs less.
const WHOLE: &[(&str, f64)] = &[("WHOLE", 1.0)];
const WHOLE_ALIGNED: &[(&str, f64)] = &[("WHOLE", 1.0), ("ALIGNED", 1.0)];

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
    pub scale: f32,
    pub shift: f32,
}

impl Set {
    pub fn bytes(&self) -> u64 {
        let samples = self.parts.iter().map(|part| part.samples.bytes()).sum::<u64>();
        samples + self.labels.bytes() + self.order.bytes()
    }
    /// Whether batches can be written as bf16 alone.
    pub fn writes_narrow(&self) -> bool {
        self.parts.len() == 1 && self.parts[0].samples.dtype() == Dtype::U32
    }
}

/// Fills `x` (features, cols) and `label` (cols,) with samples `order[first ..]`; columns from `live` on
/// become 0. The value of a feature is `sample * scale + shift`.
pub fn record(rec: &mut Recorder, set: &Set, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
    let cols = label.len();
    for part in &set.parts {
        let args = Args {
            features: set.features as u32,
            cols: cols as u32,
            scale: set.scale,
            shift: set.shift,
            begin: part.begin as u32,
            end: part.end as u32,
        };
        let (together, written) = if x.dtype() == Dtype::Bf16 { (8, 2) } else { (4, 4) };
        let groups = groups(cols / together * set.features.div_ceil(EACH), WG);
        let (labels, order) = (&set.labels, &set.order);
        let flops = 2 * (cols * set.features) as u64;
        let fitted = |kernel: Kernel| match (set.parts.len(), set.features % 4) {
            (1, 0) => kernel.with(WHOLE_ALIGNED),
            (1, _) => kernel.with(WHOLE),
            _ => kernel,
        };
        match (part.samples.dtype(), x.dtype()) {
            (Dtype::U32, Dtype::Bf16) if set.writes_narrow() => {
                let binds = bind! { args: &args, step: step, samples: &part.samples, labels: labels,
                order: order, x_pairs: x, label: label };
                rec.dispatch(&fitted(NARROW_BYTES), binds, groups, flops)?;
            }
            (Dtype::U32, Dtype::F32) => {
                let binds = bind! { args: &args, step: step, samples: &part.samples, labels: labels,
                order: order, x: x, label: label };
                rec.dispatch(&fitted(FROM_BYTES), binds, groups, flops)?;
            }
            (Dtype::F32, Dtype::F32) => {
                let binds = bind! { args: &args, step: step, floats: &part.samples, labels: labels,
                order: order, x: x, label: label };
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

fn byte(words: &[u32], i: usize) -> u32 {
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
    let (labels, order) = (t.u32("labels"), t.u32("order"));
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
            (0..features).for_each(|f| x[f * cols + col] = value(row + f) * args.scale + args.shift);
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/batch:from_bytes", |t, n| check(t, n, false)),
        Check::new("ops/batch:from_floats", |t, n| check(t, n, true)),
        Check::new("ops/batch:narrow_bytes", |t, n| {
            check_narrow(t, n)?;
            check_narrow(t, n * 4)
        }),
    ]
}

/// Samples of a set in the check.
const SAMPLES: usize = 37;

fn check(t: &mut Trial, features: usize, floats: bool) -> Result<()> {
    check_parts(t, features, floats, &[(0, 20), (20, SAMPLES)])?;
    check_parts(t, features, floats, &[(0, SAMPLES)])?;
    check_parts(t, features * 4, floats, &[(0, SAMPLES)])
}

fn check_parts(t: &mut Trial, features: usize, floats: bool, ranges: &[(usize, usize)]) -> Result<()> {
    let cols = 68;
    // A product and a sum: the device may fuse them.
    let x = t.output("x", &[features, cols], Tolerance { abs: 1e-5, rel: 1e-6 })?;
    let label = t.output_u32("label", &[cols])?;
    let (set, step) = set(t, features, floats, ranges)?;
    record(&mut t.rec, &set, &step, &x, &label)
}

fn check_narrow(t: &mut Trial, features: usize) -> Result<()> {
    let x = t.gpu.tensor("x", Dtype::Bf16, &[features, 72])?;
    t.compare(&x, Tolerance::EXACT); // halves of bytes are exact
    let label = t.output_u32("label", &[72])?;
    let (set, step) = set(t, features, false, &[(0, SAMPLES)])?;
    record(&mut t.rec, &set, &step, &x, &label)
}

fn set(t: &mut Trial, features: usize, floats: bool, ranges: &[(usize, usize)]) -> Result<(Set, Uniform)> {
    let samples = ranges[ranges.len() - 1].1;
    let step = t.gpu.uniform("step", &Step { first: 2, live: 33, ..Default::default() })?;
    let mut parts = Vec::new();
    for &(begin, end) in ranges {
        let len = (end - begin) * features;
        let samples = if floats { t.input("samples", &[len])? } else { t.bits("samples", len.div_ceil(4))? };
        parts.push(Part { begin, end, samples });
    }
    let set = Set {
        parts,
        labels: t.bits("labels", samples.div_ceil(4))?,
        order: t.indices("order", &[samples], samples as u32)?,
        features,
        scale: 0.5,
        shift: -1.0,
    };
    Ok((set, step))
}
