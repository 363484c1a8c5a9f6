//! How many weights each update of a run drops: the published formulas, and which weights that are.

use coppice::ops::variants::Choices;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::train::Session;

use super::common::{bytes, everywhere};

const BEGIN: u64 = 2;
const END: u64 = 23;
const SEED: u64 = 5;

/// Of alpha = .4: constant; `alpha / 2 (1 + cos(pi (t - b) / (e - b)))`; `alpha (1 - (t - b) / (e - b))^k`; the last two
/// with floors, too.
fn fraction(curve: &str, t: u64) -> f64 {
    let passed = (t - BEGIN) as f64 / (END - BEGIN) as f64;
    match curve {
        "type = 'constant', start = 0.4" => 0.4,
        "type = 'cosine', start = 0.4" => 0.2 * (1.0 + (std::f64::consts::PI * passed).cos()),
        "type = 'cosine', start = 0.4, end = 0.1" => {
            0.1 + 0.15 * (1.0 + (std::f64::consts::PI * passed).cos())
        }
        "type = 'exponential', start = 0.4" => 0.4 * (1.0 - passed),
        "type = 'exponential', start = 0.4, power = 3" => 0.4 * (1.0 - passed).powi(3),
        "type = 'exponential', start = 0.4, power = 2, end = 0.1" => 0.1 + 0.3 * (1.0 - passed).powi(2),
        other => panic!("{other}"),
    }
}

/// Indices by falling score, ties to the lower.
fn by(score: impl Fn(u32) -> f32, mut indices: Vec<u32>) -> Vec<u32> {
    indices.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    indices
}

/// Growth is at random, so that the test knows which weights grow, and with them how many of the dropped come back at
/// once: these are in no record.
#[test]
fn every_update_drops_what_the_formula_says() {
    for gpu in everywhere() {
        for curve in [
            "type = 'constant', start = 0.4",
            "type = 'cosine', start = 0.4",
            "type = 'cosine', start = 0.4, end = 0.1",
            "type = 'exponential', start = 0.4",
            "type = 'exponential', start = 0.4, power = 3",
            "type = 'exponential', start = 0.4, power = 2, end = 0.1",
        ] {
            for storage in ["masked", "packed"] {
                let text = format!(
                    "run = {{ epochs = 4, batch = 32, seed = {SEED} }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
                     model = {{ preset = 'mlp', hidden = [90, 40] }}\noptim = {{ name = 'sgd', lr = 0.1 }}\n\
                     sparsity = {{ method = 'rigl', target = 0.8, storage = '{storage}', \
                     growth = {{ by = 'random', fraction = {{ {curve} }} }}, \
                     schedule = {{ begin = '{BEGIN}', end = '{END}', every = '3' }} }}"
                );
                let recipe = Recipe::parse(&text, "test", &[]).unwrap();
                let mut run = Session::new(&gpu, &recipe, &bytes(), Choices::default()).unwrap();
                let mut updates = Vec::new();
                while !run.is_done() {
                    let step = run.step;
                    let before: Vec<_> = run
                        .model
                        .params
                        .iter()
                        .map(|param| (param.indices().unwrap(), param.read().unwrap()))
                        .collect();
                    let Some(change) = run.advance().unwrap() else { continue };
                    assert_eq!(change.step, step);
                    updates.push(step);
                    // The optimizer rests at an update: values are those of before the step.
                    for (id, param) in run.model.params.pairs().filter(|(_, p)| p.is_masked()) {
                        let (kept, weight) = &before[id.0];
                        let drops = (kept.len() as f64 * fraction(curve, step) + 1e-9).trunc() as usize;
                        let stay =
                            by(|i| weight[i as usize].abs(), kept.clone())[..kept.len() - drops].to_vec();
                        let others = (0..param.len() as u32).filter(|i| !stay.contains(i)).collect();
                        let noise = |i| uniform(SEED, Stream::Growth, step as u32, id.0 as u32, i);
                        let grown = by(noise, others)[..drops].to_vec();
                        let back = grown.iter().filter(|index| kept.contains(index)).count();
                        let mut want = [stay, grown].concat();
                        want.sort_unstable();
                        let what = format!("{curve}, {storage}, step {step}, {}", param.name);
                        assert_eq!(param.indices().unwrap(), want, "{what} on {:?}", gpu.identity());
                        let layer = change.layers.iter().find(|layer| layer.name == param.name).unwrap();
                        let counted = (layer.dropped + back, layer.grown + back, layer.kept);
                        assert_eq!(counted, (drops, drops, kept.len()), "{what} on {:?}", gpu.identity());
                    }
                }
                assert_eq!(updates, [2, 5, 8, 11, 14, 17, 20]);
            }
        }
    }
}
