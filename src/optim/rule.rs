//! What an update rule is, what it may touch, and the settings that several rules read alike.

use super::joint::Part;
use crate::error::Result;
use crate::gpu::{Bind, Kernel, Recorder, Tensor, Uniform, WgslStruct};
use crate::ops::{Step, groups};
use crate::param::MaskMode;
use crate::recipe::Settings;
use crate::source;

/// An update rule with its settings.
pub trait Rule {
    /// Records what an update needs to know of the gradient of a whole parameter, all segments of which are `targets`.
    fn record_spread(&self, rec: &mut Recorder, targets: &[Target]) -> Result<Option<Tensor>> {
        let _ = (rec, targets);
        Ok(None)
    }
    /// Whether what becomes of one weight depends on others of its parameter.
    fn mixes(&self) -> bool {
        false
    }
    /// Records the update of one segment.
    fn record(&self, rec: &mut Recorder, target: &Target) -> Result<()>;
    /// `step` with what the rule needs to know of its update number `step.update`, and is better computed on the
    /// host: a function of that number alone, so that a resumed run needs no more than the number.
    fn corrected(&self, step: Step) -> Step {
        step
    }
}

/// Everything that an update of one segment may touch.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    pub(super) part: &'a Part,
    pub mode: MaskMode,
    /// The slots' names, which are also those of their bindings.
    pub names: &'a [&'static str],
    pub step: &'a Uniform,
    /// The totals whose flag stops updates once a loss is not finite.
    pub totals: &'a Tensor,
    /// Whether to read through textures.
    pub texels: bool,
    /// What [`Rule::record_spread`] gave.
    pub spread: Option<&'a Tensor>,
}

impl Target<'_> {
    /// Groups of four weights, one an invocation.
    pub(super) fn quads(&self) -> u32 {
        self.part.weight.len().div_ceil(4) as u32
    }

    /// Records `kernel`, which reads through textures where `texels` says so. `flops` are those of one weight.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: Kernel,
        args: &impl WgslStruct,
        flops: u64,
    ) -> Result<()> {
        let Part { weight, grad, mask, slots, weights } = self.part;
        let mut binds: Vec<(&str, Bind)> = vec![
            ("args", args.into()),
            ("step", self.step.into()),
            ("totals", self.totals.into()),
            ("mask", mask.into()),
            ("weight", weight.into()),
        ];
        binds.extend(self.names.iter().copied().zip(slots.iter().map(Bind::from)));
        if self.texels {
            let read = [grad, weight].into_iter().chain(slots);
            binds.extend(TEXTURES.into_iter().zip(read.map(Bind::from)));
        } else {
            binds.push(("grad", grad.into()));
        }
        binds.extend(self.spread.map(|spread| ("spread", spread.into())));
        let row = groups(self.quads() as usize, 64);
        rec.dispatch(&reading(kernel, self.texels), &binds, row, flops * *weights as u64)
    }
}

/// What `shaders/optim/by_texels.wgsl` reads: as many as WebGPU's default limit.
const TEXTURES: [&str; 4] = ["grad_texels", "weight_texels", "slot_0_texels", "slot_1_texels"];

/// A kernel with the part that its source leaves open: whether it reads through textures, or from buffers.
pub(super) fn reading(kernel: Kernel, texels: bool) -> Kernel {
    let (end, part) =
        if texels { (":by_texels", source!("optim/by_texels")) } else { ("", source!("optim/by_buffers")) };
    kernel.variant([kernel.source.path, end], &[], &[part])
}

/// Whether weight `i` is kept; all are where there is no mask.
pub(super) fn is_kept(mode: u32, mask: &[u32], i: usize) -> bool {
    mode == MaskMode::Free as u32 || mask[i / 32] >> (i % 32) & 1 == 1
}

/// What is stored: 0 for the pruned weights of a held mask.
pub(super) fn hold(mode: u32, kept: bool, value: f32) -> f32 {
    if kept || mode != MaskMode::Held as u32 { value } else { 0.0 }
}

/// A non-negative number.
pub(super) fn at_least_zero(settings: &Settings, key: &str) -> Result<f32> {
    let value = settings.f32(key)?;
    if value >= 0.0 { Ok(value) } else { Err(settings.wrong(key, "a number of at least 0")) }
}

/// A share that leaves something: 0 up to, not including, 1.
pub(super) fn below_one(settings: &Settings, key: &str) -> Result<f32> {
    let value = settings.f32(key)?;
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(settings.wrong(key, "a number from 0 up to, not including, 1"))
    }
}

/// The number that keeps a divisor above 0.
pub(super) fn epsilon(settings: &Settings) -> Result<f32> {
    let value = settings.f32("epsilon")?;
    if value >= f32::MIN_POSITIVE {
        Ok(value)
    } else {
        Err(settings.wrong("epsilon", "a number above 1.2e-38: devices may flush smaller ones to 0"))
    }
}
