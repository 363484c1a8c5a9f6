//! Pruning of whole filters: exact numbers, zeros behind them, and runs that go on without them.

mod common;

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::random::{Stream, word};
use coppice::recipe::Recipe;
use coppice::store::{Array, Arrays};
use coppice::train::{Control, Session, compact, evaluate_all, extent, remaining, resolve, train};

const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

/// 96 samples of 2x6x6, four classes by the brightest quarter.
fn pictures() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<u8> = (0..samples * 72).map(|i| word(4, Stream::Test, 0, tensor, i) as u8).collect();
        let brightness =
            |row: &[u8], quarter: usize| row[quarter * 18..][..18].iter().map(|&v| u32::from(v)).sum::<u32>();
        let class = |row: &[u8]| (0..4u8).max_by_key(|&k| brightness(row, k as usize)).unwrap();
        let labels = values.chunks(72).map(class).collect();
        Split::bytes(values, labels)
    };
    let source = Source::new("pictures", vec![2, 6, 6], 4, split(96, 0), split(32, 1));
    let source = Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source };
    Dataset::from_arrays(source, 0.0).unwrap()
}

/// A residual network with norms, a depthwise convolution, squeeze and excitation, a branch and a sigmoid.
const LAYERS: &str = "
[[model.layer]]\ntype='conv2d'\nname='stem'\nout=8\nkernel=3\npadding=1\nbias=false
[[model.layer]]\ntype='batch_norm'\nname='stem_norm'
[[model.layer]]\ntype='relu'\nname='stem_act'
[[model.layer]]\ntype='conv2d'\nname='inner'\nout=6\nkernel=3\npadding=1
[[model.layer]]\ntype='sigmoid'\nname='inner_act'
[[model.layer]]\ntype='conv2d'\nname='depthwise'\nout=6\nkernel=3\npadding=1\ngroups=6
[[model.layer]]\ntype='batch_norm'\nname='depthwise_norm'
[[model.layer]]\ntype='conv2d'\nname='outer'\nout=8\nkernel=1
[[model.layer]]\ntype='batch_norm'\nname='outer_norm'
[[model.layer]]\ntype='global_average_pool'\nname='mean'
[[model.layer]]\ntype='linear'\nname='squeeze'\nout=4
[[model.layer]]\ntype='relu'\nname='squeeze_act'
[[model.layer]]\ntype='linear'\nname='excite'\nout=8
[[model.layer]]\ntype='sigmoid'\nname='gate'
[[model.layer]]\ntype='scale'\nname='scaled'\nfrom=['outer_norm','gate']
[[model.layer]]\ntype='add'\nname='sum'\nfrom=['stem_act','scaled']
[[model.layer]]\ntype='max_pool'\nname='pool'\nkernel=2
[[model.layer]]\ntype='conv2d'\nname='branch'\nout=5\nkernel=1\nfrom='pool'
[[model.layer]]\ntype='concat'\nname='both'\nfrom=['pool','branch']
[[model.layer]]\ntype='linear'\nname='fc'\nout=10\nfrom='both'
[[model.layer]]\ntype='relu'\nname='fc_act'
[[model.layer]]\ntype='linear'\nname='head'\nout=4
";

const GMP: &str = "method='gmp', target=0.5, pattern='filter', schedule={begin='2', end='8', every='3'}";

fn recipe(sparsity: &str) -> coppice::error::Result<Recipe> {
    recipe_with(sparsity, &[])
}

fn recipe_with(sparsity: &str, more: &[String]) -> coppice::error::Result<Recipe> {
    let text = format!(
        "[run]\nseed=3\nbatch=32\nsteps=16\n[data]\nname='digits'\n[optim]\nname='sgd'\nlr=0.05\nmomentum=0.9\nweight_decay=1e-3\n{LAYERS}[sparsity]\n{}\n",
        sparsity
            .replace(", ", "\n")
            .replace("{begin='2'\nend='8'\nevery='3'}", "{begin='2', end='8', every='3'}")
    );
    Recipe::parse(&text, "filters.toml", more)
}

fn session(sparsity: &str, data: &Dataset) -> Session {
    Session::new(&Gpu::twin(), &recipe(sparsity).unwrap(), data, Choices::default()).unwrap()
}

fn shape(run: &Session, name: &str) -> Vec<usize> {
    run.model.params[run.model.params.named(name).unwrap()].shape.clone()
}

/// Rows of a parameter that hold anything but 0.
fn live_rows(run: &Session, name: &str) -> Vec<usize> {
    let param = &run.model.params[run.model.params.named(name).unwrap()];
    let values = param.read().unwrap();
    let rows = values.chunks(param.matrix().inner()).enumerate();
    rows.filter(|(_, row)| row.iter().any(|value| *value != 0.0)).map(|(row, _)| row).collect()
}

#[test]
fn pruned_filters_are_zero_with_all_that_hangs_on_them() {
    let data = pictures();
    let mut run = session(&format!("{GMP}, remove=false"), &data);
    let mut updates = Vec::new();
    while run.step < 12 {
        updates.extend(run.advance().unwrap());
    }
    assert_eq!(updates.iter().map(|change| change.step).collect::<Vec<_>>(), [2, 5, 8]);
    // Half of 8, 6, 4, 5 and 10; ties of rounding go to the even number.
    for (name, left) in [("stem", 4), ("inner", 3), ("squeeze", 2), ("branch", 2), ("fc", 5), ("head", 4)] {
        assert_eq!(live_rows(&run, &format!("{name}.weight")).len(), left, "{name}");
    }
    let coupled = live_rows(&run, "stem.weight");
    for name in ["outer.weight", "outer.bias", "excite.weight", "outer_norm.weight", "stem_norm.weight"] {
        let rows = live_rows(&run, name);
        assert!(rows.iter().all(|row| coupled.contains(row)), "{name}: {rows:?}, {coupled:?}");
    }
    assert_eq!(live_rows(&run, "inner.weight"), live_rows(&run, "depthwise.weight"));
    // Columns go along: 3 inputs of `outer`, 4 of `squeeze`, 4 of `inner` in 9 places.
    let kept = |name: &str| run.model.params[run.model.params.named(name).unwrap()].kept().unwrap();
    assert_eq!(
        [kept("outer.weight"), kept("squeeze.weight"), kept("inner.weight")],
        [4 * 3, 2 * 4, 3 * 9 * 4]
    );
    assert_eq!([kept("stem.weight"), kept("fc.weight"), kept("head.weight")], [4 * 18, 5 * 9 * 6, 4 * 5]);
    let last = updates.last().unwrap();
    let total: usize = run.model.params.iter().filter(|param| param.prunable).map(|param| param.len()).sum();
    let all: usize =
        run.model.params.pairs().filter(|(_, p)| p.prunable).map(|(_, p)| p.kept().unwrap()).sum();
    assert_eq!((last.kept, last.total), (all, total));
}

fn loss(run: &Session) -> (f64, f64) {
    let test = evaluate_all(run).unwrap().pop().unwrap();
    (test.loss, test.accuracy)
}

#[test]
fn a_run_that_removes_filters_goes_on_as_the_masked_one() {
    let data = pictures();
    for sparsity in [
        GMP.to_string(),
        GMP.replace("target=0.5", "target=0.4, criterion='l2'"),
        "method='static', target=0.5, pattern='filter'".into(),
        "method='oneshot', target=0.5, pattern='filter', schedule={type='oneshot', begin='2'}"
            .replace("type='oneshot', begin", "type='oneshot',begin"),
    ] {
        let mut masked = session(&format!("{sparsity}, remove=false"), &data);
        let mut removed = session(&sparsity, &data);
        while !masked.is_done() {
            masked.advance().unwrap();
            removed.advance().unwrap();
        }
        assert!(removed.is_narrowed() && !masked.is_narrowed());
        assert_eq!(shape(&masked, "stem.weight")[0], 8);
        assert!(shape(&removed, "stem.weight")[0] < 8, "{sparsity}");
        let ((a, hits), (b, others)) = (loss(&masked), loss(&removed));
        // Sums over what is left are those over all with zeros between, in another order.
        assert!((a - b).abs() <= 1e-5 && hits == others, "{sparsity}: {a}, {b}");
        // What is left of the masked run's weights is what the other has.
        let snapshot = masked.snapshot().unwrap();
        let found = compact(&masked.recipe, &snapshot, &extent(&data), 4).unwrap();
        let weights = removed.weights().unwrap();
        for (name, want) in &found.weights {
            let got = &weights[name];
            assert_eq!(got.shape, want.shape, "{sparsity}: {name}");
            for (got, want) in got.to_f32().iter().zip(want.to_f32()) {
                assert!((got - want).abs() <= 1e-5, "{sparsity}: {name}: {got}, {want}");
            }
        }
        let again = compact(&removed.recipe, &removed.snapshot().unwrap(), &extent(&data), 4).unwrap();
        assert_eq!(again.left, found.left);
        assert_eq!(again.recipe.model, found.recipe.model);
    }
}

#[test]
fn a_compact_network_answers_as_the_masked_one() {
    let data = pictures();
    let mut run = session(&format!("{GMP}, remove=false"), &data);
    while run.step < 10 {
        run.advance().unwrap();
    }
    let found = compact(&run.recipe, &run.snapshot().unwrap(), &extent(&data), 4).unwrap();
    let mut small = Session::new(&Gpu::twin(), &found.recipe, &data, Choices::default()).unwrap();
    small.load_weights(&found.weights).unwrap();
    let ((a, hits), (b, others)) = (loss(&run), loss(&small));
    assert!((a - b).abs() <= 1e-5 && hits == others, "{a}, {b}");
    let left: Vec<(String, usize, usize)> =
        found.left.iter().map(|own| (own.layers.join(" "), own.kept, own.total)).collect();
    let want = [
        ("stem outer excite", 4, 8),
        ("inner depthwise", 3, 6),
        ("squeeze", 2, 4),
        ("branch", 2, 5),
        ("fc", 5, 10),
    ];
    assert_eq!(left, want.map(|(name, kept, total)| (name.to_string(), kept, total)));
    // A wrong weight is noticed.
    let mut wrong: Arrays = found.weights.clone();
    let mut values = wrong["fc.weight"].to_f32();
    values[0] += 1.0;
    let shape = wrong["fc.weight"].shape.clone();
    wrong.insert("fc.weight".into(), Array::f32(shape, &values));
    small.load_weights(&wrong).unwrap();
    assert!((loss(&small).0 - a).abs() > 1e-4);
}

/// Of a run whose last stage prunes filters, too; what is left is pruned in no stage.
#[test]
fn filters_of_a_later_stage_are_left_out() {
    let data = pictures();
    let stage = format!("stage=[{{steps=12, sparsity={{{GMP}}}}}]");
    let recipe = recipe_with("method='none'", &["run.steps=2".to_string(), stage]).unwrap();
    let mut run = Session::new(&Gpu::twin(), &recipe, &data, Choices::default()).unwrap();
    train(&mut run, &FREE, &mut |_| Ok(())).unwrap();
    let found = compact(&recipe, &run.snapshot().unwrap(), &extent(&data), 4).unwrap();
    assert_eq!((found.left[4].kept, found.left[4].total), (5, 10));
    let small = Session::new(&Gpu::twin(), &found.recipe, &data, Choices::default()).unwrap();
    assert!(!found.recipe.prunes());
    assert_eq!(shape(&small, "fc.weight")[0], 5);
}

/// Twelve channels that are grouped by four and by three, and added up, go all together, or not at all: a warning says so.
#[test]
fn what_hangs_together_is_named() {
    let data = pictures();
    let warnings = |groups: usize| {
        let text = format!(
            "run={{batch=32, steps=16}}\ndata={{name='digits'}}\noptim={{name='sgd', lr=0.05}}\n\
             sparsity={{method='gmp', target=0.5, pattern='filter', schedule={{begin='2', end='8', every='3'}}}}\n\
             [[model.layer]]\ntype='conv2d'\nname='c0'\nout=12\nkernel=1\n\
             [[model.layer]]\ntype='conv2d'\nname='g1'\nout=12\nkernel=1\ngroups=4\n\
             [[model.layer]]\ntype='conv2d'\nname='g2'\nout=12\nkernel=1\ngroups={groups}\n\
             [[model.layer]]\ntype='add'\nname='sum'\nfrom=['c0','g2']\n\
             [[model.layer]]\ntype='conv2d'\nname='free'\nout=6\nkernel=1\n\
             [[model.layer]]\ntype='global_average_pool'\n[[model.layer]]\ntype='linear'\nname='head'\nout=4\n"
        );
        let recipe = Recipe::parse(&text, "grouped.toml", &[]).unwrap();
        let run = Session::new(&Gpu::twin(), &recipe, &data, Choices::default()).unwrap();
        run.warnings().iter().map(|warning| warning.to_string()).collect::<String>()
    };
    assert_eq!(warnings(4), "");
    assert!(warnings(3).contains("layers that lose no filter: c0"), "{}", warnings(3));
}

/// Before, at and after the removal; every digest of a run that goes on is that of the one that was never stopped.
#[test]
fn a_run_resumes_across_the_removal() {
    let data = pictures();
    let cases =
        [(GMP, None), (GMP, Some("optim.ema=0.9")), ("method='static', target=0.5, pattern='filter'", None)];
    for (sparsity, more) in cases {
        let session = |sparsity: &str, data: &Dataset| {
            let recipe = recipe_with(sparsity, more.map(String::from).as_slice()).unwrap();
            Session::new(&Gpu::twin(), &recipe, data, Choices::default()).unwrap()
        };
        let mut whole = session(sparsity, &data);
        let mut digests = vec![whole.snapshot().unwrap()];
        while !whole.is_done() {
            whole.advance().unwrap();
            digests.push(whole.snapshot().unwrap());
        }
        for at in [1, 8, 9, 10, 13] {
            let mut other = session(sparsity, &data);
            other.restore(&digests[at]).unwrap();
            assert_eq!(other.snapshot().unwrap().digest, digests[at].digest, "{sparsity}, step {at}");
            while !other.is_done() {
                other.advance().unwrap();
            }
            assert_eq!(other.snapshot().unwrap().digest, digests[16].digest, "{sparsity}, from step {at}");
        }
        let averages = digests[16].arrays.keys().filter(|name| name.contains(".average")).count();
        assert_eq!(averages > 0, more.is_some(), "averages stay with what is left");
        // What is gone does not come back, and lists of another network are refused.
        let error = whole.restore(&digests[0]).unwrap_err().to_string();
        assert!(error.contains("already removed filters"), "{error}");
        let mut broken = digests[13].clone();
        let name = broken.arrays.keys().find(|name| name.starts_with("filters/")).unwrap().clone();
        broken.arrays.insert(name, Array::u32([1], &[99]));
        assert!(session(sparsity, &data).restore(&broken).is_err());
        // An evaluation finds the network that is left.
        let resolved = resolve(&recipe(sparsity).unwrap()).unwrap();
        let small = remaining(&resolved, &digests[16], &extent(&data), 4).unwrap();
        assert_ne!(small.model, resolved.model);
        assert_eq!(remaining(&resolved, &digests[0], &extent(&data), 4).unwrap().model, resolved.model);
    }
}

/// On an adapter the masks are those of the twin, whatever its sums.
#[test]
fn devices_keep_the_same_filters() {
    let data = pictures();
    let runs = [Gpu::twin(), common::device()].map(|gpu| {
        let mut run = Session::new(&gpu, &recipe(GMP).unwrap(), &data, Choices::default()).unwrap();
        while run.step < 12 {
            run.advance().unwrap();
        }
        run
    });
    let lists = runs.each_ref().map(|run| {
        let arrays = run.snapshot().unwrap().arrays;
        arrays.into_iter().filter(|(name, _)| name.starts_with("filters/")).collect::<Arrays>()
    });
    assert_eq!(lists[0].len(), 5);
    assert_eq!(lists[0], lists[1]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let data = pictures();
    for (sparsity, what) in [
        ("method='rigl', target=0.5, pattern='filter'", "method `rigl` cannot prune filters"),
        ("method='snip', target=0.5, pattern='filter'", "method `snip` cannot prune filters"),
        ("method='gmp', target=0.5, pattern='filter', latent=true", "keep no values"),
        ("method='gmp', target=0.5, pattern='filter', in_turn=true", "in all layers at once"),
        ("method='gmp', target=0.5, pattern='filter', storage='packed'", "nothing to pack"),
        ("method='gmp', target=0.5, pattern='filter', distribution='erk'", "the same share"),
        ("method='gmp', target=0.5, pattern='filter', criterion='l3'", "unknown criterion `l3`"),
        ("method='gmp', target=0.5, criterion='l2'", "criterion"),
        (
            "method='gmp', target=0.5, pattern='filter', criterion='scale'",
            "no norm scales every channel of `squeeze.weight`",
        ),
        (
            "method='static', target=0.5, pattern='filter', scale='kept'",
            "where filters are pruned it says nothing",
        ),
        ("method='static', target=0.5, pattern='filter', fan_in='log-normal:1'", "it says nothing"),
        ("method='gmp', target=0.5, pattern='filter', strict=true", "it says nothing"),
        ("method='static', target=0.5, pattern='filter', criterion='l2'", "drawn at random"),
        ("method='gmp', target=0.5, pattern='filter', min_density=0.9", "min_density keeps more"),
        ("method='gmp', target=0.5, pattern='filter', rule=[{match='fc', pattern='2:4'}]", "or nowhere"),
        ("method='gmp', target=0.5, rule=[{match='fc', pattern='filter'}]", "a rule cannot ask for them"),
        ("method='gmp', target=0.5, pattern='filter', rule=[{match='cf', dense=true}]", "matches no layer"),
    ] {
        let text = sparsity.replace("match='fc', ", "match='fc',").replace("match='cf', ", "match='cf',");
        let built =
            recipe(&text).and_then(|recipe| Session::new(&Gpu::twin(), &recipe, &data, Choices::default()));
        let error = built.err().map_or("built".into(), |error| error.to_string());
        assert!(error.contains(what), "{sparsity}: {error}");
    }
}

/// Of channels that pass two norms the sum of both scales counts.
#[test]
fn scales_of_norms_choose() {
    let data = pictures();
    let dense = "rule=[{match='squeeze',dense=true},{match='branch',dense=true},{match='fc',dense=true}]";
    let once = "method='oneshot', target=0.5, pattern='filter', schedule={type='oneshot',begin='3'}";
    let mut run = session(&format!("{once}, criterion='scale', remove=false, {dense}"), &data);
    while run.step < 3 {
        run.advance().unwrap();
    }
    let read = |name: &str| run.model.params[run.model.params.named(name).unwrap()].read().unwrap();
    let pairs = read("stem_norm.weight").into_iter().zip(read("outer_norm.weight"));
    let scores: Vec<f32> = pairs.map(|(a, b)| a.abs() + b.abs()).collect();
    let mut order: Vec<usize> = (0..8).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(4);
    order.sort_unstable();
    assert_ne!(order, [0, 1, 2, 3], "the order of the indices would do");
    run.advance().unwrap();
    assert_eq!(live_rows(&run, "stem.weight"), order);
    let left = ["outer", "inner", "squeeze", "branch", "fc"]
        .map(|name| live_rows(&run, &format!("{name}.weight")).len());
    assert_eq!(left, [4, 3, 4, 5, 10]);
}

/// A rule for one of several layers that hang together is for them all.
#[test]
fn rules_are_for_all_that_hangs_together() {
    let data = pictures();
    let rules = "rule=[{match='outer',dense=true},{match='fc',target=0.8},{match='branch',target=0.2}]";
    let mut run = session(&format!("{GMP}, {rules}"), &data);
    while run.step < 12 {
        run.advance().unwrap();
    }
    let rows = |name: &str| shape(&run, name)[0];
    assert_eq!([rows("stem.weight"), rows("excite.weight"), rows("inner.weight")], [8, 8, 3]);
    assert_eq!([rows("fc.weight"), rows("branch.weight"), rows("squeeze.weight")], [2, 4, 2]);
}
