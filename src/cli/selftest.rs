//! `coppice selftest`: every kernel against its CPU twin, on this device.

use serde_json::json;

use super::{Device, print_json, say};
use crate::error::{Error, Kind, Result};
use crate::gpu::check::SIZES;
use crate::recipe::glob;
use crate::{distill, ops, optim, sparsity};

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

impl Selftest {
    pub fn run(&self) -> Result<()> {
        let gpu = self.device.open()?;
        let mut checks = ops::checks();
        checks.extend(optim::checks());
        checks.extend(sparsity::checks());
        checks.extend(distill::checks());
        if let Some(pattern) = &self.kernel {
            checks.retain(|check| glob(pattern, &check.name));
            if checks.is_empty() {
                return Err(Error::usage(format!("no kernel matches `{pattern}`"))
                    .hint("a pattern over the names that `coppice selftest` lists, such as \"ops/*\""));
            }
        }
        let mut results = Vec::new();
        let (checks, left_out): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.applies_to(&gpu));
        let left_out: Vec<_> = left_out.iter().map(|check| check.name.as_str()).collect();
        for check in checks {
            let mut largest = 0.0f32;
            let mut failure = None;
            for size in SIZES {
                match check.run(&gpu, size) {
                    Ok(error) => largest = largest.max(error),
                    Err(error) if error.kind == Kind::Check => failure = failure.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            results.push((&check.name, largest, failure));
        }
        let failed = results.iter().filter(|(_, _, failure)| failure.is_some()).count();
        if self.json {
            let kernels: Vec<_> = results
                .iter()
                .map(|(name, largest, failure)| {
                    json!({ "name": name, "largest_error": largest, "failure": failure.as_ref().map(Error::to_string) })
                })
                .collect();
            let device = gpu.identity();
            print_json(&json!({ "schema": 1, "device": device, "checks": kernels.len(), "failed": failed,
                         "left_out": left_out, "kernels": kernels }))?;
        } else {
            let id = gpu.identity();
            say(&format!("{} on {}: {}", id.adapter, id.backend, id.reason))?;
            for (name, largest, failure) in &results {
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
