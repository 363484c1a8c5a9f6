//! Data sets: a list of them, and one door through which each is opened and checked.
//!
//! A data set is a function of its name and its files; what is held out and the order of an epoch are
//! functions of numbers alone, so that a resumed run finds everything where it was.

mod check;
mod cifar;
mod classes;
mod dataset;
mod digits;
mod fashion;
mod file;
mod folder;
mod held;
mod idx;
mod images;
mod letters;
mod mnist;
mod npy;
mod options;
mod order;
pub mod pairs;
mod parallel;
mod picture;
mod random;
mod resized;
mod standard;
mod statistics;
mod table;
mod task;
mod text;
pub mod tokenizer;
mod tokens;
mod unseen;

pub use dataset::{Dataset, SPLIT_SEED, Samples, Source, Split};
pub use letters::Letters;
pub use options::Vocabulary;
pub use order::order;
pub use tokens::{ByteCounts, Order, Tokens};

use crate::error::{Error, Result};
use crate::recipe::Settings;
use options::Options;

/// One kind of data set.
pub struct Entry {
    /// The word a recipe uses.
    pub name: &'static str,
    /// What follows the name after a colon, in capitals; in brackets when it may be left out, empty when nothing does.
    pub argument: &'static str,
    /// One line for lists and help.
    pub about: &'static str,
    /// Keys of `[data]` that it takes beside `name` and `validation`.
    pub keys: &'static [&'static str],
    /// Reads it, given the argument.
    pub open: fn(&str, &Options) -> Result<Source>,
}

impl Entry {
    /// How a recipe writes it: `digits`, `idx:DIR`, `cifar10[:DIR]`.
    pub fn usage(&self) -> String {
        match (self.argument, self.argument.strip_prefix('[')) {
            ("", _) => self.name.to_string(),
            (_, Some(optional)) => format!("{}[:{optional}", self.name),
            (argument, None) => format!("{}:{argument}", self.name),
        }
    }
    fn takes(&self, argument: &str) -> bool {
        self.argument.starts_with('[') || self.argument.is_empty() == argument.is_empty()
    }
}

/// Every data set. Parsing, help and tests walk this list.
pub const ALL: &[Entry] = &[
    digits::ENTRY,
    fashion::MINI,
    fashion::FULL,
    mnist::ENTRY,
    cifar::TEN,
    cifar::HUNDRED,
    images::ENTRY,
    folder::ENTRY,
    npy::ENTRY,
    table::ENTRY,
    random::ENTRY,
    text::SHAKESPEARE,
    text::TEXT,
    text::TOKENS,
    pairs::ENTRY,
    task::ENTRY,
];

/// Opens a data set by its name and holds a share of its training part out for validation.
///
/// `name` is an entry of [`ALL`], with its argument after a colon (`idx:/my/folder`).
/// `validation` is a share in [0, 1) of the training part, never of the test part. Which samples are held
/// out depends on the data set alone ([`SPLIT_SEED`]), so that runs of different seeds compare on the
/// same split. An unknown name or share is a usage error; absent or damaged files are data errors.
pub fn open(name: &str, validation: f64) -> Result<Dataset> {
    open_with(name, validation, &Settings::default())
}

/// As [`open`], with the other keys of `[data]`.
pub fn open_with(name: &str, validation: f64, settings: &Settings) -> Result<Dataset> {
    open_as(name, validation, settings, None)
}

/// As [`open_with`], for a network that knows the tokens of `known`: texts and pairs are read by them.
///
/// # Errors
/// `Kind::Data`, too, for a set that has others.
pub fn open_as(
    name: &str,
    validation: f64,
    settings: &Settings,
    known: Option<&Vocabulary>,
) -> Result<Dataset> {
    let (word, argument) = name.split_once(':').unwrap_or((name, ""));
    let entry = find(name).ok_or_else(|| unknown(word))?;
    if !entry.takes(argument) || name.ends_with(':') {
        return Err(Error::usage(format!("data set \"{name}\" is not complete or says too much"))
            .at(format!("expected \"{}\", found \"{name}\"", entry.usage())));
    }
    let options = Options { known: known.cloned(), ..Options::read(entry, settings)? };
    let mut source = (entry.open)(argument, &options)?;
    known.map_or(Ok(()), |known| known.check(&source))?;
    if let Some(moments) = &options.moments {
        statistics::give(&mut source, moments).map_err(|error| settings.locate("mean", error))?;
    }
    if let Some(size) = options.size {
        resized::bring_to(&mut source, size).map_err(|error| settings.locate("size", error))?;
    }
    classes::check(&source)?;
    Dataset::from_arrays(source, validation)
}

/// The keys of `[data]` as resolved: those with a default are written out. A set that is none of [`ALL`] comes as arrays,
/// and its keys stay as they are.
pub fn complete(name: &str, settings: &Settings) -> Result<Settings> {
    find(name).map_or(Ok(settings.clone()), |entry| options::complete(entry, settings))
}

/// Those keys of one data set that another one takes as well.
pub fn fitting(name: &str, settings: &Settings) -> Settings {
    find(name).map_or(settings.clone(), |entry| settings.among(entry.keys))
}

/// Whether samples of a set are tokens.
pub fn is_of_tokens(name: &str) -> bool {
    is_of_pairs(name) || find(name).is_some_and(|entry| entry.keys.contains(&"context"))
}

/// Whether samples of a set are sources with their targets.
pub fn is_of_pairs(name: &str) -> bool {
    find(name).is_some_and(|entry| [pairs::ENTRY.name, task::ENTRY.name].contains(&entry.name))
}

fn find(name: &str) -> Option<&'static Entry> {
    let word = name.split_once(':').map_or(name, |(word, _)| word);
    ALL.iter().find(|entry| entry.name == word)
}

fn unknown(word: &str) -> Error {
    let known = ALL.iter().map(Entry::usage).collect::<Vec<_>>().join(", ");
    let error = Error::usage(format!("there is no data set \"{word}\"")).at(format!("known: {known}"));
    let near = |entry: &&Entry| strsim::damerau_levenshtein(entry.name, word);
    match ALL.iter().min_by_key(near).filter(|entry| near(entry) <= 3) {
        Some(entry) => error.hint(format!("name = \"{}\"", entry.usage())),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn names_are_unique_words_with_a_line_about_them() {
        for (i, entry) in ALL.iter().enumerate() {
            assert!(!entry.name.is_empty() && !entry.name.contains(':') && !entry.about.is_empty());
            assert!(ALL[..i].iter().all(|other| other.name != entry.name), "{} stands twice", entry.name);
        }
    }

    #[test]
    fn the_page_of_data_sets_is_complete() {
        let page = include_str!("../../docs/guide/data.md");
        for entry in ALL {
            let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{key}`")).collect();
            let row = format!("| `{}` | {} | {} |", entry.usage(), entry.about, keys.join(", "));
            assert!(page.contains(&row.replace("|  |", "| |")), "docs/guide/data.md lacks the row\n{row}");
        }
        let rows =
            page.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4).count();
        assert_eq!(rows, ALL.len(), "docs/guide/data.md has a row too many");
    }

    #[test]
    fn a_misspelled_name_is_told_the_nearest_one() {
        let error = open("fashion-minist", 0.0).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.to_string().contains("try: name = \"fashion-mnist\""), "{error}");
        let far = open("something else", 0.0).unwrap_err().to_string();
        assert!(!far.contains("try:") && far.contains("idx:DIR"), "{far}");
    }

    #[test]
    fn an_argument_that_is_absent_or_not_wanted_is_an_error() {
        for name in ["idx", "idx:", "digits:8", "task", "text", "cifar10:", "images", "csv:", "npy"] {
            assert_eq!(open(name, 0.0).unwrap_err().kind, Kind::Usage, "{name}");
        }
    }

    #[test]
    fn embedded_sets_open_the_same_way_twice() {
        for name in ["digits", "fashion-mini"] {
            let (first, again, held) =
                (open(name, 0.1).unwrap(), open(name, 0.1).unwrap(), open(name, 0.2).unwrap());
            assert_eq!(first.hash, again.hash);
            assert_eq!(first.train, again.train);
            assert_ne!(first.hash, held.hash, "the hash covers the split");
            assert_eq!(first.test, held.test, "the test part is never touched");
        }
    }

    /// The hashes come from a script that reads the assets by itself: packing them anew must not change them.
    #[test]
    fn embedded_sets_never_change() {
        let (digits, mini) = (
            "a0c25920c09a1928588956cb1b72e79e0a3251a21ad1c842a74b958a66e376e8",
            "56af5078d44e0fed580bda07742db8b4ec1927a229e7f00790c07e73cb2adf53",
        );
        assert_eq!(open("digits", 0.0).unwrap().hash, digits);
        assert_eq!(open("fashion-mini", 0.0).unwrap().hash, mini);
    }
}
