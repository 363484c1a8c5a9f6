//! The kernels of the search and what they work on: one weight, in its blocks of rows.

use super::twins;
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Uniform};
use crate::ops::groups as workgroups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/exchange_args.wgsl`.
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

const BEGIN: Kernel = Kernel::own(source!("sparsity/exchange"), twins::begin).entry("begin").proven();
const TURN_AROUND: Kernel =
    Kernel::own(source!("sparsity/exchange"), twins::turn_around).entry("turn_around").proven();
const FIND_BOUNDS: Kernel =
    Kernel::own(source!("sparsity/exchange"), twins::find_bounds).entry("find_bounds").proven();
const GAINS: Kernel = Kernel::own(source!("sparsity/exchange_gains"), twins::gains).proven();
const GAINS_TEXELS: Kernel = Kernel::own(source!("sparsity/exchange_gains_texels"), twins::gains).proven();
const EXCHANGE: Kernel =
    Kernel::own(source!("sparsity/exchange"), twins::exchange).entry("exchange").proven();
const WG: usize = 64;

/// Quads of rows that one invocation adds up; more are dealt out, which also keeps sums short and their error small.
const SHARE: usize = 32;
/// Invocations that keep any device busy: from there on shares grow, so that the sums of wide groups stay small.
const BUSY: usize = 1 << 17;
/// What is less than this share of what is compared is no gain, but the rounding of sums in f32.
const LEAST_GAIN: f32 = 2e-6;

/// What a search works on and with.
pub struct Site {
    pub parts: Vec<Part>,
    inner: usize,
    keep: usize,
    of: usize,
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
    pub fn new(gpu: &Gpu, blocks: &[(&Tensor, &Tensor)], keep: usize, of: usize) -> Result<Self> {
        let inner = blocks[0].0.shape[1];
        let groups = inner.div_ceil(of);
        let (pairs, cells) = (groups.div_ceil(2), of.div_ceil(4).pow(2));
        let most = (BUSY / (pairs * cells).max(1)).max(1);
        let mut parts = Vec::new();
        for (weight, spare) in blocks {
            let quads = weight.shape[0].div_ceil(4);
            parts.push(Part {
                weight: (*weight).clone(),
                sizes: spare.first(&[inner, quads * 4]),
                bounds: gpu.tensor("bounds of groups", Dtype::U32, &[groups, 2, quads * 4])?,
                shares: quads.div_ceil(SHARE).min(most),
            });
        }
        let all_shares: usize = parts.iter().map(|part| part.shares).sum();
        let sums = [pairs, cells, all_shares, 24];
        Ok(Self {
            parts,
            inner,
            keep,
            of,
            order: gpu.tensor("order of inputs", Dtype::U32, &[inner])?,
            changed: gpu.tensor("turns of exchanges", Dtype::U32, &[groups])?,
            sums: gpu.tensor("sums of pairs", Dtype::F32, &sums)?,
            exchanged: gpu.tensor("exchanges", Dtype::U32, &[1])?,
        })
    }

    fn groups(&self) -> usize {
        self.inner.div_ceil(self.of)
    }
    /// Turns of a round: odd, so that the circle has one place more for the group that stays.
    fn ring(&self) -> usize {
        self.groups().next_multiple_of(2).saturating_sub(1)
    }
    fn args(&self, part: usize, turn: usize) -> Args {
        let shares = |parts: &[Part]| parts.iter().map(|part| part.shares).sum::<usize>() as u32;
        let rows = self.parts[part].weight.shape[0];
        Args {
            rows: rows as u32,
            inner: self.inner as u32,
            keep: self.keep as u32,
            group: self.of as u32,
            groups: self.groups() as u32,
            quads: rows.div_ceil(4) as u32,
            shares: self.parts[part].shares as u32,
            first_share: shares(&self.parts[..part]),
            all_shares: shares(&self.parts),
            ring: self.ring() as u32,
            turn: turn as u32,
            least: LEAST_GAIN,
        }
    }

    /// Puts each input in its place, and |weight| beside it by input.
    pub fn record_begin(&self, rec: &mut Recorder, round: &Uniform) -> Result<()> {
        let args = self.args(0, 0);
        let binds = bind! { args: &args, order: &self.order, changed: &self.changed };
        rec.dispatch(&BEGIN, binds, workgroups(self.inner, WG), 0)?;
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
            let flops = part.sizes.len() * (self.keep + 1);
            rec.dispatch(&FIND_BOUNDS, binds, workgroups(self.groups() * part.shares, WG), flops as u64)?;
        }
        Ok(())
    }

    /// Lets each group meet each other. A group that keeps all its inputs has nothing to gain.
    /// `texels` says whether magnitudes are read through a texture.
    pub fn record_round(&self, rec: &mut Recorder, round: &Uniform, texels: bool) -> Result<()> {
        let pairs = self.groups().div_ceil(2);
        let cells = self.of.div_ceil(4).pow(2);
        let turns = if self.groups() > 1 && self.keep < self.of { self.ring() } else { 0 };
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
