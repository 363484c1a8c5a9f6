//! How long networks take on a device: a table of layers, each timed by itself, whose sum is corrected by whole networks.
//!
//! Cai et al. 2020, Section 3.4: a subnet's latency is the sum over its layers. The sum misses what a network costs as a
//! whole, such as handing its work to the device. So `whole = constant + factor * sum` is fitted on a few of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gpu::Identity;
use crate::nn::{Alone, Model};
use crate::recipe::{self, Network};
use crate::store::folder::{failed, write_file_atomic};

/// Times of layers on one device, for batches of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub device: Identity,
    /// Samples of a batch.
    pub batch: usize,
    /// Times that each figure was measured.
    #[serde(default)]
    pub repeats: usize,
    /// Milliseconds by layer: its kind, settings and extents.
    pub layers: BTreeMap<String, f64>,
    /// What a whole network takes besides.
    pub constant_ms: f64,
    /// By what the sum is multiplied.
    pub factor: f64,
    /// Networks that the last two were fitted on.
    pub fitted_on: usize,
}

impl Table {
    /// Without layers; sums are taken as they are.
    pub fn new(device: &Identity, batch: usize, repeats: usize) -> Self {
        let (device, layers) = (device.clone(), BTreeMap::new());
        Self { device, batch, repeats, layers, constant_ms: 0.0, factor: 1.0, fitted_on: 0 }
    }

    /// The table of a file, where it is of this device and batch size, and of so many repeats at least; `None` where it is
    /// not, or not there.
    ///
    /// # Errors
    /// `Kind::FileSystem` for a file that cannot be read, `Kind::Checkpoint` for one that is no table.
    pub fn load(path: &Path, device: &Identity, batch: usize, repeats: usize) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path).map_err(|e| failed("read", path, e))?;
        let table: Self = serde_json::from_str(&text).map_err(|e| {
            Error::checkpoint(format!("{} is no table of latencies", path.display()))
                .at(e.to_string())
                .hint("delete it: the layers are measured again")
        })?;
        let of = |own: &Identity| (own.adapter.clone(), own.backend.clone(), own.driver.clone());
        let is_it = table.batch == batch && table.repeats >= repeats && of(&table.device) == of(device);
        Ok(is_it.then_some(table))
    }

    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::internal(e.to_string()))?;
        write_file_atomic(path, format!("{text}\n").as_bytes())
    }

    /// The sum over these layers, in milliseconds; `None` where one is not in the table.
    pub fn sum(&self, layers: &[String]) -> Option<f64> {
        layers.iter().map(|layer| self.layers.get(layer)).sum()
    }

    /// What a network of these layers takes as a whole, in milliseconds.
    pub fn latency(&self, layers: &[String]) -> Option<f64> {
        self.sum(layers).map(|sum| self.constant_ms + self.factor * sum)
    }

    /// Sets constant and factor to those of the least squared relative error over pairs of a sum and the time of the whole.
    /// Where that would make one of them below 0, it is 0.
    pub fn fit(&mut self, pairs: &[(f64, f64)]) {
        // Rows (1, sum) over the whole, to be 1.
        let (mut a, mut b, mut c, mut d, mut e) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(sum, whole) in pairs {
            let (one, sum) = (1.0 / whole, sum / whole);
            (a, b, c, d, e) = (a + one * one, b + one * sum, c + sum * sum, d + one, e + sum);
        }
        let determinant = a * c - b * b;
        let constant = (d * c - b * e) / determinant;
        let fits = determinant > 1e-9 * a * c && constant > 0.0;
        let factor = if fits { (e - b * constant) / c } else { 0.0 };
        (self.constant_ms, self.factor) = match (fits, factor >= 0.0) {
            (true, true) => (constant, factor),
            (true, false) => (d / a, 0.0),
            (false, _) => (0.0, if c > 0.0 { e / c } else { 1.0 }),
        };
        self.fitted_on = pairs.len();
    }
}

/// The layers of a network by kind, settings and extents: equal ones take equal time.
pub fn layers(net: &Network, model: &Model) -> Vec<String> {
    let specs: HashMap<&str, &recipe::Layer> =
        net.layers.iter().filter_map(|spec| Some((spec.name.as_deref()?, spec))).collect();
    let kept: Vec<_> = model.layers().collect();
    let is_kept = |name: &str| kept.iter().any(|layer| layer.name == name);
    let taken_over: Vec<&str> = net
        .layers
        .iter()
        .filter(|spec| spec.kind == "relu" && spec.name.as_deref().is_some_and(|name| !is_kept(name)))
        .flat_map(|spec| spec.from.iter().map(String::as_str))
        .collect();
    let of = |layer: &Alone| {
        let spec = specs.get(layer.name);
        let mut text = spec.map_or(String::new(), |spec| spec.kind.clone());
        for (key, value) in spec.iter().flat_map(|spec| spec.settings.values()) {
            text += &format!(" {key}={value}");
        }
        let inputs: Vec<String> = layer.inputs.iter().map(|extent| extent.to_string()).collect();
        text += &format!(", {} to {}", inputs.join(" and "), layer.output);
        if taken_over.contains(&layer.name) { text + ", relu" } else { text }
    };
    kept.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    fn table() -> Table {
        Table::new(Gpu::twin().identity(), 1, 15)
    }

    #[test]
    fn the_fit_finds_a_line() {
        let mut table = table();
        let pairs: Vec<(f64, f64)> = (1..6).map(|i| (f64::from(i), 0.5 + 1.25 * f64::from(i))).collect();
        table.fit(&pairs);
        assert!((table.constant_ms - 0.5).abs() < 1e-9 && (table.factor - 1.25).abs() < 1e-9, "{table:?}");
        // Through 0 where a line would begin below it, and where all sums are equal.
        table.fit(&[(1.0, 1.0), (2.0, 4.0)]);
        assert_eq!(table.constant_ms, 0.0);
        assert!((table.factor - 6.0 / 5.0).abs() < 1e-9, "least squares of 1 - f s / w: {}", table.factor);
        table.fit(&[(2.0, 3.0), (2.0, 3.0)]);
        assert!((table.constant_ms, table.fitted_on) == (0.0, 2) && (table.factor - 1.5).abs() < 1e-9);
        // Where larger networks took less time none is predicted to: least squares of 1 - c / w.
        table.fit(&[(1.0, 2.0), (2.0, 1.0)]);
        assert!((table.constant_ms - 1.2).abs() < 1e-9 && table.factor == 0.0, "{table:?}");
    }

    #[test]
    fn a_table_is_of_one_device_and_batch() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("table.json");
        let mut table = table();
        assert_eq!(Table::load(&path, &table.device, 1, 15).unwrap(), None);
        table.layers.insert("conv2d".into(), 0.1 + 0.2);
        table.save(&path).unwrap();
        assert_eq!(Table::load(&path, &table.device, 1, 15).unwrap(), Some(table.clone()));
        assert_eq!(Table::load(&path, &table.device, 2, 15).unwrap(), None);
        assert_eq!(Table::load(&path, &table.device, 1, 16).unwrap(), None, "more repeats are asked for");
        let other = Identity { driver: "another".into(), ..table.device.clone() };
        assert_eq!(Table::load(&path, &other, 1, 15).unwrap(), None);
        assert_eq!(table.latency(&["linear".into()]), None);
        std::fs::write(&path, "{").unwrap();
        assert!(Table::load(&path, &table.device, 1, 15).unwrap_err().to_string().contains("delete it"));
    }
}
