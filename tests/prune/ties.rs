//! Equal scores.

use coppice::param::ParamId;
use coppice::sparsity::budget::keep;
use coppice::sparsity::select::topk::{select, top_k};

use super::common::everywhere;
use super::session;

/// The specification's rows: a sparsity of six scores, half-even, and which are kept.
#[test]
fn the_worked_rows_keep_the_lower_of_equal_scores() {
    let scores = [0.5, 0.2, 0.5, 0.5, 0.1, 0.5];
    for (sparsity, count, want) in
        [(0.5, 3, [1, 0, 1, 1, 0, 0]), (0.67, 2, [1, 0, 1, 0, 0, 0]), (0.75, 2, [1, 0, 1, 0, 0, 0])]
    {
        assert_eq!(keep(6, sparsity), count, "half to even");
        assert_eq!(top_k(&scores, count).into_iter().map(u32::from).collect::<Vec<_>>(), want);
        for gpu in everywhere() {
            let (masks, counts) = select(&gpu, &[&scores], count).unwrap();
            let bits: Vec<u32> = (0..6).map(|i| masks[0][0] >> i & 1).collect();
            assert_eq!(bits, want, "sparsity {sparsity} on {:?}", gpu.identity());
            assert_eq!(counts[0].kept as usize, count);
        }
    }
}

/// Where all magnitudes are equal, and not 0, the lowest indices stay: of each layer, or of all, in the order of layers.
#[test]
fn equal_magnitudes_keep_the_lowest_indices() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            for distribution in ["uniform", "global"] {
                let mut run = session(
                    &gpu,
                    &format!(
                        "method = 'gmp', target = 0.8, init = 0.5, distribution = '{distribution}', storage = '{storage}', schedule = {{ end = '4', every = '4' }}"
                    ),
                );
                // From all weights at step 0; from those that are left at step 4.
                let mut left: Vec<Vec<u32>> =
                    [0, 2, 4].map(|i| (0..run.model.params[ParamId(i)].len() as u32).collect()).into();
                for update in [0, 4] {
                    while run.step < update {
                        run.advance().unwrap();
                    }
                    let lens = [0, 2, 4].map(|i| {
                        let param = &run.model.params[ParamId(i)];
                        assert_eq!(param.packed().is_some(), storage == "packed" && update > 0);
                        let equal = |i: usize| if i.is_multiple_of(3) { -0.25 } else { 0.25 };
                        let all: Vec<f32> = (0..param.len()).map(equal).collect();
                        let mask = param.read_mask().unwrap();
                        let kept = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
                        let own: Vec<f32> =
                            all.iter().enumerate().map(|(i, &w)| if kept(i) { w } else { 0.0 }).collect();
                        param.write(&own).unwrap();
                        param.len()
                    });
                    let change = run.advance().unwrap().expect("an update");
                    let share = if update == 0 { 0.5 } else { 0.2 };
                    let each = lens.map(|len| (len as f64 * share).round_ties_even() as usize);
                    let mut rest = change.kept;
                    for (i, own) in left.iter_mut().enumerate() {
                        own.truncate(if distribution == "global" { rest } else { each[i] });
                        rest -= own.len();
                        let indices = run.model.params[ParamId(2 * i)].indices().unwrap();
                        assert!(indices == *own, "{storage}, {distribution}, layer {i} at step {update}");
                    }
                    assert_eq!(rest, 0);
                }
            }
        }
    }
}
