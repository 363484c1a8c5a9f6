//! Checks of attention at ragged lengths: over one tensor, causal, and over two, with more keys than queries; of samples that
//! have all keys, and of samples that have some.

use super::{Attention, Fetch, Gradients, Operands, Scratch};
use crate::error::Result;
use crate::gpu::Tensor;
use crate::gpu::check::{Check, Tolerance, Trial};
use crate::ops::Step;
use crate::ops::dropout::Dropout;

/// Heads, channels of a head, steps and the batch.
fn extents(n: usize) -> [usize; 4] {
    match n {
        0 => [1, 1, 1, 0],
        1 => [1, 1, 1, 4],
        3 => [2, 3, 2, 4],
        63 => [2, 8, 17, 8],
        65 => [3, 5, 3, 12],
        _ => [1, 16, 64, 4],
    }
}

/// Weighted means of numbers up to 1, by weights that `exp` makes, of numbers up to 4, off by (3 + 2 |x|) units in the last
/// place; and dropout makes 1 / (1 - p) of them.
const NEAR: Tolerance = Tolerance { abs: 4e-6, rel: 4e-6 };
/// Sums over 64 queries or keys and 16 channels of such numbers.
const FAR: Tolerance = Tolerance { abs: 8e-6, rel: 4e-6 };

/// The tensors of a trial.
struct Case {
    step: crate::gpu::Uniform,
    extents: [usize; 4],
    of: Kind,
    queries: Tensor,
    keys: Tensor,
    d_y: Tensor,
    /// How many keys each sample has: none, some, all, or more than there are.
    lengths: Option<Tensor>,
}

/// What is checked.
#[derive(Clone, Copy)]
struct Kind {
    cross: bool,
    /// Of dropout.
    p: f64,
    ragged: bool,
    fetch: Fetch,
}

fn case(t: &mut Trial, n: usize, of: Kind) -> Result<Case> {
    let cross = of.cross;
    let extents = extents(n);
    let [heads, depth, steps, batch] = extents;
    let width = heads * depth;
    let step = t.gpu.uniform("step", &Step { draw: 5, live: batch as u32, ..Step::default() })?;
    let queries = t.input("queries", &[if cross { width } else { 3 * width }, steps * batch])?;
    let keys = if cross { t.input("keys", &[2 * width, (steps + 3) * batch])? } else { queries.clone() };
    let d_y = t.input("d_y", &[width, steps * batch])?;
    let lengths = t.indices("lengths", &[1, batch], steps as u32 + 5)?;
    Ok(Case { step, extents, of, queries, keys, d_y, lengths: of.ragged.then_some(lengths) })
}

impl Case {
    fn attention(&self) -> Attention<'_> {
        let [heads, depth, steps, batch] = self.extents;
        let Kind { cross, p, fetch, .. } = self.of;
        let first = if cross { 0 } else { heads * depth };
        Attention {
            fetch,
            step: &self.step,
            batch,
            heads,
            depth,
            queries: steps,
            keys: if cross { steps + 3 } else { steps },
            key_at: first,
            value_at: first + heads * depth,
            causal: !cross,
            lengths: self.lengths.as_ref(),
            dropout: (p > 0.0).then_some(Dropout { p, seed: 0x0123_4567_89ab_cdef, layer: 3 }),
            // In one dispatch, and in several, the last of which is shorter.
            part: if p > 0.0 { 8 } else { 1024 },
        }
    }
    fn x(&self) -> Operands<'_> {
        Operands { queries: &self.queries, keys: &self.keys }
    }
}

/// Tensors for gradients, set and added to.
fn gradients(t: &mut Trial, case: &Case, adds: bool) -> Result<[Tensor; 2]> {
    let mut make = |like: &Tensor| -> Result<Tensor> {
        let values = if adds { t.values(like.len()) } else { vec![0.0; like.len()] };
        let tensor = t.gpu.upload_f32("gradient", &like.shape, &values)?;
        t.compare(&tensor, FAR);
        Ok(tensor)
    };
    let queries = make(&case.queries)?;
    let keys = if case.of.cross { make(&case.keys)? } else { queries.clone() };
    Ok([queries, keys])
}

impl Kind {
    fn name(self, what: &str) -> String {
        let Self { cross, p, ragged, fetch } = self;
        let ragged = if ragged { ", ragged" } else { "" };
        format!("ops/attention ({what}, {fetch:?}, cross {cross}, dropout {p}{ragged})")
    }
}

fn kept(of: Kind) -> Check {
    Check::new(of.name("kept"), move |t: &mut Trial, n| {
        let case = case(t, n, of)?;
        let own = case.attention();
        let probabilities = t.output("p", &own.scores(), NEAR)?;
        let dropped = t.gpu.tensor("dropped", crate::gpu::Dtype::F32, &own.scores())?;
        let y = t.output("y", &case.d_y.shape, NEAR)?;
        own.record_kept(&mut t.rec, case.x(), &probabilities, &dropped, &y)?;
        for adds in [false, true] {
            let [queries, keys] = gradients(t, &case, adds)?;
            let delta = t.output("delta", &own.rows(), NEAR)?;
            let d_scores = t.output("d_scores", &own.scores(), NEAR)?;
            let scratch = Scratch { delta: &delta, d_scores: &d_scores, dropped: &dropped };
            let to = Gradients { queries: Some((&queries, adds)), keys: Some((&keys, adds)) };
            own.record_kept_backward(&mut t.rec, case.x(), &probabilities, &y, &case.d_y, scratch, to)?;
        }
        Ok(())
    })
}

fn streamed(of: Kind) -> Check {
    Check::new(of.name("streamed"), move |t: &mut Trial, n| {
        let case = case(t, n, of)?;
        let own = case.attention();
        let (total, y) = (t.output("total", &own.rows(), NEAR)?, t.output("y", &case.d_y.shape, NEAR)?);
        own.record_streamed(&mut t.rec, case.x(), &total, &y)?;
        for adds in [false, true] {
            let [queries, keys] = gradients(t, &case, adds)?;
            let delta = t.output("delta", &own.rows(), NEAR)?;
            let to = Gradients { queries: Some((&queries, adds)), keys: Some((&keys, adds)) };
            own.record_streamed_backward(&mut t.rec, case.x(), &total, &y, &case.d_y, &delta, to)?;
        }
        Ok(())
    })
}

pub fn checks() -> Vec<Check> {
    let whole = [(false, 0.0), (true, 0.0), (false, 0.3), (true, 0.3)].map(|(cross, p)| (cross, p, false));
    let all = whole.into_iter().chain([(false, 0.3, true), (true, 0.3, true)]);
    let of = |(cross, p, ragged)| {
        let kind = |fetch| Kind { cross, p, ragged, fetch };
        // Without scores there is one way to fetch.
        [kept(kind(Fetch::Buffers)), kept(kind(Fetch::Texels)), streamed(kind(Fetch::Buffers))]
    };
    all.flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dtype, Gpu, Recorder};

    #[derive(Clone, Copy)]
    struct Setting {
        causal: bool,
        p: f64,
        /// Of each sample.
        lengths: Option<[u32; 4]>,
    }

    /// Outputs and gradients of queries, keys and values, by kept probabilities or without them.
    fn results(gpu: &Gpu, [steps, keys]: [usize; 2], of: Setting, keeps: bool) -> Vec<f32> {
        // One quad of samples, or several.
        let (Setting { causal, p, lengths }, batch) = (of, if steps == 17 { 12 } else { 4 });
        let lengths = lengths.map(|of| of.iter().copied().cycle().take(batch).collect::<Vec<u32>>());
        let lengths = lengths.map(|of| gpu.upload_u32("lengths", &[1, batch], &of).unwrap());
        let (heads, depth) = (2, 3);
        let width = heads * depth;
        let numbers = |seed: usize, len: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 25.0 - 2.0).collect()
        };
        let tensor = |seed, shape: &[usize]| {
            let len = shape.iter().product();
            gpu.upload_f32("numbers", shape, &numbers(seed, len)).unwrap()
        };
        let [queries, d_y] = [1, 2].map(|seed| tensor(seed, &[width, steps * batch]));
        let kv = tensor(3, &[2 * width, keys * batch]);
        let step = gpu.uniform("step", &Step { draw: 5, ..Step::default() }).unwrap();
        let dropout = (p > 0.0).then_some(Dropout { p, seed: 7, layer: 1 });
        let own = Attention {
            fetch: Fetch::of(gpu),
            step: &step,
            batch,
            heads,
            depth,
            queries: steps,
            keys,
            key_at: 0,
            value_at: width,
            causal,
            lengths: lengths.as_ref(),
            dropout,
            part: if p > 0.0 { 4 } else { 20 },
        };
        let empty = |shape: &[usize]| gpu.tensor("made", Dtype::F32, shape).unwrap();
        let (y, d_queries, d_keys) = (empty(&d_y.shape), empty(&queries.shape), empty(&kv.shape));
        let (x, to) = (
            Operands { queries: &queries, keys: &kv },
            Gradients { queries: Some((&d_queries, false)), keys: Some((&d_keys, false)) },
        );
        let (rows, delta) = (empty(&own.rows()), empty(&own.rows()));
        let mut rec = Recorder::new(gpu);
        if keeps {
            let [p, d_scores, dropped] = [0; 3].map(|_| empty(&own.scores()));
            own.record_kept(&mut rec, x, &p, &dropped, &y).unwrap();
            let scratch = Scratch { delta: &delta, d_scores: &d_scores, dropped: &dropped };
            own.record_kept_backward(&mut rec, x, &p, &y, &d_y, scratch, to).unwrap();
        } else {
            own.record_streamed(&mut rec, x, &rows, &y).unwrap();
            own.record_streamed_backward(&mut rec, x, &rows, &y, &d_y, &delta, to).unwrap();
        }
        rec.finish().unwrap().replay().unwrap();
        [y, d_queries, d_keys].iter().flat_map(|tensor| tensor.read_f32().unwrap()).collect()
    }

    /// Scores of up to 7 have `exp` off by 17 units in the last place, 1e-6; gradients are sums of up to 64 products of such
    /// numbers, up to 4, over the root of 3.
    const BOUND: f32 = 4e-4;

    #[test]
    fn with_and_without_scores_it_is_the_same_function() {
        for gpu in [Gpu::twin(), Gpu::open(&crate::gpu::Choice::Auto).unwrap()] {
            for steps in [[1, 1], [2, 2], [3, 3], [17, 17], [64, 64], [3, 7], [5, 2]] {
                let ragged = Some([0, 1, steps[1] as u32 / 2, steps[1] as u32]);
                let settings = [(false, 0.0, None), (true, 0.0, None), (false, 0.4, None), (true, 0.4, None)]
                    .into_iter()
                    .chain([(false, 0.0, ragged), (true, 0.4, ragged)]);
                for (causal, p, lengths) in settings {
                    if causal && steps[0] != steps[1] {
                        continue;
                    }
                    let of = Setting { causal, p, lengths };
                    let [kept, streamed] = [true, false].map(|keeps| results(&gpu, steps, of, keeps));
                    let bound = Tolerance { abs: BOUND, rel: 1e-5 };
                    crate::gpu::check::compare_f32("attention", &streamed, &kept, bound)
                        .unwrap_or_else(|e| panic!("{steps:?}, causal {causal}, {p}, {lengths:?}: {e}"));
                    // What a query does not see, and what is dropped, changes the result.
                    if steps == [17, 17] {
                        let mut others = vec![Setting { causal: !causal, ..of }, Setting { p: 0.2, ..of }];
                        others.extend(lengths.map(|_| Setting { lengths: None, ..of }));
                        for other in others {
                            let other = results(&gpu, steps, other, true);
                            assert!(crate::gpu::check::compare_f32("", &other, &kept, bound).is_err());
                        }
                    }
                }
            }
        }
    }

    /// A single head of one channel over three steps, by hand.
    #[test]
    fn a_small_one_is_as_computed_by_hand() {
        let gpu = Gpu::twin();
        let spread = |values: &[f32]| values.iter().flat_map(|&value| [value; 4]).collect::<Vec<_>>();
        let queries = gpu.upload_f32("q", &[1, 12], &spread(&[1.0, -1.0, 2.0])).unwrap();
        let kv = gpu.upload_f32("kv", &[2, 12], &spread(&[0.0, 1.0, -1.0, 3.0, 5.0, 7.0])).unwrap();
        let step = gpu.uniform("step", &Step::default()).unwrap();
        let own = Attention {
            fetch: Fetch::Buffers,
            step: &step,
            batch: 4,
            heads: 1,
            depth: 1,
            queries: 3,
            keys: 3,
            key_at: 0,
            value_at: 1,
            causal: true,
            lengths: None,
            dropout: None,
            part: 4,
        };
        let [y, total] = [0; 2].map(|_| gpu.tensor("made", Dtype::F32, &[1, 12]).unwrap());
        let mut rec = Recorder::new(&gpu);
        own.record_streamed(&mut rec, Operands { queries: &queries, keys: &kv }, &total, &y).unwrap();
        rec.finish().unwrap().replay().unwrap();
        let e = 1f64.exp();
        let second = (3.0 + 5.0 / e) / (1.0 + 1.0 / e);
        let third = (3.0 + 5.0 * e.powi(2) + 7.0 / e.powi(2)) / (1.0 + e.powi(2) + 1.0 / e.powi(2));
        for (got, want) in y.read_f32().unwrap().iter().step_by(4).zip([3.0, second, third]) {
            assert!((f64::from(*got) - want).abs() <= 1e-6, "{got} {want}");
        }
    }
}
