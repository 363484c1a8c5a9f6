//! Which kernels compute the products of each weight, and why: by measured times or by a rule.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::ops::measure::Left;
use crate::ops::packed::crossover::{Products, densest};
use crate::ops::packed::variants::{Case, fitting};
use crate::ops::variants::{Choices, Product, Race, Shape};
use crate::param::Param;
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
    let params = run.model.params().into_iter().enumerate().filter(|(_, param)| param.is_maskable());
    let all = params.map(|(index, param)| Dense {
        name: param.name.clone(),
        kernels: Product::ALL.into_iter().filter_map(|product| dense_kernel(run, index, product)).collect(),
    });
    all.filter(|dense| !dense.kernels.is_empty()).collect()
}

/// For every weight that may be packed.
pub fn packed(run: &Session) -> Vec<Packed> {
    let Some(pruner) = &run.pruner else { return Vec::new() };
    let params = run.model.params().into_iter().enumerate();
    let all = params.filter(|(index, _)| pruner.packed_below(*index) > 0.0);
    all.map(|(index, param)| {
        let density = pruner.final_density(index);
        let products = Product::ALL.into_iter().filter(|&product| is_needed(param, product));
        Packed {
            name: param.name.clone(),
            density,
            packs: density <= pruner.packed_below(index),
            crossover: crossover(run, index),
            kernels: products.map(|product| packed_kernel(run, param, density, product)).collect(),
        }
    })
    .collect()
}

/// From which density on a weight is packed. Only weights that may be packed have one.
pub fn crossover(run: &Session, index: usize) -> Crossover {
    let param = run.model.params()[index];
    let pruner = run.pruner.as_ref();
    let (below, density) =
        pruner.map_or((0.0, 1.0), |pruner| (pruner.packed_below(index), pruner.final_density(index)));
    let (form, shape, feeds_back) = (param.form, param.product(run.columns()), param.feeds_back);
    let dense_grad = pruner.is_some_and(|pruner| pruner.averages());
    let products = Products { form, shape, narrow: is_narrow(run), feeds_back, dense_grad };
    let case = Case { form, shape, density, narrow: is_narrow(run) };
    let needed = || Product::ALL.into_iter().filter(|&product| is_needed(param, product));
    let raced = |product| Some((case.race(&run.choices, product)?, run.choices.dense_race(product, shape)?));
    let times: Option<Vec<_>> = needed().map(raced).collect();
    let times = times.and_then(|times| {
        let at = times.first()?.0.1;
        // Times at other densities than one cannot be added up.
        let same = times.iter().all(|((_, density), _)| *density == at);
        let mut sums = times
            .iter()
            .fold([0.0; 2], |sums, ((packed, _), dense)| [sums[0] + packed.ms, sums[1] + dense.ms]);
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

fn is_narrow(run: &Session) -> bool {
    run.recipe.run.activations == Precision::Bf16
}

fn is_needed(param: &Param, product: Product) -> bool {
    product != Product::InputGrad || param.feeds_back
}

fn dense_kernel(run: &Session, index: usize, product: Product) -> Option<Kernel> {
    let (param, cols) = (run.model.params()[index], run.columns());
    if !is_needed(param, product) {
        return None;
    }
    let whole = param.product(cols);
    let (shape, purpose) = if param.packed.is_none() {
        // Of a weight in several blocks of rows all but the last are alike.
        let rows = param.blocks.first().map_or(whole.rows, |block| block.rows.len());
        (Shape { rows, ..whole }, "")
    } else {
        let pruner = run.pruner.as_ref()?;
        let dense_grad = pruner.averages() || pruner.grows_by_gradient();
        if product != Product::WeightGrad || !dense_grad {
            return None;
        }
        (whole, if pruner.averages() { "for the running mean" } else { "for growth" })
    };
    let narrow = param.packed.is_none() && run.reads_narrow(&param.name);
    let (fastest, name) =
        (run.choices.pick(product, shape).name, run.choices.pick_for(product, shape, narrow).name);
    let left = run.choices.left(&Choices::key(product, shape));
    let of = crate::ops::variants::fitting(product, shape).count();
    let why = if name != fastest {
        Why::Narrow { fastest }
    } else if left == Some(Left::Alone) {
        Why::Alone { of }
    } else if run.choices.is_chosen(product, shape) {
        Why::Measured { race: run.choices.dense_race(product, shape), density: None }
    } else {
        Why::First { of, unmeasured: unmeasured(run, left) }
    };
    Some(Kernel { product, name, purpose, why, other: None })
}

fn packed_kernel(run: &Session, param: &Param, density: f64, product: Product) -> Kernel {
    let (form, shape, narrow) = (param.form, param.product(run.columns()), is_narrow(run));
    let case = Case { form, shape, density, narrow };
    let (variant, measured) = case.pick(&run.gpu, &run.choices, product, case.chunk(&run.choices));
    let left = run.choices.left(&case.key(product));
    let of = fitting(&run.gpu, product, form, narrow).count();
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
    let other = dense.map(|race| (run.choices.pick(product, shape).name.to_string(), race.ms));
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
            Why::First { .. } | Why::Alone { .. } | Why::Narrow { .. } => (None, None),
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
mod tests {
    use super::*;
    use crate::gpu::Gpu;
    use crate::ops::packed::Form;
    use crate::recipe::Recipe;

    fn session(choices: Choices, set: &[&str]) -> Session {
        let set: Vec<String> = set.iter().map(|one| one.to_string()).collect();
        let recipe = Recipe::find("digits-rigl-90", &set).unwrap();
        let data = crate::cli::drive::data(&recipe).unwrap();
        Session::new(&Gpu::counted(), &recipe, &data, choices).unwrap()
    }
    fn of(run: &Session, name: &str) -> (Vec<Vec<String>>, Option<Packed>) {
        let dense = dense(run).into_iter().find(|one| one.name == name);
        let packed = packed(run).into_iter().find(|one| one.name == name);
        (dense.map_or(Vec::new(), |dense| dense.lines()), packed)
    }

    #[test]
    fn without_measurements_the_rule_is_named() {
        // ERK keeps 43 % of the last layer, which stays masked, and 9 % of the one before.
        let run = session(Choices::default(), &[]);
        let by_default = "by default, nothing was measured: the first of ";
        let (dense, packed) = of(&run, "head.weight");
        assert_eq!(dense.len(), 3);
        assert!(dense.iter().all(|line| line[3].starts_with(by_default)), "{dense:?}");
        let packed = packed.unwrap();
        let lines = packed.lines();
        let rule = "packed from density 0.150 down: the crossover by default, nothing was measured: only from \
             density 0.40 down";
        assert_eq!((lines.len(), lines[0][4].as_str()), (1, rule));
        let json = packed.json();
        assert_eq!((&json["packed"], &json["packed_below_measured"]), (&false.into(), &false.into()));
        assert_eq!(json["packed_below"], 0.15);
        let lines = of(&run, "fc2.weight").1.unwrap().lines();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line[4].starts_with(by_default)), "{lines:?}");
        let json = of(&run, "fc2.weight").1.unwrap().json();
        let forward = &json["kernels"]["forward"];
        assert_eq!((&forward["measured"], &forward["ms"]), (&false.into(), &Value::Null));

        let why = |set: &str| {
            of(&session(Choices::default(), &[set]), "head.weight").1.unwrap().json()["why"].clone()
        };
        let off = why("run.autotune=false");
        assert!(off.as_str().unwrap().ends_with("by default, run.autotune = false"), "{off}");
        assert_eq!(why("sparsity.storage=packed"), "packed storage was asked for");
    }

    #[test]
    fn what_there_was_no_time_for_says_so() {
        let mut choices = Choices::default();
        let products = |choices: &Choices| {
            let run = session(choices.clone(), &[]);
            let param = run.model.params().into_iter().find(|param| param.name == "head.weight").unwrap();
            let (form, shape, narrow) = (param.form, param.product(run.columns()), false);
            Products { form, shape, narrow, feeds_back: param.feeds_back, dense_grad: false }
        };
        let products = products(&choices);
        choices.leave("forward 10x64x64", Left::Time);
        choices.take("weight_grad 10x64x64", "weight_grad/16x4_texels");
        products.leave(&mut choices);
        let (dense, packed) = of(&session(choices, &[]), "head.weight");
        assert!(
            dense[0][3].starts_with("by default, there was no time to measure: the first of "),
            "{dense:?}"
        );
        assert!(dense[2][3].ends_with("that may be the fastest on this device"), "{dense:?}");
        let why = packed.unwrap().json()["why"].clone();
        assert!(why.as_str().unwrap().contains("by default, there was no time to measure"), "{why}");
    }

    #[test]
    fn a_kernel_that_is_there_for_bf16_says_so() {
        let mut choices = Choices::default();
        choices.settle("forward 10x64x64".into(), &[("forward/plain", 1.0), ("forward/10x2_texels", 2.0)]);
        let why = |set: &str| of(&session(choices.clone(), &[set]), "head.weight").0[0][2..].to_vec();
        assert_eq!(why("run.activations=f32")[0], "forward/plain");
        let bf16 = why("run.activations=bf16");
        let reason = "the first that reads bf16; forward/plain, the fastest, does not";
        assert_eq!(bf16, ["forward/16x4_texels", reason]);
    }

    #[test]
    fn measured_choices_come_with_their_times() {
        let shape = Shape::new(64, 128, 64);
        let mut choices = Choices::default();
        let products =
            Products { form: Form::Free, shape, narrow: false, feeds_back: true, dense_grad: false };
        products.learn(&mut choices, 0.25);
        for product in Product::ALL {
            let name = product.name();
            let dense = match product {
                Product::Forward => [("forward/plain", 9.0), ("forward/tile", 4.83)],
                Product::InputGrad => [("input_grad/tile", 4.5), ("input_grad/plain", 8.0)],
                Product::WeightGrad => [("weight_grad/tile", 5.0), ("weight_grad/plain", 8.5)],
            };
            choices.settle(format!("{name} 64x128x64"), &dense);
            let packed = match product {
                Product::Forward => [("ops/packed/forward_texels", 0.75), ("ops/packed/forward", 0.6)],
                Product::InputGrad => [("ops/packed/input_grad", 0.65), ("ops/packed/input_grad_split", 0.9)],
                Product::WeightGrad => [("ops/packed/weight_grad", 0.5), ("ops/packed/weight_grad_8", 0.55)],
            };
            // The nearest to 0.087 that is known.
            choices.settle(format!("packed_{name} 64x128x64 1x1 1/4"), &packed);
        }
        let (dense, packed) = of(&session(choices.clone(), &[]), "fc2.weight");
        let packed = packed.unwrap();
        let lines = packed.lines();
        assert_eq!(lines[0][3], "ops/packed/forward");
        assert_eq!(
            lines[0][4],
            "measured 0.60 ms at density 1/4; next ops/packed/forward_texels 0.75 ms; dense forward/tile 4.83 ms"
        );
        let json = packed.json();
        assert_eq!(
            json["why"],
            "packed from density 0.250 down: the crossover as measured; all products at density 1/4: packed \
             1.75 ms, dense 14.33 ms"
        );
        let forward = &json["kernels"]["forward"];
        assert_eq!((&forward["ms"], &forward["at_density"]), (&0.6.into(), &0.25.into()));
        assert_eq!(forward["dense"], json!({ "kernel": "forward/tile", "ms": 4.83 }));
        assert_eq!(forward["next"], json!({ "kernel": "ops/packed/forward_texels", "ms": 0.75 }));
        // Packed from the start: what is dense is the gradient that weights grow by.
        assert_eq!(dense.len(), 1, "{dense:?}");
        assert_eq!(
            dense[0][1..],
            [
                "weight_grad",
                "weight_grad/tile for growth",
                "measured 5.00 ms; next weight_grad/plain 8.50 ms"
            ]
        );

        // Masked, all three are; of choices whose times were not kept that is said.
        let masked = "sparsity.storage=masked";
        let (dense, packed) = of(&session(choices, &[masked]), "fc2.weight");
        assert!(packed.is_none(), "it is never packed");
        assert_eq!(dense[0][2..], ["forward/tile", "measured 4.83 ms; next forward/plain 9.00 ms"]);
        let mut old = Choices::default();
        old.set("forward 64x128x64".into(), "forward/tile".into());
        let (dense, _) = of(&session(old, &[masked]), "fc2.weight");
        assert_eq!(dense[0][2..], ["forward/tile", "the fastest, measured; no times were kept"]);
    }
}
