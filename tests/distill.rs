//! Figures of confidence, and targets that a network makes for itself, on every adapter and on the twin.

mod common;

use coppice::gpu::{Dtype, Gpu, Recorder};
use coppice::ops::{Step, cross_entropy};
use coppice::train::Confidence;

fn devices() -> Vec<Gpu> {
    common::devices().into_iter().filter(Gpu::is_device).chain([Gpu::twin()]).collect()
}

fn close(got: f64, want: f64, bound: f64) {
    assert!((got - want).abs() <= bound, "{got}, not {want}");
}

/// Probabilities (samples, classes) as logits (classes, cols), 0 where there is no sample.
fn logits_of(p: &[[f32; 3]], cols: usize) -> Vec<f32> {
    (0..3).flat_map(|k| (0..cols).map(move |s| p.get(s).map_or(0.0, |p| p[k].ln()))).collect()
}

#[test]
fn five_judged_samples_have_the_figures_worked_by_hand() {
    let p = [[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.1, 0.85, 0.05], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]];
    let labels = [0, 1, 1, 2, 0, 0, 0, 0];
    for gpu in devices() {
        // In two batches of at most four columns: verdicts find their place by the first sample's number.
        let verdict = gpu.tensor("verdict", Dtype::F32, &[5]).unwrap();
        let (mut nll, mut hits) = (0.0, 0);
        for (first, live) in [(0, 4), (4, 1)] {
            let step = gpu.uniform("step", &Step { first, live, ..Default::default() }).unwrap();
            let (from, to) = (first as usize, first as usize + 4);
            let logits = gpu.upload_f32("logits", &[3, 4], &logits_of(&p[from..to.min(5)], 4)).unwrap();
            let label = gpu.upload_u32("label", &[4], &labels[from..to]).unwrap();
            let loss = gpu.tensor("loss", Dtype::F32, &[4]).unwrap();
            let hit = gpu.tensor("hit", Dtype::U32, &[4]).unwrap();
            let mut rec = Recorder::new(&gpu);
            cross_entropy::record_judgement(&mut rec, &step, &logits, &label, &loss, &hit, &verdict).unwrap();
            rec.finish().unwrap().replay().unwrap();
            nll += loss.read_f32().unwrap().iter().map(|&l| f64::from(l)).sum::<f64>() / 5.0;
            hits += hit.read_u32().unwrap().iter().sum::<u32>();
        }
        assert_eq!(hits, 3);
        close(nll, 1.096208, 2e-6);
        let verdicts = verdict.read_f32().unwrap();
        for (got, want) in verdicts.iter().zip([0.7f32, -0.4, 0.85, 0.4, -0.9]) {
            close(f64::from(*got), f64::from(want), 1e-6);
        }
        // Samples 1 and 3 tie but for a rounding, which must not decide.
        let rounded: Vec<f32> = verdicts.iter().map(|v| (v * 1e4).round() / 1e4).collect();
        let found = Confidence::of(&rounded);
        close(found.ece, 0.25, 1e-6);
        close(found.aurc, 0.546667, 1e-6);
        close(found.e_aurc, 0.416667, 1e-6);
    }
}
