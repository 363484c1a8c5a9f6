//! Statistics of one tensor: how much is kept, where, in which pattern, and how large.

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};

/// `n` of every `m` consecutive weights along the input axis may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub n: usize,
    pub m: usize,
}

impl Pattern {
    /// What is looked for unless something else is asked.
    pub const COMMON: [Pattern; 7] = [nm(1, 2), nm(1, 4), nm(2, 4), nm(1, 8), nm(2, 8), nm(4, 8), nm(1, 16)];

    /// Reads `"2:4"`.
    pub fn parse(text: &str) -> Result<Pattern> {
        let parts = text.split_once(':').map(|(n, m)| (n.trim().parse(), m.trim().parse()));
        match parts {
            Some((Ok(n), Ok(m))) if 0 < n && n < m => Ok(Pattern { n, m }),
            _ => Err(Error::usage(format!("{text:?} is not a pattern"))
                .at("expected: N:M with 0 < N < M, where N of every M weights are kept")
                .hint("2:4")),
        }
    }
}

const fn nm(n: usize, m: usize) -> Pattern {
    Pattern { n, m }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}:{}", self.n, self.m)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How many groups of a tensor keep no more than a pattern allows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Conformance {
    pub pattern: Pattern,
    pub groups: usize,
    pub conforming: usize,
    /// `conforming / groups`; 1 when there are no groups.
    pub share: f64,
}

/// Quantiles of `|w|` over kept, finite weights; between two ranks they are interpolated linearly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub p0: f64,
    pub p5: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p95: f64,
    pub p100: f64,
}

/// Rows without a kept entry, of `shape` flattened to `(out, rest)`, and columns likewise.
pub fn empty_rows_and_columns(shape: &[usize], kept: &[bool]) -> (usize, usize) {
    let rows = shape[0];
    let columns = kept.len().checked_div(rows).unwrap_or(0);
    if columns == 0 {
        return (rows, columns);
    }
    let mut row_used = vec![false; rows];
    let mut column_used = vec![false; columns];
    for (i, _) in kept.iter().enumerate().filter(|&(_, &kept)| kept) {
        row_used[i / columns] = true;
        column_used[i % columns] = true;
    }
    let empty = |used: &[bool]| used.iter().filter(|used| !**used).count();
    (empty(&row_used), empty(&column_used))
}

/// Groups of `m` run along the input axis, which is the second: along a row of a matrix `(out, in)`, along the
/// channels of one pixel of a convolution `(out, in, height, width)`. None leaves its row or pixel; a last group
/// of `r < m` keeps at most `min(n, r)`.
pub fn conformance(shape: &[usize], kept: &[bool], pattern: Pattern) -> Conformance {
    let (rows, inputs) = (shape[0], shape[1]);
    let pixels: usize = shape[2..].iter().product();
    let (mut groups, mut conforming) = (0, 0);
    for row in 0..rows {
        for pixel in 0..pixels {
            for first in (0..inputs).step_by(pattern.m) {
                let group = first..inputs.min(first + pattern.m);
                let count = group.filter(|input| kept[(row * inputs + input) * pixels + pixel]).count();
                groups += 1;
                conforming += usize::from(count <= pattern.n);
            }
        }
    }
    let share = if groups == 0 { 1.0 } else { conforming as f64 / groups as f64 };
    Conformance { pattern, groups, conforming, share }
}

/// `None` when no finite weight is kept.
pub fn quantiles(values: &[f32], kept: &[bool]) -> Option<Quantiles> {
    let finite = values.iter().zip(kept).filter(|(value, kept)| **kept && value.is_finite());
    let mut sizes: Vec<f32> = finite.map(|(value, _)| value.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let last = sizes.len().checked_sub(1)?;
    let at = |percent: usize| {
        // The rank in whole hundredths, so that 50 % of three is exactly the second.
        let (rank, hundredths) = (last * percent / 100, last * percent % 100);
        let (low, high) = (f64::from(sizes[rank]), f64::from(sizes[last.min(rank + 1)]));
        low + (high - low) * hundredths as f64 / 100.0
    };
    let [p0, p5, p25, p50, p75, p95, p100] = [0, 5, 25, 50, 75, 95, 100].map(at);
    Some(Quantiles { p0, p5, p25, p50, p75, p95, p100 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flags(bits: &str) -> Vec<bool> {
        bits.chars().filter(|c| !c.is_whitespace()).map(|c| c == '1').collect()
    }

    #[test]
    fn patterns_are_read() {
        assert_eq!(Pattern::parse("2:4").unwrap(), nm(2, 4));
        assert_eq!(Pattern::parse("1:32").unwrap().to_string(), "1:32");
        for wrong in ["", "2", "4:2", "4:4", "0:4", "a:4", "2:4:8", "-1:4"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn empty_rows_and_columns_are_counted() {
        assert_eq!(empty_rows_and_columns(&[3, 4], &flags("0100 0000 0101")), (1, 2));
        assert_eq!(empty_rows_and_columns(&[2, 2, 1, 2], &flags("0010 0010")), (0, 3));
        assert_eq!(empty_rows_and_columns(&[3, 0], &[]), (3, 0));
        assert_eq!(empty_rows_and_columns(&[0, 3], &[]), (0, 0));
    }

    /// The masks of the worked example: 2:4 with ties to the lower index, and 1:8.
    #[test]
    fn groups_conform() {
        let rows = flags("1001 1010 0110 0110");
        let of = |n, m| conformance(&[2, 8], &rows, nm(n, m)).conforming;
        assert_eq!((of(2, 4), of(1, 4), of(4, 8), of(3, 8), of(1, 2)), (4, 0, 2, 0, 8));
        // The last group of a row of 6 has two entries, and never reaches into the next row.
        let ragged = conformance(&[2, 6], &flags("110011 110011"), nm(2, 4));
        assert_eq!((ragged.groups, ragged.conforming, ragged.share), (4, 4, 1.0));
        let ragged = conformance(&[2, 6], &flags("100011 100001"), nm(1, 4));
        assert_eq!((ragged.groups, ragged.conforming, ragged.share), (4, 3, 0.75));
    }

    #[test]
    fn groups_of_a_convolution_run_along_its_channels() {
        // (1, 4, 1, 2): the first pixel keeps channels 0 and 1, the second none.
        let conv = conformance(&[1, 4, 1, 2], &flags("10 10 00 00"), nm(1, 4));
        assert_eq!((conv.groups, conv.conforming), (2, 1));
        let conv = conformance(&[1, 4, 1, 2], &flags("10 01 00 00"), nm(1, 4));
        assert_eq!((conv.groups, conv.conforming), (2, 2));
        assert_eq!(conformance(&[4, 0], &[], nm(1, 4)).share, 1.0);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 3, 4], q) = 1, 1.15, 1.75, 2.5, 3.25, 3.85, 4.
        let values = [-3.0, f32::NAN, 1.0, -9.0, 4.0, f32::INFINITY, 2.0];
        let kept = flags("1 1 1 0 1 1 1");
        let q = quantiles(&values, &kept).unwrap();
        let got = [q.p0, q.p5, q.p25, q.p50, q.p75, q.p95, q.p100];
        for (got, want) in got.iter().zip([1.0, 1.15, 1.75, 2.5, 3.25, 3.85, 4.0]) {
            assert!((got - want).abs() <= 1e-12, "{got} {want}");
        }
        assert_eq!(quantiles(&values, &[false; 7]), None);
        assert_eq!(quantiles(&[2.0], &[true]).unwrap().p5, 2.0);
    }

    proptest! {
        #[test]
        fn keeping_less_conforms_no_worse(
            kept in prop::collection::vec(any::<bool>(), 60), out in any::<prop::sample::Index>()
        ) {
            for shape in [vec![5, 12], vec![3, 5, 2, 2]] {
                let mut less = kept.clone();
                less[out.index(60)] = false;
                for pattern in Pattern::COMMON {
                    let (more, less) = (conformance(&shape, &kept, pattern), conformance(&shape, &less, pattern));
                    prop_assert!(less.conforming >= more.conforming);
                    prop_assert_eq!(less.groups, more.groups);
                }
            }
        }
    }
}
