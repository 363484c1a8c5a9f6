//! Magnitudes of a dense matrix at the kept indices, added up row by row: the same bits masked and packed. How
//! many indices a mask has is counted beside, so that no mask goes to the host for it.
//!
//! Sums over all values with zeros between them would go by another tree than sums over the kept ones alone.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::ops::packed::{Form, Index, Pattern};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/score/kept_sums.wgsl`.
    pub struct Args { first_row: u32, rows: u32, inner: u32, layer: u32 }
}

const MASKED: Kernel = Kernel::own(source!("sparsity/score/kept_sums"), twin_masked).entry("masked").proven();
const PACKED: Kernel = Kernel::own(source!("sparsity/score/kept_sums"), twin_packed).entry("packed").proven();
const WG: usize = 64;

fn args(first_row: usize, dense: &Tensor) -> Args {
    let inner = dense.shape[1..].iter().product::<usize>();
    Args {
        first_row: first_row as u32,
        rows: dense.shape[0] as u32,
        inner: inner as u32,
        ..Default::default()
    }
}

/// Writes the sums of the rows of `dense`, those of a matrix from `first_row` on, where their mask has a bit; adds the
/// number of its bits to that of this layer in `counts`.
pub fn record_masked(
    rec: &mut Recorder,
    mask: &Tensor,
    first_row: usize,
    dense: &Tensor,
    sums: &Tensor,
    (layer, counts): (usize, &Tensor),
) -> Result<()> {
    let args = Args { layer: layer as u32, ..args(first_row, dense) };
    let binds = bind! { args: &args, dense: dense, mask: mask, sums: sums, counts: counts };
    rec.dispatch(&MASKED, binds, groups(dense.shape[0], WG), dense.len() as u64)
}

/// As [`record_masked`], where a packed weight of single weights has entries.
pub fn record_packed(
    rec: &mut Recorder,
    index: &Index,
    first_row: usize,
    dense: &Tensor,
    sums: &Tensor,
) -> Result<()> {
    let args = args(first_row, dense);
    let binds =
        bind! { args: &args, dense: dense, starts: &index.starts, columns: &index.columns, sums: sums };
    let rows = dense.shape[0];
    let entries: usize = (first_row..first_row + rows).map(|row| index.pattern.row(row).len()).sum();
    rec.dispatch(&PACKED, binds, groups(rows, WG), entries as u64)?;
    rec.moves((4 * (rows + 1) + 8 * entries + 4 * rows) as u64); // a column and a value each; a sum a row
    Ok(())
}

fn twin_masked(t: &Twin) {
    let args: Args = t.get("args");
    let (dense, mask, mut sums) = (t.f32("dense"), t.u32("mask"), t.f32_mut("sums"));
    let mut counts = t.u32_mut("counts");
    for row in 0..args.rows as usize {
        let indices = row * args.inner as usize..(row + 1) * args.inner as usize;
        let kept: Vec<usize> = indices.filter(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect();
        let sum: f64 = kept.iter().map(|&i| f64::from(dense[i].abs())).sum();
        sums[args.first_row as usize + row] = sum as f32;
        counts[args.layer as usize] += kept.len() as u32;
    }
}

fn twin_packed(t: &Twin) {
    let args: Args = t.get("args");
    let (dense, mut sums) = (t.f32("dense"), t.f32_mut("sums"));
    let (starts, columns) = (t.u32("starts"), t.u32("columns"));
    for row in 0..args.rows as usize {
        let whole = args.first_row as usize + row;
        let kept = &columns[starts[whole] as usize..starts[whole + 1] as usize];
        let value = |&column: &u32| f64::from(dense[row * args.inner as usize + column as usize].abs());
        sums[whole] = kept.iter().map(value).sum::<f64>() as f32;
    }
}

pub fn checks() -> Vec<Check> {
    // Rows from the 64th on of a matrix that ends six rows later.
    let inner = 9;
    let masked = Check::new("sparsity/score/kept_sums:masked", move |t, n| {
        let (mask, dense) = (t.bits("mask", (n * inner).div_ceil(32))?, t.input("dense", &[n, inner])?);
        let sums = t.input("sums", &[n + 70])?;
        let counts = t.output_u32("counts", &[3])?;
        t.compare(&sums, Tolerance::sum(inner));
        record_masked(&mut t.rec, &mask, 64, &dense, &sums, (1, &counts))?;
        record_masked(&mut t.rec, &mask, 0, &dense, &sums, (2, &counts))
    });
    let packed = Check::new("sparsity/score/kept_sums:packed", move |t, n| {
        let rows = n + 70;
        let noise = t.values(rows * inner);
        let indices: Vec<u32> = (0..(rows * inner) as u32).filter(|&i| noise[i as usize] > 0.3).collect();
        let gpu = t.gpu.clone();
        let pattern = Pattern::from_indices(Form::Free, rows, inner, &indices);
        let index = Index::new(&gpu, "weight", pattern, None, false, 4)?;
        let (dense, sums) = (t.input("dense", &[n, inner])?, t.input("sums", &[rows])?);
        t.compare(&sums, Tolerance::sum(inner));
        record_packed(&mut t.rec, &index, 64, &dense, &sums)
    });
    vec![masked, packed]
}
