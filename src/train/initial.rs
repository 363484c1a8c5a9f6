//! The weights that a run starts with, where they come from a file: tensors matched to parameters by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::layout;
use super::outline::{extent, fitted};
use crate::data::Dataset;
use crate::error::{Error, Kind, Result};
use crate::nn::Model;
use crate::param::{Param, ParamSet};
use crate::recipe::Recipe;
use crate::store::array::Dtype;
use crate::store::{Array, Arrays, digest, safetensors};

/// Values before the first step, one tensor for each parameter, as PyTorch has them ([`layout`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Initial {
    arrays: Arrays,
}

/// Where a run's first weights came from, as its record has it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// As it was named on the command line.
    pub file: String,
    /// SHA-256 of names, shapes and values.
    pub sha256: String,
}

impl Initial {
    /// The file of a run's folder that keeps them, so that the run goes on without the file they came from.
    pub const FILE: &str = "init.safetensors";

    /// The tensor of each parameter of a recipe's model. Names match exactly, or all behind one prefix, such as `model.` or
    /// `module.`; layers that the file numbers, as PyTorch's `Sequential` does, are taken in their order; `fc1.weight_orig` beside `fc1.weight_mask`, as PyTorch's pruning stores a weight, is `fc1.weight`.
    ///
    /// # Errors
    /// `Kind::Checkpoint` with every tensor that is missing, unexpected, of another shape or of whole numbers;
    /// `Kind::Numbers` for values that are not finite.
    pub fn matched(arrays: Arrays, recipe: &Recipe, data: &Dataset) -> Result<Self> {
        let model = Model::new(&fitted(recipe, data).model, extent(data), data.classes, recipe.run.seed)?;
        let own = Self { arrays: matched(masked_by_torch(arrays)?, &model.params)? };
        own.check_finite()?;
        Ok(own)
    }

    /// The tensors, by the names of the parameters.
    pub fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// Keeps them in a run's folder.
    pub fn save(&self, run: &Path) -> Result<()> {
        safetensors::write(&run.join(Self::FILE), &self.arrays, &[("format", "pt")])
    }

    /// Those that a run's folder keeps.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where they are not what the run was started with.
    pub fn load(run: &Path, origin: &Origin) -> Result<Self> {
        let file = run.join(Self::FILE);
        let changed = |why: String| {
            Error::checkpoint("the weights that the run started with are not there any more")
                .at(format!("{}: {why}", file.display()))
                .at(format!("they came from {}", origin.file))
                .hint("start the run again under another name")
        };
        let own = Self { arrays: safetensors::read(&file).map_err(|e| changed(e.what().into()))? };
        if own.sha256() != origin.sha256 {
            return Err(changed(format!("expected: SHA-256 {}; found: {}", origin.sha256, own.sha256())));
        }
        Ok(own)
    }

    /// SHA-256 of names, shapes and values.
    pub fn sha256(&self) -> String {
        let mut hash = digest::Digest::new();
        for (name, array) in &self.arrays {
            hash.array(name, array);
        }
        hash.hex()
    }

    /// Whether some weight that may be pruned is 0.
    pub(super) fn has_zeros(&self, params: &ParamSet) -> bool {
        let has = |param: &Param| self.arrays.get(&param.name).is_some_and(|own| own.to_f32().contains(&0.0));
        params.iter().any(|param| param.prunable && has(param))
    }

    /// Lets the parameters of a model begin with them.
    pub(super) fn hand_out(&self, params: &mut ParamSet) -> Result<()> {
        for param in params.iter_mut() {
            let own = self.arrays.get(&param.name).and_then(|array| layout::to_device(param, array));
            let own = own.ok_or_else(|| {
                let shape = layout::shape_of(param);
                Error::checkpoint(format!("there is no initial `{}` of shape {shape:?}", param.name))
                    .hint("the recipe that these weights were matched with")
            })?;
            param.begin_with(own.to_f32());
        }
        Ok(())
    }

    fn check_finite(&self) -> Result<()> {
        let count = |array: &Array| array.to_f32().iter().filter(|value| !value.is_finite()).count();
        let counts = self.arrays.iter().map(|(name, array)| (name, count(array)));
        let broken: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        let Some((name, count)) = broken.first() else { return Ok(()) };
        let what = format!("{count} values of `{name}` are not finite numbers");
        let others = broken[1..].iter().map(|(name, count)| format!("{count} of `{name}`, too"));
        let error = others.fold(Error::new(Kind::Numbers, what), Error::at);
        Err(error
            .hint("weights from before training diverged; f64 values beyond the range of f32 count, too"))
    }
}

/// Weights as PyTorch's pruning stores them, times their masks, under the names that they have without.
fn masked_by_torch(mut arrays: Arrays) -> Result<Arrays> {
    let pruned: Vec<String> =
        arrays.keys().filter_map(|name| name.strip_suffix("_orig")).map(String::from).collect();
    for name in pruned {
        let (orig, mask) = (format!("{name}_orig"), format!("{name}_mask"));
        let (Some(values), Some(kept)) = (arrays.get(&orig), arrays.get(&mask)) else { continue };
        if values.shape != kept.shape {
            return Err(Error::checkpoint(format!("`{mask}` does not fit `{orig}`"))
                .at(format!("expected: {:?}; found: {:?}", values.shape, kept.shape)));
        }
        let product = |(value, kept): (f32, f32)| if kept == 0.0 { 0.0 } else { value };
        let values: Vec<f32> = values.to_f32().into_iter().zip(kept.to_f32()).map(product).collect();
        let array = Array::f32(kept.shape.clone(), &values);
        arrays.retain(|other, _| *other != orig && *other != mask);
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Layers that a file has by number, as PyTorch's `Sequential` does (`0.weight`, `2.weight`, or behind one prefix), by the
/// names that they have in a recipe, in the same order. Unchanged where tensors have other names, or the layers are not as
/// many with the same tensors each.
fn by_number(arrays: Arrays, params: &ParamSet) -> Arrays {
    let split = |name: &str| {
        let (layer, tensor) = name.rsplit_once('.')?;
        let (prefix, number) = layer.rsplit_once('.').unwrap_or(("", layer));
        Some((prefix.to_string(), number.parse::<u64>().ok()?, tensor.to_string()))
    };
    let mut numbered: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut prefixes = BTreeSet::new();
    for name in arrays.keys() {
        let Some((prefix, number, tensor)) = split(name) else { return arrays };
        prefixes.insert(prefix);
        numbered.entry(number).or_default().insert(tensor);
    }
    let mut layers: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for param in params {
        let Some((layer, tensor)) = param.name.rsplit_once('.') else { return arrays };
        match layers.last_mut().filter(|(last, _)| *last == layer) {
            Some((_, tensors)) => tensors.insert(tensor.into()),
            None => {
                layers.push((layer, BTreeSet::from([tensor.into()])));
                true
            }
        };
    }
    let fits = numbered.values().eq(layers.iter().map(|(_, tensors)| tensors));
    if prefixes.len() != 1 || !fits {
        return arrays;
    }
    let named: BTreeMap<u64, &str> =
        numbered.into_keys().zip(layers.iter().map(|(layer, _)| *layer)).collect();
    let renamed = |name: &str| {
        let (_, number, tensor) = split(name).expect("split before");
        format!("{}.{tensor}", named[&number])
    };
    arrays.into_iter().map(|(name, array)| (renamed(&name), array)).collect()
}

/// The tensor of each parameter, by the parameter's name.
fn matched(mut arrays: Arrays, params: &ParamSet) -> Result<Arrays> {
    // PyTorch counts batches beside running statistics; with a momentum nothing depends on how many there were.
    arrays.retain(|name, _| !name.ends_with(".num_batches_tracked"));
    let mut arrays = by_number(arrays, params);
    let prefix = prefix(&arrays, params);
    let mut all = Arrays::new();
    let mut mismatches = Vec::new();
    for param in params {
        let shape = layout::shape_of(param);
        match arrays.remove(&format!("{prefix}{}", param.name)) {
            None => mismatches.push(format!("missing: `{}` {shape:?}", param.name)),
            Some(array) => match (layout::to_device(param, &array), misfit(&array)) {
                (Some(own), None) => {
                    let own = Array::f32(own.shape.clone(), &own.to_f32());
                    all.insert(param.name.clone(), layout::param_to_torch(&param.name, &own));
                }
                (None, _) => mismatches.push(format!(
                    "`{prefix}{}`: expected shape {shape:?}; found: {:?}",
                    param.name, array.shape
                )),
                (_, Some(why)) => mismatches.push(format!("`{prefix}{}`: {why}", param.name)),
            },
        }
    }
    mismatches.extend(arrays.iter().map(|(name, array)| format!("unexpected: `{name}` {:?}", array.shape)));
    if mismatches.is_empty() {
        return Ok(all);
    }
    let what = "the weights do not fit the model of the recipe";
    let error = mismatches.into_iter().fold(Error::checkpoint(what), Error::at);
    Err(error.hint(
        "the recipe's layers, named and shaped as in the file: weights are (out, in), of convolutions (out, in of a group, height, width); `coppice inspect FILE` lists its tensors",
    ))
}

fn misfit(array: &Array) -> Option<String> {
    let is_real = matches!(array.dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
    (!is_real).then(|| format!("expected real numbers; found: {}", array.dtype.name()))
}

/// What stands before the names of most parameters in a file; nothing where as many match without.
fn prefix(arrays: &Arrays, params: &ParamSet) -> String {
    let before = |name: &str| {
        let own = params.iter().filter_map(|param| name.strip_suffix(param.name.as_str()));
        own.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')).map(String::from).collect::<Vec<_>>()
    };
    let prefixes: BTreeSet<String> = arrays.keys().flat_map(|name| before(name)).collect();
    let fits = |prefix: &str| {
        params.iter().filter(|param| arrays.contains_key(&format!("{prefix}{}", param.name))).count()
    };
    // In order of the names: of equals the first, which is the shorter one, wins.
    let best = prefixes.into_iter().rev().max_by_key(|prefix| fits(prefix));
    best.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::param::Param;

    const NAMES: [(&str, [usize; 2]); 2] = [("fc1.weight", [2, 3]), ("head.weight", [2, 2])];

    fn params() -> ParamSet {
        NAMES.iter().map(|(name, shape)| Param::new(name, shape, Box::new(|_| 0.0))).collect()
    }

    fn arrays(prefix: &str) -> Arrays {
        let array = |shape: [usize; 2]| Array::f32(shape, &vec![1.0; shape.iter().product()]);
        NAMES.iter().map(|(name, shape)| (format!("{prefix}{name}"), array(*shape))).collect()
    }

    #[test]
    fn names_match_exactly_or_behind_one_prefix() {
        for prefix in ["", "model.", "module.", "net.encoder."] {
            assert_eq!(matched(arrays(prefix), &params()).unwrap(), arrays(""), "{prefix}");
        }
        let mut both = arrays("");
        both.extend(arrays("ema."));
        let text = matched(both, &params()).unwrap_err().to_string();
        assert!(text.contains("unexpected: `ema.fc1.weight` [2, 3]") && !text.contains("missing"), "{text}");
    }

    #[test]
    fn numbered_layers_are_taken_in_order() {
        let renamed = |first: &str, second: &str| -> Arrays {
            let name = |name: String| name.replace("fc1", first).replace("head", second);
            arrays("").into_iter().map(|(key, array)| (name(key), array)).collect()
        };
        // 10 comes behind 2, whatever the order of letters.
        for (first, second) in [("0", "2"), ("layers.2", "layers.10"), ("net.0", "net.1")] {
            assert_eq!(matched(renamed(first, second), &params()).unwrap(), arrays(""), "{first}, {second}");
        }
        let swapped = matched(renamed("2", "0"), &params()).unwrap_err().to_string();
        assert!(swapped.contains("`fc1.weight`: expected shape [2, 3]; found: [2, 2]"), "{swapped}");
        let mut more = renamed("0", "2");
        more.insert("4.weight".into(), Array::f32([1], &[0.0]));
        let text = matched(more, &params()).unwrap_err().to_string();
        assert!(
            text.contains("missing: `fc1.weight` [2, 3]") && text.contains("unexpected: `4.weight`"),
            "{text}"
        );
    }

    #[test]
    fn every_mismatch_is_listed() {
        let mut wrong = arrays("model.");
        wrong.remove("model.head.weight");
        wrong.insert("model.fc1.weight".into(), Array::f32([3, 2], &[0.0; 6]));
        wrong.insert("model.tail.bias".into(), Array::f32([1], &[0.0]));
        let text = matched(wrong, &params()).unwrap_err().to_string();
        for line in [
            "`model.fc1.weight`: expected shape [2, 3]; found: [3, 2]",
            "missing: `head.weight` [2, 2]",
            "unexpected: `model.tail.bias` [1]",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        let mut whole = arrays("");
        whole.insert("fc1.weight".into(), Array::u32([2, 3], &[0; 6]));
        assert!(matched(whole, &params()).unwrap_err().to_string().contains("expected real numbers"));
    }

    #[test]
    fn what_is_not_finite_is_counted_by_tensor() {
        let mut broken = arrays("");
        broken
            .insert("fc1.weight".into(), Array::f32([2, 3], &[f32::NAN, 1.0, 1.0, f32::INFINITY, 0.0, 0.0]));
        broken.insert("head.weight".into(), Array::f32([2, 2], &[0.0, f32::NEG_INFINITY, 0.0, 0.0]));
        let error = Initial { arrays: broken }.check_finite().unwrap_err();
        assert_eq!(error.kind, Kind::Numbers);
        let text = error.to_string();
        assert!(
            text.starts_with("2 values of `fc1.weight` are not finite numbers\n  1 of `head.weight`"),
            "{text}"
        );
    }

    #[test]
    fn weights_that_pytorch_pruned_are_masked() {
        let of = |values: &[f32]| Array::f32([2, 1], values);
        let orig = Arrays::from([
            ("a.weight_orig".to_string(), of(&[1.0, f32::NAN])),
            ("a.weight_mask".to_string(), of(&[1.0, 0.0])),
            ("a.bias_orig".to_string(), of(&[5.0, 6.0])),
        ]);
        let want = Arrays::from([
            ("a.weight".to_string(), of(&[1.0, 0.0])),
            ("a.bias_orig".to_string(), of(&[5.0, 6.0])),
        ]);
        assert_eq!(masked_by_torch(orig).unwrap(), want);
    }

    #[test]
    fn what_a_run_keeps_is_checked() {
        let home = tempfile::tempdir().unwrap();
        let own = Initial { arrays: arrays("") };
        own.save(home.path()).unwrap();
        let origin = Origin { file: "x.safetensors".into(), sha256: own.sha256() };
        assert_eq!(Initial::load(home.path(), &origin).unwrap(), own);
        let other = Origin { sha256: "0".into(), ..origin.clone() };
        assert_eq!(Initial::load(home.path(), &other).unwrap_err().kind, Kind::Checkpoint);
        std::fs::remove_file(home.path().join(Initial::FILE)).unwrap();
        let error = Initial::load(home.path(), &origin).unwrap_err();
        assert!(error.to_string().contains("they came from x.safetensors"), "{error}");
    }
}
