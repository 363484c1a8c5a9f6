//! A density that every layer keeps at least.

use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::{ParamId, indices};
use coppice::train::Session;

use super::common::everywhere;
use super::{data, recipe, session};

/// Two prunes with one threshold over layers: from all weights, and from those that are left, masked or packed. Right before
/// each, weights are made what they began as, so that a plain selection on the host says what is kept.
#[test]
fn each_layer_keeps_its_largest_in_any_case() {
    let schedule = "schedule = { end = '4', every = '4' }, distribution = 'global'";
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            let sparsity = format!(
                "method = 'gmp', target = 0.97, init = 0.1, min_density = 0.029, storage = '{storage}', {schedule}"
            );
            let mut run = session(&gpu, &sparsity);
            let lens = [0, 2, 4].map(|i| run.model.params[ParamId(i)].len());
            let mut kept = Vec::new();
            for update in [0, 4] {
                while run.step < update {
                    run.advance().unwrap();
                }
                for param in run.model.params.iter().step_by(2) {
                    assert_eq!(param.packed().is_some(), storage == "packed" && update > 0);
                    let (mut values, mask) = (param.initial_values(), param.read_mask().unwrap());
                    let pruned = |i: &usize| mask[i / 32] >> (i % 32) & 1 == 0;
                    (0..values.len()).filter(pruned).for_each(|i| values[i] = 0.0);
                    param.write(&values).unwrap();
                }
                kept.push(
                    run.advance()
                        .unwrap()
                        .expect("an update")
                        .layers
                        .iter()
                        .map(|l| l.kept)
                        .collect::<Vec<_>>(),
                );
            }
            let floors = lens.map(|len| (len as f64 * 0.029).round() as usize);
            assert!(kept[0].iter().zip(floors).all(|(kept, floor)| *kept > floor), "{kept:?}");
            assert_eq!(kept[1][1], floors[1], "the second layer's weights are the smallest: {kept:?}");
            let forecast = run.pruner.as_ref().unwrap().forecast(&run.model.params).unwrap().unwrap();
            for id in [0, 2, 4].map(ParamId) {
                let own = run.model.params[id].indices().unwrap();
                assert_eq!(
                    own,
                    indices(forecast[id.0].as_ref().unwrap()),
                    "{storage} on {:?}",
                    gpu.identity()
                );
            }
        }
    }
}

#[test]
fn what_floors_leave_no_room_for_is_refused() {
    let sparsity = "method = 'gmp', target = 0.97, min_density = 0.05, distribution = 'erk'";
    let made = Session::new(&Gpu::twin(), &recipe("[40, 24]", sparsity), &data(), Choices::default());
    let text = made.err().expect("refused").to_string();
    assert!(text.contains("sparsity 0.97 cannot be met") && text.contains("a smaller min_density"), "{text}");
}
