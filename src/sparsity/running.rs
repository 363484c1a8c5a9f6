//! An exact top-k over a matrix that never exists as a whole: tile by tile, keeping the best so far.
//!
//! Each tile is selected from together with the list of the best so far, so that what is left at the end is what one
//! selection over all scores would have chosen, ties to the lower place included: the list comes before the tile, and
//! its places are lower. Memory: one tile, and two lists of k.

use std::ops::Range;

use super::collect::{self, List};
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
    tile: Tensor,
    tile_mask: Tensor,
    lists: [List; 2],
    list_mask: Tensor,
    counts: Tensor,
    /// Scores that were not numbers, over all tiles since they were last asked for.
    nans: Tensor,
}

/// Elements of a tile on this device, at most, but for rows that are longer.
pub(super) fn tile_len(gpu: &Gpu) -> usize {
    TILE.min(gpu.limits().binding_bytes as usize / 4)
}

/// Rows of one tile of a matrix (rows, inner).
pub(super) fn tile_rows(rows: usize, inner: usize, limit: usize) -> usize {
    let fit = limit / inner.max(1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    fit.max(ROW_ALIGNMENT).min(rows)
}

/// Where the result of a recorded pass will be.
pub struct Found {
    list: usize,
}

impl Running {
    /// Room for `most` selected of matrices of these shapes (rows, inner).
    pub fn new(gpu: &Gpu, shapes: &[(usize, usize)], most: usize) -> Result<Self> {
        Self::with_tile(gpu, shapes, most, tile_len(gpu))
    }

    /// As [`Running::new`], with tiles of at most so many elements.
    fn with_tile(gpu: &Gpu, shapes: &[(usize, usize)], most: usize, limit: usize) -> Result<Self> {
        let rows_of = |&(rows, inner): &(usize, usize)| tile_rows(rows, inner, limit) * inner;
        let tile = shapes.iter().map(rows_of).max().unwrap_or(0);
        let words = |what: &str, len: usize| gpu.tensor(what, Dtype::U32, &[len]);
        Ok(Self {
            selection: Selection::new(gpu, &[most, tile])?,
            limit,
            tile: gpu.tensor("tile", Dtype::F32, &[tile])?,
            tile_mask: words("tile mask", tile.div_ceil(32))?,
            lists: [List::new(gpu, most)?, List::new(gpu, most)?],
            list_mask: words("list mask", most.div_ceil(32))?,
            counts: collect::counts(gpu, most, tile)?,
            nans: words("not numbers", 1)?,
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
        mut fill: impl FnMut(&mut Recorder, Range<usize>, &Tensor) -> Result<()>,
    ) -> Result<Found> {
        let mut list = 0;
        self.lists[list].record_clear(rec)?;
        for own in self.tiles(rows, inner) {
            let (first, tile) = (own.start, self.tile(own.len(), inner));
            let mask = self.tile_mask.first(&[tile.len().div_ceil(32)]);
            fill(rec, own, &tile)?;
            let (from, to) = (&self.lists[list], &self.lists[1 - list]);
            let pairs = [(&from.score, &self.list_mask), (&tile, &mask)];
            // From the second tile on the list holds what was chosen before.
            if first == 0 {
                self.selection.record(rec, &pairs)?
            } else {
                self.selection.record_on(rec, &pairs)?
            }
            collect::record_note(rec, &self.selection.counts, 4 + Count::NANS, &self.nans)?;
            let tile = (&tile, &mask, first * inner);
            collect::record(rec, &self.counts, (from, &self.list_mask), tile, to)?;
            list = 1 - list;
        }
        Ok(Found { list })
    }

    /// The list that a recorded pass leaves its result in.
    pub fn list(&self, found: &Found) -> &List {
        &self.lists[found.list]
    }

    /// Sets how many the next replay selects.
    pub fn keep(&self, keep: usize) -> Result<()> {
        debug_assert!(keep <= self.lists[0].score.len());
        self.selection.keep(keep)
    }
    /// The places found by the last replay of a pass, in rising order; `keep` of them. Waits for the device.
    pub fn places(&self, found: &Found, keep: usize) -> Result<Vec<u32>> {
        self.list(found).place.first(&[keep]).read_u32()
    }
    /// How many scores were not numbers since this was last asked.
    pub fn nans(&self) -> Result<u32> {
        let nans = self.nans.read_u32()?[0];
        if nans > 0 {
            self.nans.write(&[0u32])?;
        }
        Ok(nans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;
    use crate::random::{Stream, uniform};
    use crate::sparsity::hold::record_effective;
    use crate::sparsity::topk::{EXCLUDED, top_k};

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
                let running = Running::with_tile(&gpu, &[(rows, inner)], 5000, 64 * inner).unwrap();
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
                    assert_eq!(running.places(&found, keep).unwrap(), want, "{keep} of {coarse}");
                    assert_eq!(running.nans().unwrap(), 0);
                }
            }
        }
    }
}
