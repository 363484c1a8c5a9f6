//! Event files for TensorBoard: figures of a run, histograms of its weights, pictures of its masks.
//!
//! A run that goes on begins another file. Each file begins with the step that comes next: figures of this step and of
//! later ones count no longer, they are about to happen again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Result;
use crate::report::history::short;
use crate::report::kernels::weight_picture;
use crate::report::mask;
use crate::store::Arrays;
use crate::store::folder::failed;
use crate::train::{Event, Part};

pub mod message;
pub mod records;

use message::{Histogram, Message, Picture, SessionLog, Shown, Value};
use records::Records;

/// What every file of events is called first; TensorBoard looks for it.
const NAME: &str = "events.out.tfevents.";

/// Writes the event file of a run, if it is to have one: a listener to its events.
pub struct TensorBoard(Option<Writer>);

struct Writer {
    records: Records,
    /// The words of each mask as it was last drawn.
    drawn: BTreeMap<String, Vec<u8>>,
}

impl TensorBoard {
    /// Begins another event file of the run in `folder`, which goes on after `step` steps.
    pub fn open(folder: &Path, wanted: bool, step: u64) -> Result<Self> {
        if !wanted {
            return Ok(Self(None));
        }
        let earlier = earlier(folder)?;
        // Readers take files in the order of their names.
        let second = earlier.map_or(0, |last| last + 1).max(now() as u64);
        let path = folder.join(format!("{NAME}{second:010}.coppice.{}", std::process::id()));
        let mut records = Records::create(path)?;
        let version = Some("brain.Event:2".into());
        records.add(&Message { wall_time: now(), file_version: version, ..Default::default() })?;
        // TensorBoard takes the first start that it meets for no restart: the first file needs one, too. Figures belong to
        // the steps done: those of this step stay.
        let (step, session) = (step as i64 + 1, Some(SessionLog::START));
        records.add(&Message { wall_time: now(), step, session, ..Default::default() })?;
        Ok(Self(Some(Writer { records, drawn: BTreeMap::new() })))
    }

    pub fn listen(&mut self, event: &Event) -> Result<()> {
        let Some(writer) = &mut self.0 else { return Ok(()) };
        match event {
            Event::Logged(log) => writer.scalars(
                log.step,
                [
                    ("loss/train".into(), log.train_loss),
                    ("accuracy/train".into(), log.train_accuracy),
                    ("learning_rate".into(), log.learning_rate),
                ],
            ),
            Event::Evaluated(e) if e.part == Part::Validation => {
                let figures =
                    [("loss/validation".into(), e.loss), ("accuracy/validation".into(), e.accuracy)];
                let perplexity = e.language.map(|own| ("perplexity/validation".into(), own.perplexity));
                writer.scalars(e.step, figures.into_iter().chain(perplexity))
            }
            // An update precedes a step; the sparsity is that of this step done.
            Event::MasksChanged(change, _) => {
                let layers = change.layers.iter().map(|layer| (short(&layer.name), layer.kept, layer.total));
                let all = layers.chain([("all", change.kept, change.total)]);
                let figures = all.flat_map(|(name, kept, total)| {
                    let sparsity = 1.0 - kept as f64 / total.max(1) as f64;
                    [(format!("sparsity/{name}"), sparsity), (format!("kept/{name}"), kept as f64)]
                });
                writer.scalars(change.step + 1, figures)
            }
            Event::Weights { step, arrays } => writer.weights(*step, arrays),
            // The test part is measured where a run ends: what is measured where it is stopped is no point of it.
            Event::Finished(summary) if summary.done => writer.scalars(
                summary.steps,
                [("loss/test".into(), summary.test_loss), ("accuracy/test".into(), summary.test_accuracy)],
            ),
            _ => Ok(()),
        }
    }
}

impl Writer {
    fn add(&mut self, step: u64, values: Vec<Value>) -> Result<()> {
        let summary = Some(Shown { values });
        self.records.add(&Message { wall_time: now(), step: step as i64, summary, ..Default::default() })
    }

    fn scalars(&mut self, step: u64, figures: impl IntoIterator<Item = (String, f64)>) -> Result<()> {
        let value = |(tag, figure)| Value { tag, scalar: Some(figure as f32), ..Default::default() };
        self.add(step, figures.into_iter().map(value).collect())
    }

    /// A histogram of what is kept of each tensor, and a picture of each mask that is not as it was drawn last.
    fn weights(&mut self, step: u64, arrays: &Arrays) -> Result<()> {
        let mut values = Vec::new();
        for (name, array) in arrays.iter().filter(|(name, _)| mask::owner(arrays, name).is_none()) {
            let weights = array.to_f32();
            let mask = arrays.get(&format!("{name}{}", mask::SUFFIX));
            let kept = mask.map(|mask| mask::unpack(mask, &array.shape)).transpose()?;
            let is_kept = |i: &usize| kept.as_ref().is_none_or(|kept| kept[*i]);
            let histogram = Histogram::of((0..weights.len()).filter(is_kept).map(|i| weights[i]));
            let tag = format!("weights/{name}");
            values.extend(histogram.map(|own| Value { tag, histogram: Some(own), ..Default::default() }));
            let Some((mask, kept)) = mask.zip(kept) else { continue };
            if self.drawn.get(name) != Some(&mask.bytes) {
                let image = weight_picture(&array.shape, None, &kept);
                let [height, width] = [image.height, image.width].map(|extent| extent as i32);
                let picture = Some(Picture { height, width, colorspace: 3, png: image.png()? });
                values.push(Value { tag: format!("masks/{}", short(name)), picture, ..Default::default() });
                self.drawn.insert(name.clone(), mask.bytes.clone());
            }
        }
        self.add(step, values)
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The second of the last event file, by its name.
fn earlier(folder: &Path) -> Result<Option<u64>> {
    let entries = fs::read_dir(folder).map_err(|e| failed("list", folder, e))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let second = |name: String| name.strip_prefix(NAME)?.split('.').next()?.parse().ok();
    Ok(names.filter_map(second).max())
}
