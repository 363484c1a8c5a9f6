//! Words a person typed: the nearest known one, and `*` patterns over names.

use crate::error::{Error, Result};

/// The candidate nearest to `word`, if one is near enough to be what was meant.
///
/// Distance is Damerau-Levenshtein (a swap of neighbours counts once), blind to case and to `-` against `_`.
/// One slip is allowed in words of up to three letters, two up to seven, three beyond, and a word that is the beginning of
/// the other, of three letters at least; of equals the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let begins = |a: &str, b: &str| a.len() >= 3 && b.starts_with(a);
    let allowed = match word.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| match plain(candidate) {
            // A word cut short, or written out.
            known if begins(&known, &word) || begins(&word, &known) => (allowed, candidate),
            known => (strsim::damerau_levenshtein(&word, &known), candidate),
        })
        .filter(|&(distance, candidate)| distance <= allowed && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The error for a word that is none of `candidates`: names them all and hints at the nearest.
///
/// `what` is the sort of thing, as in "unknown optimizer `sgdd`".
pub fn unknown<'a>(what: &str, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = candidates.into_iter().collect();
    let error = Error::usage(format!("unknown {what} `{word}`"));
    let error = if known.is_empty() { error } else { error.at(format!("known: {}", known.join(", "))) };
    match nearest(word, known) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The one of `all` that is called `word`, or the error that names them.
pub fn named<T: Copy>(what: &str, word: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let found = all.iter().copied().find(|&one| name(one) == word);
    found.ok_or_else(|| unknown(what, word, all.iter().map(|&one| name(one))))
}

/// Whether `name` fits `pattern`: `*` stands for any run of characters, also none, and `?` for exactly one.
///
/// The whole name must fit. No other character is special.
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when a guess fails: after the last star, having let it swallow one character more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after, start)) => {
                    retry = Some((after, start + 1));
                    (p, n) = (after, start + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nearest_finds_slips_and_leaves_strangers_alone() {
        let known = ["momentum", "nesterov", "weight_decay", "lr"];
        for (word, near) in [
            ("momentun", Some("momentum")),
            ("Momentum", Some("momentum")),
            ("weight-decay", Some("weight_decay")),
            ("rl", Some("lr")),
            ("l", Some("lr")),
            ("momentum_factor", Some("momentum")),
            ("mom", Some("momentum")),
            ("mo", None),
            ("banana", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
        assert_eq!(nearest("er", ["erk", "er"]), Some("er"));
        assert_eq!(nearest("erx", ["erk", "er"]), Some("erk"), "the first of equals");
        assert_eq!(nearest("a", []), None);
    }

    #[test]
    fn unknown_names_the_word_the_known_ones_and_the_nearest() {
        let error = unknown("optimizer", "adma", ["sgd", "adam"]);
        assert_eq!(
            error.to_string(),
            "unknown optimizer `adma`\n  known: sgd, adam\n  try: did you mean `adam`?"
        );
        assert_eq!(unknown("method", "zzzzz", ["gmp"]).to_string(), "unknown method `zzzzz`\n  known: gmp");
    }

    #[test]
    fn globs_fit_whole_names() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "fc1.weight", true),
            ("fc*", "fc", true),
            ("fc?", "fc1", true),
            ("fc?", "fc", false),
            ("fc?", "fc12", false),
            ("*.weight", "fc1.weight", true),
            ("*.weight", "fc1.weights", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("", "", true),
            ("", "a", false),
            ("fc[12]", "fc1", false),
            ("head", "head", true),
            ("head", "overhead", false),
            ("?", "ä", true),
            ("**", "x", true),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} over {name}");
        }
    }

    /// The definition, as a recursion.
    fn glob_by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', after)), rest) => {
                glob_by_definition(after, name)
                    || rest.is_some_and(|(_, rest)| glob_by_definition(pattern, rest))
            }
            (Some((p, after)), Some((c, rest))) => (*p == '?' || p == c) && glob_by_definition(after, rest),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn glob_agrees_with_its_definition(pattern in "[ab*?]{0,7}", name in "[ab]{0,9}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(glob(&pattern, &name), glob_by_definition(&p, &n));
        }
    }
}
