//! C as text: identifiers, numbers, arrays.

use std::collections::BTreeSet;

/// Columns that lines of arrays end before.
const WIDTH: usize = 100;

/// Identifiers that differ from one another. With a suffix such as `_weight` each is one of C.
#[derive(Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// An identifier for what a person calls so.
    pub fn name(&mut self, text: &str) -> String {
        let base = identifier(text);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !self.0.contains(name));
        let free = free.expect("numbers do not end");
        self.0.insert(free.clone());
        free
    }
}

/// Letters, digits and underscores; what begins otherwise than with a letter, or as the functions of a file do, begins
/// with an `l`.
pub fn identifier(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let begins =
        plain.chars().next().is_some_and(|c| c.is_ascii_alphabetic()) && !plain.starts_with("apply_");
    if begins { plain } else { format!("l{plain}") }
}

/// The shortest number that is read as the same f32.
pub fn number(value: f32) -> String {
    format!("{value:?}f")
}

/// A constant array. C knows none without elements: where there are none, it has a 0 that nobody reads.
pub fn array(kind: &str, name: &str, items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<String> = items.into_iter().collect();
    if items.is_empty() {
        items.push("0".into());
    }
    let mut text = format!("static const {kind} {name}[{}] = {{", items.len());
    let mut column = WIDTH;
    for item in items {
        if column + item.len() + 2 > WIDTH {
            text.push_str("\n   ");
            column = 3;
        }
        text.push_str(&format!(" {item},"));
        column += item.len() + 2;
    }
    text.push_str("\n};\n");
    text
}

/// Lines of comment.
pub fn comment(text: &str) -> String {
    // A line that ends with a backslash would go on in the next one.
    let goes_on = |c: char| c == '\\' || c.is_whitespace();
    let line = |line: &str| {
        let own = format!("// {}", line.trim_end_matches(goes_on)).trim_end().to_string();
        own.clone() + if own.ends_with("??/") { ".\n" } else { "\n" } // a trigraph is a backslash, too
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_c_and_differ() {
        let mut names = Names::default();
        let all = ["conv1", "a.b", "a_b", "0", "_x", "", "größe", "apply_relu"].map(|text| names.name(text));
        assert_eq!(all, ["conv1", "a_b", "a_b_2", "l0", "l_x", "l", "gr__e", "lapply_relu"]);
    }

    #[test]
    fn no_line_of_comment_goes_on_in_the_next() {
        assert_eq!(comment("a\\ \nb\\\\\t\\\nc??/\n\\"), "// a\n// b\n// c??/.\n//\n");
    }

    #[test]
    fn numbers_come_back() {
        for value in [0.1, -0.0, 1.0, 16_777_217.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, -1.0 / 3.0] {
            let text = number(value);
            let read: f32 = text.strip_suffix('f').unwrap().parse().unwrap();
            assert_eq!(read.to_bits(), value.to_bits(), "{text}");
            assert!(text.contains(['.', 'e']), "{text} is no number of floating point in C");
        }
    }

    #[test]
    fn long_arrays_are_wrapped() {
        let text = array("float", "w", (0..100).map(|i| number(i as f32)));
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(
            text.starts_with("static const float w[100] = {\n    0.0f, 1.0f,") && text.ends_with("\n};\n")
        );
        assert_eq!(array("float", "w", []), "static const float w[1] = {\n    0,\n};\n");
    }
}
