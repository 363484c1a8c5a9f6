//! Parts of weights: what a smaller network has of the rows, taps and channels of a larger one.

use crate::error::{Error, Result};
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Dtype, Kernel, Recorder, Tensor, Twin};
use crate::ops::groups;
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/shrink/cut.wgsl`.
    pub struct Args {
        rows: u32, height: u32, width: u32, channels: u32, whole_height: u32, whole_width: u32, whole_channels: u32,
        len: u32,
    }
}

const CUT: Kernel = Kernel::own(source!("shrink/cut"), twin_cut).entry("cut").proven();
const ADD: Kernel = Kernel::own(source!("shrink/cut"), twin_add).entry("add").proven();
const FILL: Kernel = Kernel::own(source!("shrink/cut"), twin_fill).entry("fill").proven();
const WG: usize = 64;

/// `part` becomes the first rows, the middle taps and the first channels of `whole`: (rows,), (rows, channels) or
/// (rows, height, width, channels), both alike.
///
/// # Errors
/// `Kind::Internal` where the one is no part of the other, as of all below.
pub fn record_cut(rec: &mut Recorder, whole: &Tensor, part: &Tensor) -> Result<()> {
    let args = args(part, whole, part.len())?;
    let binds = bind! { args: &args, source: whole, result: part };
    rec.dispatch(&CUT, binds, groups(part.len(), WG), 0)?;
    rec.moves(2 * part.bytes());
    Ok(())
}

/// Adds `part` to where [`record_cut`] takes it from.
pub fn record_add(rec: &mut Recorder, part: &Tensor, whole: &Tensor) -> Result<()> {
    let args = args(part, whole, part.len())?;
    let binds = bind! { args: &args, source: part, result: whole };
    rec.dispatch(&ADD, binds, groups(part.len(), WG), part.len() as u64)?;
    rec.moves(3 * part.bytes());
    Ok(())
}

/// `whole` becomes `part` where [`record_cut`] takes it from, and 0 elsewhere.
pub fn record_fill(rec: &mut Recorder, part: &Tensor, whole: &Tensor) -> Result<()> {
    let args = args(part, whole, whole.len())?;
    let binds = bind! { args: &args, source: part, result: whole };
    rec.dispatch(&FILL, binds, groups(whole.len(), WG), 0)
}

/// `whole` becomes 0.
pub fn record_clear(rec: &mut Recorder, whole: &Tensor) -> Result<()> {
    let nothing = rec.gpu.tensor("nothing", Dtype::F32, &[1])?;
    let one = Args { height: 1, width: 1, channels: 1, whole_height: 1, whole_width: 1, ..Args::default() };
    let args = Args { whole_channels: whole.len() as u32, len: whole.len() as u32, ..one };
    let binds = bind! { args: &args, source: &nothing, result: whole };
    rec.dispatch(&FILL, binds, groups(whole.len(), WG), 0)
}

fn args(part: &Tensor, whole: &Tensor, len: usize) -> Result<Args> {
    let sides = |shape: &[usize]| match *shape {
        [rows] => Some([rows, 1, 1, 1]),
        [rows, channels] => Some([rows, 1, 1, channels]),
        [rows, height, width, channels] => Some([rows, height, width, channels]),
        _ => None,
    };
    let (own, all) = (sides(&part.shape), sides(&whole.shape));
    let (Some(own), Some(all)) = (own, all) else {
        return Err(Error::internal(format!("{part:?} is no part of {whole:?}")));
    };
    let is_middle = |at: usize| (all[at] - own[at]).is_multiple_of(2);
    let fits = own.iter().zip(&all).all(|(own, all)| own <= all) && is_middle(1) && is_middle(2);
    if !fits || part.shape.len() != whole.shape.len() {
        return Err(Error::internal(format!("{part:?} is no part of {whole:?}")));
    }
    let [rows, height, width, channels] = own.map(|side| side as u32);
    let [_, whole_height, whole_width, whole_channels] = all.map(|side| side as u32);
    Ok(Args { rows, height, width, channels, whole_height, whole_width, whole_channels, len: len as u32 })
}

/// Number i of the part, and where it lies in the whole.
fn places(args: &Args) -> impl Iterator<Item = (usize, usize)> + use<> {
    let [rows, height, width, channels] =
        [args.rows, args.height, args.width, args.channels].map(|side| side as usize);
    let [whole_height, whole_width, whole_channels] =
        [args.whole_height, args.whole_width, args.whole_channels].map(|side| side as usize);
    let (down, across) = ((whole_height - height) / 2, (whole_width - width) / 2);
    (0..rows).flat_map(move |row| {
        (0..height).flat_map(move |y| {
            (0..width).flat_map(move |x| {
                (0..channels).map(move |channel| {
                    let own = ((row * height + y) * width + x) * channels + channel;
                    let site = (row * whole_height + y + down) * whole_width + x + across;
                    (own, site * whole_channels + channel)
                })
            })
        })
    })
}

fn twin_cut(t: &Twin) {
    let (args, source, mut result): (Args, _, _) = (t.get("args"), t.f32("source"), t.f32_mut("result"));
    places(&args).for_each(|(own, at)| result[own] = source[at]);
}

fn twin_add(t: &Twin) {
    let (args, source, mut result): (Args, _, _) = (t.get("args"), t.f32("source"), t.f32_mut("result"));
    places(&args).for_each(|(own, at)| result[at] += source[own]);
}

fn twin_fill(t: &Twin) {
    let (args, source, mut result): (Args, _, _) = (t.get("args"), t.f32("source"), t.f32_mut("result"));
    result.fill(0.0);
    places(&args).for_each(|(own, at)| result[at] = source[own]);
}

pub fn checks() -> Vec<Check> {
    let shapes = |n: usize| {
        let (taps, channels) = (1 + 2 * (n % 3), 1 + n % 5);
        let of = |rows, taps, channels| vec![rows, taps, taps, channels];
        vec![
            [of(n, taps, channels), of(n + 3, taps + 2, channels + 1)],
            [of(n, taps, channels), of(n, taps, channels)],
            [vec![n], vec![n + 7]],
            [vec![3, n], vec![5, n + 2]],
        ]
    };
    let of = |name, record: fn(&mut Recorder, &Tensor, &Tensor) -> Result<()>, to_part: bool| {
        Check::new(name, move |t: &mut Trial, n| {
            for [part, whole] in shapes(n) {
                let (part, whole) = (t.input("part", &part)?, t.input("whole", &whole)?);
                let (from, to) = if to_part { (&whole, &part) } else { (&part, &whole) };
                t.compare(to, Tolerance::EXACT);
                record(&mut t.rec, from, to)?;
            }
            Ok(())
        })
    };
    let clear = Check::new("shrink/cut:fill (nothing)", |t: &mut Trial, n| {
        let whole = t.input("whole", &[n, 3])?;
        t.compare(&whole, Tolerance::EXACT);
        record_clear(&mut t.rec, &whole)
    });
    vec![
        clear,
        of("shrink/cut:cut", record_cut, true),
        of("shrink/cut:add", record_add, false),
        of("shrink/cut:fill", record_fill, false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    #[test]
    fn taps_are_the_middle_ones_and_channels_the_first() {
        let gpu = Gpu::twin();
        let numbers = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
        let whole = gpu.upload_f32("whole", &[2, 5, 5, 2], &numbers(100)).unwrap();
        let part = gpu.upload_f32("part", &[1, 3, 3, 1], &[0.0; 9]).unwrap();
        let mut rec = Recorder::new(&gpu);
        record_cut(&mut rec, &whole, &part).unwrap();
        rec.finish().unwrap().replay().unwrap();
        let want = [12.0, 14.0, 16.0, 22.0, 24.0, 26.0, 32.0, 34.0, 36.0];
        assert_eq!(part.read_f32().unwrap(), want);
    }

    #[test]
    fn what_is_no_part_is_refused() {
        let gpu = Gpu::twin();
        let tensor = |shape: &[usize]| gpu.tensor("t", crate::gpu::Dtype::F32, shape).unwrap();
        let mut rec = Recorder::new(&gpu);
        for (whole, part) in
            [(&[3][..], &[4][..]), (&[3, 5, 5, 1], &[3, 4, 4, 1]), (&[3, 3], &[3]), (&[3, 3, 3], &[3, 3, 3])]
        {
            let error = record_cut(&mut rec, &tensor(whole), &tensor(part)).unwrap_err().to_string();
            assert!(error.contains("is no part of"), "{error}");
        }
    }
}
