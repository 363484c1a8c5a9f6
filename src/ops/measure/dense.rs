//! Comparing the variants of a dense product.

use super::plausible::{Traits, plausible};
use super::{Kind, Left, Meter};
use crate::bind;
use crate::error::Result;
use crate::gpu::{Bind, Dtype, Gpu, Plan, Recorder};
use crate::ops::product::linear::Onto;
use crate::ops::variants::{Choices, Product, Shape, Variant, default, suitable};

/// A multiple of the sides of all tiles.
const LARGE: Shape = Shape::new(15360, 15360, 15360);

fn outputs(product: Product, shape: Shape) -> usize {
    let (lines, across) = product.result(shape);
    lines * across
}

fn traits(variant: &Variant, shape: Shape) -> Result<Traits> {
    let (product, groups) = (variant.product, variant.groups(shape));
    let tile = outputs(product, LARGE) as f64 / variant.groups(LARGE) as f64;
    let waste = groups as f64 * tile / outputs(product, shape).max(1) as f64;
    let general = variant.fits(Shape::new(1, 4097, 4));
    let yardstick = variant.is_plain();
    Ok(Traits { general, yardstick, groups, waste, ..Traits::of(&variant.wide(shape.window))? })
}

/// The variants that may be the fastest for a product of this shape.
pub fn candidates(gpu: &Gpu, product: Product, shape: Shape) -> Result<Vec<&'static Variant>> {
    let all: Vec<_> = suitable(gpu, product, shape).collect();
    let traits = all.iter().map(|variant| traits(variant, shape)).collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().zip(plausible(gpu, &traits)).filter(|(_, kept)| *kept).map(|(one, _)| one).collect())
}

/// Notes the fastest variant of a product. Returns whether that is known now.
pub fn choose(meter: &mut Meter, choices: &mut Choices, product: Product, shape: Shape) -> Result<bool> {
    let (gpu, key) = (meter.gpu(), Choices::key(product, shape));
    let all = match meter.is_full() {
        true => suitable(gpu, product, shape).collect(),
        false => candidates(gpu, product, shape)?,
    };
    if let [only] = all[..] {
        choices.take(&key, only.name);
        return Ok(true);
    }
    let first = default(gpu, product, shape).name;
    let kernels = |by_default: bool| {
        let some = all.iter().filter(move |variant| (variant.name == first) == by_default);
        some.map(|variant| variant.wide(shape.window))
    };
    let compiling =
        meter.compiling(kernels(true), Kind::Default) + meter.compiling(kernels(false), Kind::Block);
    let seconds = meter.costs().product(shape.flops() as f64);
    if meter.affords(meter.race_seconds(all.len(), seconds, compiling))
        && let Some(ms) = meter.race(&trials(gpu, product, shape, &all)?, compiling, Some(shape.flops()))?
    {
        let times: Vec<_> = all.iter().map(|variant| variant.name).zip(ms).collect();
        choices.settle(key, &times);
        return Ok(true);
    }
    choices.leave(&key, Left::Time);
    Ok(false)
}

/// A product of this shape, of zeros, by each of some variants.
pub fn trials(gpu: &Gpu, product: Product, shape: Shape, variants: &[&Variant]) -> Result<Vec<Plan>> {
    let weight = gpu.tensor("weight", Dtype::F32, &[shape.rows, shape.inner])?;
    let d_weight = gpu.tensor("d_weight", Dtype::F32, &[shape.rows, shape.inner])?;
    let bias = gpu.tensor("bias", Dtype::F32, &[shape.rows])?;
    let (x, d_x) = (
        gpu.tensor("x", Dtype::F32, &[shape.x_channels(), shape.x_cols()])?,
        gpu.tensor("d_x", Dtype::F32, &[shape.x_channels(), shape.x_cols()])?,
    );
    let (y, d_y) = (
        gpu.tensor("y", Dtype::F32, &[shape.rows, shape.cols])?,
        gpu.tensor("d_y", Dtype::F32, &[shape.rows, shape.cols])?,
    );
    let args = shape.args(true, Onto::Replaces);
    let mut all = Vec::new();
    for variant in variants {
        let mut rec = Recorder::new(gpu);
        let binds = match product {
            Product::Forward => bind! { args: &args, weight: &weight, bias: &bias, x: &x, y: &y },
            Product::InputGrad => bind! { args: &args, weight: &weight, x: &x, d_y: &d_y, d_x: &d_x },
            Product::WeightGrad => {
                bind! { args: &args, x: &x, d_y: &d_y, d_weight: &d_weight, d_bias: &bias }
            }
        };
        variant.dispatch(&mut rec, binds as &[(&str, Bind)], shape)?;
        all.push(rec);
    }
    Recorder::finish_all(all)
}
