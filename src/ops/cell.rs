//! What the kernels of recurrent cells have in common: where a unit's numbers lie, and what checks of them need.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Tolerance, Trial};
use crate::gpu::{Bind, Kernel, Recorder, Tensor};
use crate::wgsl_struct;

wgsl_struct! {
    /// See `shaders/ops/cell.wgsl`.
    pub struct Args { units: u32, quads: u32, steps: u32, at: u32, flag: u32 }
}

const WG: usize = 64;

/// The units of a cell, over a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub units: usize,
    pub steps: usize,
    /// Samples, with those that are missing: a multiple of 4.
    pub batch: usize,
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
    /// One invocation a unit and quad, each with so many operations a number.
    pub(super) fn dispatch(
        &self,
        rec: &mut Recorder,
        kernel: &Kernel,
        binds: &[(&str, Bind)],
        lines: usize,
        flops: u64,
    ) -> Result<()> {
        let numbers = self.units * self.batch;
        rec.dispatch(kernel, binds, groups(numbers / 4, WG), flops * numbers as u64)?;
        // Of what all steps have, one step's.
        rec.moves((4 * lines * numbers) as u64);
        Ok(())
    }
    pub(super) fn args(&self, at: usize, flag: bool) -> Args {
        let [units, quads, steps, at] = [self.units, self.batch / 4, self.steps, at].map(|n| n as u32);
        Args { units, quads, steps, at, flag: u32::from(flag) }
    }

    /// Cells to be checked, at a step in the middle, and at the first and the last one.
    pub(super) fn checked(size: usize) -> [(Self, usize); 3] {
        [(4, 3, 1), (12, 1, 0), (8, 2, 1)].map(|(batch, steps, at)| (Self { units: size, steps, batch }, at))
    }
}

/// A unit of a sample, as a twin sees it.
pub(super) struct Place<'a> {
    args: &'a Args,
    unit: usize,
    sample: usize,
}

impl Place<'_> {
    /// All of them.
    pub fn each(args: &Args, mut with: impl FnMut(&Place)) {
        for unit in 0..args.units as usize {
            (0..4 * args.quads as usize).for_each(|sample| with(&Place { args, unit, sample }));
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
pub(super) const CLOSE: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };

/// A tensor that a kernel reads, and writes in place.
pub(super) fn in_place(t: &mut Trial, label: &str, shape: &[usize]) -> Result<Tensor> {
    let tensor = t.input(label, shape)?;
    t.compare(&tensor, CLOSE);
    Ok(tensor)
}
