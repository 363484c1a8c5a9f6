//! Plans: what a step does, recorded once as plain data and replayed.

use std::sync::Arc;

use super::device::Gpu;
use super::kernel::{Bind, Kernel};
use super::reflect::{Access, Interface, Layout, Slot, reflect};
use super::replay::Compiled;
use super::tensor::{Span, Tensor};
use crate::error::{Error, Result};

/// The part of a step that a dispatch belongs to; times are reported by phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Batch,
    Forward,
    Loss,
    /// What the forward pass has computed and not kept.
    Recompute,
    Backward,
    Update,
    Masks,
}

impl Phase {
    pub const ALL: [Phase; 7] = [
        Phase::Batch,
        Phase::Forward,
        Phase::Loss,
        Phase::Recompute,
        Phase::Backward,
        Phase::Update,
        Phase::Masks,
    ];
    pub fn name(self) -> &'static str {
        match self {
            Phase::Batch => "batch",
            Phase::Forward => "forward",
            Phase::Loss => "loss",
            Phase::Recompute => "recompute",
            Phase::Backward => "backward",
            Phase::Update => "update",
            Phase::Masks => "masks",
        }
    }
}

/// What a dispatch has to do at least: floating-point operations, and bytes moved once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    pub flops: u64,
    pub bytes: u64,
}

impl std::ops::Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

/// One kernel with everything bound to it.
pub struct Dispatch {
    pub label: String,
    pub phase: Phase,
    pub kernel: Kernel,
    /// Workgroups in the row that the kernel sees.
    pub groups: u32,
    pub cost: Cost,
    pub(super) interface: Arc<Interface>,
    pub(super) spans: Vec<(String, Span)>,
    pub(super) constants: Vec<(String, Vec<u8>)>,
    pub(super) outputs: Vec<Tensor>,
}

impl Dispatch {
    /// The tensors that the kernel may write.
    pub fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }
}

/// Records dispatches. Every binding is checked against the shader, without a device.
pub struct Recorder {
    pub gpu: Gpu,
    phase: Phase,
    scope: String,
    dispatches: Vec<Dispatch>,
}

/// The most that a texture of 1,024 texels a row holds within WebGPU's default of 8,192 rows.
pub(super) const MOST_TEXEL_BYTES: u64 = 1024 * 8192 * 16;

/// Bindings of storage start on a multiple of this many bytes on every device.
pub(super) const OFFSET_ALIGNMENT: u64 = 256;

impl Recorder {
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), phase: Phase::Forward, scope: String::new(), dispatches: Vec::new() }
    }
    /// Later dispatches belong to this phase.
    pub fn phase(&mut self, phase: Phase) {
        self.phase = phase;
    }
    /// Later dispatches are labelled `scope kernel`: the name of a layer or tensor.
    pub fn scope(&mut self, scope: &str) {
        self.scope = scope.to_string();
    }

    /// Records one kernel over a row of `groups` workgroups. With none, nothing is recorded.
    ///
    /// # Errors
    /// A binding that the shader does not have or that lacks, a type or struct layout that differs, a
    /// tensor read and written at once, a misaligned start, a tensor beyond one binding.
    pub fn dispatch(
        &mut self,
        kernel: &Kernel,
        binds: &[(&str, Bind)],
        groups: u64,
        flops: u64,
    ) -> Result<()> {
        if groups == 0 {
            return Ok(());
        }
        let interface = reflect(kernel)?;
        let name = kernel.name();
        let fault = |what: String| {
            Error::internal(format!("kernel {name}: {what}")).at(format!("layer {}", self.scope))
        };
        for (bound, _) in binds {
            if !interface.slots.iter().any(|slot| slot.name == *bound) {
                let has = interface.slots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(fault(format!("has no binding `{bound}`; it has {has}")));
            }
        }
        if interface.shares_lanes && self.gpu.is_device() && !self.gpu.shares_lanes() {
            return Err(fault(
                "needs subgroups of at least eight invocations, which this device lacks".into(),
            ));
        }
        let mut spans: Vec<(String, Span)> = Vec::new();
        let mut constants = Vec::new();
        let mut outputs = Vec::new();
        let mut bytes = 0;
        for slot in interface.slots.iter().filter(|slot| slot.name != "grid") {
            let (_, bind) = binds
                .iter()
                .find(|(bound, _)| *bound == slot.name)
                .ok_or_else(|| fault(format!("nothing is bound to `{}`", slot.name)))?;
            check(slot, bind, self.gpu.limits().binding_bytes).map_err(&fault)?;
            match bind {
                Bind::Constant { bytes, .. } => constants.push((slot.name.clone(), bytes.clone())),
                Bind::Uniform(uniform) => spans.push((slot.name.clone(), uniform.span.clone())),
                Bind::Tensor(tensor) => {
                    bytes += tensor.bytes() * slot.moves;
                    for (other, span) in &spans {
                        let other = interface.slots.iter().find(|s| s.name == *other).map(|s| s.access);
                        let shared = Arc::ptr_eq(&span.buffer, &tensor.span.buffer);
                        // A texture is a copy, made before the kernel runs.
                        let copied = other == Some(Access::Texels) || slot.access == Access::Texels;
                        if shared && !copied && !(is_read(other) && is_read(Some(slot.access))) {
                            return Err(fault(format!("`{}` is bound twice and written", tensor.label())));
                        }
                    }
                    if slot.access == Access::ReadWrite {
                        outputs.push((*tensor).clone());
                    }
                    spans.push((slot.name.clone(), tensor.span.clone()));
                }
            }
        }
        let groups = u32::try_from(groups).map_err(|_| fault(format!("{groups} workgroups are too many")))?;
        let label = format!("{} {name}", self.scope).trim().to_string();
        self.dispatches.push(Dispatch {
            label,
            phase: self.phase,
            kernel: *kernel,
            groups,
            cost: Cost { flops, bytes },
            interface,
            spans,
            constants,
            outputs,
        });
        Ok(())
    }

    /// Says how many bytes the last dispatch moves, where it touches only a part of what is bound to it.
    pub fn moves(&mut self, bytes: u64) {
        if let Some(last) = self.dispatches.last_mut() {
            last.cost.bytes = bytes;
        }
    }

    /// Makes pipelines and bind groups. The plan can be replayed from now on.
    pub fn finish(self) -> Result<Plan> {
        let compiled = Compiled::new(&self.gpu, &self.dispatches)?;
        Ok(Plan { gpu: self.gpu, dispatches: self.dispatches, compiled })
    }
    /// As [`Recorder::finish`], of several: the pipelines of all are made side by side.
    pub fn finish_all(all: Vec<Recorder>) -> Result<Vec<Plan>> {
        if let Some(first) = all.first() {
            first.gpu.compile(all.iter().flat_map(|rec| &rec.dispatches))?;
        }
        all.into_iter().map(Recorder::finish).collect()
    }
}

fn is_read(access: Option<Access>) -> bool {
    matches!(access, Some(Access::Read | Access::Texels))
}

fn check(slot: &Slot, bind: &Bind, binding_bytes: u64) -> Result<(), String> {
    let name = &slot.name;
    match (bind, &slot.layout, slot.access) {
        (Bind::Tensor(tensor), Layout::Array { scalar, width }, Access::Read | Access::ReadWrite) => {
            if tensor.dtype().scalar() != *scalar {
                return Err(format!(
                    "`{name}` is {scalar:?} in the shader, {:?} in {}",
                    tensor.dtype(),
                    tensor.label()
                ));
            }
            if *width != 1 && *width != 4 {
                return Err(format!("`{name}` is an array of vec{width}; vec4 or scalars are portable"));
            }
            if !(tensor.span.first as u64 * 4).is_multiple_of(OFFSET_ALIGNMENT) {
                return Err(format!(
                    "`{name}` starts at byte {}, not a multiple of 256",
                    tensor.span.first * 4
                ));
            }
            if tensor.bytes() > binding_bytes {
                return Err(format!(
                    "`{name}` has {} bytes, a binding holds {binding_bytes}",
                    tensor.bytes()
                ));
            }
            Ok(())
        }
        (Bind::Tensor(tensor), Layout::Texels { scalar }, Access::Texels) => {
            let fits = tensor.dtype().scalar() == *scalar && tensor.bytes() <= MOST_TEXEL_BYTES;
            if fits { Ok(()) } else { Err(format!("`{name}`: {tensor:?} cannot be copied into a texture")) }
        }
        (Bind::Constant { fields, .. }, Layout::Struct { fields: shader, .. }, Access::Uniform) => {
            if fields == shader {
                Ok(())
            } else {
                Err(format!("`{name}` is {shader:?} in the shader, {fields:?} in Rust"))
            }
        }
        (Bind::Uniform(uniform), Layout::Struct { fields: shader, .. }, Access::Uniform) => {
            let same = &uniform.fields == shader;
            if same {
                Ok(())
            } else {
                Err(format!("`{name}` is {shader:?} in the shader, {:?} in Rust", uniform.fields))
            }
        }
        _ => Err(format!("`{name}` is {:?} in the shader: a struct and a tensor are confused", slot.access)),
    }
}

/// Recorded work: replaying it runs every dispatch in order.
pub struct Plan {
    pub(super) gpu: Gpu,
    pub dispatches: Vec<Dispatch>,
    pub(super) compiled: Compiled,
}

impl Plan {
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
    /// Operations and bytes of one replay.
    pub fn cost(&self) -> Cost {
        self.dispatches.iter().fold(Cost::default(), |sum, d| sum + d.cost)
    }
    /// Operations and bytes of one phase.
    pub fn cost_of(&self, phase: Phase) -> Cost {
        self.dispatches.iter().filter(|d| d.phase == phase).fold(Cost::default(), |sum, d| sum + d.cost)
    }
}
