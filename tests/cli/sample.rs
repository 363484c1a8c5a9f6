//! What networks of text and of pairs write, and how other data is read for them.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use super::program::{coppice, fails, json, run};

const COMMON: [&str; 8] = ["train", "net.toml", "-q", "--json", "--no-autotune", "--device", "twin", "--out"];

/// A small network on a text or on pairs.
fn prepared(home: &Path, data: &str, model: &str, steps: u32) {
    let net = format!(
        "[run]\nsteps = {steps}\nbatch = 8\ncheckpoint_every = \"5\"\n[data]\n{data}\nvalidation = 0.0\n\
         [model]\n{model}\n[optim]\nname = \"adam\"\nlr = 0.03\n"
    );
    fs::write(home.join("net.toml"), net).unwrap();
    json(home, &[&COMMON[..], &["run"]].concat());
}

const LSTM: &str = "preset = \"lstm-lm\"\nlayers = 1\nwidth = 8\nunits = 8\ncarry = false";

fn stdout(home: &Path, args: &[&str]) -> String {
    let output = run(home, &[args, &["--device", "twin"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_network_of_pairs_answers_as_it_does_under_teacher_forcing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let pairs: String = (0..60).map(|i| ["a\txy\n", "ba\tyx\n", "b\tyx\n"][i % 3]).collect();
    fs::write(home.join("pairs.txt"), pairs).unwrap();
    let seq2seq = "preset = \"seq2seq\"\nwidth = 8\nunits = 8";
    prepared(home, "name = \"pairs:pairs.txt\"", seq2seq, 40);
    let answer = |source: &str| stdout(home, &["sample", "run", "--prompt", source]);
    let own: Vec<[String; 2]> =
        ["a", "b", "ab", "bb"].map(|source| [source.into(), answer(source).trim_end().into()]).into();
    assert!(own[0][1] == "xy" && own[1][1] == "yx", "{own:?}");
    // The data has said how long sources are.
    assert!(fs::read_to_string(home.join("run/config.toml")).unwrap().contains("source = 2\n"));
    assert!(run(home, &["export", "run", "--to", "safetensors", "w.safetensors"]).status.success());
    let foreign = ["sample", "w.safetensors", "--recipe", "net.toml", "--prompt", "ab"];
    assert_eq!(stdout(home, &foreign).trim_end(), own[2][1]);
    // Its own answers, in fewer letters and of other lengths, are all right.
    let lines: String = own.iter().map(|pair| pair.join("\t") + "\n").collect();
    fs::write(home.join("own.txt"), lines.repeat(5)).unwrap();
    let eval = |data: &str| ["eval", "run", "--json", "--device", "twin", "--data", data].map(String::from);
    let judged = json(home, &eval("pairs:own.txt").each_ref().map(String::as_str));
    assert_eq!(judged["language"]["exact"], 1.0, "{own:?}: {judged}");
    let drawn = |seed: &str| {
        let more = ["--temperature", "9", "--seed", seed, "--json", "--device", "twin"];
        json(home, &[&["sample", "run", "--prompt", "a"], &more[..]].concat())
    };
    assert_eq!(drawn("1"), drawn("1"));
    // Tables have the figures that go with the loss.
    let again = ["train", "net.toml", "-q", "--no-autotune", "--max-steps", "1", "--out", "again"];
    let table = stdout(home, &again);
    assert!(table.contains("perplexity") && table.contains("exact") && !table.contains("bits"), "{table}");
    assert!(run(home, &["report", "run", "again", "-o", "r.html"]).status.success());
    let page = fs::read_to_string(home.join("r.html")).unwrap();
    assert!(page.contains("<th>perplexity</th><th>exact</th><th>kept</th>"));
    assert!((2..9).any(|seed| drawn("1")["text"] != drawn(&seed.to_string())["text"]));

    let refused = |args: &[&str]| fails(home, 2, &[&["sample", "run"], args].concat());
    assert!(refused(&[]).contains("--prompt SOURCE"));
    assert!(refused(&["--prompt", "aba", "--device", "twin"]).contains("reads 2 at most"));
    assert!(refused(&["--prompt", "c"]).contains("known: `a` `b`, `x` `y`"));
    fs::write(home.join("own.txt"), "a\txy\nab\tzx\n").unwrap();
    let other = fails(home, 3, &eval("pairs:own.txt").each_ref().map(String::as_str));
    assert!(other.contains("`z` (line 2, column 4)"), "{other}");
}

#[test]
fn a_network_of_text_is_found_where_it_lies_and_reads_by_its_own_characters() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("wood.txt"), "hazel oak ".repeat(60)).unwrap();
    prepared(home, "name = \"text:wood.txt\"\nunit = \"characters\"\ncontext = 8", LSTM, 12);
    // There is no new line to begin with.
    let begin = ["--tokens", "20", "--temperature", "0"];
    let written = |what: &str, more: &[&str]| stdout(home, &[&["sample", what], &begin[..], more].concat());
    let want = written("run", &[]);
    assert!(want.starts_with(' ') && want.chars().count() == 22, "{want:?}");
    assert!(run(home, &["export", "run/ckpt/last", "--to", "safetensors", "w.safetensors"]).status.success());
    assert_eq!(written("run/ckpt/last", &[]), want);
    assert_eq!(written("run/ckpt/step-000000012", &[]), want);
    assert_eq!(written("w.safetensors", &["--recipe", "net.toml"]), want);
    assert!(fails(home, 2, &["sample", "w.safetensors"]).contains("--recipe RECIPE"));
    json(home, &["inspect", "run/ckpt/last", "--json"]);
    let loss = |more: &[&str]| {
        json(home, &[&["eval", "run/ckpt/last", "--json", "--device", "twin"], more].concat())["test_loss"]
            .as_f64()
            .unwrap()
    };
    // The same letters in other words: by an alphabet of its own `k` would be the first one.
    fs::write(home.join("other.txt"), "kkll".repeat(50)).unwrap();
    assert!(loss(&["--data", "text:other.txt"]) > loss(&[]) + 0.5);
    fs::write(home.join("other.txt"), "hazel\nOAK ".repeat(50)).unwrap();
    let other = fails(home, 3, &["eval", "run", "--data", "text:other.txt"]);
    assert!(other.contains("`\\n` (line 1, column 6), `O` (line 2, column 1)"), "{other}");
    assert!(fails(home, 3, &["eval", "run", "--data", "task:sort"]).contains("trained on none"));

    let refused = fails(home, 2, &["sample", "run", "--prompt", "a\nb"]);
    assert!(refused.contains("`\\n` (line 1, column 2)") && refused.contains("known: ` `, `a`"), "{refused}");
    assert!(fails(home, 2, &["sample", "run", "--temperature", "-1"]).contains("at least 0"));

    // Who reads only the beginning ends the writing, which is no error.
    let mut child = coppice(home, &["sample", "run", "--tokens", "100000", "--device", "twin"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 3];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_writes_nothing_says_why() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let short =
        ["train", "digits-dense", "-q", "--json", "--no-autotune", "--device", "twin", "--out", "run"];
    json(home, &[&short[..], &["--max-steps", "1"]].concat());
    let refused = fails(home, 2, &["sample", "run"]);
    assert!(refused.contains("which of 10 classes") && refused.contains("coppice eval"), "{refused}");
}
