//! What a person sees: inspection, pictures, dumps. Listeners to events; nothing here changes a run.

pub mod axis;
pub mod bars;
pub mod channels;
pub mod console;
pub mod diff;
pub mod dump;
pub mod files;
pub mod fit;
pub mod font;
pub mod history;
pub mod inspect;
pub mod journal;
pub mod kernels;
pub mod life;
pub mod live;
pub mod load;
pub mod mask;
pub mod mosaic;
pub mod overlap;
pub mod page;
pub mod picture;
pub mod plot;
pub mod sheet;
pub mod stats;
pub mod table;
pub mod tensorboard;
