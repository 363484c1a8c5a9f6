//! Packed and masked storage of the same recipe: equal masks at every update, and losses that differ by no more than
//! the order of sums allows; switching in mid-run and resuming across a switch change nothing.

mod common;
#[path = "packed/memory.rs"]
mod memory;

use common::{bytes, everywhere};
use coppice::gpu::Gpu;
use coppice::ops::packed::Form;
use coppice::ops::packed::crossover::Products;
use coppice::ops::variants::Choices;
use coppice::param::{MEAN, Param, ParamId};
use coppice::recipe::Recipe;
use coppice::report::load::load_any;
use coppice::sparsity::Change;
use coppice::sparsity::update::redistribute::redistribute;
use coppice::store::safetensors;
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Session, Summary, train};

const RIGL: &str = "method = 'rigl', target = 0.8, schedule = { every = '3', end = '80%' }";
const GMP: &str = "method = 'gmp', target = 0.9, schedule = { every = '3', end = '60%' }";
const STATIC: &str = "method = 'static', target = 0.85";
const BLOCK: &str =
    "method = 'static', target = 0.7, pattern = 'block:8x1', rule = [{ match = 'head', dense = true }]";
const GROUPS: &str = "method = 'static', pattern = '2:5'";
const SET: &str = "method = 'set', target = 0.8, schedule = { every = '3', end = '80%' }";
const GRANET: &str = "method = 'granet', target = 0.9, schedule = { every = '3', end = '60%' }";
const GRANET_SPARSE: &str =
    "method = 'granet', target = 0.9, init = 0.4, schedule = { every = '2', end = '50%' }";
const RIGL_GRADIENT: &str = "method = 'rigl', target = 0.8, growth = { value = 'gradient', divisor = -20 }, schedule = { every = '3', end = '80%' }";
const RIGL_SIGN: &str = "method = 'rigl', target = 0.8, growth = { value = 'gradient-sign', divisor = 50 }, schedule = { every = '3', end = '80%' }";
const SET_INITIAL: &str =
    "method = 'set', target = 0.8, growth = { value = 'initial' }, schedule = { every = '3', end = '80%' }";
const SET_UNIFORM: &str = "method = 'set', target = 0.8, growth = { value = 'uniform', divisor = 2 }, schedule = { every = '3', end = '80%' }";
const GRANET_NORMAL: &str =
    "method = 'granet', target = 0.9, growth = { value = 'normal' }, schedule = { every = '3', end = '60%' }";
const SNFS: &str = "method = 'snfs', target = 0.8, schedule = { every = '3', end = '80%' }";
const SNFS_SHARED: &str =
    "method = 'snfs', target = 0.8, redistribute = true, schedule = { every = '3', end = '80%' }";
const SNFS_GRADIENT: &str = "method = 'snfs', target = 0.8, growth = { value = 'gradient', divisor = -20 }, schedule = { every = '3', end = '80%' }";
const METHODS: [&str; 16] = [
    RIGL,
    GMP,
    STATIC,
    BLOCK,
    GROUPS,
    SET,
    GRANET,
    GRANET_SPARSE,
    RIGL_GRADIENT,
    RIGL_SIGN,
    SET_INITIAL,
    SET_UNIFORM,
    GRANET_NORMAL,
    SNFS,
    SNFS_SHARED,
    SNFS_GRADIENT,
];

fn recipe(sparsity: &str, storage: &str, optim: &str) -> Recipe {
    with_model("{ preset = 'mlp', hidden = [40, 24] }", sparsity, storage, optim)
}

fn with_model(model: &str, sparsity: &str, storage: &str, optim: &str) -> Recipe {
    let text = format!(
        "run = {{ epochs = 4, batch = 32, seed = 5 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {model}\noptim = {optim}\n\
         sparsity = {{ storage = '{storage}', {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

const BRANCHES: &str = "{ layer = [{ type = 'linear', name = 'stem', out = 24 }, { type = 'relu', name = 'open' }, \
    { type = 'linear', name = 'left', out = 24 }, { type = 'linear', name = 'right', from = 'open', out = 24 }, \
    { type = 'add', name = 'both', from = ['left', 'right', 'open'] }, { type = 'linear', name = 'head', out = 4 }] }";
const SGD: &str =
    "{ name = 'sgd', lr = { type = 'cosine', start = 0.1 }, momentum = 0.9, weight_decay = 1e-3 }";
const ADAM: &str = "{ name = 'adam', lr = 0.01 }";
/// Its friction depends on the gradients of a whole tensor.
const DIFFGRAD: &str = "{ name = 'diffgrad', lr = 0.01, version = 3 }";
const FREE: Control = Control { folder: None, stop_at: None, signal: &|| None, dump: None };

fn session(gpu: &Gpu, recipe: &Recipe) -> Session {
    Session::new(gpu, recipe, &bytes(), Choices::default()).unwrap()
}

/// Trains to the end; all changes of masks, all masks after them, and the loss of every step.
fn trace(gpu: &Gpu, recipe: &Recipe) -> (Vec<Change>, Vec<Vec<u32>>, Vec<f64>, String) {
    let mut run = session(gpu, recipe);
    let (mut changes, mut masks, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    while !run.is_done() {
        if let Some(mut change) = run.advance().unwrap() {
            change.layers.iter_mut().for_each(|layer| layer.storage = ""); // that alone may differ
            changes.push(change);
            masks.extend(run.model.params.iter().map(|param| param.read_mask().unwrap()));
        }
        losses.push(run.take_totals().unwrap().mean_loss());
    }
    masks.extend(run.model.params.iter().map(|param| param.read_mask().unwrap()));
    (changes, masks, losses, run.snapshot().unwrap().digest)
}

#[test]
fn packed_and_masked_storage_choose_the_same_weights() {
    for gpu in everywhere() {
        for sparsity in METHODS {
            for optim in [SGD, ADAM] {
                let (masked, packed) =
                    ["masked", "packed"].map(|storage| trace(&gpu, &recipe(sparsity, storage, optim))).into();
                let context = format!("{sparsity}, {optim}, on {:?}", gpu.identity());
                assert_eq!(masked.0, packed.0, "{context}");
                assert_eq!(masked.1, packed.1, "{context}");
                // A step adds up to 40 products a sum, in f32: 40 roundings of 2^-24 move a loss by far less than
                // this in 25 steps; another mask or a lost weight moves it by a hundredth.
                for (step, (a, b)) in masked.2.iter().zip(&packed.2).enumerate() {
                    assert!((a - b).abs() <= 1e-4, "{context}: losses {a} and {b} at step {step}");
                }
            }
        }
    }
}

/// On the twin both add the same products in the same order: nothing at all differs.
#[test]
fn where_sums_have_the_same_order_the_bits_are_equal() {
    let cases = METHODS.iter().map(|sparsity| (*sparsity, SGD)).chain([(GMP, DIFFGRAD), (RIGL, DIFFGRAD)]);
    for (sparsity, optim) in cases {
        let [masked, packed] =
            ["masked", "packed"].map(|storage| trace(&Gpu::twin(), &recipe(sparsity, storage, optim)));
        assert_eq!(masked.2, packed.2, "{sparsity}, {optim}");
        assert_eq!(masked.3, packed.3, "{sparsity}, {optim}");
    }
    // Where a value has several readers, a layer's gradient is added to another's: one whole sum to the other.
    for sparsity in [GMP, RIGL] {
        let [masked, packed] = ["masked", "packed"]
            .map(|storage| trace(&Gpu::twin(), &with_model(BRANCHES, sparsity, storage, SGD)));
        assert_eq!((masked.2, masked.3), (packed.2, packed.3), "{sparsity}");
    }
}

/// SNFS with redistribution: each layer grows its share of what all drop, by the mean magnitude of its running mean over
/// the weights that it had; the total stays, and layers change their numbers.
#[test]
fn layers_share_what_they_have_dropped() {
    for (gpu, storage) in everywhere().into_iter().flat_map(|gpu| [(gpu.clone(), "masked"), (gpu, "packed")])
    {
        let mut run = session(&gpu, &recipe(SNFS_SHARED, storage, SGD));
        let counts = |run: &Session| -> Vec<usize> {
            run.model
                .params
                .iter()
                .filter(|param| param.is_masked())
                .map(|param| param.kept().unwrap())
                .collect()
        };
        let start = counts(&run);
        let mut updates = 0;
        while !run.is_done() {
            let (before, step) = (counts(&run), run.step);
            let masks: Vec<Vec<u32>> =
                run.model.params.iter().map(|param| param.read_mask().unwrap()).collect();
            let Some(change) = run.advance().unwrap() else { continue };
            // The running means have not changed since the update.
            let mean = |index: usize| {
                let values = run.model.params[ParamId(index)].tensors(MEAN)[0].read_f32().unwrap();
                let kept = (0..values.len()).filter(|&i| masks[index][i / 32] >> (i % 32) & 1 == 1);
                let sizes: Vec<f64> = kept.map(|i| f64::from(values[i].abs())).collect();
                sizes.iter().sum::<f64>() / sizes.len() as f64
            };
            let layers: Vec<usize> =
                (0..masks.len()).filter(|&index| run.model.params[ParamId(index)].is_masked()).collect();
            let means: Vec<f64> = layers.iter().map(|&index| mean(index)).collect();
            // A cosine from .3 at the begin to 0 at step 22, four fifths of the run.
            let share = 0.15 * (1.0 + (std::f64::consts::PI * step as f64 / 22.0).cos());
            let dropped: Vec<usize> =
                before.iter().map(|&kept| (kept as f64 * share + 1e-9) as usize).collect();
            let open: Vec<usize> = layers
                .iter()
                .zip(before.iter().zip(&dropped))
                .map(|(&index, (kept, dropped))| run.model.params[ParamId(index)].len() - kept + dropped)
                .collect();
            let grown = redistribute(&means, &dropped, &open);
            let want: Vec<usize> =
                before.iter().zip(dropped.iter().zip(&grown)).map(|(kept, (d, g))| kept - d + g).collect();
            assert_eq!(counts(&run), want, "{storage}, step {step} on {:?}", gpu.identity());
            assert_eq!(change.layers.iter().map(|layer| layer.kept).collect::<Vec<_>>(), want);
            assert_eq!(want.iter().sum::<usize>(), start.iter().sum::<usize>());
            updates += usize::from(dropped.iter().any(|&d| d > 0));
        }
        assert!(updates > 4, "{updates} updates are too few");
        assert_ne!(counts(&run), start, "no layer has changed its number");
    }
}

#[test]
fn another_mask_would_be_noticed() {
    let gpu = Gpu::twin();
    let [a, b] = [RIGL, "method = 'rigl', target = 0.8, schedule = { every = '4', end = '80%' }"]
        .map(|sparsity| trace(&gpu, &recipe(sparsity, "packed", SGD)));
    assert_ne!(a.1, b.1);
    assert!(a.2.iter().zip(&b.2).any(|(a, b)| (a - b).abs() > 1e-4));
}

#[test]
fn auto_switches_when_the_density_is_low_enough_and_says_so() {
    let gpu = common::device();
    let mut run = session(&gpu, &recipe(&format!("{GMP}, distribution = 'uniform'"), "auto", SGD));
    let mut seen = Vec::new();
    while !run.is_done() {
        run.advance().unwrap();
        seen.push(run.model.params[ParamId(0)].storage.name());
    }
    let switch = seen.iter().position(|storage| *storage == "packed");
    if gpu.is_counted() {
        return; // nothing is pruned there
    }
    let switch = switch.expect("0.9 is sparse enough");
    assert!(switch > 0 && seen[switch..].iter().all(|storage| *storage == "packed"), "{seen:?}");
    let bytes = |run: &Session| run.model.params[ParamId(0)].segments[0].weight.bytes();
    assert_eq!(bytes(&run), 4 * run.model.params[ParamId(0)].kept().unwrap() as u64);
}

/// Where layers share what they have dropped, one may outgrow the density up to which packed is faster, and come back
/// below it: how it is stored depends on that density alone, so that a resumed run decides alike.
#[test]
fn storage_follows_a_density_that_rises_and_falls() {
    let gpu = common::device();
    if gpu.is_counted() {
        return; // nothing is dropped there
    }
    let recipe = recipe(SNFS_SHARED, "auto", SGD);
    // The limit of each layer is the density that it has in the middle of the run.
    let mut middle = session(&gpu, &recipe);
    (0..10).for_each(|_| _ = middle.advance().unwrap());
    let mut choices = Choices::default();
    let mut limits = Vec::new();
    for (index, param) in middle.model.params.pairs().filter(|(_, p)| p.is_masked()) {
        let density = param.kept().unwrap() as f64 / param.len() as f64;
        let (shape, feeds_back) = (param.product(middle.columns()), param.feeds_back);
        let products = Products { form: Form::Free, shape, narrow: false, feeds_back, dense_grad: true };
        products.learn(&mut choices, density + 1e-6); // it is noted with six digits
        limits.push((index, density));
    }
    let fresh = || Session::new(&gpu, &recipe, &bytes(), choices.clone()).unwrap();
    let storage = |run: &Session| -> Vec<&str> {
        let params = &run.model.params;
        for &(index, limit) in &limits {
            let density = params[index].kept().unwrap() as f64 / params[index].len() as f64;
            let want = if density <= limit { "packed" } else { "masked" };
            assert_eq!(params[index].storage.name(), want, "{} at {density}", params[index].name);
        }
        limits.iter().map(|&(index, _)| params[index].storage.name()).collect()
    };
    let mut run = fresh();
    let (mut snapshots, mut switches) = (Vec::new(), Vec::new());
    while !run.is_done() {
        let before = storage(&run);
        run.advance().unwrap();
        switches.extend(before.into_iter().zip(storage(&run)));
        snapshots.push(run.snapshot().unwrap());
    }
    for switch in [("packed", "masked"), ("masked", "packed")] {
        assert!(switches.contains(&switch), "never from {} to {}", switch.0, switch.1);
    }
    let last = snapshots.pop().unwrap();
    for snapshot in &snapshots {
        let mut again = fresh();
        again.restore(snapshot).unwrap();
        while !again.is_done() {
            again.advance().unwrap();
        }
        assert_eq!(again.snapshot().unwrap().digest, last.digest, "resumed at step {}", snapshot.step);
    }
}

/// Of a dense size SNFS has its running means, and nothing else: no gradient, whose tiles are those of growth.
fn run(gpu: &Gpu, recipe: &Recipe, control: &Control) -> Summary {
    train(&mut session(gpu, recipe), control, &mut |_| Ok(())).unwrap()
}

#[test]
fn resuming_anywhere_changes_no_bit_across_switches_too() {
    let gpu = common::device();
    for (sparsity, storage, optim) in [
        (RIGL, "packed", ADAM),
        (GMP, "auto", SGD),
        (GMP, "packed", ADAM),
        (RIGL, "masked", SGD),
        (BLOCK, "packed", SGD),
        (SET_UNIFORM, "packed", ADAM),
        (GRANET_NORMAL, "auto", SGD),
        (RIGL_GRADIENT, "masked", SGD),
        (RIGL, "packed", DIFFGRAD),
        (SNFS_SHARED, "masked", ADAM),
        (SNFS, "packed", SGD),
        (SNFS_SHARED, "packed", ADAM),
        (SNFS_SHARED, "auto", SGD),
    ] {
        let recipe = recipe(sparsity, storage, optim);
        let whole = run(&gpu, &recipe, &FREE);
        for stop in (1..whole.steps).step_by(2) {
            let home = tempfile::tempdir().unwrap();
            let folder = Some(home.path().to_path_buf());
            run(&gpu, &recipe, &Control { folder: folder.clone(), stop_at: Some(stop), ..FREE });
            let (snapshot, damaged) = checkpoint::load(home.path(), Which::Last).unwrap();
            assert!(damaged.is_empty());
            let mut again = session(&gpu, &recipe);
            again.restore(&snapshot).unwrap();
            let rest = train(&mut again, &Control { folder, ..FREE }, &mut |_| Ok(())).unwrap();
            assert_eq!(rest.digest, whole.digest, "{sparsity}, {storage}, resumed at step {stop}");
        }
    }
}

#[test]
fn a_run_may_go_on_in_the_other_storage() {
    let gpu = common::device();
    for sparsity in METHODS {
        let [masked, packed] = ["masked", "packed"].map(|storage| recipe(sparsity, storage, ADAM));
        for (first, second) in [(&masked, &packed), (&packed, &masked)] {
            let mut run = session(&gpu, first);
            (0..13).for_each(|_| _ = run.advance().unwrap());
            let snapshot = run.snapshot().unwrap();
            let mut other = session(&gpu, second);
            other.restore(&snapshot).unwrap();
            assert_eq!(other.snapshot().unwrap().digest, snapshot.digest, "{sparsity}");
            assert_eq!(other.stored(true).unwrap(), run.stored(true).unwrap(), "{sparsity}");
        }
    }
}

#[test]
fn bf16_activations_stay_near_and_are_exact_in_their_own_way() {
    let narrow = |recipe: &Recipe| Recipe {
        run: coppice::recipe::Run { activations: coppice::recipe::Precision::Bf16, ..recipe.run.clone() },
        ..recipe.clone()
    };
    for gpu in everywhere() {
        for sparsity in METHODS {
            let wide = recipe(sparsity, "packed", SGD);
            let [(_, _, a, full), (_, _, b, half)] =
                [&wide, &narrow(&wide)].map(|recipe| trace(&gpu, recipe));
            assert_ne!(full, half, "{sparsity}: the copies are not read");
            // Eight bits of each factor: a sum of 40 products is off by a few thousandths, and so is a loss near 1.
            for (step, (a, b)) in a.iter().zip(&b).enumerate() {
                assert!((a - b).abs() <= 0.05, "{sparsity}: losses {a} and {b} at step {step}");
            }
        }
    }
    let gpu = common::device();
    let recipe = narrow(&recipe(RIGL, "packed", ADAM));
    let whole = run(&gpu, &recipe, &FREE);
    let mut first = session(&gpu, &recipe);
    (0..11).for_each(|_| _ = first.advance().unwrap());
    let mut second = session(&gpu, &recipe);
    second.restore(&first.snapshot().unwrap()).unwrap();
    while !second.is_done() {
        second.advance().unwrap();
    }
    let stored = |run: &Session| run.stored(true).unwrap();
    let mut again = session(&gpu, &recipe);
    while !again.is_done() {
        again.advance().unwrap();
    }
    assert_eq!(stored(&second), stored(&again));
    let kept = |run: &Session| run.model.params.iter().map(|p| p.kept().unwrap()).sum::<usize>();
    assert_eq!(kept(&second), kept(&first), "the number of weights is constant");
    assert_eq!(whole.steps, again.step);
}

#[test]
fn files_shrink_with_the_density() {
    let gpu = common::device();
    let bytes = |target: f64| {
        let sparsity = format!("method = 'static', target = {target}, distribution = 'uniform'");
        run(&gpu, &recipe(&sparsity, "packed", SGD), &FREE).stored_bytes
    };
    let [half, tenth, hundredth] = [0.5, 0.9, 0.99].map(bytes);
    // 40 + 24 + 4 biases; 24 x 40 + 40 x 24 + 24 x 4 weights, a bit of mask each or a number for each kept one.
    assert_eq!(half, 4 * (68 + 1008) + (960 + 960 + 96) / 8);
    assert!(tenth < half / 2 && hundredth < tenth / 2, "{half} {tenth} {hundredth}");
}

#[test]
fn packed_exports_are_small_and_read_again() {
    let gpu = common::device();
    let home = tempfile::tempdir().unwrap();
    for sparsity in METHODS {
        let mut run = session(&gpu, &recipe(sparsity, "packed", SGD));
        (0..13).for_each(|_| _ = run.advance().unwrap());
        let snapshot = run.snapshot().unwrap();
        let packed = snapshot.packed_weights().unwrap();
        let path = home.path().join("packed.safetensors");
        safetensors::write(&path, &packed, &[]).unwrap();
        let (read, _) = load_any(&path).unwrap();
        assert_eq!(read, run.weights().unwrap(), "{sparsity}");
        let file = std::fs::read(&path).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let values: usize = run.model.params.iter().map(words).sum();
        assert_eq!(file.len(), 8 + header + 4 * values, "{sparsity}");
    }
}

/// Words that a parameter takes in a file. With a mask: a value for each kept weight, rows and columns, and where the values
/// belong, of several ways the shortest: a bit or a number for each weight, or for each block beside the size of a block;
/// in groups N, M and a few bits for each kept weight.
fn words(param: &Param) -> usize {
    let (len, kept) = (param.len(), param.kept().unwrap());
    if !param.is_masked() {
        return len;
    }
    let single = len.div_ceil(32).min(kept);
    let told = match param.form {
        Form::Block { height } => 2 + (len / height).div_ceil(32).min(kept / height),
        // Three bits tell one of five.
        Form::Groups { of: 5, .. } => 2 + (3 * kept).div_ceil(32),
        _ => single,
    };
    kept + 2 + single.min(told)
}

#[test]
fn patterns_hold_to_the_end() {
    let gpu = common::device();
    for (sparsity, kept) in [(BLOCK, None), (GROUPS, Some(40 * 10 + 24 * 16 + 4 * 10))] {
        for storage in ["masked", "packed"] {
            let mut run = session(&gpu, &recipe(sparsity, storage, SGD));
            let summary = train(&mut run, &FREE, &mut |_| Ok(())).unwrap();
            if let Some(kept) = kept.filter(|_| !gpu.is_counted()) {
                assert_eq!(summary.kept, kept);
            }
            let values = run.model.params[ParamId(0)].read().unwrap();
            let kept = |row: usize, input: usize| values[row * 24 + input] != 0.0;
            for (row, input) in (0..40).flat_map(|row| (0..24).map(move |input| (row, input))) {
                match sparsity {
                    BLOCK => assert_eq!(kept(row, input), kept(row / 8 * 8, input), "{row} {input}"),
                    _ => {
                        let group = input / 5 * 5..(input / 5 * 5 + 5).min(24);
                        assert!(group.filter(|&i| kept(row, i)).count() <= 2, "{row} {input}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused_before_the_first_step() {
    for (sparsity, said) in [
        ("method = 'static', target = 0.5, pattern = 'block:8x1'", "4 outputs are no multiple of 8"),
        ("method = 'static', target = 0.5, pattern = 'block:3x1'", "no products over blocks of 3x1"),
        ("method = 'granet', pattern = '2:4'", "method `granet` cannot keep the pattern 2:4"),
        ("method = 'rigl', target = 0.5, distribution = 'global'", "needs a number for each layer"),
        ("method = 'rigl', target = 0.5, init = 0.9", "keeps the same number of weights throughout"),
        ("method = 'rigl', target = 0.5, growth = { by = 'magic' }", "unknown growth `magic`"),
        (
            "method = 'rigl', target = 0.5, growth = { fraction = { start = 1.5 } }",
            "a number above 0 and up to 1",
        ),
        (
            "method = 'set', target = 0.5, growth = { fraction = { type = 'constant', end = 0.0 } }",
            "`sparsity.growth.fraction.end` is where a share that falls ends",
        ),
        (
            "method = 'granet', target = 0.5, growth = { fraction = { power = 2 } }",
            "`sparsity.growth.fraction.power` is the exponent of type = \"exponential\"",
        ),
        (
            "method = 'set', target = 0.5, growth = { value = 'gradient' }",
            "growth at random computes no gradient where `gradient` would need it",
        ),
        (
            "method = 'rigl', target = 0.5, growth = { value = 'zeros', divisor = 2 }",
            "`sparsity.growth.divisor` divides what new weights start with",
        ),
        (
            "method = 'rigl', target = 0.5, growth = { value = 'normal', divisor = 0 }",
            "a number other than 0",
        ),
        (
            "method = 'snfs', target = 0.5, redistribute = true, growth = { by = 'gradient' }",
            "layers share what they have dropped by running means",
        ),
        ("method = 'rigl', target = 0.5, growth = { value = 'ones' }", "unknown value `ones`"),
        ("method = 'static', pattern = '1:2000000'", "groups have at most 1048576 inputs"),
        ("method = 'static', target = 0.5, latent = true", "holds pruned weights at 0"),
        ("method = 'rigl', target = 0.5, schedule = { type = 'oneshot' }", "weights grow again and again"),
    ] {
        let recipe = recipe(sparsity, "packed", SGD);
        let error = Session::new(&Gpu::twin(), &recipe, &bytes(), Choices::default()).err().expect(sparsity);
        assert!(error.to_string().contains(said), "{sparsity}: {error}");
    }
}
