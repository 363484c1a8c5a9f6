//! Tint, the compiler of Chrome's WebGPU: it refuses barriers in varying control flow, which naga does not.

use std::path::Path;
use std::process::Command;

/// A `tint` on the PATH.
pub struct Tint {
    /// A format that this build can write: the analysis is the same, whatever comes out.
    format: &'static str,
    folder: tempfile::TempDir,
}

impl Tint {
    /// `None`, said on stderr, where there is no `tint`; with `COPPICE_REQUIRE_TINT=1` that is a failure.
    pub fn find() -> Option<Tint> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if Command::new("tint").arg("--help").output().is_err() {
            let required = std::env::var("COPPICE_REQUIRE_TINT").is_ok_and(|value| value == "1");
            assert!(!required, "COPPICE_REQUIRE_TINT is set, but there is no `tint` on the PATH");
            #[allow(clippy::print_stderr)] // a check that was left out must be said
            {
                eprintln!("no `tint` on the PATH: shaders are checked by naga only");
            }
            return None;
        }
        let trivial = "@compute @workgroup_size(1) fn main() {}\n";
        let works = |format: &&str| translate(folder.path(), format, trivial).is_ok();
        let format = ["wgsl", "spirv", "hlsl", "msl"].into_iter().find(works);
        Some(Tint { format: format.expect("`tint` can write one of these formats"), folder })
    }

    /// Compiles a shader's whole text; the error is what Tint says.
    pub fn accepts(&self, text: &str) -> Result<(), String> {
        translate(self.folder.path(), self.format, text)
    }
}

fn translate(folder: &Path, format: &str, text: &str) -> Result<(), String> {
    let (shader, out) = (folder.join("shader.wgsl"), folder.join("out"));
    std::fs::write(&shader, text).expect("a temporary file can be written");
    let run = Command::new("tint").args(["--format", format]).arg(&shader).arg("-o").arg(&out).output();
    let run = run.map_err(|error| error.to_string())?;
    if run.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&[run.stderr, run.stdout].concat()).into_owned())
}
