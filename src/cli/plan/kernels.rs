//! Which kernels compute the products of each weight, and why: by measured times or by a rule.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::ops::measure::Left;
use crate::ops::packed::crossover::{Products, densest};
use crate::ops::packed::variants::{Case, suitable as packed_suitable};
use crate::ops::variants::{Choices, FILL, Product, Race, Shape, suitable};
use crate::param::{Param, ParamId};
use crate::recipe::{Precision, Storage};
use crate::train::Session;

/// The dense kernels of a weight that is not packed, or whose dense gradient weights grow by.
pub struct Dense {
    name: String,
    kernels: Vec<Kernel>,
}

/// What will compute the products of a weight at the end of the run, if it is packed.
pub struct Packed {
    name: String,
    density: f64,
    /// Whether it is sparse enough then.
    packs: bool,
    /// From which density on it is packed.
    crossover: Crossover,
    kernels: Vec<Kernel>,
}

struct Kernel {
    product: Product,
    name: &'static str,
    /// What it is for, where that is not the step itself.
    purpose: &'static str,
    why: Why,
    /// The other kind of kernel for the same product, dense or packed, and its milliseconds.
    other: Option<(String, f64)>,
}

/// Why it is this kernel.
enum Why {
    /// It was the fastest: by these times, if they were kept, at this density, if it is packed.
    Measured { race: Option<Race>, density: Option<f64> },
    /// Nothing was measured, and it is the first of so many that could.
    First { of: usize, unmeasured: &'static str },
    /// Nothing was measured, and on a GPU it is the largest tile that fills one, or what comes nearest to that.
    Fills { groups: u64, unmeasured: &'static str },
    /// None of so many others could be faster.
    Alone { of: usize },
    /// It is the first that reads bf16, which the fastest does not.
    Narrow { fastest: &'static str },
}

/// The density up to which a weight is packed, and where that comes from.
pub struct Crossover {
    below: f64,
    /// Whether packed storage was asked for, whatever it costs.
    forced: bool,
    measured: bool,
    /// Why not, if not.
    unmeasured: &'static str,
    /// The density from which down the two are compared, where the weight never becomes as sparse.
    too_dense_for: Option<f64>,
    /// Milliseconds of all products, packed and dense, at a density.
    times: Option<([f64; 2], f64)>,
}

/// For every weight that has dense products.
pub fn dense(run: &Session) -> Vec<Dense> {
    let params = run.model.params.pairs().filter(|(_, param)| param.is_multiplied);
    let all = params.map(|(id, param)| Dense {
        name: param.name.clone(),
        kernels: Product::ALL.into_iter().filter_map(|product| dense_kernel(run, id, product)).collect(),
    });
    all.filter(|dense| !dense.kernels.is_empty()).collect()
}

/// For every weight that may be packed.
pub fn packed(run: &Session) -> Vec<Packed> {
    let Some(pruner) = &run.pruner else { return Vec::new() };
    let params = run.model.params.pairs();
    let all = params.filter(|(id, _)| pruner.packed_below(*id) > 0.0);
    all.map(|(id, param)| {
        let density = pruner.final_density(id);
        let products = Product::ALL.into_iter().filter(|&product| is_needed(param, product));
        Packed {
            name: param.name.clone(),
            density,
            packs: density <= pruner.packed_below(id),
            crossover: crossover(run, id),
            kernels: products.map(|product| packed_kernel(run, param, density, product)).collect(),
        }
    })
    .collect()
}

/// From which density on a weight is packed. Only weights that may be packed have one.
pub fn crossover(run: &Session, id: ParamId) -> Crossover {
    let param = &run.model.params[id];
    let pruner = run.pruner.as_ref();
    let (below, density) =
        pruner.map_or((0.0, 1.0), |pruner| (pruner.packed_below(id), pruner.final_density(id)));
    let (form, shape, feeds_back) = (param.packed_form(), param.product(run.columns()), param.feeds_back);
    let dense_grad = pruner.is_some_and(|pruner| pruner.averages());
    let narrow = is_narrow(run, param);
    let products = Products { form, shape, narrow, feeds_back, dense_grad };
    let case = Case { form, shape, density, narrow };
    let needed = || Product::ALL.into_iter().filter(|&product| is_needed(param, product));
    let raced = |product| {
        let (packed, dense) = (case.race(&run.choices, product)?, run.choices.dense_race(product, shape)?);
        Some((packed, dense, shape.times(product) as f64))
    };
    let times: Option<Vec<_>> = needed().map(raced).collect();
    let times = times.and_then(|times| {
        let at = times.first()?.0.1;
        // Times at other densities than one cannot be added up.
        let same = times.iter().all(|((_, density), ..)| *density == at);
        let mut sums = times.iter().fold([0.0; 2], |sums, ((packed, _), dense, times)| {
            [sums[0] + times * packed.ms, sums[1] + times * dense.ms]
        });
        if dense_grad {
            sums[0] += run.choices.dense_race(Product::WeightGrad, shape)?.ms;
        }
        same.then_some((sums, at))
    });
    let forced = run.recipe.sparsity.storage == Storage::Packed;
    let (measured, unmeasured) =
        (products.is_known(&run.choices), unmeasured(run, products.left(&run.choices)));
    let densest = densest(form, shape.inner);
    let too_dense_for = (density > densest && run.recipe.run.autotune).then_some(densest);
    Crossover { below, forced, measured, unmeasured, too_dense_for, times }
}

fn is_narrow(run: &Session, param: &Param) -> bool {
    param.is_narrow(run.recipe.run.activations == Precision::Bf16)
}

fn is_needed(param: &Param, product: Product) -> bool {
    product != Product::InputGrad || param.feeds_back
}

fn dense_kernel(run: &Session, id: ParamId, product: Product) -> Option<Kernel> {
    let (param, cols) = (&run.model.params[id], run.columns());
    if !is_needed(param, product) {
        return None;
    }
    let whole = param.product(cols).once(product);
    let (shape, purpose) = if param.packed().is_none() {
        // Of a weight in several blocks of rows all but the last are alike.
        let rows = param.segments.first().map_or(whole.rows, |block| block.rows.len());
        (Shape { rows, ..whole }, "")
    } else {
        let pruner = run.pruner.as_ref()?;
        let dense_grad = pruner.averages() || pruner.grows_by_gradient();
        if product != Product::WeightGrad || !dense_grad {
            return None;
        }
        (whole, if pruner.averages() { "for the running mean" } else { "for growth" })
    };
    let narrow = param.packed().is_none() && run.reads_narrow(&param.name);
    let (fastest, name) = (
        run.choices.pick(&run.gpu, product, shape).name,
        run.choices.pick_for(&run.gpu, product, shape, narrow).name,
    );
    let left = run.choices.left(&Choices::key(product, shape));
    let of = suitable(&run.gpu, product, shape).count();
    let why = if name != fastest {
        Why::Narrow { fastest }
    } else if left == Some(Left::Alone) {
        Why::Alone { of }
    } else if run.choices.is_chosen(&run.gpu, product, shape) {
        Why::Measured { race: run.choices.dense_race(product, shape), density: None }
    } else if run.gpu.is_software() {
        Why::First { of, unmeasured: unmeasured(run, left) }
    } else {
        let groups = run.choices.pick(&run.gpu, product, shape).groups(shape);
        Why::Fills { groups, unmeasured: unmeasured(run, left) }
    };
    Some(Kernel { product, name, purpose, why, other: None })
}

fn packed_kernel(run: &Session, param: &Param, density: f64, product: Product) -> Kernel {
    let (form, shape, narrow) = (param.packed_form(), param.product(run.columns()), is_narrow(run, param));
    let case = Case { form, shape, density, narrow };
    let (variant, measured) = case.pick(&run.gpu, &run.choices, product, case.chunk(&run.choices));
    let left = run.choices.left(&case.key(product));
    let of = packed_suitable(&run.gpu, product, form, narrow).count();
    let why = if left == Some(Left::Alone) {
        Why::Alone { of }
    } else if measured {
        let race = case.race(&run.choices, product);
        let (race, density) = race.map_or((None, None), |(race, density)| (Some(race), Some(density)));
        Why::Measured { race, density }
    } else {
        Why::First { of, unmeasured: unmeasured(run, left) }
    };
    let dense = run.choices.dense_race(product, shape);
    let other = dense.map(|race| (run.choices.pick(&run.gpu, product, shape).name.to_string(), race.ms));
    Kernel { product, name: variant.name, purpose: "", why, other }
}

impl Dense {
    pub fn lines(&self) -> Vec<Vec<String>> {
        let line = |kernel: &Kernel| {
            let name = [kernel.name, kernel.purpose].join(" ").trim().to_string();
            vec![self.name.clone(), kernel.product.name().into(), name, kernel.to_string()]
        };
        self.kernels.iter().map(line).collect()
    }
    pub fn json(&self) -> Value {
        json!({ "parameter": self.name, "kernels": by_product(&self.kernels) })
    }
}

impl Packed {
    pub fn lines(&self) -> Vec<Vec<String>> {
        let (name, density) = (self.name.clone(), format!("{:.4}", self.density));
        if !self.packs {
            let dense = "dense kernels, as above".to_string();
            return vec![vec![name, density, "all".into(), dense, self.crossover.to_string()]];
        }
        let line = |kernel: &Kernel| {
            let product = kernel.product.name().to_string();
            vec![name.clone(), density.clone(), product, kernel.name.into(), kernel.to_string()]
        };
        self.kernels.iter().map(line).collect()
    }
    pub fn json(&self) -> Value {
        let Crossover { below, measured, .. } = self.crossover;
        json!({
            "parameter": self.name, "density": self.density, "packed": self.packs,
            "packed_below": below, "packed_below_measured": measured, "why": self.crossover.to_string(),
            "kernels": by_product(&self.kernels),
        })
    }
}

fn by_product(kernels: &[Kernel]) -> Map<String, Value> {
    kernels.iter().map(|kernel| (kernel.product.name().to_string(), kernel.json())).collect()
}

impl Kernel {
    fn json(&self) -> Value {
        let (race, density) = match &self.why {
            Why::Measured { race, density } => (race.as_ref(), *density),
            Why::First { .. } | Why::Fills { .. } | Why::Alone { .. } | Why::Narrow { .. } => (None, None),
        };
        let pair = |one: &(String, f64)| json!({ "kernel": one.0, "ms": one.1 });
        json!({
            "kernel": self.name, "measured": matches!(self.why, Why::Measured { .. }),
            "ms": race.map(|race| race.ms), "at_density": density,
            "next": race.and_then(|race| race.next.as_ref()).map(pair),
            "dense": self.other.as_ref().map(pair), "why": self.to_string(),
        })
    }
}

/// Why it is this kernel.
impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.why {
            Why::Measured { race: None, .. } => write!(f, "the fastest, measured; no times were kept")?,
            Why::Measured { race: Some(race), density } => {
                write!(f, "measured {:.2} ms", race.ms)?;
                density.map_or(Ok(()), |density| write!(f, " at density 1/{:.0}", 1.0 / density))?;
                if let Some((next, ms)) = &race.next {
                    write!(f, "; next {next} {ms:.2} ms")?;
                }
            }
            Why::Narrow { fastest } => {
                write!(f, "the first that reads bf16; {fastest}, the fastest, does not")?
            }
            Why::First { of, unmeasured } => {
                write!(f, "by default, {unmeasured}: the first of {of} that fit")?
            }
            Why::Fills { groups, unmeasured } if *groups >= FILL => {
                write!(f, "by default, {unmeasured}: its {groups} workgroups fill a GPU")?
            }
            Why::Fills { groups, unmeasured } => write!(
                f,
                "by default, {unmeasured}: no kernel has {FILL} workgroups, which fill a GPU, for so small a product; \
                 this one has {groups}"
            )?,
            Why::Alone { of } => write!(f, "the only one of {of} that may be the fastest on this device")?,
        }
        self.other.as_ref().map_or(Ok(()), |(name, ms)| write!(f, "; dense {name} {ms:.2} ms"))
    }
}

/// From which density on a weight is packed, and why from there.
impl fmt::Display for Crossover {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.forced {
            return write!(f, "packed storage was asked for");
        }
        write!(f, "packed from density {:.3} down: ", self.below)?;
        if !self.measured {
            write!(f, "the crossover by default, {}", self.unmeasured)?;
            return self
                .too_dense_for
                .map_or(Ok(()), |densest| write!(f, ": only from density {densest:.2} down"));
        }
        write!(f, "the crossover as measured")?;
        let Some(([packed, dense], density)) = self.times else { return Ok(()) };
        write!(
            f,
            "; all products at density 1/{:.0}: packed {packed:.2} ms, dense {dense:.2} ms",
            1.0 / density
        )
    }
}

fn unmeasured(run: &Session, left: Option<Left>) -> &'static str {
    match left {
        _ if !run.recipe.run.autotune => "run.autotune = false",
        Some(Left::Time) => "there was no time to measure",
        _ => "nothing was measured",
    }
}

#[cfg(test)]
#[path = "kernels_tests.rs"]
mod tests;
