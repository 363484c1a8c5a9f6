//! A run's folder: made once, never overwritten, locked while a process trains in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::initial::{Initial, Origin};
use super::moved::find_data;
use super::outline::extent_of;
use crate::data::{Dataset, tokenizer};
use crate::error::{Error, Kind, Result};
use crate::gpu::Identity;
use crate::nn::Extent;
use crate::ops::variants::Choices;
use crate::recipe::{Difference, Recipe};
use crate::store::folder::{failed, write_file_atomic};

/// What a run was trained with.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    pub schema: u32,
    pub version: String,
    pub device: Identity,
    /// SHA-256 of the data set.
    pub data_hash: String,
    /// What is known of the data without its files; older runs do not have it.
    #[serde(default)]
    pub data: Option<Facts>,
    /// The kernel variants in use: resuming takes the same, so that the bits stay the same.
    pub variants: Choices,
    /// The recipe that the steps so far were trained with, as TOML; older runs have none.
    #[serde(default)]
    pub recipe: Option<String>,
    /// Where the folder was then.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// What was changed between parts of the run, and accepted.
    #[serde(default)]
    pub changes: Vec<Edit>,
    /// Where the first weights came from, if not from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Origin>,
}

/// What classes and numbers of a data set stand for.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    pub shape: Vec<usize>,
    pub classes: usize,
    /// What each class, or token, is called; nothing where they have only numbers.
    pub class_names: Vec<String>,
    /// The model sees `stored * scale + shift`: one number each, or one for each channel.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

impl Facts {
    pub fn of(data: &Dataset) -> Self {
        let Dataset { shape, classes, class_names, scale, shift, .. } = data.clone();
        Self { shape, classes, class_names, scale, shift }
    }
    /// That of its samples, where they are tokens.
    pub fn tokens(&self) -> Extent {
        extent_of(&self.shape, Some(self.classes))
    }
}

/// A change of recipe or data within a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Edit {
    /// Steps that were done before it.
    pub step: u64,
    #[serde(flatten)]
    pub difference: Difference,
}

/// Takes the run's copy of what cuts its text, unless the recipe was edited to name another file.
fn own_tokenizer(recipe: &mut Recipe, meta: &Meta, run: &Path) -> Result<()> {
    let copy = absolute(run)?.join(tokenizer::FILE);
    let Ok(named) = recipe.data.settings.text(tokenizer::KEY) else { return Ok(()) };
    let then = meta.recipe.as_ref().map(|text| Recipe::parse(text, "meta.json", &[])).transpose()?;
    let is_edited = then.is_some_and(|then| then.data.settings.text(tokenizer::KEY).ok() != Some(named));
    if let Some(copy) = copy.to_str().filter(|_| copy.is_file() && !is_edited) {
        recipe.data.settings = recipe.data.settings.with(tokenizer::KEY, copy.into());
    }
    Ok(())
}

impl Meta {
    /// In which keys a recipe differs from that of the steps so far. Where its data lies does not count: that is known by
    /// its hash.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the record holds no recipe that is known.
    pub fn differences(&self, now: &Recipe) -> Result<Vec<Difference>> {
        let Some(text) = &self.recipe else { return Ok(Vec::new()) };
        let then = Recipe::parse(text, "meta.json", &[])
            .map_err(|e| Error::checkpoint("the recipe in meta.json cannot be read").at(e.to_string()))?;
        let mut all = then.differences(now);
        all.retain(|one| !["data.name", tokenizer::PATH].contains(&one.key.as_str()));
        Ok(all)
    }
}

/// A run's folder, locked for as long as this value lives.
pub struct RunFolder {
    pub path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Makes the folder for a new run and writes its recipe, as resolved, and its record.
    ///
    /// # Errors
    /// `Kind::FileSystem` if something is there already or it cannot be written.
    pub fn create(path: &Path, recipe: &Recipe, meta: &Meta) -> Result<Self> {
        if path.exists() && !is_empty_folder(path) {
            let error = Error::new(Kind::FileSystem, format!("{} exists already", path.display()));
            return Err(match path.join("config.toml").is_file() {
                true => error
                    .at("a run's folder is never overwritten")
                    .hint(format!("another folder (--out), or `coppice resume {}`", path.display())),
                false => error
                    .at("it is no empty folder, and no run's")
                    .hint("another folder (--out): one that is empty, or that does not exist yet"),
            });
        }
        fs::create_dir_all(path).map_err(|e| failed("create the run's folder", path, e))?;
        let folder = Self { path: path.to_path_buf(), _lock: lock(path)? };
        let meta = Meta { folder: Some(absolute(path)?), ..meta.clone() };
        folder.write(recipe, &meta)?;
        Ok(folder)
    }

    /// A free name for a run below `home`: `name`, or `name-2`, `name-3` and so on.
    pub fn free(home: &Path, name: &str) -> PathBuf {
        let numbered = (2..).map(|n| home.join(format!("{name}-{n}")));
        let mut all = std::iter::once(home.join(name)).chain(numbered);
        all.find(|path| !path.exists()).expect("numbers do not end")
    }

    /// Opens the folder of a run that is to go on, with its recipe and its record.
    ///
    /// # Errors
    /// `Kind::Checkpoint` if it is no run's folder, `Kind::FileSystem` if another process trains in it.
    pub fn open(path: &Path) -> Result<(Self, Recipe, Meta)> {
        let (recipe, meta) = Self::read(path)?;
        Ok((Self { path: path.to_path_buf(), _lock: lock(path)? }, recipe, meta))
    }

    /// The recipe and the record of a run, without locking it. Where data lies is where it is found now.
    pub fn read(path: &Path) -> Result<(Recipe, Meta)> {
        let config = path.join("config.toml");
        if !config.is_file() {
            return Err(Error::checkpoint(format!("{} is not the folder of a run", path.display()))
                .at("expected: a folder with config.toml and meta.json")
                .hint("the folder that `coppice train` named, such as runs/NAME"));
        }
        let text = fs::read_to_string(&config).map_err(|e| failed("read", &config, e))?;
        // Not as other files: paths are absolute, or, in older runs, relative to where the shell was.
        let mut recipe = Recipe::parse(&text, &config.display().to_string(), &[])?;
        let file = path.join("meta.json");
        let text = fs::read_to_string(&file).map_err(|e| failed("read", &file, e))?;
        let meta: Meta = serde_json::from_str(&text)
            .map_err(|e| Error::checkpoint(format!("{} cannot be read", file.display())).at(e.to_string()))?;
        recipe.data.name = find_data(&recipe.data.name, meta.folder.as_deref(), &absolute(path)?);
        own_tokenizer(&mut recipe, &meta, path)?;
        Ok((recipe, meta))
    }

    /// Whether a process trains in the folder; `None` where the file system has no locks. It looks by a lock that it shares
    /// with others who look, for a moment.
    pub fn is_held(path: &Path) -> Option<bool> {
        let Ok(file) = File::open(path.join(LOCK)) else { return Some(false) };
        match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// When the last process to train in the folder locked it.
    pub fn held_since(path: &Path) -> Option<SystemTime> {
        fs::metadata(path.join(LOCK)).and_then(|file| file.modified()).ok()
    }

    /// The weights that the run started with, where they came from a file.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where the folder has them no longer.
    pub fn initial(&self, meta: &Meta) -> Result<Option<Initial>> {
        meta.initial.as_ref().map(|origin| Initial::load(&self.path, origin)).transpose()
    }

    /// Writes the recipe that the next steps are trained with, and the record.
    pub fn write(&self, recipe: &Recipe, meta: &Meta) -> Result<()> {
        let recipe = recipe.to_toml();
        write_file_atomic(&self.path.join("config.toml"), recipe.as_bytes())?;
        let meta = Meta { recipe: Some(recipe), ..meta.clone() };
        let text = serde_json::to_string_pretty(&meta).map_err(|e| Error::internal(e.to_string()))?;
        write_file_atomic(&self.path.join("meta.json"), format!("{text}\n").as_bytes())
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| failed("find", path, e))
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// The file that is locked.
const LOCK: &str = "lock";
/// How often it is tried, and how long after one another: somebody may just be looking.
const TRIES: usize = 5;
const APART: Duration = Duration::from_millis(20);

fn lock(path: &Path) -> Result<File> {
    let file_path = path.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&file_path);
    let file = file.map_err(|e| failed("open", &file_path, e))?;
    let mut tried = file.try_lock();
    for _ in 1..TRIES {
        if !matches!(tried, Err(TryLockError::WouldBlock)) {
            break;
        }
        sleep(APART);
        tried = file.try_lock();
    }
    match tried {
        Ok(()) => {
            // For those who watch; a file system that keeps no times is as good.
            let _ = file.set_modified(SystemTime::now());
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            Err(Error::new(Kind::FileSystem, format!("{} is in use", path.display()))
                .at("another process trains in it")
                .hint("wait until that one is done, or stop it"))
        }
        // Some file systems have no locks: then the user has to see to it.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let device = crate::gpu::Gpu::twin().identity().clone();
        let variants = Choices::default();
        let (recipe, folder, changes) = (None, None, Vec::new());
        Meta {
            schema: 1,
            version: "0".into(),
            device,
            data_hash: "h".into(),
            data: None,
            variants,
            recipe,
            folder,
            changes,
            initial: None,
        }
    }

    #[test]
    fn a_folder_is_locked_and_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let recipe = Recipe::find("digits-dense", &[]).unwrap();
        let path = RunFolder::free(home.path(), "a");
        let held = RunFolder::create(&path, &recipe, &meta()).unwrap();
        assert_eq!(RunFolder::create(&path, &recipe, &meta()).err().unwrap().kind, Kind::FileSystem);
        let made = home.path().join("made");
        fs::create_dir(&made).unwrap();
        assert!(RunFolder::create(&made, &recipe, &meta()).is_ok(), "an empty folder will do");
        let full = home.path().join("full");
        fs::create_dir_all(full.join("notes")).unwrap();
        let text = RunFolder::create(&full, &recipe, &meta()).err().unwrap().to_string();
        assert!(text.contains("no empty folder") && !text.contains("resume"), "{text}");
        assert!(RunFolder::open(&path).err().unwrap().to_string().contains("in use"));
        assert_eq!((RunFolder::is_held(&path), RunFolder::is_held(&full)), (Some(true), Some(false)));
        assert_eq!(RunFolder::free(home.path(), "a"), home.path().join("a-2"));
        drop(held);
        assert_eq!(RunFolder::is_held(&path), Some(false));
        let (_, again, record) = RunFolder::open(&path).unwrap();
        let written = Meta { recipe: Some(recipe.to_toml()), folder: Some(path.clone()), ..meta() };
        assert_eq!((again, record), (recipe, written));
    }

    #[test]
    fn an_edited_recipe_is_told_and_older_records_are_read() {
        let home = tempfile::tempdir().unwrap();
        let recipe = Recipe::find("digits-gmp-90", &[]).unwrap();
        let path = home.path().join("r");
        let folder = RunFolder::create(&path, &recipe, &meta()).unwrap();
        let (found, record) = RunFolder::read(&path).unwrap();
        assert_eq!(record.differences(&found).unwrap(), []);
        let text = recipe
            .to_toml()
            .replace("target = 0.9", "target = 0.5")
            .replace("\"digits\"", "\"fashion-mini\"");
        std::fs::write(path.join("config.toml"), text).unwrap();
        let (found, record) = RunFolder::read(&path).unwrap();
        let differences = record.differences(&found).unwrap();
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert_eq!(differences[0].to_string(), "sparsity.target: 0.9 then, 0.5 now");
        let changes = vec![Edit { step: 3, difference: differences[0].clone() }];
        folder.write(&found, &Meta { changes: changes.clone(), ..record }).unwrap();
        let (found, record) = RunFolder::read(&path).unwrap();
        assert_eq!((record.differences(&found).unwrap(), &record.changes), (Vec::new(), &changes));

        let file = path.join("meta.json");
        let mut json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for key in ["recipe", "folder", "changes"] {
            json.as_object_mut().unwrap().remove(key);
        }
        std::fs::write(&file, json.to_string()).unwrap();
        let (found, record) = RunFolder::read(&path).unwrap();
        assert_eq!(record.differences(&found).unwrap(), []);
    }
}
