//! AdamW: Adam, with weight decay beside the gradient.   Loshchilov & Hutter, 2019, Algorithm 2.

use super::Entry;
use super::adam::Adam;
use super::checks::update_checks;
use super::moments::Moments;

pub const ENTRY: Entry = Entry {
    name: "adamw",
    about: "Adam, with weight decay beside the gradient",
    paper: "Loshchilov & Hutter 2019",
    kernels: &[],
    settings: || Moments::settings(0.01),
    slots: super::adam::ENTRY.slots,
    build: |settings| Ok(Box::new(decoupled(Moments::read(settings)?))),
    checks: || {
        update_checks("adamw", ENTRY.slots, &["second"], || {
            Box::new(decoupled(Moments { weight_decay: 0.5, ..Moments::sample() }))
        })
    },
};

/// Moves weight decay from the gradient to the weight.
fn decoupled(moments: Moments) -> Adam {
    Adam { moments: Moments { weight_decay: 0.0, ..moments }, shrink: moments.weight_decay }
}
