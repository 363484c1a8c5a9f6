//! A linear layer: `y = weight x + bias`, rectified if a ReLU follows it.

use std::ops::Range;

use toml::Value;

use super::Operand;
use super::layer::{Context, Entry, Layer, Reads};
use crate::error::Result;
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::ops::linear::{self, Rows};
use crate::ops::narrow;
use crate::ops::packed::products::{self, Packed};
use crate::ops::variants::{self, Choices, Shape};
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
        Ok(Box::new(Linear::new(context, out as usize)))
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
    fn new(c: &Context, out: usize) -> Self {
        let (seed, bound) = (c.seed, 1.0 / (c.inputs as f32).sqrt());
        let param = |what: &str, shape: &[usize], number: u32| {
            let value = move |i: u32| (random::uniform(seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound;
            let mut param = Param::new(&format!("{}.{what}", c.name), shape, Box::new(value));
            param.bound = Some(bound);
            param
        };
        Self {
            name: c.name.to_string(),
            weight: param("weight", &[out, c.inputs], c.first_param),
            bias: param("bias", &[out], c.first_param + 1),
            relu: false,
            rectified_input: false,
        }
    }
}

fn rows<'a>(param: &'a Param, of: impl Fn(&'a crate::param::Block) -> &'a Tensor) -> Vec<Rows<'a>> {
    param.blocks.iter().map(|block| Rows { rows: block.rows.clone(), tensor: of(block) }).collect()
}

impl Linear {
    fn shape(&self, rows: usize, cols: usize) -> Shape {
        Shape::new(rows, self.weight.shape[1], cols)
    }
    /// The weight, where only what is kept of it exists.
    fn packed(&self) -> Option<Packed<'_>> {
        let packed = self.weight.packed.as_ref()?;
        Some(Packed { index: &packed.index, values: &self.weight.blocks[0].weight })
    }
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
        let step = self.weight.blocks.first().map_or(self.weight.shape[0], |block| block.rows.len());
        let rows = self.weight.shape[0];
        (0..rows).step_by(step.max(1)).map(|begin| self.shape(step.min(rows - begin), cols)).collect()
    }

    fn forward(&self, rec: &mut Recorder, choices: &Choices, x: Operand, y: Operand) -> Result<()> {
        let (bias, x) = (&self.bias.blocks[0].weight, x.tensor());
        match self.packed() {
            Some(weight) => products::forward(rec, choices, weight, bias, x, y.tensor(), self.relu),
            None => {
                let weight = rows(&self.weight, |b| &b.weight);
                linear::forward(rec, choices, &weight, bias, x, y.wide, self.relu)
            }
        }
    }

    fn backward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        x: Operand,
        _y: &Tensor,
        d_y: Operand,
        d_x: Option<Operand>,
    ) -> Result<()> {
        let (d_bias, x) = (&self.bias.blocks[0].grad, x.tensor());
        if let Some(weight) = self.packed() {
            let grad = &self.weight.blocks[0].grad;
            if let Some(d_x) = d_x {
                let relu = self.rectified_input;
                products::input_grad(rec, choices, weight, x, d_y.tensor(), d_x.tensor(), relu)?;
            }
            return products::weight_grad(rec, choices, weight.index, grad, d_bias, x, d_y.tensor());
        }
        linear::weight_grad(rec, choices, &rows(&self.weight, |b| &b.grad), d_bias, x, d_y.wide)?;
        let Some(d_x) = d_x else { return Ok(()) };
        let weight = rows(&self.weight, |b| &b.weight);
        // Where no kernel writes bf16, f32 is written and copied.
        let to = d_x.only(linear::writes_bf16(choices, &weight, x)).tensor();
        linear::input_grad(rec, choices, &weight, x, d_y.wide, to, self.rectified_input)?;
        let copied = d_x.narrow.filter(|narrow| narrow.dtype() != to.dtype());
        copied.map_or(Ok(()), |narrow| narrow::record(rec, to, narrow))
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
        let whole = self.shape(self.weight.shape[0], x.shape[1]);
        linear::weight_grad_rows(rec, choices, whole, rows, d_weight, x, d_y)
    }

    /// Dense products gain too little by bf16 to be worth a copy of their own.
    fn reads_narrow(&self, gpu: &Gpu, cols: usize, is_written: bool) -> Reads {
        if self.weight.packed.is_some() {
            return Reads { x: true, d_y: true };
        }
        let can = || variants::read_narrow(gpu, &self.products(cols), self.weight.feeds_back);
        Reads { x: is_written && can(), d_y: false }
    }
    fn writes_narrow(&self) -> bool {
        self.weight.packed.is_some()
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
            let mut layer =
                Linear::new(&Context { name: "fc", inputs: inner, seed: 1, first_param: 0 }, rows);
            layer.params_mut().into_iter().try_for_each(|param| param.allocate(&gpu)).unwrap();
            layer.bias.blocks[0].grad.write(&vec![7.0f32; rows]).unwrap();
            let ones = |rows: usize| gpu.upload_f32("ones", &[rows, cols], &vec![1.0; rows * cols]).unwrap();
            let d_weight = gpu.tensor("d_weight", Dtype::F32, &[6, inner]).unwrap();
            let mut rec = Recorder::new(&gpu);
            let (x, d_y) = (ones(inner), ones(rows));
            layer.dense_grad(&mut rec, &Choices::default(), &x, &d_y, 64..70, &d_weight).unwrap();
            rec.finish().unwrap().replay().unwrap();
            assert_eq!(d_weight.read_f32().unwrap(), vec![8.0; 6 * inner]);
            assert_eq!(layer.bias.blocks[0].grad.read_f32().unwrap(), vec![7.0; rows]);
        }
    }
}
