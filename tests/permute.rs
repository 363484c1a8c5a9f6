//! Permutations of hidden units, found and made on every device and on the twins, against a plain search on the host.

mod common;

use common::{everywhere, kept_magnitude};
use coppice::gpu::{Choice, Dtype, Gpu, Limits};
use coppice::ops::packed::Form;
use coppice::ops::variants::Choices;
use coppice::param::{MaskMode, Param, ParamId, ParamSet, Storage};
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::sparsity::structure::exchange::{Scratch, Search, Shape};
use coppice::sparsity::structure::permute::Permutation;
use coppice::train::{Control, Event, Session, train};

/// The order that a device finds for a weight (rows, inner).
fn search(gpu: &Gpu, weight: &[f32], inner: usize, pattern: (usize, usize)) -> Vec<usize> {
    let rows = weight.len() / inner;
    let weight = gpu.upload_f32("weight", &[rows, inner], weight).unwrap();
    let lent = gpu.tensor("lent", Dtype::F32, &[rows, inner]).unwrap();
    let scratch = Scratch::new(gpu, &[Shape::new([&weight].into_iter(), pattern)]).unwrap();
    let search = Search::record(gpu, "weight", &[(&weight, &lent)], pattern, &scratch).unwrap();
    assert!(search.run(50).unwrap(), "it comes to an end");
    search.order().read_u32().unwrap().into_iter().map(|input| input as usize).collect()
}

/// The plain search: pairs of groups one after another, each candidate judged by what both groups keep then.
fn reference(weight: &[f32], inner: usize, (keep, of): (usize, usize)) -> Vec<usize> {
    let mut order: Vec<usize> = (0..inner).collect();
    let groups = inner.div_ceil(of);
    let members = |group: usize| group * of..((group + 1) * of).min(inner);
    let kept = |order: &[usize]| -> f64 {
        let largest = |row: &[f32]| {
            let mut sizes: Vec<f32> = order.iter().map(|&input| row[input].abs()).collect();
            sizes.sort_unstable_by(|a, b| b.total_cmp(a));
            sizes.iter().take(keep).map(|&size| f64::from(size)).sum::<f64>()
        };
        weight.chunks(inner).map(largest).sum()
    };
    let mut sums: Vec<f64> = (0..groups).map(|group| kept(&order[members(group)])).collect();
    loop {
        let mut exchanged = false;
        for (a, b) in (0..groups).flat_map(|a| (a + 1..groups).map(move |b| (a, b))) {
            let (mut best, mut gain) = (None, 1e-9);
            for (i, j) in members(a).flat_map(|i| members(b).map(move |j| (i, j))) {
                order.swap(i, j);
                let now = [kept(&order[members(a)]), kept(&order[members(b)])];
                let more = now[0] + now[1] - sums[a] - sums[b];
                if more > gain {
                    (best, gain) = (Some((i, j, now)), more);
                }
                order.swap(i, j);
            }
            if let Some((i, j, now)) = best {
                order.swap(i, j);
                [sums[a], sums[b]] = now;
                exchanged = true;
            }
        }
        if !exchanged {
            return order;
        }
    }
}

fn permuted(weight: &[f32], order: &[usize]) -> Vec<f32> {
    weight.chunks(order.len()).flat_map(|row| order.iter().map(|&from| row[from])).collect()
}

fn random(number: u32, rows: usize, inner: usize) -> Vec<f32> {
    (0..rows * inner).map(|i| uniform(5, Stream::Test, number, inner as u32, i as u32) - 0.5).collect()
}

#[test]
fn the_worked_rows_keep_five_in_place_of_four() {
    const WORKED: [f32; 16] =
        [0.9, 0.8, 0.7, 0.1, 0.2, 0.05, 0.3, 0.1, 0.6, 0.9, 0.5, 0.2, 0.1, 0.3, 0.05, 0.2];
    assert!((kept_magnitude(&WORKED, 8, 2, 4) - 4.2).abs() <= 1e-6);
    for gpu in everywhere() {
        let order = search(&gpu, &WORKED, 8, (2, 4));
        let kept = kept_magnitude(&permuted(&WORKED, &order), 8, 2, 4);
        assert!((kept - 5.0).abs() <= 1e-6, "{order:?} keeps {kept} on {:?}", gpu.identity());
    }
}

#[test]
fn an_order_is_a_permutation_that_never_keeps_less() {
    let shapes = [(1, 1, 1, 4), (5, 13, 2, 4), (8, 32, 1, 8), (3, 64, 3, 5), (7, 9, 4, 4), (2, 6, 1, 16)];
    for gpu in everywhere() {
        for (rows, inner, keep, of) in shapes {
            let weight = random(0, rows, inner);
            let order = search(&gpu, &weight, inner, (keep, of));
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..inner).collect::<Vec<_>>());
            let [before, after] =
                [&weight, &permuted(&weight, &order)].map(|w| kept_magnitude(w, inner, keep, of));
            assert!(after >= before, "{before} before, {after} after");
        }
    }
}

/// Two searches that exchange in another order end in other orders, now of more worth, now of less: over four weights they
/// are within a fifth of a percent of what is kept, and within a fifth of what was gained, which no order that is left as
/// it was would be.
#[test]
fn a_device_gains_about_as_much_as_a_plain_search() {
    for (rows, inner, keep, of) in [(64, 128, 2, 4), (130, 96, 1, 4), (64, 90, 3, 5), (100, 64, 4, 8)] {
        let weights: Vec<Vec<f32>> = (0..4).map(|number| random(number, rows, inner)).collect();
        let kept = |find: &dyn Fn(&[f32]) -> Vec<usize>| -> f64 {
            weights.iter().map(|w| kept_magnitude(&permuted(w, &find(w)), inner, keep, of)).sum()
        };
        let before = kept(&|_| (0..inner).collect());
        let want = kept(&|weight| reference(weight, inner, (keep, of)));
        for gpu in everywhere() {
            let got = kept(&|weight| search(&gpu, weight, inner, (keep, of)));
            let what = format!("{rows}x{inner} {keep}:{of}: {before} before, {got}, {want} wanted");
            assert!(got >= 0.998 * want, "{what}");
            assert!(got - before >= 0.8 * (want - before), "{what}");
        }
    }
}

/// A producer, its bias and a consumer, of numbers whose sums are exact; the last consumer's rows are no multiple of 4.
fn layers(gpu: &Gpu) -> ParamSet {
    let number =
        |tensor: u32| move |i: u32| (uniform(7, Stream::Test, 0, tensor, i) * 32.0 - 16.0).round() / 16.0;
    let mut all = ParamSet::from_iter([
        Param::new("fc1.weight", &[192, 160], Box::new(number(0))),
        Param::new("fc1.bias", &[192], Box::new(number(1))),
        Param::new("fc2.weight", &[202, 192], Box::new(number(2))),
    ]);
    hold(&mut all, 2, 2, 4);
    all.iter_mut().for_each(|param| param.allocate(gpu).unwrap());
    all
}

/// Gives the weight of this number, which reads what the weight and bias before it make, an N:M pattern.
fn hold(params: &mut ParamSet, number: usize, keep: usize, of: usize) {
    let param = &mut params[ParamId(number)];
    (param.storage, param.form) = (Storage::Masked(MaskMode::Held), Form::Groups { keep, of });
    param.before = Some([ParamId(number - 2), ParamId(number - 1)]);
}

/// What the layers make of one input.
fn output(layers: &ParamSet) -> Vec<f32> {
    let [weight, bias, next] = [0, 1, 2].map(|i: usize| layers[ParamId(i)].read().unwrap());
    let x: Vec<f32> = (0..160).map(|i| uniform(8, Stream::Test, 0, 0, i) - 0.5).collect();
    let product = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
    let hidden: Vec<f32> =
        weight.chunks(160).zip(&bias).map(|(row, b)| (product(row, &x) + b).max(0.0)).collect();
    next.chunks(192).map(|row| product(row, &hidden)).collect()
}

#[test]
fn layers_in_several_blocks_compute_what_they_did_and_are_permuted_as_whole_ones() {
    let small = Limits { binding_bytes: 100_000, groups: 3, submission_ms: 1 };
    let split = Gpu::open_with(&Choice::Auto, small).unwrap();
    let mut results = Vec::new();
    for gpu in everywhere().into_iter().chain([split.clone()]) {
        let layers = layers(&gpu);
        let before = [output(&layers), layers[ParamId(2)].read().unwrap()];
        let permutation = Permutation::record(&gpu, &layers, 50).unwrap();
        assert!(permutation.run().unwrap().is_empty(), "it comes to an end");
        for (was, is) in before[0].iter().zip(output(&layers)) {
            assert!((was - is).abs() <= 1e-3, "{was} before, {is} after");
        }
        let [less, more] =
            [&before[1], &layers[ParamId(2)].read().unwrap()].map(|w| kept_magnitude(w, 192, 2, 4));
        assert!(more > less * 1.01, "{less} before, {more} after");
        let grads = layers.iter().flat_map(|param| param.read_grad().unwrap());
        assert!(grads.into_iter().all(|grad| grad == 0.0), "gradients are left as they were made");
        results.push(layers.iter().map(|param| param.read().unwrap()).collect::<Vec<_>>());
        if split.is_device() && gpu.limits() == split.limits() {
            assert!(layers.iter().map(|param| param.segments.len()).eq([2, 1, 2]));
        }
    }
    assert!(results.iter().all(|result| result == &results[0]), "sums are exact: all devices agree");
}

/// Searches run one after another, in the memory of the largest: a second one of the same size adds its order, two numbers
/// and constants.
#[test]
fn searches_share_their_memory() {
    let gpu = Gpu::counted();
    let bytes = |count: usize| {
        let mut layers = ParamSet::default();
        for i in 0..=count {
            let weight = layers.declare(Param::new(&format!("fc{i}.weight"), &[256, 256], Box::new(|_| 0.0)));
            if i > 0 {
                hold(&mut layers, weight.0, 2, 4);
            }
            layers.declare(Param::new(&format!("fc{i}.bias"), &[256], Box::new(|_| 0.0)));
        }
        layers.iter_mut().for_each(|param| param.allocate(&gpu).unwrap());
        let before = gpu.memory().bytes;
        let permutation = Permutation::record(&gpu, &layers, 50).unwrap();
        assert_eq!(permutation.plans().count(), 3 * count);
        gpu.memory().bytes - before
    };
    // Bounds are two numbers a row for each of 64 groups.
    let (one, two) = (bytes(1), bytes(2));
    assert!(one > 64 * 2 * 256 * 4, "{one} bytes");
    assert!(two < one + one / 4, "{one} bytes for one search, {two} for two");
}

#[test]
fn what_cannot_gain_is_not_searched() {
    let gpu = Gpu::counted();
    for (inner, keep, of, searched) in
        [(8, 2, 4, true), (8, 4, 4, false), (4, 2, 4, false), (3, 2, 4, false), (5, 2, 4, true)]
    {
        let mut layers = ParamSet::from_iter([
            Param::new("fc1.weight", &[inner, 16], Box::new(|_| 0.0)),
            Param::new("fc1.bias", &[inner], Box::new(|_| 0.0)),
            Param::new("fc2.weight", &[8, inner], Box::new(|_| 0.0)),
        ]);
        hold(&mut layers, 2, keep, of);
        layers.iter_mut().for_each(|param| param.allocate(&gpu).unwrap());
        let permutation = Permutation::record(&gpu, &layers, 50).unwrap();
        assert_eq!(permutation.plans().next().is_some(), searched, "{inner} inputs, {keep}:{of}");
    }
}

/// Hidden units are permuted once: what that takes is given back, and is not there in a run that goes on behind it.
#[test]
fn what_a_search_works_in_is_there_until_the_prune() {
    let begin = |gpu: &Gpu, permute: bool| {
        let text = format!(
            "run = {{ epochs = 2, batch = 32, seed = 4 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
             model = {{ preset = 'mlp', hidden = [32, 32] }}\noptim = {{ name = 'adam', lr = 0.01 }}\n\
             sparsity = {{ method = 'asp', pattern = '2:4', permute = {permute}, storage = 'masked', \
             schedule = {{ type = 'oneshot', begin = '7' }} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        Session::new(gpu, &recipe, &common::bytes(), Choices::default()).unwrap()
    };
    let [plain, gpu] = [Gpu::twin(), Gpu::twin()];
    let [mut without, mut with] = [begin(&plain, false), begin(&gpu, true)];
    for step in 0..10 {
        let more = gpu.memory().bytes - plain.memory().bytes;
        assert_eq!(more > 0, step <= 7, "{more} bytes more before step {step}");
        let before = gpu.memory().buffers;
        without.advance().unwrap();
        with.advance().unwrap();
        assert_eq!(gpu.memory().buffers, before, "step {step}");
    }
    let other = Gpu::twin();
    let mut resumed = begin(&other, true);
    resumed.restore(&with.snapshot().unwrap()).unwrap();
    assert_eq!(other.memory().bytes, gpu.memory().bytes);
    // And back again.
    let early = begin(&Gpu::twin(), true).snapshot().unwrap();
    resumed.restore(&early).unwrap();
    assert!(other.memory().bytes > gpu.memory().bytes, "it is recorded where it is ahead");
}

/// The order is a function of the weights: a run that goes on from a checkpoint finds the same.
#[test]
fn a_run_that_permutes_resumes_to_the_same_bits() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            let begin = |permute: bool| {
                let text = format!(
                    "run = {{ epochs = 2, batch = 32, seed = 4 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
                     model = {{ preset = 'mlp', hidden = [32, 32] }}\noptim = {{ name = 'adam', lr = 0.01 }}\n\
                     sparsity = {{ method = 'asp', pattern = '2:4', permute = {permute}, storage = '{storage}', \
                     schedule = {{ type = 'oneshot', begin = '7' }} }}"
                );
                let recipe = Recipe::parse(&text, "test", &[]).unwrap();
                Session::new(&gpu, &recipe, &common::bytes(), Choices::default()).unwrap()
            };
            let end = |mut run: Session| {
                while !run.is_done() {
                    run.advance().unwrap();
                }
                run.snapshot().unwrap().digest
            };
            let want = end(begin(true));
            assert_ne!(end(begin(false)), want, "something is permuted");
            for stop in [1, 6, 7, 8, 12] {
                let mut first = begin(true);
                (0..stop).for_each(|_| drop(first.advance().unwrap()));
                let mut second = begin(true);
                second.restore(&first.snapshot().unwrap()).unwrap();
                assert_eq!(end(second), want, "{storage}, stopped at {stop} on {:?}", gpu.identity());
            }
        }
    }
}

/// A search that its last round ends is told of, by name, on the console as in the record of the update; one that ends
/// by itself is not.
#[test]
fn a_search_cut_by_its_last_round_is_warned_of() {
    for gpu in everywhere() {
        let outcome = |rounds: u32| {
            let text = format!(
                "run = {{ epochs = 2, batch = 32, seed = 4 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
                 model = {{ preset = 'mlp', hidden = [32, 32] }}\noptim = {{ name = 'adam', lr = 0.01 }}\n\
                 sparsity = {{ method = 'asp', pattern = '2:4', rounds = {rounds}, \
                 schedule = {{ type = 'oneshot', begin = '7' }} }}"
            );
            let recipe = Recipe::parse(&text, "test", &[]).unwrap();
            let mut run = Session::new(&gpu, &recipe, &common::bytes(), Choices::default()).unwrap();
            let (mut warnings, mut changes) = (Vec::new(), Vec::new());
            let free = Control { folder: None, stop_at: None, signal: &|| None, dump: None };
            train(&mut run, &free, &mut |event| {
                match event {
                    Event::Warned(error) => warnings.push(error.to_string()),
                    Event::MasksChanged(change, _) => changes.push(change.clone()),
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
            (warnings, changes.remove(0).cut)
        };
        let (warnings, cut) = outcome(1);
        assert_eq!(cut, ["fc2.weight"]);
        assert!(warnings.len() == 1 && warnings[0].contains("`fc2.weight` ended with its last round"));
        assert!(
            warnings[0].contains("step 7") && warnings[0].contains("more sparsity.rounds"),
            "{warnings:?}"
        );
        assert_eq!(outcome(50), (vec![], vec![]));
    }
}
