//! A table of numbers with a column of labels, as a CSV file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::StringRecord;

use super::options::Options;
use super::{Entry, Source, Split, held, statistics};
use crate::error::{Error, Result};
use crate::recipe::nearest;

pub const ENTRY: Entry = Entry {
    name: "csv",
    argument: "FILE",
    about: "your own table: numbers, and labels as numbers or words in the last column or the one that `label` names",
    keys: &["label", "header", "test", "mean", "deviation"],
    open,
};

/// What may stand between two fields; of these, the one that the first line has most of.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

fn open(argument: &str, options: &Options) -> Result<Source> {
    let table = Table::read(Path::new(argument), argument, options)?;
    let (labels, class_names, classes) = classes(argument, &table.labels)?;
    let features = table.values.len() / labels.len();
    let all = Split::floats(table.values, labels);
    let (train, test) = held::cut(argument, &all, options.test)?;
    let origin = format!("{argument}; {}", held::in_words(options.test));
    let source = Source::new(format!("csv:{argument}"), vec![features], classes, train, test);
    let mut source = Source { class_names, origin, ..source };
    if options.moments.is_none() {
        statistics::measure(&mut source, features)?;
    }
    Ok(source)
}

/// Numbers row by row, and the label of each row as it stands there.
struct Table {
    values: Vec<f32>,
    labels: Vec<String>,
}

impl Table {
    fn read(path: &Path, name: &str, options: &Options) -> Result<Self> {
        let unreadable =
            |error: std::io::Error| Error::data(format!("cannot read {name}")).at(error.to_string());
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let mut line = Vec::new();
        BufReader::new(file.by_ref().take(1 << 20)).read_until(b'\n', &mut line).map_err(unreadable)?;
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
        // Of equals the first: a comma where there is none.
        let delimiter = DELIMITERS.into_iter().rev().max_by_key(|&one| count(one)).unwrap_or(b',');
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .from_reader(BufReader::new(file));
        let mut records = reader.records();
        let malformed = |error: csv::Error| malformed(name, &error);
        let first = records.next().transpose().map_err(malformed)?;
        let first = first.ok_or_else(|| {
            Error::data(format!("{name} is empty")).at("expected: lines of numbers and a label")
        })?;
        let columns = Columns::new(name, &first, options)?;
        let mut table = Self { values: Vec::new(), labels: Vec::new() };
        if columns.names.is_none() {
            table.push(name, &first, &columns)?;
        }
        for record in records {
            table.push(name, &record.map_err(malformed)?, &columns)?;
        }
        if table.labels.is_empty() {
            return Err(Error::data(format!("{name} holds no samples")).at("found: a line of names alone"));
        }
        Ok(table)
    }

    fn push(&mut self, name: &str, record: &StringRecord, columns: &Columns) -> Result<()> {
        let line = record.position().map_or(0, csv::Position::line);
        let wrong = |column: usize, expected: &str| {
            let found = record.get(column).unwrap_or_default();
            let found = if found.is_empty() { "nothing".to_string() } else { format!("`{found}`") };
            let place = format!("line {line}, column {}", columns.name(column));
            Error::data(format!("{name} holds what is no sample"))
                .at(format!("{place}: expected {expected}, found {found}"))
        };
        for (column, field) in record.iter().enumerate().filter(|(column, _)| *column != columns.label) {
            let value = field.parse::<f32>().ok().filter(|value| value.is_finite());
            let hint =
                "a number in each field, words only as labels; label = \"..\" names another column for these";
            self.values.push(value.ok_or_else(|| wrong(column, "a number").hint(hint))?);
        }
        match &record[columns.label] {
            "" => Err(wrong(columns.label, "a label")),
            label => {
                self.labels.push(label.to_string());
                Ok(())
            }
        }
    }
}

/// What stands in which column.
struct Columns {
    label: usize,
    names: Option<StringRecord>,
}

impl Columns {
    /// From the first line: names, if the recipe says so or names one, or if a field that is to be a number is none.
    fn new(name: &str, first: &StringRecord, options: &Options) -> Result<Self> {
        if first.len() < 2 {
            return Err(Error::data(format!("{name} has one column"))
                .at(format!(
                    "line 1: expected numbers and a label, found `{}`",
                    first.get(0).unwrap_or_default()
                ))
                .hint("fields are separated by commas, semicolons or tabs"));
        }
        let last = first.len() - 1;
        let is_name = |field: &str| field.parse::<f32>().is_err() && !field.is_empty();
        let seems_named = first.iter().take(last).any(is_name);
        match &options.label {
            Some(_) if options.header == Some(false) => Err(Error::usage(
                "`data.label` names a column, and `data.header = false` says that none has a name",
            )
            .hint("header = true, or no label: the last column")),
            Some(label) => {
                let found = first.iter().position(|field| field == label);
                let Some(found) = found else {
                    let error = Error::data(format!("{name} has no column `{label}`"))
                        .at(format!("line 1: {}", first.iter().collect::<Vec<_>>().join(", ")));
                    return Err(match nearest(label, first.iter()) {
                        Some(near) => error.hint(format!("label = \"{near}\"")),
                        None => error,
                    });
                };
                Ok(Self { label: found, names: Some(first.clone()) })
            }
            None => {
                let is_named = options.header.unwrap_or(seems_named);
                Ok(Self { label: last, names: is_named.then(|| first.clone()) })
            }
        }
    }

    /// `3`, or `3 (width)`.
    fn name(&self, column: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(column)) {
            Some(name) => format!("{} ({name})", column + 1),
            None => (column + 1).to_string(),
        }
    }
}

fn malformed(name: &str, error: &csv::Error) -> Error {
    let line = error.position().map_or(String::new(), |position| format!("line {}: ", position.line()));
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} fields as in the first line, found {len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("column {}: expected text in UTF-8, found other bytes", err.field() + 1)
        }
        other => format!("{other:?}"),
    };
    Error::data(format!("{name} cannot be read as a table")).at(format!("{line}{why}"))
}

/// Whole numbers from 0 to 255 are classes as they are; otherwise labels are words, and classes their order.
fn classes(name: &str, labels: &[String]) -> Result<(Vec<u8>, Vec<String>, usize)> {
    let numbers: Option<Vec<u8>> = labels.iter().map(|label| label.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let classes = numbers.iter().max().map_or(0, |&label| usize::from(label) + 1);
        return Ok((numbers, Vec::new(), classes));
    }
    let mut words: BTreeMap<&str, u8> = labels.iter().map(|label| (label.as_str(), 0)).collect();
    if words.len() > 256 {
        return Err(Error::data(format!("{name} has {} different labels", words.len()))
            .at("expected: at most 256 classes")
            .hint("is the column of labels another one? label = \"..\" names it"));
    }
    words.values_mut().enumerate().for_each(|(class, label)| *label = class as u8);
    let names: Vec<String> = words.keys().map(|word| word.to_string()).collect();
    let classes = names.len();
    Ok((labels.iter().map(|label| words[label.as_str()]).collect(), names, classes))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
