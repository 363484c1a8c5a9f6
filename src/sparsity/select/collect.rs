//! Gathers what selections have marked into one list, in order.

use super::topk::{EXCLUDED, Keep};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin, Uniform};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/select/collect.wgsl`.
    pub struct Args {
        len: u32, tile_len: u32, first_block: u32, first_index: u32, to: u32, end: u32, asks: u32, tally: u32,
    }
}

const CLEAR: Kernel = Kernel::own(source!("sparsity/select/collect"), twin_clear).entry("clear").proven();
const SURVEY: Kernel = Kernel::own(source!("sparsity/select/collect"), twin_survey).entry("survey").proven();
const MOVE_LIST: Kernel =
    Kernel::own(source!("sparsity/select/collect"), twin_move_list).entry("move_list").proven();
const MOVE_TILE: Kernel =
    Kernel::own(source!("sparsity/select/collect"), twin_move_tile).entry("move_tile").proven();
const NOTE: Kernel = Kernel::own(source!("sparsity/select/collect"), twin_note).entry("note").proven();

/// Elements of one invocation of `survey` and the moves.
const BLOCK: usize = 2048;
const WG: usize = 256;
/// Invocations of a workgroup of the moves.
const MOVERS: usize = 64;

/// Scores, and the indices that they belong to. Indices without an element are excluded.
#[derive(Clone)]
pub struct List {
    pub score: Tensor,
    pub index: Tensor,
}

impl List {
    /// Room for `len` elements.
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        Ok(Self {
            score: gpu.tensor("list scores", Dtype::F32, &[len])?,
            index: gpu.tensor("list indices", Dtype::U32, &[len])?,
        })
    }
    /// Records that the list is empty.
    pub fn record_clear(&self, rec: &mut Recorder) -> Result<()> {
        let len = self.score.len();
        let args = Args { len: len as u32, ..Default::default() };
        rec.dispatch(&CLEAR, bind! { args: &args, list_score: &self.score }, len.div_ceil(WG) as u64, 0)
    }
}

/// What a collection works with.
pub struct Work<'a> {
    /// See [`counts`].
    pub counts: &'a Tensor,
    /// Scores that were not numbers, and times that a collection found more than it had room for, or fewer than it was
    /// asked for.
    pub noted: &'a Tensor,
    /// How many are asked for.
    pub keep: &'a Uniform,
    /// What has to be reached to be marked, where that is known.
    pub floor: &'a Tensor,
}

/// A tile, what is marked of it, and the index of its first element.
pub type Tile<'a> = (&'a Tensor, &'a Tensor, usize);

/// Counts that a collection from a list and tiles of these lengths works with.
pub fn counts(gpu: &Gpu, list: usize, tile: usize) -> Result<Tensor> {
    gpu.tensor("marked before blocks", Dtype::U32, &[list.div_ceil(BLOCK) + tile.div_ceil(BLOCK)])
}

/// Records that `to` becomes what is marked in a list and then in a tile: at most as many as `to` has room for.
pub fn record(
    rec: &mut Recorder,
    work: &Work,
    from: Option<(&List, &Tensor)>,
    tile: Option<Tile>,
    to: &List,
) -> Result<()> {
    to.record_clear(rec)?;
    let args = Args { end: to.score.len() as u32, ..Default::default() };
    record_moves(rec, work, from, tile, (to, args))
}

/// Records that what is marked of a tile comes into `to`, from its element `first` on, where it has been empty. `asks` says
/// that it has to be as many as are asked for.
pub fn record_into(
    rec: &mut Recorder,
    work: &Work,
    tile: Tile,
    (to, first): (&List, usize),
    asks: bool,
) -> Result<()> {
    let (end, to_args) = (to.score.len() as u32, first as u32);
    let args = Args { to: to_args, end, asks: asks.into(), ..Default::default() };
    record_moves(rec, work, None, Some(tile), (to, args))
}

fn record_moves(
    rec: &mut Recorder,
    Work { counts, noted, keep, floor }: &Work,
    from: Option<(&List, &Tensor)>,
    tile: Option<Tile>,
    (to, args): (&List, Args),
) -> Result<()> {
    let (len, tile_len) = (from.map_or(0, |one| one.0.score.len()), tile.map_or(0, |one| one.0.len()));
    let args = Args {
        len: len as u32,
        tile_len: tile_len as u32,
        first_index: tile.map_or(0, |one| one.2) as u32,
        ..args
    };
    // Of what is not there no word is read.
    let (Some(mask), Some(tile_mask)) =
        (from.map(|one| one.1).or(tile.map(|one| one.1)), tile.map(|one| one.1).or(from.map(|one| one.1)))
    else {
        return Ok(());
    };
    let binds = bind! { args: &args, budget: *keep, mask: mask, tile_mask: tile_mask, counts: *counts,
    floor_key: *floor, noted: *noted };
    rec.dispatch(&SURVEY, binds, 1, 0)?;
    let blocks = len.div_ceil(BLOCK) + tile_len.div_ceil(BLOCK);
    rec.moves(((len + tile_len).div_ceil(8) + 8 * blocks) as u64);
    if let Some((from, mask)) = from {
        let binds = bind! { args: &args, mask: mask, counts: *counts, score: &from.score, index: &from.index,
        list_score: &to.score, list_index: &to.index };
        rec.dispatch(&MOVE_LIST, binds, groups(len.div_ceil(BLOCK), MOVERS), 0)?;
    }
    if let Some((score, mask, _)) = tile {
        let args = Args { first_block: len.div_ceil(BLOCK) as u32, ..args };
        let binds = bind! { args: &args, tile_mask: mask, counts: *counts, score: score,
        list_score: &to.score, list_index: &to.index };
        rec.dispatch(&MOVE_TILE, binds, groups(tile_len.div_ceil(BLOCK), MOVERS), 0)?;
        // Of the tile only what is marked is read, at most as many as the list has room for.
        let moved = to.score.len().min(tile_len);
        rec.moves(mask.bytes() + (4 * tile_len.div_ceil(BLOCK) + 12 * moved) as u64);
    }
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
    let (args, keep): (Args, Keep) = (t.get("args"), t.get("budget"));
    let (mask, tile_mask) = (t.u32("mask"), t.u32("tile_mask"));
    let words = |len: u32| (len as usize).div_ceil(32);
    let list = mask[..words(args.len)].chunks(BLOCK / 32);
    let tile = tile_mask[..words(args.tile_len)].chunks(BLOCK / 32);
    let mut total = 0;
    for (count, words) in t.u32_mut("counts").iter_mut().zip(list.chain(tile)) {
        *count = total;
        total += words.iter().map(|word| word.count_ones()).sum::<u32>();
    }
    let lacks = args.asks != 0 && total < keep.keep && t.u32("floor_key")[0] != 0;
    t.u32_mut("noted")[1] += u32::from(lacks || total > args.end - args.to);
}

/// Calls `move_one(from, to)` for every marked element that finds room.
fn each_marked(t: &Twin, (mask, len): (&str, u32), mut move_one: impl FnMut(usize, usize)) {
    let args: Args = t.get("args");
    let (mask, counts) = (t.u32(mask), t.u32("counts"));
    let Some(&first) = counts.get(args.first_block as usize) else { return };
    let marked = (0..len as usize).filter(|i| mask[i / 32] >> (i % 32) & 1 == 1);
    let room = (args.to + first) as usize..args.end as usize;
    marked.zip(room).for_each(|(from, to)| move_one(from, to));
}

fn twin_move_list(t: &Twin) {
    let (score, index) = (t.f32("score"), t.u32("index"));
    let (mut list_score, mut list_index) = (t.f32_mut("list_score"), t.u32_mut("list_index"));
    let args: Args = t.get("args");
    each_marked(t, ("mask", args.len), |from, to| {
        list_score[to] = score[from];
        list_index[to] = index[from];
    });
}

fn twin_move_tile(t: &Twin) {
    let args: Args = t.get("args");
    let score = t.f32("score");
    let (mut list_score, mut list_index) = (t.f32_mut("list_score"), t.u32_mut("list_index"));
    each_marked(t, ("tile_mask", args.tile_len), |from, to| {
        list_score[to] = score[from];
        list_index[to] = args.first_index + from as u32;
    });
}

fn twin_note(t: &Twin) {
    let args: Args = t.get("args");
    t.u32_mut("noted")[0] += t.u32("tallies")[args.tally as usize];
}

/// From a list, a tile or both; with room for all, and for less.
pub fn checks() -> Vec<Check> {
    let one = |what: &'static str| {
        Check::new(format!("sparsity/select/collect ({what})"), move |t, n| {
            let gpu = t.gpu.clone();
            let (list, tile) = (n * 41, n * 90);
            // Bits past the end are never set by a selection.
            let marks = |t: &mut crate::gpu::check::Trial, len: usize| {
                let mut bits = vec![0u32; len.div_ceil(32)];
                let chosen = t.values(len).into_iter().enumerate().filter(|(_, v)| *v > 0.4);
                chosen.for_each(|(i, _)| bits[i / 32] |= 1 << (i % 32));
                gpu.upload_u32("mask", &[bits.len()], &bits)
            };
            let from =
                List { score: t.input("score", &[list])?, index: t.indices("index", &[list], 1 << 30)? };
            let (from_mask, tile_mask) = (marks(t, list)?, marks(t, tile)?);
            let tile = t.input("tile", &[tile])?;
            let room = if what == "too many" { 5 * n } else { list + tile.len() };
            let to = List {
                score: t.output("list scores", &[room], Tolerance::EXACT)?,
                index: t.output_u32("list indices", &[room])?,
            };
            let counts = counts(&gpu, list, tile.len())?;
            t.compare(&counts, Tolerance::EXACT);
            let noted = t.output_u32("noted", &[2])?;
            let keep = gpu.uniform("keep", &Keep { keep: if what == "too few" { 1 << 30 } else { 0 } })?;
            let floor = gpu.upload_u32("floor", &[1], &[3])?;
            let work = Work { counts: &counts, noted: &noted, keep: &keep, floor: &floor };
            let (from, tile) = ((&from, &from_mask), (&tile, &tile_mask, 1000));
            match what {
                "list" => record(&mut t.rec, &work, Some(from), None, &to),
                "tile" => record(&mut t.rec, &work, None, Some(tile), &to),
                "too few" => record_into(&mut t.rec, &work, tile, (&to, list), true),
                _ => record(&mut t.rec, &work, Some(from), Some(tile), &to),
            }
        })
    };
    let note = Check::new("sparsity/select/collect:note", |t, n| {
        let tallies = t.indices("tallies", &[n + 1], 99)?;
        let noted = t.output_u32("noted", &[2])?;
        record_note(&mut t.rec, &tallies, n, &noted)?;
        record_note(&mut t.rec, &tallies, 0, &noted)
    });
    ["list", "tile", "both", "too many", "too few"].into_iter().map(one).chain([note]).collect()
}
