//! Rows of a table while they are measured: each is said as it comes, above a bar on a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The rows so far. What is said of them goes to stderr: the table itself is a result.
pub struct Rows {
    bar: ProgressBar,
    all: Vec<Vec<String>>,
}

impl Rows {
    /// Says the header. `of` rows are to come.
    pub fn new(header: &[&str], of: usize) -> Self {
        let visible = std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(of as u64), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rows  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let rows = Self { bar, all: Vec::new() };
        rows.say(&line(header));
        rows
    }
    pub fn push(&mut self, row: Vec<String>) {
        self.say(&line(&row));
        self.bar.inc(1);
        self.all.push(row);
    }
    /// All of them, for the table.
    pub fn done(self) -> Vec<Vec<String>> {
        self.bar.finish_and_clear();
        self.all
    }
    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
        self.bar.tick();
    }
}

fn line(cells: &[impl AsRef<str>]) -> String {
    cells.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut rows = Rows::new(&["a", "b"], 2);
        rows.push(vec!["1".into(), "2".into()]);
        assert_eq!(rows.bar.position(), 1);
        rows.push(vec!["3".into(), "4".into()]);
        assert_eq!(rows.done(), [["1", "2"], ["3", "4"]]);
        assert_eq!(line(&["rigl 90 %", "6.51"]), "rigl 90 %  6.51");
    }
}
