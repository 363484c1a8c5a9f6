//! The kernels of the search and what they work on: one weight, in its blocks of rows.

use super::twins;
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Uniform};
use crate::ops::groups as workgroups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/structure/exchange_args.wgsl`.
    pub struct Args {
        rows: u32,
        inner: u32,
        keep: u32,
        group: u32,
        groups: u32,
        quads: u32,
        shares: u32,
        first_share: u32,
        all_shares: u32,
        ring: u32,
        turn: u32,
        least: f32,
    }
}
wgsl_struct! {
    /// The number of the round, from 0; written by the host.
    pub struct Round { round: u32 }
}

const BEGIN: Kernel =
    Kernel::own(source!("sparsity/structure/exchange"), twins::begin).entry("begin").proven();
const TURN_AROUND: Kernel =
    Kernel::own(source!("sparsity/structure/exchange"), twins::turn_around).entry("turn_around").proven();
const FIND_BOUNDS: Kernel =
    Kernel::own(source!("sparsity/structure/exchange"), twins::find_bounds).entry("find_bounds").proven();
const GAINS: Kernel = Kernel::own(source!("sparsity/structure/exchange_gains"), twins::gains).proven();
const GAINS_TEXELS: Kernel =
    Kernel::own(source!("sparsity/structure/exchange_gains_texels"), twins::gains).proven();
const EXCHANGE: Kernel =
    Kernel::own(source!("sparsity/structure/exchange"), twins::exchange).entry("exchange").proven();
const WG: usize = 64;

/// Quads of rows that one invocation adds up; more are dealt out, which also keeps sums short and their error small.
const SHARE: usize = 32;
/// Invocations that keep any device busy: from there on shares grow, so that the sums of wide groups stay small.
const BUSY: usize = 1 << 17;
/// What is less than this share of what is compared is no gain, but the rounding of sums in f32: some ten times its
/// deviation where up to [`SHORT`] numbers are added one after another.
const LEAST_GAIN: f32 = 2e-6;
const SHORT: usize = 2 * SHARE;

/// What is searched over: rows of each block of a weight, its inputs, and how many of how many of them are kept.
pub struct Shape {
    rows: Vec<usize>,
    inner: usize,
    keep: usize,
    of: usize,
}

impl Shape {
    /// That of a weight (rows, inner) in blocks of whole rows, at least one.
    pub fn new<'a>(blocks: impl Iterator<Item = &'a Tensor>, (keep, of): (usize, usize)) -> Self {
        let (rows, inner): (Vec<usize>, Vec<usize>) = blocks.map(|b| (b.shape[0], b.shape[1])).unzip();
        Self { rows, inner: inner[0], keep, of }
    }
    fn groups(&self) -> usize {
        self.inner.div_ceil(self.of)
    }
    fn pairs(&self) -> usize {
        self.groups().div_ceil(2)
    }
    fn cells(&self) -> usize {
        self.of.div_ceil(4).pow(2)
    }
    /// Into how many shares the rows of a block are dealt.
    fn shares(&self, rows: usize) -> usize {
        let most = (BUSY / (self.pairs() * self.cells()).max(1)).max(1);
        rows.div_ceil(4).div_ceil(SHARE).min(most)
    }
    fn all_shares(&self) -> usize {
        self.rows.iter().map(|&rows| self.shares(rows)).sum()
    }
    /// The least gain, as a share of what is compared. Numbers are added one after another within a share, and then the
    /// shares. Each addition rounds either way, so that the error grows with the root of their number; by the bound on
    /// it, which is linear, real gains in many rows would be left out.
    fn least_gain(&self) -> f32 {
        let within = self.rows.iter().map(|&rows| rows.div_ceil(4).div_ceil(self.shares(rows).max(1)));
        let added = within.max().unwrap_or(0) + self.all_shares();
        LEAST_GAIN * (added as f32 / SHORT as f32).max(1.0).sqrt()
    }
    fn sizes(&self, rows: usize) -> [usize; 2] {
        [self.inner, rows.next_multiple_of(4)]
    }
    fn bounds(&self, rows: usize) -> [usize; 3] {
        [self.groups(), 2, rows.next_multiple_of(4)]
    }
    fn sums(&self) -> [usize; 4] {
        [self.pairs(), self.cells(), self.all_shares(), 24]
    }
}

/// Memory that searches work in, one after another: as much as the largest needs.
pub struct Scratch {
    /// By block: magnitudes by input, where rows are left over, so that what is lent is too small.
    sizes: Vec<Tensor>,
    /// By block.
    bounds: Vec<Tensor>,
    sums: Tensor,
}

impl Scratch {
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn new(gpu: &Gpu, shapes: &[Shape]) -> Result<Self> {
        let (mut sizes, mut bounds) = (Vec::new(), Vec::new());
        for block in 0..shapes.iter().map(|shape| shape.rows.len()).max().unwrap_or(0) {
            let having = || shapes.iter().filter_map(|shape| Some((shape, *shape.rows.get(block)?)));
            let ragged = having().filter(|(_, rows)| !rows.is_multiple_of(4));
            let most = ragged.map(|(shape, rows)| shape.sizes(rows).iter().product()).max().unwrap_or(0);
            sizes.push(gpu.tensor("magnitudes by input", Dtype::F32, &[most])?);
            let most = having().map(|(shape, rows)| shape.bounds(rows).iter().product()).max().unwrap_or(0);
            bounds.push(gpu.tensor("bounds of groups", Dtype::U32, &[most])?);
        }
        let most = shapes.iter().map(|shape| shape.sums().iter().product()).max().unwrap_or(0);
        Ok(Self { sizes, bounds, sums: gpu.tensor("sums of pairs", Dtype::F32, &[most])? })
    }
}

/// What a search works on and with.
pub struct Site {
    pub parts: Vec<Part>,
    shape: Shape,
    pub order: Tensor,
    pub changed: Tensor,
    pub sums: Tensor,
    pub exchanged: Tensor,
}

/// One block of the weight.
pub struct Part {
    weight: Tensor,
    pub sizes: Tensor,
    pub bounds: Tensor,
    shares: usize,
}

impl Site {
    pub fn new(
        gpu: &Gpu,
        blocks: &[(&Tensor, &Tensor)],
        pattern: (usize, usize),
        scratch: &Scratch,
    ) -> Result<Self> {
        let shape = Shape::new(blocks.iter().map(|(weight, _)| *weight), pattern);
        let part = |(index, &(weight, lent)): (usize, &(&Tensor, &Tensor))| {
            let rows = weight.shape[0];
            let room = if rows.is_multiple_of(4) { lent } else { &scratch.sizes[index] };
            Part {
                weight: weight.clone(),
                sizes: room.first(&shape.sizes(rows)),
                bounds: scratch.bounds[index].first(&shape.bounds(rows)),
                shares: shape.shares(rows),
            }
        };
        Ok(Self {
            parts: blocks.iter().enumerate().map(part).collect(),
            order: gpu.tensor("order of inputs", Dtype::U32, &[shape.inner])?,
            changed: gpu.tensor("turns of exchanges", Dtype::U32, &[shape.groups()])?,
            sums: scratch.sums.first(&shape.sums()),
            exchanged: gpu.tensor("exchanges", Dtype::U32, &[1])?,
            shape,
        })
    }

    /// Turns of a round: odd, so that the circle has one place more for the group that stays.
    fn ring(&self) -> usize {
        self.shape.groups().next_multiple_of(2).saturating_sub(1)
    }
    fn args(&self, part: usize, turn: usize) -> Args {
        let shares = |parts: &[Part]| parts.iter().map(|part| part.shares).sum::<usize>() as u32;
        let rows = self.parts[part].weight.shape[0];
        Args {
            rows: rows as u32,
            inner: self.shape.inner as u32,
            keep: self.shape.keep as u32,
            group: self.shape.of as u32,
            groups: self.shape.groups() as u32,
            quads: rows.div_ceil(4) as u32,
            shares: self.parts[part].shares as u32,
            first_share: shares(&self.parts[..part]),
            all_shares: self.shape.all_shares() as u32,
            ring: self.ring() as u32,
            turn: turn as u32,
            least: self.shape.least_gain(),
        }
    }

    /// Puts each input in its place, and |weight| beside it by input.
    pub fn record_begin(&self, rec: &mut Recorder, round: &Uniform) -> Result<()> {
        let args = self.args(0, 0);
        let binds = bind! { args: &args, order: &self.order, changed: &self.changed };
        rec.dispatch(&BEGIN, binds, workgroups(self.shape.inner, WG), 0)?;
        for (index, part) in self.parts.iter().enumerate() {
            let args = self.args(index, 0);
            let binds = bind! { args: &args, weight: &part.weight, turned: &part.sizes };
            rec.dispatch(&TURN_AROUND, binds, workgroups(part.sizes.len() / 4, WG), part.sizes.len() as u64)?;
        }
        self.record_bounds(rec, round, 0)
    }

    /// Finds the bounds of the groups that have changed in this turn.
    fn record_bounds(&self, rec: &mut Recorder, round: &Uniform, turn: usize) -> Result<()> {
        for (index, part) in self.parts.iter().enumerate() {
            let args = self.args(index, turn);
            let binds = bind! {
                args: &args, now: round, order: &self.order, changed: &self.changed, sizes: &part.sizes,
                bounds: &part.bounds,
            };
            let flops = part.sizes.len() * (self.shape.keep + 1);
            rec.dispatch(
                &FIND_BOUNDS,
                binds,
                workgroups(self.shape.groups() * part.shares, WG),
                flops as u64,
            )?;
        }
        Ok(())
    }

    /// Lets each group meet each other. A group that keeps all its inputs has nothing to gain.
    /// `texels` says whether magnitudes are read through a texture.
    pub fn record_round(&self, rec: &mut Recorder, round: &Uniform, texels: bool) -> Result<()> {
        let Shape { keep, of, .. } = self.shape;
        let (pairs, cells) = (self.shape.pairs(), self.shape.cells());
        let turns = if self.shape.groups() > 1 && keep < of { self.ring() } else { 0 };
        for turn in 1..=turns {
            for (index, part) in self.parts.iter().enumerate() {
                let args = self.args(index, turn);
                let (kernel, name) = if texels { (&GAINS_TEXELS, "sizes_texels") } else { (&GAINS, "sizes") };
                let binds = &[
                    ("args", (&args).into()),
                    ("now", round.into()),
                    ("order", (&self.order).into()),
                    ("changed", (&self.changed).into()),
                    (name, (&part.sizes).into()),
                    ("bounds", (&part.bounds).into()),
                    ("sums", (&self.sums).into()),
                ];
                let flops = pairs * cells * part.weight.shape[0] * 64;
                rec.dispatch(kernel, binds, workgroups(pairs * cells * part.shares, WG), flops as u64)?;
            }
            let args = self.args(0, turn);
            let binds = bind! {
                args: &args, now: round, order: &self.order, changed: &self.changed, sums: &self.sums,
                exchanged: &self.exchanged,
            };
            rec.dispatch(&EXCHANGE, binds, workgroups(pairs, WG), self.sums.len() as u64)?;
            self.record_bounds(rec, round, turn)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, uniform};

    /// The error of sums as kernels make them, against sums in f64: what is a tie must not seem a gain.
    #[test]
    fn rounding_is_below_the_least_gain_also_where_shares_are_long() {
        // The last has so many cells that its rows are in two shares.
        for (rows, inner, of) in [(64, 64, 4), (8192, 32, 4), (1 << 20, 8, 4), (1 << 20, 2048, 1024)] {
            let shape = Shape { rows: vec![rows], inner, keep: of / 2, of };
            let (quads, shares) = (rows.div_ceil(4), shape.shares(rows));
            for draw in 0..3 {
                let (mut sum, mut exact) = (0.0f32, 0.0f64);
                for share in 0..shares {
                    let mut part = 0.0f32;
                    for q in (share..quads).step_by(shares) {
                        let v = [0, 1, 2, 3].map(|i| uniform(draw, Stream::Test, 0, i, q as u32));
                        part += (v[0] + v[1]) + (v[2] + v[3]);
                        exact += v.iter().map(|&v| f64::from(v)).sum::<f64>();
                    }
                    sum += part;
                }
                let error = (f64::from(sum) - exact).abs() / exact;
                // Two such sums are compared.
                let least = f64::from(shape.least_gain());
                assert!(2.0 * error < least, "{rows} rows, {shares} shares: {error}, {least}");
            }
        }
    }
}
