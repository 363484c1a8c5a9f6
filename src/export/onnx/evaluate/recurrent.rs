//! `LSTM` and `GRU` in one direction, and `Scan`.

use std::rc::Rc;

use super::pointwise::sigmoid;
use super::products::dot;
use super::tensor::{Tensor, concat, fault};
use super::{Call, Operator, run_graph};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] =
    &[("LSTM", |call| recurrent(call, 4)), ("GRU", |call| recurrent(call, 3)), ("Scan", scan)];

/// x (time, batch, inputs), weights (1, gates units, inputs) and (1, gates units, units), biases (1, 2 gates units); what h and
/// c begin with (1, batch, units). The result is (time, 1, batch, units).
fn recurrent(call: &Call, gates: usize) -> Result<Vec<Tensor>> {
    let (x, of_x, of_h) = (call.x(0)?, call.x(1)?, call.x(2)?);
    let (&[time, batch, inputs], &[1, _, units]) = (&x.shape[..], &of_h.shape[..]) else {
        return Err(fault(format!("sequences and one direction are expected, not {:?}", of_h.shape)));
    };
    call.has_none_of(&["direction", "activations", "clip", "input_forget", "layout"])?;
    if call.int("hidden_size", 0) != units as i64 {
        return Err(fault(format!("a weight for {units} units")));
    }
    let rows = gates * units;
    let (x, of_x, of_h) = (x.as_floats()?, of_x.as_floats()?, of_h.as_floats()?);
    let given = |number: usize, len: usize| match call.given(number) {
        Some(tensor) if tensor.len() == len => tensor.as_floats().map(<[f32]>::to_vec),
        Some(tensor) => Err(fault(format!("input {number} is {:?}", tensor.shape))),
        None => Ok(vec![0.0; len]),
    };
    if call.given(4).is_some() || gates == 3 && call.int("linear_before_reset", 0) != 1 {
        return Err(fault("lengths, or a reset gate before the product"));
    }
    let (bias, mut h, mut c) = (given(3, 2 * rows)?, given(5, batch * units)?, given(6, batch * units)?);
    let mut y = vec![0.0; time * batch * units];
    for step in 0..time {
        for sample in 0..batch {
            let seen = &x[(step * batch + sample) * inputs..][..inputs];
            let own = sample * units..(sample + 1) * units;
            let share = |row: usize| dot(seen, &of_x[row * inputs..][..inputs]) + f64::from(bias[row]);
            let before = h[own.clone()].to_vec();
            let product =
                |row: usize| dot(&before, &of_h[row * units..][..units]) + f64::from(bias[rows + row]);
            for (unit, &last) in before.iter().enumerate() {
                let at = own.start + unit;
                let sum = |gate: usize| share(gate * units + unit) + product(gate * units + unit);
                h[at] = if gates == 4 {
                    // i, o, f, c.
                    let [i, o, f] = [0, 1, 2].map(|gate| sigmoid(sum(gate)));
                    c[at] = (f * f64::from(c[at]) + i * sum(3).tanh()) as f32;
                    (o * f64::from(c[at]).tanh()) as f32
                } else {
                    // z, r, h.
                    let [z, r] = [0, 1].map(|gate| sigmoid(sum(gate)));
                    let new = (share(2 * units + unit) + r * product(2 * units + unit)).tanh();
                    ((1.0 - z) * new + z * f64::from(last)) as f32
                };
            }
            y[(step * batch + sample) * units..][..units].copy_from_slice(&h[own]);
        }
    }
    Ok(vec![Tensor::floats([time, 1, batch, units], y)])
}

/// The graph within for each step: states go on from one to the next, and what is seen of each step is put side by side.
fn scan(call: &Call) -> Result<Vec<Tensor>> {
    let body = call.attribute("body").and_then(|body| body.g.as_ref()).ok_or_else(|| fault("no body"))?;
    let inputs = (0..call.inputs.len()).map(|number| call.x(number)).collect::<Result<Vec<_>>>()?;
    let (states, seen) = inputs.split_at(inputs.len() - call.int("num_scan_inputs", 0) as usize);
    let along = seen.iter().zip(call.ints("scan_input_axes")?);
    let along = along.map(|(x, &axis)| Ok((*x, x.axis(axis)?))).collect::<Result<Vec<_>>>()?;
    let steps = along.first().map_or(0, |(x, axis)| x.shape[*axis]);
    call.has_none_of(&["scan_input_directions", "scan_output_directions"])?;
    let mut states: Vec<Rc<Tensor>> = states.iter().map(|state| Rc::new((*state).clone())).collect();
    let mut parts: Vec<Vec<Rc<Tensor>>> = vec![Vec::new(); body.output.len() - states.len()];
    for number in 0..steps {
        let part = |(x, axis): &(&Tensor, usize)| {
            let mut one = x.sliced(*axis, number..number + 1);
            one.shape.remove(*axis);
            one
        };
        let own = states.iter().map(|state| (**state).clone()).chain(along.iter().map(part));
        let mut results = run_graph(body, own.collect(), call.values)?;
        let written = results.split_off(states.len());
        states = results;
        parts.iter_mut().zip(written).for_each(|(all, part)| all.push(part));
    }
    let mut all: Vec<Tensor> = states.iter().map(|state| (**state).clone()).collect();
    for (parts, &axis) in parts.into_iter().zip(call.ints("scan_output_axes")?) {
        let axis = axis as usize;
        let put = |part: &Rc<Tensor>| {
            let mut shape = part.shape.clone();
            shape.insert(axis, 1);
            part.reshaped(shape)
        };
        let parts = parts.iter().map(put).collect::<Result<Vec<_>>>()?;
        all.push(concat(&parts.iter().collect::<Vec<_>>(), axis)?);
    }
    Ok(all)
}
