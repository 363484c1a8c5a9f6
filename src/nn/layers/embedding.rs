//! An embedding: a row of numbers for each token.

use toml::Value;

use super::super::extent::Extent;
use super::super::init::{Fans, Init};
use super::super::layer::{Backward, Built, Entry, Extra, Held, Layer, Needs, Site};
use crate::error::Result;
use crate::gpu::{Dtype, Recorder, Tensor};
use crate::ops::embedding::{self, Rows};

pub const ENTRY: Entry = Entry {
    name: "embedding",
    about: "of each token a row of `out` numbers; that of the token `padding` is 0 and has no gradient from here (-1: none)",
    required: || vec![("out", Value::Integer(1))],
    optional: || vec![("padding", Value::Integer(-1)), Init::setting("normal:1")],
    build: |context| {
        let (input, settings) = (context.input()?.clone(), context.settings);
        let out = settings.u32("out")? as usize;
        if out == 0 {
            return Err(settings.wrong("out", "at least 1"));
        }
        let vocabulary = input.vocabulary.unwrap_or(1); // anything else is refused, with the layer's name
        let padding = match settings.i64("padding")? {
            -1 => None,
            token if (0..vocabulary as i64).contains(&token) => Some(token as u32),
            _ => return Err(settings.wrong("padding", &format!("a token below {vocabulary}, or -1: none"))),
        };
        let fans = Fans { inputs: vocabulary, outputs: out };
        let mut table = Init::read(settings)?.param(context, "weight", &[vocabulary, out], fans);
        if let Some(token) = padding {
            let (first, drawn) = (token as usize * out, table.initial_values());
            let of = move |i: usize, value| if (first..first + out).contains(&i) { 0.0 } else { value };
            table.begin_with(drawn.into_iter().enumerate().map(|(i, value)| of(i, value)).collect());
        }
        let layer = Embedding { vocabulary, padding };
        let params = vec![context.params.declare(table)];
        Ok(Built { layer: Box::new(layer), output: Extent::new(out, input.sites), params })
    },
};

struct Embedding {
    vocabulary: usize,
    padding: Option<u32>,
}

impl Layer for Embedding {
    /// The columns in the order of their tokens.
    fn extras(&self, site: Site) -> Vec<Extra> {
        vec![Extra { dtype: Dtype::U32, shape: vec![embedding::keys(site.cols)], held: Held::Backward }]
    }
    fn forward(&self, rec: &mut Recorder, site: Site, x: &[&Tensor], y: &Tensor) -> Result<()> {
        site.set[site.params[0]].segments.iter().try_for_each(|segment| {
            embedding::record(rec, Rows { begin: segment.rows.start, tensor: &segment.weight }, x[0], y)
        })
    }
    fn backward(&self, rec: &mut Recorder, site: Site, pass: &Backward) -> Result<()> {
        let Some(grads) = pass.grads else { return Ok(()) };
        let order = site.extra(0);
        embedding::record_order(rec, self.vocabulary, pass.x[0], order)?;
        let segments = &site.set[site.params[0]].segments;
        segments.iter().zip(&grads[0]).try_for_each(|(segment, grad)| {
            let rows = Rows { begin: segment.rows.start, tensor: grad };
            embedding::record_backward(rec, rows, order, pass.d_y, self.padding)
        })
    }
    fn needs(&self, _feeds_back: bool) -> Needs {
        Needs { x: true, y: false }
    }
    fn reads_tokens(&self) -> bool {
        true
    }
    /// Every channel of a row is another number for another token.
    fn reach(&self, inputs: &[&[bool]], _: &[Option<&[u32]>], channels: usize) -> Vec<bool> {
        vec![inputs[0].iter().any(|&depends| depends); channels]
    }
}
