//! A model from its description: names are resolved, extents inferred, and what makes no network is refused.

use std::collections::HashMap;

use toml::Value as Toml;

use super::extent::Extent;
use super::graph::{DATA, PLAIN};
use super::layer::{self, Context, Layer};
use super::model::{Head, Model, Node, Value, ValueId};
use super::{fuse, presets};
use crate::error::{Error, Result};
use crate::param::{ParamId, ParamSet};
use crate::recipe::{self, Network};

impl Model {
    /// Builds the layers; their initial weights are a function of `seed`. Parameters have no memory yet.
    ///
    /// # Errors
    /// `Kind::Usage` for an unknown layer, key or name, for extents that do not fit, for a layer whose output nobody reads,
    /// and where an output is not as wide as there are classes.
    pub fn new(recipe: &recipe::Model, input: Extent, classes: usize, seed: u64) -> Result<Self> {
        Self::of(recipe, input, classes, seed, None)
    }

    /// As [`Model::new`], for samples of so many steps that are passed through one step at a time: values have one step, and
    /// layers carry what they need of those before. `step.first` is the number of the step.
    ///
    /// # Errors
    /// `Kind::Usage`, too, for a layer that looks at later steps.
    pub fn stepwise(recipe: &recipe::Model, whole: &Extent, classes: usize, seed: u64) -> Result<Self> {
        let steps = whole.cols(1);
        let one = Extent { sites: vec![1], ..whole.clone() };
        let model = Self::of(recipe, one, classes, seed, Some(steps))?;
        match model.nodes.iter().find(|node| node.layer.looks_ahead()) {
            Some(node) => Err(Error::usage(format!("layer `{}` looks at later steps", node.name))
                .at("what is written step by step has none yet")
                .hint("attention with causal = true, and no layer with reverse = true")),
            None => Ok(model),
        }
    }

    fn of(
        recipe: &recipe::Model,
        input: Extent,
        classes: usize,
        seed: u64,
        stepwise: Option<usize>,
    ) -> Result<Self> {
        let network = presets::network(recipe, &input, classes)?;
        let mut names = Names::new(&network)?;
        let mut model = Model {
            nodes: Vec::new(),
            values: vec![Value { producer: None, extent: input.clone(), is_gated: false }],
            plain: None,
            heads: Vec::new(),
            params: ParamSet::default(),
            input,
            classes,
        };
        for (index, spec) in network.layers.iter().enumerate() {
            let inputs = names.inputs(&network, index)?;
            model.add(&names, spec, index, inputs, (seed, stepwise))?;
            names.made = index + 1;
        }
        if model.nodes.iter().any(|node| node.inputs.contains(&names.plain())) {
            model.plain = Some(model.values.len());
            model.values.push(Value { producer: None, extent: model.input.clone(), is_gated: false });
        }
        model.heads = heads(&model, &names, &network)?;
        model.check_read(&names, &network)?;
        fuse::flattens(&mut model);
        fuse::relus(&mut model);
        model.place_params();
        Ok(model)
    }

    fn add(
        &mut self,
        names: &Names,
        spec: &recipe::Layer,
        index: usize,
        inputs: Vec<ValueId>,
        (seed, stepwise): (u64, Option<usize>),
    ) -> Result<()> {
        let (entry, settings) = (layer::find(spec)?, layer::settings(spec)?);
        let extents: Vec<(String, Extent)> = inputs
            .iter()
            .map(|&value| {
                // The plain batch comes after all layers, and has the extent of the varied one.
                let extent = self.values.get(value).map_or(&self.input, |value| &value.extent);
                (names.of(value).to_string(), extent.clone())
            })
            .collect();
        let declared = self.params.len();
        let nodes = &self.nodes;
        let params_of = |name: &str| -> Result<Vec<ParamId>> {
            let found = nodes.iter().find(|node| node.name == name);
            found.map(|node| node.params.clone()).ok_or_else(|| names.unknown(name, index))
        };
        let mut context = Context {
            name: names.of(index + 1),
            settings: &settings,
            inputs: &extents,
            seed,
            stepwise,
            params: &mut self.params,
            params_of: &params_of,
        };
        let built = (entry.build)(&mut context)?;
        check_reads(&context, &*built.layer)?;
        let owns = self.params.len() > declared;
        self.values.push(Value { producer: Some(index), extent: built.output, is_gated: false });
        self.nodes.push(Node {
            name: names.of(index + 1).to_string(),
            layer: built.layer,
            inputs,
            output: index + 1,
            params: built.params,
            owns,
        });
        Ok(())
    }

    /// Every value is read, by a layer or by a loss.
    fn check_read(&self, names: &Names, network: &Network) -> Result<()> {
        for (value, spec) in (1..self.values.len()).zip(&network.layers) {
            let is_head = self.heads.iter().any(|head| head.value == value);
            if !is_head && self.readers(value).next().is_none() {
                let error = Error::usage(format!("nobody reads the output of layer `{}`", names.of(value)));
                let advice =
                    "name it in the `from` of a layer, make it a [[model.output]], or leave the layer out";
                return Err(spec.settings.locate("type", error).hint(advice));
            }
        }
        Ok(())
    }

    /// What parameters are told of their place in the network.
    fn place_params(&mut self) {
        let needs = self.needs_grad(|_| true);
        for node in 0..self.nodes.len() {
            let feeds_back = self.nodes[node].layer.is_recurrent()
                || self.nodes[node].inputs.iter().any(|&input| needs[input]);
            let before = self.unit_before(node);
            for (position, id) in self.nodes[node].params.clone().into_iter().enumerate() {
                let param = &mut self.params[id];
                // Of a shared one: of any of its layers.
                param.feeds_back = feeds_back || !self.nodes[node].owns && param.feeds_back;
                param.before = before.filter(|_| position == 0 && param.is_multiplied);
            }
        }
    }

    /// The weight and bias whose outputs are this node's inputs, one by one, where nobody else reads those on the way.
    fn unit_before(&self, node: usize) -> Option<[ParamId; 2]> {
        let shared = |id: ParamId| self.nodes.iter().filter(|node| node.params.contains(&id)).count() > 1;
        let mut value = *self.nodes[node].inputs.first()?;
        loop {
            let is_head = self.heads.iter().any(|head| head.value == value);
            // Units with sites, or with several taps, have no row and column of their own.
            if !self.values[value].extent.sites.is_empty() {
                return None;
            }
            let producer = &self.nodes[self.values[value].producer?];
            if is_head || self.readers(value).count() != 1 {
                return None;
            }
            match producer.params[..] {
                [weight, bias]
                    if self.params[weight].is_multiplied
                        && !shared(weight)
                        && !self.nodes[node].params.iter().any(|&id| shared(id)) =>
                {
                    return Some([weight, bias]);
                }
                [] if producer.layer.is_elementwise() => value = producer.inputs[0],
                _ => return None,
            }
        }
    }
}

/// Layers that read tokens read nothing else, and all others none. Who reads lengths has taken them.
fn check_reads(context: &Context, layer: &dyn Layer) -> Result<()> {
    let wanted = layer.reads_tokens();
    let fits = |input: &Extent| input.longest().is_none() && input.vocabulary.is_some() == wanted;
    let Some((name, extent)) = context.inputs.iter().find(|(_, input)| !fits(input)) else {
        return Ok(());
    };
    let (what, hint) = if extent.longest().is_some() {
        (
            "no lengths there",
            "lengths as the last input of an `attention` or of another layer that takes them",
        )
    } else if wanted {
        ("tokens", "a data set of text or tokens, such as \"shakespeare\"")
    } else {
        ("numbers", "an `embedding` layer, which has a row of numbers for each token, between the two")
    };
    let error = Error::usage(format!("layer `{}` reads {what}", context.name));
    Err(context.at(error.at(format!("`{name}` has {extent}"))).hint(hint))
}

/// The outputs with their losses.
fn heads(model: &Model, names: &Names, network: &Network) -> Result<Vec<Head>> {
    let last =
        [recipe::Output { from: names.of(network.layers.len()).to_string(), settings: Default::default() }];
    let outputs = if network.outputs.is_empty() { &last[..] } else { &network.outputs[..] };
    let mut heads: Vec<Head> = Vec::new();
    for output in outputs {
        let at = |error| output.settings.locate("from", error);
        let defaults = [("loss", Toml::String("cross-entropy".into())), ("weight", Toml::Float(1.0))];
        let settings = output.settings.resolve("an output", &defaults)?;
        if settings.text("loss")? != "cross-entropy" {
            let error = recipe::unknown("loss", settings.text("loss")?, ["cross-entropy"]);
            return Err(settings.locate("loss", error));
        }
        let weight = settings.f32("weight")?;
        if !(weight > 0.0) {
            return Err(settings.wrong("weight", "a number above 0"));
        }
        let value = names.find(&output.from, network.layers.len()).map_err(at)?;
        let is_batch = [0, names.plain()].contains(&value);
        let extent = if is_batch { &model.input } else { &model.values[value].extent };
        let answers =
            extent.channels == model.classes && extent.sites.len() <= 1 && extent.vocabulary.is_none();
        if is_batch || !answers {
            let which = if network.outputs.is_empty() {
                "the last layer".into()
            } else {
                format!("output `{}`", output.from)
            };
            return Err(at(Error::usage(format!(
                "{which} has {extent} outputs; the data has {} classes",
                model.classes
            )))
            .hint(format!("a last [[model.layer]] of type \"linear\" with out = {}", model.classes)));
        }
        if heads.first().is_some_and(|head| model.values[head.value].extent != *extent) {
            return Err(at(Error::usage(format!(
                "output `{}` answers another number of times",
                output.from
            ))));
        }
        if heads.iter().any(|head| head.value == value) {
            return Err(at(Error::usage(format!("`{}` is an output twice", output.from))));
        }
        heads.push(Head { name: output.from.clone(), value, weight });
    }
    Ok(heads)
}

/// The names of values: of the batch, of the output of each layer, and of the batch before it is varied.
struct Names {
    /// By value.
    all: Vec<String>,
    /// How many layers are built.
    made: usize,
}

impl Names {
    fn new(network: &Network) -> Result<Self> {
        let mut all = vec![DATA.to_string()];
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, spec) in network.layers.iter().enumerate() {
            let name = spec.name_at(index);
            let taken = [DATA, PLAIN].contains(&&name[..]).then(|| "the batch has that name".to_string());
            let before = seen
                .insert(name.clone(), index)
                .map(|first| format!("layers {first} and {index}, counted from 0"));
            if let Some(why) = taken.or(before) {
                let error = Error::usage(format!("two values cannot both be called `{name}`")).at(why);
                return Err(spec.settings.locate("name", error).hint("a name of its own for each layer"));
            }
            all.push(name);
        }
        all.push(PLAIN.to_string());
        Ok(Self { all, made: 0 })
    }

    /// The batch before it is varied.
    fn plain(&self) -> ValueId {
        self.all.len() - 1
    }

    fn of(&self, value: ValueId) -> &str {
        &self.all[value]
    }

    /// The value of this name, which the layer `reader` reads: any layer, or the outputs where it is past the last.
    fn find(&self, name: &str, reader: usize) -> Result<ValueId> {
        self.all.iter().position(|known| known == name).ok_or_else(|| self.unknown(name, reader))
    }

    fn unknown(&self, name: &str, reader: usize) -> Error {
        let others = || {
            self.all
                .iter()
                .enumerate()
                .filter(|(value, _)| *value != reader + 1)
                .map(|(_, name)| name.as_str())
        };
        recipe::unknown("layer", name, others())
    }

    /// What a layer reads: what it names, or the layer before it.
    fn inputs(&self, network: &Network, index: usize) -> Result<Vec<ValueId>> {
        let spec = &network.layers[index];
        if spec.from.is_empty() {
            return Ok(vec![index]);
        }
        let at = |error| spec.settings.locate("from", error);
        let find = |name: &String| {
            let value = self.find(name, index).map_err(at)?;
            if value <= index || value == self.plain() {
                return Ok(value);
            }
            let own = self.of(index + 1);
            Err(at(match self.circle(network, index, value) {
                Some(circle) => Error::usage(format!("layer `{own}` reads its own output"))
                    .at(format!("the circle: {}", circle.join(" reads ")))
                    .hint("a network that computes in one pass: no layer may depend on itself"),
                None => Error::usage(format!("layer `{own}` reads `{name}` before it is made"))
                    .hint(format!("move `{name}` up, before `{own}`")),
            }))
        };
        spec.from.iter().map(find).collect()
    }

    /// The way from a later value back to the layer that reads it, if that depends on it.
    fn circle(&self, network: &Network, reader: usize, value: ValueId) -> Option<Vec<String>> {
        let mut seen = vec![false; self.all.len()];
        let mut ways = vec![vec![reader + 1, value]];
        while let Some(way) = ways.pop() {
            let last = *way.last().expect("a way has a start");
            if last == reader + 1 {
                return Some(way.into_iter().map(|value| format!("`{}`", self.of(value))).collect());
            }
            if last == 0 || last == self.plain() || std::mem::replace(&mut seen[last], true) {
                continue;
            }
            let spec = &network.layers[last - 1];
            let named = spec.from.iter().filter_map(|name| self.all.iter().position(|known| known == name));
            let reads: Vec<ValueId> = if spec.from.is_empty() { vec![last - 1] } else { named.collect() };
            ways.extend(reads.into_iter().map(|next| [&way[..], &[next]].concat()));
        }
        None
    }
}
