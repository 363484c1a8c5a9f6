//! The parts of a C file as they come together: data, functions, calls.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{ACTIVATIONS, behind};
use super::memory::Memory;
use super::network::{Layer, Network, ValueId};
use super::text::{Names, comment};
use super::weights::{Weight, count_bytes, floats};
use crate::error::{Error, Result};
use crate::store::{Array, Arrays};

/// Functions in the order of the file, each with others that it calls or reads.
const PARTS: &[(&str, &str, &[&str])] = &[
    ("linear_dense", include_str!("parts/linear_dense.c"), &[]),
    ("linear_gaps8", include_str!("parts/linear_gaps8.c"), &[]),
    ("linear_gaps4", include_str!("parts/linear_gaps4.c"), &[]),
    ("fill", include_str!("parts/fill.c"), &[]),
    ("add_tap", include_str!("parts/add_tap.c"), &[]),
    ("conv2d_dense", include_str!("parts/conv2d_dense.c"), &["fill", "add_tap"]),
    ("conv2d_gaps8", include_str!("parts/conv2d_gaps8.c"), &["fill", "add_tap"]),
    ("conv2d_gaps4", include_str!("parts/conv2d_gaps4.c"), &["fill", "add_tap"]),
    ("max_pool", include_str!("parts/max_pool.c"), &[]),
    ("average_pool", include_str!("parts/average_pool.c"), &[]),
    ("global_average_pool", include_str!("parts/global_average_pool.c"), &[]),
    ("scale_shift", include_str!("parts/scale_shift.c"), &[]),
    ("gates", include_str!("parts/gates.c"), &[]),
    ("add", include_str!("parts/add.c"), &[]),
    ("multiply", include_str!("parts/multiply.c"), &[]),
];
const WINDOW: &str = include_str!("parts/window.c");

/// What functions and calls use, by the header that declares it.
const HEADERS: &[(&str, &[&str])] = &[
    ("math.h", &["expf(", "expm1f(", "erfcf(", "tanhf(", "fminf(", "fmaxf(", "HUGE_VALF"]),
    ("stdint.h", &["uint8_t", "uint16_t", "uint32_t"]),
    ("string.h", &["memcpy(", "memset(", "NULL"]),
];

pub struct Writer<'a> {
    network: &'a Network,
    weights: &'a Arrays,
    memory: &'a Memory,
    /// Whether the sample is copied before it is read.
    copies: bool,
    names: Names,
    /// Identifiers of layers; that of the sample has no name.
    known: BTreeMap<String, String>,
    /// Weights that are written, which several layers may have.
    stored: BTreeMap<String, Stored>,
    parts: BTreeSet<&'static str>,
    activations: BTreeSet<String>,
    data: String,
    calls: String,
    /// Rows whose weights are counted, and the largest number: all counts have one type.
    rows: usize,
    most: usize,
    /// Of all other constants.
    bytes: usize,
    /// Weights that are kept, of how many.
    pub kept: [usize; 2],
}

/// How a layer's weight is handed to a function.
#[derive(Clone)]
pub struct Stored {
    pub form: &'static str,
    /// With the bias.
    pub arguments: String,
}

impl<'a> Writer<'a> {
    pub fn new(network: &'a Network, weights: &'a Arrays, memory: &'a Memory, copies: bool) -> Self {
        let mut names = Names::default();
        let sample = (String::new(), names.name("input"));
        let layers = network.layers.iter().map(|layer| (layer.name.clone(), names.name(&layer.name)));
        let known = std::iter::once(sample).chain(layers.collect::<Vec<_>>()).collect();
        Self {
            network,
            weights,
            memory,
            copies,
            names,
            known,
            stored: BTreeMap::new(),
            parts: BTreeSet::new(),
            activations: BTreeSet::new(),
            data: String::new(),
            calls: String::new(),
            rows: 0,
            most: 0,
            bytes: 0,
            kept: [0; 2],
        }
    }

    /// Of all constants.
    pub fn bytes(&self) -> usize {
        self.bytes + count_bytes(self.most) * self.rows
    }
    /// Channels, and sites of each.
    pub fn sides(&self, value: ValueId) -> [usize; 2] {
        let extent = &self.network.extents[value];
        [extent.channels, extent.cols(1)]
    }
    pub fn channels(&self, value: ValueId) -> usize {
        self.network.extents[value].channels
    }
    pub fn numbers(&self, value: ValueId) -> usize {
        self.network.extents[value].numbers()
    }
    /// Of a layer, by the last word of its name.
    pub fn tensor(&self, layer: &str, what: &str) -> Option<&'a Array> {
        self.weights.get(&format!("{layer}.{what}"))
    }

    /// Where a value lies.
    pub fn place(&self, value: ValueId) -> String {
        let root = self.memory.root(value);
        if root == self.memory.root(self.network.answer) {
            return "y".into();
        }
        if root == 0 && !self.copies {
            return "x".into();
        }
        let layer = self.network.layers.iter().find(|layer| layer.output == root);
        format!("{}_y", self.known[layer.map_or("", |layer| &layer.name)])
    }
    /// Input and output of a layer with one of each.
    pub fn ends(&self, layer: &Layer) -> String {
        format!("{}, {}", self.place(layer.inputs[0]), self.place(layer.output))
    }

    pub fn part(&mut self, name: &'static str) {
        let (_, _, needs) = PARTS.iter().find(|part| part.0 == name).expect("it is in the list");
        self.parts.insert(name);
        self.parts.extend(needs.iter());
    }
    pub fn activate(&mut self, kind: &str) {
        self.activations.insert(kind.to_string());
    }
    pub fn call(&mut self, call: String) {
        self.calls += &format!("    {call};\n");
    }
    pub fn remark(&mut self, text: &str) {
        self.calls += &format!("    {}", comment(text));
    }
    /// Copies numbers to a value, behind so many of its own.
    pub fn copy(&mut self, to: ValueId, at: usize, from: &str, len: usize) {
        let to = behind(&self.place(to), at);
        self.call(format!("memcpy({to}, {from}, {len} * sizeof(float))"));
    }
    pub fn clear(&mut self, value: ValueId) {
        self.call(format!("memset({}, 0, {} * sizeof(float))", self.place(value), self.numbers(value)));
    }

    /// The weight and bias of a layer, which are written once.
    ///
    /// # Errors
    /// `Kind::Internal` where the layer has none.
    pub fn weight(&mut self, owner: &str, inputs: usize) -> Result<Stored> {
        if let Some(stored) = self.stored.get(owner) {
            return Ok(stored.clone());
        }
        // An owner of which nothing but the weight is read here has no identifier yet.
        let name = self.known.get(owner).cloned().unwrap_or_else(|| self.names.name(owner));
        let missing = || Error::internal(format!("layer `{owner}` has no weight"));
        let values = self.tensor(owner, "weight").map(Array::to_f32).ok_or_else(missing)?;
        let weight = Weight::of(&values, inputs);
        let kept = values.iter().filter(|&&value| value != 0.0).count();
        self.kept = [self.kept[0] + kept, self.kept[1] + values.len()];
        if let Some((rows, most)) = weight.counts() {
            (self.rows, self.most) = (self.rows + rows, self.most.max(most));
        }
        self.bytes += weight.bytes_beside_counts();
        self.data += &weight.arrays(&name);
        let mut arguments = weight.arguments(&name);
        match self.tensor(owner, "bias") {
            Some(bias) => {
                self.floats(&format!("{name}_bias"), &bias.to_f32());
                arguments += &format!(", {name}_bias");
            }
            None => arguments += ", NULL",
        }
        let stored = Stored { form: weight.form(), arguments };
        self.stored.insert(owner.to_string(), stored.clone());
        Ok(stored)
    }

    /// A scale and a shift for each channel of a value, or one for all.
    pub fn scale_shift(&mut self, layer: &str, numbers: [Vec<f32>; 2], from: ValueId, to: ValueId) {
        self.part("scale_shift");
        let name = self.known[layer].clone();
        let channels = numbers[0].len();
        for (what, numbers) in ["scale", "shift"].iter().zip(&numbers) {
            self.floats(&format!("{name}_{what}"), numbers);
        }
        let sites = self.numbers(to) / channels;
        let x = if from == 0 && to == 0 { "x".to_string() } else { self.place(from) };
        self.call(format!(
            "apply_scale_shift({x}, {}, {channels}, {sites}, {name}_scale, {name}_shift)",
            self.place(to)
        ));
    }

    fn floats(&mut self, name: &str, values: &[f32]) {
        self.data += &floats(name, values);
        self.bytes += 4 * values.len();
    }

    /// What a layer slides over its image; of settings without a name it has none.
    pub fn window(
        &mut self,
        layer: &Layer,
        kernel: usize,
        stride: usize,
        others: [&str; 3],
    ) -> Result<String> {
        let [padding, dilation, groups] = others;
        let set = |key: &str, none: usize| if key.is_empty() { Ok(none) } else { layer.number(key) };
        let [x, y] = [layer.inputs[0], layer.output].map(|value| &self.network.extents[value]);
        let name = format!("{}_window", self.known[&layer.name]);
        self.data += &format!(
            "static const struct window {name} = {{\n    \
             .channels = {}, .height = {}, .width = {}, .out = {}, .out_height = {}, .out_width = {},\n    \
             .kernel = {kernel}, .stride = {stride}, .padding = {}, .dilation = {}, .groups = {},\n}};\n",
            x.channels,
            x.sites[0],
            x.sites[1],
            y.channels,
            y.sites[0],
            y.sites[1],
            set(padding, 0)?,
            set(dilation, 1)?,
            set(groups, 1)?
        );
        self.bytes += 4 * 11;
        Ok(name)
    }

    /// All from the headers to the end of the function.
    pub fn finish(mut self, name: &str) -> String {
        let mut functions: Vec<String> =
            PARTS.iter().filter(|part| self.parts.contains(part.0)).map(|part| part.1.to_string()).collect();
        for (kind, formula) in ACTIVATIONS.iter().filter(|(kind, _)| self.activations.contains(*kind)) {
            functions.push(format!(
                "static void apply_{kind}(const float *x, float *y, int len)\n{{\n    for (int i = 0; i < len; i++)\n        \
                 y[i] = {formula};\n}}\n"
            ));
        }
        let answer = self.memory.root(self.network.answer);
        if answer == 0 && !self.copies {
            self.copy(self.network.answer, 0, "x", self.numbers(0));
        }
        let mut types = Vec::new();
        let declared = functions.concat() + &self.data;
        if declared.contains("const count ") {
            let bits = 8 * count_bytes(self.most);
            types.push(format!("// How many weights a row keeps.\ntypedef uint{bits}_t count;\n"));
        }
        if declared.contains("struct window") {
            types.push(WINDOW.to_string());
        }
        let mut run = String::new();
        if self.memory.floats > 0 {
            run += &format!("static float memory[{}];\n\n", self.memory.floats);
        }
        run += &format!("void {name}_run(const float *x, float *y)\n{{\n");
        let places: String = self
            .memory
            .offsets
            .iter()
            .map(|(&value, &at)| {
                format!("    float *const {} = {};\n", self.place(value), behind("memory", at))
            })
            .collect();
        if !places.is_empty() {
            run += &(places + "\n");
        }
        run += &self.calls;
        run += "}\n";
        let code = [types.join("\n"), functions.join("\n"), self.data, run];
        let body =
            code.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("\n");
        let used = |words: &&(&str, &[&str])| words.1.iter().any(|word| body.contains(word));
        let includes: String =
            HEADERS.iter().filter(used).map(|(header, _)| format!("#include <{header}>\n")).collect();
        format!("{includes}\n{body}")
    }
}
