//! An exact top-k over a matrix that never exists as a whole: tile by tile, keeping the best so far.
//!
//! Each tile is selected from together with the list of the best so far, so that what is left at the end is what one
//! selection over all scores would have chosen, ties to the lower place included: the list comes before the tile, and
//! its places are lower. Memory: one tile, and two lists of k.

use super::collect::{self, List};
use super::topk::{Count, Selection};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder, Tensor};

/// Elements of a tile, at most, but for rows that are longer.
const TILE: usize = 1 << 20;
/// Tiles begin on rows that are multiples of this: slices of activations then begin on 256 bytes.
const ROW_ALIGNMENT: usize = 64;

/// A running top-k, reusable for any matrix within its limits.
pub struct Running {
    selection: Selection,
    tile: Tensor,
    tile_mask: Tensor,
    lists: [List; 2],
    list_mask: Tensor,
    counts: Tensor,
    /// Scores that were not numbers, over all tiles since they were last asked for.
    nans: Tensor,
}

/// Rows of one tile of a matrix (rows, inner).
pub fn tile_rows(rows: usize, inner: usize) -> usize {
    let fit = TILE / inner.max(1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
    fit.max(ROW_ALIGNMENT).min(rows)
}

/// Where the result of a recorded pass will be.
pub struct Found {
    list: usize,
}

impl Running {
    /// Room for `most` selected of matrices of these shapes (rows, inner).
    pub fn new(gpu: &Gpu, shapes: &[(usize, usize)], most: usize) -> Result<Self> {
        let tile = shapes.iter().map(|&(rows, inner)| tile_rows(rows, inner) * inner).max().unwrap_or(0);
        let words = |what: &str, len: usize| gpu.tensor(what, Dtype::U32, &[len]);
        Ok(Self {
            selection: Selection::new(gpu, &[most, tile])?,
            tile: gpu.tensor("tile", Dtype::F32, &[tile])?,
            tile_mask: words("tile mask", tile.div_ceil(32))?,
            lists: [List::new(gpu, most)?, List::new(gpu, most)?],
            list_mask: words("list mask", most.div_ceil(32))?,
            counts: collect::counts(gpu, most, tile)?,
            nans: words("not numbers", 1)?,
        })
    }

    /// Records a pass over a matrix (rows, inner). `fill` records the scores of a tile: its rows, and where they go.
    pub fn record(
        &self,
        rec: &mut Recorder,
        rows: usize,
        inner: usize,
        mut fill: impl FnMut(&mut Recorder, std::ops::Range<usize>, &Tensor) -> Result<()>,
    ) -> Result<Found> {
        let mut list = 0;
        self.lists[list].record_clear(rec)?;
        for first in (0..rows).step_by(tile_rows(rows, inner).max(1)) {
            let own = first..(first + tile_rows(rows, inner)).min(rows);
            let tile = self.tile.first(&[own.len(), inner]);
            let mask = self.tile_mask.first(&[tile.len().div_ceil(32)]);
            fill(rec, own, &tile)?;
            let (from, to) = (&self.lists[list], &self.lists[1 - list]);
            self.selection.record(rec, &[(&from.score, &self.list_mask), (&tile, &mask)])?;
            collect::record_note(rec, &self.selection.counts, 4 + Count::NANS, &self.nans)?;
            let tile = (&tile, &mask, first * inner);
            collect::record(rec, &self.counts, (from, &self.list_mask), tile, to)?;
            list = 1 - list;
        }
        Ok(Found { list })
    }

    /// Sets how many the next replay selects.
    pub fn keep(&self, keep: usize) -> Result<()> {
        debug_assert!(keep <= self.lists[0].score.len());
        self.selection.keep(keep)
    }
    /// The places found by the last replay of a pass, in rising order; `keep` of them. Waits for the device.
    pub fn places(&self, found: &Found, keep: usize) -> Result<Vec<u32>> {
        self.lists[found.list].place.first(&[keep]).read_u32()
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
