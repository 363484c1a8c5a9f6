//! Tokens that a network is judged on and has never seen.

use super::classes::named;
use super::{ByteCounts, Dataset};
use crate::error::Error;

impl Dataset {
    /// Characters that occur in the validation or the test part and nowhere in training.
    pub(super) fn unseen(&self) -> Option<Error> {
        let train = self.train.tokens()?;
        // A text has few of all bytes, and most pieces of a tokenizer are rare; numbers without names say nothing.
        let is_rare = matches!(train.bytes, Some(ByteCounts::One | ByteCounts::ByPosition(_)));
        if is_rare || self.class_names.is_empty() {
            return None;
        }
        let mut is_seen = vec![false; self.classes];
        train.stream.iter().chain(&train.padding).for_each(|&token| is_seen[token as usize] = true);
        let parts = [("validation", &self.validation), ("test", &self.test)];
        let parts = parts.into_iter().filter_map(|(name, split)| Some((name, split.tokens()?)));
        let (mut is_new, mut places) = (vec![false; self.classes], Vec::new());
        for (name, tokens) in parts {
            let mut count = 0;
            for &token in tokens.stream.iter().filter(|&&token| !is_seen[token as usize]) {
                is_new[token as usize] = true;
                count += 1;
            }
            if count > 0 {
                places.push(format!("{count} times in the {name} part"));
            }
        }
        let new: Vec<String> = (0..self.classes)
            .filter(|&token| is_new[token])
            .map(|token| shown(&self.class_names[token]))
            .collect();
        (!new.is_empty()).then(|| {
            Error::data(format!("{} characters never occur in training", new.len()))
                .at(format!("{}: {}", places.join(", "), named(&new)))
                .hint("nothing, if they are rare; else parts that are alike")
        })
    }
}

/// A name in quotes, and what is no sign by its number.
fn shown(name: &str) -> String {
    let sign = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    format!("`{}`", name.chars().map(sign).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::text::TEXT;
    use super::super::{Dataset, options::Options};

    fn warnings(text: &str, keys: &str, validation: f64) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        std::fs::write(&path, text).unwrap();
        let settings = toml::from_str::<toml::Table>(keys).unwrap().into();
        let options = Options::read(&TEXT, &settings).unwrap();
        let source = (TEXT.open)(path.to_str().unwrap(), &options).unwrap();
        let set = Dataset::from_arrays(source, validation).unwrap();
        set.warnings().iter().map(|warning| warning.to_string()).collect()
    }

    #[test]
    fn characters_that_training_never_shows_are_named_once() {
        let text = format!("{}xyx{}\n\u{e9}\u{e9}", "ab".repeat(30), "ab".repeat(6));
        let keys = "unit = 'characters'\ncontext = 2\ntest = 0.1";
        assert_eq!(
            warnings(&text, keys, 0.2),
            ["4 characters never occur in training\n  \
             3 times in the validation part, 3 times in the test part: `\\n`, `x`, `y`, `\u{e9}`\n  \
             try: nothing, if they are rare; else parts that are alike"]
        );
        assert!(warnings(&text, "context = 2", 0.0).is_empty(), "bytes");
        assert!(warnings(&"ab".repeat(40), keys, 0.2).is_empty());
    }
}
