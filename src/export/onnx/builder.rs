//! An ONNX graph in the making: nodes, initializers, and a name of its own for each.

use std::collections::BTreeSet;

use super::proto::{
    Attribute, AttributeType, BOOL, FLOAT, Graph, INT64, Node, SparseTensor, Tensor, TensorType, Type,
    ValueInfo,
};
use crate::error::{Error, Result};
use crate::store::{Array, Arrays, Dtype};

/// A graph whose initializers may be taken from the weights of a network.
pub struct Builder<'a> {
    weights: &'a Arrays,
    /// Whether weights are written without their zeros where that is smaller.
    sparse: bool,
    pub graph: Graph,
    names: BTreeSet<String>,
    /// Weights that are written.
    written: BTreeSet<String>,
    /// The layer that is being translated: nodes between its input and its output are called `layer/...`.
    layer: String,
    /// Nodes that were there before it.
    before: usize,
}

impl<'a> Builder<'a> {
    pub fn new(weights: &'a Arrays, sparse: bool) -> Self {
        let (graph, names, written) = (Graph::default(), BTreeSet::new(), BTreeSet::new());
        Self { weights, sparse, graph, names, written, layer: String::new(), before: 0 }
    }

    /// Reserves the name of a value.
    ///
    /// # Errors
    /// `Kind::Usage` where it is taken: by another layer, or by one of its weights.
    pub fn reserve(&mut self, name: &str) -> Result<()> {
        match self.names.insert(name.to_string()) {
            true => Ok(()),
            false => Err(Error::usage(format!("two values of an ONNX graph cannot both be called `{name}`"))
                .hint("another name for the layer of that name")),
        }
    }
    /// Begins the layer of this name.
    pub fn enter(&mut self, layer: &str) {
        self.layer = layer.to_string();
        self.before = self.graph.node.len();
    }
    /// Ends the layer: gives its name to the node that was added last, and to the value that this wrote. A layer that computes
    /// nothing becomes an `Identity`.
    ///
    /// # Errors
    /// As those of [`Builder::reserve`].
    pub fn leave(&mut self, result: &str) -> Result<()> {
        let is_own = |node: &Node| node.output.len() == 1 && node.output[0] == result;
        // The node of a layer before it keeps its name: others may read what it writes.
        if !self.graph.node[self.before..].last().is_some_and(is_own) {
            self.node("Identity", &[result], vec![]);
        }
        let name = self.layer.clone();
        self.reserve(&name)?;
        let node = self.graph.node.last_mut().expect("it was added");
        (node.name, node.output) = (name.clone(), vec![name]);
        Ok(())
    }

    /// Adds an operator of one result, and returns the name of that.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        self.node_of(op, inputs, attributes, 1).remove(0)
    }
    /// Adds an operator of so many results.
    pub fn node_of(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<Attribute>,
        results: usize,
    ) -> Vec<String> {
        let name = self.own_name(op);
        let result = |i: usize| if results == 1 { name.clone() } else { format!("{name}:{i}") };
        let output: Vec<String> = (0..results).map(result).collect();
        let input = inputs.iter().map(ToString::to_string).collect();
        self.graph.node.push(Node {
            input,
            output: output.clone(),
            name,
            op_type: op.to_string(),
            attribute,
        });
        output
    }
    /// A name within the layer that nothing else has.
    pub fn own_name(&mut self, what: &str) -> String {
        let numbered = |n: usize| match n {
            0 => format!("{}/{what}", self.layer),
            n => format!("{}/{what}_{n}", self.layer),
        };
        let free = (0..).map(numbered).find(|name| !self.names.contains(name)).expect("numbers do not end");
        self.names.insert(free.clone());
        free
    }

    /// A weight of the network as an initializer of its own name: one, however many layers read it.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where it is not there; those of [`Builder::reserve`].
    pub fn weight(&mut self, name: &str) -> Result<String> {
        let missing =
            || Error::checkpoint(format!("there is no `{name}`")).at("among the weights to be exported");
        let array = self.weights.get(name).ok_or_else(missing)?;
        if !self.written.insert(name.to_string()) {
            return Ok(name.to_string());
        }
        self.reserve(name)?;
        match Some(array).filter(|_| self.sparse).and_then(|array| without_zeros(name, array)) {
            Some(sparse) => self.graph.sparse_initializer.push(sparse),
            None => self.graph.initializer.push(floats(name, &array.shape, &array.to_f32())),
        }
        Ok(name.to_string())
    }
    /// Numbers that belong to the graph and not to the network.
    pub fn floats(&mut self, what: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.own_name(what);
        self.graph.initializer.push(floats(&name, shape, values));
        name
    }
    pub fn scalar(&mut self, what: &str, value: f32) -> String {
        self.floats(what, &[], &[value])
    }
    /// A list of whole numbers.
    pub fn ints(&mut self, what: &str, values: &[i64]) -> String {
        self.ints_of(what, &[values.len()], values)
    }
    pub fn ints_of(&mut self, what: &str, shape: &[usize], values: &[i64]) -> String {
        let name = self.own_name(what);
        self.graph.initializer.push(ints(&name, shape, values));
        name
    }
    pub fn bools(&mut self, what: &str, shape: &[usize], values: &[bool]) -> String {
        let name = self.own_name(what);
        let raw_data = values.iter().map(|&value| u8::from(value)).collect();
        self.graph.initializer.push(tensor(&name, shape, BOOL, raw_data));
        name
    }
}

fn tensor(name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) -> Tensor {
    Tensor { dims: dims(shape), data_type, name: name.to_string(), raw_data }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    tensor(name, shape, FLOAT, Array::f32(shape, values).bytes)
}

fn ints(name: &str, shape: &[usize], values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, INT64, Array::new(Dtype::I64, shape, bytes).bytes)
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&extent| extent as i64).collect()
}

/// A tensor by what is not 0, with a place of eight bytes for each number: `None` where that is not smaller.
fn without_zeros(name: &str, array: &Array) -> Option<SparseTensor> {
    let values = array.to_f32();
    // -0 has a bit that is not 0, and is written.
    let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i].to_bits() != 0).collect();
    if kept.is_empty() || kept.len() * (size_of::<f32>() + size_of::<i64>()) >= array.bytes.len() {
        return None; // a list without entries is no tensor to some readers
    }
    let own: Vec<f32> = kept.iter().map(|&i| values[i]).collect();
    let places: Vec<i64> = kept.iter().map(|&i| i as i64).collect();
    Some(SparseTensor {
        values: Some(floats(name, &[own.len()], &own)),
        indices: Some(ints("", &[places.len()], &places)),
        dims: dims(&array.shape),
    })
}

/// Attributes of nodes.
pub fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.into(), i, r#type: AttributeType::Int.into(), ..Attribute::default() }
}
pub fn int_list(name: &str, ints: &[i64]) -> Attribute {
    let ints = ints.to_vec();
    Attribute { name: name.into(), ints, r#type: AttributeType::Ints.into(), ..Attribute::default() }
}
pub fn float(name: &str, f: f32) -> Attribute {
    Attribute { name: name.into(), f, r#type: AttributeType::Float.into(), ..Attribute::default() }
}
pub fn text(name: &str, value: &str) -> Attribute {
    let s = value.as_bytes().to_vec();
    Attribute { name: name.into(), s, r#type: AttributeType::String.into(), ..Attribute::default() }
}
pub fn graph(name: &str, graph: Graph) -> Attribute {
    let g = Some(graph);
    Attribute { name: name.into(), g, r#type: AttributeType::Graph.into(), ..Attribute::default() }
}

/// What is known of a value: its type of element, and its shape where that is said.
pub fn value(name: &str, elem_type: i32, shape: Option<super::proto::Shape>) -> ValueInfo {
    let r#type = Some(Type { tensor_type: Some(TensorType { elem_type, shape }) });
    ValueInfo { name: name.to_string(), r#type, doc_string: String::new() }
}
