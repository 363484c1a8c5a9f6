//! The journal of masks: what it says is what a run did, wherever the run stops, and whatever became of the file.

mod common;

use std::fs;
use std::path::Path;

use coppice::data::{Dataset, Source, Split};
use coppice::error::Kind;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, word};
use coppice::recipe::Recipe;
use coppice::report::files::{Files, read_lines};
use coppice::report::history::history;
use coppice::report::journal::{self, Keeper, Reader};
use coppice::report::life::{What, life};
use coppice::report::overlap;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Event, Session, train};

/// 300 random samples of 20 bytes; three classes by the largest of three features.
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

const GMP: &str = "sparsity = { method = 'gmp', target = 0.8, schedule = { every = '5' }";
const RIGL: &str = "sparsity = { method = 'rigl', target = 0.8, distribution = 'erk', \
                    schedule = { begin = '0', end = '80%', every = '4' }, \
                    growth = { by = 'gradient', fraction = { type = 'cosine', start = 0.3 } }";
const STATIC: &str = "sparsity = { method = 'static', target = 0.8, distribution = 'erk'";
/// Every way in which masks come to be: gradual ones that are packed from a density on, and those that grow.
const METHODS: [(&str, &str); 7] = [
    (GMP, "masked"),
    (GMP, "packed"),
    (GMP, "auto"),
    (RIGL, "masked"),
    (RIGL, "packed"),
    (STATIC, "masked"),
    (STATIC, "packed"),
];

fn recipe(sparsity: &str, storage: &str) -> Recipe {
    parse(&format!("{sparsity}, storage = '{storage}', rule = [{{ match = 'head', dense = true }}] }}"))
}

fn parse(sparsity: &str) -> Recipe {
    let text = format!(
        "run = {{ epochs = 6, batch = 32, seed = 5, log_every = '7', checkpoint_every = '10', keep = 100 }}
         data = {{ name = 'bytes' }}
         model = {{ preset = 'mlp', hidden = [33, 17] }}
         optim = {{ name = 'sgd', lr = 0.1, momentum = 0.9 }}
         {sparsity}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

/// The mask of every prunable weight, a flag each, in the order of the model.
type Flags = Vec<Vec<bool>>;

fn flags(words: &[u32], len: usize) -> Vec<bool> {
    (0..len).map(|i| words[i / 32] >> (i % 32) & 1 == 1).collect()
}

fn masks_of(run: &Session) -> Flags {
    let params = run.model.params.iter().filter(|param| param.prunable);
    params.map(|param| flags(&param.read_mask().unwrap(), param.len())).collect()
}

/// Goes on in `folder`, from its last checkpoint if there is one, until so many steps are done.
fn go(gpu: &Gpu, recipe: &Recipe, folder: &Path, stop_at: Option<u64>) -> Option<String> {
    let mut run = Session::new(gpu, recipe, &data(), Choices::default()).unwrap();
    if !checkpoint::list(folder).unwrap().is_empty() {
        run.restore(&checkpoint::load(folder, Which::Last).unwrap().0).unwrap();
    }
    let mut files = Files::open(folder, run.step).unwrap();
    let (mut keeper, warning) = Keeper::open(folder, &mut run).unwrap();
    let control = Control { folder: Some(folder.to_path_buf()), stop_at, signal: &|| None, dump: None };
    train(&mut run, &control, &mut |event: Event| {
        keeper.listen(&event)?;
        files.listen(&event)
    })
    .unwrap();
    warning.map(|error| error.to_string())
}

/// The masks of the start and after every update, read from the run itself, step by step.
fn witnessed(gpu: &Gpu, recipe: &Recipe) -> Vec<(u64, Flags)> {
    let mut run = Session::new(gpu, recipe, &data(), Choices::default()).unwrap();
    let mut all = vec![(0, masks_of(&run))];
    while !run.is_done() {
        if let Some(change) = run.advance().unwrap() {
            all.push((change.step, masks_of(&run)));
        }
    }
    all
}

/// The same from the journal.
fn recorded(folder: &Path) -> Vec<(u64, Flags)> {
    let mut reader = Reader::open(folder).unwrap();
    let state = |reader: &Reader| {
        let layers = reader.masks.layers.iter().map(|layer| flags(layer.mask(), layer.len()));
        (reader.masks.step, layers.collect::<Flags>())
    };
    let mut all = vec![state(&reader)];
    while reader.advance().unwrap().is_some() {
        all.push(state(&reader));
    }
    assert!(reader.warning().is_none());
    all
}

#[test]
fn the_journal_has_every_mask_that_the_run_had() {
    for gpu in common::devices().into_iter().filter(Gpu::is_device).chain([Gpu::twin()]) {
        for (sparsity, storage) in METHODS {
            let context = format!("{sparsity}, {storage}, on {:?}", gpu.identity());
            let recipe = recipe(sparsity, storage);
            let home = tempfile::tempdir().unwrap();
            assert_eq!(go(&gpu, &recipe, home.path(), None), None, "{context}");
            let (own, journal) = (witnessed(&gpu, &recipe), recorded(home.path()));
            assert_eq!(own.len() > 1, sparsity != STATIC, "{context}");
            assert!(own == journal, "{context}: steps {:?}", own.iter().map(|m| m.0).collect::<Vec<_>>());
            // And at every checkpoint, the last one included.
            let steps = checkpoint::list(home.path()).unwrap();
            assert!(steps.len() > 3, "{context}");
            for step in steps {
                let arrays = checkpoint::load(home.path(), Which::Step(step)).unwrap().0.dense().unwrap();
                let masks = &journal.iter().rfind(|(at, _)| *at < step).unwrap().1;
                for (name, mask) in ["fc1.weight", "fc2.weight"].into_iter().zip([&masks[0], &masks[1]]) {
                    let words = arrays[&format!("{name}.mask")].to_u32().unwrap();
                    assert!(flags(&words, mask.len()) == *mask, "{context}: {name} at step {step}");
                }
            }
            same_figures(home.path(), &own, &context);
            if (sparsity, storage) == (GMP, "auto") {
                let text = fs::read_to_string(home.path().join("masks/updates.jsonl")).unwrap();
                assert!(text.contains("\"masked\"") && text.contains("\"packed\""), "it switches in mid-run");
            }
        }
    }
}

/// Kept, grown, dropped, explored and R_s against a plain recomputation, in the history and in `updates.jsonl`.
fn same_figures(folder: &Path, own: &[(u64, Flags)], context: &str) {
    let (found, warning) = history(folder, None).unwrap();
    assert!(warning.is_none());
    let lines = read_lines(&folder.join("masks/updates.jsonl")).unwrap();
    assert_eq!(lines.len(), own.len() - 1, "{context}");
    for (number, layer) in found.layers.iter().enumerate() {
        let mask = |at: usize| -> &Vec<bool> { &own[at].1[number] };
        assert_eq!(layer.points.len(), own.len());
        for (at, point) in layer.points.iter().enumerate() {
            let count = |what: &dyn Fn(usize) -> bool| (0..layer.total).filter(|&i| what(i)).count();
            let kept = count(&|i| mask(at)[i]);
            let grown = count(&|i| at > 0 && mask(at)[i] && !mask(at - 1)[i]);
            let dropped = count(&|i| at > 0 && !mask(at)[i] && mask(at - 1)[i]);
            let explored = count(&|i| (0..=at).any(|t| mask(t)[i]));
            let got = (point.step, point.kept, point.grown, point.dropped, point.explored);
            assert_eq!(got, (own[at].0, kept, grown, dropped, explored), "{context}: {}", layer.name);
            assert_eq!(point.r_s, explored as f64 / layer.total as f64);
            assert_eq!(point.churn, (grown + dropped) as f64 / kept as f64);
            let line = at.checked_sub(1).map(|at| lines[at]["layers"].as_array().unwrap());
            let line = line.and_then(|layers| layers.iter().find(|l| l["name"] == *layer.name));
            if let Some(line) = line {
                let figures = ["kept", "grown", "dropped", "explored"].map(|key| line[key].as_u64().unwrap());
                assert_eq!(figures, [kept, grown, dropped, explored].map(|n| n as u64), "{context}");
            }
        }
    }
    let explored: usize = found.layers.iter().map(|l| l.points.last().unwrap().explored).sum();
    assert_eq!(found.all.last().unwrap().explored, explored);
    assert_eq!(found.all.last().unwrap().r_s, explored as f64 / found.total as f64);
}

#[test]
fn stopped_and_resumed_anywhere_the_journal_is_that_of_a_whole_run() {
    let gpu = common::device();
    for (sparsity, storage) in [(GMP, "auto"), (RIGL, "masked"), (RIGL, "packed"), (STATIC, "packed")] {
        let recipe = recipe(sparsity, storage);
        let whole = tempfile::tempdir().unwrap();
        go(&gpu, &recipe, whole.path(), None);
        let bytes = |folder: &Path| fs::read(folder.join(journal::FILE)).unwrap();
        let lines = |folder: &Path| read_lines(&folder.join("masks/updates.jsonl")).unwrap();
        for stop in [1, 5, 6, 17] {
            let home = tempfile::tempdir().unwrap();
            let home = home.path();
            go(&gpu, &recipe, home, Some(stop));
            // Killed at a later step: what was written since the checkpoint goes, half of a record included.
            let checkpoints = home.join("ckpt");
            go(&gpu, &recipe, home, Some(stop + 6));
            for step in checkpoint::list(home).unwrap().into_iter().filter(|step| *step > stop) {
                fs::remove_dir_all(checkpoints.join(format!("step-{step:09}"))).unwrap();
            }
            let torn = [bytes(home), vec![200, 0, 0, 0, 0, 0, 0, 0, 31]].concat();
            fs::write(home.join(journal::FILE), torn).unwrap();
            assert_eq!(go(&gpu, &recipe, home, None), None);
            assert!(bytes(home) == bytes(whole.path()), "{sparsity}, {storage}, stopped at {stop}");
            assert_eq!(lines(home), lines(whole.path()), "{sparsity}, {storage}, stopped at {stop}");
        }
    }
}

#[test]
fn a_damaged_journal_is_an_error_to_readers_and_a_warning_to_the_run() {
    let gpu = common::device();
    let recipe = recipe(RIGL, "packed");
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    go(&gpu, &recipe, home, Some(20));
    let path = home.join(journal::FILE);
    let whole = fs::read(&path).unwrap();

    // Cut off in its last record: the rest is shown, with a warning.
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let (found, warning) = history(home, None).unwrap();
    assert_eq!(found.all.last().unwrap().step, 12);
    assert!(warning.unwrap().to_string().contains("up to step 12"));

    // A flipped bit.
    let mut bytes = whole.clone();
    bytes[whole.len() - 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = history(home, None).unwrap_err();
    assert_eq!(error.kind, Kind::Checkpoint);
    assert!(error.to_string().contains("journal.bin is damaged\n  record"), "{error}");

    // The run goes on, and begins another one at its step.
    let warning = go(&gpu, &recipe, home, Some(30)).unwrap();
    assert!(warning.contains("set aside") && warning.contains("begins at step 20"), "{warning}");
    assert_eq!(fs::read(home.join("masks/journal.damaged.bin")).unwrap(), bytes);
    let (found, _) = history(home, None).unwrap();
    assert_eq!((found.first_step, found.all[0].kept), (20, found.all[1].kept));
    assert!(found.table().contains("the journal begins at step 20"));

    fs::remove_file(&path).unwrap();
    let error = history(home, None).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.to_string().contains("has no journal of masks"), "{error}");
    assert!(go(&gpu, &recipe, home, None).unwrap().contains("does not exist"));
}

#[test]
fn the_life_of_a_weight_is_what_the_masks_say() {
    let gpu = common::device();
    let recipe = recipe(RIGL, "packed");
    let home = tempfile::tempdir().unwrap();
    go(&gpu, &recipe, home.path(), None);
    let own = witnessed(&gpu, &recipe);
    let last = checkpoint::list(home.path()).unwrap().pop().unwrap();
    let mut lively = 0;
    for (row, column) in (0..33).flat_map(|row| (0..20).step_by(3).map(move |column| (row, column))) {
        let (found, warnings) = life(home.path(), &format!("fc1[{row},{column}]")).unwrap();
        assert!(warnings.is_empty());
        let kept = |at: usize| own[at].1[0][row * 20 + column];
        let mut want = vec![(0, if kept(0) { What::Kept } else { What::Pruned })];
        let turned = (1..own.len()).filter(|&at| kept(at) != kept(at - 1));
        want.extend(turned.map(|at| (own[at].0, if kept(at) { What::Grown } else { What::Dropped })));
        let got: Vec<(u64, What)> = found.turns.iter().map(|turn| (turn.step, turn.what)).collect();
        assert_eq!(got, want, "fc1[{row},{column}]");
        let in_step = |step: u64| kept(own.iter().rposition(|(at, _)| *at <= step).unwrap());
        assert_eq!(found.kept_steps, (0..last).filter(|&step| in_step(step)).count() as u64);
        assert!(found.values.len() > 3);
        for value in &found.values {
            let arrays = checkpoint::load(home.path(), Which::Step(value.step)).unwrap().0.dense().unwrap();
            assert_eq!(value.value, arrays["fc1.weight"].to_f32()[row * 20 + column]);
            assert_eq!(value.kept, in_step(value.step - 1));
            assert!(value.kept || value.value == 0.0);
        }
        lively += usize::from(want.len() > 2);
    }
    assert!(lively > 5, "only {lively} weights came and went");

    let refused = |weight: &str| life(home.path(), weight).unwrap_err().to_string();
    assert!(refused("fc9[0,0]").contains("there are: fc1 (33 x 20), fc2 (17 x 33), head (3 x 17)"));
    assert!(refused("fc*[0,0]").contains("several layers"));
    assert!(refused("fc1[33,0]").contains("`fc1.weight` is 33 x 20"));
    assert!(refused("fc1[3]").contains("`fc1.weight` is 33 x 20"));
}

#[test]
fn the_overlap_of_two_runs_is_that_of_their_masks() {
    let gpu = common::device();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let recipes = [recipe(RIGL, "packed"), recipe(GMP, "masked")];
    go(&gpu, &recipes[0], a.path(), None);
    go(&gpu, &recipes[1], b.path(), None);
    let own: Vec<_> = recipes.iter().map(|recipe| witnessed(&gpu, recipe)).collect();
    let (found, warnings) = overlap::compare(a.path(), b.path(), Some("fc1")).unwrap();
    assert!(warnings.is_empty() && found.layers.len() == 1);
    let mut steps: Vec<u64> = own.iter().flatten().map(|(step, _)| *step).collect();
    steps.sort_unstable();
    steps.dedup();
    let got: Vec<u64> = found.layers[0].points.iter().map(|point| point.step).collect();
    assert_eq!(got, steps);
    for point in &found.layers[0].points {
        let at = |run: usize| &own[run].iter().rfind(|(step, _)| *step <= point.step).unwrap().1[0];
        let count =
            |what: fn(bool, bool) -> bool| at(0).iter().zip(at(1)).filter(|(x, y)| what(**x, **y)).count();
        let (both, either) = (count(|x, y| x && y), count(|x, y| x || y));
        let want = (count(|x, _| x), count(|_, y| y), both, both as f64 / either as f64);
        assert_eq!((point.first, point.second, point.both, point.overlap), want, "step {}", point.step);
    }
    let (same, _) = overlap::compare(a.path(), a.path(), None).unwrap();
    assert!(same.layers.iter().flat_map(|layer| &layer.points).all(|point| point.overlap == 1.0));
}

#[test]
fn a_run_without_a_journal_reads_no_masks_and_says_no_flips() {
    let mut run =
        Session::new(&common::device(), &recipe(RIGL, "masked"), &data(), Choices::default()).unwrap();
    let control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
    let mut updates = 0;
    train(&mut run, &control, &mut |event| {
        if let Event::MasksChanged(_, flips) = event {
            assert!(flips.is_none());
            updates += 1;
        }
        Ok(())
    })
    .unwrap();
    assert!(updates > 3 && run.recorded.is_none());
    let dense = parse("sparsity = { method = 'none', target = 0 }");
    let home = tempfile::tempdir().unwrap();
    go(&common::device(), &dense, home.path(), None);
    assert!(!home.path().join(journal::FILE).exists());
}
