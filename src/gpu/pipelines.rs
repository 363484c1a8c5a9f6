//! Pipelines: one for each distinct kernel, made on all cores and kept as long as the device.
//!
//! Software drivers (llvmpipe, lavapipe) put off most of the work: they generate code when a pipeline is dispatched for the
//! first time, one after another. See docs/decisions/0025.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::device::{Adaptive, Gpu, Target};
use super::kernel::{Checks, Kernel};
use super::mirror;
use super::plan::Dispatch;
use super::reflect::{Access, Interface};
use crate::error::Result;

pub(super) type Pipeline = (wgpu::ComputePipeline, wgpu::BindGroupLayout);

/// All pipelines of a device.
pub(super) struct Pipelines {
    made: Mutex<HashMap<String, Pipeline>>,
    /// Threads that make them.
    threads: usize,
    /// Of those asked for in this process: how many there are, and how many there will be.
    done: AtomicUsize,
    asked: AtomicUsize,
}

impl Pipelines {
    /// OpenGL has one context, which one thread at a time may use; wgpu gives up on a thread that waits for it too long.
    pub fn new(backend: &str) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(if backend == "Gl" { 1 } else { cores })
    }
    fn with_threads(threads: usize) -> Self {
        Self { made: Mutex::default(), threads, done: AtomicUsize::new(0), asked: AtomicUsize::new(0) }
    }
    fn get(&self, kernel: &Kernel) -> Option<Pipeline> {
        self.made.lock().unwrap().get(&key(kernel)).cloned()
    }
}

/// What tells pipelines apart.
fn key(kernel: &Kernel) -> String {
    format!("{} {:?} {:?}", kernel.name(), kernel.constants, kernel.checks)
}

impl Gpu {
    /// How many pipelines there are, and how many there will be once all that are asked for by now are made.
    pub fn pipelines(&self) -> (usize, usize) {
        match &self.0.target {
            Target::Device(d) => {
                (d.pipelines.done.load(Ordering::Relaxed), d.pipelines.asked.load(Ordering::Relaxed))
            }
            _ => (0, 0),
        }
    }
    /// Whether a kernel's pipeline is there already.
    pub fn has_compiled(&self, kernel: &Kernel) -> bool {
        matches!(&self.0.target, Target::Device(d) if d.pipelines.get(kernel).is_some())
    }
    /// Makes the pipelines that these dispatches lack.
    pub(super) fn compile<'a>(&self, dispatches: impl Iterator<Item = &'a Dispatch>) -> Result<()> {
        let Target::Device(d) = &self.0.target else { return Ok(()) };
        d.compile(dispatches.map(|dispatch| (&dispatch.kernel, &*dispatch.interface)))
    }
}

impl Adaptive {
    /// The pipeline of a kernel, made now if it is not there.
    pub fn pipeline(&self, kernel: &Kernel, interface: &Interface) -> Result<Pipeline> {
        if self.pipelines.get(kernel).is_none() {
            self.compile([(kernel, interface)].into_iter())?;
        }
        Ok(self.pipelines.get(kernel).expect("just made"))
    }

    /// Makes the pipelines of these kernels that are not there, on all cores.
    ///
    /// # Errors
    /// That of the first kernel in this order that cannot be compiled, whichever failed first.
    fn compile<'a>(&self, kernels: impl Iterator<Item = (&'a Kernel, &'a Interface)>) -> Result<()> {
        let all = &self.pipelines;
        let mut wanted: Vec<(String, &Kernel, &Interface, OnceLock<Result<Pipeline>>)> = Vec::new();
        for (kernel, interface) in kernels {
            let key = key(kernel);
            if all.get(kernel).is_none() && !wanted.iter().any(|(other, ..)| *other == key) {
                wanted.push((key, kernel, interface, OnceLock::new()));
            }
        }
        all.asked.fetch_add(wanted.len(), Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((key, kernel, interface, made)) = wanted.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let named = |error: crate::error::Error| error.at(format!("kernel {}", kernel.name()));
                let _ = made.set(self.make(key, kernel, interface).map_err(named));
                all.done.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..all.threads.min(wanted.len()) {
                scope.spawn(work);
            }
            work();
        });
        for (key, _, _, made) in wanted {
            let made = made.into_inner().expect("each is taken once")?;
            all.made.lock().unwrap().insert(key, made);
        }
        Ok(())
    }

    fn make(&self, key: &str, kernel: &Kernel, interface: &Interface) -> Result<Pipeline> {
        let text = kernel.text()?;
        let entries: Vec<_> = interface
            .slots
            .iter()
            .map(|slot| wgpu::BindGroupLayoutEntry {
                binding: slot.binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: match slot.access {
                    Access::Uniform => buffer_binding(wgpu::BufferBindingType::Uniform),
                    Access::Read => buffer_binding(wgpu::BufferBindingType::Storage { read_only: true }),
                    Access::ReadWrite => {
                        buffer_binding(wgpu::BufferBindingType::Storage { read_only: false })
                    }
                    Access::Texels => wgpu::BindingType::StorageTexture {
                        access: wgpu::StorageTextureAccess::ReadOnly,
                        format: mirror::format(slot),
                        view_dimension: wgpu::TextureViewDimension::D2,
                    },
                },
                count: None,
            })
            .collect();
        self.checked(|| {
            let label = Some(key);
            let shader = wgpu::ShaderModuleDescriptor {
                label,
                source: wgpu::ShaderSource::Wgsl(text.as_str().into()),
            };
            let mut checks = wgpu::ShaderRuntimeChecks::checked();
            checks.force_loop_bounding = kernel.checks == Checks::All;
            checks.bounds_checks = kernel.checks != Checks::None;
            checks.int_div_checks = kernel.checks != Checks::None;
            // SAFETY: less than all checks are asked for by our own kernels only, where they are declared, and there only
            // what the shader does by itself is left out; tests run every kernel on ragged sizes.
            let module = unsafe { self.device.create_shader_module_trusted(shader, checks) };
            let layout = self
                .device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
            let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&whole),
                module: &module,
                entry_point: Some(kernel.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: kernel.constants,
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            });
            (pipeline, layout)
        })
    }
}

fn buffer_binding(ty: wgpu::BufferBindingType) -> wgpu::BindingType {
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bind;
    use crate::gpu::{Choice, Dtype, Recorder, Source};

    const TEXT: &str = "override ADD: f32 = 0.0;
        @group(0) @binding(0) var<storage, read_write> out: array<f32>;
        @compute @workgroup_size(1) fn main() { out[0] = out[0] * 3.0 + ADD; }";

    const fn kernel(path: &'static str, constants: &'static [(&'static str, f64)]) -> Kernel {
        Kernel::new(Source { path, text: TEXT }, |_| {}).with(constants)
    }

    fn with_threads(threads: usize) -> Option<Gpu> {
        let mut gpu = Gpu::open(&Choice::Auto).unwrap();
        match &mut Arc::get_mut(&mut gpu.0).unwrap().target {
            Target::Device(d) => d.pipelines = Pipelines::with_threads(threads),
            _ => return None,
        }
        Some(gpu)
    }
    fn run(gpu: &Gpu, kernels: &[Kernel]) -> Result<f32> {
        let out = gpu.tensor("out", Dtype::F32, &[1])?;
        let mut rec = Recorder::new(gpu);
        kernels.iter().try_for_each(|kernel| rec.dispatch(kernel, bind! { out: &out }, 1, 1))?;
        rec.finish()?.replay()?;
        Ok(out.read_f32()?[0])
    }

    #[test]
    fn pipelines_made_side_by_side_give_the_same_results() {
        const ADDED: [&[(&str, f64)]; 4] =
            [&[("ADD", 1.0)], &[("ADD", 2.0)], &[("ADD", 0.0)], &[("ADD", 1.0)]];
        let kernels = ADDED.map(|constants| kernel("t/add", constants));
        for threads in [1, 4] {
            let Some(gpu) = with_threads(threads) else { return };
            assert_eq!(run(&gpu, &kernels).unwrap(), 46.0, "by {threads}");
            assert_eq!(gpu.pipelines(), (3, 3), "equal ones once");
            assert!(gpu.has_compiled(&kernels[0]) && !gpu.has_compiled(&kernel("t/add", &[])));
        }
    }

    #[test]
    fn the_first_kernel_that_does_not_compile_is_named() {
        let kernels = [
            kernel("t/good", &[("ADD", 1.0)]),
            kernel("t/first", &[("NOT", 1.0)]),
            kernel("t/second", &[("NEITHER", 1.0)]),
        ];
        for threads in [1, 4] {
            let Some(gpu) = with_threads(threads) else { return };
            let error = run(&gpu, &kernels).unwrap_err().to_string();
            assert!(error.contains("kernel t/first") && !error.contains("t/second"), "{error}");
            assert_eq!(run(&gpu, &kernels[..1]).unwrap(), 1.0, "and others go on");
        }
    }
}
