//! The rooms of `src/`, and which may use which.

use crate::code::File;

/// Every room and the rooms that it may use: only some above it, so that there are no circles. All may use
/// `error`. What is not here is absent on purpose: `sparsity` knows no optimizer, `optim` no pruning method,
/// `gpu` no mathematics, and nothing below `report` prints.
pub const TABLE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("random", &[]),
    ("store", &[]),
    ("recipe", &[]),
    ("gpu", &["random"]),
    ("ops", &["gpu", "random"]),
    ("param", &["gpu", "ops"]),
    ("nn", &["recipe", "gpu", "ops", "param", "random"]),
    ("optim", &["recipe", "gpu", "ops", "param"]),
    ("sparsity", &["recipe", "gpu", "ops", "param", "random"]),
    ("distill", &["recipe", "gpu", "ops"]),
    ("data", &["random"]),
    (
        "train",
        &["random", "store", "recipe", "gpu", "ops", "param", "nn", "optim", "sparsity", "distill", "data"],
    ),
    ("report", &["recipe", "store", "train"]),
    (
        "cli",
        &[
            "random", "store", "recipe", "gpu", "ops", "param", "nn", "optim", "sparsity", "distill", "data",
            "train", "report",
        ],
    ),
];

/// Macros that live at the crate's root and belong to `gpu`.
const OF_GPU: [&str; 3] = ["bind", "source", "wgsl_struct"];

/// What a file uses without leave, by line.
pub fn trespasses(file: &File) -> Vec<(usize, String)> {
    let Some(room) = room(&file.path) else { return Vec::new() };
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == room) else {
        return vec![(1, format!("room `{room}` is not in the table of tests/tidy/rooms.rs"))];
    };
    let may = |used: &str| used == room || used == "error" || allowed.contains(&used);
    imports(file)
        .into_iter()
        .filter(|(_, used)| !may(used))
        .map(|(line, used)| (line, format!("`{room}` uses `{used}`; it may use error {}", allowed.join(" "))))
        .collect()
}

/// The room of a file in `src/`; `lib.rs` and `main.rs` stand outside.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let room = inside.split('/').next()?;
    (!["lib", "main"].contains(&room)).then_some(room)
}

/// The rooms that a file's code names, tests aside, each with the line where its path begins.
pub fn imports(file: &File) -> Vec<(usize, String)> {
    let lines = file.code.iter().zip(&file.is_test);
    let code: String =
        lines.map(|(line, test)| if *test { "\n".into() } else { format!("{line}\n") }).collect();
    let mut all = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        all.extend(heads(&code[at + "crate::".len()..]).into_iter().map(|head| (at, head)));
    }
    // `super::super::x` may lead to the root as well.
    let up = "super::".repeat(depth(&file.path));
    for (at, _) in code.match_indices(&up).filter(|_| !up.is_empty()) {
        let rooms = heads(&code[at + up.len()..]);
        let known = rooms.into_iter().filter(|head| TABLE.iter().any(|(room, _)| room == head));
        all.extend(known.map(|head| (at, head)));
    }
    all.sort_by_key(|(at, _)| *at);
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let owner = |head: String| if OF_GPU.contains(&head.as_str()) { "gpu".to_string() } else { head };
    all.into_iter().map(|(at, head)| (line(at), owner(head))).collect()
}

/// How many modules lie between a file and the root: 1 for `src/a.rs` and `src/a/mod.rs`, 2 for `src/a/b.rs`.
fn depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// The first names of what follows `crate::`: one, or those of a group in braces.
fn heads(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let mut depth = 1;
    let mut all = Vec::new();
    let mut begin = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {}
            _ => continue,
        }
        if depth == 0 || (c == ',' && depth == 1) {
            all.push(name(group[begin..at].trim_start()));
            begin = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    all.retain(|head| !head.is_empty());
    all
}
