//! What a run tells its listeners. The run itself prints and draws nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::baseline::{Baseline, Counted};
use super::confidence::Bin;
use super::flips::Flips;
use super::language::Language;
use super::memory::Memory;
use super::noise::{Noise, NoiseSummary};
use super::remove::Left;
use super::stage::Stage;
use crate::error::Error;
use crate::gpu::{Clock, Cost, Identity};
use crate::sparsity::Change;
use crate::store::Arrays;

/// Something that happened in a run.
pub enum Event<'a> {
    Started(&'a Started),
    /// A step was submitted.
    Stepped {
        step: u64,
        steps: u64,
    },
    Logged(&'a Log),
    /// A run of several stages begins one, or goes on in one; in the first case, which weights flipped, where a journal is kept.
    StageEntered(&'a Stage, Option<&'a Flips>),
    /// How noisy gradients are, by layer, where something is pruned.
    Measured {
        step: u64,
        noise: &'a [Noise],
    },
    Evaluated(&'a Evaluation),
    /// Weights and masks as [`Session::weights`](super::Session::weights) has them, where something is to show them.
    Weights {
        step: u64,
        arrays: &'a Arrays,
    },
    /// What an update did, and, where a journal is kept, which weights flipped.
    MasksChanged(&'a Change, Option<&'a Flips>),
    /// Pruned filters were removed before this step; what is left of each width.
    Removed {
        step: u64,
        left: &'a [Left],
    },
    /// Running statistics were computed anew over so many batches.
    Recalibrated {
        step: u64,
        batches: u32,
    },
    Saved {
        step: u64,
        path: PathBuf,
        best: bool,
    },
    Dumped {
        step: u64,
        path: PathBuf,
    },
    /// Something that is not as it should be and does not stop the run.
    Warned(&'a Error),
    Finished(&'a Summary),
}

/// A run as it begins or goes on.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Started {
    pub name: String,
    pub device: Identity,
    pub data: String,
    /// Samples to train on, held out, and to test on.
    pub samples: [usize; 3],
    pub classes: usize,
    /// Those without a sample to train on.
    pub empty_classes: usize,
    pub parameters: usize,
    pub maskable: usize,
    /// The first step of this session; more than 0 after a resume.
    pub first_step: u64,
    pub steps: u64,
    pub steps_per_epoch: u64,
}

/// Training figures since the last log line.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Log {
    /// Steps done.
    pub step: u64,
    pub epoch: f64,
    /// Mean loss of a sample since the last log line.
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub learning_rate: f64,
    pub sparsity: f64,
}

/// The part of a data set that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Validation,
    Test,
}

/// Loss, accuracy and confidence on samples that are not trained on.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Evaluation {
    pub step: u64,
    pub epoch: f64,
    pub part: Part,
    /// Mean negative log-likelihood.
    pub loss: f64,
    /// 0 to 1.
    pub accuracy: f64,
    /// As [`Confidence`](super::Confidence) has them: all 0 to 1.
    pub ece: f64,
    pub aurc: f64,
    pub e_aurc: f64,
    /// Confidence against accuracy; for the report at the end alone.
    #[serde(skip)]
    pub bins: Vec<Bin>,
    /// Labels that were asked for: of each sample one, or one at each step.
    pub answers: usize,
    /// Accuracy with what is left of pruned weights, where it differs from that of the masks alone.
    pub soft_accuracy: Option<f64>,
    /// Of networks that are asked at each step of a sequence.
    pub language: Option<Language>,
}

impl Evaluation {
    /// For people: what a task is judged by first.
    pub fn figures(&self) -> String {
        let accuracy = format!("accuracy {:6.2} %", self.accuracy * 100.0);
        let Some(Language { perplexity, bits_per_byte, exact }) = self.language else {
            return format!("{accuracy}  loss {:.4}", self.loss);
        };
        let exact = exact.map_or(String::new(), |share| format!("exact {:6.2} %  ", share * 100.0));
        let bits = bits_per_byte.map_or(String::new(), |bits| format!("  {bits:.3} bits a byte"));
        format!("{exact}loss {:.4}  perplexity {perplexity:.3}{bits}  {accuracy}", self.loss)
    }
}

/// What the products with maskable weights come to, over all steps done.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainFlops {
    /// By the density that each step had, and the layers that trained in it.
    pub kept: f64,
    /// Of as many steps of a dense network, all of whose layers train.
    pub dense: f64,
}

/// A maskable layer at the end of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Layer {
    pub name: String,
    pub shape: Vec<usize>,
    pub kept: usize,
    pub total: usize,
    /// `dense`, `masked` or `packed`.
    pub storage: &'static str,
}

/// What a run came to. This is what `--json` prints.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Summary {
    pub schema: u32,
    /// Whether it is the end of the run.
    pub done: bool,
    pub steps: u64,
    pub epochs: f64,
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub test_loss: f64,
    pub test_accuracy: f64,
    /// With what is left of pruned weights, where that is something.
    pub test_soft_accuracy: Option<f64>,
    /// Mean negative log-likelihood: the test loss by the name that papers give it.
    pub test_nll: f64,
    /// Calibration error and areas under the risk-coverage curve, 0 to 1: see [`Confidence`](super::Confidence).
    pub test_ece: f64,
    pub test_aurc: f64,
    pub test_e_aurc: f64,
    /// Confidence against accuracy on the test part.
    pub test_bins: Vec<Bin>,
    /// On the test part, of networks that are asked at each step of a sequence.
    pub language: Option<Language>,
    /// Share of pruned weights among the maskable ones.
    pub sparsity: f64,
    pub kept: usize,
    pub total: usize,
    pub layers: Vec<Layer>,
    /// Medians of timed steps by phase; `total` is wall clock over steps, mask updates included, `total_at_end` the same of
    /// the last hundred or more. Of all sessions, without first steps; what too few steps were timed for is left out.
    pub ms_per_step: BTreeMap<&'static str, f64>,
    /// Which clock the phases were timed with.
    pub clock: Clock,
    /// Training alone, over all sessions, without compiling shaders, evaluating or saving.
    pub seconds: f64,
    /// First steps, in which drivers compile what they dispatch: no part of `seconds` and of `ms_per_step`.
    pub first_seconds: f64,
    /// Operations and bytes of one step.
    pub step_cost: Cost,
    pub train_flops: TrainFlops,
    /// How noisy gradients are at the end, where something is pruned and the run came to its end.
    pub noise: Option<NoiseSummary>,
    /// The same network without pruning, on the same device, if that was measured.
    pub dense: Option<Baseline>,
    /// What that network would come to, counted and not measured, where it was too large to be measured.
    pub dense_counted: Option<Counted>,
    /// Since the run was built.
    pub peak_device_bytes: u64,
    /// What holds memory at the end.
    pub memory: Memory,
    /// Weights, biases and masks as a checkpoint stores them.
    pub stored_bytes: u64,
    pub adapter: String,
    pub backend: String,
    pub seed: u64,
    /// The run's folder, if there is one.
    pub run: Option<PathBuf>,
    /// SHA-256 over all tensors, masks, optimizer state, step and data position; see
    /// [`Snapshot`](super::checkpoint::Snapshot).
    pub digest: String,
}
