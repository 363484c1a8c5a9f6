//! Comparing the variants of the packed products, and packed with dense ones.

use super::plausible::{Traits, plausible};
use super::{Kind, Left, Meter, Weight};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::packed::crossover::{Bench, Products, Times, densest, ladder, pattern};
use crate::ops::packed::variants::{Variant, suitable};
use crate::ops::packed::{Form, Pattern};
use crate::ops::variants::{Choices, Product};

/// Whether packed kernels are compared for a weight: not if it is too dense to be packed by choice, or too large to be
/// packed at all.
pub fn is_worth(gpu: &Gpu, weight: &Weight) -> bool {
    let (Products { form, shape, .. }, [_, end]) = (weight.products, weight.densities);
    let kept_bytes = end * (shape.rows * shape.inner * 4) as f64;
    !(weight.choose && end > densest(form, shape.inner)) && kept_bytes <= gpu.limits().binding_bytes as f64
}

/// Notes the fastest variants of the packed products at one density, where that is not known. Returns whether it is now.
pub fn choose(meter: &mut Meter, choices: &mut Choices, products: Products, density: f64) -> Result<bool> {
    let Products { form, shape, narrow, .. } = products;
    let mut made = None;
    let mut all_known = true;
    for product in products.asked() {
        let key = products.case(density).key(product);
        if choices.get(&key).is_some() {
            continue;
        }
        let all = candidates(meter, product, form, narrow)?;
        if let [only] = all[..] {
            choices.take(&key, only.name);
            continue;
        }
        let kernels = all.iter().map(|variant| variant.kernel(shape.window.is_some()));
        let compiling = meter.compiling(kernels, Kind::Packed);
        let seconds = seconds(meter, products, density, 1);
        let mut times = None;
        if meter.affords(meter.race_seconds(all.len(), seconds, compiling)) {
            if made.is_none() {
                let pattern = pattern(form, shape, density);
                made = Some((Bench::new(meter.gpu(), shape, narrow)?, pattern));
            }
            let (bench, pattern) = made.as_ref().expect("just made");
            times = self::times(meter, bench, product, pattern)?;
        }
        match times {
            Some(times) => choices.settle(key, &times),
            None => {
                choices.leave(&key, Left::Time);
                all_known = false;
            }
        }
    }
    Ok(all_known)
}

/// The variants that are to be compared.
fn candidates(meter: &Meter, product: Product, form: Form, narrow: bool) -> Result<Vec<&'static Variant>> {
    let all: Vec<_> = suitable(meter.gpu(), product, form, narrow).collect();
    if meter.is_full() {
        return Ok(all);
    }
    let traits = |variant: &&Variant| {
        Ok(Traits { yardstick: variant.is_plain(), ..Traits::of(&variant.kernel(false))? })
    };
    let traits = all.iter().map(traits).collect::<Result<Vec<_>>>()?;
    let kept = plausible(meter.gpu(), &traits);
    Ok(all.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(variant, _)| variant).collect())
}

/// Seconds to lay a pattern of this density out and to replay its kernels so many times, about: a place costs 40 ns, an
/// operation four times as much as in dense products.
fn seconds(meter: &Meter, products: Products, density: f64, replays: usize) -> f64 {
    let places = (products.shape.rows * products.shape.inner) as f64;
    let each = meter.costs().product(4.0 * density * products.shape.flops() as f64);
    places * 40e-9 + replays as f64 * each
}

/// Seconds to compile the kernels that are chosen, dense ones and packed ones of a density.
fn compiling(meter: &Meter, choices: &Choices, products: Products, density: f64) -> f64 {
    let (gpu, case) = (meter.gpu(), products.case(density));
    let dense = products
        .asked()
        .map(|product| choices.pick(gpu, product, products.shape.once(product)).wide(products.shape.window));
    let chunk = case.chunk(choices);
    let packed = products
        .asked()
        .map(|product| case.pick(gpu, choices, product, chunk).0.kernel(products.shape.window.is_some()));
    meter.compiling(dense, Kind::Default) + meter.compiling(packed, Kind::Packed)
}

/// Milliseconds of the variants of a product that may be the fastest, or of all. `None` if time ran out.
pub fn times(
    meter: &mut Meter,
    bench: &Bench,
    product: Product,
    pattern: &Pattern,
) -> Result<Option<Vec<(&'static str, f64)>>> {
    let all = candidates(meter, product, pattern.form, bench.is_narrow())?;
    let kernels = all.iter().map(|variant| variant.kernel(bench.is_windowed()));
    let compiling = meter.compiling(kernels, Kind::Packed);
    let ms = meter.race(&bench.trials(meter.gpu(), product, pattern, &all)?, compiling, None)?;
    Ok(ms.map(|ms| all.into_iter().map(|variant| variant.name).zip(ms).collect()))
}

/// Repeats of all products at a density.
const REPEATS: usize = 3;

/// Notes from which density on packed products beat the dense ones. Returns whether that is known now.
pub fn find_crossover(meter: &mut Meter, choices: &mut Choices, products: Products) -> Result<bool> {
    let Products { form, shape, narrow, feeds_back, dense_grad } = products;
    let gpu = meter.gpu();
    let counted = |times: Times| times[0] + times[2] + if feeds_back { times[1] } else { 0.0 };
    let mut bench = None;
    let mut before: Option<(f64, f64)> = None;
    let mut found = 0.0;
    for density in ladder(form, shape.inner) {
        let each = seconds(meter, products, density, 3 * (1 + REPEATS));
        let dense = meter.costs().product(3.0 * (1 + REPEATS) as f64 * shape.flops() as f64);
        let compiling = compiling(meter, choices, products, density);
        if !meter.affords(each + dense + compiling) {
            products.leave(choices);
            return Ok(false);
        }
        if meter.is_full() {
            choose(meter, choices, products, density)?;
        }
        if bench.is_none() {
            bench = Some(Bench::new(gpu, shape, narrow)?);
        }
        let bench = bench.as_ref().expect("just made");
        let index = bench.index(gpu, choices, pattern(form, shape, density))?;
        // Dense beside each density: a device that drifts slows both.
        let dense = bench.dense(gpu, choices, REPEATS)?;
        meter.learn(shape.flops(), dense[0]);
        let besides = if dense_grad { dense[2] } else { 0.0 };
        let packed = besides + counted(bench.packed(gpu, choices, &index, REPEATS)?);
        let ratio = packed / counted(dense);
        let real = index.pattern.kept() as f64 / index.pattern.len() as f64;
        if ratio <= 1.0 {
            // Between this density and the one before, by a straight line.
            found =
                before.map_or(real, |(other, more)| real + (other - real) * (1.0 - ratio) / (more - ratio));
            break;
        }
        before = Some((real, ratio));
    }
    products.learn(choices, found);
    Ok(true)
}
