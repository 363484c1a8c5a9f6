//! From which density on a weight is faster packed than dense: measured, per shape and form, on the user's device.

use super::index::Index;
use super::products::{self, Packed};
use super::variants::{Case, Variant};
use super::{Form, Pattern};
use crate::error::Result;
use crate::gpu::{Dtype, Gpu, Plan, Recorder, Tensor};
use crate::ops::border::{self, Grid};
use crate::ops::linear::{self, Rows};
use crate::ops::measure::Left;
use crate::ops::narrow;
use crate::ops::variants::{Choices, Product, Shape};
use crate::random::{Stream, word};

/// Where nothing was measured.
pub const DEFAULT: f64 = 0.15;
/// Densities that are measured, from the first on until packed is faster.
pub const LADDER: [f64; 7] = [0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];
/// Blocks pay earlier.
const LADDER_OF_BLOCKS: [f64; 8] = [0.8, 0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];

/// The densities at which weights of a form are compared with dense ones.
pub fn ladder(form: Form, inner: usize) -> Vec<f64> {
    match form.per_row(inner) {
        Some(kept) => vec![kept as f64 / inner.max(1) as f64], // it is what it is
        None if form.height() > 1 => LADDER_OF_BLOCKS.to_vec(),
        None => LADDER.to_vec(),
    }
}

/// The density from which down packed and dense are compared: more is dense by choice.
pub fn densest(form: Form, inner: usize) -> f64 {
    ladder(form, inner)[0]
}

/// The products of a layer that may be packed.
#[derive(Clone, Copy, Debug)]
pub struct Products {
    pub form: Form,
    pub shape: Shape,
    /// Whether packed kernels read bf16.
    pub narrow: bool,
    /// Whether the input gradient is asked for.
    pub feeds_back: bool,
    /// Whether the dense weight gradient is computed in every step, packed or not.
    pub dense_grad: bool,
}

impl Products {
    /// What their crossover is stored under.
    fn key(self) -> String {
        let (shape, form) = (self.shape, self.form.name());
        let narrow = if self.narrow { " bf16" } else { "" };
        let first = if self.feeds_back { "" } else { " first layer" };
        let dense_grad = if self.dense_grad { " dense gradient" } else { "" };
        format!("crossover {shape} {form}{narrow}{first}{dense_grad}")
    }
    /// The density up to which such a weight is faster packed, as measured, or a guess.
    pub fn known(self, choices: &Choices) -> f64 {
        choices.get(&self.key()).and_then(|text| text.parse().ok()).unwrap_or(DEFAULT)
    }
    /// Notes that density.
    pub fn learn(self, choices: &mut Choices, density: f64) {
        choices.set(self.key(), format!("{density:.6}"));
    }
    /// Whether it can be compared with a dense weight: one that exceeds a binding would need more memory than a run without it.
    pub fn fits_dense(self, gpu: &Gpu) -> bool {
        (self.shape.rows * self.shape.inner * 4) as u64 <= gpu.limits().binding_bytes
    }
    /// Notes that there was no time to measure it.
    pub fn leave(self, choices: &mut Choices) {
        choices.leave(&self.key(), Left::Time);
    }
    /// Why it was not measured, if it was to be.
    pub fn left(self, choices: &Choices) -> Option<Left> {
        choices.left(&self.key())
    }
    /// What the choices of packed kernels at a density are stored under: of the products that are asked for.
    pub fn keys(self, density: f64) -> Vec<String> {
        self.asked().map(|product| self.case(density).key(product)).collect()
    }
    pub fn case(self, density: f64) -> Case {
        Case { form: self.form, shape: self.shape, density, narrow: self.narrow }
    }
    /// The products that are asked for.
    pub fn asked(self) -> impl Iterator<Item = Product> {
        Product::ALL.into_iter().filter(move |product| self.feeds_back || *product != Product::InputGrad)
    }
    /// Whether that was measured.
    pub fn is_known(self, choices: &Choices) -> bool {
        choices.get(&self.key()).is_some()
    }
}

/// The three products of one layer, by dense or by packed kernels.
pub struct Bench {
    x: Tensor,
    d_x: Tensor,
    y: Tensor,
    d_y: Tensor,
    bias: Tensor,
    shape: Shape,
    /// bf16 copies of x and d_y, where packed products are to read those.
    narrow: Option<[Tensor; 2]>,
}

/// Median milliseconds of forward, input gradient and weight gradient.
pub type Times = [f64; 3];

impl Bench {
    pub fn new(gpu: &Gpu, shape: Shape, narrow: bool) -> Result<Self> {
        let tensor = |name: &str, lines, cols| gpu.tensor(name, Dtype::F32, &[lines, cols]);
        let (x, d_y) =
            (tensor("x", shape.x_channels(), shape.x_cols())?, tensor("d_y", shape.rows, shape.cols)?);
        let copies = || Ok([narrow::tensor(gpu, &x)?, narrow::tensor(gpu, &d_y)?]);
        Ok(Self {
            d_x: tensor("d_x", shape.x_channels(), shape.x_cols() / shape.steps.unwrap_or(1))?,
            y: tensor("y", shape.rows, shape.once(Product::Forward).cols)?,
            bias: gpu.tensor("bias", Dtype::F32, &[shape.rows])?,
            narrow: narrow.then(copies).transpose()?,
            x,
            d_y,
            shape,
        })
    }

    /// Whether packed products read bf16.
    pub fn is_narrow(&self) -> bool {
        self.narrow.is_some()
    }

    /// Whether it is of a convolution.
    pub fn is_windowed(&self) -> bool {
        self.shape.window.is_some()
    }

    /// x and d_y, as packed products read them.
    fn operands(&self) -> [&Tensor; 2] {
        self.narrow.as_ref().map_or([&self.x, &self.d_y], |[x, d_y]| [x, d_y])
    }

    /// A pattern as it lies on a device, its rows split as is known to be best.
    pub fn index(&self, gpu: &Gpu, choices: &Choices, pattern: Pattern) -> Result<Index> {
        let chunk = Case::of(&pattern, self.shape, self.narrow.is_some()).chunk(choices);
        Index::new(gpu, "weight", pattern, self.shape.window, true, chunk)
    }

    /// What one dispatch of forward and input gradient reads of an operand: of a recurrent weight, a step.
    fn once(&self, operand: &Tensor) -> Tensor {
        let steps = self.shape.steps.unwrap_or(1);
        operand.first(&[operand.shape[0], operand.shape[1] / steps])
    }

    /// Times of the dense kernels that are chosen.
    pub fn dense(&self, gpu: &Gpu, choices: &Choices, repeats: usize) -> Result<Times> {
        let weight = gpu.tensor("weight", Dtype::F32, &[self.shape.rows, self.shape.inner])?;
        let whole = self.shape;
        let rows = || [Rows { rows: 0..whole.rows, tensor: &weight }];
        let plan = |record: &dyn Fn(&mut Recorder) -> Result<()>| recorded(gpu, record);
        let (x, y, d_x, d_y, bias) = (&self.x, &self.y, &self.d_x, &self.d_y, &self.bias);
        let (x_once, d_y_once) = (&self.once(x), &self.once(d_y));
        let [first, second, third] = Product::ALL.map(|product| whole.once(product));
        self.median_times(
            [
                plan(&|rec| linear::forward(rec, choices, first, &rows(), bias, x_once, y, true))?,
                plan(&|rec| {
                    linear::input_grad(rec, choices, second, &rows(), x_once, d_y_once, d_x, false, true)
                })?,
                plan(&|rec| linear::weight_grad(rec, choices, third, &rows(), bias, x, d_y))?,
            ],
            repeats,
        )
    }

    /// Times of the packed kernels that are chosen.
    pub fn packed(&self, gpu: &Gpu, choices: &Choices, index: &Index, repeats: usize) -> Result<Times> {
        let kept = index.pattern.kept();
        let (values, grad) =
            (gpu.tensor("values", Dtype::F32, &[kept])?, gpu.tensor("grad", Dtype::F32, &[kept])?);
        let weight = Packed { index, values: &values };
        let plan = |record: &dyn Fn(&mut Recorder) -> Result<()>| recorded(gpu, record);
        let ([x, d_y], y, d_x, bias) = (self.operands(), &self.y, &self.d_x, &self.bias);
        let (x_once, d_y_once) = (&self.once(x), &self.once(d_y));
        self.median_times(
            [
                plan(&|rec| {
                    let x = &on_grid(rec, index.grids()[0], x_once)?;
                    products::forward(rec, choices, weight, bias, x, y, true)
                })?,
                plan(&|rec| {
                    let d_y = &on_grid(rec, index.grids()[1], d_y_once)?;
                    products::input_grad(rec, choices, weight, x_once, d_y, d_x, true)
                })?,
                plan(&|rec| {
                    let x = &on_grid(rec, index.grids()[0], x)?;
                    products::weight_grad(rec, choices, index, &grad, bias, x, d_y)
                })?,
            ],
            repeats,
        )
    }

    /// Of all dispatches that a product takes.
    fn median_times(&self, plans: [Plan; 3], repeats: usize) -> Result<Times> {
        let mut all = [0.0; 3];
        for ((plan, product), median) in plans.iter().zip(Product::ALL).zip(&mut all) {
            let mut ms = plan.time(repeats)?;
            ms.sort_by(f64::total_cmp);
            *median = ms[ms.len() / 2] * self.shape.times(product) as f64;
        }
        Ok(all)
    }

    /// A product by each of some variants.
    pub fn trials(
        &self,
        gpu: &Gpu,
        product: Product,
        pattern: &Pattern,
        variants: &[&'static Variant],
    ) -> Result<Vec<Plan>> {
        let kept = pattern.kept();
        let (values, grad) =
            (gpu.tensor("values", Dtype::F32, &[kept])?, gpu.tensor("grad", Dtype::F32, &[kept])?);
        let ([x, d_y], y, d_x, bias) = (self.operands(), &self.y, &self.d_x, &self.bias);
        let (x_once, d_y_once) = (&self.once(x), &self.once(d_y));
        let mut all = Vec::new();
        let mut index = Index::new(gpu, "weight", pattern.clone(), self.shape.window, true, 4)?;
        for variant in variants {
            if ![0, index.chunk].contains(&variant.chunk()) {
                index = Index::new(gpu, "weight", pattern.clone(), self.shape.window, true, variant.chunk())?;
            }
            let weight = Packed { index: &index, values: &values };
            let mut rec = Recorder::new(gpu);
            let [x_grid, d_y_grid] = index.grids();
            match product {
                Product::Forward => {
                    let x = &on_grid(&mut rec, x_grid, x_once)?;
                    products::forward_by(&mut rec, variant, weight, bias, x, y, true)
                }
                Product::InputGrad => {
                    let d_y = &on_grid(&mut rec, d_y_grid, d_y_once)?;
                    products::input_grad_by(&mut rec, variant, weight, x_once, d_y, d_x, true)
                }
                Product::WeightGrad => {
                    let x = &on_grid(&mut rec, x_grid, x)?;
                    products::weight_grad_by(&mut rec, variant, &index, &grad, bias, x, d_y)
                }
            }?;
            all.push(rec);
        }
        Recorder::finish_all(all)
    }
}

/// What packed kernels are timed on: a pattern of about this density, of pseudo-random indices, uneven as those of trained
/// weights are.
pub fn pattern(form: Form, shape: Shape, density: f64) -> Pattern {
    let (heads, inner) = (shape.rows / form.height(), shape.inner);
    let random = |number: u32, index: usize| word(1, Stream::Synthetic, number, 1, index as u32);
    let indices: Vec<u32> = match form {
        Form::Groups { keep, of } => {
            (0..heads * inner).filter(|index| (index % inner) % of < keep).map(|index| index as u32).collect()
        }
        _ => {
            let shares = |count: usize, number: u32| -> Vec<f64> {
                (0..count).map(|line| share(random(number, line))).collect()
            };
            let (rows, inputs) = (shares(heads, 1), shares(inner, 2));
            let scale = scale(density);
            let below = |index: usize| rows[index / inner] * inputs[index % inner] * scale;
            let kept = |&index: &usize| (random(0, index) as f64) < below(index) * 2f64.powi(32);
            (0..heads * inner).filter(kept).map(|index| index as u32).collect()
        }
    };
    Pattern::from_indices(form, shape.rows, inner, &indices)
}

/// How much more than the average a row or an input keeps, by a random number: an eighth of them four times as much, half
/// of them a quarter. Trained masks are as uneven: docs/performance.md.
fn share(random: u32) -> f64 {
    SHARES[match random >> 29 {
        0 => 0,
        1..4 => 1,
        _ => 2,
    }]
    .1
}

/// How many of the lines, and how much of the average each of them keeps.
const SHARES: [(f64, f64); 3] = [(0.125, 4.0), (0.375, 1.0), (0.5, 0.25)];

/// By what to scale the product of two shares, where none can exceed 1, so that `density` is kept.
fn scale(density: f64) -> f64 {
    let kept = |scale: f64| -> f64 {
        let pairs = SHARES.iter().flat_map(|row| SHARES.iter().map(move |input| (row, input)));
        pairs.map(|(row, input)| row.0 * input.0 * (scale * row.1 * input.1).min(1.0)).sum()
    };
    let (mut low, mut high) = (0.0, 16.0); // where even those that keep the least keep all
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if kept(middle) < density { low = middle } else { high = middle }
    }
    high
}

/// Records the copy of x to its grid, if products read that.
fn on_grid(rec: &mut Recorder, grid: Option<Grid>, x: &Tensor) -> Result<Tensor> {
    let Some(grid) = grid else { return Ok(x.clone()) };
    let y = grid.tensor(&rec.gpu, x)?;
    border::record(rec, grid, x, &y)?;
    Ok(y)
}

fn recorded(gpu: &Gpu, record: &dyn Fn(&mut Recorder) -> Result<()>) -> Result<Plan> {
    let mut rec = Recorder::new(gpu);
    record(&mut rec)?;
    rec.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_as_dense_as_asked_and_uneven() {
        for form in [Form::Free, Form::Block { height: 8 }] {
            for density in LADDER {
                let pattern = pattern(form, Shape::new(1024, 784, 128), density);
                let mean = density * 784.0;
                let kept = pattern.entries() as f64 / pattern.heads() as f64;
                assert!((kept / mean - 1.0).abs() < 0.15, "{form:?} {density}: {kept} of {mean}");
                let rows = || (0..pattern.heads()).map(|row| pattern.row(row).len() as f64);
                let (most, least) = (rows().fold(0.0, f64::max), rows().fold(f64::MAX, f64::min));
                assert!(
                    most > 1.5 * mean && least < 0.5 * mean,
                    "{form:?} {density}: {least}..{most} of {mean}"
                );
            }
        }
    }

    #[test]
    fn a_dense_pattern_keeps_everything() {
        assert_eq!(scale(1.0), 16.0);
        assert!((scale(0.01) - 0.01).abs() < 1e-9); // where none is cut off, shares average 1
    }
}
