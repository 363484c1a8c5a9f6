//! What a parameter is given besides its values is state of the run, whatever its name: stored, restored, moved with the
//! values and counted.

mod common;

use common::{bytes, everywhere};
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::param::{Like, ParamId};
use coppice::recipe::Recipe;
use coppice::train::Session;

const NEW: [(&str, Like); 4] =
    [("number", Like::Values), ("noted", Like::Mask), ("sum", Like::Dense), ("rate", Like::Scalar)];
const W: ParamId = ParamId(0);

/// A run whose first weight has companions that nothing else knows.
fn session(gpu: &Gpu, storage: &str) -> Session {
    let text = format!(
        "run = {{ epochs = 2, batch = 32, seed = 3 }}\ndata = {{ name = 'bytes', validation = 0.0 }}\n\
         model = {{ preset = 'mlp', hidden = [40, 24] }}\noptim = {{ name = 'sgd', lr = 0.05, momentum = 0.9 }}\n\
         sparsity = {{ method = 'gmp', target = 0.9, init = 0.5, storage = '{storage}', distribution = 'erk', \
         schedule = {{ begin = '0', end = '9', every = '3' }} }}"
    );
    let recipe = Recipe::parse(&text, "test", &[]).unwrap();
    let mut run = Session::new(gpu, &recipe, &bytes(), Choices::default()).unwrap();
    let before = run.model.params.bytes();
    for (name, like) in NEW {
        run.model.params[W].accompany(gpu, name, like).unwrap();
    }
    let tensors = || NEW.into_iter().flat_map(|(name, _)| run.model.params[W].tensors(name));
    assert_eq!(run.model.params.bytes() - before, tensors().map(|tensor| tensor.bytes()).sum::<u64>());
    run
}

/// Gives every number that the companions have another value: of each stored weight, one more than its place.
fn fill(run: &mut Session) {
    let param = &mut run.model.params[W];
    let indices = match param.packed() {
        Some(packed) => packed.index.pattern.flat(),
        None => (0..param.len() as u32).collect(),
    };
    for own in param.companions.iter_mut() {
        let count = own.tensors().iter().map(|tensor| tensor.len() as u32).sum();
        match own.name {
            "number" => own.write(&indices.iter().map(|&index| 1.0 + index as f32).collect::<Vec<_>>()),
            "noted" => own.write(&(0..count).collect::<Vec<u32>>()),
            "sum" | "rate" => own.write(&(0..count).map(|i| 0.5 + i as f32).collect::<Vec<_>>()),
            _ => Ok(()),
        }
        .unwrap();
    }
}

#[test]
fn a_new_companion_is_stored_and_restored() {
    for gpu in everywhere() {
        for storage in ["masked", "packed"] {
            let mut run = session(&gpu, storage);
            let empty = run.snapshot().unwrap();
            fill(&mut run);
            let full = run.snapshot().unwrap();
            assert_ne!(empty.digest, full.digest, "it is part of the digest");
            let mut other = session(&gpu, storage);
            other.restore(&full).unwrap();
            assert_eq!(other.snapshot().unwrap().digest, full.digest, "{storage} on {:?}", gpu.identity());
            for (name, like) in NEW {
                let name = format!("fc1.weight.{name}{}", if like == Like::Values { ".kept" } else { "" });
                let mut lacking = full.clone();
                assert!(lacking.arrays.remove(&name).is_some(), "{name}");
                let error = session(&gpu, storage).restore(&lacking).unwrap_err().to_string();
                assert!(error.contains(&format!("`{name}` is missing")), "{error}");
            }
        }
    }
}

#[test]
fn what_is_like_the_values_moves_with_them() {
    for gpu in everywhere() {
        let mut run = session(&gpu, "packed");
        fill(&mut run);
        let mut sizes = vec![run.model.params[W].kept().unwrap()];
        while !run.is_done() {
            if run.advance().unwrap().is_none() {
                continue;
            }
            let param = &run.model.params[W];
            let numbers = param.companion("number").unwrap().read_f32().unwrap();
            let indices = param.packed().expect("packed").index.pattern.flat();
            let want: Vec<f32> = indices.iter().map(|&index| 1.0 + index as f32).collect();
            assert_eq!(numbers, want, "step {}", run.step);
            sizes.push(numbers.len());
        }
        assert!(sizes.len() > 3 && sizes.first() > sizes.last(), "{sizes:?}");
    }
}
