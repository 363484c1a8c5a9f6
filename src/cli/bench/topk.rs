//! The exact global top-k over 1, 4 and 16 million weights, beside the time of reading them once.

use super::{Sheet, Times};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Recorder};
use crate::ops::sum;
use crate::random::{Stream, uniform};
use crate::sparsity::select::topk::Selection;

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let mut rows = Vec::new();
    for millions in [1usize, 4, 16] {
        let len = millions << 20;
        let values: Vec<f32> =
            (0..len as u32).map(|i| uniform(1, Stream::Synthetic, 0, 0, i) - 0.5).collect();
        let score = gpu.upload_f32("score", &[len], &values)?;
        let mask = gpu.tensor("mask", Dtype::U32, &[len / 32])?;
        let mut rec = Recorder::new(gpu);
        let selection = Selection::over(&mut rec, &[(&score, &mask)])?;
        selection.keep(len / 10)?;
        let select = Times::of(rec.finish()?.time(repeats)?);
        let result = gpu.tensor("sum", Dtype::F32, &[1])?;
        let mut rec = Recorder::new(gpu);
        sum::record_squares(&mut rec, &score, &result)?;
        let once = Times::of(rec.finish()?.time(repeats)?);
        rows.push(vec![
            format!("{len}"),
            format!("{:.2}", select.median),
            select.spread(),
            format!("{:.2}", once.median),
            format!("{:.1}", select.median / once.median),
        ]);
    }
    let title = "exact top-k of magnitudes, a tenth kept".to_string();
    Ok(vec![Sheet {
        name: "topk",
        title,
        header: &["weights", "ms", "spread", "read once, ms", "times a read"],
        rows,
    }])
}
