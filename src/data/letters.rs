//! Characters as tokens: their numbers, and what is said of a text that has others.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Kind, Result};

/// So many unknown characters are named, and the rest counted.
const NAMED: usize = 5;
/// So many ranges of known ones.
const RANGES: usize = 16;

/// The number of each character among the names of tokens. Names of several characters stand for none.
pub struct Letters(HashMap<char, u32>);

impl Letters {
    pub fn new(names: &[String]) -> Self {
        let letter = |(number, name): (u32, &String)| {
            let mut own = name.chars();
            own.next().filter(|_| own.next().is_none()).map(|c| (c, number))
        };
        Self((0..).zip(names).filter_map(letter).collect())
    }

    /// The token of a character.
    pub fn number(&self, c: char) -> Option<u32> {
        self.0.get(&c).copied()
    }

    /// The tokens of a text. `whose` names it in an error of this kind.
    ///
    /// # Errors
    /// Where a character has no token: the first such ones with line and column, and those that have.
    pub fn read(&self, text: &str, whose: &str, kind: Kind) -> Result<Vec<u32>> {
        self.check(text, &[], whose, kind)?;
        Ok(text.chars().filter_map(|c| self.number(c)).collect())
    }

    /// As [`Letters::read`], of a text that has other characters between those to be read; says only whether it can be.
    ///
    /// # Errors
    /// Those of [`Letters::read`].
    pub fn check(&self, text: &str, between: &[char], whose: &str, kind: Kind) -> Result<()> {
        let mut unknown: Vec<(char, [usize; 2])> = Vec::new();
        let mut seen = HashSet::new();
        let [mut line, mut column] = [1, 0];
        for c in text.chars() {
            column += 1;
            if self.number(c).is_none() && !between.contains(&c) && seen.insert(c) {
                unknown.push((c, [line, column]));
            }
            if c == '\n' {
                [line, column] = [line + 1, 0];
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let named = unknown.iter().take(NAMED);
        let named = named.map(|(c, [line, column])| format!("{} (line {line}, column {column})", shown(*c)));
        let named = listed(named.collect(), unknown.len());
        let what = format!("{whose} has {named}, which the run has no token for");
        Err(Error::new(kind, what).at(format!("known: {}", self.known())))
    }

    /// All of them, for people: ranges of neighbours.
    pub fn known(&self) -> String {
        let mut all: Vec<char> = self.0.keys().copied().collect();
        all.sort_unstable();
        let ranges: Vec<&[char]> = all.chunk_by(|a, b| *a as u32 + 1 == *b as u32).collect();
        let range = |own: &&[char]| match **own {
            [one] => shown(one),
            [one, other] => format!("{} {}", shown(one), shown(other)),
            [first, .., last] => format!("{} to {}", shown(first), shown(last)),
            [] => String::new(),
        };
        listed(ranges.iter().take(RANGES).map(range).collect(), ranges.len())
    }
}

/// Some, and how many more there are.
fn listed(mut some: Vec<String>, all: usize) -> String {
    if all > some.len() {
        some.push(format!("and {} more", all - some.len()));
    }
    some.join(", ")
}

/// A character as a person can read it, a new line as `\n`.
fn shown(c: char) -> String {
    if c.is_control() { format!("`{}`", c.escape_default()) } else { format!("`{c}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters() -> Letters {
        Letters::new(&["<end>", "\n", "a", "b", "c", "y", "z", "ü"].map(String::from))
    }

    #[test]
    fn characters_have_the_numbers_of_their_names() {
        assert_eq!(letters().read("aü\n", "the text", Kind::Data).unwrap(), [2, 7, 1]);
        assert_eq!(letters().number('<'), None);
    }

    #[test]
    fn unknown_characters_are_named_with_their_places() {
        let error = letters().read("ab\nb\tx\tx", "the text", Kind::Data).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        let want = "the text has `\\t` (line 2, column 2), `x` (line 2, column 3), which the run has no token for\n  \
                    known: `\\n`, `a` to `c`, `y` `z`, `ü`";
        assert_eq!(error.to_string(), want);
        assert!(letters().check("a\tb", &['\t'], "the text", Kind::Data).is_ok());
        let many = letters().read("ABCDEFG", "the text", Kind::Usage).unwrap_err();
        assert!(many.to_string().contains("`E` (line 1, column 5), and 2 more, which"), "{many}");
    }
}
