//! `coppice sample`: a trained language model continues a prompt.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::weights::Weights;
use super::{Device, print_json};
use crate::data::tokenizer::{self, Tokenizer};
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::report::load::{check_numbers, load_any, snapshot_of};
use crate::train::{Choose, Facts, RunFolder, Writer, remaining};

#[derive(clap::Args)]
pub struct Sample {
    /// The folder of a run
    run: PathBuf,
    /// The text to continue; for a data set of tokens, their numbers
    #[arg(long, default_value = "\n")]
    prompt: String,
    /// The number of tokens to write
    #[arg(long, value_name = "N", default_value_t = 300)]
    tokens: u32,
    /// Divides the logits: 1 samples the model's own distribution, lower values prefer likely tokens, 0 always takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    temperature: f64,
    /// Sample only among the K likeliest tokens
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// The seed of the sampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    device: Device,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a token stands for.
enum Alphabet {
    Bytes,
    Characters(Vec<String>),
    Pieces(Box<Tokenizer>),
    Numbers,
}

impl Sample {
    pub fn run(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::usage("--temperature is a number of at least 0"));
        }
        let (recipe, meta) = RunFolder::read(&self.run)?;
        let facts = meta.data.as_ref().ok_or_else(|| {
            Error::checkpoint("the run does not say what its tokens are")
                .at("it was made by an older version")
        })?;
        let alphabet = Alphabet::of(&recipe, facts, &self.run)?;
        let prompt = alphabet.read(&self.prompt)?;
        let (arrays, damaged) = load_any(&self.run)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let (arrays, which) =
            if self.json { self.weights.of(arrays) } else { (self.weights.told(arrays), None) };
        check_numbers(&arrays, &self.run)?;
        let recipe = match snapshot_of(&self.run)? {
            Some(snapshot) => remaining(&recipe, &snapshot, &facts.tokens(), facts.classes)?,
            None => recipe,
        };
        let weights = crate::report::mask::applied(&arrays)?;
        let gpu = self.device.open()?;
        let mut writer = Writer::new(&gpu, &recipe, facts, &weights, &meta.variants)?;
        let top = self.top.map(|top| top as usize);
        let choose = Choose { temperature: self.temperature, top, seed: self.seed };
        let mut logits = Vec::new();
        for token in &prompt {
            logits = writer.read(*token)?;
        }
        let mut out = std::io::stdout();
        let mut show = |bytes: &[u8]| {
            let shown = if self.json { Ok(()) } else { out.write_all(bytes).and_then(|()| out.flush()) };
            shown.map_err(|e| Error::internal(format!("cannot write to the terminal: {e}")))
        };
        show(self.prompt.as_bytes())?;
        let (mut written, mut text) = (Vec::new(), Vec::new());
        for n in 0..self.tokens {
            let token = choose.token(&logits, n);
            written.push(token);
            let said = alphabet.write(&prompt, &written)?;
            show(&said)?;
            text.extend(said);
            if n + 1 < self.tokens {
                logits = writer.read(token)?;
            }
        }
        show(b"\n")?;
        if !self.json {
            return Ok(());
        }
        print_json(&json!({
            "schema": 1, "prompt": self.prompt, "weights": which, "tokens": written, "text": String::from_utf8_lossy(&text),
            "temperature": self.temperature, "top": self.top, "seed": self.seed, "packed": writer.packed,
            "adapter": gpu.identity().adapter, "backend": gpu.identity().backend,
        }))
    }
}

impl Alphabet {
    fn of(recipe: &Recipe, facts: &Facts, run: &Path) -> Result<Self> {
        let word = recipe.data.name.split(':').next().unwrap_or_default();
        if recipe.data.settings.text(tokenizer::KEY).is_ok() {
            let file = run.join(tokenizer::FILE);
            let own = Tokenizer::open(&file)?;
            return match own.names() == facts.class_names {
                true => Ok(Self::Pieces(Box::new(own))),
                false => Err(Error::data(format!("{} is another tokenizer", file.display()))
                    .at("its tokens are not those that the run was trained on")),
            };
        }
        match (word, recipe.data.settings.text("unit").ok()) {
            ("tokens", _) => Ok(Self::Numbers),
            (_, Some("bytes")) => Ok(Self::Bytes),
            (_, Some("characters")) => Ok(Self::Characters(facts.class_names.clone())),
            _ => Err(Error::usage(format!("data set `{}` is no text", recipe.data.name))
                .hint("a run of text, such as one of the recipe shakespeare-gpt")),
        }
    }

    fn read(&self, prompt: &str) -> Result<Vec<u32>> {
        let unknown =
            |what: &str| Error::usage(format!("the prompt has `{what}`, which is no token of this run"));
        let all: Vec<u32> = match self {
            Self::Bytes => prompt.bytes().map(u32::from).collect(),
            Self::Characters(names) => {
                let find = |c: char| names.iter().position(|name| name.chars().eq([c]));
                let token = |c: char| find(c).map(|at| at as u32).ok_or_else(|| unknown(&c.to_string()));
                prompt.chars().map(token).collect::<Result<_>>()?
            }
            Self::Pieces(tokenizer) => tokenizer.encode(prompt)?,
            Self::Numbers => {
                let token = |word: &str| word.parse().map_err(|_| unknown(word));
                prompt.split_whitespace().map(token).collect::<Result<_>>()?
            }
        };
        match all.is_empty() {
            true => Err(Error::usage("the prompt has no tokens").hint("--prompt \"ROMEO.\"")),
            false => Ok(all),
        }
    }

    /// What the last of the written tokens adds to the text.
    fn write(&self, prompt: &[u32], written: &[u32]) -> Result<Vec<u8>> {
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
            Self::Numbers => format!(" {token}").into_bytes(),
        })
    }
}
