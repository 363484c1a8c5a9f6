//! Search over subnets: what is counted, pruned and evaluated, that a search goes on where it was stopped, and the command.

#[path = "common/program.rs"]
mod program;

use coppice::data::{self, Dataset};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::search::{Counter, Event, Evolution, Kind, Options, Search, Shape};
use coppice::shrink::{Density, Pick};
use coppice::train::{Part, Session, thin};

const RECIPE: &str = "
    run = { steps = 6, batch = 16, seed = 5 }
    data = { name = 'digits', validation = 0.2 }
    optim = { name = 'sgd', lr = 0.1 }
    model = { preset = 'once-for-all', stem = 8, stem_stride = 2, channels = [8, 8], strides = [1, 2], last = 8,
              kernels = [5, 3], expansions = [2, 1], depths = [2, 1] }
    shrink = { phases = ['full', 'kernel', 'depth', 'width'], begin = ['2', '3', '4'], lr = [1.0, 0.5, 0.5, 0.5],
               subnets = [1, 1, 1, 2] }
    finish = { recalibrate = 2 }";

fn images() -> Dataset {
    data::open("digits", 0.2).unwrap().to_compare(40).0
}

fn session(gpu: &Gpu, data: &Dataset) -> Session {
    session_with(gpu, data, &[])
}

fn session_with(gpu: &Gpu, data: &Dataset, more: &[String]) -> Session {
    let recipe = Recipe::parse(RECIPE, "test", more).unwrap();
    let mut run = Session::new(gpu, &recipe, data, Choices::default()).unwrap();
    while !run.is_done() {
        run.advance().unwrap();
    }
    run
}

fn options() -> Options {
    Options {
        evaluate: 15,
        densities: vec![Density::Share(0.5), Density::Full],
        evolution: Evolution { population: 10, generations: 3, ..Evolution::default() },
        predictor: Shape { hidden: vec![8], steps: 20, ..Shape::default() },
        finalists: 2,
        random: 4,
        repeats: 1,
        ..Options::default()
    }
}

#[test]
fn what_subnets_are_judged_on_is_held_out_if_anything_is() {
    let whole = data::open("digits", 0.2).unwrap();
    let (some, held_out) = whole.to_compare(40);
    assert!(held_out && some.validation.labels == whole.validation.labels[..40]);
    assert_eq!((some.train.len(), some.hash.as_str()), (whole.train.len(), whole.hash.as_str()));
    let whole = data::open("digits", 0.0).unwrap();
    let (some, held_out) = whole.to_compare(40);
    let from = whole.train.len() - 40;
    assert!(!held_out && some.validation.labels == whole.train.labels[from..]);
    assert_eq!(whole.to_compare(1 << 40).0.validation.len(), whole.train.len(), "no more than there are");
}

/// Without recalibration a subnet has the first channels of what the whole network's statistics are.
#[test]
fn statistics_of_the_whole_network_stay_where_they_are_asked_for() {
    let run = session(&Gpu::twin(), &images());
    let supernet = run.supernet().unwrap();
    let smallest = supernet.space.smallest().into();
    let of = |part: &coppice::shrink::Part| run.weights_of(part).unwrap();
    let full = of(&run.cut(&supernet, &supernet.space.full()).unwrap());
    let left = of(&run.cut_as_trained(&supernet, &smallest).unwrap());
    let own = of(&run.cut_pick(&supernet, &smallest).unwrap());
    let mut seen = 0;
    for (name, values) in left.iter().filter(|(name, _)| name.ends_with("running_var")) {
        let [left, own, full] = [values, &own[name], &full[name]].map(|array| array.to_f32());
        assert_eq!(left, full[..left.len()], "{name}");
        assert!(left.iter().all(|variance| *variance > 0.0), "{name}");
        seen += usize::from(left != own);
    }
    assert!(seen > 1, "{seen} layers have others of their own");
}

/// Every layer keeps its share, of the largest magnitudes, and stored weights stay as they are.
#[test]
fn pruned_subnets_keep_the_largest_weights_of_every_layer() {
    let gpu = Gpu::twin();
    let run = session(&gpu, &images());
    let before = run.weights().unwrap();
    let supernet = run.supernet().unwrap();
    let loss = |text: &str| {
        let part = run.cut_pick(&supernet, &Pick::parse(&supernet.space, text).unwrap()).unwrap();
        run.evaluate_part(&part, Part::Validation).unwrap().unwrap().totals.mean_loss()
    };
    let dense = run.cut(&supernet, &supernet.space.full()).unwrap();
    let dense_weights = run.weights_of(&dense).unwrap();
    for text in ["full density=0.3", "full density=2:4"] {
        let pick = Pick::parse(&supernet.space, text).unwrap();
        let part = run.cut_pick(&supernet, &pick).unwrap();
        let weights = run.weights_of(&part).unwrap();
        for param in part.model.params.iter().filter(|param| param.prunable) {
            let (all, some) = (dense_weights[&param.name].to_f32(), weights[&param.name].to_f32());
            let kept = some.iter().filter(|w| **w != 0.0).count();
            assert_eq!(kept, thin::kept(param, pick.density), "{text}, {}", param.name);
            assert!(all.iter().zip(&some).all(|(a, b)| a == b || *b == 0.0), "{text}, {}", param.name);
            if text.ends_with("0.3") {
                let dropped = all.iter().zip(&some).filter(|(_, b)| **b == 0.0).map(|(a, _)| a.abs());
                let least = some.iter().filter(|w| **w != 0.0).map(|w| w.abs()).fold(f32::MAX, f32::min);
                assert!(dropped.fold(0.0, f32::max) <= least, "{}", param.name);
            }
        }
        assert_ne!(loss(text), loss("full"), "{text}");
    }
    assert_eq!(run.weights().unwrap(), before);
    // A depthwise layer has one input a group, of which two of four are all.
    let params = &dense.model.params;
    let kept = |name: &str, density| thin::kept(&params[params.named(name).unwrap()], density);
    let groups = Density::Groups { keep: 2, of: 4 };
    assert_eq!(
        [kept("stages.0.0.depth.weight", groups), kept("stages.0.0.expand.weight", groups)],
        [400, 64]
    );
    assert_eq!(kept("stages.0.0.depth.weight", Density::Share(0.25)), 100);
    // 32 or 64 of 128 values, and a bit for each of the 128, which is less than two for each of 64 and N and M besides.
    let bytes =
        |density| thin::stored_bytes(&params[params.named("stages.0.0.expand.weight").unwrap()], density);
    assert_eq!([Density::Share(0.25), groups, Density::Full].map(bytes), [128 + 16, 256 + 16, 512]);
}

#[test]
fn costs_are_those_of_the_network_by_itself() {
    let gpu = Gpu::twin();
    let data = images();
    let run = session(&gpu, &data);
    let mut search = Search::new(&run, &data, None, options()).unwrap();
    let full = vec![0; search.pool.choices().len()];
    let [small, large] = [search.pool.smallest(), full].map(|genes| search.costs(&genes).unwrap());
    // By hand: 4x4 sites after the stem, 2x2 after the second stage; the head has 10 classes.
    let stem = 8 * 9 * 16;
    let block = |wide: u64, taps: u64, [before, after]: [u64; 2]| {
        8 * wide * before + wide * taps * after + wide * 8 * after
    };
    let last = 8 * 8 * 4 + 8 * 10;
    let macs = |wide, taps, depth: u64| {
        stem + block(wide, taps, [16, 16]) * depth
            + block(wide, taps, [16, 4])
            + block(wide, taps, [4, 4]) * (depth - 1)
            + last
    };
    assert_eq!(large.macs, macs(16, 25, 2));
    assert_eq!(search.parse("full").unwrap(), search.pool.pick(&vec![0; search.pool.choices().len()]));
    // Half of each layer, rounded; layers of 8 x 9 and 8 x 8 weights are even.
    assert_eq!(small.macs, macs(8, 9, 1) / 2);
    assert_eq!(small.latency_ms, None);
    assert!(small.weights < large.weights && small.bytes < large.bytes && small.memory < large.memory);
    assert!(large.bytes >= 4 * large.weights && large.memory > large.bytes);
}

#[test]
fn a_search_goes_on_where_it_was_stopped_and_finds_the_same() {
    let gpu = Gpu::twin();
    let data = images();
    let run = session(&gpu, &data);
    let home = tempfile::tempdir().unwrap();
    let budgets = ["macs<=60k", "bytes<=6kB,macs<=80k"].map(|text| text.parse().unwrap());
    let whole = Search::new(&run, &data, None, options()).unwrap().find(&budgets, &mut |_| {}).unwrap();
    // Stopped after some evaluations: what is thrown away is the search, not the file.
    let mut stopped = Search::new(&run, &data, Some(home.path()), options()).unwrap();
    for genes in &stopped.pool.draw(0, coppice::search::Draw::Learned, 15)[3..9] {
        stopped.evaluate(genes).unwrap();
    }
    drop(stopped);
    let mut again = Search::new(&run, &data, Some(home.path()), options()).unwrap();
    assert_eq!(again.known(), 6);
    let (mut evaluated, mut ranked) = (0, 0);
    let report = again
        .find(&budgets, &mut |event| match event {
            Event::Evaluated { .. } => evaluated += 1,
            Event::Ranked(ranking) => ranked = ranking.ranked,
            Event::Timed { .. } => panic!("no budget names a latency"),
        })
        .unwrap();
    assert_eq!(report, whole);
    assert_eq!((evaluated, ranked), (15 + 4 + 2 * 2, 3));
    for (found, budget) in report.found.iter().zip(&budgets) {
        assert!(budget.admits(&found.costs), "{found:?}");
        let part = run.cut_pick(&run.supernet().unwrap(), &again.parse(&found.subnet).unwrap()).unwrap();
        let marks = run.evaluate_part(&part, Part::Validation).unwrap().unwrap();
        assert_eq!(marks.totals.accuracy(), found.accuracy);
        assert_eq!(marks.totals.answers, 40);
    }
    // Other weights are other networks: nothing is known of them.
    run.model.params[run.model.params.named("head.bias").unwrap()].write(&[1.0; 10]).unwrap();
    assert_eq!(Search::new(&run, &data, Some(home.path()), options()).unwrap().known(), 0);
}

#[test]
fn latencies_are_sums_of_layers_that_are_measured_once() {
    let gpu = Gpu::twin();
    let data = images();
    let run = session(&gpu, &data);
    let home = tempfile::tempdir().unwrap();
    let mut timed = 0;
    let mut search = Search::new(&run, &data, Some(home.path()), options()).unwrap();
    let table = search.measure(&mut |_| timed += 1).unwrap().clone();
    assert!((timed, table.fitted_on) == (1, 10) && table.layers.values().all(|&ms| ms > 0.0));
    // A layer that is there twice is in the table once, and one of another size by itself.
    let depthwise =
        table.layers.keys().filter(|key| key.starts_with("conv2d") && key.contains("groups=")).count();
    assert!(depthwise >= 2 * 2, "{:#?}", table.layers.keys());
    let mut again = Search::new(&run, &data, Some(home.path()), options()).unwrap();
    assert_eq!(*again.measure(&mut |_| panic!("it is on disk")).unwrap(), table);
    let checked = again.check_latency(2, &mut |_| {}).unwrap();
    assert!(checked.len() == 2 && checked.iter().all(|own| own.table_ms > 0.0 && own.measured_ms > 0.0));
    let smallest = again.pool.smallest();
    let full = vec![0; again.pool.choices().len()];
    let [small, large] = [smallest, full].map(|genes| again.costs(&genes).unwrap().of(Kind::Latency));
    assert!(small > 0.0 && small.is_finite() && large.is_finite());
    let counter = Counter::new(&gpu, &again.pool.space, &run.model.input, 10, &Choices::default(), 1);
    let layers = counter.layers(&again.pool.space.full()).unwrap();
    let sum: f64 = layers.iter().map(|layer| table.layers[layer]).sum();
    assert!((large - (table.constant_ms + table.factor * sum)).abs() < 1e-9);
    let other = Options { batch: 3, ..options() };
    let mut other = Search::new(&run, &data, Some(home.path()), other).unwrap();
    timed = 0;
    other.measure(&mut |_| timed += 1).unwrap();
    assert_eq!(timed, 1, "another batch size is another table");
}

#[test]
fn latencies_are_known_at_every_size_of_pictures() {
    let (gpu, data) = (Gpu::twin(), images());
    let run = session_with(&gpu, &data, &["model.resolutions=[6]".into()]);
    let mut search = Search::new(&run, &data, None, options()).unwrap();
    search.measure(&mut |_| {}).unwrap();
    let smallest = search.pool.smallest();
    assert!(search.pool.pick(&smallest).to_string().contains("r=6"));
    assert!(search.costs(&smallest).unwrap().latency_ms.is_some_and(|ms| ms > 0.0));
}

/// With other labels there the same networks are found, and only their test accuracy is another.
#[test]
fn nothing_is_chosen_by_test_images() {
    let gpu = Gpu::twin();
    let data = images();
    let mut other = images();
    other.test.labels.iter_mut().for_each(|label| *label = (*label + 1) % 10);
    let find = |data: &Dataset| {
        let run = session(&gpu, data);
        let budgets = ["macs<=60k".parse().unwrap()];
        Search::new(&run, data, None, options()).unwrap().find(&budgets, &mut |_| {}).unwrap()
    };
    let (one, mut two) = (find(&data), find(&other));
    assert_ne!(one.found[0].test_accuracy, two.found[0].test_accuracy);
    two.found[0].test_accuracy = one.found[0].test_accuracy;
    assert_eq!(one, two);
}

#[test]
fn what_cannot_be_is_said() {
    let gpu = Gpu::twin();
    let data = images();
    let run = session(&gpu, &data);
    let mut search = Search::new(&run, &data, None, options()).unwrap();
    let impossible = ["macs<=1k,bytes<=1B".parse().unwrap()];
    let error = search.find(&impossible, &mut |_| panic!("nothing is evaluated")).unwrap_err().to_string();
    assert!(error.contains("no network meets the budget macs<=1k,bytes<=1B"), "{error}");
    assert!(error.contains("macs: the smallest network has") && error.contains("density=0.5"), "{error}");
    let refused = |options: Options| Search::new(&run, &data, None, options).err().unwrap().to_string();
    assert!(refused(Options { evaluate: 3, ..options() }).contains("at least 10"));
    assert!(refused(Options { repeats: 0, ..options() }).contains("repeats = 0: it is at least 1"));
    let narrow = Shape { hidden: vec![8, 0], ..Shape::default() };
    assert!(refused(Options { predictor: narrow, ..options() }).contains("hidden layer = 0"));
    assert!(refused(Options { densities: vec![Density::Full; 2], ..options() }).contains("twice"));
    let none = data.to_compare(0).0;
    assert!(Search::new(&run, &none, None, options()).err().unwrap().to_string().contains("no images"));
}

#[test]
fn the_command_finds_a_network_and_says_how_to_export_it() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path();
    std::fs::write(here.join("net.toml"), format!("{RECIPE}\n")).unwrap();
    program::json(here, &["train", "net.toml", "--device", "twin", "--out", "net", "--json"]);
    let small = [
        "search",
        "net",
        "--device",
        "twin",
        "--images",
        "40",
        "--evaluate",
        "12",
        "--hidden",
        "4",
        "--population",
        "8",
        "--generations",
        "2",
        "--finalists",
        "2",
        "--random",
        "5",
        "--repeats",
        "1",
        "--densities",
        "1,0.5,2:4",
    ];
    let with = |more: &[&'static str]| [&small[..], more].concat();
    let budgets = ["--budget", "latency<=1s,bytes<=6kB", "--budget", "macs<=60k"];
    let found = with(&[&budgets[..], &["--check-latency", "2", "--plot", "front.svg"]].concat());
    let output = program::run(here, &found);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for wanted in
        ["rank correlation", "mean error of the table", "front of 5 random networks", "40 held-out images"]
    {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
    assert!(std::fs::read_to_string(here.join("front.svg")).unwrap().contains("latency (ms)"));
    let json = program::json(here, &with(&[&budgets[..], &["--json", "-q"]].concat()));
    let first = &json["found"][0];
    assert_eq!(json["found"].as_array().unwrap().len(), 2);
    assert!(first["costs"]["bytes"].as_u64().unwrap() <= 6000);
    let subnet = first["subnet"].as_str().unwrap();
    let line = text.lines().find(|line| line.contains("coppice export net") && line.contains(subnet));
    assert!(line.is_some(), "{subnet} in\n{text}");
    let export =
        ["export", "net", "--to", "safetensors", "own.safetensors", "--device", "twin", "--subnet", subnet];
    assert!(program::run(here, &export).status.success());
    let alone = ["eval", "own.safetensors", "--recipe", "own.toml", "--device", "twin", "--json"];
    assert_eq!(program::json(here, &alone)["test_accuracy"], first["test_accuracy"]);
    assert!(program::fails(here, 2, &with(&[])).contains("nothing to search for"));
    assert!(program::fails(here, 2, &with(&["--budget", "macs<=1"])).contains("no network meets the budget"));
    assert!(program::fails(here, 2, &with(&["--budget", "macs<1"])).contains("has no <="));
    assert!(
        program::fails(here, 2, &["search", "none", "--budget", "macs<=1M"])
            .contains("not in a run's folder")
    );
    let nowhere = with(&["--budget", "macs<=1M", "--plot", "none/x.svg"]);
    assert!(program::fails(here, 5, &nowhere).contains("no folder none"));
}
