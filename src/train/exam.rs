//! Evaluation: loss, accuracy and confidence on samples that are not trained on.

use super::confidence::Confidence;
use super::event::Part;
use super::feed::Feed;
use super::language::{Asked, Language};
use super::session::Session;
use crate::data::{Dataset, Split};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Phase, Plan, Recorder, Tensor};
use crate::nn::{Gradients, Model, Pass};
use crate::ops::cross_entropy::{self, Labels};
use crate::ops::tally::{self, Totals};
use crate::shrink;
use crate::sparsity::Pruner;

/// One part of the data, and what the device says about it.
pub(super) struct Exam {
    pub feed: Feed,
    asked: Option<Asked>,
    totals: Tensor,
    /// `(samples, labels)`: see `cross_entropy::record_judgement`.
    verdicts: Tensor,
}

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    pub totals: Totals,
    pub confidence: Confidence,
    pub language: Option<Language>,
}

impl Exam {
    pub fn new(gpu: &Gpu, data: &Dataset, split: &Split, batch: usize) -> Result<Self> {
        let feed = Feed::to_judge(gpu, data, split, batch)?;
        Ok(Self {
            asked: Asked::of(split, feed.samples),
            verdicts: gpu.tensor("verdicts", Dtype::F32, &[feed.samples, data.labels()])?,
            feed,
            totals: Totals::tensor(gpu)?,
        })
    }
}

impl Session {
    /// Loss, accuracy and confidence on a part of the data, by the masks of the end where masks flow and by the averages of
    /// weights where there are any; `None` where that part is empty.
    ///
    /// # Errors
    /// `Kind::Numbers` if the loss is not finite; whatever the device reports.
    pub fn evaluate(&self, part: Part) -> Result<Option<Marks>> {
        self.pruner.as_ref().map_or(Ok(()), Pruner::show_hard)?;
        // Where subnets train no running statistic follows the weights.
        match self.step.checked_sub(1).filter(|last| self.shrinks_at(*last)).and(self.shrinking.as_ref()) {
            Some(own) => self.evaluate_part(&self.cut_full(own)?, part),
            None => self.by_averages(|run| run.examine(part)),
        }
    }

    /// As [`Session::evaluate`], by what the forward pass of the last step saw; `None` where that is the same.
    pub fn evaluate_soft(&self, part: Part) -> Result<Option<Marks>> {
        let last = self.step.saturating_sub(1);
        let is_soft = self.pruner.as_ref().map_or(Ok(false), |pruner| pruner.show_soft(last))?;
        if is_soft { self.examine(part) } else { Ok(None) }
    }

    fn examine(&self, part: Part) -> Result<Option<Marks>> {
        let (exam, plan) = match (part, &self.validation, &self.plans.validation) {
            (Part::Test, ..) => (&self.test, &self.plans.test),
            (Part::Validation, Some(exam), Some(plan)) => (exam, plan),
            (Part::Validation, ..) => return Ok(None),
        };
        self.examine_by(part, exam, plan)
    }

    /// As [`Session::evaluate`], of a subnet that was cut out of the weights: see [`Session::cut`].
    ///
    /// # Errors
    /// As those of [`Session::evaluate`].
    pub fn evaluate_part(&self, network: &shrink::Part, part: Part) -> Result<Option<Marks>> {
        let exam = if part == Part::Test { Some(&self.test) } else { self.validation.as_ref() };
        let Some(exam) = exam else { return Ok(None) };
        let pass = self.passes.more(&self.gpu, self.schedule_of(&network.model, Gradients::None))?;
        let plan = self.record_exam_of(&network.model, exam, &pass)?;
        self.examine_by(part, exam, &plan)
    }

    fn examine_by(&self, part: Part, exam: &Exam, plan: &Plan) -> Result<Option<Marks>> {
        exam.totals.write(&[0u32; Totals::WORDS])?;
        for batch in 0..exam.feed.batches() {
            self.step_uniform.write(&exam.feed.span(batch).step())?;
            plan.replay()?;
        }
        let totals = Totals::from_words(&exam.totals.read_u32()?);
        if totals.broken.is_some() || !totals.mean_loss().is_finite() {
            return Err(self.not_evaluated(part)?);
        }
        let mut verdicts = exam.verdicts.read_f32()?;
        let language = exam.asked.map(|asked| asked.figures(totals.mean_loss(), &verdicts));
        if language.is_some() {
            verdicts.retain(|&verdict| verdict != 0.0); // where nothing was asked
        }
        Ok(Some(Marks { totals, confidence: Confidence::of(&verdicts), language }))
    }

    /// What is said where the loss of an evaluation is not finite.
    fn not_evaluated(&self, part: Part) -> Result<Error> {
        let part = if part == Part::Test { "test" } else { "validation" };
        let error = Error::new(Kind::Numbers, format!("the loss on the {part} part is not finite"))
            .at(format!("after {} steps", self.steps_done()));
        Ok(match self.not_finite()? {
            Some(found) => error.at(format!("weights are not finite: {found}")),
            None => {
                error.at("all weights are finite: sums of products overflow").hint("a lower learning rate")
            }
        })
    }

    pub(super) fn record_exam(&self, exam: &Exam, pass: &Pass) -> Result<Plan> {
        self.record_exam_of(&self.model, exam, pass)
    }
    fn record_exam_of(&self, model: &Model, exam: &Exam, pass: &Pass) -> Result<Plan> {
        let mut rec = Recorder::new(&self.gpu);
        self.forward_of(&mut rec, model, &exam.feed, pass)?;
        rec.phase(Phase::Loss);
        let (step, c) = (&self.step_uniform, &self.columns);
        let (logits, _) = pass.heads()[self.model.judged()];
        let verdicts = &exam.verdicts;
        let label = Labels { tensor: &c.label, batch: self.columns() };
        cross_entropy::record_judgement(&mut rec, step, logits, label, &c.loss, &c.hit, verdicts)?;
        tally::record(&mut rec, step, &c.loss, &c.hit, &exam.totals)?;
        rec.finish()
    }
}
