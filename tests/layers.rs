//! Layers beside products against JAX, on every adapter of this machine and on the CPU twins: logits, the gradient of every
//! parameter, running statistics and what evaluations make of them; the same gradients against finite differences; and both
//! comparisons against wrong answers. `tests/oracle/make_layers.py` made the golden file and says what is in it.

mod common;

use common::value;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::gpu::{Gpu, Plan, Recorder};
use coppice::nn::{Arena, Extent, Gradients, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::tally::Totals;
use coppice::ops::variants::Choices;
use coppice::param::Param;
use coppice::recipe::Recipe;
use serde_json::Value;

const BATCH: usize = 8;
const LIVE: usize = 7;
const CLASSES: usize = 3;

/// Some roundings in f32 of values up to 10 that pass up to six layers, and `exp` besides.
const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 8e-6 };
/// Logits up to 4 lie on a grid of 4.8e-7; with gradients up to 0.5 and over a distance of 1/512 the sum of 21 is off by 2e-4
/// or so, and by twice that at the worst. The curvature's share is below that.
const DIFFERENCE: Tolerance = Tolerance { abs: 1e-3, rel: 1e-3 };

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("oracle/layers.json")).expect("JSON");
    file["cases"].as_array().expect("a list").clone()
}

fn numbers(list: &Value) -> Vec<f32> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

/// The gradients of the logits, (classes, batch); 0 where there is no sample.
fn d_logits() -> Vec<f32> {
    let of = |i: usize| if i % BATCH < LIVE { value(1, i, 500.0) } else { 0.0 };
    (0..CLASSES * BATCH).map(of).collect()
}

/// Logits without those of columns that hold no sample.
fn live(logits: Vec<f32>) -> Vec<f32> {
    let all = logits.into_iter().enumerate();
    all.filter(|(i, _)| i % BATCH < LIVE).map(|(_, value)| value).collect()
}

/// A case's network, in plans.
struct Network {
    model: Model,
    pass: Pass,
    evaluation: Pass,
    forward: Plan,
    backward: Plan,
    update: Plan,
    evaluate: Plan,
}

impl Network {
    fn new(gpu: &Gpu, case: &Value) -> Self {
        let layers: Vec<toml::Table> = serde_json::from_value(case["layers"].clone()).expect("tables");
        let mut model = toml::Table::new();
        model.insert("layer".into(), toml::Value::try_from(layers).expect("TOML"));
        let model = toml::to_string(&toml::Table::from_iter([("model".to_string(), model.into())]));
        let rest = "data = { name = 'digits' }\noptim = { name = 'sgd', lr = 1 }\n";
        let text = format!("{rest}{}", model.expect("TOML"));
        let recipe = Recipe::parse(&text, "case", &[]).unwrap();
        let extent: Vec<usize> = serde_json::from_value(case["extent"].clone()).expect("an extent");
        let extent = Extent::new(extent[0], extent[1..].to_vec());
        let mut model = Model::new(&recipe.model, extent, CLASSES, 0).unwrap();
        let first = case["first"].as_u64().expect("a number") as usize;
        for (number, param) in model.params.iter_mut().enumerate() {
            param.allocate(gpu).unwrap();
            let is_scale = param.name.ends_with(".weight") && param.shape.len() == 1;
            let shift = if is_scale || param.name.ends_with("_var") { 1.0 } else { 0.0 };
            let of = |i| value(first + number, i, 1000.0) + shift;
            param.write(&(0..param.len()).map(of).collect::<Vec<_>>()).unwrap();
        }
        let (choices, totals) = (Choices::default(), Totals::tensor(gpu).unwrap());
        let step = gpu.uniform("step", &Step { live: LIVE as u32, ..Step::default() }).unwrap();
        let wishes = [Gradients::All, Gradients::None].map(|gradients| Wish { gradients, ..Wish::default() });
        let schedules = wishes.map(|wish| Schedule::new(&model, gpu, &choices, BATCH, wish));
        let (_, passes) = Arena::new(gpu, schedules.into()).unwrap();
        let [pass, evaluation] = passes.try_into().unwrap_or_else(|_| panic!("two"));
        let plan = |with: &dyn Fn(&mut Recorder)| {
            let mut rec = Recorder::new(gpu);
            with(&mut rec);
            rec.finish().unwrap()
        };
        let forward = plan(&|rec| model.forward(rec, &choices, &step, &pass).unwrap());
        let backward = plan(&|rec| model.backward(rec, &choices, &step, &pass).unwrap());
        let update = plan(&|rec| model.record_statistics(rec, &totals).unwrap());
        let evaluate = plan(&|rec| model.forward(rec, &choices, &step, &evaluation).unwrap());
        Self { model, pass, evaluation, forward, backward, update, evaluate }
    }

    /// Columns without a sample hold something, too: it must count for nothing.
    fn logits(pass: &Pass, plan: &Plan) -> Vec<f32> {
        let x: Vec<f32> = (0..pass.input().len()).map(|i| value(0, i, 500.0)).collect();
        pass.input().write(&x).unwrap();
        plan.replay().unwrap();
        pass.heads()[0].0.read_f32().unwrap()
    }
    /// What is differentiated.
    fn loss(&self) -> f64 {
        let logits = Self::logits(&self.pass, &self.forward);
        logits.iter().zip(d_logits()).map(|(&y, d)| f64::from(y) * f64::from(d)).sum()
    }
    fn differentiate(&self) {
        self.loss();
        self.pass.heads()[0].1.unwrap().write(&d_logits()).unwrap();
        self.backward.replay().unwrap();
    }
    fn learned(&self) -> impl Iterator<Item = &Param> {
        self.model.params.iter().filter(|param| param.learns())
    }
}

/// Every comparison with a case's numbers.
fn compare(gpu: &Gpu, case: &Value) {
    let (network, name) = (Network::new(gpu, case), case["name"].as_str().expect("a name"));
    let same = |what: &str, got: &[f32], want: &Value| {
        let compared = compare_f32(what, got, &numbers(want), CLOSE);
        compared.unwrap_or_else(|e| panic!("{name}, on {:?}: {e}", gpu.identity()));
    };
    let logits = Network::logits(&network.pass, &network.forward);
    same("logits", &live(logits), &case["logits"]);
    network.differentiate();
    for param in network.learned() {
        same(&param.name, &param.read_grad().unwrap(), &case["gradients"][&param.name]);
    }
    let statistics = || network.model.params.iter().filter(|param| !param.learns());
    assert_eq!(statistics().count(), case["statistics"].as_object().expect("by name").len());
    assert_eq!(network.learned().count(), case["gradients"].as_object().expect("by name").len());
    network.update.replay().unwrap();
    for param in statistics() {
        same(&param.name, &param.read().unwrap(), &case["statistics"][&param.name]);
    }
    let evaluated = Network::logits(&network.evaluation, &network.evaluate);
    same("evaluated", &live(evaluated), &case["evaluated"]);
}

#[test]
fn layers_agree_with_jax() {
    common::side_by_side(common::everywhere(), |gpu| cases().iter().for_each(|case| compare(gpu, case)));
}

fn refused(extent: Extent, layers: &str) -> String {
    let head = "{ type = 'linear', name = 'head', out = 3 }";
    let text = format!(
        "data = {{ name = 'digits' }}\noptim = {{ name = 'sgd', lr = 1 }}\nmodel = {{ layer = [{layers}, {head}] }}"
    );
    let recipe = Recipe::parse(&text, "net.toml", &[]).unwrap();
    Model::new(&recipe.model, extent, CLASSES, 0).err().map_or("built".into(), |error| error.to_string())
}

#[test]
fn what_no_layer_can_do_is_refused_by_name() {
    let image = || Extent::new(2, vec![5, 4]);
    for (layers, wanted) in [
        ("{ type = 'max_pool', kernel = 0 }", "at least 1"),
        ("{ type = 'max_pool', kernel = 16, padding = 8 }", "at most 15"),
        ("{ type = 'max_pool', kernel = 3, padding = 2 }", "at most half of the kernel"),
        (
            "{ type = 'average_pool', kernel = 5 }",
            "the kernel of layer `average_pool0` does not fit into its input",
        ),
        ("{ type = 'average_pool' }", "`model.layer.0.kernel` is missing"),
        (
            "{ type = 'global_average_pool' }, { type = 'max_pool', kernel = 2 }",
            "layer `max_pool1` reads images",
        ),
        ("{ type = 'flatten' }, { type = 'global_average_pool' }", "`flatten0` has 40"),
        ("{ type = 'batch_norm', epsilon = 0.0 }", "a number above 1.2e-38"),
        ("{ type = 'batch_norm', momentum = 0.0 }", "a number above 0, up to 1"),
        ("{ type = 'batch_norm', momentum = 1.5 }", "a number above 0, up to 1"),
        ("{ type = 'batch_norm', momentun = 0.1 }", "did you mean `momentum`"),
        ("{ type = 'dropout', p = 1.0 }", "a number from 0 up to, not including, 1"),
        ("{ type = 'scale' }", "layer `scale0` reads a value and its gates"),
        ("{ type = 'scale', from = ['data', 'data'] }", "`data` has 2x5x4, `data` has 2x5x4"),
    ] {
        let error = refused(image(), layers);
        assert!(error.contains(wanted), "{layers}: {error}");
    }
    assert_eq!(refused(image(), "{ type = 'max_pool', kernel = 2 }"), "built");
    assert!(refused(Extent::features(6), "{ type = 'max_pool', kernel = 2 }").contains("`data` has 6"));
}

/// Dispatches of a layer in a case's forward and backward pass.
fn dispatches(name: &str, layer: &str) -> usize {
    let case = cases().into_iter().find(|case| case["name"] == *name).unwrap();
    let network = Network::new(&Gpu::counted(), &case);
    let plans = [&network.forward, &network.backward];
    plans.iter().flat_map(|plan| &plan.dispatches).filter(|one| one.label.starts_with(layer)).count()
}

#[test]
fn what_is_a_view_or_fused_costs_nothing() {
    // Its gradient is that of its input, in another shape.
    assert_eq!(dispatches("flatten", "flatten"), 1);
    assert_eq!(dispatches("flatten, passed by", "flatten"), 0);
    // ReLU goes with batch normalisation, and its gradient with pooling.
    assert_eq!(dispatches("batch_norm", "relu"), 0);
    assert_eq!(dispatches("batch_norm", "batch_norm"), 6);
    assert_eq!(dispatches("max_pool", "relu") + dispatches("max_pool", "conv ops/relu"), 0);
    assert_eq!(dispatches("max_pool", "max_pool"), 2);
}

/// The slope of the loss by every number of a parameter, by central differences.
fn differences(network: &Network, param: &Param) -> Vec<f32> {
    let start = param.read().unwrap();
    let slope = |i: usize| {
        let at = |by: f32| {
            let mut moved = start.clone();
            moved[i] += by;
            param.write(&moved).unwrap();
            (f64::from(moved[i]), network.loss())
        };
        let ((up, above), (down, below)) = (at(1.0 / 1024.0), at(-1.0 / 1024.0));
        ((above - below) / (up - down)) as f32
    };
    let slopes = (0..start.len()).map(slope).collect();
    param.write(&start).unwrap();
    slopes
}

/// Dropout in the middle of a network, and that network without it.
fn with_and_without_dropout() -> [Value; 2] {
    let conv = serde_json::json!({ "type": "conv2d", "name": "conv", "out": 4, "kernel": 3, "padding": 1 });
    let drop = serde_json::json!({ "type": "dropout", "name": "drop", "p": 0.4 });
    let head = serde_json::json!({ "type": "linear", "name": "head", "out": CLASSES });
    let case = |layers: &[&Value]| serde_json::json!({ "name": "dropout", "extent": [2, 5, 4], "first": 2, "layers": layers });
    [case(&[&conv, &drop, &head]), case(&[&conv, &head])]
}

#[test]
fn dropout_drops_the_same_in_both_passes_and_nothing_in_evaluations() {
    for gpu in common::everywhere() {
        let [with, without] = with_and_without_dropout().map(|case| Network::new(&gpu, &case));
        let evaluated = Network::logits(&with.evaluation, &with.evaluate);
        assert_eq!(evaluated, Network::logits(&without.evaluation, &without.evaluate));
        assert_ne!(evaluated, Network::logits(&with.pass, &with.forward));
    }
    let [with, without] = with_and_without_dropout().map(|case| Network::new(&Gpu::twin(), &case));
    with.differentiate();
    without.differentiate();
    let grads: Vec<Vec<f32>> = with.learned().map(|param| param.read_grad().unwrap()).collect();
    for ((param, grad), other) in with.learned().zip(grads).zip(without.learned()) {
        let slopes = differences(&with, param);
        compare_f32(&param.name, &grad, &slopes, DIFFERENCE).unwrap();
        let whole = compare_f32(&param.name, &other.read_grad().unwrap(), &slopes, DIFFERENCE);
        assert_eq!(whole.is_ok(), param.name == "head.bias", "{}", param.name);
    }
}

/// Probabilities that are kept and those that are computed anew drop the same ones in both passes.
#[test]
fn attention_that_drops_agrees_with_finite_differences() {
    let named = |case: &Value| {
        let name = case["name"].as_str().expect("a name");
        name.starts_with("attention over 17, causal") || name.starts_with("cross attention")
    };
    let chosen: Vec<Value> = cases().into_iter().filter(named).collect();
    assert_eq!(chosen.len(), 4);
    for mut case in chosen {
        let without = Network::new(&Gpu::twin(), &case);
        without.differentiate();
        let whole: Vec<Vec<f32>> = without.learned().map(|param| param.read_grad().unwrap()).collect();
        for layer in case["layers"].as_array_mut().unwrap() {
            if layer["type"] == "attention" {
                layer["dropout"] = serde_json::json!(0.3);
            }
        }
        let with = Network::new(&Gpu::twin(), &case);
        with.differentiate();
        let grads: Vec<Vec<f32>> = with.learned().map(|param| param.read_grad().unwrap()).collect();
        let mut differ = 0;
        for ((param, grad), whole) in with.learned().zip(grads).zip(whole) {
            let slopes = differences(&with, param);
            compare_f32(&param.name, &grad, &slopes, DIFFERENCE)
                .unwrap_or_else(|e| panic!("{}: {e}", case["name"]));
            differ += usize::from(compare_f32(&param.name, &whole, &slopes, DIFFERENCE).is_err());
        }
        assert!(differ > 1, "{}: dropout changed {differ} gradients", case["name"]);
    }
}

#[test]
fn gradients_agree_with_finite_differences_and_wrong_ones_do_not() {
    for case in cases() {
        let network = Network::new(&Gpu::twin(), &case);
        network.differentiate();
        let grads: Vec<Vec<f32>> = network.learned().map(|param| param.read_grad().unwrap()).collect();
        for (param, grad) in network.learned().zip(grads) {
            let slopes = differences(&network, param);
            let compared = compare_f32(&param.name, &grad, &slopes, DIFFERENCE);
            compared.unwrap_or_else(|e| panic!("{}: {e}", case["name"]));
            let golden = numbers(&case["gradients"][&param.name]);
            let largest = (0..grad.len()).max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs())).unwrap();
            if grad[largest].abs() < 0.2 {
                continue; // a bias before a normalisation, which changes nothing
            }
            type Mistake = fn(&mut [f32], usize);
            let mistakes: [Mistake; 3] = [|g, i| g[i] *= 1.02, |g, i| g[i] = -g[i], |g, i| g[i] = f32::NAN];
            for mistake in mistakes {
                let mut wrong = grad.clone();
                mistake(&mut wrong, largest);
                assert!(compare_f32("", &wrong, &slopes, DIFFERENCE).is_err(), "{}", case["name"]);
                assert!(compare_f32("", &wrong, &golden, CLOSE).is_err(), "{}", case["name"]);
            }
        }
    }
}
