//! How kernels fetch what they read: software adapters load a texel several times as fast as a word of a buffer, and lose
//! time where many invocations wait for each other (docs/performance.md).

use crate::gpu::{Gpu, Kernel, Source, Twin};

/// The class of kernels that a device has, where there are two that compute the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// From buffers; what goes along rows has as many invocations a workgroup as a GPU wants.
    Buffers,
    /// From textures; what goes along rows has eight: for software adapters.
    Texels,
}

impl Fetch {
    pub const ALL: [Fetch; 2] = [Fetch::Buffers, Fetch::Texels];

    pub fn of(gpu: &Gpu) -> Self {
        if gpu.prefers_texels() { Fetch::Texels } else { Fetch::Buffers }
    }
    /// An entry point that fetches so. `entry`: its name, and what the kernel is called but for how it fetches. `parts`: what
    /// reads buffers, and what reads textures. All reads are clamped or guarded.
    pub(super) fn kernel(
        self,
        source: Source,
        [entry, called]: [&'static str; 2],
        [buffers, texels]: [Source; 2],
        consts: &[(&'static str, u32)],
        twin: fn(&Twin),
    ) -> Kernel {
        let (suffix, part) = match self {
            Fetch::Buffers => ("", buffers),
            Fetch::Texels => ("_texels", texels),
        };
        Kernel::own(source, twin).entry(entry).proven().variant([called, suffix], consts, &[part])
    }
    /// Invocations of a workgroup that goes along rows.
    pub(super) fn lanes(self) -> usize {
        match self {
            Fetch::Buffers => 256,
            Fetch::Texels => 8,
        }
    }
    /// The constants of a kernel whose workgroups go over parts of so many quads, four quads an invocation and round.
    pub(super) fn rounds(self, part: usize) -> [(&'static str, u32); 2] {
        [("WG", self.lanes() as u32), ("ROUNDS", (part / 4 / self.lanes()) as u32)]
    }
}
