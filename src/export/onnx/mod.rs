//! A network as an ONNX file: its operators, its weights under PyTorch's names, and what is known of its run.
//!
//! The translation knows layers (`layers`), the messages of the format (`proto`), and how a graph is put together
//! (`builder`). The file is then read back and evaluated by itself (`evaluate`), and held against the network (`check`).

mod builder;
mod check;
mod evaluate;
mod layers;
mod metadata;
mod network;
mod proto;

use std::path::{Path, PathBuf};

use prost::Message;

use super::{Format, Source};
use crate::error::{Error, Result};
use crate::nn::{DATA, Extent};
use crate::store::folder::write_file_atomic;
use crate::train::{extent, judged};
use builder::{Builder, value};
use network::{Network, Value};
use proto::{Dimension, FLOAT, INT64, Model, OperatorSet, Shape, Size};

/// The version of the operators: the first with layer normalisation.
pub const OPSET: i64 = 17;
/// That of the format, which goes with it.
const IR_VERSION: i64 = 8;
/// What protobuf can hold.
const MOST_BYTES: usize = i32::MAX as usize;

pub const FORMAT: Format = Format {
    name: "onnx",
    about: "the network and its weights as an ONNX graph (opset 17), which is evaluated and compared with the network; pruned weights are zeros, or with --sparse sparse initializers",
    write,
};

fn write(source: &Source, path: &Path) -> Result<Vec<String>> {
    let model = model(source)?;
    let bytes = model.encoded_len();
    if bytes > MOST_BYTES {
        return Err(Error::usage("the network is too large for an ONNX file")
            .at(format!("{bytes} bytes; one file holds up to {MOST_BYTES}"))
            .hint("--to safetensors, which has no such limit"));
    }
    // Until it has been compared a file has another name.
    let mut first = path.as_os_str().to_owned();
    if !source.options.unchecked {
        first.push(".unchecked");
    }
    let first = PathBuf::from(first);
    write_file_atomic(&first, &model.encode_to_vec())?;
    let graph = model.graph.unwrap_or_default();
    let weights = graph.initializer.len() + graph.sparse_initializer.len();
    let sparse = match graph.sparse_initializer.len() {
        0 => String::new(),
        some => format!(" ({some} sparse)"),
    };
    let mut lines = vec![format!(
        "{}: {} nodes, {weights} initializers{sparse}, opset {OPSET}, {bytes} bytes",
        path.display(),
        graph.node.len()
    )];
    if source.options.unchecked {
        return Ok(lines);
    }
    let found = check::compare(source, &first).map_err(|error| {
        drop(std::fs::remove_file(&first));
        let not_written = format!("{} was not written", path.display());
        error.at(not_written).hint("--no-check writes it without a comparison with the network")
    })?;
    std::fs::rename(&first, path).map_err(|e| Error::file("write", path, e))?;
    lines.push(found.to_string());
    Ok(lines)
}

/// The whole file.
fn model(source: &Source) -> Result<Model> {
    let run = source.run("ONNX")?;
    let data = run.data()?;
    let sample = extent(&data);
    let recipe = judged(&run.recipe, run.snapshot.as_ref(), &sample, data.classes)?;
    let network = Network::new(&recipe.model, &sample, data.classes)?;
    let mut to = Builder::new(&source.weights, source.options.sparse);
    to.reserve(DATA)?;
    layers::translate(&network, &mut to)?;
    let input = Value { name: DATA.to_string(), extent: sample };
    let mut graph = to.graph;
    graph.name = "coppice".into();
    graph.input = vec![described(&input)];
    graph.output = network.outputs.iter().map(described).collect();
    Ok(Model {
        ir_version: IR_VERSION,
        producer_name: "coppice".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: String::new(),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
        metadata_props: metadata::of(run, &recipe.model, &data),
    })
}

/// A value with its type and its shape: any number of samples.
fn described(of: &Value) -> proto::ValueInfo {
    let elements = if of.extent.vocabulary.is_some() { INT64 } else { FLOAT };
    let size = |value| Dimension { value: Some(value) };
    let sample = sample_shape(&of.extent).into_iter().map(|extent| size(Size::Value(extent as i64)));
    let dim = std::iter::once(size(Size::Param("batch".into()))).chain(sample).collect();
    value(&of.name, elements, Some(Shape { dim }))
}

/// The shape of a sample in the graph: of an image (channels, height, width), of a sequence (steps, channels), of tokens
/// (steps).
fn sample_shape(extent: &Extent) -> Vec<usize> {
    match extent.sites[..] {
        [steps] if extent.vocabulary.is_some() => vec![steps],
        [steps] => vec![steps, extent.channels],
        _ => [&[extent.channels], &extent.sites[..]].concat(),
    }
}
