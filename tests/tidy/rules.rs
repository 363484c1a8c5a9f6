//! The list of rules. Each comes with its reason, an offence that it must catch, and something that only
//! looks like one.

use crate::code::File;
use crate::rooms;

pub struct Rule {
    pub why: &'static str,
    /// The lines, from 1, that break the rule, and how.
    pub check: fn(&File) -> Vec<(usize, String)>,
    /// A file's path and text, and the only line that breaks the rule.
    pub offence: fn() -> (&'static str, String, usize),
    /// A file's path and text that break nothing.
    pub spared: fn() -> (&'static str, String),
}

pub const ALL: &[Rule] = &[
    Rule {
        why: "imports go up the list of rooms only, so that each can be read without those below it",
        check: rooms::trespasses,
        offence: || ("src/ops/x.rs", "//! X.\nuse crate::gpu::Gpu;\nuse crate::nn::Model;\n".into(), 3),
        spared: || ("src/ops/x.rs", "//! X, used by `crate::nn`.\nuse crate::{bind, error::Error};\n".into()),
    },
    Rule {
        why: "the parts of a room stand one on another, too",
        check: rooms::trespasses_within,
        offence: || {
            ("src/sparsity/select/x.rs", "//! X.\nuse crate::sparsity::{Length, update::hold};\n".into(), 2)
        },
        spared: || {
            ("src/sparsity/update/x.rs", "//! X.\nuse crate::sparsity::{Length, select::topk};\n".into())
        },
    },
    Rule {
        why: "one room knows the GPU's interface, so that its next version changes one room",
        check: |file| match file.path.strip_prefix("src/") {
            Some(inside) if !inside.starts_with("gpu/") => said(file, &["wgpu::"]),
            _ => Vec::new(),
        },
        offence: || ("src/nn/x.rs", "//! X.\n\nfn f(device: &wgpu::Device) {}\n".into(), 3),
        spared: || ("src/nn/x.rs", "//! Not a `wgpu::Device`.\nfn f() { my_wgpu::g(\"wgpu::\") }\n".into()),
    },
    Rule {
        why: "what is on the main branch is finished",
        check: |file| said(file, &["todo!", "unimplemented!", "dbg!"]),
        offence: || ("tests/x.rs", "//! X.\nfn f() {\n    todo!()\n}\n".into(), 3),
        spared: || ("src/nn/x.rs", "//! X.\n// No todo! here.\nfn f() { my_dbg!(); g(\"dbg!\") }\n".into()),
    },
    Rule {
        why: "results and messages have one door each: events, which report and cli turn into words",
        check: |file| {
            let talks = ["src/report/", "src/cli/", "src/main.rs"];
            let silent = file.path.starts_with("src/") && !talks.iter().any(|t| file.path.starts_with(t));
            if silent { said(file, &["println!", "eprintln!", "print!", "eprint!"]) } else { Vec::new() }
        },
        offence: || ("src/train/x.rs", "//! X.\nfn f() { eprintln!(\"slow\"); }\n".into(), 2),
        spared: || ("src/report/x.rs", "//! X.\nfn f() { println!(\"fast\"); }\n".into()),
    },
    Rule {
        why: "a reader learns from the first line what a file is",
        check: |file| {
            let says = !file.path.ends_with(".rs") || file.lines[0].starts_with("//! ");
            if says { Vec::new() } else { vec![(1, "does not begin with `//!`".into())] }
        },
        offence: || ("tests/x.rs", "use std::fs;\n//! X.\n".into(), 1),
        spared: || ("tests/x.rs", "//! X.\n".into()),
    },
    Rule {
        why: "a shader's first line says what it computes, and whence",
        check: |file| {
            let first = &file.lines[0];
            let says = first.starts_with("// ") && first.len() > 20;
            if says || !file.path.ends_with(".wgsl") {
                return Vec::new();
            }
            vec![(1, format!("`{first}` is not a comment that says what this is"))]
        },
        offence: || ("shaders/ops/x.wgsl", "//#use common/grid\n// X: y = x + 1.\n".into(), 1),
        spared: || ("shaders/ops/x.wgsl", "// y = x + 1, any shape.\n//#use common/grid\n".into()),
    },
    Rule {
        why: "beyond 500 lines there is a second idea in a file",
        check: |file| {
            let long = [".rs", ".wgsl", ".py"].iter().any(|ending| file.path.ends_with(ending))
                && file.lines.len() > LONGEST + 1; // the last line break is followed by an empty line
            if long { vec![(LONGEST + 1, format!("has {} lines", file.lines.len() - 1))] } else { Vec::new() }
        },
        offence: || ("src/nn/x.rs", "//! X.\n".repeat(LONGEST + 1), LONGEST + 1),
        spared: || ("src/nn/x.rs", "//! X.\n".repeat(LONGEST)),
    },
    Rule {
        why: "a path of one machine means nothing on another",
        check: |file| {
            let lines = (1..).zip(&file.lines);
            let paths = |line: &String| MACHINE.into_iter().find(|path| is_absolute(line, path));
            lines.filter_map(|(n, line)| Some((n, format!("names `{}`", paths(line)?)))).collect()
        },
        offence: || ("docs/x.md", format!("# X\n\nSee `{}x`.\n", MACHINE[0]), 3),
        spared: || ("docs/x.md", format!("https://example.org{}x and target{}x\n", MACHINE[0], MACHINE[2])),
    },
    Rule {
        why: "a test that is not run proves nothing; one that cannot run here says so and passes",
        check: |file| said(file, &["#[ignore"]),
        offence: || ("tests/x.rs", "//! X.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n".into(), 3),
        spared: || ("tests/x.rs", "//! X.\n// Never #[ignore] a test.\n#[test]\nfn f() {}\n".into()),
    },
    Rule {
        why: "white space that nobody sees still shows in every difference",
        check: |file| {
            let text = ["rs", "wgsl", "md", "toml", "py", "json", "yml", "yaml", "sh", "html", "css"];
            if !text.iter().any(|ending| file.path.ends_with(&format!(".{ending}"))) {
                return Vec::new();
            }
            let fault = |line: &String| match line {
                line if line.contains('\t') => Some("has a tab"),
                line if line.ends_with(char::is_whitespace) => Some("ends in white space"),
                _ => None,
            };
            (1..).zip(&file.lines).filter_map(|(n, line)| Some((n, fault(line)?.to_string()))).collect()
        },
        offence: || ("docs/x.md", "# X\nmore \n".into(), 2),
        spared: || ("src/nn/x.rs", "//! X.\nconst TAB: &str = \"\\t\";\n".into()),
    },
];

const LONGEST: usize = 500;

/// In pieces, so that this file does not name them.
const MACHINE: [&str; 4] =
    [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "tmp/"), concat!("/", "home/")];

/// Whether `path` stands in `line` by itself, not as the continuation of a longer path or address.
fn is_absolute(line: &str, path: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || "._-~*$})>]".contains(c);
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(continues))
}

/// The lines of code that hold one of `words`.
fn said(file: &File, words: &[&str]) -> Vec<(usize, String)> {
    file.find(words).map(|(line, word)| (line, format!("says `{word}`"))).collect()
}
