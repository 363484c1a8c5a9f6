//! The text of a recipe as a table, and where each of its keys was written.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::error::{Error, Result};

/// Where keys were written: "fashion.toml, line 3" or "-s run.epochs=ten", by dotted path.
#[derive(Clone, Debug, Default)]
pub struct Places {
    origin: String,
    written: BTreeMap<String, String>,
}

/// What the place of an override begins with.
const OVERRIDE: &str = "-s ";

impl Places {
    /// Whether the value of a key comes from the command line.
    pub fn is_override(&self, path: &str) -> bool {
        self.of(path).starts_with(OVERRIDE)
    }

    /// The place of a key, or of the nearest table around it that was written, or the recipe itself.
    pub fn of(&self, path: &str) -> &str {
        let mut path = path;
        loop {
            if let Some(place) = self.written.get(path) {
                return place;
            }
            match path.rfind('.') {
                Some(dot) => path = &path[..dot],
                None => return &self.origin,
            }
        }
    }
}

/// The key that says the same as this one, how long the run or a stage of it is: an override takes its place in the text.
fn rival(keys: &[&str]) -> Option<&'static str> {
    match keys {
        ["run", "steps"] | ["stage", _, "steps"] => Some("epochs"),
        ["run", "epochs"] | ["stage", _, "epochs"] => Some("steps"),
        _ => None,
    }
}

/// Reads TOML, then lays the overrides (`key.path=value`) over it.
pub fn read(text: &str, origin: &str, overrides: &[String]) -> Result<(Table, Places)> {
    let refuse = |message: &str, at: usize| {
        Error::usage("the recipe is not valid TOML")
            .at(format!("where: {origin}, line {}", line(text, at)))
            .at(message)
    };
    let spanned = DeTable::parse(text).map_err(|e| refuse(e.message(), e.span().map_or(0, |s| s.start)))?;
    let mut table: Table =
        toml::from_str(text).map_err(|e| refuse(e.message(), e.span().map_or(0, |s| s.start)))?;
    let mut places = Places { origin: origin.to_string(), written: BTreeMap::new() };
    note_table(spanned.get_ref(), "", text, &mut places);
    for one in overrides {
        lay_over(&mut table, one, &mut places)?;
    }
    Ok((table, places))
}

/// `key` inside `path`; the root has the empty path.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

fn note_table(table: &DeTable, path: &str, text: &str, places: &mut Places) {
    for (key, value) in table.iter() {
        let path = join(path, key.get_ref());
        let place = format!("{}, line {}", places.origin, line(text, key.span().start));
        places.written.insert(path.clone(), place);
        note_value(value.get_ref(), &path, text, places);
    }
}

fn note_value(value: &DeValue, path: &str, text: &str, places: &mut Places) {
    match value {
        DeValue::Table(table) => note_table(table, path, text, places),
        DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = join(path, &i.to_string());
                let place = format!("{}, line {}", places.origin, line(text, item.span().start));
                places.written.insert(path.clone(), place);
                note_value(item.get_ref(), &path, text, places);
            }
        }
        _ => {}
    }
}

/// Sets one `key.path=value`; tables on the way are made where they are absent.
fn lay_over(table: &mut Table, text: &str, places: &mut Places) -> Result<()> {
    let place = format!("{OVERRIDE}{text}");
    let malformed = || {
        Error::usage("an override has the form `key.path=value`").at(place.clone()).hint("-s run.epochs=5")
    };
    let (path, value) = text.split_once('=').ok_or_else(malformed)?;
    let (path, value) = (path.trim(), value.trim());
    let keys: Vec<&str> = path.split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(malformed());
    }
    let value = read_value(value).map_err(|error| error.at(format!("where: {place}")))?;

    let (mut inner, mut depth) = (table, 0);
    while depth + 1 < keys.len() {
        let next = inner.entry(keys[depth]).or_insert_with(|| Value::Table(Table::new()));
        let (kind, at) = (next.type_str(), keys[..=depth].join("."));
        // Tables in a list have numbers.
        let number = keys[depth + 1].parse::<usize>().ok().filter(|_| depth + 2 < keys.len());
        let found = match (next, number) {
            (Value::Array(items), Some(number)) => {
                depth += 1;
                items.get_mut(number).and_then(Value::as_table_mut)
            }
            (next, _) => next.as_table_mut(),
        };
        depth += 1;
        inner = found.ok_or_else(|| {
            Error::usage(format!("cannot set `{path}`: `{at}` is no table here, but of type {kind}"))
                .at(place.clone())
                .at(format!("`{at}`: {}", places.of(&at)))
                .hint(format!("set `{at}` as a whole, or change it in the recipe"))
        })?;
    }
    if let Some(rival) = rival(&keys) {
        let at = join(&keys[..keys.len() - 1].join("."), rival);
        // Two overrides that say the same stay side by side, and are refused.
        if !places.is_override(&at) {
            inner.remove(rival);
            places.written.remove(&at);
        }
    }
    inner.insert(keys[keys.len() - 1].to_string(), value);

    // The old places below this key are gone with the old value; tables made on the way were made here.
    let below = format!("{path}.");
    places.written.retain(|key, _| key != path && !key.starts_with(&below));
    for depth in 1..=keys.len() {
        places.written.entry(keys[..depth].join(".")).or_insert_with(|| place.clone());
    }
    Ok(())
}

/// The value of an override. Anything that is no TOML value is plain text, so that `-s optim.name=adam` needs no quotes
/// within quotes; but what begins as a text, a list or a table is meant to be one.
fn read_value(text: &str) -> Result<Value> {
    let error = match text.parse() {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !text.starts_with(['"', '\'', '[', '{']) {
        return Ok(Value::String(text.to_string()));
    }
    let message: toml::de::Error = error;
    let refused = Error::usage(format!("`{text}` is no TOML value")).at(message.message().to_string());
    Err(match text.starts_with('"') && text.contains('\\') {
        true => {
            refused.hint("a backslash begins an escape within \"..\": write \\\\, or '..' in place of \"..\"")
        }
        false => refused
            .hint("quotes and brackets are closed, texts in lists and tables are in quotes: [\"a\", \"b\"]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[a]\nx = 1\ny.z = 2\n\n[[b]]\nk = 1\n[[b]]\nk = { l = 2 }\n";

    fn overridden(with: &str) -> Result<(Table, Places)> {
        read(TEXT, "t.toml", &[with.to_string()])
    }

    #[test]
    fn places_are_lines() {
        let (_, places) = read(TEXT, "t.toml", &[]).unwrap();
        for (path, place) in [
            ("a", "t.toml, line 1"),
            ("a.x", "t.toml, line 2"),
            ("a.y.z", "t.toml, line 3"),
            ("b.1.k.l", "t.toml, line 8"),
            ("a.absent", "t.toml, line 1"),
            ("absent", "t.toml"),
        ] {
            assert_eq!(places.of(path), place, "{path}");
        }
    }

    #[test]
    fn values_of_overrides_are_toml_or_text() {
        for (with, want) in [
            ("a.x=2", Value::Integer(2)),
            ("a.x=2.5", Value::Float(2.5)),
            ("a.x=true", Value::Boolean(true)),
            ("a.x=adam", Value::String("adam".into())),
            ("a.x='a=b'", Value::String("a=b".into())),
            ("a.x=75%", Value::String("75%".into())),
            ("a.x=a=b", Value::String("a=b".into())),
            (" a.x = [1] ", Value::Array(vec![Value::Integer(1)])),
            ("a.x=1\nq=2", Value::String("1\nq=2".into())),
        ] {
            let (table, places) = overridden(with).unwrap();
            assert_eq!(table["a"]["x"], want, "{with}");
            assert_eq!(table["a"]["y"]["z"], Value::Integer(2), "the rest stays");
            assert_eq!(places.of("a.x"), format!("-s {with}"));
            assert_eq!(places.of("a.y"), "t.toml, line 3");
        }
        let (table, places) = overridden("new.deep.key=1").unwrap();
        assert_eq!(table["new"]["deep"]["key"], Value::Integer(1));
        let (table, _) = overridden("b.1.k.l=7").unwrap();
        assert_eq!(table["b"][1]["k"]["l"], Value::Integer(7));
        assert!(overridden("b.9.k=7").unwrap_err().to_string().contains("`b` is no table here"));
        assert_eq!(places.of("new.deep"), "-s new.deep.key=1");
    }

    #[test]
    fn a_replaced_table_takes_its_places_along() {
        let (_, places) = overridden("a.y={ w = 1 }").unwrap();
        assert_eq!(places.of("a.y.w"), "-s a.y={ w = 1 }");
        assert_eq!(places.of("a.y.z"), "-s a.y={ w = 1 }");
    }

    #[test]
    fn the_last_override_wins() {
        let (table, _) = read(TEXT, "t.toml", &["a.x=5".into(), "a.x=6".into()]).unwrap();
        assert_eq!(table["a"]["x"], Value::Integer(6));
    }

    #[test]
    fn malformed_overrides_are_errors() {
        for with in ["a.x", "", "=1", "a..x=1", ".=1", "a.=1"] {
            let text = overridden(with).unwrap_err().to_string();
            assert!(text.starts_with("an override has the form `key.path=value`"), "{with}: {text}");
        }
        let text = overridden("a.x.y=1").unwrap_err().to_string();
        assert!(
            text.contains("`a.x` is no table here, but of type integer") && text.contains("line 2"),
            "{text}"
        );
    }

    #[test]
    fn values_that_begin_as_toml_must_be_toml() {
        let text = overridden(r#"a.x="idx:C:\data\mnist""#).unwrap_err().to_string();
        assert!(text.starts_with(r#"`"idx:C:\data\mnist"` is no TOML value"#), "{text}");
        assert!(text.contains(r"write \\, or '..'") && text.contains("where: -s a.x="), "{text}");
        for with in ["a.x=[1, 2", "a.x={ l = }", "a.x='b", "a.x=[a, b]"] {
            assert!(overridden(with).unwrap_err().to_string().contains("is no TOML value"), "{with}");
        }
        let path = overridden(r"a.x='idx:C:\data\mnist'").unwrap().0["a"]["x"].clone();
        assert_eq!(path, Value::String(r"idx:C:\data\mnist".into()));
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let text = read("[a]\nx = \n", "t.toml", &[]).unwrap_err().to_string();
        assert!(text.starts_with("the recipe is not valid TOML\n  where: t.toml, line 2\n"), "{text}");
        let text = read("[a]\nx = 1\nx = 2\n", "t.toml", &[]).unwrap_err().to_string();
        assert!(text.contains("line 3") && text.contains("duplicate key"), "{text}");
    }
}
