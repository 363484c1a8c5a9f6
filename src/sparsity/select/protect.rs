//! Weights that are kept whatever their score: in a selection they come before all others. A method needs to know nothing of
//! them, since whatever it selects from is made here.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::ops::add::{self, Window};
use crate::ops::groups;
use crate::param::Param;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/protect.wgsl`.
    pub struct Args { len: u32, scores: u32, value: f32 }
}

const MAIN: Kernel = Kernel::own(source!("sparsity/select/protect"), twin).proven();
const WG: usize = 64;

/// A score above all others, and below [`super::topk::EXCLUDED`].
pub const FIRST: f32 = 3.0e38;

/// The scores at these indices become `value`.
pub fn record(rec: &mut Recorder, indices: &[u32], score: &Tensor, value: f32) -> Result<()> {
    if indices.is_empty() {
        return Ok(());
    }
    let index = rec.gpu.upload_u32("protected", &[indices.len()], indices)?;
    let args = Args { len: indices.len() as u32, scores: score.len() as u32, value };
    rec.dispatch(&MAIN, bind! { args: &args, index: &index, score: score }, groups(indices.len(), WG), 0)?;
    rec.moves(8 * indices.len() as u64);
    Ok(())
}

/// What is protected comes first in the scores of a parameter's weights, by segment.
pub fn record_first(rec: &mut Recorder, param: &Param, scores: &[Tensor]) -> Result<()> {
    for (own, score) in places(param).iter().zip(scores) {
        record(rec, own, score, FIRST)?;
    }
    Ok(())
}

/// Values of a parameter as scores: copies of them in which what is protected comes first, or themselves where nothing is.
pub fn scores(rec: &mut Recorder, param: &Param, values: &[Tensor]) -> Result<Vec<Tensor>> {
    if param.protected().is_empty() {
        return Ok(values.to_vec());
    }
    let mut all = Vec::new();
    for values in values {
        let copy = rec.gpu.tensor("scores", Dtype::F32, &values.shape)?;
        add::record(rec, values, &copy, Window::all(values), false)?;
        all.push(copy);
    }
    record_first(rec, param, &all)?;
    Ok(all)
}

/// By segment, where the protected weights of a parameter lie in it.
fn places(param: &Param) -> Vec<Vec<u32>> {
    let protected = param.protected();
    if let Some(packed) = param.packed() {
        let entries = (0..).zip(packed.index.pattern.indices());
        let is_protected = |index: &u32| protected.binary_search(index).is_ok();
        return vec![entries.filter(|(_, index)| is_protected(index)).map(|(entry, _)| entry).collect()];
    }
    let inner = param.matrix().inner();
    let of_rows = |rows: &std::ops::Range<usize>| {
        let own = (rows.start * inner) as u32..(rows.end * inner) as u32;
        protected.iter().filter(|index| own.contains(index)).map(|index| index - own.start).collect()
    };
    param.segments.iter().map(|segment| of_rows(&segment.rows)).collect()
}

fn twin(t: &Twin) {
    let (args, mut score): (Args, _) = (t.get("args"), t.f32_mut("score"));
    for &at in t.u32("index").iter().filter(|&&at| at < args.scores) {
        score[at as usize] = args.value;
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("sparsity/select/protect", |t, n| {
        let score = t.input("score", &[n])?;
        t.compare(&score, Tolerance::EXACT);
        let indices: Vec<u32> = (0..n as u32).filter(|i| i % 3 == 1).collect();
        record(&mut t.rec, &indices, &score, FIRST)
    })]
}
