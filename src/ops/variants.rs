//! The variants of the dense products, and the choice among them: by measurement on the user's own
//! device, kept per adapter and driver, and written into the run's record.
//!
//! Register-blocked variants win on software adapters, workgroup tiles on GPUs; see docs/performance.md.

use std::collections::BTreeMap;
use std::time::Instant;

use super::linear::{Args, twin_forward, twin_input_grad, twin_weight_grad};
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Bind, Dtype, Gpu, Kernel, Recorder};
use crate::{bind, source};

/// The three products of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Forward,
    InputGrad,
    WeightGrad,
}

impl Product {
    pub const ALL: [Product; 3] = [Product::Forward, Product::InputGrad, Product::WeightGrad];
    pub fn name(self) -> &'static str {
        match self {
            Product::Forward => "forward",
            Product::InputGrad => "input_grad",
            Product::WeightGrad => "weight_grad",
        }
    }
}

/// Outputs, inputs and columns of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub cols: usize,
}

impl Shape {
    pub fn new(rows: usize, inner: usize, cols: usize) -> Self {
        Self { rows, inner, cols }
    }
    /// One multiplication and one addition for every weight and column.
    pub fn flops(self) -> u64 {
        2 * (self.rows * self.inner * self.cols) as u64
    }
    pub(super) fn args(self, relu: bool, accumulate: bool) -> Args {
        Args {
            rows: self.rows as u32,
            inner: self.inner as u32,
            cols: self.cols as u32,
            relu: relu as u32,
            accumulate: accumulate as u32,
        }
    }
}

/// One way to compute a product.
pub struct Variant {
    pub name: &'static str,
    pub product: Product,
    pub kernel: Kernel,
    /// Workgroups in the row.
    pub groups: fn(Shape) -> u64,
    /// Whether the kernel can do this shape at all.
    pub fits: fn(Shape) -> bool,
}

impl Variant {
    pub(super) fn dispatch(&self, rec: &mut Recorder, binds: &[(&str, Bind)], shape: Shape) -> Result<()> {
        rec.dispatch(&self.kernel, binds, (self.groups)(shape), shape.flops())
    }
}

fn any(_: Shape) -> bool {
    true
}

const PLAIN_WG: usize = 64;

/// All variants; of those that fit, the first of each product is the fixed default.
pub const ALL: &[Variant] = &[
    Variant {
        name: "forward/plain",
        product: Product::Forward,
        kernel: Kernel::new(source!("ops/linear_plain"), twin_forward).entry("forward"),
        groups: |s| (s.rows * s.cols).div_ceil(PLAIN_WG) as u64,
        fits: any,
    },
    Variant {
        name: "input_grad/plain",
        product: Product::InputGrad,
        kernel: Kernel::new(source!("ops/linear_plain"), twin_input_grad).entry("input_grad"),
        groups: |s| (s.inner * s.cols).div_ceil(PLAIN_WG) as u64,
        fits: any,
    },
    Variant {
        name: "weight_grad/plain",
        product: Product::WeightGrad,
        kernel: Kernel::new(source!("ops/linear_plain"), twin_weight_grad).entry("weight_grad"),
        groups: |s| (s.rows * s.inner).div_ceil(PLAIN_WG) as u64,
        fits: any,
    },
];

/// The variants that can do a product of this shape.
pub fn fitting(product: Product, shape: Shape) -> impl Iterator<Item = &'static Variant> {
    ALL.iter().filter(move |variant| variant.product == product && (variant.fits)(shape))
}

/// Which variant does which product: from `forward 512x784x128` to a variant's name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    fn key(product: Product, shape: Shape) -> String {
        format!("{} {}x{}x{}", product.name(), shape.rows, shape.inner, shape.cols)
    }

    /// The chosen variant, or the fixed default where none was measured.
    pub fn pick(&self, product: Product, shape: Shape) -> &'static Variant {
        let chosen = self.0.get(&Self::key(product, shape));
        let find = |name: &String| fitting(product, shape).find(|variant| variant.name == name);
        chosen
            .and_then(find)
            .or_else(|| fitting(product, shape).next())
            .expect("the plain variants fit every shape")
    }

    /// Measures every product of these shapes that is not known yet. Returns whether anything was.
    pub fn measure(&mut self, gpu: &Gpu, shapes: &[Shape]) -> Result<bool> {
        let mut measured = false;
        if !gpu.is_device() {
            return Ok(measured);
        }
        for &shape in shapes {
            for product in Product::ALL {
                let key = Self::key(product, shape);
                if !self.0.contains_key(&key) {
                    let times = time_all(gpu, product, shape, 3)?;
                    let best = times.iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("plain fits");
                    self.0.insert(key, best.0.name.to_string());
                    measured = true;
                }
            }
        }
        Ok(measured)
    }

    /// What is known of these shapes.
    pub fn only(&self, shapes: &[Shape]) -> Choices {
        let keys = shapes.iter().flat_map(|&shape| Product::ALL.map(|product| Self::key(product, shape)));
        Choices(keys.filter_map(|key| self.0.get(&key).map(|name| (key.clone(), name.clone()))).collect())
    }
}

/// The least milliseconds of `repeats` replays of each fitting variant, after one to warm up.
pub fn time_all(
    gpu: &Gpu,
    product: Product,
    shape: Shape,
    repeats: usize,
) -> Result<Vec<(&'static Variant, f64)>> {
    let weight = gpu.tensor("weight", Dtype::F32, &[shape.rows, shape.inner])?;
    let d_weight = gpu.tensor("d_weight", Dtype::F32, &[shape.rows, shape.inner])?;
    let bias = gpu.tensor("bias", Dtype::F32, &[shape.rows])?;
    let (x, d_x) = (
        gpu.tensor("x", Dtype::F32, &[shape.inner, shape.cols])?,
        gpu.tensor("d_x", Dtype::F32, &[shape.inner, shape.cols])?,
    );
    let (y, d_y) = (
        gpu.tensor("y", Dtype::F32, &[shape.rows, shape.cols])?,
        gpu.tensor("d_y", Dtype::F32, &[shape.rows, shape.cols])?,
    );
    let args = shape.args(true, false);
    let mut all = Vec::new();
    for variant in fitting(product, shape) {
        let mut rec = Recorder::new(gpu);
        let binds = match product {
            Product::Forward => bind! { args: &args, weight: &weight, bias: &bias, x: &x, y: &y },
            Product::InputGrad => bind! { args: &args, weight: &weight, x: &x, d_y: &d_y, d_x: &d_x },
            Product::WeightGrad => {
                bind! { args: &args, x: &x, d_y: &d_y, d_weight: &d_weight, d_bias: &bias }
            }
        };
        variant.dispatch(&mut rec, binds as &[(&str, Bind)], shape)?;
        let plan = rec.finish()?;
        let mut least = f64::INFINITY;
        for repeat in 0..=repeats {
            gpu.finish()?;
            let began = Instant::now();
            plan.replay()?;
            gpu.finish()?;
            if repeat > 0 {
                least = least.min(began.elapsed().as_secs_f64() * 1e3);
            }
        }
        all.push((variant, least));
    }
    Ok(all)
}

/// One check a variant.
pub(super) fn checks() -> Vec<Check> {
    ALL.iter()
        .map(|variant| Check::new(variant.name, move |t, n| super::linear::check(t, n, variant)))
        .collect()
}
