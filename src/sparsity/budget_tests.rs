//! Budgets against worked numbers: the roundings, Erdos-Renyi densities, and exact splits.

use proptest::prelude::*;

use super::super::rules;
use super::*;
use crate::recipe::Structure;

#[test]
fn the_roundings_agree_with_the_worked_table() {
    use Rounding::*;
    for (len, s, half_even, trunc, floor) in
        [(10, 0.35, 6, 6, 7), (10, 0.25, 8, 7, 8), (10, 0.45, 6, 5, 6), (7, 0.5, 4, 3, 4), (5, 0.5, 2, 2, 3)]
    {
        assert_eq!(HalfEven.keep(len, s), half_even, "half-even {len} {s}");
        assert_eq!(TruncKeep.keep(len, s), trunc, "trunc-keep {len} {s}");
        assert_eq!(FloorZeros.keep(len, s), floor, "floor-zeros {len} {s}");
    }
    assert_eq!(TruncKeep.keep(10, 0.9), 1, "0.9 is not exact: plain truncation gives 0");
    assert_eq!(keep(10, 0.9), 1);
    assert_eq!(keep(10, 0.99), 1, "at least one");
    assert_eq!(keep(0, 0.5), 0, "and none of nothing");
}

/// Weights kept as the published tables count them.
fn floor_zeros(shapes: &[Vec<usize>], s: f64) -> f64 {
    shapes.iter().map(|shape| Rounding::FloorZeros.keep(shape.iter().product(), s) as f64).sum()
}

fn close(got: &[f64], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= bound, "{got} is not {want}");
    }
}

/// jaxpruner's own test list, where channels come last: (2, 4, 6) is two positions of 4 by 6.
fn small() -> Vec<Vec<usize>> {
    vec![vec![2, 4], vec![3, 6], vec![4, 2, 6]]
}
/// LeNet-300-100.
fn lenet() -> Vec<Vec<usize>> {
    vec![vec![300, 784], vec![100, 300], vec![10, 100]]
}
/// LeNet-5 as Caffe has it.
fn caffe() -> Vec<Vec<usize>> {
    vec![vec![20, 5, 5, 1], vec![50, 5, 5, 20], vec![500, 800], vec![10, 500]]
}
/// VGG-19 for CIFAR-10.
fn vgg() -> Vec<Vec<usize>> {
    let widths = [3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512];
    let convolution = |pair: &[usize]| vec![pair[1], 3, 3, pair[0]];
    widths.windows(2).map(convolution).chain([vec![10, 512]]).collect()
}
fn weights(shapes: &[Vec<usize>]) -> usize {
    shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
}

/// Tables are given to four digits or to six.
const FOUR: f64 = 5.1e-5;
const SIX: f64 = 5.1e-7;

#[test]
fn erdos_renyi_agrees_with_the_worked_tables() {
    let sizes = [small(), lenet(), caffe(), vgg()].map(|shapes| weights(&shapes));
    assert_eq!(sizes, [74, 266_200, 430_500, 20_024_000]);
    for (s, power, er, sparsities) in [
        (0.5, 1.0, false, [0.0, 0.3095, 0.6548]),
        (0.5, 1.0, true, [0.2071, 0.4714, 0.5595]),
        (0.8, 1.0, false, [0.5556, 0.7037, 0.8519]),
        (0.5, 2.0, false, [0.0, 0.0333, 0.7583]),
    ] {
        let got = erdos_renyi(&small(), floor_zeros(&small(), s), power, er);
        close(&got, &sparsities.map(|s| 1.0 - s), FOUR);
    }
    for (s, want, ones) in [
        (0.5, [0.434099, 1.0, 1.0], [102_100, 30_000, 1000]),
        (0.8, [0.162241, 0.469362, 1.0], [38_159, 14_081, 1000]),
        (0.9, [0.079568, 0.230189, 1.0], [18_714, 6906, 1000]),
        (0.95, [0.038484, 0.111334, 0.918507], [9051, 3340, 919]),
        (0.98, [0.015394, 0.044534, 0.367403], [3621, 1336, 367]),
        (0.99, [0.007697, 0.022267, 0.183701], [1810, 668, 184]),
    ] {
        close(&erdos_renyi(&lenet(), floor_zeros(&lenet(), s), 1.0, false), &want, SIX);
        let budget = Budget::new(tensors(), Distribution::Erk, &[]).unwrap();
        assert_eq!(budget.keeps(s, |target| target).unwrap(), ones, "sparsity {s}");
    }
    for (s, er, want) in [
        (0.8, false, [1.0, 0.186899, 0.189819, 1.0]),
        (0.8, true, [1.0, 1.0, 0.139, 1.0]),
        (0.9, false, [1.0, 0.087072, 0.088433, 1.0]),
        (0.9, true, [1.0, 0.861803, 0.040012, 1.0]),
        (0.95, false, [0.726116, 0.037477, 0.038063, 1.0]),
        (0.98, false, [0.277887, 0.014343, 0.014567, 0.457168]),
    ] {
        close(&erdos_renyi(&caffe(), floor_zeros(&caffe(), s), 1.0, er), &want, SIX);
    }
    // From the sixth convolution on three are alike, and from the tenth on seven.
    for (s, first, last) in [
        (0.5, [1.0, 1.0, 1.0, 1.0, 1.0, 0.8703, 0.6502, 0.4326], 1.0),
        (0.9, [1.0, 0.6894, 0.5093, 0.3370, 0.2508, 0.1666, 0.1244, 0.0828], 1.0),
        (0.95, [1.0, 0.3435, 0.2538, 0.1679, 0.1250, 0.0830, 0.0620, 0.0413], 1.0),
        (0.98, [1.0, 0.1360, 0.1005, 0.0665, 0.0495, 0.0329, 0.0245, 0.0163], 1.0),
    ] {
        let want = [&first[..5], &[first[5]; 3], &[first[6]], &[first[7]; 7], &[last]].concat();
        close(&erdos_renyi(&vgg(), floor_zeros(&vgg(), s), 1.0, false), &want, FOUR);
    }
}

#[test]
fn densities_keep_in_all_what_was_asked_for() {
    for shapes in [small(), lenet(), caffe(), vgg()] {
        for s in [0.5, 0.8, 0.9, 0.95, 0.98, 0.99] {
            for (power, er) in [(1.0, false), (1.0, true), (2.0, false)] {
                let want = (1.0 - s) * weights(&shapes) as f64;
                let densities = erdos_renyi(&shapes, want, power, er);
                let lens = shapes.iter().map(|shape| shape.iter().product::<usize>() as f64);
                let kept: f64 = densities.iter().zip(lens).map(|(density, len)| density * len).sum();
                assert!((kept - want).abs() <= 1e-6 * want, "{kept} of {want} at {s}, power {power}");
                assert!(densities.iter().all(|density| (0.0..=1.0).contains(density)), "{densities:?}");
            }
        }
    }
}

#[test]
fn nothing_pruned_is_all_dense() {
    close(&erdos_renyi(&lenet(), 266_200.0, 1.0, false), &[1.0, 1.0, 1.0], 0.0);
}

fn tensors() -> Vec<Tensor> {
    let tensor =
        |name: &str, shape: [usize; 2]| Tensor { name: name.into(), shape: shape.to_vec(), form: Form::Free };
    vec![tensor("fc1.weight", [300, 784]), tensor("fc2.weight", [100, 300]), tensor("head.weight", [10, 100])]
}

fn rule(matches: &str, dense: bool, target: Option<f64>) -> Rule {
    Rule { matches: matches.into(), dense, target, pattern: None, keep: None, alike: None }
}

#[test]
fn the_last_rule_wins_and_dense_layers_count_towards_the_total() {
    let rules = [rule("*", true, None), rule("fc*", false, None)];
    let budget = Budget::new(tensors(), Distribution::Uniform, &rules).unwrap();
    assert_eq!(budget.groups.len(), 2);
    let keeps = budget.keeps(0.9, |target| target).unwrap();
    assert_eq!(keeps.iter().sum::<usize>() + 1000, 26_620);
}

#[test]
fn what_cannot_be_met_is_refused() {
    let nothing = Budget::new(tensors(), Distribution::Global, &[rule("conv*", true, None)]).unwrap_err();
    assert!(nothing.to_string().contains("matches no layer") && nothing.to_string().contains("fc1.weight"));
    let all = Budget::new(tensors(), Distribution::Global, &[rule("*", true, None)]).unwrap_err();
    assert!(all.to_string().contains("nothing is left"));
    let much = Budget::new(tensors(), Distribution::Global, &[rule("fc1", true, None)]).unwrap();
    assert!(much.keeps(0.9, |t| t).unwrap_err().to_string().contains("cannot be met"));
}

proptest! {
    #[test]
    fn budgets_are_exact(
        dims in prop::collection::vec((1usize..60, 1usize..60), 1..6),
        s in 0.0f64..0.999,
        kind in 0usize..4,
    ) {
        let tensors: Vec<Tensor> = dims.iter().enumerate()
            .map(|(i, &(a, b))| Tensor { name: format!("t{i}"), shape: vec![a, b], form: Form::Free }).collect();
        let budget = Budget::new(tensors, Distribution::ALL[kind], &[]).unwrap();
        if let Ok(keeps) = budget.keeps(s, |t| t) {
            prop_assert_eq!(keeps.iter().sum::<usize>(), keep(budget.total(), s));
            for (group, &kept) in budget.groups.iter().zip(&keeps) {
                prop_assert!(kept <= group.len);
            }
        } else {
            prop_assert!(keep(budget.total(), s) < dims.len(), "only too small a budget is refused");
        }
    }
}

#[test]
fn small_layers_keep_one_and_the_sum_stays_exact() {
    let tensor =
        |name: &str, shape: [usize; 2]| Tensor { name: name.into(), shape: shape.to_vec(), form: Form::Free };
    let tensors = vec![tensor("fc1.weight", [2, 784]), tensor("head.weight", [10, 2])];
    let budget = Budget::new(tensors, Distribution::Uniform, &[]).unwrap();
    assert_eq!(budget.keeps(0.99, |target| target).unwrap(), [15, 1], "16 of 1588");
}

#[test]
fn forms_fix_what_they_keep_and_blocks_stay_whole() {
    let of = |form| Tensor { name: "fc1.weight".into(), shape: vec![16, 10], form };
    let one = |form, s| {
        Budget::new(vec![of(form)], Distribution::Uniform, &[]).unwrap().keeps(s, |target| target).unwrap()[0]
    };
    assert_eq!(one(Form::Groups { keep: 1, of: 4 }, 0.75), 16 * 3);
    assert_eq!(one(Form::Block { height: 8 }, 0.9), 16);
    assert_eq!(one(Form::Block { height: 8 }, 0.87), 24, "2.6 blocks are 3");
    assert_eq!(one(Form::Block { height: 8 }, 0.99), 8, "at least one");
    // A layer of single weights beside one whose number is fixed, with a target of its own.
    let mut head = of(Form::Free);
    head.name = "head.weight".into();
    let tensors = vec![of(Form::Groups { keep: 1, of: 4 }), head];
    let budget = Budget::new(tensors, Distribution::Erk, &[rule("head", false, Some(0.5))]).unwrap();
    assert_eq!(budget.keeps(0.75, |target| target).unwrap(), [48, 80]);
}

#[test]
fn a_later_rule_leaves_what_it_does_not_mention() {
    let pattern =
        Rule { pattern: Some(Structure::Block { rows: 8, columns: 1 }), ..rule("fc1", false, None) };
    let rules = [rule("fc*", false, Some(0.5)), pattern];
    let form = rules::form("fc1.weight", Matrix::of(&[16, 10]), Structure::Free, &rules).unwrap();
    assert_eq!(form, Form::Block { height: 8 });
    let tensors = vec![Tensor { name: "fc1.weight".into(), shape: vec![16, 10], form }];
    let budget = Budget::new(tensors, Distribution::Uniform, &rules).unwrap();
    assert_eq!(budget.keeps(0.5, |target| target).unwrap(), [80]);
}

#[test]
fn no_layer_keeps_less_than_the_least_density() {
    for distribution in [Distribution::Uniform, Distribution::Erk, Distribution::Global] {
        let least = |share| Budget::new(tensors(), distribution, &[]).unwrap().with_least(share);
        let total = 300 * 784 + 100 * 300 + 10 * 100;
        for (s, share) in [(0.99, 0.009), (0.98, 0.02), (0.5, 0.3), (0.9, 0.0)] {
            let budget = least(share);
            let keeps = budget.keeps(s, |target| target).unwrap();
            assert_eq!(keeps.iter().sum::<usize>(), keep(total, s), "{distribution:?}");
            for (group, keep) in budget.groups.iter().zip(&keeps) {
                assert!(*keep >= budget.floor(group.len), "{distribution:?}: {keeps:?} at {s}, {share}");
            }
        }
    }
    // By ERK the largest layer has the least: of 2,662 weights it has 1,810 without a floor.
    let floor = Budget::new(tensors(), Distribution::Erk, &[]).unwrap().with_least(0.009);
    assert_eq!(floor.keeps(0.99, |target| target).unwrap(), [2117, 427, 118]);
    let much = Budget::new(tensors(), Distribution::Erk, &[]).unwrap().with_least(0.02);
    assert!(much.keeps(0.99, |target| target).unwrap_err().to_string().contains("smaller min_density"));
}
