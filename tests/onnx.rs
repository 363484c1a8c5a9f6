//! ONNX exports, by another engine: tract reads the files, and answers what the network answers.
//!
//! tract overlooks sparse initializers, and enlarges images otherwise. Files with these are held against the network by the export itself, and by ONNX Runtime
//! (`tests/oracle/check_onnx.py`).

#[path = "onnx/networks.rs"]
mod networks;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coppice::data::{self, Dataset};
use coppice::export::{self, Options, Run, Source};
use coppice::gpu::{Choice, Gpu};
use coppice::nn::{layer, presets};
use coppice::ops::variants::Choices;
use coppice::random::{Stream, uniform};
use coppice::recipe::Recipe;
use coppice::store::{Array, Arrays};
use coppice::train::{Answers, Meta, Session, extent};
use networks::Case;
use serde_json::json;
use tract_onnx::prelude::*;

/// Of the largest number of an output: rounding.
const BOUND: f32 = 1e-5;
/// Samples that are passed through both.
const SAMPLES: usize = 3;

/// A network with weights, and what it answers.
struct Exported {
    recipe: Recipe,
    data: Dataset,
    weights: Arrays,
    answers: Answers,
    gpu: Gpu,
}

impl Exported {
    /// Of weights that are drawn: none is 0 but those that are pruned, three of four of each matrix.
    fn new(case: &Case, pruned: bool) -> Self {
        let recipe = Recipe::parse(&case.recipe, &case.name, &[]);
        let recipe = recipe.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let told = &recipe.data;
        let data = data::open_with(&told.name, told.validation, &told.settings).unwrap();
        let gpu = Gpu::twin();
        let session = Session::new(&gpu, &recipe, &data, Choices::default());
        let mut session = session.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let drawn = session.weights().unwrap();
        let weights: Arrays = (0..)
            .zip(drawn)
            .map(|(t, (name, array))| {
                let new = moved(t, &name, &array, pruned);
                (name, new)
            })
            .collect();
        session.load_weights(&weights).unwrap();
        let answers = session.answers(SAMPLES).unwrap();
        Self { recipe, data, weights, answers, gpu }
    }

    fn write(&self, path: &Path, sparse: bool) {
        let meta = Meta {
            schema: 1,
            version: "0".into(),
            device: self.gpu.identity().clone(),
            data_hash: self.data.hash.clone(),
            data: None,
            variants: Choices::default(),
            recipe: None,
            folder: None,
            changes: Vec::new(),
            initial: None,
        };
        let run = Run {
            recipe: self.recipe.clone(),
            snapshot: None,
            meta,
            digest: Some("d1".into()),
            accuracy: Some(0.5),
            device: Choice::Twin,
        };
        let options = Options { sparse, ..Options::default() };
        let source = Source { weights: self.weights.clone(), run: Some(run), options };
        let format = export::ALL.iter().find(|format| format.name == "onnx").unwrap();
        let lines = (format.write)(&source, path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(lines.len() == 2 && lines[1].contains("checked on"), "{lines:?}");
    }

    /// Passes the same samples through tract.
    fn compare(&self, path: &Path, what: &str) {
        let (shape, input) = self.input();
        let outputs = by_tract(path, &shape, &input).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(outputs.len(), self.answers.outputs.len());
        for (own, wanted) in outputs.iter().zip(&self.answers.outputs) {
            let one = wanted.len() / self.answers.rows.len();
            let largest = wanted.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let spread = wanted[one..].iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(spread >= 20.0 * BOUND * largest, "{what}: the answers hardly depend on the input");
            let apart = apart(own, wanted);
            assert!(apart <= BOUND, "{what}: {apart:e}");
        }
    }

    /// What the network reads, with its shape.
    fn input(&self) -> (Vec<usize>, Input) {
        let (rows, sample) = (&self.answers.rows, extent(&self.data));
        if let Some(tokens) = self.data.test.tokens() {
            let read = |&row: &u32| tokens.row(row as usize, 0)[..tokens.reads].to_vec();
            let all = rows.iter().flat_map(read).map(i64::from).collect();
            return (vec![rows.len(), tokens.reads], Input::Tokens(all));
        }
        let (columns, features) = (self.data.columns(&self.data.test, rows), self.data.features());
        let value = |i: usize| columns[i % features * rows.len() + i / features];
        let shape = [&[rows.len(), sample.channels], &sample.sites[..]].concat();
        (shape, Input::Numbers((0..rows.len() * features).map(value).collect()))
    }
}

enum Input {
    Tokens(Vec<i64>),
    Numbers(Vec<f32>),
}

/// A weight somewhere else, so that no bias is 0 and no statistic what it began with.
fn moved(t: u32, name: &str, array: &Array, pruned: bool) -> Array {
    let draw = |i: usize| uniform(7, Stream::Init, 0, t, i as u32);
    let is_matrix = name.ends_with("weight") && array.shape.len() > 1;
    // Depthwise kernels stay whole, as they do in pruning: with a few numbers left of each no signal passes a deep network.
    let pruned = pruned && array.shape.get(1) != Some(&1);
    let one = |(i, value): (usize, f32)| match name {
        _ if pruned && is_matrix && draw(i) < 0.75 => 0.0,
        name if name.ends_with("running_var") => 0.5 + draw(i),
        // As large together as all were: signals do not fade from layer to layer.
        _ if is_matrix => value * if pruned { 2.0 } else { 1.0 },
        _ => value + 0.4 * (draw(i) - 0.5),
    };
    Array::f32(array.shape.clone(), &array.to_f32().into_iter().enumerate().map(one).collect::<Vec<_>>())
}

/// The outputs of a file by tract.
fn by_tract(path: &Path, shape: &[usize], input: &Input) -> TractResult<Vec<Vec<f32>>> {
    let (fact, tensor) = match input {
        Input::Tokens(all) => (i64::fact(shape), Tensor::from_shape(shape, all)?),
        Input::Numbers(all) => (f32::fact(shape), Tensor::from_shape(shape, all)?),
    };
    let model = tract_onnx::onnx().model_for_path(path)?.with_input_fact(0, fact.into())?;
    let outputs = model.into_typed()?.into_runnable()?.run(tvec!(tensor.into()))?;
    outputs.iter().map(|output| Ok(output.as_slice::<f32>()?.to_vec())).collect()
}

/// The largest difference over the largest number.
fn apart(own: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(own.len(), wanted.len());
    let largest = wanted.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let is_finite = own.iter().chain(wanted).all(|x| x.is_finite());
    assert!(largest > 1e-3 && is_finite, "nothing to compare: {wanted:?}");
    own.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

/// What another program needs to repeat the comparison: see `tests/oracle/check_onnx.py`.
fn leave_for_oracle(folder: &Path, file: &Path, name: &str, of: &Exported) {
    let (shape, input) = of.input();
    let (dtype, values) = match input {
        Input::Tokens(all) => ("int64", json!(all)),
        Input::Numbers(all) => ("float32", json!(all)),
    };
    let wanted = json!({ "shape": shape, "dtype": dtype, "input": values, "outputs": of.answers.outputs });
    fs::copy(file, folder.join(format!("{name}.onnx"))).unwrap();
    fs::write(folder.join(format!("{name}.json")), wanted.to_string()).unwrap();
}

#[test]
fn another_engine_answers_as_the_network_does() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pairs.tsv"), networks::PAIRS).unwrap();
    fs::write(home.path().join("text.txt"), networks::TEXT.repeat(4)).unwrap();
    let oracle = std::env::var_os("COPPICE_ONNX_OUT");
    for case in networks::all(home.path().to_str().unwrap()) {
        for (pruned, kinds) in [(false, &["dense"][..]), (true, &["pruned", "sparse"])] {
            let (exported, path) = (Exported::new(&case, pruned), home.path().join("x.onnx"));
            for &kind in kinds {
                exported.write(&path, kind == "sparse");
                if let Some(folder) = &oracle {
                    leave_for_oracle(Path::new(folder), &path, &format!("{}-{kind}", case.name), &exported);
                }
                if kind != "sparse" && case.name != networks::ENLARGED {
                    exported.compare(&path, &format!("{}, {kind}", case.name));
                }
            }
        }
    }
}

/// A layer or a preset that is added is missed here, if it is not in a case.
#[test]
fn cases_have_every_preset_and_every_layer() {
    let cases = networks::all("/none");
    let mut kinds = BTreeSet::new();
    for case in &cases {
        let recipe = Recipe::parse(&case.recipe, &case.name, &[]).unwrap();
        let sample = match case.name.as_str() {
            "mlp" => coppice::nn::Extent::features(40),
            "gpt" | "lstm-lm" => coppice::nn::Extent::tokens(9, 8),
            "seq2seq" | "transformer" | "ragged" => coppice::nn::Extent::tokens(9, 13),
            _ => coppice::nn::Extent::new(3, vec![16, 16]),
        };
        let network = presets::network(&recipe.model, &sample, 5).unwrap();
        kinds.extend(network.layers.into_iter().map(|layer| layer.kind));
    }
    let known: BTreeSet<String> = layer::ALL.iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(kinds, known);
    assert!(presets::ALL.iter().all(|entry| cases.iter().any(|case| case.name == entry.name)));
}
