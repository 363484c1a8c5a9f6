//! What a run says on a terminal: a line for what happens, a bar for what is left.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::train::{Event, Left, Part, Started};

/// Speaks on stderr: results alone go to stdout. The bar is drawn on terminals only.
pub struct Console {
    bar: ProgressBar,
    began: Instant,
    /// Whether no step was taken yet.
    first: bool,
    quiet: bool,
}

impl Console {
    /// `quiet` says nothing but warnings.
    pub fn new(quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Self { bar, began: Instant::now(), first: true, quiet }
    }

    fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        self.bar.suspend(|| {
            #[expect(clippy::print_stderr, reason = "this is where a run speaks")]
            {
                eprintln!("{line}");
            }
        });
    }

    /// Says it even when quiet.
    pub fn warn(&self, line: &str) {
        self.bar.suspend(|| {
            #[expect(clippy::print_stderr, reason = "this is where a run speaks")]
            {
                eprintln!("warning: {line}");
            }
        });
    }

    pub fn listen(&mut self, event: &Event) {
        match event {
            Event::Started(started) => self.start(started),
            Event::Stepped { step, steps } => {
                // Fewer than planned, where a stage ended early.
                self.bar.set_length(*steps);
                if std::mem::take(&mut self.first) {
                    self.bar.set_message("");
                }
                self.bar.set_position(*step)
            }
            Event::Logged(log) => self.bar.set_message(format!("loss {:.4}", log.train_loss)),
            Event::Evaluated(e) => {
                let part = match e.part {
                    Part::Validation => "validation",
                    Part::Test => "test",
                };
                // With what is left of pruned weights, if anything is.
                let soft =
                    e.soft_accuracy.map_or(String::new(), |soft| format!("  soft {:.2} %", soft * 100.0));
                self.say(&format!(
                    "{:>7.1} s  epoch {:>5.1}  {part} {}{soft}",
                    self.began.elapsed().as_secs_f64(),
                    e.epoch,
                    e.figures()
                ));
            }
            Event::StageEntered(stage, _) => self.say(&format!("stage    {stage}")),
            Event::MasksChanged(change, _) => {
                self.bar.set_prefix(format!("{:.1} % sparse", change.sparsity * 100.0))
            }
            Event::Removed { step, left } => self.say(&removed(*step, left)),
            Event::Recalibrated { batches, .. } => self.say(&recalibrated(*batches)),
            Event::Warned(error) => self.warn(&error.to_string()),
            Event::Saved { .. } | Event::Dumped { .. } | Event::Measured { .. } | Event::Weights { .. } => {}
            Event::Finished(_) => self.bar.finish_and_clear(),
        }
    }

    fn start(&mut self, s: &Started) {
        self.began = Instant::now();
        let d = &s.device;
        self.say(&format!("device   {} on {} ({}): {}", d.adapter, d.backend, d.class, d.reason));
        let [train, validation, test] = s.samples;
        let empty = if s.empty_classes > 0 { format!(" ({} empty)", s.empty_classes) } else { String::new() };
        self.say(&format!(
            "data     {}: {train} to train on, {validation} held out, {test} to test; {} classes{empty}",
            s.data, s.classes
        ));
        self.say(&format!("model    {} parameters, {} of them prunable", s.parameters, s.maskable));
        if s.first_step > 0 {
            self.say(&format!("resumed  at step {} of {}", s.first_step, s.steps));
        }
        self.bar.set_length(s.steps);
        self.bar.set_position(s.first_step);
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len} steps  {per_sec}  {eta} left  {msg}  {prefix}",
        );
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message("compiling");
    }
}

/// That running statistics are other ones.
pub fn recalibrated(batches: u32) -> String {
    format!("running statistics computed anew over {batches} batches")
}

/// What is left of a network that pruned filters were removed from.
pub fn removed(step: u64, left: &[Left]) -> String {
    let widths: Vec<String> =
        left.iter().map(|own| format!("{} {} of {}", own.layers.join(" + "), own.kept, own.total)).collect();
    format!("removed  pruned filters, before step {step}; left: {}", widths.join(", "))
}
