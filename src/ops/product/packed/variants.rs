//! The choice among the variants of the packed products: by measurement on the user's own device.

use super::index::Index;
pub use super::table::ALL;
use super::variant::Kind;
pub use super::variant::Variant;
use super::{Form, Pattern};
use crate::gpu::Gpu;
use crate::ops::variants::{Choices, Product, Race, Shape};

/// The variants that can do a product of weights of this form on a device, with operands of that width, whatever class of
/// device they are for.
pub fn fitting(
    gpu: &Gpu,
    product: Product,
    form: Form,
    narrow: bool,
) -> impl Iterator<Item = &'static Variant> {
    let (kind, shares_lanes) = (Kind::of(form), gpu.shares_lanes());
    ALL.iter().filter(move |variant| {
        variant.product == product
            && Some(variant.kind) == kind
            && variant.narrow() == narrow
            && (shares_lanes || !variant.shares_lanes())
    })
}

/// Those of them that are for this class of devices.
pub fn suitable(
    gpu: &Gpu,
    product: Product,
    form: Form,
    narrow: bool,
) -> impl Iterator<Item = &'static Variant> {
    let software = gpu.is_software();
    fitting(gpu, product, form, narrow).filter(move |variant| variant.class.suits(software))
}

/// What a choice among variants depends on.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub form: Form,
    pub shape: Shape,
    /// Share of the weights that is kept.
    pub density: f64,
    /// Whether operands are bf16.
    pub narrow: bool,
}

/// Entries of a row on average from which on chunks of 8 waste less than they save; below it they are of 4.
const LONG_ROWS: f64 = 24.0;

impl Case {
    /// Of a pattern in a product of this shape.
    pub fn of(pattern: &Pattern, shape: Shape, narrow: bool) -> Self {
        let density = pattern.kept() as f64 / pattern.len().max(1) as f64;
        Self { form: pattern.form, shape, density, narrow }
    }

    /// What a measured choice is stored under: product, shape, form, a rounded density, and the width of operands.
    pub fn key(&self, product: Product) -> String {
        format!(
            "packed_{} {} {} 1/{}{}",
            product.name(),
            self.shape.once(product),
            self.form.name(),
            self.parts(),
            if self.narrow { " bf16" } else { "" }
        )
    }

    /// The case that a choice is known for: of this density or, if there is none, of the nearest one, the denser of two.
    fn known(&self, choices: &Choices, product: Product) -> Option<Self> {
        let around = (1..8).flat_map(|far| [2f64.powi(far), 0.5f64.powi(far)]);
        let near = std::iter::once(1.0).chain(around);
        let mut cases = near.map(|factor| Self { density: self.density * factor, ..*self });
        cases.find(|case| choices.get(&case.key(product)).is_some())
    }
    fn chosen<'a>(&self, choices: &'a Choices, product: Product) -> Option<&'a str> {
        choices.get(&self.known(choices, product)?.key(product))
    }
    /// The times that a choice was made by, and the density that they are of: near this one, if there were none for it.
    pub fn race(&self, choices: &Choices, product: Product) -> Option<(Race, f64)> {
        let known = self.known(choices, product)?;
        Some((choices.race(&known.key(product))?, 1.0 / known.parts()))
    }

    /// One over the density, rounded to a power of two.
    fn parts(&self) -> f64 {
        (1.0 / self.density.max(1e-6)).log2().round().exp2()
    }

    /// Entries that a row is split into for its weight gradient: as many as the chosen variant takes, or, where none was
    /// measured or it takes whole rows, by the length of rows.
    pub fn chunk(&self, choices: &Choices) -> usize {
        let chosen = self.chosen(choices, Product::WeightGrad);
        let variant = chosen.and_then(|name| ALL.iter().find(|variant| variant.name == name));
        let long = self.form.height() == 1 && self.density * self.shape.inner as f64 >= LONG_ROWS;
        variant.map(Variant::chunk).filter(|&chunk| chunk > 0).unwrap_or(if long { 8 } else { 4 })
    }

    /// The chosen variant, or the fixed default where none was measured, and whether it was: of those that work on whole
    /// rows or on chunks of so many entries.
    pub fn pick(
        &self,
        gpu: &Gpu,
        choices: &Choices,
        product: Product,
        chunk: usize,
    ) -> (&'static Variant, bool) {
        let fit = || {
            let all = suitable(gpu, product, self.form, self.narrow);
            all.filter(move |variant| [0, chunk].contains(&variant.chunk()))
        };
        let chosen = self.chosen(choices, product);
        let measured = chosen.and_then(|name| fit().find(|variant| variant.name == name));
        let variant = measured.or_else(|| fit().next()).expect("forms without kernels are refused");
        (variant, measured.is_some())
    }
}

/// The variant for a weight, as chosen or else the fixed default.
pub fn pick(
    choices: &Choices,
    product: Product,
    index: &Index,
    cols: usize,
    narrow: bool,
) -> &'static Variant {
    Case::of(&index.pattern, index.product(cols), narrow)
        .pick(index.starts.gpu(), choices, product, index.chunk)
        .0
}
