//! Every friction of diffGrad against NumPy, of a tensor whose gradients differ, dense and masked.

use coppice::gpu::Gpu;
use coppice::gpu::check::{Tolerance, compare_f32};
use coppice::param::{MaskMode, mask_of};

use super::{Rig, everywhere, single};

/// As `tests/oracle/make_diffgrad.py` has them.
const WEIGHTS: usize = 7;
const KEPT: [u32; 5] = [0, 2, 3, 5, 6];

/// Weights up to 1 lie on a grid of 6e-8; each of eight updates rounds once. An update moves by .01 times the friction,
/// which is off by a few units of 1e-7 with mean and deviation up to 3. Of two versions, or of two deviations, the paths
/// part by 1e-4 and more.
const CLOSE: Tolerance = Tolerance { abs: 1e-6, rel: 0.0 };

#[test]
fn every_friction_is_that_of_numpy() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../oracle/diffgrad.json")).expect("JSON");
    let walks = file.as_array().expect("a list");
    assert_eq!(walks.len(), 24);
    let weight = |i: usize| ((3 * i % 7) as f32 - 3.0) / 4.0;
    let grad = |t: usize, i: usize| ((7 * t + 5 * i + t * i) % 11) as f32 / 2.0 - 2.5;
    let start: Vec<f32> = (0..WEIGHTS).map(weight).collect();
    let path = |gpu: &Gpu, fields: &str, mode| -> Vec<Vec<f32>> {
        let rig = Rig::new(gpu, fields, &start, mode, &mask_of(&KEPT, WEIGHTS)).unwrap();
        let step = |t: usize| {
            rig.update(t as u32, &(0..WEIGHTS).map(|i| grad(t, i)).collect::<Vec<_>>()).unwrap();
            rig.weights().unwrap()
        };
        (1..=8).map(step).collect()
    };
    for gpu in everywhere() {
        for walk in walks {
            let (version, decay) = (&walk["version"], &walk["weight_decay"]);
            let fields = format!("name = 'diffgrad', lr = 0.01, version = {version}, weight_decay = {decay}");
            let masked = walk["masked"].as_bool().expect("yes or no");
            let kept: Vec<usize> = match masked {
                true => KEPT.iter().map(|&i| i as usize).collect(),
                false => (0..WEIGHTS).collect(),
            };
            let mode = if masked { MaskMode::Held } else { MaskMode::Free };
            for (t, (got, want)) in
                path(&gpu, &fields, mode).iter().zip(walk["weights"].as_array().unwrap()).enumerate()
            {
                let want: Vec<f64> = want.as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
                let got: Vec<f32> = kept.iter().map(|&i| got[i]).collect();
                let context = format!("{fields}, {mode:?}, update {} on {:?}", t + 1, gpu.identity());
                compare_f32(&context, &got, &single(&want), CLOSE).unwrap();
            }
        }
    }
}

/// What the bound can tell apart: no two walks end at the same place, but for the mask, which only versions that look at
/// the whole tensor notice.
#[test]
fn another_friction_would_be_noticed() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../oracle/diffgrad.json")).expect("JSON");
    let walks: Vec<_> = file.as_array().expect("a list").iter().collect();
    let end = |walk: &serde_json::Value| walk["weights"][7][0].as_f64().expect("a number");
    for (number, first) in walks.iter().enumerate() {
        for second in &walks[..number] {
            let alone = first["version"].as_u64().expect("a number") < 3;
            let same = ["version", "weight_decay"].iter().all(|key| first[key] == second[key]) && alone;
            let apart = (end(first) - end(second)).abs();
            assert!(same || apart > 10.0 * f64::from(CLOSE.abs), "{first} and {second}");
        }
    }
}
