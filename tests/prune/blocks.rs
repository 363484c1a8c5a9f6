//! Which blocks are kept, against a sort: by mean and by maximum, with blocks that divide a layer and that do not.

use coppice::gpu::Gpu;
use coppice::random::{Stream, uniform};
use coppice::train::Session;

use super::common::everywhere;
use super::{Choices, data, recipe};

const ONESHOT: &str = "schedule = { type = 'oneshot', begin = '40%' }";

fn session(gpu: &Gpu, hidden: &str, sparsity: &str) -> Session {
    Session::new(gpu, &recipe(hidden, sparsity), &data(), Choices::default()).unwrap()
}

/// The weights of each block of a matrix (rows, inner), blocks numbered along their rows.
fn cut(rows: usize, inner: usize, height: usize, width: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for top in (0..rows).step_by(height) {
        for left in (0..inner).step_by(width) {
            let row = |r: usize| (left..inner.min(left + width)).map(move |c| r * inner + c);
            all.push((top..rows.min(top + height)).flat_map(row).collect());
        }
    }
    all
}

/// The indices of the `keep` blocks with the largest scores; of equal ones, of the first.
fn largest(weights: &[f32], blocks: &[Vec<usize>], keep: usize, max: bool) -> Vec<u32> {
    let score = |block: &Vec<usize>| {
        let sizes = block.iter().map(|&i| f64::from(weights[i].abs()));
        if max { sizes.fold(0.0, f64::max) } else { sizes.sum::<f64>() / block.len() as f64 }
    };
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by(|&a, &b| score(&blocks[b]).total_cmp(&score(&blocks[a])).then(a.cmp(&b)));
    let mut indices: Vec<u32> =
        order[..keep].iter().flat_map(|&block| &blocks[block]).map(|&i| i as u32).collect();
    indices.sort_unstable();
    indices
}

/// How many blocks are kept, which has to be the whole number that comes nearest to `share`, or 1. The budget in weights
/// is rounded before that in blocks.
fn nearest(indices: &[u32], blocks: &[Vec<usize>], share: f64, len: usize) -> usize {
    let kept = blocks.iter().filter(|block| indices.binary_search(&(block[0] as u32)).is_ok()).count();
    let (all, got) = (blocks.len() as f64, kept as f64);
    assert!(
        kept == 1 || (got - share * all).abs() <= 0.5 + all / len as f64,
        "{got} of {all} blocks, {share}"
    );
    kept
}

/// Layers of 37 x 32, 18 x 37 and 3 x 18 in one run; with weights that differ, of which many are equal (in blocks whose
/// sizes are powers of two, so that means are exact), and that are all equal.
#[test]
fn the_largest_blocks_are_kept() {
    for gpu in everywhere() {
        for (number, (height, width)) in
            [(2, 2), (3, 5), (8, 1), (4, 1), (1, 4), (5, 3), (64, 2), (2, 64)].into_iter().enumerate()
        {
            for (max, pooling) in [(false, "mean"), (true, "max")] {
                for coarse in [0.0f32, 4.0, 0.5] {
                    if coarse == 4.0 && !max && ![(2, 2), (8, 1), (4, 1), (1, 4)].contains(&(height, width)) {
                        continue;
                    }
                    let sparsity = format!(
                        "method = 'oneshot', target = 0.6, distribution = 'uniform', pooling = '{pooling}', pattern = 'block:{height}x{width}', {ONESHOT}"
                    );
                    let mut run = session(&gpu, "[37, 18]", &sparsity);
                    (0..12).for_each(|_| drop(run.advance().unwrap()));
                    for (id, param) in run.model.params.pairs().filter(|(_, p)| p.is_masked()) {
                        let value = |i: u32| {
                            let value = uniform(13, Stream::Test, number as u32, id.0 as u32, i) - 0.5;
                            if coarse == 0.0 { value } else { (value * coarse).round() / 4.0 }
                        };
                        param.write(&(0..param.len() as u32).map(value).collect::<Vec<_>>()).unwrap();
                    }
                    let before: Vec<Vec<f32>> =
                        run.model.params.iter().map(|param| param.read().unwrap()).collect();
                    let change = run.advance().unwrap().expect("two fifths of the run are over");
                    let mut kept = 0;
                    for (param, weights) in
                        run.model.params.iter().zip(&before).filter(|(p, _)| p.is_masked())
                    {
                        let blocks = cut(param.shape[0], param.shape[1], height, width);
                        let indices = param.indices().unwrap();
                        let keep = nearest(&indices, &blocks, 0.4, param.len());
                        let want = largest(weights, &blocks, keep, max);
                        let what = format!("{height}x{width} by {pooling}, {coarse}, {}", param.name);
                        assert_eq!(indices, want, "{what} on {:?}", gpu.identity());
                        let layer = change.layers.iter().find(|layer| layer.name == param.name).unwrap();
                        assert_eq!((layer.kept, layer.dropped), (want.len(), param.len() - want.len()));
                        kept += want.len();
                    }
                    assert_eq!(change.kept, kept, "reported");
                }
            }
        }
    }
}

/// Gradually, by blocks that divide nothing: at each update the nearest number of blocks, and what is reported is there.
#[test]
fn the_number_of_blocks_is_exact_at_every_update() {
    let schedule = "schedule = { type = 'linear', every = '3', end = '60%' }";
    for gpu in everywhere() {
        for pattern in ["7x3", "4x1", "8x5"] {
            let (height, width) = pattern.split_once('x').unwrap();
            let (height, width) = (height.parse().unwrap(), width.parse().unwrap());
            let mut run = session(
                &gpu,
                "[37, 18]",
                &format!(
                    "method = 'gmp', target = 0.8, distribution = 'uniform', pattern = 'block:{pattern}', {schedule}"
                ),
            );
            let mut updates = 0;
            while !run.is_done() {
                let Some(change) = run.advance().unwrap() else { continue };
                updates += 1;
                let total: usize = change.layers.iter().map(|layer| layer.total).sum();
                assert_eq!(total, change.total);
                let mut all = 0;
                for param in run.model.params.iter().filter(|param| param.is_masked()) {
                    let indices = param.indices().unwrap();
                    let blocks = cut(param.shape[0], param.shape[1], height, width);
                    nearest(&indices, &blocks, 1.0 - change.sparsity, param.len());
                    all += indices.len();
                }
                assert_eq!((change.kept, change.total), (all, total), "{pattern}");
            }
            assert!(updates > 3);
        }
    }
}

/// At the start: whole blocks, drawn, the same on every device; as many as come nearest.
#[test]
fn blocks_of_any_size_are_drawn_at_random() {
    let all: Vec<Vec<Vec<u32>>> = everywhere()
        .iter()
        .map(|gpu| {
            let run = session(
                gpu,
                "[37, 18]",
                "method = 'static', target = 0.7, distribution = 'uniform', pattern = 'block:3x5'",
            );
            let masked = run.model.params.iter().filter(|param| param.is_masked());
            masked
                .map(|param| {
                    let indices = param.indices().unwrap();
                    let blocks = cut(param.shape[0], param.shape[1], 3, 5);
                    let keep = nearest(&indices, &blocks, 0.3, param.len());
                    let is_set = |&i: &usize| indices.binary_search(&(i as u32)).is_ok();
                    let whole = blocks.iter().filter(|block| block.iter().all(is_set));
                    let sizes: Vec<usize> = whole.map(Vec::len).collect();
                    assert_eq!((sizes.len(), sizes.iter().sum()), (keep, indices.len()), "{}", param.name);
                    indices
                })
                .collect()
        })
        .collect();
    assert!(all.iter().all(|indices| *indices == all[0]));
    assert!(all[0][0].windows(2).any(|pair| pair[1] - pair[0] > 5), "not the first blocks");
}
