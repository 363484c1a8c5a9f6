//! `lstm` and `gru` step by step, as ONNX's `Scan`, where its operators of these names do not fit: they give out c of the last
//! step alone, and zeros behind the end of a sample, where Coppice keeps the state.

use super::super::builder::{Builder, graph, int, int_list, value};
use super::super::network::Layer;
use super::super::proto::{FLOAT, INT64};
use super::recurrent::{Kind, begins, in_time, whole};
use crate::error::Result;

pub fn recurrent(to: &mut Builder, layer: &Layer, kind: &Kind) -> Result<String> {
    let hidden = whole(to, layer, "weight")?.unwrap_or_default();
    let hidden = to.node("Transpose", &[&hidden], vec![int_list("perm", &[1, 0])]);
    let bias = whole(to, layer, "bias")?;
    let states = if layer.inputs.len() > 1 + usize::from(layer.lengths().is_some()) {
        begins(to, layer, kind)?
    } else {
        let units = layer.output.channels / if layer.has_cells()? { 2 } else { 1 };
        let shape = to.shape_of_batch(layer.x(), &[units]);
        let zero = to.scalar("zero", 0.0);
        let zeros = to.node("Expand", &[&zero, &shape], vec![]);
        vec![zeros; kind.states]
    };
    let x = in_time(to, layer, layer.x())?;
    let mut steps: Vec<i64> = (0..layer.extent().sites[0] as i64).collect();
    if layer.settings.bool("reverse")? {
        steps.reverse();
    }
    let numbers = to.ints("numbers", &steps);
    let ends = layer.lengths().map(|lengths| {
        let axes = to.ints("axes", &[1]);
        to.node("Unsqueeze", &[&lengths.name, &axes], vec![])
    });
    let body = body(to, layer, kind, Outer { hidden, bias, ends })?;
    let mut inputs: Vec<&str> = states.iter().map(String::as_str).collect();
    inputs.extend([&x[..], &numbers]);
    let settings = vec![
        graph("body", body),
        int("num_scan_inputs", 2),
        int_list("scan_input_axes", &[1, 0]),
        int_list("scan_output_axes", &[1]),
    ];
    // States of the end come first, and are left alone.
    let all = to.node_of("Scan", &inputs, settings, kind.states + 1);
    in_time(to, layer, &all[kind.states])
}

/// Values of the graph that the body reads.
struct Outer {
    /// (units, gates units).
    hidden: String,
    bias: Option<String>,
    /// (batch, 1): one past the last step of each sample.
    ends: Option<String>,
}

/// A step: it reads the states, the gates' shares of x, and its own number; it writes the states, and what is seen of them.
fn body(to: &mut Builder, layer: &Layer, kind: &Kind, outer: Outer) -> Result<super::super::proto::Graph> {
    let mut own = |what: &str| to.own_name(what);
    let before: Vec<String> = ["h", "c"][..kind.states].iter().map(|state| own(state)).collect();
    let (x, number) = (own("x"), own("number"));
    let around = std::mem::take(&mut to.graph);
    let mut product = to.node("MatMul", &[&before[0], &outer.hidden], vec![]);
    if let Some(bias) = &outer.bias {
        product = to.node("Add", &[&product, bias], vec![]);
    }
    let mut after = match kind.states {
        2 => lstm(to, &x, &product, &before[1]),
        _ => gru(to, &x, &product, &before[0]),
    };
    if let Some(ends) = &outer.ends {
        let is_there = to.node("Less", &[&number, ends], vec![]);
        after = after
            .iter()
            .zip(&before)
            .map(|(after, before)| to.node("Where", &[&is_there, after, before], vec![]))
            .collect();
    }
    let seen = match layer.has_cells()? {
        true => to.node("Concat", &[&after[0], &after[1]], vec![int("axis", -1)]),
        false => to.node("Identity", &[&after[0]], vec![]),
    };
    let mut body = std::mem::replace(&mut to.graph, around);
    // What is constant belongs to the graph around it.
    to.graph.initializer.append(&mut body.initializer);
    let floats = |name: &String| value(name, FLOAT, None);
    body.name = to.own_name("body");
    body.input = before.iter().chain([&x]).map(floats).chain([value(&number, INT64, None)]).collect();
    body.output = after.iter().chain([&seen]).map(floats).collect();
    Ok(body)
}

/// h and c after a step. Gates are i, f, g, o.
fn lstm(to: &mut Builder, x: &str, product: &str, c: &str) -> Vec<String> {
    let sums = to.node("Add", &[x, product], vec![]);
    let gates = to.node_of("Split", &[&sums], vec![int("axis", -1)], 4);
    let [i, f, o] = [0, 1, 3].map(|gate| to.node("Sigmoid", &[&gates[gate]], vec![]));
    let g = to.node("Tanh", &[&gates[2]], vec![]);
    let [kept, new] =
        [[&f, c], [&i, &g]].map(|factors| to.node("Mul", &factors.map(|name| name as &str), vec![]));
    let c = to.node("Add", &[&kept, &new], vec![]);
    let bent = to.node("Tanh", &[&c], vec![]);
    vec![to.node("Mul", &[&o, &bent], vec![]), c]
}

/// h after a step. Gates are r, z, n; the reset gate scales the product, bias included.
fn gru(to: &mut Builder, x: &str, product: &str, h: &str) -> Vec<String> {
    let [x, product] = [x, product].map(|all| to.node_of("Split", &[all], vec![int("axis", -1)], 3));
    let [r, z] = [0, 1].map(|gate| {
        let sum = to.node("Add", &[&x[gate], &product[gate]], vec![]);
        to.node("Sigmoid", &[&sum], vec![])
    });
    let scaled = to.node("Mul", &[&r, &product[2]], vec![]);
    let sum = to.node("Add", &[&x[2], &scaled], vec![]);
    let n = to.node("Tanh", &[&sum], vec![]);
    // (1 - z) n + z h = n + z (h - n).
    let apart = to.node("Sub", &[h, &n], vec![]);
    let moved = to.node("Mul", &[&z, &apart], vec![]);
    vec![to.node("Add", &[&n, &moved], vec![])]
}
