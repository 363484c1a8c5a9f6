//! An exact top-k over a matrix that never exists as a whole: tile by tile, keeping the best so far.
//!
//! Each tile is selected from together with the list of the best so far, so that what is left at the end is what one
//! selection over all scores would have chosen, ties to the lower index included: the list comes before the tile, and
//! its indices are lower. Memory: one tile, and two lists of k.
//!
//! Where a tile has many more elements than are asked for, a sieve leaves of it only those that may be among them
//! ([`Running::record_sieved`]). That rests on a guess, which is checked: where it was wrong, the way without it is taken.

use std::ops::Range;

use super::collect::{self, List, Work};
use super::sieve;
use super::topk::{Count, Selection};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder, Tensor};

/// Elements of a tile, at most, where a binding has room for them.
const TILE: usize = 1 << 20;
/// Tiles begin on rows that are multiples of this: slices of activations then begin on 256 bytes.
const ROW_ALIGNMENT: usize = 64;

/// A running top-k, reusable for any matrix within its limits.
pub struct Running {
    selection: Selection,
    /// Elements of a tile, at most.
    limit: usize,
    /// Elements that are selected, at most.
    most: usize,
    /// Room for what a sieve leaves of a tile, besides; none where no matrix is sieved.
    room: usize,
    tile: Tensor,
    tile_mask: Tensor,
    lists: [List; 2],
    list_mask: Tensor,
    counts: Tensor,
    /// Scores that were not numbers, and sieves that left too much or too little, since they were last asked for.
    noted: Tensor,
    /// What a sieve's guess is.
    floor: Tensor,
}

/// Elements of a tile on this device, at most, but for rows that are longer.
pub fn tile_len(gpu: &Gpu) -> usize {
    TILE.min(gpu.limits().binding_bytes as usize / 4)
}

/// Rows of one tile of a matrix (rows, inner).
pub fn tile_rows(rows: usize, inner: usize, limit: usize) -> usize {
    let fit = limit / inner.max(1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    fit.max(ROW_ALIGNMENT).min(rows)
}

/// Room for what a sieve leaves of a tile of which `most` are selected: it aims at somewhat more than twice as many.
fn room(most: usize) -> usize {
    3 * most + 2048
}

/// The most room for that: so much does not count beside a tile, where more would be felt for each weight that is kept.
const MOST_ROOM: usize = 1 << 16;

/// Whether selecting from what is left of a tile is much less work than selecting from the tile.
fn pays(most: usize, tile: usize) -> bool {
    tile >= sieve::SAMPLE && 4 * (most + room(most)) <= tile && room(most) <= MOST_ROOM
}

/// What passes came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Scores that were not numbers.
    pub nans: u32,
    /// Whether a sieve has left too much or too little: its pass has found nothing.
    pub failed: bool,
}

/// Where the result of a recorded pass will be.
pub struct Found {
    list: usize,
}

impl Running {
    /// Room for `most` selected of matrices of these shapes (rows, inner).
    pub fn new(gpu: &Gpu, shapes: &[(usize, usize)], most: usize) -> Result<Self> {
        Self::with_tile(gpu, shapes, most, tile_len(gpu), false)
    }
    /// As [`Running::new`], with room for sieves, too, where they pay.
    pub fn sieving(gpu: &Gpu, shapes: &[(usize, usize)], most: usize) -> Result<Self> {
        Self::with_tile(gpu, shapes, most, tile_len(gpu), true)
    }

    /// As [`Running::new`], with tiles of at most so many elements.
    fn with_tile(
        gpu: &Gpu,
        shapes: &[(usize, usize)],
        most: usize,
        limit: usize,
        sieves: bool,
    ) -> Result<Self> {
        let rows_of = |&(rows, inner): &(usize, usize)| tile_rows(rows, inner, limit) * inner;
        let tile = shapes.iter().map(rows_of).max().unwrap_or(0);
        let room = if sieves && pays(most, tile) { room(most) } else { 0 };
        let list = most + room;
        let words = |what: &str, len: usize| gpu.tensor(what, Dtype::U32, &[len]);
        Ok(Self {
            selection: Selection::new(gpu, &[list, tile])?,
            limit,
            most,
            room,
            tile: gpu.tensor("tile", Dtype::F32, &[tile])?,
            tile_mask: words("tile mask", tile.div_ceil(32))?,
            lists: [List::new(gpu, list)?, List::new(gpu, list)?],
            list_mask: words("list mask", list.div_ceil(32))?,
            counts: collect::counts(gpu, list, tile)?,
            noted: words("not numbers", 2)?,
            floor: words("floor", 1)?,
        })
    }

    /// The rows of each tile of a matrix (rows, inner).
    pub fn tiles(&self, rows: usize, inner: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let step = tile_rows(rows, inner, self.limit);
        (0..rows).step_by(step.max(1)).map(move |first| first..(first + step).min(rows))
    }
    /// The memory of a tile of so many rows.
    pub fn tile(&self, rows: usize, inner: usize) -> Tensor {
        self.tile.first(&[rows, inner])
    }

    /// Records a pass over a matrix (rows, inner). `fill` records the scores of a tile: its rows, and where they go.
    pub fn record(
        &self,
        rec: &mut Recorder,
        rows: usize,
        inner: usize,
        fill: impl FnMut(&mut Recorder, Range<usize>, &Tensor) -> Result<()>,
    ) -> Result<Found> {
        let list_mask = self.list_mask.first(&[self.most.div_ceil(32)]);
        self.tile_by_tile(rec, (rows, inner), fill, |rec, (tile, mask, first), from, to| {
            let (from, to) = (self.best(from), self.best(to));
            // From the second tile on the list holds what was chosen before.
            let (before, tensor) = if first == 0 {
                self.selection.record(rec, &[(tile, mask)])?;
                (None, 0)
            } else {
                self.selection.record_on(rec, &[(&from.score, &list_mask), (tile, mask)])?;
                (Some((&from, &list_mask)), 1)
            };
            collect::record_note(rec, &self.selection.counts, 4 * tensor + Count::NANS, &self.noted)?;
            collect::record(rec, &self.work(&self.floor), before, Some((tile, mask, first)), &to)
        })
    }

    /// Whether a pass over a matrix (rows, inner) can be sieved, and gains by it.
    pub fn sieves(&self, rows: usize, inner: usize) -> bool {
        self.room > 0 && pays(self.most, tile_rows(rows, inner, self.limit) * inner)
    }

    /// As [`Running::record`]. Where a guess was wrong, nothing is found, and that is noted.
    ///
    /// The first tile's floor is guessed from a sample; a later one's is the lowest score that was chosen before. What
    /// reaches it comes behind the best so far, whose indices are lower, and one selection goes over that list.
    pub fn record_sieved(
        &self,
        rec: &mut Recorder,
        rows: usize,
        inner: usize,
        fill: impl FnMut(&mut Recorder, Range<usize>, &Tensor) -> Result<()>,
    ) -> Result<Found> {
        self.tile_by_tile(rec, (rows, inner), fill, |rec, (tile, mask, first), from, to| {
            let (from, to) = (&self.lists[from], &self.lists[to]);
            let starts = first == 0;
            let (floor, behind) = if starts { (&self.floor, 0) } else { (&self.selection.chosen, self.most) };
            if starts {
                from.record_clear(rec)?;
                sieve::record_guess(rec, &self.selection.keep, tile, floor)?;
            }
            sieve::record_sift(rec, tile, floor, mask, &self.noted)?;
            let work = self.work(floor);
            collect::record_into(rec, &work, (tile, mask, first), (from, behind), starts)?;
            let pair = (&from.score, &self.list_mask);
            if starts {
                self.selection.record(rec, &[pair])?
            } else {
                self.selection.record_on(rec, &[pair])?
            }
            collect::record(rec, &work, Some((from, &self.list_mask)), None, to)
        })
    }

    /// Fills one tile after another. `choose` gets each with its mask and the index of its first element, and leaves
    /// the best so far, which are in the first list, in the second.
    fn tile_by_tile(
        &self,
        rec: &mut Recorder,
        (rows, inner): (usize, usize),
        mut fill: impl FnMut(&mut Recorder, Range<usize>, &Tensor) -> Result<()>,
        mut choose: impl FnMut(&mut Recorder, (&Tensor, &Tensor, usize), usize, usize) -> Result<()>,
    ) -> Result<Found> {
        let mut list = 0;
        for own in self.tiles(rows, inner) {
            let (first, tile) = (own.start * inner, self.tile(own.len(), inner));
            let mask = self.tile_mask.first(&[tile.len().div_ceil(32)]);
            fill(rec, own, &tile)?;
            choose(rec, (&tile, &mask, first), list, 1 - list)?;
            list = 1 - list;
        }
        Ok(Found { list })
    }

    fn work<'a>(&'a self, floor: &'a Tensor) -> Work<'a> {
        Work { counts: &self.counts, noted: &self.noted, keep: &self.selection.keep, floor }
    }
    /// The part of a list that holds what is best.
    fn best(&self, list: usize) -> List {
        let List { score, index } = &self.lists[list];
        List { score: score.first(&[self.most]), index: index.first(&[self.most]) }
    }
    /// The list that a recorded pass leaves its result in.
    pub fn list(&self, found: &Found) -> List {
        self.best(found.list)
    }

    /// Sets how many the next replay selects.
    pub fn keep(&self, keep: usize) -> Result<()> {
        debug_assert!(keep <= self.most);
        self.selection.keep(keep)
    }
    /// The indices found by the last replay of a pass, in rising order; `keep` of them. Waits for the device.
    pub fn indices(&self, found: &Found, keep: usize) -> Result<Vec<u32>> {
        self.lists[found.list].index.first(&[keep]).read_u32()
    }
    /// What was noted since this was last asked. Waits for the device.
    pub fn noted(&self) -> Result<Noted> {
        self.take(&self.noted.read_u32()?)
    }
    /// The tensors that say what was noted, for [`Running::take`], and the indices found.
    pub fn results(&self, found: Option<&Found>, keep: usize) -> [Tensor; 2] {
        let list = found.map_or(0, |found| found.list);
        [self.noted.clone(), self.lists[list].index.first(&[keep])]
    }
    /// As [`Running::noted`], of the words of its tensor.
    pub fn take(&self, words: &[u32]) -> Result<Noted> {
        if words.iter().any(|&word| word > 0) {
            self.noted.write(&[0u32; 2])?;
        }
        Ok(Noted { nans: words[0], failed: words[1] > 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;
    use crate::random::{Stream, uniform};
    use crate::sparsity::select::topk::{EXCLUDED, top_k};
    use crate::sparsity::update::hold::record_effective;

    #[test]
    fn tiles_give_what_one_selection_gives() {
        // Five tiles of 64 rows, the last one shorter; with few distinct scores, and with many; some are excluded.
        let (rows, inner) = (300, 50);
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for coarse in [4.0f32, 1e6] {
                let score = |i: u32| ((uniform(8, Stream::Test, 0, 0, i) - 0.5) * coarse).round() / coarse;
                let barred = |i: u32| i.is_multiple_of(7);
                let scores: Vec<f32> =
                    (0..(rows * inner) as u32).map(|i| if barred(i) { EXCLUDED } else { score(i) }).collect();
                let open: Vec<f32> = scores.iter().map(|&s| if s == EXCLUDED { 0.0 } else { s }).collect();
                let source = gpu.upload_f32("scores", &[rows, inner], &scores).unwrap();
                let ones = crate::param::full_mask(64 * inner);
                let all = gpu.upload_u32("all", &[ones.len()], &ones).unwrap();
                let running = Running::with_tile(&gpu, &[(rows, inner)], 5000, 64 * inner, false).unwrap();
                let mut rec = Recorder::new(&gpu);
                let mut tiles = 0;
                let found = running
                    .record(&mut rec, rows, inner, |rec, own, tile| {
                        tiles += 1;
                        record_effective(rec, &all, &source.rows(own), tile)
                    })
                    .unwrap();
                assert_eq!(tiles, 5);
                let plan = rec.finish().unwrap();
                for keep in [1, 63, 1000, 5000] {
                    running.keep(keep).unwrap();
                    plan.replay().unwrap();
                    let kept = top_k(&open, keep);
                    let want: Vec<u32> = (0..kept.len() as u32).filter(|&i| kept[i as usize]).collect();
                    assert_eq!(running.indices(&found, keep).unwrap(), want, "{keep} of {coarse}");
                    assert_eq!(running.noted().unwrap(), Noted { nans: 0, failed: false });
                }
            }
        }
    }

    /// Scores of five tiles, the last one shorter, of which some are excluded.
    const ROWS: usize = 300;
    const INNER: usize = 512;

    fn scores(kind: &str) -> Vec<f32> {
        let random = |i: usize| uniform(8, Stream::Test, 0, 1, i as u32) - 0.5;
        let score = |i: usize| match kind {
            _ if i.is_multiple_of(7) => EXCLUDED,
            "fine" => random(i),
            "coarse" => (random(i) * 300.0).round() / 300.0,
            // All that count are in one row.
            "one row" => {
                if i / INNER == 40 {
                    random(i)
                } else {
                    0.0
                }
            }
            "rising" => i as f32,
            "equal" => 0.25,
            "zeros" => 0.0,
            "not numbers" if i == 99 * INNER + 2 => f32::NAN,
            _ => random(i) / 7.0,
        };
        (0..ROWS * INNER).map(score).collect()
    }

    #[test]
    fn sieves_give_what_one_selection_gives_or_say_that_they_failed() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let ones = crate::param::full_mask(64 * INNER);
            let all = gpu.upload_u32("all", &[ones.len()], &ones).unwrap();
            for (kind, fails) in [
                ("fine", Some(false)),
                ("coarse", Some(false)),
                ("one row", None),
                ("rising", Some(true)),
                ("equal", Some(true)),
                ("zeros", Some(true)),
                ("not numbers", Some(false)),
            ] {
                let scores = scores(kind);
                let source = gpu.upload_f32("scores", &[ROWS, INNER], &scores).unwrap();
                let running = Running::with_tile(&gpu, &[(ROWS, INNER)], 500, 64 * INNER, true).unwrap();
                assert!(running.sieves(ROWS, INNER) && !running.sieves(ROWS, 32));
                let mut rec = Recorder::new(&gpu);
                let fill = |rec: &mut Recorder, own: Range<usize>, tile: &Tensor| {
                    record_effective(rec, &all, &source.rows(own), tile)
                };
                let found = running.record_sieved(&mut rec, ROWS, INNER, fill).unwrap();
                let plan = rec.finish().unwrap();
                let mut rec = Recorder::new(&gpu);
                running.record(&mut rec, ROWS, INNER, fill).unwrap();
                let exact = rec.finish().unwrap();
                for keep in [1, 63, 500] {
                    running.keep(keep).unwrap();
                    plan.replay().unwrap();
                    let noted = running.noted().unwrap();
                    assert_eq!(noted.nans, u32::from(kind == "not numbers"), "{keep} of {kind}");
                    assert!(fails.is_none_or(|fails| fails == noted.failed), "{keep} of {kind}: {noted:?}");
                    if noted.failed {
                        exact.replay().unwrap();
                        assert_eq!(running.noted().unwrap(), Noted { nans: 0, failed: false });
                    }
                    let open: Vec<f32> =
                        scores.iter().map(|&s| if s == EXCLUDED { -0.0 } else { s }).collect();
                    let mut order: Vec<u32> =
                        (0..scores.len() as u32).filter(|&i| scores[i as usize] != EXCLUDED).collect();
                    order.sort_by(|&a, &b| {
                        open[b as usize].abs().total_cmp(&open[a as usize].abs()).then(a.cmp(&b))
                    });
                    order.truncate(keep);
                    order.sort_unstable();
                    assert_eq!(running.indices(&found, keep).unwrap(), order, "{keep} of {kind}");
                }
            }
        }
    }
}
