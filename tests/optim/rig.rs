//! A parameter and its optimizer, with gradients from the test: what an update does and nothing else.

use coppice::error::Result;
use coppice::gpu::{Gpu, Phase, Plan, Recorder, Uniform};
use coppice::ops::Step;
use coppice::ops::tally::Totals;
use coppice::optim::Optimizer;
use coppice::param::{Companion, MaskMode, Param, ParamId, ParamSet, Storage};
use coppice::recipe::{Optim, Recipe, Shape};

/// `[optim]` of a recipe, from the fields between its braces.
pub fn optim(fields: &str) -> Optim {
    let text = format!(
        "data = {{ name = 'digits' }}\nmodel = {{ preset = 'mlp', hidden = [4] }}\noptim = {{ {fields} }}"
    );
    Recipe::parse(&text, "test", &[]).expect("a recipe").optim
}

const W: ParamId = ParamId(0);

pub struct Rig {
    pub optimizer: Optimizer,
    params: ParamSet,
    rate: f32,
    step: Uniform,
    update: Plan,
}

impl Rig {
    /// `mask` holds bits, as a parameter's mask does; it is of no account where `mode` is free.
    pub fn new(gpu: &Gpu, fields: &str, weights: &[f32], mode: MaskMode, mask: &[u32]) -> Result<Self> {
        let mut param = Param::new("w", &[1, weights.len()], Box::new(|_| 0.0));
        if mode != MaskMode::Free {
            param.storage = Storage::Masked(mode);
        }
        param.allocate(gpu)?;
        param.write(weights)?;
        if mode != MaskMode::Free {
            param.write_mask(mask)?;
        }
        let recipe = optim(fields);
        let Shape::Constant { value } = recipe.lr.shape else { panic!("{fields}: the rate is no number") };
        let mut params = ParamSet::from_iter([param]);
        let optimizer = Optimizer::new(gpu, &recipe, &mut params)?;
        let step = gpu.uniform("step", &Step::default())?;
        let totals = Totals::tensor(gpu)?;
        let mut rec = Recorder::new(gpu);
        rec.phase(Phase::Update);
        optimizer.record(&mut rec, &params, &step, &totals)?;
        let update = rec.finish()?;
        Ok(Self { optimizer, params, rate: value as f32, step, update })
    }

    /// Sets every slot of every weight, pruned ones too, to `value`.
    pub fn fill_slots(&self, value: f32) -> Result<()> {
        let mut slots = self.params[W].slots().flat_map(Companion::tensors);
        slots.try_for_each(|slot| slot.write(&vec![value; self.params[W].len()]))
    }

    /// Update number `t`, counted from 1.
    pub fn update(&self, t: u32, grad: &[f32]) -> Result<()> {
        self.params[W].segments[0].grad.write(grad)?;
        let step = Step { step: t - 1, live: 1, rate: self.rate, update: t, ..Default::default() };
        self.step.write(&self.optimizer.corrected(step))?;
        self.update.replay()
    }

    /// The weights, also those behind a latent mask.
    pub fn weights(&self) -> Result<Vec<f32>> {
        self.params[W].read_stored()
    }

    /// The slots with their names.
    pub fn slots(&self) -> Result<Vec<(&'static str, Vec<f32>)>> {
        self.params[W].slots().map(|slot| Ok((slot.name, slot.read_f32()?))).collect()
    }
}
