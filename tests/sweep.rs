//! `coppice sweep`: tables of runs, what is skipped and what goes on, and the sweeps that docs/results.md names.

#[path = "common/program.rs"]
mod program;

use std::path::Path;

use program::{fails, json, run};
use serde_json::Value;

/// Four short runs on the digits.
const SWEEP: [&str; 13] = [
    "sweep",
    "digits-gmp-90",
    "--seeds",
    "1,2",
    "--vary",
    "sparsity.method=gmp,none",
    "-s",
    "run.epochs=2",
    "-s",
    "run.baseline=false",
    "--no-autotune",
    "--out",
    "all",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SWEEP.iter().copied().chain(more.iter().copied()).collect()
}

fn text(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_sweep_runs_what_is_not_done_and_says_what_came_of_all() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // A method that prunes nothing takes no target.
    let refused = fails(home, 2, &with(&[]));
    assert!(refused.contains("a target needs a pruning method"), "{refused}");
    assert!(!home.join("all").exists(), "a variant that cannot run stops the sweep before its first run");
    let mut args = SWEEP.to_vec();
    args[5] = "sparsity.rule=[],[{match=\"fc9\",dense=true}]";
    let refused = fails(home, 2, &args);
    assert!(refused.contains("matches no layer") && refused.contains("row: digits-gmp-90 -s"), "{refused}");
    assert!(!home.join("all").exists(), "nor does one whose network cannot be built");

    let vary = |text: &'static str| {
        let at = SWEEP.iter().position(|word| *word == "--vary").unwrap() + 1;
        let mut args = SWEEP.to_vec();
        args[at] = text;
        args
    };
    let args = vary("sparsity.target=0.5,0.9");
    let list = json(home, &[&args[..], &["--list", "--json"]].concat());
    let states = |list: &Value| -> Vec<String> {
        let runs = list["runs"].as_array().unwrap().iter();
        runs.map(|run| run["state"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(states(&list), ["to do"; 4]);

    // One run is there already, and another was stopped in the middle.
    let begun = |target: &str, seed: &str, steps: &str| {
        let out = format!("all/digits-gmp-90_sparsity.target_{target}-seed-{seed}");
        let target = format!("sparsity.target={target}");
        let own =
            ["train", "digits-gmp-90", "--seed", seed, "--out", &out, "-s", &target, "--max-steps", steps];
        let same = ["-s", "run.epochs=2", "-s", "run.baseline=false", "--no-autotune", "-q", "--json"];
        json(home, &[&own[..], &same].concat())
    };
    let whole = begun("0.5", "1", "100000");
    let half = begun("0.9", "2", "20");
    assert_eq!(half["steps"], 20);
    let list = json(home, &[&args[..], &["--list", "--json"]].concat());
    assert_eq!(states(&list), ["done", "to do", "to do", "begun"]);

    let found = json(home, &[&args[..], &["-q", "--json", "--csv", "all.csv"]].concat());
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["recipe"], "digits-gmp-90 -s sparsity.target=0.5");
    assert_eq!(rows[0]["runs"][0]["digest"], whole["digest"], "what was done is not done again");
    assert_eq!((&rows[1]["kept"]["mean"], &rows[1]["total"]["most"]), (&1702.0.into(), &17024.0.into()));
    for row in rows {
        let all: Vec<f64> = row["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["test_accuracy"].as_f64().unwrap())
            .collect();
        let mean = row["test_accuracy"]["mean"].as_f64().unwrap();
        assert!((mean - (all[0] + all[1]) / 2.0).abs() <= 1e-12, "{row}");
        assert!(
            row["test_nll"]["mean"].as_f64().unwrap() > 0.0
                && row["ms_per_step"]["least"].as_f64().unwrap() > 0.0
        );
        assert!(all.iter().all(|accuracy| *accuracy > 0.3), "{row}");
    }
    // The stopped run is as one that was not.
    let out =
        ["train", "digits-gmp-90", "--seed", "2", "--out", "alone", "-s", "run.epochs=2", "-q", "--json"];
    let alone = json(home, &[&out[..], &["--no-autotune", "-s", "run.baseline=false"]].concat());
    assert_eq!(rows[1]["runs"][1]["digest"], alone["digest"]);

    let lines = std::fs::read_to_string(home.join("all.csv")).unwrap();
    assert_eq!(lines.lines().count(), 5, "{lines}");
    assert!(lines.starts_with("recipe,seed,test_accuracy,test_nll,test_ece,test_aurc,"), "{lines}");
    // What a table prints is what the run's own report has.
    let run = &rows[1]["runs"][0];
    assert_eq!(run["noise"]["layers"].as_array().unwrap().len(), 3, "{run}");
    assert!(run["noise"]["variance"]["of_layers"].as_f64().unwrap() > 0.0);
    assert_ne!(run["noise"]["variance"]["of_layers"], run["noise"]["variance"]["of_weights"]);
    assert_eq!(run["noise"]["second_variance"], Value::Null, "SGD has no second moment");
    let folder = Path::new(run["run"].as_str().unwrap());
    let metrics = std::fs::read_to_string(home.join(folder).join("metrics.jsonl")).unwrap();
    let last = metrics.lines().rfind(|line| line.contains("\"gradients\"")).unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    // One batch in the file, the mean of sixteen in the report.
    assert_eq!((&last["step"], &run["noise"]["batches"]), (&run["steps"], &16.into()));
    for (one, mean) in
        last["layers"].as_array().unwrap().iter().zip(run["noise"]["layers"].as_array().unwrap())
    {
        assert_eq!((&one["name"], &one["count"]), (&mean["name"], &mean["count"]));
        assert_ne!(one["variance"], mean["variance"]);
    }

    // All is done: nothing runs, and no device is opened.
    let again = text(home, &[&args[..], &["--markdown", "--device", "no such adapter"]].concat());
    assert_eq!(again.lines().count(), 4, "{again}");
    assert!(again.starts_with("| recipe | seed 1 | seed 2 | mean | sd | NLL | ECE | AURC |"), "{again}");
    assert!(again.contains("| TFLOP of products | variance of abs(g), by layer | by weight |\n"), "{again}");
    assert!(again.contains("| 1,702 / 17,024 |"), "{again}");
    assert!(text(home, &args).contains("digits-gmp-90 -s sparsity.target=0.9"));

    // Other settings in the same folder are another sweep.
    let other = fails(home, 5, &[&args[..], &["-s", "run.batch=32"]].concat());
    assert!(
        other.contains("a run of another recipe") && other.contains("run.batch: 64 there, 32 asked for"),
        "{other}"
    );
    assert!(fails(home, 2, &with(&["--seeds", "1,1"])).contains("twice"));
    assert!(fails(home, 2, &vary("sparsity.target")).contains("key.path=value,value"));
}

#[test]
fn numbers_that_break_are_told_apart_from_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let args = [
        "sweep",
        "digits-dense",
        "--seeds",
        "1",
        "--out",
        "all",
        "--no-autotune",
        "-q",
        "-s",
        "run.epochs=1",
    ];
    let vary = ["--vary", "optim.lr=1e30,0.1", "--markdown"];
    let output = run(home, &[&args[..], &vary].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(8), "{err}");
    assert!(out.lines().nth(2).unwrap().contains("| not finite | **-** |"), "{out}");
    assert!(out.lines().nth(3).unwrap().contains("optim.lr=0.1"), "the others go on: {out}");
    assert!(err.contains("1 runs did not stay finite"), "{err}");
}

/// Every command of docs/results.sh is one that this program takes, and docs/results.md names it.
#[test]
fn the_sweeps_of_the_results_can_be_run() {
    let home = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let script = std::fs::read_to_string(docs.join("results.sh")).unwrap();
    let results = std::fs::read_to_string(docs.join("results.md")).unwrap();
    let commands = |what: &str| -> Vec<(String, Vec<String>)> {
        let lines =
            script.lines().filter_map(|line| line.strip_suffix(" ;;")?.split_once(&format!(") {what} ")));
        let named = lines.filter(|(name, _)| name.chars().all(char::is_alphanumeric));
        named.map(|(name, rest)| (name.to_string(), words(rest))).collect()
    };
    let documented = |name: &str| {
        let command = format!("docs/results.sh {name}`");
        assert!(results.contains(&command), "docs/results.md does not name `{name}`");
    };
    let mut count = 0;
    for (name, args) in commands("sweep") {
        let mut all = vec!["sweep"];
        all.extend(args.iter().map(String::as_str));
        all.extend(["--out", "none", "--list", "--json"]);
        let list = json(home.path(), &all);
        assert!(!list["runs"].as_array().unwrap().is_empty(), "{name}");
        documented(&name);
        count += 1;
    }
    assert!(count >= 5, "only {count} sweeps in docs/results.sh: its form has changed");
    // The others would train: they are taken as far as the device, which is the last that is asked for.
    let others = commands("run");
    assert!(others.len() >= 2, "docs/results.sh: the form of other commands has changed");
    for (name, args) in others {
        let mut all: Vec<&str> = args.iter().map(String::as_str).collect();
        if all.contains(&"-s") {
            all.extend(["-s", "data.name=digits"]); // which needs no file
        }
        all.extend(["--device", "no such adapter"]);
        let refused = fails(home.path(), 7, &all);
        assert!(refused.contains("no such adapter"), "{name}: {refused}");
        documented(&name);
    }
    for (name, args) in commands("oracle") {
        assert!(
            args.len() >= 2 && args[..2].iter().all(|seed| seed.parse::<u64>().is_ok()),
            "{name}: {args:?}"
        );
        documented(&name);
    }
    // And the other way round: what the page names is there.
    let named = results
        .split("docs/results.sh ")
        .skip(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>());
    for name in named.filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase())) {
        assert!(script.contains(&format!("\n{name}) ")), "docs/results.sh has no `{name}`");
    }
}

/// The words of a command: single quotes hold one together.
fn words(command: &str) -> Vec<String> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => all.push(String::new()),
            _ => all.last_mut().expect("one at least").push(c),
        }
    }
    assert!(!quoted, "a quote is not closed: {command}");
    all.into_iter().filter(|word| !word.is_empty()).collect()
}
