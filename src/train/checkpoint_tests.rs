//! Tests of checkpoints: rotation, every kind of damage, and a writer that is killed.

use super::*;
use crate::error::Kind;
use crate::store::{Array, digest};
use proptest::prelude::*;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A state that is a function of the step, so that whatever is loaded can be checked.
fn snapshot(step: u64) -> Snapshot {
    let values: Vec<f32> = (0..300u64).map(|i| ((i * 37 + step * 11) % 101) as f32 - 50.0).collect();
    let arrays = Arrays::from([
        ("fc1.weight".into(), Array::f32([20, 15], &values)),
        ("fc1.weight.mask".into(), Array::u32([10], &[step as u32; 10])),
    ]);
    let digest = digest::hash_arrays(&arrays);
    Snapshot { step, arrays, state: json!({ "step": step, "seed": u64::MAX, "name": "é" }), digest }
}

fn run_with(steps: &[u64]) -> tempfile::TempDir {
    let run = tempfile::tempdir().unwrap();
    for &step in steps {
        save(run.path(), &snapshot(step), steps.len(), false).unwrap();
    }
    run
}

fn pointer(run: &Path, name: &str) -> String {
    fs::read_to_string(run.join("ckpt").join(name)).unwrap()
}

#[test]
fn what_was_saved_is_loaded() {
    let run = tempfile::tempdir().unwrap();
    let path = save(run.path(), &snapshot(1200), 2, true).unwrap();
    assert!(path.ends_with("ckpt/step-000001200"));
    assert_eq!(pointer(run.path(), "last"), "step-000001200\n");
    for which in [Which::Last, Which::Best, Which::Step(1200)] {
        let (loaded, damaged) = load(run.path(), which).unwrap();
        assert_eq!(loaded, snapshot(1200));
        assert!(damaged.is_empty());
    }
}

#[test]
fn old_ones_go_and_the_best_stays() {
    let run = tempfile::tempdir().unwrap();
    for step in 1..=6 {
        save(run.path(), &snapshot(step), 2, step == 2).unwrap();
    }
    assert_eq!(list(run.path()).unwrap(), [2, 5, 6]);
    assert_eq!(load(run.path(), Which::Best).unwrap().0, snapshot(2));
    save(run.path(), &snapshot(7), 0, true).unwrap();
    assert_eq!(list(run.path()).unwrap(), [7]);
    save(run.path(), &snapshot(1_234_567_890_123), 1, false).unwrap();
    assert_eq!(list(run.path()).unwrap(), [7, 1_234_567_890_123]);
}

#[test]
fn saving_a_step_again_replaces_it_only_if_it_differs() {
    let run = run_with(&[1, 2]);
    let file = run.path().join("ckpt/step-000000002/state.json");
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    save(run.path(), &snapshot(2), 2, true).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
    assert_eq!(pointer(run.path(), "best"), "step-000000002\n");

    let other = Snapshot { state: json!("other"), ..snapshot(2) };
    save(run.path(), &other, 2, false).unwrap();
    assert_eq!(load(run.path(), Which::Last).unwrap().0, other);
    fs::write(&file, "damaged").unwrap();
    save(run.path(), &snapshot(2), 2, false).unwrap();
    let (loaded, damaged) = load(run.path(), Which::Last).unwrap();
    assert_eq!((loaded, damaged.len()), (snapshot(2), 0));
}

#[test]
fn later_steps_are_left_until_training_reaches_them() {
    let run = run_with(&[10, 20, 30]);
    save(run.path(), &snapshot(15), 1, false).unwrap();
    assert_eq!(list(run.path()).unwrap(), [15, 20, 30]);
    save(run.path(), &snapshot(30), 1, false).unwrap();
    assert_eq!(list(run.path()).unwrap(), [30]);
}

#[test]
fn nothing_to_load_is_an_error_that_says_so() {
    let run = tempfile::tempdir().unwrap();
    for which in [Which::Last, Which::Best, Which::Step(3)] {
        assert_eq!(load(run.path(), which).unwrap_err().kind, Kind::Checkpoint);
    }
    let run = run_with(&[1, 2]);
    let error = load(run.path(), Which::Step(3)).unwrap_err();
    assert!(error.to_string().contains("steps that have one: 1 2"), "{error}");
    fs::write(run.path().join("ckpt/best"), "nonsense").unwrap();
    let error = load(run.path(), Which::Best).unwrap_err();
    assert!(error.to_string().contains("nonsense"), "{error}");
}

#[test]
fn pointers_that_lag_do_not_matter() {
    let run = run_with(&[1, 2]);
    fs::write(run.path().join("ckpt/last"), "step-000000001\n").unwrap();
    assert_eq!(load(run.path(), Which::Last).unwrap().0.step, 2);
    fs::remove_file(run.path().join("ckpt/last")).unwrap();
    assert_eq!(load(run.path(), Which::Last).unwrap().0.step, 2);
}

#[test]
fn all_damaged_lists_all() {
    let run = run_with(&[1, 2]);
    for step in ["step-000000001", "step-000000002"] {
        fs::write(run.path().join("ckpt").join(step).join(TENSORS), "").unwrap();
    }
    let error = load(run.path(), Which::Last).unwrap_err();
    assert_eq!(error.kind, Kind::Checkpoint);
    assert!(["step-000000001", "step-000000002"].iter().all(|s| error.to_string().contains(s)), "{error}");
    assert_eq!(load(run.path(), Which::Step(2)).unwrap_err().kind, Kind::Checkpoint);
}

#[test]
fn a_folder_that_stepped_aside_is_found() {
    let run = run_with(&[1]);
    let home = run.path().join("ckpt");
    fs::rename(home.join("step-000000001"), home.join(".step-000000001.old-0123-0")).unwrap();
    assert_eq!(load(run.path(), Which::Last).unwrap().0, snapshot(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut or flip any file of the newest checkpoint anywhere: the one before is taken, with one warning.
    #[test]
    fn any_damage_is_noticed(file in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8, cut: bool) {
        let run = run_with(&[1, 2]);
        let path = run.path().join("ckpt/step-000000002").join([TENSORS, STATE, "manifest.json"][file]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&path, &bytes).unwrap();
        let (loaded, damaged) = load(run.path(), Which::Last).unwrap();
        if damaged.is_empty() {
            // White space of the manifest, or a key in it that nobody asks for.
            prop_assert_eq!(loaded, snapshot(2));
            prop_assert_eq!(file, 2);
        } else {
            prop_assert_eq!(loaded, snapshot(1));
            prop_assert_eq!(damaged.len(), 1);
            prop_assert_eq!(damaged[0].kind, Kind::Checkpoint);
        }
    }
}

const WRITER: &str = "COPPICE_TEST_CHECKPOINT_WRITER";

/// Not a test of its own: what `a_killed_writer_loses_nothing` starts in another process, and kills.
#[test]
fn writer() {
    let Ok(run) = std::env::var(WRITER) else { return };
    let from = list(Path::new(&run)).unwrap().last().copied().unwrap_or(0);
    for step in from + 1.. {
        save(Path::new(&run), &snapshot(step), 2, step % 3 == 0).unwrap();
    }
}

#[test]
fn a_killed_writer_loses_nothing() {
    let run = tempfile::tempdir().unwrap();
    let mut reached = 0;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "train::checkpoint::tests::writer", "--nocapture"])
            .env(WRITER, run.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Wait until this writer has come further, then let it run into some other instant.
        let begin = Instant::now();
        while list(run.path()).unwrap().last().is_none_or(|&step| step <= reached) {
            assert!(begin.elapsed() < Duration::from_secs(30), "the writer saves nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 1_700));
        child.kill().unwrap();
        child.wait().unwrap();

        let (loaded, damaged) = load(run.path(), Which::Last).unwrap();
        assert!(damaged.is_empty(), "{}", damaged[0]);
        assert!(loaded.step > reached);
        assert_eq!(loaded, snapshot(loaded.step));
        reached = loaded.step;
        if run.path().join("ckpt/best").exists() {
            let best = load(run.path(), Which::Best).unwrap().0;
            assert_eq!(best, snapshot(best.step));
        }
    }
    save(run.path(), &snapshot(reached + 1), 1, true).unwrap();
    let names: Vec<_> =
        fs::read_dir(run.path().join("ckpt")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "one checkpoint, last and best: {names:?}");
}
