//! The change from one storage to the other.

use super::{Companion, Like, Packed, Param, Segment, Storage, mask_of};
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
        (self.segments, self.storage) = (Vec::new(), Storage::Dense);
        let (name, kept) = (&self.name, pattern.kept());
        let chunk = (self.chunk)(&pattern);
        let index = Index::new(gpu, name, pattern, self.window, self.feeds_back, chunk)?;
        let weight = gpu.upload_f32(name, &[kept], values)?;
        let grad = gpu.tensor(&format!("{name}.grad"), Dtype::F32, &[kept])?;
        let mask = gpu.upload_u32(&format!("{name}.mask"), &[1], &[u32::MAX])?;
        let picked = gpu.tensor(&format!("{name}.picked"), Dtype::U32, &[kept.div_ceil(32)])?;
        self.storage = Storage::Packed(Box::new(Packed { index, picked }));
        self.segments = vec![Segment { rows: 0..self.matrix().rows, weight, grad, mask }];
        self.renew_companions(gpu)
    }

    /// Stores these values of `pattern`, and those of the slots, alone; in the memory that there is where as many were
    /// kept. Returns whether tensors were made anew.
    fn settle(
        &mut self,
        gpu: &Gpu,
        pattern: Pattern,
        values: &[f32],
        slot_values: &[Vec<f32>],
    ) -> Result<bool> {
        let anew = match &mut self.storage {
            Storage::Packed(packed) if packed.index.pattern.entries() == pattern.entries() => {
                packed.index.replace(pattern)?;
                self.segments[0].weight.write(values)?;
                false
            }
            _ => {
                self.pack(gpu, pattern, values)?;
                true
            }
        };
        self.write_slots(slot_values)?;
        Ok(anew)
    }

    fn write_slots(&mut self, values: &[Vec<f32>]) -> Result<()> {
        let slots = self.companions.iter_mut().filter(|own| own.like == Like::Values);
        slots.zip(values).try_for_each(|(slot, values)| slot.write(values))
    }

    /// Keeps the weights of `pattern` from now on, packed or else masked. Weights that were there keep their value and
    /// slots, others start with what `grown` has for their index, in rising order, or at 0, with slots of 0. Returns
    /// whether tensors were made anew.
    pub fn repack(
        &mut self,
        gpu: &Gpu,
        packed: bool,
        pattern: Pattern,
        grown: &[(u32, f32)],
    ) -> Result<bool> {
        // Of each entry, where its value stands among those of before, if it was there.
        let height = pattern.form.height();
        let before: Vec<Option<usize>> = match self.packed() {
            Some(packed) => {
                let origin = pattern.origin(&packed.index.pattern).into_iter();
                origin.flat_map(|o| (0..height).map(move |r| o.map(|o| o as usize * height + r))).collect()
            }
            None => pattern.flat().into_iter().map(|i| Some(i as usize)).collect(),
        };
        let moved = |values: Vec<f32>| -> Vec<f32> {
            before.iter().map(|from| from.map_or(0.0, |from| values[from])).collect()
        };
        let (mut values, rest): (Vec<f32>, Vec<Vec<f32>>) = match &self.storage {
            // A wait takes longer than what is read after it: one for all.
            Storage::Packed(_) => {
                let slots = self.slots().flat_map(Companion::tensors);
                let tensors: Vec<&Tensor> = [&self.segments[0].weight].into_iter().chain(slots).collect();
                let read = gpu.read_all(&tensors)?.into_iter();
                let mut all: Vec<Vec<f32>> = read.map(|words| moved(bytemuck::cast_vec(words))).collect();
                (all.remove(0), all)
            }
            _ => {
                let slots = self.slots().map(|slot| slot.read_f32().map(moved));
                (moved(self.gather(|segment| &segment.weight)?), slots.collect::<Result<_>>()?)
            }
        };
        if !grown.is_empty() {
            let new = values.iter_mut().zip(pattern.flat()).zip(&before).filter(|(_, from)| from.is_none());
            for ((value, index), _) in new {
                *value = grown.binary_search_by_key(&index, |one| one.0).map_or(0.0, |found| grown[found].1);
            }
        }
        if packed {
            return self.settle(gpu, pattern, &values, &rest);
        }
        let mut indices = pattern.flat();
        indices.sort_unstable();
        let slot_values: Vec<_> = rest.iter().map(|values| pattern.in_order(values)).collect();
        self.restore(gpu, false, &indices, &pattern.in_order(&values), &slot_values)
    }

    /// Takes over kept values and slots, in rising order of their indices, as a checkpoint holds them; packed or
    /// masked. Returns whether tensors were made anew.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the indices are not of the parameter's form.
    pub fn restore(
        &mut self,
        gpu: &Gpu,
        packed: bool,
        indices: &[u32],
        values: &[f32],
        slot_values: &[Vec<f32>],
    ) -> Result<bool> {
        let len = self.len();
        if !packed {
            let dense = |kept: &[f32]| {
                let mut all = vec![0.0; len];
                indices.iter().zip(kept).for_each(|(&i, &value)| all[i as usize] = value);
                all
            };
            let anew = self.packed().is_some();
            if anew {
                self.allocate(gpu)?;
            }
            self.write(&dense(values))?;
            self.write_mask(&mask_of(indices, len))?;
            self.write_slots(&slot_values.iter().map(|kept| dense(kept)).collect::<Vec<_>>())?;
            return Ok(anew);
        }
        let matrix = self.matrix();
        let pattern = match self.packed_form() {
            Form::Free => Some(Pattern::from_indices(Form::Free, matrix.rows, matrix.inner(), indices)),
            _ => self.pattern(&mask_of(indices, len)),
        };
        let pattern = pattern.ok_or_else(|| {
            let form = self.form.name();
            Error::checkpoint(format!("the mask of `{}` is not of the pattern {form}", self.name))
                .hint("the recipe that these weights were trained with")
        })?;
        let stored = pattern.from_order(values);
        let slot_values: Vec<Vec<f32>> = slot_values.iter().map(|kept| pattern.from_order(kept)).collect();
        self.settle(gpu, pattern, &stored, &slot_values)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::gpu::{Choice, Limits};
    use crate::param::{Like, MaskMode};
    use crate::random::{Stream, uniform, word};

    const SLOTS: [&str; 2] = ["first", "second"];

    /// A weight in a storage of its own, and what it is to hold: by index, its value and its two slots.
    struct Twice {
        gpu: Gpu,
        param: Param,
        want: BTreeMap<u32, [f32; 3]>,
    }

    /// A mask of this form, of rows of blocks: none, all, or some of them; of groups always as many as they ask for.
    fn pattern(form: Form, block_rows: usize, inner: usize, kind: u8, seed: u64) -> Pattern {
        let random = |i: usize| word(seed, Stream::Test, 0, 0, i as u32);
        let len = block_rows * inner;
        let indices = match form {
            Form::Groups { keep, of } => {
                let mut all = Vec::new();
                for first in
                    (0..block_rows).flat_map(|row| (0..inner).step_by(of).map(move |c| row * inner + c))
                {
                    let mut group: Vec<usize> = (first..first + (inner - first % inner).min(of)).collect();
                    group.sort_unstable_by_key(|&i| (random(i), i));
                    group.truncate(keep);
                    group.sort_unstable();
                    all.extend(group.into_iter().map(|i| i as u32));
                }
                all
            }
            _ => (0..len)
                .filter(|&i| match kind {
                    0 => false,
                    1 => true,
                    // As many for every seed: such patterns take over each other's memory.
                    2 => i.wrapping_add(seed as usize) % len < len / 3,
                    _ => random(i).is_multiple_of(3),
                })
                .map(|i| i as u32)
                .collect(),
        };
        Pattern::from_indices(form, block_rows * form.height(), inner, &indices)
    }

    fn sorted(pattern: &Pattern) -> Vec<u32> {
        let mut indices = pattern.flat();
        indices.sort_unstable();
        indices
    }

    impl Twice {
        /// Masked, with values and slots where the mask has a bit.
        fn new(gpu: Gpu, start: &Pattern) -> Self {
            let mut param = Param::new("w", &[start.rows, start.inner], Box::new(|_| 0.0));
            (param.storage, param.form) = (Storage::Masked(MaskMode::Held), start.form);
            param.allocate(&gpu).unwrap();
            let number = |kind: u32, i: u32| 1.0 + uniform(1, Stream::Test, 0, kind, i);
            let indices = sorted(start);
            let want: BTreeMap<u32, [f32; 3]> =
                indices.iter().map(|&i| (i, [number(0, i), number(1, i), number(2, i)])).collect();
            SLOTS.iter().try_for_each(|name| param.accompany(&gpu, name, Like::Values)).unwrap();
            let [values, first, second] =
                [0, 1, 2].map(|k| want.values().map(|own| own[k]).collect::<Vec<_>>());
            param.restore(&gpu, false, &indices, &values, &[first, second]).unwrap();
            Self { gpu, param, want }
        }

        /// Keeps `pattern` from now on. Of its new indices every second one starts with a value.
        fn repack(&mut self, packed: bool, pattern: Pattern) {
            let indices = sorted(&pattern);
            let new = indices.iter().filter(|index| !self.want.contains_key(index));
            // Masked, what grows has its value on the device already.
            let grown: Vec<(u32, f32)> = match self.param.packed() {
                Some(_) => new.step_by(2).map(|&index| (index, -1.0 - index as f32)).collect(),
                None => Vec::new(),
            };
            let old = std::mem::take(&mut self.want);
            self.want = indices.into_iter().map(|i| (i, old.get(&i).copied().unwrap_or([0.0; 3]))).collect();
            for &(index, value) in &grown {
                self.want.insert(index, [value, 0.0, 0.0]);
            }
            let before = self.param.packed().map(|packed| packed.index.pattern.entries());
            let entries = pattern.entries();
            let anew = self.param.repack(&self.gpu, packed, pattern, &grown).unwrap();
            assert_eq!(anew, !(packed && before == Some(entries)));
            self.check(packed);
        }

        /// Takes over what it holds, as from a file.
        fn restore(&mut self, packed: bool) {
            let indices: Vec<u32> = self.want.keys().copied().collect();
            let [values, first, second] =
                [0, 1, 2].map(|k| self.want.values().map(|own| own[k] * 2.0).collect::<Vec<_>>());
            self.param.restore(&self.gpu, packed, &indices, &values, &[first, second]).unwrap();
            self.want.values_mut().flatten().for_each(|value| *value *= 2.0);
            self.check(packed);
        }

        fn check(&self, packed: bool) {
            assert_eq!(self.param.packed().is_some(), packed);
            let indices: Vec<u32> = self.want.keys().copied().collect();
            assert_eq!(self.param.read_mask().unwrap(), mask_of(&indices, self.param.len()));
            let dense = |k: usize| -> Vec<f32> {
                let mut all = vec![0.0; self.param.len()];
                self.want.iter().for_each(|(&index, own)| all[index as usize] = own[k]);
                all
            };
            assert_eq!(self.param.read().unwrap(), dense(0), "values");
            for (number, slot) in self.param.slots().enumerate() {
                assert_eq!((slot.name, slot.tensors().len()), (SLOTS[number], self.param.segments.len()));
                assert_eq!(self.param.dense(slot.read_f32().unwrap()), dense(number + 1), "{}", slot.name);
            }
            assert_eq!(self.param.slots().count(), SLOTS.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        /// A layer has at least one row and one input.
        #[test]
        fn values_and_slots_stay_with_their_indices(
            form in prop::sample::select(vec![
                Form::Free,
                Form::Block { height: 2 },
                Form::Block { height: 4 },
                Form::Block { height: 8 },
                Form::Groups { keep: 2, of: 4 },
                Form::Groups { keep: 3, of: 5 },
                Form::Groups { keep: 4, of: 4 },
                Form::Groups { keep: 1, of: 256 },
                Form::Groups { keep: 7, of: 300 },
            ]),
            (block_rows, inner) in {
                let size = || prop::sample::select(vec![1usize, 63, 65, 257]);
                (size(), size())
            },
            mut kinds in prop::array::uniform4(0..4u8),
            seed: u64,
            blocks: bool,
        ) {
            let block_rows = if form.height() > 1 { block_rows.div_ceil(form.height()) } else { block_rows };
            let mut limits = Limits::default();
            // Masked in blocks of 64 rows, where there are more and a third of the weights, packed, is one binding's worth.
            if blocks && form.per_row(1000).is_none_or(|kept| kept < 333) {
                limits.binding_bytes = 100_000;
                kinds.iter_mut().filter(|kind| **kind == 1).for_each(|kind| *kind = 3);
            }
            let gpu = Gpu::open_with(&Choice::Twin, limits).unwrap();
            let masks: Vec<Pattern> =
                (0..4).map(|k| pattern(form, block_rows, inner, kinds[k], seed.wrapping_add(k as u64))).collect();
            let mut weight = Twice::new(gpu, &masks[0]);
            weight.check(false);
            weight.repack(true, masks[0].clone());
            weight.repack(true, masks[1].clone());
            weight.restore(true);
            weight.repack(true, masks[2].clone());
            weight.repack(false, masks[3].clone());
            weight.restore(false);
            weight.restore(true);
            weight.repack(false, masks[0].clone());
            weight.repack(true, masks[1].clone());
        }
    }
}
