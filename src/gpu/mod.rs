//! Device, tensors, shaders and plans: the only room that says `wgpu::`.
//!
//! A [`Kernel`] is a WGSL entry point with its CPU twin. A [`Recorder`] binds tensors to it by name,
//! checks every binding against what naga reads in the shader, and yields a [`Plan`]: plain data that is
//! replayed every step, on an adapter or, where there is none, on the twins.

mod adapter;
pub mod bf16;
pub mod check;
mod device;
mod kernel;
mod limits;
mod memory;
mod mirror;
mod pace;
mod pipelines;
mod plan;
mod profile;
mod reads;
mod reflect;
mod replay;
mod shader;
mod tensor;

pub use adapter::{Adapter, Choice, adapters};
pub use device::{Gpu, Identity, Memory};
pub use kernel::{Bind, Field, Kernel, Scalar, Twin, WgslScalar, WgslStruct};
pub use limits::Limits;
pub use plan::{Cost, Dispatch, Phase, Plan, Recorder};
pub use profile::{Clock, Profiler, Timing};
pub use reflect::{Access, Interface, Layout, NEEDS_SUBGROUPS, Slot, reflect};
pub use shader::{Source, expand};
pub use tensor::{Dtype, Tensor, Uniform};
