//! A part of a data set on the device, and the order in which its samples come.

use std::cell::RefCell;

use super::augment;
use crate::data::{self, Dataset, Order, Samples, Split, Tokens};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Recorder, Tensor, Uniform};
use crate::nn::Extent;
use crate::ops::Step;
use crate::ops::batch::{self, Part, Set, pack_bytes};
use crate::ops::mixup::Mixup;
use crate::ops::text::{Cut, Start, Text};
use crate::random::{self, Stream};
use crate::recipe;

/// Samples on the device. Bytes stay bytes: a pixel becomes a float when its batch is assembled.
pub struct Feed {
    pub store: Store,
    /// Those of an epoch.
    pub samples: usize,
    batch: usize,
    rows: Rows,
}

/// The samples themselves.
pub enum Store {
    Numbers(Box<Set>),
    Tokens(Box<Text>),
}

/// What the order of an epoch goes by.
enum Rows {
    /// Any order.
    Any,
    /// Any order, and windows that begin up to so many tokens later.
    Windows(usize),
    /// So many streams, read in step.
    Streams(usize),
    /// Any order; labels that count differ from row to row, and are those of the order now.
    Counted { all: Vec<u32>, ordered: RefCell<Vec<u32>> },
}

/// The samples of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one in the order.
    pub first: usize,
    pub live: usize,
    /// Labels that count.
    pub answers: usize,
}

impl Span {
    /// What the device is told of it.
    pub fn step(&self) -> Step {
        let [first, live, answers] = [self.first, self.live, self.answers].map(|n| n as u32);
        Step { first, live, answers, together: answers, ..Step::default() }
    }
}

impl Store {
    /// `(samples,)`: the order of this epoch.
    pub fn order(&self) -> &Tensor {
        match self {
            Store::Numbers(set) => &set.order,
            Store::Tokens(text) => &text.order,
        }
    }
    /// How samples are mixed with each other, if they are.
    pub fn mixup(&self) -> Option<&Mixup> {
        match self {
            Store::Numbers(set) => set.mixup.as_ref(),
            Store::Tokens(_) => None,
        }
    }
    /// Whether batches can be written as bf16 alone.
    pub fn writes_narrow(&self) -> bool {
        matches!(self, Store::Numbers(set) if set.writes_narrow())
    }
    pub fn bytes(&self) -> u64 {
        match self {
            Store::Numbers(set) => set.bytes(),
            Store::Tokens(text) => text.bytes(),
        }
    }
    /// Records the batch of the step: what the model reads, and the labels.
    pub fn record(&self, rec: &mut Recorder, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
        match self {
            Store::Numbers(set) => batch::record(rec, set, step, x, label),
            Store::Tokens(text) => text.record(rec, step, x, label),
        }
    }
    /// As [`Store::record`], of samples as they are, also where they are varied.
    pub fn record_plain(&self, rec: &mut Recorder, step: &Uniform, x: &Tensor, label: &Tensor) -> Result<()> {
        match self {
            Store::Numbers(set) => batch::record_plain(rec, set, step, x, label),
            Store::Tokens(text) => text.record(rec, step, x, label),
        }
    }
}

impl Feed {
    /// Uploads a part of a data set to train on, in as many bindings as it takes.
    pub fn new(gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Self> {
        match &split.images {
            Samples::Tokens(tokens) => Self::of_tokens(gpu, tokens, batch, true),
            _ => Self::of_numbers(gpu, data, split, batch),
        }
    }
    /// As [`Feed::new`], to be judged on: windows of a text stay where they are.
    pub fn to_judge(gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Self> {
        match &split.images {
            Samples::Tokens(tokens) => Self::of_tokens(gpu, tokens, batch, false),
            _ => Self::of_numbers(gpu, data, split, batch),
        }
    }

    /// Has samples varied from now on as a recipe asks, in batches of so many columns.
    ///
    /// # Errors
    /// `Kind::Usage` where samples are no pictures, or smaller than what is cut off.
    pub fn vary(&mut self, gpu: &Gpu, asked: &recipe::Augment, sample: &Extent, cols: usize) -> Result<()> {
        let floats = matches!(&self.store, Store::Numbers(set) if set.is_floats());
        let augment = augment::of(gpu, asked, sample, floats, cols)?;
        if let Store::Numbers(set) = &mut self.store {
            set.augment = augment;
            let alpha = Some(asked.mixup).filter(|alpha| *alpha > 0.0);
            set.mixup = alpha.map(|alpha| Mixup::new(gpu, alpha, set.features, cols)).transpose()?;
        }
        Ok(())
    }

    fn of_numbers(gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Self> {
        let features = data.features();
        let bytes_per_sample =
            if matches!(split.images, Samples::Bytes(_)) { features } else { features * 4 };
        let fit = (gpu.limits().binding_bytes as usize / bytes_per_sample.max(1)).max(1);
        let mut parts = Vec::new();
        for begin in (0..split.len()).step_by(fit) {
            let end = (begin + fit).min(split.len());
            let range = begin * features..end * features;
            let samples = match &split.images {
                Samples::Bytes(bytes) => {
                    let words = pack_bytes(&bytes[range]);
                    gpu.upload_u32("samples", &[words.len()], &words)?
                }
                Samples::Floats(values) => gpu.upload_f32("samples", &[range.len()], &values[range])?,
                Samples::Tokens(_) => return Err(Error::internal("tokens are no numbers")),
            };
            parts.push(Part { begin, end, samples });
        }
        let labels = pack_bytes(&split.labels);
        let order: Vec<u32> = (0..split.len() as u32).collect();
        let set = Set {
            parts,
            labels: gpu.upload_u32("labels", &[labels.len()], &labels)?,
            order: gpu.upload_u32("order", &[order.len()], &order)?,
            features,
            normal: Set::normal(gpu, &data.scale, &data.shift)?,
            augment: None,
            mixup: None,
        };
        Ok(Self { store: Store::Numbers(Box::new(set)), samples: split.len(), batch, rows: Rows::Any })
    }

    fn of_tokens(gpu: &Gpu, tokens: &Tokens, batch: usize, trains: bool) -> Result<Self> {
        let &Tokens { ref stream, vocabulary, every, reads, skips, padding, order, .. } = tokens;
        let samples = samples(tokens, batch, trains);
        let moves = trains && tokens.is_text();
        let rows = match (order, padding) {
            (Order::Streams, _) => Rows::Streams(batch.min(tokens.len())),
            (Order::Shuffled, _) if moves && tokens.len() > 1 => Rows::Windows(every),
            (Order::Shuffled, Some(_)) => {
                let all = tokens.asked();
                Rows::Counted { ordered: RefCell::new(all.clone()), all }
            }
            (Order::Shuffled, None) => Rows::Any,
        };
        let batch = if let Rows::Streams(streams) = rows { streams } else { batch };
        let order = in_place(&rows, samples);
        let text = Text::new(gpu, stream, vocabulary, Cut { every, reads, skips, padding }, &order)?;
        Ok(Self { store: Store::Tokens(Box::new(text)), samples, batch, rows })
    }

    /// Batches in one pass, the last one perhaps smaller.
    pub fn batches(&self) -> usize {
        self.samples.div_ceil(self.batch)
    }
    /// The samples of a batch, in the order that they have now.
    pub fn span(&self, batch: usize) -> Span {
        let first = batch * self.batch;
        let live = self.batch.min(self.samples - first);
        let answers = match (&self.store, &self.rows) {
            (_, Rows::Counted { ordered, .. }) => {
                ordered.borrow()[first..first + live].iter().sum::<u32>() as usize
            }
            (Store::Tokens(text), _) => live * (text.cut.reads - text.cut.skips),
            (Store::Numbers(_), _) => live,
        };
        Span { first, live, answers }
    }
    /// Puts the samples into the order of an epoch, and chooses how they are varied: functions of (seed, epoch) alone.
    pub fn shuffle(&self, seed: u64, epoch: u64) -> Result<()> {
        let order = self.order(seed, epoch)?;
        match &self.store {
            Store::Numbers(set) => {
                set.augment.as_ref().map_or(Ok(()), |augment| augment.enter(seed, number(epoch)?))?;
            }
            Store::Tokens(text) => text.start.write(&Start { at: self.start(seed, number(epoch)?) })?,
        }
        if let Rows::Counted { all, ordered } = &self.rows {
            *ordered.borrow_mut() = order.iter().map(|&row| all[row as usize]).collect();
        }
        self.store.order().write(&order)
    }
    /// The order of an epoch.
    pub fn order(&self, seed: u64, epoch: u64) -> Result<Vec<u32>> {
        Ok(match self.rows {
            Rows::Streams(_) => in_place(&self.rows, self.samples),
            _ => data::order(seed, number(epoch)?, self.samples),
        })
    }
    /// Tokens before the first window of an epoch.
    fn start(&self, seed: u64, epoch: u32) -> u32 {
        let Rows::Windows(every) = self.rows else { return 0 };
        (random::uniform(seed, Stream::Window, epoch, 0, 0) * every as f32) as u32
    }
    /// Whether each step goes on where the one before has ended.
    pub fn is_streamed(&self) -> bool {
        matches!(self.rows, Rows::Streams(_))
    }
}

/// Rows of an epoch; all there are where they are judged.
fn samples(tokens: &Tokens, batch: usize, trains: bool) -> usize {
    let all = tokens.len();
    match tokens.order {
        // Streams of one length, so that none of them begins anew before the others.
        Order::Streams if trains => all - all % batch.clamp(1, all.max(1)),
        // Those that begin later end later, too.
        Order::Shuffled if trains && tokens.is_text() && all > 1 => all - 1,
        _ => all,
    }
}

/// Steps of an epoch of a part that is trained on.
pub(super) fn batches(split: &Split, batch: usize) -> usize {
    match split.tokens() {
        Some(tokens) => samples(tokens, batch, true).div_ceil(batch.min(tokens.len())),
        None => split.len().div_ceil(batch),
    }
}

/// The order of an evaluation.
fn in_place(rows: &Rows, samples: usize) -> Vec<u32> {
    match *rows {
        Rows::Streams(streams) => {
            // The first ones are longer by a window where they do not come out even.
            let (each, longer) = (samples / streams, samples % streams);
            let begin = |stream: usize| stream * each + stream.min(longer);
            (0..samples).map(|at| (begin(at % streams) + at / streams) as u32).collect()
        }
        _ => (0..samples as u32).collect(),
    }
}

fn number(epoch: u64) -> Result<u32> {
    u32::try_from(epoch).map_err(|_| Error::usage("a run has at most 2^32 epochs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each window once; each stream reads its windows one after another, and those that are longer are the first.
    #[test]
    fn streams_cover_what_does_not_come_out_even() {
        let order = in_place(&Rows::Streams(4), 10);
        assert_eq!(order, [0, 3, 6, 8, 1, 4, 7, 9, 2, 5]);
        assert_eq!(in_place(&Rows::Streams(4), 8), [0, 2, 4, 6, 1, 3, 5, 7]);
    }
}
