//! Small parameters side by side in memory, updated by one dispatch: a sparse step has little more to do than to start
//! its dispatches.
//!
//! Weights lie apart from biases: a product reads one of each, or writes both of their gradients, and what a kernel writes
//! must be memory that nothing else of it is bound to.

use super::Optimizer;
use crate::error::Result;
use crate::gpu::{Gpu, Tensor};
use crate::param::{Block, Flow, Param, ParamId, ParamSet};

/// More weights than these are no small parameter; and from here on reading through textures pays, on adapters where it
/// does.
const MANY: usize = 1 << 16;

/// What is updated together: one parameter, or small ones that follow each other in memory.
pub(super) struct Joint {
    first: String,
    last: String,
    pub flow: Flow,
    /// Whether textures pay: for what is packed or small, copies into them would cost more than they save.
    pub texels: bool,
    pub parts: Vec<Part>,
}

/// A run of weights in one binding, with its slots.
pub(super) struct Part {
    pub block: Block,
    pub slots: Vec<Tensor>,
    pub weights: usize,
}

impl Joint {
    /// `fc1.bias`, or `fc1.bias to head.bias`.
    pub fn name(&self) -> String {
        if self.first == self.last { self.first.clone() } else { format!("{} to {}", self.first, self.last) }
    }

    /// Takes in a small parameter that follows in memory, with all that belongs to it.
    fn extend(&mut self, name: &str, next: &Part) -> bool {
        let [own] = &mut self.parts[..] else { return false };
        let Some(part) = own.through(next) else { return false };
        (*own, self.last) = (part, name.to_string());
        true
    }
}

impl Part {
    fn through(&self, next: &Part) -> Option<Part> {
        let slots = self.slots.iter().zip(&next.slots).map(|(slot, next)| slot.through(next));
        Some(Part {
            block: Block {
                weight: self.block.weight.through(&next.block.weight)?,
                grad: self.block.grad.through(&next.block.grad)?,
                ..self.block.clone()
            },
            slots: slots.collect::<Option<_>>()?,
            weights: self.weights + next.weights,
        })
    }
}

/// Whether a parameter has nothing but values, gradient and slots, and few of them. None at all cannot be bound where
/// the memory ends.
fn is_small(param: &Param) -> bool {
    let [block] = &param.blocks[..] else { return false };
    let is_plain = param.update_flow() == Flow::Free && block.latent.is_none() && block.reach.is_none();
    is_plain && (1..=MANY).contains(&block.weight.len())
}

impl Optimizer {
    /// Moves small parameters side by side, where they are not yet: values, gradients and slots.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn join(&mut self, gpu: &Gpu, params: &mut ParamSet) -> Result<()> {
        if self.rule.mixes() {
            return Ok(());
        }
        for are_weights in [true, false] {
            let small = |param: &Param| is_small(param) && param.is_maskable() == are_weights;
            let all: Vec<ParamId> =
                params.pairs().filter(|(_, param)| small(param)).map(|(id, _)| id).collect();
            // As many as surely fit one binding.
            for members in all.chunks((gpu.limits().binding_bytes as usize / (MANY * 4)).max(1)) {
                let follows = |pair: &[ParamId]| {
                    let [part, next] = [pair[0], pair[1]].map(|id| self.part(id, &params[id], 0));
                    part.through(&next).is_some()
                };
                if !members.windows(2).all(follows) {
                    self.move_together(gpu, params, members)?;
                }
            }
        }
        Ok(())
    }

    fn move_together(&mut self, gpu: &Gpu, params: &mut ParamSet, members: &[ParamId]) -> Result<()> {
        let gather = |of: &dyn Fn(ParamId) -> Tensor| members.iter().map(|&id| of(id)).collect::<Vec<_>>();
        let together =
            |label: &str, tensors: &[Tensor]| gpu.side_by_side(label, &tensors.iter().collect::<Vec<_>>());
        let weights = together("small parameters", &gather(&|id| params[id].blocks[0].weight.clone()))?;
        let grads = together("small gradients", &gather(&|id| params[id].blocks[0].grad.clone()))?;
        for ((&id, weight), grad) in members.iter().zip(weights).zip(grads) {
            let block = &mut params[id].blocks[0];
            (block.weight, block.grad) = (weight, grad);
        }
        for slot in 0..self.entry.slots.len() {
            let moved = together("small slots", &gather(&|id| self.slots[id.0][0][slot].clone()))?;
            for (&id, tensor) in members.iter().zip(moved) {
                self.slots[id.0][0][slot] = tensor;
            }
        }
        Ok(())
    }

    fn part(&self, id: ParamId, param: &Param, block: usize) -> Part {
        let (block, slots) = (param.blocks[block].clone(), self.slots[id.0][block].clone());
        Part { weights: block.weight.len(), block, slots }
    }

    /// All parameters but frozen ones, those that follow each other in memory as one.
    pub(super) fn joints(&self, params: &ParamSet) -> Vec<Joint> {
        let mut joints: Vec<Joint> = Vec::new();
        for (id, param) in params.pairs().filter(|(_, param)| !param.frozen) {
            let parts: Vec<Part> = (0..param.blocks.len()).map(|block| self.part(id, param, block)).collect();
            let joins = is_small(param) && !self.rule.mixes();
            if joins && joints.iter_mut().any(|joint| joint.extend(&param.name, &parts[0])) {
                continue;
            }
            joints.push(Joint {
                first: param.name.clone(),
                last: param.name.clone(),
                flow: param.update_flow(),
                texels: param.packed.is_none() && param.len() > MANY,
                parts,
            });
        }
        joints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Phase, Recorder};
    use crate::ops::Step;
    use crate::ops::tally::Totals;
    use crate::recipe::Recipe;

    const SIZES: [&[usize]; 6] = [&[5, 13], &[5], &[63, 3], &[64], &[1, 257], &[1]];

    fn params(gpu: &Gpu) -> ParamSet {
        let param = |(index, shape): (usize, &&[usize])| {
            let mut param = Param::new(
                &format!("p{index}"),
                shape,
                Box::new(move |i| (index * 1000 + i as usize) as f32 / 8.0),
            );
            param.allocate(gpu).unwrap();
            let grads: Vec<f32> = (0..param.len()).map(|i| (i % 7) as f32 - 3.0).collect();
            param.blocks[0].grad.write(&grads).unwrap();
            param
        };
        SIZES.iter().enumerate().map(param).collect()
    }

    fn optimizer(gpu: &Gpu, fields: &str, params: &ParamSet) -> Optimizer {
        let text = format!(
            "data = {{ name = 'digits' }}\nmodel = {{ preset = 'mlp', hidden = [4] }}\noptim = {{ {fields} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap().optim;
        Optimizer::new(gpu, &recipe, params).unwrap()
    }

    fn joined(gpu: &Gpu, optimizer: &mut Optimizer, params: &mut ParamSet) -> Vec<String> {
        optimizer.join(gpu, params).unwrap();
        optimizer.joints(params).iter().map(Joint::name).collect()
    }

    /// Two updates; every value and slot after them.
    fn updated(gpu: &Gpu, optimizer: &Optimizer, params: &ParamSet) -> Vec<Vec<f32>> {
        let step = optimizer.corrected(Step { rate: 0.1, update: 1, live: 1, ..Default::default() });
        let (step, totals) = (gpu.uniform("step", &step).unwrap(), Totals::tensor(gpu).unwrap());
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Update);
        optimizer.record(&mut rec, params, &step, &totals).unwrap();
        let plan = rec.finish().unwrap();
        plan.replay().unwrap();
        plan.replay().unwrap();
        let slots = optimizer.slots.iter().flatten().flatten().map(|slot| slot.read_f32().unwrap());
        params.iter().map(|param| param.read().unwrap()).chain(slots).collect()
    }

    #[test]
    fn small_parameters_are_updated_together_as_one_by_one() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for fields in ["name = 'sgd', lr = 0.1", "name = 'diffgrad', lr = 0.1, version = 2"] {
                let mut apart = params(&gpu);
                let alone = optimizer(&gpu, fields, &apart);
                let mut all = params(&gpu);
                let mut together = optimizer(&gpu, fields, &all);
                assert_eq!(joined(&gpu, &mut together, &mut all), ["p0 to p4", "p1 to p5"]);
                assert_eq!(updated(&gpu, &together, &all), updated(&gpu, &alone, &apart));
                // A frozen one stands between; it stays as it is.
                (apart[ParamId(2)].frozen, all[ParamId(2)].frozen) = (true, true);
                assert_eq!(joined(&gpu, &mut together, &mut all), ["p0", "p1 to p5", "p4"]);
                assert_eq!(updated(&gpu, &together, &all), updated(&gpu, &alone, &apart));
            }
        }
    }

    #[test]
    fn what_got_other_memory_is_moved_back_with_all_values() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        let mut all = params(&gpu);
        let mut optimizer = optimizer(&gpu, "name = 'adam', lr = 0.1", &all);
        joined(&gpu, &mut optimizer, &mut all);
        let before = updated(&gpu, &optimizer, &all);
        let own = gpu.upload_f32("p2", &[63, 3], &all[ParamId(2)].read().unwrap()).unwrap();
        all[ParamId(2)].blocks[0].weight = own;
        assert_eq!(joined(&gpu, &mut optimizer, &mut all), ["p0 to p4", "p1 to p5"]);
        assert_eq!(all[ParamId(2)].blocks[0].weight.label(), "p2");
        let slots = optimizer.slots.iter().flatten().flatten().map(|slot| slot.read_f32().unwrap());
        let after: Vec<_> = all.iter().map(|param| param.read().unwrap()).chain(slots).collect();
        assert_eq!(after, before);
    }

    /// The mean over a parameter's gradient is not that over its neighbours'.
    #[test]
    fn rules_that_look_at_a_whole_parameter_keep_it_apart() {
        let gpu = Gpu::twin();
        let mut all = params(&gpu);
        let mut optimizer = optimizer(&gpu, "name = 'diffgrad', lr = 0.1, version = 3", &all);
        assert_eq!(joined(&gpu, &mut optimizer, &mut all), ["p0", "p1", "p2", "p3", "p4", "p5"]);
    }
}
