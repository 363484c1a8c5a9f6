//! An evaluation of an ONNX graph on the host: the operators that an export has, each as the standard says, in plain loops over
//! f32 with sums in f64. It reads what a file says, and knows no layer.

mod places;
mod pointwise;
mod products;
mod recurrent;
mod reduce;
mod resize;
pub mod tensor;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::proto::{self, Attribute, Graph, Node};
use crate::error::Result;
use tensor::{Data, Tensor, fault};

/// What an operator computes.
type Operator = fn(&Call) -> Result<Vec<Tensor>>;

/// All that are known, by name.
const ALL: &[&[(&str, Operator)]] =
    &[pointwise::ALL, places::ALL, reduce::ALL, products::ALL, recurrent::ALL, resize::ALL];

/// Values by name.
pub type Values = HashMap<String, Rc<Tensor>>;

/// A node with what it reads.
pub struct Call<'a> {
    node: &'a Node,
    /// `None` where an input is left out.
    inputs: Vec<Option<Rc<Tensor>>>,
    /// All values so far, which the graph within a node may read, too.
    values: &'a Values,
    /// Attributes that the operator has asked for.
    asked: RefCell<BTreeSet<String>>,
}

/// The outputs of a model by its inputs, in their order.
///
/// # Errors
/// `Kind::Check` for an operator that is not known, and for operands that it cannot have.
pub fn run(model: &proto::Model, inputs: Vec<Tensor>) -> Result<Vec<Rc<Tensor>>> {
    let graph = model.graph.as_ref().ok_or_else(|| fault("the file has no graph"))?;
    run_graph(graph, inputs, &Values::new())
}

/// The outputs of a graph, which may read values from around it.
fn run_graph(graph: &Graph, inputs: Vec<Tensor>, around: &Values) -> Result<Vec<Rc<Tensor>>> {
    let mut values = around.clone();
    for tensor in &graph.initializer {
        values.insert(tensor.name.clone(), Rc::new(read(tensor)?));
    }
    for sparse in &graph.sparse_initializer {
        let (name, tensor) = read_sparse(sparse)?;
        values.insert(name, Rc::new(tensor));
    }
    if inputs.len() != graph.input.len() {
        return Err(fault(format!("{} inputs are given, {} are read", inputs.len(), graph.input.len())));
    }
    for (info, tensor) in graph.input.iter().zip(&inputs) {
        fits(info, tensor)?;
    }
    let named = graph.input.iter().map(|input| input.name.clone());
    values.extend(named.zip(inputs.into_iter().map(Rc::new)));
    for node in &graph.node {
        let at = |error: crate::error::Error| error.at(format!("node `{}`, {}", node.name, node.op_type));
        let find = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => values
                .get(name)
                .cloned()
                .map(Some)
                .ok_or_else(|| fault(format!("there is no value `{name}`"))),
        };
        let inputs = node.input.iter().map(find).collect::<Result<_>>().map_err(at)?;
        let mut all = ALL.iter().copied().flatten();
        let (_, operator) = all
            .find(|(name, _)| *name == node.op_type)
            .ok_or_else(|| at(fault("this operator is not known")))?;
        let call = Call { node, inputs, values: &values, asked: RefCell::default() };
        let results = operator(&call).map_err(at)?;
        let asked = call.asked.into_inner();
        if let Some(other) = node.attribute.iter().find(|other| !asked.contains(&other.name)) {
            return Err(at(fault(format!("attribute `{}` is not known", other.name))));
        }
        values.extend(node.output.iter().cloned().zip(results.into_iter().map(Rc::new)));
    }
    let output = |output: &proto::ValueInfo| {
        let found = values.get(&output.name).cloned();
        let found = found.ok_or_else(|| fault(format!("no node writes `{}`", output.name)))?;
        fits(output, &found).map(|()| found)
    };
    graph.output.iter().map(output).collect()
}

/// Refuses a value that is not of the type and the shape that the file says, where it does.
fn fits(info: &proto::ValueInfo, value: &Tensor) -> Result<()> {
    let Some(of) = info.r#type.as_ref().and_then(|own| own.tensor_type.as_ref()) else { return Ok(()) };
    let own = match value.data {
        Data::Floats(_) => proto::FLOAT,
        Data::Ints(_) => proto::INT64,
        Data::Bools(_) => proto::BOOL,
    };
    let is_size = |(dimension, &size): (&proto::Dimension, &usize)| match &dimension.value {
        Some(proto::Size::Value(value)) => *value == size as i64,
        _ => true,
    };
    let has_shape = of.shape.as_ref().is_none_or(|shape| {
        shape.dim.len() == value.shape.len() && shape.dim.iter().zip(&value.shape).all(is_size)
    });
    match own == of.elem_type && has_shape {
        true => Ok(()),
        false => Err(fault(format!("`{}` is declared otherwise than it is: {:?}", info.name, value.shape))),
    }
}

fn read(tensor: &proto::Tensor) -> Result<Tensor> {
    let shape: Vec<usize> = tensor.dims.iter().map(|&extent| extent as usize).collect();
    let data = match tensor.data_type {
        proto::FLOAT => Data::Floats(numbers(&tensor.raw_data, f32::from_le_bytes)),
        proto::INT64 => Data::Ints(numbers(&tensor.raw_data, i64::from_le_bytes)),
        proto::BOOL => Data::Bools(tensor.raw_data.iter().map(|&byte| byte != 0).collect()),
        other => return Err(fault(format!("`{}` has elements of type {other}", tensor.name))),
    };
    let len = match &data {
        Data::Floats(values) => values.len(),
        Data::Ints(values) => values.len(),
        Data::Bools(values) => values.len(),
    };
    match len == shape.iter().product::<usize>() {
        true => Ok(Tensor { shape, data }),
        false => Err(fault(format!("`{}` has {len} elements, and a shape of {shape:?}", tensor.name))),
    }
}

fn read_sparse(sparse: &proto::SparseTensor) -> Result<(String, Tensor)> {
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else {
        return Err(fault("a sparse tensor has values and indices"));
    };
    let shape: Vec<usize> = sparse.dims.iter().map(|&extent| extent as usize).collect();
    let mut whole = vec![0.0; shape.iter().product()];
    for (&place, &value) in read(indices)?.as_ints()?.iter().zip(read(values)?.as_floats()?) {
        let slot = usize::try_from(place).ok().and_then(|place| whole.get_mut(place));
        *slot.ok_or_else(|| fault(format!("`{}` has no place {place}", values.name)))? = value;
    }
    Ok((values.name.clone(), Tensor::floats(shape, whole)))
}

fn numbers<T, const N: usize>(bytes: &[u8], of: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| of(bytes)).collect()
}

impl Call<'_> {
    /// An input that has to be there.
    fn x(&self, number: usize) -> Result<&Tensor> {
        self.given(number).ok_or_else(|| fault(format!("input {number} is missing")))
    }
    fn given(&self, number: usize) -> Option<&Tensor> {
        self.inputs.get(number)?.as_deref()
    }
    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.asked.borrow_mut().insert(name.to_string());
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }
    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }
    fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }
    fn ints(&self, name: &str) -> Result<&[i64]> {
        let found = self.attribute(name).map(|attribute| &attribute.ints[..]);
        found.ok_or_else(|| fault(format!("attribute `{name}` is missing")))
    }
    fn text(&self, name: &str) -> &[u8] {
        self.attribute(name).map_or(b"", |attribute| &attribute.s)
    }
    /// Refuses what is not evaluated here, so that it is not overlooked.
    fn has_none_of(&self, names: &[&str]) -> Result<()> {
        let found = names.iter().find(|name| self.attribute(name).is_some());
        found.map_or(Ok(()), |name| Err(fault(format!("attribute `{name}` is not evaluated"))))
    }
}
