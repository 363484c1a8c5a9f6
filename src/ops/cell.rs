//! Recurrent cells: what an LSTM and a GRU have in common. One step is a product of a weight and h, and one kernel for all
//! that lies beside it.

use super::groups;
use super::lengths::{Ragged, Versions};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Source, Tensor, Twin};
use crate::{bind, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/cell.wgsl`.
    pub struct Args { units: u32, quads: u32, steps: u32, at: u32, flag: u32, cells: u32 }
}

const WG: usize = 64;

/// A kind of cell.
pub struct Kind {
    pub name: &'static str,
    /// What gates are called, in PyTorch's order.
    pub letters: &'static [char],
    /// What goes on from step to step: h, and of an LSTM c below it.
    pub states: usize,
    forward: Versions,
    backward: Versions,
    /// Lines of units that a step forward moves, those that it keeps for the backward pass, and those that a step backward
    /// moves.
    lines: [usize; 3],
    /// Operations a number, forward and backward.
    flops: [u64; 2],
}

/// A kind by its source, its twins, and what it costs.
pub(super) const fn kind(
    names: [&'static str; 3],
    letters: &'static [char],
    states: usize,
    source: Source,
    [forward, backward]: [fn(&Twin); 2],
    (lines, flops): ([usize; 3], [u64; 2]),
) -> Kind {
    let kernel = Kernel::own(source, forward).entry("forward").proven();
    let other = Kernel::own(source, backward).entry("backward").proven();
    let [name, forward, backward] = names;
    let (forward, backward) = (Versions::of(kernel, forward), Versions::of(other, backward));
    Kind { name, letters, states, forward, backward, lines, flops }
}

/// The units of a cell, over a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub units: usize,
    pub steps: usize,
    /// Samples, with those that are missing: a multiple of 4.
    pub batch: usize,
    /// Whether y has c, too.
    pub cells: bool,
}

/// What a sequence leaves to its backward pass.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// (4 units, time batch). Of an LSTM i, f, g, o; after the backward pass the gradients of what they are functions of. Of a
    /// GRU r, z, n's share of the product, n; after the backward pass the gradients of the product's three parts, and of what x
    /// adds to the last.
    pub gates: &'a Tensor,
    /// (units, time batch): what each step began with.
    pub h_before: &'a Tensor,
    /// Of an LSTM alone.
    pub c_before: &'a Tensor,
}

/// What a step reads and writes forward.
#[derive(Clone, Copy)]
pub struct Forward<'a> {
    /// (gates units, time batch).
    pub x: &'a Tensor,
    /// (gates units, batch): the weight times h, of a GRU with its bias.
    pub product: &'a Tensor,
    /// (states units, batch).
    pub state: &'a Tensor,
    pub kept: Kept<'a>,
    /// (units, time batch): h of each step; if the cell says so, c below it.
    pub y: &'a Tensor,
    /// (batch,): how many steps each sample has, where not all have all of them. It keeps its state in the others.
    pub lengths: Option<&'a Tensor>,
}

/// What a step reads and writes backward.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    pub kept: Kept<'a>,
    /// As `y`.
    pub d_y: &'a Tensor,
    /// (units, batch): the gradient of h by the later step's product.
    pub d_h: &'a Tensor,
    /// (states units, batch): that of the state past the product; it goes on to the earlier step. The line of an LSTM's h is used
    /// where samples have lengths.
    pub d_past: &'a Tensor,
    /// (gates units, batch).
    pub d_product: &'a Tensor,
    pub lengths: Option<&'a Tensor>,
}

impl Kind {
    pub fn gates(&self) -> usize {
        self.letters.len()
    }
    /// Its kernels.
    pub fn kernels(&self) -> [Kernel; 4] {
        let ([a, b], [c, d]) = (self.forward.all(), self.backward.all());
        [a, b, c, d]
    }

    /// Step `at`: the state moves on, and h goes to `y`. What is kept is written if a backward pass follows: if it `keeps`.
    pub fn record_forward(
        &self,
        rec: &mut Recorder,
        cell: Cell,
        at: usize,
        keeps: bool,
        of: Forward,
    ) -> Result<()> {
        let Kept { gates, h_before, c_before } = of.kept;
        let args = cell.args(at, keeps);
        let own = bind! {
            args: &args, x: of.x, product: of.product, state: of.state, gates: gates, h_before: h_before, y: of.y
        };
        let c = bind! { c_before: c_before };
        let binds = [own, &c[..self.states - 1]].concat();
        let numbers = cell.units * cell.batch;
        let flops = self.flops[0] * numbers as u64;
        self.forward.dispatch(rec, of.lengths, &binds, groups(numbers / 4, WG), flops)?;
        // Of what all steps have, one step's.
        rec.moves((4 * (self.lines[0] + if keeps { self.lines[1] } else { 0 }) * numbers) as u64);
        Ok(())
    }

    /// Backward through step `at`: to the gradients of gates, and to `d_product`. What comes from a later step counts for nothing
    /// if this is the `first` step of the backward pass.
    pub fn record_backward(
        &self,
        rec: &mut Recorder,
        cell: Cell,
        at: usize,
        first: bool,
        of: Backward,
    ) -> Result<()> {
        let began = if self.states == 2 { of.kept.c_before } else { of.kept.h_before };
        let binds = bind! {
            args: &cell.args(at, first), gates: of.kept.gates, began: began, d_y: of.d_y, d_h: of.d_h,
            d_past: of.d_past, d_product: of.d_product
        };
        let numbers = cell.units * cell.batch;
        let flops = self.flops[1] * numbers as u64;
        self.backward.dispatch(rec, of.lengths, binds, groups(numbers / 4, WG), flops)?;
        rec.moves((4 * self.lines[2] * numbers) as u64);
        Ok(())
    }
}

impl Cell {
    /// `(lines units, batch)`.
    pub fn of_step(&self, lines: usize) -> Vec<usize> {
        vec![lines * self.units, self.batch]
    }
    /// `(lines units, time batch)`.
    pub fn of_all(&self, lines: usize) -> Vec<usize> {
        vec![lines * self.units, self.steps * self.batch]
    }
    /// Lines of y.
    pub fn made(&self) -> usize {
        if self.cells { 2 } else { 1 }
    }
    fn args(&self, at: usize, flag: bool) -> Args {
        let [units, quads, steps, at] = [self.units, self.batch / 4, self.steps, at].map(|n| n as u32);
        Args { units, quads, steps, at, flag: u32::from(flag), cells: u32::from(self.cells) }
    }

    /// Cells to be checked, at a step in the middle, and at the first and the last one.
    fn checked(kind: &Kind, size: usize) -> [(Self, usize); 3] {
        [(4, 3, 1), (12, 1, 0), (8, 2, 1)].map(|(batch, steps, at)| {
            (Self { units: size, steps, batch, cells: kind.states == 2 && steps == 3 }, at)
        })
    }
}

/// A unit of a sample, as a twin sees it.
pub(super) struct Place<'a> {
    args: &'a Args,
    unit: usize,
    sample: usize,
    /// Whether the sample has the step.
    pub is_there: bool,
}

impl Place<'_> {
    /// All of them.
    pub fn each(t: &Twin, args: &Args, mut with: impl FnMut(&Place)) {
        let lengths = Ragged::of(t);
        for unit in 0..args.units as usize {
            for sample in 0..4 * args.quads as usize {
                let is_there = lengths.is_there(args.at as usize, sample);
                with(&Place { args, unit, sample, is_there });
            }
        }
    }
    /// Where a step's tensor has the number of a line of units.
    pub fn now(&self, line: usize) -> usize {
        (line * self.args.units as usize + self.unit) * 4 * self.args.quads as usize + self.sample
    }
    /// Where all steps' tensor has it.
    pub fn then(&self, line: usize) -> usize {
        let row = line * self.args.units as usize + self.unit;
        (row * self.args.steps as usize + self.args.at as usize) * 4 * self.args.quads as usize + self.sample
    }
    /// What comes from a later step.
    pub fn later(&self, d: f32) -> f64 {
        if self.args.flag != 0 { 0.0 } else { f64::from(d) }
    }
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A sum in f64, as twins take it of what kernels add in f32.
pub(super) fn sum(a: f32, b: f32) -> f64 {
    f64::from(a) + f64::from(b)
}

/// `exp` of WGSL is off by up to 3 + 2 |x| units in the last place, here of numbers up to 5, and its result by as much: 8e-7.
/// Some products of such numbers up to 2 follow.
const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

/// A tensor that a kernel reads, and writes in place.
fn in_place(t: &mut Trial, label: &str, shape: &[usize]) -> Result<Tensor> {
    let tensor = t.input(label, shape)?;
    t.compare(&tensor, CLOSE);
    Ok(tensor)
}

/// How long samples are, some longer than any step, some without one.
fn lengths(t: &mut Trial, cell: Cell, ragged: bool) -> Result<Option<Tensor>> {
    ragged.then(|| t.indices("lengths", &[1, cell.batch], cell.steps as u32 + 1)).transpose()
}

/// What builds a check.
type Built = Box<dyn Fn(&mut Trial, usize) -> Result<()> + Send + Sync>;

/// The checks of a kind's kernels.
pub(super) fn checks(kind: &'static Kind) -> Vec<Check> {
    let gates = kind.gates();
    let forward = move |t: &mut Trial, n: usize, odd: bool, keeps: bool, ragged: bool| -> Result<()> {
        for (cell, at) in Cell::checked(kind, n) {
            let of = |t: &Trial, lines| t.gpu.tensor("out", Dtype::F32, &cell.of_all(lines));
            let shape = cell.of_all(gates);
            let x = match odd {
                true => t.odd_input("x", shape.iter().product(), 0, true)?.first(&shape),
                false => t.input("x", &shape)?,
            };
            let product = t.input("product", &cell.of_step(gates))?;
            let state = t.input("state", &cell.of_step(kind.states))?;
            let lengths = lengths(t, cell, ragged)?;
            let kept = [of(t, 4)?, of(t, 1)?, of(t, 1)?];
            let y = of(t, cell.made())?;
            kept.iter().chain([&state, &y]).for_each(|tensor| match odd {
                true => t.compare_odd(tensor, CLOSE),
                false => t.compare(tensor, CLOSE),
            });
            let [gates, h_before, c_before] = &kept;
            let kept = Kept { gates, h_before, c_before };
            let all =
                Forward { x: &x, product: &product, state: &state, kept, y: &y, lengths: lengths.as_ref() };
            kind.record_forward(&mut t.rec, cell, at, keeps, all)?;
        }
        Ok(())
    };
    let backward = move |t: &mut Trial, n: usize, ragged: bool| -> Result<()> {
        for ((cell, at), first) in Cell::checked(kind, n).into_iter().zip([false, true, false]) {
            let all = in_place(t, "gates", &cell.of_all(4))?;
            let before = t.input("before", &cell.of_all(1))?;
            let kept = Kept { gates: &all, h_before: &before, c_before: &before };
            let (d_y, d_h) = (t.input("d_y", &cell.of_all(cell.made()))?, t.input("d_h", &cell.of_step(1))?);
            let d_past = in_place(t, "d_past", &cell.of_step(kind.states))?;
            let d_product = t.output("d_product", &cell.of_step(gates), CLOSE)?;
            let lengths = lengths(t, cell, ragged)?;
            let lengths = lengths.as_ref();
            let of = Backward { kept, d_y: &d_y, d_h: &d_h, d_past: &d_past, d_product: &d_product, lengths };
            kind.record_backward(&mut t.rec, cell, at, first, of)?;
        }
        Ok(())
    };
    let named = |what: &str, with: Built| Check::new(format!("ops/{}:{what}", kind.name), with);
    vec![
        named("forward", Box::new(move |t, n| forward(t, n, false, true, false))),
        named("forward (evaluation)", Box::new(move |t, n| forward(t, n, false, false, false))),
        named("forward (odd)", Box::new(move |t, n| forward(t, n, true, true, false))),
        named("forward (ragged)", Box::new(move |t, n| forward(t, n, false, true, true))),
        named("backward", Box::new(move |t, n| backward(t, n, false))),
        named("backward (ragged)", Box::new(move |t, n| backward(t, n, true))),
    ]
}
