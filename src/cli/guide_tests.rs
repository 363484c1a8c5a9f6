//! README and docs, held against the program: every command line is one, every TOML block is read, every link leads to a file,
//! README is short, and no paragraph is long. Of docs/decisions, paragraphs alone are looked at.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::recipe::Recipe;

/// What a block of TOML is laid over, by what it needs.
const DENSE: &str = "digits-dense";
/// Stands for files and names that a reader puts in.
const STAND_IN: &str = "digits-gmp-90";
const README_LINES: usize = 200;
const PARAGRAPH_WORDS: usize = 90;

fn pages() -> Vec<(PathBuf, String)> {
    pages_of(&["docs", "docs/guide"])
}

/// README, and what lies in these folders.
fn pages_of(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    for folder in folders {
        paths.extend(fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Blocks between fences: their language, and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(language) if !is_open => (all.push((language.into(), String::new())), is_open = true).0,
            Some(_) => is_open = false,
            None if is_open => {
                let text = &mut all.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    all
}

/// The words of a command line: quotes hold words together, ` #` begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars().chain([' ']) {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => {
                if word == "#" {
                    return all;
                }
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    all
}

/// Command lines of the program in blocks without a language.
fn commands(page: &str) -> Vec<Vec<String>> {
    let plain = blocks(page).into_iter().filter(|(language, _)| language.is_empty());
    let lines: Vec<String> =
        plain.flat_map(|(_, text)| text.lines().map(String::from).collect::<Vec<_>>()).collect();
    let of = |line: &String| match line.strip_prefix("cargo run --release -- ") {
        Some(rest) => Some(words(&format!("coppice {rest}"))),
        None => line.starts_with("coppice ").then(|| words(line)),
    };
    lines.iter().filter_map(of).collect()
}

/// What is wrong with a command line, if something is.
fn command_fault(words: &[String]) -> Option<String> {
    let command = match Cli::try_parse_from(words) {
        Ok(cli) => cli.command,
        Err(error) => return Some(format!("{}: {error}", words.join(" "))),
    };
    let recipe = match command {
        Command::Train(train::Train { recipe, .. }) | Command::Plan(plan::Plan { recipe, .. }) => recipe,
        _ => return None,
    };
    let name = if built_in(&recipe.recipe).is_some() { recipe.recipe.clone() } else { STAND_IN.into() };
    RecipeArgs { recipe: name, ..recipe }.read().err().map(|error| format!("{}: {error}", words.join(" ")))
}

/// What is wrong with a part of a recipe, if something is: its tables are put in place of another recipe's.
fn recipe_fault(part: &str) -> Option<String> {
    let read = || -> std::result::Result<(), String> {
        let part: toml::Table = part.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let mut whole: toml::Table = built_in(DENSE).unwrap().parse().unwrap();
        let rules_alone = |table: &toml::Value| table.get("rule").is_some() && table.get("method").is_none();
        for (key, mut table) in part {
            if key == "sparsity" && rules_alone(&table) {
                let rules = table["rule"].clone();
                table =
                    built_in(STAND_IN).unwrap().parse::<toml::Table>().unwrap().remove("sparsity").unwrap();
                table.as_table_mut().unwrap().insert("rule".into(), rules);
            }
            whole.insert(key, table);
        }
        let text = toml::to_string(&whole).map_err(|error| error.to_string())?;
        let recipe = Recipe::parse(&text, "the page", &[]).map_err(|error| error.to_string())?;
        crate::train::resolve(&recipe).map(drop).map_err(|error| error.to_string())
    };
    read().err().map(|error| format!("{part}\n{error}"))
}

/// Links to files of the project that are not there.
fn broken_links(path: &Path, page: &str) -> Vec<String> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let file = |target: &str| path.parent().unwrap().join(target.split('#').next().unwrap());
    files.filter(|target| !file(target).exists()).map(String::from).collect()
}

/// Whether a line begins an item of a list.
fn is_item(line: &str) -> bool {
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    line.starts_with("- ") || line.split_once(". ").is_some_and(|(start, _)| is_number(start))
}

/// Paragraphs of text that are too long. Each item of a list is one; tables and blocks are left out.
fn long_paragraphs(page: &str) -> Vec<String> {
    let outside: String = page.split("```").step_by(2).collect();
    let apart = |line: &str| if is_item(line) { format!("\n{line}\n") } else { format!("{line}\n") };
    let items: String = outside.lines().map(apart).collect();
    let paragraphs = items.split("\n\n").filter(|text| !text.trim_start().starts_with(['|', '<', '#']));
    paragraphs.filter(|text| text.split_whitespace().count() > PARAGRAPH_WORDS).map(String::from).collect()
}

#[test]
fn every_command_line_of_the_guide_is_one() {
    let mut count = 0;
    for (path, page) in pages() {
        for words in commands(&page) {
            count += 1;
            assert_eq!(command_fault(&words), None, "{}", path.display());
        }
    }
    assert!(count > 35, "only {count} command lines were found");
}

#[test]
fn every_recipe_of_the_guide_is_read() {
    let mut count = 0;
    for (path, page) in pages() {
        for (_, text) in blocks(&page).into_iter().filter(|(language, _)| language == "toml") {
            count += 1;
            assert_eq!(recipe_fault(&text), None, "{}", path.display());
        }
    }
    assert!(count > 20, "only {count} recipes were found");
}

#[test]
fn every_link_of_the_guide_leads_to_a_file() {
    for (path, page) in pages() {
        assert_eq!(broken_links(&path, &page), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_guide_is_short() {
    for (path, page) in pages_of(&["docs", "docs/guide", "docs/decisions"]) {
        if path.ends_with("README.md") {
            assert!(page.lines().count() <= README_LINES, "README.md has {} lines", page.lines().count());
        }
        assert_eq!(long_paragraphs(&page), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn faults_of_a_page_are_noticed() {
    let fault = |line: &str| command_fault(&words(line));
    assert!(fault("coppice train digits-gmp-90 --no-such-flag").is_some());
    assert!(fault("coppice train digits-gmp-90 -s sparsity.targets=0.9").is_some());
    assert!(fault("coppice train RECIPE -s 'optim={name=\"adamw\",lr=1e-3}' # a comment").is_none());
    assert!(
        recipe_fault("[run]\nepoch = 3").is_some() && recipe_fault("[run]\nepochs = 3\nbatch = 8").is_none()
    );
    assert_eq!(
        commands("```\ncoppice ls x\ncargo run --release -- demo\n```\n```toml\ncoppice no\n```").len(),
        2
    );
    assert_eq!(broken_links(Path::new("docs/x.md"), "[a](none.md) [b](https://x.y)"), ["none.md"]);
    let most = "word ".repeat(PARAGRAPH_WORDS - 1);
    assert_eq!(long_paragraphs(&format!("{most} a b")).len(), 1);
    assert_eq!(long_paragraphs(&format!("- {most}\n1. {most}\n2. {most}")), Vec::<String>::new());
}
