//! Counter-based random words on the device: the same words as [`crate::random`] gives on the host.

use super::groups;
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::random::{self, Stream};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/random_words.wgsl`.
    pub struct Args { len: u32, seed_low: u32, seed_high: u32, stream: u32, step: u32, tensor: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/random_words"), twin);
const WG: usize = 64;

/// Fills `out` with the words of (seed, stream, step, tensor).
pub fn record(
    rec: &mut Recorder,
    seed: u64,
    stream: Stream,
    step: u32,
    tensor: u32,
    out: &Tensor,
) -> Result<()> {
    let args = Args {
        len: out.len() as u32,
        seed_low: seed as u32,
        seed_high: (seed >> 32) as u32,
        stream: stream as u32,
        step,
        tensor,
    };
    let blocks = out.len().div_ceil(4);
    rec.dispatch(&MAIN, bind! { args: &args, out: out }, groups(blocks, WG), 0)
}

fn twin(t: &Twin) {
    let args: Args = t.get("args");
    for (block, words) in t.u32_mut("out").chunks_mut(4).enumerate() {
        let counter = [block as u32, args.tensor, args.step, args.stream];
        let all = random::philox4x32_10(counter, [args.seed_low, args.seed_high]);
        words.copy_from_slice(&all[..words.len()]);
    }
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/random_words", |t, n| {
        let out = t.output_u32("out", &[n])?;
        record(&mut t.rec, 0x0123_4567_89ab_cdef, Stream::Growth, 17, 3, &out)
    })]
}
