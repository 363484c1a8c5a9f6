//! Limits of devices: those that kernels rely on, and those that plans respect.

use super::plan::MOST_TEXEL_BYTES;

/// One of WebGPU's default limits that kernels rely on.
pub(super) struct PortableLimit {
    pub name: &'static str,
    pub wanted: u64,
    pub of: fn(&wgpu::Limits) -> u64,
}

pub(super) fn portable_limits() -> Vec<PortableLimit> {
    let limit = |name, wanted, of| PortableLimit { name, wanted, of };
    vec![
        limit("storage buffers per stage", 8, |l| l.max_storage_buffers_per_shader_stage as u64),
        limit("storage binding bytes", 128 << 20, |l| l.max_storage_buffer_binding_size),
        limit("buffer bytes", 256 << 20, |l| l.max_buffer_size),
        limit("storage textures per stage", 4, |l| l.max_storage_textures_per_shader_stage as u64),
        limit("workgroup memory bytes", 16384, |l| l.max_compute_workgroup_storage_size as u64),
        limit("invocations per workgroup", 256, |l| l.max_compute_invocations_per_workgroup as u64),
        limit("workgroup size x", 256, |l| l.max_compute_workgroup_size_x as u64),
        limit("workgroups per dimension", 65535, |l| l.max_compute_workgroups_per_dimension as u64),
    ]
}

/// The largest storage binding that is asked for: kernels count bytes of it in 31 bits, and all of it in whole 256 bytes.
const LARGEST_BINDING: u64 = (2 << 30) - 256;

/// The largest that a device of this class is asked for: what software adapters read through textures fits one.
pub(super) fn largest_binding(class: &str) -> u64 {
    if class == "cpu" { MOST_TEXEL_BYTES } else { LARGEST_BINDING }
}

/// The limits that plans respect. Tests lower them to see tensors and grids split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest storage binding, bytes. Lowered to what the device offers.
    pub binding_bytes: u64,
    /// Workgroups in one dimension of a dispatch.
    pub groups: u32,
    /// Milliseconds that one submission aims at.
    pub submission_ms: u32,
}

impl Default for Limits {
    /// Bindings of nearly 2 GiB, WebGPU's grids, and 50 ms a submission.
    fn default() -> Self {
        Self { binding_bytes: LARGEST_BINDING, groups: 65535, submission_ms: 50 }
    }
}
