//! Data that is no longer where a run's recipe says: folders are moved, renamed and copied.

use std::path::{Path, PathBuf};

use crate::recipe::with_path;

/// The name of a data set with the path at which it is now, for a run that began in the folder `then` and is at `now`.
///
/// A path that is there is taken as it is. Where run and data moved together, data is looked for as far from the run as it
/// was. A relative path, as older runs have it, is looked for in the shell's folder, and in every folder that holds the run.
/// What is nowhere keeps its path, for messages.
pub fn find_data(name: &str, then: Option<&Path>, now: &Path) -> String {
    let Some((word, path)) = with_path(name) else { return name.to_string() };
    let found = match Path::new(path) {
        path if path.is_relative() => beside(path, now),
        path if path.exists() => return name.to_string(),
        path => then.and_then(|then| moved_along(path, then, now)),
    };
    match found.as_deref().and_then(Path::to_str) {
        Some(path) => format!("{word}:{path}"),
        None => name.to_string(),
    }
}

fn beside(path: &Path, run: &Path) -> Option<PathBuf> {
    let here = std::path::absolute(path).ok()?;
    let around = run.ancestors().map(|folder| folder.join(path));
    std::iter::once(here.clone()).chain(around).find(|path| path.exists()).or(Some(here))
}

/// What lay at `path` when the run lay at `then`. The run, and the outermost folder that moved, may have other names.
fn moved_along(path: &Path, then: &Path, now: &Path) -> Option<PathBuf> {
    for (depth, (old, new)) in then.ancestors().zip(now.ancestors()).enumerate() {
        let there = path.strip_prefix(old).map(|rest| new.join(rest));
        if let Some(there) = there.ok().filter(|there| there.exists()) {
            return Some(there);
        }
        if depth > 0 && old.file_name() != new.file_name() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_found_where_it_moved_to() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| std::path::absolute(home.path().join(path)).unwrap();
        let name = |path: &str| format!("idx:{}", at(path).display());
        std::fs::create_dir_all(at("new/data/ok")).unwrap();
        std::fs::create_dir_all(at("new/runs/r/own")).unwrap();
        let found = |data: &str, then: &str, now: &str| find_data(&name(data), Some(&at(then)), &at(now));
        assert_eq!(found("new/data/ok", "old/runs/r", "new/runs/r"), name("new/data/ok"), "it did not move");
        assert_eq!(found("old/data/ok", "old/runs/r", "new/runs/r"), name("new/data/ok"));
        assert_eq!(
            found("old/data/ok", "old/runs/q", "new/runs/r"),
            name("new/data/ok"),
            "the run has a new name"
        );
        assert_eq!(found("old/runs/q/own", "old/runs/q", "new/runs/r"), name("new/runs/r/own"));
        assert_eq!(found("old/data/ok", "old/other/r", "new/runs/r"), name("old/data/ok"), "not beside it");
        assert_eq!(found("old/data/no", "old/runs/r", "new/runs/r"), name("old/data/no"), "nowhere");
        // As older runs have it.
        assert_eq!(find_data("idx:data/ok", None, &at("new/runs/r")), name("new/data/ok"));
        for name in ["digits", "task:sort", "random:3x4x5"] {
            assert_eq!(find_data(name, Some(&at("a")), &at("b")), name);
        }
    }
}
