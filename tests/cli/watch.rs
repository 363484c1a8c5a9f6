//! A run that is looked at while it trains, and the event files that it writes for TensorBoard.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use coppice::report::tensorboard::message::{Message, SessionLog};
use coppice::report::tensorboard::records;
use serde_json::Value;

use super::program::{coppice, fails, json, run};

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = ["train", "digits-gmp-90", "-q", "--json", "--no-autotune", "-s", "run.epochs=2", "--out", out];
    [&own[..], &["-s", "run.log_every=10"], more].concat()
}

fn words(home: &Path, args: &[&str]) -> String {
    String::from_utf8(run(home, args).stdout).unwrap()
}

#[test]
fn a_run_is_watched_from_before_its_begin_to_its_end() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(words(home, &["watch", "r", "--once"]).starts_with("r  not begun"));
    fs::create_dir_all(home.join("other/things")).unwrap();
    assert!(fails(home, 4, &["watch", "other"]).contains("not the folder of a run"));
    let mut watch = coppice(home, &["watch", "r"]).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut told) = (BufReader::new(watch.stdout.take().unwrap()), String::new());
    out.read_line(&mut told).unwrap();
    assert!(told.starts_with("not begun"), "{told}");
    json(home, &train("r", &["-s", "run.baseline=false"]));
    out.read_to_string(&mut told).unwrap();
    assert!(watch.wait().unwrap().success() && told.ends_with("\ndone\n"), "{told}");
    for what in [
        "begins, to step 42",
        "train       loss",
        "validation  loss",
        "masks       sparsity",
        "test        loss",
    ] {
        assert!(told.contains(what), "{what} is not in\n{told}");
    }
    let times = |folder: &str| fs::read_to_string(home.join(folder).join("times.jsonl")).unwrap();
    assert_eq!((times("r").matches("logged").count(), times("r").matches("\"done\"").count()), (5, 1));

    json(home, &train("s", &["--max-steps", "20"]));
    let before = fs::read_to_string(home.join("s/metrics.jsonl")).unwrap();
    let picture = words(home, &["watch", "s", "--once"]);
    assert!(picture.starts_with("s  stopped; `coppice resume` goes on from step 20\n"), "{picture}");
    assert!(
        picture.contains("20 of 42 steps") && picture.lines().all(|line| line.chars().count() <= 80),
        "{picture}"
    );
    let found = json(home, &["watch", "s", "--json"]);
    assert_eq!((found["state"].as_str(), found["step"].as_u64()), (Some("stopped"), Some(20)));
    assert_eq!(fs::read_to_string(home.join("s/metrics.jsonl")).unwrap(), before);
    // What fails before a step has last words, too: a journal that cannot be set aside.
    fs::write(home.join("s/masks/journal.bin"), "no journal").unwrap();
    fs::create_dir_all(home.join("s/masks/journal.damaged.bin/in the way")).unwrap();
    fails(home, 5, &["resume", "s", "-q", "--json"]);
    assert_eq!(json(home, &["watch", "s", "--json"])["state"], "failed");
    fs::remove_dir_all(home.join("s/masks/journal.damaged.bin")).unwrap();
    json(home, &["resume", "s", "-q", "--json"]);
    assert_eq!(json(home, &["watch", "s", "--json"])["resumed_at"], 20);
}

/// The event files of a run, in order.
fn files(folder: &Path) -> Vec<Vec<Message>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains("events.out.tfevents.")).collect();
    paths.sort();
    paths.iter().map(|path| records::read(path).unwrap()).collect()
}

/// By tag, steps and what stands there, as TensorBoard puts files together: a start takes away its step and later ones,
/// but for the first start that it meets.
fn shown(folder: &Path) -> BTreeMap<String, Vec<(i64, String)>> {
    let mut all: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    let mut is_restart = false;
    for message in files(folder).into_iter().flatten() {
        if message.session == Some(SessionLog::START) && std::mem::replace(&mut is_restart, true) {
            all.values_mut().for_each(|points| points.retain(|(step, _)| *step < message.step));
        }
        for value in message.summary.into_iter().flat_map(|shown| shown.values) {
            let point = format!("{:?} {:?} {:?}", value.scalar, value.histogram, value.picture);
            all.entry(value.tag).or_default().push((message.step, point));
        }
    }
    all
}

#[test]
fn event_files_of_a_resumed_run_show_each_step_once() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let on = ["-s", "log.tensorboard=true", "-s", "run.baseline=false", "-s", "run.checkpoint_every=21"];
    json(home, &train("whole", &on));
    json(home, &train("cut", &[&on[..], &["--max-steps", "30"]].concat()));
    // As after a crash: the last checkpoint is of step 21, and nine steps are forgotten.
    fs::remove_dir_all(home.join("cut/ckpt/step-000000030")).unwrap();
    json(home, &["resume", "cut", "-q", "--json"]);

    let (whole, cut) = (shown(&home.join("whole")), shown(&home.join("cut")));
    let begins: Vec<(usize, Option<i64>)> = files(&home.join("cut"))
        .iter()
        .map(|file| (file.len(), file.iter().find(|message| message.session.is_some()).map(|m| m.step)))
        .collect();
    assert_eq!(begins.iter().map(|(_, start)| *start).collect::<Vec<_>>(), [Some(1), Some(22)]);
    assert!(
        files(&home.join("cut")).iter().all(|file| file[0].file_version.as_deref() == Some("brain.Event:2"))
    );
    let steps = |points: &[(i64, String)]| points.iter().map(|(step, _)| *step).collect::<Vec<_>>();
    assert_eq!(steps(&whole["loss/train"]), [10, 20, 30, 40, 42]);
    assert_eq!(steps(&whole["weights/fc1.bias"]), [21, 42]);
    for tag in ["loss/test", "accuracy/validation", "learning_rate", "sparsity/fc1", "kept/all", "masks/head"]
    {
        assert!(whole.contains_key(tag), "{tag} is not in {:?}", whole.keys());
    }
    for (tag, points) in &whole {
        // A picture is drawn anew in a file of its own.
        let same = tag.starts_with("masks/") || cut[tag] == *points;
        assert!(
            same && steps(&cut[tag]) == steps(points),
            "{tag}: {:?}, {:?}",
            steps(&cut[tag]),
            steps(points)
        );
    }
    assert_eq!(cut.len(), whole.len());

    // Off, there is none.
    let plain = json(home, &train("plain", &["-s", "run.baseline=false"]));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(home.join("whole/report.json")).unwrap()).unwrap();
    assert_eq!(plain["digest"], report["digest"], "what is shown changes no bit");
    assert!(files(&home.join("plain")).is_empty());
}
