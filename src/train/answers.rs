//! What a network answers, number by number: for whoever compares another program's answers with them.

use super::session::Session;
use crate::error::Result;
use crate::gpu::Recorder;

/// The outputs of a network for a few samples of the test part.
pub struct Answers {
    /// The samples, by their numbers in the part.
    pub rows: Vec<u32>,
    /// By output of the model, in its order: (samples, answers, classes), before any softmax.
    pub outputs: Vec<Vec<f32>>,
}

impl Session {
    /// Passes the first batch of the test part through the network, and returns its outputs for up to `most` samples of it.
    /// What layers carry from batch to batch begins as 0.
    ///
    /// # Errors
    /// Whatever the device reports.
    pub fn answers(&self, most: usize) -> Result<Answers> {
        let (feed, pass) = (&self.test.feed, self.passes.test());
        let mut rec = Recorder::new(&self.gpu);
        self.forward_of(&mut rec, &self.model, feed, pass)?;
        let plan = rec.finish()?;
        let span = feed.span(0);
        self.step_uniform.write(&span.step())?;
        plan.replay()?;
        let samples = most.min(span.live);
        let rows = feed.store.order().read_u32()?[..samples].to_vec();
        let (steps, batch) = (self.model.answers(), pass.batch());
        let classes = self.model.classes;
        // On the device an output is (classes, answers, batch).
        let by_sample = |logits: Vec<f32>| -> Vec<f32> {
            let mut turned = Vec::with_capacity(samples * steps * classes);
            for (sample, step) in (0..samples).flat_map(|sample| (0..steps).map(move |step| (sample, step))) {
                turned.extend((0..classes).map(|class| logits[(class * steps + step) * batch + sample]));
            }
            turned
        };
        let outputs =
            pass.heads().iter().map(|(logits, _)| logits.read_f32().map(by_sample)).collect::<Result<_>>()?;
        Ok(Answers { rows, outputs })
    }
}
