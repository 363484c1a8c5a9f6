//! A session's state as host arrays and back: what checkpoints store and the digest covers.

use serde_json::json;

use super::checkpoint::Snapshot;
use super::patience::Patience;
use super::session::Session;
use super::{compact, indices, layout, numbers};
use crate::distill;
use crate::error::{Error, Result};
use crate::gpu::Tensor;
use crate::ops::tally::Totals;
use crate::param::{Companion, Data, EARLY, Like, MaskMode, Param};
use crate::shrink;
use crate::sparsity;
use crate::store::{Array, Arrays, digest};

/// [`Patience`] as files have it: of the loss its bits, since JSON may change the last digit of a number.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Waited {
    lowest: Option<String>,
    waited: u32,
}

/// What the names of carried states begin with in files.
pub(super) const CARRIED: &str = "carried/";

impl Session {
    /// Weights, biases and masks, as people know them: `fc1.weight`, `fc1.weight.mask`. Masks are bits,
    /// i % 32 of word i / 32. A latent weight is stored as such, with its mask; where a threshold is learned, what the
    /// forward pass makes of it. What is packed is laid out. Convolutions lie as PyTorch has them ([`layout`]).
    pub fn weights(&self) -> Result<Arrays> {
        self.pruner.as_ref().map_or(Ok(()), sparsity::Pruner::show_hard)?;
        let mut all = Arrays::new();
        for param in &self.model.params {
            all.insert(
                param.name.clone(),
                Array::f32(param.shape.clone(), &param.dense(param.read_filed()?)),
            );
            if param.is_masked() {
                insert_words(&mut all, format!("{}.mask", param.name), &param.read_mask()?);
            }
        }
        Ok(layout::all_to_torch(&all))
    }

    /// Those of a subnet, likewise.
    pub fn weights_of(&self, part: &shrink::Part) -> Result<Arrays> {
        let own = |param: &Param| Ok((param.name.clone(), Array::f32(param.shape.clone(), &param.read()?)));
        Ok(layout::all_to_torch(&part.model.params.iter().map(own).collect::<Result<_>>()?))
    }

    /// Gradients of the last step, by parameter, as [`Session::weights`] lie.
    pub fn grads(&self) -> Result<Arrays> {
        let params = &self.model.params;
        let grad =
            |param: &Param| Ok((param.name.clone(), Array::f32(param.shape.clone(), &param.read_grad()?)));
        Ok(layout::all_to_torch(&params.iter().map(grad).collect::<Result<_>>()?))
    }

    /// Weights, biases and masks as files hold them, without the zeros of held masks: the same for masked and for
    /// packed storage. With all that belongs to them besides if `companions`.
    pub fn stored(&self, companions: bool) -> Result<Arrays> {
        self.pruner.as_ref().map_or(Ok(()), sparsity::Pruner::show_hard)?;
        let mut all = Arrays::new();
        for param in &self.model.params {
            let indices = (param.mask_mode() == MaskMode::Held).then(|| param.indices()).transpose()?;
            insert_values(&mut all, param, &indices, param.name.clone(), param.read_filed()?);
            for own in param.filed().filter(|_| companions) {
                let name = format!("{}.{}", param.name, own.name);
                match own.like {
                    Like::Values => insert_values(&mut all, param, &indices, name, own.read_f32()?),
                    Like::Dense => drop(all.insert(name, Array::f32(param.shape.clone(), &own.read_f32()?))),
                    Like::Scalar => drop(all.insert(name, Array::f32(vec![1], &own.read_f32()?))),
                    Like::Mask => insert_words(&mut all, name, &own.read_u32()?),
                }
            }
            match indices {
                Some(indices) => indices::insert(&mut all, &param.name, param.form, &param.shape, &indices),
                None if param.is_masked() => {
                    insert_words(&mut all, format!("{}.mask", param.name), &param.read_mask()?);
                }
                None => {}
            }
        }
        Ok(all)
    }

    /// Everything that the rest of the run depends on, and its digest: that covers what a step depends on (the arrays, the
    /// step, and with the seed the position in the data), and no bookkeeping, which differs by how often a run is
    /// logged and evaluated.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut arrays = self.stored(true)?;
        for (name, tensor) in self.distill.iter().flat_map(|method| method.state()) {
            let array = Array::f32(tensor.shape.clone(), &tensor.read_f32()?);
            arrays.insert(format!("{}{name}", distill::PREFIX), array);
        }
        for (name, tensor) in self.carried() {
            arrays.insert(name, Array::f32(tensor.shape.clone(), &tensor.read_f32()?));
        }
        self.insert_lists(&mut arrays);
        let totals = self.totals.read_u32()?;
        // The bits of two f64: JSON may change the last digit of a number.
        let best =
            self.best.map(|(accuracy, loss)| [accuracy.to_bits().to_string(), loss.to_bits().to_string()]);
        // The position in the data is a function of step and seed; it is stored for people.
        let mut state = json!({
            "epoch": self.step / self.length.steps_per_epoch,
            "batch": self.step % self.length.steps_per_epoch,
            "seed": self.recipe.run.seed,
            "optimizer": self.optimizer.entry.name,
            "shapes": self.model.params.iter().map(|p| (p.name.clone(), json!(p.shape))).collect::<serde_json::Map<_, _>>(),
        });
        if let Some(removed) = &self.removed {
            state[super::remove::LEFT] = json!(removed.left);
        }
        if !self.whole.stages.is_empty() {
            (state["stage"], state["before"]) = (json!(self.stage), json!(self.before));
        }
        if self.recipe.run.patience.is_some() {
            let lowest = self.patience.lowest.map(|loss| loss.to_bits().to_string());
            state["patience"] = json!(Waited { lowest, waited: self.patience.waited });
        }
        let mut hash = digest::Digest::new();
        for (name, array) in &arrays {
            hash.array(name, array);
        }
        hash.bytes("step", &self.steps_done().to_le_bytes());
        hash.bytes("state", state.to_string().as_bytes());
        state["totals"] = json!(totals);
        state["best"] = json!(best);
        (state["times"], state["last"]) = (json!(self.times), json!(self.last));
        state["flops"] = json!(self.flops);
        Ok(Snapshot { step: self.steps_done(), arrays, state, digest: hash.hex() })
    }

    /// Takes over a snapshot's state. What the masks of that step would be packed by, is.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a tensor lacks or has another shape, `Kind::Numbers` where a weight is not finite.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let arrays = &snapshot.arrays;
        self.check_read(|name| compact::values(arrays, name))?;
        let number = |key: &str| snapshot.state[key].as_u64().unwrap_or(0);
        let (stage, before) = (number("stage"), number("before"));
        self.find_stage(stage as usize, before, arrays)?;
        self.narrow_as(arrays)?;
        let step = snapshot.step - before.min(snapshot.step);
        let frozen = |p: &sparsity::Pruner| step > 0 && p.is_frozen(step - 1);
        if self.pruner.as_ref().is_some_and(frozen) {
            self.hold_masks()?;
        }
        let mut renewed = self.pruner.as_mut().is_some_and(|pruner| pruner.go_on(step));
        let rewinds = self.rewinds_to().is_some_and(|early| early > 0 && early <= step);
        for id in self.model.params.ids() {
            let param = &mut self.model.params[id];
            param.part_with(&[EARLY]);
            if rewinds {
                let data = Data::Host(Vec::new());
                param.companions.push(Companion { name: EARLY, like: Like::Dense, data });
            }
            let held = param.mask_mode() == MaskMode::Held;
            if held {
                let indices = indices::read(arrays, &param.name, &param.shape)?;
                let kept = |name: &str| compact::kept(arrays, name, indices.len());
                let values = kept(&param.name)?;
                let slots = param.slots().map(|slot| kept(&format!("{}.{}", param.name, slot.name)));
                let slots = slots.collect::<Result<Vec<_>>>()?;
                let packs = |p: &sparsity::Pruner| p.packs(id, indices.len(), param.len());
                let packs = self.pruner.as_ref().is_some_and(packs);
                renewed |= param.restore(&self.gpu, packs, &indices, &values, &slots)?;
            } else {
                param.write(&find(arrays, &param.name, &param.shape)?.to_f32())?;
                if param.is_masked() {
                    let words = vec![param.len().div_ceil(32)];
                    param.write_mask(&find(arrays, &format!("{}.mask", param.name), &words)?.to_u32()?)?;
                }
            }
            let (name, shape) = (param.name.clone(), param.shape.clone());
            for own in param.filed_mut().filter(|own| !(held && own.like == Like::Values)) {
                let key = format!("{name}.{}", own.name);
                match own.like {
                    Like::Values | Like::Dense => own.write(&find(arrays, &key, &shape)?.to_f32())?,
                    Like::Scalar => own.write(&find(arrays, &key, &[1])?.to_f32())?,
                    Like::Mask => {
                        let words = own.tensors().iter().map(Tensor::len).sum();
                        own.write(&find(arrays, &key, &[words])?.to_u32()?)?;
                    }
                }
            }
        }
        for (name, tensor) in self.distill.iter().flat_map(|method| method.state()) {
            let stored = find(arrays, &format!("{}{name}", distill::PREFIX), &tensor.shape)?;
            tensor.write(&stored.to_f32())?;
        }
        for (name, tensor) in self.carried() {
            tensor.write(&find(arrays, &name, &tensor.shape)?.to_f32())?;
        }
        let state = |key: &str| snapshot.state[key].clone();
        let damaged =
            |e: serde_json::Error| Error::checkpoint("the checkpoint's state is damaged").at(e.to_string());
        let totals: [u32; Totals::WORDS] = serde_json::from_value(state("totals")).map_err(damaged)?;
        self.totals.write(&totals)?;
        let best: Option<[String; 2]> = serde_json::from_value(state("best")).map_err(damaged)?;
        let number = |bits: String| bits.parse().map(f64::from_bits).ok();
        self.best = best.and_then(|[accuracy, loss]| Some((number(accuracy)?, number(loss)?)));
        let waited: Waited = serde_json::from_value(state("patience")).unwrap_or_default();
        self.patience = Patience { lowest: waited.lowest.and_then(number), waited: waited.waited };
        self.flops = serde_json::from_value(state("flops")).unwrap_or_default();
        // Those of checkpoints that have none begin here.
        self.times = serde_json::from_value(state("times")).unwrap_or_default();
        self.last = serde_json::from_value(state("last")).unwrap_or_default();
        if renewed {
            self.record()?;
        }
        self.show_latent()?;
        self.step = step;
        self.leave_phase();
        self.updates = self.updates_before(self.step);
        self.enter()
    }

    /// What layers carry from one training batch to the next, by the names that files have for it.
    fn carried(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let all = self.carried.iter().flat_map(|carried| carried.named(&self.model));
        all.map(|(name, tensor)| (format!("{CARRIED}{name}"), tensor))
    }

    /// Takes over weights alone, for evaluation: all values, with zeros in place, as [`Session::weights`] lie.
    ///
    /// # Errors
    /// As those of [`Session::restore`].
    pub fn load_weights(&mut self, arrays: &Arrays) -> Result<()> {
        self.check_read(|name| arrays.get(name))?;
        for param in &self.model.params {
            let own = arrays.get(&param.name).and_then(|own| layout::to_device(param, own));
            // Of none that fits, what is wrong with it.
            let own = own.map_or_else(|| find(arrays, &param.name, &layout::shape_of(param)).cloned(), Ok)?;
            param.write(&own.to_f32())?;
        }
        Ok(())
    }

    fn check_read<'a>(&self, find: impl Fn(&str) -> Option<&'a Array>) -> Result<()> {
        let params = self.model.params.iter();
        numbers::check_read(params.filter_map(|param| Some((param.name.as_str(), find(&param.name)?))))
    }

    /// The forward pass sees latent weights through their masks.
    fn show_latent(&self) -> Result<()> {
        let mut rec = crate::gpu::Recorder::new(&self.gpu);
        crate::sparsity::record_effective(&mut rec, &self.model.params)?;
        rec.finish()?.replay()
    }
}

/// Adds values that are stored like those of a parameter: of a held mask, what is kept.
fn insert_values(
    all: &mut Arrays,
    param: &Param,
    indices: &Option<Vec<u32>>,
    name: String,
    values: Vec<f32>,
) {
    match (param.packed(), indices) {
        (Some(packed), _) => compact::insert_kept(all, &name, &packed.index.pattern.in_order(&values)),
        (None, Some(indices)) => {
            let kept: Vec<f32> = indices.iter().map(|&i| values[i as usize]).collect();
            compact::insert_kept(all, &name, &kept);
        }
        (None, None) => {
            all.insert(name, Array::f32(param.shape.clone(), &values));
        }
    }
}

fn insert_words(all: &mut Arrays, name: String, words: &[u32]) {
    all.insert(name, Array::u32(vec![words.len()], words));
}

fn find<'a>(arrays: &'a Arrays, name: &str, shape: &[usize]) -> Result<&'a Array> {
    let array = arrays.get(name).ok_or_else(|| {
        Error::checkpoint(format!("tensor `{name}` is missing"))
            .hint("the recipe that these weights were trained with")
    })?;
    if array.shape != shape {
        return Err(Error::checkpoint(format!("tensor `{name}` has another shape"))
            .at(format!("expected: {shape:?}; found: {:?}", array.shape))
            .hint("the recipe that these weights were trained with"));
    }
    Ok(array)
}
