//! What this device can do at most: the floor under every other figure follows from it.

use super::{Sheet, Times};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder};
use crate::ops::ceilings::{Ceiling, record};

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let mut rows = Vec::new();
    // 4 MiB fit the caches of most devices; 64 MiB do not.
    for (name, what, mib, rounds) in [
        ("arithmetic", Ceiling::Arithmetic, 4, 256),
        ("loads of quads, cached", Ceiling::Quads, 4, 16),
        ("loads of texels, cached", Ceiling::Texels, 4, 16),
        ("read once and write, quads", Ceiling::Quads, 64, 1),
        ("read once and write, texels (copy included)", Ceiling::Texels, 64, 1),
    ] {
        let len = mib << 18;
        let (x, y) = (gpu.tensor("x", Dtype::F32, &[len])?, gpu.tensor("y", Dtype::F32, &[len])?);
        let mut rec = Recorder::new(gpu);
        record(&mut rec, what, rounds, &x, &y)?;
        let plan = rec.finish()?;
        let flops = plan.cost().flops as f64;
        let times = Times::of(plan.time(repeats)?);
        let figure = match (what, rounds) {
            (Ceiling::Arithmetic, _) => format!("{:.1} GFLOP/s", flops / times.median / 1e6),
            (_, 1) => format!("{:.2} GB/s", 2.0 * len as f64 * 4.0 / times.median / 1e6),
            _ => format!("{:.2} G numbers/s", flops / times.median / 1e6),
        };
        rows.push(vec![name.to_string(), format!("{:.3}", times.median), times.spread(), figure]);
    }
    let title = "ceilings".to_string();
    Ok(vec![Sheet { name: "ceilings", title, header: &["what", "ms", "spread", "rate"], rows }])
}
