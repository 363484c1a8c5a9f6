//! `coppice plasticity`: a branch of a dense run is, bit for bit, the run that was pruned at that step all along.

mod common;
#[path = "common/program.rs"]
mod program;

use coppice::data;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::train::Session;
use program::{fails, json, run};

fn session(gpu: &Gpu, sparsity: &str) -> Session {
    let set = [
        "run.epochs=4".to_string(),
        "optim={name='adam',lr=1e-3}".to_string(),
        format!("sparsity={{{sparsity}}}"),
    ];
    let recipe = Recipe::find("digits-gmp-90", &set).unwrap();
    let data = data::open(&recipe.data.name, recipe.data.validation).unwrap();
    Session::new(gpu, &recipe, &data, Choices::default()).unwrap()
}

fn advance(session: &mut Session, epochs: u64) {
    while session.step < epochs * session.length.steps_per_epoch {
        session.advance().unwrap();
    }
}

const ONCE: [&str; 4] = [
    "method='gmp', target=0.9, storage='masked', schedule={type='oneshot', begin='2ep'}",
    "method='gmp', target=0.9, storage='packed', distribution='uniform', schedule={type='oneshot', begin='2ep'}",
    "method='granet', target=0.9, storage='masked', regrow_after=false, schedule={begin='2ep', end='2ep', every=1}",
    "method='granet', target=0.9, storage='packed', regrow_after=false, distribution='uniform', \
     schedule={begin='2ep', end='2ep', every=1}",
];

#[test]
fn a_branch_is_the_run_that_was_pruned_then() {
    for gpu in [common::device(), Gpu::twin()] {
        if gpu.is_counted() {
            continue;
        }
        let mut dense = session(&gpu, "method='none'");
        advance(&mut dense, 2);
        let trunk = dense.snapshot().unwrap();
        for sparsity in ONCE {
            let mut whole = session(&gpu, sparsity);
            advance(&mut whole, 2);
            let mut branch = session(&gpu, sparsity);
            branch.branch_from(&trunk).unwrap();
            assert_eq!(branch.weights().unwrap(), whole.weights().unwrap(), "{sparsity}");
            advance(&mut whole, 3);
            advance(&mut branch, 3);
            let kept: usize =
                branch.model.params.iter().filter(|p| p.prunable).map(|p| p.kept().unwrap()).sum();
            assert_eq!(kept, 1702, "{sparsity}");
            let (branch, whole) = (branch.snapshot().unwrap(), whole.snapshot().unwrap());
            assert!(branch.arrays == whole.arrays, "{sparsity} on {:?}", gpu.identity());
            assert_ne!(branch.arrays, trunk.arrays, "it was trained");
        }
    }
}

#[test]
fn a_branch_needs_a_dense_run_of_the_same_network() {
    let gpu = Gpu::twin();
    let masked = session(&gpu, "method='gmp', target=0.5, schedule={type='oneshot', begin='1ep'}");
    let mut branch = session(&gpu, ONCE[0]);
    let error = branch.branch_from(&masked.snapshot().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the dense run has no tensor `fc1.weight`"), "{error}");
}

/// As many as each tensor lost: of a dense network all of them. The largest magnitudes keep value and slots, ties to the
/// lower index; all else is 0, and trains on.
#[test]
fn what_grows_as_lost_starts_at_nothing_and_trains() {
    for gpu in [common::device(), Gpu::twin()] {
        if gpu.is_counted() {
            continue;
        }
        let mut dense = session(&gpu, "method='none'");
        advance(&mut dense, 2);
        let trunk = dense.snapshot().unwrap();
        let layers: Vec<(String, usize)> = {
            let maskable = dense.model.params.iter().filter(|param| param.prunable);
            maskable.map(|param| (param.name.clone(), param.len())).collect()
        };
        let values = |arrays: &coppice::store::Arrays, name: &str| arrays[name].to_f32();
        for (once, together) in [(ONCE[0], true), (ONCE[1], false)] {
            let found = session(&gpu, once).regrown_from(&trunk).unwrap();
            assert_eq!(found.arrays.keys().collect::<Vec<_>>(), trunk.arrays.keys().collect::<Vec<_>>());
            // By magnitude, the first indices first; a tenth is kept of each tensor, or of all.
            let largest = |names: &[(String, usize)]| {
                let mut all: Vec<(f32, usize, usize)> = Vec::new();
                for (number, (name, _)) in names.iter().enumerate() {
                    let own = values(&trunk.arrays, name).into_iter().enumerate();
                    all.extend(own.map(|(i, w)| (w.abs(), number, i)));
                }
                all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
                let keep = all.len() - (0.9 * all.len() as f64).round_ties_even() as usize;
                all[..keep].iter().map(|(_, number, i)| (names[*number].0.clone(), *i)).collect::<Vec<_>>()
            };
            let kept = match together {
                true => largest(&layers),
                false => layers.chunks(1).flat_map(largest).collect(),
            };
            assert_eq!(kept.len(), 1702, "{once}");
            let kept: std::collections::HashSet<(String, usize)> = kept.into_iter().collect();
            let slots: Vec<String> = {
                let own = |(name, _): &(String, usize)| {
                    let slots = ["first", "second"].map(|slot| (name.clone(), format!("{name}.{slot}")));
                    [(name.clone(), name.clone())].into_iter().chain(slots).collect::<Vec<_>>()
                };
                let mut seen = Vec::new();
                for (weight, name) in layers.iter().flat_map(own) {
                    let (old, new) = (values(&trunk.arrays, &name), values(&found.arrays, &name));
                    assert!(
                        old.iter().filter(|&&value| value != 0.0).count() > old.len() / 2,
                        "{name} says something"
                    );
                    for (i, (old, new)) in old.into_iter().zip(new).enumerate() {
                        let stays = kept.contains(&(weight.clone(), i));
                        assert_eq!(new, if stays { old } else { 0.0 }, "{name}[{i}], {once}");
                    }
                    seen.push(name);
                }
                seen
            };
            for (name, array) in &trunk.arrays {
                assert!(slots.contains(name) || found.arrays[name] == *array, "{name} is not pruned");
            }
            let mut branch = session(&gpu, "method='none'");
            branch.restore(&found).unwrap();
            advance(&mut branch, 3);
            let now = branch.snapshot().unwrap();
            let moved = layers.iter().map(|(name, _)| values(&now.arrays, name));
            let alive = moved.flatten().filter(|&weight| weight != 0.0).count();
            assert!(alive > 17024 / 2, "what was pruned is trained: {alive} weights are not 0");
        }
    }
}

#[test]
fn accuracies_are_those_of_the_runs_themselves() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let recipe = ["digits-gmp-90", "--seed", "3", "--no-autotune", "-q", "-s", "run.epochs=6"];
    let own = ["--at", "1,3", "--rates", "0.9", "--for", "2", "--json", "--csv", "p.csv"];
    let found = json(home, &[&["plasticity"][..], &recipe, &own].concat());
    let branches = found["branches"].as_array().unwrap();
    assert_eq!(branches.len(), 4, "{found}");
    let accuracy = |more: &[&str], steps: &str, name: &str| {
        let own = ["--json", "--max-steps", steps, "--out", name, "-s", "run.baseline=false"];
        json(home, &[&["train"][..], &recipe, &own, more].concat())["test_accuracy"].as_f64().unwrap()
    };
    // 1,293 images make 21 steps an epoch.
    let dense = ["-s", "sparsity={method='none'}"];
    let once = [
        "-s",
        "sparsity={method='gmp',target=0.9,distribution='uniform',schedule={type='oneshot',begin='3ep'}}",
    ];
    let (pre, then) = (accuracy(&dense, "63", "pre"), accuracy(&dense, "105", "then"));
    let contrast = accuracy(&once, "105", "contrast");
    let branch = &branches[2];
    assert_eq!(
        (&branch["at"], &branch["regrow"], &branch["kept"]),
        (&3.into(), &"none".into(), &1702.into())
    );
    assert_eq!((branch["t_pre"].as_f64(), branch["t_dense"].as_f64()), (Some(pre), Some(then)));
    assert_eq!(branch["t_contrast"].as_f64(), Some(contrast));
    assert_eq!(branch["plasticity"].as_f64(), Some(contrast - pre));
    assert_eq!((&branches[3]["regrow"], &branches[3]["kept"]), (&"gradient".into(), &1702.into()));
    assert_ne!(branches[3]["t_contrast"], branch["t_contrast"]);
    // Half a cosine over 126 steps.
    let rate = 0.05 * (1.0 + (std::f64::consts::PI * 63.0 / 126.0).cos());
    assert!((branch["learning_rate"].as_f64().unwrap() - rate).abs() <= 1e-9, "{branch}");
    let lines = std::fs::read_to_string(home.join("p.csv")).unwrap();
    assert_eq!(lines.lines().count(), 5);
    assert!(lines.lines().nth(3).unwrap().starts_with("3,0.9,uniform,none,1702,17024,"), "{lines}");

    let output =
        run(home, &[&["plasticity"][..], &recipe, &["--at", "1", "--rates", "0.5", "--for", "1"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("t_CONTRAST") && text.contains("8512 / 17024"),
        "{text}"
    );

    // Copies that grow as many as they lost are dense, and the output says that they are no equals.
    let lost = ["--at", "1", "--rates", "0.9", "--for", "1", "--regrow", "none,as-lost"];
    let found = json(home, &[&["plasticity"][..], &recipe, &lost, &["--json"]].concat());
    let branches = found["branches"].as_array().unwrap();
    assert_eq!((&branches[0]["kept"], &branches[1]["kept"]), (&1702.into(), &17024.into()));
    assert_eq!(branches[1]["regrow"], "as-lost");
    assert_eq!(branches[0]["t_pre"], branches[1]["t_pre"]);
    for other in [&branches[0]["t_contrast"], &branches[1]["t_dense"]] {
        assert_ne!(branches[1]["t_contrast"], *other, "{found}");
    }
    assert!(
        found["share"].is_null() && found["notes"][0].as_str().unwrap().contains("not as sparse"),
        "{found}"
    );
    let output = run(home, &[&["plasticity"][..], &recipe, &lost].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("17024 / 17024") && text.contains("not as sparse"), "{text}");

    let wrong = |own: &[&str]| fails(home, 2, &[&["plasticity"][..], &recipe, own].concat());
    assert!(wrong(&["--at", "5"]).contains("the run ends before 5 + 2 epochs"));
    assert!(wrong(&["--at", "1", "--rates", "1"]).contains("no sparsity above 0"));
    assert!(wrong(&["--at", "1", "--for", "0"]).contains("at least 1"));
    assert!(wrong(&["--at", "1", "--share", "1.5"]).contains("--share 1.5"));
    let idle = wrong(&["--at", "1", "--regrow", "none,as-lost", "--share", "0.3"]);
    assert!(
        idle.contains("regrowth by gradient, which is not asked for") && idle.contains("none,as-lost"),
        "{idle}"
    );
    assert!(wrong(&["--at", "1", "--regrow", "as-lost,as-lost"]).contains("--regrow names `as-lost` twice"));
    assert!(wrong(&["--at", "1", "--regrow", "lost"]).contains("as-lost"));
}
