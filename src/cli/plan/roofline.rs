//! The least time that each dispatch takes on a device that need not be here: its operations and bytes against what the
//! device can do at most (Williams, Waterman & Patterson, 2009).

use std::str::FromStr;

use serde_json::{Value, json};

use super::merged;
use crate::cli::bench::ceilings;
use crate::error::Result;
use crate::gpu::{Cost, Dispatch, Gpu, Identity, Plan};
use crate::ops::variants::FILL;

/// What a device can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// TFLOP/s in f32: a multiplication and an addition are two operations.
    tflops: f64,
    /// GB/s of its memory.
    gbytes: f64,
}

/// Whose ceilings a plan is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// A GPU's that need not be here.
    Imagined(Ceilings),
    /// The chosen device's, which are measured.
    Measured,
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "measured" {
            return Ok(Target::Measured);
        }
        let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[tflops, gbytes]) if tflops > 0.0 && gbytes > 0.0 && (tflops + gbytes).is_finite() => {
                Ok(Target::Imagined(Ceilings { tflops, gbytes }))
            }
            _ => {
                Err("expected TFLOP/s and GB/s, such as 20,500 (data sheets name both), or `measured`".into())
            }
        }
    }
}

/// What keeps a dispatch from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Arithmetic,
    Memory,
    /// Its workgroups are fewer than a large device has units: the floor is out of reach.
    Workgroups,
}

impl Bound {
    fn name(self) -> &'static str {
        match self {
            Bound::Arithmetic => "arithmetic",
            Bound::Memory => "memory",
            Bound::Workgroups => "too few workgroups",
        }
    }
}

impl Ceilings {
    /// What a device reaches: in sums in registers, and where it reads once and writes.
    pub fn measure(gpu: &Gpu) -> Result<Self> {
        let [gflops, gbytes] = ceilings::rates(gpu)?;
        Ok(Self { tflops: gflops / 1e3, gbytes })
    }

    /// A GPU of these ceilings, with subgroups, on which plans are counted.
    pub fn device(self) -> Gpu {
        Gpu::counted_as(&Identity {
            adapter: format!("a GPU of {} TFLOP/s and {} GB/s", self.tflops, self.gbytes),
            backend: "none".into(),
            class: "discrete".into(),
            driver: String::new(),
            subgroups: true,
            reason: "asked for".into(),
        })
    }

    /// The least milliseconds that so many operations and bytes take.
    pub fn floor_ms(self, cost: Cost) -> f64 {
        let [arithmetic, memory] = self.parts(cost);
        arithmetic.max(memory)
    }
    fn parts(self, cost: Cost) -> [f64; 2] {
        [cost.flops as f64 / self.tflops / 1e9, cost.bytes as f64 / self.gbytes / 1e6]
    }
    fn bound(self, dispatch: &Dispatch) -> Bound {
        let [arithmetic, memory] = self.parts(dispatch.cost);
        match (u64::from(dispatch.groups) < FILL, arithmetic > memory) {
            (true, _) => Bound::Workgroups,
            (false, true) => Bound::Arithmetic,
            (false, false) => Bound::Memory,
        }
    }

    /// The floor of a plan: that of each dispatch, one after another.
    fn of_plan(self, plan: &Plan) -> f64 {
        plan.dispatches.iter().map(|dispatch| self.floor_ms(dispatch.cost)).sum()
    }
}

/// The floors of a step and of a mask update, beside a dense step.
pub struct Roofline<'a> {
    pub ceilings: Ceilings,
    /// What every step replays.
    pub step: Vec<&'a Plan>,
    /// What a mask update replays besides.
    pub masks: Vec<&'a Plan>,
    /// What a step of the dense network replays.
    pub dense: Vec<&'a Plan>,
}

impl Roofline<'_> {
    fn ms(&self, plans: &[&Plan]) -> f64 {
        plans.iter().map(|plan| self.ceilings.of_plan(plan)).sum()
    }

    pub fn lines(&self) -> Vec<Vec<String>> {
        let line = |(d, times): (&Dispatch, usize)| {
            let ms = times as f64 * self.ceilings.floor_ms(d.cost);
            vec![
                d.label.clone(),
                times.to_string(),
                d.groups.to_string(),
                format!("{:.2}", d.cost.flops as f64 / 1e6),
                format!("{:.2}", d.cost.bytes as f64 / 1e6),
                format!("{ms:.4}"),
                self.ceilings.bound(d).name().into(),
            ]
        };
        self.step.iter().flat_map(|plan| merged(&plan.dispatches)).map(line).collect()
    }
    pub const HEADER: [&'static str; 7] =
        ["dispatch", "times", "workgroups", "MFLOP each", "MB each", "floor, ms", "bound"];

    /// The sums, in words.
    pub fn sums(&self) -> Vec<String> {
        let [step, masks, dense] = [&self.step, &self.masks, &self.dense].map(|plans| self.ms(plans));
        let mut all = vec![format!(
            "a step takes at least {step:.3} ms, as weights are stored at the start; a step of the dense network \
             at least {dense:.3} ms ({:.2} of it)",
            step / dense
        )];
        if masks > 0.0 {
            all.push(format!("a mask update takes at least {masks:.3} ms more"));
        }
        all.push(
            "no dispatch is counted as waiting for another, and none for its launch: real steps take longer; results that a kernel may add to count as read and written"
                .into(),
        );
        all
    }

    pub fn json(&self) -> Value {
        let [step, masks, dense] = [&self.step, &self.masks, &self.dense].map(|plans| self.ms(plans));
        let dispatch = |(d, times): (&Dispatch, usize)| {
            json!({ "label": d.label, "times": times, "floor_ms": self.ceilings.floor_ms(d.cost),
                    "bound": self.ceilings.bound(d).name() })
        };
        let all: Vec<Value> =
            self.step.iter().flat_map(|plan| merged(&plan.dispatches)).map(dispatch).collect();
        json!({ "tflops": self.ceilings.tflops, "gbytes": self.ceilings.gbytes, "step_floor_ms": step,
                "mask_update_floor_ms": masks, "dense_step_floor_ms": dense, "dispatches": all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_two_positive_numbers() {
        assert_eq!("20, 500".parse(), Ok(Target::Imagined(Ceilings { tflops: 20.0, gbytes: 500.0 })));
        assert_eq!("measured".parse(), Ok(Target::Measured));
        for text in ["", "20", "20,0", "-1,5", "a,b", "1,2,3", "inf,1"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_slower_of_arithmetic_and_memory_is_the_floor() {
        let ceilings = Ceilings { tflops: 10.0, gbytes: 100.0 };
        // 10 GFLOP take a millisecond, as do 100 MB.
        let ms = |flops, bytes| ceilings.floor_ms(Cost { flops, bytes });
        assert_eq!(ms(20_000_000_000, 100_000_000), 2.0);
        assert_eq!(ms(10_000_000_000, 300_000_000), 3.0);
    }

    #[test]
    fn operations_and_bytes_of_a_step_are_those_of_its_products() {
        let ceilings = Ceilings { tflops: 20.0, gbytes: 500.0 };
        let text = "[data]\nname = 'fashion-mini'\n[model]\npreset = 'mlp'\nhidden = [256, 128]\n\
                    [optim]\nname = 'sgd'\nlr = 0.1\n[run]\nepochs = 1\nbatch = 64";
        let recipe =
            crate::train::resolve(&crate::recipe::Recipe::parse(text, "t.toml", &[]).unwrap()).unwrap();
        let data = crate::cli::drive::data(&recipe).unwrap();
        let run = crate::train::Session::new(&ceilings.device(), &recipe, &data, Default::default()).unwrap();
        let cost = |part: &str| {
            let all = run.plans().into_iter().flat_map(|plan| &plan.dispatches);
            all.filter(|d| d.label.contains(part)).fold(Cost::default(), |sum, d| sum + d.cost)
        };
        // Each product: a multiplication and an addition for every weight and column; every operand and result once.
        let (weights, cols) = ([784 * 256, 256 * 128, 128 * 10], 64);
        let all: u64 = weights.iter().sum();
        assert_eq!(cost(" forward/").flops - cost("forward/tile_slices:add_slices").flops, 2 * all * cols);
        assert_eq!(
            cost(" input_grad/").flops - cost("input_grad/tile_slices:add_slices").flops,
            2 * (all - weights[0]) * cols
        );
        let first = cost("fc1 weight_grad/");
        assert_eq!(first.flops, 2 * weights[0] * cols);
        // x, d_y, the gradient and the bias's, each once: what is written alone is not read.
        assert_eq!(first.bytes, 4 * (784 * cols + 256 * cols + weights[0] + 256));
    }
}
