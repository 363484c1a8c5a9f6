//! Attention between its projections: softmax(q k / sqrt(d)) v by heads.   Vaswani et al. 2017.

use toml::Value;

use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Context, Entry, Extra, Held, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Recorder, Tensor};
use crate::ops::attention::{Attention, Gradients, Operands, Scratch, streamed};
use crate::ops::dropout::Dropout;
use crate::ops::fetch::Fetch;
use crate::ops::recall::Recall;

/// Bytes of a layer's probabilities up to which they are kept with `scores = "auto"`. They take no second product of queries
/// and keys in the backward pass. A network of a dozen such layers fits into a gigabyte, or one and a half on software adapters,
/// whose products read copies; a binding of 128 MiB holds twice as much as a layer.
const KEPT_BYTES: usize = 64 << 20;

pub const ENTRY: Entry = Entry {
    name: "attention",
    about: "softmax(q k / sqrt(d)) v by `heads`; reads q, k and v as thirds of one value's channels, or q and, of another value, k and v; then, if samples differ in length, their `lengths` in keys; `causal`: no step attends to later ones; `dropout` of the probabilities; `scores` kept for the backward pass, none, or auto: kept up to 64 MiB (Vaswani et al. 2017)",
    required: || vec![("heads", Value::Integer(1))],
    optional: || {
        vec![
            ("causal", Value::Boolean(false)),
            ("dropout", Value::Float(0.0)),
            ("scores", Value::String("auto".into())),
        ]
    },
    build: |context| {
        let longest = context.take_lengths();
        let (width, steps) = operands(context)?;
        if let Some(most) = longest.filter(|&most| most != steps[1]) {
            let what = format!("layer `{}` attends to {} keys", context.name, steps[1]);
            let error = Error::usage(what).at(format!("it was given lengths up to {most}"));
            return Err(context.at(error).hint("a `lengths` layer over the steps that the keys are made of"));
        }
        let settings = context.settings;
        let (heads, causal) = (settings.u32("heads")? as usize, settings.bool("causal")?);
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(settings.wrong("heads", &format!("a number that divides the {width} channels of q")));
        }
        if causal && steps[0] != steps[1] {
            let what = format!("layer `{}` cannot be causal", context.name);
            let error = Error::usage(what).at(format!("{} queries attend to {} keys", steps[0], steps[1]));
            return Err(settings.locate("causal", error).hint("causal = false"));
        }
        let p = settings.f64("dropout")?;
        if !(0.0..1.0).contains(&p) {
            return Err(settings.wrong("dropout", "a number from 0 up to, not including, 1"));
        }
        let scores = match settings.text("scores")? {
            "auto" => Scores::Auto,
            "kept" => Scores::Kept,
            "none" => Scores::None,
            _ => return Err(settings.wrong("scores", "\"auto\", \"kept\" or \"none\"")),
        };
        let is_cross = context.inputs.len() == 2;
        let (seed, stepwise) = (context.seed, context.stepwise);
        let is_ragged = longest.is_some();
        let layer = Attends { width, heads, steps, is_cross, is_ragged, causal, p, seed, scores, stepwise };
        let output = Extent::new(width, vec![steps[0]]);
        Ok(Built { layer: Box::new(layer), output, params: Vec::new() })
    },
};

/// Channels of q, and the steps of q and of k.
fn operands(context: &Context) -> Result<(usize, [usize; 2])> {
    let has = || {
        let one = |(name, extent): &(String, Extent)| format!("`{name}` has {extent}");
        context.inputs.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let found = match context.inputs {
        [(_, x)] if x.channels.is_multiple_of(3) => match x.sites[..] {
            [steps] => Some((x.channels / 3, [steps, steps])),
            _ => None,
        },
        [(_, q), (_, kv)] if kv.channels == 2 * q.channels => match (&q.sites[..], &kv.sites[..]) {
            (&[queries], &[keys]) => Some((q.channels, [queries, keys])),
            _ => None,
        },
        _ => None,
    };
    found.ok_or_else(|| {
        let what = format!(
            "layer `{}` reads a sequence of q, k and v, or one of q and one of k and v",
            context.name
        );
        context
            .at(Error::usage(what).at(has()))
            .hint("a linear layer with three times as many outputs before it")
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scores {
    Auto,
    Kept,
    None,
}

struct Attends {
    /// Channels of q.
    width: usize,
    heads: usize,
    /// Of q, and of k and v.
    steps: [usize; 2],
    /// Whether q and k are of different values.
    is_cross: bool,
    /// Whether its last input says how many keys each sample has.
    is_ragged: bool,
    causal: bool,
    /// The share of probabilities that dropout drops.
    p: f64,
    seed: u64,
    scores: Scores,
    /// Where steps come one at a time, how many are remembered.
    stepwise: Option<usize>,
}

/// Extras where probabilities are kept, by number.
const PROBABILITIES: usize = 0;
const DELTA: usize = 1;
const D_SCORES: usize = 2;
const DROPPED: usize = 3;
const DROPPED_BACKWARD: usize = 4;
/// In place of the probabilities where they are not.
const TOTAL: usize = 0;

impl Attends {
    fn recall(&self, batch: usize) -> Option<Recall> {
        let (heads, depth) = (self.heads, self.width / self.heads);
        let key_at = if self.is_cross { 0 } else { self.width };
        self.stepwise.map(|steps| Recall { heads, depth, steps, batch, key_at })
    }
    /// By the layer's inputs: it reads the lengths among them.
    fn attention<'a>(&self, gpu: &Gpu, site: Site<'a>, x: &[&'a Tensor]) -> Attention<'a> {
        let during = site.during();
        let first = if self.is_cross { 0 } else { self.width };
        let dropout = Dropout { p: self.p, seed: self.seed, layer: during.number };
        Attention {
            fetch: Fetch::of(gpu),
            step: during.step,
            batch: site.batch,
            heads: self.heads,
            depth: self.width / self.heads,
            queries: self.steps[0],
            keys: self.steps[1],
            key_at: first,
            value_at: first + self.width,
            causal: self.causal,
            lengths: x.last().copied().filter(|_| self.is_ragged),
            dropout: (during.trains && self.p > 0.0).then_some(dropout),
            part: streamed::part(gpu, self.width / self.heads),
        }
    }
    /// The number of the input that keys and values are of.
    fn keys(&self) -> usize {
        usize::from(self.is_cross)
    }
    fn operands<'a>(&self, x: &[&'a Tensor]) -> Operands<'a> {
        Operands { queries: x[0], keys: x[self.keys()] }
    }
    /// The shape of the probabilities.
    fn probabilities(&self, batch: usize) -> Vec<usize> {
        vec![self.heads, self.steps[0], self.steps[1], batch]
    }
    fn keeps(&self, batch: usize) -> bool {
        let bytes = 4 * self.probabilities(batch).iter().product::<usize>();
        self.scores == Scores::Kept || self.scores == Scores::Auto && bytes <= KEPT_BYTES
    }
}

impl Layer for Attends {
    fn extras(&self, site: Site) -> Vec<Extra> {
        let extra = |shape: &[usize], held| Extra { dtype: Dtype::F32, shape: shape.to_vec(), held };
        if let Some(recall) = self.recall(site.batch) {
            return vec![extra(&recall.scores(), Held::Forward)];
        }
        let (all, rows) = (self.probabilities(site.batch), [self.heads, self.steps[0], site.batch]);
        if !self.keeps(site.batch) {
            return vec![extra(&rows, Held::Between), extra(&rows, Held::Backward)];
        }
        let mut extras =
            vec![extra(&all, Held::Between), extra(&rows, Held::Backward), extra(&all, Held::Backward)];
        if self.p > 0.0 {
            extras.extend([extra(&all, Held::Forward), extra(&all, Held::Backward)]);
        }
        extras
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        if let Some(recall) = self.recall(site.batch) {
            let during = site.during();
            return recall.record(rec, during.step, self.operands(x), &during.carried[0], site.extra(0), y);
        }
        let (own, x) = (self.attention(&rec.gpu, site, x), self.operands(x));
        if !self.keeps(site.batch) {
            return own.record_streamed(rec, x, site.extra(TOTAL), y);
        }
        let kept = site.extra(PROBABILITIES);
        let dropped = if self.p > 0.0 { site.extra(DROPPED) } else { kept };
        own.record_kept(rec, x, kept, dropped, y)
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let sink = |number: usize| pass.d_x[number].map(|sink| (sink.to, sink.adds));
        let to = Gradients { queries: sink(0), keys: sink(self.keys()) };
        let (Some(y), false) = (pass.y, to.queries.is_none() && to.keys.is_none()) else { return Ok(()) };
        let (own, x) = (self.attention(&rec.gpu, site, pass.x), self.operands(pass.x));
        let (d_y, delta) = (pass.d_y, site.extra(DELTA));
        if !self.keeps(site.batch) {
            return own.record_streamed_backward(rec, x, site.extra(TOTAL), y, d_y, delta, to);
        }
        let d_scores = site.extra(D_SCORES);
        let dropped = if self.p > 0.0 { site.extra(DROPPED_BACKWARD) } else { d_scores };
        let scratch = Scratch { delta, d_scores, dropped };
        own.record_kept_backward(rec, x, site.extra(PROBABILITIES), y, d_y, scratch, to)
    }

    /// Keys and values of the steps so far, where they come one at a time.
    fn carried(&self, batch: usize) -> Vec<Vec<usize>> {
        self.recall(batch).iter().map(Recall::memory).collect()
    }
    fn looks_ahead(&self) -> bool {
        !self.causal
    }
    fn steps_at_most(&self) -> Option<usize> {
        self.stepwise
    }
    fn needs(&self, feeds_back: bool) -> Needs {
        Needs { x: feeds_back, y: feeds_back }
    }
    /// A channel depends on that of v, and on which values are taken: all channels of q and k of its head.
    fn reach(&self, inputs: &[&[bool]], _masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        let (q, kv) = (inputs[0], inputs[self.keys()]);
        let [k, v] = if self.is_cross { [0, self.width] } else { [self.width, 2 * self.width] };
        let depth = self.width / self.heads;
        let any = |of: &[bool], first: usize, channel: usize| {
            let head = first + channel / depth * depth;
            of[head..head + depth].contains(&true)
        };
        let reached = |c: usize| kv[v + c] || any(q, 0, c) && any(kv, k, c);
        (0..channels).map(reached).collect()
    }
}
