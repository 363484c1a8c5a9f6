//! Presets against JAX: ten training steps and the gradients of every parameter, dense, masked and packed.

use std::collections::BTreeMap;

use coppice::error::Result;
use coppice::gpu::Gpu;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::nn::presets;
use coppice::param::Param;
use serde_json::Value;

use super::network::{Net, Network, Preset, Samples, Setting, hashed, keeps, numbers};
use super::{common, devices};

/// `make_presets.py` prints that f32 alone moves these losses by 6e-6 at most, and a start that is off by 1e-7 by half of
/// that. A learning rate that is wrong by a thousandth moves them by more than this bound: a test below sees it.
const LOSS: Tolerance = Tolerance { abs: 3e-5, rel: 0.0 };
/// Of one and the norm of running statistics, and of what is trained, after ten steps: 4e-6 and 4e-7, likewise.
const STATISTIC: f32 = 1e-5;
const PARAMETER: f32 = 2e-6;
/// Adam divides by the root of a gradient's square: what is all rounding, as the gradients of keys' biases are, moves as far as
/// anything. `make_text.py` prints 6e-5.
const BY_ADAM: f32 = 2e-4;
/// Of the norm of a gradient: 3e-5, likewise, in `mobilenet-v1`, whose last norms are over eight samples and little else.
const GRADIENT: f32 = 1e-4;

/// What is known of a tensor: its sum and its product with hashed numbers, both over the root of how many there are, its norm
/// between them, and up to eight of its numbers. An error of norm e moves none of them by more than e.
type Summary = Vec<f32>;

/// One run of `presets.json` or `text.json`.
struct PresetRun {
    name: String,
    setting: Setting,
    losses: Vec<f64>,
    /// By parameter: before the first step, of what a mask keeps.
    gradients: BTreeMap<String, Summary>,
    /// After the last step.
    parameters: BTreeMap<String, Summary>,
    statistics: BTreeMap<String, Summary>,
    /// How exact parameters are.
    parameter: f32,
}

fn preset_runs() -> Vec<PresetRun> {
    let file = |text: &str| -> Value { serde_json::from_str(text).expect("JSON") };
    let images = file(include_str!("../oracle/presets.json"));
    let texts = file(include_str!("../oracle/text.json"));
    let runs = |file: &Value| file["runs"].as_array().expect("a list of runs").clone();
    let of_images = runs(&images).into_iter().map(|run| of_images(&images, &run));
    of_images.chain(runs(&texts).iter().map(of_text)).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn known(name: &Value) -> &'static str {
    let name = name.as_str().expect("a name");
    presets::ALL.iter().find(|entry| entry.name == name).expect("a preset").name
}

fn of_images(file: &Value, run: &Value) -> PresetRun {
    let name = known(&run["preset"]);
    let preset = Preset {
        name,
        samples: Samples::Image(serde_json::from_value(run["image"].clone()).expect("an image")),
        width: number(&file["width"]),
        tied: false,
        layers: 1,
        number: number(&run["number"]) as usize,
    };
    let mut optimizer = toml::Table::from_iter([("name".to_string(), "sgd".into())]);
    optimizer.insert("lr".into(), number(&run["rate"]).into());
    optimizer.insert("momentum".into(), number(&file["momentum"]).into());
    preset_run(name, preset, optimizer, PARAMETER, run)
}

fn of_text(run: &Value) -> PresetRun {
    let preset = Preset {
        name: known(&run["preset"]),
        samples: Samples::Tokens(serde_json::from_value(run.clone()).expect("what tokens are read")),
        width: 1.0,
        tied: run["tied"] == true,
        layers: run["layers"].as_u64().unwrap_or(1),
        number: number(&run["number"]) as usize,
    };
    let optimizer = toml::Table::try_from(&run["optimizer"]).expect("a table of settings");
    preset_run(run["name"].as_str().expect("a name"), preset, optimizer, BY_ADAM, run)
}

fn preset_run(name: &str, preset: Preset, optimizer: toml::Table, parameter: f32, run: &Value) -> PresetRun {
    let masked = run["masked"].as_bool().expect("yes or no");
    let of = |what: &str| serde_json::from_value(run[what].clone()).expect("numbers by name");
    PresetRun {
        name: format!("{name}, masked {masked}"),
        setting: Setting { net: Net::Preset(preset), optimizer, masked, packed: false },
        losses: numbers(&run["losses"]),
        gradients: of("gradients"),
        parameters: of("parameters"),
        statistics: of("statistics"),
        parameter,
    }
}

/// A tensor as `make_presets.py` stores it.
fn summary(t: usize, values: &[f32]) -> Summary {
    let (n, root) = (values.len(), (values.len() as f64).sqrt());
    let sum = |of: &dyn Fn(usize) -> f64| (0..n).map(|i| f64::from(values[i]) * of(i)).sum::<f64>();
    let norm = sum(&|i| f64::from(values[i])).sqrt();
    let product = sum(&|i| f64::from(hashed(t, i)));
    let some = (0..n.min(8)).map(|k| values[k * n / 8]);
    [sum(&|_| 1.0) / root, norm, product / root].map(|x| x as f32).into_iter().chain(some).collect()
}

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
    for (learns, golden, bound) in
        [(true, &run.parameters, run.parameter), (false, &run.statistics, STATISTIC)]
    {
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
        let keys = [
            ("lr", 1.001),
            ("momentum", 0.999),
            ("beta1", 0.99),
            ("beta2", 0.99),
            ("weight_decay", 1.1),
            ("clip", 0.999),
        ];
        for (key, value) in keys {
            let mut setting = run.setting.clone();
            if !setting.scale(key, value) {
                assert_ne!(key, "lr");
                continue; // this optimizer has no such setting, or it is 0
            }
            let error = compare_run(&Gpu::twin(), run, &setting).expect_err(key).to_string();
            assert!(error.contains("losses["), "{error}");
        }
        let mut setting = run.setting.clone();
        setting.masked = true;
        let error = compare_run(&Gpu::twin(), run, &setting).expect_err("a mask").to_string();
        assert!(error.contains("gradient of"), "{error}");
    }
}
