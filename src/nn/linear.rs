//! A linear layer: `y = weight x + bias`, rectified if a ReLU follows it.

use toml::Value;

use super::layer::{Context, Entry, Layer};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::linear::{self, Rows};
use crate::ops::variants::{Choices, Shape};
use crate::param::Param;
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
        Ok(Box::new(Linear::new(context, out as usize)?))
    },
};

struct Linear {
    name: String,
    weight: Param,
    bias: Param,
    relu: bool,
    rectified_input: bool,
}

impl Linear {
    /// Weights and biases are uniform in ±1/sqrt(inputs): PyTorch's default for linear layers.
    fn new(c: &Context, out: usize) -> Result<Self> {
        let weight = Param::new(c.gpu, &format!("{}.weight", c.name), &[out, c.inputs])?;
        let bias = Param::new(c.gpu, &format!("{}.bias", c.name), &[out])?;
        let bound = 1.0 / (c.inputs as f32).sqrt();
        for (number, param) in (c.first_param..).zip([&weight, &bias]) {
            let value = |i: u32| (random::uniform(c.seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound;
            let values: Vec<f32> = (0..param.len() as u32).map(value).collect();
            param.write(&values)?;
        }
        Ok(Self { name: c.name.to_string(), weight, bias, relu: false, rectified_input: false })
    }
}

fn rows<'a>(param: &'a Param, of: impl Fn(&'a crate::param::Block) -> &'a Tensor) -> Vec<Rows<'a>> {
    param.blocks.iter().map(|block| Rows { rows: block.rows.clone(), tensor: of(block) }).collect()
}

impl Layer for Linear {
    fn name(&self) -> &str {
        &self.name
    }
    fn outputs(&self) -> usize {
        self.weight.shape[0]
    }
    fn params(&self) -> Vec<&Param> {
        vec![&self.weight, &self.bias]
    }
    fn params_mut(&mut self) -> Vec<&mut Param> {
        vec![&mut self.weight, &mut self.bias]
    }
    fn products(&self, cols: usize) -> Vec<Shape> {
        self.weight
            .blocks
            .iter()
            .map(|block| Shape::new(block.rows.len(), self.weight.shape[1], cols))
            .collect()
    }

    fn forward(&self, rec: &mut Recorder, choices: &Choices, x: &Tensor, y: &Tensor) -> Result<()> {
        let bias = &self.bias.blocks[0].weight;
        linear::forward(rec, choices, &rows(&self.weight, |b| &b.weight), bias, x, y, self.relu)
    }

    fn backward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        x: &Tensor,
        _y: &Tensor,
        d_y: &Tensor,
        d_x: Option<&Tensor>,
    ) -> Result<()> {
        let d_bias = &self.bias.blocks[0].grad;
        linear::weight_grad(rec, choices, &rows(&self.weight, |b| &b.grad), d_bias, x, d_y)?;
        match d_x {
            Some(d_x) => {
                let weight = rows(&self.weight, |b| &b.weight);
                linear::input_grad(rec, choices, &weight, x, d_y, d_x, self.rectified_input)
            }
            None => Ok(()),
        }
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
