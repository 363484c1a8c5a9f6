//! GFLOP/s of every variant of the dense products, of linear layers and of convolutions.

use super::{Sheet, Times};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::measure::dense::trials;
use crate::ops::variants::{Product, Shape, suitable};
use crate::ops::window::Window;

const SHAPES: [(usize, usize); 6] = [(1024, 1024), (1024, 784), (512, 784), (512, 512), (10, 512), (63, 65)];

/// Convolutions of 3x3 with borders: outputs, inputs, and height and width. Each stands beside the linear product of its size.
const CONVOLUTIONS: [(usize, usize, usize); 4] = [(64, 32, 14), (32, 1, 28), (16, 16, 28), (64, 64, 7)];

/// All of them, at a batch of 128.
fn shapes() -> impl Iterator<Item = Shape> {
    let linear = SHAPES.into_iter().map(|(outputs, inputs)| Shape::new(outputs, inputs, 128));
    let pairs = CONVOLUTIONS.into_iter().flat_map(|(outputs, inputs, side)| {
        let window = Window { padding: 1, ..Window::of([side; 2], [3; 2]) };
        let linear = Shape::new(outputs, inputs * window.taps(), side * side * 128);
        [Shape { window: Some(window), ..linear }, linear]
    });
    linear.chain(pairs)
}

pub fn measure(gpu: &Gpu, repeats: usize) -> Result<Vec<Sheet>> {
    let mut rows = Vec::new();
    for shape in shapes() {
        for product in Product::ALL {
            let all: Vec<_> = suitable(gpu, product, shape).collect();
            for (variant, plan) in all.iter().zip(trials(gpu, product, shape, &all)?) {
                let times = Times::of(plan.time(repeats)?);
                rows.push(vec![
                    variant.name.to_string(),
                    shape.to_string(),
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
