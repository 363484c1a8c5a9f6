//! One selection over several tensors that leaves none of them with too little: each keeps its own largest, and what is
//! left of the budget goes to the largest of all others.
//!
//! Of all masks with that many weights in each tensor at least, it is the one that keeps the most magnitude.

use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::param::{ParamId, ParamSet};
use crate::sparsity::select::candidates;
use crate::sparsity::select::merge;
use crate::sparsity::select::topk::{Count, Selection};

pub struct Floored {
    /// By parameter: its floor, and the selection of so many.
    own: Vec<(ParamId, usize, Selection)>,
    /// What is left of the budget.
    rest: Selection,
    /// By tensor: its parameter, and what the mask became.
    merged: Vec<(ParamId, Tensor)>,
}

impl Floored {
    /// Records the selection among these parameters' scores, by segment, into their masks.
    pub fn record(
        rec: &mut Recorder,
        members: &[ParamId],
        params: &ParamSet,
        scored: &[Vec<Tensor>],
        floor: &dyn Fn(ParamId) -> usize,
    ) -> Result<Self> {
        let gpu = rec.gpu.clone();
        let bits = |len: usize| gpu.tensor("keep", Dtype::U32, &[len.div_ceil(32)]);
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for &id in members {
            let firsts = scored[id.0].iter().map(|score| bits(score.len())).collect::<Result<Vec<_>>>()?;
            let pairs: Vec<_> = scored[id.0].iter().zip(&firsts).collect();
            own.push((id, floor(id), Selection::over(rec, &pairs)?));
            for (number, (score, first)) in pairs.into_iter().enumerate() {
                let left = gpu.tensor("scores", Dtype::F32, &[score.len()])?;
                candidates::record_choose(rec, score, first, false, &left)?;
                others.push((id, number, first.clone(), left, bits(score.len())?));
            }
        }
        let pairs: Vec<_> = others.iter().map(|(_, _, _, left, more)| (left, more)).collect();
        let rest = Selection::over(rec, &pairs)?;
        let mut merged = Vec::new();
        for (id, number, first, _, more) in &others {
            // Of a packed weight, the values that exist are selected from.
            let param = &params[*id];
            let mask = param.packed().map_or(&param.segments[*number].mask, |packed| &packed.picked);
            let counts = gpu.tensor("merge counts", Dtype::U32, &[3])?;
            merge::record(rec, first, more, mask, &counts)?;
            merged.push((*id, counts));
        }
        Ok(Self { own, rest, merged })
    }

    /// Sets how many the next replay keeps.
    pub fn prepare(&self, keep: usize) -> Result<()> {
        let floors: usize = self.own.iter().map(|(_, floor, _)| floor).sum();
        self.rest.keep(keep.saturating_sub(floors))?;
        self.own.iter().try_for_each(|(_, floor, selection)| selection.keep(*floor))?;
        self.merged.iter().try_for_each(|(_, counts)| counts.write(&[0u32; 3]))
    }

    /// What became of each tensor, with the parameter that it belongs to.
    pub fn counts(&self) -> Result<Vec<(ParamId, Count)>> {
        let mut nans = Vec::new();
        for (_, _, selection) in &self.own {
            nans.extend(selection.counts()?.into_iter().map(|count| count.nans));
        }
        let count = |((id, counts), nans): (&(ParamId, Tensor), u32)| -> Result<(ParamId, Count)> {
            let words = counts.read_u32()?;
            Ok((*id, Count { kept: words[0], grown: words[1], dropped: words[2], nans }))
        };
        self.merged.iter().zip(nans).map(count).collect()
    }
}
