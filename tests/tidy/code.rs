//! A file as the rules see it: its lines, and the same lines without comments and strings.

/// A text file, cut into lines.
pub struct File {
    /// From the repository's root, with `/`.
    pub path: String,
    pub lines: Vec<String>,
    /// Of a Rust file, the lines with blanks for comments and literals of text; else empty.
    pub code: Vec<String>,
    /// Whether a line of `code` is compiled for tests only.
    pub is_test: Vec<bool>,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let cut = |text: &str| text.split('\n').map(str::to_string).collect::<Vec<_>>();
        let is_rust = path.ends_with(".rs");
        let code = if is_rust { cut(&blank(text)) } else { Vec::new() };
        let all_tests = path.starts_with("tests/")
            || path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.ends_with("_tests.rs");
        let is_test = if all_tests { vec![true; code.len()] } else { tests(&code) };
        Self { path: path.into(), lines: cut(text), code, is_test }
    }

    /// The numbers, from 1, of the lines of code that hold one of `words`, with the word. A word may end in
    /// any sign; it does not match within a longer name.
    pub fn find<'a>(&'a self, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
        let numbered = (1..).zip(&self.code);
        numbered.flat_map(|(number, line)| {
            words.iter().filter(|word| contains(line, word)).map(move |word| (number, *word))
        })
    }
}

fn contains(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Replaces comments and literals of text by blanks; line breaks stay.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest)).or_else(|| character(rest)).unwrap_or(0);
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    code
}

/// The bytes of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| text.find("*/").map_or(text.len(), |end| end + 2))
}

/// The bytes of the string that `text` begins with, raw ones included.
fn string(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let open = text.len() - body.len();
        return Some(body.find(&close).map_or(text.len(), |end| open + end + close.len()));
    }
    let body = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    Some(text.len())
}

/// The bytes of the character that `text` begins with; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        return body[2..].find('\'').map(|end| end + 4);
    }
    let c = body.chars().next()?;
    body[c.len_utf8()..].starts_with('\'').then(|| c.len_utf8() + 2)
}

/// Which lines belong to an item under `#[cfg(test)]`. Its end is found as rustfmt indents it.
fn tests(code: &[String]) -> Vec<bool> {
    let mut is_test = vec![false; code.len()];
    let mut at = 0;
    while at < code.len() {
        if code[at].trim() != "#[cfg(test)]" {
            at += 1;
            continue;
        }
        let begin = at;
        let indent = &code[at][..code[at].len() - code[at].trim_start().len()];
        let close = format!("{indent}}}");
        while at < code.len() && code[at].trim_end() != close && !code[at].trim_end().ends_with(';') {
            at += 1;
            // The body of a block holds semicolons of its own.
            if code[at - 1].trim_end().ends_with('{') {
                at = (at..code.len()).find(|&i| code[i].trim_end() == close).unwrap_or(code.len());
            }
        }
        at = (at + 1).min(code.len());
        is_test[begin..at].fill(true);
    }
    is_test
}
