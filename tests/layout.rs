//! Convolutions lie as PyTorch has them wherever people and other programs see them, and come back to the bit.

use std::path::Path;

use coppice::data::{self, Dataset};
use coppice::error::Kind;
use coppice::gpu::Gpu;
use coppice::ops::variants::Choices;
use coppice::recipe::Recipe;
use coppice::report::load::load_any;
use coppice::report::{dump, mask};
use coppice::store::{Array, Arrays, safetensors};
use coppice::train::checkpoint::{self, Which};
use coppice::train::{Control, Initial, Session, layout, train};

/// A grouped convolution, whose groups have two input channels each, and a plain one; four steps.
const RECIPE: &str = "
    run = { epochs = 1, batch = 400, seed = 4, keep = 9 }
    data = { name = 'digits' }
    optim = { name = 'sgd', lr = 0.05, momentum = 0.9 }
    [model]
    layer = [
        { type = 'conv2d', name = 'first', out = 4, kernel = 2 },
        { type = 'batch_norm', name = 'norm' },
        { type = 'relu', name = 'act' },
        { type = 'conv2d', name = 'second', out = 6, kernel = 3, groups = 2 },
        { type = 'linear', name = 'head', out = 10 },
    ]";

const PRUNED: [&str; 2] = ["sparsity.method=static", "sparsity.target=0.6"];

fn digits() -> Dataset {
    data::open("digits", 0.1).unwrap()
}

fn recipe(more: &[&str]) -> Recipe {
    let more: Vec<String> = more.iter().map(|key| key.to_string()).collect();
    Recipe::parse(RECIPE, "test", &more).unwrap()
}

fn session(recipe: &Recipe, initial: Option<&Initial>) -> Session {
    Session::starting_from(&Gpu::twin(), recipe, &digits(), Choices::default(), initial).unwrap()
}

/// A run of all steps with a checkpoint and dumps, in a folder.
fn trained(home: &Path, recipe: &Recipe) -> Session {
    let mut run = session(recipe, None);
    let dump = |step: u64, tensors: &[_], samples: &[u32]| dump::write_dump(home, step, tensors, samples);
    let control = Control { folder: Some(home.into()), stop_at: None, signal: &|| None, dump: Some(&dump) };
    train(&mut run, &control, &mut |_| Ok(())).unwrap();
    run
}

/// Parameters alone, with zeros behind their masks.
fn parameters(arrays: &Arrays) -> Arrays {
    let mut own = mask::applied(arrays).unwrap();
    own.retain(|name, _| mask::owner(arrays, name).is_none());
    own
}

fn bytes(home: &Path, arrays: &Arrays) -> Vec<u8> {
    let path = home.join("out.safetensors");
    safetensors::write(&path, arrays, &[("format", "pt")]).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn what_is_exported_begins_another_run_and_is_exported_alike() {
    for storage in ["masked", "packed"] {
        let home = tempfile::tempdir().unwrap();
        let stored = format!("sparsity.storage={storage}");
        trained(home.path(), &recipe(&[&PRUNED[..], &[&stored]].concat()));
        let first = parameters(&load_any(home.path()).unwrap().0);
        assert_eq!(first["first.weight"].shape, [4, 1, 2, 2]);
        assert_eq!(first["second.weight"].shape, [6, 2, 3, 3]);
        let file = bytes(home.path(), &first);
        let (read, _) = load_any(&home.path().join("out.safetensors")).unwrap();
        let dense = recipe(&[]);
        let again = session(&dense, Some(&Initial::matched(read, &dense, &digits()).unwrap()));
        assert_eq!(bytes(home.path(), &parameters(&again.weights().unwrap())), file, "{storage}");
    }
}

#[test]
fn a_file_by_hand_lands_where_it_should() {
    let dense = recipe(&[]);
    let mut arrays = parameters(&session(&dense, None).weights().unwrap());
    // Of each weight: its output, input, row and column, a digit each.
    let digits_of = |shape: [usize; 4]| {
        let [out, inputs, height, width] = shape;
        let mut values = Vec::new();
        for o in 0..out {
            for i in 0..inputs {
                for y in 0..height {
                    values.extend((0..width).map(|x| (1000 * o + 100 * i + 10 * y + x) as f32));
                }
            }
        }
        Array::f32(shape, &values)
    };
    arrays.insert("first.weight".into(), digits_of([4, 1, 2, 2]));
    arrays.insert("second.weight".into(), digits_of([6, 2, 3, 3]));
    let run = session(&dense, Some(&Initial::matched(arrays.clone(), &dense, &digits()).unwrap()));
    let read = |name: &str| {
        let param = &run.model.params[run.model.params.named(name).unwrap()];
        (param.shape.clone(), param.read().unwrap())
    };
    let (shape, first) = read("first.weight");
    assert_eq!((shape, &first[..5]), (vec![4, 2, 2, 1], &[0.0, 1.0, 10.0, 11.0, 1000.0][..]));
    let (shape, second) = read("second.weight");
    assert_eq!((shape, &second[..5]), (vec![6, 3, 3, 2], &[0.0, 100.0, 1.0, 101.0, 2.0][..]));

    // Another program's layout is a mismatch, named by PyTorch's shapes.
    arrays.insert("second.weight".into(), Array::f32([6, 3, 3, 2], &[0.0; 108]));
    arrays.remove("first.weight");
    let error = Initial::matched(arrays, &dense, &digits()).unwrap_err();
    assert_eq!(error.kind, Kind::Checkpoint);
    let text = error.to_string();
    for line in [
        "missing: `first.weight` [4, 1, 2, 2]",
        "`second.weight`: expected shape [6, 2, 3, 3]; found: [6, 3, 3, 2]",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn runs_exports_and_dumps_lie_alike() {
    for storage in ["masked", "packed"] {
        let home = tempfile::tempdir().unwrap();
        let stored = format!("sparsity.storage={storage}");
        let dumps = ["dump.every=\"1ep\"", "dump.what=[\"weight\",\"mask\",\"grad\"]"];
        let run = trained(home.path(), &recipe(&[&PRUNED[..], &dumps, &[&stored]].concat()));
        let weights = run.weights().unwrap();
        let (read, _) = load_any(home.path()).unwrap();
        for (name, array) in &weights {
            assert_eq!(&read[name], array, "{storage} {name}");
        }
        let kept = |arrays: &Arrays, name: &str| mask::kept(arrays, name, &arrays[name].to_f32()).unwrap();
        for name in ["first.weight", "second.weight"] {
            // A slot lies as its weight does, and is 0 behind the mask.
            let slot =
                read.iter().find(|(slot, a)| slot.starts_with(&format!("{name}.")) && a.shape.len() == 4);
            let (slot, values) = slot.unwrap();
            assert_eq!(values.shape, weights[name].shape);
            let kept = kept(&weights, name);
            let stray =
                |values: &Array| values.to_f32().iter().zip(&kept).any(|(v, kept)| *v != 0.0 && !kept);
            assert!(!stray(values) && !stray(&weights[name]), "{slot}");
        }

        let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
        let packed = home.path().join("packed.safetensors");
        safetensors::write(&packed, &snapshot.packed_weights().unwrap(), &[]).unwrap();
        assert_eq!(load_any(&packed).unwrap().0, weights, "{storage}");

        let dumped = std::fs::read_dir(home.path().join("dumps")).unwrap().next().unwrap().unwrap().path();
        let (dumped, _) = load_any(&dumped).unwrap();
        for name in ["first.weight", "second.weight"] {
            for what in [name.to_string(), format!("{name}.mask"), format!("{name}.grad")] {
                assert_eq!(dumped[&what].shape, weights[name].shape, "{what}");
            }
            assert_eq!(kept(&dumped, name), kept(&weights, name), "static masks stay");
        }
    }
}

/// Latent weights are whole in every file, and their masks are bits.
#[test]
fn latent_weights_keep_their_masks() {
    let home = tempfile::tempdir().unwrap();
    let run = trained(home.path(), &recipe(&["sparsity.method=ste", "sparsity.pattern=1:2"]));
    let weights = run.weights().unwrap();
    assert!(weights.contains_key("second.weight.mask"));
    let (snapshot, _) = checkpoint::load(home.path(), Which::Last).unwrap();
    let packed = home.path().join("packed.safetensors");
    safetensors::write(&packed, &snapshot.packed_weights().unwrap(), &[]).unwrap();
    assert_eq!(load_any(&packed).unwrap().0, weights);
    // One of two input channels of every pixel: neighbours in the second place of the shape.
    let kept = mask::kept(&weights, "second.weight", &[0.0; 108]).unwrap();
    let pattern = coppice::report::stats::Pattern { n: 1, m: 2 };
    let found = coppice::report::stats::conformance(&[6, 2, 3, 3], &kept, pattern);
    assert_eq!((found.groups, found.conforming, kept.iter().filter(|kept| **kept).count()), (54, 54, 54));
    assert_eq!(layout::torch_shape(&[6, 3, 3, 2]), weights["second.weight"].shape);
}
