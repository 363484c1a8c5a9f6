//! What this device can do at most: the floor under every other figure follows from it.

use super::{Sheet, Times};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder};
use crate::ops::ceilings::{Ceiling, record};

/// Numbers of a tensor of so many MiB.
const MIB: usize = 1 << 18;
/// Fits the caches of most devices.
const CACHED: usize = 4 * MIB;
/// Does not.
const LARGE: usize = 64 * MIB;
const ARITHMETIC: (Ceiling, usize, u32) = (Ceiling::Arithmetic, CACHED, 256);
const MEMORY: (Ceiling, usize, u32) = (Ceiling::Quads, LARGE, 1);

pub(super) fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let mut rows = Vec::new();
    for (name, case) in [
        ("arithmetic", ARITHMETIC),
        ("loads of quads, cached", (Ceiling::Quads, CACHED, 16)),
        ("loads of texels, cached", (Ceiling::Texels, CACHED, 16)),
        ("read once and write, quads", MEMORY),
        ("read once and write, texels (copy included)", (Ceiling::Texels, LARGE, 1)),
    ] {
        let (times, rate) = rate(gpu, case, repeats)?;
        let figure = match case {
            (Ceiling::Arithmetic, ..) => format!("{rate:.1} GFLOP/s"),
            (_, _, 1) => format!("{rate:.2} GB/s"),
            _ => format!("{rate:.2} G numbers/s"),
        };
        rows.push(vec![name.to_string(), format!("{:.3}", times.median), times.spread(), figure]);
    }
    let title = "ceilings".to_string();
    Ok(vec![Sheet { name: "ceilings", title, header: &["what", "ms", "spread", "rate"], rows }])
}

/// GFLOP/s of sums in registers, and GB/s of reading once and writing.
pub fn rates(gpu: &Gpu) -> Result<[f64; 2]> {
    Ok([rate(gpu, ARITHMETIC, 3)?.1, rate(gpu, MEMORY, 3)?.1])
}

/// Times of a case, and what it reaches: G operations a second or, where all is read once, GB a second.
fn rate(gpu: &Gpu, (what, len, rounds): (Ceiling, usize, u32), repeats: usize) -> Result<(Times, f64)> {
    let (x, y) = (gpu.tensor("x", Dtype::F32, &[len])?, gpu.tensor("y", Dtype::F32, &[len])?);
    let mut rec = Recorder::new(gpu);
    record(&mut rec, what, rounds, &x, &y)?;
    let plan = rec.finish()?;
    let flops = plan.cost().flops as f64;
    let times = Times::of(plan.time(repeats)?);
    let all = if rounds == 1 { 2.0 * len as f64 * 4.0 } else { flops };
    Ok((times, all / times.median / 1e6))
}
