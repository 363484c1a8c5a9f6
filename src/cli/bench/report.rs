//! `coppice bench report`: what the project wants to know of a device, in one go, as a page and as JSON.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::{ALL, Sheet, json as sheet_json};
use crate::cli::{devices, say, selftest};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::report::table;
use crate::store::folder;

/// What is measured, the most telling first, and minutes from which on it is not begun any more.
const SHEETS: [(&str, f64); 5] =
    [("ceilings", 10.0), ("kernels", 9.0), ("step", 8.0), ("crossover", 7.0), ("sparse", 6.0)];

/// A report as far as it has come.
struct Report<'a> {
    gpu: &'a Gpu,
    folder: PathBuf,
    began: Instant,
    /// Titles and texts of the page.
    page: Vec<(String, String)>,
    json: serde_json::Map<String, Value>,
}

/// Measures for about ten minutes and writes `report.md` and `report.json` into a new folder. What has come so far is written
/// after every part, so that nothing is lost if a driver gives up.
///
/// # Errors
/// Where the folder exists, or a part fails: what came before it is in the folder.
pub fn run(gpu: &Gpu, repeats: usize, out: Option<&Path>) -> Result<()> {
    let id = gpu.identity();
    let folder =
        out.map_or_else(|| PathBuf::from(format!("coppice-report-{}", plain(&id.adapter))), Into::into);
    if folder.exists() {
        return Err(Error::usage(format!("{} exists already", folder.display()))
            .hint("another folder (--out), or remove it"));
    }
    std::fs::create_dir_all(&folder).map_err(|error| folder::failed("create", &folder, error))?;
    let mut report =
        Report { gpu, folder, began: Instant::now(), page: Vec::new(), json: Default::default() };
    report.json.insert("schema".into(), json!(1));
    report.json.insert("coppice".into(), json!(env!("CARGO_PKG_VERSION")));
    report.json.insert("device".into(), json!(id));
    report.json.insert("adapters".into(), devices::json());
    let listed = devices::lines().join("\n");
    report.part(
        "devices",
        &format!("{listed}\n\nMeasured: {} on {}, driver {}", id.adapter, id.backend, id.driver),
    )?;
    report.selftest()?;
    for (name, latest) in SHEETS {
        if report.minutes() > latest {
            report.json.insert(name.into(), json!("left out: no time"));
            report.part(name, &format!("Left out: {:.1} minutes were gone.", report.minutes()))?;
            continue;
        }
        let measure = ALL.iter().find(|(one, _)| *one == name).expect("a benchmark of this name").1;
        say(&format!("{name} ..."))?;
        let sheets = measure(gpu, repeats)?;
        report.json.insert(name.into(), sheets.iter().map(sheet_json).collect());
        report.part(name, &sheets.iter().map(text).collect::<Vec<_>>().join("\n\n"))?;
    }
    say(&format!(
        "{:.1} minutes; report.md and report.json are in {}",
        report.minutes(),
        report.folder.display()
    ))
}

fn text(sheet: &Sheet) -> String {
    format!("{}\n{}", sheet.title, table::rows(sheet.header, &sheet.rows))
}

/// A name that every file system takes.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.take(4).collect::<Vec<_>>().join("-").to_lowercase()
}

impl Report<'_> {
    fn minutes(&self) -> f64 {
        self.began.elapsed().as_secs_f64() / 60.0
    }

    fn selftest(&mut self) -> Result<()> {
        say("selftest ...")?;
        let selftest::Outcome { results, left_out } = selftest::compare(self.gpu, None)?;
        let wrong: Vec<String> = results
            .iter()
            .filter_map(|one| Some(format!("{}: {}", one.name, one.failure.as_ref()?)))
            .collect();
        let sum = format!(
            "{} of {} kernels agree with their twins; {} left out for want of subgroups.",
            results.len() - wrong.len(),
            results.len(),
            left_out.len()
        );
        self.json.insert(
            "selftest".into(),
            json!({ "checks": results.len(), "failed": wrong, "left_out": left_out }),
        );
        self.part("selftest", &std::iter::once(sum).chain(wrong).collect::<Vec<_>>().join("\n"))
    }

    /// Adds a part to the page, and writes what there is.
    fn part(&mut self, title: &str, text: &str) -> Result<()> {
        self.page.push((title.into(), text.into()));
        self.json.insert("minutes".into(), json!(self.minutes()));
        let parts = self.page.iter().map(|(title, text)| format!("## {title}\n\n```\n{text}\n```\n"));
        let page = std::iter::once(format!("# Coppice on {}\n", self.gpu.identity().adapter)).chain(parts);
        folder::write_file_atomic(
            &self.folder.join("report.md"),
            page.collect::<Vec<_>>().join("\n").as_bytes(),
        )?;
        let json = serde_json::to_vec_pretty(&self.json).expect("numbers and text");
        folder::write_file_atomic(&self.folder.join("report.json"), &json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_plain_names() {
        assert_eq!(plain("NVIDIA H200 (Vulkan)/x"), "nvidia-h200-vulkan-x");
        assert_eq!(plain("llvmpipe (LLVM 15.0.6, 256 bits)"), "llvmpipe-llvm-15-0");
    }

    #[test]
    fn every_part_is_a_benchmark() {
        assert!(SHEETS.iter().all(|(name, _)| ALL.iter().any(|(one, _)| one == name)));
    }

    #[test]
    fn what_has_come_is_written_at_once_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let gpu = Gpu::twin();
        let mut report = Report {
            gpu: &gpu,
            folder: folder.path().into(),
            began: Instant::now(),
            page: Vec::new(),
            json: Default::default(),
        };
        report.part("devices", "one").unwrap();
        report.part("ceilings", "two").unwrap();
        let page = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert!(page.starts_with("# Coppice on CPU twin\n") && page.contains("## ceilings\n\n```\ntwo\n```"));
        let json: Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
        assert!(json["minutes"].is_number());
        let error = run(&gpu, 1, Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
    }
}
