//! How filters are pruned, where `pattern = "filter"`: by which score, and what becomes of them.

use super::section::Section;
use super::writer::Writer;
use crate::error::Result;

/// Keys of `[sparsity]` that are for filters alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filters {
    /// Written `criterion`.
    pub score: FilterScore,
    /// Whether the run goes on with a smaller network once no update is to come.
    pub remove: bool,
}

/// What a filter is kept or pruned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterScore {
    /// The sum of its weights' magnitudes (Li et al. 2017).
    L1,
    /// The root of the sum of their squares.
    L2,
    /// The magnitude of the scale of the norm after it (Liu et al. 2017).
    Scale,
}

impl FilterScore {
    pub const ALL: &[FilterScore] = &[FilterScore::L1, FilterScore::L2, FilterScore::Scale];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            FilterScore::L1 => "l1",
            FilterScore::L2 => "l2",
            FilterScore::Scale => "scale",
        }
    }
}

impl Default for Filters {
    fn default() -> Self {
        Self { score: FilterScore::L1, remove: true }
    }
}

impl Filters {
    pub(super) fn read(section: &mut Section) -> Result<Self> {
        let own = Self::default();
        let score = section.choice("criterion", "criterion", FilterScore::ALL, FilterScore::name)?;
        Ok(Self { score: score.unwrap_or(own.score), remove: section.flag("remove", own.remove)? })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.key("criterion", self.score.name());
        w.key("remove", self.remove);
    }
}
