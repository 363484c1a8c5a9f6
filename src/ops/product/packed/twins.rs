//! The CPU twins of the packed products: linear layers and convolutions, any form.

use super::products::{Args, Span};
use crate::gpu::Twin;
use crate::ops::relu::rectified;

/// What twins read: a matrix, or a grid.
struct Reading {
    span: Option<Span>,
    cols: usize,
}

impl Reading {
    fn of(t: &Twin) -> Self {
        let span = t.has("span").then(|| t.get("span"));
        Self { span, cols: t.get::<Args>("args").cols as usize }
    }
    /// Calls for every column of the result with what an entry reads, by its number in the list.
    fn each(&self, values: &[f32], number: usize, mut f: impl FnMut(usize, f64)) {
        let Some(span) = &self.span else {
            let row = &values[number * self.cols..][..self.cols];
            return row.iter().enumerate().for_each(|(col, &value)| f(col, f64::from(value)));
        };
        let (batch, width, step) = (4 * span.quads as usize, span.width as usize, span.step as usize);
        for site in 0..self.cols / batch {
            let at = number + (site / width * span.grid_width as usize + site % width) * step;
            for b in 0..batch {
                f(site * batch + b, f64::from(values[at * batch + b]));
            }
        }
    }
    /// The number of row `r` of a block of d_y, whose transposed order says `placed`.
    fn row(&self, placed: usize, height: usize, r: usize) -> usize {
        self.span.as_ref().map_or(placed * height + r, |span| placed + r * span.grid_sites as usize)
    }
}

/// The input of an entry, as `columns` stores it.
fn column(args: &Args, columns: &[u32], groups: bool, starts: &[u32], row: usize, entry: usize) -> usize {
    if !groups {
        return columns[entry] as usize;
    }
    let group = (entry - starts[row] as usize) / args.keep as usize;
    group * args.among as usize + (columns[entry / 4] >> (entry % 4 * 8) & 255) as usize
}

/// Values of an entry.
fn height(t: &Twin, values: &str, args: &Args) -> usize {
    (t.f32(values).len() / (args.entries as usize).max(1)).max(1)
}

pub(super) fn twin_forward(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns, values) = (t.u32("starts"), t.u32("columns"), t.f32("values"));
    let (bias, cols) = (t.f32("bias"), args.cols as usize);
    let x = t.values("x");
    let (height, grouped) = (bias.len() / (args.rows as usize).max(1), args.among > 1);
    let reading = Reading::of(t);
    let mut sums = vec![0.0f64; cols];
    let mut out = vec![0.0f32; bias.len() * cols];
    for (o, y) in out.chunks_mut(cols).enumerate() {
        let row = o / height;
        sums.fill(bias[o] as f64);
        for entry in starts[row] as usize..starts[row + 1] as usize {
            let w = values[entry * height + o % height] as f64;
            let number = column(&args, &columns, grouped, &starts, row, entry);
            reading.each(&x, number, |col, x| sums[col] += w * x);
        }
        for (y, &sum) in y.iter_mut().zip(&sums) {
            *y = if args.relu != 0 { rectified(sum as f32) } else { sum as f32 };
        }
    }
    t.set_values("out", &out);
}

pub(super) fn twin_input_grad(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns, values) = (t.u32("starts"), t.u32("columns"), t.f32("values"));
    // The row of blocks of an entry, and its number in row order.
    let from = (args.among <= 1).then(|| t.u32("entry_from"));
    let placed = |entry: usize, input: usize| match &from {
        Some(from) => (columns[entry] as usize, from[entry] as usize),
        None => {
            let (row, slot) = ((columns[entry] >> 8) as usize, (columns[entry] & 255) as usize);
            let group = input / args.among as usize;
            (row, row * args.each as usize + group * args.keep as usize + slot)
        }
    };
    let (height, cols) = (height(t, "values", &args), args.cols as usize);
    let reading = Reading::of(t);
    let x = t.values("x");
    let d_y = t.values("d_y");
    let mut sums = vec![0.0f64; cols];
    let mut out = vec![0.0f32; args.inner as usize * cols];
    for (k, d_x) in out.chunks_mut(cols).enumerate() {
        sums.fill(0.0);
        for entry in starts[k] as usize..starts[k + 1] as usize {
            let (row, number) = placed(entry, k);
            for r in 0..height {
                let w = values[number * height + r] as f64;
                reading.each(&d_y, reading.row(row, height, r), |col, d| sums[col] += w * d);
            }
        }
        for (c, (d_x, &sum)) in d_x.iter_mut().zip(&sums).enumerate() {
            let open = args.relu == 0 || x[k * cols + c] > 0.0;
            *d_x = if open { sum as f32 } else { 0.0 };
        }
    }
    t.set_values("out", &out);
}

pub(super) fn twin_weight_grad(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, columns) = (t.u32("starts"), t.u32("columns"));
    let cols = args.cols as usize;
    let (mut d_values, mut d_bias) = (t.f32_mut("d_values"), t.f32_mut("d_bias"));
    let x = t.values("x");
    let d_y = t.values("d_y");
    let reading = Reading::of(t);
    let (height, grouped) = (d_bias.len() / (args.rows as usize).max(1), args.among > 1);
    for (o, d_y) in d_y.chunks(cols).enumerate() {
        d_bias[o] = d_y.iter().map(|&d| d as f64).sum::<f64>() as f32;
        let row = o / height;
        for entry in starts[row] as usize..starts[row + 1] as usize {
            let mut sum = 0.0;
            let number = column(&args, &columns, grouped, &starts, row, entry);
            reading.each(&x, number, |col, x| sum += f64::from(d_y[col]) * x);
            d_values[entry * height + o % height] = sum as f32;
        }
    }
}
