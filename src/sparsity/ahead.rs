//! What mask updates to come will pack: what a plan can know of a run whose weights become sparse enough later.

use super::forecast::MOST;
use super::pruner::Pruner;
use crate::error::Result;
use crate::ops::packed::{Form, Pattern};
use crate::param::{MaskMode, Param, ParamId, ParamSet};

/// Parameters that are packed at a time, with how many weights of each are kept.
pub type Packed = Vec<(ParamId, usize)>;

impl Pruner {
    /// What is packed after each update that packs more parameters than before, and after the last one; nothing where no
    /// update does. Of weights that are selected from together, what each keeps goes by the magnitudes that they begin with.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn to_pack(&self, params: &ParamSet) -> Result<Vec<Packed>> {
        let mut all: Vec<Packed> = Vec::new();
        if self.is_learned() || self.filters().is_some() {
            return Ok(all);
        }
        let mut last = params.pairs().filter(|(_, param)| param.packed().is_some()).count();
        let mut at_last = Packed::new();
        let at_end = self.by_first_weights(params)?;
        for step in 0..self.length.steps {
            let Some(sparsity) = self.due(step) else { continue };
            at_last.clear();
            for ((members, at_end), keep) in self.members.iter().zip(&at_end).zip(self.keeps(step, sparsity)?)
            {
                let all = at_end.iter().sum::<usize>().max(1) as u128;
                for (&id, &own) in members.iter().zip(at_end) {
                    let param = &params[id];
                    let kept = ((own as u128 * keep as u128 / all) as usize).min(param.len());
                    let holds = match param.mask_mode() {
                        MaskMode::Flowing => self.freezes(step),
                        mode => mode == MaskMode::Held,
                    };
                    if holds && self.packs(id, kept, param.len()) {
                        at_last.push((id, kept));
                    }
                }
            }
            if at_last.len() > last {
                last = at_last.len();
                all.push(at_last.clone());
            }
        }
        if !all.is_empty() && all.last() != Some(&at_last) {
            all.push(at_last);
        }
        Ok(all)
    }

    /// By group, what its members keep at the end by the magnitudes of their first weights; the same share of each where these
    /// are too many to go through.
    fn by_first_weights(&self, params: &ParamSet) -> Result<Vec<Vec<usize>>> {
        let keeps = self.keeps(self.length.steps, self.target)?;
        let of = |(members, keep): (&Vec<ParamId>, usize)| -> Vec<usize> {
            if members.len() > 1 && self.budget.total() <= MOST {
                return self.largest(params, members, keep).iter().map(Vec::len).collect();
            }
            members.iter().map(|&id| params[id].len()).collect()
        };
        Ok(self.members.iter().zip(keeps).map(of).collect())
    }
}

/// Any pattern of so many weights of a parameter, as it is packed: entries at equal distances, and the first of each group.
pub fn any_pattern(param: &Param, keep: usize) -> Pattern {
    let matrix = param.matrix();
    let Form::Groups { keep: first, of } = param.form else {
        let (height, inner) = (param.form.height(), matrix.inner());
        let (all, entries) = (matrix.rows / height * inner, keep / height);
        let index = |entry: usize| (entry as u128 * all as u128 / entries.max(1) as u128) as u32;
        let indices: Vec<u32> = (0..entries).map(index).collect();
        return Pattern::from_indices(param.packed_form(), matrix.rows, inner, &indices);
    };
    let (rows, channels) = matrix.by_tap();
    let is_kept = |&index: &usize| index % channels % of < first;
    let indices: Vec<u32> = (0..rows * channels).filter(is_kept).map(|index| index as u32).collect();
    param.packed_pattern(Pattern::from_indices(param.form, rows, channels, &indices))
}
