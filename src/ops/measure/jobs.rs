//! The comparisons that a network asks for, in the order of what they may save.

use super::{Meter, Progress, Workload, dense, packed};
use crate::error::Result;
use crate::ops::packed::crossover::{self, Products};
use crate::ops::variants::{Choices, Product, Shape};

/// A weight that may be packed.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub products: Products,
    /// At the start and at the end of the run.
    pub densities: [f64; 2],
    /// Whether packed or dense is to be chosen by measurement.
    pub choose: bool,
}

impl Weight {
    /// Whether dense kernels serve it in mask updates alone, by what is known now.
    fn is_packed_at_once(&self, choices: &Choices) -> bool {
        self.densities[0] <= if self.choose { self.products.known(choices) } else { 1.0 }
    }
    fn density(&self) -> f64 {
        (self.densities[0] + self.densities[1]) / 2.0
    }
}

/// How much longer a packed product takes for each operation than a dense one, about.
const PACKED: f64 = 4.0;

/// What a step of a run does, at the densities between its start and its end.
pub fn workload(steps: u64, shapes: &[Shape], weights: &[Weight]) -> Workload {
    let flops = |shape: Shape| 3.0 * shape.flops() as f64;
    let dense: f64 = shapes.iter().map(|shape| flops(*shape)).sum();
    let spared = |one: &Weight| flops(one.products.shape) * (1.0 - (PACKED * one.density()).min(1.0));
    let flops = dense - weights.iter().map(spared).sum::<f64>();
    Workload { steps: steps as f64, flops: flops.max(0.0), dispatches: (10 + 8 * shapes.len()) as f64 }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Comparisons that were made, and those there was no time for.
    pub made: usize,
    pub left: usize,
    pub seconds: f64,
    /// What it was allowed to take.
    pub limit: f64,
}

#[derive(Clone, Copy)]
enum What {
    Dense(Product, Shape),
    /// The packed products at a density.
    Packed(Products, f64),
    Crossover(Products),
}

struct Job {
    what: What,
    /// Seconds of a step that it may save, about; in equal steps the order is that of the network.
    gain: f64,
}

/// Compares what a network of these dense products and of these weights asks for and what is not known yet.
pub fn run(
    meter: &mut Meter,
    choices: &mut Choices,
    shapes: &[Shape],
    weights: &[Weight],
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if meter.gpu().is_device() {
        all(meter, choices, first(meter, choices, shapes, weights), &mut outcome)?;
        // From which density on weights are packed is known only now.
        all(meter, choices, on_the_way(meter, choices, weights), &mut outcome)?;
    }
    Ok(Outcome { seconds: meter.spent(), limit: meter.limit(), ..outcome })
}

/// Makes all comparisons that there is time for: what was thought to take too long is looked at again as long as others
/// are made, since they say more of what things take here.
fn all(meter: &mut Meter, choices: &mut Choices, mut jobs: Vec<Job>, outcome: &mut Outcome) -> Result<()> {
    jobs.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let (of, before) = (jobs.len(), outcome.made);
    loop {
        let (made, mut left) = (outcome.made, Vec::new());
        for job in jobs {
            (meter.tell)(&Progress { done: outcome.made - before, of, what: &job.what.describe() });
            match job.what.make(meter, choices)? {
                true => outcome.made += 1,
                false => left.push(job),
            }
        }
        jobs = left;
        if jobs.is_empty() || outcome.made == made {
            outcome.left += jobs.len();
            return Ok(());
        }
    }
}

impl What {
    fn describe(&self) -> String {
        let of = |products: &Products| format!("{} in {}", products.shape, products.form.name());
        match self {
            What::Dense(product, shape) => Choices::key(*product, *shape),
            What::Packed(products, density) => format!("packed {} at {density:.3}", of(products)),
            What::Crossover(products) => format!("packed or dense {}", of(products)),
        }
    }
    /// Returns whether all that was asked for is known now.
    fn make(self, meter: &mut Meter, choices: &mut Choices) -> Result<bool> {
        match self {
            What::Dense(product, shape) => dense::choose(meter, choices, product, shape.once(product)),
            What::Packed(products, density) => packed::choose(meter, choices, products, density),
            What::Crossover(products) => packed::find_crossover(meter, choices, products),
        }
    }
}

/// The share of a product's time that a comparison may save, by docs/performance.md: among register blocks, among packed
/// kernels, between packed and dense.
const BLOCKS: f64 = 0.1;
const KERNELS: f64 = 0.3;
const STORAGES: f64 = 0.3;
/// Where the fixed default is made for another kind of device.
const FOREIGN: f64 = 0.9;
/// How often dense kernels serve a packed weight, in shares of the steps.
const UPDATES: f64 = 0.02;

fn first(meter: &Meter, choices: &Choices, shapes: &[Shape], weights: &[Weight]) -> Vec<Job> {
    let costs = meter.costs();
    let mut jobs: Vec<Job> = Vec::new();
    let share = if meter.gpu().is_software() { BLOCKS } else { FOREIGN };
    for (index, &shape) in shapes.iter().enumerate().filter(|(i, shape)| !shapes[..*i].contains(shape)) {
        let times = shapes[index..].iter().filter(|other| **other == shape).count();
        // A weight may be cut into several blocks of rows.
        let whole = |one: &&Weight| {
            let other = one.products.shape;
            Shape { rows: shape.rows, ..other } == shape && other.rows >= shape.rows
        };
        let weight = weights.iter().find(whole).filter(|one| !one.products.dense_grad);
        let uses = if weight.is_some_and(|one| one.is_packed_at_once(choices)) { UPDATES } else { 1.0 };
        for product in Product::ALL {
            if choices.get(&Choices::key(product, shape)).is_none() {
                let gain = share * uses * times as f64 * costs.product(shape.flops() as f64);
                jobs.push(Job { what: What::Dense(product, shape), gain });
            }
        }
    }
    for one in weights.iter().filter(|one| packed::is_worth(meter.gpu(), one)) {
        let dense = 3.0 * costs.product(one.products.shape.flops() as f64);
        let [start, end] = one.densities;
        if one.choose && one.products.fits_dense(meter.gpu()) && !one.products.is_known(choices) {
            // Much sparser weights are packed by the guess, too.
            let near = start > crossover::DEFAULT || end > crossover::DEFAULT / 3.0;
            let gain = if near { STORAGES * dense } else { UPDATES * dense };
            jobs.push(Job { what: What::Crossover(one.products), gain });
        }
        let gain = KERNELS * (PACKED * one.density()).min(1.0) * dense;
        add_packed(&mut jobs, choices, one.products, end, gain);
    }
    jobs
}

/// The densities that weights pass through on their way from the first one that is packed to the last. Before that, packed
/// since it was asked for, kernels are those of the nearest density.
fn on_the_way(meter: &Meter, choices: &Choices, weights: &[Weight]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for one in weights.iter().filter(|one| packed::is_worth(meter.gpu(), one)) {
        let [start, end] = one.densities;
        let most = crossover::densest(one.products.form, one.products.shape.inner);
        let mut density = start.min(if one.choose { one.products.known(choices) } else { most });
        while density > end {
            let seconds = 3.0 * meter.costs().product(one.products.shape.flops() as f64);
            add_packed(&mut jobs, choices, one.products, density, UPDATES * density * seconds);
            density /= 2.0;
        }
    }
    jobs
}

/// Adds the comparison of packed kernels at a density, where it is not known or asked for already.
fn add_packed(jobs: &mut Vec<Job>, choices: &Choices, products: Products, density: f64, gain: f64) {
    let keys = |products: Products, density| products.keys(density);
    let asked = |job: &Job| matches!(job.what, What::Packed(p, d) if keys(p, d) == keys(products, density));
    let known = keys(products, density).iter().all(|key| choices.get(key).is_some());
    if let Some(job) = jobs.iter_mut().find(|job| asked(job)) {
        job.gain += gain;
    } else if !known {
        jobs.push(Job { what: What::Packed(products, density), gain });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu};
    use crate::ops::measure::Left;
    use crate::ops::packed::Form;

    const SHAPE: Shape = Shape::new(24, 64, 64);

    fn weight(densities: [f64; 2]) -> Weight {
        let products =
            Products { form: Form::Free, shape: SHAPE, narrow: false, feeds_back: true, dense_grad: false };
        Weight { products, densities, choose: true }
    }

    #[test]
    fn a_run_is_thought_as_long_as_its_kept_weights_ask_for() {
        let [dense, sparse] = [0.5, 0.05].map(|end| workload(10, &[SHAPE], &[weight([end, end])]));
        assert_eq!(dense.flops, 3.0 * SHAPE.flops() as f64);
        assert!((sparse.flops / dense.flops - 0.2).abs() < 1e-9, "packed kernels are not as fast");
        assert_eq!((sparse.steps, sparse.dispatches), (10.0, 18.0));
    }

    #[test]
    fn without_time_the_defaults_stay_and_say_why() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        if !gpu.is_device() {
            return;
        }
        let mut told = Vec::new();
        let mut tell =
            |progress: &Progress| told.push((progress.done, progress.of, progress.what.to_string()));
        let mut choices = Choices::default();
        let mut meter = Meter::brief(&gpu, workload(1, &[SHAPE], &[]), &mut tell);
        let outcome = run(&mut meter, &mut choices, &[SHAPE], &[weight([1.0, 0.1])]).unwrap();
        assert!(outcome.left >= 4 && outcome.limit < 0.01, "{outcome:?}");
        assert_eq!(gpu.pipelines(), (0, 0), "nothing is compiled for nothing");
        // What is worth most comes first.
        assert!(told[0].2.starts_with("packed or dense 24x64x64 in 1x1"), "{told:?}");
        for product in Product::ALL {
            let key = Choices::key(product, SHAPE);
            assert!(choices.left(&key).is_some(), "{key}: {choices:?}");
        }
        assert_eq!(choices.left(&Choices::key(Product::Forward, SHAPE)), Some(Left::Time));
        assert_eq!(weight([1.0, 0.1]).products.left(&choices), Some(Left::Time));
        let by_default = Choices::default();
        let pick = |choices: &Choices| choices.pick(&Gpu::twin(), Product::Forward, SHAPE).name;
        assert_eq!(pick(&choices), pick(&by_default));
    }

    /// A recurrent weight: products of a step are measured as such, dense, packed, and against each other.
    #[test]
    fn what_is_computed_step_by_step_is_measured_by_steps() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        if !gpu.is_device() {
            return;
        }
        let shape = Shape { steps: Some(8), ..SHAPE };
        let products = Products { shape, ..weight([0.1, 0.1]).products };
        let weight = Weight { products, ..weight([0.1, 0.1]) };
        let (mut choices, mut tell) = (Choices::default(), |_: &Progress| {});
        let mut meter = Meter::brief(&gpu, workload(1 << 40, &[shape], &[weight]), &mut tell);
        run(&mut meter, &mut choices, &[shape], &[weight]).unwrap();
        // Measured, or left for want of time.
        let met = |key: &str| choices.get(key).is_some() || choices.left(key).is_some();
        for key in ["forward 24x64x8", "input_grad 24x64x8", "weight_grad 24x64x64"] {
            assert!(met(key) && met(&format!("packed_{key} 1x1 1/8")), "{key}: {choices:?}");
        }
        let knows = |products: Products| products.is_known(&choices) || products.left(&choices).is_some();
        assert!(knows(products) && !knows(Products { shape: SHAPE, ..products }));
    }
}
