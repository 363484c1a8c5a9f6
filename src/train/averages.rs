//! Averages of weights within a session: they follow every update, and stand in for the weights where a network is judged.

use super::compact::KEPT;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::{Plan, Recorder};
use crate::optim;
use crate::param::{AVERAGE, MaskMode, ParamSet};
use crate::recipe::Recipe;
use crate::store::Arrays;

/// What is done with averages besides updating them.
pub(super) struct Averages {
    begin: Plan,
    exchange: Plan,
}

/// An average of values that masks let through now and then is none of a weight.
pub(super) fn check(recipe: &Recipe, params: &ParamSet) -> Result<()> {
    let keeps = |mode| matches!(mode, MaskMode::Latent | MaskMode::Flowing);
    if recipe.optim.ema.is_none() || !params.iter().any(|param| keeps(param.mask_mode())) {
        return Ok(());
    }
    let method = &recipe.sparsity.method;
    let what = format!("weights are not averaged where pruned ones keep a value, as with method `{method}`");
    let error = recipe.optim.settings.locate("ema", Error::usage(what));
    Err(error.hint("optim.ema = \"off\", or a method that holds pruned weights at 0, such as gmp or rigl"))
}

impl Session {
    pub(super) fn record_averages(&self) -> Result<Option<Averages>> {
        if self.average.is_none() {
            return Ok(None);
        }
        let [mut begin, mut exchange] = [(); 2].map(|()| Recorder::new(&self.gpu));
        optim::record_begin(&mut begin, &self.model.params)?;
        optim::record_exchange(&mut exchange, &self.model.params)?;
        Ok(Some(Averages { begin: begin.finish()?, exchange: exchange.finish()? }))
    }
    /// Averages of 0 begin with their weight.
    pub(super) fn begin_averages(&self) -> Result<()> {
        self.plans.averages.as_ref().map_or(Ok(()), |averages| averages.begin.replay())
    }
    /// Does something with the averages in place of the weights, if there are any.
    pub(super) fn by_averages<T>(&self, with: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let exchange = || self.plans.averages.as_ref().map_or(Ok(()), |averages| averages.exchange.replay());
        exchange()?;
        let done = with(self);
        exchange()?;
        done
    }
}

/// The arrays of a checkpoint, laid out or as files hold them, with averages in place of the weights that have one; and
/// whether any has.
pub fn averaged(mut arrays: Arrays) -> (Arrays, bool) {
    let marker = format!(".{AVERAGE}");
    let is_average =
        |name: &&String| name.rsplit_once(&marker).is_some_and(|(_, rest)| rest.is_empty() || rest == KEPT);
    let names: Vec<String> = arrays.keys().filter(is_average).cloned().collect();
    for name in &names {
        if let (Some((weight, rest)), Some(average)) = (name.rsplit_once(&marker), arrays.remove(name)) {
            arrays.insert(format!("{weight}{rest}"), average);
        }
    }
    (arrays, !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Array;

    #[test]
    fn averages_take_the_place_of_weights_laid_out_or_not() {
        let array = |x: f32| Array::f32([1], &[x]);
        let of = |all: &[(&str, f32)]| -> Arrays {
            all.iter().map(|(name, x)| (name.to_string(), array(*x))).collect()
        };
        let stored = of(&[
            ("a.weight.kept", 1.0),
            ("a.weight.average.kept", 2.0),
            ("a.bias", 3.0),
            ("a.bias.average", 4.0),
        ]);
        assert_eq!(averaged(stored), (of(&[("a.weight.kept", 2.0), ("a.bias", 4.0)]), true));
        let plain = of(&[("average.weight", 1.0), ("a.weight.average_pool", 2.0)]);
        assert_eq!(averaged(plain.clone()), (plain, false));
    }
}
