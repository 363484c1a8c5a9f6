//! `docs/METHODS.md` is kept true: its tables are those of the registries, and every entry has a section of its own. So is the
//! table of presets in `docs/guide/networks.md`.
//!
//! `COPPICE_BLESS=1 cargo test` rewrites tables and the lists below headings; all else is written by hand.

use std::fs;
use std::path::{Path, PathBuf};

use coppice::distill;
use coppice::nn::presets::{self, Usage};
use coppice::optim;
use coppice::recipe::{BUILT_IN, Recipe, Sparsity};
use coppice::sparsity::methods::{self, Entry, Start};
use toml::Value;

/// The parts of a section, as its paragraphs begin.
const OF_METHODS: [&str; 3] = ["**Formula.**", "**Pruned weights.**", "**Storage.**"];
const OF_OPTIMIZERS: [&str; 1] = ["**Formula.**"];
const OF_DISTILLATION: [&str; 2] = ["**Formula.**", "**State.**"];

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(docs(name)).unwrap_or_else(|e| panic!("docs/{name}: {e}"))
}

/// A built-in recipe, with its own pruning method or with one laid over it.
struct Ready<'a> {
    recipe: &'a str,
    method: &'a str,
    is_own: bool,
}

impl Ready<'_> {
    fn read(&self) -> Recipe {
        let set = [format!("sparsity.method={}", self.method)];
        let set = if self.is_own { &[] } else { &set[..] };
        let recipe = Recipe::find(self.recipe, set).unwrap_or_else(|e| panic!("{}: {e}", self.label()));
        coppice::train::resolve(&recipe).unwrap_or_else(|e| panic!("{}: {e}", self.label()))
    }
    /// As a table of results names it.
    fn label(&self) -> String {
        match self.is_own {
            true => self.recipe.to_string(),
            false => format!("{} -s sparsity.method={}", self.recipe, self.method),
        }
    }
}

/// The recipes that stand for a method: those that name it, and those whose opening comment offers it, as in
/// `-s sparsity.method=ste|mdgf`.
fn recipes_of(method: &str) -> Vec<Ready<'_>> {
    let mut all = Vec::new();
    for (recipe, text) in BUILT_IN {
        let is_own = own(recipe).method == method;
        if is_own || offered(text).any(|offer| offer == method) {
            all.push(Ready { recipe, method, is_own });
        }
    }
    all
}

/// What a built-in recipe prunes by.
fn own(recipe: &str) -> Sparsity {
    Recipe::find(recipe, &[]).unwrap_or_else(|e| panic!("{recipe}: {e}")).sparsity
}

/// The methods that a recipe's opening comment offers in place of its own.
fn offered(text: &str) -> impl Iterator<Item = &str> {
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    let offers = comment.filter_map(|line| line.split_once("-s sparsity.method="));
    offers.flat_map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default().split('|'))
}

/// A row of a table of docs/results.md.
struct Row<'a> {
    header: Vec<&'a str>,
    cells: Vec<&'a str>,
    /// The command last named before it, as in `docs/results.sh NAME`.
    command: &'a str,
}

impl Row<'_> {
    fn label(&self) -> &str {
        self.cells[0].trim_matches('`')
    }
    /// The cell below a column's name.
    fn cell(&self, name: &str) -> Option<&str> {
        Some(self.cells.get(self.header.iter().position(|cell| *cell == name)?)?.trim_matches('*'))
    }
    /// The mean accuracy, where the table is one of accuracies.
    fn accuracy(&self) -> Option<&str> {
        accuracies(&self.header).and_then(|column| Some(self.cells.get(column)?.trim_matches('*')))
    }
}

/// Every row of every table, in order.
fn rows(results: &str) -> Vec<Row<'_>> {
    let (mut all, mut header, mut command) = (Vec::new(), None, "");
    for line in results.lines() {
        if let Some((_, rest)) = line.rsplit_once("docs/results.sh ") {
            command = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        match &header {
            _ if !line.starts_with('|') => header = None,
            None => header = Some(cells),
            Some(header) => all.push(Row { header: header.clone(), cells, command }),
        }
    }
    all
}

/// The accuracy of a recipe in docs/results.md: that of the first table of accuracies which has it. A sweep over methods
/// names that of the recipe itself, too.
fn reached(results: &str, ready: &Ready) -> Option<String> {
    let named = format!("{} -s sparsity.method={}", ready.recipe, ready.method);
    let is_it = |row: &&Row| [&ready.label(), &named].iter().any(|label| row.label() == *label);
    rows(results).iter().filter(is_it).find_map(|row| row.accuracy().map(String::from))
}

/// What a recipe trains on, and the size that its pictures are brought to.
fn data_of(recipe: &Recipe) -> String {
    let name = &recipe.data.name;
    match recipe.data.settings.values().get("size") {
        Some(Value::Array(sides)) => format!("{name} at {}x{}", sides[0], sides[1]),
        Some(side) => format!("{name} at {side}x{side}"),
        None => name.clone(),
    }
}

/// What a dense network reached with an optimizer: the first row of docs/results.md that has one, whether its recipe or a
/// setting in the row's name says so. Where the name alone is no whole recipe, the command that runs it stands beside it.
fn reached_by(results: &str, optimizer: &str) -> String {
    let one = |row: &Row| {
        let (accuracy, label) = (row.accuracy()?, row.label());
        let mut words = label.split(" -s ");
        let recipe = words.next().filter(|name| BUILT_IN.iter().any(|(known, _)| known == name))?;
        let set: Vec<String> = words.map(String::from).collect();
        let read = Recipe::find(recipe, &set).unwrap_or_else(|e| panic!("docs/results.md, `{label}`: {e}"));
        let is_it = read.optim.name == optimizer && read.sparsity.method == "none";
        let more = match coppice::train::resolve(&read) {
            Ok(_) => String::new(),
            Err(_) => format!(" of `docs/results.sh {}`", row.command),
        };
        is_it.then(|| format!("{accuracy} on {} ({}{more})", data_of(&read), code(label)))
    };
    rows(results).iter().find_map(one).unwrap_or_else(|| "not run".into())
}

/// Error and confidence of what a recipe reached, from the table that has them.
fn confidence(results: &str, recipe: &str) -> Option<String> {
    let all = rows(results);
    let row = all.iter().find(|row| row.label() == recipe && row.cell("NLL").is_some())?;
    let (error, nll, ece) = (row.cell("mean")?, row.cell("NLL")?, row.cell("ECE")?);
    let data = data_of(&Recipe::find(recipe, &[]).unwrap_or_else(|e| panic!("{recipe}: {e}")));
    Some(format!("error {error}, NLL {nll}, ECE {ece} on {data} ({})", code(recipe)))
}

/// The column of a table that has accuracies, by its header; none where the table is one of errors.
fn accuracies(header: &[&str]) -> Option<usize> {
    if header.iter().any(|cell| cell.starts_with("error")) {
        return None;
    }
    ["mean", "test accuracy"].iter().find_map(|name| header.iter().position(|cell| cell == name))
}

/// What recipes reached, and on what; "not run" where docs/results.md has nothing.
fn results_of(results: &str, recipes: &[Ready]) -> String {
    let one = |ready: &Ready| {
        let accuracy = reached(results, ready)?;
        Some(format!("{accuracy} on {} (`{}`)", data_of(&ready.read()), ready.label()))
    };
    let all: Vec<String> = recipes.iter().filter_map(one).collect();
    if all.is_empty() { "not run".into() } else { all.join("; ") }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Settings as `key = default`; those within a table by their path.
fn settings(all: &[(&str, Value)]) -> String {
    fn flat(path: &str, value: &Value, all: &mut Vec<String>) {
        match value {
            Value::Table(table) => {
                table.iter().for_each(|(key, value)| flat(&format!("{path}.{key}"), value, all));
            }
            Value::Float(small) if *small != 0.0 && small.abs() < 1e-3 => {
                all.push(code(&format!("{path} = {small:e}")));
            }
            value => all.push(code(&format!("{path} = {value}"))),
        }
    }
    let mut flattened = Vec::new();
    all.iter().for_each(|(key, value)| flat(key, value, &mut flattened));
    if flattened.is_empty() { "none".into() } else { flattened.join(", ") }
}

/// What a recipe shows of its method beside its settings, in words of a registry's debug form.
fn word(value: impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(header.iter().map(|cell| cell.to_string()).collect());
    text += &line(vec!["---".into(); header.len()]).replace(' ', "");
    rows.into_iter()
        .for_each(|row| text += &line(row.into_iter().map(|cell| cell.replace('|', "\\|")).collect()));
    text
}

/// What is said of an entry below its heading: names and what they say; nothing where that is empty.
type Facts = Vec<(&'static str, String)>;

/// An entry of a registry.
struct Described {
    name: &'static str,
    about: &'static str,
    paper: &'static str,
    facts: Facts,
}

fn listed(all: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    all.into_iter().map(|name| code(name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// All recipes where they are few, else the first few.
fn some(recipes: &[&str]) -> String {
    const FEW: usize = 12;
    match recipes.len() {
        0..=FEW => listed(recipes),
        many => format!("{many}, such as {}", listed(&recipes[..FEW / 2])),
    }
}

fn first_masks(start: Start) -> &'static str {
    match start {
        Start::Dense => "all weights",
        Start::Random => "drawn at random",
        Start::Zeros => "the weights that do not start at 0",
        Start::Initial => "drawn at random with density `init`, or all weights",
    }
}

fn method(entry: &Entry, results: &str) -> Described {
    let recipes = recipes_of(entry.name);
    let facts = vec![
        ("Recipes", listed(recipes.iter().map(Ready::label))),
        ("Settings of its own", settings(&(entry.settings)())),
        ("Order of a step", entry.order.iter().map(word).collect::<Vec<_>>().join(", ")),
        ("First masks", first_masks(entry.start).into()),
        ("Distribution unless set", code(&word(entry.distribution))),
        ("Test accuracy", results_of(results, &recipes)),
    ];
    Described { name: entry.name, about: entry.about, paper: entry.paper, facts }
}

fn optimizer(entry: &optim::Entry, results: &str) -> Described {
    let uses = |recipe: &&str| {
        Recipe::find(recipe, &[]).unwrap_or_else(|e| panic!("{recipe}: {e}")).optim.name == entry.name
    };
    let recipes: Vec<&str> = BUILT_IN.iter().map(|(recipe, _)| *recipe).filter(uses).collect();
    let facts = vec![
        ("Recipes", if recipes.is_empty() { "any, with `-s optim=...`".into() } else { some(&recipes) }),
        ("Settings of its own", settings(&(entry.settings)())),
        ("Slots of each weight", listed(entry.slots)),
        ("Test accuracy, dense", reached_by(results, entry.name)),
    ];
    Described { name: entry.name, about: entry.about, paper: entry.paper, facts }
}

fn distillation(entry: &distill::Entry, results: &str) -> Described {
    let uses = |recipe: &&str| {
        Recipe::find(recipe, &[]).unwrap_or_else(|e| panic!("{recipe}: {e}")).distill.method == entry.name
    };
    let recipes: Vec<&str> = BUILT_IN.iter().map(|(recipe, _)| *recipe).filter(uses).collect();
    let found: Vec<String> = recipes.iter().filter_map(|recipe| confidence(results, recipe)).collect();
    // Most recipes distil nothing: it is the table of results that tells which of them to compare with.
    let named = if entry.name == "none" { "all others".into() } else { listed(recipes) };
    let facts = vec![
        ("Recipes", named),
        ("Settings of its own", settings(&(entry.settings)())),
        ("On test images", if found.is_empty() { "not run".into() } else { found.join("; ") }),
    ];
    Described { name: entry.name, about: entry.about, paper: entry.paper, facts }
}

/// A chapter's table: what there is, and after which paper. Names lead to their sections.
fn index(what: &str, all: &[Described]) -> String {
    // A heading that was there before has a number behind it.
    let is_second = |name: &str| what == "distillation" && methods::ALL.iter().any(|one| one.name == name);
    let link = |name: &str| format!("[{}](#{name}{})", code(name), if is_second(name) { "-1" } else { "" });
    let row = |one: &Described| vec![link(one.name), one.about.into(), one.paper.into()];
    table(&[what, "what it does", "paper"], all.iter().map(row).collect())
}

/// The lines below a heading.
fn facts(one: &Described) -> String {
    let told = one.facts.iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| format!("- {name}: {text}\n")).collect()
}

/// `text` with `table` in place of what stands between the markers of `name`.
fn replaced(text: &str, name: &str, table: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- begin {name}, generated -->\n"), format!("<!-- end {name} -->"));
    let parts = text.split_once(&begin).and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = parts.ok_or_else(|| format!("the lines `{begin}` and `{end}` are missing"))?;
    Ok(format!("{head}{begin}\n{table}\n{end}{tail}"))
}

/// The sections of a chapter: names and texts, in order.
fn sections<'a>(text: &'a str, chapter: &str) -> Vec<(&'a str, &'a str)> {
    let text = text.split_once(&format!("\n## {chapter}\n")).map_or("", |(_, rest)| rest);
    let text = text.split("\n## ").next().unwrap_or_default();
    let parts = text.split("\n### `").skip(1);
    parts.filter_map(|part| part.split_once('`')).collect()
}

/// What is wrong with the sections of a chapter, in words that say what to write.
fn faults(text: &str, chapter: &str, names: &[&str], parts: &[&str]) -> Vec<String> {
    let found = sections(text, chapter);
    let mut all = Vec::new();
    for name in names {
        match found.iter().find(|(heading, _)| heading == name) {
            None => all.push(format!(
                "`{name}` has no section under \"## {chapter}\": write \"### `{name}`\" with {}",
                parts.join(", ")
            )),
            Some((_, section)) => all.extend(
                parts
                    .iter()
                    .filter(|part| !section.contains(**part))
                    .map(|part| format!("the section \"### `{name}`\" lacks {part}")),
            ),
        }
    }
    let strangers = found.iter().filter(|(heading, _)| !names.contains(heading));
    all.extend(strangers.map(|(heading, _)| {
        format!("\"### `{heading}`\" under \"## {chapter}\" is in no registry: remove or rename it")
    }));
    all
}

#[test]
fn the_tables_are_those_of_the_registries() {
    let (old, results) = (read("METHODS.md"), read("results.md"));
    let chapters = [
        ("methods", "method", methods::ALL.iter().map(|entry| method(entry, &results)).collect()),
        ("optimizers", "optimizer", optim::ALL.iter().map(|entry| optimizer(entry, &results)).collect()),
        (
            "distillation",
            "distillation",
            distill::ALL.iter().map(|entry| distillation(entry, &results)).collect::<Vec<_>>(),
        ),
    ];
    let mut new = old.clone();
    for (name, what, all) in chapters {
        let parts = std::iter::once((name.to_string(), index(what, &all)))
            .chain(all.iter().map(|one| (format!("{what} {}", one.name), facts(one))));
        for (name, text) in parts {
            new = replaced(&new, &name, &text).unwrap_or_else(|what| panic!("docs/METHODS.md: {what}"));
        }
    }
    keep("METHODS.md", &old, &new);
}

/// Holds a page against what it should say, or rewrites it.
fn keep(page: &str, old: &str, new: &str) {
    if new == old {
        return;
    }
    if std::env::var_os("COPPICE_BLESS").is_some() {
        fs::write(docs(page), new).unwrap();
        return;
    }
    let line = new.lines().find(|line| !old.contains(line)).unwrap_or("a line too many");
    panic!(
        "tables and lists of docs/{page} are not those of the registries, recipes and docs/results.md\n  \
         the first new line: {line}\n  try: COPPICE_BLESS=1 cargo test --test methods, and read the difference"
    );
}

#[test]
fn the_table_of_presets_has_all_settings() {
    let old = read("guide/networks.md");
    let setting = |(key, value): (&str, Option<Value>)| {
        code(&value.map_or(format!("{key} = [..]"), |value| format!("{key} = {value}")))
    };
    let row = |preset: Usage| {
        let settings: Vec<String> = preset.settings.into_iter().map(setting).collect();
        vec![code(preset.name), settings.join(", ")]
    };
    let rows = presets::usages().into_iter().map(row).collect();
    let new = replaced(&old, "presets", &table(&["preset", "settings, with their defaults"], rows)).unwrap();
    keep("guide/networks.md", &old, &new);
}

#[test]
fn every_entry_has_its_section() {
    let text = read("METHODS.md");
    let names: Vec<&str> = methods::ALL.iter().map(|entry| entry.name).collect();
    let mut all = faults(&text, "Pruning methods", &names, &OF_METHODS);
    let names: Vec<&str> = optim::ALL.iter().map(|entry| entry.name).collect();
    all.extend(faults(&text, "Optimizers", &names, &OF_OPTIMIZERS));
    let names: Vec<&str> = distill::ALL.iter().map(|entry| entry.name).collect();
    all.extend(faults(&text, "Distillation", &names, &OF_DISTILLATION));
    assert!(all.is_empty(), "docs/METHODS.md:\n  {}", all.join("\n  "));
}

#[test]
fn every_method_has_a_recipe_that_stands_for_it() {
    let missing: Vec<&str> =
        methods::ALL.iter().map(|entry| entry.name).filter(|name| recipes_of(name).is_empty()).collect();
    assert!(
        missing.is_empty(),
        "no built-in recipe stands for {missing:?}\n  try: a file in assets/recipes with `method = \"NAME\"` and a line \
         in src/recipe/built_in.rs, or an opening comment of a recipe that offers `-s sparsity.method=NAME`"
    );
    for entry in methods::ALL {
        for ready in recipes_of(entry.name) {
            assert_eq!(ready.read().sparsity.method, entry.name, "{}", ready.label());
        }
    }
    let strangers = BUILT_IN.iter().flat_map(|(recipe, text)| offered(text).map(move |o| (recipe, o)));
    for (recipe, offer) in strangers {
        assert!(
            methods::ALL.iter().any(|entry| entry.name == offer),
            "{recipe} offers `{offer}`: no such method"
        );
    }
}

#[test]
fn what_is_missing_is_found() {
    let text = "# X\n\n## A\n\n### `one`\n\n**Formula.** w\n\n### `two`\n\nnothing\n\n## B\n\n### `three`\n\n**Formula.**\n";
    assert!(faults(text, "B", &["three"], &OF_OPTIMIZERS).is_empty());
    let found = faults(text, "A", &["one", "two", "four"], &OF_OPTIMIZERS).join("\n");
    assert!(found.contains("the section \"### `two`\" lacks **Formula.**"), "{found}");
    assert!(found.contains("`four` has no section under \"## A\""), "{found}");
    assert!(!found.contains("one") && !found.contains("three"), "{found}");
    assert!(faults(text, "A", &["one"], &OF_OPTIMIZERS)[0].contains("is in no registry"));

    let marked = "a\n<!-- begin t, generated -->\nold\n<!-- end t -->\nb\n";
    let new = replaced(marked, "t", "| new |\n").unwrap();
    assert!(
        new.starts_with("a\n")
            && new.ends_with("\nb\n")
            && new.contains("\n| new |\n")
            && !new.contains("old")
    );
    assert_eq!(replaced(&new, "t", "| new |\n").unwrap(), new, "replacing twice changes nothing");
    assert!(replaced("a", "t", "").is_err());

    let results = "| recipe | seed 1 | mean |\n|---|---|---|\n| `r` | 1 % | **2 %** |\n\n| other | mean |\n|---|---|\n| `r` | 3 % |\n\
        | `q -s sparsity.method=x` | 4 % |\n\n| recipe | error, seeds | mean |\n|---|---|---|\n| `e` | 5 % | 5 % |\n| `f` | 5 % | 5 % |\n\n\
        | recipe | mean |\n|---|---|\n| `f` | 6 % |\n";
    let reached = |recipe, is_own| reached(results, &Ready { recipe, method: "x", is_own });
    assert_eq!(reached("r", true).as_deref(), Some("2 %"), "the first table counts");
    assert_eq!((reached("q", false).as_deref(), reached("q", true).as_deref()), (Some("4 %"), Some("4 %")));
    assert_eq!((reached("r", false), reached("p", true)), (None, None));
    assert_eq!(reached("e", true), None, "an error is no accuracy");
    assert_eq!(reached("f", true).as_deref(), Some("6 %"), "nor does it stand before one");

    let results = "`docs/results.sh one`:\n\n| recipe | mean |\n|---|---|\n| `digits-rigl-90` | 1 % |\n| `digits-dense` | 2 % |\n\n\
        Of `docs/results.sh one` and `docs/results.sh two`:\n\n| recipe | mean |\n|---|---|\n| dense | 3 % |\n\
        | `digits-dense -s optim.name=adam` | **4 %** |\n| `digits-gmp-90 -s optim.name=nadam` | 5 % |\n\
        | `digits-gmp-90 -s sparsity={method=\"none\"} -s optim={name=\"adamw\",lr=0.001}` | 6 % |\n\n\
        | recipe | error, seeds | mean | NLL | ECE |\n|---|---|---|---|---|\n| `digits-dense` | 8, 8 % | 8 % | 0.1 | 9 % |\n";
    assert_eq!(reached_by(results, "sgd"), "2 % on digits (`digits-dense`)", "a pruned network is not dense");
    let (adam, nadam) = (reached_by(results, "adam"), reached_by(results, "nadam"));
    assert_eq!(adam, "4 % on digits (`digits-dense -s optim.name=adam` of `docs/results.sh two`)");
    assert_eq!(nadam, "not run");
    assert!(reached_by(results, "adamw").starts_with("6 % on digits (`digits-gmp-90 -s sparsity="));
    let told = confidence(results, "digits-dense");
    assert_eq!(told.as_deref(), Some("error 8 %, NLL 0.1, ECE 9 % on digits (`digits-dense`)"));
    assert_eq!(confidence(results, "digits-rigl-90"), None);
    assert_eq!(
        offered("# a\n# -s sparsity.method=x|y says\n\n# -s sparsity.method=z\n").collect::<Vec<_>>(),
        ["x", "y"]
    );
}
