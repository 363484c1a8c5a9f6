//! Pooling of images: each channel by itself, the largest number of every window or the mean of all.

use toml::Value;

use super::super::coupling::Passing;
use super::super::extent::Extent;
use super::super::layer::{Backward, Built, Context, Entry, Extra, Held, Layer, Needs, Site};
use super::conv2d::image;
use crate::error::{Error, Result};
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::pool::{self, Pooling};
use crate::ops::sites;
use crate::ops::window::Window;

pub const LARGEST: Entry = Entry {
    name: "max_pool",
    about: "the largest number of each window of `kernel` x `kernel` sites, `stride` apart (0: as wide as the kernel); nothing in a `padding` counts",
    required,
    optional,
    build: |context| {
        let window = slide(context)?;
        if window.taps() > pool::MOST_TAPS {
            return Err(context.settings.wrong("kernel", "at most 15"));
        }
        let channels = context.input()?.channels;
        let layer = Largest { window, channels, rectifies_input_grad: false };
        built(context, Box::new(layer), window)
    },
};
pub const MEAN: Entry = Entry {
    name: "average_pool",
    about: "the mean of each window of `kernel` x `kernel` sites, `stride` apart (0: as wide as the kernel); zeros of a `padding` count",
    required,
    optional,
    build: |context| {
        let window = slide(context)?;
        built(context, Box::new(Mean(window)), window)
    },
};
pub const GLOBAL_MEAN: Entry = Entry {
    name: "global_average_pool",
    about: "the mean of each channel over all sites of an image, or all steps of a sequence",
    required: Vec::new,
    optional: Vec::new,
    build: |context| {
        // A sequence is an image of one column.
        let sites = match context.input()?.sites[..] {
            [steps] => [steps, 1],
            _ => image(context)?,
        };
        let window = Window::of(sites, sites);
        let output = Extent::features(context.input()?.channels);
        Ok(Built { layer: Box::new(GlobalMean(window)), output, params: Vec::new() })
    },
};

fn required() -> Vec<(&'static str, Value)> {
    vec![("kernel", Value::Integer(1))]
}

fn optional() -> Vec<(&'static str, Value)> {
    vec![("stride", Value::Integer(0)), ("padding", Value::Integer(0))]
}

fn built(context: &Context, layer: Box<dyn Layer>, window: Window) -> Result<Built> {
    let output = Extent { sites: window.out().to_vec(), ..context.input()?.clone() };
    Ok(Built { layer, output, params: Vec::new() })
}

/// The windows of a layer.
fn slide(context: &Context) -> Result<Window> {
    let settings = context.settings;
    let number = |key: &str| settings.u32(key).map(|value| value as usize);
    let (kernel, stride, padding) = (number("kernel")?, number("stride")?, number("padding")?);
    if kernel == 0 {
        return Err(settings.wrong("kernel", "at least 1"));
    }
    if padding > kernel / 2 {
        return Err(
            settings.wrong("padding", "at most half of the kernel: each window has to reach into the image")
        );
    }
    let sites = image(context)?;
    let stride = if stride == 0 { kernel } else { stride };
    let window = Window { stride, padding, ..Window::of(sites, [kernel; 2]) };
    if window.out().contains(&0) {
        let what = format!("the kernel of layer `{}` does not fit into its input", context.name);
        let error = Error::usage(what).at(format!(
            "it reaches over {kernel} sites; the input is {}, with {padding} more on each side",
            context.input()?
        ));
        return Err(settings.locate("kernel", error).hint("a smaller kernel, or `global_average_pool`"));
    }
    Ok(window)
}

struct Largest {
    window: Window,
    channels: usize,
    rectifies_input_grad: bool,
}

impl Layer for Largest {
    /// Which tap won.
    fn extras(&self, site: Site) -> Vec<Extra> {
        let shape = pool::won(&[self.channels, site.cols]);
        vec![Extra { dtype: Dtype::U32, shape, held: Held::Between }]
    }
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        Pooling::on(&rec.gpu, &self.window).record_largest(
            rec,
            x[0],
            y,
            site.extra(0),
            self.rectifies_input_grad,
        )
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        let pool = Pooling::on(&rec.gpu, &self.window);
        pool.record_largest_backward(rec, site.extra(0), pass.d_y, d_x.to, d_x.adds)
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    /// Where the largest number of a window is not above 0, its gradient goes nowhere.
    fn can_rectify_input_grad(&self) -> bool {
        true
    }
    fn rectify_input_grad(&mut self) {
        self.rectifies_input_grad = true;
    }
}

struct Mean(Window);

impl Layer for Mean {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        Pooling::on(&rec.gpu, &self.0).record_mean(rec, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, _: Site, pass: &Backward) -> Result<()> {
        let Some(d_x) = pass.d_x[0] else { return Ok(()) };
        Pooling::on(&rec.gpu, &self.0).record_mean_backward(rec, pass.d_y, d_x.to, d_x.adds)
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
}

/// A window that is the image.
struct GlobalMean(Window);

impl Layer for GlobalMean {
    fn forward(&self, rec: &mut Recorder, _: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        sites::record_mean(rec, x[0], y)
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        Mean(self.0).backward(rec, site, pass)
    }
    fn passing(&self) -> Passing {
        Passing::Alone
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs::default()
    }
    fn looks_ahead(&self) -> bool {
        true
    }
}
