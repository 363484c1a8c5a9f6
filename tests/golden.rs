//! Small networks against PyTorch and JAX: ten training steps of each optimizer, dense, masked and packed, and the
//! gradients of every parameter, on every adapter of this machine and on the CPU twins; the same gradients against
//! finite differences; and all three comparisons against wrong answers. One network is an MLP, another has two inputs,
//! a shared weight, a residual connection, a concatenation and two outputs, the third is of convolutions, the fourth reads
//! tokens and its head shares an embedding's weight; others are presets.
//!
//! `tests/oracle/make_golden.py`, `make_graph.py`, `make_conv.py`, `make_presets.py` and `make_text.py` made the golden files and
//! say how inputs and weights follow from integers.

mod common;
#[path = "oracle/network.rs"]
mod network;
#[path = "golden/presets.rs"]
mod presets;

use coppice::error::Result;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::gpu::{Gpu, Recorder};
use coppice::ops::activation::{self, Activation};
use network::{Net, Network, Run, Setting, gradients, graph_runs, runs};

const NETS: [Net; 4] = [Net::Mlp, Net::Branches, Net::Convolutions, Net::Tied];

/// Single precision alone moves these losses by 2e-7, as `make_golden.py` prints; a learning rate or momentum
/// that is wrong by a thousandth moves them by 4e-5 or more.
const LOSS: Tolerance = Tolerance { abs: 1e-5, rel: 0.0 };
/// Sum and norm of 389 parameters after ten steps: 7e-7 against 1e-3, likewise.
const PARAMETERS: Tolerance = Tolerance { abs: 1e-5, rel: 0.0 };
/// A few roundings in f32 of values up to 0.2, which pass three layers; `exp` is worth three more.
const GRADIENT: Tolerance = Tolerance { abs: 2e-7, rel: 4e-6 };
/// Losses near 1.7 lie on a grid of 1.2e-7. The mean of 16 is off by 3e-8 or so; divided by the distance of
/// 1/256 that makes 8e-6, and several times that at the worst of 389. The curvature's share is below 1e-6.
const DIFFERENCE: Tolerance = Tolerance { abs: 4e-5, rel: 0.0 };

/// Every adapter of this machine, and the twins.
fn devices() -> Vec<Gpu> {
    let mut all = common::devices();
    all.retain(|gpu| !gpu.is_counted());
    all.push(Gpu::twin());
    all
}

/// Trains as `setting` says and compares with what PyTorch got for `run`.
fn compare_run(gpu: &Gpu, run: &Run, setting: &Setting) -> Result<()> {
    let network = Network::new(gpu, setting)?;
    let steps = 0..run.losses.len() as u32;
    let losses: Vec<f64> = steps.map(|step| network.step(step)).collect::<Result<_>>()?;
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let parameters = network.parameters()?;
    let sum = parameters.iter().map(|&w| w as f64).sum::<f64>();
    let norm = parameters.iter().map(|&w| (w as f64).powi(2)).sum::<f64>().sqrt();
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
    compare_f32("losses", &single(&losses), &single(&run.losses), LOSS)?;
    compare_f32("sum and norm", &single(&[sum, norm]), &single(&[run.sum, run.norm]), PARAMETERS)?;
    compare_f32("mean of the totals", &[network.mean_loss()? as f32], &single(&[mean]), LOSS)?;
    Ok(())
}

#[test]
fn training_agrees_with_pytorch_and_jax() {
    for gpu in devices() {
        for run in runs().into_iter().chain(graph_runs()) {
            for packed in [false, true] {
                if packed && !run.setting.masked {
                    continue;
                }
                let mut setting = run.setting.clone();
                setting.packed = packed;
                compare_run(&gpu, &run, &setting).unwrap_or_else(|e| {
                    panic!("{}, packed {packed}, on {:?}: {e}", run.name, gpu.identity())
                });
            }
        }
    }
}

#[test]
fn pruned_weights_are_zero_after_every_step() {
    for gpu in devices() {
        for run in runs().iter().chain(&graph_runs()).filter(|run| run.setting.masked) {
            let network = Network::new(&gpu, &run.setting).unwrap();
            let weights = || network.model.params.iter().filter(|param| param.prunable);
            // Something is left behind the mask: the first step has to clear it, the others to keep it so.
            weights().for_each(|param| param.write(&vec![0.25; param.len()]).unwrap());
            for step in 0..3 {
                network.step(step).unwrap();
                for param in weights() {
                    for (i, weight) in param.read().unwrap().into_iter().enumerate() {
                        let (name, pruned) = (&param.name, !network::keeps(i));
                        assert_eq!(weight == 0.0, pruned, "{}, {step}: {name}[{i}] = {weight}", run.name);
                    }
                }
            }
        }
    }
}

#[test]
fn another_optimizer_or_mask_is_noticed() {
    for run in runs().into_iter().chain(graph_runs()) {
        for (key, value) in [("lr", 1.001), ("momentum", 0.999), ("weight_decay", 1.5)] {
            let mut setting = run.setting.clone();
            if !setting.scale(key, value) {
                continue; // this optimizer has no such setting, or it is 0
            }
            let error = compare_run(&Gpu::twin(), &run, &setting).expect_err(key).to_string();
            let numbers = ["losses[", "sum and norm["];
            assert!(numbers.iter().any(|number| error.contains(number)), "{error}");
        }
        let mut setting = run.setting.clone();
        setting.masked = !setting.masked;
        assert!(compare_run(&Gpu::twin(), &run, &setting).is_err(), "{}: the mask went unnoticed", run.name);
    }
}

/// The names and gradients of all parameters, before the first step.
fn computed(gpu: &Gpu, net: Net) -> Vec<(String, Vec<f32>)> {
    let network = Network::new(gpu, &Setting::dense(net)).unwrap();
    network.differentiate().unwrap();
    let learned = network.model.params.iter().filter(|param| param.learns());
    learned.map(|p| (p.name.clone(), p.read_grad().unwrap())).collect()
}

#[test]
fn gradients_agree_with_pytorch_and_jax() {
    for (gpu, net) in devices().into_iter().flat_map(|gpu| NETS.map(|net| (gpu.clone(), net))) {
        let golden = gradients(net);
        let computed = computed(&gpu, net);
        assert_eq!(computed.len(), golden.len());
        for ((name, got), (golden_name, want)) in computed.iter().zip(&golden) {
            assert_eq!(name, golden_name);
            compare_f32(name, got, want, GRADIENT).unwrap_or_else(|e| panic!("{:?}: {e}", gpu.identity()));
        }
    }
}

/// The gradients by central differences of the loss: every weight is moved by 1/512 either way, so that no
/// unit crosses ReLU's kink.
fn differences(net: Net) -> Vec<(String, Vec<f32>)> {
    let network = Network::new(&Gpu::twin(), &Setting::dense(net)).unwrap();
    let mut all = Vec::new();
    for param in network.model.params.iter().filter(|param| param.learns()) {
        let start = param.read().unwrap();
        let slope = |i: usize| {
            if net.overlooks(&param.name, i) {
                return f32::NAN;
            }
            let at = |by: f32| {
                let mut moved = start.clone();
                moved[i] += by;
                param.write(&moved).unwrap();
                (moved[i] as f64, network.evaluate().unwrap())
            };
            let ((up, above), (down, below)) = (at(1.0 / 512.0), at(-1.0 / 512.0));
            ((above - below) / (up - down)) as f32
        };
        all.push((param.name.clone(), (0..start.len()).map(slope).collect()));
        param.write(&start).unwrap();
    }
    all
}

#[test]
fn gradients_agree_with_finite_differences() {
    for net in NETS.into_iter().chain([Net::Smooth]) {
        for ((name, mut got), (_, mut want)) in computed(&Gpu::twin(), net).into_iter().zip(differences(net))
        {
            for i in (0..got.len()).rev().filter(|&i| net.overlooks(&name, i)) {
                got.remove(i);
                want.remove(i);
            }
            compare_f32(&name, &got, &want, DIFFERENCE).unwrap();
        }
    }
}

/// Values and slopes of an activation at the points of `activations.json`: what a device computes, and what JAX did.
fn activation(gpu: &Gpu, computed: &Activation, golden: &str) -> [(Vec<f32>, Vec<f32>); 2] {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("oracle/activations.json")).expect("JSON");
    let numbers = |list: &serde_json::Value| -> Vec<f32> {
        list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    let points = numbers(&file["points"]);
    let [x, d_y] = [&points, &vec![1.0; points.len()]].map(|v| gpu.upload_f32("x", &[v.len()], v).unwrap());
    let out = || gpu.upload_f32("out", &[points.len()], &vec![0.0; points.len()]).unwrap();
    let (y, d_x) = (out(), out());
    let mut rec = Recorder::new(gpu);
    computed.record_forward(&mut rec, &x, &y).unwrap();
    computed.record_backward(&mut rec, &x, &d_y, &d_x, false).unwrap();
    rec.finish().unwrap().replay().unwrap();
    let of = &file["functions"][golden];
    [(y.read_f32().unwrap(), numbers(&of["values"])), (d_x.read_f32().unwrap(), numbers(&of["slopes"]))]
}

/// exp and erf's formula are off by some units in the last place, of numbers up to 10.
const SMOOTH: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

#[test]
fn activations_agree_with_jax() {
    for gpu in devices() {
        for one in activation::ALL {
            for (got, want) in activation(&gpu, one, one.name) {
                compare_f32(one.name, &got, &want, SMOOTH).unwrap();
            }
        }
        // SiLU is not GELU.
        for (got, want) in activation(&gpu, &activation::SILU, "gelu") {
            assert!(compare_f32("silu", &got, &want, SMOOTH).is_err());
        }
    }
}

#[test]
fn a_wrong_gradient_is_noticed() {
    let (golden, differences) = (gradients(Net::Mlp), differences(Net::Mlp));
    for (at, (name, right)) in computed(&Gpu::twin(), Net::Mlp).into_iter().enumerate() {
        let largest = (0..right.len()).max_by(|&a, &b| right[a].abs().total_cmp(&right[b].abs())).unwrap();
        type Mistake = fn(&mut [f32], usize);
        let mistakes: [(&str, Mistake); 5] = [
            ("one element 1 % too large", |grad, i| grad[i] *= 1.01),
            ("a sign", |grad, i| grad[i] = -grad[i]),
            ("NaN", |grad, i| grad[i] = f32::NAN),
            ("a sum instead of a mean", |grad, _| grad.iter_mut().for_each(|g| *g *= 16.0)),
            ("the wrong order", |grad, _| grad.reverse()),
        ];
        for (what, mistake) in mistakes {
            let mut wrong = right.clone();
            mistake(&mut wrong, largest);
            assert!(compare_f32(&name, &wrong, &golden[at].1, GRADIENT).is_err(), "{name}: {what}, golden");
            let slopes = &differences[at].1;
            assert!(compare_f32(&name, &wrong, slopes, DIFFERENCE).is_err(), "{name}: {what}, differences");
        }
    }
}
