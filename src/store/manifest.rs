//! `manifest.json`: the length and the SHA-256 of every file of a folder.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::store::digest::hash_file;
use crate::store::folder::{failed, write_file_atomic};

pub const MANIFEST: &str = "manifest.json";
const SCHEMA: u64 = 1;

/// Writes the manifest of all files that are in the folder now.
pub fn write(folder: &Path) -> Result<()> {
    let mut files = Map::new();
    for name in files_in(folder)? {
        let (bytes, sha256) = hash_file(&folder.join(&name))?;
        files.insert(name, json!({ "bytes": bytes, "sha256": sha256 }));
    }
    let text = format!("{:#}\n", json!({ "schema": SCHEMA, "files": files }));
    write_file_atomic(&folder.join(MANIFEST), text.as_bytes())
}

/// Compares every file with the manifest. Files that the manifest does not name are ignored.
///
/// # Errors
/// `Kind::Checkpoint`, naming the file and what was expected and found.
pub fn verify_folder(path: &Path) -> Result<()> {
    let manifest = path.join(MANIFEST);
    let damaged = |file: &Path, expected: &str, found: &str| {
        Err(Error::checkpoint(format!("{} is damaged", file.display()))
            .at(format!("expected: {expected}; found: {found}")))
    };
    let text = match fs::read_to_string(&manifest) {
        Ok(text) => text,
        Err(e) => return damaged(&manifest, "a manifest", &e.to_string()),
    };
    let json: Value = match serde_json::from_str(&text) {
        Ok(json) => json,
        Err(e) => return damaged(&manifest, "JSON", &e.to_string()),
    };
    if json["schema"].as_u64() != Some(SCHEMA) {
        return damaged(&manifest, &format!("\"schema\": {SCHEMA}"), &json["schema"].to_string());
    }
    let Some(files) = json["files"].as_object() else {
        return damaged(&manifest, "an object \"files\"", &json["files"].to_string());
    };
    for (name, entry) in files {
        let file = path.join(name);
        let (Some(bytes), Some(sha256)) = (entry["bytes"].as_u64(), entry["sha256"].as_str()) else {
            return damaged(&manifest, &format!("bytes and sha256 of {name}"), &entry.to_string());
        };
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return damaged(&manifest, "names inside the folder", name);
        }
        // The length first: it is cheap, and says more than a hash.
        match fs::metadata(&file) {
            Err(e) => return damaged(&file, &format!("{bytes} bytes"), &e.to_string()),
            Ok(found) if found.len() != bytes => {
                return damaged(&file, &format!("{bytes} bytes"), &format!("{} bytes", found.len()));
            }
            Ok(_) => {}
        }
        let (_, found) = hash_file(&file)?;
        if found != sha256 {
            return damaged(&file, &format!("SHA-256 {sha256}"), &found);
        }
    }
    Ok(())
}

/// All files below `folder`, as sorted names with `/` between the parts.
pub fn files_in(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for inner in folders_in(folder)? {
        for path in entries(&inner)?.into_iter().filter(|path| !path.is_dir()) {
            let parts: Option<Vec<&str>> = path
                .strip_prefix(folder)
                .unwrap_or(&path)
                .components()
                .map(|part| part.as_os_str().to_str())
                .collect();
            let parts = parts.ok_or_else(|| {
                Error::new(crate::error::Kind::FileSystem, format!("{} is not Unicode", path.display()))
            })?;
            files.push(parts.join("/"));
        }
    }
    files.sort();
    Ok(files)
}

/// `folder` and all folders below it, the innermost last.
pub fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_path_buf()];
    let mut next = 0;
    while next < folders.len() {
        let inner = entries(&folders[next])?.into_iter().filter(|path| path.is_dir());
        folders.extend(inner);
        next += 1;
    }
    Ok(folders)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| failed("read the folder", folder, e);
    fs::read_dir(folder).map_err(fail)?.map(|entry| Ok(entry.map_err(fail)?.path())).collect()
}
