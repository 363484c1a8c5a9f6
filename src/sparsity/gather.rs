//! Values of a dense matrix at the places of a list.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/gather.wgsl`.
    pub struct Args { first_place: u32, len: u32, places: u32 }
}

const LISTED: Kernel = Kernel::own(source!("sparsity/gather"), twin_listed).entry("listed");
const WG: usize = 64;

/// The values at the places of a list, as far as they lie in `dense`, whose first element has the place `first_place`.
pub fn record_listed(
    rec: &mut Recorder,
    place: &Tensor,
    first_place: usize,
    dense: &Tensor,
    value: &Tensor,
) -> Result<()> {
    let len = place.len();
    let args = Args { first_place: first_place as u32, len: len as u32, places: dense.len() as u32 };
    let binds = bind! { args: &args, dense: dense, place: place, value: value };
    rec.dispatch(&LISTED, binds, groups(len, WG), 0)?;
    // A place, and at most one value of the matrix and one of the list for it.
    rec.moves(12 * len as u64);
    Ok(())
}

fn twin_listed(t: &Twin) {
    let args: Args = t.get("args");
    let (dense, place) = (t.f32("dense"), t.u32("place"));
    for (value, &place) in t.f32_mut("value").iter_mut().zip(place.iter()) {
        if let Some(&own) = place.checked_sub(args.first_place).and_then(|at| dense.get(at as usize)) {
            *value = own;
        }
    }
}

pub fn checks() -> Vec<Check> {
    let listed = Check::new("sparsity/gather:listed", |t, n| {
        // Places before, within and after what there is.
        let dense = t.input("dense", &[n])?;
        let place = t.indices("place", &[n], 3 * n as u32)?;
        let value = t.input("value", &[n])?;
        t.compare(&value, Tolerance::EXACT);
        record_listed(&mut t.rec, &place, n, &dense, &value)
    });
    vec![listed]
}
