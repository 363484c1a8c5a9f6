//! A pattern in a device's memory, in row order and, where gradients flow on, in order of input.

use super::pattern::{Pattern, most_chunks};
use crate::error::{Error, Kind, Result};
use crate::gpu::{Dtype, Gpu, Tensor};
use crate::ops::border::Grid;
use crate::ops::variants::Shape;
use crate::ops::window::Window;

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
    /// Of a convolution.
    pub slid: Option<Slid>,
    /// (most chunks, 2): row and first entry.
    pub chunks: Tensor,
    /// Entries of a chunk, at most.
    pub chunk: usize,
    pub transposed: Option<Transposed>,
}

/// What the weight of a convolution has besides.
#[derive(Clone)]
pub struct Slid {
    pub window: Window,
    /// Where each entry reads: see `shaders/ops/product/packed/sites_window.wgsl`.
    pub offsets: Tensor,
}

/// The entries in order of input; of a convolution, of channel and tap.
#[derive(Clone)]
pub struct Transposed {
    /// (inner + 1,); of a convolution (channels + 1,).
    pub starts: Tensor,
    /// The row of blocks of each entry, of a convolution where it reads; of an N:M weight of small groups also which of its group's entries it is: docs/decisions/0018.
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
    /// Uploads a pattern with chunks of so many entries, of a convolution with what it is slid over; `transposed` says whether
    /// its input gradient will be asked for.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room, or a list exceeds one binding.
    pub fn new(
        gpu: &Gpu,
        name: &str,
        pattern: Pattern,
        window: Option<Window>,
        transposed: bool,
        chunk: usize,
    ) -> Result<Self> {
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
        let lines = lines(&pattern, window);
        let slid = |window| Ok(Slid { window, offsets: words("offsets", entries)? });
        let index = Self {
            starts: words("starts", pattern.starts.len())?,
            columns: words("columns", columns)?,
            chunks: words("chunks", 2 * chunks)?,
            slid: window.map(slid).transpose()?,
            transposed: match transposed {
                false => None,
                true => Some(Transposed {
                    starts: words("starts by input", lines + 1)?,
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
        let slid = self.slid.as_ref().map_or(0, |slid| slid.offsets.bytes());
        let by_row = self.starts.bytes() + self.columns.bytes() + slid + self.chunks.bytes();
        by_row + self.transposed.as_ref().map_or(0, Transposed::bytes)
    }

    pub fn window(&self) -> Option<Window> {
        self.slid.as_ref().map(|slid| slid.window)
    }
    /// Lines of the input: inputs, or channels of a convolution.
    pub fn lines(&self) -> usize {
        lines(&self.pattern, self.window())
    }
    /// The grids of x and of d_y that products read in their place, where they are others than those.
    pub fn grids(&self) -> [Option<Grid>; 2] {
        let grids = self.window().map(|window| [window.x_grid(), window.y_grid()]);
        grids.map_or([None, None], |grids| grids.map(|grid| Some(grid).filter(|grid| !grid.is_plain())))
    }
    /// Where products in row order read: the list of inputs, or of offsets.
    pub fn reads(&self) -> &Tensor {
        self.slid.as_ref().map_or(&self.columns, |slid| &slid.offsets)
    }
    /// The product of the weight with so many columns of its output.
    pub fn product(&self, cols: usize) -> Shape {
        Shape { window: self.window(), ..Shape::new(self.pattern.rows, self.pattern.inner, cols) }
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
        if let Some(Slid { window, offsets }) = &self.slid {
            let of = |row: usize| {
                pattern.row(row).iter().map(move |&input| {
                    let (channel, tap) = reading(pattern, window, row, input as usize);
                    window.x_offset(tap, channel) as u32
                })
            };
            offsets.write(&(0..pattern.heads()).flat_map(of).collect::<Vec<_>>())?;
        }
        if let Some(t) = &self.transposed {
            let (starts, mut rows, from) = match &self.slid {
                None => pattern.transposed(),
                Some(Slid { window, .. }) => {
                    let channel_of = |row, input| reading(pattern, window, row, input);
                    let (starts, placed, from) = pattern.transposed_by_channel(self.lines(), channel_of);
                    let height = pattern.form.height();
                    let offset =
                        |[row, tap]: [u32; 2]| window.y_offset(tap as usize, row as usize * height) as u32;
                    (starts, placed.into_iter().map(offset).collect(), from)
                }
            };
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

/// Lines of the input: inputs, or channels of a convolution, of all groups.
fn lines(pattern: &Pattern, window: Option<Window>) -> usize {
    window.map_or(pattern.inner, |window| pattern.inner / window.taps() * window.groups)
}

/// The channel that an input of a row of blocks is, through all groups, and its tap.
fn reading(pattern: &Pattern, window: &Window, row: usize, input: usize) -> (usize, usize) {
    let channels = pattern.inner / window.taps();
    let group = row * pattern.form.height() * window.groups / pattern.rows;
    (group * channels + input % channels, input / channels)
}
