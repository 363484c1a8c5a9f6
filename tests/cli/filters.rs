//! Runs that prune whole filters: from the plan to a smaller network on disk.

use std::path::Path;

use crate::program::{fails, json, run};

const FILTERS: &str =
    "sparsity={method='gmp',target=0.5,pattern='filter',schedule={begin='0',end='10',every='5'}}";

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let run = "run={epochs=2,batch=128,baseline=false}";
    let small = ["-q", "--json", "--no-autotune", "--device", "twin", "-s", run, "-s", "model.hidden=[16,8]"];
    [&["train", "digits-gmp-90", "--out", out][..], &small, &["-s", FILTERS], more].concat()
}

fn text(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_network_that_lost_filters_is_resumed_judged_and_exported() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let plan = text(home, &["plan", "digits-gmp-90", "-s", "model.hidden=[16,8]", "-s", FILTERS]);
    assert!(plan.contains("filters are counted, not weights"), "{plan}");
    let words = |line: &str| {
        line.split_whitespace().filter(|word| *word != "|").map(String::from).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = plan.lines().map(words).collect();
    for wanted in [["fc1.weight", "8", "16"], ["fc2.weight", "4", "8"]] {
        assert!(rows.iter().any(|row| *row == wanted), "no {wanted:?} in {plan}");
    }

    let whole = json(home, &train("whole", &[]));
    // 64 inputs, 8 of 16 and 4 of 8 units, 10 outputs.
    assert_eq!(
        (&whole["kept"], &whole["total"]),
        (&(8 * 64 + 4 * 8 + 10 * 4).into(), &(16 * 64 + 8 * 16 + 80).into())
    );
    for stop in ["9", "11", "13"] {
        let folder = format!("part{stop}");
        json(home, &train(&folder, &["--max-steps", stop]));
        let resumed = json(home, &["resume", &folder, "-q", "--json"]);
        assert_eq!(resumed["digest"], whole["digest"], "stopped at {stop}");
    }
    let shown = text(home, &["inspect", "whole"]);
    assert!(shown.contains("8 x 64") && shown.contains("filters of"), "{shown}");

    let accuracy = |args: &[&str]| {
        json(home, &[args, &["--json", "--device", "twin"]].concat())["test_accuracy"].clone()
    };
    assert_eq!(accuracy(&["eval", "whole"]), whole["test_accuracy"]);
    let export = |run: &str, out: &str| text(home, &["export", run, "--to", "safetensors", "--compact", out]);
    export("whole", "small.safetensors");
    let files = ["eval", "small.safetensors", "--recipe", "small.toml"];
    assert_eq!(accuracy(&files), whole["test_accuracy"]);
    let exists =
        fails(home, 5, &["export", "whole", "--to", "safetensors", "--compact", "small.safetensors"]);
    assert!(exists.contains("exists already"), "{exists}");
    for more in [&["a.onnx"][..], &["b.onnx", "--compact"]] {
        let onnx = [&["export", "whole", "--to", "onnx", "--device", "twin"], more].concat();
        assert!(text(home, &onnx).contains("checked on"), "{more:?}");
    }

    // Masked filters are left out, too.
    let masked = json(home, &train("masked", &["-s", "sparsity.remove=false"]));
    assert_eq!((&masked["kept"], &masked["total"]), (&whole["kept"], &whole["total"]));
    let said = export("masked", "other.safetensors");
    assert!(said.contains("fc1"), "{said}");
    let other = ["eval", "other.safetensors", "--recipe", "other.toml"];
    assert_eq!(accuracy(&other), masked["test_accuracy"]);
    let dense =
        ["train", "digits-dense", "--out", "dense", "-q", "--json", "--device", "twin", "--max-steps", "2"];
    json(home, &dense);
    let none = fails(home, 2, &["export", "dense", "--to", "safetensors", "--compact", "d.safetensors"]);
    assert!(none.contains("the run prunes no filters"), "{none}");
}
