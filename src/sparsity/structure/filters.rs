//! Filters: a score for each channel of the network, and the masks of all weights that belong to those which are kept.
//!
//! Li et al., 2017, "Pruning filters for efficient ConvNets": the L1 norm of a filter's weights, or the L2 norm; Liu et
//! al., 2017, "Learning efficient convolutional networks through network slimming": the scale of the norm after it.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance};
use crate::gpu::{Gpu, Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::param::{Axes, ChannelId};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/sparsity/structure/filters.wgsl`.
    pub struct Args { channels: u32, first: u32, rows: u32, all_rows: u32, inner: u32, groups: u32, squares: u32, adds: u32 }
}

const SCORE: Kernel =
    Kernel::own(source!("sparsity/structure/filters"), twin_score).entry("score_rows").proven();
const FLAG: Kernel = Kernel::own(source!("sparsity/structure/filters"), twin_flag).entry("flag").proven();
const SPREAD: Kernel =
    Kernel::own(source!("sparsity/structure/filters"), twin_spread).entry("spread").proven();
const WG: usize = 64;
/// The channel of what is never pruned.
const NONE: u32 = u32::MAX;

/// What the score of a filter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The sum of its magnitudes.
    L1,
    /// The root of the sum of its squares.
    L2,
}

/// `score` (channels,): by channel the norms of its rows of `source` (rows, inner), added up, and to what is there if `adds`.
pub fn record_score(
    rec: &mut Recorder,
    norm: Norm,
    rows: &[Vec<u32>],
    source: &Tensor,
    score: &Tensor,
    adds: bool,
) -> Result<()> {
    let gpu = rec.gpu.clone();
    let inner = source.len() / source.shape[0].max(1);
    let args = Args {
        channels: rows.len() as u32,
        inner: inner as u32,
        squares: u32::from(norm == Norm::L2),
        adds: u32::from(adds),
        ..Args::default()
    };
    let mut starts = vec![0];
    rows.iter().for_each(|own| starts.push(starts[starts.len() - 1] + own.len() as u32));
    let all = rows.concat();
    let starts = gpu.upload_u32("starts", &[starts.len()], &starts)?;
    let listed = gpu.upload_u32("rows", &[all.len()], &all)?;
    let binds = bind! { args: &args, starts: &starts, rows: &listed, source: source, score: score };
    rec.dispatch(&SCORE, binds, rows.len() as u64, (all.len() * inner) as u64)
}

/// The channels of `kept` (all channels,) from `first` on, so many, by the bits of a selection: 1 or 0.
pub fn record_flag(
    rec: &mut Recorder,
    bits: &Tensor,
    first: ChannelId,
    channels: usize,
    kept: &Tensor,
) -> Result<()> {
    let args = Args { channels: channels as u32, first, ..Args::default() };
    rec.dispatch(&FLAG, bind! { args: &args, bits: bits, kept: kept }, groups(channels, WG), 0)
}

/// Which channels the rows and columns of a weight belong to, on the device.
pub struct Places {
    rows: Tensor,
    columns: Tensor,
    groups: usize,
}

impl Places {
    pub fn new(gpu: &Gpu, axes: &Axes) -> Result<Self> {
        let upload = |label: &str, all: &[Option<ChannelId>]| {
            let numbers: Vec<u32> = all.iter().map(|channel| channel.unwrap_or(NONE)).collect();
            gpu.upload_u32(label, &[numbers.len()], &numbers)
        };
        Ok(Self {
            rows: upload("channels of rows", &axes.rows)?,
            columns: upload("channels of columns", &axes.columns)?,
            groups: axes.groups,
        })
    }
}

/// `mask` over rows of a weight from `first` on: what is left where channels have the flags `kept`.
pub fn record_spread(
    rec: &mut Recorder,
    places: &Places,
    (first, rows): (usize, usize),
    kept: &Tensor,
    mask: &Tensor,
) -> Result<()> {
    let [first, rows, all_rows, groups_] = [first, rows, places.rows.len(), places.groups].map(|n| n as u32);
    let inner = (places.columns.len() / places.groups) as u32;
    let args = Args { first, rows, all_rows, inner, groups: groups_, ..Args::default() };
    let binds = bind! { args: &args, flags: kept, row_channel: &places.rows, column_channel: &places.columns, mask: mask };
    rec.dispatch(&SPREAD, binds, groups(mask.len(), WG), 0)
}

fn twin_score(t: &Twin) {
    let args: Args = t.get("args");
    let (starts, rows, source) = (t.u32("starts"), t.u32("rows"), t.f32("source"));
    let mut score = t.f32_mut("score");
    let inner = args.inner as usize;
    for channel in 0..args.channels as usize {
        let norm = |&row: &u32| -> f64 {
            let own = source[row as usize * inner..][..inner].iter().map(|&value| f64::from(value));
            match args.squares {
                1 => own.map(|value| value * value).sum::<f64>().sqrt(),
                _ => own.map(f64::abs).sum(),
            }
        };
        let sum: f64 = rows[starts[channel] as usize..starts[channel + 1] as usize].iter().map(norm).sum();
        score[channel] = if args.adds == 1 { score[channel] } else { 0.0 } + sum as f32;
    }
}

fn twin_flag(t: &Twin) {
    let args: Args = t.get("args");
    let (bits, mut kept) = (t.u32("bits"), t.u32_mut("kept"));
    for channel in 0..args.channels as usize {
        kept[args.first as usize + channel] = bits[channel / 32] >> (channel % 32) & 1;
    }
}

fn twin_spread(t: &Twin) {
    let args: Args = t.get("args");
    let (flags, rows, columns) = (t.u32("flags"), t.u32("row_channel"), t.u32("column_channel"));
    let mut mask = t.u32_mut("mask");
    mask.fill(0);
    let is_kept = |channel: u32| channel == NONE || flags[channel as usize] == 1;
    let inner = args.inner as usize;
    for i in 0..args.rows as usize * inner {
        let row = args.first as usize + i / inner;
        let group = row * args.groups as usize / args.all_rows as usize;
        let stays = is_kept(rows[row]) && is_kept(columns[group * inner + i % inner]);
        mask[i / 32] |= u32::from(stays) << (i % 32);
    }
}

pub fn checks() -> Vec<Check> {
    // Of every third channel no row, of others one or two.
    let score = |norm: Norm, adds: bool| {
        Check::new(format!("sparsity/structure/filters ({norm:?}, adds {adds})"), move |t, n| {
            let inner = 7;
            let row =
                |channel: usize| (0..channel % 3).map(|i| ((channel * 5 + i) % (2 * n)) as u32).collect();
            let rows: Vec<Vec<u32>> = (0..n).map(row).collect();
            let (source, score) = (t.input("source", &[2 * n, inner])?, t.input("score", &[n])?);
            t.compare(&score, Tolerance::sum(2 * inner));
            record_score(&mut t.rec, norm, &rows, &source, &score, adds)
        })
    };
    // A filter longer than a workgroup.
    let long = Check::new("sparsity/structure/filters (long)", |t, n| {
        let rows: Vec<Vec<u32>> = vec![vec![2, 0], vec![1]];
        let source = t.input("source", &[3, n])?;
        let score = t.output("score", &[2], Tolerance::sum(2 * n))?;
        record_score(&mut t.rec, Norm::L1, &rows, &source, &score, false)
    });
    let flag = Check::new("sparsity/structure/filters:flag", |t, n| {
        let (bits, kept) = (t.bits("bits", n.div_ceil(32))?, t.output_u32("kept", &[n + 9])?);
        record_flag(&mut t.rec, &bits, 5, n, &kept)
    });
    let spread = |of: usize| {
        Check::new(format!("sparsity/structure/filters:spread ({of} groups)"), move |t, n| {
            let (rows, inner) = (n * of, 5);
            let channel = |i: usize| (i % 4 != 3).then_some((i % 11) as u32);
            let axes = Axes {
                rows: (0..rows).map(channel).collect(),
                columns: (0..inner * of).map(channel).collect(),
                groups: of,
            };
            let gpu = t.gpu.clone();
            let kept = t.indices("kept", &[11], 2)?;
            // The last rows alone, as of a second segment.
            let (first, own) = (rows / 2, rows - rows / 2);
            let mask = t.output_u32("mask", &[(own * inner).div_ceil(32)])?;
            record_spread(&mut t.rec, &Places::new(&gpu, &axes)?, (first, own), &kept, &mask)
        })
    };
    vec![
        score(Norm::L1, false),
        score(Norm::L1, true),
        score(Norm::L2, false),
        long,
        flag,
        spread(1),
        spread(2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Dtype};

    /// By hand: rows of norms 3 and 4 (L1), and of roots 5 and 13 (L2), the channel of both having their sum.
    #[test]
    fn norms_of_worked_filters() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            for (norm, source, want) in [
                (Norm::L1, [1.0, -2.0, 0.0, 4.0], [7.0, 4.0]),
                (Norm::L2, [3.0, -4.0, 5.0, 12.0], [18.0, 13.0]),
            ] {
                let source = gpu.upload_f32("source", &[2, 2], &source).unwrap();
                let score = gpu.tensor("score", Dtype::F32, &[2]).unwrap();
                let mut rec = Recorder::new(&gpu);
                record_score(&mut rec, norm, &[vec![0, 1], vec![1]], &source, &score, false).unwrap();
                rec.finish().unwrap().replay().unwrap();
                assert_eq!(score.read_f32().unwrap(), want, "{norm:?} on {:?}", gpu.identity());
            }
        }
    }

    /// A filter that is not a number has a score that is none: a selection refuses it.
    #[test]
    fn what_is_not_a_number_shows() {
        for gpu in [Gpu::twin(), Gpu::open(&Choice::Auto).unwrap()] {
            let source = gpu.upload_f32("source", &[2, 1], &[f32::NAN, 1.0]).unwrap();
            let score = gpu.tensor("score", Dtype::F32, &[2]).unwrap();
            let mut rec = Recorder::new(&gpu);
            record_score(&mut rec, Norm::L1, &[vec![0], vec![1]], &source, &score, false).unwrap();
            rec.finish().unwrap().replay().unwrap();
            let found = score.read_f32().unwrap();
            assert!(found[0].is_nan() && found[1] == 1.0, "{found:?}");
        }
    }
}
