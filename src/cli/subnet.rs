//! A subnet of a trained run: the network that `--subnet` names.

use std::path::Path;

use super::eval::home_of;
use super::resume::{other_data, refuse};
use super::{Device, drive};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::report::load::{check_numbers, load_any};
use crate::report::table;
use crate::shrink::{self, Pick};
use crate::train::thin::{self, Size};
use crate::train::{RunFolder, Session};

/// The network of a run with the weights of its last checkpoint, or of the one that is named.
///
/// # Errors
/// `Kind::Usage` for what lies in no run's folder, and where recipe or data were changed since.
pub fn open(what: &Path, device: &Device) -> Result<Session> {
    opened(what, device, |data| data).map(|(session, _)| session)
}

/// As [`open`], with the data that subnets are compared by, and whether its images were held out: see
/// [`Dataset::to_compare`].
pub fn open_to_compare(what: &Path, device: &Device, images: usize) -> Result<(Session, Dataset, bool)> {
    let mut held_out = false;
    let (session, data) = opened(what, device, |data| {
        let (data, held) = data.to_compare(images);
        held_out = held;
        data
    })?;
    Ok((session, data, held_out))
}

fn opened(what: &Path, device: &Device, seen: impl FnOnce(Dataset) -> Dataset) -> Result<(Session, Dataset)> {
    let run = home_of(what).ok_or_else(|| {
        Error::usage(format!("{} is not in a run's folder", what.display()))
            .at("a subnet is cut out of a run's network")
    })?;
    let (recipe, meta) = RunFolder::read(run)?;
    refuse(run, &meta.differences(&recipe)?)?;
    let data = drive::data(&recipe)?;
    if data.hash != meta.data_hash {
        return Err(other_data(&data, &meta).hint("restore the data"));
    }
    let data = seen(data);
    let (arrays, damaged) = load_any(what)?;
    for error in damaged {
        eprintln!("warning: {error}");
    }
    check_numbers(&arrays, what)?;
    let mut session = Session::new(&device.open()?, &recipe, &data, meta.variants)?;
    session.load_weights(&arrays)?;
    Ok((session, data))
}

/// The subnet that a text names, cut out of the weights: with running statistics of its own, or with those of the whole
/// network.
///
/// # Errors
/// `Kind::Usage` where the network has no subnets, or none of that name.
pub fn cut(session: &Session, text: &str, recalibrates: bool) -> Result<shrink::Part> {
    let supernet = session.supernet()?;
    let pick = Pick::parse(&supernet.space, text)?;
    if recalibrates { session.cut_pick(&supernet, &pick) } else { session.cut_as_trained(&supernet, &pick) }
}

/// The recipe of a subnet by itself: the same run with its network, and without phases.
pub fn recipe(session: &Session, part: &shrink::Part) -> Result<Recipe> {
    let model = session.supernet()?.network(&part.subnet);
    Ok(Recipe { model, shrink: Default::default(), ..session.recipe.clone() })
}

/// What a subnet is, in a line.
pub fn described(part: &shrink::Part) -> String {
    let Size { macs, weights, bytes } = thin::size(&part.model.params, part.density);
    let bytes = table::bytes(bytes);
    format!("subnet {}: {weights} weights and biases ({bytes}), {macs} multiplications a sample", part.pick())
}
