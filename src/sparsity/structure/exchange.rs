//! The search for an order of a weight's inputs in which an N:M pattern keeps more magnitude, on the device.
//!
//! Pool & Yu, 2021, "Channel permutations for N:M sparsity": pairs of groups exchange one input each as long as that
//! keeps more. Here all groups meet in pairs as in a tournament: within a turn each is in one pair, so that all pairs
//! choose and make their exchange at once, and in a round each has met each other. The host replays rounds until one
//! passes without an exchange.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Gpu, Plan, Tensor, Uniform};
use crate::sparsity::recorder;

mod site;
mod twins;

use site::{Round, Site};
pub use site::{Scratch, Shape};

/// The search over one weight, recorded.
pub struct Search {
    order: Tensor,
    round: Uniform,
    exchanged: Tensor,
    begin: Plan,
    turns: Plan,
}

impl Search {
    /// Records the search over a weight (rows, inner) that lies in blocks of whole rows, for N of every M inputs. Beside
    /// each block is memory of its size that is lent while the search runs; `scratch` is for as large a search at least.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn record(
        gpu: &Gpu,
        name: &str,
        blocks: &[(&Tensor, &Tensor)],
        pattern: (usize, usize),
        scratch: &Scratch,
    ) -> Result<Self> {
        let site = Site::new(gpu, blocks, pattern, scratch)?;
        let round = gpu.uniform("round", &Round { round: 0 })?;
        let (mut begin, mut turns) = (recorder(gpu, name), recorder(gpu, name));
        site.record_begin(&mut begin, &round)?;
        site.record_round(&mut turns, &round, gpu.prefers_texels())?;
        let (begin, turns) = (begin.finish()?, turns.finish()?);
        Ok(Self { order: site.order, round, exchanged: site.exchanged, begin, turns })
    }

    /// Searches. After each round the host reads how many exchanges there were, and nothing else.
    ///
    /// It ends with the first round without an exchange, or after so many `rounds` over all pairs of groups. Returns
    /// whether it was the former: if not, the order found keeps no less than the one given, but another exchange might
    /// gain still.
    ///
    /// # Errors
    /// `Kind::Device` if the device fails.
    pub fn run(&self, rounds: u32) -> Result<bool> {
        for round in 0..rounds {
            self.round.write(&Round { round })?;
            if round == 0 {
                self.begin.replay()?;
            }
            self.exchanged.write(&[0u32])?;
            self.turns.replay()?;
            if self.exchanged.read_u32()?[0] == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The input at each place: what the last run found.
    pub fn order(&self) -> &Tensor {
        &self.order
    }
    /// What begins the search, and one round of it.
    pub fn plans(&self) -> [&Plan; 2] {
        [&self.begin, &self.turns]
    }
}

/// The kernels of two rounds, one after another, on numbers whose sums are exact, so that a tie is one on any device.
pub fn checks() -> Vec<Check> {
    let coarse =
        |values: Vec<f32>| -> Vec<f32> { values.iter().map(|v| (v * 16.0).round() / 16.0).collect() };
    let record = move |t: &mut Trial, rows: &[usize], inner: usize, pattern: (usize, usize), texels: bool| {
        let mut blocks = Vec::new();
        for &rows in rows {
            let values = coarse(t.values(rows * inner));
            let lent = t.gpu.tensor("lent", Dtype::F32, &[rows, inner])?;
            blocks.push((t.gpu.upload_f32("weight", &[rows, inner], &values)?, lent));
        }
        let blocks: Vec<(&Tensor, &Tensor)> = blocks.iter().map(|(weight, lent)| (weight, lent)).collect();
        let scratch = Scratch::new(&t.gpu, &[Shape::new(blocks.iter().map(|(weight, _)| *weight), pattern)])?;
        let site = Site::new(&t.gpu, &blocks, pattern, &scratch)?;
        for tensor in [&site.order, &site.changed, &site.sums, &site.exchanged] {
            t.compare(tensor, Tolerance::EXACT);
        }
        for part in &site.parts {
            [&part.sizes, &part.bounds].into_iter().for_each(|tensor| t.compare(tensor, Tolerance::EXACT));
        }
        for round in 0..2 {
            let number = t.gpu.uniform("round", &Round { round })?;
            if round == 0 {
                site.record_begin(&mut t.rec, &number)?;
            }
            site.record_round(&mut t.rec, &number, texels)?;
        }
        Ok(())
    };
    let mut all = Vec::new();
    for (keep, of, rows, texels) in
        [(2, 4, 9, true), (1, 2, 3, false), (3, 5, 4, true), (2, 8, 7, false), (1, 16, 2, true)]
    {
        all.push(Check::new(
            format!("sparsity/structure/exchange ({keep}:{of}, {rows} rows)"),
            move |t, n| record(t, &[rows], n, (keep, of), texels),
        ));
        // So many rows that several invocations share them, in two blocks.
        all.push(Check::new(
            format!("sparsity/structure/exchange ({keep}:{of}, two blocks)"),
            move |t, n| record(t, &[n / 3, n - n / 3], 2 * of + 3, (keep, of), !texels),
        ));
    }
    all
}
