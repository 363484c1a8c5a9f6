//! Networks and layers timed on a device: each is replayed once a round, so that a machine that drifts slows all alike.

use super::cost::Counter;
use super::latency::{Table, layers};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Plan, Recorder, Uniform};
use crate::nn::presets::once_for_all::network;
use crate::nn::{Arena, Model, Pass, Schedule, Space, Subnet, Wish};
use crate::ops::Step;
use crate::recipe::{self, Network};

/// A layer is recorded so often in a row that its plan takes about this long.
const PLAN_MS: f64 = 4.0;
const MOST_COPIES: usize = 32;

/// Times what a counter counts. Every figure is the median of `repeats` rounds.
pub struct Stopwatch<'a> {
    pub gpu: &'a Gpu,
    pub counter: &'a Counter,
    pub repeats: usize,
}

/// A network on the device, by itself.
struct Laid {
    model: Model,
    pass: Pass,
    step: Uniform,
    layers: Vec<String>,
}

impl Stopwatch<'_> {
    /// Measures every layer that a network of the space may have, and some networks as wholes, on which the table is fitted.
    /// `told` hears how many rounds are done, and of how many.
    pub fn measure(
        &self,
        table: &mut Table,
        nets: &[Subnet],
        told: &mut dyn FnMut(usize, usize),
    ) -> Result<()> {
        let space = &self.counter.space;
        let (mut names, mut plans): (Vec<(String, usize)>, Vec<Plan>) = (Vec::new(), Vec::new());
        for subnet in uniform(space) {
            let laid = self.lay_out(&subnet)?;
            for number in 0..laid.layers.len() {
                let name = &laid.layers[number];
                if names.iter().all(|(known, _)| known != name) {
                    let (plan, copies) = self.layer(&laid, number)?;
                    names.push((name.clone(), copies));
                    plans.push(plan);
                }
            }
        }
        for net in nets {
            plans.push(self.record(net)?);
        }
        let medians = self.medians(&plans, told)?;
        let (of_layers, wholes) = medians.split_at(names.len());
        for ((name, copies), ms) in names.into_iter().zip(of_layers) {
            table.layers.insert(name, ms / copies as f64);
        }
        let sums = nets.iter().map(|net| self.sum(table, net)).collect::<Result<Vec<f64>>>()?;
        table.fit(&sums.into_iter().zip(wholes.iter().copied()).collect::<Vec<_>>());
        Ok(())
    }

    /// Whole networks, from their batch, which is there, to their answers, in milliseconds.
    pub fn wholes(&self, nets: &[Subnet]) -> Result<Vec<f64>> {
        let plans = nets.iter().map(|net| self.record(net)).collect::<Result<Vec<_>>>()?;
        self.medians(&plans, &mut |_, _| {})
    }

    /// What the table says of a network, in milliseconds.
    ///
    /// # Errors
    /// `Kind::Internal` where it lacks a layer.
    pub fn latency(&self, table: &Table, net: &Subnet) -> Result<f64> {
        table.latency(&self.counter.layers(net)?).ok_or_else(|| missing(net))
    }

    fn sum(&self, table: &Table, net: &Subnet) -> Result<f64> {
        table.sum(&self.counter.layers(net)?).ok_or_else(|| missing(net))
    }

    fn lay_out(&self, subnet: &Subnet) -> Result<Laid> {
        let Counter { space, input, classes, choices, batch, .. } = self.counter;
        let net: Network = network(space, subnet, *classes).into();
        let mut model = Model::new(&recipe::Model::Network(net.clone()), input.clone(), *classes, 0)?;
        model.params.iter_mut().try_for_each(|param| param.allocate(self.gpu))?;
        let cols = self.counter.columns();
        let schedule = Schedule::new(&model, self.gpu, choices, cols, Wish::default());
        let (_, mut passes) = Arena::new(self.gpu, vec![schedule])?;
        let live = *batch as u32;
        let step = Step { live, answers: live, together: live, ..Step::default() };
        let step = self.gpu.uniform("step", &step)?;
        let layers = layers(&net, &model);
        Ok(Laid { model, pass: passes.remove(0), step, layers })
    }

    fn record(&self, subnet: &Subnet) -> Result<Plan> {
        let Laid { model, pass, step, .. } = &self.lay_out(subnet)?;
        let mut rec = Recorder::new(self.gpu);
        model.forward(&mut rec, &self.counter.choices, step, pass)?;
        rec.finish()
    }

    /// One layer of a network some times in a row, and how many.
    fn layer(&self, Laid { model, pass, step, .. }: &Laid, number: usize) -> Result<(Plan, usize)> {
        let layer =
            model.layers().nth(number).ok_or_else(|| Error::internal("a network has fewer layers"))?;
        let plan = |copies: usize| -> Result<Plan> {
            let mut rec = Recorder::new(self.gpu);
            (0..copies)
                .try_for_each(|_| model.record_alone(&mut rec, &self.counter.choices, step, pass, &layer))?;
            rec.finish()
        };
        let brief = plan(2)?.time(1)?[0] / 2.0;
        let copies = ((PLAN_MS / brief.max(1e-6)) as usize).clamp(2, MOST_COPIES);
        Ok((plan(copies)?, copies))
    }

    fn medians(&self, plans: &[Plan], told: &mut dyn FnMut(usize, usize)) -> Result<Vec<f64>> {
        let rounds = self.repeats.max(1);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); plans.len()];
        // In the first round a driver may still compile.
        plans.iter().try_for_each(|plan| plan.time_once().map(drop))?;
        for round in 0..rounds {
            for (plan, times) in plans.iter().zip(&mut times) {
                times.push(plan.time_once()?);
            }
            told(round + 1, rounds);
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        Ok(times.into_iter().map(median).collect())
    }
}

fn missing(net: &Subnet) -> Error {
    Error::internal(format!("a layer of {net} is not in the table of latencies"))
}

/// The deepest networks of one kernel size, one expansion and one resolution: between them they have every layer of the space.
fn uniform(space: &Space) -> Vec<Subnet> {
    let mut all = Vec::new();
    for &kernel in &space.kernels {
        for &expansion in &space.expansions {
            for &resolution in &space.resolutions {
                let mut subnet = Subnet { resolution, ..space.full() };
                subnet.kernels.fill(kernel);
                subnet.expansions.fill(expansion);
                all.push(subnet);
            }
        }
    }
    all
}
