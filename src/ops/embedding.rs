//! Rows of a table by token, and the gradient of the table, added up in the order of columns.

use super::groups;
use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/embedding.wgsl`.
    pub struct Args {
        rows: u32, channels: u32, cols: u32, begin: u32, len: u32, padding: u32, block: u32, width: u32, apart: u32
    }
}

const GATHER: Kernel = Kernel::own(source!("ops/embedding"), twin_gather).entry("gather").proven();
const SORT: Kernel = Kernel::own(source!("ops/embedding"), twin_sort).entry("sort").proven();
const MERGE_FAR: Kernel = Kernel::own(source!("ops/embedding"), twin_far).entry("merge_far").proven();
const MERGE_NEAR: Kernel = Kernel::own(source!("ops/embedding"), twin_near).entry("merge_near").proven();
const SCATTER: Kernel = Kernel::own(source!("ops/embedding"), twin_scatter).entry("scatter").proven();
const WG: usize = 64;
const EACH: usize = 16;
const NONE: u32 = u32::MAX;
/// Keys that one workgroup sorts.
const BLOCK: usize = 4096;

/// Rows of a table `(rows, channels)`, those of the tokens from `begin` on.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub begin: usize,
    pub tensor: &'a Tensor,
}

/// How many keys the columns of a batch have: see [`record_order`].
pub fn keys(cols: usize) -> usize {
    cols.next_power_of_two()
}

fn args(rows: Rows, cols: usize, padding: Option<u32>) -> Args {
    Args {
        rows: rows.tensor.shape[0] as u32,
        channels: rows.tensor.shape[1] as u32,
        cols: cols as u32,
        begin: rows.begin as u32,
        len: keys(cols) as u32,
        padding: padding.unwrap_or(NONE),
        ..Args::default()
    }
}

/// `y[c, col] = table[tokens[col], c]`, in all columns whose token has a row here. y: (channels, cols). tokens: (cols,).
pub fn record(rec: &mut Recorder, table: Rows, tokens: &Tensor, y: &Tensor) -> Result<()> {
    let (cols, channels) = (tokens.len(), y.shape[0]);
    let args = args(table, cols, None);
    let binds = bind! { args: &args, table: table.tensor, tokens: tokens, y: y };
    rec.dispatch(&GATHER, binds, groups(cols * channels.div_ceil(EACH), WG), 0)?;
    rec.moves(8 * y.len() as u64);
    Ok(())
}

/// Sorts the columns by token: `keys`, of the length that [`keys`] says.
///
/// # Errors
/// `Kind::Usage` where a token and a column have no room in one word.
pub fn record_order(rec: &mut Recorder, vocabulary: usize, tokens: &Tensor, order: &Tensor) -> Result<()> {
    let cols = tokens.len();
    if vocabulary as u64 * keys(cols) as u64 > u64::from(NONE) {
        let what =
            format!("the gradient of an embedding of {vocabulary} tokens sorts {cols} columns at most");
        return Err(Error::usage(what)
            .at(format!("tokens by columns, rounded up to a power of two, may be {NONE}"))
            .hint("a smaller batch or a shorter context"));
    }
    sort(rec, tokens, order, BLOCK)
}

fn sort(rec: &mut Recorder, tokens: &Tensor, order: &Tensor, block: usize) -> Result<()> {
    let len = keys(tokens.len());
    let block = block.min(len);
    let blocks = (len / block) as u64;
    let args = Args { cols: tokens.len() as u32, len: len as u32, block: block as u32, ..Args::default() };
    rec.dispatch(&SORT, bind! { args: &args, tokens: tokens, keys: order }, blocks, 0)?;
    let doubled = |from: usize| std::iter::successors(Some(from), |n| Some(2 * n));
    for width in doubled(2 * block).take_while(|&width| width <= len) {
        let args = Args { width: width as u32, ..args };
        let apart = doubled(block).take_while(|apart| 2 * apart <= width).collect::<Vec<_>>();
        for apart in apart.into_iter().rev() {
            let args = Args { apart: apart as u32, ..args };
            rec.dispatch(&MERGE_FAR, bind! { args: &args, keys: order }, groups(len / 2, WG), 0)?;
        }
        rec.dispatch(&MERGE_NEAR, bind! { args: &args, keys: order }, blocks, 0)?;
    }
    Ok(())
}

/// The gradient of some rows of the table from that of `y`, by the columns in the order that [`record_order`] left; that of
/// the row `padding` is 0.
pub fn record_backward(
    rec: &mut Recorder,
    d_table: Rows,
    order: &Tensor,
    d_y: &Tensor,
    padding: Option<u32>,
) -> Result<()> {
    let args = args(d_table, d_y.shape[1], padding);
    let binds = bind! { args: &args, keys: order, d_y: d_y, d_table: d_table.tensor };
    rec.dispatch(&SCATTER, binds, groups(d_table.tensor.len(), WG), d_y.len() as u64)
}

fn twin_gather(t: &Twin) {
    let args: Args = t.get("args");
    let (table, tokens, mut y) = (t.f32("table"), t.u32("tokens"), t.f32_mut("y"));
    let [rows, channels, cols] = [args.rows, args.channels, args.cols].map(|n| n as usize);
    for (col, &token) in tokens.iter().enumerate().take(cols) {
        let row = token.wrapping_sub(args.begin) as usize;
        if row < rows {
            (0..channels).for_each(|c| y[c * cols + col] = table[row * channels + c]);
        }
    }
}

fn twin_sort(t: &Twin) {
    let args: Args = t.get("args");
    let (tokens, mut order) = (t.u32("tokens"), t.u32_mut("keys"));
    order.fill(NONE);
    let cols = args.cols as usize;
    (0..cols).for_each(|col| order[col] = tokens[col] * args.len + col as u32);
    // Sequences rise and fall in turn, which the merges build on.
    for (number, block) in order.chunks_mut(args.block as usize).enumerate() {
        block.sort_unstable();
        if number % 2 == 1 {
            block.reverse();
        }
    }
}

/// One step of the network, over pairs so far apart.
fn exchange(keys: &mut [u32], width: usize, apart: usize) {
    for low in (0..keys.len()).filter(|low| low & apart == 0) {
        if (keys[low] > keys[low + apart]) == (low & width == 0) {
            keys.swap(low, low + apart);
        }
    }
}

fn twin_far(t: &Twin) {
    let args: Args = t.get("args");
    exchange(&mut t.u32_mut("keys"), args.width as usize, args.apart as usize);
}

fn twin_near(t: &Twin) {
    let args: Args = t.get("args");
    let (mut keys, mut apart) = (t.u32_mut("keys"), args.block as usize / 2);
    while apart > 0 {
        exchange(&mut keys, args.width as usize, apart);
        apart /= 2;
    }
}

fn twin_scatter(t: &Twin) {
    let args: Args = t.get("args");
    let (order, d_y) = (t.u32("keys"), t.f32("d_y"));
    let [rows, channels, cols] = [args.rows, args.channels, args.cols].map(|n| n as usize);
    let mut sums = vec![0.0; rows * channels];
    for key in &order[..cols] {
        let (token, col) = (key / args.len, (key % args.len) as usize);
        let row = token.wrapping_sub(args.begin) as usize;
        if row < rows && token != args.padding {
            let own = &mut sums[row * channels..][..channels];
            own.iter_mut().enumerate().for_each(|(c, sum)| *sum += f64::from(d_y[c * cols + col]));
        }
    }
    t.f32_mut("d_table").iter_mut().zip(sums).for_each(|(d, sum)| *d = sum as f32);
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("ops/embedding:gather", check_gather),
        Check::new("ops/embedding:sort, merge_far, merge_near", check_sort),
        Check::new("ops/embedding:scatter", check_scatter),
    ]
}

/// Tokens of the checks: half of the columns of the largest size repeat one.
const TOKENS: usize = 150;

fn check_gather(t: &mut Trial, n: usize) -> Result<()> {
    let tokens = t.indices("tokens", &[68], n as u32)?;
    let y = t.output("y", &[19, 68], Tolerance::EXACT)?;
    let cut = n / 3;
    for (begin, rows) in [(0, cut), (cut, n - cut)] {
        let table = t.input("table", &[rows, 19])?;
        record(&mut t.rec, Rows { begin, tensor: &table }, &tokens, &y)?;
    }
    Ok(())
}

fn check_sort(t: &mut Trial, cols: usize) -> Result<()> {
    for block in [BLOCK, 32, 2] {
        let tokens = t.indices("tokens", &[cols], TOKENS as u32)?;
        let order = t.output_u32("keys", &[keys(cols)])?;
        sort(&mut t.rec, &tokens, &order, block)?;
    }
    Ok(())
}

fn check_scatter(t: &mut Trial, cols: usize) -> Result<()> {
    for channels in [1, 7] {
        let tokens = t.indices("tokens", &[cols], 1 + cols as u32 / 2)?;
        let order = t.output_u32("keys", &[keys(cols)])?;
        record_order(&mut t.rec, TOKENS, &tokens, &order)?;
        let d_y = t.input("d_y", &[channels, cols])?;
        for (begin, rows, padding) in [(0, 40, None), (40, TOKENS - 40, Some(41))] {
            let d_table = t.output("d_table", &[rows, channels], Tolerance::sum(cols))?;
            record_backward(&mut t.rec, Rows { begin, tensor: &d_table }, &order, &d_y, padding)?;
        }
    }
    Ok(())
}
