//! What is pruned together: single weights, blocks, N of every M inputs, or whole filters.

use std::fmt;
use std::str::FromStr;

/// `pattern` of `[sparsity]` and of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Structure {
    /// Single weights; written `"free"`.
    #[default]
    Free,
    /// Blocks of so many outputs by so many inputs; written `"block:8x1"`.
    Block { rows: u32, columns: u32 },
    /// `keep` of every `of` consecutive inputs; written `"2:4"`.
    Groups { keep: u32, of: u32 },
    /// Whole filters, and all that hangs on them; written `"filter"`.
    Filter,
}

/// What a recipe may say, for messages.
pub const EXPECTED: &str =
    "\"free\", \"block:ROWSxCOLUMNS\" such as \"block:8x1\", \"N:M\" such as \"2:4\", or \"filter\"";

impl FromStr for Structure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let pair = |text: &str, sign: char| -> Option<(u32, u32)> {
            let (a, b) = text.split_once(sign)?;
            let number = |part: &str| part.parse().ok().filter(|&n: &u32| n > 0 && !part.starts_with('+'));
            Some((number(a)?, number(b)?))
        };
        if text == "free" {
            return Ok(Structure::Free);
        }
        if text == "filter" {
            return Ok(Structure::Filter);
        }
        if let Some(block) = text.strip_prefix("block:") {
            return pair(block, 'x').map(|(rows, columns)| Structure::Block { rows, columns }).ok_or(());
        }
        let groups = pair(text, ':').filter(|(keep, of)| keep <= of);
        groups.map(|(keep, of)| Structure::Groups { keep, of }).ok_or(())
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Structure::Free => write!(f, "free"),
            Structure::Block { rows, columns } => write!(f, "block:{rows}x{columns}"),
            Structure::Groups { keep, of } => write!(f, "{keep}:{of}"),
            Structure::Filter => write!(f, "filter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["free", "block:8x1", "block:4x4", "2:4", "1:32", "4:4", "filter"] {
            assert_eq!(text.parse::<Structure>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Free",
            "filters",
            "block",
            "block:8",
            "block:0x1",
            "block:8x",
            "5:4",
            "0:4",
            "2:",
            "+2:4",
            "2:4:8",
        ] {
            assert!(text.parse::<Structure>().is_err(), "{text}");
        }
    }
}
