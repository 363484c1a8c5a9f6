//! The four files of an MNIST-like data set: pairs of images and labels, from a folder or from memory.

use std::path::{Path, PathBuf};

use super::idx::{self, Idx};
use super::{Entry, Samples, Source, Split};
use crate::error::{Error, Result};

pub const ENTRY: Entry = Entry {
    name: "idx",
    argument: "DIR",
    about: "your own images: the four files of MNIST in a folder, plain or gzip; scaled to mean 0, variance 1",
    open,
};

/// The rank of a file of images: (samples, height, width), and of labels: (samples).
pub const IMAGES: u8 = 3;
pub const LABELS: u8 = 1;

/// Reads the part `train` or `t10k` of a folder: one sample's (1, height, width), and the samples.
/// Labels have to be below `classes`, which is 256 at most.
pub fn part(folder: &Path, part: &str, classes: usize) -> Result<(Vec<usize>, Split)> {
    let images = file(folder, &format!("{part}-images-idx3-ubyte"), IMAGES)?;
    let labels = file(folder, &format!("{part}-labels-idx1-ubyte"), LABELS)?;
    pair(images, labels, classes)
}

/// Where a file is: plain or else packed, by its published name or with a dot in it, as some unpackers write it.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let names = [name.to_string(), name.replace("-idx", ".idx")];
    let paths = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    paths.into_iter().find(|path| path.exists())
}

fn file(folder: &Path, name: &str, rank: u8) -> Result<Idx> {
    match find(folder, name) {
        Some(path) => idx::open(&path, rank),
        None => Err(Error::data(format!("a file of the data set is absent from {}", folder.display()))
            .at(format!("expected {name} or {name}.gz, found neither"))
            .hint("the four files are {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte")),
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
    let shape = [&[1], &images.extents[1..]].concat();
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

/// Scale and shift that take `value / range` to `(value / range - mean) / deviation`.
pub fn normalised(range: f64, mean: f64, deviation: f64) -> (f32, f32) {
    ((1.0 / (range * deviation)) as f32, (-mean / deviation) as f32)
}

/// `idx:DIR`. The number of classes is one more than the highest label of the training part.
fn open(argument: &str) -> Result<Source> {
    let folder = Path::new(argument);
    let (shape, train) = part(folder, "train", 256)?;
    let classes = train.labels.iter().max().map_or(0, |&label| usize::from(label) + 1);
    let (test_shape, test) = part(folder, "t10k", classes)?;
    same_shape(argument, &shape, &test_shape)?;
    let (mean, deviation) = moments(&train.images);
    if deviation == 0.0 {
        return Err(Error::data(format!("all samples of {argument} are equal"))
            .at(format!("expected values that differ, found {mean} throughout the training part")));
    }
    let (scale, shift) = normalised(1.0, mean, deviation);
    let origin = format!("{argument} (mean {mean:.3}, deviation {deviation:.3} of the training part)");
    Ok(Source { name: format!("idx:{argument}"), shape, classes, scale, shift, train, test, origin })
}

/// Mean and standard deviation over all values, of the whole training part: before any of it is held out,
/// so that the share held out does not change what a pixel means.
pub fn moments(samples: &Samples) -> (f64, f64) {
    let count = samples.len() as f64;
    let sum =
        |term: &dyn Fn(f64) -> f64| (0..samples.len()).map(|i| term(f64::from(samples.get(i)))).sum::<f64>();
    let mean = sum(&|value| value) / count;
    (mean, (sum(&|value| (value - mean).powi(2)) / count).sqrt())
}

#[cfg(test)]
#[path = "folder_tests.rs"]
pub mod tests;
