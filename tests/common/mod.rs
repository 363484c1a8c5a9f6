//! Devices for tests: one for each backend of this machine; and a small data set.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::print_stderr, reason = "a test says what it could not run")]

use coppice::data::{Dataset, Source, Split};
use coppice::gpu::{Choice, Gpu, adapters};
use coppice::random::{Stream, word};

/// The first adapter that can be used of each backend that this machine offers, software ones included.
///
/// With `COPPICE_REQUIRE_GPU=1` a machine without an adapter fails; `COPPICE_REQUIRE_GPU=vulkan,gl` asks
/// for these backends by name.
pub fn adapter_numbers() -> Vec<usize> {
    quiet();
    let (mut seen, mut numbers) = (Vec::new(), Vec::new());
    for adapter in adapters() {
        if adapter.obstacle().is_none() && !seen.contains(&adapter.backend()) {
            numbers.push(adapter.index);
            seen.push(adapter.backend());
        }
    }
    let required = std::env::var("COPPICE_REQUIRE_GPU").unwrap_or_default().to_lowercase();
    assert!(
        required.is_empty() || !numbers.is_empty(),
        "COPPICE_REQUIRE_GPU is set, but no adapter can be used"
    );
    for name in required.split(',').filter(|name| !["", "1"].contains(name)) {
        assert!(
            seen.iter().any(|backend| backend.to_lowercase() == name),
            "no adapter on {name}; found {seen:?}"
        );
    }
    numbers
}

/// A device for each of [`adapter_numbers`].
pub fn devices() -> Vec<Gpu> {
    let open = |index| Gpu::open(&Choice::Index(index)).expect("an adapter opens");
    let mut all: Vec<Gpu> = adapter_numbers().into_iter().map(open).collect();
    if all.is_empty() {
        eprintln!("no adapter: kernels are checked for their bindings only");
        all.push(Gpu::counted());
    }
    all
}

/// One device for each backend, and the twin.
pub fn everywhere() -> Vec<Gpu> {
    let mut all: Vec<Gpu> = devices().into_iter().filter(Gpu::is_device).collect();
    all.push(Gpu::twin());
    all
}

/// Does something on each device, in a thread for each: software drivers compile on one core. The test fails if it fails
/// on one of them.
pub fn side_by_side(devices: Vec<Gpu>, on: impl Fn(&Gpu) + Sync) {
    std::thread::scope(|scope| {
        for gpu in &devices {
            scope.spawn(|| on(gpu));
        }
    });
}

/// The best adapter, or the twin.
pub fn device() -> Gpu {
    quiet();
    Gpu::open(&Choice::Auto).expect("a device")
}

/// 200 random samples of 24 bytes, the last batch of 32 not full; four classes.
pub fn bytes() -> Dataset {
    let split = |samples: u32, tensor: u32| {
        let byte = |i| word(4, Stream::Test, 0, tensor, i) as u8;
        let values: Vec<u8> = (0..samples * 24).map(byte).collect();
        let class = |row: &[u8]| (0..4u8).max_by_key(|&k| row[k as usize]).unwrap();
        let labels = values.chunks(24).map(class).collect();
        Split::bytes(values, labels)
    };
    let source = Source::new("bytes", vec![24], 4, split(200, 0), split(50, 1));
    let source = Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], ..source };
    Dataset::from_arrays(source, 0.0).unwrap()
}

/// Magnitude that N of every M keep of a matrix.
pub fn kept_magnitude(weight: &[f32], inner: usize, keep: usize, of: usize) -> f64 {
    let largest = |group: &[f32]| -> f64 {
        let mut sizes: Vec<f32> = group.iter().map(|w| w.abs()).collect();
        sizes.sort_unstable_by(|a, b| b.total_cmp(a));
        sizes.iter().take(keep).map(|&size| f64::from(size)).sum()
    };
    weight.chunks(inner.max(1)).flat_map(|row| row.chunks(of)).map(largest).sum()
}

/// Software drivers complain when this is unset.
fn quiet() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: tests that open devices call this before any other thread of theirs exists.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}

/// As the scripts in `tests/oracle` have it: (23 i^2 + 7919 i + 757 t) mod 1000 - 500, over `divisor`, rounded once.
pub fn value(t: usize, i: usize, divisor: f32) -> f32 {
    let number = (23 * i * i + 7919 * i + 757 * t) % 1000;
    (number as i32 - 500) as f32 / divisor
}
