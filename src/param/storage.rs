//! Packed storage of a parameter, and the change from one storage to the other.

use super::{Block, Packed, Param, mask_of};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::ops::packed::{Form, Index, Pattern};

impl Param {
    /// Stores the values of `pattern` alone, and writes the initial ones.
    ///
    /// # Errors
    /// `Kind::Memory` if they exceed a binding or the device has no room.
    pub fn allocate_packed(&mut self, gpu: &Gpu, pattern: Pattern) -> Result<()> {
        let values: Vec<f32> = pattern.flat().into_iter().map(|i| (self.initial)(i)).collect();
        self.pack(gpu, pattern, &values)
    }

    /// Stores these values of `pattern` alone. What was stored before is given up first.
    fn pack(&mut self, gpu: &Gpu, pattern: Pattern, values: &[f32]) -> Result<()> {
        (self.blocks, self.packed) = (Vec::new(), None);
        let (name, kept) = (&self.name, pattern.kept());
        let chunk = (self.chunk)(&pattern);
        let index = Index::new(gpu, name, pattern, self.feeds_back, chunk)?;
        let weight = gpu.upload_f32(name, &[kept], values)?;
        let grad = gpu.tensor(&format!("{name}.grad"), Dtype::F32, &[kept])?;
        let mask = gpu.upload_u32(&format!("{name}.mask"), &[1], &[u32::MAX])?;
        let picked = gpu.tensor(&format!("{name}.picked"), Dtype::U32, &[kept.div_ceil(32)])?;
        self.packed = Some(Packed { index, picked });
        self.blocks = vec![Block { rows: 0..self.shape[0], weight, grad, mask, latent: None, reach: None }];
        Ok(())
    }

    /// Keeps the weights of `pattern` from now on, packed or else masked; `slots` are the optimizer's, by block. Weights
    /// that were there keep their value and slots, others start with what `grown` has for their place, in rising order,
    /// or at 0, with slots of 0. Returns whether tensors were made anew.
    pub fn repack(
        &mut self,
        gpu: &Gpu,
        packed: bool,
        pattern: Pattern,
        grown: &[(u32, f32)],
        slots: &mut Vec<Vec<Tensor>>,
    ) -> Result<bool> {
        let count = slots.first().map_or(0, Vec::len);
        // Of each entry, where its value stands among those of before, if it was there.
        let height = pattern.form.height();
        let before: Vec<Option<usize>> = match &self.packed {
            Some(packed) => {
                let origin = pattern.origin(&packed.index.pattern).into_iter();
                origin.flat_map(|o| (0..height).map(move |r| o.map(|o| o as usize * height + r))).collect()
            }
            None => pattern.flat().into_iter().map(|i| Some(i as usize)).collect(),
        };
        let moved = |values: Vec<f32>| -> Vec<f32> {
            before.iter().map(|from| from.map_or(0.0, |from| values[from])).collect()
        };
        let mut values = moved(self.gather(|block| &block.weight)?);
        if !grown.is_empty() {
            let new = values.iter_mut().zip(pattern.flat()).zip(&before).filter(|(_, from)| from.is_none());
            for ((value, place), _) in new {
                *value = grown.binary_search_by_key(&place, |one| one.0).map_or(0.0, |found| grown[found].1);
            }
        }
        let mut rest = Vec::new();
        for slot in 0..count {
            let mut all = Vec::new();
            for block in slots.iter() {
                all.extend(block[slot].read_f32()?);
            }
            rest.push(moved(all));
        }
        if !packed {
            let mut places = pattern.flat();
            places.sort_unstable();
            let slot_values: Vec<_> = rest.iter().map(|values| pattern.in_order(values)).collect();
            return self.restore(gpu, false, &places, &pattern.in_order(&values), &slot_values, slots);
        }
        let anew = match &mut self.packed {
            Some(packed) if packed.index.pattern.entries() == pattern.entries() => {
                packed.index.replace(pattern)?;
                self.blocks[0].weight.write(&values)?;
                false
            }
            _ => {
                self.pack(gpu, pattern, &values)?;
                self.renew_slots(gpu, slots)?;
                true
            }
        };
        slots[0].iter().zip(&rest).try_for_each(|(slot, values)| slot.write(values))?;
        Ok(anew)
    }

    /// Takes over kept values and slots, in rising order of their places, as a checkpoint holds them; packed or
    /// masked. Returns whether tensors were made anew.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the places are not of the parameter's form.
    pub fn restore(
        &mut self,
        gpu: &Gpu,
        packed: bool,
        places: &[u32],
        values: &[f32],
        slot_values: &[Vec<f32>],
        slots: &mut Vec<Vec<Tensor>>,
    ) -> Result<bool> {
        let len = self.len();
        if !packed {
            let dense = |kept: &[f32]| {
                let mut all = vec![0.0; len];
                places.iter().zip(kept).for_each(|(&i, &value)| all[i as usize] = value);
                all
            };
            let anew = self.packed.is_some();
            if anew {
                self.allocate(gpu)?;
                self.renew_slots(gpu, slots)?;
            }
            self.write(&dense(values))?;
            self.write_mask(&mask_of(places, len))?;
            for (slot, kept) in slot_values.iter().enumerate() {
                let all = dense(kept);
                let mut first = 0;
                for block in slots.iter() {
                    block[slot].write(&all[first..first + block[slot].len()])?;
                    first += block[slot].len();
                }
            }
            return Ok(anew);
        }
        let (rows, inner) = (self.shape[0], self.shape[1..].iter().product());
        let pattern = match self.form {
            Form::Free => Some(Pattern::from_places(Form::Free, rows, inner, places)),
            form => Pattern::from_mask(form, rows, inner, &mask_of(places, len)),
        };
        let pattern = pattern.ok_or_else(|| {
            let form = self.form.name();
            Error::checkpoint(format!("the mask of `{}` is not of the pattern {form}", self.name))
                .hint("the recipe that these weights were trained with")
        })?;
        let stored = pattern.from_order(values);
        let slot_values: Vec<Vec<f32>> = slot_values.iter().map(|kept| pattern.from_order(kept)).collect();
        let entries = pattern.entries();
        let anew = match &mut self.packed {
            Some(packed) if packed.index.pattern.entries() == entries => {
                packed.index.replace(pattern)?;
                self.blocks[0].weight.write(&stored)?;
                false
            }
            _ => {
                self.pack(gpu, pattern, &stored)?;
                self.renew_slots(gpu, slots)?;
                true
            }
        };
        for (slot, values) in slot_values.iter().enumerate() {
            slots[0][slot].write(values)?;
        }
        Ok(anew)
    }

    /// Gives an optimizer's slots the shapes that the blocks have now.
    fn renew_slots(&self, gpu: &Gpu, slots: &mut Vec<Vec<Tensor>>) -> Result<()> {
        let labels: Vec<String> =
            slots.first().into_iter().flatten().map(|slot| slot.label().to_string()).collect();
        slots.clear();
        for block in &self.blocks {
            let slot = |label: &String| gpu.tensor(label, Dtype::F32, &block.weight.shape);
            slots.push(labels.iter().map(slot).collect::<Result<_>>()?);
        }
        Ok(())
    }
}
