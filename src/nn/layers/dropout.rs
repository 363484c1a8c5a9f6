//! Dropout: in training some numbers become 0, the others grow so that the mean stays.   Srivastava et al. 2014.

use toml::Value;

use super::super::layer::{Backward, Built, Entry, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::dropout::Dropout;

pub const ENTRY: Entry = Entry {
    name: "dropout",
    about: "in training 0 with probability `p`, else x / (1 - p); in evaluations x (Srivastava et al. 2014)",
    required: Vec::new,
    optional: || vec![("p", Value::Float(0.5))],
    build: |context| {
        let p = context.settings.f64("p")?;
        if !(0.0..1.0).contains(&p) {
            return Err(context.settings.wrong("p", "a number from 0 up to, not including, 1"));
        }
        let layer = Drops { p, seed: context.seed };
        Ok(Built { layer: Box::new(layer), output: context.input()?.clone(), params: Vec::new() })
    },
};

struct Drops {
    p: f64,
    seed: u64,
}

impl Drops {
    fn record(&self, rec: &mut Recorder, site: Site, x: &Tensor, y: &Tensor, adds: bool) -> Result<()> {
        let during = site.during();
        let dropout = Dropout { p: self.p, seed: self.seed, layer: during.number };
        dropout.record(rec, during.step, x, y, adds)
    }
}

impl Layer for Drops {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        if site.during().trains {
            self.record(rec, site, x[0], y, false)
        } else {
            add::record(rec, x[0], y, Window::all(y), false)
        }
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        self.record(rec, site, pass.d_y, d_x.to, d_x.adds)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn is_elementwise(&self) -> bool {
        true
    }
}
