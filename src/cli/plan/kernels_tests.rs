//! Why kernels are what they are.

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

    let why =
        |set: &str| of(&session(Choices::default(), &[set]), "head.weight").1.unwrap().json()["why"].clone();
    let off = why("run.autotune=false");
    assert!(off.as_str().unwrap().ends_with("by default, run.autotune = false"), "{off}");
    assert_eq!(why("sparsity.storage=packed"), "packed storage was asked for");
}

#[test]
fn what_there_was_no_time_for_says_so() {
    let mut choices = Choices::default();
    let products = |choices: &Choices| {
        let run = session(choices.clone(), &[]);
        let param = run.model.params.iter().find(|param| param.name == "head.weight").unwrap();
        let (form, shape, narrow) = (param.form, param.product(run.columns()), false);
        Products { form, shape, narrow, feeds_back: param.feeds_back, dense_grad: false }
    };
    let products = products(&choices);
    choices.leave("forward 10x64x64", Left::Time);
    choices.take("weight_grad 10x64x64", "weight_grad/16x4_texels");
    products.leave(&mut choices);
    let (dense, packed) = of(&session(choices, &[]), "head.weight");
    assert!(dense[0][3].starts_with("by default, there was no time to measure: the first of "), "{dense:?}");
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
    let products = Products { form: Form::Free, shape, narrow: false, feeds_back: true, dense_grad: false };
    products.learn(&mut choices, 0.25);
    for product in Product::ALL {
        let name = product.name();
        let dense = match product {
            Product::Forward => [("forward/plain", 9.0), ("forward/32x4_texels", 4.83)],
            Product::InputGrad => [("input_grad/4x4_texels", 4.5), ("input_grad/plain", 8.0)],
            Product::WeightGrad => [("weight_grad/32x4_texels", 5.0), ("weight_grad/plain", 8.5)],
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
        "measured 0.60 ms at density 1/4; next ops/packed/forward_texels 0.75 ms; dense forward/32x4_texels 4.83 ms"
    );
    let json = packed.json();
    assert_eq!(
        json["why"],
        "packed from density 0.250 down: the crossover as measured; all products at density 1/4: packed \
         1.75 ms, dense 14.33 ms"
    );
    let forward = &json["kernels"]["forward"];
    assert_eq!((&forward["ms"], &forward["at_density"]), (&0.6.into(), &0.25.into()));
    assert_eq!(forward["dense"], json!({ "kernel": "forward/32x4_texels", "ms": 4.83 }));
    assert_eq!(forward["next"], json!({ "kernel": "ops/packed/forward_texels", "ms": 0.75 }));
    // Packed from the start: what is dense is the gradient that weights grow by.
    assert_eq!(dense.len(), 1, "{dense:?}");
    assert_eq!(
        dense[0][1..],
        [
            "weight_grad",
            "weight_grad/32x4_texels for growth",
            "measured 5.00 ms; next weight_grad/plain 8.50 ms"
        ]
    );

    // Masked, all three are; of choices whose times were not kept that is said.
    let masked = "sparsity.storage=masked";
    let (dense, packed) = of(&session(choices, &[masked]), "fc2.weight");
    assert!(packed.is_none(), "it is never packed");
    assert_eq!(dense[0][2..], ["forward/32x4_texels", "measured 4.83 ms; next forward/plain 9.00 ms"]);
    let mut old = Choices::default();
    old.set("forward 64x128x64".into(), "forward/32x4_texels".into());
    let (dense, _) = of(&session(old, &[masked]), "fc2.weight");
    assert_eq!(dense[0][2..], ["forward/32x4_texels", "the fastest, measured; no times were kept"]);
}
