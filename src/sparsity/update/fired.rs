//! Which weights were ever kept, one bit each, and growth at random that takes the others first.
//!
//! Liu et al., 2021, "Do we actually need dense over-parameterization? In-time over-parameterization in sparse training":
//! what counts is how many weights were ever active. The bits are those of the masks before each update: the masks of the
//! start, and what every update but the last has left. They are dense, in segments of rows, however a weight is stored.

use std::ops::Range;

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::ops::packed::{Form, Index, Pattern};
use crate::param::{EVER, Param};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/update/fired.wgsl`.
    pub struct Args { len: u32, first: u32, first_row: u32, rows: u32, inner: u32 }
}

const MASKS: Kernel = Kernel::own(source!("sparsity/update/fired"), twin_masks).entry("masks").proven();
const ENTRIES: Kernel = Kernel::own(source!("sparsity/update/fired"), twin_entries).entry("entries").proven();
const FAVOUR: Kernel = Kernel::own(source!("sparsity/update/fired"), twin_favour).entry("favour").proven();
const WG: usize = 64;

/// Adds what a parameter keeps now.
pub fn record(rec: &mut Recorder, param: &Param) -> Result<()> {
    let ever = param.tensors(EVER);
    let Some(packed) = param.packed() else {
        let each = &mut param.segments.iter().zip(ever);
        return each.try_for_each(|(segment, ever)| record_masks(rec, &segment.mask, ever));
    };
    let spans = param.spans(&rec.gpu)?;
    let each = &mut spans.into_iter().zip(ever);
    each.try_for_each(|(rows, ever)| record_entries(rec, &packed.index, rows, ever))
}

/// Adds 1 to the scores in [0, 1) of some rows of a parameter, (rows, inner), where a weight was never kept: the largest
/// are then among those, as long as there are any. Rows begin and end as tiles and segments do.
pub fn record_favour(rec: &mut Recorder, param: &Param, rows: Range<usize>, score: &Tensor) -> Result<()> {
    let inner = param.matrix().inner();
    let score = score.first(&[rows.len(), inner]);
    for (own, ever) in param.spans(&rec.gpu)?.into_iter().zip(param.tensors(EVER)) {
        let both = own.start.max(rows.start)..own.end.min(rows.end);
        if both.is_empty() {
            continue;
        }
        let among = score.rows(both.start - rows.start..both.end - rows.start);
        record_favoured(rec, ever, (both.start - own.start) * inner, &among)?;
    }
    Ok(())
}

fn record_masks(rec: &mut Recorder, mask: &Tensor, ever: &Tensor) -> Result<()> {
    let args = Args { len: ever.len() as u32, ..Args::default() };
    rec.dispatch(&MASKS, bind! { args: &args, mask: mask, ever: ever }, groups(ever.len(), WG), 0)
}

fn record_entries(rec: &mut Recorder, index: &Index, rows: Range<usize>, ever: &Tensor) -> Result<()> {
    let (first_row, inner) = (rows.start as u32, index.pattern.inner as u32);
    let args = Args { first_row, rows: rows.len() as u32, inner, ..Args::default() };
    let binds = bind! { args: &args, starts: &index.starts, columns: &index.columns, ever: ever };
    rec.dispatch(&ENTRIES, binds, groups(rows.len(), WG), 0)
}

fn record_favoured(rec: &mut Recorder, fired: &Tensor, first: usize, score: &Tensor) -> Result<()> {
    let args = Args { len: score.len() as u32, first: first as u32, ..Args::default() };
    rec.dispatch(
        &FAVOUR,
        bind! { args: &args, fired: fired, score: score },
        groups(score.len(), WG),
        score.len() as u64,
    )
}

fn twin_masks(t: &Twin) {
    let mask = t.u32("mask");
    t.u32_mut("ever").iter_mut().zip(mask.iter()).for_each(|(ever, mask)| *ever |= mask);
}

fn twin_entries(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns, mut ever) = (t.u32("starts"), t.u32("columns"), t.u32_mut("ever"));
    for row in 0..args.rows as usize {
        let first = args.first_row as usize + row;
        for entry in starts[first]..starts[first + 1] {
            let index = row * args.inner as usize + columns[entry as usize] as usize;
            ever[index / 32] |= 1 << (index % 32);
        }
    }
}

fn twin_favour(t: &Twin) {
    let args: Args = t.get("args");
    let (fired, mut score) = (t.u32("fired"), t.f32_mut("score"));
    for (i, score) in score.iter_mut().enumerate() {
        let index = args.first as usize + i;
        if fired[index / 32] >> (index % 32) & 1 == 0 {
            *score += 1.0;
        }
    }
}

pub fn checks() -> Vec<Check> {
    let masks = Check::new("sparsity/update/fired:masks", |t, n| {
        let (mask, ever) = (t.bits("mask", n)?, t.bits("ever", n)?);
        t.compare(&ever, Tolerance::EXACT);
        record_masks(&mut t.rec, &mask, &ever)
    });
    let entries = Check::new("sparsity/update/fired:entries", |t, n| {
        let (rows, inner) = (n + 70, 9);
        let noise = t.values(rows * inner);
        let indices: Vec<u32> = (0..(rows * inner) as u32).filter(|&i| noise[i as usize] > 0.3).collect();
        let gpu = t.gpu.clone();
        let index = Index::new(
            &gpu,
            "weight",
            Pattern::from_indices(Form::Free, rows, inner, &indices),
            None,
            false,
            4,
        )?;
        let ever = t.bits("ever", (n * inner).div_ceil(32))?;
        t.compare(&ever, Tolerance::EXACT);
        record_entries(&mut t.rec, &index, 64..64 + n, &ever)
    });
    let favour = Check::new("sparsity/update/fired:favour", |t, n| {
        let fired = t.bits("fired", (n + 64).div_ceil(32))?;
        let score = t.input("score", &[n])?;
        t.compare(&score, Tolerance::EXACT); // one sum of two numbers
        record_favoured(&mut t.rec, &fired, 37, &score)
    });
    vec![masks, entries, favour]
}
