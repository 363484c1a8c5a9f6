//! GFLOP/s of every variant of the dense products.

use super::{Sheet, Times};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::dense::trials;
use crate::ops::variants::{Product, Shape, suitable};

const SHAPES: [(usize, usize); 6] = [(1024, 1024), (1024, 784), (512, 784), (512, 512), (10, 512), (63, 65)];

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let mut rows = Vec::new();
    for (outputs, inputs) in SHAPES {
        let shape = Shape::new(outputs, inputs, 128);
        for product in Product::ALL {
            let all: Vec<_> = suitable(gpu, product, shape).collect();
            for (variant, plan) in all.iter().zip(trials(gpu, product, shape, &all)?) {
                let times = Times::of(plan.time(repeats)?);
                rows.push(vec![
                    variant.name.to_string(),
                    format!("{outputs}x{inputs}x128"),
                    format!("{:.3}", times.median),
                    times.spread(),
                    format!("{:.1}", shape.flops() as f64 / times.median / 1e6),
                ]);
            }
        }
    }
    let title = "dense products, outputs x inputs x columns (copies into textures included)".to_string();
    Ok(vec![Sheet { name: "kernels", title, header: &["variant", "shape", "ms", "spread", "GFLOP/s"], rows }])
}
