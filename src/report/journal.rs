//! The journal of a run's masks, `masks/journal.bin`: those of the start, and what flipped at every update.
//!
//! On resume, what lies after the checkpoint is cut off: the updates that wrote it are about to happen again.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::folder::failed;
use crate::store::journal::{Journal, Records};
use crate::train::{Event, Flips, Masks, Session};

/// Where a run keeps it.
pub const FILE: &str = "masks/journal.bin";
/// What becomes of one that cannot be gone on with.
const SET_ASIDE: &str = "masks/journal.damaged.bin";

/// Writes the journal of a run: a listener to its events.
pub struct Keeper(Option<Journal>);

impl Keeper {
    /// Has the journal of the run in `folder` begin, or go on, at the step that `run` has come to. With it comes
    /// a warning where one that was there had to be set aside, or is missing.
    pub fn open(folder: &Path, run: &mut Session) -> Result<(Self, Option<Error>)> {
        if !run.whole.prunes() {
            return Ok((Self(None), None));
        }
        let path = folder.join(FILE);
        let home = folder.join("masks");
        fs::create_dir_all(&home).map_err(|e| failed("create", &home, e))?;
        let later = |error: Error| error.at(format!("a new one begins at step {}", run.steps_done()));
        let warning = match path.exists().then(|| before(&path, run)) {
            Some(Ok((masks, end))) => {
                run.recorded = Some(masks);
                return Ok((Self(Some(Journal::open(&path, end)?)), None));
            }
            // A run that was stopped before it had written anything.
            Some(Err(_)) if run.steps_done() == 0 => None,
            Some(Err(error)) => {
                let aside = folder.join(SET_ASIDE);
                fs::rename(&path, &aside).map_err(|e| failed("set aside", &path, e))?;
                Some(later(error.at(format!("it was set aside as {}", aside.display()))))
            }
            None if run.steps_done() == 0 => None,
            None => Some(later(Error::checkpoint(format!("{} does not exist", path.display())))),
        };
        let masks = Masks::of(run)?;
        let mut journal = Journal::open(&path, 0)?;
        journal.append(&masks.to_arrays())?;
        run.recorded = Some(masks);
        Ok((Self(Some(journal)), warning))
    }

    pub fn listen(&mut self, event: &Event) -> Result<()> {
        let Some(journal) = &mut self.0 else { return Ok(()) };
        match event {
            Event::MasksChanged(_, Some(flips)) | Event::StageEntered(_, Some(flips)) => {
                journal.append(&flips.to_arrays())
            }
            // A checkpoint is on the disk; what led to it is to be there, too.
            Event::Saved { .. } => journal.flush(),
            _ => Ok(()),
        }
    }
}

/// The masks after all updates before the step that `run` has come to, and where the record of the last one ends.
fn before(path: &Path, run: &Session) -> Result<(Masks, u64)> {
    let (mut records, mut masks) = first(path)?;
    let fits = masks.step <= run.steps_done() && masks.fit(run);
    if !fits {
        return Err(records.damaged(format!("it begins at step {}, or is of other layers", masks.step)));
    }
    let mut end = records.end();
    while let Some(arrays) = records.read()? {
        let of_record = |e: Error| records.damaged(e.to_string());
        if Flips::step_of(&arrays).map_err(of_record)? >= run.steps_done() {
            break;
        }
        masks.follow(&arrays).map_err(of_record)?;
        end = records.end();
    }
    Ok((masks, end))
}

/// The masks of the start, and what follows.
fn first(path: &Path) -> Result<(Records, Masks)> {
    let mut records = Records::open(path)?;
    let found = records.read()?.ok_or_else(|| records.damaged("not even its first record is whole"))?;
    let masks = Masks::from_arrays(&found).map_err(|e| records.damaged(e.to_string()))?;
    Ok((records, masks))
}

/// Reads a journal, update by update.
pub struct Reader {
    /// As they stand after the updates read so far.
    pub masks: Masks,
    records: Records,
    next: Option<(u64, crate::store::Arrays)>,
}

impl Reader {
    /// Opens the journal of the run in `folder`, at the masks of its start.
    ///
    /// # Errors
    /// `Kind::Usage` where there is none, `Kind::Checkpoint` where it is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(Error::usage(format!("{} has no journal of masks", folder.display()))
                .at(format!("expected: {}", path.display()))
                .hint("the folder of a run that pruned; dense runs have none"));
        }
        let (records, masks) = first(&path)?;
        let mut reader = Self { masks, records, next: None };
        reader.look_ahead()?;
        Ok(reader)
    }

    fn look_ahead(&mut self) -> Result<()> {
        self.next = match self.records.read()? {
            Some(arrays) => {
                let step = Flips::step_of(&arrays).map_err(|e| self.records.damaged(e.to_string()))?;
                Some((step, arrays))
            }
            None => None,
        };
        Ok(())
    }

    /// The step of the next update.
    pub fn next_step(&self) -> Option<u64> {
        self.next.as_ref().map(|(step, _)| *step)
    }

    /// Takes over the next update, and says what flipped.
    pub fn advance(&mut self) -> Result<Option<Flips>> {
        let Some((_, arrays)) = self.next.take() else { return Ok(None) };
        let flips = self.masks.follow(&arrays).map_err(|e| self.records.damaged(e.to_string()))?;
        self.look_ahead()?;
        Ok(Some(flips))
    }

    /// What is to be said where the last record was cut off; once all updates are read.
    pub fn warning(&self) -> Option<Error> {
        let cut = self.next.is_none() && self.records.is_more();
        let what = "the journal of masks ends in the middle of an update";
        cut.then(|| {
            Error::checkpoint(what)
                .at(format!("what it says up to step {} is shown", self.masks.step))
                .hint("`coppice resume`, if the run was stopped; wait, if it is running")
        })
    }
}
