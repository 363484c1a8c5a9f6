//! Times of single dispatches: by the device's own timestamps where it has them, else by the wall clock.

use std::time::Instant;

use super::device::{Adaptive, Gpu, Target};
use super::plan::{Cost, Phase, Plan};
use super::replay::Step;
use super::tensor::{Dtype, Span};
use crate::error::Result;

/// Where a time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The device's timestamps.
    Timestamps,
    /// The host's clock around a submission of its own, waiting included.
    Wall,
}

/// The time of one dispatch.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Timing {
    pub label: String,
    pub phase: Phase,
    pub ms: f64,
    /// What it has to do at least.
    pub cost: Cost,
}

/// Most queries in one set that WebGPU promises.
const MOST_QUERIES: usize = 4096;

impl Gpu {
    /// Which clock `Plan::profile` uses.
    pub fn clock(&self) -> Clock {
        match &self.0.target {
            Target::Device(d) if d.timestamps => Clock::Timestamps,
            _ => Clock::Wall,
        }
    }

    /// Does `work`, with every dispatch that it replays timed by itself, in order. The results are the same.
    pub fn timing<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Timing>)> {
        *self.0.timings.lock().unwrap() = Some(Vec::new());
        let done = work();
        let timings = self.0.timings.lock().unwrap().take();
        Ok((done?, timings.unwrap_or_default()))
    }
    pub(super) fn is_timing(&self) -> bool {
        self.0.timings.lock().unwrap().is_some()
    }
}

/// What timing a plan needs, made once.
pub struct Profiler {
    queries: Option<(wgpu::QuerySet, super::tensor::Tensor)>,
}

impl Plan {
    /// Makes the queries that `profile` uses, so that no step has to.
    pub fn profiler(&self) -> Result<Profiler> {
        let count = self.compiled.steps.iter().map(|s| s.slices.len()).sum::<usize>() * 2;
        let Target::Device(d) = &self.gpu.0.target else { return Ok(Profiler { queries: None }) };
        if !d.timestamps || count == 0 || count > MOST_QUERIES {
            return Ok(Profiler { queries: None });
        }
        let set = d.checked(|| {
            d.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count: count as u32,
            })
        })?;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let buffer = std::sync::Arc::new(self.gpu.buffer("profile", count as u64 * 8, usage)?);
        let span = Span { buffer, first: 0, words: count * 2, dtype: Dtype::U32 };
        let tensor = super::tensor::Tensor {
            label: "profile".into(),
            span,
            gpu: self.gpu.clone(),
            shape: vec![count * 2],
        };
        Ok(Profiler { queries: Some((set, tensor)) })
    }

    /// Milliseconds of `repeats` replays, waiting included, after one that is not counted.
    pub fn time(&self, repeats: usize) -> Result<Vec<f64>> {
        self.time_once()?;
        (0..repeats).map(|_| self.time_once()).collect()
    }
    /// Milliseconds of one replay, waiting included. In the first one a driver may still compile.
    pub fn time_once(&self) -> Result<f64> {
        self.gpu.finish()?;
        let began = Instant::now();
        self.replay()?;
        self.gpu.finish()?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// Replays the plan and notes what each dispatch took.
    pub(super) fn replay_timed(&self) -> Result<()> {
        let times = self.profile(&self.profiler()?)?;
        self.gpu.0.timings.lock().unwrap().iter_mut().for_each(|all| all.extend_from_slice(&times));
        Ok(())
    }

    /// Replays the plan as `replay` does, timing each dispatch. The results are the same.
    pub fn profile(&self, profiler: &Profiler) -> Result<Vec<Timing>> {
        self.gpu.finish()?;
        let ms = match (&self.gpu.0.target, &profiler.queries) {
            (Target::Device(d), Some((set, tensor))) => self.by_timestamps(d, set, tensor)?,
            (Target::Device(d), None) => self.by_wall_clock(d)?,
            _ => self.dispatches.iter().map(|dispatch| timed(|| dispatch.run_twin())).collect(),
        };
        let timing = |(dispatch, ms): (&super::plan::Dispatch, f64)| Timing {
            label: dispatch.label.clone(),
            phase: dispatch.phase,
            ms,
            cost: dispatch.cost,
        };
        Ok(self.dispatches.iter().zip(ms).map(timing).collect())
    }

    fn by_timestamps(
        &self,
        d: &Adaptive,
        set: &wgpu::QuerySet,
        out: &super::tensor::Tensor,
    ) -> Result<Vec<f64>> {
        let mut query = 0;
        for step in &self.compiled.steps {
            for (index, slice) in step.slices.iter().enumerate() {
                one_pass(d, step, index, slice, Some((set, query)))?;
                query += 2;
            }
        }
        let mut encoder = d.device.create_command_encoder(&Default::default());
        if let super::tensor::Storage::Device(buffer) = &out.span.buffer.storage {
            encoder.resolve_query_set(set, 0..query, buffer, 0);
        }
        d.queue.submit([encoder.finish()]);
        let words = out.read_u32()?;
        let ticks: Vec<u64> = words.chunks_exact(2).map(|w| w[0] as u64 | (w[1] as u64) << 32).collect();
        let period_ms = d.queue.get_timestamp_period() as f64 / 1e6;
        let mut spans = ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period_ms);
        Ok(self.compiled.steps.iter().map(|s| spans.by_ref().take(s.slices.len()).sum()).collect())
    }

    fn by_wall_clock(&self, d: &Adaptive) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for step in &self.compiled.steps {
            let mut ms = 0.0;
            for (index, slice) in step.slices.iter().enumerate() {
                let began = Instant::now();
                one_pass(d, step, index, slice, None)?;
                d.wait(None)?;
                ms += began.elapsed().as_secs_f64() * 1e3;
            }
            all.push(ms);
        }
        Ok(all)
    }
}

/// Submits one slice by itself. Its time begins before the copies into textures that it needs: an empty pass
/// marks that instant.
fn one_pass(
    d: &Adaptive,
    step: &Step,
    index: usize,
    (bind_group, size): &(wgpu::BindGroup, glam::UVec3),
    stamps: Option<(&wgpu::QuerySet, u32)>,
) -> Result<()> {
    let writes = |begin: bool, end: bool| {
        stamps.map(|(query_set, query)| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: begin.then_some(query),
            end_of_pass_write_index: end.then_some(query + 1),
        })
    };
    let copies = if index == 0 { &step.copies[..] } else { &[] };
    let mut encoder = d.device.create_command_encoder(&Default::default());
    if !copies.is_empty() {
        let timestamp_writes = writes(true, false);
        drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
        copies.iter().for_each(|copy| copy.encode(&mut encoder));
    }
    {
        let timestamp_writes = writes(copies.is_empty(), true);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
        pass.set_pipeline(&step.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        pass.dispatch_workgroups(size.x, size.y, size.z);
    }
    d.queue.submit([encoder.finish()]);
    d.fault()
}

fn timed(run: impl FnOnce()) -> f64 {
    let began = Instant::now();
    run();
    began.elapsed().as_secs_f64() * 1e3
}
