//! Samples that differ in length against JAX, which computes each by itself and cut off where it ends, on every adapter of
//! this machine and on the CPU twins: logits and all gradients; the same gradients against finite differences; padding that
//! nobody sees; and the comparisons against wrong answers. `tests/oracle/make_lengths.py` made the golden file.

mod common;

use common::value;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::gpu::{Gpu, Plan, Recorder};
use coppice::nn::{Arena, Extent, Gradients, Graph, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::variants::Choices;
use coppice::recipe::{Recipe, Settings};
use serde_json::Value;

const CLASSES: usize = 3;
/// The number of the first parameter.
const FIRST: usize = 20;

/// As in `tests/recurrent.rs`: some roundings of numbers up to 1 in each of up to 7 steps, and sums of up to 56 of them.
const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 8e-6 };
const DIFFERENCE: Tolerance = Tolerance { abs: 3e-4, rel: 1e-3 };

struct Golden {
    vocabulary: usize,
    steps: usize,
    batch: usize,
    live: usize,
    tokens: Vec<u32>,
    cases: Vec<Value>,
}

fn golden() -> Golden {
    let file: Value = serde_json::from_str(include_str!("oracle/lengths.json")).expect("JSON");
    let [vocabulary, steps, batch, live] =
        ["vocabulary", "steps", "batch", "live"].map(|key| file[key].as_u64().expect("a number") as usize);
    let tokens = serde_json::from_value(file["tokens"].clone()).expect("tokens");
    Golden {
        vocabulary,
        steps,
        batch,
        live,
        tokens,
        cases: file["cases"].as_array().expect("a list").clone(),
    }
}

fn numbers(list: &Value) -> Vec<f32> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

/// The network of some layers.
fn model(layers: &Value, input: Extent) -> Result<Model, String> {
    let layers: Vec<toml::Table> = serde_json::from_value(layers.clone()).expect("tables");
    let mut model = toml::Table::new();
    model.insert("layer".into(), toml::Value::try_from(layers).expect("TOML"));
    let model = toml::to_string(&toml::Table::from_iter([("model".to_string(), model.into())]));
    let rest = "data = { name = 'digits' }\noptim = { name = 'sgd', lr = 1 }\n";
    let recipe = Recipe::parse(&format!("{rest}{}", model.expect("TOML")), "case", &[]).unwrap();
    Model::new(&recipe.model, input, CLASSES, 0).map_err(|error| error.to_string())
}

/// A network in plans.
struct Network {
    model: Model,
    pass: Pass,
    forward: Plan,
    backward: Plan,
    live: usize,
}

impl Network {
    fn new(gpu: &Gpu, golden: &Golden, layers: &Value) -> Self {
        let mut model = model(layers, Extent::tokens(golden.vocabulary, golden.steps)).unwrap();
        for (number, param) in model.params.iter_mut().enumerate() {
            param.allocate(gpu).unwrap();
            let of = |i| value(FIRST + number, i, 1000.0);
            param.write(&(0..param.len()).map(of).collect::<Vec<_>>()).unwrap();
        }
        let choices = Choices::default();
        let live = golden.live;
        let step = gpu.uniform("step", &Step { live: live as u32, ..Step::default() }).unwrap();
        let wish = Wish { gradients: Gradients::All, ..Wish::default() };
        let schedule = Schedule::new(&model, gpu, &choices, golden.batch, wish);
        let (_, mut passes) = Arena::new(gpu, vec![schedule]).unwrap();
        let pass = passes.remove(0);
        pass.input().write(&golden.tokens).unwrap();
        let plan = |with: &dyn Fn(&mut Recorder)| {
            let mut rec = Recorder::new(gpu);
            with(&mut rec);
            rec.finish().unwrap()
        };
        let forward = plan(&|rec| model.forward(rec, &choices, &step, &pass).unwrap());
        let backward = plan(&|rec| model.backward(rec, &choices, &step, &pass).unwrap());
        Self { model, pass, forward, backward, live }
    }
    /// Of samples.
    fn logits(&self) -> Vec<f32> {
        self.forward.replay().unwrap();
        let logits = self.pass.heads()[0].0.read_f32().unwrap().into_iter().enumerate();
        logits.filter(|(i, _)| i % self.pass.batch() < self.live).map(|(_, value)| value).collect()
    }
    /// (classes, batch); 0 where there is no sample.
    fn d_logits(&self) -> Vec<f32> {
        let of = |i: usize| if i % self.pass.batch() < self.live { value(1, i, 500.0) } else { 0.0 };
        (0..CLASSES * self.pass.batch()).map(of).collect()
    }
    /// What is differentiated.
    fn loss(&self) -> f64 {
        let d_logits = self.d_logits().into_iter().enumerate();
        let own = d_logits.filter(|(i, _)| i % self.pass.batch() < self.live);
        self.logits().iter().zip(own).map(|(&y, (_, d))| f64::from(y) * f64::from(d)).sum()
    }
    /// Logits and all gradients.
    fn differentiate(&self) -> (Vec<f32>, Vec<Vec<f32>>) {
        let logits = self.logits();
        self.pass.heads()[0].1.unwrap().write(&self.d_logits()).unwrap();
        self.backward.replay().unwrap();
        (logits, self.model.params.iter().map(|param| param.read_grad().unwrap()).collect())
    }
}

#[test]
fn samples_of_any_length_agree_with_jax() {
    let golden = golden();
    common::side_by_side(common::everywhere(), |gpu| {
        for case in &golden.cases {
            let same = |what: &str, got: &[f32], want: &Value| {
                let compared = compare_f32(what, got, &numbers(want), CLOSE);
                compared.unwrap_or_else(|e| panic!("{}, on {:?}: {e}", case["name"], gpu.identity()));
            };
            let network = Network::new(gpu, &golden, &case["layers"]);
            let (logits, grads) = network.differentiate();
            same("logits", &logits, &case["logits"]);
            assert_eq!(grads.len(), case["gradients"].as_object().unwrap().len());
            for (param, grad) in network.model.params.iter().zip(&grads) {
                same(&param.name, grad, &case["gradients"][&param.name]);
            }
        }
    });
}

/// A layer that is not told the lengths makes something else of the same samples.
#[test]
fn without_lengths_it_is_another_function() {
    let golden = golden();
    for case in &golden.cases {
        let mut layers = case["layers"].clone();
        for layer in layers.as_array_mut().unwrap() {
            if let Some(from) = layer.get_mut("from") {
                from.as_array_mut().unwrap().retain(|name| name != "lengths");
            }
        }
        layers.as_array_mut().unwrap().retain(|layer| layer["type"] != "lengths");
        let network = Network::new(&Gpu::twin(), &golden, &layers);
        let want = numbers(&case["logits"]);
        let far = Tolerance { abs: 1e-3, rel: 0.0 };
        assert!(compare_f32("", &network.logits(), &want, far).is_err(), "{}", case["name"]);
    }
}

#[test]
fn gradients_agree_with_finite_differences_and_wrong_ones_do_not() {
    let golden = golden();
    for case in &golden.cases {
        let network = Network::new(&Gpu::twin(), &golden, &case["layers"]);
        let grads = network.differentiate().1;
        for (param, grad) in network.model.params.iter().zip(grads) {
            let start = param.read().unwrap();
            // Of a long parameter some places.
            let places: Vec<usize> = (0..start.len()).step_by(1 + start.len() / 8).collect();
            let slope = |&i: &usize| {
                let at = |by: f32| {
                    let mut moved = start.clone();
                    moved[i] += by;
                    param.write(&moved).unwrap();
                    (f64::from(moved[i]), network.loss())
                };
                let ((up, above), (down, below)) = (at(1.0 / 512.0), at(-1.0 / 512.0));
                ((above - below) / (up - down)) as f32
            };
            let slopes: Vec<f32> = places.iter().map(slope).collect();
            param.write(&start).unwrap();
            let mut own: Vec<f32> = places.iter().map(|&i| grad[i]).collect();
            let compared = compare_f32(&param.name, &own, &slopes, DIFFERENCE);
            compared.unwrap_or_else(|e| panic!("{}: {e}", case["name"]));
            let largest = (0..own.len()).max_by(|&a, &b| own[a].abs().total_cmp(&own[b].abs())).unwrap();
            if own[largest].abs() > 0.1 {
                own[largest] *= 1.02;
                assert!(compare_f32("", &own, &slopes, DIFFERENCE).is_err(), "{}", case["name"]);
            }
        }
    }
}

/// The row of padding decides nothing, and has no gradient, where all that reads it is told the lengths.
#[test]
fn nobody_sees_padding() {
    let mut golden = golden();
    // A padding token that is followed by another one counts: here there is none.
    golden.tokens.iter_mut().step_by(golden.batch).for_each(|token| *token = 1);
    let unseen = |case: &&Value| {
        let name = case["name"].as_str().unwrap();
        name.starts_with("attention to another") || name.contains("begins where")
    };
    for case in golden.cases.iter().filter(unseen) {
        let network = Network::new(&Gpu::twin(), &golden, &case["layers"]);
        let (logits, grads) = network.differentiate();
        let (number, table) =
            network.model.params.iter().enumerate().find(|(_, param)| param.name == "embed.weight").unwrap();
        let width = table.shape[1];
        assert!(grads[number][..width].iter().all(|&d| d == 0.0), "{}: {:?}", case["name"], grads[number]);
        assert!(grads[number][width..].iter().any(|&d| d != 0.0));
        let mut moved = table.read().unwrap();
        moved[..width].fill(3.0);
        table.write(&moved).unwrap();
        assert_eq!(network.logits(), logits, "{}", case["name"]);
        moved[width] += 1.0;
        table.write(&moved).unwrap();
        assert_ne!(network.logits(), logits, "{}", case["name"]);
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_by_name() {
    let refused = |layers: &str| {
        let layers: Value = serde_json::from_str(layers).unwrap();
        model(&layers, Extent::tokens(5, 7)).err().unwrap_or("built".into())
    };
    let embed = r#"{ "type": "embedding", "name": "embed", "from": ["data"], "out": 6 }"#;
    let tail = r#"{ "type": "flatten", "name": "all" }, { "type": "linear", "name": "head", "out": 3 }"#;
    let with = |lengths: &str, layer: &str| {
        let lengths = format!(r#"{{ "type": "lengths", "name": "lengths", "from": ["data"], {lengths} }}"#);
        refused(&format!("[{lengths}, {embed}, {layer}, {tail}]"))
    };
    let attend = r#"{ "type": "attention", "name": "attend", "from": ["embed", "lengths"], "heads": 1 }"#;
    assert_eq!(with(r#""padding": 0"#, attend), "built");
    let core = |more: &str| {
        format!(
            r#"{{ "type": "linear", "name": "in", "from": ["embed"], "out": 8 }},
            {{ "type": "step", "name": "last", "from": ["in"] }},
            {{ "type": "lstm", "name": "core", "from": ["in", {more} }}"#
        )
    };
    for (lengths, layer, wanted) in [
        (r#""padding": 5"#, attend.to_string(), "a token below 5"),
        (r#""padding": 0, "first": 3, "end": 3"#, attend.to_string(), "above `first`, and at most 7"),
        (r#""padding": 0, "end": 6"#, attend.to_string(), "layer `attend` attends to 7 keys"),
        (r#""padding": 0, "end": 6"#, core(r#""lengths"], "carry": true"#), "layer `core` reads 7 steps"),
        (r#""padding": 0"#, core(r#""last", "lengths"]"#), "layer `core` begins with 4 numbers a sample"),
        (
            r#""padding": 0"#,
            r#"{ "type": "linear", "name": "in", "from": ["lengths"], "out": 8 }"#.into(),
            "layer `in` reads no lengths there",
        ),
    ] {
        let error = with(lengths, &layer);
        assert!(error.contains(wanted), "{layer}\n{error}\nwanted: {wanted}");
    }
}

#[test]
fn calls_make_the_layers_that_recipes_name() {
    let mut net = Graph::new();
    let x = net.data();
    let lengths = net.lengths("lengths", x, 4, 0);
    let x = net.embedding("embed", x, 6, "normal:1");
    let from = net.steps("from", x, 0..4);
    let there = net.recurrent_with("gru", "there", from, 4, &[lengths], Settings::default());
    let last = net.step("last", there, "last");
    let to = net.steps("to", x, 4..7);
    let decoded = net.recurrent_with("gru", "decoder", to, 4, &[last], Settings::default());
    let memory = net.linear("memory", there, 8);
    let context = net.attend("attend", decoded, memory, 1, Some(lengths));
    net.linear("head", context, CLASSES);
    let model = Model::new(&net.into(), Extent::tokens(5, 7), CLASSES, 0).unwrap();
    assert_eq!((model.answers(), model.params.len()), (3, 1 + 2 * 4 + 4));
}
