//! Values of a dense matrix at single places: where a packed weight has entries, and where a list has them.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::ops::packed::{Form, Index, Pattern};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/gather.wgsl`.
    pub struct Args { first_row: u32, rows: u32, inner: u32, first_place: u32, len: u32, places: u32 }
}

const KEPT: Kernel = Kernel::own(source!("sparsity/gather"), twin_kept).entry("kept").proven();
const LISTED: Kernel = Kernel::own(source!("sparsity/gather"), twin_listed).entry("listed");
const WG: usize = 64;

/// The values at the entries of a packed weight of single weights, as far as they lie in `dense`: rows of the matrix
/// from `first_row` on.
pub fn record_kept(
    rec: &mut Recorder,
    index: &Index,
    first_row: usize,
    dense: &Tensor,
    value: &Tensor,
) -> Result<()> {
    let (rows, inner) = (dense.shape[0], index.pattern.inner);
    let args =
        Args { first_row: first_row as u32, rows: rows as u32, inner: inner as u32, ..Default::default() };
    let binds =
        bind! { args: &args, dense: dense, starts: &index.starts, columns: &index.columns, value: value };
    rec.dispatch(&KEPT, binds, groups(rows, WG), 0)
}

/// The values at the places of a list, as far as they lie in `dense`, whose first element has the place `first_place`.
pub fn record_listed(
    rec: &mut Recorder,
    place: &Tensor,
    first_place: usize,
    dense: &Tensor,
    value: &Tensor,
) -> Result<()> {
    let len = place.len();
    let args = Args {
        first_place: first_place as u32,
        len: len as u32,
        places: dense.len() as u32,
        ..Default::default()
    };
    let binds = bind! { args: &args, dense: dense, place: place, value: value };
    rec.dispatch(&LISTED, binds, groups(len, WG), 0)
}

fn twin_kept(t: &Twin) {
    let args: Args = t.get("args");
    let (dense, starts, columns) = (t.f32("dense"), t.u32("starts"), t.u32("columns"));
    let mut value = t.f32_mut("value");
    for row in 0..args.rows as usize {
        let first = args.first_row as usize + row;
        for entry in starts[first] as usize..starts[first + 1] as usize {
            value[entry] = dense[row * args.inner as usize + columns[entry] as usize];
        }
    }
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
    let kept = Check::new("sparsity/gather:kept", |t, n| {
        let (rows, inner) = (n + 70, 9);
        let noise = t.values(rows * inner);
        let places: Vec<u32> = (0..(rows * inner) as u32).filter(|&i| noise[i as usize] > 0.3).collect();
        let gpu = t.gpu.clone();
        let index =
            Index::new(&gpu, "weight", Pattern::from_places(Form::Free, rows, inner, &places), false)?;
        let dense = t.input("dense", &[n, inner])?;
        let value = t.input("value", &[places.len()])?;
        t.compare(&value, Tolerance::EXACT);
        record_kept(&mut t.rec, &index, 64, &dense, &value)
    });
    let listed = Check::new("sparsity/gather:listed", |t, n| {
        // Places before, within and after what there is.
        let dense = t.input("dense", &[n])?;
        let place = t.indices("place", &[n], 3 * n as u32)?;
        let value = t.input("value", &[n])?;
        t.compare(&value, Tolerance::EXACT);
        record_listed(&mut t.rec, &place, n, &dense, &value)
    });
    vec![kept, listed]
}
