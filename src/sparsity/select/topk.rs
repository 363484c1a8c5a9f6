//! Exact top-k of magnitudes over one or many tensors, by radix select on the device.

use super::topk_small;
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/topk.wgsl`.
    pub struct Args { len: u32, shift: u32, bits: u32, first_block: u32, blocks: u32, tensor: u32, goes_on: u32 }
}
wgsl_struct! {
    /// The number of weights to keep; written by the host before a mask update.
    pub struct Keep { keep: u32 }
}

const BEGIN: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_begin).entry("begin").proven();
const COUNT: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_count).entry("count").proven();
const PICK: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_pick).entry("pick").proven();
const TIES: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_ties).entry("ties").proven();
const SCAN: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_scan).entry("scan").proven();
const MARK: Kernel = Kernel::own(source!("sparsity/select/topk"), twin_mark).entry("mark").proven();

/// Scores from which on a copy into a texture costs less than it saves, where textures are preferred.
const MANY: usize = 1 << 14;
/// To take at the k-th key: all.
pub const TAKE_ALL: u32 = u32::MAX;
pub const BINS: usize = 2048;
/// Elements of one workgroup of `count`, and where scores are read through a texture.
const COUNTED: usize = 256 * 64;
const COUNTED_TEXELS: usize = 256 * 256;
/// Elements of one workgroup of `ties` and `mark`.
const BLOCK: usize = 8192;
/// Lowest bit and number of bits of each round; the sign is not looked at.
pub const ROUNDS: [(u32, u32); 3] = [(20, 11), (9, 11), (0, 9)];
pub const INFINITY: u32 = 0x7f80_0000;
/// A score that takes no part in a selection: no gradient or weight is ever as large.
pub const EXCLUDED: f32 = f32::MAX;

/// What a selection did to one tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub kept: u32,
    pub grown: u32,
    pub dropped: u32,
    /// Scores that were not a number: the selection is to be refused.
    pub nans: u32,
}

impl Count {
    /// Where the number of scores that were not a number stands among a tensor's counts.
    pub const NANS: usize = 3;
}

/// Selects, over all its tensors together, the `keep` largest |scores|, ties to the lower index.
pub struct Selection {
    pub keep: Uniform,
    histogram: Tensor,
    pub chosen: Tensor,
    tie_counts: Tensor,
    pub counts: Tensor,
    tensors: usize,
}

impl Selection {
    /// Makes what a selection over tensors of at most these lengths works with.
    pub fn new(gpu: &Gpu, lens: &[usize]) -> Result<Self> {
        let blocks: usize = lens.iter().map(|len| len.div_ceil(BLOCK)).sum();
        Ok(Self {
            keep: gpu.uniform("keep", &Keep { keep: 0 })?,
            histogram: gpu.tensor("histogram", Dtype::U32, &[BINS])?,
            chosen: gpu.tensor("chosen", Dtype::U32, &[4])?,
            tie_counts: gpu.tensor("tie counts", Dtype::U32, &[blocks])?,
            counts: gpu.tensor("mask counts", Dtype::U32, &[lens.len() * 4])?,
            tensors: lens.len(),
        })
    }

    /// As [`Selection::new`] and [`Selection::record`] at once.
    pub fn over(rec: &mut Recorder, pairs: &[(&Tensor, &Tensor)]) -> Result<Self> {
        let lens: Vec<usize> = pairs.iter().map(|(score, _)| score.len()).collect();
        let selection = Self::new(&rec.gpu, &lens)?;
        selection.record(rec, pairs)?;
        Ok(selection)
    }

    /// Records the selection over pairs of a score and the mask to be written. It may be recorded again, over
    /// other tensors that are no longer.
    ///
    /// Masks are bits: i % 32 of word i / 32. They are read, too, to count what changes. A score of
    /// [`EXCLUDED`] is not selected.
    pub fn record(&self, rec: &mut Recorder, pairs: &[(&Tensor, &Tensor)]) -> Result<()> {
        let prefers_texels = rec.gpu.prefers_texels();
        self.record_by(rec, pairs, false, |len| prefers_texels && len >= MANY)
    }

    /// As [`Selection::record`], where what the selection before chose is among the scores: no score below all of
    /// those is counted.
    pub fn record_on(&self, rec: &mut Recorder, pairs: &[(&Tensor, &Tensor)]) -> Result<()> {
        let prefers_texels = rec.gpu.prefers_texels();
        self.record_by(rec, pairs, true, |len| prefers_texels && len >= MANY)
    }

    /// As [`Selection::record`]; `texels` says of a number of scores whether they are read through a texture.
    fn record_by(
        &self,
        rec: &mut Recorder,
        pairs: &[(&Tensor, &Tensor)],
        goes_on: bool,
        texels: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let Self { keep, histogram, chosen, tie_counts, counts, .. } = self;
        if let &[pair] = pairs
            && pair.0.len() <= topk_small::MOST
        {
            let place = topk_small::Place { keep, chosen, counts };
            return topk_small::record(rec, place, pair, goes_on);
        }
        let blocks: Vec<usize> = pairs.iter().map(|(score, _)| score.len().div_ceil(BLOCK)).collect();
        let args = Args { len: counts.len() as u32, goes_on: goes_on.into(), ..Default::default() };
        let binds = bind! { args: &args, budget: keep, histogram: histogram, chosen: chosen, counts: counts };
        rec.dispatch(&BEGIN, binds, 1, 0)?;
        for (shift, bits) in ROUNDS {
            for (index, (score, _)) in pairs.iter().enumerate() {
                let len = score.len() as u32;
                let args = Args { len, shift, bits, tensor: index as u32, ..Default::default() };
                let (kernel, name) = reading(COUNT, "count_texels", texels(score.len()));
                let binds = &[
                    ("args", (&args).into()),
                    (name, (*score).into()),
                    ("histogram", histogram.into()),
                    ("chosen", chosen.into()),
                    ("counts", counts.into()),
                ];
                let each = if texels(score.len()) { COUNTED_TEXELS } else { COUNTED };
                rec.dispatch(&kernel, binds, score.len().div_ceil(each) as u64, score.len() as u64)?;
            }
            let args = Args { shift, bits, ..Default::default() };
            rec.dispatch(&PICK, bind! { args: &args, histogram: histogram, chosen: chosen }, 1, 0)?;
        }
        let args_of = |index: usize| Args {
            len: pairs[index].0.len() as u32,
            first_block: blocks[..index].iter().sum::<usize>() as u32,
            tensor: index as u32,
            ..Default::default()
        };
        for (index, (score, _)) in pairs.iter().enumerate() {
            let (kernel, name) = reading(TIES, "ties_texels", texels(score.len()));
            let args = args_of(index);
            let binds = &[
                ("args", (&args).into()),
                (name, (*score).into()),
                ("chosen", chosen.into()),
                ("tie_counts", tie_counts.into()),
            ];
            rec.dispatch(&kernel, binds, blocks[index] as u64, score.len() as u64)?;
        }
        record_scan(rec, tie_counts, blocks.iter().sum())?;
        for (index, (score, mask)) in pairs.iter().enumerate() {
            let (kernel, name) = reading(MARK, "mark_texels", texels(score.len()));
            let args = args_of(index);
            let binds = &[
                ("args", (&args).into()),
                ("budget", keep.into()),
                (name, (*score).into()),
                ("chosen", chosen.into()),
                ("tie_counts", tie_counts.into()),
                ("mask", (*mask).into()),
                ("counts", counts.into()),
            ];
            rec.dispatch(&kernel, binds, blocks[index] as u64, score.len() as u64)?;
        }
        Ok(())
    }

    /// Sets how many the next replay keeps.
    pub fn keep(&self, keep: usize) -> Result<()> {
        self.keep.write(&Keep { keep: keep as u32 })
    }

    /// What the last replay did, by tensor. Waits for the device.
    pub fn counts(&self) -> Result<Vec<Count>> {
        Ok(self.counted(&self.counts.read_u32()?))
    }
    /// As [`Selection::counts`], of the words of its tensor.
    pub fn counted(&self, words: &[u32]) -> Vec<Count> {
        let count = |w: &[u32]| Count { kept: w[0], grown: w[1], dropped: w[2], nans: w[3] };
        words.chunks_exact(4).take(self.tensors).map(count).collect()
    }
}

/// A kernel, or its entry point that reads scores through a texture; and what the scores are called there.
fn reading(kernel: Kernel, by_texels: &'static str, texels: bool) -> (Kernel, &'static str) {
    if texels { (kernel.entry(by_texels), "score_texels") } else { (kernel, "score") }
}

/// Turns the first `blocks` counts into the sums of those before each.
fn record_scan(rec: &mut Recorder, counts: &Tensor, blocks: usize) -> Result<()> {
    let args = Args { blocks: blocks as u32, ..Default::default() };
    rec.dispatch(&SCAN, bind! { args: &args, tie_counts: counts }, 1, 0)
}

/// The oracle: indices of the `k` largest |scores|, ties to the lower index, by sorting.
pub fn top_k(scores: &[f32], k: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()).then(a.cmp(&b)));
    let mut kept = vec![false; scores.len()];
    order.iter().take(k).for_each(|&i| kept[i] = true);
    kept
}

pub fn key(score: f32) -> u32 {
    score.to_bits() & 0x7fff_ffff
}

fn twin_begin(t: &Twin) {
    let (args, keep): (Args, Keep) = (t.get("args"), t.get("budget"));
    t.u32_mut("histogram").fill(0);
    t.u32_mut("counts").fill(0);
    let mut chosen = t.u32_mut("chosen");
    let floor = if args.goes_on != 0 { chosen[0] } else { 0 };
    chosen.copy_from_slice(&[0, keep.keep, floor, 31]);
}

fn twin_count(t: &Twin) {
    let args: Args = t.get("args");
    let [prefix, _, floor, level] = <[u32; 4]>::try_from(&t.u32("chosen")[..]).expect("four words");
    let (mut histogram, mut counts) = (t.u32_mut("histogram"), t.u32_mut("counts"));
    let above = args.shift + args.bits;
    for k in t.f32("score").iter().map(|&score| key(score)) {
        if level == above && k >> above == prefix && k >= floor && k != key(EXCLUDED) {
            histogram[(k >> args.shift & ((1 << args.bits) - 1)) as usize] += 1;
        }
        counts[args.tensor as usize * 4 + 3] += u32::from(above == 31 && k > INFINITY);
    }
}

fn twin_pick(t: &Twin) {
    let args: Args = t.get("args");
    let (mut histogram, mut chosen) = (t.u32_mut("histogram"), t.u32_mut("chosen"));
    let mut above = 0;
    let wanted = chosen[1];
    let due = chosen[3] == args.shift + args.bits;
    for bin in (0..BINS).rev().filter(|_| due) {
        if above < wanted && wanted <= above + histogram[bin] {
            let key = chosen[0] << args.bits | bin as u32;
            let all = wanted - above == histogram[bin];
            let (key, take, level) =
                if all { (key << args.shift, TAKE_ALL, 0) } else { (key, wanted - above, args.shift) };
            (chosen[0], chosen[1], chosen[3]) = (key, take, level);
            break;
        }
        above += histogram[bin];
    }
    histogram.fill(0);
}

fn twin_ties(t: &Twin) {
    let args: Args = t.get("args");
    let (threshold, all) = (t.u32("chosen")[0], t.u32("chosen")[1] == TAKE_ALL);
    let mut ties = t.u32_mut("tie_counts");
    for (block, scores) in t.f32("score").chunks(BLOCK).enumerate() {
        let equal = scores.iter().filter(|&&score| !all && key(score) == threshold).count();
        ties[args.first_block as usize + block] = equal as u32;
    }
}

fn twin_scan(t: &Twin) {
    let args: Args = t.get("args");
    let mut before = 0;
    for n in t.u32_mut("tie_counts").iter_mut().take(args.blocks as usize) {
        before += std::mem::replace(n, before);
    }
}

fn twin_mark(t: &Twin) {
    let (args, keep): (Args, Keep) = (t.get("args"), t.get("budget"));
    let (chosen, score) = (t.u32("chosen"), t.f32("score"));
    let (mut mask, mut counts) = (t.u32_mut("mask"), t.u32_mut("counts"));
    let counts = &mut counts[args.tensor as usize * 4..][..4];
    // Blocks come in order of index: the first block's number of ties before it is the tensor's own.
    let mut rank = t.u32("tie_counts")[args.first_block as usize];
    for (word, scores) in mask.iter_mut().zip(score.chunks(32)) {
        let mut bits = 0u32;
        for (j, k) in scores.iter().map(|&score| key(score)).enumerate() {
            let tie = k == chosen[0];
            let above = k > chosen[0] && k != key(EXCLUDED);
            if keep.keep > 0 && (above || (tie && rank < chosen[1])) {
                bits |= 1 << j;
            }
            rank += u32::from(tie && keep.keep > 0);
        }
        counts[0] += bits.count_ones();
        counts[1] += (bits & !*word).count_ones();
        counts[2] += (*word & !bits).count_ones();
        *word = bits;
    }
}

/// Every share of the elements, over two tensors, with many ties among the scores.
pub fn checks() -> Vec<Check> {
    let shares = [("none", 0.0), ("one", 1e-9), ("half", 0.5), ("most", 0.97), ("all", 1.0)];
    let ways = [("", false), (", texels", true)];
    let one = |((name, share), (suffix, texels)): ((&str, f64), (&str, bool))| {
        Check::new(format!("sparsity/select/topk ({name}{suffix})"), move |t, n| {
            let sizes = [n * 40, n];
            let mut scores = Vec::new();
            let mut masks = Vec::new();
            for size in sizes {
                let coarse = |v: &f32| if *v > 0.9 { EXCLUDED } else { (v * 9.0).round() / 9.0 };
                let values: Vec<f32> = t.values(size).iter().map(coarse).collect();
                scores.push(t.gpu.upload_f32("score", &[size], &values)?);
                masks.push(t.bits("mask", size.div_ceil(32))?);
                t.compare(&masks[masks.len() - 1], crate::gpu::check::Tolerance::EXACT);
            }
            let pairs: Vec<_> = scores.iter().zip(&masks).collect();
            let selection = Selection::new(&t.gpu, &sizes)?;
            selection.record_by(&mut t.rec, &pairs, false, |_| texels)?;
            selection.keep((share * sizes.iter().sum::<usize>() as f64).ceil() as usize)?;
            t.compare(&selection.counts, crate::gpu::check::Tolerance::EXACT);
            Ok(())
        })
    };
    shares.into_iter().flat_map(|share| ways.map(|way| one((share, way)))).collect()
}

/// Runs one selection by itself.
pub fn select(gpu: &Gpu, scores: &[&[f32]], keep: usize) -> Result<(Vec<Vec<u32>>, Vec<Count>)> {
    let upload = |s: &&[f32]| gpu.upload_f32("score", &[s.len()], s);
    let scores = scores.iter().map(upload).collect::<Result<Vec<_>>>()?;
    let mask =
        |s: &Tensor| gpu.upload_u32("mask", &[s.len().div_ceil(32)], &crate::param::full_mask(s.len()));
    let masks = scores.iter().map(mask).collect::<Result<Vec<_>>>()?;
    let pairs: Vec<_> = scores.iter().zip(&masks).collect();
    let mut rec = Recorder::new(gpu);
    let selection = Selection::over(&mut rec, &pairs)?;
    selection.keep(keep)?;
    rec.finish()?.replay()?;
    Ok((masks.iter().map(Tensor::read_u32).collect::<Result<_>>()?, selection.counts()?))
}
