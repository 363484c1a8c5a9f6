//! The products of attention, sample by sample, lanes along the batch.

use super::BLOCK;
use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::ops::fetch::Fetch;
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/attention/product.wgsl`.
    pub struct Args {
        batch_quads: u32, heads: u32, rows: u32, columns: u32, inner: u32, causal: u32, scale: f32,
        a_at: u32, a_head: u32, a_row: u32, a_inner: u32,
        b_at: u32, b_head: u32, b_inner: u32, b_column: u32,
        c_at: u32, c_head: u32, c_row: u32, c_column: u32
    }
}

const WG: usize = 64;

fn kernel(fetch: Fetch, adds: bool) -> Kernel {
    let parts = [source!("ops/attention/product_by_buffers"), source!("ops/attention/product_by_texels")];
    let entry = ["main", "ops/attention/product"];
    let by = |twin| fetch.kernel(source!("ops/attention/product"), entry, parts, &[], twin);
    match adds {
        false => by(|t| twin(t, false)),
        true => by(|t| twin(t, true)).with(&[("ADDS", 1.0)]),
    }
}

pub fn kernels() -> [Kernel; 2] {
    Fetch::ALL.map(|fetch| kernel(fetch, false))
}

/// Values of `causal`: what of a product there is.
pub const WHOLE: u32 = 0;
pub const SKIPS: u32 = 1;
pub const ENDS: u32 = 2;
pub const BEGINS: u32 = 3;

/// Where an operand begins, and how far apart its heads, steps and channels lie (of scores: queries and keys), in rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strides {
    pub at: usize,
    pub head: usize,
    pub step: usize,
    pub other: usize,
}

impl Strides {
    /// The other way round.
    pub fn turned(self) -> Self {
        Self { step: self.other, other: self.step, ..self }
    }
}

/// `c[m, n] = scale sum over k of a[m, k] b[k, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    pub fetch: Fetch,
    pub batch: usize,
    pub heads: usize,
    /// Of m, n and k.
    pub extents: [usize; 3],
    pub causal: u32,
    pub scale: f32,
    pub a: Strides,
    pub b: Strides,
    pub c: Strides,
    pub flops: u64,
}

impl Product {
    /// `c`, or `+=` if `adds`.
    pub fn record(&self, rec: &mut Recorder, a: &Tensor, b: &Tensor, c: &Tensor, adds: bool) -> Result<()> {
        let [rows, columns, inner] = self.extents;
        let number = |number: usize| number as u32;
        let args = Args {
            batch_quads: number(self.batch / 4),
            heads: number(self.heads),
            rows: number(rows),
            columns: number(columns),
            inner: number(inner),
            causal: self.causal,
            scale: self.scale,
            a_at: number(self.a.at),
            a_head: number(self.a.head),
            a_row: number(self.a.step),
            a_inner: number(self.a.other),
            b_at: number(self.b.at),
            b_head: number(self.b.head),
            b_inner: number(self.b.step),
            b_column: number(self.b.other),
            c_at: number(self.c.at),
            c_head: number(self.c.head),
            c_row: number(self.c.step),
            c_column: number(self.c.other),
        };
        let blocks = self.heads * rows.div_ceil(BLOCK) * columns.div_ceil(BLOCK);
        let binds = bind! { args: &args, a: a, b: b, c: c };
        rec.dispatch(&kernel(self.fetch, adds), binds, groups(blocks * self.batch / 4, WG), self.flops)
    }
}

fn twin(t: &Twin, adds: bool) {
    let args: Args = t.get("args");
    let (a, b, mut c) = (t.f32("a"), t.f32("b"), t.f32_mut("c"));
    let batch = 4 * args.batch_quads;
    let at = |row: u32, sample: u32| (row * batch + sample) as usize;
    let block = BLOCK as u32;
    for head in 0..args.heads {
        for (m, n) in (0..args.rows).flat_map(|m| (0..args.columns).map(move |n| (m, n))) {
            if args.causal == SKIPS && n / block > m / block {
                continue;
            }
            let first = if args.causal == BEGINS { m / block * block } else { 0 };
            let end = if args.causal == ENDS { args.inner.min((m / block + 1) * block) } else { args.inner };
            for sample in 0..batch {
                let left = |k: u32| {
                    a[at(args.a_at + head * args.a_head + m * args.a_row + k * args.a_inner, sample)]
                };
                let right = |k: u32| {
                    b[at(args.b_at + head * args.b_head + k * args.b_inner + n * args.b_column, sample)]
                };
                let sum: f64 = (first..end).map(|k| f64::from(left(k)) * f64::from(right(k))).sum();
                let value = (f64::from(args.scale) * sum) as f32;
                let to =
                    &mut c[at(args.c_at + head * args.c_head + m * args.c_row + n * args.c_column, sample)];
                *to = if adds { *to + value } else { value };
            }
        }
    }
}
