//! `coppice sample`: a trained network continues a text, or answers a source.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::alphabet::Alphabet;
use super::eval::{is_foreign, recipe_of};
use super::resume::other_data;
use super::weights::Weights;
use super::{Device, drive, init, print_json, put};
use crate::data::{self, Letters};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::variants::Choices;
use crate::recipe::Recipe;
use crate::report::load::{check_numbers, load_any, snapshot_of};
use crate::report::mask;
use crate::store::Arrays;
use crate::train::{Choose, Decoder, Facts, Writer, fitted, remaining};

#[derive(clap::Args)]
pub struct Sample {
    /// The folder of a run, a checkpoint in it, RUN/ckpt/best, or a safetensors file
    what: PathBuf,
    /// The recipe of a file that does not lie in a run's folder
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// The text to continue, by default a new line or what the text has in its place; of a data set of tokens, their
    /// numbers; of pairs, the source to answer
    #[arg(long)]
    prompt: Option<String>,
    /// The number of tokens to write; of an answer, at most
    #[arg(long, value_name = "N", default_value_t = 300)]
    tokens: u32,
    /// Divides the logits: 1 samples the model's own distribution, lower values prefer likely tokens, 0 always takes the
    /// likeliest; by default 0.8 for texts and 0 for answers
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
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

/// A trained network, and what is known of it.
struct Network {
    /// Without what was removed of the network.
    recipe: Recipe,
    facts: Facts,
    /// With zeros in place.
    weights: Arrays,
    /// Which ones these are, where there is a choice.
    which: Option<&'static str>,
    choices: Choices,
}

impl Sample {
    pub fn run(&self) -> Result<()> {
        if !self.temperature.is_none_or(|own| own >= 0.0 && own.is_finite()) {
            return Err(Error::usage("--temperature is a number of at least 0")
                .at(format!("found: {}", self.temperature.unwrap_or_default()))
                .hint("0 for the likeliest tokens, 1 for the network's own distribution"));
        }
        let (recipe, facts, found) = self.facts()?;
        let alphabet = Alphabet::of(&recipe, &facts)?;
        if data::is_of_pairs(&recipe.data.name) {
            let source = self.prompt.as_deref().ok_or_else(|| {
                Error::usage("there is no source to answer")
                    .at(format!("known: {}", Letters::new(&facts.class_names).known()))
                    .hint("--prompt SOURCE")
            })?;
            let tokens = alphabet.read(source)?;
            return self.answer(&self.network(recipe, facts, found)?, &alphabet, source, &tokens);
        }
        let prompt = self.prompt.clone().unwrap_or_else(|| alphabet.beginning());
        let tokens = alphabet.read(&prompt)?;
        self.go_on(&self.network(recipe, facts, found)?, &alphabet, &prompt, &tokens)
    }

    /// The recipe, what is known of its data, and what goes with weights: kernels, and the data itself where it was opened.
    fn facts(&self) -> Result<(Recipe, Facts, (Choices, Option<data::Dataset>))> {
        let (recipe, meta) = recipe_of(&self.what, self.recipe.as_deref())?;
        let choices = meta.as_ref().map_or(Choices::default(), |meta| meta.variants.clone());
        if let Some(facts) = meta.as_ref().and_then(|meta| meta.data.clone()) {
            return Ok((recipe, facts, (choices, None)));
        }
        // No run says what its tokens are, or an older one does not.
        let set = drive::data(&recipe)?;
        match meta.filter(|meta| meta.data_hash != set.hash) {
            Some(meta) => Err(other_data(&set, &meta).hint("restore the data")),
            None => Ok((fitted(&recipe, &set), Facts::of(&set), (choices, Some(set)))),
        }
    }

    fn network(
        &self,
        recipe: Recipe,
        facts: Facts,
        (choices, set): (Choices, Option<data::Dataset>),
    ) -> Result<Network> {
        let (arrays, damaged) = load_any(&self.what)?;
        for error in damaged {
            eprintln!("warning: {error}");
        }
        let (arrays, which) =
            if self.json { self.weights.of(arrays) } else { (self.weights.told(arrays), None) };
        check_numbers(&arrays, &self.what)?;
        let recipe = match snapshot_of(&self.what)? {
            Some(snapshot) => remaining(&recipe, &snapshot, &facts.tokens(), facts.classes)?,
            None => recipe,
        };
        let weights = match set.filter(|_| is_foreign(&self.what, self.recipe.as_deref())) {
            Some(set) => init::matched(&arrays, &self.what, &recipe, &set)?.arrays().clone(),
            None => mask::applied(&arrays)?,
        };
        Ok(Network { recipe, facts, weights, which, choices })
    }

    fn choose(&self, temperature: f64) -> Choose {
        let temperature = self.temperature.unwrap_or(temperature);
        Choose { temperature, top: self.top.map(|top| top as usize), seed: self.seed }
    }

    /// Continues a text, token by token.
    fn go_on(&self, network: &Network, alphabet: &Alphabet, prompt: &str, tokens: &[u32]) -> Result<()> {
        let gpu = self.device.open()?;
        let Network { recipe, facts, weights, choices, .. } = network;
        let mut writer = Writer::new(&gpu, recipe, facts, weights, choices)?;
        let choose = self.choose(0.8);
        let mut logits = Vec::new();
        for token in tokens {
            logits = writer.read(*token)?;
        }
        // Whether anybody reads on.
        let show = |bytes: &[u8]| if self.json { Ok(true) } else { put(bytes) };
        let mut goes_on = show(prompt.as_bytes())?;
        let (mut written, mut text) = (Vec::new(), Vec::new());
        for n in 0..self.tokens {
            if !goes_on {
                break;
            }
            let token = choose.token(&logits, n);
            written.push(token);
            let said = alphabet.write(tokens, &written)?;
            goes_on = show(&said)?;
            text.extend(said);
            if n + 1 < self.tokens {
                logits = writer.read(token)?;
            }
        }
        show(b"\n")?;
        let said = json!({ "prompt": prompt, "tokens": written, "text": String::from_utf8_lossy(&text) });
        self.done(&gpu, network, choose, writer.packed, said)
    }

    /// Answers a source.
    fn answer(&self, network: &Network, alphabet: &Alphabet, source: &str, tokens: &[u32]) -> Result<()> {
        let gpu = self.device.open()?;
        let Network { recipe, facts, weights, choices, .. } = network;
        let decoder = Decoder::new(&gpu, recipe, facts, weights, choices)?;
        let choose = self.choose(0.0);
        let found = decoder.answer(tokens, &choose, self.tokens as usize)?;
        let said = |end: usize| alphabet.write(tokens, &found.tokens[..end]);
        let text = (1..=found.tokens.len()).map(said).collect::<Result<Vec<_>>>()?.concat();
        let text = String::from_utf8_lossy(&text);
        if !self.json {
            put(format!("{text}\n").as_bytes())?;
        }
        let said = json!({ "prompt": source, "tokens": found.tokens, "text": text, "ended": found.ended });
        self.done(&gpu, network, choose, decoder.packed, said)
    }

    /// What JSON has besides what was said.
    fn done(&self, gpu: &Gpu, network: &Network, choose: Choose, packed: usize, said: Value) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut all = json!({
            "schema": 1, "weights": network.which, "temperature": choose.temperature, "top": self.top,
            "seed": self.seed, "packed": packed,
            "adapter": gpu.identity().adapter, "backend": gpu.identity().backend,
        });
        if let (Value::Object(all), Value::Object(said)) = (&mut all, said) {
            all.extend(said);
        }
        print_json(&all)
    }
}
