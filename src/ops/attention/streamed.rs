//! Attention without a matrix of scores, by blocks of keys.   Milakov & Gimelshein 2018; Dao et al. 2022.

use super::{Args, Attention, Gradients, Mask, Operands, Sizes, softmax};
use crate::error::Result;
use crate::gpu::{Bind, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::ops::lengths::Versions;
use crate::ops::{Step, groups};
use crate::{bind, source};

const fn forward(twin: fn(&Twin), constants: &'static [(&'static str, f64)]) -> Versions {
    let kernel = Kernel::own(source!("ops/attention/streamed"), twin).entry("forward");
    Versions::of(kernel.with(constants).proven(), "ops/attention/streamed:forward")
}

const fn d_queries(twin: fn(&Twin), constants: &'static [(&'static str, f64)]) -> Versions {
    let kernel = Kernel::own(source!("ops/attention/streamed"), twin).entry("d_queries");
    Versions::of(kernel.with(constants).proven(), "ops/attention/streamed:d_queries")
}

const fn d_keys(twin: fn(&Twin), constants: &'static [(&'static str, f64)]) -> Versions {
    let kernel = Kernel::own(source!("ops/attention/streamed_keys"), twin);
    Versions::of(kernel.with(constants).proven(), "ops/attention/streamed_keys")
}

const DROPS: &[(&str, f64)] = &[("DROPS", 1.0)];
const ADDS: &[(&str, f64)] = &[("ADDS", 1.0)];
const BOTH: &[(&str, f64)] = &[("DROPS", 1.0), ("ADDS", 1.0)];

/// By whether some probabilities are dropped.
const FORWARD: [Versions; 2] =
    [forward(|t| twin_forward(t, false), &[]), forward(|t| twin_forward(t, true), DROPS)];
/// By whether some probabilities are dropped, and whether gradients are added.
const D_QUERIES: [[Versions; 2]; 2] = [
    [
        d_queries(|t| twin_d_queries(t, false, false), &[]),
        d_queries(|t| twin_d_queries(t, false, true), ADDS),
    ],
    [
        d_queries(|t| twin_d_queries(t, true, false), DROPS),
        d_queries(|t| twin_d_queries(t, true, true), BOTH),
    ],
];
const D_KEYS: [[Versions; 2]; 2] = [
    [d_keys(|t| twin_d_keys(t, false, false), &[]), d_keys(|t| twin_d_keys(t, false, true), ADDS)],
    [d_keys(|t| twin_d_keys(t, true, false), DROPS), d_keys(|t| twin_d_keys(t, true, true), BOTH)],
];
const WG: usize = 64;
/// Keys of a round of [`FORWARD`] and [`D_QUERIES`], or queries of one of [`D_KEYS`].
const ROUND: usize = 4;
/// Loops over the channels of a head in a round, at most.
const LOOPS: usize = 4;
/// Queries of an invocation that makes those, or keys of one that makes these.
const OWN: usize = 2;

/// What [`Attention::record_streamed`] leaves of a query that attends to nothing: the shader's LEAST.
const LEAST: f32 = -3.0e38;

pub fn kernels() -> Vec<Kernel> {
    [FORWARD[0], D_QUERIES[0][0], D_KEYS[0][0]].iter().flat_map(|own| own.all()).collect()
}

/// How many keys or queries a dispatch may take in, of heads with so many channels, before a driver ends its loops.
pub fn part(gpu: &Gpu, depth: usize) -> usize {
    // Half of what a driver allows: it may count loops of a few rounds, too.
    let rounds = gpu.most_rounds().map_or(usize::MAX / ROUND, |most| most / 2 / (LOOPS * depth + 1));
    ROUND * rounds.max(1)
}

impl Attention<'_> {
    /// Records a kernel once for each part of so many keys or queries. Its invocations each have `OWN` of `own` steps; a pair
    /// costs `flops`.
    fn by_parts(
        &self,
        rec: &mut Recorder,
        kernels: &Versions,
        [all, own]: [usize; 2],
        binds: &[(&str, Bind)],
        flops: u64,
    ) -> Result<()> {
        let blocks = groups(self.heads * own.div_ceil(OWN) * self.batch / 4, WG);
        for begin in (0..all).step_by(self.part) {
            let end = begin.saturating_add(self.part).min(all);
            let args = Args { begin: begin as u32, end: end as u32, ..self.args() };
            let binds = [&bind! { args: &args, step: self.step }[..], binds].concat();
            let flops = self.pairs() * (end - begin) as u64 / all as u64 * flops;
            kernels.dispatch(rec, self.lengths, &binds, blocks, flops)?;
        }
        Ok(())
    }

    /// `y`, and of each query the logarithm of the sum of `exp(score)` over the keys.
    pub fn record_streamed(&self, rec: &mut Recorder, x: Operands, total: &Tensor, y: &Tensor) -> Result<()> {
        let kernels = &FORWARD[usize::from(self.dropout.is_some())];
        let binds = bind! { queries: x.queries, keys: x.keys, y: y, new_total: total };
        self.by_parts(rec, kernels, [self.keys, self.queries], binds, 4 * self.depth as u64 + 5)
    }

    /// The gradients of queries, keys and values; `delta` is as long as `total`.
    #[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
    pub fn record_streamed_backward(
        &self,
        rec: &mut Recorder,
        x: Operands,
        total: &Tensor,
        y: &Tensor,
        d_y: &Tensor,
        delta: &Tensor,
        to: Gradients,
    ) -> Result<()> {
        softmax::record_delta(rec, self, y, d_y, delta)?;
        let (drops, product) = (usize::from(self.dropout.is_some()), 2 * self.depth as u64);
        let read: &[(&str, Bind)] =
            bind! { queries: x.queries, keys: x.keys, d_y: d_y, total: total, delta: delta };
        if let Some((d_queries, adds)) = to.queries {
            let kernels = &D_QUERIES[drops][usize::from(adds)];
            let binds = [read, bind! { d_queries_out: d_queries }].concat();
            self.by_parts(rec, kernels, [self.keys, self.queries], &binds, 3 * product + 5)?;
        }
        let Some((d_keys, adds)) = to.keys else { return Ok(()) };
        let kernels = &D_KEYS[drops][usize::from(adds)];
        let binds = [read, bind! { d_keys: d_keys }].concat();
        self.by_parts(rec, kernels, [self.queries, self.keys], &binds, 4 * product + 6)
    }
}

/// A twin's operands.
struct Bound {
    args: Args,
    sizes: Sizes,
    mask: Mask,
    step: Step,
    drops: bool,
    queries: Vec<f32>,
    keys: Vec<f32>,
    d_y: Vec<f32>,
    total: Vec<f32>,
    delta: Vec<f32>,
}

impl Bound {
    fn of(t: &Twin, drops: bool) -> Self {
        let args: Args = t.get("args");
        let read = |name: &str| super::bound(t, name);
        Self {
            sizes: Sizes::of(&args),
            mask: Mask::of(t, &args),
            step: t.get("step"),
            drops,
            queries: read("queries"),
            keys: read("keys"),
            d_y: read("d_y"),
            total: read("total"),
            delta: read("delta"),
            args,
        }
    }
    fn key(&self, begin: u32, at: [usize; 3], key: usize, channel: usize) -> f64 {
        f64::from(self.keys[self.sizes.key(begin, [at[0], key, at[2]], channel)])
    }
    fn query(&self, at: [usize; 3], channel: usize) -> f64 {
        f64::from(self.queries[self.sizes.query(at, channel)])
    }
    fn d_y(&self, at: [usize; 3], channel: usize) -> f64 {
        f64::from(self.d_y[self.sizes.query(at, channel)])
    }
    fn score(&self, at: [usize; 3], key: usize) -> f64 {
        let product = |c| self.query(at, c) * self.key(self.args.key_at, at, key, c);
        f64::from(self.args.scale) * (0..self.sizes.depth).map(product).sum::<f64>()
    }
    fn factor(&self, at: [usize; 3], key: usize) -> f64 {
        if self.drops { self.args.factor(&self.step, self.sizes.pair(at, key)) } else { 1.0 }
    }
    fn part(&self) -> std::ops::Range<usize> {
        self.args.begin as usize..self.args.end as usize
    }
    /// The keys of this dispatch that a query attends to.
    fn open(&self, at: [usize; 3]) -> impl Iterator<Item = usize> + Clone + '_ {
        self.part().filter(move |&key| self.mask.attends(at, key))
    }
    /// What y took of a value, and the gradient of the score.
    fn backward(&self, row: usize, at: [usize; 3], key: usize) -> (f64, f64) {
        let p = (self.score(at, key) - f64::from(self.total[row])).exp();
        let product = |c| self.d_y(at, c) * self.key(self.args.value_at, at, key, c);
        let factor = self.factor(at, key);
        let d_p = factor * (0..self.sizes.depth).map(product).sum::<f64>();
        (p * factor, p * (d_p - f64::from(self.delta[row])) * f64::from(self.args.scale))
    }
}

fn twin_forward(t: &Twin, drops: bool) {
    let own = Bound::of(t, drops);
    let (mut y, mut total) = (t.f32_mut("y"), t.f32_mut("new_total"));
    for (row, at) in own.sizes.rows().enumerate() {
        let scores: Vec<(usize, f64)> = own.open(at).map(|key| (key, own.score(at, key))).collect();
        // What came before counts as one key, with the mean value.
        let before = if own.args.begin > 0 { f64::from(total[row]) } else { f64::from(LEAST) };
        let largest = scores.iter().map(|(_, score)| *score).fold(before, f64::max);
        let past = if own.args.begin > 0 { (before - largest).exp() } else { 0.0 };
        let sum: f64 = past + scores.iter().map(|(_, score)| (score - largest).exp()).sum::<f64>();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        total[row] = (largest + sum.ln()) as f32;
        for c in 0..own.sizes.depth {
            let value = |&(key, score): &(usize, f64)| {
                (score - largest).exp() / sum * own.factor(at, key) * own.key(own.args.value_at, at, key, c)
            };
            let to = &mut y[own.sizes.query(at, c)];
            let mean = if past > 0.0 { past / sum * f64::from(*to) } else { 0.0 };
            *to = (mean + scores.iter().map(value).sum::<f64>()) as f32;
        }
    }
}

/// Adds rounded sums, or sets them.
fn settle(to: &mut [f32], sums: &[f64], range: std::ops::Range<usize>, adds: bool) {
    for i in range {
        to[i] = if adds { to[i] + sums[i] as f32 } else { sums[i] as f32 };
    }
}

fn twin_d_queries(t: &Twin, drops: bool, adds: bool) {
    let own = Bound::of(t, drops);
    let mut d_queries = t.f32_mut("d_queries_out");
    let mut sums = vec![0.0; own.sizes.heads * own.sizes.depth * own.sizes.queries * own.sizes.batch];
    for (row, at) in own.sizes.rows().enumerate() {
        for key in own.open(at) {
            let (_, d) = own.backward(row, at, key);
            for c in 0..own.sizes.depth {
                sums[own.sizes.query(at, c)] += d * own.key(own.args.key_at, at, key, c);
            }
        }
    }
    settle(&mut d_queries, &sums, 0..sums.len(), adds || own.args.begin > 0);
}

fn twin_d_keys(t: &Twin, drops: bool, adds: bool) {
    let own = Bound::of(t, drops);
    let mut d_keys = t.f32_mut("d_keys");
    let mut sums = vec![0.0; d_keys.len()];
    let part = own.part();
    for (row, at) in own.sizes.rows().enumerate().filter(|(_, at)| part.contains(&at[1])) {
        for key in (0..own.sizes.keys).filter(|&key| own.mask.attends(at, key)) {
            let (share, d) = own.backward(row, at, key);
            for c in 0..own.sizes.depth {
                let to = |begin| own.sizes.key(begin, [at[0], key, at[2]], c);
                sums[to(own.args.key_at)] += d * own.query(at, c);
                sums[to(own.args.value_at)] += share * own.d_y(at, c);
            }
        }
    }
    // The first dispatch with queries that may attend to a key sets its gradients.
    let rows = own.sizes.heads * own.sizes.depth * own.sizes.keys;
    for (i, key) in (0..rows).map(|row| (row * own.sizes.batch, row % own.sizes.keys)) {
        let first = if own.args.causal == 1 { key / OWN * OWN / ROUND * ROUND } else { 0 };
        for begin in [own.args.key_at, own.args.value_at] {
            let row = begin as usize * own.sizes.batch + i;
            if first < part.end {
                settle(&mut d_keys, &sums, row..row + own.sizes.batch, adds || first < part.start);
            }
        }
    }
}
