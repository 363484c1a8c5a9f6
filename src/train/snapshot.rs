//! A session's state as host arrays and back: what checkpoints store and the digest covers.

use serde_json::json;

use super::checkpoint::Snapshot;
use super::session::Session;
use super::{compact, places};
use crate::distill;
use crate::error::{Error, Result};
use crate::gpu::Tensor;
use crate::ops::tally::Totals;
use crate::param::{Flow, ParamId};
use crate::sparsity;
use crate::store::{Array, Arrays, digest};

impl Session {
    /// Weights, biases and masks, as people know them: `fc1.weight`, `fc1.weight.mask`. Masks are bits,
    /// i % 32 of word i / 32. A latent weight is stored as such, with its mask; where a threshold is learned, what the
    /// forward pass makes of it. What is packed is laid out.
    pub fn weights(&self) -> Result<Arrays> {
        self.pruner.as_ref().map_or(Ok(()), sparsity::Pruner::show_hard)?;
        let mut all = Arrays::new();
        for (id, param) in self.model.params.pairs() {
            let values = match param.packed {
                Some(_) => param.read()?,
                None if self.threshold_of(id).is_some() => param.read()?,
                None => param.gather(|block| block.stored())?,
            };
            all.insert(param.name.clone(), Array::f32(param.shape.clone(), &values));
            if param.is_masked() {
                let words = param.read_mask()?;
                all.insert(format!("{}.mask", param.name), Array::u32(vec![words.len()], &words));
            }
        }
        Ok(all)
    }

    /// Gradients of the last step, by parameter.
    pub fn grads(&self) -> Result<Arrays> {
        let params = &self.model.params;
        let grad = |param: &crate::param::Param| {
            Ok((param.name.clone(), Array::f32(param.shape.clone(), &param.read_grad()?)))
        };
        params.iter().map(grad).collect()
    }

    /// Weights, biases and masks as files hold them, without the zeros of held masks: the same for masked and for
    /// packed storage. With the optimizer's slots if `slots`.
    pub fn stored(&self, slots: bool) -> Result<Arrays> {
        self.pruner.as_ref().map_or(Ok(()), sparsity::Pruner::show_hard)?;
        let mut all = Arrays::new();
        for (id, param) in self.model.params.pairs() {
            let behind = param.gather(|block| block.stored())?;
            let mut tensors = Vec::new();
            match self.threshold_of(id) {
                Some(threshold) => {
                    tensors.push((param.name.clone(), param.read()?));
                    if slots {
                        tensors.push((format!("{}.latent", param.name), behind));
                        let s = Array::f32(vec![1], &threshold.read_f32()?);
                        all.insert(format!("{}.threshold", param.name), s);
                    }
                }
                None => tensors.push((param.name.clone(), behind)),
            }
            let names = if slots { self.optimizer.entry.slots } else { &[] };
            for (slot, name) in names.iter().enumerate() {
                let mut values = Vec::new();
                for block in self.optimizer.slots_of(id) {
                    values.extend(block[slot].read_f32()?);
                }
                tensors.push((format!("{}.{name}", param.name), values));
            }
            let places = if param.flow == Flow::Held { Some(param.places()?) } else { None };
            for (name, values) in tensors {
                match (&param.packed, &places) {
                    (Some(packed), _) => {
                        compact::insert_kept(&mut all, &name, &packed.index.pattern.in_order(&values));
                    }
                    (None, Some(places)) => {
                        let kept: Vec<f32> = places.iter().map(|&i| values[i as usize]).collect();
                        compact::insert_kept(&mut all, &name, &kept);
                    }
                    (None, None) => {
                        all.insert(name, Array::f32(param.shape.clone(), &values));
                    }
                }
            }
            let means = self.pruner.as_ref().filter(|_| slots).map_or(&[][..], |pruner| pruner.means_of(id));
            if !means.is_empty() {
                let mut values = Vec::new();
                means.iter().try_for_each(|mean| mean.read_f32().map(|own| values.extend(own)))?;
                all.insert(format!("{}.mean", param.name), Array::f32(param.shape.clone(), &values));
            }
            let recorded = self.pruner.as_ref().filter(|_| slots).and_then(|p| p.recorded_of(id));
            if let Some(recorded) = recorded {
                let mut words = Vec::new();
                recorded.iter().try_for_each(|mask| mask.read_u32().map(|own| words.extend(own)))?;
                all.insert(format!("{}.recorded", param.name), Array::u32(vec![words.len()], &words));
            }
            let ever = self.pruner.as_ref().filter(|_| slots).map_or(&[][..], |pruner| pruner.ever_of(id));
            if !ever.is_empty() {
                let mut words = Vec::new();
                ever.iter().try_for_each(|bits| bits.read_u32().map(|own| words.extend(own)))?;
                all.insert(format!("{}.ever", param.name), Array::u32(vec![words.len()], &words));
            }
            let reach: Vec<&Tensor> = param.blocks.iter().filter_map(|b| b.reach.as_ref()).collect();
            if slots && !reach.is_empty() {
                let mut words = Vec::new();
                reach.iter().try_for_each(|mask| mask.read_u32().map(|own| words.extend(own)))?;
                all.insert(format!("{}.reach", param.name), Array::u32(vec![words.len()], &words));
            }
            if let Some(values) = self.early.get(id.0).filter(|_| slots) {
                all.insert(format!("{}.early", param.name), Array::f32(param.shape.clone(), values));
            }
            match places {
                Some(places) => places::insert(&mut all, &param.name, param.form, &param.shape, &places),
                None if param.is_masked() => {
                    let words = param.read_mask()?;
                    all.insert(format!("{}.mask", param.name), Array::u32(vec![words.len()], &words));
                }
                None => {}
            }
        }
        Ok(all)
    }

    /// Everything that the rest of the run depends on.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut arrays = self.stored(true)?;
        for (name, tensor) in self.distill.iter().flat_map(|method| method.state()) {
            let array = Array::f32(tensor.shape.clone(), &tensor.read_f32()?);
            arrays.insert(format!("{}{name}", distill::PREFIX), array);
        }
        let totals = self.totals.read_u32()?;
        // The bits of two f64: JSON may change the last digit of a number.
        let best =
            self.best.map(|(accuracy, loss)| [accuracy.to_bits().to_string(), loss.to_bits().to_string()]);
        // The position in the data is a function of step and seed; it is stored for people.
        let state = json!({
            "epoch": self.step / self.length.steps_per_epoch,
            "batch": self.step % self.length.steps_per_epoch,
            "seed": self.recipe.run.seed,
            "totals": totals,
            "best": best,
            "optimizer": self.optimizer.entry.name,
            "shapes": self.model.params.iter().map(|p| (p.name.clone(), json!(p.shape))).collect::<serde_json::Map<_, _>>(),
        });
        let mut hash = digest::Digest::new();
        for (name, array) in &arrays {
            hash.array(name, array);
        }
        hash.bytes("step", &self.step.to_le_bytes());
        hash.bytes("state", state.to_string().as_bytes());
        Ok(Snapshot { step: self.step, arrays, state, digest: hash.hex() })
    }

    /// Takes over a snapshot's state. What the masks of that step would be packed by, is.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a tensor lacks or has another shape.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let arrays = &snapshot.arrays;
        let names = self.optimizer.entry.slots;
        let frozen = |p: &sparsity::Pruner| snapshot.step > 0 && p.is_frozen(snapshot.step - 1);
        if self.pruner.as_ref().is_some_and(frozen) {
            self.hold_masks()?;
        }
        let mut renewed = self.pruner.as_mut().is_some_and(|pruner| pruner.go_on(snapshot.step));
        self.early = Vec::new();
        let rewinds_to = self.rewinds_to().filter(|&early| early > 0 && early <= snapshot.step);
        for id in self.model.params.ids() {
            let param = &mut self.model.params[id];
            let means = self.pruner.as_ref().map_or(&[][..], |pruner| pruner.means_of(id));
            if !means.is_empty() {
                let values = find(arrays, &format!("{}.mean", param.name), &param.shape)?.to_f32();
                means.iter().try_fold(&values[..], |rest, mean| write_part(mean, rest))?;
            }
            if let Some(recorded) = self.pruner.as_ref().and_then(|pruner| pruner.recorded_of(id)) {
                write_masks(
                    arrays,
                    &format!("{}.recorded", param.name),
                    &recorded.iter().collect::<Vec<_>>(),
                )?;
            }
            let ever = self.pruner.as_ref().map_or(&[][..], |pruner| pruner.ever_of(id));
            if !ever.is_empty() {
                write_masks(arrays, &format!("{}.ever", param.name), &ever.iter().collect::<Vec<_>>())?;
            }
            let reach: Vec<&Tensor> = param.blocks.iter().filter_map(|b| b.reach.as_ref()).collect();
            if !reach.is_empty() {
                write_masks(arrays, &format!("{}.reach", param.name), &reach)?;
            }
            if rewinds_to.is_some() {
                self.early.push(find(arrays, &format!("{}.early", param.name), &param.shape)?.to_f32());
            }
            if param.flow == Flow::Held {
                let places = places::read(arrays, &param.name, &param.shape)?;
                let kept = |name: &str| compact::kept(arrays, name, places.len());
                let values = kept(&param.name)?;
                let slots: Vec<Vec<f32>> = names
                    .iter()
                    .map(|slot| kept(&format!("{}.{slot}", param.name)))
                    .collect::<Result<_>>()?;
                let packs = |p: &sparsity::Pruner| p.packs(id, places.len(), param.len());
                let packs = self.pruner.as_ref().is_some_and(packs);
                renewed |= param.restore(
                    &self.gpu,
                    packs,
                    &places,
                    &values,
                    &slots,
                    self.optimizer.slots_mut(id),
                )?;
                continue;
            }
            let threshold = self.pruner.as_ref().and_then(|pruner| pruner.threshold_of(id));
            let values =
                if threshold.is_some() { format!("{}.latent", param.name) } else { param.name.clone() };
            param.write(&find(arrays, &values, &param.shape)?.to_f32())?;
            if let Some(threshold) = threshold {
                threshold.write(&find(arrays, &format!("{}.threshold", param.name), &[1])?.to_f32())?;
            }
            if param.is_masked() {
                let words =
                    find(arrays, &format!("{}.mask", param.name), &[param.len().div_ceil(32)])?.to_u32()?;
                param.write_mask(&words)?;
            }
            for (slot, name) in names.iter().enumerate() {
                let values = find(arrays, &format!("{}.{name}", param.name), &param.shape)?.to_f32();
                let mut rest = &values[..];
                for block in self.optimizer.slots_of(id) {
                    rest = write_part(&block[slot], rest)?;
                }
            }
        }
        for (name, tensor) in self.distill.iter().flat_map(|method| method.state()) {
            let stored = find(arrays, &format!("{}{name}", distill::PREFIX), &tensor.shape)?;
            tensor.write(&stored.to_f32())?;
        }
        let state = |key: &str| snapshot.state[key].clone();
        let damaged =
            |e: serde_json::Error| Error::checkpoint("the checkpoint's state is damaged").at(e.to_string());
        let totals: [u32; Totals::WORDS] = serde_json::from_value(state("totals")).map_err(damaged)?;
        self.totals.write(&totals)?;
        let best: Option<[String; 2]> = serde_json::from_value(state("best")).map_err(damaged)?;
        let number = |bits: String| bits.parse().map(f64::from_bits).ok();
        self.best = best.and_then(|[accuracy, loss]| Some((number(accuracy)?, number(loss)?)));
        if renewed {
            self.record()?;
        }
        self.show_latent()?;
        self.step = snapshot.step;
        self.leave_phase();
        self.updates = self.updates_before(self.step);
        self.enter()
    }

    /// Takes over weights alone, for evaluation: all values, with zeros in place.
    pub fn load_weights(&mut self, arrays: &Arrays) -> Result<()> {
        for param in &self.model.params {
            param.write(&find(arrays, &param.name, &param.shape)?.to_f32())?;
        }
        Ok(())
    }

    fn threshold_of(&self, param: ParamId) -> Option<&Tensor> {
        self.pruner.as_ref()?.threshold_of(param)
    }

    /// The forward pass sees latent weights through their masks.
    fn show_latent(&self) -> Result<()> {
        let mut rec = crate::gpu::Recorder::new(&self.gpu);
        crate::sparsity::record_effective(&mut rec, &self.model.params)?;
        rec.finish()?.replay()
    }
}

fn write_part<'a>(tensor: &Tensor, values: &'a [f32]) -> Result<&'a [f32]> {
    let (own, rest) = values.split_at(tensor.len());
    tensor.write(own)?;
    Ok(rest)
}

/// Takes over masks that are stored end to end, word by word.
fn write_masks(arrays: &Arrays, name: &str, masks: &[&Tensor]) -> Result<()> {
    let len = masks.iter().map(|mask| mask.len()).sum();
    let words = find(arrays, name, &[len])?.to_u32()?;
    let mut rest = &words[..];
    for mask in masks {
        let (own, others) = rest.split_at(mask.len());
        mask.write(own)?;
        rest = others;
    }
    Ok(())
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
