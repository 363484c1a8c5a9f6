//! Networks of text, from a file to what they write.

use std::fs;
use std::path::Path;

use super::program::{fails, json, run};

/// Sentences that a small network can learn a little of.
fn text(home: &Path) {
    let words = ["the ", "old ", "hazel ", "grows ", "again ", "from ", "its ", "stool.\n"];
    let text: String = (0..1500).map(|i| words[(i * i + i / 7) % words.len()]).collect();
    fs::write(home.join("wood.txt"), text + &"é".repeat(20)).unwrap();
}

fn train<'a>(preset: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "train",
        "shakespeare-gpt",
        "-q",
        "--json",
        "--no-autotune",
        "--out",
        out,
        "-s",
        "data.name=text:wood.txt",
        "-s",
        "data.unit=characters",
        "-s",
        "data.context=16",
        "-s",
        "run.batch=8",
        "-s",
        "run.steps=12",
        "-s",
        "run.checkpoint_every=5",
        "-s",
        "optim.lr=0.01",
        "-s",
        preset,
    ];
    [&common, more].concat()
}

const GPT: &str = "model={preset='gpt',layers=1,width=16,heads=2,hidden=32}";
const LSTM: &str = "model={preset='lstm-lm',width=8,units=16}";

#[test]
fn a_network_learns_a_text_goes_on_where_it_stopped_and_writes() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    text(home);
    let streams = ["-s", "data.order=streams", "-s", "sparsity={method='gmp',target=0.9}"];
    for (preset, more) in [(GPT, &[][..]), (LSTM, &streams[..])] {
        let of = |what: &str| format!("{}-{what}", &preset[15..18]);
        let whole = json(home, &train(preset, &of("whole"), more));
        let language = &whole["language"];
        let (loss, bits) =
            (whole["test_loss"].as_f64().unwrap(), language["bits_per_byte"].as_f64().unwrap());
        assert!(loss < 3.0, "{loss}");
        assert!((language["perplexity"].as_f64().unwrap() - loss.exp()).abs() < 1e-6);
        // Characters at the end of the test part have two bytes.
        assert!(bits < loss / std::f64::consts::LN_2 && language["exact"].is_null());
        let stopped = [more, &["--max-steps", "7"]].concat();
        json(home, &train(preset, &of("parts"), &stopped));
        let resumed = json(home, &["resume", &of("parts"), "--json", "-q"]);
        assert_eq!(resumed["digest"], whole["digest"], "{preset}");
        let eval = json(home, &["eval", &of("whole"), "--json"]);
        assert_eq!(eval["test_loss"], whole["test_loss"]);

        let sample = |seed: &str, more: &[&str]| {
            let common =
                ["sample", &of("whole"), "--prompt", "the old", "--tokens", "40", "--json", "--seed", seed];
            json(home, &[&common, more].concat())
        };
        let first = sample("1", &[]);
        assert_eq!(first["tokens"].as_array().unwrap().len(), 40);
        assert_eq!(first["text"].as_str().unwrap().chars().count(), 40);
        assert_eq!(first["packed"].as_u64(), Some(if preset == GPT { 0 } else { 3 }));
        assert_eq!(first, sample("1", &[]));
        assert_ne!(first["text"], sample("2", &[])["text"]);
        assert_eq!(sample("1", &["--temperature", "0"])["text"], sample("2", &["--top", "1"])["text"]);
    }
}

#[test]
fn what_no_network_of_text_can_do_is_said() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    text(home);
    let refused = |args: &[&str]| fails(home, 2, args);
    assert!(refused(&train(LSTM, "a", &[])).contains("data.order = \"streams\""));
    assert!(refused(&train("model={preset='cnn'}", "a", &[])).contains("reads images"));
    let mlp = "model={preset='mlp',hidden=[8]}";
    assert!(refused(&train(mlp, "a", &[])).contains("an `embedding` layer"));
    let both = train(GPT, "a", &["-s", "run.epochs=3"]);
    assert!(refused(&both).contains("both say how long a run is"));
    let short = train(GPT, "a", &["-s", "data.context=9000"]);
    assert!(fails(home, 3, &short).contains("a smaller `context`"));
    let absent = train(GPT, "a", &["-s", "data.name=text:none.txt"]);
    assert!(fails(home, 3, &absent).contains("none.txt"));
    let empty = refused(&train(GPT, "a", &["-s", "data.tokenizer="]));
    assert!(empty.contains("wrong value for `data.tokenizer`"), "{empty}");
    json(home, &train(GPT, "a", &["--max-steps", "1"]));
    assert!(refused(&["sample", "a", "--prompt", "Z"]).contains("`Z` (line 1, column 1), which the run"));
    assert!(refused(&["sample", "a", "--prompt", ""]).contains("has no tokens"));
    assert!(refused(&["sample", "a", "--temperature=-1"]).contains("at least 0"));
    let shown = String::from_utf8(run(home, &["data", "show", "seq2seq-gmp"]).stdout).unwrap();
    assert!(shown.contains("a sample is 25 tokens of 29, asked for 13 more"), "{shown}");
    assert!(shown.contains("the longest source has 12 tokens, the longest target 12 and its end"), "{shown}");
}

#[test]
fn the_data_says_how_long_a_source_is() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for recipe in ["seq2seq-gmp", "transformer-gmp"] {
        let dates = ["plan", recipe, "-s", "data.name=task:dates", "--json"];
        assert!(json(home, &dates)["device_bytes"].as_u64().unwrap() > 0);
        let wrong = fails(home, 2, &[&dates[..], &["-s", "model.source=12"]].concat());
        assert!(wrong.contains("try: model.source = 21, or leave it out"), "{wrong}");
    }
}
