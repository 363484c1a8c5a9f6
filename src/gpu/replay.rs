//! Replaying a plan: on an adapter, in submissions of bounded length; or on the twins, one after another.

use std::collections::HashMap;
use std::sync::Arc;

use glam::UVec3;

use super::device::{Adaptive, Gpu, Target};
use super::kernel::Twin;
use super::mirror::{Copy, copies};
use super::plan::{Cost, Dispatch, OFFSET_ALIGNMENT, Plan};
use super::reflect::Access;
use super::tensor::{Buffer, Storage};
use crate::error::{Error, Result};

/// One dispatch as the device sees it; a long one is cut into several.
pub(super) struct Step {
    /// Mirrors that have to be brought up to date first.
    pub copies: Vec<Copy>,
    pub pipeline: wgpu::ComputePipeline,
    pub slices: Vec<(wgpu::BindGroup, UVec3)>,
    /// Cost of one slice.
    pub cost: Cost,
}

/// Pipelines and bind groups of a plan; nothing for a twin.
pub(super) struct Compiled {
    pub steps: Vec<Step>,
    /// All constants and grids of the plan.
    _uniforms: Option<Arc<Buffer>>,
}

impl Compiled {
    pub fn new(gpu: &Gpu, dispatches: &[Dispatch]) -> Result<Self> {
        // The twin needs no uniforms, but its memory is counted as the device's is.
        let mut pool = Pool::default();
        let grids: Vec<Vec<(u64, UVec3)>> = dispatches.iter().map(|d| grids(gpu, d, &mut pool)).collect();
        let mut fresh = Vec::new();
        let copies: Vec<Vec<Copy>> =
            dispatches.iter().map(|d| copies(gpu, d, &mut fresh)).collect::<Result<_>>()?;
        for (_, bytes) in dispatches.iter().flat_map(|d| &d.constants) {
            pool.place(bytes);
        }
        if pool.bytes.is_empty() {
            return Ok(Self { steps: Vec::new(), _uniforms: None });
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniforms = gpu.buffer("constants", pool.bytes.len() as u64, usage)?;
        let mut steps = Vec::new();
        if let (Target::Device(d), Storage::Device(buffer)) = (&gpu.0.target, &uniforms.storage) {
            d.queue.write_buffer(buffer, 0, &pool.bytes);
            gpu.compile(dispatches.iter())?;
            for ((dispatch, grids), copies) in dispatches.iter().zip(grids).zip(copies) {
                steps.push(step(gpu, d, dispatch, &grids, copies, buffer, &mut pool)?);
            }
        }
        Ok(Self { steps, _uniforms: Some(Arc::new(uniforms)) })
    }
}

/// Small structs side by side in one buffer, equal ones stored once.
#[derive(Default)]
struct Pool {
    bytes: Vec<u8>,
    known: HashMap<Vec<u8>, u64>,
}

impl Pool {
    fn place(&mut self, bytes: &[u8]) -> u64 {
        if let Some(&offset) = self.known.get(bytes) {
            return offset;
        }
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(OFFSET_ALIGNMENT as usize), 0);
        self.known.insert(bytes.to_vec(), offset);
        offset
    }
}

/// Cuts the row of workgroups into slices and folds each into two dimensions.
fn grids(gpu: &Gpu, dispatch: &Dispatch, pool: &mut Pool) -> Vec<(u64, UVec3)> {
    let slices = match &gpu.0.target {
        Target::Device(d) => d.pace.lock().unwrap().slices(dispatch.cost, dispatch.groups),
        _ => 1,
    };
    let per_slice = dispatch.groups.div_ceil(slices);
    (0..slices)
        .map(|slice| (slice * per_slice, ((slice + 1) * per_slice).min(dispatch.groups)))
        .filter(|(first, end)| first < end)
        .map(|(first, end)| {
            let offset = pool.place(bytemuck::cast_slice(&[first, end]));
            (offset, fold(end - first, gpu.limits().groups))
        })
        .collect()
}

/// A row of `groups` as the smallest two-dimensional grid within the limit.
fn fold(groups: u32, limit: u32) -> UVec3 {
    let rows = groups.div_ceil(limit);
    UVec3::new(groups.div_ceil(rows), rows, 1)
}

fn step(
    gpu: &Gpu,
    d: &Adaptive,
    dispatch: &Dispatch,
    grids: &[(u64, UVec3)],
    copies: Vec<Copy>,
    uniforms: &wgpu::Buffer,
    pool: &mut Pool,
) -> Result<Step> {
    let (pipeline, layout) = d.pipeline(&dispatch.kernel, &dispatch.interface)?;
    let in_pool = |offset, bytes: usize| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: uniforms,
            offset,
            size: std::num::NonZeroU64::new(bytes.next_multiple_of(16) as u64),
        })
    };
    let mut views = HashMap::new();
    for slot in dispatch.interface.slots.iter().filter(|slot| slot.access == Access::Texels) {
        let span = &dispatch.spans.iter().find(|(name, _)| *name == slot.name).expect("checked").1;
        if let Some(texture) = gpu.mirror(span, slot)? {
            views.insert(slot.binding, texture.create_view(&Default::default()));
        }
    }
    let mut slices = Vec::new();
    for &(grid, size) in grids {
        let mut entries = Vec::new();
        for slot in &dispatch.interface.slots {
            let resource = if slot.name == "grid" {
                in_pool(grid, 16)
            } else if let Some(view) = views.get(&slot.binding) {
                wgpu::BindingResource::TextureView(view)
            } else if let Some((_, bytes)) = dispatch.constants.iter().find(|(name, _)| *name == slot.name) {
                in_pool(pool.place(bytes), bytes.len())
            } else {
                let span = &dispatch.spans.iter().find(|(name, _)| *name == slot.name).expect("checked").1;
                let Storage::Device(buffer) = &span.buffer.storage else {
                    return Err(Error::internal(format!(
                        "`{}` belongs to another device",
                        span.buffer.label
                    )));
                };
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: span.first as u64 * 4,
                    size: std::num::NonZeroU64::new(span.bound_bytes()),
                })
            };
            entries.push(wgpu::BindGroupEntry { binding: slot.binding, resource });
        }
        let descriptor =
            wgpu::BindGroupDescriptor { label: Some(&dispatch.label), layout: &layout, entries: &entries };
        slices.push((d.checked(|| d.device.create_bind_group(&descriptor))?, size));
    }
    let parts = slices.len() as u64;
    let cost = Cost { flops: dispatch.cost.flops / parts, bytes: dispatch.cost.bytes / parts };
    Ok(Step { copies, pipeline, slices, cost })
}

impl Plan {
    /// Runs every dispatch in order. Returns once all are submitted; reading a tensor waits for them.
    pub fn replay(&self) -> Result<()> {
        if self.gpu.is_timing() {
            return self.replay_timed();
        }
        match &self.gpu.0.target {
            Target::Device(d) => self.submit(d, &self.compiled.steps),
            Target::Twin => {
                for dispatch in &self.dispatches {
                    dispatch.run_twin();
                }
                Ok(())
            }
            Target::Counted => Ok(()),
        }
    }

    /// Runs one dispatch alone, for lockstep comparison.
    pub(super) fn replay_one(&self, index: usize) -> Result<()> {
        match &self.gpu.0.target {
            Target::Device(d) => self.submit(d, &self.compiled.steps[index..=index]),
            Target::Twin => {
                self.dispatches[index].run_twin();
                Ok(())
            }
            Target::Counted => Ok(()),
        }
    }

    fn submit(&self, d: &Adaptive, steps: &[Step]) -> Result<()> {
        let mut pass = Submission::default();
        for step in steps {
            for (index, slice) in step.slices.iter().enumerate() {
                let (seconds, aim) = {
                    let pace = d.pace.lock().unwrap();
                    (pace.estimate(step.cost), pace.aim_seconds())
                };
                if !pass.slices.is_empty() && pass.seconds + seconds > aim {
                    std::mem::take(&mut pass).submit(d)?;
                }
                pass.seconds += seconds;
                let copies = if index == 0 { &step.copies[..] } else { &[] };
                pass.slices.push((copies, &step.pipeline, slice));
            }
        }
        pass.submit(d)
    }
}

impl Dispatch {
    pub(super) fn run_twin(&self) {
        (self.kernel.twin)(&Twin { spans: &self.spans, constants: &self.constants });
    }
}

type Slice<'a> = (&'a [Copy], &'a wgpu::ComputePipeline, &'a (wgpu::BindGroup, UVec3));

#[derive(Default)]
struct Submission<'a> {
    slices: Vec<Slice<'a>>,
    seconds: f64,
}

impl Submission<'_> {
    fn submit(self, d: &Adaptive) -> Result<()> {
        if self.slices.is_empty() {
            return Ok(());
        }
        let mut encoder =
            d.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("plan") });
        // A pass ends where textures have to be brought up to date.
        for run in self.slices.chunk_by(|_, (copies, ..)| copies.is_empty()) {
            run[0].0.iter().for_each(|copy| copy.encode(&mut encoder));
            let mut pass = encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: None });
            for (_, pipeline, (bind_group, size)) in run {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[]);
                pass.dispatch_workgroups(size.x, size.y, size.z);
            }
        }
        let index = d.queue.submit([encoder.finish()]);
        let oldest = d.pace.lock().unwrap().submitted(index, self.seconds);
        if let Some(oldest) = oldest {
            d.wait(Some(oldest))?;
            d.pace.lock().unwrap().done();
        }
        d.fault()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fold_within_the_limit_and_cover_everything() {
        for groups in [1, 2, 65535, 65536, 65537, 131_070, 131_071, 10_000_000] {
            let size = fold(groups, 65535);
            assert!(size.x <= 65535 && size.y <= 65535);
            assert!(size.x as u64 * size.y as u64 >= groups as u64);
            assert!((size.x as u64 * size.y as u64) < groups as u64 + size.y as u64);
        }
    }
}
