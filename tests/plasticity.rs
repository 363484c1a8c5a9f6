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
                branch.model.params().iter().filter(|p| p.is_maskable()).map(|p| p.kept().unwrap()).sum();
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

    let wrong = |own: &[&str]| fails(home, 2, &[&["plasticity"][..], &recipe, own].concat());
    assert!(wrong(&["--at", "5"]).contains("the run ends before 5 + 2 epochs"));
    assert!(wrong(&["--at", "1", "--rates", "1"]).contains("no sparsity above 0"));
    assert!(wrong(&["--at", "1", "--for", "0"]).contains("at least 1"));
    assert!(wrong(&["--at", "1", "--share", "1.5"]).contains("--share 1.5"));
}
