//! Layers and models: forward and backward in one file.

use crate::error::{Error, Result};
use crate::gpu::{Dtype, Gpu, Phase, Recorder, Tensor};
use crate::ops::narrow;
use crate::ops::variants::{Choices, Shape};
use crate::param::Param;
use crate::recipe;

pub mod layer;
mod linear;
mod operand;
mod relu;

use layer::{Context, Layer, Reads};
pub use operand::Operand;

/// A sequence of layers from features to classes.
pub struct Model {
    layers: Vec<Box<dyn Layer>>,
    pub features: usize,
    pub classes: usize,
}

/// The activations of one batch: `values[0]` is the batch, `values[i + 1]` the output of layer i.
pub struct Activations {
    pub values: Vec<Tensor>,
    /// bf16 copies, where products are to read those: of all `values`, or of none.
    narrow: Vec<Tensor>,
}

/// The gradients of one batch's activations, but for the batch's own: `values[i]` is that of the output of layer i.
pub struct Gradients {
    pub values: Vec<Tensor>,
    narrow: Vec<Tensor>,
}

impl Gradients {
    pub fn logits(&self) -> &Tensor {
        self.values.last().expect("a model has layers")
    }
    fn operand(&self, index: usize) -> Operand<'_> {
        Operand { wide: &self.values[index], narrow: self.narrow.get(index) }
    }
}

impl Activations {
    pub fn logits(&self) -> &Tensor {
        self.values.last().expect("a model has an input")
    }
    fn operand(&self, index: usize) -> Operand<'_> {
        Operand { wide: &self.values[index], narrow: self.narrow.get(index) }
    }
}

/// Which numbers activations and gradients have left when a pass is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// All as f32, for what reads them afterwards; bf16 copies beside them where products read those.
    Wide,
    /// Those that products read as bf16 as nothing else.
    Narrow,
}

/// Records the bf16 copy of an operand, if there is to be one.
fn copy(rec: &mut Recorder, operand: Operand) -> Result<()> {
    operand.narrow.map_or(Ok(()), |narrow| narrow::record(rec, operand.wide, narrow))
}

impl Model {
    /// Builds the layers; their initial weights are a function of `seed`. Parameters have no memory yet.
    ///
    /// # Errors
    /// `Kind::Usage` for an unknown layer or key, or where the last layer is not as wide as there are classes.
    pub fn new(recipe: &recipe::Model, features: usize, classes: usize, seed: u64) -> Result<Self> {
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        let mut width = features;
        let mut params = 0;
        for (index, spec) in specs(recipe, classes).iter().enumerate() {
            let entry = layer::find(spec)?;
            let settings = layer::settings(spec)?;
            let name = spec.name.clone().unwrap_or_else(|| format!("{}{index}", entry.name));
            let context = Context { name: &name, inputs: width, seed, first_param: params };
            let layer = (entry.build)(&context, &settings)?;
            width = layer.outputs();
            params += layer.params().len() as u32;
            layers.push(layer);
        }
        if width != classes {
            return Err(Error::usage(format!(
                "the last layer has {width} outputs; the data has {classes} classes"
            ))
            .hint(format!("a last [[model.layer]] of type \"linear\" with out = {classes}")));
        }
        let mut layers = fuse(layers);
        // Nobody asks for the gradient of the batch.
        if let Some(first) = layers.first_mut() {
            first.params_mut().into_iter().for_each(|param| param.feeds_back = false);
        }
        Ok(Self { layers, features, classes })
    }

    /// All parameters, from the input to the output.
    pub fn params(&self) -> Vec<&Param> {
        self.layers.iter().flat_map(|layer| layer.params()).collect()
    }
    pub fn params_mut(&mut self) -> Vec<&mut Param> {
        self.layers.iter_mut().flat_map(|layer| layer.params_mut()).collect()
    }
    /// The layers that have parameters, from the input to the output.
    pub fn learners(&self) -> impl Iterator<Item = &dyn Layer> {
        self.layers.iter().map(|layer| &**layer).filter(|layer| !layer.params().is_empty())
    }
    pub fn learners_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Layer>> {
        self.layers.iter_mut().filter(|layer| !layer.params().is_empty())
    }
    /// The dense products of one step with `cols` columns.
    pub fn products(&self, cols: usize) -> Vec<Shape> {
        self.layers.iter().flat_map(|layer| layer.products(cols)).collect()
    }

    /// Tensors for the activations of a batch of `cols` columns, with bf16 copies if `narrow`: `cols` is then a
    /// multiple of 8.
    pub fn activations(&self, gpu: &Gpu, cols: usize, narrow: bool) -> Result<Activations> {
        let mut values = vec![gpu.tensor("batch", Dtype::F32, &[self.features, cols])?];
        for layer in &self.layers {
            values.push(gpu.tensor(
                &format!("{}.out", layer.name()),
                Dtype::F32,
                &[layer.outputs(), cols],
            )?);
        }
        Ok(Activations { narrow: copies(gpu, &values, narrow)?, values })
    }

    /// Where a batch is to be written: the first layer's input. `writes_narrow` says whether it can be written as bf16.
    pub fn input<'a>(&self, a: &'a Activations, leave: Leave, writes_narrow: bool) -> Operand<'a> {
        let narrow = leave == Leave::Narrow && writes_narrow && self.reads(a, 0).x;
        a.operand(0).only(narrow)
    }

    /// What layer `index` reads as bf16 where there are copies: the same whatever is to be left, so that no number depends on
    /// that. Nor does one depend on how a data set is stored: a batch, which some cannot write as bf16, is not offered.
    fn reads(&self, a: &Activations, index: usize) -> Reads {
        let Some(layer) = self.layers.get(index) else { return Reads::default() };
        let is_written = index.checked_sub(1).is_some_and(|before| self.layers[before].writes_narrow());
        layer.reads_narrow(a.logits().gpu(), a.logits().shape[1], is_written)
    }

    /// Whether the products of the layer of this parameter read its input as bf16.
    pub fn reads_narrow(&self, a: &Activations, param: &str) -> bool {
        let owns = |layer: &dyn Layer| layer.params().iter().any(|own| own.name == param);
        let index = self.layers.iter().position(|layer| owns(&**layer));
        !a.narrow.is_empty() && index.is_some_and(|index| self.reads(a, index).x)
    }

    /// Records the forward pass from `x`, where the batch was written (see [`Model::input`]), to `a.logits()`.
    pub fn forward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        a: &Activations,
        x: Operand,
        leave: Leave,
    ) -> Result<()> {
        rec.phase(Phase::Forward);
        let (mut written, mut reads) = (x, self.reads(a, 0));
        for (index, layer) in self.layers.iter().enumerate() {
            rec.scope(layer.name());
            let x = a.operand(index).only(reads.x);
            if written.narrow.is_none() {
                copy(rec, x)?;
            }
            // As bf16 alone, if both can and nothing else is to be left.
            reads = self.reads(a, index + 1);
            written = a.operand(index + 1).only(leave == Leave::Narrow && layer.writes_narrow() && reads.x);
            layer.forward(rec, choices, x, written)?;
        }
        Ok(())
    }

    /// Tensors for the gradients of a batch's activations, with bf16 copies if `narrow`. Each is needed for one layer only, so that two take turns, unless `all` are to be kept.
    pub fn gradients(&self, gpu: &Gpu, cols: usize, all: bool, narrow: bool) -> Result<Gradients> {
        let last = self.layers.len().saturating_sub(1);
        let hidden = &self.layers[..last];
        let tensor = |name: &str, rows: usize| gpu.tensor(name, Dtype::F32, &[rows, cols]);
        let widest = hidden.iter().map(|layer| layer.outputs()).max().unwrap_or(0);
        let turns: Vec<Tensor> = (0..if all { 0 } else { hidden.len().min(2) })
            .map(|turn| tensor(&format!("d_activation {turn}"), widest))
            .collect::<Result<_>>()?;
        let mut gradients = Vec::new();
        for (index, layer) in hidden.iter().enumerate() {
            gradients.push(match turns.len() {
                0 => tensor(&format!("{}.d_out", layer.name()), layer.outputs())?,
                // The first layer's in the second, and so on.
                turns_len => turns[(index + 1) % turns_len].rows(0..layer.outputs()),
            });
        }
        if let Some(layer) = self.layers.last() {
            gradients.push(tensor("d_logits", layer.outputs())?);
        }
        Ok(Gradients { narrow: copies(gpu, &gradients, narrow)?, values: gradients })
    }

    /// Records the backward pass from the last of `d`, which the loss has written: every parameter's gradient. It ends
    /// at the lowest layer that is not frozen, whose input needs none.
    pub fn backward(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        a: &Activations,
        d: &Gradients,
        leave: Leave,
    ) -> Result<()> {
        let lowest = self.lowest(|param| !param.frozen);
        self.backward_through(rec, choices, a, d, lowest..self.layers.len(), leave)
    }

    /// Records what [`Model::backward`] has left out, to go on from where it ended: the gradients of frozen parameters.
    /// Those of the lowest layer that is not frozen are computed once more. Both leave f32.
    pub fn backward_frozen(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        a: &Activations,
        d: &Gradients,
    ) -> Result<()> {
        let (first, lowest) = (self.lowest(|_| true), self.lowest(|param| !param.frozen));
        self.backward_through(rec, choices, a, d, first..(lowest + 1).min(self.layers.len()), Leave::Wide)
    }

    /// The lowest layer with such a parameter; as many as there are layers if none has.
    fn lowest(&self, of: impl Fn(&Param) -> bool) -> usize {
        let found = self.layers.iter().position(|layer| layer.params().into_iter().any(&of));
        found.unwrap_or(self.layers.len())
    }

    fn backward_through(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        a: &Activations,
        d: &Gradients,
        layers: std::ops::Range<usize>,
        leave: Leave,
    ) -> Result<()> {
        rec.phase(Phase::Backward);
        let lowest = layers.start;
        let mut is_narrow = false; // the gradient that is passed on
        for index in layers.rev() {
            let layer = &self.layers[index];
            rec.scope(layer.name());
            let reads = self.reads(a, index);
            let (x, d_y) = (a.operand(index).only(reads.x), d.operand(index).only(reads.d_y));
            if !is_narrow {
                copy(rec, d_y)?;
            }
            let d_x = (index > lowest).then(|| {
                let reads = self.reads(a, index - 1);
                d.operand(index - 1).only(leave == Leave::Narrow && layer.passes_narrow() && reads.d_y)
            });
            is_narrow = d_x.is_some_and(|d_x| d_x.narrow.is_some());
            layer.backward(rec, choices, x, &a.values[index + 1], d_y, d_x)?;
        }
        Ok(())
    }

    /// Records the gradient of some rows of a parameter, also where nothing is kept, after a backward pass whose
    /// gradients `d` were all kept. `param` counts all parameters, as [`Model::params`] lists them.
    #[allow(clippy::too_many_arguments)] // a whole backward pass stands behind it
    pub fn dense_grad(
        &self,
        rec: &mut Recorder,
        choices: &Choices,
        a: &Activations,
        d: &Gradients,
        param: usize,
        rows: std::ops::Range<usize>,
        d_weight: &Tensor,
    ) -> Result<()> {
        let mut first = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            let own = layer.params().len();
            if param < first + own {
                return layer.dense_grad(rec, choices, &a.values[index], &d.values[index], rows, d_weight);
            }
            first += own;
        }
        Err(Error::internal(format!("there is no parameter {param}")))
    }
}

/// Room for bf16 copies, if there are to be any.
fn copies(gpu: &Gpu, values: &[Tensor], narrow: bool) -> Result<Vec<Tensor>> {
    let wanted = if narrow { values } else { &[] };
    wanted.iter().map(|value| narrow::tensor(gpu, value)).collect()
}

/// The list of layers that a recipe means.
fn specs(recipe: &recipe::Model, classes: usize) -> Vec<recipe::Layer> {
    let linear = |name: String, out: usize| recipe::Layer {
        kind: "linear".into(),
        name: Some(name),
        settings: toml::Table::from_iter([("out".to_string(), toml::Value::Integer(out as i64))]).into(),
    };
    match recipe {
        recipe::Model::Layers(layers) => layers.clone(),
        recipe::Model::Mlp { hidden, activation } => {
            let mut all = Vec::new();
            for (index, &out) in hidden.iter().enumerate() {
                all.push(linear(format!("fc{}", index + 1), out as usize));
                let name = Some(format!("act{}", index + 1));
                all.push(recipe::Layer { kind: activation.clone(), name, settings: Default::default() });
            }
            all.push(linear("head".into(), classes));
            all
        }
    }
}

/// Lets a layer do its successor's work where both can: linear, ReLU and a layer that knows that its input
/// is rectified become two instead of three.
fn fuse(layers: Vec<Box<dyn Layer>>) -> Vec<Box<dyn Layer>> {
    let mut fused: Vec<Box<dyn Layer>> = Vec::new();
    let mut rest = layers.into_iter().peekable();
    while let Some(layer) = rest.next() {
        let next_knows = rest.peek().is_some_and(|next| next.takes_rectified_input());
        let absorbed =
            layer.is_relu() && next_knows && fused.last_mut().is_some_and(|before| before.rectify_output());
        match rest.peek_mut() {
            Some(next) if absorbed => next.set_rectified_input(),
            _ => fused.push(layer),
        }
    }
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Choice;
    use crate::ops::packed::{Form, Pattern};
    use crate::ops::variants::Product;

    /// What a pass left of a model of two packed layers and a dense one: logits, all gradients, and the outputs of the packed
    /// layers as f32. The dense one has so many inputs.
    fn pass(gpu: &Gpu, choices: &Choices, leave: Leave, inner: u32) -> [Vec<f32>; 4] {
        let (features, classes, cols) = (20, 4, 16);
        let mlp = recipe::Model::Mlp { hidden: vec![24, inner], activation: "relu".into() };
        let mut model = Model::new(&mlp, features, classes, 5).unwrap();
        for param in model.params_mut() {
            if ["fc1.weight", "fc2.weight"].contains(&param.name.as_str()) {
                let places: Vec<u32> = (0..param.len() as u32).filter(|i| i % 3 == 0).collect();
                let pattern = Pattern::from_places(Form::Free, param.shape[0], param.shape[1], &places);
                param.allocate_packed(gpu, pattern).unwrap();
            } else {
                param.allocate(gpu).unwrap();
            }
            let value = |i: usize| ((i * 37 + param.len()) % 101) as f32 / 101.0 - 0.5;
            param.write(&(0..param.len()).map(value).collect::<Vec<_>>()).unwrap();
        }
        let a = model.activations(gpu, cols, true).unwrap();
        let d = model.gradients(gpu, cols, true, true).unwrap();
        let numbers = |len: usize| (0..len).map(|i| ((i * 53) % 97) as f32 / 97.0 - 0.4).collect::<Vec<_>>();
        let batch = gpu.upload_f32("samples", &[features, cols], &numbers(features * cols)).unwrap();
        d.logits().write(&numbers(classes * cols)).unwrap();
        let mut rec = Recorder::new(gpu);
        let x = model.input(&a, leave, true);
        match x.narrow {
            Some(narrow) => narrow::record(&mut rec, &batch, narrow).unwrap(),
            None => a.values[0].write(&numbers(features * cols)).unwrap(),
        }
        model.forward(&mut rec, choices, &a, x, leave).unwrap();
        model.backward(&mut rec, choices, &a, &d, leave).unwrap();
        rec.finish().unwrap().replay().unwrap();
        let grads = model.params().into_iter().flat_map(|p| p.blocks[0].grad.read_f32().unwrap()).collect();
        let [logits, first, second] = [3, 1, 2].map(|index: usize| a.values[index].read_f32().unwrap());
        [logits, grads, first, second]
    }

    #[test]
    fn no_bit_depends_on_what_is_left() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let [wide, narrow] =
                [Leave::Wide, Leave::Narrow].map(|leave| pass(&gpu, &Choices::default(), leave, 12));
            assert!(wide[1].iter().filter(|g| **g != 0.0).count() > 100, "{:?}", wide[1]);
            assert_eq!(wide[..2], narrow[..2]);
            for output in 2..4 {
                assert!(wide[output].iter().any(|&y| y > 0.0));
                assert!(narrow[output].iter().all(|&y| y == 0.0), "f32 was written, which nobody reads");
            }
        }
    }

    #[test]
    fn which_kernels_are_the_fastest_does_not_decide_what_is_bf16() {
        let gpu = Gpu::open(&Choice::Auto).unwrap();
        for product in Product::ALL {
            let mut choices = Choices::default();
            choices.set(format!("{} 4x12x16", product.name()), format!("{}/plain", product.name()));
            let [wide, narrow] = [Leave::Wide, Leave::Narrow].map(|leave| pass(&gpu, &choices, leave, 12));
            assert_eq!(wide[..2], narrow[..2]);
            assert!(narrow[3].iter().all(|&y| y == 0.0), "fc2 writes bf16 for the head");
        }
    }

    /// Inputs that are no multiple of four: there are no kernels for it.
    #[test]
    fn a_dense_layer_that_cannot_read_bf16_is_written_f32() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let [wide, narrow] =
                [Leave::Wide, Leave::Narrow].map(|leave| pass(&gpu, &Choices::default(), leave, 10));
            assert_eq!(wide[..2], narrow[..2]);
            assert!(narrow[2].iter().all(|&y| y == 0.0), "fc1 writes for fc2, which is packed");
            assert!(narrow[3].iter().any(|&y| y > 0.0));
            assert_eq!(narrow[3], wide[3], "fc2 writes f32 for the head");
        }
    }
}
