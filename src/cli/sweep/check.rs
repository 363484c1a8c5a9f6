//! What is wrong with a later run of a sweep is said before the first one begins.

use super::cases::Case;
use super::{State, drive};
use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::variants::Choices;
use crate::recipe::Data;
use crate::train::Session;

/// Builds each network that is still to be trained on a device that only counts, with the limits of `gpu`.
///
/// # Errors
/// As those of a run's start, with the row.
pub fn check(gpu: &Gpu, cases: &[Case], todo: &[State]) -> Result<()> {
    let mut last: Option<(Data, Dataset)> = None;
    for (case, states) in cases.iter().zip(todo.chunks(todo.len() / cases.len().max(1))) {
        let (Some(recipe), true) = (case.recipes.first(), states.contains(&State::Absent)) else { continue };
        if last.as_ref().is_none_or(|(asked, _)| *asked != recipe.data) {
            last = Some((recipe.data.clone(), drive::data(recipe)?));
        }
        let (_, data) = last.as_ref().expect("just read");
        Session::new(&gpu.counted_like(), recipe, data, Choices::default())
            .map_err(|error| error.at(format!("row: {}", case.label)))?;
    }
    Ok(())
}
