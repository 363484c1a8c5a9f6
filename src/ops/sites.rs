//! Sums over the sites of each channel, sample by sample: global pooling, and the gradient of what scales a channel.

use crate::error::Result;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::gpu::{Kernel, Recorder, Tensor, Twin};
use crate::{bind, source, wgsl_struct};

wgsl_struct! {
    /// See `shaders/ops/sites.wgsl`.
    pub struct Args { sites: u32, quads: u32, groups: u32 }
}

const MEAN: Kernel = Kernel::own(source!("ops/sites"), twin_mean).entry("mean").proven();
const PRODUCTS: [Kernel; 2] = [
    Kernel::own(source!("ops/sites"), |t| twin_products(t, false)).entry("products").proven(),
    Kernel::own(source!("ops/sites"), |t| twin_products(t, true))
        .entry("products")
        .with(&[("ADDS", 1.0)])
        .proven(),
];
/// Quads of a workgroup.
const QUADS: usize = 8;

/// What a kernel is told, and its workgroups, for `y` (channels, batch).
fn args(x: &Tensor, y: &Tensor) -> (Args, u64) {
    let (channels, quads) = (y.shape[0], y.shape[1] / 4);
    let sites = if y.is_empty() { 1 } else { x.len() / y.len() };
    let groups = quads.div_ceil(QUADS);
    let args = Args { sites: sites as u32, quads: quads as u32, groups: groups as u32 };
    (args, (channels * groups) as u64)
}

/// `y` (channels, batch) = the mean of `x` over the sites.
pub fn record_mean(rec: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
    let (args, groups) = args(x, y);
    rec.dispatch(&MEAN, bind! { args: &args, x: x, y: y }, groups, x.len() as u64)
}

/// `y` (channels, batch) = the sum of `a x` over the sites, or `+=` if `adds`.
pub fn record_products(rec: &mut Recorder, a: &Tensor, x: &Tensor, y: &Tensor, adds: bool) -> Result<()> {
    let (args, groups) = args(x, y);
    let binds = bind! { args: &args, x: x, a: a, y: y };
    rec.dispatch(&PRODUCTS[usize::from(adds)], binds, groups, 2 * x.len() as u64)
}

/// The sums of `of` an index of x over the sites, by number of y.
fn sums(t: &Twin, len: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
    let args: Args = t.get("args");
    let (sites, batch) = (args.sites as usize, 4 * args.quads as usize);
    let sum = |i: usize| {
        let first = i / batch * sites * batch + i % batch;
        (0..sites).map(|site| of(first + site * batch)).sum()
    };
    (0..len).map(sum).collect()
}

fn twin_mean(t: &Twin) {
    let (x, mut y, args): (_, _, Args) = (t.f32("x"), t.f32_mut("y"), t.get("args"));
    let sums = sums(t, y.len(), |i| f64::from(x[i]));
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = (sum / f64::from(args.sites)) as f32);
}

fn twin_products(t: &Twin, adds: bool) {
    let (x, a, mut y) = (t.f32("x"), t.f32("a"), t.f32_mut("y"));
    let sums = sums(t, y.len(), |i| f64::from(a[i]) * f64::from(x[i]));
    y.iter_mut().zip(sums).for_each(|(y, sum)| *y = if adds { *y + sum as f32 } else { sum as f32 });
}

pub fn checks() -> Vec<Check> {
    // More sites than share a quad, and more quads than a workgroup has, at the largest sizes.
    let shapes = |n: usize| {
        let (channels, sites, batch) = (n.min(67), 1 + n % 70, 4 * (1 + n % 11));
        [[channels, sites * batch], [channels, batch]]
    };
    let close = Tolerance::sum(70);
    vec![
        Check::new("ops/sites:mean", move |t: &mut Trial, n| {
            let [whole, each] = shapes(n);
            let (x, y) = (t.input("x", &whole)?, t.output("y", &each, close)?);
            record_mean(&mut t.rec, &x, &y)
        }),
        Check::new("ops/sites:products", move |t: &mut Trial, n| {
            let [whole, each] = shapes(n);
            let (x, a, more) = (t.input("x", &whole)?, t.input("a", &whole)?, t.input("more", &each)?);
            let y = t.output("y", &each, close)?;
            t.compare(&more, close);
            record_products(&mut t.rec, &a, &x, &y, false)?;
            record_products(&mut t.rec, &a, &x, &more, true)
        }),
    ]
}
