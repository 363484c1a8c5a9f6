//! Writes a recipe in the order a person would: sections, then `key = value`, inner tables on one line.

use toml::{Table, Value};

/// A TOML text in the making.
#[derive(Default)]
pub struct Writer {
    out: String,
    /// What the paths of sections begin with.
    within: &'static str,
}

impl Writer {
    /// `[path]`, or `[[path]]` for a list of tables, after an empty line.
    pub fn section(&mut self, header: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let (open, path) = header.split_at(header.len() - header.trim_start_matches('[').len());
        self.out.push_str(&format!("{open}{}{path}\n", self.within));
    }

    /// Sections from now on are tables of another one: `"stage."`.
    pub fn within(&mut self, path: &'static str) {
        self.within = path;
    }

    pub fn key(&mut self, key: &str, value: impl Into<Value>) {
        // A table of one entry on one line is that entry within braces, with its key quoted if need be.
        let one = Value::Table(Table::from_iter([(key.to_string(), value.into())])).to_string();
        let entry = one.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }")).unwrap_or(&one);
        self.out.push_str(entry);
        self.out.push('\n');
    }

    pub fn keys(&mut self, table: &Table) {
        for (key, value) in table {
            self.key(key, value.clone());
        }
    }

    pub fn finish(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sections_and_keys() {
        let mut w = Writer::default();
        w.section("[a]");
        w.key("x", 0.1);
        w.section("[[a.b]]");
        w.key("odd key", vec!["p", "q"]);
        w.key("t", Table::from_iter([("k".to_string(), Value::Boolean(true))]));
        w.within("b.");
        w.section("[[c]]");
        assert_eq!(
            w.finish(),
            "[a]\nx = 0.1\n\n[[a.b]]\n\"odd key\" = [\"p\", \"q\"]\nt = { k = true }\n\n[[b.c]]\n"
        );
    }

    proptest! {
        #[test]
        fn any_key_and_text_come_back(key in ".{0,8}", text in "(?s).{0,12}", x in -1e300..1e300f64, i in any::<i64>()) {
            let inner = Table::from_iter([(text.clone(), Value::Integer(i)), ("a b".into(), Value::Float(x))]);
            let table = Table::from_iter([
                (key.clone(), Value::Array(vec![Value::String(text), Value::Table(inner)])),
            ]);
            let mut w = Writer::default();
            w.keys(&table);
            prop_assert_eq!(toml::from_str::<Table>(&w.finish()).unwrap(), table);
        }
    }
}
