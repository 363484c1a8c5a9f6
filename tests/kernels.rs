//! Every kernel against its CPU twin, on every adapter of this machine, on ragged sizes; and the harness
//! against wrong answers.

mod common;
#[path = "common/program.rs"]
mod program;

use coppice::gpu::Gpu;
use coppice::gpu::check::{Check, SIZES, Tolerance, compare_f32};
use coppice::{distill, ops, optim, shrink, sparsity};

fn all() -> Vec<Check> {
    let mut all = ops::checks();
    all.extend(optim::checks());
    all.extend(sparsity::checks());
    all.extend(distill::checks());
    all.extend(shrink::checks());
    all
}

/// Nearly all of its time goes into drivers that compile, each on a core of its own. Mesa's for processors are told to
/// optimize less, which saves a fifth: by their environment, and so in processes of their own.
#[test]
fn every_kernel_agrees_with_its_twin() {
    let numbers = common::adapter_numbers();
    let homes: Vec<_> = numbers.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    std::thread::scope(|scope| {
        for (number, home) in numbers.iter().zip(&homes) {
            scope.spawn(move || {
                let args = ["selftest", "--device", &number.to_string(), "--json"];
                let output =
                    program::coppice(home.path(), &args).env("GALLIVM_PERF", "nopt").output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&errors);
                let compared = result["kernels"].as_array().unwrap();
                let wrong: Vec<_> = compared.iter().filter(|one| !one["failure"].is_null()).collect();
                assert!(
                    output.status.success() && wrong.is_empty(),
                    "adapter {number}: {wrong:#?}\n{errors}"
                );
                let left_out = result["left_out"].as_array().unwrap();
                assert_eq!(compared.len() + left_out.len(), all().len(), "adapter {number}");
            });
        }
    });
    if numbers.is_empty() {
        let gpu = Gpu::counted();
        for check in all().iter().filter(|check| check.applies_to(&gpu)) {
            SIZES.into_iter().try_for_each(|size| check.run(&gpu, size).map(drop)).unwrap();
        }
    }
}

#[test]
fn no_check_is_left_out_where_lanes_share() {
    for gpu in common::devices() {
        let id = gpu.identity();
        // 256 bits are eight invocations.
        if id.backend == "Vulkan" && id.adapter.contains("256 bits") {
            assert!(gpu.shares_lanes(), "{id:?}");
        }
        let lanes = all().iter().filter(|check| !check.applies_to(&gpu)).count();
        assert_eq!(lanes > 0, gpu.is_device() && !gpu.shares_lanes(), "{id:?}: {lanes} left out");
    }
}

#[test]
fn a_kernel_that_needs_subgroups_is_refused_where_there_are_none() {
    use coppice::bind;
    use coppice::gpu::{Kernel, Recorder, Source};
    const TEXT: &str = "//#needs subgroups\n//#use common/grid\n\
        @group(0) @binding(1) var<storage, read_write> y: array<u32>;\n\
        @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) lane: u32) {\n\
            if grid.end > 0u { y[lane] = subgroupBroadcast(lane + 40u, 2u); }\n}\n";
    let kernel = Kernel::new(Source { path: "tests/lanes", text: TEXT }, |t| {
        t.u32_mut("y").iter_mut().for_each(|y| *y = 42)
    });
    for gpu in common::devices() {
        let y = gpu.upload_u32("y", &[8], &[0; 8]).unwrap();
        let mut rec = Recorder::new(&gpu);
        let recorded = rec.dispatch(&kernel, bind! { y: &y }, 1, 0);
        if gpu.is_device() && !gpu.shares_lanes() {
            let error = recorded.unwrap_err().to_string();
            assert!(error.contains("subgroups of at least eight"), "{error}");
            continue;
        }
        recorded.unwrap();
        rec.finish().unwrap().replay().unwrap();
        assert_eq!(y.read_u32().unwrap(), [42; 8], "on {:?}", gpu.identity());
    }
}

#[test]
fn the_harness_fails_on_a_wrong_answer_and_on_nan() {
    let close = Tolerance { abs: 1e-3, rel: 1e-3 };
    assert!(compare_f32("x", &[1.0, 2.0], &[1.0, 2.0005], close).is_ok());
    for wrong in [[1.0, 2.1], [f32::NAN, 2.0], [1.0, f32::INFINITY], [1.0, -2.0]] {
        let error = compare_f32("x", &wrong, &[1.0, 2.0], close).unwrap_err().to_string();
        assert!(error.contains("x[") && error.contains("largest error"), "{error}");
    }
    assert!(compare_f32("x", &[1.0], &[f32::NAN], close).is_err());
    assert!(compare_f32("x", &[1.0], &[1.0, 2.0], close).is_err());
}

#[test]
fn a_kernel_with_a_wrong_twin_is_caught() {
    use coppice::gpu::{Kernel, Twin};
    use coppice::{bind, source, wgsl_struct};
    wgsl_struct! {
        struct Args { len: u32 }
    }
    fn wrong(t: &Twin) {
        let x = t.f32("x");
        t.f32_mut("y").iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = x.max(-0.01));
    }
    const RELU: Kernel = Kernel::new(source!("ops/relu"), wrong).entry("forward");
    let check = Check::new("relu with a leak", |t, n| {
        let x = t.input("x", &[n])?;
        let y = t.output("y", &[n], Tolerance::ROUNDING)?;
        let args = Args { len: n as u32 };
        t.rec.dispatch(&RELU, bind! { args: &args, x: &x, y: &y }, n.div_ceil(256) as u64, 0)
    });
    for gpu in common::devices() {
        assert!(check.run(&gpu, 257).is_err(), "a leak of 0.01 went unnoticed on {:?}", gpu.identity());
    }
}

#[test]
fn a_kernel_that_hides_what_is_no_number_is_caught() {
    use coppice::gpu::{Dtype, Kernel, Twin};
    use coppice::{bind, source, wgsl_struct};
    wgsl_struct! {
        struct Args { len: u32 }
    }
    fn hides(t: &Twin) {
        let x = t.f32("x");
        t.f32_mut("y").iter_mut().zip(x.iter()).for_each(|(y, &x)| *y = x.max(0.0));
    }
    const RELU: Kernel = Kernel::new(source!("ops/relu"), hides).entry("forward");
    let check = Check::new("relu that hides NaN", |t, n| {
        let (x, y) = (t.odd_input("x", n, 0, false)?, t.gpu.tensor("y", Dtype::F32, &[n])?);
        t.compare_odd(&y, Tolerance::EXACT);
        let args = Args { len: n as u32 };
        t.rec.dispatch(&RELU, bind! { args: &args, x: &x, y: &y }, n.div_ceil(256) as u64, 0)
    });
    for gpu in common::devices().iter().filter(|gpu| gpu.is_device()) {
        assert!(check.run(gpu, 65).is_err(), "a hidden NaN went unnoticed on {:?}", gpu.identity());
    }
}

#[test]
fn lockstep_names_the_first_dispatch_that_differs() {
    use coppice::gpu::check::lockstep;
    use coppice::gpu::{Plan, Recorder};
    use coppice::ops::relu;
    let record = |gpu: &Gpu, values: &[f32]| -> Plan {
        let mut rec = Recorder::new(gpu);
        let x = gpu.upload_f32("x", &[3], values).unwrap();
        let y = gpu.upload_f32("y", &[3], &[0.0; 3]).unwrap();
        let z = gpu.upload_f32("z", &[3], &[0.0; 3]).unwrap();
        rec.scope("first");
        relu::record_forward(&mut rec, &x, &y).unwrap();
        rec.scope("second");
        relu::record_forward(&mut rec, &y, &z).unwrap();
        rec.finish().unwrap()
    };
    for gpu in common::devices().iter().filter(|gpu| gpu.is_device()) {
        let twin = record(&Gpu::twin(), &[-1.0, 0.5, 2.0]);
        lockstep(&record(gpu, &[-1.0, 0.5, 2.0]), &twin, Tolerance::EXACT).unwrap();
        let error =
            lockstep(&record(gpu, &[-1.0, 0.5, 2.5]), &twin, Tolerance::EXACT).unwrap_err().to_string();
        assert!(error.contains("dispatch 0: first"), "{error}");
    }
}
