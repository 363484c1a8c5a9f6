//! Measured choices of kernel variants, kept per adapter, driver and set of kernels in the user's cache folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::data::Dataset;
use crate::error::Result;
use crate::gpu::{Gpu, Identity};
use crate::ops::packed::crossover;
use crate::ops::variants::{Choices, inventory};
use crate::recipe::Recipe;
use crate::store::digest::hash_bytes;
use crate::store::folder::write_file_atomic;
use crate::train::{Prospect, Session};

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

/// The choices for a recipe: from the cache, and measured now where it lacks some.
pub fn choices(gpu: &Gpu, recipe: &Recipe, data: &Dataset) -> Result<Choices> {
    let mut choices = known(gpu.identity())?;
    let mut shapes = Session::products(gpu, recipe, data)?;
    let mut measured = false;
    let prospects = Session::prospects(recipe, data)?;
    // Dense kernels serve what is not packed yet, growth, and the dense baseline. Of a large network that is packed
    // from the start they would take minutes to compare, unless it needs one in every step.
    let weights: usize = shapes.iter().map(|shape| shape.rows * shape.inner).sum();
    if weights <= MANY_WEIGHTS || prospects.iter().all(|one| one.choose || one.products.dense_grad) {
        measured |= choices.measure(gpu, &shapes)?;
    }
    for Prospect { products, densities, choose } in prospects {
        measured |= crossover::measure(gpu, &mut choices, products, densities, choose)?;
        shapes.push(products.shape);
    }
    if measured {
        let mut all = read();
        all.insert(key(gpu.identity())?, choices.clone());
        if let (Some(path), Ok(text)) = (file(), serde_json::to_string_pretty(&all)) {
            // A read-only home costs a new measurement next time, nothing more.
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = write_file_atomic(&path, text.as_bytes());
        }
    }
    Ok(choices.only(&shapes))
}
