//! Keys that belong to an optimizer, a layer or a pruning method, kept until their owner checks them.
//!
//! A registry entry states its keys once, as a list of defaults; [`Settings::resolve`] holds what was written
//! against that list. The answer has every key, so that a stored recipe shows the defaults too.

use std::sync::Arc;

use toml::{Table, Value};

use super::duration::{self, Duration};
use super::section::{number, unknown_key, wrong};
use super::source::{Places, join};
use super::words;
use crate::error::{Error, Result};

/// An ordered map from key to value. Two are equal when their values are, wherever they were written.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Table,
    path: String,
    /// Keys of the same table that somebody else has read: no owner's, but good as hints.
    siblings: Vec<&'static str>,
    places: Arc<Places>,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl From<Table> for Settings {
    fn from(values: Table) -> Self {
        Self { values, ..Self::default() }
    }
}

impl Settings {
    pub(super) fn new(values: Table, path: String, siblings: Vec<&'static str>, places: Arc<Places>) -> Self {
        Self { values, path, siblings, places }
    }

    /// What was written, in the order of the keys.
    pub fn values(&self) -> &Table {
        &self.values
    }

    /// With another value of a key.
    pub fn with(&self, key: &str, value: Value) -> Settings {
        let mut all = self.clone();
        all.values.insert(key.to_string(), value);
        all
    }

    /// Checks keys and types against `defaults` and fills in the missing ones.
    ///
    /// `context` names the owner, as in "optimizer `sgd`". The default gives the type: a float takes integers
    /// too; a text that is a duration takes an integer of steps; every item of a list must be like the
    /// default's first; a table is resolved in turn. Numbers must be finite; ranges are the owner's to check,
    /// with [`Settings::wrong`].
    pub fn resolve(&self, context: &str, defaults: &[(&str, Value)]) -> Result<Settings> {
        self.resolve_with(context, &[], defaults)
    }

    /// As [`Settings::resolve`], with keys that have no default and must be written; each comes with a sample
    /// of its type, such as `("out", Value::Integer(1))`.
    pub fn resolve_with(
        &self,
        context: &str,
        required: &[(&str, Value)],
        defaults: &[(&str, Value)],
    ) -> Result<Settings> {
        let keys: Vec<&str> = required.iter().chain(defaults).map(|(key, _)| *key).collect();
        self.only(context, &keys)?;
        let mut values = Table::new();
        for (i, (key, sample)) in required.iter().chain(defaults).enumerate() {
            let path = join(&self.path, key);
            let value = match self.values.get(*key) {
                Some(value) => self.like(sample, value, &path, context)?,
                None if i < required.len() => {
                    return Err(Error::usage(format!("`{path}` is missing: {context} needs it"))
                        .at(format!("where: {}", self.places.of(&path)))
                        .at(format!("expected: {}", expected(sample))));
                }
                None => sample.clone(),
            };
            values.insert(key.to_string(), value);
        }
        Ok(Settings { values, ..self.clone() })
    }

    /// Refuses keys that are none of `known`; `context` names the owner, as for [`Settings::resolve`].
    pub fn only(&self, context: &str, known: &[&str]) -> Result<()> {
        match self.values.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => {
                let known = [known, &self.siblings].concat();
                Err(unknown_key(&self.path, key, &format!(" of {context}"), &known, &self.places))
            }
            None => Ok(()),
        }
    }

    /// Those whose keys are among `known`.
    pub fn among(&self, known: &[&str]) -> Settings {
        let mut few = self.clone();
        few.values.retain(|key, _| known.contains(&key));
        few
    }

    /// With the values of `defaults` where nothing was written.
    pub fn completed(&self, defaults: &Table) -> Settings {
        let mut all = self.clone();
        for (key, value) in defaults {
            all.values.entry(key.as_str()).or_insert_with(|| value.clone());
        }
        all
    }

    /// `value`, if it is of the type of `sample`.
    fn like(&self, sample: &Value, value: &Value, path: &str, context: &str) -> Result<Value> {
        let refused = || wrong(path, expected(sample), value, &self.places);
        match (sample, value) {
            (Value::Float(_), _) => number(value).map(Value::Float).ok_or_else(refused),
            (Value::String(text), Value::Integer(_)) if text.parse::<Duration>().is_ok() => {
                Duration::from_value(value).map(|d| Value::String(d.to_string())).ok_or_else(refused)
            }
            (Value::Array(samples), Value::Array(items)) => {
                let Some(sample) = samples.first() else { return Ok(value.clone()) };
                let like = |(i, item): (usize, &Value)| {
                    self.like(sample, item, &join(path, &i.to_string()), context)
                };
                Ok(Value::Array(items.iter().enumerate().map(like).collect::<Result<_>>()?))
            }
            (Value::Table(samples), Value::Table(written)) => {
                let inner = Settings {
                    values: written.clone(),
                    path: path.to_string(),
                    siblings: Vec::new(),
                    places: self.places.clone(),
                };
                let samples: Vec<(&str, Value)> =
                    samples.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
                Ok(Value::Table(inner.resolve(context, &samples)?.values))
            }
            _ if sample.same_type(value) => Ok(value.clone()),
            _ => Err(refused()),
        }
    }

    /// What was written, by way of `read`, which answers `None` for what does not fit `expected`.
    pub fn optional<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        if self.values.contains_key(key) { self.get(key, expected, read).map(Some) } else { Ok(None) }
    }

    /// A number. Like the readers below: errors if the key is absent or of another type.
    pub fn f64(&self, key: &str) -> Result<f64> {
        self.get(key, "a number", number)
    }

    /// A number that is finite as an `f32` too.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.get(key, "a number within the range of f32", |v| {
            number(v).map(|x| x as f32).filter(|x| x.is_finite())
        })
    }

    pub fn u32(&self, key: &str) -> Result<u32> {
        self.get(key, "a whole number from 0 to 4294967295", |v| u32::try_from(v.as_integer()?).ok())
    }

    pub fn i64(&self, key: &str) -> Result<i64> {
        self.get(key, "a whole number", Value::as_integer)
    }

    pub fn bool(&self, key: &str) -> Result<bool> {
        self.get(key, "true or false", Value::as_bool)
    }

    pub fn text(&self, key: &str) -> Result<&str> {
        let value = self.values.get(key).ok_or_else(|| self.absent(key))?;
        value.as_str().ok_or_else(|| self.wrong(key, "a text in quotes"))
    }

    pub fn duration(&self, key: &str) -> Result<Duration> {
        self.get(key, duration::EXPECTED, Duration::from_value)
    }

    /// The settings of a table within these.
    pub fn table(&self, key: &str) -> Result<Settings> {
        let values = self.get(key, "a table", |v| v.as_table().cloned())?;
        Ok(Settings {
            values,
            path: join(&self.path, key),
            siblings: Vec::new(),
            places: self.places.clone(),
        })
    }

    /// The error for a value of the right type that its owner cannot use: expected, found, where.
    pub fn wrong(&self, key: &str, expected: &str) -> Error {
        match self.values.get(key) {
            Some(value) => wrong(&join(&self.path, key), expected, value, &self.places),
            None => self.absent(key),
        }
    }

    /// The error for a key beside these settings that has to be written.
    pub fn missing(&self, key: &str) -> Error {
        let error = self.absent(key);
        match words::nearest(key, self.values.keys().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{key}` where it says `{near}`?")),
            None => error,
        }
    }

    /// These settings, resolved from `written`, without those that others leave unheeded: each by its path, such as
    /// `growth.divisor`, and why.
    ///
    /// # Errors
    /// `Kind::Usage` for one that was written.
    pub fn without(mut self, written: &Settings, unheeded: &[(&str, String)]) -> Result<Settings> {
        for (path, why) in unheeded {
            let mut written_here = Some(&written.values);
            let mut here = Some(&mut self.values);
            let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
            for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
                written_here = written_here.and_then(|table| table.get(parent)?.as_table());
                here = here.and_then(|table| table.get_mut(parent)?.as_table_mut());
            }
            if written_here.is_some_and(|table| table.contains_key(key)) {
                let error = Error::usage(format!("`{}` {why}", join(&self.path, path)));
                return Err(self.locate(path, error).hint("leave it out"));
            }
            here.and_then(|table| table.remove(key));
        }
        Ok(self)
    }

    /// Says where `key` was written; also a key beside these settings, such as an optimizer's name.
    pub fn locate(&self, key: &str, error: Error) -> Error {
        match self.places.of(&join(&self.path, key)) {
            // Nobody wrote it: it comes from a preset, or from Rust.
            "" => error,
            place => error.at(format!("where: {place}")),
        }
    }

    fn get<T>(&self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let value = self.values.get(key).ok_or_else(|| self.absent(key))?;
        read(value).ok_or_else(|| self.wrong(key, expected))
    }

    fn absent(&self, key: &str) -> Error {
        self.locate(key, Error::usage(format!("`{}` is missing", join(&self.path, key))))
    }
}

/// What a value like `sample` looks like, for messages.
fn expected(sample: &Value) -> &'static str {
    match sample {
        Value::String(text) if text.parse::<Duration>().is_ok() => duration::EXPECTED,
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a finite number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let (table, places) = super::super::source::read(text, "t.toml", &[]).unwrap();
        Settings::new(table, String::new(), vec!["name", "lr"], Arc::new(places))
    }

    fn defaults() -> Vec<(&'static str, Value)> {
        let growth: Table = toml::from_str("by = 'gradient'\nfraction = 0.3").unwrap();
        vec![
            ("momentum", Value::Float(0.0)),
            ("nesterov", Value::Boolean(false)),
            ("steps", Value::Integer(3)),
            ("every", Value::String("100".into())),
            ("by", Value::String("magnitude".into())),
            ("betas", Value::Array(vec![Value::Float(0.9), Value::Float(0.999)])),
            ("growth", Value::Table(growth)),
        ]
    }

    fn refusal(text: &str) -> String {
        let error = settings(text).resolve("optimizer `sgd`", &defaults()).unwrap_err();
        assert_eq!(error.kind, crate::error::Kind::Usage);
        error.to_string()
    }

    #[test]
    fn defaults_are_filled_in() {
        let all = settings("momentum = 1\nevery = 50\ngrowth = { by = 'random' }\nbetas = [1, 0.5]")
            .resolve("optimizer `sgd`", &defaults())
            .unwrap();
        assert_eq!(all.values().len(), defaults().len());
        assert_eq!(all.f32("momentum").unwrap(), 1.0);
        assert!(!all.bool("nesterov").unwrap());
        assert_eq!(all.u32("steps").unwrap(), 3);
        assert_eq!(all.duration("every").unwrap(), Duration::Steps(50));
        assert_eq!(all.text("by").unwrap(), "magnitude");
        assert_eq!(all.values()["betas"][0], Value::Float(1.0));
        assert_eq!(all.table("growth").unwrap().text("by").unwrap(), "random");
        assert_eq!(all.table("growth").unwrap().f64("fraction").unwrap(), 0.3);
        assert_eq!(
            all.resolve("optimizer `sgd`", &defaults()).unwrap(),
            all,
            "resolving twice changes nothing"
        );
    }

    #[test]
    fn unknown_keys_are_errors_with_the_nearest() {
        assert_eq!(
            refusal("steps = 1\nmomentun = 0.9"),
            "unknown key `momentun` of optimizer `sgd`\n  where: t.toml, line 2\n  \
             known here: momentum, nesterov, steps, every, by, betas, growth, name, lr\n  \
             try: did you mean `momentum`?"
        );
        assert!(refusal("nam = 'x'").contains("did you mean `name`?"), "siblings are hints too");
        let nested = refusal("[growth]\nfracton = 1");
        assert!(nested.starts_with("unknown key `growth.fracton`") && nested.contains("line 2"), "{nested}");
        assert!(nested.contains("did you mean `fraction`?"), "{nested}");
    }

    #[test]
    fn wrong_types_are_errors() {
        for (text, path, expected) in [
            ("momentum = 'x'", "momentum", "a finite number; found: \"x\" (string)"),
            ("momentum = nan", "momentum", "a finite number; found: nan (float)"),
            ("momentum = inf", "momentum", "a finite number"),
            ("nesterov = 1", "nesterov", "true or false"),
            ("steps = 1.5", "steps", "a whole number"),
            ("every = -5", "every", "a duration such as"),
            ("by = 7", "by", "a text in quotes"),
            ("betas = 1", "betas", "a list"),
            ("betas = [0.5, 'x']", "betas.1", "a finite number"),
            ("growth = 1", "growth", "a table"),
            ("growth.by = 1", "growth.by", "a text in quotes"),
        ] {
            let got = refusal(text);
            assert!(
                got.starts_with(&format!("wrong value for `{path}`\n  expected: {expected}")),
                "{text}: {got}"
            );
            assert!(got.contains("where: t.toml, line 1"), "{got}");
        }
    }

    #[test]
    fn what_has_no_effect_may_not_be_written_and_is_left_out() {
        let unheeded =
            [("steps", "is not counted".to_string()), ("growth.fraction", "does not grow".to_string())];
        let without = |text: &str| {
            let written = settings(text);
            written.resolve("optimizer `sgd`", &defaults()).unwrap().without(&written, &unheeded)
        };
        let all = without("momentum = 1\ngrowth = { by = 'random' }").unwrap();
        assert_eq!(all.values().len(), defaults().len() - 1);
        assert_eq!(all.table("growth").unwrap().values().len(), 1);
        for (text, want) in [
            (
                "nesterov = true\nsteps = 3",
                "`steps` is not counted\n  where: t.toml, line 2\n  try: leave it out",
            ),
            (
                "growth.fraction = 1",
                "`growth.fraction` does not grow\n  where: t.toml, line 1\n  try: leave it out",
            ),
        ] {
            assert_eq!(without(text).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn required_keys_must_be_written() {
        let required = [("out", Value::Integer(1))];
        let error = settings("").resolve_with("layer `linear`", &required, &[]).unwrap_err().to_string();
        assert!(error.starts_with("`out` is missing: layer `linear` needs it\n"), "{error}");
        let all = settings("out = 4").resolve_with("layer `linear`", &required, &[]).unwrap();
        assert_eq!(all.u32("out").unwrap(), 4);
    }

    #[test]
    fn readers_refuse_what_does_not_fit() {
        let s = settings("big = 1e300\nminus = -1");
        assert!(s.f32("big").unwrap_err().to_string().contains("within the range of f32"));
        assert!(s.u32("minus").unwrap_err().to_string().contains("found: -1 (integer)"));
        assert!(s.text("minus").unwrap_err().to_string().contains("a text in quotes"));
        assert!(s.bool("absent").unwrap_err().to_string().contains("`absent` is missing"));
        let text = s.wrong("minus", "a number from 0 to 1").to_string();
        assert_eq!(
            text,
            "wrong value for `minus`\n  expected: a number from 0 to 1; found: -1 (integer)\n  where: t.toml, line 2"
        );
    }
}
