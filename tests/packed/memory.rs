//! Device memory of packed runs, counted: no device is needed.

use coppice::gpu::Gpu;
use coppice::param::{Companion, MEAN};
use coppice::recipe::Recipe;

use super::{ADAM, SGD, session};

#[test]
fn packed_snfs_needs_its_running_means_and_no_more() {
    let peak = |method: &str, storage: &str| {
        let text = format!(
            "model = {{ preset = 'mlp', hidden = [3000, 2000] }}\noptim = {SGD}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
             sparsity = {{ method = '{method}', target = 0.98, storage = '{storage}' }}"
        );
        let recipe = Recipe::parse(&text, "test", &[]).unwrap();
        let gpu = Gpu::counted();
        let run = session(&gpu, &recipe);
        (
            gpu.memory().peak_bytes,
            run.model
                .params
                .iter()
                .filter_map(|param| param.companion(MEAN))
                .map(Companion::bytes)
                .sum::<u64>(),
        )
    };
    let weights = 3000 * 24 + 2000 * 3000 + 4 * 2000;
    let (snfs, means) = peak("snfs", "packed");
    assert_eq!(means, 4 * weights);
    let rigl = peak("rigl", "packed").0;
    // Small constants of dispatches: those that add to the means, or that compute a gradient where a sieve has failed.
    assert!(snfs.abs_diff(rigl + means) < 100_000, "{snfs} and {rigl}, means {means}");
    assert!(snfs < peak("snfs", "masked").0 / 3, "{snfs}");
}

/// Everything counts: values, gradients, slots, indices, lists of growth, copies in textures, activations.
#[test]
fn memory_follows_what_is_kept() {
    let peak = |sparsity: &str, optim: &str| {
        let text = format!(
            "model = {{ preset = 'mlp', hidden = [8192, 8192, 4096] }}\noptim = {optim}\n\
             data = {{ name = 'bytes', validation = 0.0 }}\n\
             sparsity = {{ storage = 'packed', {sparsity}, rule = [{{ match = 'head', dense = true }}] }}"
        );
        let gpu = Gpu::counted();
        let run = session(&gpu, &Recipe::parse(&text, "test", &[]).unwrap());
        let packed = run.model.params.iter().filter_map(|param| param.packed());
        let kept: usize = packed.map(|packed| packed.index.pattern.kept()).sum();
        (gpu.memory().peak_bytes as f64, kept as f64)
    };
    let each = |more: &str, less: &str, optim: &str| {
        let (more, less) = (peak(more, optim), peak(less, optim));
        (more.0 - less.0) / (more.1 - less.1)
    };
    let (more, less) = ("method = 'rigl', target = 0.98", "method = 'rigl', target = 0.99");
    let (sgd, adam) = (each(more, less, SGD), each(more, less, ADAM));
    assert!((24.0..=32.0).contains(&sgd), "{sgd} bytes for each kept weight");
    assert!((28.0..=40.0).contains(&adam), "{adam} bytes for each kept weight");
    let groups = each("method = 'static', pattern = '1:16'", "method = 'static', pattern = '1:32'", SGD);
    assert!((17.0..=20.0).contains(&groups), "{groups} bytes for each kept weight of N:M");
    let (whole, kept) = peak(less, SGD);
    assert!(kept > 7e5 && whole < 100e6, "{whole} bytes for {kept} weights");
}
