//! Attention: y = softmax(scale q k) v, head by head and sample by sample.   Vaswani et al. 2017.
//!
//! Queries are (heads depth, queries, batch); keys and values lie in one tensor, (rows, keys, batch), from a row each on. That
//! may be the tensor of the queries. The probabilities, (heads, queries, keys, batch), are kept from the forward to the backward
//! pass, or else computed again by blocks ([`streamed`]).

use crate::error::Result;
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::Step;
use crate::ops::dropout::Dropout;
use crate::ops::fetch::Fetch;
use crate::ops::lengths::Ragged;
use crate::random::{self, Stream};
use crate::wgsl_struct;

mod checks;
mod product;
mod softmax;
pub mod streamed;

pub use checks::checks;
use product::{Product, Strides};

wgsl_struct! {
    /// See `shaders/ops/attention/args.wgsl`.
    pub struct Args {
        batch_quads: u32, heads: u32, depth: u32, queries: u32, keys: u32, key_at: u32, value_at: u32, causal: u32, scale: f32,
        seed_low: u32, seed_high: u32, stream: u32, layer: u32, threshold: u32, grown: f32,
        begin: u32, end: u32
    }
}

/// Queries, or keys, of an invocation.
const BLOCK: usize = 4;

/// The kernels of each entry point; others differ from them in the values of overrides.
pub fn kernels() -> Vec<Kernel> {
    [&product::kernels()[..], &softmax::kernels(), &streamed::kernels()].concat()
}

/// What attends to what.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Of the products, where probabilities are kept.
    pub fetch: Fetch,
    pub step: &'a Uniform,
    pub batch: usize,
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// Steps of the queries, and of the keys and values.
    pub queries: usize,
    pub keys: usize,
    /// The channels of their tensor at which keys and values begin.
    pub key_at: usize,
    pub value_at: usize,
    /// A query attends to no key behind it; there are as many of both.
    pub causal: bool,
    /// `(batch,)`: how many of the keys each sample has, where not all have all of them. A query without keys gives 0.
    pub lengths: Option<&'a Tensor>,
    /// Which probabilities are dropped after the softmax.
    pub dropout: Option<Dropout>,
    /// How many keys, or queries for the gradients of keys, a dispatch takes in where no scores are kept: see
    /// [`streamed::part`].
    pub part: usize,
}

/// Queries, and keys with values, or their gradients.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    pub queries: &'a Tensor,
    pub keys: &'a Tensor,
}

/// Gradients that are asked for, and whether each is added to what is there.
#[derive(Clone, Copy)]
pub struct Gradients<'a> {
    pub queries: Option<(&'a Tensor, bool)>,
    pub keys: Option<(&'a Tensor, bool)>,
}

/// What the backward pass of kept probabilities takes for itself.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    /// As [`Attention::rows`] says.
    pub delta: &'a Tensor,
    /// As [`Attention::scores`] says, and, where some are dropped, one more.
    pub d_scores: &'a Tensor,
    pub dropped: &'a Tensor,
}

impl Attention<'_> {
    /// `(heads, queries, keys, batch)`.
    pub fn scores(&self) -> Vec<usize> {
        vec![self.heads, self.queries, self.keys, self.batch]
    }
    /// `(heads, queries, batch)`.
    pub fn rows(&self) -> Vec<usize> {
        vec![self.heads, self.queries, self.batch]
    }

    fn args(&self) -> Args {
        let Dropout { p, seed, layer } = self.dropout.unwrap_or(Dropout { p: 0.0, seed: 0, layer: 0 });
        Args {
            batch_quads: (self.batch / 4) as u32,
            heads: self.heads as u32,
            depth: self.depth as u32,
            queries: self.queries as u32,
            keys: self.keys as u32,
            key_at: (self.key_at * self.keys) as u32,
            value_at: (self.value_at * self.keys) as u32,
            causal: u32::from(self.causal),
            scale: self.scale(),
            seed_low: seed as u32,
            seed_high: (seed >> 32) as u32,
            stream: Stream::Dropout as u32,
            layer: layer as u32,
            threshold: (p * (1u64 << 32) as f64) as u32,
            grown: (1.0 / (1.0 - p)) as f32,
            begin: 0,
            end: 0,
        }
    }
    fn scale(&self) -> f32 {
        (1.0 / (self.depth as f64).sqrt()) as f32
    }
    /// Pairs of a query and a key that attends to it.
    fn pairs(&self) -> u64 {
        let all = self.heads * self.queries * self.keys * self.batch;
        (if self.causal { all / 2 } else { all }) as u64
    }

    /// Rows of the queries, of keys, or of values.
    fn of_queries(&self) -> Strides {
        Strides { at: 0, head: self.depth * self.queries, step: 1, other: self.queries }
    }
    fn of_keys(&self, first_channel: usize) -> Strides {
        Strides { at: first_channel * self.keys, head: self.depth * self.keys, step: 1, other: self.keys }
    }
    /// Rows of the scores: those of a query, and by key.
    fn of_scores(&self) -> Strides {
        Strides { at: 0, head: self.queries * self.keys, step: self.keys, other: 1 }
    }

    /// The products of scores: queries by keys, summed over channels.
    fn by_pairs(&self, scale: f32, keys: Strides) -> Product {
        Product {
            fetch: self.fetch,
            batch: self.batch,
            heads: self.heads,
            extents: [self.queries, self.keys, self.depth],
            causal: if self.causal { product::SKIPS } else { product::WHOLE },
            scale,
            a: self.of_queries(),
            b: keys.turned(),
            c: self.of_scores(),
            flops: 2 * self.pairs() * self.depth as u64,
        }
    }
    /// Steps of queries by channels, summed over keys.
    fn by_queries(&self, keys: Strides) -> Product {
        Product {
            extents: [self.queries, self.depth, self.keys],
            causal: if self.causal { product::ENDS } else { product::WHOLE },
            a: self.of_scores(),
            b: keys,
            c: self.of_queries(),
            ..self.by_pairs(1.0, keys)
        }
    }
    /// Steps of keys by channels, summed over queries.
    fn by_keys(&self, keys: Strides) -> Product {
        Product {
            extents: [self.keys, self.depth, self.queries],
            causal: if self.causal { product::BEGINS } else { product::WHOLE },
            a: self.of_scores().turned(),
            b: self.of_queries(),
            c: keys,
            ..self.by_pairs(1.0, keys)
        }
    }

    /// `y`, and the probabilities; `dropped` takes what dropout leaves of them, if there is dropout.
    pub fn record_kept(
        &self,
        rec: &mut Recorder,
        x: Operands,
        probabilities: &Tensor,
        dropped: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        let (keys, values) = (self.of_keys(self.key_at), self.of_keys(self.value_at));
        self.by_pairs(self.scale(), keys).record(rec, x.queries, x.keys, probabilities, false)?;
        softmax::record(rec, self, probabilities)?;
        let shares = self.drop(rec, probabilities, dropped)?;
        self.by_queries(values).record(rec, shares, x.keys, y, false)
    }

    /// The gradients of queries, keys and values, by the probabilities that were kept.
    #[expect(clippy::too_many_arguments, reason = "each is a tensor of the formula")]
    pub fn record_kept_backward(
        &self,
        rec: &mut Recorder,
        x: Operands,
        probabilities: &Tensor,
        y: &Tensor,
        d_y: &Tensor,
        scratch: Scratch,
        to: Gradients,
    ) -> Result<()> {
        let (keys, values) = (self.of_keys(self.key_at), self.of_keys(self.value_at));
        let Scratch { delta, d_scores, dropped } = scratch;
        if let Some((d_keys, adds)) = to.keys {
            let shares = self.drop(rec, probabilities, dropped)?;
            self.by_keys(values).record(rec, shares, d_y, d_keys, adds)?;
        }
        softmax::record_delta(rec, self, y, d_y, delta)?;
        self.by_pairs(1.0, values).record(rec, d_y, x.keys, d_scores, false)?;
        softmax::record_differentiate(rec, self, probabilities, delta, d_scores)?;
        if let Some((d_queries, adds)) = to.queries {
            self.by_queries(keys).record(rec, d_scores, x.keys, d_queries, adds)?;
        }
        if let Some((d_keys, adds)) = to.keys {
            self.by_keys(keys).record(rec, d_scores, x.queries, d_keys, adds)?;
        }
        Ok(())
    }

    fn drop<'t>(&self, rec: &mut Recorder, p: &'t Tensor, dropped: &'t Tensor) -> Result<&'t Tensor> {
        match &self.dropout {
            Some(dropout) => dropout.record(rec, self.step, p, dropped, false).map(|()| dropped),
            None => Ok(p),
        }
    }
}

impl Args {
    /// One past the last key whose block a query may attend to.
    fn end_of(&self, query: usize) -> usize {
        let keys = self.keys as usize;
        if self.causal == 0 { keys } else { keys.min((query / BLOCK + 1) * BLOCK) }
    }
    /// What dropout multiplies a probability by.
    fn factor(&self, step: &Step, index: usize) -> f64 {
        let seed = u64::from(self.seed_low) | u64::from(self.seed_high) << 32;
        let word = random::word(seed, Stream::Dropout, step.draw, self.layer, index as u32);
        if word < self.threshold { 0.0 } else { f64::from(self.grown) }
    }
}

/// Which keys a query attends to, as twins see it.
struct Mask {
    causal: bool,
    lengths: Ragged,
}

impl Mask {
    fn of(t: &Twin, args: &Args) -> Self {
        Self { causal: args.causal != 0, lengths: Ragged::of(t) }
    }
    fn attends(&self, [_, query, sample]: [usize; 3], key: usize) -> bool {
        self.lengths.is_there(key, sample) && (!self.causal || key <= query)
    }
}

/// The extents of a twin, in elements.
struct Sizes {
    batch: usize,
    heads: usize,
    depth: usize,
    queries: usize,
    keys: usize,
}

impl Sizes {
    fn of(args: &Args) -> Self {
        let [batch, heads, depth, queries, keys] =
            [4 * args.batch_quads, args.heads, args.depth, args.queries, args.keys].map(|n| n as usize);
        Self { batch, heads, depth, queries, keys }
    }
    /// Of each query of each head and sample: head, query, sample.
    fn rows(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let (batch, queries) = (self.batch, self.queries);
        (0..self.heads * queries * batch).map(move |i| [i / batch / queries, i / batch % queries, i % batch])
    }
    fn query(&self, [head, query, sample]: [usize; 3], channel: usize) -> usize {
        ((head * self.depth + channel) * self.queries + query) * self.batch + sample
    }
    fn key(&self, begin: u32, [head, key, sample]: [usize; 3], channel: usize) -> usize {
        (begin as usize + (head * self.depth + channel) * self.keys + key) * self.batch + sample
    }
    fn pair(&self, [head, query, sample]: [usize; 3], key: usize) -> usize {
        ((head * self.queries + query) * self.keys + key) * self.batch + sample
    }
}

/// What is bound by a name, where it is.
fn bound(t: &Twin, name: &str) -> Vec<f32> {
    if t.has(name) { t.f32(name).to_vec() } else { Vec::new() }
}
