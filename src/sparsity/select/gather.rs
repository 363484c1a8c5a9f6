//! Values of a dense matrix at the indices of a list.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/gather.wgsl`.
    pub struct Args { first_index: u32, len: u32, indices: u32 }
}

const LISTED: Kernel = Kernel::own(source!("sparsity/select/gather"), twin_listed).entry("listed");
const WG: usize = 64;

/// The values at the indices of a list, as far as they lie in `dense`, whose first element has the index `first_index`.
pub fn record_listed(
    rec: &mut Recorder,
    index: &Tensor,
    first_index: usize,
    dense: &Tensor,
    value: &Tensor,
) -> Result<()> {
    let len = index.len();
    let args = Args { first_index: first_index as u32, len: len as u32, indices: dense.len() as u32 };
    let binds = bind! { args: &args, dense: dense, index: index, value: value };
    rec.dispatch(&LISTED, binds, groups(len, WG), 0)?;
    // An index, and at most one value of the matrix and one of the list for it.
    rec.moves(12 * len as u64);
    Ok(())
}

fn twin_listed(t: &Twin) {
    let args: Args = t.get("args");
    let (dense, index) = (t.f32("dense"), t.u32("index"));
    for (value, &index) in t.f32_mut("value").iter_mut().zip(index.iter()) {
        if let Some(&own) = index.checked_sub(args.first_index).and_then(|at| dense.get(at as usize)) {
            *value = own;
        }
    }
}

pub fn checks() -> Vec<Check> {
    let listed = Check::new("sparsity/select/gather:listed", |t, n| {
        // Indices before, within and after what there is.
        let dense = t.input("dense", &[n])?;
        let index = t.indices("index", &[n], 3 * n as u32)?;
        let value = t.input("value", &[n])?;
        t.compare(&value, Tolerance::EXACT);
        record_listed(&mut t.rec, &index, n, &dense, &value)
    });
    vec![listed]
}
