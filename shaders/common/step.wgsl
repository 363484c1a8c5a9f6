// What changes from step to step; the host writes it before each replay.
struct Step {
    step: u32,          // counts from 0
    first: u32,         // where this batch begins in the order of samples
    live: u32,          // samples of the batch
    answers: u32,       // labels of the batch that count: of each sample one, or one at each step
    rate: f32,          // learning rate
    update: u32,        // t, the number of this update, from 1; less than step + 1 after steps without one
    correction1: f32,   // 1 - beta1^t of Adam and its kin
    correction2: f32,   // 1 - beta2^t
    lookahead: f32,     // NAdam's factor of the gradient beside its mean; 0 for its kin
    draw: u32,          // number of this batch since the start: what random numbers of a pass go by
    together: u32,      // labels that count in all micro-batches of the step: the loss is their mean
}
@group(0) @binding(16) var<uniform> step: Step;
