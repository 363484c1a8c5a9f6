//! The four files of an MNIST-like data set: pairs of images and labels, from a folder or from memory.

use std::path::{Path, PathBuf};

use super::idx::{self, Idx};
use super::options::{Options, PICTURES};
use super::statistics;
use super::{Entry, Source, Split};
use crate::error::{Error, Result};

pub const ENTRY: Entry = Entry {
    name: "idx",
    argument: "DIR",
    about: "your own images: the four files of MNIST in a folder, plain or gzip, one channel or more",
    keys: PICTURES,
    open,
};

/// The ranks of a file of images: (samples, height, width) or (samples, channels, height, width), and of labels: (samples).
pub const IMAGES: &[u8] = &[3, 4];
pub const LABELS: &[u8] = &[1];

/// Reads the part `train` or `t10k` of a folder: one sample's (channels, height, width), and the samples.
/// Labels have to be below `classes`, which is 256 at most.
pub fn part(folder: &Path, part: &str, classes: usize) -> Result<(Vec<usize>, Split)> {
    let several = format!("{part}-images-idx4-ubyte");
    let images = match find(folder, &several) {
        Some(path) => idx::open(&path, IMAGES)?,
        None => file(folder, &format!("{part}-images-idx3-ubyte"), IMAGES)?,
    };
    let labels = file(folder, &format!("{part}-labels-idx1-ubyte"), LABELS)?;
    pair(images, labels, classes)
}

/// Where a file is: plain or else packed, by its published name or with a dot in it, as some unpackers write it.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let names = [name.to_string(), name.replace("-idx", ".idx")];
    let paths = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    paths.into_iter().find(|path| path.exists())
}

fn file(folder: &Path, name: &str, ranks: &[u8]) -> Result<Idx> {
    match find(folder, name) {
        Some(path) => idx::open(&path, ranks),
        None => Err(Error::data(format!("a file of the data set is absent from {}", folder.display()))
            .at(format!("expected {name} or {name}.gz, found neither"))
            .hint("the four files are {train,t10k}-images-idx3-ubyte (idx4 with channels) and {train,t10k}-labels-idx1-ubyte")),
    }
}

/// Joins images and labels, which have to agree in number.
pub fn pair(images: Idx, labels: Idx, classes: usize) -> Result<(Vec<usize>, Split)> {
    if images.extents[0] != labels.extents[0] {
        return Err(Error::data("images and labels disagree in number")
            .at(format!("{}, offset 4: {} images", images.name, images.extents[0]))
            .at(format!("{}, offset 4: expected as many labels, found {}", labels.name, labels.extents[0]))
            .hint("are both files of the same part of the same data set?"));
    }
    if let Some(row) = labels.bytes.iter().position(|&label| usize::from(label) >= classes) {
        return Err(Error::data(format!("{} holds a label that is out of range", labels.name))
            .at(format!(
                "offset {}: expected a label below {classes}, found {}",
                labels.header_bytes() + row,
                labels.bytes[row]
            ))
            .hint("classes count from 0, and the training part has to hold the highest one"));
    }
    let shape = match images.extents[1..] {
        [height, width] => vec![1, height, width],
        ref shape => shape.to_vec(),
    };
    Ok((shape, Split::bytes(images.bytes, labels.bytes)))
}

/// Refuses parts whose samples differ in shape.
pub fn same_shape(name: &str, train: &[usize], test: &[usize]) -> Result<()> {
    if train == test {
        return Ok(());
    }
    Err(Error::data(format!("training and test part of {name} differ in shape"))
        .at(format!("offset 8 of the images: expected {train:?} as in the training part, found {test:?}")))
}

/// `idx:DIR`. The number of classes is one more than the highest label of the training part.
fn open(argument: &str, options: &Options) -> Result<Source> {
    let folder = Path::new(argument);
    let (shape, train) = part(folder, "train", 256)?;
    let classes = train.labels.iter().max().map_or(0, |&label| usize::from(label) + 1);
    let (test_shape, test) = part(folder, "t10k", classes)?;
    same_shape(argument, &shape, &test_shape)?;
    let channels = shape[0];
    let mut source = Source::new(format!("idx:{argument}"), shape, classes, train, test);
    source.origin = argument.to_string();
    if options.moments.is_none() {
        statistics::measure(&mut source, channels)?;
    }
    Ok(source)
}

#[cfg(test)]
#[path = "folder_tests.rs"]
pub mod tests;
