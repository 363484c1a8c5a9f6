//! Tokens of a `tokenizer.json`: byte pairs, word pieces, unigrams, as the crate `tokenizers` reads them. A feature of the
//! build, as few need it and it brings some eighty crates.

use std::path::Path;

#[cfg(feature = "tokenizer")]
use super::file;
#[cfg(feature = "tokenizer")]
use crate::error::Kind;
use crate::error::{Error, Result};

/// The file's name in the folder of a run, which keeps a copy.
pub const FILE: &str = "tokenizer.json";
/// The key of `[data]`, and with its table.
pub const KEY: &str = "tokenizer";
pub const PATH: &str = "data.tokenizer";

/// What cuts a text into tokens and joins them again.
#[cfg(feature = "tokenizer")]
pub struct Tokenizer(tokenizers::Tokenizer);

#[cfg(feature = "tokenizer")]
impl Tokenizer {
    /// # Errors
    /// `Kind::Data` where there is no file, or where it is no tokenizer.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = file::read(&name)?;
        let text = file::unicode(&bytes, &name)?;
        let wrong = |e: &dyn std::fmt::Display| {
            Error::data(format!("{} is no tokenizer", path.display()))
                .at(e.to_string())
                .hint("the tokenizer.json of a model, as the library `tokenizers` saves it")
        };
        let mut value: serde_json::Value = serde_json::from_str(text).map_err(|e| wrong(&e))?;
        // Merges that are left out at random would make other tokens of the same text.
        if let Some(dropout) = value.pointer_mut("/model/dropout") {
            *dropout = serde_json::Value::Null;
        }
        let read: std::result::Result<tokenizers::Tokenizer, _> = value.to_string().parse();
        let mut own = read.map_err(|e| wrong(&e))?;
        // A text is cut whole.
        own.with_padding(None);
        own.with_truncation(None).map_err(|e| Error::new(Kind::Data, e.to_string()))?;
        Ok(Self(own))
    }

    /// The tokens of a text, without those that begin and end one.
    ///
    /// # Errors
    /// `Kind::Data` for what has no token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let found = self.0.encode_fast(text, false);
        found.map(|tokens| tokens.get_ids().to_vec()).map_err(|e| uncut(&*e))
    }

    /// As [`Tokenizer::encode`], and the bytes of each token: from where the one before ends to its own end, so that all
    /// add up to those of the text. What follows the last token belongs to it.
    ///
    /// # Errors
    /// As those of [`Tokenizer::encode`].
    pub fn cut(&self, text: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        let tokens = self.0.encode(text, false).map_err(|e| uncut(&*e))?;
        let mut ends: Vec<usize> = tokens.get_offsets().iter().map(|&(_, end)| end).collect();
        ends.last_mut().into_iter().for_each(|last| *last = text.len());
        let mut before = 0;
        // Parts of one character end alike.
        let bytes = ends.into_iter().map(|end| {
            let own = end.saturating_sub(before);
            before = before.max(end);
            own as u32
        });
        Ok((tokens.get_ids().to_vec(), bytes.collect()))
    }

    /// The text that tokens stand for; what is no character yet is U+FFFD.
    ///
    /// # Errors
    /// `Kind::Data` where they stand for none.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        self.0.decode(tokens, false).map_err(|e| Error::data("tokens stand for no text").at(e.to_string()))
    }

    /// Tokens by their numbers, as the file writes them; numbers without a token have an empty name.
    pub fn names(&self) -> Vec<String> {
        let all = self.0.get_vocab(true);
        let count = all.values().max().map_or(0, |&last| last as usize + 1);
        let mut names = vec![String::new(); count];
        all.into_iter().for_each(|(name, number)| names[number as usize] = name);
        names
    }
}

#[cfg(feature = "tokenizer")]
fn uncut(error: &dyn std::error::Error) -> Error {
    Error::data("the text cannot be cut into tokens").at(error.to_string()).hint("another tokenizer")
}

/// What cuts a text into tokens, in a build that has none.
#[cfg(not(feature = "tokenizer"))]
pub enum Tokenizer {}

#[cfg(not(feature = "tokenizer"))]
impl Tokenizer {
    /// # Errors
    /// `Kind::Usage`, always.
    pub fn open(path: &Path) -> Result<Self> {
        Err(Error::usage(format!("this build of coppice reads no tokenizer: {}", path.display()))
            .at("the feature `tokenizer` is off")
            .hint("cargo install --path . --features tokenizer"))
    }
    /// # Errors
    /// None: there is no such value.
    pub fn encode(&self, _: &str) -> Result<Vec<u32>> {
        match *self {}
    }
    /// # Errors
    /// None: there is no such value.
    pub fn cut(&self, _: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        match *self {}
    }
    /// # Errors
    /// None: there is no such value.
    pub fn decode(&self, _: &[u32]) -> Result<String> {
        match *self {}
    }
    pub fn names(&self) -> Vec<String> {
        match *self {}
    }
}

#[cfg(all(test, feature = "tokenizer"))]
mod tests {
    use super::*;

    /// Byte pairs with three merges: `th`, `he` from letters, and `the`.
    const PAIRS: &str = r#"{
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": { "type": "BPE", "dropout": 0.9, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": { "t": 0, "h": 1, "e": 2, " ": 3, "th": 4, "the": 5 },
            "merges": [["t", "h"], ["th", "e"]] }
    }"#;

    #[test]
    fn pairs_are_merged_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, PAIRS).unwrap();
        let own = Tokenizer::open(&path).unwrap();
        assert_eq!(own.names(), ["t", "h", "e", " ", "th", "the"]);
        let tokens = own.encode("the het").unwrap();
        assert_eq!(tokens, [5, 3, 1, 2, 0]);
        assert_eq!(own.decode(&[5]).unwrap(), "the");
        assert_eq!(own.cut("the het").unwrap(), (tokens, vec![3, 1, 1, 1, 1]));
        // What has no token belongs to the next one, or to the last.
        assert_eq!(own.cut("\u{e9}the\u{20ac}h  ").unwrap().1.iter().sum::<u32>(), 11);
        std::fs::write(&path, "{}").unwrap();
        let error = Tokenizer::open(&path).err().unwrap();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.to_string().contains("is no tokenizer"), "{error}");
    }
}
