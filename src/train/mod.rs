//! The training loop, its events and its checkpoints.

pub mod baseline;
pub mod checkpoint;
mod compact;
mod event;
mod feed;
mod folder;
mod rewind;
mod run;
mod session;
mod snapshot;

pub use compact::expand_described;
pub use event::{Evaluation, Event, Layer, Log, Part, Started, Summary};
pub use feed::Feed;
pub use folder::{Meta, RunFolder};
pub use run::{Control, evaluate_all, train};
pub use session::{Prospect, Session, resolve};
