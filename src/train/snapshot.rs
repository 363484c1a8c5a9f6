//! A session's state as host arrays and back: what checkpoints store and the digest covers.

use serde_json::json;

use super::checkpoint::Snapshot;
use super::session::Session;
use crate::error::{Error, Result};
use crate::gpu::Tensor;
use crate::ops::tally::Totals;
use crate::store::{Array, Arrays, digest};

impl Session {
    /// Weights, biases and masks, as people know them: `fc1.weight`, `fc1.weight.mask`. Masks are bits,
    /// i % 32 of word i / 32. A latent weight is stored as such, with its mask.
    pub fn weights(&self) -> Result<Arrays> {
        let mut all = Arrays::new();
        for param in self.model.params() {
            all.insert(
                param.name.clone(),
                Array::f32(param.shape.clone(), &param.gather(|block| block.stored())?),
            );
            if param.is_masked() {
                let words = param.read_mask()?;
                all.insert(format!("{}.mask", param.name), Array::u32(vec![words.len()], &words));
            }
        }
        Ok(all)
    }

    /// Gradients of the last step, by parameter.
    pub fn grads(&self) -> Result<Arrays> {
        let params = self.model.params();
        let grad = |param: &&crate::param::Param| {
            Ok((param.name.clone(), Array::f32(param.shape.clone(), &param.read_grad()?)))
        };
        params.iter().map(grad).collect()
    }

    /// Everything that the rest of the run depends on.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut arrays = self.weights()?;
        for (index, param) in self.model.params().iter().enumerate() {
            for (slot, name) in self.optimizer.entry.slots.iter().enumerate() {
                let mut values = Vec::with_capacity(param.len());
                for block in self.optimizer.slots_of(index) {
                    values.extend(block[slot].read_f32()?);
                }
                arrays.insert(format!("{}.{name}", param.name), Array::f32(param.shape.clone(), &values));
            }
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
            "shapes": self.model.params().iter().map(|p| (p.name.clone(), json!(p.shape))).collect::<serde_json::Map<_, _>>(),
        });
        let mut hash = digest::Digest::new();
        for (name, array) in &arrays {
            hash.array(name, array);
        }
        hash.bytes("step", &self.step.to_le_bytes());
        hash.bytes("state", state.to_string().as_bytes());
        Ok(Snapshot { step: self.step, arrays, state, digest: hash.hex() })
    }

    /// Takes over a snapshot's state.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where a tensor lacks or has another shape.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let arrays = &snapshot.arrays;
        for (index, param) in self.model.params().iter().enumerate() {
            param.write(&find(arrays, &param.name, &param.shape)?.to_f32())?;
            if param.is_masked() {
                let words =
                    find(arrays, &format!("{}.mask", param.name), &[param.len().div_ceil(32)])?.to_u32()?;
                param.write_mask(&words)?;
            }
            for (slot, name) in self.optimizer.entry.slots.iter().enumerate() {
                let values = find(arrays, &format!("{}.{name}", param.name), &param.shape)?.to_f32();
                let mut rest = &values[..];
                for block in self.optimizer.slots_of(index) {
                    rest = write_part(&block[slot], rest)?;
                }
            }
        }
        let state = |key: &str| snapshot.state[key].clone();
        let damaged =
            |e: serde_json::Error| Error::checkpoint("the checkpoint's state is damaged").at(e.to_string());
        let totals: [u32; Totals::WORDS] = serde_json::from_value(state("totals")).map_err(damaged)?;
        self.totals.write(&totals)?;
        let best: Option<[String; 2]> = serde_json::from_value(state("best")).map_err(damaged)?;
        let number = |bits: String| bits.parse().map(f64::from_bits).ok();
        self.best = best.and_then(|[accuracy, loss]| Some((number(accuracy)?, number(loss)?)));
        self.show_latent()?;
        self.step = snapshot.step;
        self.enter()
    }

    /// Takes over weights and masks alone, for evaluation.
    pub fn load_weights(&mut self, arrays: &Arrays) -> Result<()> {
        for param in self.model.params() {
            param.write(&find(arrays, &param.name, &param.shape)?.to_f32())?;
            if let (true, Some(mask)) = (param.is_masked(), arrays.get(&format!("{}.mask", param.name))) {
                param.write_mask(&mask.to_u32()?)?;
            }
        }
        self.show_latent()
    }

    /// The forward pass sees latent weights through their masks.
    fn show_latent(&self) -> Result<()> {
        let mut rec = crate::gpu::Recorder::new(&self.gpu);
        crate::sparsity::record_effective(&mut rec, &self.model.params())?;
        rec.finish()?.replay()
    }
}

fn write_part<'a>(tensor: &Tensor, values: &'a [f32]) -> Result<&'a [f32]> {
    let (own, rest) = values.split_at(tensor.len());
    tensor.write(own)?;
    Ok(rest)
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
