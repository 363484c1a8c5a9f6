//! Progressive unfreezing: frozen layers keep every bit, join with empty slots, and a run cut in pieces is the same
//! run, on every adapter and on the twin.

mod common;
#[path = "unfreeze/registry.rs"]
mod registry;

use coppice::data::{self, Dataset};
use coppice::error::Kind;
use coppice::gpu::{Gpu, Phase};
use coppice::ops::variants::Choices;
use coppice::param::{MEAN, ParamId};
use coppice::recipe::Recipe;
use coppice::store::Arrays;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, Summary, TrainFlops, train};

fn devices() -> Vec<Gpu> {
    common::devices().into_iter().filter(Gpu::is_device).chain([Gpu::twin()]).collect()
}

fn digits() -> Dataset {
    data::open("digits", 0.1).unwrap()
}

/// 39 steps; fc2 joins at step 10, fc1 at step 20.
fn recipe(more: &[&str]) -> Recipe {
    let text = "
        run = { epochs = 3, batch = 100, seed = 4, log_every = '7' }
        data = { name = 'digits' }
        model = { preset = 'mlp', hidden = [24, 16] }
        optim = { name = 'adam', lr = 0.01 }
        unfreeze = { groups = [['head'], ['fc2'], ['fc1']], phases = ['10', '20'], lr = [1.0, 0.5, 0.25] }";
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(text, "test", &more).unwrap()
}

const ALWAYS: [&str; 3] = ["unfreeze.groups=[]", "unfreeze.phases=[]", "unfreeze.lr=[]"];
const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    Session::new(gpu, recipe, &digits(), Choices::default()).unwrap()
}

fn run(gpu: &Gpu, recipe: &Recipe, control: &Control) -> Summary {
    train(&mut session(gpu, recipe), control, &mut |_| Ok(())).unwrap()
}

#[test]
fn frozen_layers_keep_every_bit_and_join_with_empty_slots() {
    for gpu in devices() {
        let mut session = session(&gpu, &recipe(&[]));
        // By layer, the step at which it joins.
        let joins = [("head", 0), ("fc2", 10), ("fc1", 20)];
        let parts = |layer: &str| ["weight", "bias"].map(|part| format!("{layer}.{part}"));
        let slots = |name: &str| ["first", "second"].map(|slot| format!("{name}.{slot}"));
        let mut before: Arrays = session.snapshot().unwrap().arrays;
        for step in 0..24 {
            session.advance().unwrap();
            let (now, grads) = (session.snapshot().unwrap().arrays, session.grads().unwrap());
            for (layer, join) in joins {
                for name in parts(layer) {
                    let grad = grads[&name].to_f32();
                    let context = format!("{name} in step {step} on {:?}", gpu.identity().backend);
                    assert_eq!(now[&name] != before[&name], step >= join, "{context}");
                    assert_eq!(grad.iter().any(|&g| g != 0.0), step >= join, "{context}");
                    let [m, v] = slots(&name).map(|slot| now[&slot].to_f32());
                    if step < join {
                        assert!(m.iter().chain(&v).all(|&x| x == 0.0), "{context}");
                    } else if step == join {
                        // The averages of one gradient and of what was there before: nothing. In f32 1 - 0.999 is
                        // 0.001 within 5e-5 of itself.
                        let close = |got: f32, want: f32| (got - want).abs() <= 1e-4 * want.abs() + 1e-12;
                        assert!(m.iter().zip(&grad).all(|(&m, &g)| close(m, 0.1 * g)), "{context}");
                        assert!(v.iter().zip(&grad).all(|(&v, &g)| close(v, 0.001 * g * g)), "{context}");
                    }
                }
            }
            before = now;
        }
    }
}

#[test]
fn what_trains_has_the_gradients_of_a_whole_backward_pass() {
    for gpu in devices() {
        let (mut some, mut all) = (session(&gpu, &recipe(&[])), session(&gpu, &recipe(&ALWAYS)));
        some.advance().unwrap();
        all.advance().unwrap();
        let (found, wanted) = (some.grads().unwrap(), all.grads().unwrap());
        assert_eq!(found["head.weight"], wanted["head.weight"]);
        assert_eq!(found["head.bias"], wanted["head.bias"]);
        assert_ne!(found["fc2.weight"], wanted["fc2.weight"]);
    }
}

#[test]
fn a_phase_saves_work_and_sets_the_learning_rate() {
    let gpu = common::device();
    let mut session = session(&gpu, &recipe(&[]));
    let whole = self::session(&gpu, &recipe(&ALWAYS));
    let backward = |session: &Session| -> u64 {
        session.plans().iter().map(|plan| plan.cost_of(Phase::Backward).flops).sum()
    };
    let mut seen = Vec::new();
    for _ in 0..30 {
        let rate = session.learning_rate();
        session.advance().unwrap();
        if seen.last() != Some(&(rate, backward(&session))) {
            seen.push((rate, backward(&session)));
        }
    }
    let rates: Vec<f64> = seen.iter().map(|(rate, _)| *rate).collect();
    assert_eq!(rates, [0.01, 0.005, 0.0025]);
    let work: Vec<u64> = seen.iter().map(|(_, flops)| *flops).collect();
    assert!(work[0] < work[1] && work[1] < work[2], "{work:?}");
    assert_eq!(work[2], backward(&whole));
}

/// 64 x 24, 24 x 16 and 16 x 10 weights, a hundred columns: 2,080 products forward in each step; ten steps with the
/// weight gradient of the head alone (160 more); ten with those of head and fc2 (544) and the head's input gradient (160);
/// nineteen with all, and with the input gradients of all but fc1.
#[test]
fn operations_are_those_of_the_layers_that_train() {
    let flops = |more: &[&str], steps| session(&Gpu::twin(), &recipe(more)).train_flops(steps).unwrap();
    let [first, second, third] = [2080.0 + 160.0, 2080.0 + 544.0 + 160.0, 3.0 * 2080.0 - 1536.0];
    let whole = 200.0 * (10.0 * first + 10.0 * second + 19.0 * third);
    assert_eq!(whole, 27_923_200.0);
    let found = flops(&[], 39);
    assert_eq!((found.kept, found.dense), (whole, 200.0 * 39.0 * third));
    assert_eq!(flops(&[], 7).kept, 200.0 * 7.0 * first);
    assert_eq!(flops(&[], 15).kept, 200.0 * (10.0 * first + 5.0 * second));
    assert_eq!(flops(&ALWAYS, 39).kept, found.dense);
    // Half of every layer; RigL's updates take the whole gradient of what trains: 160 weights at step 5, 544 at step 15.
    let half = ["sparsity.target=0.5", "sparsity.distribution=uniform"];
    let fixed = [&half[..], &["sparsity.method=static"]].concat();
    assert_eq!(flops(&fixed, 39), TrainFlops { kept: whole / 2.0, dense: found.dense });
    let rigl = ["sparsity.method=rigl", "sparsity.schedule={begin='5',end='16',every='10'}"];
    let rigl = flops(&[&half[..], &rigl].concat(), 39).kept;
    assert_eq!(rigl - whole / 2.0, 200.0 * (160.0 + 544.0) / 2.0);
    // Two trainings of 20 and 19 steps, each with phases of 4, 4 and the rest; the second with half of fc1, in 19
    // products forward and 11 of its gradient. 24 inputs and 10 outputs are none that ASP takes.
    let anew = flops(&[SOON, ASP, "sparsity.permute=false", "model.hidden=[24,16]"], 39).kept;
    let training = |steps: f64| 4.0 * first + 4.0 * second + (steps - 8.0) * third;
    assert_eq!(anew, 200.0 * (training(20.0) + training(19.0) - 1536.0 / 2.0 * (19.0 + 11.0)));
}

#[test]
fn one_group_of_all_layers_is_no_unfreezing() {
    let gpu = common::device();
    let one = recipe(&["unfreeze.groups=[['*']]", "unfreeze.phases=[]", "unfreeze.lr=[1]"]);
    let whole = run(&gpu, &recipe(&ALWAYS), &FREE).digest;
    assert_eq!(run(&gpu, &one, &FREE).digest, whole);
    assert_ne!(run(&gpu, &recipe(&[]), &FREE).digest, whole);
}

#[test]
fn stopping_and_resuming_across_phases_changes_no_bit() {
    let gmp = ["sparsity.method=gmp", "sparsity.target=0.8", "sparsity.schedule={every='4'}"];
    let latent = [&gmp[..], &["sparsity.latent=true"]].concat();
    let packed = [&gmp[..], &["sparsity.storage=packed"]].concat();
    let distilled = ["distill.method=ps-kd"];
    let grown: Vec<Vec<String>> =
        GROWING.iter().flat_map(|method| STORAGES.map(|s| grows(method, s))).collect();
    let grown: Vec<Vec<&str>> = grown.iter().map(|all| all.iter().map(String::as_str).collect()).collect();
    let mut kinds: Vec<&[&str]> = vec![&[], &gmp, &latent, &packed, &distilled];
    kinds.extend(grown.iter().map(Vec::as_slice));
    kinds.extend(CHOOSING);
    kinds.extend(ANEW);
    // Stops of one run each; between two of them lie steps enough for what is restored wrongly to show.
    let on_device: [&[u64]; 2] = [&[1, 10, 20, 38], &[9, 11, 19, 21]];
    let on_twin: [&[u64]; 1] = [&[10, 15]];
    for (gpu, chains) in [(common::device(), &on_device[..]), (Gpu::twin(), &on_twin)] {
        for more in &kinds {
            let recipe = recipe(more);
            let whole = run(&gpu, &recipe, &FREE);
            for stops in chains {
                let rest = stopped(&gpu, &recipe, stops);
                assert_eq!(rest.digest, whole.digest, "{more:?}, resumed at steps {stops:?}");
            }
        }
    }
}

/// A run that is stopped at these steps, and goes on each time as another session from its checkpoint.
fn stopped(gpu: &Gpu, recipe: &Recipe, stops: &[u64]) -> Summary {
    let home = tempfile::tempdir().unwrap();
    let mut run = session(gpu, recipe);
    for &stop in stops {
        let control = Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
        train(&mut run, &control, &mut |_| Ok(())).unwrap();
        let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
        run = session(gpu, recipe);
        run.restore(&snapshot).unwrap();
        assert_eq!(run.step, stop);
    }
    train(&mut run, &FREE, &mut |_| Ok(())).unwrap()
}

#[test]
fn frozen_layers_are_pruned_to_the_same_exact_number() {
    for gpu in devices() {
        let gmp = ["sparsity.method=gmp", "sparsity.target=0.8", "sparsity.schedule={every='4',end='8'}"];
        let summary = run(&gpu, &recipe(&gmp), &FREE);
        // 64 x 24 + 24 x 16 + 16 x 10 weights, a fifth of them kept; at step 8 two layers of three were frozen.
        assert_eq!((summary.total, summary.kept), (2080, 416));
        let fixed = ["sparsity.method=static", "sparsity.target=0.5"];
        assert_eq!(run(&gpu, &recipe(&fixed), &FREE).kept, 1040);
    }
}

/// What a method that drops and grows is asked for, with an update on every third step.
fn grows(method: &str, storage: &str) -> Vec<String> {
    let own = ["method", "storage"].into_iter().zip([method, storage]);
    let mut all: Vec<String> = own.map(|(key, value)| format!("sparsity.{key}={value}")).collect();
    all.extend(["sparsity.target=0.8", "sparsity.schedule={every='3'}"].map(String::from));
    if let Some(name) = method.strip_suffix("-redistributed") {
        all[0] = format!("sparsity.method={name}");
        all.push("sparsity.redistribute=true".into());
    }
    if method == "granet" {
        all.push("sparsity.init=0.5".into());
    }
    all
}

const GROWING: [&str; 5] = ["set", "rigl", "snfs", "snfs-redistributed", "granet"];
const STORAGES: [&str; 2] = ["masked", "packed"];
const JOINS: [(&str, u64); 3] = [("fc1", 20), ("fc2", 10), ("head", 0)];

fn growing(method: &str, storage: &str) -> Recipe {
    let all = grows(method, storage);
    recipe(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The masks of the weights, layer by layer, as bits.
fn masks(session: &Session) -> Vec<Vec<bool>> {
    let bits = |words: Vec<u32>, len: usize| (0..len).map(|i| words[i / 32] >> (i % 32) & 1 == 1).collect();
    let weights = session.model.params.iter().step_by(2);
    weights.map(|param| bits(param.read_mask().unwrap(), param.len())).collect()
}

/// The values of weights and biases, layer by layer.
fn values(session: &Session) -> Vec<[Vec<f32>; 2]> {
    let all = session.weights().unwrap();
    let part = |layer: &str, part: &str| all[&format!("{layer}.{part}")].to_f32();
    JOINS.iter().map(|(layer, _)| ["weight", "bias"].map(|name| part(layer, name))).collect()
}

/// At a fixed density frozen layers neither drop nor grow, whatever decides what grows, and join with the masks of the
/// start; each keeps its number, or all share theirs once they train.
#[test]
fn frozen_layers_keep_their_masks_where_weights_grow() {
    for gpu in devices() {
        for (method, storage) in GROWING[..4].iter().flat_map(|method| STORAGES.map(|s| (*method, s))) {
            let mut session = session(&gpu, &growing(method, storage));
            let mut turned = [0; 3];
            while !session.is_done() {
                let (step, before, old) = (session.step, masks(&session), values(&session));
                let Some(change) = session.advance().unwrap() else { continue };
                assert_eq!(change.kept, 416, "a fifth of all 2080 weights, step {step}");
                let (after, new) = (masks(&session), values(&session));
                for (i, (layer, join)) in JOINS.into_iter().enumerate() {
                    let context = format!("{layer} in step {step}, {method}, {storage}");
                    let own = &change.layers[i];
                    assert_eq!(own.name, format!("{layer}.weight"));
                    assert_eq!(after[i] != before[i], own.grown + own.dropped > 0, "{context}");
                    let bits = |values: &[Vec<f32>; 2]| values.concat().iter().map(|v| v.to_bits()).collect();
                    let [old, new]: [Vec<u32>; 2] = [bits(&old[i]), bits(&new[i])];
                    if step < join {
                        assert_eq!((own.grown, own.dropped), (0, 0), "{context}");
                        assert_eq!(old, new, "{context}");
                        for mean in session.model.params[ParamId(2 * i)].tensors(MEAN) {
                            assert!(mean.read_f32().unwrap().iter().all(|&mean| mean == 0.0), "{context}");
                        }
                    }
                    if method != "snfs-redistributed" {
                        assert_eq!(own.grown, own.dropped, "{context}");
                    }
                    turned[i] += own.grown;
                }
            }
            assert!(turned.iter().all(|&grown| grown > 0), "all grow once they train: {turned:?}, {method}");
        }
    }
}

/// GraNet prunes frozen layers as GMP does, the smallest magnitudes of all layers, and regrows nothing of them.
#[test]
fn frozen_layers_are_pruned_without_regrowth() {
    for gpu in devices() {
        for storage in STORAGES {
            let mut session = session(&gpu, &growing("granet", storage));
            let (mut lost, mut grown) = ([0; 3], [0; 3]);
            while !session.is_done() {
                let (step, before, old) = (session.step, masks(&session), values(&session));
                let wanted = session.pruner.as_ref().unwrap().schedule().unwrap();
                let Some(change) = session.advance().unwrap() else { continue };
                let wanted = wanted.iter().find(|(at, ..)| *at == step).unwrap().2;
                assert_eq!(change.kept, wanted, "step {step}");
                let (after, new) = (masks(&session), values(&session));
                let (mut least_kept, mut most_dropped) = (f32::INFINITY, 0.0f32);
                for (i, (layer, join)) in JOINS.into_iter().enumerate() {
                    grown[i] += change.layers[i].grown;
                    if step >= join {
                        continue;
                    }
                    assert_eq!(old[i][1], new[i][1], "the bias of {layer}, step {step}");
                    for (place, (&was, &is)) in before[i].iter().zip(&after[i]).enumerate() {
                        let [old, new] = [old[i][0][place], new[i][0][place]];
                        assert!(was || !is, "{layer} regrew {place} in step {step}");
                        assert_eq!(new, if is { old } else { 0.0 }, "{layer}, place {place}, step {step}");
                        match (was, is) {
                            (true, true) => least_kept = least_kept.min(old.abs()),
                            (true, false) => most_dropped = most_dropped.max(old.abs()),
                            _ => {}
                        }
                        lost[i] += usize::from(was && !is);
                    }
                }
                assert!(most_dropped <= least_kept, "step {step}: {most_dropped} went, {least_kept} stayed");
            }
            assert!(lost[0] > 0 && lost[1] > 0, "{lost:?}");
            assert!(grown.iter().all(|&grown| grown > 0), "all grow once they train: {grown:?}");
            assert_eq!(masks(&session).concat().iter().filter(|&&kept| kept).count(), 416);
        }
    }
}

const CHOOSING: [&[&str]; 5] = [
    &["sparsity.method=snip", "sparsity.target=0.8", "sparsity.storage=masked"],
    &["sparsity.method=snip", "sparsity.target=0.8", "sparsity.storage=packed"],
    &["sparsity.method=snip", "sparsity.target=0.8", "sparsity.batches=3"],
    &["sparsity.method=grasp", "sparsity.target=0.8", "sparsity.storage=packed"],
    &["sparsity.method=grasp", "sparsity.target=0.8", "sparsity.temperature=200"],
];

/// SNIP and GraSP see the gradients of all layers, whatever is frozen: their masks are those of a run without phases. Of
/// that look nothing stays behind.
#[test]
fn masks_chosen_by_gradient_are_those_of_all_layers() {
    for gpu in devices() {
        for (number, own) in CHOOSING.into_iter().enumerate() {
            // One of them with the bf16 copies that packed products read.
            let bf16: &[&str] = if number == 1 { &["run.activations=bf16"] } else { &[] };
            let own = [own, bf16].concat();
            let mut some = session(&gpu, &recipe(&own));
            let mut all = session(&gpu, &recipe(&[&own[..], &ALWAYS].concat()));
            let before = values(&some);
            let [change, other] = [&mut some, &mut all].map(|run| run.advance().unwrap().unwrap());
            assert_eq!((change.kept, change.layers), (416, other.layers), "{own:?}");
            assert_eq!(masks(&some), masks(&all), "{own:?}");
            assert_eq!(some.weights().unwrap(), all.weights().unwrap(), "{own:?}");
            assert_eq!(some.take_totals().unwrap(), all.take_totals().unwrap(), "{own:?}");
            let (found, wanted) = (some.grads().unwrap(), all.grads().unwrap());
            assert_eq!(found["head.weight"], wanted["head.weight"], "{own:?}");
            for layer in ["fc1", "fc2"] {
                for name in [format!("{layer}.weight"), format!("{layer}.bias")] {
                    assert!(found[&name].to_f32().iter().all(|&grad| grad == 0.0), "{name}, {own:?}");
                }
            }
            let chosen = values(&some);
            while some.step < 21 {
                for (i, (layer, join)) in JOINS.into_iter().enumerate() {
                    let moved = values(&some)[i] != chosen[i];
                    assert_eq!(moved, some.step > join.max(1), "{layer} before step {}, {own:?}", some.step);
                    assert_eq!(before[i][1], chosen[i][1], "the optimizer rests, {layer}");
                }
                some.advance().unwrap();
            }
            assert_eq!(masks(&some), masks(&all), "{own:?}");
        }
    }
}

/// Once all layers train nothing tells a run from one that never had frozen any.
#[test]
fn what_has_joined_is_updated_as_ever() {
    for gpu in devices() {
        let grown = GROWING.iter().flat_map(|method| STORAGES.map(|storage| grows(method, storage)));
        let chosen = CHOOSING.iter().map(|own| own.iter().map(|key| key.to_string()).collect());
        for own in grown.chain(chosen) {
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            let mut some = session(&gpu, &recipe(&own));
            while some.step < 21 {
                some.advance().unwrap();
            }
            // The rate of the last phase, throughout.
            let mut all = session(&gpu, &recipe(&[&own[..], &ALWAYS, &["optim.lr=0.0025"]].concat()));
            all.restore(&some.snapshot().unwrap()).unwrap();
            let [some, all] = [&mut some, &mut all].map(|run| train(run, &FREE, &mut |_| Ok(())).unwrap());
            assert_eq!(some.digest, all.digest, "{own:?}");
        }
    }
}

const SOON: &str = "unfreeze.phases=['4','8']";
/// Methods that start training over: three rounds of 13 steps; two of which all but the first begin at step 3; two
/// trainings of 20 and 19 steps, without and with slots that begin anew.
const ANEW: [&[&str]; 4] = [
    &[SOON, "sparsity={method='imp',target=0.75,fraction=0.5}"],
    &[SOON, "sparsity={method='imp',target=0.5,fraction=0.5,rewind='3',storage='packed'}"],
    &[SOON, "model.hidden=[32,16]", ASP, "sparsity.permute=false", "sparsity.reset=false"],
    &[SOON, "model.hidden=[32,16]", ASP],
];
const ASP: &str = "sparsity={method='asp',pattern='2:4',schedule={type='oneshot',begin='20'}}";

/// Where training starts over, so do the phases: each training has its own.
#[test]
fn each_training_unfreezes_anew() {
    for gpu in devices() {
        for own in ANEW {
            let mut session = session(&gpu, &recipe(own));
            let mut trainings = 0;
            while !session.is_done() {
                let (step, old, rate) = (session.step, values(&session), session.learning_rate());
                let (local, _) = session.pruner.as_ref().unwrap().clock(step);
                let pruned = session.advance().unwrap().is_some();
                trainings += usize::from(step == 0 || pruned);
                assert_eq!(rate, [0.01, 0.005, 0.0025][(local / 4).min(2) as usize], "step {step}, {own:?}");
                let grads = session.grads().unwrap();
                for (i, (layer, join)) in [("fc1", 8), ("fc2", 4), ("head", 0)].into_iter().enumerate() {
                    let context = format!("{layer} in step {step}, {own:?}");
                    // A prune changes what is frozen, too; ASP's permutes biases.
                    if !pruned {
                        assert_eq!(values(&session)[i] != old[i], local >= join, "{context}");
                    }
                    for (j, part) in ["weight", "bias"].into_iter().enumerate() {
                        let slots = session.model.params[ParamId(2 * i + j)].slots();
                        let slots = slots.map(|slot| slot.read_f32().unwrap());
                        for values in slots.chain([grads[&format!("{layer}.{part}")].to_f32()]) {
                            let any = values.iter().any(|&value| value != 0.0);
                            assert_eq!(any, local >= join, "{part} of {context}");
                        }
                    }
                }
            }
            assert_eq!(trainings, if own[1].contains("0.75") { 3 } else { 2 });
        }
    }
}

#[test]
fn phases_need_no_memory_beyond_the_plan() {
    let gpu = common::device();
    let counted = gpu.counted_like();
    session(&counted, &recipe(&[]));
    run(&gpu, &recipe(&[]), &FREE);
    let (planned, real) = (counted.memory().peak_bytes as f64, gpu.memory().peak_bytes as f64);
    assert!((planned / real - 1.0).abs() < 0.05, "planned {planned}, measured {real}");
}

#[test]
fn what_cannot_be_is_said_before_step_0() {
    let refused = |more: &[&str]| {
        let error = Session::new(&Gpu::twin(), &recipe(more), &digits(), Choices::default()).err().unwrap();
        assert_eq!(error.kind, Kind::Usage);
        error.to_string()
    };
    assert!(refused(&["unfreeze.groups=[['head'],['fc2'],['fc3']]"]).contains("`fc3`"));
    assert!(refused(&["unfreeze.phases=['10','40']"]).contains("step 40 of 39"));
    // Each of IMP's rounds has all phases.
    let imp = "sparsity={method='imp',target=0.75,fraction=0.5}";
    assert!(refused(&[imp]).contains("step 20 of 13"));
    // A ReLU has nothing to train: groups do not name it.
    assert!(refused(&["unfreeze.groups=[['head'],['fc2', 'act1'],['fc1']]"]).contains("`act1`"));
}
