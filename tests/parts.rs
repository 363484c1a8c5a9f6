//! A run in parts, as a user meets it: resumed when it is done, with data that moved, with what was changed in between, and
//! with numbers that are none. On the twin, with data of a few samples.

#[path = "common/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coppice::store::{Array, safetensors};
use program::{fails, json, run};
use serde_json::Value;

/// 60 + 20 images of 2x2; the class is whether the first pixel is bright. `seed` makes others of the same kind.
fn write_data(folder: &Path, seed: u32) {
    fs::create_dir_all(folder).unwrap();
    for (part, samples) in [("train", 60u32), ("t10k", 20)] {
        let pixel = |i: u32| (i.wrapping_add(seed).wrapping_mul(2654435761) >> 24) as u8;
        let images: Vec<u8> = (0..4 * samples).map(pixel).collect();
        let labels: Vec<u8> = images.chunks(4).map(|image| u8::from(image[0] > 127)).collect();
        let header = |extents: &[u32]| {
            let magic = [0, 0, 8, extents.len() as u8];
            magic
                .into_iter()
                .chain(extents.iter().flat_map(|extent| extent.to_be_bytes()))
                .collect::<Vec<u8>>()
        };
        let file = |name: &str, head: Vec<u8>, bytes: &[u8]| {
            fs::write(folder.join(format!("{part}-{name}-ubyte")), [&head[..], bytes].concat()).unwrap();
        };
        file("images-idx3", header(&[samples, 2, 2]), &images);
        file("labels-idx1", header(&[samples]), &labels);
    }
}

/// A folder with data and a recipe of twelve steps beside each other: `p/data/ok` and `p/recipes/r.toml`.
fn project() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write_data(&home.path().join("p/data/ok"), 0);
    fs::create_dir_all(home.path().join("p/recipes")).unwrap();
    let recipe = "
        run = { epochs = 2, batch = 9, baseline = false, eval_every = '4' }
        data = { name = 'idx:../data/ok' }
        model = { preset = 'mlp', hidden = [6] }
        optim = { name = 'sgd', lr = 0.1 }
        sparsity = { method = 'gmp', target = 0.5, schedule = { begin = '2', end = '6', every = '2' } }";
    fs::write(home.path().join("p/recipes/r.toml"), recipe).unwrap();
    home
}

const QUIET: [&str; 5] = ["--device", "twin", "-q", "--json", "--no-autotune"];

fn train(folder: &Path, recipe: &str, out: &str, more: &[&str]) -> Value {
    json(folder, &[&["train", recipe, "--out", out][..], &QUIET, more].concat())
}

/// Every file of a run, but the empty one that locks it.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(run).unwrap() {
        let (path, name) =
            (entry.as_ref().unwrap().path(), entry.unwrap().file_name().into_string().unwrap());
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if name != "lock" {
            all.insert(name, fs::read(path).unwrap());
        }
    }
    all
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_that_is_done_stays_as_it_is_and_times_add_up() {
    let home = project();
    let home = &home.path().join("p");
    let whole = train(home, "recipes/r.toml", "r", &[]);
    let before = files(&home.join("r"));
    let again = json(home, &["resume", "r", "--json", "-q"]);
    assert_eq!(again, whole);
    for args in [&["resume", "r"][..], &["resume", "r", "--max-steps", "5"]] {
        let said = run(home, args);
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.starts_with("the run is done: 12 steps, test accuracy"), "{said}");
    }
    let sweep = [
        "sweep",
        "recipes/r.toml",
        "--seeds",
        "0",
        "--out",
        "all",
        "--device",
        "twin",
        "--no-autotune",
        "-q",
    ];
    run(home, &sweep);
    let swept = files(&home.join("all"));
    assert!(run(home, &sweep).status.success());
    assert!(files(&home.join("r")) == before && files(&home.join("all")) == swept, "something was written");

    // Killed between the last checkpoint and the report: the report is that of before.
    fs::remove_file(home.join("r/report.json")).unwrap();
    let late = json(home, &["resume", "r", "--json", "-q"]);
    for key in ["train_loss", "digest", "test_loss"] {
        assert_eq!(late[key], whole[key], "{key}");
    }
    for key in ["/seconds", "/first_seconds", "/ms_per_step/total", "/ms_per_step/forward"] {
        // JSON may change the last digit.
        let [late, whole] = [&late, &whole].map(|summary| summary.pointer(key).unwrap().as_f64().unwrap());
        assert!(whole > 0.0 && (late - whole).abs() <= 1e-9 * whole, "{key}: {late}, {whole}");
    }
    assert_eq!(files(&home.join("r"))["metrics.jsonl"], before["metrics.jsonl"]);

    let seconds =
        |summary: &Value| summary["seconds"].as_f64().unwrap() + summary["first_seconds"].as_f64().unwrap();
    let part = train(home, "recipes/r.toml", "s", &["--max-steps", "9"]);
    let rest = json(home, &["resume", "s", "--json", "-q"]);
    assert_eq!(rest["digest"], whole["digest"]);
    assert!(part["seconds"].as_f64() > Some(0.0) && seconds(&rest) > seconds(&part), "{part} {rest}");
    let tests =
        fs::read_to_string(home.join("s/metrics.jsonl")).unwrap().matches("\"part\":\"test\"").count();
    assert_eq!(tests, 1, "that of the end");
    // One step, and that is a first one: no figure.
    let short = train(home, "recipes/r.toml", "t", &["--max-steps", "1"]);
    assert_eq!((&short["ms_per_step"], &short["seconds"]), (&serde_json::json!({}), &0.0.into()));
    assert!(short["first_seconds"].as_f64() > Some(0.0), "{short}");
}

#[test]
fn data_is_found_from_anywhere_and_where_it_moved_to() {
    let home = project();
    let home = home.path();
    train(home, "p/recipes/r.toml", "p/runs/r", &["--max-steps", "3"]);
    let elsewhere = &home.join("p/recipes");
    let eval = json(elsewhere, &["eval", "../runs/r", "--device", "twin", "--json"]);
    fs::rename(home.join("p"), home.join("q")).unwrap();
    let moved = json(home, &["eval", "q/runs/r", "--device", "twin", "--json"]);
    assert_eq!(moved["test_loss"], eval["test_loss"]);
    let rest = json(home, &["resume", "q/runs/r", "--max-steps", "5", "--json", "-q"]);
    assert_eq!(rest["steps"], 5);
    let config = fs::read_to_string(home.join("q/runs/r/config.toml")).unwrap();
    assert!(config.contains("q/data/ok\""), "{config}");

    fs::rename(home.join("q/data/ok"), home.join("else")).unwrap();
    let lost = fails(home, 3, &["resume", "q/runs/r"]);
    let at = std::path::absolute(home.join("q/data/ok")).unwrap();
    assert!(lost.contains(&at.display().to_string()) && lost.contains("--data D"), "{lost}");
    write_data(&home.join("other"), 7);
    let other = fails(home, 3, &["resume", "q/runs/r", "--data", "idx:other"]);
    assert!(other.contains("is not what this run was trained on"), "{other}");
    json(home, &["resume", "q/runs/r", "--data", "idx:else", "--json", "-q"]);
    json(elsewhere.parent().unwrap().parent().unwrap(), &["eval", "q/runs/r", "--device", "twin", "--json"]);
}

#[test]
fn what_was_changed_in_between_is_named_refused_and_recorded() {
    let home = project();
    let home = &home.path().join("p");
    train(home, "recipes/r.toml", "r", &["--max-steps", "3"]);
    let config = home.join("r/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("target = 0.5", "target = 0.25")).unwrap();
    let named = "sparsity.target: 0.5 then, 0.25 now";
    for args in [&["resume", "r"][..], &["eval", "r", "--device", "twin"]] {
        let refused = fails(home, 2, args);
        assert!(refused.contains(named) && refused.contains("--accept-changes"), "{refused}");
    }
    let rest = json(home, &["resume", "r", "--accept-changes", "--max-steps", "9", "--json", "-q"]);
    assert_eq!(rest["sparsity"], 0.25);
    let changes = &read(&home.join("r/meta.json"))["changes"];
    assert_eq!(
        (&changes[0]["step"], &changes[0]["key"]),
        (&3.into(), &"sparsity.target".into()),
        "{changes}"
    );
    assert!(fs::read_to_string(home.join("r/log.txt")).unwrap().contains(named));

    let sweep =
        ["sweep", "recipes/r.toml", "--out", "all", "--device", "twin", "--no-autotune", "-q", "--seeds"];
    assert!(run(home, &[&sweep[..], &["1"]].concat()).status.success());

    // Accepted once, it is the recipe of the run; now the data is another.
    write_data(&home.join("data/ok"), 7);
    for args in [&["resume", "r"][..], &["eval", "r", "--device", "twin"]] {
        assert!(fails(home, 3, args).contains("is not what this run was trained on"), "{args:?}");
    }
    let mixed = fails(home, 3, &[&sweep[..], &["1,2"]].concat());
    assert!(mixed.contains("r-seed-1"), "{mixed}");
    let eval = json(home, &["eval", "r", "--device", "twin", "--accept-changes", "--json"]);
    assert_eq!(eval["changes"][0]["key"], "data (SHA-256)", "{eval}");
    let eval = json(home, &["eval", "r", "--device", "twin", "--data", "idx:data/ok", "--json"]);
    assert_eq!(eval["changes"], serde_json::json!([]), "asked for: {eval}");
    json(home, &["resume", "r", "--accept-changes", "--json", "-q"]);
    let changes = &read(&home.join("r/meta.json"))["changes"];
    assert_eq!((&changes[1]["step"], &changes[1]["key"]), (&9.into(), &"data (SHA-256)".into()), "{changes}");
}

#[test]
fn numbers_that_are_none_are_refused_wherever_they_are_read() {
    let home = project();
    let home = &home.path().join("p");
    train(home, "recipes/r.toml", "r", &["-s", "sparsity={method='none'}"]);
    assert!(run(home, &["export", "r", "--to", "safetensors", "good.safetensors"]).status.success());
    let good = safetensors::read(&home.join("good.safetensors")).unwrap();
    let eval =
        ["eval", "bad.safetensors", "--recipe", "r/config.toml", "--min-accuracy", "0", "--device", "twin"];
    for (name, at, value) in [("fc1.weight", 3, f32::NAN), ("head.bias", 0, f32::NEG_INFINITY)] {
        let mut bad = good.clone();
        let mut values = bad[name].to_f32();
        values[at] = value;
        bad.insert(name.into(), Array::f32(bad[name].shape.clone(), &values));
        _ = fs::remove_file(home.join("bad.safetensors"));
        safetensors::write(&home.join("bad.safetensors"), &bad, &[]).unwrap();
        let refused = fails(home, 8, &eval);
        assert!(refused.contains(&format!("1 of {name}")), "{refused}");
        let output = run(home, &["inspect", "bad.safetensors"]);
        let (shown, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.code() == Some(8) && shown.contains("NaN/Inf"), "{shown}");
        assert!(said.contains(&format!("1 of {name}")), "{said}");
    }
    // Finite weights whose products are not.
    let mut large = good.clone();
    for array in large.values_mut() {
        let values: Vec<f32> = array.to_f32().iter().map(|value| value.signum() * 1e38).collect();
        *array = Array::f32(array.shape.clone(), &values);
    }
    fs::remove_file(home.join("bad.safetensors")).unwrap();
    safetensors::write(&home.join("bad.safetensors"), &large, &[]).unwrap();
    let refused = fails(home, 8, &eval);
    assert!(refused.contains("part is not finite"), "{refused}");
}
