//! The choice among the variants of the products: by measurement on the user's own device, kept per adapter and
//! driver, and written into the run's record.
//!
//! A variant says which class of device it is for: register blocks win on software adapters, tiles in workgroup memory on
//! GPUs; see docs/performance.md.

use std::collections::BTreeMap;
use std::fmt;

use super::dense;
use super::dense::Formats;
pub use super::dense::{ALL, FILL, Variant, default, fitting, read_narrow, suitable};
use super::linear::{Args, Onto};
use super::window::Window;
use crate::error::Result;
use crate::gpu::check::Check;
use crate::gpu::{Dtype, Gpu, Kernel};

/// The three products of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Forward,
    InputGrad,
    WeightGrad,
}

impl Product {
    pub const ALL: [Product; 3] = [Product::Forward, Product::InputGrad, Product::WeightGrad];
    pub fn name(self) -> &'static str {
        match self {
            Product::Forward => "forward",
            Product::InputGrad => "input_grad",
            Product::WeightGrad => "weight_grad",
        }
    }
    /// Lines of the result, and numbers of a line.
    pub(in crate::ops) fn result(self, shape: Shape) -> (usize, usize) {
        match self {
            Product::Forward => (shape.rows, shape.cols),
            Product::InputGrad => (shape.x_channels(), shape.x_cols()),
            Product::WeightGrad => (shape.rows, shape.inner),
        }
    }
}

/// The devices that a variant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Those that compute on the host's processor: few invocations, each with as much work as registers hold.
    Software,
    Gpu,
    Any,
}

impl Class {
    pub fn suits(self, software: bool) -> bool {
        match self {
            Class::Software => software,
            Class::Gpu => !software,
            Class::Any => true,
        }
    }
}

/// Outputs, inputs and columns of a product. Of a convolution an input is a tap and a channel, and a column a site of the
/// output and a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub cols: usize,
    /// Of a convolution, what it is slid over.
    pub window: Option<Window>,
    /// Of a recurrent weight, steps of a sequence. Its columns are those of all steps: the weight gradient sums over them at
    /// once, the two other products take them step by step.
    pub steps: Option<usize>,
}

impl Shape {
    pub const fn new(rows: usize, inner: usize, cols: usize) -> Self {
        Self { rows, inner, cols, window: None, steps: None }
    }
    /// What one dispatch of a product does.
    pub fn once(self, product: Product) -> Self {
        let cols = match (product, self.steps) {
            (Product::Forward | Product::InputGrad, Some(steps)) => self.cols / steps,
            _ => self.cols,
        };
        Self { cols, steps: None, ..self }
    }
    /// How often that takes place.
    pub fn times(self, product: Product) -> usize {
        self.cols / self.once(product).cols.max(1)
    }
    /// Positions of the kernel; 1 where there is none.
    pub fn taps(self) -> usize {
        self.window.map_or(1, |window| window.taps())
    }
    /// Channels of the input that a row reads.
    pub fn channels(self) -> usize {
        self.inner / self.taps()
    }
    /// Channels of the input, of all groups.
    pub fn x_channels(self) -> usize {
        self.channels() * self.window.map_or(1, |window| window.groups)
    }
    /// Columns of the input.
    pub fn x_cols(self) -> usize {
        self.window.map_or(self.cols, |window| window.x_cols(self.cols))
    }
    /// `64x288x25088`.
    fn size(self) -> String {
        format!("{}x{}x{}", self.rows, self.inner, self.cols)
    }
    /// One multiplication and one addition for every weight and column.
    pub fn flops(self) -> u64 {
        2 * (self.rows * self.inner * self.cols) as u64
    }
    pub(in crate::ops) fn args(self, relu: bool, onto: Onto) -> Args {
        Args {
            rows: self.rows as u32,
            inner: self.inner as u32,
            cols: self.cols as u32,
            relu: relu as u32,
            onto: onto as u32,
        }
    }
}

/// `64x288x25088`, and of a convolution what it is slid over, of a recurrent weight the steps.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.size())?;
        self.window.map_or(Ok(()), |window| write!(f, " {window}"))?;
        self.steps.map_or(Ok(()), |steps| write!(f, " in {steps} steps"))
    }
}

/// Every kernel of a product, dense and packed.
pub fn kernels() -> impl Iterator<Item = Kernel> {
    let packed = super::packed::variants::ALL.iter().flat_map(|variant| variant.kernels());
    ALL.iter().flat_map(Variant::kernels).chain(packed)
}

/// The names of all kernels of products and the text of their shaders, in one: a measurement holds for these alone.
pub fn inventory() -> Result<String> {
    kernels().map(|kernel| Ok(format!("{}\n{}", kernel.name(), kernel.text()?))).collect()
}

/// What a choice was made by: the least milliseconds of some repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    /// Of what was chosen.
    pub ms: f64,
    /// Of what came next, if anything did.
    pub next: Option<(String, f64)>,
}

/// Which variant does which product: from `forward 512x784x128` to a variant's name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Choices(BTreeMap<String, String>);

impl Choices {
    /// What the choice of a dense product is stored under.
    pub fn key(product: Product, shape: Shape) -> String {
        format!("{} {}", product.name(), shape.once(product))
    }

    /// Notes the fastest of some variants under a key, and the times that it was chosen by. Of equal ones it is the first.
    pub fn settle(&mut self, key: String, times: &[(&'static str, f64)]) {
        let mut order: Vec<_> = times.iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let Some((name, ms)) = order.first() else { return };
        let next = order.get(1).map_or(String::new(), |(name, ms)| format!(" {name} {ms:.6}"));
        self.set(Self::race_key(&key), format!("{ms:.6}{next}"));
        self.set(key, name.to_string());
    }
    /// The times that a choice was made by; `None` if it was not measured, or by a version that did not keep them.
    pub fn race(&self, key: &str) -> Option<Race> {
        let mut words = self.get(&Self::race_key(key))?.split(' ');
        let ms = words.next()?.parse().ok()?;
        let next = words.next().zip(words.next().and_then(|ms| ms.parse().ok()));
        Some(Race { ms, next: next.map(|(name, ms)| (name.to_string(), ms)) })
    }
    fn race_key(key: &str) -> String {
        format!("ms {key}")
    }
    /// As [`Choices::race`], of a dense product.
    pub fn dense_race(&self, product: Product, shape: Shape) -> Option<Race> {
        self.race(&Self::key(product, shape))
    }
    /// Whether the variant of a dense product was chosen and is not the fixed default.
    pub fn is_chosen(&self, gpu: &Gpu, product: Product, shape: Shape) -> bool {
        let chosen = self.0.get(&Self::key(product, shape));
        chosen.is_some_and(|name| suitable(gpu, product, shape).any(|variant| variant.name == name))
    }

    /// The plain kernels for these shapes: one sum an invocation, in one order whatever the blocks of rows.
    pub fn plain(shapes: &[Shape]) -> Choices {
        let entry =
            |(product, shape)| (Self::key(product, shape), dense::yardstick(product).name.to_string());
        let all = shapes.iter().flat_map(|&shape| Product::ALL.map(|product| (product, shape)));
        Choices(all.map(entry).collect())
    }

    /// What was chosen under a key of somebody else's.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
    /// Notes a choice under a key of somebody else's.
    pub fn set(&mut self, key: String, choice: String) {
        self.0.remove(&Self::left_key(&key));
        self.0.insert(key, choice);
    }

    /// The chosen variant, or the fixed default where none was measured.
    pub fn pick(&self, gpu: &Gpu, product: Product, shape: Shape) -> &'static Variant {
        let chosen = self.0.get(&Self::key(product, shape));
        let find = |name: &String| suitable(gpu, product, shape).find(|variant| variant.name == name);
        chosen.and_then(find).unwrap_or_else(|| default(gpu, product, shape))
    }

    /// As [`Choices::pick`]; where x is bf16, the first variant that reads it so, if the chosen one does not.
    pub fn pick_for(&self, gpu: &Gpu, product: Product, shape: Shape, narrow_x: bool) -> &'static Variant {
        let chosen = self.pick(gpu, product, shape);
        let other = || suitable(gpu, product, shape).find(|variant| variant.reads_narrow());
        if narrow_x && !chosen.reads_narrow() { other().unwrap_or(chosen) } else { chosen }
    }

    /// Whether the input gradient of these shapes, which are one weight's, can be written as bf16 by the kernel chosen for it.
    pub fn passes_narrow(&self, gpu: &Gpu, shapes: &[Shape], narrow_x: bool) -> bool {
        let x = if narrow_x { Dtype::Bf16 } else { Dtype::F32 };
        let formats = Formats { x, d_x: Dtype::Bf16 };
        let can = |shape| self.pick_for(gpu, Product::InputGrad, shape, narrow_x).has(formats);
        matches!(shapes, [shape] if shape.window.is_none() && can(*shape))
    }

    /// What is known of these shapes, however they are stored.
    pub fn only(&self, shapes: &[Shape]) -> Choices {
        let names: Vec<String> =
            shapes.iter().flat_map(|s| Product::ALL.map(|product| s.once(product).size())).collect();
        let concerns = |key: &str| key.split(' ').any(|word| names.iter().any(|name| name == word));
        Choices(self.0.iter().filter(|(key, _)| concerns(key)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }
}

/// One check a variant.
pub(super) fn checks() -> Vec<Check> {
    ALL.iter()
        .map(|variant| Check::new(variant.name, move |t, n| super::linear::check(t, n, variant)))
        .collect()
}
