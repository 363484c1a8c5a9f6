//! The masks and the first values of a network that begins sparse.

use super::budget;
use super::fan_in::{self, Seed};
use super::methods::{Entry, Start};
use super::pruner::Pruner;
use super::{draw, zeros};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::packed::Form;
use crate::param::{Param, ParamId};
use crate::recipe::{Distribution, FanIn, Scale, Sparsity};

/// Refuses what the start of a method does not heed.
pub(super) fn check<'a>(
    recipe: &Sparsity,
    entry: &Entry,
    mut pruned: impl Iterator<Item = &'a Param>,
) -> Result<()> {
    let asked = match (recipe.fan_in, recipe.scale) {
        (FanIn::Random, Scale::Dense) => return Ok(()),
        (FanIn::LogNormal { .. }, _) => ("fan_in", recipe.fan_in.to_string()),
        (FanIn::Random, Scale::Kept) => ("scale", recipe.scale.name().to_string()),
    };
    let (key, value) = asked;
    let refuse = |what: String, advice: &str| {
        let error = Error::usage(what).at(format!("sparsity.{key} = \"{value}\""));
        Err(recipe.settings.locate(key, error).hint(advice))
    };
    let begins = match entry.start {
        Start::Random => None,
        Start::Initial if recipe.initial() > 0.0 => None,
        Start::Zeros => Some("begins with the weights of a file, and with their zeros"),
        Start::Dense | Start::Initial => Some("begins dense: there is no sparse start to draw"),
    };
    if let Some(begins) = begins {
        let advice = match entry.start == Start::Initial {
            true => "sparsity.init: a density below 1 to begin with; or leave it out",
            false => "leave it out; or a method that begins sparse, such as static, set or rigl",
        };
        return refuse(format!("method `{}` {begins}", entry.name), advice);
    }
    if recipe.fan_in == FanIn::Random {
        return Ok(());
    }
    let bound = |param: &&Param| param.form != Form::Free || param.keeps_diagonal;
    match pruned.find(bound) {
        Some(param) if param.keeps_diagonal => refuse(
            format!("a rule keeps the diagonal of `{}`, which a drawn fan-in does not", param.name),
            "sparsity.fan_in = \"random\", or a rule without keep = \"diagonal\"",
        ),
        Some(param) => refuse(
            format!(
                "`{}` has the pattern {}: its outputs keep what that says",
                param.name,
                param.form.name()
            ),
            "sparsity.fan_in = \"random\", or pattern = \"free\"",
        ),
        None => Ok(()),
    }
}

impl Pruner {
    /// By parameter, how many weights it keeps before the first step, where not all; `keeps` are those at the end.
    pub(super) fn starts(&self, recipe: &Sparsity, keeps: &[usize]) -> Result<Vec<Option<usize>>> {
        let mut all = vec![None; self.names.len()];
        let (members, keeps) = match self.entry.start {
            Start::Dense => return Ok(all),
            Start::Initial if recipe.initial() == 0.0 => return Ok(all),
            Start::Random | Start::Zeros => (self.members.clone(), keeps.to_vec()),
            Start::Initial => {
                let spread = match recipe.spread() {
                    Distribution::Global => Distribution::Erk,
                    other => other,
                };
                let budget = self.budget.spread(spread)?;
                let id = |name: &str| {
                    ParamId(self.names.iter().position(|own| own == name).expect("of the model"))
                };
                let numbers = |group: &budget::Group| -> Vec<ParamId> {
                    group.members.iter().map(|&member| id(&budget.tensors()[member].name)).collect()
                };
                let initial = recipe.initial();
                let keeps = budget.keeps(initial, |target| target.min(initial))?;
                (budget.groups.iter().map(numbers).collect(), keeps)
            }
        };
        for (group, keep) in members.iter().zip(keeps) {
            all[group[0].0] = Some(keep);
        }
        Ok(all)
    }

    /// Gives a parameter its mask of the start, at random or by the zeros that it has, and its first values.
    pub(super) fn start(
        &self,
        gpu: &Gpu,
        recipe: &Sparsity,
        id: ParamId,
        keep: usize,
        param: &mut Param,
    ) -> Result<()> {
        let matrix = param.matrix();
        let shape = match param.form {
            Form::Groups { .. } => matrix.by_tap(),
            _ => (matrix.rows, matrix.inner()),
        };
        let pattern = match (self.entry.start, recipe.fan_in) {
            (Start::Zeros, _) => zeros::pattern(param)?,
            (_, FanIn::Random) => {
                // Blocks take care of parts by themselves.
                let parts = if matches!(param.form, Form::Groups { .. }) { param.alike } else { 1 };
                let (part, keep) = ((shape.0 / parts, shape.1), keep / parts);
                draw::draw(gpu, self.seed, id.0 as u32, param.form, part, keep, &param.protected())?
                    .repeated(parts)
            }
            (_, FanIn::LogNormal { sigma }) => {
                let seed = Seed { seed: self.seed, tensor: id.0 as u32 };
                fan_in::log_normal(seed, shape, keep, sigma)
                    .map_err(|e| e.at(format!("`{}`, {keep} of {} weights", param.name, param.len())))?
            }
        };
        if recipe.scale == Scale::Kept {
            param.scale_by_inputs(&fan_in::counts(&pattern.mask(), (matrix.rows, matrix.inner())));
        }
        let pattern = param.packed_pattern(pattern);
        if self.packs(id, pattern.kept(), pattern.len()) {
            return param.allocate_packed(gpu, pattern);
        }
        param.allocate(gpu)?;
        param.write_mask(&pattern.mask())?;
        let values = param.read()?;
        let kept: Vec<f32> = pattern.flat().iter().map(|&i| values[i as usize]).collect();
        param.write(&pattern.dense(&kept))
    }
}
