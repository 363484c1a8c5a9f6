//! The strict reader: keys are taken from a table one by one, and what is left over was never known.

use std::sync::Arc;

use toml::{Table, Value};

use super::duration::{self, Duration};
use super::settings::Settings;
use super::source::{Places, join};
use super::words;
use crate::error::{Error, Result};

/// A table of the recipe while it is being read.
///
/// The keys asked for are the known ones, so that no second list of them can go stale.
pub struct Section {
    path: String,
    table: Table,
    places: Arc<Places>,
    known: Vec<&'static str>,
}

/// The error for a value of the wrong type or out of range.
pub fn wrong(path: &str, expected: &str, found: &Value, places: &Places) -> Error {
    Error::usage(format!("wrong value for `{path}`"))
        .at(format!("expected: {expected}; found: {found} ({})", found.type_str()))
        .at(format!("where: {}", places.of(path)))
}

/// The error for a key nobody asked for. `of` is what the key was written for, as in " of optimizer `sgd`".
pub fn unknown_key(path: &str, key: &str, of: &str, known: &[&str], places: &Places) -> Error {
    let path = join(path, key);
    let error = Error::usage(format!("unknown key `{path}`{of}")).at(format!("where: {}", places.of(&path)));
    let error = if known.is_empty() { error } else { error.at(format!("known here: {}", known.join(", "))) };
    match words::nearest(key, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

impl Section {
    pub fn root(table: Table, places: Arc<Places>) -> Self {
        Self { path: String::new(), table, places, known: Vec::new() }
    }

    /// A key of this section, with dots.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub fn holds_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Value::is_table)
    }

    /// A value by way of `convert`, which answers `None` for what does not fit `expected`.
    pub fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.known.push(key);
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        match convert(&value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(wrong(&join(&self.path, key), expected, &value, &self.places)),
        }
    }

    /// A finite number for which `fits` holds; integers will do.
    pub fn number(
        &mut self,
        key: &'static str,
        expected: &str,
        fits: fn(f64) -> bool,
    ) -> Result<Option<f64>> {
        self.take(key, expected, |value| number(value).filter(|&x| fits(x)))
    }

    /// A whole number of at least 1.
    pub fn count(&mut self, key: &'static str, default: u32) -> Result<u32> {
        let count = self.take(key, "a whole number from 1 to 4294967295", count)?;
        Ok(count.unwrap_or(default))
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool> {
        Ok(self.take(key, "true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A text that is not empty.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.take(key, "a text in quotes, not empty", |v| {
            v.as_str().filter(|t| !t.is_empty()).map(String::from)
        })
    }

    pub fn duration(&mut self, key: &'static str, default: Duration) -> Result<Duration> {
        Ok(self.take(key, duration::EXPECTED, Duration::from_value)?.unwrap_or(default))
    }

    /// The distance between two events: longer than nothing.
    pub fn period(&mut self, key: &'static str, default: Duration) -> Result<Duration> {
        let expected = format!("{}, more than 0", duration::EXPECTED);
        let period = self.take(key, &expected, |v| Duration::from_value(v).filter(|d| !d.is_zero()))?;
        Ok(period.unwrap_or(default))
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        what: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>> {
        let Some(word) = self.text(key)? else { return Ok(None) };
        match words::named(what, &word, all, name) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.locate(key, error)),
        }
    }

    /// A table within this one; an absent one reads as empty.
    pub fn section(&mut self, key: &'static str) -> Result<Section> {
        let table = self.take(key, "a table", |v| v.as_table().cloned())?.unwrap_or_default();
        Ok(Section { path: join(&self.path, key), table, places: self.places.clone(), known: Vec::new() })
    }

    /// A list of tables, as `[[...]]` writes it; an absent one reads as empty.
    pub fn sections(&mut self, key: &'static str) -> Result<Vec<Section>> {
        let tables = self.take(key, "a list of tables", |v| {
            v.as_array()?.iter().map(|item| item.as_table().cloned()).collect::<Option<Vec<Table>>>()
        })?;
        let path = join(&self.path, key);
        let section = |(i, table)| Section {
            path: format!("{path}.{i}"),
            table,
            places: self.places.clone(),
            known: Vec::new(),
        };
        Ok(tables.unwrap_or_default().into_iter().enumerate().map(section).collect())
    }

    /// The error for a key that has no default.
    pub fn missing(&self, key: &str) -> Error {
        let error = self.locate(key, Error::usage(format!("`{}` is missing", join(&self.path, key))));
        match words::nearest(key, self.table.keys().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{key}` where it says `{near}`?")),
            None => error,
        }
    }

    /// Says where `key`, or else this section, was written.
    pub fn locate(&self, key: &str, error: Error) -> Error {
        error.at(format!("where: {}", self.places.of(&join(&self.path, key))))
    }

    /// There may be nothing but these keys.
    pub fn only(&self, known: &[&'static str]) -> Result<()> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(unknown_key(&self.path, key, "", known, &self.places)),
            None => Ok(()),
        }
    }

    /// Nothing may be left.
    pub fn finish(&self) -> Result<()> {
        match self.table.keys().next() {
            Some(key) => Err(unknown_key(&self.path, key, "", &self.known, &self.places)),
            None => Ok(()),
        }
    }

    /// What is left belongs to the thing this section names, which will check it.
    pub fn rest(self) -> Settings {
        Settings::new(self.table, self.path, self.known, self.places)
    }
}

/// A finite number; integers will do.
pub fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64)).filter(|x| x.is_finite())
}

/// A whole number of at least 1.
pub fn count(value: &Value) -> Option<u32> {
    value.as_integer().and_then(|i| u32::try_from(i).ok()).filter(|&n| n >= 1)
}
