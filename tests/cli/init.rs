//! Runs that start from the weights of a file.

use std::path::Path;

use coppice::store::{Array, safetensors};

use crate::program::{fails, json, run};

const SMALL: [&str; 8] = [
    "-q",
    "--json",
    "--no-autotune",
    "--device",
    "twin",
    "-s",
    "run={epochs=2,batch=128,baseline=false}",
    "-s",
];

fn train<'a>(recipe: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", recipe, "--out", out][..], &SMALL, &["model.hidden=[16]"], more].concat()
}

/// A pruned run's weights, as a file for other programs.
fn pruned(home: &Path) -> Vec<u64> {
    let schedule = ["-s", "sparsity.schedule={begin='0',end='10',every='5'}"];
    let summary = json(home, &train("digits-gmp-90", "pruned", &schedule));
    assert!(run(home, &["export", "pruned", "--to", "safetensors", "w.safetensors"]).status.success());
    kept(&summary)
}

fn kept(summary: &serde_json::Value) -> Vec<u64> {
    summary["layers"].as_array().unwrap().iter().map(|layer| layer["kept"].as_u64().unwrap()).collect()
}

#[test]
fn a_run_keeps_the_zeros_it_starts_with_and_goes_on_without_the_file() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let wanted = pruned(home);
    let init = ["--init", "w.safetensors"];
    let whole = json(home, &train("digits-held", "whole", &init));
    assert_eq!(kept(&whole), wanted);
    assert!(
        whole["test_accuracy"].as_f64() > json(home, &["eval", "pruned", "--json"])["test_accuracy"].as_f64()
    );

    let plan =
        json(home, &[&["plan", "digits-held", "-s", "model.hidden=[16]", "--json"][..], &init].concat());
    let keeps = plan["budgets"].as_array().unwrap().iter().map(|group| group["keep"].as_u64().unwrap());
    assert_eq!(keeps.collect::<Vec<_>>(), wanted);

    // The command of its report trains it again.
    assert!(run(home, &["report", "whole", "-o", "whole.html"]).status.success());
    let page = std::fs::read_to_string(home.join("whole.html")).unwrap();
    assert!(page.contains("coppice train whole/config.toml --init whole/init.safetensors"));
    let again = [
        "train",
        "whole/config.toml",
        "--init",
        "whole/init.safetensors",
        "--out",
        "again",
        "-q",
        "--json",
        "--device",
        "twin",
        "--no-autotune",
    ];
    assert_eq!(json(home, &again)["digest"], whole["digest"]);

    // A run's folder will do, too; and it is all that resuming needs.
    json(home, &train("digits-held", "part", &["--init", "pruned", "--max-steps", "5"]));
    std::fs::remove_file(home.join("w.safetensors")).unwrap();
    std::fs::remove_dir_all(home.join("pruned")).unwrap();
    let resume = ["resume", "part", "-q", "--json"];
    std::fs::rename(home.join("part/init.safetensors"), home.join("kept")).unwrap();
    assert!(fails(home, 4, &resume).contains("they came from pruned"));
    std::fs::rename(home.join("kept"), home.join("part/init.safetensors")).unwrap();
    assert_eq!(json(home, &resume)["digest"], whole["digest"]);
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    pruned(home);
    // Nor does a mask fit any pattern.
    let check = |pattern| ["inspect", "w.safetensors", "--nm", pattern, "--check"];
    assert!(fails(home, 10, &check("1:4")).contains("`fc1.weight`: 1:4 in "));
    assert!(run(home, &check("31:32")).status.success());
    let biases = ["inspect", "w.safetensors", "--nm", "1:4", "--check", "--layer", "*.bias"];
    assert!(fails(home, 2, &biases).contains("no weight of rank 2 or more"));
    let other = ["-s", "model.hidden=[8, 4]", "--init", "w.safetensors"];
    let text = fails(home, 4, &train("digits-dense", "a", &other));
    for line in [
        "`fc1.weight`: expected shape [8, 64]; found: [16, 64]",
        "missing: `fc2.weight` [4, 8]",
        "`head.weight`: expected shape [10, 4]; found: [10, 16]",
        "in w.safetensors",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let text = fails(home, 2, &train("digits-held", "b", &[]));
    assert!(text.contains("there are no zeros") && text.contains("--init FILE"), "{text}");

    let mut arrays = safetensors::read(&home.join("w.safetensors")).unwrap();
    arrays.insert("head.bias".into(), Array::f32([10], &[f32::NAN; 10]));
    safetensors::write(&home.join("nan.safetensors"), &arrays, &[]).unwrap();
    let text = fails(home, 8, &train("digits-dense", "c", &["--init", "nan.safetensors"]));
    assert!(text.contains("10 values of `head.bias` are not finite numbers"), "{text}");
    assert!(!home.join("c").exists());
}

/// As PyTorch's `Sequential` names them, and behind a prefix.
#[test]
fn a_file_of_another_program_is_judged() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    pruned(home);
    let recipe = coppice::recipe::Recipe::find("digits-gmp-90", &["model.hidden=[16]".into()]).unwrap();
    std::fs::write(home.join("small.toml"), recipe.to_toml()).unwrap();
    let own = safetensors::read(&home.join("w.safetensors")).unwrap();
    let wanted = json(home, &["eval", "pruned", "--json"]);
    for (to, names) in [("numbered", ["1", "3"]), ("prefixed", ["model.fc1", "model.head"])] {
        let renamed = own.iter().map(|(name, array)| {
            let name = name.replace("fc1", names[0]).replace("head", names[1]);
            (name, array.clone())
        });
        let file = format!("{to}.safetensors");
        safetensors::write(&home.join(&file), &renamed.collect(), &[]).unwrap();
        let found = json(home, &["eval", &file, "--recipe", "small.toml", "--json"]);
        assert_eq!(found["test_loss"], wanted["test_loss"], "{to}");
    }
    let text = fails(home, 4, &["eval", "numbered.safetensors", "--recipe", "fashion-mini-gmp-90"]);
    assert!(text.contains("in numbered.safetensors") && text.contains("missing: `fc1.weight`"), "{text}");
}
