//! What is kept or pruned together: single weights, blocks, N of every M.

/// What is kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Single weights, anywhere.
    Free,
    /// Blocks of this many rows by one input.
    Block { height: usize },
    /// Blocks of any size; never packed.
    Tile { rows: usize, columns: usize },
    /// One weight of each of so many equal parts of the outputs; never packed.
    Parts { number: usize },
    /// `keep` of every `of` consecutive inputs of a row; the last group of a row may be shorter.
    Groups { keep: usize, of: usize },
}

impl Form {
    /// Rows of a block.
    pub fn height(self) -> usize {
        match self {
            Form::Block { height } => height,
            _ => 1,
        }
    }
    /// Rows and columns of what is kept or pruned together; the last ones of a matrix may have fewer.
    pub fn block(self) -> (usize, usize) {
        match self {
            Form::Tile { rows, columns } => (rows, columns),
            Form::Parts { number } => (number, 1),
            _ => (self.height(), 1),
        }
    }
    /// Whether a matrix (rows, inner) consists of whole blocks.
    pub fn divides(self, rows: usize, inner: usize) -> bool {
        let (height, width) = self.block();
        rows.is_multiple_of(height) && inner.is_multiple_of(width)
    }
    /// Whether there are products over packed weights of this form.
    pub fn is_packable(self) -> bool {
        !matches!(self, Form::Tile { .. } | Form::Parts { .. })
    }
    /// What is stored together where it is packed: products of convolutions read N:M weights one by one.
    pub fn packed(self, windowed: bool) -> Form {
        match self {
            Form::Groups { .. } if windowed => Form::Free,
            form => form,
        }
    }
    /// N and M where a packed entry is a byte, its place within its group; other entries are words, the input itself.
    pub fn by_bytes(self) -> Option<(usize, usize)> {
        match self {
            Form::Groups { keep, of } if (2..=256).contains(&of) => Some((keep, of)),
            _ => None,
        }
    }
    /// What a row of `inner` inputs keeps, where the form fixes that.
    pub fn per_row(self, inner: usize) -> Option<usize> {
        match self {
            Form::Groups { keep, of } => Some(inner / of * keep + (inner % of).min(keep)),
            _ => None,
        }
    }
    /// `1x1`, `8x1`, `2 alike` or `2:4`.
    pub fn name(self) -> String {
        match self {
            Form::Free => "1x1".into(),
            Form::Block { height } => format!("{height}x1"),
            Form::Tile { rows, columns } => format!("{rows}x{columns}"),
            Form::Parts { number } => format!("{number} alike"),
            Form::Groups { keep, of } => format!("{keep}:{of}"),
        }
    }
}
