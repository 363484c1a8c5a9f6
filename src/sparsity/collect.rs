//! Gathers what selections have marked into one list, in order.

use super::topk::{EXCLUDED, record_scan};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/collect.wgsl`.
    pub struct Args { len: u32, first_block: u32, first_place: u32, tally: u32 }
}

const CLEAR: Kernel = Kernel::own(source!("sparsity/collect"), twin_clear).entry("clear").proven();
const SURVEY: Kernel = Kernel::own(source!("sparsity/collect"), twin_survey).entry("survey").proven();
const MOVE_LIST: Kernel =
    Kernel::own(source!("sparsity/collect"), twin_move_list).entry("move_list").proven();
const MOVE_TILE: Kernel =
    Kernel::own(source!("sparsity/collect"), twin_move_tile).entry("move_tile").proven();
const NOTE: Kernel = Kernel::own(source!("sparsity/collect"), twin_note).entry("note").proven();

/// Elements of one workgroup of `survey` and the moves.
const BLOCK: usize = 8192;
const WG: usize = 256;

/// Scores, and the places that they belong to. Places without an element are excluded.
#[derive(Clone)]
pub struct List {
    pub score: Tensor,
    pub place: Tensor,
}

impl List {
    /// Room for `len` elements.
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        Ok(Self {
            score: gpu.tensor("list scores", Dtype::F32, &[len])?,
            place: gpu.tensor("list places", Dtype::U32, &[len])?,
        })
    }
    /// Records that the list is empty.
    pub fn record_clear(&self, rec: &mut Recorder) -> Result<()> {
        let len = self.score.len();
        let args = Args { len: len as u32, ..Default::default() };
        rec.dispatch(&CLEAR, bind! { args: &args, list_score: &self.score }, len.div_ceil(WG) as u64, 0)
    }
}

/// Counts that a collection from a list and tiles of these lengths works with.
pub fn counts(gpu: &Gpu, list: usize, tile: usize) -> Result<Tensor> {
    gpu.tensor("marked in blocks", Dtype::U32, &[list.div_ceil(BLOCK) + tile.div_ceil(BLOCK)])
}

/// Records that `to` becomes what is marked in `from` and then in `tile`, whose first element has the place
/// `first_place`: at most as many as `to` has room for.
pub fn record(
    rec: &mut Recorder,
    counts: &Tensor,
    (from, from_mask): (&List, &Tensor),
    (tile, tile_mask, first_place): (&Tensor, &Tensor, usize),
    to: &List,
) -> Result<()> {
    let (listed, tiled) = (from.score.len().div_ceil(BLOCK), tile.len().div_ceil(BLOCK));
    let list_args = Args { len: from.score.len() as u32, ..Default::default() };
    let tile_args = Args {
        len: tile.len() as u32,
        first_block: listed as u32,
        first_place: first_place as u32,
        ..Default::default()
    };
    to.record_clear(rec)?;
    rec.dispatch(&SURVEY, bind! { args: &list_args, mask: from_mask, counts: counts }, listed as u64, 0)?;
    rec.dispatch(&SURVEY, bind! { args: &tile_args, mask: tile_mask, counts: counts }, tiled as u64, 0)?;
    record_scan(rec, counts, listed + tiled)?;
    let binds = bind! { args: &list_args, mask: from_mask, counts: counts, score: &from.score, place: &from.place,
    list_score: &to.score, list_place: &to.place };
    rec.dispatch(&MOVE_LIST, binds, listed as u64, 0)?;
    let binds = bind! { args: &tile_args, mask: tile_mask, counts: counts, score: tile,
    list_score: &to.score, list_place: &to.place };
    rec.dispatch(&MOVE_TILE, binds, tiled as u64, 0)?;
    // Of the tile only what is marked is read, at most as many as the list has room for.
    rec.moves(tile_mask.bytes() + 4 * tiled as u64 + 12 * to.score.len().min(tile.len()) as u64);
    Ok(())
}

/// Records `noted += tallies[tally]`.
pub fn record_note(rec: &mut Recorder, tallies: &Tensor, tally: usize, noted: &Tensor) -> Result<()> {
    let args = Args { tally: tally as u32, ..Default::default() };
    rec.dispatch(&NOTE, bind! { args: &args, tallies: tallies, noted: noted }, 1, 0)
}

fn twin_clear(t: &Twin) {
    t.f32_mut("list_score").fill(EXCLUDED);
}

fn twin_survey(t: &Twin) {
    let args: Args = t.get("args");
    let (mask, mut counts) = (t.u32("mask"), t.u32_mut("counts"));
    let words = &mask[..(args.len as usize).div_ceil(32)];
    for (block, words) in words.chunks(BLOCK / 32).enumerate() {
        counts[args.first_block as usize + block] = words.iter().map(|word| word.count_ones()).sum();
    }
}

/// Calls `move_one(from, to)` for every marked element.
fn each_marked(t: &Twin, args: Args, mut move_one: impl FnMut(usize, usize)) {
    let (mask, counts) = (t.u32("mask"), t.u32("counts"));
    let Some(&first) = counts.get(args.first_block as usize) else { return };
    let marked = (0..args.len as usize).filter(|i| mask[i / 32] >> (i % 32) & 1 == 1);
    marked.zip(first as usize..).for_each(|(from, to)| move_one(from, to));
}

fn twin_move_list(t: &Twin) {
    let (score, place) = (t.f32("score"), t.u32("place"));
    let (mut list_score, mut list_place) = (t.f32_mut("list_score"), t.u32_mut("list_place"));
    each_marked(t, t.get("args"), |from, to| {
        list_score[to] = score[from];
        list_place[to] = place[from];
    });
}

fn twin_move_tile(t: &Twin) {
    let args: Args = t.get("args");
    let score = t.f32("score");
    let (mut list_score, mut list_place) = (t.f32_mut("list_score"), t.u32_mut("list_place"));
    each_marked(t, args, |from, to| {
        list_score[to] = score[from];
        list_place[to] = args.first_place + from as u32;
    });
}

fn twin_note(t: &Twin) {
    let args: Args = t.get("args");
    t.u32_mut("noted")[0] += t.u32("tallies")[args.tally as usize];
}

pub fn checks() -> Vec<Check> {
    let collect = Check::new("sparsity/collect", |t, n| {
        let gpu = t.gpu.clone();
        let (list, tile) = (n * 41, n * 90);
        // Bits past the end are never set by a selection.
        let marks = |t: &mut crate::gpu::check::Trial, len: usize| {
            let mut bits = vec![0u32; len.div_ceil(32)];
            let chosen = t.values(len).into_iter().enumerate().filter(|(_, v)| *v > 0.4);
            chosen.for_each(|(i, _)| bits[i / 32] |= 1 << (i % 32));
            gpu.upload_u32("mask", &[bits.len()], &bits)
        };
        let from = List { score: t.input("score", &[list])?, place: t.indices("place", &[list], 1 << 30)? };
        let (from_mask, tile_mask) = (marks(t, list)?, marks(t, tile)?);
        let tile = t.input("tile", &[tile])?;
        let room = list + tile.len();
        let to = List {
            score: t.output("list scores", &[room], Tolerance::EXACT)?,
            place: t.output_u32("list places", &[room])?,
        };
        let counts = counts(&gpu, list, tile.len())?;
        t.compare(&counts, Tolerance::EXACT);
        record(&mut t.rec, &counts, (&from, &from_mask), (&tile, &tile_mask, 1000), &to)
    });
    let note = Check::new("sparsity/collect:note", |t, n| {
        let tallies = t.indices("tallies", &[n + 1], 99)?;
        let noted = t.output_u32("noted", &[1])?;
        record_note(&mut t.rec, &tallies, n, &noted)?;
        record_note(&mut t.rec, &tallies, 0, &noted)
    });
    vec![collect, note]
}
