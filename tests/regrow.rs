//! Drop and growth against the worked numbers of RigL's update, masked and packed, on every device and on the twins;
//! and against a plain implementation over random weights, masks and ties.

mod common;
#[path = "regrow/drops.rs"]
mod drops;
#[path = "regrow/granet.rs"]
mod granet;

use common::everywhere;
use coppice::gpu::{Gpu, Recorder};
use coppice::ops::packed::{Form, Pattern};
use coppice::param::{Like, MEAN, MaskMode, Param, ParamId, ParamSet, Storage, full_mask, indices, mask_of};
use coppice::random::{Stream, uniform, word};
use coppice::recipe::{PruneSchedule, Settings};
use coppice::sparsity::Length;
use coppice::sparsity::update::growth::{Growth, Rounding, Span};
use coppice::sparsity::update::hold::record_effective;
use coppice::sparsity::update::regrow::{Regrow, Site};

const LENGTH: Length = Length { steps: 1000, steps_per_epoch: 10 };

/// A constant share; what grows starts at 0.
fn growth(by: &str, fraction: f64, rounding: Rounding) -> Growth {
    growing(by, "value = 'zeros'", fraction, rounding)
}

/// A constant share; what grows starts as `value` says.
fn growing(by: &str, value: &str, fraction: f64, rounding: Rounding) -> Growth {
    let fraction = format!("{{ type = 'constant', start = {fraction:?} }}");
    let text = format!("growth = {{ by = '{by}', {value}, fraction = {fraction} }}");
    let settings = Settings::from(toml::from_str::<toml::Table>(&text).unwrap());
    Growth::read(&settings, &PruneSchedule::default(), Span::Run, rounding).unwrap()
}

/// A matrix in the middle of training.
struct Case {
    shape: [usize; 2],
    weight: Vec<f32>,
    grad: Vec<f32>,
    kept: Vec<u32>,
}

/// Indices, values and a slot after one update.
type After = (Vec<u32>, Vec<f32>, Vec<f32>);

fn update(gpu: &Gpu, case: &Case, fraction: f64, packed: bool) -> After {
    let drops = growth("gradient", fraction, Rounding::Down);
    prune_and_regrow(gpu, case, &drops, case.kept.len(), packed)
}

/// The weight of a case; masked, its gradient stands beside it.
fn held(gpu: &Gpu, name: &str, case: &Case, packed: bool) -> Param {
    let [rows, inner] = case.shape;
    let mut param = Param::new(name, &case.shape, Box::new(|_| 0.0));
    param.storage = Storage::Masked(MaskMode::Held);
    if packed {
        param.allocate_packed(gpu, Pattern::from_indices(Form::Free, rows, inner, &case.kept)).unwrap();
    } else {
        param.allocate(gpu).unwrap();
        param.write_mask(&mask_of(&case.kept, rows * inner)).unwrap();
        param.segments[0].grad.write(&case.grad).unwrap();
    }
    param.write(&case.weight).unwrap();
    param
}

/// One update at step 0 that leaves `keep` weights. Running means are equal to the gradient.
fn prune_and_regrow(gpu: &Gpu, case: &Case, rule: &Growth, keep: usize, packed: bool) -> After {
    prune_and_regrow_by(gpu, case, &case.grad, rule, keep, packed)
}

/// The same with running means of their own.
fn prune_and_regrow_by(
    gpu: &Gpu,
    case: &Case,
    means: &[f32],
    rule: &Growth,
    keep: usize,
    packed: bool,
) -> After {
    let [rows, inner] = case.shape;
    let mut param = held(gpu, "w", case, packed);
    param.bound = Some(0.5);
    // A slot as an optimizer has one: here, twice the weight.
    let stored = param.segments[0].weight.read_f32().unwrap();
    let twice: Vec<f32> = stored.iter().map(|w| 2.0 * w).collect();
    param.accompany(gpu, "slot", Like::Values).unwrap();
    param.accompany(gpu, MEAN, Like::Dense).unwrap();
    param.companions[0].write(&twice).unwrap();
    param.companions[1].write(means).unwrap();

    let grad = gpu.upload_f32("grad", &[rows, inner], &case.grad).unwrap();
    let ones = full_mask(rows * inner);
    let all = gpu.upload_u32("all", &[ones.len()], &ones).unwrap();
    let grads = |rec: &mut Recorder, _: ParamId, own: std::ops::Range<usize>, tile: &coppice::gpu::Tensor| {
        assert_eq!(own, 0..rows, "such a small matrix is one tile");
        record_effective(rec, &all, &grad, tile)
    };
    let mut params = ParamSet::from_iter([param]);
    let site = Site { gpu, seed: 11, params: &params, grads: &grads, kept: case.kept.len() };
    let regrow = Regrow::record(&site, rule, &[vec![ParamId(0)]]).unwrap();
    let outcome = regrow.update(0, LENGTH, rule, &[keep], &params).unwrap();
    for renewal in outcome.renewals {
        assert!(packed);
        params[ParamId(0)].repack(gpu, true, renewal.pattern, &renewal.grown).unwrap();
    }
    let param = &params[ParamId(0)];
    let after = param.indices().unwrap();
    let layer = &outcome.layers[0];
    let grown = after.iter().filter(|index| !case.kept.contains(index)).count();
    let dropped = case.kept.iter().filter(|index| !after.contains(index)).count();
    assert_eq!((layer.kept, layer.grown, layer.dropped), (keep, grown, dropped));
    let slot = param.dense(param.companion("slot").unwrap().read_f32().unwrap());
    (after, param.read().unwrap(), slot)
}

/// The oracle, as the paper's algorithm is written.
fn plain(case: &Case, fraction: f64) -> After {
    let drops = (case.kept.len() as f64 * fraction + 1e-9 * case.kept.len() as f64).trunc() as usize;
    plain_with(case, &case.grad, case.kept.len(), drops)
}

/// The same for any scores of growth, when `survive` weights outlive the pruning before.
fn plain_with(case: &Case, scores: &[f32], survive: usize, drops: usize) -> After {
    let by = |scores: &[f32], mut indices: Vec<u32>| {
        indices
            .sort_by(|&a, &b| scores[b as usize].abs().total_cmp(&scores[a as usize].abs()).then(a.cmp(&b)));
        indices
    };
    let keep = by(&case.weight, case.kept.clone())[..survive - drops].to_vec();
    let others = (0..case.weight.len() as u32).filter(|index| !keep.contains(index)).collect();
    let grow = by(scores, others)[..drops].to_vec();
    let mut after = [keep, grow].concat();
    after.sort_unstable();
    let mut weight = vec![0.0; case.weight.len()];
    after
        .iter()
        .filter(|index| case.kept.contains(index))
        .for_each(|&i| weight[i as usize] = case.weight[i as usize]);
    let slot = weight.iter().map(|w| 2.0 * w).collect();
    (after, weight, slot)
}

/// Rows of a table of ones and zeros.
fn set(bits: &[u8]) -> Vec<u32> {
    bits.iter().enumerate().filter(|(_, bit)| **bit == 1).map(|(i, _)| i as u32).collect()
}

#[test]
fn the_worked_update_comes_out() {
    let g = [0.9, 0.1, -0.2, 0.8, 0.05, 0.3, -0.7, 0.02, -0.6, 0.4];
    let mut strong = g;
    strong[9] = 5.0;
    let case = |grad: [f32; 10]| Case {
        shape: [2, 5],
        weight: [0.0, -0.9, 0.4, 0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25].to_vec(),
        grad: grad.to_vec(),
        kept: set(&[0, 1, 1, 0, 1, 1, 0, 1, 0, 1]),
    };
    for gpu in everywhere() {
        for packed in [false, true] {
            let masks = |grad, fraction| update(&gpu, &case(grad), fraction, packed);
            assert_eq!(masks(g, 0.5).0, set(&[1, 1, 0, 1, 1, 0, 1, 1, 0, 0]));
            assert_eq!(masks(g, 0.3).0, set(&[1, 1, 1, 0, 1, 1, 0, 1, 0, 0]));
            let (indices, weight, slot) = masks(strong, 0.5);
            assert_eq!(indices, set(&[1, 1, 0, 1, 1, 0, 0, 1, 0, 1]));
            // Dropped and grown at once: not new, its value and its slot stay. What is new starts at 0.
            assert_eq!((weight[9], slot[9]), (0.25, 0.5));
            assert_eq!((weight[0], weight[3], slot[0], slot[3]), (0.0, 0.0, 0.0, 0.0));
        }
    }
}

/// Where all scores are equal, and not 0, the lowest indices stay and the lowest grow; over several words and chunks.
#[test]
fn equal_scores_keep_and_grow_the_lowest_indices() {
    for [rows, inner] in [[1, 7], [5, 67], [33, 129]] {
        let len = rows * inner;
        let sign = |i: usize| if i.is_multiple_of(3) { -1.0 } else { 1.0 };
        let kept: Vec<u32> = (0..len as u32).filter(|i| i % 5 == 1 || i % 7 == 4).collect();
        let case = Case {
            shape: [rows, inner],
            weight: (0..len).map(|i| if kept.contains(&(i as u32)) { 0.5 * sign(i) } else { 0.0 }).collect(),
            grad: (0..len).map(|i| -0.25 * sign(i)).collect(),
            kept: kept.clone(),
        };
        let drops = kept.len() / 2;
        let stay = &kept[..kept.len() - drops];
        let grow = (0..len as u32).filter(|index| !stay.contains(index)).take(drops);
        let mut want: Vec<u32> = stay.iter().copied().chain(grow).collect();
        want.sort_unstable();
        for gpu in everywhere() {
            for packed in [false, true] {
                assert_eq!(update(&gpu, &case, 0.5, packed).0, want, "{rows} x {inner}, packed: {packed}");
            }
        }
    }
}

/// The same update with every value that new weights may start with. Half of 6 weights are dropped; 0, 3 and 6 are new,
/// with the gradients .9, .8 and -.7. Over all ten indices the mean magnitude is .315, the deviation .441843.
#[test]
fn new_weights_start_with_what_was_asked_for() {
    let case = Case {
        shape: [2, 5],
        weight: [0.0, -0.9, 0.4, 0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25].to_vec(),
        grad: vec![0.9, 0.1, -0.2, 0.8, 0.05, 0.3, -0.7, 0.02, -0.6, 0.4],
        kept: set(&[0, 1, 1, 0, 1, 1, 0, 1, 0, 1]),
    };
    const NEW: [usize; 3] = [0, 3, 6];
    let word = |i: usize| f64::from(uniform(11, Stream::Grown, 0, 0, i as u32));
    // Box and Muller's numbers, two from each pair of words.
    let normal = |i: usize| {
        let radius = (-2.0 * (1.0 - word(i / 2 * 2)).ln()).sqrt();
        let angle = std::f64::consts::TAU * (word(i / 2 * 2 + 1) - 0.5);
        radius * if i.is_multiple_of(2) { angle.cos() } else { angle.sin() }
    };
    let drawn = |scale: f64| NEW.map(|i| (2.0 * word(i) - 1.0) * scale);
    for (value, want, bound) in [
        ("value = 'zeros'", [0.0; 3], 0.0),
        ("value = 'gradient', divisor = 10.0", [0.09, 0.08, -0.07], 1e-8),
        ("value = 'gradient', divisor = -4.0", [-0.225, -0.2, 0.175], 2e-8),
        ("value = 'gradient-sign', divisor = 100.0", [0.01, 0.01, -0.01], 1e-9),
        ("value = 'initial', divisor = 1.0", drawn(0.5), 1e-7),
        ("value = 'initial', divisor = 2.0", drawn(0.25), 1e-7),
        ("value = 'uniform', divisor = 3.0", drawn(0.315 / 3.0), 1e-7),
        // The error that WGSL allows `cos`, times a radius of up to 5.8.
        ("value = 'normal', divisor = 1.0", NEW.map(|i| normal(i) * 0.441843), 1.3e-3),
        ("value = 'normal', divisor = 8.0", NEW.map(|i| normal(i) * 0.441843 / 8.0), 1.6e-4),
    ] {
        let rule = growing("gradient", value, 0.5, Rounding::Down);
        for gpu in everywhere() {
            let [masked, packed] =
                [false, true].map(|packed| prune_and_regrow(&gpu, &case, &rule, 6, packed));
            assert_eq!(masked.0, set(&[1, 1, 0, 1, 1, 0, 1, 1, 0, 0]), "{value}");
            for (index, want) in NEW.into_iter().zip(want) {
                let got = masked.1[index];
                let context = format!("{value}, index {index} on {:?}", gpu.identity());
                assert!((f64::from(got) - want).abs() <= bound, "{context}: got {got}, want {want}");
                assert_eq!(masked.2[index], 0.0, "{context}: the slot of a new weight");
            }
            // What was there keeps its value and its slot; all else is 0.
            for i in (0..10).filter(|i| !NEW.contains(i)) {
                let want = if masked.0.contains(&(i as u32)) { case.weight[i] } else { 0.0 };
                assert_eq!((masked.1[i], masked.2[i]), (want, 2.0 * want), "{value}, index {i}");
            }
            assert_eq!((&masked.0, &masked.2), (&packed.0, &packed.2), "{value}");
            for (index, (a, b)) in masked.1.iter().zip(&packed.1).enumerate() {
                // The sums that draws are scaled by have another order; on the twin they have not.
                let bound = if gpu.is_device() { 1e-6 * a.abs() } else { 0.0 };
                assert!((a - b).abs() <= bound, "{value}, index {index}: masked {a}, packed {b}");
            }
        }
    }
}

/// Of a weight that is dropped and grown at once nothing is drawn: it keeps its value, as does its slot.
#[test]
fn a_weight_that_comes_back_at_once_keeps_its_value() {
    let mut grad = vec![0.9, 0.1, -0.2, 0.8, 0.05, 0.3, -0.7, 0.02, -0.6, 0.4];
    grad[9] = 5.0;
    let weight = vec![0.0, -0.9, 0.4, 0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25];
    let case = Case { shape: [2, 5], weight, grad, kept: set(&[0, 1, 1, 0, 1, 1, 0, 1, 0, 1]) };
    let rule = growing("gradient", "value = 'gradient', divisor = 1.0", 0.5, Rounding::Down);
    for gpu in everywhere() {
        for packed in [false, true] {
            let (_, weight, slot) = prune_and_regrow(&gpu, &case, &rule, 6, packed);
            assert_eq!((weight[9], slot[9]), (0.25, 0.5));
            assert_eq!((weight[0], weight[3], slot[0], slot[3]), (0.9, 0.8, 0.0, 0.0));
        }
    }
}

/// Running means decide which weights grow; what these start with is a share of the gradient of the step.
#[test]
fn growth_by_means_still_starts_with_gradients() {
    let case = Case {
        shape: [2, 5],
        weight: vec![0.0, -0.9, 0.4, 0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25],
        grad: vec![0.9, 0.1, -0.2, 0.8, 0.05, 0.3, -0.7, 0.02, -0.6, 0.4],
        kept: set(&[0, 1, 1, 0, 1, 1, 0, 1, 0, 1]),
    };
    // By these 3, 8 and 9 grow; 9 was there.
    let means = [0.1, 0.0, 0.0, -0.5, 0.0, 0.0, 0.1, 0.0, 0.6, 0.3];
    for (value, want) in [
        ("value = 'zeros'", [0.0, 0.0]),
        ("value = 'gradient', divisor = 2.0", [0.4, -0.3]),
        ("value = 'gradient-sign', divisor = -4.0", [-0.25, 0.25]),
    ] {
        let rule = growing("momentum", value, 0.5, Rounding::Down);
        for gpu in everywhere() {
            for packed in [false, true] {
                let context = format!("{value}, packed {packed} on {:?}", gpu.identity());
                let (indices, weight, slot) = prune_and_regrow_by(&gpu, &case, &means, &rule, 6, packed);
                assert_eq!(indices, set(&[0, 1, 0, 1, 1, 0, 0, 1, 1, 1]), "{context}");
                assert_eq!([weight[3], weight[8]], want, "{context}");
                assert_eq!((weight[9], slot[9], slot[3], slot[8]), (0.25, 0.5, 0.0, 0.0), "{context}");
            }
        }
    }
}

/// A layer may lose all of its weights where others have larger ones.
#[test]
fn a_layer_without_weights_stays_so() {
    let none = Case { shape: [2, 5], weight: vec![0.0; 10], grad: vec![0.5; 10], kept: Vec::new() };
    for gpu in everywhere() {
        for (by, packed) in
            ["gradient", "momentum", "random"].into_iter().flat_map(|by| [(by, false), (by, true)])
        {
            let rule = growth(by, 0.5, Rounding::Down);
            let after = prune_and_regrow(&gpu, &none, &rule, 0, packed);
            assert_eq!(after, (Vec::new(), vec![0.0; 10], vec![0.0; 10]), "by {by}, packed {packed}");
        }
    }
}

/// A matrix whose first values were not drawn has nothing to draw as they were.
#[test]
fn values_that_need_a_first_draw_are_refused_without_one() {
    let gpu = Gpu::twin();
    let mut param = Param::new("w", &[2, 5], Box::new(|_| 0.0));
    param.storage = Storage::Masked(MaskMode::Held);
    param.allocate(&gpu).unwrap();
    let grads = |_: &mut Recorder, _: ParamId, _: std::ops::Range<usize>, _: &coppice::gpu::Tensor| Ok(());
    let params = ParamSet::from_iter([param]);
    let site = Site { gpu: &gpu, seed: 1, params: &params, grads: &grads, kept: 10 };
    let rule = growing("random", "value = 'initial', divisor = 1.0", 0.5, Rounding::Down);
    let error = Regrow::record(&site, &rule, &[vec![ParamId(0)]]).err().expect("refused").to_string();
    assert!(error.contains("`w` was not drawn at first") && error.contains("try: "), "{error}");
}

#[test]
fn random_updates_agree_with_the_plain_algorithm() {
    for gpu in everywhere() {
        for number in 0..14u32 {
            let size = |tensor: u32| (word(6, Stream::Test, number, tensor, 0) % 70 + 1) as usize;
            let shape = [size(1), size(2)];
            let len = shape[0] * shape[1];
            // Many equal scores, or none; all zero in some cases.
            let coarse = [3.0, 1000.0, 0.0][number as usize % 3];
            let values = |tensor: u32| -> Vec<f32> {
                let value = |i| ((uniform(6, Stream::Test, number, tensor, i) - 0.5) * coarse).round();
                (0..len as u32).map(value).collect()
            };
            let kept: Vec<u32> =
                (0..len as u32).filter(|&i| word(6, Stream::Test, number, 5, i).is_multiple_of(4)).collect();
            if kept.is_empty() {
                continue;
            }
            let held = mask_of(&kept, len);
            let mut weight = values(3);
            let bit = |i: usize| held[i / 32] >> (i % 32) & 1 == 1;
            (0..len).filter(|&i| !bit(i)).for_each(|i| weight[i] = 0.0);
            let case = Case { shape, weight, grad: values(4), kept };
            for fraction in [0.3, 1.0] {
                let want = plain(&case, fraction);
                for packed in [false, true] {
                    let got = update(&gpu, &case, fraction, packed);
                    assert_eq!(got, want, "case {number}, {fraction}, packed {packed}, {:?}", gpu.identity());
                }
            }
        }
    }
}

/// The worked update of GraNet: pruned to 6, then half of them dropped and regrown; and from no mask at all, to the same.
#[test]
fn granets_worked_update_comes_out() {
    let case = Case {
        shape: [2, 5],
        weight: vec![0.05, -0.9, 0.4, -0.02, 0.7, -0.3, 0.15, -0.6, 0.08, 0.25],
        grad: vec![0.9, 0.1, -0.2, 0.8, 0.05, 0.3, -0.7, 0.02, -0.6, 0.4],
        kept: (0..10).collect(),
    };
    let half = growth("gradient", 0.5, Rounding::Up);
    for gpu in everywhere() {
        for packed in [false, true] {
            let (kept, weight, slot) = prune_and_regrow(&gpu, &case, &half, 6, packed);
            assert_eq!(kept, set(&[1, 1, 0, 1, 1, 0, 1, 1, 0, 0]));
            // All were there before: none is new, each keeps its value and its slot.
            assert_eq!(weight, [0.05, -0.9, 0.0, -0.02, 0.7, 0.0, 0.15, -0.6, 0.0, 0.0]);
            assert_eq!(slot, weight.iter().map(|w| 2.0 * w).collect::<Vec<_>>());
        }
        // Of the weights that the mask of 6 holds, only index 9 survives besides the three largest, and it goes.
        let masked = Case {
            weight: vec![0.0, -0.9, 0.4, 0.0, 0.7, -0.3, 0.0, -0.6, 0.0, 0.25],
            kept: set(&[0, 1, 1, 0, 1, 1, 0, 1, 0, 1]),
            grad: case.grad.clone(),
            ..case
        };
        for packed in [false, true] {
            let (kept, weight, _) = prune_and_regrow(&gpu, &masked, &half, 6, packed);
            assert_eq!(kept, set(&[1, 1, 0, 1, 1, 0, 1, 1, 0, 0]));
            assert_eq!(weight, [0.0, -0.9, 0.0, 0.0, 0.7, 0.0, 0.0, -0.6, 0.0, 0.0]);
        }
    }
}

#[test]
fn pruning_and_growth_by_any_score_agree_with_the_plain_algorithm() {
    for gpu in everywhere() {
        for number in 0..6u32 {
            let size = |tensor: u32| (word(7, Stream::Test, number, tensor, 0) % 70 + 2) as usize;
            let shape = [size(1), size(2)];
            let len = shape[0] * shape[1];
            let values = |tensor: u32| -> Vec<f32> {
                (0..len as u32).map(|i| uniform(7, Stream::Test, number, tensor, i) - 0.5).collect()
            };
            let kept: Vec<u32> =
                (0..len as u32).filter(|&i| !word(7, Stream::Test, number, 5, i).is_multiple_of(3)).collect();
            let mut weight = values(3);
            (0..len).filter(|&i| !kept.contains(&(i as u32))).for_each(|i| weight[i] = 0.0);
            let case = Case { shape, weight, grad: values(4), kept };
            let keep = case.kept.len() * 2 / 3;
            let drops = (keep as f64 * 0.3 - 1e-9 * keep as f64).ceil() as usize;
            // Random scores are those of the parameter's number at this step, by index.
            let noise: Vec<f32> = (0..len as u32).map(|i| uniform(11, Stream::Growth, 0, 0, i)).collect();
            for (by, scores) in [("gradient", &case.grad), ("random", &noise), ("momentum", &case.grad)] {
                let want = plain_with(&case, scores, keep, drops);
                for packed in [false, true] {
                    let rule = growth(by, 0.3, Rounding::Up);
                    let got = prune_and_regrow(&gpu, &case, &rule, keep, packed);
                    assert_eq!(got, want, "case {number}, by {by}, packed {packed}, {:?}", gpu.identity());
                }
            }
        }
    }
}

#[test]
fn indices_and_masks_are_the_same_thing() {
    for len in [0, 1, 31, 32, 33, 65, 257] {
        let kept: Vec<u32> = (0..len as u32).filter(|i| i % 3 == 1).collect();
        assert_eq!(indices(&mask_of(&kept, len)), kept);
    }
}
