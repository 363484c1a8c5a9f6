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

/// What is masked at first and packed later takes what a plan says.
#[test]
fn a_plan_knows_what_will_be_packed() {
    let text = format!(
        "run = {{ steps = 14, batch = 32 }}\nmodel = {{ preset = 'mlp', hidden = [600, 300] }}\noptim = {SGD}\n\
         data = {{ name = 'bytes', validation = 0.0 }}\n[sparsity]\nmethod = 'granet'\ntarget = 0.9\n\
         storage = 'packed'\ndistribution = 'uniform'\nschedule = {{ type = 'linear', every = '1', end = '75%' }}"
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    for gpu in crate::common::devices().into_iter().filter(Gpu::is_device) {
        let counted = gpu.counted_like();
        let mut ahead = session(&counted, &recipe);
        let at_first = counted.memory().peak_bytes as f64;
        assert!(ahead.packs_later().unwrap());
        ahead.pack_ahead().unwrap();
        let planned = counted.memory().peak_bytes as f64;
        let mut run = session(&gpu, &recipe);
        while !run.is_done() {
            run.advance().unwrap();
        }
        let peak = gpu.memory().peak_bytes as f64;
        let what =
            format!("{planned} planned, {at_first} at first, {peak} at the peak on {:?}", gpu.identity());
        assert!((planned / peak - 1.0).abs() < 0.05 && at_first / peak < 0.95, "{what}");
    }
}
