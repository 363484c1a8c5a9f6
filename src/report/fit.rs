//! Lines and tables for people, so that they fit a terminal.

use std::fmt;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table, presets};
use console::measure_text_width;

/// Columns of a line for people, if it can be broken.
pub const WIDTH: usize = 100;
/// Columns of a table; a wider one goes on below.
const WIDEST: usize = 120;
/// Columns that the first one of a table has at least, if it needs them; where there are more, the others have them.
pub const FIRST: usize = 56;

/// Words of `text` on lines of at most `width` columns, those after the first behind `indent`. A word that is longer has a
/// line of its own. The spaces that `text` begins with stay, and all of them where it fits on one line.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    if measure_text_width(text) <= width {
        return text.to_string();
    }
    let mut out = text[..text.len() - text.trim_start().len()].to_string();
    let mut column = measure_text_width(&out);
    let mut is_first = true;
    for word in text.split_whitespace() {
        let long = measure_text_width(word);
        if !is_first && column + 1 + long > width {
            out.push('\n');
            out.push_str(indent);
            column = measure_text_width(indent);
        } else if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
        is_first = false;
    }
    out
}

/// Lines of at most `width` columns, with the breaks that `text` has and one wherever a line is longer.
fn fold(text: &str, width: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for character in text.chars() {
        let wide = measure_text_width(character.encode_utf8(&mut [0; 4]));
        if character == '\n' {
            column = 0;
        } else if column + wide > width {
            out.push_str("\n  ");
            column = 2 + wide;
        } else {
            column += wide;
        }
        out.push(character);
    }
    out
}

/// A line for people that begins with `head`: where it is long, what follows goes on beside it.
pub fn hang(head: &str, text: &str) -> String {
    let indent = " ".repeat(measure_text_width(head));
    let body = wrap(&format!("{indent}{text}"), WIDTH, &indent);
    format!("{head}{}", &body[indent.len()..])
}

/// A table that fits a terminal: where it is too wide, the columns that have no room stand in another one below, beside the
/// first column again.
pub struct TextTable {
    table: Table,
    /// Columns from here on are numbers.
    left: usize,
    /// Where it is broken first, if it has to be.
    joint: Option<usize>,
}

impl TextTable {
    /// A table without rows, whose columns from `left` on are numbers.
    pub fn new(header: &[impl ToString], left: usize) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_BORDERS_ONLY_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().map(ToString::to_string));
        table.column_iter_mut().skip(left).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        Self { table, left, joint: None }
    }

    /// If it is too wide, columns from this one on stand below.
    pub fn break_before(&mut self, column: usize) {
        self.joint = Some(column);
    }

    /// Cells that a row lacks are empty.
    pub fn add_row(&mut self, row: impl Into<Row>) {
        self.table.add_row(row);
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Characters of each column: three beside its content. The first one is folded where there is no room for all, to what
    /// the others leave.
    fn widths(&self) -> Vec<usize> {
        let content = self.table.column_max_content_widths();
        let mut wide: Vec<usize> = content.iter().map(|&width| usize::from(width) + 3).collect();
        let others: usize = wide.iter().skip(1).sum();
        let room = WIDEST.saturating_sub(1 + others).max(FIRST + 3);
        wide.iter_mut().take(1).for_each(|first| *first = room.min(*first));
        wide
    }

    /// Numbers of columns that have room beside one another, the first among them each time.
    fn groups(&self) -> Vec<Vec<usize>> {
        let wide = self.widths();
        // One more character ends the line.
        if wide.iter().sum::<usize>() < WIDEST {
            return vec![(0..wide.len()).collect()];
        }
        let mut groups = vec![vec![0]];
        for column in 1..wide.len() {
            let group = groups.last_mut().expect("there is one");
            let width = 1 + group.iter().chain([&column]).map(|&own| wide[own]).sum::<usize>();
            if (width <= WIDEST || group.len() == 1) && self.joint != Some(column) {
                group.push(column);
            } else {
                groups.push(vec![0, column]);
            }
        }
        groups
    }

    fn part(&self, columns: &[usize]) -> Table {
        let first = self.widths()[0] - 3;
        let cells = |row: &Row| {
            let mut all: Vec<String> = row.cell_iter().map(Cell::content).collect();
            all.iter_mut().take(1).for_each(|cell| *cell = fold(cell, first));
            columns.iter().map(|&column| all.get(column).cloned().unwrap_or_default()).collect::<Vec<_>>()
        };
        let header = self.table.header().map(cells).unwrap_or_default();
        let left = columns.iter().take_while(|column| **column < self.left).count();
        let mut part = Self::new(&header, left).table;
        // Where there are several parts, a sum, say, has nothing to say in some.
        let is_whole = self.table.header().is_some_and(|header| header.cell_count() == columns.len());
        let says = |row: &Vec<String>| is_whole || row[1..].iter().any(|cell| !cell.is_empty());
        part.add_rows(self.table.row_iter().map(cells).filter(says));
        part
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.groups().iter().map(|columns| self.part(columns).to_string()).collect();
        f.write_str(&parts.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::rows;

    #[test]
    fn long_lines_go_on_below_and_short_ones_stay() {
        assert_eq!(wrap("  a  b", 80, "    "), "  a  b");
        assert_eq!(wrap("  one two three", 9, "    "), "  one two\n    three");
        assert_eq!(wrap("unbreakable it is", 6, " "), "unbreakable\n it is");
        let text = "word ".repeat(40);
        let hung = hang("  name  ", text.trim_end());
        assert!(hung.lines().count() == 3 && hung.lines().all(|line| line.len() <= WIDTH), "{hung}");
        assert!(hung.starts_with("  name  word") && hung.lines().nth(1).unwrap().starts_with("        word"));
    }

    #[test]
    fn a_wide_table_goes_on_below_with_its_first_column() {
        let header: Vec<String> = (0..9).map(|column| format!("column number {column}")).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let row = |name: &str| (0..9).map(|column| format!("{name}{column}")).collect::<Vec<_>>();
        let text = rows(&header, &[row("a"), row("b")]);
        assert!(text.lines().all(|line| line.len() <= WIDEST), "{text}");
        assert_eq!((text.matches("column number 0").count(), text.matches("a0").count()), (2, 2), "{text}");
        assert_eq!(
            (1..9).map(|column| text.matches(&format!("b{column}")).count()).sum::<usize>(),
            8,
            "{text}"
        );
        let long = rows(&["names", "n"], &[vec!["name ".repeat(20), "1".into()]]);
        assert!(long.lines().count() > 5 && long.lines().all(|line| line.len() < 70), "{long}");
    }

    #[test]
    fn a_name_that_cannot_be_broken_leaves_room_for_the_others() {
        let header = ["a run", "one", "two", "three"];
        let cells = |name: &str| vec![name.to_string(), "1".into(), "2".into(), "3".into()];
        // A character of two columns, too.
        for name in ["x".repeat(150), "深".repeat(75)] {
            let text = rows(&header, &[cells(&name), cells("short")]);
            assert!(text.lines().all(|line| measure_text_width(line) <= WIDEST), "{text}");
            assert_eq!((text.matches("a run").count(), text.matches("short").count()), (1, 1), "{text}");
            let all = text.chars().filter(|c| name.contains(*c)).count();
            assert_eq!(all, name.chars().count(), "nothing of it is lost:\n{text}");
        }
        assert_eq!(wrap("深深 深", 5, ""), "深深\n深");
    }
}
