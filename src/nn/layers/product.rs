//! `y = weight x + bias`, rectified if a ReLU follows it: what linear layers and convolutions compute.

use std::ops::Range;

use super::super::coupling::{Passing, left};
use super::super::extent::Extent;
use super::super::layer::{Backward, Extra, Held, Layer, Needs, Reads, Rectifies, Site};
use super::super::reach;
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::border::{self, Grid};
use crate::ops::linear::{self, Rows};
use crate::ops::packed::Index;
use crate::ops::packed::products::{self, Packed};
use crate::ops::variants::{self, Shape};
use crate::ops::window::Window;
use crate::param::{Param, ParamId, ParamSet, Segment};

/// A layer whose first parameter is a weight (out, taps.., channels), and whose second, if there is one, a bias (out,).
pub struct Product {
    /// What it reads, of one sample.
    input: Extent,
    /// What it is slid over; a linear layer is not.
    window: Option<Window>,
    /// Whether a linear layer takes each step of a sequence by itself. Otherwise it reads all sites as features.
    by_step: bool,
    relu: bool,
    rectifies_input_grad: bool,
}

/// One tensor of each of a weight's segments.
pub(super) fn rows<'a>(segments: &'a [Segment], of: impl IntoIterator<Item = &'a Tensor>) -> Vec<Rows<'a>> {
    segments.iter().zip(of).map(|(segment, tensor)| Rows { rows: segment.rows.clone(), tensor }).collect()
}

impl Product {
    /// A layer that reads values of this extent.
    pub fn new(input: &Extent, window: Option<Window>) -> Self {
        Self { input: input.clone(), window, by_step: false, relu: false, rectifies_input_grad: false }
    }
    /// A layer that takes each step of sequences of this extent by itself.
    pub fn by_step(input: &Extent) -> Self {
        Self { by_step: true, ..Self::new(input, None) }
    }
    /// The product for so many samples: of a weight that another layer has, too, perhaps at other sites.
    fn whole(&self, weight: &Param, batch: usize) -> Shape {
        let shape = weight.product(batch);
        let sites = if self.by_step { self.input.cols(1) } else { 1 };
        if self.window.is_some() { shape } else { Shape { cols: sites * batch, ..shape } }
    }
    /// A tensor of the input's extent as the product reads it.
    fn seen(&self, whole: Shape, x: &Tensor) -> Tensor {
        x.first(&[whole.x_channels(), whole.x_cols()])
    }
}

/// Numbers of the layer's extras.
const X_FORWARD: usize = 0;
const X_BACKWARD: usize = 1;
const D_Y: usize = 2;

/// Records the copy of an image to its grid, where products read that.
fn on_grid<'a>(
    rec: &mut Recorder,
    grid: Option<Grid>,
    x: &Tensor,
    to: impl Fn() -> &'a Tensor,
) -> Result<Tensor> {
    let Some(grid) = grid else { return Ok(x.clone()) };
    let y = to().lend(x.dtype(), &grid.shape(&x.shape));
    border::record(rec, grid, x, &y)?;
    Ok(y)
}

/// Numbers that stand for a bias that a layer does not have, or take its gradient.
pub(super) fn unused_bias(rec: &Recorder, rows: usize) -> Result<Tensor> {
    rec.gpu.upload_f32("no bias", &[rows], &vec![0.0; rows])
}

/// The weight, where only what is kept of it exists.
pub(super) fn packed(weight: &Param) -> Option<Packed<'_>> {
    let packed = weight.packed()?;
    Some(Packed { index: &packed.index, values: &weight.segments[0].weight })
}

impl<'a> Site<'a> {
    fn weight(&self) -> &'a Param {
        &self.set[self.params[0]]
    }
    fn bias(&self, rec: &Recorder) -> Result<Tensor> {
        match self.params.get(1) {
            Some(&bias) => Ok(self.set[bias].segments[0].weight.clone()),
            None => unused_bias(rec, self.weight().matrix().rows),
        }
    }
}

impl Layer for Product {
    fn products(&self, set: &ParamSet, params: &[ParamId], batch: usize) -> Vec<Shape> {
        let weight = &set[params[0]];
        let whole = self.whole(weight, batch);
        let step = weight.segments.first().map_or(whole.rows, |segment| segment.rows.len()).max(1);
        let of = |begin| Shape { rows: step.min(whole.rows - begin), ..whole };
        (0..whole.rows).step_by(step).map(of).collect()
    }

    /// The grids that packed products of a convolution read.
    fn extras(&self, site: Site) -> Vec<Extra> {
        let (whole, index) =
            (self.whole(site.weight(), site.batch), site.weight().packed().map(|packed| &packed.index));
        let [x_grid, d_y_grid] = index.map_or([None, None], Index::grids);
        let extra = |grid: Option<Grid>, shape: [usize; 2], held| {
            let shape = grid.map_or(vec![0, 0], |grid| grid.shape(&shape).to_vec());
            Extra { dtype: Dtype::F32, shape, held }
        };
        let x = [whole.x_channels(), whole.x_cols()];
        if [x_grid, d_y_grid] == [None, None] {
            return Vec::new();
        }
        vec![
            extra(x_grid, x, Held::Forward),
            extra(x_grid, x, Held::Backward),
            extra(d_y_grid, [whole.rows, whole.cols], Held::Backward),
        ]
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let (weight, bias, whole, choices) =
            (site.weight(), &site.bias(rec)?, self.whole(site.weight(), site.batch), site.choices);
        let x = &self.seen(whole, x[0]);
        match packed(weight) {
            Some(weight) => {
                let x = &on_grid(rec, weight.index.grids()[0], x, || site.extra(X_FORWARD))?;
                products::forward(rec, choices, weight, bias, x, y, self.relu)
            }
            None => {
                let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
                linear::forward(rec, choices, whole, &weight, bias, x, y, self.relu)
            }
        }
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let (weight, whole, choices, d_y) =
            (site.weight(), self.whole(site.weight(), site.batch), site.choices, pass.d_y);
        let x = &self.seen(whole, pass.x[0]);
        let d_x = pass.d_x[0].map(|d_x| (self.seen(whole, d_x.to), d_x.adds));
        let grads = pass.grads.map(|grads| -> Result<_> {
            let d_bias =
                grads.get(1).map_or_else(|| unused_bias(rec, whole.rows), |bias| Ok(bias[0].clone()))?;
            Ok((&grads[0], d_bias))
        });
        let grads = grads.transpose()?;
        if let Some(weight) = packed(weight) {
            let [x_grid, d_y_grid] = weight.index.grids();
            if let Some((d_x, _)) = &d_x {
                let d_y = &on_grid(rec, d_y_grid, d_y, || site.extra(D_Y))?;
                products::input_grad(rec, choices, weight, x, d_y, d_x, self.rectifies_input_grad)?;
            }
            let Some((d_weight, d_bias)) = grads else { return Ok(()) };
            let x = &on_grid(rec, x_grid, x, || site.extra(X_BACKWARD))?;
            return products::weight_grad(rec, choices, weight.index, &d_weight[0], &d_bias, x, d_y);
        }
        if let Some((d_weight, d_bias)) = grads {
            linear::weight_grad(rec, choices, whole, &rows(&weight.segments, d_weight), &d_bias, x, d_y)?;
        }
        let Some((d_x, adds)) = d_x else { return Ok(()) };
        let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
        linear::input_grad(rec, choices, whole, &weight, x, d_y, &d_x, adds, self.rectifies_input_grad)
    }

    fn reach(&self, inputs: &[&[bool]], masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        // A row of the weight has all channels of each tap, or all sites of each channel.
        let sites = if self.by_step { 1 } else { self.input.cols(1) };
        let (sites, cut) = self.window.map_or((sites, [1, 1]), |window| (1, [window.taps(), window.groups]));
        let numbers: Vec<bool> =
            inputs[0].iter().flat_map(|&channel| std::iter::repeat_n(channel, sites)).collect();
        reach::through(&numbers, cut, masks[0], channels)
    }
    fn passing(&self) -> Passing {
        match self.window {
            Some(window) => Passing::Weighed { groups: window.groups, taps: window.taps(), sites: 1 },
            None if self.by_step => Passing::Weighed { groups: 1, taps: 1, sites: 1 },
            None => Passing::Weighed { groups: 1, taps: 1, sites: self.input.cols(1) },
        }
    }
    fn narrowed(&self, _: &[Vec<bool>], output: &[bool]) -> Vec<(&'static str, usize)> {
        let out = left(output);
        let groups = self.window.map(|window| window.groups).filter(|&groups| groups > 1);
        // Groups go whole: as many outputs are left of each as there were.
        let groups = groups.map(|groups| ("groups", out * groups / output.len()));
        std::iter::once(("out", out)).chain(groups).collect()
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
        (_, rows): (usize, Range<usize>),
        d_weight: &Tensor,
    ) -> Result<()> {
        let whole = self.whole(site.weight(), site.batch);
        linear::weight_grad_rows(rec, site.choices, whole, rows, d_weight, &self.seen(whole, x), d_y)
    }

    /// Dense products gain too little by bf16 to be worth a copy of their own.
    fn reads_narrow(&self, site: Site, is_written: bool) -> Reads {
        let weight = site.weight();
        if weight.packed().is_some() {
            return Reads { x: true, d_y: true };
        }
        let products = self.products(site.set, site.params, site.batch);
        let can = || variants::read_narrow(site.gpu, &products, weight.feeds_back);
        Reads { x: is_written && can(), d_y: false }
    }
    fn writes_narrow(&self, site: Site) -> bool {
        site.weight().packed().is_some()
    }
    fn passes_narrow(&self, site: Site, reads: Reads) -> bool {
        let products = self.products(site.set, site.params, site.batch);
        site.weight().packed().is_some() || site.choices.passes_narrow(site.gpu, &products, reads.x)
    }
    /// A linear layer reads all sites of an image as features.
    fn read_image(&mut self, image: &Extent) -> bool {
        let reads = self.window.is_none() && !self.by_step && self.input.numbers() == image.numbers();
        if reads {
            self.input = image.clone();
        }
        reads
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
    use crate::gpu::{Choice, Gpu};
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
            let site = Site {
                gpu: &gpu,
                choices: &choices,
                set: &set,
                params: &params,
                batch: cols,
                cols,
                during: None,
            };
            Product::new(&Extent::features(inner), None)
                .dense_grad(&mut rec, site, [&x, &d_y], (0, 64..70), &d_weight)
                .unwrap();
            rec.finish().unwrap().replay().unwrap();
            assert_eq!(d_weight.read_f32().unwrap(), vec![8.0; 6 * inner]);
            assert_eq!(d_bias.read_f32().unwrap(), vec![7.0; rows]);
        }
    }
}
