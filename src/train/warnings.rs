//! What a run is told before and while it trains, where it will come to little: layers that nothing passes any more, and an
//! optimizer that hardly works.

use super::session::Session;
use crate::error::{Error, Result};
use crate::nn::Cut;
use crate::param::ParamId;

/// The share of a run's steps from which on it is worth a warning that the optimizer rests in them.
const MANY: f64 = 0.1;

impl Session {
    /// Steps of the whole run in which the optimizer rests.
    pub fn rests_in_all(&self) -> u64 {
        let Some(pruner) = &self.pruner else { return 0 };
        (0..self.length.steps).filter(|&step| pruner.rests(step)).count() as u64
    }

    /// What the recipe lets expect, before the first step.
    pub fn warnings(&self) -> Vec<Error> {
        [self.hardly_works(), self.takes_all(), self.warms_up(), self.loses_none()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn warms_up(&self) -> Option<Error> {
        let (warmup, length) = (&self.recipe.optim.lr.warmup, self.length);
        let steps = warmup.steps(length.steps, length.steps_per_epoch);
        (steps > length.steps).then(|| {
            Error::usage("the learning rate never reaches its value")
                .at(format!("lr.warmup = \"{warmup}\" is {steps} steps; the run has {}", length.steps))
                .hint("a shorter warmup, such as \"5%\"")
        })
    }

    /// Filters that are asked for, and hang together with all others of their layer.
    fn loses_none(&self) -> Option<Error> {
        let stuck = self.pruner.as_ref()?.filters()?.stuck();
        let (first, others) = (stuck.first()?, stuck.len() - 1);
        let more = if others > 0 { format!(", and {others} more") } else { String::new() };
        Some(
            Error::usage(format!("layers that lose no filter: {first}{more}"))
                .at("so few of their channels can go alone that the target leaves them all")
                .at("a convolution with groups loses the same number from each, and what hangs together goes together")
                .hint("a higher target, or a [[sparsity.rule]] with one for these layers"),
        )
    }

    fn takes_all(&self) -> Option<Error> {
        let (run, [samples, ..]) = (&self.recipe.run, self.samples());
        let batch = u64::from(run.batch) * u64::from(run.accumulate);
        (batch > samples as u64).then(|| {
            let (what, advice) = match run.accumulate {
                1 => (format!("a batch of {batch} is"), "a smaller run.batch"),
                several => (format!("{several} batches of {} are", run.batch), "a smaller run.accumulate"),
            };
            Error::usage(format!("{what} larger than the training part"))
                .at(format!("each step takes all of its {samples} samples"))
                .hint(advice)
        })
    }

    fn hardly_works(&self) -> Option<Error> {
        let (rests, steps) = (self.rests_in_all(), self.length.steps);
        if rests as f64 <= MANY * steps as f64 {
            return None;
        }
        let error = Error::usage(format!("the optimizer rests in {rests} of {steps} steps"));
        let why = format!("method `{}` leaves it out where masks are updated", self.recipe.sparsity.method);
        Some(
            error
                .at(why)
                .hint("a larger sparsity.schedule.every, more steps, or, with rigl, skip_update = false"),
        )
    }

    /// Where the input would pass no further by the masks of the end, as far as the first weights tell.
    ///
    /// # Errors
    /// As those of budgets.
    pub fn forecast_cuts(&self) -> Result<Vec<Error>> {
        let Some(pruner) = &self.pruner else { return Ok(Vec::new()) };
        let Some(masks) = pruner.forecast(&self.model.params)? else { return Ok(Vec::new()) };
        let cuts = self.model.cuts(&|id| masks[id.0].as_deref());
        if pruner.shares_are_learned() {
            return Ok(cuts.iter().map(may_come).collect());
        }
        let place = "by the magnitudes of the first weights, or by their masks, with what is kept at the end";
        Ok(cuts.iter().map(|cut| said(cut).at(place)).collect())
    }

    /// Where the input passes no further by the masks that were recorded last.
    fn cuts(&self) -> Vec<Cut> {
        // Where filters were removed, all that is left passes something.
        let recorded = self.recorded.as_ref().filter(|_| !self.is_narrowed());
        let Some(recorded) = recorded else { return Vec::new() };
        let prunable: Vec<ParamId> =
            self.model.params.ids().filter(|&id| self.model.params[id].prunable).collect();
        let mask_of = |id: ParamId| {
            let own = prunable.iter().position(|&other| other == id)?;
            Some(recorded.layers[own].mask())
        };
        self.model.cuts(&mask_of)
    }
}

/// What was said of cuts so far.
#[derive(Default)]
pub(super) struct Told {
    /// Layers, and whether nothing at all passes them.
    cuts: Vec<(String, bool)>,
}

impl Told {
    /// Cuts that were not there before, where a journal has the masks.
    pub(super) fn news(&mut self, run: &Session, place: &str) -> Vec<Error> {
        let mut cuts = run.cuts();
        cuts.retain(|cut| {
            let own = (cut.name.clone(), cut.is_whole());
            let is_new = !self.cuts.contains(&own);
            self.cuts.extend(is_new.then_some(own));
            is_new
        });
        cuts.iter().map(|cut| said(cut).at(place)).collect()
    }
}

fn said(cut: &Cut) -> Error {
    let Cut { name, dead, channels, .. } = cut;
    let what = match (cut.is_output, cut.is_whole()) {
        (false, _) => format!("nothing passes layer `{name}`: no path of kept weights leads through it"),
        (true, true) => {
            format!("no output of `{name}` depends on the input: no path of kept weights leads to it")
        }
        (true, false) => format!("{dead} of {channels} outputs of `{name}` do not depend on the input"),
    };
    Error::usage(what).hint(
        "a lower target; distribution = \"erk\"; or min_density, the density that every layer keeps at least",
    )
}

/// What may come of one threshold over layers whose weights train before it is set: how much each of them keeps is not known.
fn may_come(cut: &Cut) -> Error {
    let Cut { name, dead, channels, .. } = cut;
    let what = match (cut.is_output, cut.is_whole()) {
        (false, _) => format!("all ways through `{name}`"),
        (true, true) => format!("all ways to `{name}`"),
        (true, false) => format!("all ways to {dead} of {channels} outputs of `{name}`"),
    };
    Error::usage(format!("{what} would be pruned if weights stayed as they begin"))
        .at("one threshold goes over all layers, and training moves their weights: `train` warns if it comes to that")
        .hint("nothing, if `train` does not warn; else min_density, the density that every layer keeps at least")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;
    use crate::ops::variants::Choices;
    use crate::recipe::Recipe;
    use crate::train::{Control, Event, Masks, train};

    fn session(gpu: &Gpu, set: &[&str]) -> Session {
        let set: Vec<String> = set.iter().map(|set| set.to_string()).collect();
        let recipe = Recipe::find("digits-gmp-90", &set).unwrap();
        let data = crate::data::open("digits", 0.1).unwrap();
        Session::new(gpu, &recipe, &data, Choices::default()).unwrap()
    }

    const SHORT: [&str; 3] =
        ["run.epochs=1", "model.hidden=[16,8]", "sparsity.schedule={begin='2',end='8',every='3'}"];

    fn warned(set: &[&str]) -> Vec<String> {
        let mut run = session(&Gpu::twin(), &[&SHORT[..], set].concat());
        run.recorded = Some(Masks::of(&run).unwrap());
        let mut all = Vec::new();
        let mut emit = |event: Event| {
            if let Event::Warned(error) = event {
                all.push(error.to_string());
            }
            Ok(())
        };
        let control = Control { folder: None, stop_at: Some(9), signal: &|| None, dump: None };
        train(&mut run, &control, &mut emit).unwrap();
        all
    }

    #[test]
    fn layers_that_nothing_passes_are_named_once_where_that_happens() {
        let all = warned(&["sparsity.target=0.995"]);
        let of = |words: &str| all.iter().filter(|text| text.contains(words)).collect::<Vec<_>>();
        let cut = of("nothing passes layer `fc1`");
        assert_eq!(cut.len(), 1, "{all:?}");
        assert!(cut[0].contains("mask update at step ") && cut[0].contains("min_density"), "{all:?}");
        assert_eq!(of("no output of `head` depends on the input").len(), 1, "{all:?}");
        assert!(warned(&["sparsity.target=0.5"]).is_empty());
        assert!(warned(&["sparsity.target=0.9", "sparsity.min_density=0.05"]).is_empty());
    }

    #[test]
    fn a_plan_says_so_before() {
        let all = |set: &[&str]| {
            let run = session(&Gpu::counted(), &[&SHORT[..], set].concat());
            run.forecast_cuts().unwrap().iter().map(Error::to_string).collect::<Vec<_>>()
        };
        let alone = all(&["sparsity.target=0.995", "sparsity.distribution='uniform'"]);
        assert!(alone.iter().any(|text| text.starts_with("no output of `head` depends")), "{alone:?}");
        let together = all(&["sparsity.target=0.995"]);
        let may = "all ways through `fc1` would be pruned if weights stayed as they begin\n  one threshold";
        assert!(together[0].starts_with(may), "{together:?}");
        assert!(all(&["sparsity.target=0.5"]).is_empty());
        let drawn = all(&["sparsity={method='static',target=0.995,distribution='uniform'}"]);
        assert!(drawn.iter().any(|text| text.contains("`head`")), "{drawn:?}");
    }

    #[test]
    fn a_batch_larger_than_the_data_is_told() {
        let warnings = |batch: &str| session(&Gpu::counted(), &["run.epochs=10", batch]).warnings();
        assert!(warnings("run.batch=1200").is_empty());
        assert!(warnings("run.accumulate=5000")[0].to_string().contains("a smaller run.accumulate"));
        let text = warnings("run.batch=5000")[0].to_string();
        assert!(
            text.starts_with("a batch of 5000 is larger than the training part\n  each step takes"),
            "{text}"
        );
    }

    #[test]
    fn an_optimizer_that_hardly_works_is_warned_of() {
        let rests = |every: &str| {
            let sparsity = format!("sparsity={{method='rigl',target=0.5,schedule={{every='{every}'}}}}");
            let run = session(&Gpu::counted(), &[SHORT[0], &sparsity]);
            (run.rests_in_all(), run.length.steps, run.warnings())
        };
        let (all, steps, warnings) = rests("1");
        assert!(all > steps / 2 && warnings.len() == 1, "{all} of {steps}");
        assert!(warnings[0].to_string().contains(&format!("rests in {all} of {steps} steps")));
        let (few, steps, warnings) = rests("12");
        assert!(few > 0 && few * 10 <= steps && warnings.is_empty(), "{few} of {steps}");
    }
}
