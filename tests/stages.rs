//! Runs of several stages: weights go on, everything else begins anew; two views of a batch; early stopping; the same bits
//! wherever a run is stopped.

mod common;
#[path = "common/program.rs"]
mod program;

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::nn::Extent;
use coppice::ops::Step;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, word};
use coppice::recipe::{Duration, Recipe};
use coppice::store::Arrays;
use coppice::train::checkpoint::{self, Snapshot, Which};
use coppice::train::{Control, Event, Feed, Session, Summary, train};

/// 50 training pictures of 8 x 8, 5 held out; three classes by the brightest third of their rows.
fn pictures() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let byte = |i| word(5, Stream::Test, 0, tensor, i) as u8;
        let values: Vec<u8> = (0..samples * 64).map(byte).collect();
        let sum =
            |row: &[u8], third: usize| row[third * 21..][..21].iter().map(|v| u32::from(*v)).sum::<u32>();
        let class = |row: &[u8]| (0..3usize).max_by_key(|&third| sum(row, third)).unwrap() as u8;
        let labels = values.chunks(64).map(class).collect();
        Split::bytes(values, labels)
    };
    let source = Source::new("pictures", vec![1, 8, 8], 3, split(50, 0), split(20, 1));
    Dataset::from_arrays(Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source }, 0.1).unwrap()
}

/// Two sides with batch norm, one of plain and one of varied pictures, and a head over both: 3 steps an epoch, 6 + 9 steps.
const SIDES: &str = "
    run = { epochs = 2, batch = 16, seed = 4 }
    data = { name = 'pictures' }
    augment = { rotate = 20, shift = 0.2, brightness = 0.3 }
    optim = { name = 'nadam', lr = 0.01 }
    loss = { outputs = ['a', 'b'] }
    stage = [{ epochs = 3, loss = { outputs = ['head'] }, optim = { name = 'sgd', lr = 0.1, momentum = 0.9 },
               unfreeze = { groups = [['head'], ['a', 'b'], ['?_*']], phases = ['1ep', '2ep'], lr = [1.0, 0.5, 0.25] } }]
    [model]
    layer = [{ type = 'linear', name = 'a_in', out = 6, from = 'data.plain' }, { type = 'linear', name = 'b_in', out = 6, from = 'data' },
             { type = 'batch_norm', name = 'a_norm', from = 'a_in' }, { type = 'batch_norm', name = 'b_norm', from = 'b_in' },
             { type = 'linear', name = 'a', out = 3, from = 'a_norm' }, { type = 'linear', name = 'b', out = 3, from = 'b_norm' },
             { type = 'concat', name = 'both', from = ['a', 'b'] }, { type = 'linear', name = 'head', out = 3 }]
    output = [{ from = 'head' }, { from = 'a' }, { from = 'b' }]";

fn recipe_of(text: &str, more: &[&str]) -> Recipe {
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(text, "test", &more).unwrap()
}

fn recipe(more: &[&str]) -> Recipe {
    recipe_of(SIDES, more)
}

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    Session::new(gpu, recipe, &pictures(), Choices::default()).unwrap()
}

/// A run with a checkpoint at every step; what it came to, and all of them in order.
fn kept(gpu: &Gpu, recipe: &Recipe) -> (Summary, Vec<Snapshot>) {
    let mut recipe = recipe.clone();
    (recipe.run.checkpoint_every, recipe.run.keep) = (Duration::Steps(1), 99);
    let home = tempfile::tempdir().unwrap();
    let control = Control { folder: Some(home.path().to_path_buf()), ..FREE };
    let summary = train(&mut session(gpu, &recipe), &control, &mut |_| Ok(())).unwrap();
    let at = |step: &u64| checkpoint::load(home.path(), Which::Step(*step)).unwrap().0;
    let all: Vec<Snapshot> = checkpoint::list(home.path()).unwrap().iter().map(at).collect();
    assert_eq!(all.len() as u64, summary.steps);
    (summary, all)
}

/// Whatever step another session goes on from, it comes to the digest of the run that never stopped; returns that.
fn resumes(gpu: &Gpu, recipe: &Recipe, steps: impl IntoIterator<Item = u64>) -> Summary {
    let (whole, all) = kept(gpu, recipe);
    for stop in steps.into_iter().filter(|stop| *stop < whole.steps) {
        let mut run = session(gpu, recipe);
        run.restore(&all[stop as usize - 1]).unwrap();
        assert_eq!(run.steps_done(), stop);
        let rest = train(&mut run, &FREE, &mut |_| Ok(())).unwrap();
        assert_eq!((rest.steps, &rest.digest), (whole.steps, &whole.digest), "resumed at step {stop}");
        assert_eq!(rest.train_flops, whole.train_flops, "resumed at step {stop}");
    }
    whole
}

#[test]
fn a_batch_has_two_views() {
    let data = pictures();
    let rows: Vec<u32> = (0..17).collect();
    let values = |gpu: &Gpu, asks: bool| {
        let mut feed = Feed::new(gpu, &data, &data.train, rows.len()).unwrap();
        let asked = if asks { recipe(&[]).augment } else { Default::default() };
        feed.vary(gpu, &asked, &Extent::of_samples(&data.shape), 20).unwrap();
        feed.shuffle(9, 2).unwrap();
        feed.store.order().write(&(0..data.train.len() as u32).collect::<Vec<_>>()).unwrap();
        let step = gpu.uniform("step", &Step { live: 17, ..Default::default() }).unwrap();
        let views = ["varied", "plain"].map(|name| gpu.tensor(name, Dtype::F32, &[64, 20]).unwrap());
        let label = gpu.tensor("label", Dtype::U32, &[20]).unwrap();
        let mut rec = Recorder::new(gpu);
        feed.store.record(&mut rec, &step, &views[0], &label).unwrap();
        feed.store.record_plain(&mut rec, &step, &views[1], &label).unwrap();
        rec.finish().unwrap().replay().unwrap();
        views.map(|view| view.read_f32().unwrap())
    };
    let own = data.columns(&data.train, &rows);
    let twin = values(&Gpu::twin(), true);
    for gpu in common::everywhere() {
        let [varied, plain] = values(&gpu, true);
        for feature in 0..64 {
            for col in 0..20 {
                let (at, wanted) = (feature * 20 + col, if col < 17 { own[feature * 17 + col] } else { 0.0 });
                // A product and a sum may be fused; between pixels an error of 1e-4 in the place shows.
                assert!((plain[at] - wanted).abs() <= 1e-5, "{feature}, {col}: {} and {wanted}", plain[at]);
                assert!((varied[at] - twin[0][at]).abs() <= 2e-3, "{feature}, {col}");
            }
        }
        let moved = varied.iter().zip(&plain).filter(|(a, b)| (*a - *b).abs() > 0.05).count();
        assert!(moved > 500, "{moved} of 1,088 values differ");
        let [same, plain] = values(&gpu, false);
        assert_eq!(same, plain, "nothing is varied");
    }
}

/// The side that reads plain pictures never sees how they are varied; the other does.
#[test]
fn each_side_trains_on_its_own_view() {
    for gpu in [common::device(), Gpu::twin()] {
        let weights = |more: &[&str]| {
            let mut run = session(&gpu, &recipe(more));
            (0..6).for_each(|_| drop(run.advance().unwrap()));
            run.weights().unwrap()
        };
        let (varied, plain) = (weights(&[]), weights(&["augment={}"]));
        for layer in ["in", "norm"] {
            assert_eq!(varied[&format!("a_{layer}.weight")], plain[&format!("a_{layer}.weight")]);
            assert_ne!(varied[&format!("b_{layer}.weight")], plain[&format!("b_{layer}.weight")]);
        }
        assert_eq!(varied["head.weight"], plain["head.weight"], "it does not train yet");
    }
}

#[test]
fn what_does_not_count_or_has_not_joined_keeps_every_bit() {
    for gpu in [common::device(), Gpu::twin()] {
        let recipe = recipe(&[]);
        let mut run = session(&gpu, &recipe);
        let (_, all) = kept(&gpu, &recipe);
        let first = [run.snapshot().unwrap().arrays];
        let states: Vec<&Arrays> = first.iter().chain(all.iter().map(|one| &one.arrays)).collect();
        // The stage, and the phases of the second one.
        let spans = [(0..6usize, "a b"), (6..9, "head"), (9..12, "head a b"), (12..15, "head a b _")];
        for (steps, trains) in spans {
            for step in steps {
                let (before, after) = (states[step], states[step + 1]);
                for name in after.keys().filter(|name| before.contains_key(*name)) {
                    let layer = name.split('.').next().unwrap();
                    let joined = match layer {
                        "head" => step >= 6,
                        "a" | "b" => !(6..9).contains(&step),
                        _ => !(6..12).contains(&step),
                    };
                    let context = format!("{name} in step {step}, where {trains} train");
                    // Batch norm takes out what a bias before it adds: its gradient is rounding alone.
                    if !(joined && name.contains("_in.bias")) {
                        assert_eq!(before[name] != after[name], joined, "{context}");
                    }
                    let is_slot = ["velocity", "first", "second"].iter().any(|slot| name.ends_with(slot));
                    if is_slot && !joined {
                        assert!(after[name].to_f32().iter().all(|slot| *slot == 0.0), "{context}");
                    }
                }
            }
        }
        // Slots of the stage before are gone.
        assert!(states[6].contains_key("a.weight.first") && !states[7].contains_key("a.weight.first"));
        assert!(states[7].contains_key("a.weight.velocity"));
        run.restore(&all[7]).unwrap();
        assert_eq!((run.stage().stage, run.step, run.stage().outputs), (2, 2, vec!["head".to_string()]));
        assert!((run.learning_rate() - 0.1).abs() < 1e-12);
    }
}

#[test]
fn a_stage_goes_on_from_every_step_of_any() {
    let plain = resumes(&Gpu::twin(), &recipe(&[]), 1..15);
    assert_eq!((plain.steps, plain.epochs), (15, 5.0));
    let other = recipe(&["stage.0.optim.momentum=0.8"]);
    assert_ne!(
        plain.digest,
        train(&mut session(&Gpu::twin(), &other), &FREE, &mut |_| Ok(())).unwrap().digest
    );
    resumes(&common::device(), &recipe(&[]), [5, 6, 7, 10]);
    // Dense, then pruned; pruned, then held: by another optimizer and another storage.
    let gpu = Gpu::twin();
    let gmp = "{method='gmp',target=0.8,storage='packed',schedule={every='2',end='4'}}";
    let pruned = resumes(&gpu, &recipe(&[&format!("stage.0.sparsity={gmp}")]), 1..15);
    assert_eq!((pruned.total, pruned.kept), (822, 164));
    let held = [&format!("sparsity={gmp}")[..], "stage.0.sparsity={method='held',storage='masked'}"];
    let held = resumes(&gpu, &recipe(&held), 1..15);
    assert_eq!((held.total, held.kept), (822, 164));
}

/// With a learning rate of 0 the loss never falls: the first evaluation sets it, two more are waited for.
#[test]
fn patience_ends_a_stage_and_the_next_one_begins() {
    let gpu = Gpu::twin();
    let still = ["run.epochs=10", "run.patience=2", "optim.lr=0", "augment={}", "loss.outputs=['head']"];
    let text = SIDES.replace("batch_norm", "relu");
    let recipe = recipe_of(&text, &still);
    let whole = resumes(&gpu, &recipe, 1..18);
    assert_eq!(whole.steps, 9 + 9);
    let mut begun = Vec::new();
    train(&mut session(&gpu, &recipe), &FREE, &mut |event| {
        if let Event::StageEntered(stage, _) = event {
            begun.push((stage.stage, stage.step));
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(begun, [(1, 0), (2, 9)]);
    let alone = recipe_of(&text, &[&still[..], &["stage=[]"]].concat());
    let mut run = session(&gpu, &alone);
    let summary = train(&mut run, &FREE, &mut |_| Ok(())).unwrap();
    assert!(summary.steps == 9 && summary.done && run.is_done());
}

#[test]
fn what_cannot_be_is_refused_before_the_first_step() {
    let refused = |more: &[&str]| {
        let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
        let recipe = Recipe::parse(SIDES, "test", &more);
        let built = recipe.and_then(|recipe| {
            Session::new(&Gpu::twin(), &recipe, &pictures(), Choices::default()).map(|_| ())
        });
        built.expect_err("it is refused").to_string()
    };
    for (more, words) in [
        (&["loss.outputs=['haed']"][..], &["unknown output `haed`", "did you mean `head`"][..]),
        (&["loss.outputs=[]"], &["names of outputs"]),
        (&["loss.outputs={head=0}"], &["their weights above 0"]),
        (&["stage.0.loss.outputs=['c']"], &["unknown output `c`", "stage 2 of 2"]),
        (&["stage.0.optim.momentun=0.9"], &["stage.0.optim.momentun", "did you mean `momentum`"]),
        (&["stage.0.optim.name=sgdd"], &["unknown optimizer `sgdd`"]),
        (&["stage.0.unfreeze.phases=['1ep','9ep']"], &["a phase begins within the run", "stage 2 of 2"]),
        (&["stage=[{}]"], &["`stage.0.epochs` is missing"]),
        (&["stage=[{epochs=1,steps=2}]"], &["`stage.0.steps` and `stage.0.epochs` both"]),
        (&["stage=[{epochs=1,batch=3}]"], &["unknown key `stage.0.batch`"]),
        (&["run.patience=0"], &["a whole number of evaluations"]),
        (&["stage.0.sparsity={method='held'}"], &["no stage before it prunes"]),
        (&["distill={method='ps-kd'}"], &["distillation is for"]),
        (
            &["stage.0.sparsity={method='imp',target=0.2}", "stage.0.epochs=20", "stage.0.unfreeze={}"],
            &["goes back to step 0", "sparsity.rewind"],
        ),
        (&["model.layer.0.name=data.plain"], &["two values cannot both be called `data.plain`"]),
        (&["model.output.0.from=data.plain"], &["the data has 3 classes"]),
        (&["model.layer.0.from=data.plian"], &["did you mean `data.plain`"]),
    ] {
        let text = refused(more);
        words.iter().for_each(|word| assert!(text.contains(word), "{more:?}: no `{word}` in {text}"));
    }
    let recipe = recipe(&["stage.0.patience=3"]);
    let mut all = pictures();
    all.validation = Split::bytes(Vec::new(), Vec::new());
    let error = Session::new(&Gpu::twin(), &recipe, &all, Choices::default()).err().unwrap().to_string();
    assert!(error.contains("nothing is held out") && error.contains("stage 2 of 2"), "{error}");
}

/// From the command line: planned, trained, stopped, resumed, judged by its head, and shown.
#[test]
fn one_recipe_runs_both_stages() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let keys = [
        "run.epochs=1",
        "run.checkpoint_every='7'",
        "stage.0.epochs=2",
        "stage.0.unfreeze={groups=[['head','fc1'],['*_*']],phases=['1ep'],lr=[1,0.5]}",
        "stage.0.sparsity={method='gmp',target=0.5,schedule={every='9'}}",
    ];
    let keys: Vec<&str> = keys.iter().flat_map(|key| ["-s", key]).collect();
    let plan = program::json(home, &[&["plan", "digits-dual-cnn", "--json"], &keys[..]].concat());
    let per_epoch = plan["steps_per_epoch"].as_u64().unwrap();
    let (first, second) = (&plan["stages"][0], &plan["stages"][1]);
    assert_eq!((first["step"].as_u64(), first["optimizer"].as_str()), (Some(0), Some("nadam")));
    assert_eq!((second["step"].as_u64(), second["optimizer"].as_str()), (Some(per_epoch), Some("sgd")));
    assert_eq!(second["outputs"], serde_json::json!(["head"]));
    assert_eq!(second["phases"][1]["step"], 2 * per_epoch);
    let text = program::run(home, &[&["plan", "digits-dual-cnn"], &keys[..]].concat()).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("stage 1 of 2") && text.contains("stage 2 of 2"), "{text}");

    let train = |more: &[&str]| {
        let own = ["train", "digits-dual-cnn", "-q", "--json", "--no-autotune"];
        program::json(home, &[&own[..], &keys, more].concat())
    };
    let whole = train(&["--out", "whole"]);
    let at = (per_epoch + 3).to_string();
    train(&["--out", "cut", "--max-steps", &at]);
    let rest = program::json(home, &["resume", "cut", "-q", "--json"]);
    assert_eq!((&whole["digest"], whole["steps"].as_u64()), (&rest["digest"], Some(3 * per_epoch)));
    assert_eq!(
        program::json(home, &["resume", "cut", "-q", "--json"])["digest"],
        rest["digest"],
        "it is done"
    );
    for file in ["metrics.jsonl", "masks/updates.jsonl"] {
        let read = |run: &str| std::fs::read_to_string(home.join(run).join(file)).unwrap();
        let steps = |text: String| -> Vec<serde_json::Value> {
            let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            lines.filter(|line| line["kind"] != "train").map(|line| line["step"].clone()).collect()
        };
        assert_eq!(steps(read("whole")), steps(read("cut")), "{file}");
    }
    let judged = program::json(home, &["eval", "cut", "--json"]);
    assert_eq!(judged["test_accuracy"], rest["test_accuracy"]);
    let history = program::json(home, &["inspect", "cut", "--history", "--json"]);
    assert_eq!(history["stages"], serde_json::json!([0, per_epoch]));
    assert_eq!(history["all"][0]["step"], 0);
}
