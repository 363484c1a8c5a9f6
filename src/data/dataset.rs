//! A data set in memory, checked once, and the part of it that is held out.

use sha2::{Digest, Sha256};

use super::tokens::Tokens;
use crate::error::{Error, Kind, Result};
use crate::random::{Stream, permutation};

/// The seed that chooses the samples held out. A constant of the program, not the seed of a run: runs of
/// different seeds then differ in their weights and their order, and are judged on the same samples.
pub const SPLIT_SEED: u64 = 0x5EED_0F5E_1EC7;

/// Values as they are stored: a row of `features` per sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
    /// Rows of tokens, which have their labels in them.
    Tokens(Tokens),
}

/// Some samples and their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// (samples, features...), row-major.
    pub images: Samples,
    /// (samples): the class of each; nothing where samples are tokens.
    pub labels: Vec<u8>,
}

/// What a loader or a user of the library hands in: two parts, and how stored values are to be read.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// One sample: `[features]`, `[channels, height, width]`, or what the model wants.
    pub shape: Vec<usize>,
    /// From 1 to 65,536; a label is a byte, so that of more than 256 the others have no samples.
    pub classes: usize,
    /// What each class is called, or nothing where classes have only numbers.
    pub class_names: Vec<String>,
    /// The model sees `stored * scale + shift`: one number each, or one for each of `shape[0]` channels.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub train: Split,
    pub test: Split,
    /// Where it came from, for people.
    pub origin: String,
    /// What people should know before they train on it.
    pub warnings: Vec<Error>,
}

impl Source {
    /// Values as the model is to see them, classes without names.
    pub fn new(
        name: impl Into<String>,
        shape: Vec<usize>,
        classes: usize,
        train: Split,
        test: Split,
    ) -> Self {
        let (class_names, warnings, origin) = (Vec::new(), Vec::new(), String::new());
        let (name, scale, shift) = (name.into(), vec![1.0], vec![0.0]);
        Self { name, shape, classes, class_names, scale, shift, train, test, origin, warnings }
    }
}

/// A data set ready for training. Made by [`super::open`] or [`Dataset::from_arrays`], which check it.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub name: String,
    /// One sample, for instance `[1, 28, 28]`.
    pub shape: Vec<usize>,
    pub classes: usize,
    /// What each class is called, or nothing where classes have only numbers.
    pub class_names: Vec<String>,
    /// The model sees `stored * scale + shift`: one number each, or one for each of `shape[0]` channels.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// What is trained on: the training part without what is held out.
    pub train: Split,
    /// What is held out of the training part; empty if nothing is.
    pub validation: Split,
    pub test: Split,
    /// SHA-256, in hexadecimal, over shape, classes, scale, shift and the three parts, with their sizes.
    /// Names and origin are left out: a copy of the files is the same data.
    pub hash: String,
    pub origin: String,
    /// What its loader found odd; see [`Dataset::warnings`].
    pub(super) remarks: Vec<Error>,
}

impl Split {
    pub fn bytes(images: Vec<u8>, labels: Vec<u8>) -> Self {
        Self { images: Samples::Bytes(images), labels }
    }
    pub fn floats(images: Vec<f32>, labels: Vec<u8>) -> Self {
        Self { images: Samples::Floats(images), labels }
    }
    pub fn of_tokens(tokens: Tokens) -> Self {
        Self { images: Samples::Tokens(tokens), labels: Vec::new() }
    }
    /// Its samples, where they are rows of tokens.
    pub fn tokens(&self) -> Option<&Tokens> {
        if let Samples::Tokens(tokens) = &self.images { Some(tokens) } else { None }
    }
    /// Adds a sample of bytes.
    ///
    /// # Panics
    /// If the others are floats.
    pub(super) fn push_bytes(&mut self, values: &[u8], label: u8) {
        let Samples::Bytes(bytes) = &mut self.images else { panic!("bytes among floats") };
        bytes.extend_from_slice(values);
        self.labels.push(label);
    }
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.tokens().map_or(self.labels.len(), Tokens::len)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples whose number passes `chosen`, in their order.
    pub(super) fn filter(&self, features: usize, chosen: impl Fn(usize) -> bool) -> Self {
        if let Samples::Tokens(tokens) = &self.images {
            return Self::of_tokens(tokens.filter(chosen));
        }
        let rows: Vec<usize> = (0..self.len()).filter(|&row| chosen(row)).collect();
        let images = match &self.images {
            Samples::Bytes(values) => Samples::Bytes(select(values, &rows, features)),
            Samples::Floats(values) => Samples::Floats(select(values, &rows, features)),
            Samples::Tokens(_) => unreachable!("they were filtered above"),
        };
        Self { images, labels: rows.iter().map(|&row| self.labels[row]).collect() }
    }
}

fn select<T: Copy>(values: &[T], rows: &[usize], features: usize) -> Vec<T> {
    let mut chosen = Vec::with_capacity(rows.len() * features);
    rows.iter().for_each(|row| chosen.extend_from_slice(&values[row * features..(row + 1) * features]));
    chosen
}

impl Samples {
    /// The number of values, over all samples.
    pub fn len(&self) -> usize {
        match self {
            Samples::Bytes(values) => values.len(),
            Samples::Floats(values) => values.len(),
            Samples::Tokens(tokens) => tokens.len() * tokens.reads,
        }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Value `index`, as stored.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Samples::Bytes(values) => f32::from(values[index]),
            Samples::Floats(values) => values[index],
            Samples::Tokens(tokens) => tokens.row(index / tokens.reads, 0)[index % tokens.reads] as f32,
        }
    }
}

impl Dataset {
    /// Checks arrays, holds the share `validation` in [0, 1) of the training part out, and hashes the whole.
    ///
    /// The number held out is `validation * samples`, rounded half away from zero; both parts keep the
    /// order of the samples. Arrays that do not fit each other are a [`Kind::Data`] error that names the
    /// part and the sample, a share that cannot be met a [`Kind::Usage`] error.
    ///
    /// ```
    /// use coppice::data::{Dataset, Source, Split};
    /// let set = Dataset::from_arrays(
    ///     Source::new(
    ///         "xor",
    ///         vec![2],
    ///         2,
    ///         Split::floats(vec![0., 0., 0., 1., 1., 0., 1., 1.], vec![0, 1, 1, 0]),
    ///         Split::floats(vec![1., 0.], vec![1]),
    ///     ),
    ///     0.0,
    /// )?;
    /// assert_eq!(set.columns(&set.train, &[1, 2]), [0., 1., 1., 0.]); // (features, batch)
    /// # Ok::<(), coppice::error::Error>(())
    /// ```
    pub fn from_arrays(source: Source, validation: f64) -> Result<Self> {
        let features = super::check::source(&source)?;
        let (train, validation) = hold_out(source.train, features, validation)?;
        let mut set = Self {
            name: source.name,
            shape: source.shape,
            classes: source.classes,
            class_names: source.class_names,
            scale: source.scale,
            shift: source.shift,
            train,
            validation,
            test: source.test,
            hash: String::new(),
            origin: source.origin,
            remarks: source.warnings,
        };
        set.hash = set.digest();
        Ok(set)
    }

    /// The number of values in a sample.
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    /// Samples as a model sees them: (features, rows.len()), the columns contiguous, scaled and shifted.
    ///
    /// # Panics
    /// If a row is not one of `split`, or `split` is not of this data set.
    pub fn columns(&self, split: &Split, rows: &[u32]) -> Vec<f32> {
        let features = self.features();
        let plane = features / self.scale.len();
        let value = |row: u32, feature| {
            let channel: usize = feature / plane;
            split.images.get(row as usize * features + feature) * self.scale[channel] + self.shift[channel]
        };
        (0..features).flat_map(|feature| rows.iter().map(move |&row| value(row, feature))).collect()
    }

    /// The same data to compare networks by, and whether what they are judged on was held out: its validation part is the
    /// first `most` samples of what is held out or, where nothing is, the last `most` of the training part, which stay in
    /// that. The hash is that of the whole.
    pub fn to_compare(&self, most: usize) -> (Self, bool) {
        let (held, features) = (&self.validation, self.features());
        let validation = match held.is_empty() {
            true => self.train.filter(features, |row| row.saturating_add(most) >= self.train.len()),
            false => held.filter(features, |row| row < most),
        };
        (Self { validation, ..self.clone() }, !held.is_empty())
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("coppice data 1 {:?} {}", self.shape, self.classes));
        for number in self.scale.iter().chain(&self.shift) {
            hash.update(number.to_le_bytes());
        }
        for split in [&self.train, &self.validation, &self.test] {
            hash.update((split.len() as u64).to_le_bytes());
            match &split.images {
                Samples::Bytes(values) => {
                    hash.update(b"bytes");
                    hash.update(values);
                }
                Samples::Tokens(tokens) => {
                    let Tokens { every, reads, skips, padding, order, .. } = tokens;
                    hash.update(format!("tokens {every} {reads} {skips} {padding:?} {order:?}"));
                    tokens.stream.iter().for_each(|token| hash.update(token.to_le_bytes()));
                }
                Samples::Floats(values) => {
                    hash.update(b"floats");
                    for chunk in values.chunks(1024) {
                        hash.update(chunk.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
                    }
                }
            }
            hash.update(&split.labels);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What stays, and what is held out.
fn hold_out(train: Split, features: usize, share: f64) -> Result<(Split, Split)> {
    let samples = train.len();
    if share == 0.0 {
        let nothing = train.filter(features, |_| false);
        return Ok((train, nothing));
    }
    let held = (share * samples as f64).round();
    // Written so that a share that is not a number fails as well.
    if !(share > 0.0 && share < 1.0 && held >= 1.0 && held < samples as f64) {
        return Err(Error::new(Kind::Usage, format!("cannot hold out a share of {share} for validation"))
            .at(format!("of {samples} samples, at least 1 has to be held out and 1 has to stay"))
            .hint(match samples {
                1 => "validation = 0 holds nothing out".to_string(),
                _ => format!("validation = {:.2}, or 0 for none", (1.0 / samples as f64).max(0.1)),
            }));
    }
    // Of a text the end: windows elsewhere would overlap with what stays.
    if let Some(text) = train.tokens().filter(|tokens| tokens.is_text()) {
        let cut = text.stream.len() - (held as usize * text.every + 1);
        let parts = [text.part(0, cut), text.part(cut, text.stream.len())];
        let [train, held] = parts.map(Split::of_tokens);
        return Ok((train, held));
    }
    let mut is_held = vec![false; samples];
    for &row in &permutation(SPLIT_SEED, Stream::Split, 0, samples as u32)[..held as usize] {
        is_held[row as usize] = true;
    }
    Ok((train.filter(features, |row| !is_held[row]), train.filter(features, |row| is_held[row])))
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
