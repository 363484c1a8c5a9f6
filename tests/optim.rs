//! The optimizers against sequences of steps, printed figures and plain f64, on every adapter of this machine and on
//! the twins; and what holds for all of them: masks, and runs that are interrupted.

mod common;
#[path = "optim/frictions.rs"]
mod frictions;
#[path = "optim/rig.rs"]
mod rig;
#[path = "optim/valleys.rs"]
mod valleys;

use coppice::data;
use coppice::error::Result;
use coppice::gpu::Gpu;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::ops::variants::Choices;
use coppice::optim;
use coppice::param::MaskMode;
use coppice::recipe::Recipe;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, Summary, train};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rig::Rig;
use valleys::{F1, F2, F2_NOTEBOOK, F3, Rule, START, UPDATES, Valley, descend};

/// Every adapter of this machine, and the twins.
fn everywhere() -> Vec<Gpu> {
    let mut all = common::devices();
    all.retain(|gpu| !gpu.is_counted());
    all.push(Gpu::twin());
    all
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// The weight after each of some updates.
fn walk(gpu: &Gpu, fields: &str, grads: &[f32]) -> Vec<f32> {
    // Six equal weights: a whole group of four and a part of one.
    let rig = Rig::new(gpu, fields, &[1.0; 6], MaskMode::Free, &[]).unwrap();
    let step = |(t, &grad): (u32, &f32)| {
        rig.update(t, &[grad; 6]).unwrap();
        let weights = rig.weights().unwrap();
        assert!(weights.iter().all(|w| w.to_bits() == weights[0].to_bits()), "{fields}: {weights:?}");
        weights[0]
    };
    (1..).zip(grads).map(step).collect()
}

const GRADS: [f32; 5] = [0.5, 0.3, -0.2, -0.2, 0.1];

/// A weight of 1 under these gradients, computed in f64 by the formulas of PyTorch and of the diffGrad paper.
const WALKS: &[(&str, [f64; 5])] = &[
    ("name = 'sgd', lr = 1e-3", [0.9995, 0.99875, 0.998275, 0.9980475, 0.99774275]),
    ("name = 'sgd', lr = 1e-3, nesterov = true", [0.99905, 0.998075, 0.9978475, 0.99784275, 0.997468475]),
    ("name = 'adagrad', lr = 1e-2", [0.99, 0.984855042, 0.988099471, 0.991185538, 0.989660552]),
    (
        "name = 'adagrad', lr = 1e-2, lr_decay = 0.1",
        [0.99, 0.985322766, 0.988026456, 0.990400354, 0.989311078],
    ),
    ("name = 'adadelta', lr = 1.0", [0.996837786, 0.994447390, 0.996195442, 0.997977706, 0.997026962]),
    ("name = 'rmsprop', lr = 1e-2", [0.900000020, 0.848360251, 0.881058279, 0.912278419, 0.896779293]),
    ("name = 'adam', lr = 1e-3", [0.999, 0.998042510, 0.997549889, 0.997345653, 0.997091733]),
    (
        "name = 'adam', lr = 1e-3, weight_decay = 0.1",
        [0.999, 0.998029676, 0.997374761, 0.996922716, 0.996410765],
    ),
    (
        "name = 'adamw', lr = 1e-3, weight_decay = 0",
        [0.999, 0.998042510, 0.997549889, 0.997345653, 0.997091733],
    ),
    (
        "name = 'adamw', lr = 1e-3, weight_decay = 0.5",
        [0.9985, 0.997043260, 0.996052117, 0.995349856, 0.994598260],
    ),
    // The second moment only rises here.
    ("name = 'amsgrad', lr = 1e-3", [0.999, 0.998042510, 0.997549889, 0.997345653, 0.997091733]),
    ("name = 'nadam', lr = 2e-3", [0.997887096, 0.996703273, 0.997258000, 0.997901467, 0.997424857]),
    ("name = 'diffgrad', lr = 1e-3", [0.999377541, 0.998851081, 0.998544444, 0.998442327, 0.998296464]),
    (
        "name = 'diffgrad', lr = 1e-3, bug = true",
        [0.999377541, 0.998898796, 0.998652486, 0.998550368, 0.998423408],
    ),
    (
        "name = 'diffgrad', lr = 1e-3, version = 1",
        [0.999622460, 0.999095999, 0.998789363, 0.998687245, 0.998579187],
    ),
    (
        "name = 'diffgrad', lr = 1e-3, version = 2",
        [0.998940412, 0.998246412, 0.997724436, 0.997622318, 0.997409820],
    ),
    (
        "name = 'diffgrad', lr = 1e-3, weight_decay = 0.1",
        [0.999354344, 0.998820806, 0.998413084, 0.998186975, 0.997892775],
    ),
];

/// Numbers just below 1 lie 6e-8 apart: each of five updates rounds by 3e-8 at most, the last digit printed is worth
/// 1e-9, and moves of 0.1 and less are exact to a few parts in 1e7. The smallest effect in the table, that of decay
/// 0.1 on Adam's second step, is 1.3e-5.
const NEAR_ONE: Tolerance = Tolerance { abs: 3e-7, rel: 0.0 };

/// Compares the weight after each of some updates with `want`.
fn walked(gpu: &Gpu, fields: &str, grads: &[f32], want: &[f64]) -> Result<f32> {
    compare_f32(fields, &walk(gpu, fields, grads), &single(want), NEAR_ONE)
        .map_err(|e| e.at(format!("on {:?}", gpu.identity())))
}

#[test]
fn five_updates_are_those_of_the_formulas() {
    for entry in optim::ALL {
        let name = format!("name = '{}'", entry.name);
        assert!(WALKS.iter().any(|(fields, _)| fields.starts_with(&name)), "{name} is not in the table");
    }
    for gpu in everywhere() {
        for (fields, want) in WALKS {
            walked(&gpu, fields, &GRADS, want).unwrap();
        }
    }
}

#[test]
fn amsgrad_does_not_forget_a_large_gradient_as_adam_does() {
    let grads = [1.0, 0.0, 0.0, 0.0];
    let adam = [0.999, 0.998329942, 0.997811985, 0.997387706];
    let amsgrad = [0.999, 0.998330277, 0.997812838, 0.997389195];
    for gpu in everywhere() {
        walked(&gpu, "name = 'adam', lr = 1e-3", &grads, &adam).unwrap();
        walked(&gpu, "name = 'amsgrad', lr = 1e-3", &grads, &amsgrad).unwrap();
        // They part by 3e-7, 9e-7 and 1.5e-6: enough to be told apart.
        walked(&gpu, "name = 'amsgrad', lr = 1e-3", &grads, &adam).unwrap_err();
    }
}

/// What diffGrad multiplied each step by, from its slots and from how far the weight moved. The weight starts at 0,
/// where moves lose no digits: each is exact to some 1e-6 of itself.
fn frictions(gpu: &Gpu, more: &str) -> Vec<f32> {
    let fields = format!("name = 'diffgrad', lr = 1e-3{more}");
    let rig = Rig::new(gpu, &fields, &[0.0], MaskMode::Free, &[]).unwrap();
    let mut before = 0.0f64;
    let step = |(t, &grad): (u32, &f32)| {
        rig.update(t, &[grad]).unwrap();
        let (weight, slots) = (rig.weights().unwrap()[0] as f64, rig.slots().unwrap());
        let slot = |name| slots.iter().find(|(known, _)| *known == name).unwrap().1[0] as f64;
        assert_eq!(slot("previous") as f32, grad);
        let (c1, c2) = (1.0 - f64::powi(0.9, t as i32), 1.0 - f64::powi(0.999, t as i32));
        let full = 1e-3 * c2.sqrt() / c1 * slot("first") / (slot("second").sqrt() + 1e-8);
        let friction = (before - weight) / full;
        before = weight;
        friction as f32
    };
    (1..).zip(&GRADS).map(step).collect()
}

#[test]
fn diffgrad_slows_down_where_the_gradient_hardly_changes() {
    // 1 - .999 in f32, which the slots are made with, is off by 1.3e-5; half of that is seen.
    let close = Tolerance { abs: 0.0, rel: 2e-5 };
    for gpu in everywhere() {
        for (more, want) in [
            ("", [0.622459331, 0.549833997, 0.622459331, 0.5, 0.574442517]),
            (", bug = true", [0.622459331, 0.5, 0.5, 0.5, 0.5]),
            (", version = 1", [0.377540669, 0.549833997, 0.622459331, 0.5, 0.425557483]),
        ] {
            compare_f32(more, &frictions(&gpu, more), &single(&want), close)
                .unwrap_or_else(|e| panic!("{:?}: {e}", gpu.identity()));
        }
    }
}

/// The rules of the paper's comparison, by the columns of `ENDS`.
const RULES: [(Rule, f64, &str); 4] = [
    (Rule::Adam, 0.1, "name = 'adam', lr = 0.1, beta1 = 0.95"),
    (Rule::DiffGrad, 0.1, "name = 'diffgrad', lr = 0.1, beta1 = 0.95"),
    (Rule::DiffGradBug, 0.1, "name = 'diffgrad', lr = 0.1, beta1 = 0.95, bug = true"),
    (Rule::Adam, 0.05, "name = 'adam', lr = 0.05, beta1 = 0.95"),
];
/// Where each ends, and the value there. diffGrad finds the better valley of F1; so does Adam at half the rate.
const F1_ENDS: [(f64, f64); 4] = [(0.200115, 0.05), (-0.300071, 0.0), (-0.300168, 0.0), (-0.300300, 0.0)];
const F2_ENDS: [(f64, f64); 4] =
    [(0.000090, 0.85), (-0.642963, 0.000120), (-0.642909, 0.000120), (-0.643123, 0.000121)];
const F2_NOTEBOOK_ENDS: [(f64, f64); 3] = [(0.000177, 0.85), (-0.812145, 0.487), (-0.849053, 0.652)];
const F3_ENDS: [(f64, f64); 4] =
    [(0.000510, 0.000446), (0.013565, 0.011869), (0.014667, 0.012834), (0.002133, 0.001867)];

#[test]
fn plain_f64_ends_where_the_specification_says() {
    for (name, valley, ends, digits) in [
        ("F1", &F1, &F1_ENDS[..], 1e-6),
        ("F2", &F2, &F2_ENDS, 1e-6),
        // Printed to three digits.
        ("F2 as in the notebook", &F2_NOTEBOOK, &F2_NOTEBOOK_ENDS, 5e-4),
        ("F3", &F3, &F3_ENDS, 1e-6),
    ] {
        for ((rule, rate, fields), (x, value)) in RULES.iter().zip(ends) {
            let path = descend(*rule, *rate, valley);
            let last = *path.last().unwrap();
            assert!((last - x).abs() <= 1e-6, "{name}, {fields}: ends at {last}, not {x}");
            let found = (valley.value)(last);
            assert!((found - value).abs() <= digits, "{name}, {fields}: {found} there, not {value}");
        }
    }
    let begin = |rule, valley: &Valley| descend(rule, 0.1, valley)[..5].to_vec();
    for (rule, valley, want) in [
        (Rule::Adam, &F1, [-0.9, -0.800487, -0.701948, -0.605036, -0.510615]),
        (Rule::DiffGrad, &F1, [-0.919782, -0.865961, -0.813661, -0.761727, -0.710206]),
        (Rule::DiffGrad, &F3, [-0.911920, -0.857648, -0.805179, -0.752963, -0.700974]),
    ] {
        let got = begin(rule, valley);
        assert!(
            got.iter().zip(&want).all(|(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6),
            "{got:?}, not {want:?}"
        );
    }
}

#[test]
fn descents_end_in_the_valleys_of_f64() {
    for gpu in everywhere() {
        for (column, (_, _, fields)) in RULES.iter().enumerate() {
            // One weight goes down F1, the other F3. F2 is left out: its first step lands on a break.
            let rig = Rig::new(&gpu, fields, &[START as f32; 2], MaskMode::Free, &[]).unwrap();
            let mut x = rig.weights().unwrap();
            for t in 1..=UPDATES {
                rig.update(t, &[(F1.slope)(x[0] as f64) as f32, (F3.slope)(x[1] as f64) as f32]).unwrap();
                x = rig.weights().unwrap();
            }
            let want = single(&[F1_ENDS[column].0, F3_ENDS[column].0]);
            // Errors of 4e-7 were found; the ends of other rules are 1e-4 and more away.
            compare_f32(fields, &x, &want, Tolerance { abs: 2e-5, rel: 0.0 })
                .unwrap_or_else(|e| panic!("{:?}: {e}", gpu.identity()));
        }
    }
}

/// Ten updates of some weights: the weights and slots after each.
type Trace = Vec<Vec<(&'static str, Vec<f32>)>>;

fn trace(
    gpu: &Gpu,
    fields: &str,
    weights: &[f32],
    mode: MaskMode,
    mask: &[u32],
    grads: &[Vec<f32>],
) -> Trace {
    let rig = Rig::new(gpu, fields, weights, mode, mask).unwrap();
    if mode == MaskMode::Held {
        // Something is left behind the mask: the first update has to clear it, the others to keep it so.
        rig.fill_slots(0.25).unwrap();
    }
    let step = |(t, grad): (u32, &Vec<f32>)| {
        rig.update(t, &grad[..weights.len()]).unwrap();
        let mut all = rig.slots().unwrap();
        all.push(("weight", rig.weights().unwrap()));
        all
    };
    (1..).zip(grads).map(step).collect()
}

/// Slots that hold no square, and may be negative.
const SIGNED: [&str; 4] = ["velocity", "first", "previous", "weight"];

#[test]
fn masks_hold_under_every_optimizer_and_devices_agree_with_the_twin() {
    let number = || -1.0f32..1.0;
    let cases = (
        prop::collection::vec(number(), 1..70),
        prop::collection::vec(any::<u32>(), 3),
        prop::collection::vec(prop::collection::vec(number(), 70), 10),
        prop::sample::select(vec![0.0, 0.1]),
    );
    let device = common::device();
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, max_shrink_iters: 20, ..Config::with_cases(6) });
    let outcome = runner.run(&cases, |(weights, mask, grads, decay)| {
        let kept = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
        for entry in optim::ALL {
            let fields = format!("name = '{}', lr = 0.01, weight_decay = {decay:?}", entry.name);
            for mode in [MaskMode::Held, MaskMode::Latent] {
                let twin = trace(&Gpu::twin(), &fields, &weights, mode, &mask, &grads);
                for (name, values) in twin.iter().flatten() {
                    for (i, value) in values.iter().enumerate() {
                        let held =
                            if *name == "weight" && mode == MaskMode::Latent { weights[i] } else { 0.0 };
                        let place = format!("{fields}, {mode:?}: {name}[{i}] = {value}");
                        prop_assert!(kept(i) || value.to_bits() == held.to_bits(), "{}", place);
                        prop_assert!(
                            value.is_finite() && (SIGNED.contains(name) || *value >= 0.0),
                            "{}",
                            place
                        );
                    }
                }
                if device.is_counted() || !device.is_device() {
                    continue;
                }
                let found = trace(&device, &fields, &weights, mode, &mask, &grads);
                for ((name, got), (_, want)) in found.iter().flatten().zip(twin.iter().flatten()) {
                    let leak = (0..got.len()).find(|&i| !kept(i) && got[i].to_bits() != want[i].to_bits());
                    prop_assert!(leak.is_none(), "{}, {:?}: {}[{:?}]", fields, mode, name, leak);
                    // Roundings of ten updates.
                    let close = Tolerance { abs: 2e-6, rel: 2e-5 };
                    let agreed = compare_f32(&format!("{fields}, {mode:?}: {name}"), got, want, close);
                    prop_assert!(agreed.is_ok(), "{}", agreed.unwrap_err());
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

#[test]
fn resuming_changes_no_bit_under_any_optimizer() {
    let gpu = common::device();
    let data = data::open("digits", 0.0).unwrap();
    for entry in optim::ALL {
        for pruning in [
            "method = 'gmp', storage = 'masked', schedule = { every = '2', end = '80%' }",
            "method = 'rigl', storage = 'packed', schedule = { every = '3' }",
        ] {
            let text = format!(
                "run = {{ epochs = 1, batch = 160 }}\ndata = {{ name = 'digits', validation = 0.0 }}\n\
                 model = {{ preset = 'mlp', hidden = [24] }}\noptim = {{ name = '{}', lr = 0.01 }}\n\
                 sparsity = {{ target = 0.8, {pruning} }}",
                entry.name
            );
            let recipe = Recipe::parse(&text, "test", &[]).unwrap();
            let session = || Session::new(&gpu, &recipe, &data, Choices::default()).unwrap();
            let run = |session: &mut Session, control: &Control| -> Summary {
                train(session, control, &mut |_| Ok(())).unwrap()
            };
            let whole = run(&mut session(), &FREE);
            assert!(whole.steps > 7, "{} steps are too few", whole.steps);
            let home = tempfile::tempdir().unwrap();
            let folder = Some(home.path().to_path_buf());
            run(&mut session(), &Control { folder: folder.clone(), stop_at: Some(5), ..FREE });
            let (snapshot, damaged) = checkpoint::load(home.path(), Which::Last).unwrap();
            assert!(damaged.is_empty());
            let slots = snapshot.arrays.keys().filter(|name| name.starts_with("fc1.bias.")).count();
            assert_eq!(slots, entry.slots.len(), "slots of {} in its checkpoint", entry.name);
            let mut rest = session();
            rest.restore(&snapshot).unwrap();
            assert_eq!(rest.step, 5);
            let rest = run(&mut rest, &Control { folder, ..FREE });
            assert_eq!(rest.digest, whole.digest, "{}, {pruning}", entry.name);
        }
    }
}
