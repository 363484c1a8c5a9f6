//! `[[stage]]`: what comes after the recipe's own tables are done. A stage has a length of its own, and tables that stand in
//! place of the recipe's.

use super::run;
use super::section::Section;
use super::writer::Writer;
use super::{Augment, Loss, Optim, Recipe, Run, Sparsity, Unfreeze};
use crate::error::Result;

/// A stage after the first, which is the recipe without any. A table that is `None` is the recipe's.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// At least 1.
    pub epochs: u32,
    /// In place of epochs.
    pub steps: Option<u32>,
    /// As that of [`Run`].
    pub patience: Option<u32>,
    pub augment: Option<Augment>,
    pub loss: Option<Loss>,
    pub optim: Option<Optim>,
    pub sparsity: Option<Sparsity>,
    pub unfreeze: Option<Unfreeze>,
}

impl Stage {
    pub(super) fn read(mut section: Section) -> Result<Stage> {
        let steps = run::steps(&mut section)?;
        if steps.is_none() && !section.has("epochs") {
            return Err(section.missing("epochs").hint("a stage says how long it is: epochs, or steps"));
        }
        let stage = Stage {
            steps,
            epochs: section.count("epochs", run::EPOCHS)?,
            patience: run::patience(&mut section)?,
            augment: table(&mut section, "augment", Augment::read)?,
            loss: table(&mut section, "loss", Loss::read)?,
            optim: table(&mut section, "optim", Optim::read)?,
            sparsity: table(&mut section, "sparsity", Sparsity::read)?,
            unfreeze: table(&mut section, "unfreeze", Unfreeze::read)?,
        };
        section.finish()?;
        Ok(stage)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.section("[[stage]]");
        match self.steps {
            Some(steps) => w.key("steps", steps),
            None => w.key("epochs", self.epochs),
        }
        run::write_patience(self.patience, w);
        w.within("stage.");
        self.augment.iter().for_each(|table| table.write(w));
        self.loss.iter().for_each(|table| table.write(w));
        self.optim.iter().for_each(|table| table.write(w));
        self.sparsity.iter().for_each(|table| table.write(w));
        self.unfreeze.iter().for_each(|table| table.write(w));
        w.within("");
    }
}

fn table<T>(
    section: &mut Section,
    key: &'static str,
    read: impl FnOnce(Section) -> Result<T>,
) -> Result<Option<T>> {
    let is_there = section.has(key);
    let own = section.section(key)?;
    is_there.then(|| read(own)).transpose()
}

impl Recipe {
    /// How many stages a run has, the first among them.
    pub fn stage_count(&self) -> usize {
        1 + self.stages.len()
    }

    /// What a stage, counted from 0, is trained by: a recipe without further stages.
    ///
    /// # Panics
    /// If there is no such stage.
    pub fn stage(&self, number: usize) -> Recipe {
        let first = Recipe { stages: Vec::new(), ..self.clone() };
        let Some(before) = number.checked_sub(1) else { return first };
        let Stage { epochs, steps, patience, augment, loss, optim, sparsity, unfreeze } =
            self.stages[before].clone();
        Recipe {
            run: Run { epochs, steps, patience, ..first.run },
            augment: augment.unwrap_or(first.augment),
            loss: loss.unwrap_or(first.loss),
            optim: optim.unwrap_or(first.optim),
            sparsity: sparsity.unwrap_or(first.sparsity),
            unfreeze: unfreeze.unwrap_or(first.unfreeze),
            ..first
        }
    }

    /// That of the last stage: what a finished network is judged by.
    pub fn last_stage(&self) -> Recipe {
        self.stage(self.stages.len())
    }

    /// Whether a stage has masks.
    pub fn prunes(&self) -> bool {
        let further = self.stages.iter().filter_map(|stage| stage.sparsity.as_ref());
        further.chain([&self.sparsity]).any(|sparsity| sparsity.method != "none")
    }
}
