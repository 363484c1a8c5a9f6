//! A network of convolutions instead of an MLP, for every method. Optimizers do not see what a layer is: two stand for all.
//! ASP leaves layers alone whose outputs are no multiple of 8 or whose inputs are none of 16, and has a wider network here; it
//! puts no channels into another order, since batch norm reads them on the way, too.

use super::*;

/// Strides, batch norm, a residual connection, a depthwise convolution and poolings. Six channels are no multiple of four.
const MODEL: &str = "
    [model]
    layer = [
        { type = 'conv2d', name = 'stem', out = 6, kernel = 3, stride = 2, padding = 1, bias = false },
        { type = 'batch_norm', name = 'bn1' },
        { type = 'relu', name = 'act1' },
        { type = 'conv2d', name = 'conv', out = 6, kernel = 3, padding = 1, bias = false },
        { type = 'batch_norm', name = 'bn2' },
        { type = 'add', name = 'sum', from = ['bn2', 'act1'] },
        { type = 'relu', name = 'act2' },
        { type = 'conv2d', name = 'depthwise', out = 6, kernel = 3, padding = 1, groups = 6 },
        { type = 'conv2d', name = 'pointwise', out = 10, kernel = 1, bias = false },
        { type = 'batch_norm', name = 'bn3' },
        { type = 'relu', name = 'act3' },
        { type = 'max_pool', name = 'pool', kernel = 2 },
        { type = 'global_average_pool', name = 'mean' },
        { type = 'linear', name = 'head', out = 2 },
    ]";
/// Weights that methods prune: of these shapes, rows first.
const PRUNED: [(&str, &[usize]); 4] = [
    ("stem.weight", &[6, 3, 3, 2]),
    ("conv.weight", &[6, 3, 3, 6]),
    ("pointwise.weight", &[10, 1, 1, 6]),
    ("head.weight", &[2, 10]),
];

/// 32 random images of two channels and 6 x 6; two classes.
fn images() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 72).map(|i| uniform(9, Stream::Test, 0, tensor, i) - 0.5).collect();
        let labels = values.chunks(72).map(|row| u8::from(row[..36].iter().sum::<f32>() > 0.0)).collect();
        Split::floats(values, labels)
    };
    let (train, test) = (split(32, 0), split(8, 1));
    Dataset::from_arrays(Source::new("images", vec![2, 6, 6], 2, train, test), 0.0).unwrap()
}

fn recipe(sparsity: &str, optimizer: &str) -> Recipe {
    let model = match sparsity.contains("'asp'") {
        true => MODEL.replace("out = 6", "out = 16").replace("groups = 6", "groups = 16"),
        false => MODEL.to_string(),
    };
    let text = format!(
        "run = {{ epochs = 5, batch = 8, seed = 4 }}\ndata = {{ name = 'images', validation = 0.0 }}\n\
         optim = {{ name = '{optimizer}', lr = 0.02 }}\nsparsity = {{ {sparsity} }}\n{model}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

/// As [`super::build`]. Weights of a file have zeros for those methods that look for some.
pub(super) fn build(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Session {
    if recipe.sparsity.method != "held" {
        let run = Session::new(gpu, recipe, data, Choices::default());
        return run.unwrap_or_else(|e| panic!("{}: {e}", recipe.sparsity.method));
    }
    let dense = Recipe { sparsity: coppice::recipe::Sparsity::none(), ..recipe.clone() };
    let start = Session::new(&Gpu::twin(), &dense, data, Choices::default()).unwrap();
    let mut arrays = start.weights().unwrap();
    for param in start.model.params.iter().filter(|param| param.prunable) {
        let array = arrays.get_mut(&param.name).expect("every parameter is there");
        let mut values = array.to_f32();
        values.iter_mut().enumerate().filter(|(i, _)| i % 3 != 0).for_each(|(_, value)| *value = 0.0);
        *array = Array::f32(array.shape.clone(), &values);
    }
    let initial = Initial::matched(arrays, recipe, data).unwrap();
    Session::starting_from(gpu, recipe, data, Choices::default(), Some(&initial)).unwrap()
}

#[test]
fn every_method_goes_on() {
    let (gpu, data) = (Gpu::twin(), images());
    for method in methods::ALL {
        for (optimizer, chains) in [("sgd", [&[3, 8, 14][..], &[7, 13]]), ("adam", [&[1, 10], &[8, 19]])] {
            let recipe = recipe(section(method.name), optimizer);
            goes_on_built(
                &|| build(&gpu, &recipe, &data),
                &gpu,
                &chains,
                &format!("{} with {optimizer}", method.name),
            );
        }
    }
}

/// Those whose masks change by each of the ways that there are: not at all, all at once, by regrowth, in each step.
#[test]
fn some_methods_go_on_on_devices() {
    let data = images();
    common::side_by_side(common::devices().into_iter().filter(Gpu::is_device).collect(), |gpu| {
        for method in ["none", "gmp", "rigl", "sr-ste"] {
            let recipe = recipe(section(method), "sgd");
            goes_on_built(&|| build(gpu, &recipe, &data), gpu, &[&[8, 13]], method);
        }
    });
}

/// Methods whose weights may be stored either way.
const STORED: [&str; 6] = [
    "method = 'static', target = 0.7",
    "method = 'held'",
    "method = 'gmp', target = 0.8, schedule = { begin = '2', end = '13', every = '3' }",
    "method = 'granet', target = 0.8, init = 0.6, schedule = { begin = '2', end = '13', every = '3' }",
    "method = 'set', target = 0.7, schedule = { end = '15', every = '3' }",
    "method = 'rigl', target = 0.7, schedule = { end = '15', every = '3' }",
];

#[test]
fn masked_and_packed_runs_have_equal_masks_and_go_on() {
    let data = images();
    for gpu in common::everywhere() {
        for (number, sparsity) in STORED.into_iter().enumerate() {
            if gpu.is_device() && ![0, 5].contains(&number) {
                continue;
            }
            let ends = ["masked", "packed"].map(|storage| {
                let spread = "distribution = 'uniform'";
                let recipe = recipe(&format!("{sparsity}, {spread}, storage = '{storage}'"), "sgd");
                let build = || build(&gpu, &recipe, &data);
                let context = format!("{sparsity}, {storage}, on {:?}", gpu.identity());
                let end = goes_on_built(&build, &gpu, &[&[8, 13]], &context);
                let mut run = build();
                while !run.is_done() {
                    run.advance().unwrap();
                }
                let packed = PRUNED.iter().filter(|(name, _)| {
                    let id = run.model.params.named(name).unwrap();
                    run.model.params[id].packed().is_some()
                });
                assert_eq!(packed.count(), if storage == "packed" { PRUNED.len() } else { 0 }, "{context}");
                end
            });
            // On a device sums of a masked and of a packed product are rounded differently, and the smaller of two weights may
            // be another.
            if !gpu.is_device() || number == 0 {
                assert_eq!(ends[0], ends[1], "{sparsity}, on {:?}", gpu.identity());
            }
        }
    }
}

/// Which weights of one of [`PRUNED`] are kept, row by row.
fn kept(run: &Session, name: &str) -> Vec<bool> {
    let param = &run.model.params[run.model.params.named(name).unwrap()];
    let mask = param.read_mask().unwrap();
    (0..param.len()).map(|i| mask[i / 32] >> (i % 32) & 1 == 1).collect()
}

fn ended(sparsity: &str) -> Session {
    let mut run = build(&Gpu::twin(), &recipe(sparsity, "sgd"), &images());
    while !run.is_done() {
        run.advance().unwrap();
    }
    run
}

/// N of every M channels of one tap, and as many of those left over if there are so many: six channels and two are no
/// multiple of four.
#[test]
fn patterns_hold_along_the_channels_of_a_tap() {
    for (pattern, n, m) in [("1:4", 1, 4), ("2:4", 2, 4), ("3:7", 3, 7)] {
        for method in [
            "method = 'ste', schedule = { every = '3' }",
            "method = 'gmp', schedule = { type = 'oneshot', begin = '7' }",
        ] {
            let run = ended(&format!("{method}, pattern = '{pattern}'"));
            for (name, shape) in PRUNED {
                let channels = *shape.last().unwrap();
                for tap in kept(&run, name).chunks(channels) {
                    for group in tap.chunks(m) {
                        let count = group.iter().filter(|kept| **kept).count();
                        assert_eq!(count, n.min(group.len()), "{method}, {pattern}: {name}");
                    }
                }
            }
            assert!(kept(&run, "depthwise.weight").iter().all(|kept| *kept), "{method}, {pattern}");
        }
    }
}

/// Four output channels at one tap of one input channel are kept or pruned together; the last of six are two.
#[test]
fn blocks_are_of_output_channels() {
    for method in ["static", "gmp"] {
        let run = ended(&format!("{}, pattern = 'block:4x1', distribution = 'uniform'", section(method)));
        for (name, shape) in PRUNED {
            let inner: usize = shape[1..].iter().product();
            let (kept, mut pruned) = (kept(&run, name), 0);
            for rows in kept.chunks(4 * inner) {
                for at in 0..inner {
                    let block: Vec<bool> = rows.iter().skip(at).step_by(inner).copied().collect();
                    assert!(block.iter().all(|kept| *kept == block[0]), "{method}: {name}, {at}: {block:?}");
                    pruned += usize::from(!block[0]);
                }
            }
            assert!(pruned > 0, "{method}: nothing of {name} is pruned");
        }
    }
}
