//! A sequence one step at a time, as text is written: what belongs to this step, and attention to all steps so far, whose keys
//! and values are remembered. The number of the step is `step.first`.

use super::attention::Operands;
use super::{Step, groups};
use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin, Uniform};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/recall.wgsl`.
    pub struct Args { rows: u32, steps: u32, width: u32, batch: u32, depth: u32, key_at: u32 }
}

const LOOK_UP: Kernel = Kernel::own(source!("ops/recall"), twin_look_up).entry("look_up").proven();
const REMEMBER: Kernel = Kernel::own(source!("ops/recall"), twin_remember).entry("remember").proven();
const ATTEND: Kernel = Kernel::own(source!("ops/recall"), twin_attend).entry("attend").proven();
const WG: usize = 64;

/// `y` (rows, width) is this step of a table (rows, steps, width); past the last step it stays there.
pub fn record_look_up(
    rec: &mut Recorder,
    step: &Uniform,
    table: &Tensor,
    steps: usize,
    y: &Tensor,
) -> Result<()> {
    let rows = table.shape[0];
    let args =
        Args { rows: rows as u32, steps: steps as u32, width: (y.len() / rows) as u32, ..Args::default() };
    rec.dispatch(&LOOK_UP, bind! { args: &args, step: step, table: table, y: y }, groups(y.len(), WG), 0)
}

/// Attention of one step by heads to those before it.
#[derive(Clone, Copy, Debug)]
pub struct Recall {
    pub heads: usize,
    /// Channels of a head.
    pub depth: usize,
    /// Steps that are remembered at most.
    pub steps: usize,
    pub batch: usize,
    /// Where k begins among the channels of its tensor; v follows it.
    pub key_at: usize,
}

impl Recall {
    /// The shape of what is remembered: keys and then values.
    pub fn memory(&self) -> Vec<usize> {
        vec![2 * self.heads * self.depth, self.steps, self.batch]
    }
    /// The shape of the scores, which are scratch.
    pub fn scores(&self) -> Vec<usize> {
        vec![self.heads, self.steps, self.batch]
    }
    /// Takes k and v of this step (channels, batch) into `memory`, and attends by its q: y (heads * depth, batch).
    pub fn record(
        &self,
        rec: &mut Recorder,
        step: &Uniform,
        x: Operands,
        memory: &Tensor,
        scores: &Tensor,
        y: &Tensor,
    ) -> Result<()> {
        let (rows, batch) = (2 * self.heads * self.depth, self.batch);
        let args = Args {
            rows: rows as u32,
            steps: self.steps as u32,
            batch: batch as u32,
            depth: self.depth as u32,
            key_at: self.key_at as u32,
            width: 0,
        };
        rec.dispatch(
            &REMEMBER,
            bind! { args: &args, step: step, kv: x.keys, memory: memory },
            groups(rows * batch, WG),
            0,
        )?;
        let args = Args { rows: self.heads as u32, ..args };
        let flops = 4 * (self.steps * y.len()) as u64;
        let binds = bind! { args: &args, step: step, q: x.queries, memory: memory, scores: scores, y: y };
        rec.dispatch(&ATTEND, binds, (self.heads * batch) as u64, flops)
    }
}

fn twin_look_up(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (table, mut y) = (t.f32("table"), t.f32_mut("y"));
    let [steps, width] = [args.steps, args.width].map(|n| n as usize);
    let at = (step.first as usize).min(steps - 1);
    y.iter_mut().enumerate().for_each(|(i, y)| *y = table[(i / width * steps + at) * width + i % width]);
}

fn twin_remember(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (kv, mut memory) = (t.f32("kv"), t.f32_mut("memory"));
    let [rows, steps, batch, key_at] = [args.rows, args.steps, args.batch, args.key_at].map(|n| n as usize);
    let now = step.first as usize;
    for i in 0..if now < steps { rows * batch } else { 0 } {
        memory[(i / batch * steps + now) * batch + i % batch] = kv[key_at * batch + i];
    }
}

fn twin_attend(t: &Twin) {
    let (args, step): (Args, Step) = (t.get("args"), t.get("step"));
    let (q, memory) = (t.f32("q"), t.f32_mut("memory"));
    let (mut scores, mut y) = (t.f32_mut("scores"), t.f32_mut("y"));
    let [heads, steps, batch, depth] = [args.rows, args.steps, args.batch, args.depth].map(|n| n as usize);
    let keys = (step.first as usize + 1).min(steps);
    let at =
        |channel: usize, key: usize, col: usize| f64::from(memory[(channel * steps + key) * batch + col]);
    for (head, col) in (0..heads).flat_map(|head| (0..batch).map(move |col| (head, col))) {
        let own = head * depth..(head + 1) * depth;
        let score = |key: usize| {
            let sum: f64 = own.clone().map(|c| f64::from(q[c * batch + col]) * at(c, key, col)).sum();
            sum / (depth as f64).sqrt()
        };
        let all: Vec<f64> = (0..keys).map(score).collect();
        let peak = all.iter().copied().fold(f64::MIN, f64::max);
        let shares: Vec<f64> = all.iter().map(|score| (score - peak).exp()).collect();
        let total: f64 = shares.iter().sum();
        all.iter().enumerate().for_each(|(key, &s)| scores[(head * steps + key) * batch + col] = s as f32);
        for c in own.clone() {
            let sum: f64 =
                shares.iter().enumerate().map(|(k, share)| share * at(heads * depth + c, k, col)).sum();
            y[c * batch + col] = (sum / total) as f32;
        }
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/recall:look_up", |t, n| {
            let now = t.gpu.uniform("step", &Step { first: 3, ..Default::default() })?;
            [(5, 1), (9, 2), (2, 1)].into_iter().try_for_each(|(steps, width)| {
                let (table, y) =
                    (t.input("table", &[n, steps, width])?, t.output("y", &[n, width], Tolerance::EXACT)?);
                if n == 0 { Ok(()) } else { record_look_up(&mut t.rec, &now, &table, steps, &y) }
            })
        }),
        Check::new("ops/recall:attend", check_attend),
    ]
}

/// The step is the last of all, one in the middle, and the first; keys and values are of the tensor of queries, or not.
fn check_attend(t: &mut Trial, steps: usize) -> Result<()> {
    if steps == 0 {
        return Ok(());
    }
    for (first, heads, depth, own) in [(steps - 1, 2, 5, false), (steps / 2, 3, 4, true), (0, 1, 66, false)] {
        let now = t.gpu.uniform("step", &Step { first: first as u32, ..Default::default() })?;
        let width = heads * depth;
        let recall = Recall { heads, depth, steps, batch: 4, key_at: if own { 0 } else { width } };
        let (x, memory) = (t.input("x", &[3 * width, 4])?, t.input("memory", &recall.memory())?);
        let kv = t.input("kv", &[2 * width, 4])?;
        // Shares are off by a few units of exp, and their weighted mean by as much.
        let y = t.output("y", &[width, 4], Tolerance { abs: 4e-6, rel: 4e-6 })?;
        let scores = t.input("scores", &recall.scores())?;
        t.compare(&memory, Tolerance::EXACT);
        let x = Operands { queries: &x, keys: if own { &kv } else { &x } };
        recall.record(&mut t.rec, &now, x, &memory, &scores, &y)?;
    }
    Ok(())
}
