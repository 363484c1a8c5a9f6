//! Where files of a recipe lie. What follows the colon in `data.name` is a path, and so is `data.tokenizer`: relative to the recipe's file, or, on the
//! command line, to the folder that the shell is in.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Names of data sets after whose colon stands no path.
const NO_PATH: &[&str] = &["random", "task"];

/// The key of `[data]` that is a path: `data::tokenizer::KEY`, a room further on.
pub const PATH_KEY: &str = "tokenizer";

/// The two parts of a data set's name, such as `idx:DIR`, where the second is a path.
pub fn with_path(name: &str) -> Option<(&str, &str)> {
    name.split_once(':').filter(|(word, path)| !path.is_empty() && !NO_PATH.contains(word))
}

/// `idx:DIR` with an absolute path in place of one relative to `folder`; other names as they are.
///
/// # Errors
/// `Kind::Usage` where the folder's name is not Unicode, as a recipe is.
pub fn anchored(name: &str, folder: &Path) -> Result<String> {
    let Some((word, path)) = with_path(name) else { return Ok(name.to_string()) };
    Ok(format!("{word}:{}", absolute(path, folder)?))
}

/// A path in place of one relative to `folder`.
///
/// # Errors
/// As those of [`anchored`].
pub fn absolute(path: &str, folder: &Path) -> Result<String> {
    let path = folder.join(path);
    let absolute = std::path::absolute(&path).map_err(|e| Error::file("find", &path, e))?;
    let absolute =
        Some(plain(&absolute)).filter(|plain| plain.exists() || !absolute.exists()).unwrap_or(absolute);
    let text = absolute.to_str().ok_or_else(|| {
        Error::usage(format!("{} is not Unicode, and cannot stand in a recipe", absolute.display()))
            .hint("another name for that folder")
    })?;
    Ok(text.to_string())
}

/// Without `a/..`, so that what moves along with the path does not depend on `a`. Behind a link that is another path.
fn plain(path: &Path) -> PathBuf {
    let mut all = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(all.pop()),
            part => all.push(part),
        }
    }
    all
}

/// As [`anchored`], relative to the folder that the shell is in.
///
/// # Errors
/// As those of [`anchored`].
pub fn anchored_here(name: &str) -> Result<String> {
    anchored(name, Path::new(""))
}
