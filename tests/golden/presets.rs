//! Presets against JAX: ten training steps and the gradients of every parameter, dense, masked and packed.

use coppice::error::Result;
use coppice::gpu::Gpu;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::param::Param;

use super::network::{Network, PresetRun, Setting, Summary, keeps, preset_runs, summary};
use super::{common, devices};

/// `make_presets.py` prints that f32 alone moves these losses by 6e-6 at most, and a start that is off by 1e-7 by as much. A
/// learning rate that is wrong by a thousandth moves them by 1e-4 or more.
const LOSS: Tolerance = Tolerance { abs: 3e-5, rel: 0.0 };
/// Of one and the norm of running statistics, and of what is trained, after ten steps: 4e-6 and 4e-7, likewise.
const STATISTIC: f32 = 1e-5;
const PARAMETER: f32 = 2e-6;
/// Of the norm of a gradient: 3e-5, likewise, in `mobilenet-v1`, whose last norms are over eight samples and little else.
const GRADIENT: f32 = 1e-4;

/// Parameters that learn, or running statistics, as they are now.
fn kept(network: &Network, learns: bool, of: impl Fn(&Param) -> Vec<f32>) -> Vec<(String, Summary)> {
    let all = network.model.params.iter().enumerate().filter(|(_, param)| param.learns() == learns);
    all.map(|(index, param)| (param.name.clone(), summary(network.number(index), &of(param)))).collect()
}

/// The gradient of what is kept.
fn gradient(param: &Param, setting: &Setting) -> Vec<f32> {
    let mut grad = param.read_grad().unwrap();
    if setting.masked && setting.net.masks(param) {
        grad.iter_mut().enumerate().filter(|(i, _)| !keeps(*i)).for_each(|(_, g)| *g = 0.0);
    }
    grad
}

/// Trains as `setting` says and compares with what JAX got for `run`.
fn compare_run(gpu: &Gpu, run: &PresetRun, setting: &Setting) -> Result<()> {
    let network = Network::new(gpu, setting)?;
    network.differentiate()?;
    let gradients = kept(&network, true, |param| gradient(param, setting));
    assert_eq!(gradients.len(), run.gradients.len());
    // Sums of a gradient that all but vanish are as exact as those of the largest one.
    let largest = run.gradients.values().map(|summary| summary[1]).fold(0.0, f32::max);
    for (name, got) in &gradients {
        let want = &run.gradients[name];
        let abs = GRADIENT * (want[1] + 1e-3 * largest);
        compare_f32(&format!("gradient of {name}"), got, want, Tolerance { abs, rel: 0.0 })?;
    }
    let losses: Vec<f64> = (0..10).map(|step| network.step(step)).collect::<Result<_>>()?;
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    compare_f32("losses", &single(&losses), &single(&run.losses), LOSS)?;
    for (learns, golden, bound) in [(true, &run.parameters, PARAMETER), (false, &run.statistics, STATISTIC)] {
        let own = kept(&network, learns, |param| param.read().unwrap());
        assert_eq!(own.len(), golden.len());
        for (name, got) in &own {
            let want = &golden[name];
            compare_f32(name, got, want, Tolerance { abs: bound * (1.0 + want[1]), rel: 0.0 })?;
        }
    }
    Ok(())
}

#[test]
fn presets_train_as_in_jax() {
    common::side_by_side(devices(), |gpu| {
        for run in preset_runs() {
            for packed in [false, true] {
                // Software drivers take their time to compile: of the others one run each.
                let alone =
                    gpu.is_device() && run.name != "cnn, masked false" && !run.name.starts_with("resnet20");
                if packed && !run.setting.masked || !packed && alone {
                    continue;
                }
                let mut setting = run.setting.clone();
                setting.packed = packed;
                compare_run(gpu, &run, &setting).unwrap_or_else(|e| {
                    panic!("{}, packed {packed}, on {:?}: {e}", run.name, gpu.identity())
                });
            }
        }
    });
}

#[test]
fn another_training_of_a_preset_is_noticed() {
    let runs = preset_runs();
    for run in runs.iter().step_by(2) {
        for (key, value) in [("lr", 1.001), ("momentum", 0.999)] {
            let mut setting = run.setting.clone();
            assert!(setting.scale(key, value));
            let error = compare_run(&Gpu::twin(), run, &setting).expect_err(key).to_string();
            assert!(error.contains("losses["), "{error}");
        }
        let mut setting = run.setting.clone();
        setting.masked = true;
        let error = compare_run(&Gpu::twin(), run, &setting).expect_err("a mask").to_string();
        assert!(error.contains("gradient of"), "{error}");
    }
}
