//! `coppice report`: runs as one HTML page.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::Result;
use crate::report::page::{self, Record};
use crate::report::table;
use crate::store::folder::write_file_atomic;

#[derive(clap::Args)]
pub struct Report {
    /// The folders of runs, finished or not
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

impl Report {
    pub fn run(&self) -> Result<()> {
        let begun = Instant::now();
        let mut records = Vec::new();
        for path in &self.runs {
            let (record, warnings) = Record::read(path)?;
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            records.push(record);
        }
        let page = page::page(&records)?;
        write_file_atomic(&self.out, page.as_bytes())?;
        let (size, seconds) = (table::bytes(page.len() as u64), begun.elapsed().as_secs_f64());
        eprintln!("wrote {}: {size}, {seconds:.1} s", self.out.display());
        Ok(())
    }
}
