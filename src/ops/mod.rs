//! Mathematics that several rooms share, each kernel with its CPU twin beside it.

use crate::gpu::check::Check;

pub mod activation;
pub mod add;
pub mod attention;
pub mod augment;
pub mod batch;
pub mod batch_norm;
pub mod border;
pub mod carry;
pub mod ceilings;
pub mod cell;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod fetch;
pub mod finite;
pub mod gru;
pub mod layer_norm;
pub mod lengths;
pub mod lstm;
pub mod measure;
pub mod mixup;
pub mod moments;
pub mod multiply;
pub mod narrow;
pub mod patches;
pub mod pool;
mod product;
pub mod race;
pub mod random_words;
pub mod recall;
pub mod relu;
pub mod resize;
pub mod rotary;
pub mod running;
pub mod scale;
pub mod sites;
pub mod steps;
pub mod sum;
pub mod tally;
pub mod text;

pub use product::{linear, packed, variants, window};

/// The numbers that change from step to step.
pub mod step {
    crate::wgsl_struct! {
        /// See `shaders/common/step.wgsl`.
        pub struct Step {
            /// Counts from 0.
            step: u32,
            /// Where this batch begins in the order of samples.
            first: u32,
            /// Samples of the batch.
            live: u32,
            /// Labels of the batch that count: of each sample one, or one at each step.
            answers: u32,
            /// Learning rate.
            rate: f32,
            /// `t`, the number of this update, from 1; less than `step + 1` after steps without one.
            update: u32,
            /// `1 - beta1^t` of Adam and its kin.
            correction1: f32,
            /// `1 - beta2^t`.
            correction2: f32,
            /// NAdam's factor of the gradient beside its mean; 0 for its kin.
            lookahead: f32,
            /// Number of this batch since the start: what random numbers of a pass go by.
            draw: u32,
            /// Labels that count in all micro-batches of the step: the loss is their mean.
            together: u32,
        }
    }
}
pub use step::Step;

/// Workgroups for `len` invocations, `size` to a workgroup.
pub fn groups(len: usize, size: usize) -> u64 {
    len.div_ceil(size) as u64
}

/// Every check of this room.
pub fn checks() -> Vec<Check> {
    let mut all = Vec::new();
    all.extend(activation::checks());
    all.extend(add::checks());
    all.extend(attention::checks());
    all.extend(augment::checks());
    all.extend(mixup::checks());
    all.extend(batch::checks());
    all.extend(batch_norm::checks());
    all.extend(border::checks());
    all.extend(carry::checks());
    all.extend(ceilings::checks());
    all.extend(cross_entropy::checks());
    all.extend(dropout::checks());
    all.extend(embedding::checks());
    all.extend(finite::checks());
    all.extend(gru::checks());
    all.extend(lstm::checks());
    all.extend(layer_norm::checks());
    all.extend(lengths::checks());
    all.extend(multiply::checks());
    all.extend(patches::checks());
    all.extend(rotary::checks());
    all.extend(steps::checks());
    all.extend(pool::checks());
    all.extend(resize::checks());
    all.extend(product::checks());
    all.extend(narrow::checks());
    all.extend(random_words::checks());
    all.extend(recall::checks());
    all.extend(relu::checks());
    all.extend(running::checks());
    all.extend(scale::checks());
    all.extend(sites::checks());
    all.extend(moments::checks());
    all.extend(sum::checks());
    all.extend(tally::checks());
    all.extend(text::checks());
    all
}
