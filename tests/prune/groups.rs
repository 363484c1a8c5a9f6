//! N of every M for large M: groups that a byte does not number, and rows that no group divides.

use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::packed::Form;
use coppice::param::Param;
use coppice::random::{Stream, uniform, word};
use coppice::sparsity::structure::groups::{Gate, record_gate};
use coppice::train::Session;

use super::common::everywhere;
use super::{Choices, data, recipe};

/// The places of `row` that N of every M keeps: a sort of each group by magnitude, then by place.
fn largest(row: &[f32], keep: usize, of: usize) -> Vec<usize> {
    let mut kept = Vec::new();
    for first in (0..row.len()).step_by(of) {
        let mut group: Vec<usize> = (first..row.len().min(first + of)).collect();
        group.sort_by(|&a, &b| row[b].abs().total_cmp(&row[a].abs()).then(a.cmp(&b)));
        kept.extend(group.into_iter().take(keep));
    }
    kept.sort_unstable();
    kept
}

fn set(mask: &[u32], inner: usize, row: usize) -> Vec<usize> {
    let bit = |&i: &usize| mask[(row * inner + i) / 32] >> ((row * inner + i) % 32) & 1 == 1;
    (0..inner).filter(bit).collect()
}

/// Any N and M, rows that groups divide and that they do not, widths that quads divide and that they do not; values
/// that differ, of which many are equal, that are all equal, and zeros.
#[test]
fn any_n_of_any_m_keeps_what_a_sort_keeps() {
    for gpu in everywhere() {
        for case in 0..48u32 {
            let below = |bound: usize, i: u32| word(21, Stream::Test, case, 0, i) as usize % bound;
            let of = [300, 512, 1000, 257, 1 + below(1500, 0), 4 * (1 + below(300, 0))][case as usize % 6];
            let keep = [1, of, 1 + below(of, 1), 1 + below(of, 1)][case as usize / 6 % 4];
            let inner = if case.is_multiple_of(3) { of * 2 } else { 1 + below(2200, 2) };
            let rows = 1 + below(4, 3);
            let coarse = [1000.0, 6.0, 1.0, 0.0][case as usize % 4];
            let value = |i: usize| {
                let value = uniform(21, Stream::Test, case, 1, i as u32) * 2.0 - 1.0;
                if coarse == 1.0 { value.signum() } else { (value * coarse).round() }
            };
            let values: Vec<f32> = (0..rows * inner).map(value).collect();
            let source = gpu.upload_f32("source", &[rows, inner], &values).unwrap();
            let gate = Gate { keep: keep as u32, group: of as u32, decay: 0.5 };
            let gate = gpu.uniform("gate", &gate).unwrap();
            let mask = gpu
                .upload_u32(
                    "mask",
                    &[values.len().div_ceil(32)],
                    &vec![0x5a5a_5a5a; values.len().div_ceil(32)],
                )
                .unwrap();
            let weight = gpu.tensor("weight", Dtype::F32, &[rows, inner]).unwrap();
            let counts = gpu.upload_u32("counts", &[1], &[0]).unwrap();
            let mut rec = Recorder::new(&gpu);
            record_gate(&mut rec, &gate, of, &source, &mask, &weight, &counts).unwrap();
            rec.finish().unwrap().replay().unwrap();
            let (mask, weight) = (mask.read_u32().unwrap(), weight.read_f32().unwrap());
            for row in 0..rows {
                let own = &values[row * inner..][..inner];
                let want = largest(own, keep, of);
                let what = format!("{keep}:{of}, row {row} of {inner} on {:?}", gpu.identity());
                assert_eq!(set(&mask, inner, row), want, "{what}");
                for (i, &value) in own.iter().enumerate() {
                    let seen = if want.binary_search(&i).is_ok() { value } else { 0.5 * value };
                    assert_eq!(weight[row * inner + i], seen, "input {i}, {what}");
                }
            }
            assert_eq!(counts.read_u32().unwrap(), [0]);
        }
    }
}

fn session(gpu: &Gpu, sparsity: &str) -> Session {
    Session::new(gpu, &recipe("[704, 16]", sparsity), &data(), Choices::default()).unwrap()
}

/// Groups of 512 of 704 inputs: 512 and 192.
fn conforms(param: &Param, keep: usize, of: usize) {
    let (inner, mask) = (param.shape[1], param.read_mask().unwrap());
    for row in 0..param.shape[0] {
        let kept = set(&mask, inner, row);
        for first in (0..inner).step_by(of) {
            let own = kept.iter().filter(|&&i| i / of == first / of).count();
            assert_eq!(own, keep.min(inner - first), "{}, row {row}, from {first} on", param.name);
        }
    }
}

/// Packed entries of such groups are words, as those of single weights are.
#[test]
fn large_groups_are_the_same_masked_and_packed() {
    let oneshot = "schedule = { type = 'oneshot', begin = '40%' }";
    for gpu in everywhere() {
        for (method, keep, of) in [
            ("method = 'static', pattern = '200:512'".to_string(), 200, 512),
            (format!("method = 'oneshot', pattern = '60:300', {oneshot}"), 60, 300),
            (format!("method = 'asp', permute = false, pattern = '50:1000', {oneshot}"), 50, 1000),
            (format!("method = 'oneshot', pattern = '3:257', {oneshot}"), 3, 257),
        ] {
            let trained = ["masked", "packed"].map(|storage| {
                let mut run = session(&gpu, &format!("{method}, storage = '{storage}'"));
                while !run.is_done() {
                    run.advance().unwrap();
                }
                for param in run.model.params.iter().filter(|param| param.is_masked()) {
                    // Where rows are no longer than N, all is kept, and there is nothing to leave out.
                    let all = param.kept().unwrap() == param.len();
                    assert_eq!(param.storage.name(), if all { "masked" } else { storage });
                    assert_eq!(param.form, Form::Groups { keep, of });
                    conforms(param, keep, of);
                }
                let masks: Vec<_> = run.model.params.iter().map(|p| p.read_mask().unwrap()).collect();
                (masks, run.snapshot().unwrap().digest)
            });
            assert_eq!(trained[0].0, trained[1].0, "{method} on {:?}", gpu.identity());
            if !gpu.is_device() {
                assert_eq!(trained[0].1, trained[1].1, "{method}: on the twin sums have the same order");
            }
        }
    }
}

/// Masks that flow are the largest of what is stored behind them.
#[test]
fn large_groups_flow() {
    for gpu in everywhere() {
        for method in
            ["sr-ste', dense = 0.0", "mdgf', dense = 0.0", "sdgf', dense = 0.0, decay = 'geometric', k = 2"]
        {
            let mut run = session(&gpu, &format!("method = '{method}, pattern = '100:512'"));
            while !run.is_done() {
                run.advance().unwrap();
            }
            run.snapshot().unwrap();
            for param in run.model.params.iter().filter(|param| param.is_masked()) {
                let stored = param.read_stored().unwrap();
                let (inner, mask) = (param.shape[1], param.read_mask().unwrap());
                for (row, own) in stored.chunks(inner).enumerate() {
                    assert_eq!(set(&mask, inner, row), largest(own, 100, 512), "{method}, {}", param.name);
                }
            }
        }
    }
}
