//! What a recurrent layer records: products of each step, and the kernels of its cell between them.

use std::ops::Range;

use super::super::super::layer::{Backward, Extra, Held, Layer, Needs, Operand, Sink, Site};
use super::super::super::reach;
use super::super::product::{packed, rows, unused_bias};
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::cell::{self, Cell, Forward, Kept, Kind};
use crate::ops::packed::products;
use crate::ops::variants::{Product, Shape};
use crate::ops::{carry, linear};
use crate::param::{Param, ParamId, ParamSet};

pub struct Recurrent {
    pub kind: &'static Kind,
    pub units: usize,
    pub steps: usize,
    /// Weights: one, or one a gate.
    pub parts: usize,
    pub reverse: bool,
    pub carry: bool,
    /// Whether its output has c below h.
    pub cells: bool,
    /// Whether its last input says how many steps each sample has.
    pub is_ragged: bool,
    /// The units of each input that says what it begins with.
    pub begins: Vec<usize>,
}

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
        Cell { units: self.units, steps: self.steps, batch, cells: self.cells }
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
        let (unread, d_h) = (&site.extra(D_PAST).first(&self.cell(site.batch).of_step(1)), site.extra(D_H));
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

    fn kept<'a>(&self, site: Site<'a>) -> Kept<'a> {
        let [gates, h_before, c_before] = [GATES, H_BEFORE, C_BEFORE].map(|number| site.extra(number));
        Kept { gates, h_before, c_before }
    }
    fn lengths<'a>(&self, x: &[&'a Tensor]) -> Option<&'a Tensor> {
        x.last().copied().filter(|_| self.is_ragged)
    }

    /// Where the lines of a given state lie in it, and in the state of all units.
    fn windows(&self, given: usize, batch: usize) -> impl Iterator<Item = Window> + use<> {
        let (units, own) = (self.units, self.begins[given]);
        let before: usize = self.begins[..given].iter().sum();
        let window = move |line: usize| Window {
            skip: line * own * batch,
            at: (line * units + before) * batch,
            len: own * batch,
        };
        (0..self.kind.states).map(window)
    }

    /// The gradients of what it began with: h by the product and past it, c past it.
    fn leave(&self, rec: &mut Recorder, site: Site, sinks: &[Option<Sink>]) -> Result<()> {
        if sinks.iter().all(Option::is_none) {
            return Ok(());
        }
        self.pass_back(rec, site)?;
        let goes_past = self.kind.states == 1 || self.is_ragged;
        for (given, sink) in sinks.iter().enumerate() {
            let Some(sink) = sink else { continue };
            for (line, window) in self.windows(given, site.batch).enumerate() {
                let back = Window { skip: window.at, at: window.skip, len: window.len };
                if line == 0 {
                    add::record(rec, site.extra(D_H), sink.to, back, sink.adds)?;
                }
                if line > 0 || goes_past {
                    add::record(rec, site.extra(D_PAST), sink.to, back, line == 0 || sink.adds)?;
                }
            }
        }
        Ok(())
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
            extra(cell.of_step(kind.states), Held::Forward),
            extra(cell.of_step(1), Held::Backward),
            extra(cell.of_step(kind.states), Held::Backward),
            extra(cell.of_all(4), Held::Between),
            extra(cell.of_all(1), Held::Between),
        ];
        all.push(extra(cell.of_all(kind.states - 1), Held::Between));
        all.extend((self.parts > 1).then(|| extra(cell.of_step(1), Held::Backward)));
        all
    }

    fn looks_ahead(&self) -> bool {
        self.reverse || self.is_ragged || !self.begins.is_empty()
    }
    fn carried(&self, batch: usize) -> Vec<Vec<usize>> {
        let state = || self.cell(batch).of_step(self.kind.states);
        self.carry.then(state).into_iter().collect()
    }

    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let (step, carried, state) = (site.during().step, site.during().carried.first(), site.extra(STATE));
        let (h, biases) = (state.first(&self.cell(site.batch).of_step(1)), self.biases(rec, site)?);
        if self.begins.is_empty() {
            carry::record_begin(rec, step, carried, state)?;
        }
        for given in 0..self.begins.len() {
            let mut windows = self.windows(given, site.batch);
            windows.try_for_each(|window| add::record(rec, x[1 + given], state, window, false))?;
        }
        let (cell, keeps) = (self.cell(site.batch), site.during().trains);
        let (product, kept, lengths) = (site.extra(PRODUCT), self.kept(site), self.lengths(x));
        for at in self.order() {
            self.multiply(rec, site, &biases, &h)?;
            let of = Forward { x: x[0], product, state, kept, y, lengths };
            self.kind.record_forward(rec, cell, at, keeps, of)?;
        }
        carried.map_or(Ok(()), |carried| carry::record_leave(rec, step, state, carried))
    }

    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let (cell, kept, lengths) = (self.cell(site.batch), self.kept(site), self.lengths(pass.x));
        let [d_h, d_past, d_product] = [D_H, D_PAST, D_PRODUCT].map(|number| site.extra(number));
        for (number, at) in self.order().into_iter().rev().enumerate() {
            if number > 0 {
                self.pass_back(rec, site)?;
            }
            let of = cell::Backward { kept, d_y: pass.d_y, d_h, d_past, d_product, lengths };
            self.kind.record_backward(rec, cell, at, number == 0, of)?;
        }
        self.leave(rec, site, &pass.d_x[1..1 + self.begins.len()])?;
        if let Some(grads) = pass.grads {
            self.sum_up(rec, site, grads)?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let (gates, line) = (site.extra(GATES), self.units * site.cols);
        let copied = match self.kind.states {
            2 => vec![Window { skip: 0, at: 0, len: 4 * line }],
            // What x adds to n stands below the gradients of the product.
            _ => vec![
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

    /// A unit depends on the input by its gates, by what it begins with, or by units that do.
    fn reach(&self, inputs: &[&[bool]], masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        let units = self.units;
        let any = |gates: &[bool]| -> Vec<bool> {
            (0..units).map(|unit| gates.iter().skip(unit).step_by(units).any(|reached| *reached)).collect()
        };
        let mut reached = any(inputs[0]);
        // Of each unit that it begins with h or c.
        let given = inputs[1..].iter().zip(&self.begins);
        let begun = given.flat_map(|(state, &own)| {
            (0..own).map(move |unit| state.iter().skip(unit).step_by(own).any(|reached| *reached))
        });
        reached.iter_mut().zip(begun).for_each(|(reached, begun)| *reached |= begun);
        loop {
            let rows = self.kind.gates() / self.parts * units;
            let gates = |part: usize| reach::through(&reached, [1, 1], masks[part], rows);
            let more = any(&(0..self.parts).flat_map(gates).collect::<Vec<_>>());
            let both: Vec<bool> = reached.iter().zip(&more).map(|(a, b)| *a || *b).collect();
            if both == reached {
                return reached.iter().copied().cycle().take(channels).collect();
            }
            reached = both;
        }
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn rereads_lengths(&self) -> bool {
        self.is_ragged
    }
}
