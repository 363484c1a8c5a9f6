//! `coppice ls` and `coppice cp`: what there is, from the registries themselves.

use std::path::PathBuf;

use super::{print_json, say, say_beside};
use crate::error::{Error, Kind, Result};
use crate::recipe::{BUILT_IN, unknown};
use crate::{data, distill, export, nn, optim, sparsity};

#[derive(clap::Args)]
pub struct Ls {
    /// Only this list; formats are what `export --to` writes
    #[arg(value_parser = ["recipes", "presets", "layers", "data", "optimizers", "methods", "distillation", "formats"])]
    what: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Cp {
    /// The name of a built-in recipe
    recipe: String,
    /// The file to write; by default NAME.toml here
    file: Option<PathBuf>,
}

/// An entry of a list.
struct Line {
    name: String,
    about: String,
    /// Of a preset, with their defaults; `None`: has to be written.
    settings: Vec<(&'static str, Option<toml::Value>)>,
}

impl Line {
    fn new(name: impl Into<String>, about: impl Into<String>) -> Self {
        Self { name: name.into(), about: about.into(), settings: Vec::new() }
    }

    fn say(&self) -> Result<()> {
        say_beside(&format!("  {:<20} ", self.name), &self.about)?;
        let setting = |(key, value): &(&str, Option<toml::Value>)| match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("{key} = [..]"),
        };
        let settings: Vec<String> = self.settings.iter().map(setting).collect();
        if settings.is_empty() { Ok(()) } else { say_beside(&" ".repeat(23), &settings.join(", ")) }
    }

    fn json(&self, has_settings: bool) -> serde_json::Value {
        let mut object = serde_json::json!({ "name": self.name, "about": self.about });
        if has_settings {
            object["settings"] = self
                .settings
                .iter()
                .map(|(key, value)| (key.to_string(), serde_json::json!(value)))
                .collect();
        }
        object
    }
}

fn lists() -> Vec<(&'static str, Vec<Line>)> {
    let recipe = |(name, text): &(&str, &str)| {
        let about = text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        Line::new(*name, about)
    };
    let with = |about: &str, paper: &str| {
        if paper.is_empty() { about.to_string() } else { format!("{about} ({paper})") }
    };
    vec![
        ("recipes", BUILT_IN.iter().map(recipe).collect()),
        ("presets", presets()),
        ("layers", nn::layer::ALL.iter().map(|e| Line::new(e.name, e.about)).collect()),
        ("data", data::ALL.iter().map(|e| Line::new(e.usage(), e.about)).collect()),
        ("optimizers", optim::ALL.iter().map(|e| Line::new(e.name, with(e.about, e.paper))).collect()),
        (
            "methods",
            sparsity::methods::ALL.iter().map(|e| Line::new(e.name, with(e.about, e.paper))).collect(),
        ),
        ("distillation", distill::ALL.iter().map(|e| Line::new(e.name, with(e.about, e.paper))).collect()),
        ("formats", export::ALL.iter().map(|e| Line::new(e.name, e.about)).collect()),
    ]
}

/// Networks by name.
fn presets() -> Vec<Line> {
    let of = |preset: nn::presets::Usage| Line {
        settings: preset.settings,
        ..Line::new(preset.name, preset.about)
    };
    nn::presets::usages().into_iter().map(of).collect()
}

impl Ls {
    pub fn run(&self) -> Result<()> {
        let wanted = |name: &str| self.what.as_deref().is_none_or(|what| what == name);
        let lists: Vec<_> = lists().into_iter().filter(|(name, _)| wanted(name)).collect();
        if self.json {
            let mut object = serde_json::Map::from_iter([("schema".to_string(), serde_json::json!(1))]);
            for (name, entries) in lists {
                let entries: Vec<_> = entries.iter().map(|line| line.json(name == "presets")).collect();
                object.insert(name.to_string(), entries.into());
            }
            return print_json(&object);
        }
        for (name, entries) in lists {
            say(name)?;
            entries.iter().try_for_each(Line::say)?;
        }
        Ok(())
    }
}

impl Cp {
    pub fn run(&self) -> Result<()> {
        let found = BUILT_IN.iter().find(|(name, _)| *name == self.recipe);
        let (name, text) =
            found.ok_or_else(|| unknown("recipe", &self.recipe, BUILT_IN.iter().map(|(name, _)| *name)))?;
        let path = self.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
        if path.exists() {
            return Err(Error::new(Kind::FileSystem, format!("{} exists already", path.display()))
                .hint("another file name: coppice cp RECIPE FILE"));
        }
        crate::store::folder::write_file_atomic(&path, text.as_bytes())?;
        say(&format!("{}", path.display()))
    }
}
