//! `coppice selftest`: every kernel against its CPU twin, on this device.

use serde_json::json;

use super::{Device, print_json, say};
use crate::error::{Error, Kind, Result};
use crate::gpu::Gpu;
use crate::gpu::check::SIZES;
use crate::recipe::glob;
use crate::{distill, ops, optim, shrink, sparsity};

#[derive(clap::Args)]
pub struct Selftest {
    /// Only kernels whose name matches, such as `sparsity/*`
    #[arg(long, value_name = "PATTERN")]
    kernel: Option<String>,
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the checks of all kernels came to.
pub struct Outcome {
    pub results: Vec<Compared>,
    /// Checks of kernels that the device cannot run.
    pub left_out: Vec<String>,
}

/// A kernel beside its twin.
pub struct Compared {
    pub name: String,
    pub largest_error: f32,
    pub failure: Option<Error>,
}

/// Compares the kernels that the device can run with their twins, at every size: all, or those whose names match a pattern.
///
/// # Errors
/// What the device reports, and a pattern that no name matches; a kernel that disagrees is none.
pub fn compare(gpu: &Gpu, pattern: Option<&str>) -> Result<Outcome> {
    let rooms = [ops::checks(), optim::checks(), sparsity::checks(), distill::checks(), shrink::checks()];
    let mut checks: Vec<_> = rooms.into_iter().flatten().collect();
    if let Some(pattern) = pattern {
        checks.retain(|check| glob(pattern, &check.name));
        if checks.is_empty() {
            return Err(Error::usage(format!("no kernel matches `{pattern}`"))
                .hint("a pattern over the names that `coppice selftest` lists, such as \"ops/*\""));
        }
    }
    let (checks, left_out): (Vec<_>, Vec<_>) = checks.into_iter().partition(|check| check.applies_to(gpu));
    let mut results = Vec::new();
    for check in checks {
        let mut one = Compared { name: check.name.clone(), largest_error: 0.0, failure: None };
        for size in SIZES {
            match check.run(gpu, size) {
                Ok(error) => one.largest_error = one.largest_error.max(error),
                Err(error) if error.kind == Kind::Check => one.failure = one.failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        results.push(one);
    }
    Ok(Outcome { results, left_out: left_out.into_iter().map(|check| check.name).collect() })
}

impl Selftest {
    pub fn run(&self) -> Result<()> {
        let gpu = self.device.open()?;
        let Outcome { results, left_out } = compare(&gpu, self.kernel.as_deref())?;
        let failed = results.iter().filter(|one| one.failure.is_some()).count();
        if self.json {
            let kernels: Vec<_> = results
                .iter()
                .map(|one| {
                    json!({ "name": one.name, "largest_error": one.largest_error,
                            "failure": one.failure.as_ref().map(Error::to_string) })
                })
                .collect();
            let device = gpu.identity();
            print_json(&json!({ "schema": 1, "device": device, "checks": kernels.len(), "failed": failed,
                         "left_out": left_out, "kernels": kernels }))?;
        } else {
            let id = gpu.identity();
            say(&format!("{} on {}: {}", id.adapter, id.backend, id.reason))?;
            for Compared { name, largest_error: largest, failure } in &results {
                match failure {
                    None => say(&format!("ok    {name:<44} largest error {largest:.1e}"))?,
                    Some(error) => say(&format!("WRONG {name}: {error}"))?,
                }
            }
            if !left_out.is_empty() {
                let (count, names) = (left_out.len(), left_out.join(", "));
                say(&format!("{count} left out, for this device has no subgroups of eight: {names}"))?;
            }
            say(&format!(
                "{} of {} checks agree with their twins, sizes {SIZES:?}",
                results.len() - failed,
                results.len()
            ))?;
        }
        if failed > 0 {
            return Err(Error::new(
                Kind::Check,
                format!("{failed} kernels disagree with their twins on this device"),
            )
            .hint("another driver or device; please report the output"));
        }
        Ok(())
    }
}
