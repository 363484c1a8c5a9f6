//! bf16 copies of activations and their gradients: half the bytes to load, all of the range, eight bits of precision.

use super::groups;
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Dtype, Gpu, Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/narrow.wgsl`.
    pub struct Args { octets: u32 }
}

const MAIN: Kernel = Kernel::own(source!("ops/narrow"), twin).proven();
const WG: usize = 64;

/// Room for the copy of a tensor (rows, cols), cols a multiple of 8.
pub fn tensor(gpu: &Gpu, of: &Tensor) -> Result<Tensor> {
    gpu.tensor(&format!("{} bf16", of.label()), Dtype::Bf16, &of.shape)
}

/// Records `out = x`, rounded to nearest even.
pub fn record(rec: &mut Recorder, x: &Tensor, out: &Tensor) -> Result<()> {
    let octets = x.len() / 8;
    let args = Args { octets: octets as u32 };
    rec.dispatch(&MAIN, bind! { args: &args, x: x, out: out }, groups(octets, WG), 0)
}

fn twin(t: &Twin) {
    t.set_values("out", &t.values("x"));
}

pub fn checks() -> Vec<Check> {
    vec![Check::new("ops/narrow", |t, n| {
        let mut values = t.values(n * 8);
        // Ties, both ways; the largest; what is none, and what is without end.
        let edges = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX, f32::NAN, f32::INFINITY, -0.0, 1e-40];
        values.iter_mut().zip(edges).for_each(|(value, edge)| *value = edge);
        let x = t.gpu.upload_f32("x", &[n, 8], &values)?;
        let out = tensor(&t.gpu, &x)?;
        t.compare(&out, Tolerance::EXACT);
        record(&mut t.rec, &x, &out)
    })]
}
