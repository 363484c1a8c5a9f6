//! Settings of `[data]` beside name and share: how files are read and what their values mean.

use std::ops::RangeInclusive;

use toml::{Table, Value};

use super::statistics::Moments;
use super::tokens::Order;
use super::{Entry, Source};
use crate::error::{Error, Result};
use crate::recipe::{Settings, named};

/// Keys of sets whose values may be scaled otherwise.
pub const SCALED: &[&str] = &["mean", "deviation"];

/// Keys of sets of pictures.
pub const PICTURES: &[&str] = &["size", "mean", "deviation"];

/// The largest side of a picture.
pub const LARGEST_SIDE: usize = 16384;

/// Channels of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Grey,
    Rgb,
}

impl Colour {
    const ALL: &[Colour] = &[Colour::Grey, Colour::Rgb];

    pub fn name(self) -> &'static str {
        match self {
            Colour::Grey => "grey",
            Colour::Rgb => "rgb",
        }
    }
}

/// How a picture comes to another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Height and width each by themselves.
    #[default]
    Stretch,
    /// Both alike, until the picture fills the size; then what juts out is cut off, on both sides alike.
    Crop,
}

impl Fit {
    const ALL: &[Fit] = &[Fit::Stretch, Fit::Crop];

    fn name(self) -> &'static str {
        match self {
            Fit::Stretch => "stretch",
            Fit::Crop => "crop",
        }
    }
}

/// What a text is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Bytes,
    Characters,
}

impl Unit {
    const ALL: &[Unit] = &[Unit::Bytes, Unit::Characters];

    fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "bytes",
            Unit::Characters => "characters",
        }
    }
}

impl Order {
    const ALL: &[Order] = &[Order::Shuffled, Order::Streams];

    fn name(self) -> &'static str {
        match self {
            Order::Shuffled => "shuffled",
            Order::Streams => "streams",
        }
    }
}

/// What a recipe says; what it leaves open is `None`, and is then seen from the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// (height, width).
    pub size: Option<[usize; 2]>,
    pub fit: Fit,
    pub colour: Option<Colour>,
    /// Whether damaged files are left out, and counted, or refused.
    pub skip_damaged: bool,
    /// The share of each class, or of a text its end, that is for testing, of a set without a test part.
    pub test: f64,
    pub unit: Unit,
    /// A file that says how a text is cut, in place of `unit`.
    pub tokenizer: Option<String>,
    /// Tokens of a window.
    pub context: usize,
    pub order: Order,
    /// The number of different tokens.
    pub vocabulary: Option<usize>,
    /// Characters that a source or a target may have; pairs with more are left out.
    pub longest: Option<usize>,
    /// The column of a table that holds the labels.
    pub label: Option<String>,
    /// Whether the first line of a table names its columns.
    pub header: Option<bool>,
    /// Classes and training samples of random numbers.
    pub classes: usize,
    pub samples: usize,
    pub moments: Option<Moments>,
    /// The tokens of the run whose network is to read the set; no key of a recipe.
    pub known: Option<Vocabulary>,
}

/// How a run has read its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// What each token is called.
    pub names: Vec<String>,
    /// Of pairs, the tokens of a source, and those of a target with its end.
    pub pair: Option<[usize; 2]>,
}

impl Vocabulary {
    /// Refuses a set of other tokens. Those of a set without names are known by their numbers alone.
    pub(super) fn check(&self, source: &Source) -> Result<()> {
        if source.class_names.is_empty() || source.class_names == self.names {
            return Ok(());
        }
        let first = |names: &[String]| {
            let some = names.iter().take(5).map(|name| format!("`{}`", name.escape_debug()));
            format!("{} tokens, {} ...", names.len(), some.collect::<Vec<_>>().join(" "))
        };
        Err(Error::data(format!("data set `{}` has other tokens than the run", source.name))
            .at(format!("expected: {}; found: {}", first(&self.names), first(&source.class_names)))
            .hint("data of the same kind as the run's, cut in the same way (data.unit, data.tokenizer)"))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: None,
            fit: Fit::Stretch,
            colour: None,
            skip_damaged: false,
            test: 0.2,
            unit: Unit::Bytes,
            tokenizer: None,
            context: 128,
            order: Order::Shuffled,
            vocabulary: None,
            longest: None,
            label: None,
            header: None,
            classes: 10,
            samples: 256,
            moments: None,
            known: None,
        }
    }
}

impl Options {
    /// # Errors
    /// `Kind::Usage` for keys that the set does not take, and for values out of range.
    pub fn read(entry: &Entry, settings: &Settings) -> Result<Options> {
        settings.only(&format!("data set `{}`", entry.name), entry.keys)?;
        let mut default = Options::default();
        if entry.keys.contains(&"context") {
            default.test = 0.1; // a text has many tokens
        }
        let size =
            settings.optional("size", "a side, such as 64, or [height, width], each 1 to 16384", size)?;
        let test = settings.optional("test", "a number between 0 and 1", |v| {
            v.as_float().filter(|share| *share > 0.0 && *share < 1.0)
        })?;
        let word = |value: &Value| value.as_str().filter(|word| !word.is_empty()).map(String::from);
        let tokenizer = settings.optional("tokenizer", "the path of a tokenizer.json, in quotes", word)?;
        let unit = choice(settings, "unit", "unit", Unit::ALL, Unit::name)?;
        if let (Some(_), Some(unit)) = (&tokenizer, unit) {
            let error = Error::usage("`data.unit` and `data.tokenizer` both say how the text is cut");
            return Err(settings
                .locate("unit", error.at(format!("data.unit = \"{}\"", unit.name())))
                .hint("one of them"));
        }
        Ok(Options {
            size,
            fit: choice(settings, "fit", "way to fit", Fit::ALL, Fit::name)?.unwrap_or_default(),
            colour: choice(settings, "colour", "colour", Colour::ALL, Colour::name)?,
            skip_damaged: settings
                .optional("skip_damaged", "true or false", Value::as_bool)?
                .unwrap_or(default.skip_damaged),
            test: test.unwrap_or(default.test),
            unit: unit.unwrap_or_default(),
            tokenizer,
            context: number(settings, "context", 1..=1 << 20)?.unwrap_or(default.context),
            order: choice(settings, "order", "order", Order::ALL, Order::name)?.unwrap_or(default.order),
            vocabulary: number(settings, "vocabulary", 2..=1 << 24)?,
            longest: number(settings, "longest", 1..=1 << 20)?,
            label: settings.optional("label", "the name of a column, in quotes", word)?,
            header: settings.optional("header", "true or false", Value::as_bool)?,
            classes: number(settings, "classes", 2..=65536)?.unwrap_or(default.classes),
            samples: number(settings, "samples", 2..=1 << 24)?.unwrap_or(default.samples),
            moments: moments(settings)?,
            known: None,
        })
    }
}

/// Every key that a set takes and that has a default, written out.
pub fn complete(entry: &Entry, settings: &Settings) -> Result<Settings> {
    let options = Options::read(entry, settings)?;
    let all: [(&str, Value); 8] = [
        ("fit", options.fit.name().into()),
        ("skip_damaged", options.skip_damaged.into()),
        ("test", options.test.into()),
        ("unit", options.unit.name().into()),
        ("context", Value::Integer(options.context as i64)),
        ("order", options.order.name().into()),
        ("classes", Value::Integer(options.classes as i64)),
        ("samples", Value::Integer(options.samples as i64)),
    ];
    let is_cut = |key: &str| key == "unit" && options.tokenizer.is_some();
    let taken = all.into_iter().filter(|(key, _)| entry.keys.contains(key) && !is_cut(key));
    let defaults: Table = taken.map(|(key, value)| (key.to_string(), value)).collect();
    Ok(settings.completed(&defaults))
}

fn choice<T: Copy>(
    settings: &Settings,
    key: &str,
    what: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>> {
    let word = settings.optional(key, "a word in quotes", |value| value.as_str().map(String::from))?;
    let found = word.map(|word| named(what, &word, all, name));
    found.transpose().map_err(|error| settings.locate(key, error))
}

fn number(settings: &Settings, key: &str, range: RangeInclusive<i64>) -> Result<Option<usize>> {
    let expected = format!("a whole number from {} to {}", range.start(), range.end());
    let within = |value: &Value| value.as_integer().filter(|number| range.contains(number));
    Ok(settings.optional(key, &expected, within)?.map(|number| number as usize))
}

fn size(value: &Value) -> Option<[usize; 2]> {
    let side = |value: &Value| {
        value.as_integer().and_then(|i| usize::try_from(i).ok()).filter(|i| (1..=LARGEST_SIDE).contains(i))
    };
    match value.as_array().map(Vec::as_slice) {
        None => side(value).map(|side| [side, side]),
        Some([height, width]) => Some([side(height)?, side(width)?]),
        Some(_) => None,
    }
}

fn moments(settings: &Settings) -> Result<Option<Moments>> {
    let list = |value: &Value| -> Option<Vec<f64>> {
        let number = |v: &Value| v.as_float().or(v.as_integer().map(|i| i as f64)).filter(|x| x.is_finite());
        match value.as_array() {
            Some(all) => all.iter().map(number).collect::<Option<Vec<f64>>>().filter(|list| !list.is_empty()),
            None => number(value).map(|one| vec![one]),
        }
    };
    let mean = settings.optional("mean", "a number for all channels, or a list with one for each", list)?;
    let expected = "a number above 0 for all channels, or a list with one for each";
    let positive = |value: &Value| list(value).filter(|list| list.iter().all(|x| *x > 0.0));
    let deviation = settings.optional("deviation", expected, positive)?;
    match (mean, deviation) {
        (None, None) => Ok(None),
        (Some(mean), Some(deviation)) if mean.len() == deviation.len() => {
            Ok(Some(Moments { mean, deviation }))
        }
        (Some(mean), Some(deviation)) => {
            let error = Error::usage("`data.mean` and `data.deviation` differ in number").at(format!(
                "expected: as many; found: {} and {}",
                mean.len(),
                deviation.len()
            ));
            Err(settings.locate("deviation", error))
        }
        (mean, _) => {
            let (written, other) = if mean.is_some() { ("mean", "deviation") } else { ("deviation", "mean") };
            let error = Error::usage(format!("`data.{written}` stands without `data.{other}`"));
            Err(settings.locate(written, error).hint("both, or neither"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;

    fn read(name: &str, text: &str) -> Result<Options> {
        let entry = ALL.iter().find(|entry| entry.name == name).unwrap();
        Options::read(entry, &toml::from_str::<Table>(text).unwrap().into())
    }

    #[test]
    fn what_is_written_is_read() {
        let all = "size = [3, 5]\nfit = 'crop'\ncolour = 'grey'\nskip_damaged = true\ntest = 0.5\n\
                   mean = [0.5]\ndeviation = [1]";
        let want = Options {
            size: Some([3, 5]),
            fit: Fit::Crop,
            colour: Some(Colour::Grey),
            skip_damaged: true,
            test: 0.5,
            moments: Some(Moments::one(0.5, 1.0)),
            ..Options::default()
        };
        assert_eq!(read("images", all).unwrap(), want);
        assert_eq!(read("images", "size = 7").unwrap().size, Some([7, 7]));
        assert_eq!(read("csv", "label = 'x'\nheader = true").unwrap().label.as_deref(), Some("x"));
        assert_eq!(read("digits", "").unwrap(), Options::default());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (name, text, words) in [
            ("random", "size = 8", "unknown key `size` of data set `random`"),
            ("images", "sise = 8", "did you mean `size`?"),
            ("images", "size = 0", "wrong value for `size`"),
            ("images", "size = [1, 2, 3]", "wrong value for `size`"),
            ("images", "size = 16385", "wrong value for `size`"),
            ("images", "colour = 'gray'", "did you mean `grey`?"),
            ("images", "test = 1.0", "wrong value for `test`"),
            ("images", "mean = [0.5]", "`data.mean` stands without `data.deviation`"),
            ("images", "deviation = [0.5]", "`data.deviation` stands without `data.mean`"),
            ("images", "mean = [0.5]\ndeviation = [0.0]", "wrong value for `deviation`"),
            ("images", "mean = [0.5]\ndeviation = [1.0, 1.0]", "found: 1 and 2"),
            ("images", "mean = []\ndeviation = []", "wrong value for `mean`"),
            ("csv", "header = 1", "wrong value for `header`"),
            ("text", "tokenizer = ''", "wrong value for `tokenizer`"),
            ("pairs", "longest = 0", "wrong value for `longest`"),
        ] {
            let error = read(name, text).expect_err(text);
            assert_eq!(error.kind, crate::error::Kind::Usage);
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn defaults_are_written_out() {
        let entry = ALL.iter().find(|entry| entry.name == "images").unwrap();
        let all = complete(entry, &Settings::default()).unwrap();
        assert_eq!(all.values().to_string(), "fit = \"stretch\"\nskip_damaged = false\ntest = 0.2\n");
        assert_eq!(complete(entry, &all).unwrap(), all);
    }
}
