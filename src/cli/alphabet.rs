//! What the tokens of a network stand for: how a prompt is read, and how what the network writes is shown.

use std::path::Path;

use crate::data::tokenizer::{self, Tokenizer};
use crate::data::{self, Letters};
use crate::error::{Error, Kind, Result};
use crate::recipe::Recipe;
use crate::train::Facts;

/// Where nobody says what a text begins with, the first of these that it knows.
const BEGINNINGS: [&str; 2] = ["\n", " "];

/// What a token stands for.
pub enum Alphabet {
    Bytes,
    /// By the names of the tokens.
    Characters(Vec<String>),
    Pieces(Box<Tokenizer>),
    /// So many numbers.
    Numbers(usize),
}

impl Alphabet {
    /// That of the data that a network was trained on.
    ///
    /// # Errors
    /// `Kind::Usage` where samples are no tokens; `Kind::Data` for a tokenizer that was changed.
    pub fn of(recipe: &Recipe, facts: &Facts) -> Result<Self> {
        let name = &recipe.data.name;
        let settings = data::complete(name, &recipe.data.settings)?;
        if let Ok(file) = settings.text(tokenizer::KEY) {
            let own = Tokenizer::open(Path::new(file))?;
            return match own.names() == facts.class_names {
                true => Ok(Self::Pieces(Box::new(own))),
                false => Err(Error::data(format!("{file} is another tokenizer"))
                    .at("its tokens are not those that the network was trained on")),
            };
        }
        match settings.text("unit").ok() {
            _ if !data::is_of_tokens(name) => Err(no_tokens(name, facts)),
            _ if data::is_of_pairs(name) => Ok(Self::Characters(facts.class_names.clone())),
            Some("bytes") => Ok(Self::Bytes),
            Some(_) => Ok(Self::Characters(facts.class_names.clone())),
            None => Ok(Self::Numbers(facts.classes)),
        }
    }

    /// What a text begins with where nobody says: a new line if that is known, or a space, or the first token.
    pub fn beginning(&self) -> String {
        let first = |names: &[String], reads: &dyn Fn(&str) -> bool| {
            let all = BEGINNINGS.into_iter().chain(names.iter().map(String::as_str));
            all.into_iter().find(|text| reads(text)).unwrap_or_default().to_string()
        };
        match self {
            Self::Bytes => BEGINNINGS[0].into(),
            Self::Characters(names) => first(names, &|text| names.iter().any(|name| name == text)),
            Self::Pieces(own) => {
                first(&own.names(), &|text| own.encode(text).is_ok_and(|tokens| !tokens.is_empty()))
            }
            Self::Numbers(_) => "0".into(),
        }
    }

    /// The tokens of a prompt.
    ///
    /// # Errors
    /// `Kind::Usage` for what is no token, with what is one, and for a prompt without any.
    pub fn read(&self, prompt: &str) -> Result<Vec<u32>> {
        let all: Vec<u32> = match self {
            Self::Bytes => prompt.bytes().map(u32::from).collect(),
            Self::Characters(names) => Letters::new(names).read(prompt, "the prompt", Kind::Usage)?,
            Self::Pieces(tokenizer) => tokenizer.encode(prompt)?,
            Self::Numbers(count) => {
                let known = |word: &str| word.parse().ok().filter(|&token| (token as usize) < *count);
                let token = |word: &str| {
                    known(word).ok_or_else(|| {
                        Error::usage(format!("the prompt has `{word}`, which is no token of the run"))
                            .at(format!("known: whole numbers from 0 to {}", count - 1))
                            .hint("numbers with spaces between them, such as --prompt \"0 1\"")
                    })
                };
                prompt.split_whitespace().map(token).collect::<Result<_>>()?
            }
        };
        match all.is_empty() {
            true => Err(Error::usage("the prompt has no tokens").hint("a prompt of one character or more")),
            false => Ok(all),
        }
    }

    /// What the last of the written tokens adds to the text.
    ///
    /// # Errors
    /// `Kind::Data` where tokens stand for no text.
    pub fn write(&self, prompt: &[u32], written: &[u32]) -> Result<Vec<u8>> {
        let token = written[written.len() - 1];
        Ok(match self {
            Self::Bytes => vec![token as u8],
            Self::Characters(names) => names[token as usize].clone().into_bytes(),
            Self::Pieces(tokenizer) => {
                let so_far = |count: usize| -> Result<String> {
                    let text = tokenizer.decode(&[prompt, &written[..count]].concat())?;
                    // The rest of a character comes with a later token.
                    Ok(text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_string())
                };
                let (before, now) = (so_far(written.len() - 1)?, so_far(written.len())?);
                now.get(before.len()..).unwrap_or_default().as_bytes().to_vec()
            }
            Self::Numbers(_) => format!(" {token}").into_bytes(),
        })
    }
}

/// Why a network that reads pictures or numbers writes nothing.
fn no_tokens(name: &str, facts: &Facts) -> Error {
    let shape: Vec<String> = facts.shape.iter().map(usize::to_string).collect();
    Error::usage(format!("a network that was trained on `{name}` writes no text"))
        .at(format!(
            "it reads values of shape {} and says which of {} classes they are",
            shape.join("x"),
            facts.classes
        ))
        .hint("`coppice eval`, which measures it; or a network of texts (such as shakespeare-gpt) or of pairs (seq2seq-gmp)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_begins_with_what_it_knows() {
        let of = |names: &[&str]| Alphabet::Characters(names.iter().map(|name| name.to_string()).collect());
        assert_eq!(of(&["\n", " ", "a"]).beginning(), "\n");
        assert_eq!(of(&[" ", "a"]).beginning(), " ");
        assert_eq!(of(&["x", "y"]).beginning(), "x");
        assert_eq!(Alphabet::Bytes.beginning(), "\n");
        let numbers = Alphabet::Numbers(3);
        assert_eq!(numbers.read(&numbers.beginning()).unwrap(), [0]);
        assert_eq!(numbers.read(" 2 1\n").unwrap(), [2, 1]);
        for wrong in ["3", "-1", "a"] {
            let error = numbers.read(wrong).unwrap_err().to_string();
            assert!(error.contains("from 0 to 2"), "{error}");
        }
    }
}
