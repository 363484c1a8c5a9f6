//! What an export is made of.

use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use crate::gpu::{Choice, Gpu};
use crate::recipe::{Precision, Recipe};
use crate::store::Arrays;
use crate::train::{Meta, Session, checkpoint::Snapshot, extent, judged};

/// A trained network.
pub struct Source {
    /// By PyTorch's names and in its layout, pruned weights as zeros: weights, biases, tables, running statistics.
    pub weights: Arrays,
    /// The run that they are of, if they lie in the folder of one.
    pub run: Option<Run>,
    pub options: Options,
}

/// What a person may ask of a form beside its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// ONNX: weights without their zeros, where that is smaller.
    pub sparse: bool,
    /// ONNX: what is written is not compared with the network.
    pub unchecked: bool,
}

/// The run of a trained network.
pub struct Run {
    /// Its network is the one that the weights are of, but for filters that the snapshot says were removed.
    pub recipe: Recipe,
    /// The checkpoint that the weights are from.
    pub snapshot: Option<Snapshot>,
    pub meta: Meta,
    /// That of the run's checkpoint.
    pub digest: Option<String>,
    /// What the run found for these weights on the test part, from 0 to 1.
    pub accuracy: Option<f64>,
    /// Where the network can be run.
    pub device: Choice,
}

impl Source {
    /// The run.
    ///
    /// # Errors
    /// `Kind::Usage` where there is none, with `what`, the form that needs one.
    pub fn run(&self, what: &str) -> Result<&Run> {
        self.run.as_ref().ok_or_else(|| {
            Error::usage(format!("{what} needs the network, and these weights are in no run's folder"))
                .hint("the folder of a run, or a checkpoint in it")
        })
    }

    /// The network with its weights and the run's data, on the run's device: to see what it answers.
    ///
    /// # Errors
    /// `Kind::Usage` where there is no run, `Kind::Data` where its data is not what it was, and those of [`Session::new`].
    pub fn session(&self, what: &str) -> Result<(Session, Dataset)> {
        self.session_on(what, &self.run(what)?.device)
    }
    /// As [`Source::session`], on another device.
    pub fn session_on(&self, what: &str, device: &Choice) -> Result<(Session, Dataset)> {
        let run = self.run(what)?;
        let data = run.data()?;
        let mut recipe = judged(&run.recipe, run.snapshot.as_ref(), &extent(&data), data.classes)?;
        recipe.run.activations = Precision::F32; // as other programs compute
        let gpu = Gpu::open(device)?;
        let mut session = Session::new(&gpu, &recipe, &data, run.meta.variants.clone())?;
        session.load_weights(&self.weights)?;
        Ok((session, data))
    }
}

impl Run {
    /// What it was trained and tested on.
    ///
    /// # Errors
    /// `Kind::Data` where that is not there, or was changed since.
    pub fn data(&self) -> Result<Dataset> {
        let told = &self.recipe.data;
        let data = data::open_with(&told.name, told.validation, &told.settings)?;
        if data.hash == self.meta.data_hash {
            return Ok(data);
        }
        Err(Error::data(format!("data set `{}` is not what this run was trained on", data.name))
            .at(format!("expected: SHA-256 {}; found: {}", self.meta.data_hash, data.hash))
            .hint("restore the data"))
    }
}
