//! Permutations of hidden units that let an N:M pattern keep more magnitude.
//!
//! Pool & Yu, 2021, "Channel permutations for N:M sparsity". Exchanging two inputs of a layer, and the two outputs of
//! the layer before that they come from, changes nothing that the network computes, but it changes which weights
//! share a group. Which order is best, `sparsity::exchange` finds; here the units are put in it.

use super::exchange::{Scratch, Search, Shape};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Gpu, Kernel, Plan, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::ops::packed::Form;
use crate::param::{ParamId, ParamSet, Segment};
use crate::sparsity::recorder;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/structure/permute.wgsl`.
    pub struct Args { rows: u32, inner: u32, first: u32, before_first: u32, before_rows: u32 }
}

const COLUMNS: Kernel =
    Kernel::own(source!("sparsity/structure/permute"), twin_columns).entry("columns").proven();
const ROWS: Kernel = Kernel::own(source!("sparsity/structure/permute"), twin_rows).entry("rows").proven();
const TAKE_BACK: Kernel =
    Kernel::own(source!("sparsity/structure/permute"), twin_take_back).entry("take_back").proven();
const WG: usize = 64;

/// The recorded permutation of all hidden units that feed a layer with an N:M pattern.
pub struct Permutation {
    layers: Vec<Layer>,
    /// Of each search, at most.
    rounds: u32,
}

/// One layer whose inputs are permuted.
struct Layer {
    /// Of the weight.
    name: String,
    search: Search,
    apply: Plan,
}

impl Permutation {
    /// Records what permutes hidden units between layers so that those with an N:M pattern keep more: where all that reads
    /// the units of a layer is the next one (`Param::before`). Their gradients serve as memory, and are 0 after:
    /// it is for the time between two steps. No search takes more than so many `rounds`.
    ///
    /// # Errors
    /// `Kind::Memory` where the device has no room.
    pub fn record(gpu: &Gpu, params: &ParamSet, rounds: u32) -> Result<Self> {
        let searched = searched(params);
        let weights = |id: ParamId| params[id].segments.iter().map(|segment| &segment.weight);
        let shape = |&(id, pattern): &(ParamId, (usize, usize))| Shape::new(weights(id), pattern);
        let scratch = Scratch::new(gpu, &searched.iter().map(shape).collect::<Vec<_>>())?;
        let mut layers = Vec::new();
        for (id, pattern) in searched {
            let (param, before) = (&params[id], params[id].before);
            let segments: Vec<(&Tensor, &Tensor)> =
                param.segments.iter().map(|segment| (&segment.weight, &segment.grad)).collect();
            let search = Search::record(gpu, &param.name, &segments, pattern, &scratch)?;
            let mut rec = recorder(gpu, &param.name);
            for segment in &param.segments {
                record_columns(&mut rec, search.order(), &segment.weight, &segment.grad)?;
            }
            for param in before.iter().flatten().map(|&id| &params[id]) {
                rec.scope(&param.name);
                record_rows(&mut rec, search.order(), &param.segments)?;
            }
            layers.push(Layer { name: param.name.clone(), search, apply: rec.finish()? });
        }
        Ok(Self { layers, rounds })
    }

    /// Permutes. The network computes what it did, but for the order of its sums. Returns the weights whose search ended
    /// with its last round, and not for want of exchanges that gain.
    pub fn run(&self) -> Result<Vec<String>> {
        let mut cut = Vec::new();
        for layer in &self.layers {
            if !layer.search.run(self.rounds)? {
                cut.push(layer.name.clone());
            }
            layer.apply.replay()?;
        }
        Ok(cut)
    }

    /// Its dispatches: the beginning of each search, one round of it, and what puts units in the order found.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.layers.iter().flat_map(|layer| layer.search.plans().into_iter().chain([&layer.apply]))
    }
}

/// The weights whose inputs can be permuted to some gain, with N and M.
fn searched(params: &ParamSet) -> Vec<(ParamId, (usize, usize))> {
    let mut all = Vec::new();
    for (id, param) in params.pairs() {
        let (Form::Groups { keep, of }, Some([producer, _])) = (param.form, param.before) else { continue };
        let (producer, inner) = (&params[producer], param.matrix().inner());
        let gains = keep < of && inner > of; // not where groups keep all, nor where there is one
        if gains && param.is_masked() && [param, producer].iter().all(|p| p.packed().is_none()) {
            all.push((id, (keep, of)));
        }
    }
    all
}

/// Puts the columns of `values` (rows, inner) in order, by way of `spare` of the same shape, which is 0 after.
fn record_columns(rec: &mut Recorder, order: &Tensor, values: &Tensor, spare: &Tensor) -> Result<()> {
    let args = Args { rows: values.shape[0] as u32, inner: values.shape[1] as u32, ..Args::default() };
    let binds = bind! { args: &args, order: order, before: values, after: spare };
    rec.dispatch(&COLUMNS, binds, groups(values.len(), WG), 0)?;
    record_take_back(rec, values, spare)
}

/// Puts the rows of a parameter in order, whatever segments they lie in, by way of the gradients, which are 0 after.
fn record_rows(rec: &mut Recorder, order: &Tensor, segments: &[Segment]) -> Result<()> {
    for (to, from) in segments.iter().flat_map(|to| segments.iter().map(move |from| (to, from))) {
        let args = Args {
            rows: to.rows.len() as u32,
            inner: width(&to.weight) as u32,
            first: to.rows.start as u32,
            before_first: from.rows.start as u32,
            before_rows: from.rows.len() as u32,
        };
        let binds = bind! { args: &args, order: order, before: &from.weight, after: &to.grad };
        rec.dispatch(&ROWS, binds, groups(to.weight.len(), WG), 0)?;
    }
    segments.iter().try_for_each(|segment| record_take_back(rec, &segment.weight, &segment.grad))
}

fn record_take_back(rec: &mut Recorder, before: &Tensor, after: &Tensor) -> Result<()> {
    let args = Args { rows: before.shape[0] as u32, inner: width(before) as u32, ..Args::default() };
    let binds = bind! { args: &args, before: before, after: after };
    rec.dispatch(&TAKE_BACK, binds, groups(before.len(), WG), 0)
}

/// Values in a row; of a bias 1.
fn width(values: &Tensor) -> usize {
    values.shape[1..].iter().product()
}

fn twin_columns(t: &Twin) {
    let args: Args = t.get("args");
    let (order, before, mut after) = (t.u32("order"), t.f32("before"), t.f32_mut("after"));
    let inner = args.inner as usize;
    for (i, after) in after.iter_mut().enumerate() {
        *after = before[i / inner * inner + order[i % inner] as usize];
    }
}

fn twin_rows(t: &Twin) {
    let args: Args = t.get("args");
    let (order, before, mut after) = (t.u32("order"), t.f32("before"), t.f32_mut("after"));
    let inner = args.inner as usize;
    for row in 0..args.rows as usize {
        let from = order[args.first as usize + row];
        if (args.before_first..args.before_first + args.before_rows).contains(&from) {
            let at = (from - args.before_first) as usize * inner;
            after[row * inner..][..inner].copy_from_slice(&before[at..][..inner]);
        }
    }
}

fn twin_take_back(t: &Twin) {
    let (mut before, mut after) = (t.f32_mut("before"), t.f32_mut("after"));
    before.copy_from_slice(&after);
    after.fill(0.0);
}

/// An order of 0 .. n that has no pattern: that of random numbers.
fn shuffled(words: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..words.len() as u32).collect();
    order.sort_by(|&a, &b| words[a as usize].total_cmp(&words[b as usize]));
    order
}

/// Columns, and rows across segments.
pub fn checks() -> Vec<Check> {
    let columns = Check::new("sparsity/structure/permute:columns", |t, n| {
        let order = shuffled(&t.values(n));
        let order = t.gpu.upload_u32("order", &[n], &order)?;
        let (values, spare) = (t.input("values", &[3, n])?, t.input("spare", &[3, n])?);
        [&values, &spare].into_iter().for_each(|tensor| t.compare(tensor, Tolerance::EXACT));
        record_columns(&mut t.rec, &order, &values, &spare)
    });
    let rows = |width: usize| {
        Check::new(format!("sparsity/structure/permute:rows ({width})"), move |t, n| {
            let order = shuffled(&t.values(n));
            let order = t.gpu.upload_u32("order", &[n], &order)?;
            let mask = t.bits("mask", 1)?;
            let cut = n / 2;
            let mut segments = Vec::new();
            for rows in [0..cut, cut..n] {
                let shape = [rows.len(), width];
                let (weight, grad) = (t.input("weight", &shape)?, t.input("grad", &shape)?);
                [&weight, &grad].into_iter().for_each(|tensor| t.compare(tensor, Tolerance::EXACT));
                segments.push(Segment { rows, weight, grad, mask: mask.clone() });
            }
            record_rows(&mut t.rec, &order, &segments)
        })
    };
    vec![columns, rows(1), rows(5)]
}
