//! Files and folders that are either whole or absent, whatever moment the machine stops at.
//!
//! A folder is filled under a temporary name beside its place, gets a `manifest.json` with the length and the
//! SHA-256 of every file, is flushed to the disk, and only then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::store::digest::hash_bytes;
use crate::store::manifest;

pub use crate::store::manifest::verify_folder;

/// Marks what is being written, or being deleted; worth nothing after a crash.
const UNFINISHED: &str = ".tmp-";
/// Marks a folder that was moved aside to be replaced; put back if its successor never came.
const SET_ASIDE: &str = ".old-";

/// Calls `fill` with an empty temporary folder beside `dest`, then adds the manifest and renames it to `dest`.
/// A folder that is already there is replaced. On an error nothing is left behind and `dest` is as before.
pub fn write_folder(dest: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = parent_of(dest);
    fs::create_dir_all(parent).map_err(|e| failed("create", parent, e))?;
    let temporary = marked(dest, UNFINISHED)?;
    fs::create_dir(&temporary).map_err(|e| failed("create", &temporary, e))?;
    let finish = || {
        fill(&temporary)?;
        manifest::write(&temporary)?;
        flush_tree(&temporary)?;
        replace(&temporary, dest)
    };
    finish().inspect_err(|_| _ = fs::remove_dir_all(&temporary))?;
    flush_folder(parent)
}

/// Writes a file beside its place, flushes it and renames it: readers see the old file or the new one.
pub fn write_file_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file_with(path, |out| out.write_all(bytes))
}

/// As [`write_file_atomic`], for contents that are produced piece by piece.
pub fn write_file_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let temporary = marked(path, UNFINISHED)?;
    let finish = || {
        let mut out = BufWriter::with_capacity(1 << 16, File::create_new(&temporary)?);
        fill(&mut out)?;
        out.into_inner()?.sync_all()?;
        fs::rename(&temporary, path)
    };
    finish().map_err(|e| {
        _ = fs::remove_file(&temporary);
        failed("write", path, e)
    })?;
    flush_folder(parent_of(path))
}

/// Deletes a folder so that a crash never leaves half of it under its own name.
pub fn remove_folder(path: &Path) -> Result<()> {
    let temporary = marked(path, UNFINISHED)?;
    fs::rename(path, &temporary).map_err(|e| failed("delete", path, e))?;
    fs::remove_dir_all(&temporary).map_err(|e| failed("delete", &temporary, e))
}

/// Removes what a crashed writer left in `parent` and puts back what it had moved aside. What this process is
/// writing right now is left alone. Returns the paths that were removed or put back.
///
/// Only the one writer of a folder calls this: it would take away what another process is writing.
pub fn clean_stale(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut cleaned = restore(parent)?;
    for (path, _) in marked_in(parent, UNFINISHED)?.into_iter().chain(marked_in(parent, SET_ASIDE)?) {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| failed("delete", &path, e))?;
        cleaned.push(path);
    }
    Ok(cleaned)
}

/// Puts folders back that were moved aside and whose successor never came. Readers may call this too.
pub fn restore(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut restored = Vec::new();
    for (path, name) in marked_in(parent, SET_ASIDE)? {
        let home = parent.join(name);
        if !home.exists() {
            fs::rename(&path, &home).map_err(|e| failed("restore", &home, e))?;
            restored.push(home);
        }
    }
    Ok(restored)
}

/// The name of a file for what is called so: names may hold what a file name may not.
pub fn file_name(name: &str) -> String {
    name.replace(['/', '\\', ':'], "_")
}

/// A file system error with advice where the cause is known.
pub fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    use io::ErrorKind::*;
    let advice = match error.kind() {
        StorageFull | QuotaExceeded => Some("free some space, or choose another folder"),
        ReadOnlyFilesystem => Some("choose a folder that can be written to"),
        PermissionDenied => Some("check who owns the folder, or choose another one"),
        _ => None,
    };
    let error = Error::file(doing, path, error);
    match advice {
        Some(advice) => error.hint(advice),
        None => error,
    }
}

/// Renames a finished folder to its place. A whole folder cannot be renamed over another, so the one that is
/// there steps aside first; should the machine stop in between, `restore` puts it back.
fn replace(finished: &Path, dest: &Path) -> Result<()> {
    let into_place = || fs::rename(finished, dest).map_err(|e| failed("rename a folder to", dest, e));
    if !dest.exists() {
        return into_place();
    }
    let aside = marked(dest, SET_ASIDE)?;
    fs::rename(dest, &aside).map_err(|e| failed("move aside", dest, e))?;
    into_place().inspect_err(|_| _ = fs::rename(&aside, dest))?;
    fs::remove_dir_all(&aside).map_err(|e| failed("delete", &aside, e))
}

/// `parent/name` becomes `parent/.name.tmp-PROCESS-COUNT`.
fn marked(path: &Path, mark: &str) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Error::new(crate::error::Kind::FileSystem, format!("{} is no name for a file", path.display()))
    })?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(parent_of(path).join(format!(".{name}{mark}{}-{count}", process())))
}

/// Paths in `parent` that bear a mark of another process, with the name they are meant for.
fn marked_in(parent: &Path, mark: &str) -> Result<Vec<(PathBuf, String)>> {
    let fail = |e| failed("read the folder", parent, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let Some((name, owner)) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.rsplit_once(mark))
        else {
            continue;
        };
        let ours = owner.rsplit_once('-').is_some_and(|(owner, _)| owner == process());
        if let (Some(name), false) = (name.strip_prefix('.'), ours) {
            found.push((path.clone(), name.to_string()));
        }
    }
    found.sort();
    Ok(found)
}

/// A name for this process. The number alone does not do: in a container it is the same after a restart.
fn process() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let seed = format!("{}, {:?}", std::process::id(), SystemTime::now());
        hash_bytes(seed.as_bytes())[..12].to_string()
    })
}

fn flush_tree(folder: &Path) -> Result<()> {
    for file in manifest::files_in(folder)? {
        let path = folder.join(file);
        // Opened for writing, because Windows flushes no other handle.
        let flushed = File::options().write(true).open(&path).and_then(|file| file.sync_all());
        flushed.map_err(|e| failed("write", &path, e))?;
    }
    for inner in manifest::folders_in(folder)? {
        flush_folder(&inner)?;
    }
    Ok(())
}

/// Makes the names in a folder durable. Only Unix can open a folder for that.
fn flush_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed("flush", folder, e))?;
    }
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn put(folder: &Path, name: &str, text: &str) -> Result<()> {
        write_file_atomic(&folder.join(name), text.as_bytes())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A folder `f` with a file, an empty file and a folder inside.
    fn sample(root: &Path) -> PathBuf {
        let dest = root.join("deep").join("f");
        write_folder(&dest, |folder| {
            put(folder, "a.txt", "alpha")?;
            put(folder, "empty", "")?;
            fs::create_dir(folder.join("in")).unwrap();
            put(&folder.join("in"), "b.txt", "beta")
        })
        .unwrap();
        dest
    }

    #[test]
    fn a_folder_is_whole_and_stands_alone() {
        let root = tempfile::tempdir().unwrap();
        let dest = sample(root.path());
        verify_folder(&dest).unwrap();
        assert_eq!(names(&dest), ["a.txt", "empty", "in", "manifest.json"]);
        assert_eq!(names(dest.parent().unwrap()), ["f"]);
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(dest.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["schema"], 1);
        assert_eq!(manifest["files"]["in/b.txt"]["bytes"], 4);
        assert_eq!(manifest["files"]["a.txt"]["sha256"], hash_bytes(b"alpha"));
    }

    #[test]
    fn every_damage_is_named() {
        type Damage = (&'static str, fn(&Path));
        let damages: [Damage; 7] = [
            ("a.txt", |f| fs::write(f.join("a.txt"), "alphb").unwrap()),
            ("a.txt", |f| fs::write(f.join("a.txt"), "alph").unwrap()),
            ("empty", |f| fs::remove_file(f.join("empty")).unwrap()),
            ("b.txt", |f| fs::remove_dir_all(f.join("in")).unwrap()),
            ("manifest.json", |f| fs::remove_file(f.join("manifest.json")).unwrap()),
            ("manifest.json", |f| fs::write(f.join("manifest.json"), "{\"schema\": 1").unwrap()),
            ("manifest.json", |f| {
                fs::write(
                    f.join("manifest.json"),
                    r#"{"schema":1,"files":{"../x":{"bytes":0,"sha256":""}}}"#,
                )
                .unwrap();
            }),
        ];
        for (file, damage) in damages {
            let root = tempfile::tempdir().unwrap();
            let dest = sample(root.path());
            damage(&dest);
            let error = verify_folder(&dest).unwrap_err();
            assert_eq!(error.kind, Kind::Checkpoint);
            let text = error.to_string();
            assert!([file, "expected", "found"].iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_folder_is_replaced_or_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let dest = sample(root.path());
        let broken = write_folder(&dest, |folder| {
            put(folder, "half", "h")?;
            Err(Error::internal("stopped half-way"))
        });
        assert_eq!(broken.unwrap_err().what(), "stopped half-way");
        verify_folder(&dest).unwrap();
        write_folder(&dest, |folder| put(folder, "new", "n")).unwrap();
        verify_folder(&dest).unwrap();
        assert_eq!(names(&dest), ["manifest.json", "new"]);
        assert_eq!(names(dest.parent().unwrap()), ["f"]);
    }

    #[test]
    fn what_a_crash_left_is_cleaned() {
        let root = tempfile::tempdir().unwrap();
        let dest = sample(root.path());
        let parent = dest.parent().unwrap();
        fs::create_dir(parent.join(".f.tmp-0123-4")).unwrap();
        fs::write(parent.join(".f.tmp-0123-4").join("half"), "h").unwrap();
        fs::write(parent.join(".last.tmp-0123-5"), "h").unwrap();
        fs::create_dir(parent.join(".f.old-0123-6")).unwrap();
        fs::rename(sample(root.path()), parent.join(".gone.old-0123-7")).unwrap();
        let dest = sample(root.path());
        let ours = marked(&dest, UNFINISHED).unwrap();
        fs::write(&ours, "being written").unwrap();
        fs::write(parent.join(".hidden"), "of the user").unwrap();

        assert_eq!(clean_stale(parent).unwrap().len(), 4);
        let ours = ours.file_name().unwrap().to_str().unwrap().to_string();
        assert_eq!(names(parent), [ours, ".hidden".into(), "f".into(), "gone".into()]);
        verify_folder(&parent.join("gone")).unwrap();
        assert!(clean_stale(parent).unwrap().is_empty());
    }

    #[test]
    fn a_file_is_replaced_at_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("last");
        for text in ["one", "two"] {
            write_file_atomic(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let half = write_file_with(&path, |out| {
            out.write_all(b"thr")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let error = half.unwrap_err();
        assert_eq!(error.kind, Kind::FileSystem);
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(root.path()), ["last"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_to() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let inside = root.path().join("file").join("f");
        assert_eq!(write_folder(&inside, |_| Ok(())).unwrap_err().kind, Kind::FileSystem);
        assert_eq!(write_file_atomic(&inside, b"x").unwrap_err().kind, Kind::FileSystem);
        assert_eq!(write_file_atomic(Path::new("/"), b"x").unwrap_err().kind, Kind::FileSystem);
        assert_eq!(clean_stale(&inside).unwrap_err().kind, Kind::FileSystem);
    }

    /// `/dev/full` refuses every byte, as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let dest = root.path().join("f");
        let full = write_folder(&dest, |folder| {
            put(folder, "a", "fits")?;
            let path = folder.join("b");
            std::os::unix::fs::symlink("/dev/full", &path).unwrap();
            fs::write(&path, "does not").map_err(|e| failed("write", &path, e))
        });
        let error = full.unwrap_err();
        assert_eq!(error.kind, Kind::FileSystem);
        assert!(error.to_string().contains("free some space"), "{error}");
        assert!(names(root.path()).is_empty());
    }
}
