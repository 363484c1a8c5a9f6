//! Operators that work number by number.

use super::tensor::{Data, Tensor, broadcast, fault};
use super::{Call, Operator};
use crate::error::Result;

pub const ALL: &[(&str, Operator)] = &[
    ("Identity", |call| Ok(vec![call.x(0)?.clone()])),
    ("Relu", |call| each(call, |x| x.max(0.0))),
    ("Sigmoid", |call| each(call, sigmoid)),
    ("Tanh", |call| each(call, f64::tanh)),
    ("Erf", |call| each(call, erf)),
    ("Sqrt", |call| each(call, f64::sqrt)),
    ("HardSwish", |call| each(call, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
    ("HardSigmoid", |call| {
        let [alpha, beta] = [call.float("alpha", 0.2), call.float("beta", 0.5)].map(f64::from);
        each(call, move |x| (alpha * x + beta).clamp(0.0, 1.0))
    }),
    ("LeakyRelu", |call| {
        let alpha = f64::from(call.float("alpha", 0.01));
        each(call, move |x| if x < 0.0 { alpha * x } else { x })
    }),
    ("Elu", |call| {
        let alpha = f64::from(call.float("alpha", 1.0));
        each(call, move |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
    }),
    ("Selu", |call| {
        let [alpha, gamma] =
            [call.float("alpha", 1.673_263_2), call.float("gamma", 1.050_701)].map(f64::from);
        each(call, move |x| gamma * if x > 0.0 { x } else { alpha * x.exp_m1() })
    }),
    ("Clip", |call| {
        let bound = |number, default: f32| match call.given(number) {
            Some(bound) => Ok(f64::from(bound.as_floats()?[0])),
            None => Ok(f64::from(default)),
        };
        let (least, most) = (bound(1, f32::MIN)?, bound(2, f32::MAX)?);
        each(call, move |x| x.max(least).min(most))
    }),
    ("Add", |call| numbers(call, |a, b| a + b, |a, b| a + b)),
    ("Sub", |call| numbers(call, |a, b| a - b, |a, b| a - b)),
    ("Mul", |call| numbers(call, |a, b| a * b, |a, b| a * b)),
    ("Div", |call| numbers(call, |a, b| a / b, |a, b| if b == 0 { 0 } else { a / b })),
    ("Equal", |call| compared(call, |a, b| a == b)),
    ("Less", |call| compared(call, |a, b| a < b)),
    ("And", |call| {
        let [a, b] = pair(call)?;
        let both = a.as_bools()?.iter().zip(b.as_bools()?).map(|(&a, &b)| a && b).collect();
        Ok(vec![Tensor::new(a.shape, Data::Bools(both))])
    }),
    ("Not", |call| {
        let x = call.x(0)?;
        Ok(vec![Tensor::new(x.shape.clone(), Data::Bools(x.as_bools()?.iter().map(|x| !x).collect()))])
    }),
    ("Where", chosen),
    ("Cast", |call| {
        let x = call.x(0)?;
        let ints = match (&x.data, call.int("to", 0) as i32) {
            (Data::Bools(values), super::proto::INT64) => values.iter().map(|&x| i64::from(x)).collect(),
            (Data::Ints(values), super::proto::INT64) => values.clone(),
            (_, to) => return Err(fault(format!("a cast to type {to}"))),
        };
        Ok(vec![Tensor::ints(x.shape.clone(), ints)])
    }),
];

fn each(call: &Call, of: impl Fn(f64) -> f64) -> Result<Vec<Tensor>> {
    let x = call.x(0)?;
    let values = x.as_floats()?.iter().map(|&x| of(f64::from(x)) as f32).collect();
    Ok(vec![Tensor::floats(x.shape.clone(), values)])
}

/// Both operands, repeated to one shape.
fn pair(call: &Call) -> Result<[Tensor; 2]> {
    let (a, b) = (call.x(0)?, call.x(1)?);
    let shape = broadcast(&a.shape, &b.shape);
    Ok([a.expanded(&shape)?, b.expanded(&shape)?])
}

fn numbers(call: &Call, of: fn(f32, f32) -> f32, of_ints: fn(i64, i64) -> i64) -> Result<Vec<Tensor>> {
    let [a, b] = pair(call)?;
    let data = match &a.data {
        Data::Ints(values) => {
            Data::Ints(values.iter().zip(b.as_ints()?).map(|(&a, &b)| of_ints(a, b)).collect())
        }
        _ => Data::Floats(a.as_floats()?.iter().zip(b.as_floats()?).map(|(&a, &b)| of(a, b)).collect()),
    };
    Ok(vec![Tensor::new(a.shape, data)])
}

fn compared(call: &Call, of: fn(i64, i64) -> bool) -> Result<Vec<Tensor>> {
    let [a, b] = pair(call)?;
    let flags = a.as_ints()?.iter().zip(b.as_ints()?).map(|(&a, &b)| of(a, b)).collect();
    Ok(vec![Tensor::new(a.shape, Data::Bools(flags))])
}

/// The second operand where the first says yes, and the third elsewhere.
fn chosen(call: &Call) -> Result<Vec<Tensor>> {
    let [flags, yes, no] = [call.x(0)?, call.x(1)?, call.x(2)?];
    let shape = broadcast(&flags.shape, &broadcast(&yes.shape, &no.shape));
    let [flags, yes, no] = [flags.expanded(&shape)?, yes.expanded(&shape)?, no.expanded(&shape)?];
    let both = yes.as_floats()?.iter().zip(no.as_floats()?);
    let values = flags.as_bools()?.iter().zip(both).map(|(&flag, (&yes, &no))| if flag { yes } else { no });
    Ok(vec![Tensor::floats(shape, values.collect())])
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `2 / sqrt(pi) exp(-x^2)` times the sum of `2^n x^(2n + 1) / (1 3 5 .. (2n + 1))`, whose terms have one sign; beyond 6 it
/// is 1 within 1e-16.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
