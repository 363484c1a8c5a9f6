//! Optimizers. One is a kernel, its settings and its named slots; masks are applied inside the kernel.

use toml::Value;

use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Phase, Recorder, Tensor, Uniform};
use crate::param::{Block, Flow, Param};
use crate::recipe::{Optim, Settings, unknown};

mod adam;
mod sgd;

/// An optimizer in the list.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub paper: &'static str,
    /// Its settings with their defaults.
    pub settings: fn() -> Vec<(&'static str, Value)>,
    /// Names of the tensors it keeps for every weight, in the weight's shape, zero at first.
    pub slots: &'static [&'static str],
    pub build: fn(&Settings) -> Result<Box<dyn Rule>>,
    pub checks: fn() -> Vec<crate::gpu::check::Check>,
}

/// All optimizers.
pub const ALL: &[Entry] = &[sgd::ENTRY, adam::ENTRY];

/// An update rule with its settings.
pub trait Rule {
    /// Records the update of one block.
    fn record(&self, rec: &mut Recorder, target: &Target) -> Result<()>;
    /// Adam's bias corrections after `t` updates; 1 where a rule has none.
    fn corrections(&self, t: u64) -> (f32, f32) {
        let _ = t;
        (1.0, 1.0)
    }
}

/// Everything that an update of one block may touch.
pub struct Target<'a> {
    pub block: &'a Block,
    pub flow: Flow,
    pub slots: &'a [Tensor],
    pub step: &'a Uniform,
    /// The totals whose flag stops updates once a loss is not finite.
    pub totals: &'a Tensor,
    /// Whether to read through textures.
    pub texels: bool,
}

impl Target<'_> {
    /// Workgroups of 64 invocations, one per four weights.
    pub fn groups(&self) -> u64 {
        crate::ops::groups(self.block.quads(), 64)
    }
}

/// An optimizer with its slots for every parameter of a model.
pub struct Optimizer {
    pub entry: &'static Entry,
    rule: Box<dyn Rule>,
    /// By parameter, by block, in the order of `entry.slots`.
    slots: Vec<Vec<Vec<Tensor>>>,
}

/// The entry of that name, and its settings with every default filled in.
///
/// # Errors
/// `Kind::Usage` for an unknown name or key, with the nearest known one.
pub fn resolve(recipe: &Optim) -> Result<(&'static Entry, Settings)> {
    let entry = ALL
        .iter()
        .find(|entry| entry.name == recipe.name)
        .ok_or_else(|| unknown("optimizer", &recipe.name, ALL.iter().map(|entry| entry.name)))
        .map_err(|error| recipe.settings.locate("name", error))?;
    let settings = recipe.settings.resolve(&format!("optimizer `{}`", entry.name), &(entry.settings)())?;
    Ok((entry, settings))
}

/// Weights from which on reading through textures pays, on adapters where it does.
const MANY: usize = 1 << 16;

impl Optimizer {
    /// Makes the slots, all zero.
    pub fn new(gpu: &Gpu, recipe: &Optim, params: &[&Param]) -> Result<Self> {
        let (entry, settings) = resolve(recipe)?;
        let rule = (entry.build)(&settings)?;
        let mut slots = Vec::new();
        for param in params {
            let mut blocks = Vec::new();
            for block in &param.blocks {
                let slot = |name: &&str| {
                    gpu.tensor(&format!("{}.{name}", param.name), Dtype::F32, &block.weight.shape)
                };
                blocks.push(entry.slots.iter().map(slot).collect::<Result<Vec<_>>>()?);
            }
            slots.push(blocks);
        }
        Ok(Self { entry, rule, slots })
    }

    /// Records the update of all parameters but frozen ones.
    pub fn record(
        &self,
        rec: &mut Recorder,
        params: &[&Param],
        step: &Uniform,
        totals: &Tensor,
    ) -> Result<()> {
        rec.phase(Phase::Update);
        for (param, blocks) in params.iter().zip(&self.slots).filter(|(param, _)| !param.frozen) {
            rec.scope(&param.name);
            // For what is packed or small, copies into textures would cost more than they save.
            let texels = rec.gpu.prefers_texels() && param.packed.is_none() && param.len() > MANY;
            let flow = param.update_flow();
            for (block, slots) in param.blocks.iter().zip(blocks) {
                self.rule.record(rec, &Target { block, flow, slots, step, totals, texels })?;
            }
        }
        Ok(())
    }

    pub fn corrections(&self, t: u64) -> (f32, f32) {
        self.rule.corrections(t)
    }
    /// Slots of one parameter, by block, to be replaced where its storage changes.
    pub fn slots_mut(&mut self, param: usize) -> &mut Vec<Vec<Tensor>> {
        &mut self.slots[param]
    }
    /// Slots of one parameter, by block.
    pub fn slots_of(&self, param: usize) -> &[Vec<Tensor>] {
        &self.slots[param]
    }
}

/// Every check of this room.
pub fn checks() -> Vec<crate::gpu::check::Check> {
    ALL.iter().flat_map(|entry| (entry.checks)()).collect()
}

/// A non-negative number.
fn at_least_zero(settings: &Settings, key: &str) -> Result<f32> {
    let value = settings.f32(key)?;
    if value >= 0.0 { Ok(value) } else { Err(settings.wrong(key, "a number of at least 0")) }
}

/// A share that leaves something: 0 up to, not including, 1.
fn below_one(settings: &Settings, key: &str) -> Result<f32> {
    let value = settings.f32(key)?;
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(settings.wrong(key, "a number from 0 up to, not including, 1"))
    }
}

/// Whether weight `i` is kept; all are where there is no mask.
fn is_kept(flow: u32, mask: &[u32], i: usize) -> bool {
    flow == Flow::Free as u32 || mask[i / 32] >> (i % 32) & 1 == 1
}

/// What is stored: 0 for the pruned weights of a held mask.
fn hold(flow: u32, kept: bool, value: f32) -> f32 {
    if kept || flow != Flow::Held as u32 { value } else { 0.0 }
}

/// The checks that every optimizer gets: each flow on ragged sizes, and the flag that stops it.
fn update_checks(
    name: &'static str,
    slots: usize,
    rule: impl Fn() -> Box<dyn Rule> + Send + Sync + Clone + 'static,
) -> Vec<crate::gpu::check::Check> {
    use crate::gpu::check::{Check, Tolerance};
    let cases = [
        (Flow::Free, 0, false),
        (Flow::Held, 0, false),
        (Flow::Latent, 0, false),
        (Flow::Held, 7, false),
        (Flow::Held, 0, true),
    ];
    let one = |(flow, broken, texels): (Flow, u32, bool)| {
        let suffix = match (broken, texels) {
            (0, false) => "",
            (0, true) => ", texels",
            _ => ", stopped",
        };
        let rule = rule.clone();
        Check::new(format!("optim/{name} ({flow:?}{suffix})"), move |t, n| {
            // One unit in the last place a rounding, over a handful of operations; division and root included.
            let close = Tolerance { abs: 2e-6, rel: 4e-6 };
            let step =
                crate::ops::Step { rate: 0.1, correction1: 0.271, correction2: 0.003, ..Default::default() };
            let step = t.gpu.uniform("step", &step)?;
            let weight = t.input("weight", &[n])?;
            t.compare(&weight, close);
            let (grad, mask) = (t.input("grad", &[n])?, t.bits("mask", n.div_ceil(32).max(1))?);
            let totals = t.gpu.upload_u32("totals", &[5], &[0, 0, 0, 0, broken])?;
            let mut all = Vec::new();
            for slot in 0..slots {
                // Second moments are squares: never negative.
                let values: Vec<f32> =
                    t.values(n).iter().map(|v| if slot == 1 { v * v } else { *v }).collect();
                all.push(t.gpu.upload_f32("slot", &[n], &values)?);
                t.compare(&all[slot], close);
            }
            let block = Block { rows: 0..n, weight, grad, mask, latent: None };
            rule().record(
                &mut t.rec,
                &Target { block: &block, flow, slots: &all, step: &step, totals: &totals, texels },
            )
        })
    };
    cases.map(one).into()
}
