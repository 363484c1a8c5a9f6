//! What a folder says of a run that is not begun, goes on, is resumed, ended, or was killed.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use super::*;

/// A run's folder, written by hand.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("masks")).unwrap();
        for file in ["config.toml", "lock"] {
            fs::write(home.path().join(file), "").unwrap();
        }
        Self(home)
    }
    fn add(&self, file: &str, lines: &[Value]) {
        let path = self.0.path().join(file);
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
    }
    fn begin(&self, step: u64) {
        // The lock is older than the session.
        let at = now() + 1.0;
        let device = json!({ "adapter": "a GPU" });
        self.add(TIMES, &[json!({ "kind": "begun", "at": at, "step": step, "steps": 40, "device": device })]);
    }
    fn train(&self, steps: &[u64]) {
        for &step in steps {
            let loss = 2.0 / step as f64;
            self.add(
                "metrics.jsonl",
                &[json!({ "kind": "train", "step": step, "epoch": 0.5, "train_loss": loss,
                "train_accuracy": 0.5, "learning_rate": 0.1 })],
            );
            self.add(TIMES, &[json!({ "kind": "logged", "at": now() + 1.0 + step as f64, "step": step })]);
        }
    }
    fn update(&self, step: u64, layers: usize) {
        let layer = |i| json!({ "name": format!("a.name.that.is.long.of.layer.{i}.weight"), "kept": i, "total": 100 });
        let layers: Vec<Value> = (0..layers).map(layer).collect();
        self.add(
            "masks/updates.jsonl",
            &[json!({ "step": step, "kept": 25, "total": 100, "layers": layers })],
        );
    }
    /// The report of a run that is done, written so many seconds from now.
    fn report(&self, steps: u64, later: u64) {
        let mut file = File::create(self.0.path().join("report.json")).unwrap();
        file.write_all(json!({ "done": true, "steps": steps }).to_string().as_bytes()).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(later)).unwrap();
    }
    fn live(&self) -> Live {
        let mut live = Live::open(self.0.path()).unwrap();
        live.look().unwrap();
        live
    }
    fn told(&self) -> String {
        let live = self.live();
        State::of(&live).told(&live)
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_run_says_where_it_stands() {
    let home = tempfile::tempdir().unwrap();
    let mut live = Live::open(&home.path().join("absent")).unwrap();
    assert_eq!((live.look().unwrap().len(), State::of(&live)), (0, State::NotBegun));
    fs::write(home.path().join("notes"), "").unwrap();
    assert!(Live::open(home.path()).err().unwrap().to_string().contains("is not the folder of a run"));

    let folder = Folder::new();
    let lock = File::options().write(true).open(folder.0.path().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(folder.told().starts_with("beginning"), "{}", folder.told());
    folder.begin(0);
    folder.train(&[10, 20]);
    assert_eq!(folder.told(), "running");
    let left = State::of(&folder.live()).seconds_left(&folder.live()).unwrap();
    assert!(left > 20.0, "20 steps of a second each, and not yet: {left}");

    lock.unlock().unwrap();
    assert_eq!(
        folder.told(),
        "crashed, or was killed; no checkpoint was saved yet; `coppice resume` begins at step 0"
    );
    fs::create_dir_all(folder.0.path().join("ckpt/step-000000010")).unwrap();
    assert!(folder.told().ends_with("`coppice resume` goes on from step 10"), "{}", folder.told());

    // It goes on: first with a lock alone.
    lock.lock().unwrap();
    lock.set_modified(SystemTime::now() + Duration::from_secs(2)).unwrap();
    assert!(folder.told().starts_with("being resumed"), "{}", folder.told());
    lock.set_modified(SystemTime::now()).unwrap();
    folder.begin(10);
    assert_eq!(folder.told(), "running, resumed at step 10");
    folder.report(40, 0);
    assert_eq!(folder.told(), "running, resumed at step 10", "it was done already, with fewer epochs");
    folder.report(40, 2);
    assert_eq!(State::of(&folder.live()), State::Comparing);
    folder.add(TIMES, &[json!({ "kind": "ended", "step": 40, "how": "done", "why": null })]);
    lock.unlock().unwrap();
    assert_eq!(folder.told(), "done");
    folder.add(
        TIMES,
        &[json!({ "kind": "ended", "step": 12, "how": "failed", "why": "the loss is not finite" })],
    );
    assert!(folder.told().starts_with("failed: the loss is not finite; "), "{}", folder.told());

    let stopped = json!({ "kind": "ended", "step": 12, "how": "stopped", "why": "stopped at step 12 of 40" });
    folder.add(TIMES, &[stopped]);
    assert_eq!(folder.told(), "stopped at step 12 of 40; `coppice resume` goes on from step 10");
    let other = Folder::new();
    other.begin(0);
    other.add(TIMES, &[json!({ "kind": "ended", "step": 3, "how": "failed", "why": "no memory" })]);
    assert_eq!(other.live().known.step, 3, "nothing was logged yet");

    let older = Folder::new();
    older.add(
        "metrics.jsonl",
        &[json!({ "kind": "evaluation", "part": "test", "step": 40, "loss": 1.0, "accuracy": 0.5 })],
    );
    // Whoever made the folder may be about to lock it.
    assert_eq!(State::of(&older.live()), State::Preparing);
    let lock = File::options().write(true).open(older.0.path().join("lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    assert_eq!(State::of(&older.live()), State::Crashed);
    older.report(40, 0);
    assert_eq!((older.told(), older.live().steps()), ("done".into(), Some(40)));
}

#[test]
fn only_what_is_new_is_news_also_where_a_run_goes_on() {
    let folder = Folder::new();
    folder.begin(0);
    folder.train(&[10, 20]);
    let mut live = folder.live();
    let steps = |news: Vec<Value>| news.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>();
    folder.update(20, 1);
    folder.train(&[30]);
    folder.update(25, 1);
    assert_eq!(steps(live.look().unwrap()), [20, 25, 30], "by step, whatever file they are in");
    assert!(live.look().unwrap().is_empty());
    assert_eq!((live.known.train.loss.len(), live.known.kept()), (3, Some([25, 100, 25])));

    // The checkpoint was at step 20: what came after it is cut off and happens again.
    let text = fs::read_to_string(folder.0.path().join("metrics.jsonl")).unwrap();
    let kept: Vec<&str> = text.lines().take(2).collect();
    fs::write(folder.0.path().join("metrics.jsonl"), kept.join("\n") + "\n").unwrap();
    fs::write(folder.0.path().join("masks/updates.jsonl"), "").unwrap();
    assert!(live.look().unwrap().is_empty());
    assert_eq!((live.known.step, live.known.train.loss.len()), (20, 2));
    folder.begin(20);
    folder.update(20, 1);
    folder.train(&[30]);
    let news = live.look().unwrap();
    assert_eq!(steps(news.clone()), [20, 20, 30]);
    assert_eq!(news[0]["kind"], "begun");
    assert_eq!(live.known.train.loss.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [10.0, 20.0, 30.0]);
}

#[test]
fn a_stage_is_told_before_its_first_step_and_once() {
    let folder = Folder::new();
    let mut live = folder.live();
    let stage = |step: u64, number: u64| {
        folder.add("metrics.jsonl", &[json!({ "kind": "stage", "step": step, "stage": number, "of": 3 })]);
    };
    let mut told = || live.look().unwrap().iter().filter_map(news).collect::<Vec<_>>();
    folder.begin(0);
    stage(0, 1);
    folder.update(0, 1);
    let first = told();
    assert!(first[1].ends_with("stage 1 of 3") && first[2].contains("masks"), "{first:?}");
    folder.train(&[10]);
    stage(10, 2);
    assert!(told()[1].ends_with("stage 2 of 3"));
    // It goes on in the middle of a stage, and where the next one begins.
    folder.begin(20);
    stage(20, 3);
    let again = told();
    assert!(again.len() == 2 && again[1].ends_with("stage 3 of 3"), "{again:?}");
}

#[test]
fn a_picture_has_eighty_columns_and_as_many_lines_as_there_is_room() {
    let folder = Folder::new();
    folder.begin(0);
    folder.train(&[10, 20, 30]);
    folder.add(
        "metrics.jsonl",
        &[json!({ "kind": "evaluation", "part": "validation", "step": 20, "epoch": 1.0,
        "loss": 1.5, "accuracy": 0.75, "language": { "perplexity": 4.5 } })],
    );
    folder.update(30, 100);
    // As many weights as ResNet-50 has.
    folder.add(
        "masks/updates.jsonl",
        &[json!({ "step": 450_000, "kept": 5_863_728, "total": 23_454_912, "layers": [{ "name": "深".repeat(20),
        "kept": 23_454_911, "total": 23_454_912 }] })],
    );
    let wide = picture(&folder.live(), Look { colour: false, lines: 60 });
    assert!(wide.iter().all(|line| console::measure_text_width(line) <= 80), "{}", wide.join("\n"));
    assert!(wide.iter().any(|line| line.ends_with("at step 450000")), "{}", wide.join("\n"));
    fs::remove_file(folder.0.path().join("masks/updates.jsonl")).unwrap();
    folder.update(30, 100);
    let live = folder.live();
    assert!(
        !picture(&live, Look { colour: false, lines: 15 }).join("").contains("loss: train"),
        "no room for curves"
    );
    for lines in [24, 60] {
        // The loss of training may be smoothed: nobody recorded its perplexity.
        let drawn = picture(&live, Look { colour: false, lines });
        let text = drawn.join("\n");
        assert!(drawn.len() <= lines && drawn.iter().all(|line| line.chars().count() <= 80), "{text}");
        for words in [
            "30 of 40 steps  75 %",
            "accuracy 75.00 %   perplexity 4.500",
            "sparsity 75.00 %",
            "loss: train, validation",
            "more layers",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert_eq!(text.matches("perplexity").count(), 1, "{text}");
        let colours = picture(&live, Look { colour: true, lines }).join("\n");
        let bare = console::strip_ansi_codes(&colours).into_owned();
        assert!(colours != bare && bare == text, "colours change no character");
    }
    let found = live.json();
    assert_eq!((&found["step"], &found["steps"], &found["kept"]), (&json!(30), &json!(40), &json!(25)));
    assert_eq!((&found["validation"]["loss"], &found["layers"][3]["kept"]), (&json!(1.5), &json!(3)));
}
