//! `optim.ema`: averages of weights follow every update, keep to the masks, and are what a network is judged by.

use coppice::data::open_with;
use coppice::error::Kind;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::{MaskMode, Param};
use coppice::recipe::Recipe;
use coppice::store::Arrays;
use coppice::train::{Part, Session, averaged};

const MLP: &str = "{ preset = 'mlp', hidden = [16, 8] }";
const NORM: &str =
    "{ layer = [{ type = 'linear', name = 'fc1', out = 16 }, { type = 'batch_norm', name = 'n1' },
    { type = 'relu', name = 'a1' }, { type = 'linear', name = 'head', out = 3 }] }";

fn recipe(model: &str, optim: &str, sparsity: &str) -> Recipe {
    let text = format!(
        "run = {{ steps = 24, batch = 8, seed = 5 }}\n\
         data = {{ name = 'random:12', classes = 3, samples = 64, validation = 0.0 }}\nmodel = {model}\n\
         optim = {{ {optim} }}\nsparsity = {{ {sparsity} }}"
    );
    Recipe::parse(&text, "test", &[]).unwrap()
}

fn build(recipe: &Recipe) -> coppice::error::Result<Session> {
    let data = open_with(&recipe.data.name, recipe.data.validation, &recipe.data.settings).unwrap();
    Session::new(&Gpu::twin(), recipe, &data, Choices::default())
}

fn session(model: &str, optim: &str, sparsity: &str) -> Session {
    build(&recipe(model, optim, sparsity)).unwrap()
}

fn average(param: &Param) -> Vec<f32> {
    param.dense(param.companion("average").unwrap().read_f32().unwrap())
}

const SGD: &str = "name = 'sgd', lr = 0.1, ema = 0.7";
const DENSE: &str = "method = 'none'";

/// The recurrence as printed, in f64; running statistics are averaged, too.
#[test]
fn averages_are_those_of_the_recurrence() {
    for (optim, decay) in [(SGD, 0.7), ("name = 'adamw', lr = 0.01, ema = 0.99", 0.99)] {
        let mut run = session(NORM, optim, DENSE);
        let values = |run: &Session| -> Vec<Vec<f64>> {
            run.model.params.iter().map(|p| p.read().unwrap().into_iter().map(f64::from).collect()).collect()
        };
        let mut want = values(&run);
        for (param, want) in run.model.params.iter().zip(&want) {
            assert!(
                average(param).iter().zip(want).all(|(got, want)| f64::from(*got) == *want),
                "begins as the weight"
            );
        }
        for t in 1..=24u32 {
            run.advance().unwrap();
            let share: f64 = 1.0 - f64::min(decay, f64::from(1 + t) / f64::from(10 + t));
            for (want, now) in want.iter_mut().zip(values(&run)) {
                want.iter_mut().zip(now).for_each(|(want, now)| *want += share * (now - *want));
            }
            for (param, want) in run.model.params.iter().zip(&want) {
                for (i, (got, want)) in average(param).iter().zip(want).enumerate() {
                    let off = (f64::from(*got) - want).abs();
                    assert!(
                        off <= 1e-5 * (1.0 + want.abs()),
                        "{} {i}, update {t}: {got}, not {want}",
                        param.name
                    );
                }
            }
        }
        assert!(run.model.params.iter().any(|param| average(param) != param.read().unwrap()));
    }
}

/// Weights and masks are those of a run without; the digest covers averages.
#[test]
fn training_does_not_see_them() {
    let methods =
        [DENSE, "method = 'gmp', target = 0.8, schedule = { begin = '2', end = '15', every = '3' }"];
    for method in methods {
        let (mut with, mut without) =
            (session(MLP, SGD, method), session(MLP, "name = 'sgd', lr = 0.1", method));
        while !with.is_done() {
            with.advance().unwrap();
            without.advance().unwrap();
            with.evaluate(Part::Test).unwrap();
        }
        assert_eq!(with.weights().unwrap(), without.weights().unwrap());
        assert_ne!(with.snapshot().unwrap().digest, without.snapshot().unwrap().digest);
        let mut other = session(MLP, "name = 'sgd', lr = 0.1, ema = 0.5", method);
        while !other.is_done() {
            other.advance().unwrap();
        }
        assert_ne!(other.snapshot().unwrap().digest, with.snapshot().unwrap().digest);
    }
}

/// What an evaluation says is what a network with the averages for weights says, not one with the last weights.
#[test]
fn evaluations_go_by_the_averages() {
    for (model, storage) in [(MLP, "masked"), (MLP, "packed"), (NORM, "masked")] {
        let method = format!("method = 'static', target = 0.6, storage = '{storage}'");
        let mut run = session(model, "name = 'sgd', lr = 0.5, ema = 0.9", &method);
        (0..20).for_each(|_| drop(run.advance().unwrap()));
        let before = run.snapshot().unwrap();
        let found = run.evaluate(Part::Test).unwrap().unwrap();
        assert_eq!(run.snapshot().unwrap().digest, before.digest, "nothing has changed");
        let by = |arrays: &Arrays| {
            let mut plain = session(model, "name = 'sgd', lr = 0.5", DENSE);
            plain.load_weights(arrays).unwrap();
            plain.evaluate(Part::Test).unwrap().unwrap().totals.mean_loss()
        };
        let dense = before.dense().unwrap();
        let (swapped, has) = averaged(dense.clone());
        assert!(has);
        let (loss, by_average, by_weight) = (found.totals.mean_loss(), by(&swapped), by(&dense));
        assert!((loss - by_average).abs() <= 1e-5, "{storage}: {loss}, not {by_average}");
        assert!((loss - by_weight).abs() > 1e-4, "{storage}: {loss} is that of the weights, too");
    }
}

/// Behind a mask an average is 0; what grows begins with its weight; packed and masked storage agree; resuming anywhere.
#[test]
fn averages_keep_to_the_masks() {
    let methods = [
        "method = 'gmp', target = 0.8, schedule = { begin = '2', end = '15', every = '3' }",
        "method = 'rigl', target = 0.7, schedule = { end = '20', every = '3' }, growth = { value = 'initial' }",
        "method = 'set', target = 0.7, schedule = { end = '20', every = '3' }",
        "method = 'granet', target = 0.8, init = 0.6, schedule = { begin = '2', end = '15', every = '3' }",
        "method = 'imp', target = 0.5, rewind = '2'",
        "method = 'asp', pattern = '2:4', schedule = { type = 'oneshot', begin = '7' }",
    ];
    for method in methods {
        let of = |storage: &str| {
            let storage = if method.contains("imp") || method.contains("asp") { "masked" } else { storage };
            session(MLP, SGD, &format!("{method}, storage = '{storage}'"))
        };
        let (mut masked, mut packed) = (of("masked"), of("packed"));
        let mut stopped = of("packed");
        let mut before: Vec<Vec<u32>> = Vec::new();
        let mut grown = 0;
        while !masked.is_done() {
            masked.advance().unwrap();
            packed.advance().unwrap();
            stopped.advance().unwrap();
            let snapshot = stopped.snapshot().unwrap();
            assert_eq!(snapshot.digest, packed.snapshot().unwrap().digest, "{method}, step {}", packed.step);
            if [2, 5, 6, 11].contains(&stopped.step) {
                stopped = of("packed");
                stopped.restore(&snapshot).unwrap();
            }
            let mut masks = Vec::new();
            for (one, other) in masked.model.params.iter().zip(&packed.model.params) {
                let (mask, weight, own) = (one.read_mask().unwrap(), one.read().unwrap(), average(one));
                let kept = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
                let held = one.mask_mode() == MaskMode::Held;
                for i in (0..own.len()).filter(|_| held) {
                    assert!(kept(i) || own[i].to_bits() == 0, "{method}: {} {i} is pruned", one.name);
                    let was = before
                        .get(masks.len())
                        .is_none_or(|mask: &Vec<u32>| mask[i / 32] >> (i % 32) & 1 == 1);
                    if kept(i) && !was && weight[i] != 0.0 && own[i] == weight[i] {
                        grown += 1;
                    }
                }
                let off = own.iter().zip(average(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= 1e-4, "{method}: averages of {} are off by {off} where packed", one.name);
                masks.push(mask);
            }
            before = masks;
        }
        assert!(grown > 0 || !method.contains("initial"), "{method}: nothing has grown with its weight");
    }
}

#[test]
fn pruned_weights_that_keep_a_value_are_refused() {
    for method in
        ["method = 'sr-ste', pattern = '1:4'", "method = 'top-kast', target = 0.7", "method = 'str'"]
    {
        let error = build(&recipe(MLP, SGD, method)).err().unwrap();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.to_string().contains("weights are not averaged"), "{error}");
    }
}
