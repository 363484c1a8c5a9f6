//! Progressive unfreezing: frozen layers keep every bit, join with empty slots, and a run cut in pieces is the same
//! run, on every adapter and on the twin.

mod common;

use coppice::data::{self, Dataset};
use coppice::error::Kind;
use coppice::gpu::{Gpu, Phase};
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::sparsity::methods;
use coppice::store::Arrays;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, Summary, train};

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
    let set = ["sparsity.method=set", "sparsity.target=0.8", "sparsity.schedule={every='4'}"];
    let kinds: [&[&str]; 6] = [&[], &gmp, &latent, &packed, &set, &distilled];
    for (gpu, stops) in [(common::device(), &[1, 9, 10, 11, 19, 20, 21, 38][..]), (Gpu::twin(), &[10, 15])] {
        for more in kinds {
            let recipe = recipe(more);
            let whole = run(&gpu, &recipe, &FREE);
            for &stop in stops {
                let home = tempfile::tempdir().unwrap();
                let control =
                    Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
                run(&gpu, &recipe, &control);
                let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
                let mut session = session(&gpu, &recipe);
                session.restore(&snapshot).unwrap();
                assert_eq!(session.step, stop);
                let rest = train(&mut session, &FREE, &mut |_| Ok(())).unwrap();
                assert_eq!(rest.digest, whole.digest, "{more:?}, resumed at step {stop}");
            }
        }
    }
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

/// Growth at random needs no gradients: frozen layers neither drop nor grow, and join with the masks of the start.
#[test]
fn frozen_layers_keep_their_masks_where_weights_grow_at_random() {
    for gpu in devices() {
        for storage in ["masked", "packed"] {
            let storage = format!("sparsity.storage={storage}");
            let set =
                ["sparsity.method=set", "sparsity.target=0.8", "sparsity.schedule={every='3'}", &storage];
            let mut session = session(&gpu, &recipe(&set));
            let joins = [("fc1", 20), ("fc2", 10), ("head", 0)];
            let mut turned = [0; 3];
            while !session.is_done() {
                let masks = |session: &Session| -> Vec<Vec<u32>> {
                    session.model.params().iter().step_by(2).map(|param| param.read_mask().unwrap()).collect()
                };
                let (step, before) = (session.step, masks(&session));
                let Some(change) = session.advance().unwrap() else { continue };
                assert_eq!(change.kept, 416, "a fifth of all 2080 weights, step {step}");
                let after = masks(&session);
                for (i, (layer, join)) in joins.into_iter().enumerate() {
                    let own = &change.layers[i];
                    assert_eq!(own.name, format!("{layer}.weight"));
                    assert_eq!(own.grown, own.dropped);
                    assert_eq!(after[i] != before[i], own.grown > 0, "{layer}, step {step}");
                    assert!(step >= join || own.grown == 0, "{layer} in step {step}, {storage}");
                    turned[i] += own.grown;
                }
            }
            assert!(turned.iter().all(|&grown| grown > 0), "all grow once they train: {turned:?}");
        }
    }
}

/// Every method of the registry runs beside [unfreeze], or is refused for what it is.
#[test]
fn methods_that_need_what_frozen_layers_lack_are_refused_by_name() {
    let wide = "model.hidden=[32,16]"; // ASP takes no other inputs
    let (mut by_gradients, mut over) = (Vec::new(), Vec::new());
    for method in methods::ALL {
        let name = format!("sparsity.method={}", method.name);
        let what = match method.name {
            "none" | "str" => vec![],
            "asp" => vec!["sparsity.pattern=2:4", "sparsity.schedule={type='oneshot',begin='50%'}"],
            "ste" | "sr-ste" | "mdgf" | "sdgf" => vec!["sparsity.pattern=2:4"],
            "oneshot" => vec!["sparsity.target=0.5", "sparsity.schedule={type='oneshot',begin='50%'}"],
            _ => vec!["sparsity.target=0.5"],
        };
        let all = [&[wide, &name][..], &what].concat();
        let Err(error) = Session::new(&Gpu::twin(), &recipe(&all), &digits(), Choices::default()) else {
            continue;
        };
        let said = error.to_string();
        assert!(error.kind == Kind::Usage && said.contains(&format!("method `{}`", method.name)), "{said}");
        match said.contains("updates masks by gradients, and frozen layers have none") {
            true => by_gradients.push(method.name),
            false => {
                assert!(said.contains("starts training over"), "{said}");
                over.push(method.name);
            }
        }
    }
    assert_eq!(by_gradients, ["granet", "snip", "grasp", "rigl", "snfs"]);
    assert_eq!(over, ["imp", "asp"]);
    // ASP's schedule is enough, and without it ASP goes with phases.
    for (repeat, allowed) in [(true, false), (false, true)] {
        let asp = format!(
            "sparsity={{method='asp',pattern='2:4',permute=false,reset=false,repeat={repeat},\
             schedule={{type='oneshot',begin='50%'}}}}"
        );
        let made = Session::new(&Gpu::twin(), &recipe(&[wide, &asp]), &digits(), Choices::default());
        assert_eq!(made.is_ok(), allowed, "repeat = {repeat}");
    }
    // What decides is how weights grow, not the name.
    let random = ["sparsity.method=rigl", "sparsity.target=0.5", "sparsity.growth={by='random'}"];
    assert!(Session::new(&Gpu::twin(), &recipe(&random), &digits(), Choices::default()).is_ok());
}

#[test]
fn phases_need_no_memory_beyond_the_plan() {
    let gpu = common::device();
    let counted = Gpu::counted_as(gpu.identity());
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
    // A ReLU has nothing to train: groups do not name it.
    assert!(refused(&["unfreeze.groups=[['head'],['fc2', 'act1'],['fc1']]"]).contains("`act1`"));
}
