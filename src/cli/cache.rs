//! Measured choices of kernel variants, kept per adapter, driver and set of kernels in the user's cache folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Gpu, Identity};
use crate::ops::measure::{self, Effort, Meter, Outcome, Progress};
use crate::ops::variants::{Choices, inventory};
use crate::recipe::Recipe;
use crate::sparsity::methods::holds_zeros;
use crate::store::digest::hash_bytes;
use crate::store::folder::write_file_atomic;
use crate::train::{Initial, Session};

/// Weights from which on dense kernels are compared only if they may be chosen.
const MANY_WEIGHTS: usize = 1 << 24;

/// `$COPPICE_CACHE`, or the platform's folder for caches; `None` where there is none.
fn file() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = from("COPPICE_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("coppice")))
        .or_else(|| from("LOCALAPPDATA").map(|path| path.join("coppice")))
        .or_else(|| from("HOME").map(|path| path.join(".cache").join("coppice")))?;
    Some(home.join("variants.json"))
}

/// The device, and the kernels that were compared: other kernels are compared anew.
fn key(identity: &Identity) -> Result<String> {
    let Identity { adapter, backend, driver, .. } = identity;
    let kernels = hash_bytes(inventory()?.as_bytes());
    Ok(format!("{adapter} | {backend} | {driver} | kernels {}", &kernels[..16]))
}

fn read() -> BTreeMap<String, Choices> {
    let text = file().and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// What is known of a device. A cache that cannot be read counts as empty: it is only a cache.
pub fn known(identity: &Identity) -> Result<Choices> {
    Ok(read().remove(&key(identity)?).unwrap_or_default())
}

/// What a run is measured for.
pub struct Run<'a> {
    pub gpu: &'a Gpu,
    pub recipe: &'a Recipe,
    pub data: &'a Dataset,
    /// The weights that it starts with, if they come from a file.
    pub initial: Option<&'a Initial>,
    /// Where the run will stop, if not at its end.
    pub max_steps: Option<u64>,
}

/// The choices for a run: from the cache, and measured now where it lacks some. `tell` hears of each comparison.
pub fn choices(run: &Run, effort: Effort, tell: &mut dyn FnMut(&Progress)) -> Result<(Choices, Outcome)> {
    let Run { gpu, recipe, data, initial, max_steps } = *run;
    let before = known(gpu.identity())?;
    let mut choices = before.clone();
    let mut shapes = Session::products(gpu, recipe, data)?;
    let (mut weights, mut steps) = (Vec::new(), 0);
    for number in 0..recipe.stage_count() {
        let stage = recipe.stage(number);
        steps += crate::train::length(&stage, data).steps;
        // The zeros that a later stage holds are known when it begins.
        if number == 0 || !holds_zeros(&stage.sparsity.method) {
            weights.extend(Session::prospects(&stage, data, initial)?);
        }
    }
    steps = steps.min(max_steps.unwrap_or(u64::MAX));
    let mut meter = match effort {
        Effort::Full => Meter::full(gpu, tell),
        _ => Meter::brief(gpu, measure::workload(steps, &shapes, &weights), tell),
    };
    // Dense kernels serve what is not packed yet, growth, and the dense baseline. Of a large network that is packed
    // from the start they are not worth comparing, unless it needs one in every step.
    let many = shapes.iter().map(|shape| shape.rows * shape.inner).sum::<usize>() > MANY_WEIGHTS;
    let few = many && weights.iter().any(|one| !one.choose && !one.products.dense_grad);
    let dense = if few { &[] } else { &shapes[..] };
    let outcome = measure::run(&mut meter, &mut choices, dense, &weights)?;
    if choices != before {
        let mut all = read();
        all.insert(key(gpu.identity())?, choices.clone());
        if let (Some(path), Ok(text)) = (file(), serde_json::to_string_pretty(&all)) {
            // A read-only home costs a new measurement next time, nothing more.
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = write_file_atomic(&path, text.as_bytes());
        }
    }
    shapes.extend(weights.iter().map(|one| one.products.shape));
    Ok((choices.only(&shapes), outcome))
}
