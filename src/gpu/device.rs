//! The device: opened once, never panicking. Faults become errors, waits have time-outs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::adapter::{Adapter, Choice, choose};
use super::limits::{Limits, largest_binding};
use super::pace::Pace;
use super::pipelines::Pipelines;
use super::profile::Timing;
use crate::error::{Error, Kind, Result};

/// How long a wait for the device may take before it counts as hung. A submission aims at 50 ms.
const PATIENCE: Duration = Duration::from_secs(60);
/// Readback goes through one buffer of this size.
pub(super) const STAGING_BYTES: u64 = 1 << 20;

/// What a run records of its device, and the key of measured choices.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    pub adapter: String,
    /// `Vulkan`, `Metal`, `Dx12`, `Gl`, `twin`, or `none` where plans are only counted.
    pub backend: String,
    pub class: String,
    pub driver: String,
    /// Whether it has subgroups of at least eight invocations: see [`Gpu::shares_lanes`].
    #[serde(default)]
    pub subgroups: bool,
    /// Why it was chosen.
    pub reason: String,
}

/// Bytes of buffers: now, at most, and how many buffers were ever made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub bytes: u64,
    pub peak_bytes: u64,
    pub buffers: u64,
    /// What every device has from the start, to read back by; it is part of the others.
    pub fixed_bytes: u64,
}

#[derive(Default)]
pub(super) struct Ledger {
    bytes: AtomicU64,
    peak: AtomicU64,
    buffers: AtomicU64,
}

impl Ledger {
    /// The buffer for reading back is there from the start; plans count it, too.
    fn with_staging() -> Arc<Self> {
        let ledger = Arc::new(Ledger::default());
        ledger.add(STAGING_BYTES);
        ledger
    }
    pub fn add(&self, bytes: u64) {
        let now = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(now, Ordering::Relaxed);
        self.buffers.fetch_add(1, Ordering::Relaxed);
    }
    pub fn free(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

pub(super) struct Adaptive {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub timestamps: bool,
    fault: Arc<Mutex<Option<Error>>>,
    pub staging: Mutex<wgpu::Buffer>,
    pub pipelines: Pipelines,
    pub pace: Mutex<Pace>,
}

pub(super) enum Target {
    Device(Box<Adaptive>),
    Twin,
    Counted,
}

pub(super) struct Inner {
    pub target: Target,
    pub limits: Limits,
    pub identity: Identity,
    pub ledger: Arc<Ledger>,
    /// What replays took, while they are timed.
    pub timings: Mutex<Option<Vec<Timing>>>,
}

/// A device, real or twin. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Gpu(pub(super) Arc<Inner>);

impl Gpu {
    /// Opens the chosen adapter, with the largest bindings that it has and WebGPU's default limits for all else.
    ///
    /// # Errors
    /// `Kind::Device` where there is no such adapter or it cannot be opened.
    pub fn open(choice: &Choice) -> Result<Self> {
        Self::open_with(choice, Limits::default())
    }

    /// Opens the chosen adapter with limits of one's own: what it does not have is lowered.
    pub fn open_with(choice: &Choice, limits: Limits) -> Result<Self> {
        let (adapter, reason) = choose(choice)?;
        match adapter {
            Some(adapter) => Self::on(&adapter, limits, reason),
            None => Ok(Self::without(Target::Twin, limits, "CPU twin", "twin", reason)),
        }
    }

    /// The CPU twins: every kernel's plain Rust function, on host memory.
    pub fn twin() -> Self {
        Self::without(Target::Twin, Limits::default(), "CPU twin", "twin", "asked for".into())
    }
    /// No device at all: plans are recorded and checked, memory is counted, nothing runs.
    pub fn counted() -> Self {
        Self::counted_with(Limits::default())
    }
    pub fn counted_with(limits: Limits) -> Self {
        Self::without(Target::Counted, limits, "none", "none", "plans are only counted".into())
    }
    /// As [`Gpu::counted`], with the kernels that the device of this identity would use, and the largest bindings that its class
    /// is ever asked for.
    pub fn counted_as(identity: &Identity) -> Self {
        Self::made(Target::Counted, Limits::default(), identity.clone())
    }
    /// As [`Gpu::counted`], with the kernels and the limits of this device.
    pub fn counted_like(&self) -> Self {
        Self::made(Target::Counted, self.0.limits, self.0.identity.clone())
    }

    fn without(target: Target, limits: Limits, adapter: &str, backend: &str, reason: String) -> Self {
        let identity = Identity {
            adapter: adapter.into(),
            backend: backend.into(),
            class: "cpu".into(),
            driver: format!("coppice {}", env!("CARGO_PKG_VERSION")),
            subgroups: false,
            reason,
        };
        Self::made(target, limits, identity)
    }
    fn made(target: Target, mut limits: Limits, identity: Identity) -> Self {
        limits.binding_bytes = limits.binding_bytes.min(largest_binding(&identity.class));
        let (ledger, timings) = (Ledger::with_staging(), Mutex::default());
        Gpu(Arc::new(Inner { target, limits, identity, ledger, timings }))
    }

    fn on(adapter: &Adapter, mut limits: Limits, reason: String) -> Result<Self> {
        let mut optional = wgpu::Features::TIMESTAMP_QUERY & adapter.adapter.features();
        optional.set(wgpu::Features::SUBGROUP, adapter.has_subgroups());
        let mut required = wgpu::Limits::downlevel_defaults().using_resolution(adapter.adapter.limits());
        required.max_storage_buffers_per_shader_stage = 8;
        // WebGPU's 128 MiB a binding hold no batch of a large network.
        let own = adapter.adapter.limits();
        let binding = own.max_storage_buffer_binding_size.min(own.max_buffer_size);
        let binding = binding.min(largest_binding(adapter.class()));
        required.max_storage_buffer_binding_size = binding & !255;
        required.max_buffer_size = required.max_storage_buffer_binding_size.max(256 << 20);
        limits.binding_bytes = limits.binding_bytes.min(required.max_storage_buffer_binding_size);
        required.max_compute_workgroup_storage_size = 16384;
        required.max_compute_invocations_per_workgroup = 256;
        required.max_compute_workgroup_size_x = 256;
        required.max_compute_workgroups_per_dimension = 65535;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("coppice"),
            required_features: optional,
            required_limits: required,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) =
            pollster::block_on(adapter.adapter.request_device(&descriptor)).map_err(|e| {
                Error::device(format!("cannot open {}", adapter.name()))
                    .at(e.to_string())
                    .hint("another adapter (`coppice devices`), or --device twin")
            })?;
        let fault = Arc::new(Mutex::new(None));
        let sink = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            sink.lock().unwrap().get_or_insert_with(|| device_error(&error));
        }));
        let sink = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                sink.lock().unwrap().get_or_insert_with(|| {
                    Error::device("the device was lost")
                        .at(message)
                        .hint("`coppice resume RUN` goes on from the last checkpoint")
                });
            }
        });
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: STAGING_BYTES,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let identity = Identity {
            adapter: adapter.name().to_string(),
            backend: adapter.backend(),
            class: adapter.class().to_string(),
            driver: adapter.driver(),
            subgroups: adapter.has_subgroups(),
            reason,
        };
        let software = adapter.class() == "cpu";
        let adaptive = Adaptive {
            device,
            queue,
            timestamps: optional.contains(wgpu::Features::TIMESTAMP_QUERY),
            fault,
            staging: Mutex::new(staging),
            pipelines: Pipelines::new(&identity.backend),
            pace: Mutex::new(Pace::new(software, f64::from(limits.submission_ms) / 1e3)),
        };
        let target = Target::Device(Box::new(adaptive));
        Ok(Self::made(target, limits, identity))
    }

    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }
    pub fn limits(&self) -> Limits {
        self.0.limits
    }
    /// Memory of all buffers made through this device.
    pub fn memory(&self) -> Memory {
        let ledger = &self.0.ledger;
        Memory {
            bytes: ledger.bytes.load(Ordering::Relaxed),
            peak_bytes: ledger.peak.load(Ordering::Relaxed),
            buffers: ledger.buffers.load(Ordering::Relaxed),
            fixed_bytes: STAGING_BYTES,
        }
    }
    /// Counts the peak anew from what there is now.
    pub fn forget_peak(&self) {
        let ledger = &self.0.ledger;
        ledger.peak.store(ledger.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    /// Whether kernels run on an adapter, not on their twins.
    pub fn is_device(&self) -> bool {
        matches!(self.0.target, Target::Device(_))
    }
    /// Whether it computes on the host's own processor: a software adapter, or the twin.
    pub fn is_software(&self) -> bool {
        self.0.identity.class == "cpu"
    }
    /// How often the loops of an invocation may go round in all, where a driver ends them without a word: Mesa's for host
    /// processors do (`LP_MAX_TGSI_LOOP_ITERATIONS`).
    pub fn most_rounds(&self) -> Option<usize> {
        (self.is_device() && self.is_software()).then_some(65_535)
    }
    /// Whether kernels that move much and compute little read through textures: software adapters fetch a texel
    /// several times as fast as a word of a buffer (docs/performance.md).
    pub fn prefers_texels(&self) -> bool {
        self.is_software() && self.0.identity.backend != "twin" && self.0.identity.backend != "none"
    }
    /// Whether eight invocations of a workgroup can tell each other their numbers, and kernels that do so can run.
    pub fn shares_lanes(&self) -> bool {
        self.0.identity.subgroups
    }
    /// Whether nothing runs at all.
    pub fn is_counted(&self) -> bool {
        matches!(self.0.target, Target::Counted)
    }

    /// Waits until everything submitted is done.
    pub fn finish(&self) -> Result<()> {
        match &self.0.target {
            Target::Device(d) => d.finish(),
            _ => Ok(()),
        }
    }
}

impl Adaptive {
    /// The first fault that was reported since the device was opened.
    pub fn fault(&self) -> Result<()> {
        self.fault.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    /// Runs a creation under error scopes.
    pub fn checked<T>(&self, create: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let made = create();
        let errors = [internal, validation, memory].map(|scope| pollster::block_on(scope.pop()));
        match errors.into_iter().flatten().next() {
            Some(error) => Err(device_error(&error)),
            None => self.fault().map(|()| made),
        }
    }

    /// Waits for one submission, or for all.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        self.fault()?;
        let wait = wgpu::PollType::Wait { submission_index: submission, timeout: Some(PATIENCE) };
        match self.device.poll(wait) {
            Ok(_) => self.fault(),
            Err(wgpu::PollError::Timeout) => Err(Error::device("the device hangs")
                .at(format!("no answer in {} s", PATIENCE.as_secs()))
                .hint("`coppice resume RUN`, a smaller batch, or another device (--device)")),
            Err(other) => Err(Error::device("waiting for the device failed").at(other.to_string())),
        }
    }

    fn finish(&self) -> Result<()> {
        self.pace.lock().unwrap().forget();
        self.wait(None)
    }

    pub(super) fn fetch(
        &self,
        from: &wgpu::Buffer,
        first: u64,
        staging: &wgpu::Buffer,
        bytes: u64,
        to: &mut Vec<u32>,
    ) -> Result<()> {
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("read") });
        encoder.copy_buffer_to_buffer(from, first, staging, 0, bytes);
        self.queue.submit([encoder.finish()]);
        self.map(staging, bytes, to)
    }

    /// Waits for all that is submitted and takes the first bytes of a buffer that the host can read.
    pub fn map(&self, staging: &wgpu::Buffer, bytes: u64, to: &mut Vec<u32>) -> Result<()> {
        let slice = staging.slice(..bytes);
        let (sender, receiver) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |result| {
            let _ = sender.send(result);
        });
        self.finish()?;
        let broken = |what: String| Error::device("reading from the device failed").at(what);
        receiver.recv().map_err(|e| broken(e.to_string()))?.map_err(|e| broken(e.to_string()))?;
        let view = slice.get_mapped_range().map_err(|e| broken(e.to_string()))?;
        to.extend(view.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
        drop(view);
        staging.unmap();
        Ok(())
    }
}

fn device_error(error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { source } => Error::new(Kind::Memory, "the device has no memory left")
            .at(source.to_string())
            .hint("a smaller batch or model; `coppice plan` shows what a recipe needs"),
        other => Error::device("the device refused a command").at(other.to_string()),
    }
}
