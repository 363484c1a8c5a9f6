//! What one dispatch updates: a parameter, or small ones that lie side by side (`param::ParamSet::join`).

use super::Optimizer;
use crate::gpu::Tensor;
use crate::param::{MANY, MaskMode, Param, ParamSet};

/// What is updated together: one parameter, or small ones that follow each other in memory.
pub(super) struct Joint {
    first: String,
    last: String,
    pub mode: MaskMode,
    /// Whether it has rows and columns; biases and scales have none.
    pub is_matrix: bool,
    /// Whether textures pay: for what is packed or small, copies into them would cost more than they save.
    pub texels: bool,
    pub parts: Vec<Part>,
}

/// A run of weights in one binding, with all that an update touches.
pub(super) struct Part {
    /// What the optimizer moves.
    pub weight: Tensor,
    pub grad: Tensor,
    /// Which of them it moves.
    pub mask: Tensor,
    pub slots: Vec<Tensor>,
    /// How many there are: between those of several parameters there is room besides.
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
            weight: self.weight.through(&next.weight)?,
            grad: self.grad.through(&next.grad)?,
            mask: self.mask.clone(),
            slots: slots.collect::<Option<_>>()?,
            weights: self.weights + next.weights,
        })
    }
}

impl Optimizer {
    fn parts(&self, param: &Param) -> Vec<Part> {
        let (stored, trained) = (param.stored(), param.trained());
        let part = |number: usize| {
            let slot = |name: &&str| param.tensors(name)[number].clone();
            Part {
                weight: stored[number].clone(),
                grad: param.segments[number].grad.clone(),
                mask: trained[number].clone(),
                slots: self.entry.slots.iter().map(slot).collect(),
                weights: stored[number].len(),
            }
        };
        (0..param.segments.len()).map(part).collect()
    }

    /// All parameters but frozen ones, those that follow each other in memory as one.
    pub(super) fn joints(&self, params: &ParamSet) -> Vec<Joint> {
        let mut joints: Vec<Joint> = Vec::new();
        for param in params.iter().filter(|param| param.trains()) {
            let parts = self.parts(param);
            let joins = param.is_small() && !self.rule.mixes();
            let mut alike = joints.iter_mut().filter(|joint| joint.is_matrix == param.is_matrix());
            if joins && alike.any(|joint| joint.extend(&param.name, &parts[0])) {
                continue;
            }
            joints.push(Joint {
                first: param.name.clone(),
                last: param.name.clone(),
                mode: param.update_mode(),
                is_matrix: param.is_matrix(),
                texels: param.packed().is_none() && param.len() > MANY,
                parts,
            });
        }
        joints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu, Phase, Recorder};
    use crate::ops::Step;
    use crate::ops::tally::Totals;
    use crate::param::ParamId;
    use crate::recipe::Recipe;

    const SIZES: [&[usize]; 6] = [&[5, 13], &[5], &[63, 3], &[64], &[1, 257], &[1]];

    fn params(gpu: &Gpu) -> ParamSet {
        let param = |(index, shape): (usize, &&[usize])| {
            let mut param = Param::new(
                &format!("p{index}.{}", if shape.len() > 1 { "weight" } else { "bias" }),
                shape,
                Box::new(move |i| (index * 1000 + i as usize) as f32 / 8.0),
            );
            param.allocate(gpu).unwrap();
            let grads: Vec<f32> = (0..param.len()).map(|i| (i % 7) as f32 - 3.0).collect();
            param.segments[0].grad.write(&grads).unwrap();
            param
        };
        SIZES.iter().enumerate().map(param).collect()
    }

    fn optimizer(gpu: &Gpu, fields: &str, params: &mut ParamSet) -> Optimizer {
        let text = format!(
            "data = {{ name = 'digits' }}\nmodel = {{ preset = 'mlp', hidden = [4] }}\noptim = {{ {fields} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap().optim;
        Optimizer::new(gpu, &recipe, params).unwrap()
    }

    fn joined(gpu: &Gpu, optimizer: &Optimizer, params: &mut ParamSet) -> Vec<String> {
        params.join(gpu).unwrap();
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
        let slots = params.iter().flat_map(Param::slots).map(|slot| slot.read_f32().unwrap());
        params.iter().map(|param| param.read().unwrap()).chain(slots).collect()
    }

    #[test]
    fn small_parameters_are_updated_together_as_one_by_one() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for fields in ["name = 'sgd', lr = 0.1", "name = 'diffgrad', lr = 0.1, version = 2"] {
                let mut apart = params(&gpu);
                let alone = optimizer(&gpu, fields, &mut apart);
                let mut all = params(&gpu);
                let together = optimizer(&gpu, fields, &mut all);
                assert_eq!(
                    joined(&gpu, &together, &mut all),
                    ["p0.weight to p4.weight", "p1.bias to p5.bias"]
                );
                assert_eq!(updated(&gpu, &together, &all), updated(&gpu, &alone, &apart));
                // A frozen one stands between; it stays as it is.
                (apart[ParamId(2)].frozen, all[ParamId(2)].frozen) = (true, true);
                assert_eq!(
                    joined(&gpu, &together, &mut all),
                    ["p0.weight", "p1.bias to p5.bias", "p4.weight"]
                );
                assert_eq!(updated(&gpu, &together, &all), updated(&gpu, &alone, &apart));
            }
        }
    }

    #[test]
    fn what_got_other_memory_is_moved_back_with_all_values() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        let mut all = params(&gpu);
        let optimizer = optimizer(&gpu, "name = 'adam', lr = 0.1", &mut all);
        joined(&gpu, &optimizer, &mut all);
        let before = updated(&gpu, &optimizer, &all);
        let own = gpu.upload_f32("p2", &[63, 3], &all[ParamId(2)].read().unwrap()).unwrap();
        all[ParamId(2)].segments[0].weight = own;
        assert_eq!(joined(&gpu, &optimizer, &mut all), ["p0.weight to p4.weight", "p1.bias to p5.bias"]);
        assert_eq!(all[ParamId(2)].segments[0].weight.label(), "p2");
        let slots = all.iter().flat_map(Param::slots).map(|slot| slot.read_f32().unwrap());
        let after: Vec<_> = all.iter().map(|param| param.read().unwrap()).chain(slots).collect();
        assert_eq!(after, before);
    }

    /// The mean over a parameter's gradient is not that over its neighbours'.
    #[test]
    fn rules_that_look_at_a_whole_parameter_keep_it_apart() {
        let gpu = Gpu::twin();
        let mut all = params(&gpu);
        let optimizer = optimizer(&gpu, "name = 'diffgrad', lr = 0.1, version = 3", &mut all);
        assert_eq!(
            joined(&gpu, &optimizer, &mut all),
            all.iter().map(|param| param.name.clone()).collect::<Vec<_>>()
        );
    }
}
