//! Progressive shrinking: steps that train subnets, each by its own plan over the stored parameters.
//!
//! The first phase is training as ever. At the start of the next the full network is copied: it teaches all that follow.
//! At the start of a phase of smaller widths channels are sorted. All of it is a function of the step.

use std::cell::RefCell;
use std::rc::Rc;

use super::session::Session;
use super::thin;
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Phase as Timed, Plan, Recorder, Tensor};
use crate::nn::{Gradients, Model, Schedule, Space, Subnet, Wish};
use crate::ops::cross_entropy::{self, Labels, Share, Target};
use crate::ops::tally;
use crate::param::{Like, TEACHER};
use crate::recipe::Recipe;
use crate::shrink::{self, Density, Part, Phases, Pick, Supernet, draw, sort, target};
use crate::sparsity::Length;

/// Plans of subnets that are kept: those used longest ago go first.
const KEPT: usize = 16;

/// What a run that shrinks has besides.
pub(super) struct Shrinking {
    pub phases: Phases,
    space: Space,
    supernet: Supernet,
    /// `(classes, cols)`: what the subnets of a step are trained by.
    soft: Tensor,
    recorded: RefCell<Recorded>,
}

#[derive(Default)]
struct Recorded {
    /// Gradients become 0, and the teacher answers.
    opening: Option<Rc<Plan>>,
    update: Option<Rc<Plan>>,
    /// The last used last.
    subnets: Vec<(Subnet, Rc<Plan>)>,
}

impl Shrinking {
    /// `None` where the recipe has no phases. Gives the parameters their teacher.
    pub(super) fn new(session: &mut Session) -> Result<Option<Self>> {
        let Some(space) = space(&session.recipe)? else { return Ok(None) };
        let (gpu, length) = (session.gpu.clone(), session.length);
        let phases = Phases::new(&session.recipe.shrink, &space, length.steps, length.steps_per_epoch)?;
        for param in session.model.params.iter_mut().filter(|param| param.learns()) {
            param.accompany(&gpu, TEACHER, Like::Dense)?;
        }
        let Model { input, classes, params, .. } = &session.model;
        let supernet = Supernet::new(&gpu, &space, input, *classes, params)?;
        let soft = gpu.tensor("soft", Dtype::F32, &[*classes, session.columns()])?;
        Ok(Some(Self { phases, space, supernet, soft, recorded: RefCell::default() }))
    }
    /// Of the memory that subnets are cut out into, and of what they are trained by.
    pub(super) fn bytes(&self) -> u64 {
        self.supernet.bytes() + self.soft.bytes()
    }
    /// What was recorded is of tensors that are no more.
    pub(super) fn forget(&self) {
        self.recorded.take();
    }
}

/// The space that a recipe shrinks in, if it does.
///
/// # Errors
/// `Kind::Usage` for a model that is of no space.
pub(super) fn space(recipe: &Recipe) -> Result<Option<Space>> {
    if !recipe.shrink.is_on() {
        return Ok(None);
    }
    let space = Space::of(&recipe.model)?;
    let none = || {
        Error::usage("[shrink] is for networks of a space")
            .hint("[model] preset = \"once-for-all\", or no [shrink]")
    };
    space.ok_or_else(none).map(Some)
}

impl Session {
    /// The step of the phase that `step` is in, and the length of that, where the run shrinks.
    pub(super) fn shrink_clock(&self, step: u64) -> Option<(u64, Length)> {
        let (_, phase) = self.shrinking.as_ref()?.phases.at(step)?;
        Some((step - phase.begin, Length { steps: phase.end - phase.begin, ..self.length }))
    }
    /// The factor of a step's phase on the learning rate.
    pub(super) fn shrink_factor(&self, step: u64) -> f64 {
        let phase = self.shrinking.as_ref().and_then(|own| own.phases.at(step));
        phase.map_or(1.0, |(_, phase)| phase.factor)
    }
    /// Whether a step trains subnets.
    pub(super) fn shrinks_at(&self, step: u64) -> bool {
        let phase = self.shrinking.as_ref().and_then(|own| own.phases.at(step));
        phase.is_some_and(|(number, _)| number > 0)
    }

    /// A step of training subnets; `run` replays a plan.
    pub(super) fn shrink_step(&mut self, run: &mut dyn FnMut(&Plan) -> Result<()>) -> Result<()> {
        self.begin_phase()?;
        self.free_matrices();
        self.write_step()?;
        let own = self.shrinking.as_ref().expect("a run that shrinks");
        let (_, phase) = own.phases.at(self.step).expect("each step has a phase");
        run(&*self.opening_plan(own)?)?;
        for number in 0..phase.subnets {
            let (seed, step) = (self.recipe.run.seed, self.step as u32);
            let subnet = draw::subnet(&own.space, &phase.admitted, seed, step, number);
            run(&*self.subnet_plan(own, &subnet)?)?;
        }
        run(&*self.update_plan(own)?)?;
        self.next()
    }

    /// Does what a phase begins with, at its first step.
    fn begin_phase(&mut self) -> Result<()> {
        let own = self.shrinking.as_ref().expect("a run that shrinks");
        let (number, phase) = own.phases.at(self.step).expect("each step has a phase");
        if phase.begin != self.step {
            return Ok(());
        }
        let widens = own.phases.widens(number);
        let space = own.space.clone();
        for param in self.model.params.iter_mut().filter(|param| param.learns()) {
            // Each phase is a training of its own.
            param.clear_slots()?;
            if number == 1 {
                let values = param.read()?;
                let teacher = param.companions.iter_mut().find(|own| own.name == TEACHER);
                teacher.map_or(Ok(()), |teacher| teacher.write(&values))?;
            }
        }
        widens.map_or(Ok(()), |used| sort::sort(&space, &self.model.params, used))
    }

    /// Matrices of kernel transformation train once smaller kernels do: until then they stay the identity.
    fn free_matrices(&mut self) {
        let own = self.shrinking.as_ref().expect("a run that shrinks");
        let (_, phase) = own.phases.at(self.step).expect("each step has a phase");
        if shrink::free(&own.space, &mut self.model.params, phase.admitted.kernels > 1) {
            own.forget();
        }
    }

    fn opening_plan(&self, own: &Shrinking) -> Result<Rc<Plan>> {
        kept(&mut own.recorded.borrow_mut().opening, || {
            let mut rec = Recorder::new(&self.gpu);
            let params = &self.model.params;
            shrink::record_clear(&mut rec, params)?;
            let full = own.supernet.network(&own.space.full());
            let model = Model::new(&full, self.model.input.clone(), self.model.classes, 0)?;
            let teacher = shrink::teacher(model, params)?;
            // As in training, so that it normalises by the batch; its backward pass is not recorded.
            let pass = self.passes.more(&self.gpu, self.schedule_of(&teacher, Gradients::Trained))?;
            self.forward_of(&mut rec, &teacher, &self.feed, &pass)?;
            rec.phase(Timed::Loss);
            rec.scope("teacher");
            let (logits, _) = pass.heads()[0];
            let smoothing = self.recipe.loss.smoothing as f32;
            target::record(&mut rec, &self.step_uniform, logits, &self.columns.label, smoothing, &own.soft)?;
            rec.finish()
        })
    }

    fn update_plan(&self, own: &Shrinking) -> Result<Rc<Plan>> {
        kept(&mut own.recorded.borrow_mut().update, || {
            let mut rec = Recorder::new(&self.gpu);
            self.optimizer.record(&mut rec, &self.model.params, &self.step_uniform, &self.totals)?;
            rec.finish()
        })
    }

    fn subnet_plan(&self, own: &Shrinking, subnet: &Subnet) -> Result<Rc<Plan>> {
        let mut recorded = own.recorded.borrow_mut();
        let subnets = &mut recorded.subnets;
        let entry = match subnets.iter().position(|(known, _)| known == subnet) {
            Some(at) => subnets.remove(at),
            None => {
                if subnets.len() == KEPT {
                    subnets.remove(0); // its memory first
                }
                (subnet.clone(), Rc::new(self.record_subnet(own, subnet)?))
            }
        };
        let plan = entry.1.clone();
        subnets.push(entry);
        Ok(plan)
    }

    /// Forward and backward of one subnet, whose gradients are added to those of the stored parameters.
    fn record_subnet(&self, own: &Shrinking, subnet: &Subnet) -> Result<Plan> {
        let mut rec = Recorder::new(&self.gpu);
        let params = &self.model.params;
        let part = own.supernet.part(subnet, params)?;
        part.record_weights(&mut rec, params)?;
        let pass = self.passes.more(&self.gpu, self.schedule_of(&part.model, Gradients::Trained))?;
        self.forward_of(&mut rec, &part.model, &self.feed, &pass)?;
        rec.phase(Timed::Loss);
        rec.scope("loss");
        let (step, c) = (&self.step_uniform, &self.columns);
        let (logits, d_logits) = pass.heads()[0];
        let d_logits = d_logits.ok_or_else(|| Error::internal("a pass without gradients has no loss"))?;
        let label = Labels { tensor: &c.label, batch: self.columns() };
        let target = Target::Soft { label, soft: &own.soft };
        let share = Share { weight: target::WEIGHT, adds: false };
        cross_entropy::record(&mut rec, step, logits, target, share, d_logits, &c.loss, &c.hit)?;
        tally::record(&mut rec, step, &c.loss, &c.hit, &self.totals)?;
        part.model.backward(&mut rec, &self.choices, step, &pass)?;
        part.record_gradients(&mut rec, params)?;
        rec.finish()
    }

    pub(super) fn schedule_of(&self, model: &Model, gradients: Gradients) -> Schedule {
        let wish = Wish { gradients, ..Wish::default() };
        Schedule::new(model, &self.gpu, &self.choices, self.columns(), wish)
    }

    /// Memory for the subnets of this network, trained by shrinking or not.
    ///
    /// # Errors
    /// `Kind::Usage` where it is of no space.
    pub fn supernet(&self) -> Result<Supernet> {
        let space = Space::of(&self.recipe.model)?;
        let none = || Error::usage("the network has no subnets").hint("[model] preset = \"once-for-all\"");
        let (model, space) = (&self.model, space.ok_or_else(none)?);
        Supernet::new(&self.gpu, &space, &model.input, model.classes, &model.params)
    }

    /// A subnet of the weights as they are now, cut out, with running statistics of its own: see
    /// [`Session::evaluate_part`].
    ///
    /// # Errors
    /// As those of the device.
    pub fn cut(&self, supernet: &Supernet, subnet: &Subnet) -> Result<Part> {
        self.cut_pick(supernet, &subnet.clone().into())
    }

    /// As [`Session::cut`], of a subnet that is pruned before its statistics are observed. Stored weights stay as they are.
    ///
    /// # Errors
    /// As those of the device.
    pub fn cut_pick(&self, supernet: &Supernet, pick: &Pick) -> Result<Part> {
        let part = self.cut_out(supernet, pick)?;
        self.observe(&part.model, self.observed_batches())?;
        Ok(part)
    }

    /// As [`Session::cut_pick`], with the running statistics of the whole network: to see what those of its own are worth.
    ///
    /// # Errors
    /// As those of the device.
    pub fn cut_as_trained(&self, supernet: &Supernet, pick: &Pick) -> Result<Part> {
        // Statistics of all networks of a space lie in the same memory, each from the first channel on.
        self.cut(supernet, &supernet.space.full())?;
        self.cut_out(supernet, pick)
    }

    fn cut_out(&self, supernet: &Supernet, pick: &Pick) -> Result<Part> {
        let (subnet, is_full) = (&pick.subnet, pick.density == Density::Full);
        let lay_out = if is_full { Supernet::part } else { Supernet::copy };
        let mut part = lay_out(supernet, subnet, &self.model.params)?;
        let mut rec = Recorder::new(&self.gpu);
        part.record_weights(&mut rec, &self.model.params)?;
        rec.finish()?.replay()?;
        if !is_full {
            thin::prune(&mut part, pick.density)?;
        }
        Ok(part)
    }

    /// The full network with statistics of its own, in a run that shrinks.
    pub(super) fn cut_full(&self, own: &Shrinking) -> Result<Part> {
        self.cut(&own.supernet, &own.space.full())
    }

    /// Batches that statistics of subnets are observed over: as many as at the end of the run, or 2,000 images.
    pub fn observed_batches(&self) -> u32 {
        match self.recipe.finish.recalibrate {
            0 => 2000u32.div_ceil(self.recipe.run.batch),
            batches => batches,
        }
    }
}

/// What is recorded once.
fn kept(at: &mut Option<Rc<Plan>>, record: impl FnOnce() -> Result<Plan>) -> Result<Rc<Plan>> {
    if at.is_none() {
        *at = Some(Rc::new(record()?));
    }
    Ok(at.clone().expect("just recorded"))
}
