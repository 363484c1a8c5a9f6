//! The program as a user meets it: commands, exit codes, messages, interruption and resume.

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/data.rs"]
mod data;
#[path = "cli/export.rs"]
mod export;
#[path = "cli/filters.rs"]
mod filters;
#[path = "cli/init.rs"]
mod init;
#[path = "cli/plan.rs"]
mod plan;
#[path = "common/program.rs"]
mod program;
#[path = "cli/report.rs"]
mod report;
#[path = "cli/resume.rs"]
mod resume;
#[path = "cli/sample.rs"]
mod sample;
#[path = "cli/selftest.rs"]
mod selftest;
#[path = "cli/text.rs"]
mod text;
#[path = "cli/tokenizer.rs"]
mod tokenizer;
#[path = "cli/watch.rs"]
mod watch;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use program::{coppice, fails, json, run};
use serde_json::Value;

/// A short run on the digits.
const SHORT: [&str; 7] = ["train", "digits-gmp-90", "-q", "--json", "--no-autotune", "-s", "run.epochs=3"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SHORT.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_run_leaves_its_folder_and_can_be_measured_inspected_and_exported() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let dump = ["--out", "r", "-s", "dump.every=30", "-s", "dump.what=['weight','mask','grad','score']"];
    let summary = json(home, &with(&dump));
    assert_eq!((summary["kept"].as_u64(), summary["total"].as_u64()), (Some(1702), Some(17024)));
    for key in [
        "steps",
        "epochs",
        "train_loss",
        "val_loss",
        "val_accuracy",
        "test_loss",
        "test_accuracy",
        "test_nll",
        "test_ece",
        "test_aurc",
        "test_e_aurc",
        "sparsity",
        "layers",
        "ms_per_step",
        "seconds",
        "peak_device_bytes",
        "stored_bytes",
        "adapter",
        "backend",
        "seed",
        "run",
        "digest",
    ] {
        assert!(!summary[key].is_null(), "{key}");
    }
    for file in [
        "config.toml",
        "meta.json",
        "metrics.jsonl",
        "log.txt",
        "masks/updates.jsonl",
        "masks/journal.bin",
        "ckpt/last",
        "ckpt/best",
        "dumps/step-000000030/index.json",
        "dumps/step-000000030/fc1.weight.npy",
        "dumps/step-000000030/fc1.weight.mask.png",
        "dumps/step-000000030/fc1.weight.grad.npy",
        "dumps/step-000000030/fc1.weight.score.npy",
    ] {
        assert!(home.join("r").join(file).is_file(), "{file}");
    }
    let eval = json(home, &["eval", "r", "--json"]);
    assert_eq!(eval["test_accuracy"], summary["test_accuracy"]);
    for key in ["test_nll", "test_ece", "test_aurc", "test_e_aurc"] {
        let (now, then) = (eval[key].as_f64().unwrap(), summary[key].as_f64().unwrap());
        // The run may have had packed weights, whose sums have another order.
        assert!(now > 0.0 && (now - then).abs() <= 1e-3, "{key}: {now}, {then}");
    }
    let inspected = json(home, &["inspect", "r", "--nm", "2:4", "--json"]);
    assert_eq!(inspected["kept"], 1702);
    json(home, &["inspect", "r/dumps/step-000000030", "--json"]);
    assert!(run(home, &["export", "r", "--to", "safetensors", "out.safetensors"]).status.success());
    let exported = json(home, &["inspect", "out.safetensors", "--png", "pictures", "--json"]);
    assert_eq!(exported["kept"], 1702);
    assert!(home.join("pictures/fc1.weight.png").is_file());
    let diff = json(home, &["inspect", "r", "--diff", "out.safetensors", "--layer", "*.weight", "--json"]);
    assert_eq!(diff["equal"], true, "{diff}");
    let eval = json(home, &["eval", "out.safetensors", "--recipe", "digits-gmp-90", "--json"]);
    assert_eq!(eval["test_accuracy"], summary["test_accuracy"]);
    fails(home, 10, &["eval", "r", "--min-accuracy", "0.9999"]);
    let again = fails(home, 5, &with(&["--out", "r"]));
    assert!(again.contains("never overwritten"), "{again}");
    // The recipe of the run is complete: it gives the same run.
    let same = json(
        home,
        &["train", "r/config.toml", "-q", "--json", "--no-autotune", "--out", "s", "-s", "dump.every=off"],
    );
    assert_eq!(same["digest"], summary["digest"]);
}

#[test]
fn what_pruning_did_over_time_is_shown_as_table_json_and_pictures() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |name: &str, seed: &str| {
        let more = ["-q", "--json", "--no-autotune", "-s", "run.epochs=6", "-s", "run.baseline=false"];
        json(home, &[&["train", "digits-rigl-90", "--out", name, "--seed", seed][..], &more].concat())
    };
    let summary = train("a", "1");
    train("b", "2");

    let found = json(home, &["inspect", "a", "--history", "--plot", "pictures", "--json"]);
    assert_eq!(found["all"].as_array().unwrap().last().unwrap()["kept"], summary["kept"]);
    for (layer, last) in found["layers"].as_array().unwrap().iter().zip(summary["layers"].as_array().unwrap())
    {
        assert_eq!(layer["name"], last["name"]);
        assert_eq!(layer["points"].as_array().unwrap().last().unwrap()["kept"], last["kept"]);
    }
    let text = std::fs::read_to_string(home.join("a/masks/updates.jsonl")).unwrap();
    let update: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let explored = &found["layers"][0]["points"].as_array().unwrap().last().unwrap()["explored"];
    assert_eq!(&update["layers"][0]["explored"], explored);

    let overlap = json(home, &["inspect", "a", "--history", "--diff", "b", "--plot", "pictures", "--json"]);
    let point = overlap["layers"][0]["points"].as_array().unwrap().last().unwrap();
    assert!(point["both"].as_u64() < point["first"].as_u64(), "{point}");
    let diff = json(home, &["inspect", "a", "--diff", "b", "--layer", "fc1.weight", "--json"]);
    assert_eq!(diff["tensors"][0]["overlap"], point["overlap"]);
    assert_eq!(diff["tensors"][0]["by_chance"], point["by_chance"]);

    let life = json(home, &["inspect", "a", "--weight", "fc1[12,35]", "--plot", "pictures", "--json"]);
    assert_eq!((&life["name"], &life["turns"][0]["step"]), (&"fc1.weight".into(), &0.into()));
    for (name, words) in [
        ("kept", ["training step", "fc1"]),
        ("churn", ["churn (% of kept weights)", "head"]),
        ("explored", ["R_s (% of the layer)", "all"]),
        ("overlap", ["fc2, by chance", "training step"]),
        ("weight", ["fc1[12,35]", "saved value"]),
    ] {
        let svg = std::fs::read_to_string(home.join(format!("pictures/{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && words.iter().all(|word| svg.contains(word)), "{name}");
    }
    for (args, word) in [
        (&["--history"][..], "churn / update"),
        (&["--history", "--diff", "b"], "kept in both runs"),
        (&["--weight", "fc1[12,35]"], "fc1[12,35] of 128 x 64: kept in"),
    ] {
        let output = run(home, &[&["inspect", "a"][..], args].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(word), "{args:?}: {text}");
    }

    assert!(fails(home, 2, &["inspect", "a", "--weight", "fc9[0,0]"]).contains("fc2 (64 x 128)"));
    assert!(fails(home, 2, &["inspect", "a", "--weight", "fc1[0,64]"]).contains("128 x 64"));
    assert!(fails(home, 2, &["inspect", "a", "--weight", "fc1"]).contains("--weight 'fc1[12,345]'"));
    assert!(fails(home, 2, &["inspect", "a", "--history", "--layer", "x"]).contains("there are: fc1"));
    assert!(fails(home, 2, &["inspect", "a", "--plot", "p"]).contains("--history"));
    assert!(fails(home, 2, &["inspect", "pictures", "--history"]).contains("no journal of masks"));
    std::fs::write(home.join("a/masks/journal.bin"), "no journal, but long enough").unwrap();
    assert!(fails(home, 4, &["inspect", "a", "--history"]).contains("not even its first record is whole"));
}

#[test]
fn what_is_wrong_is_said_with_its_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let typo = fails(home, 2, &with(&["-s", "optim.momentun=0.5"]));
    assert!(typo.contains("did you mean `momentum`"), "{typo}");
    assert!(fails(home, 2, &["train", "digits-gmp-9"]).contains("digits-gmp-90"));
    assert!(fails(home, 2, &with(&["-s", "optim.name=sdg"])).contains("sgd"));
    assert!(
        fails(home, 2, &with(&["-s", "sparsity.schedule.end=100%"])).contains("does not end within the run")
    );
    assert!(
        fails(home, 2, &with(&["-s", "sparsity.rule=[{match='conv*', dense=true}]"]))
            .contains("matches no layer")
    );
    assert!(fails(home, 3, &with(&["-s", "data.name=idx:nowhere"])).contains("nowhere"));
    assert!(fails(home, 7, &with(&["--device", "no such adapter"])).contains("no such adapter"));
    assert!(fails(home, 4, &["resume", "nothing"]).contains("not the folder of a run"));
    fails(home, 2, &["no-such-command"]);
    let unknown = fails(home, 2, &["bench", "nothing"]);
    for bench in ["step", "crossover", "sparse", "scale", "methods", "growth", "topk"] {
        assert!(unknown.contains(bench), "{bench}: {unknown}");
    }
    assert!(!home.join("runs").exists(), "nothing was begun");
}

#[test]
fn the_lists_are_complete() {
    let home = tempfile::tempdir().unwrap();
    let lists = json(home.path(), &["ls", "--json"]);
    for list in ["recipes", "presets", "layers", "data", "optimizers", "methods", "distillation"] {
        assert!(!lists[list].as_array().unwrap().is_empty(), "{list}");
    }
    let preset = |name: &str| lists["presets"].as_array().unwrap().iter().find(|one| one["name"] == name);
    assert_eq!(preset("gpt").unwrap()["settings"]["hidden"], 512);
    assert!(run(home.path(), &["cp", "digits-gmp-90"]).status.success());
    let plan = json(home.path(), &["plan", "digits-gmp-90.toml", "--json"]);
    assert_eq!(plan["mask_updates"].as_array().unwrap().last().unwrap()["kept"], 1702);
    assert_eq!(plan["mean_bytes"], 0);
    // Dense at first; what it will run on once it is packed is said, too.
    assert_eq!(
        (&plan["layers"][0]["storage"], &plan["packed"][0]["packed"]),
        (&"masked".into(), &true.into())
    );
    let kernel = &plan["packed"][0]["kernels"]["forward"];
    assert!(kernel["kernel"].as_str().unwrap().starts_with("ops/packed/forward"), "{kernel}");
    assert_eq!(kernel["measured"], false);
    assert!(kernel["why"].as_str().unwrap().starts_with("by default, nothing was measured"), "{kernel}");
    let dense = &plan["dense_kernels"][0]["kernels"]["weight_grad"];
    assert!(dense["kernel"].as_str().unwrap().starts_with("weight_grad/"), "{dense}");
    assert!(dense["why"].as_str().unwrap().starts_with("by default, nothing was measured"), "{dense}");
    assert!(plan["packed"][0]["kernels"]["input_grad"].is_null(), "no gradient flows to the data");
    let snfs = ["digits-rigl-90", "-s", "sparsity.method=snfs", "-s", "sparsity.storage=packed"];
    let plan = json(home.path(), &[&["plan", "--json"], &snfs[..]].concat());
    assert_eq!((&plan["layers"][0]["storage"], &plan["mean_bytes"]), (&"packed".into(), &68_096.into()));
    json(home.path(), &["devices", "--json"]);
    fails(home.path(), 5, &["cp", "digits-gmp-90"]);
}

/// A run that is packed on its way: what a step costs beside the dense network's, and from which update on a layer is packed.
#[test]
fn a_report_says_what_steps_cost_and_how_layers_are_stored() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let sparse = ["-s", "sparsity.target=0.95", "-s", "sparsity.distribution=uniform"];
    let summary = json(home, &with(&[&sparse[..], &["--out", "r"]].concat()));
    let read = |file: &str| std::fs::read_to_string(home.join("r").join(file)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(report, summary);
    let number = |path: &str| {
        report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path}: {report}"))
    };
    for measured in ["/ms_per_step/total_at_end", "/ms_per_step/total", "/dense/ms_per_step/total"] {
        assert!(number(measured) > 0.0, "{measured}");
    }
    // Forward and weight gradient of three layers, and the input gradients of two; of batches of 64.
    let dense = 2.0 * 64.0 * (3.0 * (64.0 * 128.0 + 128.0 * 64.0 + 64.0 * 10.0) - 64.0 * 128.0);
    assert_eq!(number("/train_flops/dense"), dense * number("/steps"));
    let share = number("/train_flops/kept") / number("/train_flops/dense");
    assert!(share > 0.05 && share < 1.0, "from all weights to a twentieth of them: {share}");
    assert!(number("/dense/step_cost/flops") > dense);
    for smaller in ["/step_cost/flops", "/step_cost/bytes", "/stored_bytes"] {
        let (sparse, dense) = (number(smaller), number(&format!("/dense{smaller}")));
        assert!(sparse > 0.0 && sparse < dense, "{smaller}: {sparse}, dense {dense}");
    }

    let layers = report["layers"].as_array().unwrap();
    let updates = read("masks/updates.jsonl");
    let updates: Vec<Value> = updates.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, layer) in layers.iter().enumerate() {
        let stored: Vec<&Value> = updates.iter().map(|update| &update["layers"][index]).collect();
        assert!(stored.iter().all(|own| own["name"] == layer["name"]), "{layer}");
        let packed: Vec<bool> = stored.iter().map(|own| own["storage"] == "packed").collect();
        assert!(stored.iter().zip(&packed).all(|(own, packed)| *packed || own["storage"] == "masked"));
        // Where nothing was measured: from the update on that leaves 15 % of a layer.
        let sparse = |own: &&Value| own["kept"].as_f64().unwrap() <= 0.15 * own["total"].as_f64().unwrap();
        assert_eq!(packed, stored.iter().map(sparse).collect::<Vec<_>>(), "{layer}");
        assert!(!packed[0] && packed.is_sorted(), "masked first, then packed for good: {packed:?}");
        let last = stored.last().unwrap();
        assert_eq!((&last["storage"], &last["kept"]), (&layer["storage"], &layer["kept"]), "{layer}");
    }
    assert!(layers.iter().any(|layer| layer["storage"] == "packed"), "none is packed: {report}");
}

/// A search has three dispatches in each of 255 turns; they are as many lines as there are kernels.
#[test]
fn a_plan_is_short_whatever_it_repeats() {
    let home = tempfile::tempdir().unwrap();
    let text = "run = { epochs = 1, batch = 64 }\ndata = { name = 'digits' }\n\
                model = { preset = 'mlp', hidden = [1024, 1024] }\noptim = { name = 'sgd', lr = 0.1 }\n\
                sparsity = { method = 'asp', pattern = '2:4', schedule = { type = 'oneshot', begin = '50%' } }";
    std::fs::write(home.path().join("asp.toml"), text).unwrap();
    let recipe = ["plan", "asp.toml"];
    let plan = json(home.path(), &[&recipe[..], &["--json"]].concat());
    let dispatches = plan["dispatches"].as_array().unwrap();
    assert!(dispatches.len() < 100, "{} dispatches", dispatches.len());
    let sum = |what: &dyn Fn(&Value) -> u64| dispatches.iter().map(what).sum::<u64>();
    let number = |value: &Value| value.as_u64().unwrap();
    assert!(sum(&|d| number(&d["times"])) > 3 * 255, "none is left out");
    let masks = |d: &Value| if d["phase"] == "masks" { number(&d["times"]) * number(&d["flops"]) } else { 0 };
    assert_eq!(sum(&masks), number(&plan["cost"]["masks"]["flops"]));
    assert!(plan["notes"][0].as_str().unwrap().contains("one round"), "{}", plan["notes"]);
    let output = run(home.path(), &recipe);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() < 150, "{text}");
    assert!(text.contains("one round"), "{text}");
}

/// 21 steps an epoch, six epochs: half a cosine after a warm-up of an epoch, twice where `asp` trains again, and with the
/// factors of the phases.
#[test]
fn a_plan_shows_the_course_of_the_learning_rate() {
    let home = tempfile::tempdir().unwrap();
    let lr = "optim.lr={type='cosine',start=0.2,end=0.0,warmup='1ep'}";
    let plan = |more: &[&str]| {
        let all = ["plan", "digits-dense", "--json", "-s", "run.epochs=6", "-s", lr];
        let plan = json(home.path(), &[&all[..], more].concat());
        let turn = |t: &Value| {
            let what: Vec<&str> = t["what"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
            (t["step"].as_u64().unwrap(), t["rate"].as_f64().unwrap(), what.join(" "))
        };
        plan["learning_rate"].as_array().unwrap().iter().map(turn).collect::<Vec<_>>()
    };
    let check = |found: &[(u64, f64, String)], wanted: &[(u64, f64, &str)]| {
        let close = |got: f64, want: f64| (got - want).abs() <= 1e-12;
        let same = |(f, w): (&(u64, f64, String), &(u64, f64, &str))| {
            (f.0, &f.2[..]) == (w.0, w.2) && close(f.1, w.1)
        };
        assert!(found.len() == wanted.len() && found.iter().zip(wanted).all(same), "{found:?}, {wanted:?}");
    };
    let cosine = |step: f64, of: f64| 0.1 * (1.0 + (std::f64::consts::PI * step / of).cos());
    let end = cosine(104.0, 105.0);
    check(&plan(&[]), &[(0, 0.2 / 21.0, "start"), (21, 0.2, "warm"), (125, end, "end")]);
    let asp = "sparsity={method='asp',pattern='2:4',schedule={type='oneshot',begin='50%'}}";
    let half = cosine(41.0, 42.0);
    let twice = [
        (0, 0.2 / 21.0, "start"),
        (21, 0.2, "warm"),
        (62, half, "end"),
        (63, 0.2 / 21.0, "restart"),
        (84, 0.2, "warm"),
        (125, half, "end"),
    ];
    check(&plan(&["-s", asp]), &twice);
    let phases = "unfreeze={groups=[['head'],['fc*']],phases=['2ep'],lr=[1.0,0.5]}";
    let joined = [
        (0, 0.2 / 21.0, "start"),
        (21, 0.2, "warm"),
        (41, cosine(20.0, 105.0), "end"),
        (42, cosine(21.0, 105.0) / 2.0, "phase"),
        (125, end / 2.0, "end"),
    ];
    check(&plan(&["-s", phases]), &joined);
    let steps = "optim.lr={type='step',start=0.1,factor=0.1,at=['3ep']}";
    check(&plan(&["-s", steps]), &[(0, 0.1, "start"), (63, 0.01, "fall"), (125, 0.01, "end")]);
    let text = run(home.path(), &["plan", "digits-dense", "-s", "run.epochs=6", "-s", steps]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("learning rate:\n  step       0  1.000e-1   start\n  step      63  1.000e-2   fall\n"),
        "{text}"
    );
}

/// A head of 10 outputs: two blocks of 8 rows in each column, the second with 2; 3 of 160 of them keep as much as 15 weights
/// do, on average.
#[test]
fn a_plan_says_that_weights_of_unequal_blocks_are_counted_as_if_equal() {
    let home = tempfile::tempdir().unwrap();
    let plan = |target: &str| {
        let sparsity = format!("sparsity.target={target}");
        let blocks = ["-s", "sparsity.method=static", "-s", "sparsity.pattern=block:8x1", "-s", &sparsity];
        let model = ["-s", "model.hidden=[80]", "-s", "sparsity.distribution=uniform"];
        json(home.path(), &[&["plan", "digits-dense", "--json"], &blocks[..], &model].concat())
    };
    let uneven = plan("0.98");
    assert!(uneven["notes"][0].as_str().unwrap().contains("blocks do not divide every layer"));
    assert_eq!(uneven["budgets"][1]["keep"], 15, "{}", uneven["budgets"]);
    assert_eq!(uneven["layers"][2]["pattern"], "8x1");
}

#[test]
fn the_number_of_threads_of_a_software_driver_changes_no_bit() {
    let home = tempfile::tempdir().unwrap();
    let digest = |threads: &str| {
        let output =
            coppice(home.path(), &with(&["--out", threads])).env("LP_NUM_THREADS", threads).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        value["digest"].clone()
    };
    assert_eq!(digest("1"), digest("2"));
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_and_goes_on_to_the_same_end() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let whole = json(home, &with(&["--out", "whole"]));
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = format!("run{name}");
        let child = coppice(home, &with(&["--out", &folder]))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&home.join(&folder).join("metrics.jsonl"));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("coppice resume"), "{stderr}");
        let resumed = json(home, &["resume", &folder, "-q", "--json"]);
        assert_eq!(resumed["digest"], whole["digest"]);
    }
}

#[cfg(unix)]
fn wait_for(path: &Path) {
    for _ in 0..600 {
        if path.is_file() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} did not appear", path.display());
}

/// Kills a run with these settings at pseudo-random instants, the same on every run of this test, and lets it go on each time:
/// all that it leaves is what a run leaves that never stopped.
#[cfg(unix)]
fn goes_on_killed(train: &[&str], kills: u64) {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let train = |out| [train, &["-q", "--json", "--no-autotune", "--out", out]].concat();
    let whole = json(home, &train("whole"));
    let mut child = coppice(home, &train("r")).stdout(Stdio::null()).spawn().unwrap();
    wait_for(&home.join("r/metrics.jsonl"));
    for instant in 0..kills {
        std::thread::sleep(Duration::from_millis(40 + instant * 2654435761 % 157));
        child.kill().unwrap();
        child.wait().unwrap();
        child = coppice(home, &["resume", "r", "-q", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let last: Value =
        serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(last["digest"], whole["digest"]);
    let steps = |folder: &str| {
        let text = std::fs::read_to_string(home.join(folder).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(steps("r"), steps("whole"), "the metrics are those of a run that never stopped");
    let journal = |folder: &str| std::fs::read(home.join(folder).join("masks/journal.bin")).unwrap();
    assert!(journal("r") == journal("whole"), "so is the journal of masks");
}

#[cfg(unix)]
#[test]
fn killed_at_any_instant_a_run_goes_on_to_the_same_end() {
    goes_on_killed(&["train", "digits-gmp-90", "-s", "run.epochs=3", "-s", "run.checkpoint_every=2"], 20);
}

#[cfg(unix)]
#[test]
fn killed_a_run_of_convolutions_goes_on_to_the_same_end() {
    let mut train = vec!["train", "fashion-cnn-rigl-95"];
    for setting in [
        "data.name=fashion-mini",
        "model.width=0.25",
        "run.epochs=1",
        "run.batch=100",
        "run.checkpoint_every=1",
        "run.log_every=1",
        "sparsity.schedule={end='20',every='3'}",
    ] {
        train.extend(["-s", setting]);
    }
    goes_on_killed(&train, 4);
}
