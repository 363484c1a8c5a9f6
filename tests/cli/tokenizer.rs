//! Texts in tokens of a `tokenizer.json`.

use std::fs;
use std::path::Path;

use crate::program;

/// Byte pairs: six letters and blanks, and two merges.
const PAIRS: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": { "type": "Fuse" },
    "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        "vocab": { "t": 0, "h": 1, "e": 2, " ": 3, "n": 4, "th": 5, "the": 6 },
        "merges": [["t", "h"], ["th", "e"]] }
}"#;

const TRAIN: [&str; 20] = [
    "train",
    "net.toml",
    "--out",
    "run",
    "-q",
    "--json",
    "--no-autotune",
    "--device",
    "twin",
    "-s",
    "run.steps=4",
    "-s",
    "data.tokenizer=pairs.json",
    "-s",
    "data.name=text:text.txt",
    "-s",
    "data.context=4",
    "-s",
    "run.batch=4",
    "-q",
];

fn prepared(home: &Path) {
    fs::write(home.join("pairs.json"), PAIRS).unwrap();
    fs::write(home.join("text.txt"), "the hen then the ten ".repeat(30)).unwrap();
    let net = "[data]\nname = \"shakespeare\"\nvalidation = 0.0\n[model]\npreset = \"lstm-lm\"\nlayers = 1\nwidth = 8\n\
        units = 8\ncarry = false\n[optim]\nname = \"sgd\"\nlr = 0.1\n";
    fs::write(home.join("net.toml"), net).unwrap();
}

/// A run needs no file but its own once it has begun, and is the same wherever it lies.
#[cfg(feature = "tokenizer")]
#[test]
fn a_run_keeps_what_cuts_its_text() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    fs::create_dir(&first).unwrap();
    prepared(&first);
    let stopped = [&TRAIN[..19], &["--max-steps", "2"]].concat();
    program::json(&first, &stopped);
    assert_eq!(fs::read_to_string(first.join("run/tokenizer.json")).unwrap(), PAIRS);
    fs::rename(&first, &second).unwrap();
    fs::remove_file(second.join("pairs.json")).unwrap();
    program::json(&second, &["resume", "run", "-q", "--json"]);
    let judged = program::json(&second, &["eval", "run", "--device", "twin", "--json"]);
    assert!(judged["test_loss"].as_f64().unwrap() < 2.5, "seven tokens: {judged}");
    let sample = ["sample", "run", "--prompt", "the ", "--tokens", "6", "--device", "twin", "--json"];
    let said = program::json(&second, &sample);
    assert_eq!(said["tokens"].as_array().unwrap().len(), 6);
    assert!(said["text"].as_str().unwrap().chars().all(|c| "then ".contains(c)), "{said}");
    let unknown = ["sample", "run", "--prompt", "", "--device", "twin"];
    assert!(program::fails(&second, 2, &unknown).contains("no tokens"));
    // Other tokens of the same text are other data.
    fs::write(
        second.join("other.json"),
        PAIRS.replace("[[\"t\", \"h\"], [\"th\", \"e\"]]", "[[\"t\", \"h\"]]"),
    )
    .unwrap();
    let config = fs::read_to_string(second.join("run/config.toml")).unwrap();
    let line = config.lines().find(|line| line.starts_with("tokenizer")).unwrap();
    let other = format!("tokenizer = {:?}", second.join("other.json").display().to_string());
    fs::write(second.join("run/config.toml"), config.replace(line, &other)).unwrap();
    assert!(
        program::fails(&second, 3, &["eval", "run", "--device", "twin"])
            .contains("not what this run was trained on")
    );
}

#[cfg(not(feature = "tokenizer"))]
#[test]
fn a_build_without_the_reader_says_so() {
    let home = tempfile::tempdir().unwrap();
    prepared(home.path());
    assert!(program::fails(home.path(), 2, &TRAIN[..19]).contains("--features tokenizer"));
}
