//! Runs on varied pictures: same bits when stopped and resumed, plain samples where nothing is varied or judged.

mod common;

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, word};
use coppice::recipe::Recipe;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Part, Session, Summary, shown, train};

/// 100 colour pictures of 5 x 6, the last batch not full; two classes by whether they are bright at the top.
fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let byte = |i| word(3, Stream::Test, 0, tensor, i) as u8;
        let values: Vec<u8> = (0..samples * 90).map(byte).collect();
        let class = |row: &[u8]| u8::from(row[..6].iter().map(|v| u32::from(*v)).sum::<u32>() > 765);
        let labels = values.chunks(90).map(class).collect();
        Split::bytes(values, labels)
    };
    let source = Source::new("pictures", vec![3, 5, 6], 2, split(100, 0), split(40, 1));
    let (scale, shift) = (vec![1.0 / 64.0, 1.0 / 32.0, 1.0 / 128.0], vec![-2.0, -4.0, -1.0]);
    Dataset::from_arrays(Source { scale, shift, ..source }, 0.1).unwrap()
}

const EVERYTHING: &str =
    "augment={flip=true,crop=1,shift=0.2,rotate=20,zoom=0.2,brightness=0.3,contrast=0.3,cutout=2}";

fn recipe(more: &[&str]) -> Recipe {
    let text = "
        run = { epochs = 3, batch = 32, seed = 5, checkpoint_every = '10' }
        data = { name = 'pictures' }
        model = { preset = 'mlp', hidden = [13] }
        optim = { name = 'sgd', lr = 0.05, momentum = 0.9 }
        sparsity = { method = 'gmp', target = 0.5, schedule = { every = '2' } }";
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(text, "test", &more).unwrap()
}

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    Session::new(gpu, recipe, &data(), Choices::default()).unwrap()
}

fn run(gpu: &Gpu, recipe: &Recipe, control: &Control) -> Summary {
    train(&mut session(gpu, recipe), control, &mut |_| Ok(())).unwrap()
}

#[test]
fn stopping_and_resuming_at_every_step_changes_no_bit() {
    for gpu in common::everywhere() {
        let recipe = recipe(&[EVERYTHING]);
        let whole = run(&gpu, &recipe, &FREE);
        assert_eq!(run(&gpu, &recipe, &FREE).digest, whole.digest);
        for stop in 1..whole.steps {
            let home = tempfile::tempdir().unwrap();
            let control = Control { folder: Some(home.path().to_path_buf()), stop_at: Some(stop), ..FREE };
            run(&gpu, &recipe, &control);
            let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
            let mut session = session(&gpu, &recipe);
            session.restore(&snapshot).unwrap();
            let rest = train(&mut session, &FREE, &mut |_| Ok(())).unwrap();
            assert_eq!(rest.digest, whole.digest, "resumed at step {stop}");
        }
    }
}

#[test]
fn every_variation_changes_a_run_and_none_of_them_changes_nothing() {
    let gpu = common::device();
    let plain = run(&gpu, &recipe(&[]), &FREE);
    let off = "augment={flip=false,crop=0,shift=0,rotate=0,zoom=0,brightness=0,contrast=0,cutout=0}";
    assert_eq!(run(&gpu, &recipe(&[off]), &FREE).digest, plain.digest);
    let one_each = [
        "flip=true",
        "crop=1",
        "shift=0.2",
        "rotate=9",
        "zoom=0.1",
        "brightness=0.1",
        "contrast=0.1",
        "cutout=1",
    ];
    let mut digests: Vec<String> =
        one_each.iter().map(|one| run(&gpu, &recipe(&[&format!("augment.{one}")]), &FREE).digest).collect();
    digests.push(plain.digest);
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), one_each.len() + 1);
}

/// With a rate of 0 the network stays what it is: evaluations see what a plain run's see, and training steps do not.
#[test]
fn evaluations_see_plain_samples() {
    let gpu = common::device();
    let text = "
        run = { epochs = 1, batch = 32, seed = 5 }
        data = { name = 'pictures' }
        model = { preset = 'mlp', hidden = [13] }
        optim = { name = 'sgd', lr = 0.0 }";
    let [plain, varied] = [&[][..], &[EVERYTHING.to_string()]].map(|more| {
        let mut run = session(&gpu, &Recipe::parse(text, "test", more).unwrap());
        let judged = |run: &Session| [Part::Validation, Part::Test].map(|part| run.evaluate(part).unwrap());
        let before = judged(&run);
        run.advance().unwrap();
        assert_eq!(judged(&run), before);
        (before, run.take_totals().unwrap().mean_loss())
    });
    assert_eq!(plain.0, varied.0);
    assert_ne!(plain.1, varied.1);
}

#[test]
fn what_is_shown_is_plain_without_variations_and_the_same_on_every_device() {
    let data = data();
    let rows = [7, 0, 88, 3, 41];
    let twin = shown(&Gpu::twin(), &recipe(&[EVERYTHING]), &data, 2, &rows).unwrap();
    for gpu in common::everywhere() {
        let plain = shown(&gpu, &recipe(&[]), &data, 2, &rows).unwrap();
        assert_eq!(plain, data.columns(&data.train, &rows));
        let found = shown(&gpu, &recipe(&[EVERYTHING]), &data, 2, &rows).unwrap();
        let furthest = found.iter().zip(&twin).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // An error of 1e-4 of a pixel in the place, times 255, times the largest scale.
        assert!(furthest <= 2e-3, "{furthest}");
    }
}

/// `tests/oracle/make_augment.py` says how these pictures came about.
#[test]
fn varied_pictures_are_those_of_another_implementation() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("oracle/augment.json")).expect("JSON");
    let picture = |n: usize| (0..90usize).map(move |i| (31 * i + 17 * n + i * i) as u8);
    let split = || Split::bytes((0..12).flat_map(picture).collect(), [0, 1].repeat(6));
    let source = Source::new("pictures", vec![3, 5, 6], 2, split(), split());
    let (scale, shift) = (vec![1.0 / 64.0, 1.0 / 32.0, 1.0 / 128.0], vec![-2.0, -4.0, -1.0]);
    let data = Dataset::from_arrays(Source { scale, shift, ..source }, 0.0).unwrap();
    let samples: Vec<u32> = serde_json::from_value(golden["samples"].clone()).unwrap();
    for gpu in common::everywhere() {
        for case in golden["cases"].as_array().unwrap() {
            let keys = case["augment"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| format!("augment.{key}={value}"));
            let keys: Vec<String> = keys.chain([format!("run.seed={}", golden["seed"])]).collect();
            let recipe = recipe(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            let found = shown(&gpu, &recipe, &data, case["epoch"].as_u64().unwrap(), &samples).unwrap();
            let want: Vec<Vec<f32>> = serde_json::from_value(case["pictures"].clone()).unwrap();
            for (col, want) in want.iter().enumerate() {
                for (feature, want) in want.iter().enumerate() {
                    let found = found[feature * samples.len() + col];
                    // As between devices: the place is in f32 here.
                    assert!(
                        (found - want).abs() <= 2e-3,
                        "{}, {col}, {feature}: {found}, not {want}",
                        case["name"]
                    );
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_varied_is_refused() {
    let gpu = Gpu::twin();
    let split = || Split::bytes((0..180).collect(), vec![0, 1]);
    let flat = Dataset::from_arrays(Source::new("flat", vec![90], 2, split(), split()), 0.0).unwrap();
    let refused = |data: &Dataset, more: &str| {
        let error = Session::new(&gpu, &recipe(&[more]), data, Choices::default()).err().expect(more);
        assert_eq!(error.kind, coppice::error::Kind::Usage);
        error.to_string()
    };
    assert!(refused(&flat, "augment.flip=true").contains("expected: samples of (channels, height, width)"));
    assert!(refused(&data(), "augment.crop=5").contains("expected: less than 5; found: 5"));
    assert!(refused(&data(), "augment.cutout=6").contains("a side of at most 5; found: 6"));
}
