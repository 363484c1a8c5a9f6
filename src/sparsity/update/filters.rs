//! Mask updates that prune channels of the network: of each width those with the largest scores stay.

use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor};
use crate::param::{Channels, ParamId, ParamSet, Width};
use crate::recipe::FilterScore;
use crate::sparsity::select::merge;
use crate::sparsity::select::topk::Selection;
use crate::sparsity::structure::filters::{self, Norm, Places};
use crate::sparsity::{LayerChange, Outcome, not_numbers, record_zeros};

/// The recorded update.
pub struct Filters {
    /// By width.
    selections: Vec<(String, Selection)>,
    /// By parameter that loses something: kept, new and gone.
    counts: Vec<(ParamId, Tensor)>,
    pub plan: Plan,
}

impl Filters {
    /// Records the update. A channel's score is the sum of those of its filters, or of the scales of norms that it passes.
    pub fn record(gpu: &Gpu, channels: &Channels, score: FilterScore, params: &ParamSet) -> Result<Self> {
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Masks);
        let kept = gpu.tensor("kept channels", Dtype::U32, &[channels.count])?;
        let mut selections = Vec::new();
        for width in &channels.widths {
            let name = channels.name(width, params);
            rec.scope(name);
            let scores = record_scores(&mut rec, channels, width, score, params)?;
            let bits = gpu.tensor("kept of a width", Dtype::U32, &[width.len().div_ceil(32)])?;
            selections.push((name.to_string(), Selection::over(&mut rec, &[(&scores, &bits)])?));
            filters::record_flag(&mut rec, &bits, width.channels.start, width.len(), &kept)?;
        }
        let mut counts = Vec::new();
        for id in channels.masked(params) {
            let param = &params[id];
            rec.scope(&param.name);
            let places = Places::new(gpu, channels.axes(id))?;
            let count = gpu.tensor("merge counts", Dtype::U32, &[3])?;
            for (number, segment) in param.segments.iter().enumerate() {
                let bits = gpu.tensor("keep", Dtype::U32, &[segment.mask.len()])?;
                let rows = (segment.rows.start, segment.rows.len());
                filters::record_spread(&mut rec, &places, rows, &kept, &bits)?;
                merge::record(&mut rec, &bits, &bits, &segment.mask, &count)?;
                record_zeros(&mut rec, param, number)?;
            }
            counts.push((id, count));
        }
        Ok(Self { selections, counts, plan: rec.finish()? })
    }

    /// Prunes each width to the number of channels that it keeps, and checks the numbers. What changed is counted in
    /// weights.
    ///
    /// # Errors
    /// `Kind::Numbers` if a score is not a number, with the name of the first of its layers.
    pub fn update(&self, step: u64, keeps: &[usize], params: &ParamSet) -> Result<Outcome> {
        for ((_, selection), &keep) in self.selections.iter().zip(keeps) {
            selection.keep(keep)?;
        }
        self.counts.iter().try_for_each(|(_, count)| count.write(&[0u32; 3]))?;
        self.plan.replay()?;
        for ((name, selection), &keep) in self.selections.iter().zip(keeps) {
            let count = selection.counts()?[0];
            not_numbers(count.nans, "scores of filters", name, step)?;
            if count.kept as usize != keep && !self.plan.gpu().is_counted() {
                let kept = count.kept;
                return Err(Error::internal(format!("a mask update kept {kept} filters instead of {keep}"))
                    .at(format!("`{name}`, step {step}")));
            }
        }
        let mut outcome = Outcome::default();
        for (id, count) in self.counts.iter().filter(|(id, _)| params[*id].prunable) {
            let words = count.read_u32()?;
            let [kept, grown, dropped] = [0, 1, 2].map(|i| words[i] as usize);
            outcome.layers.push(LayerChange { kept, grown, dropped, ..LayerChange::none(&params[*id]) });
        }
        Ok(outcome)
    }
}

/// The scores of a width's channels.
fn record_scores(
    rec: &mut Recorder,
    channels: &Channels,
    width: &Width,
    score: FilterScore,
    params: &ParamSet,
) -> Result<Tensor> {
    let scores = rec.gpu.tensor("scores", Dtype::F32, &[width.len()])?;
    let (norm, sources) = match score {
        FilterScore::L1 => (Norm::L1, &width.filters),
        FilterScore::L2 => (Norm::L2, &width.filters),
        // Of one number the norm is its magnitude.
        FilterScore::Scale => (Norm::L1, &width.scales),
    };
    let mut adds = false;
    for &id in sources {
        for segment in &params[id].segments {
            let mut rows = vec![Vec::new(); width.len()];
            for (row, channel) in channels.axes(id).rows[segment.rows.clone()].iter().enumerate() {
                let own = channel.filter(|channel| width.channels.contains(channel));
                own.iter()
                    .for_each(|channel| rows[(channel - width.channels.start) as usize].push(row as u32));
            }
            filters::record_score(rec, norm, &rows, &segment.weight, &scores, adds)?;
            adds = true;
        }
    }
    Ok(scores)
}
