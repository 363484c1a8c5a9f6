//! A linear layer: `y = weight x + bias`, rectified if a ReLU follows it.

use std::ops::Range;

use toml::Value;

use super::layer::{Context, Entry, Layer, Reads};
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::ops::linear::{self, Rows};
use crate::ops::narrow::Operand;
use crate::ops::packed::products::{self, Packed};
use crate::ops::variants::{self, Choices, Shape};
use crate::param::{Param, ParamId, ParamSet};
use crate::random::{self, Stream};

pub const ENTRY: Entry = Entry {
    name: "linear",
    about: "y = weight x + bias; `out` outputs",
    required: || vec![("out", Value::Integer(1))],
    build: |context, settings| {
        let out = settings.u32("out")?;
        if out == 0 {
            return Err(settings.wrong("out", "at least 1"));
        }
        Ok(Box::new(Linear::new(context, out as usize)))
    },
};

struct Linear {
    name: String,
    outputs: usize,
    inputs: usize,
    /// Weight and bias.
    params: [ParamId; 2],
    relu: bool,
    rectified_input: bool,
}

impl Linear {
    /// Weights and biases are uniform in ±1/sqrt(inputs): PyTorch's default for linear layers.
    fn new(c: &mut Context, out: usize) -> Self {
        let (seed, bound) = (c.seed, 1.0 / (c.inputs as f32).sqrt());
        let mut declare = |what: &str, shape: &[usize]| {
            let number = c.params.len() as u32;
            let value = move |i: u32| (random::uniform(seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound;
            let mut param = Param::new(&format!("{}.{what}", c.name), shape, Box::new(value));
            (param.prunable, param.bound) = (shape.len() > 1, Some(bound));
            c.params.declare(param)
        };
        Self {
            params: [declare("weight", &[out, c.inputs]), declare("bias", &[out])],
            name: c.name.to_string(),
            outputs: out,
            inputs: c.inputs,
            relu: false,
            rectified_input: false,
        }
    }
}

/// The weight, where only what is kept of it exists.
fn packed(weight: &Param) -> Option<Packed<'_>> {
    let packed = weight.packed()?;
    Some(Packed { index: &packed.index, values: &weight.segments[0].weight })
}

fn rows<'a>(param: &'a Param, of: impl Fn(&'a crate::param::Segment) -> &'a Tensor) -> Vec<Rows<'a>> {
    param.segments.iter().map(|segment| Rows { rows: segment.rows.clone(), tensor: of(segment) }).collect()
}

impl Linear {
    fn shape(&self, rows: usize, cols: usize) -> Shape {
        Shape::new(rows, self.inputs, cols)
    }
    /// Weight and bias.
    fn of<'a>(&self, params: &'a ParamSet) -> [&'a Param; 2] {
        self.params.map(|id| &params[id])
    }
}

impl Layer for Linear {
    fn name(&self) -> &str {
        &self.name
    }
    fn outputs(&self) -> usize {
        self.outputs
    }
    fn params(&self) -> &[ParamId] {
        &self.params
    }
    fn products(&self, params: &ParamSet, cols: usize) -> Vec<Shape> {
        let ([weight, _], rows) = (self.of(params), self.outputs);
        let step = weight.segments.first().map_or(rows, |segment| segment.rows.len());
        (0..rows).step_by(step.max(1)).map(|begin| self.shape(step.min(rows - begin), cols)).collect()
    }

    fn forward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        params: &ParamSet,
        x: Operand,
        y: Operand,
    ) -> Result<()> {
        let [weight, bias] = self.of(params);
        let bias = &bias.segments[0].weight;
        match packed(weight) {
            Some(weight) => products::forward(rec, choices, weight, bias, x, y, self.relu),
            None => {
                let weight = rows(weight, |b| &b.weight);
                linear::forward(rec, choices, &weight, bias, x, y.wide, self.relu)
            }
        }
    }

    fn backward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        params: &ParamSet,
        x: Operand,
        _y: &Tensor,
        d_y: Operand,
        d_x: Option<Operand>,
    ) -> Result<()> {
        let [weight, bias] = self.of(params);
        let (d_bias, d_weight) = (&bias.segments[0].grad, rows(weight, |b| &b.grad));
        if let Some(weight) = packed(weight) {
            let grad = d_weight[0].tensor;
            if let Some(d_x) = d_x {
                let relu = self.rectified_input;
                products::input_grad(rec, choices, weight, x, d_y, d_x, relu)?;
            }
            return products::weight_grad(rec, choices, weight.index, grad, d_bias, x, d_y);
        }
        linear::weight_grad(rec, choices, &d_weight, d_bias, x, d_y.wide)?;
        match d_x {
            Some(d_x) => {
                let weight = rows(weight, |b| &b.weight);
                linear::input_grad(rec, choices, &weight, x, d_y.wide, d_x, self.rectified_input)
            }
            None => Ok(()),
        }
    }

    fn dense_grad(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        x: &Tensor,
        d_y: &Tensor,
        rows: Range<usize>,
        d_weight: &Tensor,
    ) -> Result<()> {
        let whole = self.shape(self.outputs, x.shape[1]);
        linear::weight_grad_rows(rec, choices, whole, rows, d_weight, x, d_y)
    }

    /// Dense products gain too little by bf16 to be worth a copy of their own.
    fn reads_narrow(&self, gpu: &Gpu, params: &ParamSet, cols: usize, is_written: bool) -> Reads {
        let [weight, _] = self.of(params);
        if weight.packed().is_some() {
            return Reads { x: true, d_y: true };
        }
        let can = || variants::read_narrow(gpu, &self.products(params, cols), weight.feeds_back);
        Reads { x: is_written && can(), d_y: false }
    }
    fn writes_narrow(&self, params: &ParamSet) -> bool {
        self.of(params)[0].packed().is_some()
    }
    fn passes_narrow(&self) -> bool {
        true
    }
    fn rectify_output(&mut self) -> bool {
        self.relu = true;
        true
    }
    fn takes_rectified_input(&self) -> bool {
        true
    }
    fn set_rectified_input(&mut self) {
        self.rectified_input = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype};

    /// In bf16 runs a packed layer's own product has another one than the product of a tile.
    #[test]
    fn a_dense_gradient_leaves_that_of_the_bias() {
        let (rows, inner, cols) = (70, 5, 8);
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let mut params = ParamSet::default();
            let mut context = Context { name: "fc", inputs: inner, seed: 1, params: &mut params };
            let layer = Linear::new(&mut context, rows);
            params.iter_mut().try_for_each(|param| param.allocate(&gpu)).unwrap();
            let d_bias = params[layer.params[1]].segments[0].grad.clone();
            d_bias.write(&vec![7.0f32; rows]).unwrap();
            let ones = |rows: usize| gpu.upload_f32("ones", &[rows, cols], &vec![1.0; rows * cols]).unwrap();
            let d_weight = gpu.tensor("d_weight", Dtype::F32, &[6, inner]).unwrap();
            let mut rec = Recorder::new(&gpu);
            let (x, d_y) = (ones(inner), ones(rows));
            layer.dense_grad(&mut rec, &Choices::default(), &x, &d_y, 64..70, &d_weight).unwrap();
            rec.finish().unwrap().replay().unwrap();
            assert_eq!(d_weight.read_f32().unwrap(), vec![8.0; 6 * inner]);
            assert_eq!(d_bias.read_f32().unwrap(), vec![7.0; rows]);
        }
    }
}
