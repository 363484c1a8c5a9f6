//! Layers of sequences' steps: one of them, one more before them.

use toml::Value;

use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Context, Entry, Layer, Needs, Site};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Tensor};
use crate::ops::steps::{Steps, record_sums};
use crate::param::Param;
use crate::random::{self, Stream};

pub const STEP: Entry = Entry {
    name: "step",
    about: "one step of a sequence as plain features: the `first` or the `last`, as `at` says",
    required: Vec::new,
    optional: || vec![("at", Value::String("last".into()))],
    build: |context| {
        let steps = steps(context)?;
        let skip = match context.settings.text("at")? {
            "first" => 0,
            "last" => steps - 1,
            _ => return Err(context.settings.wrong("at", "\"first\" or \"last\"")),
        };
        let output = Extent::features(context.input()?.channels);
        Ok(Built { layer: Box::new(Taken { steps, skip, len: 1 }), output, params: Vec::new() })
    },
};
pub const STEPS: Entry = Entry {
    name: "steps",
    about: "steps `first` up to, not including, `end` of a sequence",
    required: || vec![("first", Value::Integer(0)), ("end", Value::Integer(1))],
    optional: Vec::new,
    build: |context| {
        let (input, steps) = (context.input()?.clone(), steps(context)?);
        let (skip, end) = (context.settings.u32("first")? as usize, context.settings.u32("end")? as usize);
        if !(skip < end && end <= steps) {
            return Err(context
                .settings
                .wrong("end", &format!("above `first`, and at most {steps}, as many as there are")));
        }
        let layer = Taken { steps, skip, len: end - skip };
        let output = Extent::new(input.channels, vec![end - skip]);
        Ok(Built { layer: Box::new(layer), output, params: Vec::new() })
    },
};
pub const CLASS_TOKEN: Entry = Entry {
    name: "class_token",
    about: "one more step before all others: a learned number for each channel, drawn with deviation `std` (Devlin et al. 2019)",
    required: Vec::new,
    optional: || vec![("std", Value::Float(0.0))],
    build: |context| {
        let (input, steps) = (context.input()?.clone(), steps(context)?);
        let initial = normal(context)?;
        let token = Param::new(&format!("{}.token", context.name), &[input.channels], initial);
        let params = vec![context.params.declare(token)];
        let output = Extent { sites: vec![steps + 1], ..input };
        Ok(Built { layer: Box::new(ClassToken { steps }), output, params })
    },
};

/// The steps of the only input.
///
/// # Errors
/// `Kind::Usage` where it is no sequence.
pub fn steps(context: &Context) -> Result<usize> {
    let input = context.input()?;
    match input.sites[..] {
        [steps] if steps > 0 => Ok(steps),
        _ => {
            let error = Error::usage(format!("layer `{}` reads sequences", context.name));
            let error = error.at(format!("`{}` has {input}", context.inputs[0].0));
            Err(context.at(error).hint("a `patches` layer before it makes a sequence of an image"))
        }
    }
}

/// What draws the next parameter's first values: normal, with the deviation that `std` is.
///
/// # Errors
/// `Kind::Usage` where that is below 0.
pub fn normal(context: &Context) -> Result<Box<dyn Fn(u32) -> f32>> {
    let std = context.settings.f32("std")?;
    if !(std >= 0.0) {
        return Err(context.settings.wrong("std", "a number from 0 on"));
    }
    let (seed, number) = (context.seed, context.params.len() as u32);
    Ok(Box::new(
        move |i| if std == 0.0 { 0.0 } else { random::normal(seed, Stream::Init, 0, number, i) * std },
    ))
}

struct Taken {
    /// Of its input.
    steps: usize,
    skip: usize,
    len: usize,
}

impl Layer for Taken {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let steps = Steps { batch: site.batch, x: self.steps, y: self.len };
        steps.record_take(rec, x[0], y, self.skip, false)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let steps = Steps { batch: site.batch, x: self.len, y: self.steps };
        let channels = pass.d_y.shape[0];
        let zeros = rec.gpu.upload_f32("zeros", &[channels], &vec![0.0; channels])?;
        steps.record_place(rec, pass.d_y, &zeros, d_x.to, self.skip, d_x.adds)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn looks_ahead(&self) -> bool {
        true
    }
}

struct ClassToken {
    /// Of its input.
    steps: usize,
}

impl Layer for ClassToken {
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        let steps = Steps { batch: site.batch, x: self.steps, y: self.steps + 1 };
        steps.record_place(rec, x[0], &site.set[site.params[0]].segments[0].weight, y, 1, false)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        if let Some(grads) = pass.grads {
            record_sums(rec, site.batch, pass.d_y, self.steps + 1, &grads[0][0])?;
        }
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let steps = Steps { batch: site.batch, x: self.steps + 1, y: self.steps };
        steps.record_take(rec, pass.d_y, d_x.to, 1, d_x.adds)
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn looks_ahead(&self) -> bool {
        true
    }
}
