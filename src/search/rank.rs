//! Whether two lists of numbers rise together.

/// Spearman's rank correlation: that of Pearson between ranks, where equal numbers share the mean of their ranks. `None`
/// where one of the lists is constant or has fewer than two numbers.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum() };
    let spread = (sum(&a, &a) * sum(&b, &b)).sqrt();
    (a.len() >= 2 && spread > 0.0).then(|| sum(&a, &b) / spread)
}

/// From 1; of equal numbers the mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let first = order.partition_point(|&i| values[i].total_cmp(&values[equal[0]]).is_lt());
        equal.iter().for_each(|&i| ranks[i] = first as f64 + (equal.len() as f64 + 1.0) / 2.0);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_by_hand() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        let close = |a: &[f64], b: &[f64], want: f64| {
            let got = spearman(a, b).unwrap();
            assert!((got - want).abs() < 1e-12, "{got}, not {want}");
        };
        close(&[1.0, 2.0, 3.0, 4.0], &[1.0, 8.0, 9.0, 100.0], 1.0);
        close(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0], -1.0);
        // 1 - 6 * (1 + 1 + 0 + 0) / (4 * 15).
        close(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 3.0, 4.0], 0.8);
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
        close(&[0.0, 5.0, 5.0, 9.0], &[1.0, 2.0, 3.0, 4.0], (0.9f64).sqrt());
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(spearman(&[1.0], &[1.0]), None);
    }
}
