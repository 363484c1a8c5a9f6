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

fn lists() -> Vec<(&'static str, Vec<(String, String)>)> {
    let recipe = |(name, text): &(&str, &str)| {
        let about = text.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        (name.to_string(), about.to_string())
    };
    let with = |about: &str, paper: &str| {
        if paper.is_empty() { about.to_string() } else { format!("{about} ({paper})") }
    };
    vec![
        ("recipes", BUILT_IN.iter().map(recipe).collect()),
        ("presets", presets()),
        ("layers", nn::layer::ALL.iter().map(|e| (e.name.into(), e.about.into())).collect()),
        ("data", data::ALL.iter().map(|e| (e.usage(), e.about.into())).collect()),
        ("optimizers", optim::ALL.iter().map(|e| (e.name.into(), with(e.about, e.paper))).collect()),
        ("methods", sparsity::methods::ALL.iter().map(|e| (e.name.into(), with(e.about, e.paper))).collect()),
        ("distillation", distill::ALL.iter().map(|e| (e.name.into(), with(e.about, e.paper))).collect()),
        ("formats", export::ALL.iter().map(|e| (e.name.into(), e.about.into())).collect()),
    ]
}

/// Networks by name.
fn presets() -> Vec<(String, String)> {
    let mlp =
        ("mlp".into(), "linear layers of the widths of `hidden`, with an `activation` after each".into());
    let others = nn::presets::ALL.iter().map(|e| (e.name.into(), e.about.into()));
    std::iter::once(mlp).chain(others).collect()
}

impl Ls {
    pub fn run(&self) -> Result<()> {
        let wanted = |name: &str| self.what.as_deref().is_none_or(|what| what == name);
        let lists: Vec<_> = lists().into_iter().filter(|(name, _)| wanted(name)).collect();
        if self.json {
            let mut object = serde_json::Map::from_iter([("schema".to_string(), serde_json::json!(1))]);
            for (name, entries) in lists {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(name, about)| serde_json::json!({ "name": name, "about": about }))
                    .collect();
                object.insert(name.to_string(), entries.into());
            }
            return print_json(&object);
        }
        for (name, entries) in lists {
            say(name)?;
            for (entry, about) in entries {
                say_beside(&format!("  {entry:<20} "), &about)?;
            }
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
