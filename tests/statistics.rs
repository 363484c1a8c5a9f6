//! Running statistics in training: they move with the weights and at no other time, belong to checkpoints and to the digest,
//! and can be computed anew.

mod common;
#[path = "common/program.rs"]
mod program;

use coppice::data::{self, Dataset};
use coppice::error::Kind;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::Param;
use coppice::recipe::Recipe;
use coppice::sparsity::Look;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, Summary, train};

/// 39 steps of 100 samples, 13 an epoch. What `first` observes depends on the batch alone.
const RECIPE: &str = "
    run = { epochs = 3, batch = 100, seed = 4, log_every = '7' }
    data = { name = 'digits' }
    optim = { name = 'sgd', lr = 0.05, weight_decay = 0.01 }
    [model]
    layer = [
        { type = 'batch_norm', name = 'first', affine = false },
        { type = 'conv2d', name = 'conv', out = 6, kernel = 3, padding = 1, bias = false },
        { type = 'batch_norm', name = 'norm' },
        { type = 'relu', name = 'act' },
        { type = 'max_pool', name = 'pool', kernel = 2 },
        { type = 'dropout', name = 'drop', p = 0.1 },
        { type = 'linear', name = 'head', out = 10 },
    ]";

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
const MASKED: &str = "sparsity.storage=masked";

fn digits() -> Dataset {
    data::open("digits", 0.1).unwrap()
}

fn recipe(more: &[&str]) -> Recipe {
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(RECIPE, "test", &more).unwrap()
}

fn session(gpu: &Gpu, more: &[&str]) -> Session {
    Session::new(gpu, &recipe(more), &digits(), Choices::default()).unwrap()
}

fn read(session: &Session, name: &str) -> Vec<f32> {
    let id = session.model.params.named(name).unwrap();
    session.model.params[id].read().unwrap()
}

fn statistics(session: &Session) -> Vec<Vec<f32>> {
    let all = session.model.params.iter().filter(|param| !param.learns());
    all.map(|param| param.read().unwrap()).collect()
}

fn close(got: f32, want: f32) -> bool {
    (got - want).abs() <= 1e-5 + 1e-4 * want.abs()
}

/// What `first` observes in each step: mean and variance of all pixels of the batch.
fn observed(session: &Session, step: u64) -> [f64; 2] {
    let data = digits();
    let samples = session.samples_of(step).unwrap();
    let data::Samples::Bytes(bytes) = &data.train.images else { panic!("digits are bytes") };
    let pixel = |&byte: &u8| f64::from(byte) * f64::from(data.scale[0]) + f64::from(data.shift[0]);
    let pixels: Vec<f64> =
        samples.iter().flat_map(|&i| bytes[i as usize * 64..][..64].iter().map(pixel)).collect();
    let n = pixels.len() as f64;
    let mean = pixels.iter().sum::<f64>() / n;
    [mean, pixels.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)]
}

#[test]
fn they_move_with_the_weights_and_masks_move_none() {
    let update = "sparsity.schedule={begin='0',end='20',every='4'}";
    let kinds: [&[&str]; 5] = [
        &[],
        &["sparsity.method=snip", "sparsity.target=0.5", MASKED],
        &["sparsity.method=grasp", "sparsity.target=0.5", MASKED],
        &["sparsity.method=gmp", "sparsity.target=0.5", update, MASKED],
        &["sparsity.method=rigl", "sparsity.target=0.5", update, MASKED],
    ];
    for gpu in [common::device(), Gpu::twin()] {
        for more in kinds {
            let mut session = session(&gpu, more);
            assert!(session.model.params.iter().filter(|param| !param.learns()).count() == 4);
            let mut rested = 0;
            for step in 0..10 {
                let before =
                    [read(&session, "first.running_mean")[0], read(&session, "first.running_var")[0]];
                let weights = session.weights().unwrap();
                session.advance().unwrap();
                let after = [read(&session, "first.running_mean")[0], read(&session, "first.running_var")[0]];
                let head_moved = session.weights().unwrap()["head.bias"] != weights["head.bias"];
                rested += u32::from(!head_moved);
                for (number, seen) in observed(&session, step).into_iter().enumerate() {
                    let moved = before[number] + 0.1 * (seen as f32 - before[number]);
                    let want = if head_moved { moved } else { before[number] };
                    let got = after[number];
                    assert!(close(got, want), "{more:?}, step {step}: {got}, not {want}");
                }
            }
            assert!(rested < 5, "{more:?}");
        }
    }
}

#[test]
fn looking_at_a_batch_again_changes_none() {
    for gpu in [common::device(), Gpu::twin()] {
        let more = ["sparsity.method=grasp", "sparsity.target=0.5", MASKED];
        let mut session = session(&gpu, &more);
        session.advance().unwrap();
        let before = session.snapshot().unwrap().digest;
        (0..3).for_each(|ahead| session.look(Look { ahead, tempered: true }).unwrap());
        session.look(Look { ahead: 0, tempered: false }).unwrap();
        assert_eq!(session.snapshot().unwrap().digest, before);
    }
}

#[test]
fn optimizers_know_nothing_of_them() {
    let mut fast = session(&Gpu::twin(), &["optim.name=adam", "optim.lr=0.0", "optim.weight_decay=0.1"]);
    let mut slow = session(&Gpu::twin(), &["optim.name=adam", "optim.lr=0.0", "optim.weight_decay=0.0"]);
    (0..3).for_each(|_| drop((fast.advance().unwrap(), slow.advance().unwrap())));
    assert_eq!(statistics(&fast), statistics(&slow));
    let slots = |param: &Param| param.slots().count();
    let of = |name: &str| slots(&fast.model.params[fast.model.params.named(name).unwrap()]);
    assert_eq!([of("norm.weight"), of("norm.running_mean"), of("norm.running_var")], [2, 0, 0]);
    let arrays = fast.snapshot().unwrap().arrays;
    assert!(arrays.contains_key("norm.weight.first") && arrays.contains_key("norm.running_var"));
    assert!(!arrays.keys().any(|name| name.starts_with("norm.running_mean.")));
}

#[test]
fn frozen_layers_keep_theirs_and_use_them() {
    let groups = ["unfreeze.groups=[['head'],['norm','conv'],['first']]", "unfreeze.phases=['5','8']"];
    for gpu in [common::device(), Gpu::twin()] {
        let mut session = session(&gpu, &groups);
        for step in 0..10 {
            let before = statistics(&session);
            session.advance().unwrap();
            let moved: Vec<bool> =
                before.iter().zip(statistics(&session)).map(|(before, now)| *before != now).collect();
            let want = [step >= 8, step >= 8, step >= 5, step >= 5];
            assert_eq!(moved, want, "step {step}");
        }
    }
}

#[test]
fn they_stay_those_before_a_loss_that_is_not_finite() {
    for gpu in [common::device(), Gpu::twin()] {
        let mut session = session(&gpu, &["optim.lr=1e30", "optim.momentum=0.0"]);
        let mut before = statistics(&session);
        for step in 0.. {
            session.advance().unwrap();
            let broken = session.totals.read_u32().unwrap()[4] != 0;
            let now = statistics(&session);
            assert_eq!(before == now, broken, "step {step}");
            if broken {
                break;
            }
            (before, _) = (now, assert!(step < 10, "the loss stays finite"));
        }
        session.advance().unwrap();
        assert_eq!(statistics(&session), before);
        assert_eq!(session.take_totals().unwrap_err().kind, Kind::Numbers);
    }
}

/// A run that is stopped at these steps, and goes on each time as another session from its checkpoint.
fn stopped(gpu: &Gpu, more: &[&str], stops: &[u64]) -> Summary {
    let home = tempfile::tempdir().unwrap();
    let mut run = session(gpu, more);
    for &stop in stops {
        let control = Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
        train(&mut run, &control, &mut |_| Ok(())).unwrap();
        let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
        run = session(gpu, more);
        run.restore(&snapshot).unwrap();
    }
    train(&mut run, &FREE, &mut |_| Ok(())).unwrap()
}

#[test]
fn stopping_and_resuming_changes_no_bit() {
    let gmp = ["sparsity.method=gmp", "sparsity.target=0.8", "sparsity.schedule={every='4'}", MASKED];
    let kinds: [&[&str]; 3] = [&[], &gmp, &["finish.recalibrate=20"]];
    for (gpu, stops) in [(common::device(), [1, 38]), (Gpu::twin(), [13, 39])] {
        let whole = kinds.map(|more| {
            let whole = train(&mut session(&gpu, more), &FREE, &mut |_| Ok(())).unwrap();
            assert_eq!(stopped(&gpu, more, &stops).digest, whole.digest, "{more:?}");
            whole
        });
        // Batch normalisation learns digits in three epochs; what is recalibrated are other numbers.
        assert!(whole[0].test_accuracy > 0.85, "{}", whole[0].test_accuracy);
        assert_ne!(whole[2].digest, whole[0].digest);
        assert!((whole[2].test_accuracy - whole[0].test_accuracy).abs() < 0.05);
    }
}

#[test]
fn a_changed_statistic_is_another_digest_and_comes_back() {
    let gpu = Gpu::twin();
    let mut session = session(&gpu, &[]);
    (0..3).for_each(|_| drop(session.advance().unwrap()));
    let before = session.snapshot().unwrap();
    let id = session.model.params.named("norm.running_var").unwrap();
    session.model.params[id].write(&[2.0; 6]).unwrap();
    assert_ne!(session.snapshot().unwrap().digest, before.digest);
    session.restore(&before).unwrap();
    assert_eq!(session.snapshot().unwrap().digest, before.digest);
}

#[test]
fn recalibrated_they_are_means_over_batches() {
    for gpu in [common::device(), Gpu::twin()] {
        let mut session = session(&gpu, &[]);
        (0..4).for_each(|_| drop(session.advance().unwrap()));
        let weights = session.weights().unwrap();
        session.recalibrate(15).unwrap();
        // The second epoch and the beginning of the third.
        let seen: Vec<[f64; 2]> = (13..28).map(|step| observed(&session, step)).collect();
        for (number, name) in ["first.running_mean", "first.running_var"].into_iter().enumerate() {
            let want = seen.iter().map(|seen| seen[number]).sum::<f64>() / 15.0;
            let got = read(&session, name)[0];
            assert!(close(got, want as f32), "{name}: {got}, not {want}");
        }
        let is_weight = |name: &String| name.ends_with("weight") || name.ends_with("bias");
        let now = session.weights().unwrap();
        assert!(weights.keys().filter(|name| is_weight(name)).all(|name| weights[name] == now[name]));
        // Training goes on with the batches of its own order.
        session.advance().unwrap();
        assert!(session.take_totals().is_ok());
    }
    let error = Recipe::parse(
        "data = { name = 'digits' }\nmodel = { preset = 'mlp', hidden = [4] }\noptim = { name = 'sgd', lr = 1 }",
        "test",
        &["finish.recalibrate=3".into()],
    );
    let error = Session::new(&Gpu::twin(), &error.unwrap(), &digits(), Choices::default()).err().unwrap();
    assert!(error.to_string().contains("`finish.recalibrate` is for networks with running statistics"));
}

#[test]
fn a_run_is_recalibrated_on_the_command_line_and_exported_with_its_statistics() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path();
    std::fs::write(here.join("net.toml"), RECIPE).unwrap();
    let trained =
        program::json(here, &["train", "net.toml", "--device", "twin", "--max-steps", "6", "--json"]);
    let args = ["recalibrate", "runs/net", "--batches", "8", "--device", "twin", "--json"];
    let done = program::json(here, &args);
    assert_eq!((done["step"].as_u64(), done["batches"].as_u64()), (Some(6), Some(8)));
    assert_eq!(done["test_loss_before"], trained["test_loss"]);
    assert!(done["test_loss"].as_f64() < done["test_loss_before"].as_f64(), "{done}");
    assert_ne!(done["digest"], trained["digest"]);
    assert_eq!(program::json(here, &args)["digest"], done["digest"], "they follow from the weights");
    let exported = program::run(here, &["export", "runs/net", "--to", "safetensors", "net.safetensors"]);
    assert!(exported.status.success());
    let arrays = coppice::store::safetensors::read(&here.join("net.safetensors")).unwrap();
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    let first = ["first.num_batches_tracked", "first.running_mean", "first.running_var"];
    let norm =
        ["norm.bias", "norm.num_batches_tracked", "norm.running_mean", "norm.running_var", "norm.weight"];
    assert_eq!(names, [&["conv.weight"], &first[..], &["head.bias", "head.weight"], &norm].concat());
    let resumed = program::json(here, &["resume", "runs/net", "--json"]);
    assert_eq!(resumed["steps"], 39);
    // What a finished run says of itself is said of its new statistics.
    let last = program::json(here, &args);
    let report = std::fs::read_to_string(here.join("runs/net/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    for key in ["digest", "test_loss", "test_accuracy"] {
        assert_eq!(report[key], last[key], "{key}");
    }
    assert_ne!(report["digest"], resumed["digest"]);
    let log = std::fs::read_to_string(here.join("runs/net/log.txt")).unwrap();
    assert!(log.contains("running statistics computed anew over 8 batches; test accuracy"), "{log}");
    let plain = RECIPE.replace("{ type = 'batch_norm', name = 'first', affine = false },", "");
    let plain = plain.replace("{ type = 'batch_norm', name = 'norm' },", "");
    std::fs::write(here.join("plain.toml"), plain).unwrap();
    program::json(here, &["train", "plain.toml", "--device", "twin", "--max-steps", "2", "--json"]);
    let error = program::fails(here, 2, &["recalibrate", "runs/plain", "--device", "twin"]);
    assert!(error.contains("no running statistics"), "{error}");
}
