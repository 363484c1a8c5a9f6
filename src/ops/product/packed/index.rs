//! A pattern in a device's memory, in row order and, where gradients flow on, in order of input.

use super::pattern::{Pattern, most_chunks};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Tensor};

/// The row of a chunk that is not used.
pub const NONE: u32 = u32::MAX;

/// Where the values of a packed weight belong.
#[derive(Clone)]
pub struct Index {
    pub pattern: Pattern,
    /// (rows of blocks + 1,).
    pub starts: Tensor,
    /// The input of each entry; of an N:M weight of small groups, bytes.
    pub columns: Tensor,
    /// (most chunks, 2): row and first entry.
    pub chunks: Tensor,
    /// Entries of a chunk, at most.
    pub chunk: usize,
    pub transposed: Option<Transposed>,
}

/// The entries in order of input.
#[derive(Clone)]
pub struct Transposed {
    /// (inner + 1,).
    pub starts: Tensor,
    /// The row of blocks of each entry; of an N:M weight of small groups also which of its group's entries it is: docs/decisions/0018.
    pub rows: Tensor,
    /// Its number in row order, which an N:M weight's row and group tell.
    pub from: Option<Tensor>,
}

impl Transposed {
    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.starts.bytes() + self.rows.bytes() + self.from.as_ref().map_or(0, Tensor::bytes)
    }
}

/// Rows of an N:M weight whose numbers fit beside a byte.
const MOST_ROWS: usize = 1 << 24;

impl Index {
    /// Uploads a pattern with chunks of so many entries; `transposed` says whether its input gradient will be asked for.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room, or a list exceeds one binding.
    pub fn new(gpu: &Gpu, name: &str, pattern: Pattern, transposed: bool, chunk: usize) -> Result<Self> {
        let grouped = pattern.form.by_bytes().is_some();
        if grouped && pattern.rows > MOST_ROWS {
            return Err(Error::new(
                Kind::Memory,
                format!("`{name}` has too many rows to be packed in groups"),
            )
            .at(format!("{} of at most {MOST_ROWS}", pattern.rows))
            .hint("storage = \"masked\""));
        }
        let words = |what: &str, len: usize| gpu.tensor(&format!("{name}.{what}"), Dtype::U32, &[len]);
        let entries = pattern.entries();
        let columns = if grouped { entries.div_ceil(4) } else { entries };
        let chunks = most_chunks(entries, pattern.heads(), chunk);
        let index = Self {
            starts: words("starts", pattern.starts.len())?,
            columns: words("columns", columns)?,
            chunks: words("chunks", 2 * chunks)?,
            transposed: match transposed {
                false => None,
                true => Some(Transposed {
                    starts: words("starts by input", pattern.inner + 1)?,
                    rows: words("rows by input", entries)?,
                    from: (!grouped).then(|| words("order by input", entries)).transpose()?,
                }),
            },
            chunk,
            pattern,
        };
        index.upload()?;
        Ok(index)
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let by_row = self.starts.bytes() + self.columns.bytes() + self.chunks.bytes();
        by_row + self.transposed.as_ref().map_or(0, Transposed::bytes)
    }

    /// Takes over another pattern of as many entries, in the same memory.
    pub fn replace(&mut self, pattern: Pattern) -> Result<()> {
        debug_assert_eq!(pattern.entries(), self.pattern.entries());
        self.pattern = pattern;
        self.upload()
    }

    fn upload(&self) -> Result<()> {
        let pattern = &self.pattern;
        self.starts.write(&pattern.starts)?;
        self.columns.write(&pattern.offsets())?;
        let mut chunks = pattern.chunks(self.chunk).concat();
        chunks.resize(self.chunks.len(), NONE);
        self.chunks.write(&chunks)?;
        if let Some(t) = &self.transposed {
            let (starts, mut rows, from) = pattern.transposed();
            match &t.from {
                Some(of) => of.write(&from)?,
                None => rows = pattern.rows_and_slots(&rows, &from),
            }
            t.starts.write(&starts)?;
            t.rows.write(&rows)?;
        }
        Ok(())
    }
}
