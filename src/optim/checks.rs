//! The checks that every optimizer gets: its kernel against its twin, for each mask mode and on ragged sizes, through
//! buffers and through textures, and with the flag up that stops it.

use super::joint::Part;
use super::rule::{Rule, Target};
use crate::gpu::check::{Check, Tolerance};
use crate::ops::Step;
use crate::param::MaskMode;

/// One unit in the last place a rounding, over a handful of operations; division, root and `exp` included.
const CLOSE: Tolerance = Tolerance { abs: 2e-6, rel: 4e-6 };

/// The checks of a rule with these slots. `squares` names those that hold means or sums of squares, which are
/// never negative.
pub(super) fn update_checks(
    name: &'static str,
    slots: &'static [&'static str],
    squares: &'static [&'static str],
    rule: impl Fn() -> Box<dyn Rule> + Send + Sync + Clone + 'static,
) -> Vec<Check> {
    let cases = [
        (MaskMode::Free, 0, false),
        (MaskMode::Held, 0, false),
        (MaskMode::Latent, 0, false),
        (MaskMode::Held, 7, false),
        (MaskMode::Held, 0, true),
    ];
    let one = |(mode, broken, texels): (MaskMode, u32, bool)| {
        let suffix = match (broken, texels) {
            (0, false) => "",
            (0, true) => ", texels",
            _ => ", stopped",
        };
        let rule = rule.clone();
        Check::new(format!("optim/{name} ({mode:?}{suffix})"), move |t, n| {
            let rule = rule();
            let step = rule.corrected(Step { rate: 0.1, update: 3, ..Default::default() });
            let step = t.gpu.uniform("step", &step)?;
            let weight = t.input("weight", &[n])?;
            t.compare(&weight, CLOSE);
            let (grad, mask) = (t.input("grad", &[n])?, t.bits("mask", n.div_ceil(32).max(1))?);
            let totals = t.gpu.upload_u32("totals", &[5], &[0, 0, 0, 0, broken])?;
            let mut own = Vec::new();
            for slot in slots {
                let square = |v: f32| if squares.contains(slot) { v * v } else { v };
                let values: Vec<f32> = t.values(n).into_iter().map(square).collect();
                let tensor = t.gpu.upload_f32(slot, &[n], &values)?;
                t.compare(&tensor, CLOSE);
                own.push(tensor);
            }
            let part = Part { weight, grad, mask, slots: own, weights: n };
            let (part, step, totals) = (&part, &step, &totals);
            let target = Target { part, mode, names: slots, step, totals, texels, spread: None };
            let spread = rule.record_spread(&mut t.rec, &[target])?;
            rule.record(&mut t.rec, &Target { spread: spread.as_ref(), ..target })
        })
    };
    cases.map(one).into()
}
