//! What pruning did to a network: statistics of its tensors, as a table and as JSON.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::recipe::glob;
use crate::report::channels::{self, Channels};
use crate::report::fit::TextTable;
use crate::report::groups::{self, Group};
use crate::report::mask;
use crate::report::stats::{self, Conformance, Pattern, Quantiles};
use crate::store::Arrays;

pub use crate::report::diff::diff;
pub use crate::report::load::load_any;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// `*` and `?` in the name of a layer (`fc*`) or of a tensor (`fc*.weight`).
    pub layer: Option<String>,
    pub patterns: Vec<Pattern>,
    /// Also arrays that belong to another one: `fc1.weight.momentum` beside `fc1.weight`. Never masks.
    pub companions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { layer: None, patterns: Pattern::COMMON.to_vec(), companions: false }
    }
}

/// Statistics of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub total: usize,
    pub kept: usize,
    /// `1 - kept / total`; 0 for a tensor without entries.
    pub sparsity: f64,
    /// Whether a mask says what is kept, or the zeros do.
    pub masked: bool,
    /// Of the tensor flattened to `(out, rest)`; `None` below rank 2, as for the two that follow.
    pub empty_rows: Option<usize>,
    pub empty_columns: Option<usize>,
    pub patterns: Option<Vec<Conformance>>,
    /// Of a convolution's weight, (out, in, height, width).
    pub channels: Option<Channels>,
    pub magnitude: Option<Quantiles>,
    /// Over all finite entries.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub nan: usize,
    pub inf: usize,
}

/// Statistics of the tensors of a network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    pub schema: u32,
    /// Of the tensors of rank 2 and more: weights, not biases.
    pub total: usize,
    pub kept: usize,
    pub sparsity: f64,
    pub tensors: Vec<Tensor>,
    /// Weights of repeated blocks, by what they are there, and by block.
    pub kinds: Vec<Group>,
    pub blocks: Vec<Group>,
}

/// Computes the statistics.
///
/// # Errors
/// `Kind::Usage` when the pattern of names matches nothing, `Kind::Checkpoint` when a mask does not fit.
pub fn inspect(arrays: &Arrays, options: &Options) -> Result<Inspection> {
    let names = selected(arrays, options);
    if let (Some(layer), true) = (&options.layer, names.is_empty()) {
        let all = selected(arrays, &Options { layer: None, ..options.clone() });
        return Err(Error::usage(format!("no layer or tensor matches {layer:?}"))
            .at(format!("tensors: {}", all.join(" "))));
    }
    let tensors: Vec<Tensor> =
        names.into_iter().map(|name| tensor(arrays, name, &options.patterns)).collect::<Result<_>>()?;
    let weights = || tensors.iter().filter(|tensor| tensor.shape.len() > 1);
    let (total, kept) = (weights().map(|t| t.total).sum(), weights().map(|t| t.kept).sum());
    let (kinds, blocks) = (groups::kinds(&tensors), groups::blocks(&tensors));
    Ok(Inspection { schema: 1, total, kept, sparsity: sparsity(kept, total), tensors, kinds, blocks })
}

/// A key that puts `blocks.2` before `blocks.10`: texts and numbers in turn.
fn in_order(name: &str) -> Vec<(&str, u64)> {
    let runs = name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let mut at = 0;
    let mut key = Vec::new();
    for run in runs {
        let text = &name[at..at + run.len()];
        at += run.len();
        key.push(text.parse().map_or((text, 0), |number| ("", number)));
    }
    key
}

/// The names of the tensors that the options select, numbers in them by their size.
pub fn selected<'a>(arrays: &'a Arrays, options: &Options) -> Vec<&'a str> {
    let matches = |name: &str| {
        let layer = name.rsplit_once('.').map_or(name, |(layer, _)| layer);
        options.layer.as_ref().is_none_or(|pattern| glob(pattern, name) || glob(pattern, layer))
    };
    let mut names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    names.sort_by_key(|name| in_order(name));
    names
        .into_iter()
        .filter(|name| match mask::owner(arrays, name) {
            Some(owner) => options.companions && *name != format!("{owner}{}", mask::SUFFIX),
            // PyTorch's count of batches is neither weight nor statistic.
            None => options.companions || !name.ends_with(".num_batches_tracked"),
        })
        .filter(|name| matches(name))
        .collect()
}

fn tensor(arrays: &Arrays, name: &str, patterns: &[Pattern]) -> Result<Tensor> {
    let array = &arrays[name];
    let shape = &array.shape;
    let values = array.to_f32();
    let flags = mask::kept(arrays, name, &values)?;
    let (total, kept) = (flags.len(), flags.iter().filter(|kept| **kept).count());
    let empty = (shape.len() > 1).then(|| stats::empty_rows_and_columns(shape, &flags));
    let conformances = || patterns.iter().map(|&p| stats::conformance(shape, &flags, p)).collect();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    Ok(Tensor {
        name: name.to_string(),
        shape: shape.clone(),
        total,
        kept,
        sparsity: sparsity(kept, total),
        masked: arrays.contains_key(&format!("{name}{}", mask::SUFFIX)),
        empty_rows: empty.map(|(rows, _)| rows),
        empty_columns: empty.map(|(_, columns)| columns),
        patterns: (shape.len() > 1).then(conformances),
        channels: Channels::of(shape, &flags),
        magnitude: stats::quantiles(&values, &flags),
        min: finite().reduce(f32::min).map(f64::from),
        max: finite().reduce(f32::max).map(f64::from),
        nan: values.iter().filter(|value| value.is_nan()).count(),
        inf: values.iter().filter(|value| value.is_infinite()).count(),
    })
}

pub(super) fn sparsity(kept: usize, total: usize) -> f64 {
    if total == 0 { 0.0 } else { (total - kept) as f64 / total as f64 }
}

impl Inspection {
    /// A table for people. With one or two patterns it gives the share of groups that conform to each; with more
    /// it names those to which all groups do. Below it stand weights of repeated blocks by kind and by block, and what
    /// convolutions keep of each filter and input channel.
    pub fn table(&self) -> String {
        let heads = ["tensor", "shape", "total", "kept", "sparsity", "empty\nrows", "empty\ncols", "N:M"];
        let numbers = ["|w| 5 %", "50 %", "95 %", "max"];
        let is_broken = self.tensors.iter().any(|tensor| tensor.nan + tensor.inf > 0);
        let broken = is_broken.then_some("NaN/Inf");
        let mut table = new_table(heads.into_iter().chain(numbers).chain(broken), 2);
        table.break_before(heads.len());
        for tensor in &self.tensors {
            let count = |count: Option<usize>| count.map_or("-".into(), |count| count.to_string());
            let size = |pick: fn(&Quantiles) -> f64| {
                tensor.magnitude.as_ref().map_or("-".into(), |q| number(pick(q)))
            };
            let mut row = vec![
                tensor.name.clone(),
                shape_text(&tensor.shape),
                tensor.total.to_string(),
                tensor.kept.to_string(),
                percent(tensor.sparsity),
                count(tensor.empty_rows),
                count(tensor.empty_columns),
                tensor.patterns.as_deref().map_or("-".into(), patterns_text),
                size(|q| q.p5),
                size(|q| q.p50),
                size(|q| q.p95),
                size(|q| q.p100),
            ];
            if is_broken {
                let [nan, inf] = [tensor.nan, tensor.inf];
                row.push(if nan + inf == 0 { "-".into() } else { format!("{nan}/{inf}") });
            }
            table.add_row(row);
        }
        let (total, kept) = (self.total.to_string(), self.kept.to_string());
        table.add_row(["all of rank 2 and more", "", &total, &kept, &percent(self.sparsity)]);
        let convolutions =
            self.tensors.iter().filter_map(|tensor| Some((&*tensor.name, tensor.channels.as_ref()?)));
        let tables = [
            Some(table.to_string()),
            groups::table("kind", &self.kinds),
            groups::table("block", &self.blocks),
            channels::table(convolutions),
        ];
        tables.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }
}

/// A plain table whose columns from `left` on are numbers.
pub(super) fn new_table<'a>(heads: impl Iterator<Item = &'a str>, left: usize) -> TextTable {
    TextTable::new(&heads.collect::<Vec<_>>(), left)
}

fn patterns_text(patterns: &[Conformance]) -> String {
    let text: Vec<String> = match patterns {
        [_] | [_, _] => patterns.iter().map(|p| format!("{} {}", p.pattern, percent(p.share))).collect(),
        _ => patterns.iter().filter(|p| p.share == 1.0).map(|p| p.pattern.to_string()).collect(),
    };
    if text.is_empty() { "-".into() } else { text.join(" ") }
}

pub(super) fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// Never shown as 100 % or 0 % unless it is.
pub fn percent(share: f64) -> String {
    let text = format!("{:.2} %", share * 100.0);
    match text.as_str() {
        "100.00 %" if share < 1.0 => "<100 %".into(),
        "0.00 %" if share > 0.0 => ">0 %".into(),
        _ => text,
    }
}

pub(super) fn number(value: f64) -> String {
    if value == 0.0 || (1e-3..1e4).contains(&value.abs()) {
        format!("{value:.4}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::store::Array;

    pub(super) fn network() -> Arrays {
        Arrays::from([
            ("fc1.bias".into(), Array::f32([2], &[0.5, 0.0])),
            ("fc1.weight".into(), Array::f32([2, 4], &[1.0, 0.0, -2.0, 0.0, 0.0, 0.0, f32::NAN, 9.0])),
            ("fc1.weight.mask".into(), Array::u32([1], &[0b0100_0101])),
            ("fc1.weight.momentum".into(), Array::f32([2, 4], &[0.1; 8])),
            ("head.weight".into(), Array::f32([1, 2], &[3.0, -4.0])),
            ("lonely.mask".into(), Array::u32([1], &[5])),
        ])
    }

    #[test]
    fn a_masked_tensor() {
        let inspection = inspect(&network(), &Options::default()).unwrap();
        let names: Vec<&str> = inspection.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["fc1.bias", "fc1.weight", "head.weight", "lonely.mask"]);
        let fc1 = &inspection.tensors[1];
        assert_eq!((fc1.total, fc1.kept, fc1.sparsity, fc1.masked), (8, 3, 0.625, true));
        assert_eq!((fc1.empty_rows, fc1.empty_columns, fc1.nan, fc1.inf), (Some(0), Some(2), 1, 0));
        assert_eq!((fc1.min, fc1.max), (Some(-2.0), Some(9.0)));
        assert_eq!(fc1.magnitude.unwrap().p100, 2.0, "the masked 9 does not count");
        let share = |p: &str| {
            let pattern = Pattern::parse(p).unwrap();
            fc1.patterns.as_ref().unwrap().iter().find(|c| c.pattern == pattern).unwrap().share
        };
        assert_eq!((share("2:4"), share("1:4")), (1.0, 0.5));
        assert_eq!((inspection.tensors[0].kept, inspection.tensors[0].patterns.is_none()), (1, true));
        assert_eq!((inspection.total, inspection.kept, inspection.sparsity), (10, 5, 0.5));
    }

    #[test]
    fn selection() {
        let names = |layer: &str, companions| {
            let options = Options { layer: Some(layer.into()), companions, ..Options::default() };
            inspect(&network(), &options).map(|i| i.tensors.into_iter().map(|t| t.name).collect::<Vec<_>>())
        };
        assert_eq!(names("fc?", false).unwrap(), ["fc1.bias", "fc1.weight"]);
        assert_eq!(names("*.bias", false).unwrap(), ["fc1.bias"]);
        assert_eq!(names("*momentum", true).unwrap(), ["fc1.weight.momentum"]);
        let error = names("conv*", false).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.to_string().contains("head.weight"), "{error}");
    }

    #[test]
    fn json_and_table() {
        let inspection = inspect(&network(), &Options::default()).unwrap();
        let json = serde_json::to_value(&inspection).unwrap();
        assert_eq!((&json["schema"], &json["tensors"][1]["kept"]), (&1.into(), &3.into()));
        assert_eq!(json["tensors"][1]["patterns"][0]["pattern"], "1:2");
        assert_eq!(json["tensors"][1]["magnitude"]["p50"], 1.5);
        let table = inspection.table();
        let rows: Vec<&str> = table.lines().filter(|line| line.contains("fc1.weight")).collect();
        for word in ["2 x 4", "62.50 %", "1:2 2:4", "1/0"] {
            assert!(rows.concat().contains(word), "no {word:?} in {rows:?}");
        }
        assert!(table.lines().any(|line| line.contains("all of rank 2") && line.contains("50.00 %")));
        let two = Options { patterns: vec![Pattern::parse("1:4").unwrap()], ..Options::default() };
        assert!(inspect(&network(), &two).unwrap().table().contains("1:4 50.00 %"));
    }

    #[test]
    fn a_mask_that_does_not_fit() {
        let mut arrays = network();
        arrays.insert("fc1.weight.mask".into(), Array::u32([3], &[0; 3]));
        let error = inspect(&arrays, &Options::default()).unwrap_err();
        assert_eq!(error.kind, Kind::Checkpoint);
        assert!(error.to_string().contains("fc1.weight"), "{error}");
    }

    #[test]
    fn shares_are_not_rounded_to_certainty() {
        assert_eq!([1.0, 0.0, 0.999_999, 1e-9].map(percent), ["100.00 %", "0.00 %", "<100 %", ">0 %"]);
        assert_eq!([0.0, 0.5, 1e-7, -20_000.0].map(number), ["0.0000", "0.5000", "1.00e-7", "-2.00e4"]);
    }
}
