//! Masks that flow: the worked rows of N:M selection, SR-STE and MdGf on every device and on the twins; what the methods
//! promise while they train; and resuming anywhere.

mod common;

use common::everywhere;
use coppice::data::{Dataset, Source, Split};
use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::packed::{Form, Pattern};
use coppice::ops::variants::Choices;
use coppice::param::{MaskMode, ParamId};
use coppice::random::{Stream, uniform, word};
use coppice::recipe::Recipe;
use coppice::sparsity::structure::groups::{Gate, n_of_m, record_gate};
use coppice::sparsity::update::shrink::{self, Pull};
use coppice::train::{Part, Session};

const ROWS: [[f32; 8]; 2] =
    [[0.9, -0.1, 0.3, -0.7, 0.2, 0.2, -0.5, 0.05], [-0.4, 0.6, -0.6, 0.1, 0.0, 0.3, -0.3, 0.3]];

/// The mask's bits and the forward weights of two rows of eight.
fn gated(gpu: &Gpu, keep: u32, group: u32, decay: f32) -> (Vec<u8>, Vec<f32>) {
    gated_rows(gpu, &ROWS.concat(), 8, (keep, group), decay)
}

/// Of sixteen values, in rows of `inner`.
fn gated_rows(
    gpu: &Gpu,
    values: &[f32],
    inner: usize,
    (keep, group): (u32, u32),
    decay: f32,
) -> (Vec<u8>, Vec<f32>) {
    let shape = [16 / inner, inner];
    let source = gpu.upload_f32("source", &shape, values).unwrap();
    let mask = gpu.upload_u32("mask", &[1], &[0]).unwrap();
    let weight = gpu.tensor("weight", Dtype::F32, &shape).unwrap();
    let counts = gpu.tensor("counts", Dtype::U32, &[1]).unwrap();
    let gate = gpu.uniform("gate", &Gate { keep, group, decay }).unwrap();
    let mut rec = Recorder::new(gpu);
    record_gate(&mut rec, &gate, group as usize, &source, &mask, &weight, &counts).unwrap();
    rec.finish().unwrap().replay().unwrap();
    let word = mask.read_u32().unwrap()[0];
    ((0..16).map(|i| (word >> i & 1) as u8).collect(), weight.read_f32().unwrap())
}

#[test]
fn the_worked_patterns_come_out_with_ties_to_the_lower_input() {
    let table: [(u32, u32, [u8; 16]); 4] = [
        (2, 4, [1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]),
        (1, 4, [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0]),
        (2, 8, [1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]),
        (1, 8, [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ];
    for gpu in everywhere() {
        for (keep, of, want) in table {
            let (mask, weight) = gated(&gpu, keep, of, 0.0);
            assert_eq!(mask, want, "{keep}:{of} on {:?}", gpu.identity());
            let hard = ROWS.concat().iter().zip(want).map(|(w, m)| w * f32::from(m)).collect::<Vec<_>>();
            assert_eq!(weight, hard);
        }
        // MdGf at D = .25, row 0 at 1:4.
        let (_, weight) = gated(&gpu, 1, 4, 0.25);
        assert_eq!(weight[..8], [0.9, -0.025, 0.075, -0.175, 0.05, 0.05, -0.5, 0.0125]);
    }
}

/// The references keep the higher of equal inputs. Coppice has no such switch: reversing rows, choosing and reversing
/// back is that rule, since groups that divide a row are reversed into groups.
#[test]
fn reversed_rows_give_the_references_patterns_with_ties_to_the_higher_input() {
    let table: [(u32, u32, [u8; 16]); 4] = [
        (2, 4, [1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1]),
        (1, 4, [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]),
        (2, 8, [1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]),
        (1, 8, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
    ];
    let mut values = ROWS.concat();
    values.chunks_mut(8).for_each(<[f32]>::reverse);
    for (keep, of, want) in table {
        let chosen = |row: &[f32]| n_of_m(row, keep as usize, of as usize).into_iter().rev().map(u8::from);
        assert_eq!(values.chunks(8).flat_map(chosen).collect::<Vec<_>>(), want, "{keep}:{of} by sorting");
        for gpu in everywhere() {
            let (mut mask, _) = gated_rows(&gpu, &values, 8, (keep, of), 0.0);
            mask.chunks_mut(8).for_each(<[u8]>::reverse);
            assert_eq!(mask, want, "{keep}:{of} on {:?}", gpu.identity());
        }
    }
}

/// Groups go along inputs alone; the row of the references' tables that groups the outputs is that of the transpose.
#[test]
fn a_transposed_matrix_gives_the_pattern_by_column() {
    let want = [1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1];
    let columns: Vec<f32> = (0..16).map(|i| ROWS[i % 2][i / 2]).collect();
    for gpu in everywhere() {
        let (mask, _) = gated_rows(&gpu, &columns, 2, (1, 2), 0.0);
        let back: Vec<u8> = (0..16).map(|i| mask[i % 8 * 2 + i / 8]).collect();
        assert_eq!(back, want, "on {:?}", gpu.identity());
    }
    let plain: Vec<bool> = columns.chunks(2).flat_map(|group| n_of_m(group, 1, 2)).collect();
    assert_eq!((0..16).map(|i| u8::from(plain[i % 8 * 2 + i / 8])).collect::<Vec<_>>(), want, "by sorting");
}

/// Row 0 at 2:4 with the lower of equal inputs dropped, as the paper's code does it, so that its numbers can be met.
#[test]
fn sr_stes_worked_step_comes_out() {
    let mask: u32 = [1, 0, 0, 1, 0, 1, 1, 0].iter().rev().fold(0, |word, bit| word << 1 | bit);
    let grad = [0.01, 0.02, -0.03, 0.04, 0.05, -0.06, 0.07, -0.08];
    let want = [0.01, 0.01998, -0.02994, 0.04, 0.05004, -0.06, 0.07, -0.07999];
    let after = [0.899, -0.101998, 0.302994, -0.704, 0.194996, 0.206, -0.507, 0.057999];
    for gpu in everywhere() {
        let mask = gpu.upload_u32("mask", &[1], &[mask]).unwrap();
        let weight = gpu.upload_f32("weight", &[8], &ROWS[0]).unwrap();
        let d_weight = gpu.upload_f32("d_weight", &[8], &grad).unwrap();
        let mut rec = Recorder::new(&gpu);
        let pull = Pull { inside: 0.0, outside: 2e-4, signs: false };
        shrink::record(&mut rec, pull, &mask, &weight, &d_weight).unwrap();
        rec.finish().unwrap().replay().unwrap();
        let got = d_weight.read_f32().unwrap();
        for i in 0..8 {
            // The numbers are given to six decimals.
            assert!((got[i] - want[i]).abs() <= 5e-7, "{i}: got {}, want {}", got[i], want[i]);
            let moved = ROWS[0][i] - 0.1 * got[i];
            assert!((moved - after[i]).abs() <= 6e-7, "{i}: got {moved}, want {}", after[i]);
        }
    }
}

/// 160 random samples of 37 numbers, so that the last group of a row is a short one; three classes.
fn data() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let values: Vec<f32> =
            (0..samples * 37).map(|i| uniform(3, Stream::Test, 0, tensor, i) - 0.5).collect();
        let class =
            |row: &[f32]| (0..3u8).max_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize])).unwrap();
        let labels = values.chunks(37).map(class).collect();
        Split::floats(values, labels)
    };
    let (train, test) = (split(160, 0), split(40, 1));
    Dataset::from_arrays(Source::new("largest", vec![37], 3, train, test), 0.0).unwrap()
}

const METHODS: [&str; 6] = [
    "method = 'ste', pattern = '2:8'",
    "method = 'sr-ste', pattern = '1:4', dense = 0.2",
    "method = 'mdgf', pattern = '1:8', dense = 0.1, finetune = 0.2",
    "method = 'mdgf', pattern = '2:4', decay = 'linear', share = 0.5, dense = 0.0",
    "method = 'sdgf', pattern = '1:8', dense = 0.0, finetune = 0.3",
    "method = 'sdgf', pattern = '1:4', decay = 'geometric', k = 4, rule = [{ match = 'fc1', pattern = '3:16' }]",
];

fn session(gpu: &Gpu, sparsity: &str) -> Session {
    let schedule = if sparsity.contains("schedule") { "" } else { "schedule = { every = '4' }, " };
    let text = format!(
        "run = {{ epochs = 6, batch = 32, seed = 4 }}\ndata = {{ name = 'largest', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40] }}\n\
         optim = {{ name = 'adam', lr = 0.01, weight_decay = 1e-3 }}\n\
         sparsity = {{ {schedule}{sparsity} }}"
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    Session::new(gpu, &recipe, &data(), Choices::default()).unwrap()
}

/// After every step the forward weights are N of every M of the values behind them, once the methods say so, and at the
/// end exactly; all values go on being trained.
#[test]
fn every_group_keeps_what_its_pattern_says() {
    for gpu in everywhere() {
        for sparsity in METHODS {
            let mut run = session(&gpu, sparsity);
            let before = run.model.params[ParamId(0)].read_stored().unwrap();
            let mut changes = Vec::new();
            while !run.is_done() {
                changes.extend(run.advance().unwrap());
            }
            assert_eq!(
                changes.iter().map(|change| change.step).collect::<Vec<_>>(),
                (0..30).step_by(4).chain([29]).collect::<Vec<_>>()
            );
            run.evaluate(Part::Test).unwrap().unwrap();
            for param in run.model.params.iter().filter(|param| param.is_masked()) {
                assert_eq!(param.mask_mode(), MaskMode::Flowing);
                let Form::Groups { keep, of } = param.form else { panic!("{:?}", param.form) };
                let (rows, inner) = (param.shape[0], param.shape[1]);
                let (latent, seen) = (param.read_stored().unwrap(), param.read().unwrap());
                let mask = param.read_mask().unwrap();
                assert!(Pattern::from_mask(param.form, rows, inner, &mask).is_some(), "{sparsity}");
                for row in 0..rows {
                    let own = &latent[row * inner..][..inner];
                    for (i, kept) in n_of_m(own, keep, of).into_iter().enumerate() {
                        let want = if kept { own[i] } else { 0.0 };
                        assert_eq!(seen[row * inner + i], want, "{sparsity}, {}", param.name);
                    }
                }
            }
            let after = run.model.params[ParamId(0)].read_stored().unwrap();
            let still = before.iter().zip(&after).filter(|(a, b)| a == b).count();
            assert_eq!(still, 0, "{sparsity}: all values are trained, pruned or not");
        }
    }
}

/// The first forward passes agree with a plain reading of the formula, whatever phase they are in.
#[test]
fn what_the_forward_pass_sees_follows_the_schedule() {
    for gpu in everywhere() {
        let mut run = session(&gpu, METHODS[2]);
        for step in 0..30u64 {
            let latent = run.model.params[ParamId(0)].read_stored().unwrap();
            run.advance().unwrap();
            let seen = run.model.params[ParamId(0)].read().unwrap();
            // Dense for 3 steps, then 21 of decay, of which the share .7 is 14.7, then fine-tuning.
            let decay = match step {
                0..3 => 1.0,
                3..24 => (-(100f64.ln()) / (0.7 * 21.0) * (step - 3) as f64).exp() as f32,
                _ => 0.0,
            };
            for row in 0..40 {
                let own = &latent[row * 37..][..37];
                for (i, kept) in n_of_m(own, 1, 8).into_iter().enumerate() {
                    let want = if kept { own[i] } else { decay * own[i] };
                    assert_eq!(seen[row * 37 + i], want, "step {step}");
                }
            }
        }
    }
}

/// Evaluations, hard or soft, change nothing; neither does stopping anywhere.
#[test]
fn resuming_and_looking_change_no_bit() {
    for gpu in everywhere() {
        for sparsity in METHODS {
            let mut whole = session(&gpu, sparsity);
            let mut changes = Vec::new();
            while !whole.is_done() {
                changes.extend(whole.advance().unwrap());
            }
            let want = whole.snapshot().unwrap();
            for stop in [1u64, 7, 8, 23, 29] {
                let mut first = session(&gpu, sparsity);
                let mut seen = Vec::new();
                for step in 0..stop {
                    seen.extend(first.advance().unwrap());
                    if word(1, Stream::Test, step as u32, 0, 0).is_multiple_of(3) {
                        first.evaluate(Part::Test).unwrap();
                        first.evaluate_soft(Part::Test).unwrap();
                    }
                }
                let mut second = session(&gpu, sparsity);
                second.restore(&first.snapshot().unwrap()).unwrap();
                while !second.is_done() {
                    seen.extend(second.advance().unwrap());
                }
                assert_eq!(second.snapshot().unwrap().digest, want.digest, "{sparsity}, stopped at {stop}");
                assert_eq!(seen, changes, "{sparsity}, stopped at {stop}");
            }
        }
    }
}

#[test]
fn hard_and_soft_accuracy_differ_while_pruned_weights_fade() {
    let gpu = common::device();
    let mut run = session(&gpu, METHODS[3]);
    for _ in 0..4 {
        run.advance().unwrap();
    }
    if gpu.is_counted() {
        return; // nothing is computed there
    }
    let soft = run.evaluate_soft(Part::Test).unwrap().expect("pruned weights still count");
    let hard = run.evaluate(Part::Test).unwrap().unwrap();
    assert_ne!(soft.totals.loss, hard.totals.loss);
    while !run.is_done() {
        run.advance().unwrap();
    }
    assert!(run.evaluate_soft(Part::Test).unwrap().is_none(), "at the end both are the same");
}

#[test]
fn what_cannot_be_is_refused() {
    let refusal = |sparsity: &str| {
        let text = format!(
            "data = {{ name = 'largest' }}\nmodel = {{ preset = 'mlp', hidden = [40] }}\n\
             optim = {{ name = 'adam', lr = 0.01 }}\nsparsity = {{ {sparsity} }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        Session::new(&Gpu::twin(), &recipe, &data(), Choices::default()).err().expect("refused").to_string()
    };
    for (sparsity, words) in [
        ("method = 'mdgf', target = 0.9", "N of every M"),
        ("method = 'mdgf', pattern = '1:8', dense = 0.6, finetune = 0.5", "between the dense phase"),
        ("method = 'mdgf', pattern = '1:8', decay = 'slow'", "slow"),
        ("method = 'mdgf', pattern = '1:8', beta = 1e-3, share = 0.5", "`sparsity.share` has no effect"),
        ("method = 'sdgf', pattern = '1:8', decay = 'geometric', k = 3", "power of two"),
        (
            "method = 'sdgf', pattern = '1:8', k = 16",
            "`sparsity.k` is the first group's size of geometric decay",
        ),
        ("method = 'mdgf', pattern = '1:8', beta = 1e-4, share = 0.7", "`sparsity.share` has no effect"),
        ("method = 'sr-ste', pattern = '1:8', lambda = -1.0", "at least 0"),
        ("method = 'sr-ste', pattern = '1:8', storage = 'packed'", "packed"),
        ("method = 'sr-ste', pattern = '1:8', freeze = true", "masks are frozen"),
        ("method = 'sr-ste', pattern = '1:8', finetune = 0.001, freeze = true", "freeze after the last step"),
        ("method = 'mdgf', pattern = '1:8', schedule = { begin = '50%' }", "`every`, alone"),
        ("method = 'sdgf', pattern = '1:8', decay = 'geometric', k = 2147483648", "up to 1024"),
        ("method = 'sr-ste', pattern = '5:8', strict = true", "37"),
    ] {
        let message = refusal(sparsity);
        assert!(message.contains(words), "{sparsity}: {message}");
    }
}

/// Training FLOPs by the density that each step has: 2 operations a weight and column, forward and backward.
#[test]
fn work_is_that_of_each_steps_density() {
    let work = |sparsity: &str| {
        let run = session(&Gpu::twin(), sparsity);
        run.pruner.as_ref().unwrap().work(&[30]).unwrap()[0][0]
    };
    // SR-STE: 6 dense steps, then 24 at a quarter; every gradient is dense.
    let sr_ste = work(METHODS[1]);
    assert!((sr_ste.forward - (6.0 + 24.0 / 4.0)).abs() <= 1e-9 && sr_ste.gradient == 30.0, "{sr_ste:?}");
    // MdGf: pruned weights count while they fade, in 24 of 30 steps, whatever is left of them.
    let mdgf = work(METHODS[2]);
    assert!((mdgf.forward - (24.0 + 6.0 / 8.0)).abs() <= 1e-9 && mdgf.gradient == 30.0, "{mdgf:?}");
    // SdGf: 7, 4, 2 and 1 of 8 over 21 steps, then 9 steps at 1 of 8.
    let sdgf = work(METHODS[4]);
    let want = (7.0 * 5.0 + 4.0 * 5.0 + 2.0 * 5.0 + 6.0 + 9.0) / 8.0;
    assert!((sdgf.forward - want).abs() <= 1e-9, "{sdgf:?}, {want}");
    // Frozen: dense gradients up to there, then those of what is kept.
    let frozen = work("method = 'sr-ste', pattern = '1:8', finetune = 0.2, freeze = true");
    assert!((frozen.gradient - (24.0 + 6.0 / 8.0)).abs() <= 1e-9, "{frozen:?}");
    // Held masks: a gradient where a weight is, and all of them where weights grow, at steps 0, 4, .. 20.
    let rigl = work("method = 'rigl', target = 0.9, schedule = { every = '4', end = '70%' }");
    let density = rigl.forward / 30.0;
    assert!((rigl.gradient - (24.0 * density + 6.0)).abs() <= 1e-9 && density < 0.11, "{rigl:?}");
    // In spans: the dense phase and the first two sparse steps, nothing, the rest.
    let spans = session(&Gpu::twin(), METHODS[1]).pruner.unwrap().work(&[8, 8, 30]).unwrap();
    let [first, none, rest] = [0, 1, 2].map(|span| spans[span][0]);
    assert!((first.forward - (6.0 + 2.0 / 4.0)).abs() <= 1e-9 && first.gradient == 8.0, "{first:?}");
    assert_eq!((none.forward, none.gradient), (0.0, 0.0));
    assert!((rest.forward - 22.0 / 4.0).abs() <= 1e-9 && rest.gradient == 22.0, "{rest:?}");
}

/// With `freeze` the masks of fine-tuning are held, and what they keep may be packed; all else stays as it is.
#[test]
fn frozen_masks_are_held_and_packed_alike() {
    for method in ["method = 'mdgf', pattern = '1:4'", "method = 'sr-ste', pattern = '2:8'"] {
        let frozen = format!("{method}, dense = 0.0, finetune = 0.3, freeze = true");
        for gpu in everywhere() {
            let trace = |storage: &str, stop: Option<u64>| {
                let sparsity = format!("{frozen}, storage = '{storage}'");
                let mut run = session(&gpu, &sparsity);
                let (mut changes, mut masks) = (Vec::new(), Vec::new());
                while !run.is_done() {
                    if let Some(change) = run.advance().unwrap() {
                        changes.push(change.step);
                        masks.extend(run.model.params.iter().map(|param| param.read_mask().unwrap()));
                    }
                    if Some(run.step) == stop {
                        let snapshot = run.snapshot().unwrap();
                        run = session(&gpu, &sparsity);
                        run.restore(&snapshot).unwrap();
                    }
                }
                for param in run.model.params.iter().filter(|param| param.is_masked()) {
                    assert_eq!(
                        (param.mask_mode(), param.storage.name()),
                        (MaskMode::Held, storage),
                        "{}",
                        param.name
                    );
                    let (mask, values) = (param.read_mask().unwrap(), param.read().unwrap());
                    let behind = (0..param.len()).filter(|&i| mask[i / 32] >> (i % 32) & 1 == 0);
                    assert_eq!(behind.filter(|&i| values[i].to_bits() != 0).count(), 0);
                    masks.push(mask);
                }
                (changes, masks, run.snapshot().unwrap().digest)
            };
            let masked = trace("masked", None);
            let packed = trace("packed", None);
            assert_eq!(masked.0, [0, 4, 8, 12, 16, 20, 21], "recorded once more where they freeze");
            assert_eq!(masked.1, packed.1, "{method} on {:?}", gpu.identity());
            // The masks of the end are those of the freeze.
            let count = masked.1.len();
            let held: Vec<_> = masked.1[count - 6..count - 2].iter().filter(|mask| mask.len() > 1).collect();
            assert!(masked.1[count - 2..].iter().all(|mask| held.contains(&mask)));
            if !gpu.is_device() {
                assert_eq!(masked.2, packed.2, "on the twin sums have the same order");
            }
            for stop in [9, 20, 21, 22, 29] {
                for (storage, want) in [("masked", &masked), ("packed", &packed)] {
                    assert_eq!(
                        trace(storage, Some(stop)).2,
                        want.2,
                        "{method}, {storage}, stopped at {stop}"
                    );
                }
            }
        }
    }
}
