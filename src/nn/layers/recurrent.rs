//! The recurrent core of an LSTM or a GRU: what goes on from step to step. What each step's input adds, a `linear` layer before
//! it has computed for all steps at once.
//!
//! The weight (gates units, units) is PyTorch's `weight_hh`, gates in its order: i, f, g, o and r, z, n. An LSTM has its bias
//! in the linear layer: PyTorch's two are added up. A GRU has `bias_hh` itself, since its reset gate scales that.
//!
//! With `gates = "apart"` each gate has a weight of its own, and so a density of its own, at the price of more dispatches.
//!
//! A step is a product of the weight and h (units, batch), and a kernel for all that is between products; backward likewise.
//! The weight's gradient is one product over the columns of all steps.

use std::ops::Range;

use toml::Value;

use super::super::init::{Fans, Init};
use super::super::layer::{Backward, Built, Context, Entry, Extra, Held, Layer, Needs, Operand, Site};
use super::super::reach;
use super::product::{packed, rows, unused_bias};
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::cell::Cell;
use crate::ops::linear;
use crate::ops::packed::products;
use crate::ops::variants::{Product, Shape};
use crate::ops::{carry, gru, lstm};
use crate::param::{Param, ParamId, ParamSet};

pub const LSTM: Entry = Entry {
    name: "lstm",
    about: "the recurrent core of an LSTM: reads what a `linear` layer made of each step, channels i, f, g, o; `reverse` runs from the last step to the first, `carry` goes on where the batch before ended, `gates = \"apart\"` has a weight for each gate (Hochreiter & Schmidhuber 1997)",
    required: Vec::new,
    optional: settings,
    build: |context| build(context, Kind::Lstm),
};
pub const GRU: Entry = Entry {
    name: "gru",
    about: "the recurrent core of a GRU: reads what a `linear` layer made of each step, channels r, z, n; `reverse`, `carry` and `gates` as for `lstm` (Cho et al. 2014)",
    required: Vec::new,
    optional: settings,
    build: |context| build(context, Kind::Gru),
};

fn settings() -> Vec<(&'static str, Value)> {
    vec![
        Init::setting("uniform"),
        ("gates", Value::String("together".into())),
        ("reverse", Value::Boolean(false)),
        ("carry", Value::Boolean(false)),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lstm,
    Gru,
}

impl Kind {
    fn gates(self) -> usize {
        if self == Kind::Lstm { 4 } else { 3 }
    }
    /// What gates are called.
    fn letters(self) -> &'static [char] {
        if self == Kind::Lstm { &['i', 'f', 'g', 'o'] } else { &['r', 'z', 'n'] }
    }
    /// What goes on from step to step: h, and of an LSTM c.
    fn states(self) -> usize {
        if self == Kind::Lstm { 2 } else { 1 }
    }
}

fn build(context: &mut Context, kind: Kind) -> Result<Built> {
    let (input, gates) = (context.input()?.clone(), kind.gates());
    let &[steps] = &input.sites[..] else {
        let error = Error::usage(format!("layer `{}` reads a sequence, and was given {input}", context.name));
        return Err(context.at(error).hint("values of channels and time"));
    };
    if !input.channels.is_multiple_of(gates) {
        let what = format!("layer `{}` has {gates} gates, and was given {input}", context.name);
        let advice = format!("a `linear` layer before it with {gates} outputs for each unit");
        return Err(context.at(Error::usage(what)).hint(advice));
    }
    let (reverse, carry) = (context.settings.bool("reverse")?, context.settings.bool("carry")?);
    if reverse && carry {
        return Err(context
            .settings
            .wrong("carry", "false where `reverse` is true: what comes later is not known"));
    }
    let carry = carry || context.stepwise.is_some();
    let units = input.channels / gates;
    let apart = match context.settings.text("gates")? {
        "together" => false,
        "apart" => true,
        _ => return Err(context.settings.wrong("gates", "\"together\" or \"apart\"")),
    };
    if apart && !units.is_multiple_of(APART) {
        let what = format!("layer `{}` has {units} units: too few to keep gates apart", context.name);
        return Err(context.at(Error::usage(what)).hint(format!("a multiple of {APART} units")));
    }
    let parts = if apart { gates } else { 1 };
    // Of a gate.
    let (init, fans) = (Init::read(context.settings)?, Fans { inputs: units, outputs: units });
    let mut params = Vec::new();
    for what in ["weight", "bias"].into_iter().take(if kind == Kind::Gru { 2 } else { 1 }) {
        for part in 0..parts {
            let name = if apart { format!("{what}_{}", kind.letters()[part]) } else { what.to_string() };
            let shape = [gates / parts * units, units];
            let is_weight = what == "weight";
            let mut param = init.param(context, &name, &shape[..if is_weight { 2 } else { 1 }], fans);
            (param.prunable, param.recurrent) = (is_weight, is_weight);
            param.sites = if is_weight { steps } else { 1 };
            params.push(context.params.declare(param));
        }
    }
    let layer = Recurrent { kind, units, steps, parts, reverse, carry };
    Ok(Built { layer: Box::new(layer), output: input.with(units), params })
}

struct Recurrent {
    kind: Kind,
    units: usize,
    steps: usize,
    /// Weights: one, or one a gate.
    parts: usize,
    reverse: bool,
    carry: bool,
}

/// With a multiple of so many units, and of four samples, each gate's rows begin on 256 bytes.
const APART: usize = 16;

/// Extras, by number. Of a step: what the product makes, its gradient, h (and below it c), the gradient of h by the product,
/// and what goes past it.
const PRODUCT: usize = 0;
const D_PRODUCT: usize = 1;
const STATE: usize = 2;
const D_H: usize = 3;
const D_PAST: usize = 4;
/// Of all steps: gates, which become their gradients, and what each step began with. A GRU has no c.
const GATES: usize = 5;
const H_BEFORE: usize = 6;
const C_BEFORE: usize = 7;
/// Of a step: what one gate's weight adds to the gradient of h.
const D_SHARE: usize = 8;

impl Recurrent {
    fn cell(&self, batch: usize) -> Cell {
        Cell { units: self.units, steps: self.steps, batch }
    }
    /// Steps in the order of computation.
    fn order(&self) -> Vec<usize> {
        if self.reverse { (0..self.steps).rev().collect() } else { (0..self.steps).collect() }
    }
    fn weight<'a>(&self, site: Site<'a>, part: usize) -> &'a Param {
        &site.set[site.params[part]]
    }
    fn whole(&self, site: Site, part: usize) -> Shape {
        self.weight(site, part).product(site.batch)
    }
    fn biases(&self, rec: &Recorder, site: Site) -> Result<Vec<Tensor>> {
        let of = |part: usize| match site.params.get(self.parts + part) {
            Some(&bias) => Ok(site.set[bias].segments[0].weight.clone()),
            None => unused_bias(rec, self.whole(site, part).rows),
        };
        (0..self.parts).map(of).collect()
    }
    /// The rows of a weight's product in what has all gates.
    fn own(&self, all: &Tensor, part: usize) -> Tensor {
        let rows = self.kind.gates() / self.parts * self.units;
        all.rows(part * rows..(part + 1) * rows)
    }

    /// `y = weight h + bias` of one step.
    fn multiply(&self, rec: &mut Recorder, site: Site, biases: &[Tensor], h: &Tensor) -> Result<()> {
        for (part, bias) in biases.iter().enumerate() {
            let (weight, y) = (self.weight(site, part), &self.own(site.extra(PRODUCT), part));
            if let Some(weight) = packed(weight) {
                products::forward(rec, site.choices, weight, bias, h, y, false)?;
                continue;
            }
            let shape = self.whole(site, part).once(Product::Forward);
            let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
            linear::forward(rec, site.choices, shape, &weight, bias, h, y, false)?;
        }
        Ok(())
    }

    /// `d_h = weight^T d_y` of one step.
    fn pass_back(&self, rec: &mut Recorder, site: Site) -> Result<()> {
        // Of h's shape, where products read it if they rectify.
        let (unread, d_h) = (site.extra(D_PAST), site.extra(D_H));
        for part in 0..self.parts {
            let (weight, d_y) = (self.weight(site, part), &self.own(site.extra(D_PRODUCT), part));
            if let Some(weight) = packed(weight) {
                // Packed products cannot add.
                let to = if part == 0 { d_h } else { site.extra(D_SHARE) };
                products::input_grad(rec, site.choices, weight, unread, d_y, to, false)?;
                if part > 0 {
                    add::record(rec, to, d_h, Window::all(to), true)?;
                }
                continue;
            }
            let shape = self.whole(site, part).once(Product::InputGrad);
            let weight = rows(&weight.segments, weight.segments.iter().map(|segment| &segment.weight));
            linear::input_grad(rec, site.choices, shape, &weight, unread, d_y, d_h, part > 0, false)?;
        }
        Ok(())
    }

    /// The gradients of weights and biases, over all steps.
    fn sum_up(&self, rec: &mut Recorder, site: Site, grads: &[Vec<Tensor>]) -> Result<()> {
        for part in 0..self.parts {
            let (weight, whole) = (self.weight(site, part), self.whole(site, part).once(Product::WeightGrad));
            let bias = grads.get(self.parts + part);
            let d_bias = bias.map_or_else(|| unused_bias(rec, whole.rows), |bias| Ok(bias[0].clone()))?;
            let (x, d_y, d_weight) = (site.extra(H_BEFORE), &self.own(site.extra(GATES), part), &grads[part]);
            if let Some(weight) = packed(weight) {
                products::weight_grad(rec, site.choices, weight.index, &d_weight[0], &d_bias, x, d_y)?;
                continue;
            }
            let d_weight = rows(&weight.segments, d_weight);
            linear::weight_grad(rec, site.choices, whole, &d_weight, &d_bias, x, d_y)?;
        }
        Ok(())
    }

    fn forward_step(&self, rec: &mut Recorder, site: Site, at: usize, x: &Tensor, y: &Tensor) -> Result<()> {
        let (cell, keeps) = (self.cell(site.batch), site.during().trains);
        let (product, state) = (site.extra(PRODUCT), site.extra(STATE));
        let (gates, h_before) = (site.extra(GATES), site.extra(H_BEFORE));
        match self.kind {
            Kind::Lstm => {
                let kept = lstm::Kept { gates, h_before, c_before: site.extra(C_BEFORE) };
                lstm::record_forward(rec, cell, at, x, product, state, kept, keeps, y)
            }
            Kind::Gru => {
                gru::record_forward(rec, cell, at, x, product, state, gru::Kept { gates, h_before }, keeps, y)
            }
        }
    }

    fn backward_step(
        &self,
        rec: &mut Recorder,
        site: Site,
        at: usize,
        first: bool,
        d_y: &Tensor,
    ) -> Result<()> {
        let (cell, d_product) = (self.cell(site.batch), site.extra(D_PRODUCT));
        let (d, gates, h_before) =
            ([D_H, D_PAST].map(|d| site.extra(d)), site.extra(GATES), site.extra(H_BEFORE));
        match self.kind {
            Kind::Lstm => {
                let kept = lstm::Kept { gates, h_before, c_before: site.extra(C_BEFORE) };
                lstm::record_backward(rec, cell, at, first, kept, d_y, d, d_product)
            }
            Kind::Gru => {
                gru::record_backward(rec, cell, at, first, gru::Kept { gates, h_before }, d_y, d, d_product)
            }
        }
    }
}

impl Layer for Recurrent {
    fn products(&self, set: &ParamSet, params: &[ParamId], batch: usize) -> Vec<Shape> {
        let of = |id: &ParamId| {
            let weight = &set[*id];
            let whole = weight.product(batch);
            match &weight.segments[..] {
                segments if weight.packed().is_none() && !segments.is_empty() => {
                    segments.iter().map(|one| Shape { rows: one.rows.len(), ..whole }).collect()
                }
                _ => vec![whole],
            }
        };
        params[..self.parts].iter().flat_map(of).collect()
    }

    fn extras(&self, site: Site) -> Vec<Extra> {
        let (cell, kind) = (self.cell(site.batch), self.kind);
        let extra = |shape, held| Extra { dtype: Dtype::F32, shape, held };
        let mut all = vec![
            extra(cell.of_step(kind.gates()), Held::Forward),
            extra(cell.of_step(kind.gates()), Held::Backward),
            extra(cell.of_step(kind.states()), Held::Forward),
            extra(cell.of_step(1), Held::Backward),
            extra(cell.of_step(1), Held::Backward),
            extra(cell.of_all(4), Held::Between),
            extra(cell.of_all(1), Held::Between),
        ];
        let lines = if kind == Kind::Lstm { 1 } else { 0 };
        all.push(extra(cell.of_all(lines), Held::Between));
        all.extend((self.parts > 1).then(|| extra(cell.of_step(1), Held::Backward)));
        all
    }

    fn looks_ahead(&self) -> bool {
        self.reverse
    }
    fn carried(&self, batch: usize) -> Vec<Vec<usize>> {
        let state = || self.cell(batch).of_step(self.kind.states());
        self.carry.then(state).into_iter().collect()
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let (step, carried, state) = (site.during().step, site.during().carried.first(), site.extra(STATE));
        let (h, biases) = (state.first(&self.cell(site.batch).of_step(1)), self.biases(rec, site)?);
        carry::record_begin(rec, step, carried, state)?;
        for at in self.order() {
            self.multiply(rec, site, &biases, &h)?;
            self.forward_step(rec, site, at, x[0], y)?;
        }
        carried.map_or(Ok(()), |carried| carry::record_leave(rec, step, state, carried))
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        for (number, at) in self.order().into_iter().rev().enumerate() {
            if number > 0 {
                self.pass_back(rec, site)?;
            }
            self.backward_step(rec, site, at, number == 0, pass.d_y)?;
        }
        if let Some(grads) = pass.grads {
            self.sum_up(rec, site, grads)?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let (gates, line) = (site.extra(GATES), self.units * site.cols);
        let copied = match self.kind {
            Kind::Lstm => vec![Window { skip: 0, at: 0, len: 4 * line }],
            // What x adds to n stands below the gradients of the product.
            Kind::Gru => vec![
                Window { skip: 0, at: 0, len: 2 * line },
                Window { skip: 3 * line, at: 2 * line, len: line },
            ],
        };
        copied.into_iter().try_for_each(|window| add::record(rec, gates, d_x.to, window, d_x.adds))
    }

    fn operands(&self) -> [Operand; 2] {
        [Operand::Extra(H_BEFORE), Operand::Extra(GATES)]
    }
    fn is_recurrent(&self) -> bool {
        true
    }
    fn dense_grad(
        &self,
        rec: &mut Recorder,
        site: Site,
        [h_before, gates]: [&Tensor; 2],
        (part, rows): (usize, Range<usize>),
        d_weight: &Tensor,
    ) -> Result<()> {
        let (whole, d_y) = (self.whole(site, part).once(Product::WeightGrad), &self.own(gates, part));
        linear::weight_grad_rows(rec, site.choices, whole, rows, d_weight, h_before, d_y)
    }

    /// A unit depends on the input by its gates, or by units that do.
    fn reach(&self, inputs: &[&[bool]], masks: &[Option<&[u32]>], units: usize) -> Vec<bool> {
        let any = |gates: &[bool]| -> Vec<bool> {
            (0..units).map(|unit| gates.iter().skip(unit).step_by(units).any(|reached| *reached)).collect()
        };
        let mut reached = any(inputs[0]);
        loop {
            let rows = self.kind.gates() / self.parts * units;
            let gates = |part: usize| reach::through(&reached, [1, 1], masks[part], rows);
            let more = any(&(0..self.parts).flat_map(gates).collect::<Vec<_>>());
            let both: Vec<bool> = reached.iter().zip(&more).map(|(a, b)| *a || *b).collect();
            if both == reached {
                return reached;
            }
            reached = both;
        }
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}
