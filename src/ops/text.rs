//! Batches of tokens, cut on the device from a stream that lives there.

use super::cross_entropy::IGNORED;
use super::{Step, groups};
use crate::error::{Error, Kind, Result};
use crate::gpu::check::{Check, Trial};
use crate::gpu::{Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/text.wgsl`.
    pub struct Args { batch: u32, reads: u32, skips: u32, every: u32, bits: u32, padding: u32 }
}
wgsl_struct! {
    /// Where the first row begins.
    pub struct Start { at: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/text"), twin).proven();
const WG: usize = 64;

/// How rows lie in a stream: see `data::Tokens`.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub every: usize,
    pub reads: usize,
    pub skips: usize,
    pub padding: Option<u32>,
}

/// A stream on the device.
pub struct Text {
    pub cut: Cut,
    /// Bits of a token.
    bits: u32,
    stream: Tensor,
    /// `(rows,)`: the order of this epoch, rewritten by the host between epochs.
    pub order: Tensor,
    /// Rewritten with it.
    pub start: Uniform,
}

impl Text {
    /// # Errors
    /// `Kind::Memory` where the tokens exceed one binding or the device has no room.
    pub fn new(gpu: &Gpu, tokens: &[u32], vocabulary: usize, cut: Cut, order: &[u32]) -> Result<Self> {
        let bits = match vocabulary {
            0..=0x100 => 8,
            0x101..=0x1_0000 => 16,
            _ => 32,
        };
        let words = pack(tokens, bits);
        let (bytes, limit) = (4 * words.len() as u64, gpu.limits().binding_bytes);
        if bytes > limit {
            return Err(Error::new(Kind::Memory, format!("{} tokens exceed one binding", tokens.len()))
                .at(format!("{bytes} bytes; a binding holds {limit}"))
                .hint("a shorter text"));
        }
        Ok(Self {
            cut,
            bits,
            stream: gpu.upload_u32("text", &[words.len()], &words)?,
            order: gpu.upload_u32("order", &[order.len()], order)?,
            start: gpu.uniform("start", &Start::default())?,
        })
    }
    pub fn bytes(&self) -> u64 {
        self.stream.bytes() + self.order.bytes()
    }
    /// Fills `x` (1, reads * batch) with the rows `order[step.first ..]`, and `labels` (reads - skips, batch) with what
    /// follows each token: [`IGNORED`] where nobody is asked. Columns without a row become 0.
    pub fn record(&self, rec: &mut Recorder, step: &Uniform, x: &Tensor, labels: &Tensor) -> Result<()> {
        let Cut { every, reads, skips, padding } = self.cut;
        let args = Args {
            batch: (x.len() / reads) as u32,
            reads: reads as u32,
            skips: skips as u32,
            every: every as u32,
            bits: self.bits,
            padding: padding.unwrap_or(IGNORED),
        };
        let binds = bind! { args: &args, step: step, stream: &self.stream, order: &self.order, start: &self.start,
        x: x, labels: labels };
        rec.dispatch(&MAIN, binds, groups(x.len(), WG), 0)?;
        rec.moves(12 * x.len() as u64);
        Ok(())
    }
}

/// Tokens of so many bits each, packed into words from the low end.
fn pack(tokens: &[u32], bits: u32) -> Vec<u32> {
    let word =
        |chunk: &[u32]| chunk.iter().rev().fold(0, |word: u64, &token| word << bits | u64::from(token));
    tokens.chunks(32 / bits as usize).map(|chunk| word(chunk) as u32).collect()
}

fn twin(t: &Twin) {
    let (args, step, start): (Args, Step, Start) = (t.get("args"), t.get("step"), t.get("start"));
    let (stream, order) = (t.u32("stream"), t.u32("order"));
    let (mut x, mut labels) = (t.u32_mut("x"), t.u32_mut("labels"));
    let token = |i: usize| {
        let each = (32 / args.bits) as usize;
        let word = u64::from(stream[i / each]) >> (i % each * args.bits as usize);
        (word & ((1 << args.bits) - 1)) as u32
    };
    let [batch, reads, skips, every] = [args.batch, args.reads, args.skips, args.every].map(|n| n as usize);
    for (at, col) in (0..reads).flat_map(|at| (0..batch).map(move |col| (at, col))) {
        let (mut here, mut next) = (0, IGNORED);
        if col < step.live as usize {
            let from = start.at as usize + order[step.first as usize + col] as usize * every + at;
            (here, next) = (token(from), token(from + 1));
        }
        x[at * batch + col] = here;
        if at >= skips {
            labels[(at - skips) * batch + col] = if next == args.padding { IGNORED } else { next };
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/text", |t, n| [200, 60_000, 1 << 20].into_iter().try_for_each(|of| check(t, n, of)))]
}

fn check(t: &mut Trial, reads: usize, vocabulary: usize) -> Result<()> {
    let (rows, skips, batch) = (13, reads / 3, 8);
    for every in [reads.max(1), reads + 1] {
        let len = 3 + (rows - 1) * every + reads + 1;
        let of = |value: f32| ((value + 1.0) / 2.0 * vocabulary as f32) as u32;
        let tokens: Vec<u32> = t.values(len).into_iter().map(of).collect();
        let cut = Cut { every, reads, skips, padding: tokens.get(reads).copied() };
        let order: Vec<u32> = (0..rows as u32).map(|row| row * 5 % rows as u32).collect();
        let text = Text::new(&t.gpu, &tokens, vocabulary, cut, &order)?;
        text.start.write(&Start { at: 2 })?;
        let step = t.gpu.uniform("step", &Step { first: 7, live: 6, ..Default::default() })?;
        let (x, labels) =
            (t.output_u32("x", &[1, reads * batch])?, t.output_u32("labels", &[(reads - skips) * batch])?);
        if reads > 0 {
            text.record(&mut t.rec, &step, &x, &labels)?;
        }
    }
    Ok(())
}
