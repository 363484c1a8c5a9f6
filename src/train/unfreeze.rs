//! Progressive unfreezing: the layers next to the output train first, the others join group by group.
//!
//! Howard & Ruder, 2018, "Universal Language Model Fine-tuning for Text Classification", Section 3.3, with a group of
//! layers in place of a layer, and a learning rate by phase. A frozen layer has no gradient, no update, and slots of 0.

use super::session::Session;
use crate::error::{Error, Result};
use crate::param::{Param, ParamId};
use crate::recipe::{self, Duration, glob, nearest};
use crate::sparsity::Length;

/// Which layers train in which phase; a phase is a function of the step of a course: the whole run, or one of several
/// where a method starts training over.
#[derive(Clone, Debug, PartialEq)]
pub struct Phases {
    /// When each but the first begins.
    spans: Vec<Duration>,
    /// The factor on the learning rate in each.
    factors: Vec<f64>,
    /// By layer that has parameters, from the input to the output: the phase from which on it trains.
    joins: Vec<usize>,
}

impl Phases {
    /// Phases over `layers`, the names of those that have parameters, from the input to the output, in courses of these
    /// lengths.
    ///
    /// # Errors
    /// `Kind::Usage`, where a layer is in no group or in two, where groups are not in the order of layers, or where a
    /// phase does not begin within each course and after the one before.
    pub fn new(recipe: &recipe::Unfreeze, layers: &[&str], courses: &[Length]) -> Result<Self> {
        if recipe.groups.is_empty() {
            return Ok(Self { spans: Vec::new(), factors: vec![1.0], joins: vec![0; layers.len()] });
        }
        for pattern in recipe.groups.iter().flatten() {
            if !layers.iter().any(|layer| glob(pattern, layer)) {
                let error = Error::usage(format!("`{pattern}` of unfreeze.groups matches no layer"))
                    .at(format!("layers with parameters: {}", layers.join(", ")));
                return Err(match nearest(pattern, layers.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
        let joins = layers.iter().map(|layer| group_of(recipe, layer)).collect::<Result<Vec<_>>>()?;
        if let Some(above) = (1..layers.len()).find(|&above| joins[above - 1] < joins[above]) {
            let (below, layer) = (layers[above - 1], layers[above]);
            return Err(Error::usage(format!("layer `{below}` would train before layer `{layer}`"))
                .at("gradients come from the output: they would pass a frozen layer on their way")
                .hint("unfreeze.groups from the output to the input, such as [[\"head\"], [\"fc2\"], [\"fc1\"]]"));
        }
        for length in courses {
            let mut before = 0;
            for span in &recipe.phases {
                let begin = span.steps(length.steps, length.steps_per_epoch);
                if begin <= before || begin >= length.steps {
                    return Err(Error::usage("a phase begins within the run and after the one before it")
                        .at(format!("unfreeze.phases: \"{span}\" is step {begin} of {}", length.steps))
                        .at(format!("the phase before it begins at step {before}"))
                        .at("where a method starts training over, each training is such a run"));
                }
                before = begin;
            }
        }
        Ok(Self { spans: recipe.phases.clone(), factors: recipe.lr.clone(), joins })
    }

    /// Without those layers that no output which counts comes after: they never join.
    pub(super) fn among(mut self, counting: &[bool]) -> Self {
        let idle = self.joins.iter_mut().zip(counting).filter(|(_, counts)| !**counts);
        idle.for_each(|(join, _)| *join = usize::MAX);
        self
    }

    /// The phase of a step of a course, counted from 0.
    pub fn at(&self, (step, course): (u64, Length)) -> usize {
        let begun = |span: &Duration| span.steps(course.steps, course.steps_per_epoch) <= step;
        self.spans.iter().rposition(begun).map_or(0, |before| before + 1)
    }
    /// The factor on the learning rate at a step of a course.
    pub fn factor(&self, clock: (u64, Length)) -> f64 {
        self.factors[self.at(clock)]
    }
    /// Which layers train in a phase.
    fn trains(&self, phase: usize) -> Vec<bool> {
        self.joins.iter().map(|&join| join <= phase).collect()
    }
}

/// The one group that a layer is in.
fn group_of(recipe: &recipe::Unfreeze, layer: &str) -> Result<usize> {
    let has = |group: &Vec<String>| group.iter().any(|pattern| glob(pattern, layer));
    let found: Vec<usize> = (0..recipe.groups.len()).filter(|&i| has(&recipe.groups[i])).collect();
    match found[..] {
        [group] => Ok(group),
        [] => Err(Error::usage(format!("layer `{layer}` is in no group of unfreeze.groups"))
            .hint("each layer with parameters in one group; \"*\" stands for any run of characters")),
        _ => Err(Error::usage(format!("layer `{layer}` is in more than one group of unfreeze.groups"))
            .at(format!("groups {found:?}, counted from 0"))),
    }
}

impl Session {
    /// Takes up the phase of the next step: if it is a new one, other layers train and everything is recorded anew.
    pub(super) fn enter_phase(&mut self) -> Result<()> {
        let phase = self.phases.at(self.clock(self.step));
        if Some(phase) == self.phase {
            return Ok(());
        }
        self.freeze(phase);
        // Where training starts over some layers have trained before: they join anew with nothing.
        self.clear_frozen()?;
        self.model.params.iter().filter(|param| param.frozen).try_for_each(Param::clear_slots)?;
        self.record()?;
        self.begin_averages()
    }

    /// Lets the layers of a phase train, and no other.
    pub(super) fn freeze(&mut self, phase: usize) {
        self.phase = Some(phase);
        let layers: Vec<Vec<ParamId>> =
            self.model.trainable_layers().map(|layer| layer.params.clone()).collect();
        for (layer, trains) in layers.into_iter().zip(self.phases.trains(phase)) {
            layer.into_iter().for_each(|id| self.model.params[id].frozen = !trains);
        }
    }

    /// What is recorded may be of another phase than that of the next step.
    pub(super) fn leave_phase(&mut self) {
        self.phase = self.phase.filter(|_| self.phases.spans.is_empty());
    }

    /// The phases of the run: first step, factor on the learning rate, and which of the layers train. Where training
    /// starts over, so do they.
    pub fn layer_phases(&self) -> Vec<(u64, f64, Vec<bool>)> {
        let mut all: Vec<(u64, f64, Vec<bool>)> = Vec::new();
        let mut last = None;
        let steps = if self.phases.spans.is_empty() { 1 } else { self.length.steps };
        for step in 0..steps {
            let phase = self.phases.at(self.clock(step));
            if last.replace(phase) != Some(phase) {
                all.push((step, self.phases.factors[phase], self.phases.trains(phase)));
            }
        }
        all
    }

    /// Frozen layers have no gradient, also where masks were just chosen by one.
    pub(super) fn clear_frozen(&self) -> Result<()> {
        for param in self.model.params.iter().filter(|param| param.frozen) {
            let mut segments = param.segments.iter();
            segments.try_for_each(|segment| segment.grad.write(&vec![0.0f32; segment.grad.len()]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Unfreeze;

    const LAYERS: [&str; 3] = ["fc1", "fc2", "head"];
    const LENGTH: Length = Length { steps: 100, steps_per_epoch: 10 };

    fn phases(groups: &[&[&str]], at: &[&str]) -> Result<Phases> {
        let groups: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(|word| word.to_string()).collect()).collect();
        let spans: Vec<Duration> = at.iter().map(|span| span.parse().unwrap()).collect();
        let lr = (0..groups.len()).map(|phase| 1.0 / (phase + 1) as f64).collect();
        Phases::new(&Unfreeze { groups, phases: spans, lr }, &LAYERS, &[LENGTH])
    }

    #[test]
    fn a_phase_is_a_function_of_the_step() {
        let phases = phases(&[&["head"], &["fc2"], &["fc1"]], &["20%", "5ep"]).unwrap();
        for (step, phase) in [(0, 0), (19, 0), (20, 1), (49, 1), (50, 2), (99, 2), (100, 2)] {
            assert_eq!(phases.at((step, LENGTH)), phase, "step {step}");
            assert_eq!(phases.factor((step, LENGTH)), 1.0 / (phase + 1) as f64);
        }
        // Shares are of the course, epochs are not.
        let longer = Length { steps: 200, ..LENGTH };
        assert_eq!([39, 40, 49, 50].map(|step| phases.at((step, longer))), [0, 1, 1, 2]);
        let trains = [0, 1, 2].map(|phase| phases.trains(phase));
        assert_eq!(trains, [[false, false, true], [false, true, true], [true, true, true]]);
        let always = Phases::new(&Unfreeze::default(), &LAYERS, &[LENGTH]).unwrap();
        assert_eq!((always.at((99, LENGTH)), always.trains(0)), (0, vec![true; 3]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |groups: &[&[&str]], at: &[&str]| phases(groups, at).unwrap_err().to_string();
        assert!(refused(&[&["head"], &["fc2"]], &["5"]).contains("`fc1` is in no group"));
        assert!(refused(&[&["head", "fc2"], &["fc*"]], &["5"]).contains("`fc2` is in more than one group"));
        assert!(refused(&[&["haed"], &["fc*"]], &["5"]).contains("did you mean `head`"));
        let order = refused(&[&["fc*"], &["head"]], &["5"]);
        assert!(order.contains("`fc2` would train before layer `head`"), "{order}");
        for at in ["0", "100", "200"] {
            assert!(refused(&[&["head"], &["fc*"]], &[at]).contains("within the run"), "{at}");
        }
        assert!(refused(&[&["head"], &["fc2"], &["fc1"]], &["50", "50%"]).contains("after the one before"));
    }
}
