//! Permutations of input channels that let an N:M pattern keep more magnitude.
//!
//! Pool & Yu, 2021, "Channel permutations for N:M sparsity". Exchanging two inputs of a layer, and the two outputs of
//! the layer before that they come from, changes nothing that the network computes, but it changes which weights
//! share a group. Pairs of groups exchange one input each as long as that keeps more.

use crate::error::Result;
use crate::ops::packed::Form;
use crate::param::Param;

/// What is less than this is no gain: rounding.
const LEAST_GAIN: f64 = 1e-9;
/// Rounds over all pairs of groups, at most.
const ROUNDS: usize = 50;

/// An order of the inputs of `weight` (rows, inner) in which N of every M keep as much magnitude as exchanges of pairs
/// can reach: the input at each place.
pub fn search(weight: &[f32], inner: usize, keep: usize, of: usize) -> Vec<usize> {
    let rows: Vec<&[f32]> = weight.chunks(inner.max(1)).collect();
    // Magnitudes by input: what is added up over rows then lies side by side.
    let inputs: Vec<Vec<f32>> = (0..inner).map(|i| rows.iter().map(|row| row[i].abs()).collect()).collect();
    let mut order: Vec<usize> = (0..inner).collect();
    let groups = inner.div_ceil(of);
    let members = |group: usize| group * of..((group + 1) * of).min(inner);
    let kept = |order: &[usize]| -> f64 {
        match *order {
            [a, b, c, d] if keep == 2 => two_of_four([&inputs[a], &inputs[b], &inputs[c], &inputs[d]]),
            _ => rows.iter().map(|row| largest(row, order, keep)).sum(),
        }
    };
    let mut sums: Vec<f64> = (0..groups).map(|group| kept(&order[members(group)])).collect();
    // Pairs of groups neither of which has changed since they were last looked at are settled.
    let mut changed = vec![0usize; groups];
    for round in 1..=ROUNDS {
        for a in 0..groups {
            for b in a + 1..groups {
                if changed[a].max(changed[b]) + 1 < round {
                    continue;
                }
                let (mut best, mut gain) = (None, LEAST_GAIN);
                for i in members(a) {
                    for j in members(b) {
                        order.swap(i, j);
                        let now = [kept(&order[members(a)]), kept(&order[members(b)])];
                        let more = now[0] + now[1] - sums[a] - sums[b];
                        if more > gain {
                            (best, gain) = (Some((i, j, now)), more);
                        }
                        order.swap(i, j);
                    }
                }
                if let Some((i, j, now)) = best {
                    order.swap(i, j);
                    [sums[a], sums[b]] = now;
                    [changed[a], changed[b]] = [round; 2];
                }
            }
        }
        if !changed.contains(&round) {
            break;
        }
    }
    order
}

/// The magnitude that the `keep` largest of these inputs of a row have.
fn largest(row: &[f32], inputs: &[usize], keep: usize) -> f64 {
    let mut sizes: Vec<f32> = inputs.iter().map(|&input| row[input].abs()).collect();
    sizes.sort_unstable_by(|a, b| b.total_cmp(a));
    sizes.iter().take(keep).map(|&size| f64::from(size)).sum()
}

/// The sum over rows of the two largest of four magnitudes: [`largest`] for the pattern that hardware knows.
fn two_of_four([a, b, c, d]: [&[f32]; 4]) -> f64 {
    let mut sum = 0.0;
    for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
        let (high, low) = (a.max(b), a.min(b));
        let (other_high, other_low) = (c.max(d), c.min(d));
        let first = high.max(other_high);
        let second = high.min(other_high).max(low.max(other_low));
        sum += f64::from(first) + f64::from(second);
    }
    sum
}

/// Magnitude that N of every M keep of a matrix.
pub fn kept_magnitude(weight: &[f32], inner: usize, keep: usize, of: usize) -> f64 {
    let all: Vec<usize> = (0..inner).collect();
    let row = |row: &[f32]| all.chunks(of).map(|group| largest(row, group, keep)).sum::<f64>();
    weight.chunks(inner.max(1)).map(row).sum()
}

/// Permutes the hidden units between layers so that those with an N:M pattern keep more. Each layer's parameters are a
/// weight and a bias behind it, layers in order. The network computes what it did, but for the order of its sums.
pub fn permute(params: &[&Param]) -> Result<()> {
    for (index, param) in params.iter().enumerate().skip(2) {
        let Form::Groups { keep, of } = param.form else { continue };
        let (producer, bias) = (params[index - 2], params[index - 1]);
        let inner = param.shape[1];
        if !param.is_masked() || producer.shape.len() != 2 || producer.shape[0] != inner {
            continue;
        }
        let weight = param.read()?;
        let order = search(&weight, inner, keep, of);
        let columns = |row: &[f32]| order.iter().map(|&from| row[from]).collect::<Vec<_>>();
        param.write(&weight.chunks(inner).flat_map(columns).collect::<Vec<_>>())?;
        let before = producer.read()?;
        let width = producer.shape[1];
        let row = |&from: &usize| before[from * width..][..width].to_vec();
        producer.write(&order.iter().flat_map(row).collect::<Vec<_>>())?;
        bias.write(&columns(&bias.read()?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, uniform};

    const WORKED: [f32; 16] =
        [0.9, 0.8, 0.7, 0.1, 0.2, 0.05, 0.3, 0.1, 0.6, 0.9, 0.5, 0.2, 0.1, 0.3, 0.05, 0.2];

    #[test]
    fn the_worked_rows_keep_five_in_place_of_four() {
        assert!((kept_magnitude(&WORKED, 8, 2, 4) - 4.2).abs() <= 1e-6);
        let order = search(&WORKED, 8, 2, 4);
        let permuted: Vec<f32> = WORKED
            .chunks(8)
            .flat_map(|row| order.iter().map(|&from| row[from]).collect::<Vec<_>>())
            .collect();
        assert!((kept_magnitude(&permuted, 8, 2, 4) - 5.0).abs() <= 1e-6, "{order:?}");
    }

    #[test]
    fn two_of_four_are_the_largest() {
        let weight: Vec<f32> = (0..4 * 77).map(|i| uniform(6, Stream::Test, 0, 0, i) - 0.5).collect();
        let columns: Vec<Vec<f32>> =
            (0..4).map(|c| weight.chunks(4).map(|row| row[c].abs()).collect()).collect();
        let got = two_of_four([&columns[0], &columns[1], &columns[2], &columns[3]]);
        assert!((got - kept_magnitude(&weight, 4, 2, 4)).abs() <= 1e-9, "{got}");
    }

    #[test]
    fn an_order_is_a_permutation_that_never_keeps_less() {
        for (rows, inner, keep, of) in [(1, 1, 1, 4), (5, 13, 2, 4), (8, 32, 1, 8), (3, 64, 3, 5)] {
            let weight: Vec<f32> = (0..rows * inner)
                .map(|i| uniform(5, Stream::Test, 0, inner as u32, i as u32) - 0.5)
                .collect();
            let order = search(&weight, inner, keep, of);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..inner).collect::<Vec<_>>());
            let permuted: Vec<f32> = weight
                .chunks(inner)
                .flat_map(|row| order.iter().map(|&from| row[from]).collect::<Vec<_>>())
                .collect();
            let [before, after] = [&weight, &permuted].map(|w| kept_magnitude(w, inner, keep, of));
            assert!(after >= before, "{before} before, {after} after");
        }
    }
}
