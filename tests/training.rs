//! A run is a function of its recipe, data and device: the same bits on every rerun, whatever is logged,
//! dumped, cut into pieces or resumed.

mod common;

use coppice::data::{Dataset, Source, Split};
use coppice::error::Kind;
use coppice::gpu::{Choice, Gpu, Limits, Phase, adapters};
use coppice::ops::variants::Choices;
use coppice::param::{MEAN, ParamId};
use coppice::random::{Stream, uniform, word};
use coppice::recipe::Recipe;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Event, Part, Session, Summary, train};

/// 300 random samples of 20 bytes, the last batch not full; three classes by the largest of three features.
fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let byte = |i| word(3, Stream::Test, 0, tensor, i) as u8;
        let values: Vec<u8> = (0..samples * 20).map(byte).collect();
        let class = |row: &[u8]| (0..3u8).max_by_key(|&k| row[k as usize]).unwrap();
        let labels = values.chunks(20).map(class).collect();
        Split::bytes(values, labels)
    };
    let source = Source::new("bytes", vec![20], 3, split(300, 0), split(70, 1));
    let source = Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source };
    Dataset::from_arrays(source, 0.1).unwrap()
}

fn recipe(more: &[&str]) -> Recipe {
    let text = "
        run = { epochs = 6, batch = 32, seed = 5, log_every = '7', checkpoint_every = '10' }
        data = { name = 'bytes' }
        model = { preset = 'mlp', hidden = [33, 17] }
        optim = { name = 'sgd', lr = { type = 'cosine', start = 0.1 }, momentum = 0.9, weight_decay = 1e-4 }
        sparsity = { method = 'gmp', target = 0.8, schedule = { every = '5' } }";
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(text, "test", &more).unwrap()
}

fn run(gpu: &Gpu, recipe: &Recipe, control: &Control) -> Summary {
    let mut session = Session::new(gpu, recipe, &data(), Choices::default()).unwrap();
    train(&mut session, control, &mut |_| Ok(())).unwrap()
}

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

#[test]
fn reruns_have_the_same_digest_and_exact_sparsity() {
    for gpu in common::devices() {
        let runs: Vec<Summary> = (0..5).map(|_| run(&gpu, &recipe(&[]), &FREE)).collect();
        assert!(runs.iter().all(|r| r.digest == runs[0].digest));
        // 20 x 33 + 33 x 17 + 17 x 3 weights, a fifth of them kept.
        assert_eq!((runs[0].total, runs[0].kept), (1272, 254));
        if !gpu.is_counted() {
            let other = run(&gpu, &recipe(&["run.seed=6"]), &FREE);
            assert_ne!(other.digest, runs[0].digest, "another seed gives other bits");
            assert!(runs[0].test_accuracy > 0.5, "{}", runs[0].test_accuracy);
        }
    }
}

#[test]
fn adapters_and_the_twin_learn_alike() {
    let twin = run(&Gpu::twin(), &recipe(&["run.epochs=2"]), &FREE);
    for gpu in common::devices().into_iter().filter(Gpu::is_device) {
        let device = run(&gpu, &recipe(&["run.epochs=2"]), &FREE);
        let close = (device.train_loss.unwrap() - twin.train_loss.unwrap()).abs() < 1e-3;
        assert!(close, "{:?} and {:?}", device.train_loss, twin.train_loss);
    }
}

#[test]
fn stopping_and_resuming_at_every_step_changes_no_bit() {
    let gpu = common::device();
    let mut digests = Vec::new();
    for (method, more) in [
        ("held", "run.keep=2"),
        ("latent", "sparsity.latent=true"),
        ("clipped", "optim.clip=0.1"),
        ("smoothed", "loss.smoothing=0.1"),
    ] {
        let recipe = recipe(&["run.epochs=2", more]);
        let whole = run(&gpu, &recipe, &FREE);
        assert!(!digests.contains(&whole.digest), "{method} changes nothing");
        digests.push(whole.digest.clone());
        for stop in 1..whole.steps {
            let home = tempfile::tempdir().unwrap();
            let control = Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
            run(&gpu, &recipe, &control);
            let (snapshot, damaged) = checkpoint::load(home.path(), Which::Last).unwrap();
            assert!(damaged.is_empty());
            let mut session = Session::new(&gpu, &recipe, &data(), Choices::default()).unwrap();
            session.restore(&snapshot).unwrap();
            assert_eq!(session.step, stop);
            let rest = train(
                &mut session,
                &Control { folder: Some(home.path().to_path_buf()), ..FREE },
                &mut |_| Ok(()),
            );
            assert_eq!(rest.unwrap().digest, whole.digest, "{method}, resumed at step {stop}");
        }
    }
}

#[test]
fn dumps_logs_and_evaluations_change_no_bit() {
    let gpu = common::device();
    let plain = run(&gpu, &recipe(&[]), &FREE);
    let home = tempfile::tempdir().unwrap();
    let write = |step, tensors: &[_], samples: &[u32]| {
        coppice::report::dump::write_dump(home.path(), step, tensors, samples)
    };
    let dumping =
        recipe(&["dump.every='3'", "dump.what=['weight','mask','grad','score']", "run.eval_every='4'"]);
    let control = Control { folder: Some(home.path().to_path_buf()), dump: Some(&write), ..FREE };
    let dumped = run(&gpu, &dumping, &control);
    // Neither the best validation nor what is not logged yet is part of the digest.
    assert_eq!(dumped.digest, plain.digest);
    assert_eq!((dumped.test_loss, dumped.kept), (plain.test_loss, plain.kept));
    let [logged, silent] = [true, false].map(|logs| {
        let mut session = Session::new(&gpu, &recipe(&[]), &data(), Choices::default()).unwrap();
        for _ in 0..3 {
            session.advance().unwrap();
            logs.then(|| session.take_totals().unwrap());
        }
        session.best = logs.then_some((0.5, 1.0));
        session.snapshot().unwrap().digest
    });
    assert_eq!(logged, silent);
    assert!(home.path().join("dumps/step-000000003/index.json").is_file());
    assert!(home.path().join("dumps/step-000000003/fc1.weight.mask.npy").is_file());
}

#[test]
fn split_tensors_and_cut_grids_change_no_bit() {
    let adapter = adapters().into_iter().find(|a| a.obstacle().is_none());
    let choice = adapter.map_or(Choice::Twin, |a| Choice::Index(a.index));
    // Of packed weights the tiles of the gradient are split, and the running means of SNFS.
    let snfs = ["sparsity.method=snfs", "sparsity.storage=packed"];
    let shared = [&snfs[..], &["sparsity.redistribute=true"]].concat();
    // Which weights were ever kept is split as they are.
    let growth = "sparsity.growth={by='random-unfired'}";
    let unfired = ["sparsity.method=set", growth, "sparsity.storage=masked"];
    let unfired_packed = ["sparsity.method=set", growth, "sparsity.storage=packed"];
    for more in [&["sparsity.storage=masked"][..], &snfs, &shared, &unfired, &unfired_packed] {
        let recipe = recipe(&[&["model.hidden=[200,150]", "run.epochs=1"], more].concat());
        // The plain kernels sum in one order whatever the blocks of rows; register blocks need not. Tiles of a packed
        // weight go by the shape of the whole.
        let plain = |gpu: &Gpu| {
            let data = data();
            let shapes = [gpu, &Gpu::twin()].map(|gpu| Session::products(gpu, &recipe, &data).unwrap());
            let choices = Choices::plain(&shapes.concat());
            let mut session = Session::new(gpu, &recipe, &data, choices).unwrap();
            let summary = train(&mut session, &FREE, &mut |_| Ok(())).unwrap();
            let means = session.model.params[ParamId(2)].tensors(MEAN).len();
            (summary, means)
        };
        let (whole, _) = plain(&Gpu::open(&choice).unwrap());
        // 150 x 200 weights are 120,000 bytes: in blocks of 64 rows, they need two bindings; the data needs one.
        let small = Limits { binding_bytes: 100_000, groups: 3, submission_ms: 1 };
        let (split, means) = plain(&Gpu::open_with(&choice, small).unwrap());
        assert_eq!(split.train_loss, whole.train_loss, "{more:?}");
        assert_eq!(split.digest, whole.digest, "{more:?}");
        assert_eq!(means > 1, more[0].ends_with("snfs"), "{means} blocks of running means");
    }
}

/// Values are not split: what is too large is named.
#[test]
fn a_value_that_no_binding_holds_is_refused_by_its_layer() {
    let gpu = Gpu::counted_with(Limits { binding_bytes: 100_000, ..Limits::default() });
    let recipe = recipe(&["model.hidden=[300]", "run.batch=128"]);
    let Err(error) = Session::new(&gpu, &recipe, &data(), Choices::default()) else { panic!("it fits") };
    let text = error.to_string();
    assert!(text.contains("exceeds one binding"), "{text}");
    assert!(text.contains("the output of `") && text.contains("300 for each of "), "{text}");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_before_the_weights_change() {
    for gpu in common::devices().into_iter().filter(Gpu::is_device).chain([Gpu::twin()]) {
        let recipe =
            recipe(&["optim.lr=1e30", "run.log_every='50'", "sparsity.method='none'", "sparsity.target=0"]);
        let mut session = Session::new(&gpu, &recipe, &data(), Choices::default()).unwrap();
        let error = train(&mut session, &FREE, &mut |_| Ok(())).unwrap_err();
        assert_eq!(error.kind, Kind::Numbers, "{error}");
        assert!(error.to_string().contains("step"), "{error}");
        let weights = session.weights().unwrap();
        assert!(
            weights["fc1.weight"].to_f32().iter().all(|w| w.is_finite()),
            "weights on {:?}",
            gpu.identity()
        );
    }
}

/// The loss tells that something is not finite, and no weight changes from there on; which one it is, is said at the end of
/// the epoch, or before the next checkpoint. What was saved before stays the last.
#[test]
fn a_hidden_weight_that_is_not_finite_is_refused_by_name() {
    for gpu in common::everywhere() {
        for (sparsity, storage) in [
            ("sparsity={ method = 'none' }", "dense"),
            ("sparsity={ method = 'static', target = 0.8, storage = 'masked' }", "masked"),
            ("sparsity={ method = 'static', target = 0.8, storage = 'packed' }", "packed"),
        ] {
            for (value, every, found_at) in
                [(f32::NAN, "10", 18), (f32::NAN, "4", 12), (f32::NEG_INFINITY, "10", 18)]
            {
                let every = format!("run.checkpoint_every='{every}'");
                let recipe = recipe(&[sparsity, &every, "run.log_every='1000'"]);
                let home = tempfile::tempdir().unwrap();
                let to = |stop_at| Control { folder: Some(home.path().to_path_buf()), stop_at, ..FREE };
                let mut session = Session::new(&gpu, &recipe, &data(), Choices::default()).unwrap();
                train(&mut session, &to(Some(10)), &mut |_| Ok(())).unwrap();
                let param = &session.model.params[ParamId(0)];
                assert_eq!((param.name.as_str(), param.storage.name()), ("fc1.weight", storage));
                let mut values = param.read().unwrap();
                values[param.indices().unwrap()[25] as usize] = value;
                param.write(&values).unwrap();
                let error = train(&mut session, &to(None), &mut |_| Ok(())).unwrap_err();
                let (text, what) = (error.to_string(), format!("{value}, {storage} on {:?}", gpu.identity()));
                assert_eq!(error.kind, Kind::Numbers, "{what}: {text}");
                assert!(text.contains(" 1 of fc1.weight"), "{what}: {text}");
                assert!(text.contains(&format!("after {found_at} steps")), "{what}: {text}");
                assert_eq!(session.step, found_at, "{what}");
                assert_eq!(checkpoint::load(home.path(), Which::Last).unwrap().0.step, 10, "{what}");
            }
        }
    }
}

/// Where the loss tells, it is said which weights it comes from.
#[test]
fn a_loss_that_is_not_finite_names_such_weights() {
    let mut session = Session::new(&Gpu::twin(), &recipe(&[]), &data(), Choices::default()).unwrap();
    let params = &session.model.params;
    let (head, bias) = (&params[ParamId(4)], &params[ParamId(5)]);
    assert_eq!((head.name.as_str(), bias.name.as_str()), ("head.weight", "head.bias"));
    for (param, broken) in [(head, 2), (bias, 1)] {
        let mut values = param.read().unwrap();
        values[..broken].fill(f32::NAN);
        param.write(&values).unwrap();
    }
    let broken = session.snapshot().unwrap();
    let refused = session.restore(&broken).unwrap_err();
    assert_eq!(refused.kind, Kind::Numbers);
    assert!(refused.to_string().contains("2 of head.weight, 1 of head.bias"), "{refused}");
    session.pruner = None;
    session.advance().unwrap();
    let text = session.take_totals().unwrap_err().to_string();
    assert!(text.starts_with("the loss is not finite"), "{text}");
    assert!(text.contains("not finite among them: 2 of head.weight, 1 of head.bias"), "{text}");
}

#[test]
fn no_buffer_is_made_after_the_second_step_and_memory_is_as_planned() {
    let rigl = ["sparsity.method=rigl", "sparsity.distribution=erk", "sparsity.storage=packed"];
    let snfs = ["sparsity.method=snfs", "sparsity.distribution=erk", "sparsity.storage=packed"];
    let asp = [
        "sparsity={ method = 'asp', pattern = '2:4', storage = 'masked', schedule = { type = 'oneshot', begin = '50%' } }",
        "model.hidden=[64,64]",
    ];
    for more in [&["sparsity.storage=masked"][..], &rigl, &snfs, &asp] {
        let gpu = common::device();
        let recipe = recipe(more);
        let counted = gpu.counted_like();
        Session::new(&counted, &recipe, &data(), Choices::default()).unwrap();
        let mut session = Session::new(&gpu, &recipe, &data(), Choices::default()).unwrap();
        session.advance().unwrap();
        session.advance().unwrap();
        let before = gpu.memory();
        while !session.is_done() {
            session.advance_timed().unwrap();
        }
        session.evaluate(Part::Test).unwrap();
        session.take_totals().unwrap();
        assert_eq!(gpu.memory().buffers, before.buffers);
        let (planned, real) = (counted.memory().peak_bytes as f64, gpu.memory().peak_bytes as f64);
        assert!((planned / real - 1.0).abs() < 0.05, "{more:?}: planned {planned}, measured {real}");
    }
}

#[test]
fn a_custom_model_with_a_lone_relu_learns() {
    let layers = r#"model = { layer = [
        { type = "relu" }, { type = "linear", out = 24 }, { type = "relu" }, { type = "relu" }, { type = "linear", out = 3 } ] }"#;
    let text = format!(
        "run = {{ epochs = 6, batch = 32, seed = {} }}\ndata = {{ name = 'bytes' }}\n{layers}\noptim = {{ name = 'adam', lr = 0.01 }}",
        (uniform(1, Stream::Test, 0, 0, 0) * 100.0) as u32
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    let mut losses = Vec::new();
    let mut session = Session::new(&common::device(), &recipe, &data(), Choices::default()).unwrap();
    train(&mut session, &FREE, &mut |event| {
        if let Event::Evaluated(e) = event {
            losses.push(e.loss);
        }
        Ok(())
    })
    .unwrap();
    assert!(losses.last() < losses.first(), "{losses:?}");
}

/// Timed or not, mask updates do the same; every dispatch of an update has its time and what it has to do.
#[test]
fn replays_that_are_timed_do_the_same() {
    let gpu = common::device();
    let rigl = ["sparsity.method=rigl", "sparsity.distribution=erk", "sparsity.storage=packed"];
    let recipe = recipe(&rigl);
    let session = || Session::new(&gpu, &recipe, &data(), Choices::default()).unwrap();
    let (mut plain, mut timed) = (session(), session());
    let mut updates = 0;
    while !plain.is_done() {
        let change = plain.advance().unwrap();
        let rests = timed.pruner.as_ref().unwrap().rests(timed.step);
        let (same, timings) = gpu.timing(|| timed.advance()).unwrap();
        assert_eq!(same.is_some(), change.is_some());
        let dispatches = |phase: Phase| timings.iter().filter(move |timing| timing.phase == phase);
        assert!(timings.iter().all(|timing| timing.ms >= 0.0 && timing.ms.is_finite()), "{timings:?}");
        let lengths: Vec<usize> = timed.plans().iter().map(|plan| plan.dispatches.len()).collect();
        let [before, after] = lengths[..] else { panic!("{lengths:?}") };
        let step = before + if rests { 0 } else { after };
        let masks = timed.pruner.as_ref().unwrap().plans();
        let masks: Vec<_> = masks.iter().flat_map(|plan| &plan.dispatches).collect();
        if same.is_some() {
            updates += 1;
            assert_eq!(timings.len(), step + masks.len());
            let strike = |label: &str| label.ends_with("candidates:strike");
            let (got, want): (Vec<_>, Vec<_>) = (
                dispatches(Phase::Masks).filter(|t| strike(&t.label)).map(|t| t.cost).collect(),
                masks.iter().filter(|d| strike(&d.label)).map(|d| d.cost).collect(),
            );
            assert!(!got.is_empty() && got == want, "{got:?}, recorded {want:?}");
        } else {
            assert_eq!(timings.len(), step);
        }
    }
    assert!(updates > 1, "{updates} updates");
    assert_eq!(plain.snapshot().unwrap().digest, timed.snapshot().unwrap().digest);
    // Not asked for, also after work that failed.
    let failed = gpu.timing(|| Err::<(), _>(coppice::error::Error::usage("no")));
    assert!(failed.is_err());
    let ((), none) = gpu.timing(|| Ok(())).unwrap();
    assert!(none.is_empty(), "{none:?}");
}
