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
    ("shrink", &["recipe", "gpu", "ops", "param", "nn", "random"]),
    ("data", &["random", "store", "recipe"]),
    (
        "train",
        &[
            "random", "store", "recipe", "gpu", "ops", "param", "nn", "optim", "sparsity", "distill",
            "shrink", "data",
        ],
    ),
    ("search", &["random", "store", "recipe", "gpu", "ops", "nn", "optim", "shrink", "data", "train"]),
    ("report", &["recipe", "store", "train"]),
    ("export", &["store", "recipe", "gpu", "param", "nn", "data", "train"]),
    (
        "cli",
        &[
            "random", "store", "recipe", "gpu", "ops", "param", "nn", "optim", "sparsity", "distill",
            "shrink", "data", "train", "search", "report", "export",
        ],
    ),
];

/// What a room or a part of one is called, and which others it may use.
type Uses = (&'static str, &'static [&'static str]);

/// Rooms in parts, and which other parts of the room each part may use; a file `src/sparsity/select/x.rs` is of the
/// part `select`. What lies in the room beside its parts puts them together.
pub const PARTS: &[(&str, &[Uses])] = &[(
    "sparsity",
    &[
        ("select", &[]),
        ("structure", &["select"]),
        ("score", &[]),
        ("update", &["select", "structure", "score"]),
        ("methods", &["structure", "score", "update"]),
    ],
)];

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

/// What a part of a room uses of the room's other parts without leave, by line.
pub fn trespasses_within(file: &File) -> Vec<(usize, String)> {
    let Some((room, inside)) = file.path.strip_prefix("src/").and_then(|path| path.split_once('/')) else {
        return Vec::new();
    };
    let parts = PARTS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, parts)| parts);
    let part = |name: &str| parts.iter().find(|(part, _)| *part == name);
    let Some((own, allowed)) = inside.split_once('/').and_then(|(own, _)| part(own)) else {
        return Vec::new();
    };
    let code = code(file);
    let path = format!("crate::{room}::");
    let used = code
        .match_indices(&path)
        .flat_map(|(at, _)| heads(&code[at + path.len()..]).into_iter().map(move |head| (at, head)));
    used.filter(|(_, head)| part(head).is_some() && head != own && !allowed.contains(&head.as_str()))
        .map(|(at, head)| {
            let line = code[..at].matches('\n').count() + 1;
            (line, format!("`{room}/{own}` uses `{room}/{head}`; it may use {}", allowed.join(" ")))
        })
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
    let code = code(file);
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

/// The code of a file, line by line, with nothing where its tests are.
fn code(file: &File) -> String {
    let lines = file.code.iter().zip(&file.is_test);
    lines.map(|(line, test)| if *test { "\n".into() } else { format!("{line}\n") }).collect()
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
