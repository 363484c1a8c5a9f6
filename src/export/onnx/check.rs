//! An ONNX file against the network that it was made of: the same samples through both.

use std::fmt;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use prost::Message;

use super::evaluate::{self, tensor::Tensor};
use super::proto::Model;
use super::sample_shape;
use crate::data::Dataset;
use crate::error::{Error, Kind, Result};
use crate::export::Source;
use crate::gpu::Choice;
use crate::train::{Answers, extent};

/// Samples that are compared.
const SAMPLES: usize = 8;
/// Of the largest number of an output. Rounding alone moves networks of 50 layers by a few millionths.
const BOUND: f32 = 1e-5;
/// What a network may make of a device's rounding.
const AMPLIFIED: f32 = 1e-2;

/// How far apart both are.
pub struct Found {
    samples: usize,
    outputs: usize,
    /// Of the largest number of an output.
    difference: f32,
    /// Where that is from the CPU twins' answers, how far the device's are.
    device: Option<f32>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found { samples, outputs, difference, device } = self;
        let outputs = if *outputs == 1 { "outputs".to_string() } else { format!("{outputs} outputs") };
        write!(
            f,
            "checked on {samples} test samples: {outputs} differ by {difference:.1e} of the largest number"
        )?;
        match device {
            Some(device) => write!(
                f,
                " on the CPU twins, by {device:.1e} on the device: this network amplifies rounding; more training or `coppice recalibrate` may help"
            ),
            None => Ok(()),
        }
    }
}

/// Reads a file back, evaluates it on samples of the test part, and compares with what the network answers on its device.
///
/// # Errors
/// `Kind::Check` where they differ by more than rounding; those of [`Source::session`].
pub fn compare(source: &Source, path: &Path) -> Result<Found> {
    let bytes = fs::read(path).map_err(|e| Error::file("read", path, e))?;
    let model = Model::decode(&bytes[..])
        .map_err(|e| Error::new(Kind::Check, "the file is no protobuf").at(e.to_string()))?;
    let (session, data) = source.session("ONNX")?;
    let answers = session.answers(SAMPLES)?;
    let outputs = evaluate::run(&model, vec![input(&data, &answers.rows)])?;
    let names: Vec<&str> = session.model.heads().iter().map(|head| head.name.as_str()).collect();
    let graph = model.graph.unwrap_or_default();
    let written: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    if written != names {
        let what = "the ONNX file has other outputs than the network";
        return Err(Error::new(Kind::Check, what).at(format!("expected: {names:?}; found: {written:?}")));
    }
    let (name, by_device) = furthest(&names, &outputs, &answers)?;
    let by_twins = match by_device <= BOUND || !session.gpu.is_device() {
        true => None,
        false => {
            let (twin, _) = source.session_on("ONNX", &Choice::Twin)?;
            Some(furthest(&names, &outputs, &twin.answers(SAMPLES)?)?.1)
        }
    };
    judge(name, by_device, by_twins)?;
    let (difference, device) = match by_twins {
        Some(by_twins) => (by_twins, Some(by_device)),
        None => (by_device, None),
    };
    Ok(Found { samples: answers.rows.len(), outputs: outputs.len(), difference, device })
}

/// Refuses a file by how far the output is from the device's answers and, where that is far, from the CPU twins'. A network
/// may amplify rounding, such as one with statistics of few batches: then the file is right if the twins agree with it.
fn judge(output: &str, by_device: f32, by_twins: Option<f32>) -> Result<()> {
    let differs = |by: f32, than: &str| {
        format!(
            "output `{output}` differs by {by:e} of its largest number{than}; at most {BOUND:e} is rounding"
        )
    };
    let wrong = "the ONNX file does not answer as the network does";
    match by_twins {
        None if by_device <= BOUND => Ok(()),
        None => Err(Error::new(Kind::Check, wrong).at(differs(by_device, ""))),
        Some(by_twins) if !(by_twins <= BOUND) => {
            Err(Error::new(Kind::Check, wrong).at(differs(by_twins, ", on the CPU twins")))
        }
        Some(_) if by_device <= AMPLIFIED => Ok(()),
        Some(_) => Err(Error::new(Kind::Check, "the device does not answer as the CPU twins do")
            .at(differs(by_device, " on the device"))
            .hint(
                "--device twin, or another one of `coppice devices`; `coppice selftest` looks for the kernel",
            )),
    }
}

/// The output that is furthest from the network's answers, and how far.
fn furthest<'a>(names: &[&'a str], outputs: &[Rc<Tensor>], answers: &Answers) -> Result<(&'a str, f32)> {
    let mut all = ("", 0.0);
    for ((&name, own), wanted) in names.iter().zip(outputs).zip(&answers.outputs) {
        let own = own.as_floats()?;
        if own.len() != wanted.len() {
            let what = format!("output `{name}` of the ONNX file has {} numbers", own.len());
            return Err(Error::new(Kind::Check, what).at(format!("expected: {}", wanted.len())));
        }
        let difference = apart(own, wanted);
        // What is no number is further than all else.
        if !(difference <= all.1) {
            all = (name, difference);
        }
    }
    Ok(all)
}

/// The largest difference over the largest number, of as many.
fn apart(own: &[f32], wanted: &[f32]) -> f32 {
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    // A difference that is not a number is not overlooked.
    let differs = |most: f32, (a, b): (&f32, &f32)| match (a - b).abs() {
        more if more.is_nan() => f32::INFINITY,
        more => most.max(more),
    };
    own.iter().zip(wanted).fold(0.0, differs) / largest
}

/// These samples of the test part as the graph reads them.
pub fn input(data: &Dataset, rows: &[u32]) -> Tensor {
    let shape = [&[rows.len()], &sample_shape(&extent(data))[..]].concat();
    if let Some(tokens) = data.test.tokens() {
        let read =
            |&row: &u32| tokens.row(row as usize, 0)[..tokens.reads].iter().map(|&token| i64::from(token));
        return Tensor::ints(shape, rows.iter().flat_map(read).collect());
    }
    let columns = data.columns(&data.test, rows);
    let places =
        (0..rows.len()).flat_map(|sample| (0..data.features()).map(move |feature| (sample, feature)));
    Tensor::floats(shape, places.map(|(sample, feature)| columns[feature * rows.len() + sample]).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::{Options, Run};
    use super::super::FORMAT;
    use super::*;
    use crate::gpu::Gpu;
    use crate::recipe::Recipe;
    use crate::store::Array;
    use crate::train::{Meta, Session};

    /// A small network of the digits, before its training.
    fn source() -> Source {
        let recipe = Recipe::find("digits-dense", &["model.hidden=[8]".into()]).unwrap();
        let told = &recipe.data;
        let data = crate::data::open_with(&told.name, told.validation, &told.settings).unwrap();
        let gpu = Gpu::twin();
        let weights = Session::new(&gpu, &recipe, &data, Default::default()).unwrap().weights().unwrap();
        let meta = serde_json::json!({
            "schema": 1, "version": "0", "device": gpu.identity(), "data_hash": data.hash,
            "variants": {},
        });
        let meta: Meta = serde_json::from_value(meta).unwrap();
        let run = Run { recipe, snapshot: None, meta, digest: None, accuracy: None, device: Choice::Twin };
        Source { weights, run: Some(run), options: Options { unchecked: true, ..Options::default() } }
    }

    /// A bias that is off by a ten-thousandth.
    #[test]
    fn a_file_of_another_network_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let (mut source, path) = (source(), home.path().join("x.onnx"));
        (FORMAT.write)(&source, &path).unwrap();
        assert!(compare(&source, &path).unwrap().difference <= BOUND);
        let bias = source.weights.get_mut("head.bias").unwrap();
        let mut values = bias.to_f32();
        values[3] += 1e-4;
        *bias = Array::f32(bias.shape.clone(), &values);
        let Err(error) = compare(&source, &path) else { panic!("it was not noticed") };
        assert!(error.kind == Kind::Check && error.to_string().contains("output `head`"), "{error}");
        // What cannot be compared is not left behind, under no name.
        fs::remove_file(&path).unwrap();
        source.weights.insert("head.bias".into(), Array::f32([10], &[f32::NAN; 10]));
        source.options.unchecked = false;
        let error = (FORMAT.write)(&source, &path).unwrap_err().to_string();
        assert!(error.contains("was not written"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn differences_are_those_of_the_largest_number_and_none_is_overlooked() {
        assert_eq!(apart(&[1.0, -4.0], &[1.5, -4.0]), 0.125);
        assert!(!(apart(&[f32::NAN, 1.0], &[1.0, 1.0]) <= BOUND));
    }

    #[test]
    fn the_twins_tell_rounding_from_a_wrong_file_and_a_wrong_device() {
        let refused =
            |by_device, by_twins| judge("head", by_device, by_twins).expect_err("it is wrong").to_string();
        assert!(judge("head", 1e-6, None).is_ok() && judge("head", 5e-5, Some(5e-6)).is_ok());
        assert!(refused(5e-5, None).contains("the ONNX file does not answer"));
        assert!(refused(5e-5, Some(4e-5)).contains("on the CPU twins"));
        for far in [0.5, f32::INFINITY, f32::NAN] {
            assert!(refused(far, Some(5e-6)).contains("the device does not answer"));
            assert!(refused(5e-5, Some(far)).contains("the ONNX file does not answer"));
        }
    }
}
