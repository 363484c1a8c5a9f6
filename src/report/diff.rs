//! What differs between two networks: weights, and the masks over them.

use serde::Serialize;

use crate::error::Result;
use crate::report::inspect::{Options, new_table, number, percent, selected, shape_text};
use crate::report::mask;
use crate::store::Arrays;

/// Differences of one tensor that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorDiff {
    pub name: String,
    pub shape: Vec<usize>,
    /// The other one's shape where it differs; then nothing is compared.
    pub other_shape: Option<Vec<usize>>,
    /// Entries whose values differ; NaN equals NaN here.
    pub differing: usize,
    /// Largest and mean `|a - b|` over the entries where it is finite.
    pub max_abs: f64,
    pub mean_abs: f64,
    /// Entries where it is not: NaN or infinity on one side only, or infinities of opposite sign.
    pub non_finite: usize,
    /// Kept in both over kept in either; 1 when neither keeps any.
    pub overlap: f64,
    /// What `overlap` would be for two random masks that keep as many.
    pub by_chance: f64,
    /// Entries that only one of the two keeps.
    pub flipped: usize,
}

/// Differences of two networks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    pub schema: u32,
    /// Same tensors, same shapes, same values, same masks.
    pub equal: bool,
    pub tensors: Vec<TensorDiff>,
    pub only_in_first: Vec<String>,
    pub only_in_second: Vec<String>,
}

/// Compares what the options select of two networks.
///
/// # Errors
/// `Kind::Checkpoint` when a mask does not fit its weight.
pub fn diff(a: &Arrays, b: &Arrays, options: &Options) -> Result<Diff> {
    let (names_a, names_b) = (selected(a, options), selected(b, options));
    let only = |names: &[&str], others: &[&str]| -> Vec<String> {
        names.iter().filter(|name| !others.contains(name)).map(|name| name.to_string()).collect()
    };
    let common = names_a.iter().filter(|name| names_b.contains(name));
    let tensors: Vec<TensorDiff> = common.map(|name| tensor(a, b, name)).collect::<Result<_>>()?;
    let (only_in_first, only_in_second) = (only(&names_a, &names_b), only(&names_b, &names_a));
    let same = |t: &TensorDiff| t.other_shape.is_none() && t.differing == 0 && t.flipped == 0;
    let equal = only_in_first.is_empty() && only_in_second.is_empty() && tensors.iter().all(same);
    Ok(Diff { schema: 1, equal, tensors, only_in_first, only_in_second })
}

fn tensor(a: &Arrays, b: &Arrays, name: &str) -> Result<TensorDiff> {
    let (first, second) = (&a[name], &b[name]);
    let mut diff = TensorDiff {
        name: name.to_string(),
        shape: first.shape.clone(),
        other_shape: (first.shape != second.shape).then(|| second.shape.clone()),
        differing: 0,
        max_abs: 0.0,
        mean_abs: 0.0,
        non_finite: 0,
        overlap: 1.0,
        by_chance: 1.0,
        flipped: 0,
    };
    if diff.other_shape.is_some() {
        return Ok(diff);
    }
    let (x, y) = (first.to_f32(), second.to_f32());
    let (mut sum, mut finite) = (0.0, 0usize);
    for (&x, &y) in x.iter().zip(&y) {
        let same = x == y || x.is_nan() && y.is_nan();
        let distance = if same { 0.0 } else { (f64::from(x) - f64::from(y)).abs() };
        diff.differing += usize::from(!same);
        if distance.is_finite() {
            diff.max_abs = diff.max_abs.max(distance);
            sum += distance;
            finite += 1;
        } else {
            diff.non_finite += 1;
        }
    }
    diff.mean_abs = if finite == 0 { 0.0 } else { sum / finite as f64 };

    let (kept_x, kept_y) = (mask::kept(a, name, &x)?, mask::kept(b, name, &y)?);
    let count =
        |pick: fn(bool, bool) -> bool| kept_x.iter().zip(&kept_y).filter(|(x, y)| pick(**x, **y)).count();
    let (both, either) = (count(|x, y| x && y), count(|x, y| x || y));
    diff.flipped = either - both;
    diff.overlap = overlap(both, either);
    diff.by_chance = by_chance(count(|x, _| x), count(|_, y| y), kept_x.len());
    Ok(diff)
}

/// Kept in both over kept in either (Jaccard's index); 1 when neither keeps any.
pub fn overlap(both: usize, either: usize) -> f64 {
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

/// The overlap of masks that keep `a` and `b` of `total` weights and share `a * b / total` of them, as random masks do
/// on average.
pub fn by_chance(a: usize, b: usize, total: usize) -> f64 {
    let both = a as f64 * b as f64 / total.max(1) as f64;
    if a + b == 0 { 1.0 } else { both / ((a + b) as f64 - both) }
}

impl Diff {
    /// A table for people, and below it what only one of the two has.
    pub fn table(&self) -> String {
        let heads =
            ["tensor", "shape", "differing", "max |a - b|", "mean", "mask overlap", "by chance", "flipped"];
        let mut table = new_table(heads.into_iter(), 2);
        for t in &self.tensors {
            if let Some(other) = &t.other_shape {
                table.add_row([&t.name, &format!("{} and {}", shape_text(&t.shape), shape_text(other))]);
                continue;
            }
            let broken =
                if t.non_finite == 0 { String::new() } else { format!(", {} NaN/Inf", t.non_finite) };
            table.add_row([
                t.name.clone(),
                shape_text(&t.shape),
                t.differing.to_string(),
                format!("{}{broken}", number(t.max_abs)),
                number(t.mean_abs),
                percent(t.overlap),
                percent(t.by_chance),
                t.flipped.to_string(),
            ]);
        }
        let mut text = table.to_string();
        for (which, names) in [("first", &self.only_in_first), ("second", &self.only_in_second)] {
            if !names.is_empty() {
                text += &format!("\nonly in the {which}: {}", names.join(" "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Array;

    fn network(values: &[f32], mask: u32) -> Arrays {
        Arrays::from([
            ("w".into(), Array::f32([2, 3], values)),
            ("w.mask".into(), Array::u32([1], &[mask])),
            ("b".into(), Array::f32([1], &[0.0])),
        ])
    }

    #[test]
    fn a_network_equals_itself() {
        let a = network(&[1.0, f32::NAN, 3.0, f32::INFINITY, 0.0, 6.0], 0b101);
        let d = diff(&a, &a, &Options::default()).unwrap();
        assert!(d.equal && d.tensors.iter().all(|t| t.max_abs == 0.0 && t.overlap == 1.0), "{d:?}");
    }

    #[test]
    fn differences_are_counted() {
        let a = network(&[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0], 0b00_0111);
        let mut b = network(&[1.0, 2.5, 2.0, 4.0, 5.0, 6.0], 0b01_0110);
        b.remove("b");
        b.insert("c".into(), Array::f32([1], &[0.0]));
        let d = diff(&a, &b, &Options::default()).unwrap();
        assert!(!d.equal);
        let w = &d.tensors[0];
        assert_eq!((w.differing, w.max_abs, w.mean_abs, w.non_finite), (3, 1.0, 0.3, 1));
        assert_eq!((w.overlap, w.flipped), (0.5, 2));
        // Three of six on both sides: random masks share one and a half, of four and a half.
        assert!((w.by_chance - 1.0 / 3.0).abs() <= 1e-15, "{}", w.by_chance);
        assert_eq!(
            (d.only_in_first.as_slice(), d.only_in_second.as_slice()),
            (&["b".into()][..], &["c".into()][..])
        );
        let table = d.table();
        for word in ["1.0000, 1 NaN/Inf", "50.00 %", "only in the first: b", "only in the second: c"] {
            assert!(table.contains(word), "no {word:?} in {table}");
        }
        assert_eq!(serde_json::to_value(&d).unwrap()["tensors"][0]["flipped"], 2);
    }

    #[test]
    fn a_mask_or_a_shape_alone_makes_a_difference() {
        let values = [1.0; 6];
        let d = diff(&network(&values, 1), &network(&values, 2), &Options::default()).unwrap();
        assert!(!d.equal);
        assert_eq!((d.tensors[1].overlap, d.tensors[1].differing), (0.0, 0));
        let mut other = network(&values, 1);
        other.insert("w".into(), Array::f32([3, 2], &values));
        let d = diff(&network(&values, 1), &other, &Options::default()).unwrap();
        assert!(!d.equal && d.table().contains("2 x 3 and 3 x 2"));
    }
}
