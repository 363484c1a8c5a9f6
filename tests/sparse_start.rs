//! Networks that begin sparse: how many inputs each output keeps, and first values that go by them.

use coppice::data::open_with;
use coppice::error::{Kind, Result};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::Param;
use coppice::recipe::Recipe;
use coppice::train::Session;

const MLP: &str = "{ preset = 'mlp', hidden = [64, 32] }";
const CNN: &str = "{ layer = [
    { type = 'conv2d', name = 'c0', out = 8, kernel = 3 }, { type = 'relu', name = 'a0' },
    { type = 'conv2d', name = 'c1', out = 16, kernel = 3, init = 'kaiming' }, { type = 'relu', name = 'a1' },
    { type = 'linear', name = 'fc', out = 12, init = 'xavier' }, { type = 'relu', name = 'a2' },
    { type = 'linear', name = 'head', out = 3, init = 'normal:0.1' }] }";

fn build(model: &str, sparsity: &str) -> Result<Session> {
    let text = format!(
        "run = {{ steps = 12, batch = 8, seed = 5 }}\n\
         data = {{ name = 'random:3x6x6', classes = 3, samples = 32, validation = 0.0 }}\nmodel = {model}\n\
         optim = {{ name = 'sgd', lr = 0.1 }}\nsparsity = {{ {sparsity} }}"
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    let data = open_with(&recipe.data.name, 0.0, &recipe.data.settings).unwrap();
    Session::new(&Gpu::twin(), &recipe, &data, Choices::default())
}

fn session(model: &str, sparsity: &str) -> Session {
    build(model, sparsity).unwrap()
}

fn pruned(run: &Session) -> impl Iterator<Item = &Param> {
    run.model.params.iter().filter(|param| param.is_masked())
}

/// By output, the kept inputs.
fn rows(param: &Param) -> Vec<Vec<usize>> {
    let (mask, inner) = (param.read_mask().unwrap(), param.matrix().inner());
    let is_kept = |&i: &usize| mask[i / 32] >> (i % 32) & 1 == 1;
    (0..param.matrix().rows).map(|row| (row * inner..(row + 1) * inner).filter(is_kept).collect()).collect()
}

const BEGIN: [&str; 4] = [
    "method = 'static', target = 0.8",
    "method = 'rigl', target = 0.8, schedule = { end = '9', every = '3' }",
    "method = 'set', target = 0.8, schedule = { end = '9', every = '3' }",
    "method = 'granet', target = 0.9, init = 0.3, schedule = { begin = '2', end = '9', every = '3' }",
];

#[test]
fn log_normal_starts_keep_as_many_in_all_and_one_for_each_output() {
    for (model, method) in [MLP, CNN].iter().flat_map(|model| BEGIN.map(|method| (model, method))) {
        let even = session(model, method);
        let uneven = session(model, &format!("{method}, fan_in = 'log-normal:1.0'"));
        let mut spread = 0;
        for (even, uneven) in pruned(&even).zip(pruned(&uneven)) {
            assert_eq!(even.kept().unwrap(), uneven.kept().unwrap(), "{method}: {}", even.name);
            let counts: Vec<usize> = rows(uneven).iter().map(Vec::len).collect();
            assert!(counts.iter().all(|count| *count >= 1), "{method}: {}: {counts:?}", uneven.name);
            spread += counts.iter().max().unwrap() - counts.iter().min().unwrap();
        }
        let even: usize = pruned(&even)
            .map(|param| {
                rows(param).iter().map(Vec::len).max().unwrap()
                    - rows(param).iter().map(Vec::len).min().unwrap()
            })
            .sum();
        assert!(spread > even, "{method}: {spread}, and {even} where it is left to chance");
    }
}

/// First values are those of the plain start times what the scale of the draw changes by.
#[test]
fn kept_inputs_set_the_scale_of_first_values() {
    for (model, fan_in) in
        [MLP, CNN].iter().flat_map(|model| ["random", "log-normal:0.8"].map(|fan_in| (model, fan_in)))
    {
        let of = |more: &str| {
            session(model, &format!("method = 'static', target = 0.8, fan_in = '{fan_in}', {more}"))
        };
        let (plain, masked) = (of("storage = 'masked'"), of("scale = 'kept', storage = 'masked'"));
        let packed = of("scale = 'kept', storage = 'packed'");
        let mut changed = 0;
        for ((plain, masked), packed) in pruned(&plain).zip(pruned(&masked)).zip(pruned(&packed)) {
            let [before, after] = [plain, masked].map(|param| param.read().unwrap());
            assert_eq!(after, packed.read().unwrap(), "packed and masked begin alike");
            let (all, outputs) = (plain.matrix().inner() as f64, plain.matrix().rows as f64);
            for row in rows(plain) {
                let kept = row.len().max(1) as f64;
                let factor = match plain.name.as_str() {
                    "fc.weight" => ((all + outputs) / (kept + outputs)).sqrt(),
                    "head.weight" if *model == CNN => 1.0,
                    _ => (all / kept).sqrt(),
                };
                for i in row {
                    let want = f64::from(before[i]) * factor;
                    assert!((f64::from(after[i]) - want).abs() <= 1e-6 * want.abs(), "{} {i}", plain.name);
                    changed += usize::from(before[i] != after[i]);
                }
            }
        }
        assert!(changed > 100, "{changed}");
    }
}

#[test]
fn the_bound_of_a_uniform_draw_is_that_of_the_kept_inputs() {
    let run = session(MLP, "method = 'static', target = 0.8, scale = 'kept'");
    let mut largest = 0.0f64;
    for param in pruned(&run) {
        let values = param.read().unwrap();
        for row in rows(param) {
            let bound = 1.0 / (row.len() as f64).sqrt();
            let most = row.iter().map(|&i| f64::from(values[i].abs())).fold(0.0, f64::max);
            assert!(row.is_empty() || most <= bound * (1.0 + 1e-6), "{}: {most} of {bound}", param.name);
            largest = largest.max(most / bound);
        }
    }
    assert!(largest > 0.99, "{largest}");
}

/// Left out or written, the defaults are the same; the run goes on by its own masks, and the start is a function of the seed.
#[test]
fn defaults_keep_their_bits_and_others_go_on() {
    let digest = |more: &str| {
        let mut run = session(MLP, &format!("{}{more}", BEGIN[1]));
        while !run.is_done() {
            run.advance().unwrap();
        }
        run.snapshot().unwrap().digest
    };
    assert_eq!(digest(""), digest(", fan_in = 'random', scale = 'dense'"));
    let own = ", fan_in = 'log-normal:0.5', scale = 'kept'";
    assert!(
        digest(own) == digest(own) && digest(own) != digest("") && digest(own) != digest(", scale = 'kept'")
    );
}

#[test]
fn what_begins_dense_is_refused() {
    for (method, said) in [
        ("method = 'none'", "begins dense"),
        ("method = 'gmp', target = 0.9", "begins dense"),
        ("method = 'granet', target = 0.9", "sparsity.init"),
        ("method = 'snip', target = 0.9", "a method that begins sparse"),
        ("method = 'top-kast', target = 0.9", "begins dense"),
        ("method = 'sr-ste', pattern = '1:4'", "begins dense"),
    ] {
        for setting in ["fan_in = 'log-normal:1'", "scale = 'kept'"] {
            let error = build(MLP, &format!("{method}, {setting}"))
                .err()
                .unwrap_or_else(|| panic!("{method}, {setting}"));
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    let error =
        build(MLP, "method = 'static', pattern = '1:4', fan_in = 'log-normal:1'").err().unwrap().to_string();
    assert!(error.contains("outputs keep what that says"), "{error}");
    assert!(build(MLP, "method = 'static', pattern = '1:4', scale = 'kept'").is_ok());
    let error =
        build(MLP, "method = 'static', target = 0.999, fan_in = 'log-normal:1'").err().unwrap().to_string();
    assert!(error.contains("less than one for each of") && error.contains("fc1.weight"), "{error}");
}
