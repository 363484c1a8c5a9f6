//! The masks at the end of a run as they would be by the weights that it starts with: what a plan can follow paths by.

use super::methods::Start;
use super::pruner::Pruner;
use super::zeros;
use crate::error::Result;
use crate::ops::packed::Form;
use crate::param::{ParamId, ParamSet, mask_of};
use crate::random::{Stream, uniform};

/// More weights than these are not gone through.
pub(super) const MOST: usize = 1 << 23;

/// By parameter, a mask of one bit a weight; `None` where nothing is known to be pruned.
pub type Forecast = Vec<Option<Vec<u32>>>;

impl Pruner {
    /// The masks of the end by the magnitudes of the first weights, or, where masks are drawn at random or found, those of
    /// the start. Blocks and N:M patterns are taken to keep all: they leave something in every row. `None` where thresholds
    /// are learned, where whole filters are pruned, of which every layer keeps some, and of a network of too many weights.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn forecast(&self, params: &ParamSet) -> Result<Option<Forecast>> {
        if self.is_learned() || self.filters().is_some() || self.budget.total() > MOST {
            return Ok(None);
        }
        let mut all = vec![None; params.len()];
        for (members, keep) in self.members.iter().zip(self.keeps(self.length.steps, self.target)?) {
            if self.entry.start == Start::Zeros {
                let id = members[0];
                all[id.0] = Some(zeros::pattern(&params[id])?.mask());
            } else if params[members[0]].form == Form::Free {
                let kept = self.largest(params, members, keep);
                for (&id, indices) in members.iter().zip(kept) {
                    all[id.0] = Some(mask_of(&indices, params[id].len()));
                }
            }
        }
        Ok(Some(all))
    }

    /// Whether it shows only in the run how much each layer keeps: one threshold goes over several, whose weights train
    /// before they are pruned.
    pub fn shares_are_learned(&self) -> bool {
        matches!(self.entry.start, Start::Dense | Start::Initial)
            && self.members.iter().any(|members| members.len() > 1)
    }

    /// The indices that these parameters keep together.
    pub(super) fn largest(&self, params: &ParamSet, members: &[ParamId], keep: usize) -> Vec<Vec<u32>> {
        let mut kept = vec![Vec::new(); members.len()];
        let mut others: Vec<(u32, usize, u32)> = Vec::new();
        let mut left = keep;
        for (member, &id) in members.iter().enumerate() {
            let score = self.scores(params, id).into_iter().zip(0..);
            let mut own: Vec<(u32, usize, u32)> =
                score.map(|(score, index)| (score.to_bits(), member, index)).collect();
            let floor = if members.len() > 1 { self.budget.floor(own.len()).min(left) } else { 0 };
            let first = largest_first(&mut own, floor);
            let rest = own.split_off(first);
            left -= own.len();
            kept[member].extend(own.into_iter().map(|(_, _, index)| index));
            others.extend(rest);
        }
        let first = largest_first(&mut others, left);
        others.into_iter().take(first).for_each(|(_, member, index)| kept[member].push(index));
        kept
    }

    fn scores(&self, params: &ParamSet, id: ParamId) -> Vec<f32> {
        match self.entry.start {
            Start::Random => {
                let len = params[id].len() as u32;
                (0..len).map(|i| uniform(self.seed, Stream::Mask, 0, id.0 as u32, i)).collect()
            }
            _ => params[id].initial_values().into_iter().map(f32::abs).collect(),
        }
    }
}

/// Brings the `count` largest to the front; returns how many these are.
fn largest_first(all: &mut [(u32, usize, u32)], count: usize) -> usize {
    if count < all.len() && count > 0 {
        all.select_nth_unstable_by(count - 1, |a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    }
    count.min(all.len())
}
