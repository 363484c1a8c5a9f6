//! Positions of sequences: numbers added to each step, learned or fixed, and angles by which pairs of channels are turned.

use toml::Value;

use super::super::layer::{Backward, Built, Context, Entry, Layer, Needs, Site};
use super::steps::{normal, steps};
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::add::{self, Window};
use crate::ops::recall;
use crate::ops::rotary::Rotary;
use crate::ops::steps::{record_shift, record_sums};
use crate::param::Param;

pub const POSITIONS: Entry = Entry {
    name: "positions",
    about: "each step plus numbers of its own: `learned`, drawn with deviation `std`, or `sinusoidal` (Vaswani et al. 2017), as `kind` says",
    required: Vec::new,
    optional: || vec![("kind", Value::String("learned".into())), ("std", Value::Float(0.0))],
    build: |context| {
        let (input, steps) = (context.input()?.clone(), all_steps(context)?);
        let mut params = Vec::new();
        let mut fixed = None;
        match context.settings.text("kind")? {
            "learned" => {
                let (name, shape) = (format!("{}.table", context.name), [input.channels, steps]);
                params.push(context.params.declare(Param::new(&name, &shape, normal(context)?)));
            }
            "sinusoidal" => fixed = Some(sinusoidal(input.channels, steps)),
            _ => return Err(context.settings.wrong("kind", "\"learned\" or \"sinusoidal\"")),
        }
        let (shape, stepwise) = ([input.channels, steps], context.stepwise.is_some());
        Ok(Built { layer: Box::new(Positions { shape, fixed, stepwise }), output: input, params })
    },
};
pub const ROTARY: Entry = Entry {
    name: "rotary",
    about: "pairs of each head's channels turned by angles that grow with the step, by `base`^(-2 i / d); `of` says which: `all`, of `qkv` the first two thirds, of `kv` the first half; `heads` are those of one part (Su et al. 2021)",
    required: || vec![("heads", Value::Integer(1))],
    optional: || vec![("base", Value::Float(10_000.0)), ("of", Value::String("all".into()))],
    build: |context| {
        let (input, settings) = (context.input()?.clone(), context.settings);
        let (steps, stepwise) = (all_steps(context)?, context.stepwise.is_some());
        let (parts, turned) = match settings.text("of")? {
            "all" => (1, 1),
            "qkv" => (3, 2),
            "kv" => (2, 1),
            _ => return Err(settings.wrong("of", "\"all\", \"qkv\" or \"kv\"")),
        };
        let (heads, base) = (settings.u32("heads")? as usize, settings.f64("base")?);
        if heads == 0 || !input.channels.is_multiple_of(2 * heads * parts) {
            let what = format!("a number of heads, each with an even part of {} channels", input.channels);
            return Err(settings.wrong("heads", &what));
        }
        if !(base > 1.0 && base.is_finite()) {
            return Err(settings.wrong("base", "a number above 1"));
        }
        let part = input.channels / parts;
        let rotary = Rotary { batch: 0, steps, head: part / heads, turned: turned * part, base };
        Ok(Built { layer: Box::new(Turned { rotary, stepwise }), output: input, params: Vec::new() })
    },
};

/// Those of the whole sequence, which may come one at a time.
fn all_steps(context: &Context) -> Result<usize> {
    let steps = steps(context)?;
    Ok(context.stepwise.unwrap_or(steps))
}

/// What belongs to this step in a table (rows, steps, width), where steps come one at a time.
fn now(rec: &mut Recorder, site: Site, table: Tensor, [rows, steps, width]: [usize; 3]) -> Result<Tensor> {
    let own = rec.gpu.tensor("this step", Dtype::F32, &[rows, width])?;
    recall::record_look_up(rec, site.during().step, &table, steps, &own)?;
    Ok(own)
}

/// (channels, steps): sines in even channels, cosines in odd ones, of step / 10000^(2 i / channels) for pair `i`.
fn sinusoidal(channels: usize, steps: usize) -> Vec<f32> {
    let of = |channel: usize, step: usize| {
        let angle = step as f64 / 10_000f64.powf((channel / 2 * 2) as f64 / channels as f64);
        (if channel.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..channels).flat_map(|channel| (0..steps).map(move |step| of(channel, step))).collect()
}

struct Positions {
    shape: [usize; 2],
    /// What is added, where that is not learned.
    fixed: Option<Vec<f32>>,
    stepwise: bool,
}

impl Layer for Positions {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let table = match &self.fixed {
            Some(fixed) => rec.gpu.upload_f32("positions", &self.shape, fixed)?,
            None => site.set[site.params[0]].segments[0].weight.clone(),
        };
        let [channels, steps] = self.shape;
        let table = if self.stepwise { now(rec, site, table, [channels, steps, 1])? } else { table };
        record_shift(rec, site.batch, x[0], &table, y)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        if let Some(grads) = pass.grads {
            record_sums(rec, site.batch, pass.d_y, 1, &grads[0][0])?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        add::record(rec, pass.d_y, d_x.to, Window::all(d_x.to), d_x.adds)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn steps_at_most(&self) -> Option<usize> {
        Some(self.shape[1])
    }
}

struct Turned {
    /// The batch is that of the pass.
    rotary: Rotary,
    stepwise: bool,
}

impl Turned {
    fn record(
        &self,
        rec: &mut Recorder,
        site: Site,
        x: &Tensor,
        y: &Tensor,
        back: bool,
        adds: bool,
    ) -> Result<()> {
        let Rotary { steps, head, .. } = self.rotary;
        let turns = self.rotary.turns(&rec.gpu)?;
        if !self.stepwise {
            return Rotary { batch: site.batch, ..self.rotary }.record(rec, &turns, x, y, back, adds);
        }
        let turns = now(rec, site, turns, [head / 2, steps, 2])?;
        Rotary { batch: site.batch, steps: 1, ..self.rotary }.record(rec, &turns, x, y, back, adds)
    }
}

impl Layer for Turned {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        self.record(rec, site, x[0], y, false, false)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        self.record(rec, site, pass.d_y, d_x.to, true, d_x.adds)
    }
    fn reach(&self, inputs: &[&[bool]], _masks: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        let half = self.rotary.head / 2;
        let other = |c: usize| if (c / half).is_multiple_of(2) { c + half } else { c - half };
        (0..channels).map(|c| inputs[0][c] || c < self.rotary.turned && inputs[0][other(c)]).collect()
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn steps_at_most(&self) -> Option<usize> {
        Some(self.rotary.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinusoidal_positions_are_those_of_the_paper() {
        let table = sinusoidal(4, 3);
        let want = [0.0, 1.0f64.sin(), 2.0f64.sin(), 1.0, 1.0f64.cos(), 2.0f64.cos(), 0.0, 0.01f64.sin()];
        for (got, want) in table.iter().zip(want) {
            assert!((f64::from(*got) - want).abs() <= 1e-7, "{got} {want}");
        }
    }
}
