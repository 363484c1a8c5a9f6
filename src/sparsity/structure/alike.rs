//! N of every M inputs, the same ones in several equal parts of a weight's outputs, such as a head's query and key: by the
//! mean magnitude of what stands at the same place of each part.

use super::groups::{self, Gate};
use super::pool::{self, Blocks, Pooling};
use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups as workgroups;
use crate::ops::packed::Form;
use crate::param::Param;
use crate::{bind, source};

const PASS: Kernel = Kernel::own(source!("sparsity/structure/pass"), twin_pass).proven();
const WG: usize = 64;

/// What it takes to choose for all parts of a weight at once.
pub struct Alike {
    blocks: Blocks,
    /// (outputs of a part, taps.., in)
    score: Tensor,
    /// A bit for each score.
    kept: Tensor,
}

impl Alike {
    /// That of a parameter whose parts are pruned alike; `None` of any other.
    ///
    /// # Errors
    /// `Kind::Usage` where one binding does not hold all parts.
    pub fn new(gpu: &Gpu, param: &Param) -> Result<Option<Self>> {
        if param.alike == 1 {
            return Ok(None);
        }
        if param.segments.len() > 1 {
            let what = format!("`{}` is too large to be pruned alike in parts", param.name);
            return Err(Error::usage(what)
                .at("its parts lie in several bindings")
                .hint("a weight for each part, or a rule without alike"));
        }
        Self::of(gpu, &param.shape, param.alike).map(Some)
    }

    fn of(gpu: &Gpu, shape: &[usize], parts: usize) -> Result<Self> {
        let (rows, inner) = (shape[0], shape[1..].iter().product());
        let blocks = Blocks::new(Form::Parts { number: parts }, rows, inner);
        let score = gpu.tensor("scores", Dtype::F32, &[&[rows / parts], &shape[1..]].concat())?;
        let kept = gpu.tensor("kept of a part", Dtype::U32, &[blocks.count().div_ceil(32)])?;
        Ok(Self { blocks, score, kept })
    }

    /// As [`groups::record_mark`].
    pub fn record_mark(
        &self,
        rec: &mut Recorder,
        gate: &Uniform,
        of: usize,
        source: &Tensor,
        mask: &Tensor,
        counts: &Tensor,
    ) -> Result<()> {
        pool::record_pool(rec, self.blocks, Pooling::Mean, source, &self.score)?;
        groups::record_mark(rec, gate, of, &self.score, &self.kept, counts)?;
        pool::record_spread(rec, self.blocks, &self.kept, mask)
    }
}

/// What [`groups::record_gate`] writes besides the mask: `weight = source` where it is kept, else `decay` times that.
pub fn record_pass(
    rec: &mut Recorder,
    gate: &Uniform,
    source: &Tensor,
    mask: &Tensor,
    weight: &Tensor,
) -> Result<()> {
    let binds = bind! { gates: gate, source: source, mask: mask, weight: weight };
    rec.dispatch(&PASS, binds, workgroups(source.len(), WG), source.len() as u64)
}

fn twin_pass(t: &Twin) {
    let gate: Gate = t.get("gates");
    let (source, mask, mut weight) = (t.f32("source"), t.u32("mask"), t.f32_mut("weight"));
    for (i, weight) in weight.iter_mut().enumerate() {
        let kept = mask[i / 32] >> (i % 32) & 1 == 1;
        *weight = if kept { source[i] } else { gate.decay * source[i] };
    }
}

/// Two and three parts, of one tap and of several.
pub fn checks() -> Vec<Check> {
    let one = |(parts, keep, of, taps): (usize, usize, usize, usize)| {
        Check::new(
            format!("sparsity/structure/alike ({keep}:{of}, {parts} parts, {taps} taps)"),
            move |t, n| {
                let shape = [2 * parts, taps, n];
                // Their sums are exact, so that what ties on one device ties on all.
                let coarse = |v: &f32| (v * 9.0).round();
                let values: Vec<f32> = t.values(2 * parts * taps * n).iter().map(coarse).collect();
                let source = t.gpu.upload_f32("source", &shape, &values)?;
                let gate = Gate { keep: keep as u32, group: of as u32, decay: 0.25 };
                let gate = t.gpu.uniform("gate", &gate)?;
                let mask = t.bits("mask", source.len().div_ceil(32))?;
                t.compare(&mask, Tolerance::EXACT);
                let weight = t.output("weight", &shape, Tolerance::EXACT)?;
                let counts = t.output_u32("counts", &[1])?;
                let alike = Alike::of(&t.gpu, &shape, parts)?;
                alike.record_mark(&mut t.rec, &gate, of, &source, &mask, &counts)?;
                record_pass(&mut t.rec, &gate, &source, &mask, &weight)
            },
        )
    };
    [(2, 2, 4, 1), (2, 1, 8, 3), (3, 3, 5, 1)].map(one).into()
}
