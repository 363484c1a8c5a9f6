//! The one error type: what went wrong, where, and what to try.

use std::fmt;

/// What kind of trouble it is; each kind has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fault of the program itself.
    Internal,
    /// Wrong flags or a wrong recipe.
    Usage,
    /// A data set that is absent, damaged or does not fit.
    Data,
    /// A checkpoint that is damaged or does not fit.
    Checkpoint,
    /// The file system: full, read-only, locked.
    FileSystem,
    /// Not enough memory, on the host or on the device.
    Memory,
    /// No device, or one that was lost or hangs.
    Device,
    /// Non-finite or diverged numbers.
    Numbers,
    /// A check that was asked for did not hold.
    Check,
    /// Stopped by a signal (its number), after a checkpoint was saved.
    Interrupted(i32),
}

impl Kind {
    /// The exit code of the command line program.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::Data => 3,
            Kind::Checkpoint => 4,
            Kind::FileSystem => 5,
            Kind::Memory => 6,
            Kind::Device => 7,
            Kind::Numbers => 8,
            Kind::Check => 10,
            Kind::Interrupted(signal) => 128 + signal as u8,
        }
    }
}

/// An error says what, where, and what to try.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    what: String,
    places: Vec<String>,
    hints: Vec<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), places: Vec::new(), hints: Vec::new() }
    }
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }
    pub fn data(what: impl Into<String>) -> Self {
        Self::new(Kind::Data, what)
    }
    pub fn checkpoint(what: impl Into<String>) -> Self {
        Self::new(Kind::Checkpoint, what)
    }
    pub fn device(what: impl Into<String>) -> Self {
        Self::new(Kind::Device, what)
    }
    /// A failed operation on a path.
    pub fn file(doing: &str, path: &std::path::Path, error: std::io::Error) -> Self {
        Self::new(Kind::FileSystem, format!("cannot {doing} {}", path.display())).at(error.to_string())
    }

    /// Adds a line that says where, or gives the values concerned.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.places.push(place.into());
        self
    }
    /// Adds a line of advice.
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        self.hints.push(advice.into());
        self
    }
    /// The first line alone.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for place in &self.places {
            write!(f, "\n  {place}")?;
        }
        for hint in &self.hints {
            write!(f, "\n  try: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
