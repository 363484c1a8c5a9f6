//! Sums of squares by fixed trees: the same bits every time.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/sum.wgsl`.
    pub struct Args { len: u32 }
}

const PARTIAL: Kernel = Kernel::own(source!("ops/sum"), twin_partial).entry("partial");
const TOTAL: Kernel = Kernel::own(source!("ops/sum"), twin_total).entry("total");
/// Elements that one workgroup adds.
const BLOCK: usize = 4096;

/// `result` (1,) becomes the sum of squares of `values`.
pub fn record_squares(rec: &mut Recorder, values: &Tensor, result: &Tensor) -> Result<()> {
    let blocks = values.len().div_ceil(BLOCK);
    let partials = rec.gpu.tensor("partial sums", Dtype::F32, &[blocks])?;
    let args = Args { len: values.len() as u32 };
    let binds = bind! { args: &args, values: values, partials: &partials };
    rec.dispatch(&PARTIAL, binds, groups(values.len(), BLOCK), 2 * values.len() as u64)?;
    let args = Args { len: blocks as u32 };
    rec.dispatch(&TOTAL, bind! { args: &args, parts: &partials, result: result }, 1, blocks as u64)
}

fn twin_partial(t: &Twin) {
    let values = t.f32("values");
    for (sum, block) in t.f32_mut("partials").iter_mut().zip(values.chunks(BLOCK)) {
        *sum = block.iter().map(|&v| v as f64 * v as f64).sum::<f64>() as f32;
    }
}

fn twin_total(t: &Twin) {
    t.f32_mut("result")[0] = t.f32("parts").iter().map(|&v| v as f64).sum::<f64>() as f32;
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/sum", |t, n| {
        let len = n * 65; // several blocks at the largest size
        let values = t.input("values", &[len])?;
        let result = t.output("result", &[1], Tolerance { abs: 1e-6, rel: 2e-6 })?;
        record_squares(&mut t.rec, &values, &result)
    })]
}
