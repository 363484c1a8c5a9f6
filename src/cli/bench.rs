//! `coppice bench`: what this device can do.

use super::{Device, print_json, say};
use crate::error::Result;
use crate::ops::variants::{Product, Shape, time_all};
use crate::report::table;

#[derive(clap::Args)]
pub struct Bench {
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        let gpu = self.device.open()?;
        let mut lines = Vec::new();
        for (rows, inner) in [(1024, 784), (1024, 1024), (512, 784), (512, 512), (10, 1024)] {
            let shape = Shape::new(rows, inner, 128);
            for product in Product::ALL {
                for (variant, ms) in time_all(&gpu, product, shape, 5)? {
                    let rate = shape.flops() as f64 / ms / 1e6;
                    lines.push(vec![
                        variant.name.to_string(),
                        format!("{rows}x{inner}x128"),
                        format!("{ms:.3}"),
                        format!("{rate:.1}"),
                    ]);
                }
            }
        }
        if self.json {
            return print_json(&serde_json::json!({ "schema": 1, "rows": lines }));
        }
        say(&table::rows(&["variant", "shape", "ms", "GFLOP/s"], &lines))
    }
}
