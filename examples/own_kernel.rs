//! Tests one's own WGSL kernel, without a window, against a plain Rust function.
//!
//! `cargo run --release --example own_kernel`
#![allow(clippy::print_stdout, reason = "an example speaks")]

use coppice::gpu::check::{Check, SIZES, Tolerance};
use coppice::gpu::{Choice, Gpu, Kernel, Source, Twin};
use coppice::{bind, wgsl_struct};

wgsl_struct! {
    /// The uniform struct; it is compared with the shader's own, field by field.
    struct Args { len: u32 }
}

/// The same function in Rust, sums in f64: what the kernel is held against.
fn cubic(t: &Twin) {
    let x = t.f32("x");
    for (y, &x) in t.f32_mut("y").iter_mut().zip(x.iter()) {
        let x = f64::from(x);
        *y = (x * x * x - x) as f32;
    }
}

const CUBIC: Kernel =
    Kernel::new(Source { path: "own_kernel", text: include_str!("own_kernel.wgsl") }, cubic);

fn main() -> coppice::error::Result<()> {
    let check = Check::new("own_kernel", |t, n| {
        let x = t.input("x", &[n])?;
        let y = t.output("y", &[n], Tolerance::ROUNDING)?;
        let args = Args { len: n as u32 };
        t.rec.dispatch(&CUBIC, bind! { args: &args, x: &x, y: &y }, n.div_ceil(64) as u64, 3 * n as u64)
    });
    let gpu = Gpu::open(&Choice::Auto)?;
    for size in SIZES {
        let error = check.run(&gpu, size)?;
        println!("{size:>4} elements on {}: largest error {error:.1e}", gpu.identity().adapter);
    }
    Ok(())
}
