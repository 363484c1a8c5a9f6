//! Plans beside what training takes, and of networks that nobody trains here.

use serde_json::Value;

use super::program::{json, run};

/// What a plan says that training takes is what its report says it took.
#[test]
fn a_plan_knows_the_operations_of_the_whole_run() {
    let home = tempfile::tempdir().unwrap();
    let same = ["-s", "run.epochs=2", "--json"];
    let own = ["-s", "run.baseline=false", "--no-autotune", "-q", "--out"];
    for recipe in ["digits-gmp-90", "digits-rigl-90"] {
        let plan = json(home.path(), &[&["plan", recipe], &same[..]].concat());
        let report = json(home.path(), &[&["train", recipe], &same[..], &own, &[recipe]].concat());
        let of = |all: &Value, what: &str| all["train_flops"][what].as_f64().unwrap();
        // Three products a weight and column, but for the layer that gives no gradient to its input.
        let dense = 2.0 * 64.0 * (3.0 * 17024.0 - 64.0 * 128.0) * plan["steps"].as_f64().unwrap();
        assert_eq!((of(&plan, "dense"), of(&report, "dense")), (dense, dense), "{recipe}");
        assert_eq!(of(&plan, "kept"), of(&report, "kept"), "{recipe}");
        assert!(of(&plan, "kept") > 0.1 * dense && of(&plan, "kept") < 0.9 * dense, "{recipe}: {plan}");
    }
    let text = String::from_utf8(run(home.path(), &["plan", "digits-rigl-90"]).stdout).unwrap();
    for part in ["products of all steps, kept weights alone: ", " mask updates, of 17024 weights:\n"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let chosen = ["plan", "fashion-nm", "-s", "data.name=digits", "-s", "sparsity.method=mdgf"];
    let text = String::from_utf8(run(home.path(), &chosen).stdout).unwrap();
    assert!(
        text.contains("masks are chosen at every step, and recorded in ") && !text.contains("0.0000"),
        "{text}"
    );
    let chosen = json(home.path(), &[&chosen[..], &["--json"]].concat());
    let updates = chosen["mask_updates"].as_array().unwrap();
    assert!(updates[0]["kept"].is_null() && updates.last().unwrap()["kept"].is_u64(), "{updates:?}");
    let learned = json(home.path(), &["plan", "fashion-str", "-s", "data.name=digits", "--json"]);
    assert_eq!(learned["train_flops"], Value::Null);
}

/// Networks as they are in papers, at the size of their images, without a device and without a data set.
#[test]
fn large_networks_are_planned_for_the_input_that_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    for (preset, learned, gmacs) in [("resnet50", 25_557_032, 4.089), ("mobilenet-v2", 3_504_872, 0.3008)] {
        let preset_key = format!("model.preset={preset}");
        let keys = ["data.name=random:3x224x224", "data.classes=1000", "data.samples=64", "run.batch=32"];
        let mut plan = vec!["plan", "fashion-cnn-dense", "--for", "20,500", "-s", &preset_key];
        keys.iter().for_each(|key| plan.extend(["-s", key]));
        let text = String::from_utf8(run(home.path(), &plan).stdout).unwrap();
        assert!(text.contains("1000 classes") && text.contains("device memory"), "{text}");
        let json = json(home.path(), &[&plan[..], &["--json"]].concat());
        let layers = json["layers"].as_array().unwrap();
        let statistic = |layer: &&Value| layer["name"].as_str().unwrap().contains(".running_");
        let trained =
            layers.iter().filter(|layer| !statistic(layer)).map(|layer| layer["total"].as_u64().unwrap());
        assert_eq!(trained.sum::<u64>(), learned, "{preset}");
        let forward = json["dispatches"].as_array().unwrap().iter().filter(|d| d["phase"] == "forward");
        let flops: f64 = forward.map(|d| d["times"].as_f64().unwrap() * d["flops"].as_f64().unwrap()).sum();
        // Batch norms, activations and poolings are operations, too.
        let found = flops / 2.0 / 32.0 / 1e9;
        assert!(
            found >= gmacs && found < 1.3 * gmacs,
            "{preset}: {found} billions of multiply-adds a picture"
        );
        let bytes = json["device_bytes"].as_f64().unwrap() / 1e9;
        assert!((1.0..4.0).contains(&bytes), "{preset}: {bytes} GB");
    }
}

/// By a kind of convolution, or by a rule.
#[test]
fn a_plan_says_why_a_layer_stays_dense() {
    let home = tempfile::tempdir().unwrap();
    let digits = ["-s", "data.name=digits", "-s", "data.size=8", "--device", "twin", "--verbose"];
    let plan = run(home.path(), &[&["plan", "fashion-resnet20-nm"], &digits[..]].concat());
    let text = String::from_utf8(plan.stdout).unwrap();
    // Tables break their lines.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for why in ["keep_dense has \"first-convolution\"", "kept dense by the rule for `fc`"] {
        assert!(text.contains(why), "{why} is not in {text}");
    }
}

/// What is computed again is a phase of its own, in the sum of a step; of a network that gains nothing that is said.
#[test]
fn a_plan_says_what_is_computed_again() {
    let home = tempfile::tempdir().unwrap();
    let of = |recipe: &str, on: bool| {
        let key = format!("run.recompute={on}");
        let plan = ["plan", recipe, "-s", &key];
        let text = String::from_utf8(run(home.path(), &plan).stdout).unwrap();
        (text, json(home.path(), &[&plan[..], &["--json"]].concat()))
    };
    let flops = |plan: &Value, phase: &str| plan["cost"][phase]["flops"].as_u64().unwrap();
    let ((once, kept), (text, again)) = (of("shakespeare-gpt", false), of("shakespeare-gpt", true));
    assert!(
        !once.contains("computed again")
            && text.contains("of that for activations that are computed again: ")
    );
    assert_eq!(flops(&kept, "recompute"), 0);
    let (more, forward) = (flops(&again, "recompute"), flops(&kept, "forward"));
    assert!(more > 0 && more < forward, "{more} of {forward}");
    for phase in ["forward", "backward", "update"] {
        assert_eq!(flops(&again, phase), flops(&kept, phase), "{phase}");
    }
    let bytes = |plan: &Value| plan["memory"]["activations"].as_f64().unwrap();
    assert!(bytes(&again) < 0.5 * bytes(&kept), "{} of {}", bytes(&again), bytes(&kept));
    assert_eq!(again["train_flops"], kept["train_flops"]);
    let (text, _) = of("digits-dense", true);
    assert!(text.contains("nothing is computed again: it would save less than a tenth"));
}

/// What is said fits a terminal, whatever the network; reasons are for those who ask.
#[test]
fn no_line_of_a_plan_is_wide() {
    let home = tempfile::tempdir().unwrap();
    let mini = "data.name=fashion-mini";
    for (recipe, key) in [
        ("digits-rigl-90", "run.epochs=9"),
        ("fashion-cnn-filters-50", mini),
        ("fashion-asp", mini),
        ("seq2seq-gmp", "run.epochs=9"),
        ("shakespeare-gpt-nm", "run.batch=8"),
    ] {
        for more in [&[][..], &["--verbose", "--for", "20,500"]] {
            let plan = [&["plan", recipe, "-s", key], more].concat();
            let text = String::from_utf8(run(home.path(), &plan).stdout).unwrap();
            let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= 120, "{recipe}: {widest}");
            assert!(text.contains("a step: "), "{recipe}: {text}");
            let gives_reasons = text.contains("stored so because:") && text.contains("dense unless a rule");
            assert_eq!(gives_reasons, !more.is_empty(), "{recipe}: {text}");
        }
    }
}
