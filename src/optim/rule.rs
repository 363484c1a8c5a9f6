//! What an update rule is, what it may touch, and the settings that several rules read alike.

use super::joint::Part;
use crate::error::Result;
use crate::gpu::{Bind, Kernel, Recorder, Tensor, Uniform, WgslStruct};
use crate::ops::{Step, groups};
use crate::param::MaskMode;
use crate::recipe::Settings;

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

    /// Records `kernel`, or its entry point `by_texels`; where it reads the spread of the gradient, `by_spread` or
    /// `by_texels_and_spread`. `flops` are those of one weight.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: Kernel,
        args: &impl WgslStruct,
        flops: u64,
    ) -> Result<()> {
        let Part { weight, grad, mask, slots, weights } = self.part;
        let written = || [("weight", weight)].into_iter().chain(self.names.iter().copied().zip(slots));
        let mut binds: Vec<(&str, Bind)> = vec![
            ("args", args.into()),
            ("step", self.step.into()),
            ("totals", self.totals.into()),
            ("mask", mask.into()),
        ];
        binds.extend(written().map(|(name, tensor)| (name, tensor.into())));
        let all = || [("grad", grad)].into_iter().chain(written()).take(MOST_TEXTURES);
        let textures: Vec<String> = all().map(|(name, _)| format!("{name}_texels")).collect();
        if self.texels {
            binds
                .extend(textures.iter().zip(all()).map(|(name, (_, tensor))| (name.as_str(), tensor.into())));
        } else {
            binds.push(("grad", grad.into()));
        }
        binds.extend(self.spread.map(|spread| ("spread", spread.into())));
        let kernel = match (self.texels, self.spread) {
            (false, None) => kernel,
            (true, None) => kernel.entry("by_texels"),
            (false, Some(_)) => kernel.entry("by_spread"),
            (true, Some(_)) => kernel.entry("by_texels_and_spread"),
        };
        rec.dispatch(&kernel, &binds, groups(self.quads() as usize, 64), flops * *weights as u64)
    }
}

/// Textures of a kernel by WebGPU's default limit; a third slot is read from its buffer.
const MOST_TEXTURES: usize = 4;

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
