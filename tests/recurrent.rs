//! Recurrent layers against JAX, on every adapter of this machine and on the CPU twins: logits and all gradients, over windows
//! that follow one another, too; the same gradients against finite differences; packed weights against masked ones; and the
//! comparisons against wrong answers. `tests/oracle/make_recurrent.py` made the golden file and says what is in it.

mod common;

use common::value;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::gpu::{Dtype, Gpu, Plan, Recorder, Uniform};
use coppice::nn::{Arena, Extent, Gradients, Graph, Left, Model, Pass, Schedule, Wish};
use coppice::ops::Step;
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::variants::Choices;
use coppice::param::{Param, ParamId, mask_of};
use coppice::recipe::Recipe;
use serde_json::Value;

const CLASSES: usize = 3;
const CHANNELS: usize = 2;
/// The number of the first parameter.
const FIRST: usize = 20;

/// Each of up to 64 steps rounds numbers up to 1 some times, and `exp` is worth three roundings more; gates damp what is from
/// earlier steps. A gradient adds up to 256 columns of up to 0.5.
const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 8e-6 };
/// The sum of 15 logits up to 1 times gradients up to 0.5 is off by 1e-7 or so; over a distance of 1/512 that makes 5e-5, and
/// several times that at the worst. The curvature's share is below.
const DIFFERENCE: Tolerance = Tolerance { abs: 3e-4, rel: 1e-3 };

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("oracle/recurrent.json")).expect("JSON");
    file["cases"].as_array().expect("a list").clone()
}

fn numbers(list: &Value) -> Vec<f32> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

/// A case's network, in plans.
struct Network {
    model: Model,
    pass: Pass,
    evaluation: Pass,
    step: Uniform,
    forward: Plan,
    backward: Plan,
    evaluate: Plan,
    batch: usize,
    live: usize,
}

/// How a weight keeps a third of its values.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    All,
    Masked,
    Packed,
}

/// What a third of a weight is.
fn third(param: &Param) -> Pattern {
    let kept: Vec<u32> = (0..param.len() as u32).filter(|i| i % 3 == 0).collect();
    Pattern::from_indices(Form::Free, param.shape[0], param.shape[1], &kept)
}

fn model(case: &Value) -> Model {
    let layers: Vec<toml::Table> = serde_json::from_value(case["layers"].clone()).expect("tables");
    let mut model = toml::Table::new();
    model.insert("layer".into(), toml::Value::try_from(layers).expect("TOML"));
    let model = toml::to_string(&toml::Table::from_iter([("model".to_string(), model.into())]));
    let rest = "data = { name = 'digits' }\noptim = { name = 'sgd', lr = 1 }\n";
    let recipe = Recipe::parse(&format!("{rest}{}", model.expect("TOML")), "case", &[]).unwrap();
    let steps = case["steps"].as_u64().expect("a number") as usize;
    Model::new(&recipe.model, Extent::new(CHANNELS, vec![steps]), CLASSES, 0).unwrap()
}

impl Network {
    fn new(gpu: &Gpu, case: &Value, keeps: Keeps) -> Self {
        let [batch, live] = ["batch", "live"].map(|key| case[key].as_u64().expect("a number") as usize);
        let mut model = model(case);
        for (number, param) in model.params.iter_mut().enumerate() {
            let of = |i| value(FIRST + number, i, 1000.0);
            let mut values: Vec<f32> = (0..param.len()).map(of).collect();
            if param.recurrent && keeps == Keeps::Packed {
                param.allocate_packed(gpu, third(param)).unwrap();
            } else {
                param.allocate(gpu).unwrap();
            }
            if param.recurrent && keeps != Keeps::All {
                values.iter_mut().enumerate().filter(|(i, _)| i % 3 != 0).for_each(|(_, w)| *w = 0.0);
            }
            param.write(&values).unwrap();
        }
        let choices = Choices::default();
        let step = gpu.uniform("step", &Step::default()).unwrap();
        let wishes = [Gradients::All, Gradients::None].map(|gradients| Wish {
            gradients,
            keeps: gradients == Gradients::All,
            ..Wish::default()
        });
        let schedules = wishes.map(|wish| Schedule::new(&model, gpu, &choices, batch, wish));
        let (_, passes) = Arena::new(gpu, schedules.into()).unwrap();
        let [pass, evaluation] = passes.try_into().unwrap_or_else(|_| panic!("two"));
        let plan = |with: &dyn Fn(&mut Recorder)| {
            let mut rec = Recorder::new(gpu);
            with(&mut rec);
            rec.finish().unwrap()
        };
        let forward = plan(&|rec| model.forward(rec, &choices, &step, &pass).unwrap());
        let backward = plan(&|rec| model.backward(rec, &choices, &step, &pass).unwrap());
        let evaluate = plan(&|rec| model.forward(rec, &choices, &step, &evaluation).unwrap());
        Self { model, pass, evaluation, step, forward, backward, evaluate, batch, live }
    }

    /// The logits of samples of a window. Columns without a sample hold something, too: it must count for nothing.
    fn logits(&self, pass: &Pass, plan: &Plan, window: usize) -> Vec<f32> {
        let (live, first) = (self.live as u32, (window * self.batch) as u32);
        self.step.write(&Step { live, first, ..Step::default() }).unwrap();
        let x: Vec<f32> = (0..pass.input().len()).map(|i| value(2 * window, i, 500.0)).collect();
        pass.input().write(&x).unwrap();
        plan.replay().unwrap();
        let logits = pass.heads()[0].0.read_f32().unwrap().into_iter().enumerate();
        logits.filter(|(i, _)| i % self.batch < self.live).map(|(_, value)| value).collect()
    }
    /// The gradients of the logits, (classes, batch); 0 where there is no sample.
    fn d_logits(&self, window: usize) -> Vec<f32> {
        let of = |i: usize| if i % self.batch < self.live { value(2 * window + 1, i, 500.0) } else { 0.0 };
        (0..CLASSES * self.batch).map(of).collect()
    }
    /// What is differentiated, in the first window.
    fn loss(&self) -> f64 {
        let d_logits = self.d_logits(0).into_iter().enumerate().filter(|(i, _)| i % self.batch < self.live);
        let logits = self.logits(&self.pass, &self.forward, 0);
        logits.iter().zip(d_logits).map(|(&y, (_, d))| f64::from(y) * f64::from(d)).sum()
    }
    /// Logits and all gradients of a window.
    fn differentiate(&self, window: usize) -> (Vec<f32>, Vec<Vec<f32>>) {
        let logits = self.logits(&self.pass, &self.forward, window);
        self.pass.heads()[0].1.unwrap().write(&self.d_logits(window)).unwrap();
        self.backward.replay().unwrap();
        (logits, self.model.params.iter().map(|param| param.read_grad().unwrap()).collect())
    }
    fn recurrent(&self) -> ParamId {
        let found = self.model.params.pairs().find(|(_, param)| param.recurrent);
        found.expect("a recurrent weight").0
    }
}

#[test]
fn recurrent_layers_agree_with_jax() {
    common::side_by_side(common::everywhere(), |gpu| {
        for case in cases() {
            let (network, name) = (Network::new(gpu, &case, Keeps::All), case["name"].as_str().unwrap());
            let same = |what: &str, got: &[f32], want: &Value| {
                let compared = compare_f32(what, got, &numbers(want), CLOSE);
                compared.unwrap_or_else(|e| panic!("{name}, on {:?}: {e}", gpu.identity()));
            };
            let windows = case["windows"].as_array().unwrap();
            for (number, window) in windows.iter().enumerate() {
                let (logits, grads) = network.differentiate(number);
                same("logits", &logits, &window["logits"]);
                assert_eq!(grads.len(), window["gradients"].as_object().unwrap().len());
                for (param, grad) in network.model.params.iter().zip(&grads) {
                    same(&param.name, grad, &window["gradients"][&param.name]);
                }
                // An evaluation in between has a state of its own.
                let evaluated = network.logits(&network.evaluation, &network.evaluate, number);
                same("evaluated", &evaluated, &window["logits"]);
            }
            // An epoch begins with nothing.
            let again = network.differentiate(0).0;
            same("logits of another epoch", &again, &windows[0]["logits"]);
        }
    });
}

#[test]
fn what_was_carried_counts() {
    for case in cases().iter().filter(|case| case["windows"].as_array().unwrap().len() > 1) {
        let network = Network::new(&Gpu::twin(), case, Keeps::All);
        let (fresh, _) = network.differentiate(1);
        network.differentiate(0);
        let (carried, _) = network.differentiate(1);
        assert!(compare_f32("logits", &fresh, &carried, Tolerance { abs: 1e-2, rel: 0.0 }).is_err());
        let golden = numbers(&case["windows"][1]["logits"]);
        assert!(compare_f32("logits", &fresh, &golden, CLOSE).is_err());
    }
}

#[test]
fn gradients_agree_with_finite_differences_and_wrong_ones_do_not() {
    for case in cases().iter().filter(|case| case["steps"].as_u64().unwrap() < 5) {
        let network = Network::new(&Gpu::twin(), case, Keeps::All);
        let grads = network.differentiate(0).1;
        for (param, grad) in network.model.params.iter().zip(grads) {
            let start = param.read().unwrap();
            let slope = |i: usize| {
                let at = |by: f32| {
                    let mut moved = start.clone();
                    moved[i] += by;
                    param.write(&moved).unwrap();
                    (f64::from(moved[i]), network.loss())
                };
                let ((up, above), (down, below)) = (at(1.0 / 512.0), at(-1.0 / 512.0));
                ((above - below) / (up - down)) as f32
            };
            let slopes: Vec<f32> = (0..start.len()).map(slope).collect();
            param.write(&start).unwrap();
            let compared = compare_f32(&param.name, &grad, &slopes, DIFFERENCE);
            compared.unwrap_or_else(|e| panic!("{}: {e}", case["name"]));
            let largest = (0..grad.len()).max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs())).unwrap();
            if grad[largest].abs() < 0.1 {
                continue; // of one step nothing goes through the recurrent weight
            }
            let golden = numbers(&case["windows"][0]["gradients"][&param.name]);
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

/// What a packed weight computes and what growth goes by, against a weight with zeros in place.
#[test]
fn a_packed_weight_is_one_with_zeros() {
    common::side_by_side(common::everywhere(), |gpu| {
        for case in cases().iter().filter(|case| case["steps"].as_u64().unwrap() <= 17) {
            let same = |what: &str, got: &[f32], want: &[f32]| {
                let compared = compare_f32(what, got, want, CLOSE);
                compared.unwrap_or_else(|e| panic!("{}, on {:?}: {e}", case["name"], gpu.identity()));
            };
            let [masked, packed] = [Keeps::Masked, Keeps::Packed].map(|keeps| Network::new(gpu, case, keeps));
            let ((logits, grads), (own_logits, own)) = (masked.differentiate(0), packed.differentiate(0));
            same("logits", &own_logits, &logits);
            for ((param, own), grad) in packed.model.params.iter().zip(&own).zip(&grads) {
                let kept = |i: usize| !param.recurrent || i.is_multiple_of(3);
                let grad: Vec<f32> =
                    grad.iter().enumerate().map(|(i, &g)| if kept(i) { g } else { 0.0 }).collect();
                same(&param.name, own, &grad);
            }
            let weight = packed.recurrent();
            let (rows, units) = (packed.model.params[weight].shape[0], packed.model.params[weight].shape[1]);
            let d_weight = gpu.tensor("d_weight", Dtype::F32, &[rows, units]).unwrap();
            let mut rec = Recorder::new(gpu);
            let (model, choices) = (&packed.model, Choices::default());
            model
                .dense_grad(&mut rec, &choices, &Left::by(&packed.pass), (weight, 0..rows), &d_weight)
                .unwrap();
            rec.finish().unwrap().replay().unwrap();
            same("dense gradient", &d_weight.read_f32().unwrap(), &grads[weight.0]);
        }
    });
}

/// Two dispatches a step forward, two backward; one product for the weight's gradient.
#[test]
fn a_step_takes_two_dispatches_each_way() {
    let count = |name: &str| {
        let case = cases().into_iter().find(|case| case["name"] == *name).unwrap();
        let network = Network::new(&Gpu::counted(), &case, Keeps::All);
        let own = |plan: &Plan| plan.dispatches.iter().filter(|one| one.label.starts_with("core ")).count();
        [own(&network.forward), own(&network.backward)]
    };
    // The state is cleared, and left where it is carried; from the first step no gradient goes back. That of x is copied, of a
    // GRU in two pieces.
    assert_eq!(count("lstm, 17 steps, 4 samples"), [2 * 17 + 1, 2 * 17 - 1 + 2]);
    assert_eq!(count("gru, 17 steps, 4 samples"), [2 * 17 + 1, 2 * 17 - 1 + 3]);
    assert_eq!(count("lstm, carried"), [2 * 3 + 2, 2 * 3 - 1 + 2]);
}

#[test]
fn what_no_recurrent_layer_can_do_is_refused_by_name() {
    let refused = |extent: Extent, layer: &str| {
        let text = format!(
            "data = {{ name = 'digits' }}\noptim = {{ name = 'sgd', lr = 1 }}\nmodel = {{ layer = [{layer}, \
             {{ type = 'flatten' }}, {{ type = 'linear', name = 'head', out = 3 }}] }}"
        );
        let recipe = Recipe::parse(&text, "net.toml", &[]).unwrap();
        Model::new(&recipe.model, extent, CLASSES, 0).err().map_or("built".into(), |error| error.to_string())
    };
    let sequence = |channels| Extent::new(channels, vec![3]);
    assert_eq!(refused(sequence(8), "{ type = 'lstm' }"), "built");
    for (extent, layer, wanted) in [
        (Extent::features(8), "{ type = 'lstm' }", "layer `lstm0` reads a sequence, and was given 8"),
        (sequence(6), "{ type = 'lstm' }", "layer `lstm0` has 4 gates, and was given 6x3"),
        (sequence(8), "{ type = 'gru' }", "layer `gru0` has 3 gates, and was given 8x3"),
        (sequence(8), "{ type = 'lstm', reverse = true, carry = true }", "false where `reverse` is true"),
        (sequence(8), "{ type = 'lstm', gates = 'each' }", "\"together\" or \"apart\""),
        (sequence(8), "{ type = 'lstm', gates = 'apart' }", "has 2 units: too few to keep gates apart"),
        (sequence(8), "{ type = 'lstm', init = 'zeros' }", "\"xavier\""),
    ] {
        let error = refused(extent, layer);
        assert!(error.contains(wanted), "{layer}: {error}");
    }
}

#[test]
fn calls_make_the_layers_that_recipes_name() {
    let mut net = Graph::new();
    let x = net.data();
    let there = net.lstm("there", x, 5);
    let back = net.recurrent("gru", "back", x, 4, true, false);
    let both = net.concat("both", &[there, back]);
    let above = net.gru("above", both, 6);
    let all = net.flatten("all", above);
    let logits = net.linear("head", all, CLASSES);
    net.output(logits, 1.0);
    let model = Model::new(&net.into(), Extent::new(CHANNELS, vec![7]), CLASSES, 0).unwrap();
    let shapes: Vec<(String, Vec<usize>)> = model
        .params
        .iter()
        .filter(|param| param.prunable)
        .map(|p| (p.name.clone(), p.shape.clone()))
        .collect();
    let of = |name: &str, shape: [usize; 2]| (format!("{name}.weight"), shape.to_vec());
    assert_eq!(
        shapes,
        [
            of("there_in", [20, 2]),
            of("there", [20, 5]),
            of("back_in", [12, 2]),
            of("back", [12, 4]),
            of("above_in", [18, 9]),
            of("above", [18, 6]),
            of("head", [3, 42]),
        ]
    );
    // All steps of the recurrent products count, in steps; and they go back in time although the data has no gradient.
    let weight = model.params.pairs().find(|(_, param)| param.name == "there.weight").unwrap().0;
    let whole = model.params[weight].product(8);
    assert_eq!((whole.cols, whole.flops()), (7 * 8, 2 * 20 * 5 * 7 * 8));
    assert_eq!(model.uses(|_| true)[weight.0], [1, 1]);
    assert!(model.params[weight].feeds_back && model.params[weight].before.is_none());
}

/// A unit depends on the input by its own gates, or by way of other units.
#[test]
fn paths_lead_through_other_units() {
    let mut net = Graph::new();
    let x = net.data();
    let h = net.lstm("core", x, 2);
    let all = net.flatten("all", h);
    let logits = net.linear("head", all, CLASSES);
    net.output(logits, 1.0);
    let model = Model::new(&net.into(), Extent::new(CHANNELS, vec![2]), CLASSES, 0).unwrap();
    // Of the input gate of unit 0 a weight is kept; the head reads unit 1 in the last step.
    let cuts = |recurrent: &[u32]| {
        let kept: [(&str, &[u32]); 3] =
            [("core_in.weight", &[0]), ("core.weight", recurrent), ("head.weight", &[3, 7, 11])];
        let masks: Vec<_> = (model.params.iter())
            .map(|param| {
                let own = kept.iter().find(|(name, _)| *name == param.name);
                own.map(|(_, indices)| mask_of(indices, param.len()))
            })
            .collect();
        model
            .cuts(&|id| masks[id.0].as_deref())
            .into_iter()
            .map(|cut| (cut.name, cut.dead))
            .collect::<Vec<_>>()
    };
    // The forget gate of unit 1 reads unit 0; then that of unit 0 reads unit 1.
    assert_eq!(cuts(&[6]), []);
    assert_eq!(cuts(&[5]), [("head".to_string(), 3)]);
}

/// A weight for each gate is the rows of one weight, dense and packed; and growth goes by its own.
#[test]
fn gates_apart_are_rows_of_one_weight() {
    let case = |kind: &str, gates: &str| {
        let of = if kind == "lstm" { 64 } else { 48 };
        let layers = serde_json::json!([
            { "type": "linear", "name": "core_in", "out": of }, { "type": kind, "name": "core", "gates": gates },
            { "type": "flatten", "name": "all" }, { "type": "linear", "name": "head", "out": CLASSES },
        ]);
        serde_json::json!({ "name": kind, "steps": 3, "batch": 8, "live": 5, "layers": layers })
    };
    common::side_by_side(common::everywhere(), |gpu| {
        for (kind, keeps) in
            [("lstm", Keeps::All), ("gru", Keeps::All), ("lstm", Keeps::Packed), ("gru", Keeps::Packed)]
        {
            let together = Network::new(gpu, &case(kind, "together"), Keeps::All);
            let apart = Network::new(gpu, &case(kind, "apart"), keeps);
            // What is called so, or so and a gate.
            let joined = |name: &str, of: &dyn Fn(&Param) -> Vec<f32>| -> Vec<f32> {
                let own = apart.model.params.iter().filter(|param| {
                    param.name == name || param.name.len() == name.len() + 2 && param.name.starts_with(name)
                });
                own.flat_map(of).collect()
            };
            for param in together.model.params.iter() {
                param.write(&joined(&param.name, &|own| own.read().unwrap())).unwrap();
            }
            let (logits, grads) = together.differentiate(0);
            let (own_logits, _) = apart.differentiate(0);
            let same = |what: &str, got: &[f32], want: &[f32]| {
                let compared = compare_f32(what, got, want, CLOSE);
                compared.unwrap_or_else(|e| panic!("{kind}, on {:?}: {e}", gpu.identity()));
            };
            same("logits", &own_logits, &logits);
            for (param, grad) in together.model.params.iter().zip(&grads) {
                let own = joined(&param.name, &|own| own.read_grad().unwrap());
                let kept = |i: usize| keeps == Keeps::All || !param.recurrent || (i % 256).is_multiple_of(3);
                let grad: Vec<f32> =
                    grad.iter().enumerate().map(|(i, &g)| if kept(i) { g } else { 0.0 }).collect();
                same(&param.name, &own, &grad);
            }
            let weights: Vec<ParamId> =
                apart.model.params.pairs().filter(|(_, param)| param.recurrent).map(|(id, _)| id).collect();
            let whole = &grads[together.recurrent().0];
            for (part, id) in weights.into_iter().enumerate() {
                let d_weight = gpu.tensor("d_weight", Dtype::F32, &[16, 16]).unwrap();
                let (mut rec, model, choices) = (Recorder::new(gpu), &apart.model, Choices::default());
                model.dense_grad(&mut rec, &choices, &Left::by(&apart.pass), (id, 0..16), &d_weight).unwrap();
                rec.finish().unwrap().replay().unwrap();
                same("dense gradient", &d_weight.read_f32().unwrap(), &whole[256 * part..256 * (part + 1)]);
            }
        }
    });
}
