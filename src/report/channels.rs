//! What a convolution keeps of each filter, which makes an output channel, and of each input channel.

use serde::Serialize;

use crate::report::inspect::new_table;

/// Numbers that a table names before it only counts.
const NAMED: usize = 8;

/// Kept weights of a convolution by channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channels {
    /// Weights of one filter, kept and pruned.
    pub filter_size: usize,
    /// Kept weights of each filter, over all its input channels.
    pub by_filter: Vec<usize>,
    /// Kept weights of each input channel of a group, over all filters.
    pub by_input: Vec<usize>,
    /// Filters without a kept weight: their output channels are constant.
    pub dead_filters: Vec<usize>,
    /// Input channels that no filter of any group reads.
    pub dead_inputs: Vec<usize>,
}

impl Channels {
    /// `None` unless the shape is that of a convolution, (out, in, height, width).
    pub fn of(shape: &[usize], kept: &[bool]) -> Option<Self> {
        let [out, inputs, ref taps @ ..] = *shape else { return None };
        if taps.is_empty() {
            return None;
        }
        let taps: usize = taps.iter().product();
        let (mut by_filter, mut by_input) = (vec![0; out], vec![0; inputs]);
        for (i, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            by_filter[i / (inputs * taps)] += 1;
            by_input[i / taps % inputs] += 1;
        }
        let dead = |counts: &[usize]| (0..counts.len()).filter(|&i| counts[i] == 0).collect();
        let (dead_filters, dead_inputs) = (dead(&by_filter), dead(&by_input));
        Some(Self { filter_size: inputs * taps, by_filter, by_input, dead_filters, dead_inputs })
    }
}

/// A table for people, if there are convolutions.
pub fn table<'a>(convolutions: impl Iterator<Item = (&'a str, &'a Channels)>) -> Option<String> {
    let all: Vec<_> = convolutions.collect();
    if all.is_empty() {
        return None;
    }
    let mut filters =
        new_table(["convolution", "filters", "least", "median", "most", "of", "dead"].into_iter(), 1);
    let mut inputs =
        new_table(["convolution", "inputs", "least", "median", "most", "of", "dead"].into_iter(), 1);
    for (name, own) in all {
        let row = |counts: &[usize], size: usize, dead: &[usize]| {
            let mut row = vec![name.to_string(), counts.len().to_string()];
            row.extend(spread(counts));
            row.extend([size.to_string(), numbers(dead)]);
            row
        };
        filters.add_row(row(&own.by_filter, own.filter_size, &own.dead_filters));
        // A single one is that of a depthwise kernel, or of grey pictures: all weights are its own.
        if own.by_input.len() > 1 {
            let size = own.filter_size / own.by_input.len() * own.by_filter.len();
            inputs.add_row(row(&own.by_input, size, &own.dead_inputs));
        }
    }
    let mut text = format!("kept weights of each filter; dead: those that keep none, from 0\n{filters}");
    if !inputs.is_empty() {
        text += &format!(
            "\n\nkept weights of each input channel, where there are several; of a group, where there are groups\n{inputs}"
        );
    }
    Some(text)
}

/// Least, median and most.
fn spread(counts: &[usize]) -> [String; 3] {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let at = |place: usize| sorted.get(place).map_or("-".into(), usize::to_string);
    [at(0), at(sorted.len().saturating_sub(1) / 2), at(sorted.len().saturating_sub(1))]
}

/// `2: 5 17`, or `40: 0 1 2 3 4 5 6 7 ..`.
fn numbers(dead: &[usize]) -> String {
    if dead.is_empty() {
        return "-".into();
    }
    let named: Vec<String> = dead.iter().take(NAMED).map(usize::to_string).collect();
    let more = if dead.len() > NAMED { " .." } else { "" };
    format!("{}: {}{more}", dead.len(), named.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_weights_are_counted_by_filter_and_input() {
        // (3, 2, 1, 2): filter 1 keeps none, and only filter 2 reads input 1.
        let kept = [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0].map(|kept| kept == 1);
        let found = Channels::of(&[3, 2, 1, 2], &kept).unwrap();
        let (by_filter, by_input) = (vec![2, 0, 2], vec![3, 1]);
        let want =
            Channels { filter_size: 4, by_filter, by_input, dead_filters: vec![1], dead_inputs: Vec::new() };
        assert_eq!(found, want);
        assert_eq!((Channels::of(&[3, 4], &kept), Channels::of(&[12], &kept)), (None, None));
        let none = Channels::of(&[2, 3, 3, 3], &[false; 54]).unwrap();
        assert_eq!((none.dead_filters, none.dead_inputs), (vec![0, 1], vec![0, 1, 2]));
        assert_eq!(Channels::of(&[0, 2, 3, 3], &[]).unwrap().dead_inputs, [0, 1]);
    }

    #[test]
    fn tables_name_some_and_count_the_rest() {
        assert_eq!(numbers(&[]), "-");
        assert_eq!(numbers(&[5, 17]), "2: 5 17");
        assert_eq!(numbers(&(3..40).collect::<Vec<_>>()), "37: 3 4 5 6 7 8 9 10 ..");
        assert_eq!(spread(&[7, 1, 5]), ["1", "5", "7"]);
        assert_eq!(spread(&[]), ["-", "-", "-"]);
        assert_eq!(table([].into_iter()), None);
        let kept: Vec<bool> = (0..36).map(|i| i >= 18).collect();
        let own = Channels::of(&[2, 2, 3, 3], &kept).unwrap();
        let text = table([("conv1.weight", &own)].into_iter()).unwrap();
        assert!(text.contains("conv1.weight") && text.contains("1: 0"), "{text}");
        let depthwise = Channels::of(&[4, 1, 3, 3], &kept).unwrap();
        let text = table([("dw.weight", &depthwise)].into_iter()).unwrap();
        assert!(text.contains("2: 0 1") && !text.contains("input channel"), "{text}");
    }
}
