//! The training loop, its events and its checkpoints.

pub mod baseline;
mod branch;
pub mod checkpoint;
mod compact;
mod confidence;
mod course;
mod event;
mod exam;
mod feed;
mod flips;
mod flops;
mod folder;
mod masks;
mod noise;
mod numbers;
mod places;
mod plans;
mod rewind;
mod run;
mod session;
mod snapshot;
mod unfreeze;

pub use compact::expand_described;
pub use confidence::Confidence;
pub use course::Turn;
pub use event::{Evaluation, Event, Layer, Log, Part, Started, Summary, TrainFlops};
pub use exam::Marks;
pub use feed::Feed;
pub use flips::{Flips, LayerFlips, LayerMask, Masks};
pub use folder::{Meta, RunFolder};
pub use noise::{Noise, NoiseMeans, NoiseSummary};
pub use run::{Control, evaluate_all, train};
pub use session::{Session, resolve};
pub use unfreeze::Phases;
