//! A linear layer: `y = weight x + bias`, rectified if a ReLU follows it.

use std::ops::Range;

use toml::Value;

use super::super::layer::{Backward, Built, Context, Entry, Layer, Needs, Reads, Rectifies, Site};
use super::super::reach;
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::linear::{self, Rows};
use crate::ops::packed::products::{self, Packed};
use crate::ops::variants::{self, Shape};
use crate::param::{Param, ParamId, ParamSet, Segment};
use crate::random::{self, Stream};

pub const ENTRY: Entry = Entry {
    name: "linear",
    about: "y = weight x + bias; `out` outputs; with `share`, the weight and bias of that layer",
    required: || vec![("out", Value::Integer(1))],
    optional: || vec![("share", Value::String(String::new()))],
    build: |context| {
        let settings = context.settings;
        let out = settings.u32("out")? as usize;
        if out == 0 {
            return Err(settings.wrong("out", "at least 1"));
        }
        let output = context.input()?.with(out);
        let params = match settings.text("share")? {
            "" => declare(context, out)?,
            other => shared(context, other, out)?,
        };
        Ok(Built { layer: Box::new(Linear::default()), output, params })
    },
};

/// Weights and biases are uniform in ±1/sqrt(inputs): PyTorch's default for linear layers.
fn declare(context: &mut Context, out: usize) -> Result<Vec<ParamId>> {
    let inputs = context.input()?.channels;
    let (seed, bound) = (context.seed, 1.0 / (inputs as f32).sqrt());
    let mut param = |what: &str, shape: &[usize]| {
        let number = context.params.len() as u32;
        let value = move |i: u32| (random::uniform(seed, Stream::Init, 0, number, i) * 2.0 - 1.0) * bound;
        let mut param = Param::new(&format!("{}.{what}", context.name), shape, Box::new(value));
        (param.prunable, param.bound) = (shape.len() > 1, Some(bound));
        context.params.declare(param)
    };
    Ok(vec![param("weight", &[out, inputs]), param("bias", &[out])])
}

/// The parameters of a layer before this one.
fn shared(context: &Context, other: &str, out: usize) -> Result<Vec<ParamId>> {
    let at = |error| context.settings.locate("share", error);
    let params = (context.params_of)(other).map_err(at)?;
    let wanted = [out, context.input()?.channels];
    match params[..] {
        [weight, _] if context.params[weight].shape == wanted => Ok(params),
        _ => {
            let has =
                params.first().map_or("none".into(), |&weight| format!("{:?}", context.params[weight].shape));
            let what = format!("layer `{}` cannot share the weight of `{other}`", context.name);
            Err(at(Error::usage(what).at(format!("it needs {wanted:?} (outputs, inputs); that is {has}"))))
        }
    }
}

#[derive(Default)]
struct Linear {
    relu: bool,
    rectifies_input_grad: bool,
}

/// One tensor of each of a weight's segments.
fn rows<'a>(segments: &'a [Segment], of: impl IntoIterator<Item = &'a Tensor>) -> Vec<Rows<'a>> {
    segments.iter().zip(of).map(|(segment, tensor)| Rows { rows: segment.rows.clone(), tensor }).collect()
}

fn shape(weight: &Param, rows: usize, cols: usize) -> Shape {
    Shape { rows, ..weight.product(cols) }
}

/// The weight, where only what is kept of it exists.
fn packed(weight: &Param) -> Option<Packed<'_>> {
    let packed = weight.packed()?;
    Some(Packed { index: &packed.index, values: &weight.segments[0].weight })
}

impl<'a> Site<'a> {
    fn weight(&self) -> &'a Param {
        &self.set[self.params[0]]
    }
    fn bias(&self) -> &'a Tensor {
        &self.set[self.params[1]].segments[0].weight
    }
}

impl Layer for Linear {
    fn products(&self, set: &ParamSet, params: &[ParamId], cols: usize) -> Vec<Shape> {
        let weight = &set[params[0]];
        let rows = weight.product(cols).rows;
        let step = weight.segments.first().map_or(rows, |segment| segment.rows.len()).max(1);
        (0..rows).step_by(step).map(|begin| shape(weight, step.min(rows - begin), cols)).collect()
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let (weight, bias, choices) = (site.weight(), site.bias(), site.choices);
        match packed(weight) {
            Some(weight) => products::forward(rec, choices, weight, bias, x[0], y, self.relu),
            None => {
                let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
                linear::forward(rec, choices, &weight, bias, x[0], y, self.relu)
            }
        }
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let (weight, choices, x, d_y) = (site.weight(), site.choices, pass.x[0], pass.d_y);
        if let Some(weight) = packed(weight) {
            if let Some(d_x) = pass.d_x[0] {
                products::input_grad(rec, choices, weight, x, d_y, d_x.to, self.rectifies_input_grad)?;
            }
            let Some([d_weight, d_bias]) = pass.grads else { return Ok(()) };
            return products::weight_grad(rec, choices, weight.index, &d_weight[0], &d_bias[0], x, d_y);
        }
        if let Some([d_weight, d_bias]) = pass.grads {
            linear::weight_grad(rec, choices, &rows(&weight.segments, d_weight), &d_bias[0], x, d_y)?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
        linear::input_grad(rec, choices, &weight, x, d_y, d_x.to, d_x.adds, self.rectifies_input_grad)
    }

    fn reach(&self, inputs: &[&[bool]], masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        reach::through(inputs[0], masks[0], channels)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs { x: true, y: false }
    }
    fn adds(&self, site: Site) -> bool {
        site.weight().packed().is_none()
    }

    fn dense_grad(
        &self,
        rec: &mut Recorder,
        site: Site,
        [x, d_y]: [&Tensor; 2],
        rows: Range<usize>,
        d_weight: &Tensor,
    ) -> Result<()> {
        let whole = site.weight().product(site.cols);
        linear::weight_grad_rows(rec, site.choices, whole, rows, d_weight, x, d_y)
    }

    /// Dense products gain too little by bf16 to be worth a copy of their own.
    fn reads_narrow(&self, site: Site, is_written: bool) -> Reads {
        let weight = site.weight();
        if weight.packed().is_some() {
            return Reads { x: true, d_y: true };
        }
        let products = self.products(site.set, site.params, site.cols);
        let can = || variants::read_narrow(site.gpu, &products, weight.feeds_back);
        Reads { x: is_written && can(), d_y: false }
    }
    fn writes_narrow(&self, site: Site) -> bool {
        site.weight().packed().is_some()
    }
    fn passes_narrow(&self, site: Site, reads: Reads) -> bool {
        let products = self.products(site.set, site.params, site.cols);
        site.weight().packed().is_some() || site.choices.passes_narrow(site.gpu, &products, reads.x)
    }
    fn rectify_output(&mut self) -> Option<Rectifies> {
        self.relu = true;
        Some(Rectifies::Before)
    }
    fn can_rectify_input_grad(&self) -> bool {
        true
    }
    fn rectify_input_grad(&mut self) {
        self.rectifies_input_grad = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype, Gpu};
    use crate::ops::variants::Choices;

    /// In bf16 runs a packed layer's own product has another one than the product of a tile.
    #[test]
    fn a_dense_gradient_leaves_that_of_the_bias() {
        let (rows, inner, cols) = (70, 5, 8);
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let mut set = ParamSet::default();
            let params = [&[rows, inner][..], &[rows]]
                .map(|shape| set.declare(Param::new("fc", shape, Box::new(|_| 0.0))));
            set.iter_mut().try_for_each(|param| param.allocate(&gpu)).unwrap();
            let d_bias = &set[params[1]].segments[0].grad;
            d_bias.write(&vec![7.0f32; rows]).unwrap();
            let ones = |rows: usize| gpu.upload_f32("ones", &[rows, cols], &vec![1.0; rows * cols]).unwrap();
            let d_weight = gpu.tensor("d_weight", Dtype::F32, &[6, inner]).unwrap();
            let mut rec = Recorder::new(&gpu);
            let (x, d_y, choices) = (ones(inner), ones(rows), Choices::default());
            let site = Site { gpu: &gpu, choices: &choices, set: &set, params: &params, cols };
            Linear::default().dense_grad(&mut rec, site, [&x, &d_y], 64..70, &d_weight).unwrap();
            rec.finish().unwrap().replay().unwrap();
            assert_eq!(d_weight.read_f32().unwrap(), vec![8.0; 6 * inner]);
            assert_eq!(d_bias.read_f32().unwrap(), vec![7.0; rows]);
        }
    }
}
