//! Activations by themselves: functions of one number, with their slopes. What ReLU is, `ops::relu` has.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Source, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/activation.wgsl`.
    pub struct Args { len: u32 }
}

/// A function of one number.
pub struct Activation {
    pub name: &'static str,
    /// The part with `activated` and `slope`.
    part: Source,
    /// Twins of both kernels, and of the one that adds.
    twins: [fn(&Twin); 3],
}

/// The function and its slope, in f64.
type Function = (fn(f64) -> f64, fn(f64) -> f64);

const RELU6_OF: Function = (|x| x.clamp(0.0, 6.0), |x| if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 });
const HARD_SWISH_OF: Function = (
    |x| {
        if x <= -3.0 {
            0.0
        } else if x >= 3.0 {
            x
        } else {
            x * (x + 3.0) / 6.0
        }
    },
    |x| {
        if x <= -3.0 {
            0.0
        } else if x >= 3.0 {
            1.0
        } else {
            (2.0 * x + 3.0) / 6.0
        }
    },
);
const SILU_OF: Function = (|x| x * sigmoid(x), |x| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))));
const GELU_OF: Function = (
    |x| x * distribution(x),
    |x| distribution(x) + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt(),
);
/// sqrt(2 / pi), and the weight of the cube in `gelu_tanh`.
const GELU_ROOT: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044715;
const GELU_TANH_OF: Function = (
    |x| x * sigmoid(2.0 * GELU_ROOT * x * (1.0 + GELU_CUBE * x * x)),
    |x| {
        let z = 2.0 * GELU_ROOT * x * (1.0 + GELU_CUBE * x * x);
        let dz = 2.0 * GELU_ROOT * (1.0 + 3.0 * GELU_CUBE * x * x);
        sigmoid(z) + x * sigmoid(z) * sigmoid(-z) * dz
    },
);

const SIGMOID_OF: Function = (sigmoid, |x| sigmoid(x) * sigmoid(-x));
const HARD_SIGMOID_OF: Function =
    (|x| ((x + 3.0) / 6.0).clamp(0.0, 1.0), |x| if x > -3.0 && x < 3.0 { 1.0 / 6.0 } else { 0.0 });
const TANH_OF: Function = (f64::tanh, |x| 1.0 / x.cosh().powi(2));
const LEAK: f64 = 0.01;
const LEAKY_RELU_OF: Function =
    (|x| if x > 0.0 { x } else { LEAK * x }, |x| if x > 0.0 { 1.0 } else { LEAK });
const ELU_OF: Function = (|x| if x > 0.0 { x } else { x.exp_m1() }, |x| if x > 0.0 { 1.0 } else { x.exp() });
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_OF: Function = (
    |x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() },
    |x| SELU_SCALE * if x > 0.0 { 1.0 } else { SELU_ALPHA * x.exp() },
);

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The normal distribution, by the series of erf; beyond 6 deviations it is 0 or 1 within 1e-9.
fn distribution(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    // (1 + erf(x / sqrt 2)) / 2 with erf's terms all of one sign: x^(2n + 1) / (1 3 5 .. (2n + 1)), times the density.
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// An activation by its name, its part and its function.
macro_rules! activation {
    ($name:literal, $part:expr, $of:expr) => {
        Activation {
            name: $name,
            part: $part,
            twins: [|t| forward(t, $of), |t| backward(t, $of, false), |t| backward(t, $of, true)],
        }
    };
}

pub const RELU6: Activation = activation!("relu6", source!("ops/activation/relu6"), RELU6_OF);
pub const HARD_SWISH: Activation =
    activation!("hard_swish", source!("ops/activation/hard_swish"), HARD_SWISH_OF);
pub const SILU: Activation = activation!("silu", source!("ops/activation/silu"), SILU_OF);
pub const GELU: Activation = activation!("gelu", source!("ops/activation/gelu"), GELU_OF);
pub const GELU_TANH: Activation = activation!("gelu_tanh", source!("ops/activation/gelu_tanh"), GELU_TANH_OF);
pub const SIGMOID: Activation = activation!("sigmoid", source!("ops/activation/sigmoid"), SIGMOID_OF);
pub const HARD_SIGMOID: Activation =
    activation!("hard_sigmoid", source!("ops/activation/hard_sigmoid"), HARD_SIGMOID_OF);
pub const TANH: Activation = activation!("tanh", source!("ops/activation/tanh"), TANH_OF);
pub const LEAKY_RELU: Activation =
    activation!("leaky_relu", source!("ops/activation/leaky_relu"), LEAKY_RELU_OF);
pub const ELU: Activation = activation!("elu", source!("ops/activation/elu"), ELU_OF);
pub const SELU: Activation = activation!("selu", source!("ops/activation/selu"), SELU_OF);

pub const ALL: [&Activation; 11] =
    [&RELU6, &HARD_SWISH, &SILU, &GELU, &GELU_TANH, &SIGMOID, &HARD_SIGMOID, &TANH, &LEAKY_RELU, &ELU, &SELU];

const WG: usize = 256;

/// Every kernel; those that add are the same with another value of an override.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    ALL.into_iter().flat_map(|activation| activation.kernels().into_iter().take(2))
}

impl Activation {
    /// Forward, backward, and the backward one that adds.
    fn kernels(&self) -> [Kernel; 3] {
        let kernel = |twin, suffix, entry| {
            Kernel::own(source!("ops/activation"), twin)
                .variant([self.name, suffix], &[], &[self.part])
                .entry(entry)
        };
        [
            kernel(self.twins[0], ":forward", "forward"),
            kernel(self.twins[1], ":backward", "backward"),
            kernel(self.twins[2], ":backward", "backward").with(&[("ADDS", 1.0)]),
        ]
    }

    /// `y = f(x)`, any shape.
    pub fn record_forward(&self, rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        let args = Args { len: x.len() as u32 };
        let [kernel, ..] = self.kernels();
        rec.dispatch(&kernel, bind! { args: &args, x: x, y: y }, groups(x.len(), WG), x.len() as u64)
    }

    /// `d_x = d_y f'(x)`, or `+=` if `adds`.
    pub fn record_backward(
        &self,
        rec: &mut Recorder,
        x: &Tensor,
        d_y: &Tensor,
        d_x: &Tensor,
        adds: bool,
    ) -> Result<()> {
        let args = Args { len: x.len() as u32 };
        let kernel = self.kernels()[1 + usize::from(adds)];
        let binds = bind! { args: &args, x: x, d_y: d_y, d_x: d_x };
        rec.dispatch(&kernel, binds, groups(x.len(), WG), x.len() as u64)
    }
}

fn forward(t: &Twin, (f, _): Function) {
    let x = t.f32("x");
    t.f32_mut("y").iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = f(f64::from(x)) as f32);
}

fn backward(t: &Twin, (_, slope): Function, adds: bool) {
    let (x, d_y) = (t.f32("x"), t.f32("d_y"));
    for ((d_x, &d_y), &x) in t.f32_mut("d_x").iter_mut().zip(d_y.iter()).zip(x.iter()) {
        let value = (f64::from(d_y) * slope(f64::from(x))) as f32;
        *d_x = if adds { *d_x + value } else { value };
    }
}

/// `exp` of WGSL is off by up to 3 + 2 |x| units in the last place, here of numbers up to 12, and its result by as much;
/// erf's formula by 1.5e-7. Products with x and d_y follow.
const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

pub fn checks() -> Vec<Check> {
    let of = |activation: &'static Activation| {
        let name = activation.name;
        // Numbers on both sides of every kink, and well beyond.
        let wide = |t: &mut Trial, label: &str, n: usize| {
            let values: Vec<f32> = t.values(n).into_iter().map(|value| 12.0 * value).collect();
            t.gpu.upload_f32(label, &[n], &values)
        };
        [
            Check::new(format!("ops/activation ({name})"), move |t: &mut Trial, n| {
                let (x, y) = (wide(t, "x", n)?, t.output("y", &[n], CLOSE)?);
                activation.record_forward(&mut t.rec, &x, &y)
            }),
            Check::new(format!("ops/activation ({name}, odd)"), move |t: &mut Trial, n| {
                let x = t.odd_input("x", n, 0, true)?;
                let y = t.gpu.tensor("y", crate::gpu::Dtype::F32, &[n])?;
                t.compare_odd(&y, CLOSE);
                activation.record_forward(&mut t.rec, &x, &y)
            }),
            Check::new(format!("ops/activation:backward ({name})"), move |t: &mut Trial, n| {
                let (x, d_y) = (wide(t, "x", n)?, t.input("d_y", &[n])?);
                let (d_x, more) = (t.output("d_x", &[n], CLOSE)?, t.input("more", &[n])?);
                t.compare(&more, CLOSE);
                activation.record_backward(&mut t.rec, &x, &d_y, &d_x, false)?;
                activation.record_backward(&mut t.rec, &x, &d_y, &more, true)
            }),
        ]
    };
    ALL.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_functions() {
        let all = [
            RELU6_OF,
            HARD_SWISH_OF,
            SILU_OF,
            GELU_OF,
            GELU_TANH_OF,
            SIGMOID_OF,
            HARD_SIGMOID_OF,
            TANH_OF,
            LEAKY_RELU_OF,
            ELU_OF,
            SELU_OF,
        ];
        for (f, slope) in all {
            for x in (-90..90).map(|i| f64::from(i) / 10.0 + 0.037) {
                let difference = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5;
                assert!((difference - slope(x)).abs() <= 1e-6, "{x}: {difference} {}", slope(x));
            }
        }
    }

    #[test]
    fn the_normal_distribution_is_that_of_tables() {
        for (x, want) in
            [(0.0, 0.5), (1.0, 0.841_344_746_1), (-1.96, 0.024_997_895_1), (3.5, 0.999_767_370_9)]
        {
            assert!((distribution(x) - want).abs() <= 1e-10, "{x}: {}", distribution(x));
        }
    }
}
