//! Patterns against their masks.

use proptest::prelude::*;

use super::*;

fn bits(kept: &[bool]) -> Vec<u32> {
    let mut mask = vec![0u32; kept.len().div_ceil(32)];
    kept.iter().enumerate().filter(|(_, k)| **k).for_each(|(i, _)| mask[i / 32] |= 1 << (i % 32));
    mask
}

/// Masks of every kind: empty and full rows, one column, nothing, everything; of single weights, of blocks, and with
/// the number in every group that an N:M form asks for. Rows are those of blocks.
fn masks() -> impl Strategy<Value = (Form, usize, usize, Vec<bool>)> {
    let size = prop::sample::select(vec![0usize, 1, 3, 63, 65, 257]);
    let forms = vec![
        Form::Free,
        Form::Block { height: 2 },
        Form::Block { height: 4 },
        Form::Block { height: 8 },
        Form::Groups { keep: 1, of: 4 },
        Form::Groups { keep: 2, of: 5 },
        Form::Groups { keep: 1, of: 32 },
    ];
    (prop::sample::select(forms), size.clone(), size, 0..5u8, any::<u64>()).prop_map(
        |(form, heads, inner, kind, seed)| {
            let random = |i: usize| crate::random::word(seed, crate::random::Stream::Test, 0, 0, i as u32);
            let chosen = |i: usize| match kind {
                0 => false,
                1 => true,
                2 => i % inner == inner / 2,
                3 => (i / inner).is_multiple_of(3),
                _ => random(i).is_multiple_of(7),
            };
            let height = form.height();
            let kept = |i: usize| {
                let (row, column) = (i / inner, i % inner);
                let Form::Groups { keep, of } = form else {
                    return chosen(row / height * inner + column);
                };
                // The `keep` largest of the group by rank, ties to the lower input.
                let rank = |c: usize| (random(row * inner + c) % 8, std::cmp::Reverse(c));
                let group = column / of * of..(column / of * of + of).min(inner);
                group.filter(|&other| rank(other) > rank(column)).count() < keep
            };
            let all = (0..heads * height * inner).map(kept).collect();
            (form, heads * height, inner, all)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn masks_and_patterns_are_the_same_thing((form, rows, inner, kept) in masks()) {
        let mask = bits(&kept);
        let pattern = Pattern::from_mask(form, rows, inner, &mask).unwrap();
        prop_assert_eq!(pattern.mask(), mask);
        prop_assert_eq!(pattern.kept(), kept.iter().filter(|k| **k).count());
        let values: Vec<f32> = (0..pattern.kept()).map(|i| i as f32 + 1.0).collect();
        let ordered = pattern.in_order(&values);
        prop_assert_eq!(&pattern.from_order(&ordered), &values);
        let dense = pattern.dense(&values);
        prop_assert!(dense.iter().zip(&kept).all(|(value, kept)| (*value != 0.0) == *kept));
        prop_assert_eq!(dense.into_iter().filter(|v| *v != 0.0).collect::<Vec<_>>(), ordered);
        let mut flat = pattern.flat();
        flat.sort_unstable();
        let wanted: Vec<u32> = (0..kept.len() as u32).filter(|&i| kept[i as usize]).collect();
        prop_assert_eq!(flat, wanted);
    }

    #[test]
    fn indices_of_entries_lead_back((form, rows, inner, kept) in masks()) {
        let pattern = Pattern::from_mask(form, rows, inner, &bits(&kept)).unwrap();
        let indices: Vec<u32> = pattern.indices().collect();
        prop_assert_eq!(Pattern::from_indices(form, rows, inner, &indices), pattern);
    }

    #[test]
    fn the_transposed_order_holds_every_entry_once((form, rows, inner, kept) in masks()) {
        let pattern = Pattern::from_mask(form, rows, inner, &bits(&kept)).unwrap();
        let (starts, of_rows, from) = pattern.transposed();
        prop_assert_eq!(starts.last().copied(), Some(pattern.entries() as u32));
        for input in 0..inner {
            let own = starts[input] as usize..starts[input + 1] as usize;
            prop_assert!(of_rows[own.clone()].is_sorted());
            for i in own {
                let entry = from[i];
                prop_assert_eq!(pattern.columns[entry as usize] as usize, input);
                let row = of_rows[i] as usize;
                prop_assert!((pattern.starts[row]..pattern.starts[row + 1]).contains(&entry));
            }
        }
        let mut sorted = from;
        sorted.sort_unstable();
        prop_assert!(sorted.iter().enumerate().all(|(i, &e)| i == e as usize));
    }

    #[test]
    fn chunks_cover_every_entry_once((form, rows, inner, kept) in masks(), each in 1usize..9) {
        let pattern = Pattern::from_mask(form, rows, inner, &bits(&kept)).unwrap();
        let chunks = pattern.chunks(each);
        prop_assert!(chunks.len() <= most_chunks(pattern.entries(), pattern.heads(), each));
        let mut covered = vec![0; pattern.entries()];
        for &[row, first] in &chunks {
            let end = (first as usize + each).min(pattern.starts[row as usize + 1] as usize);
            covered[first as usize..end].iter_mut().for_each(|n| *n += 1);
        }
        prop_assert!(covered.iter().all(|&n| n == 1));
        let rows_seen: std::collections::BTreeSet<u32> = chunks.iter().map(|c| c[0]).collect();
        prop_assert_eq!(rows_seen.len(), rows / form.height());
    }

    #[test]
    fn a_torn_block_or_group_is_no_pattern((form, rows, inner, kept) in masks()) {
        if form != Form::Free && kept.iter().any(|k| *k) {
            let mut torn = kept;
            let first = torn.iter().position(|k| *k).unwrap();
            torn[first] = false;
            prop_assert!(Pattern::from_mask(form, rows, inner, &bits(&torn)).is_none());
        }
    }

    #[test]
    fn origins_lead_back((_, rows, inner, kept) in masks(), seed: u64) {
        let before = Pattern::from_mask(Form::Free, rows, inner, &bits(&kept)).unwrap();
        let flip = |i: usize| crate::random::word(seed, crate::random::Stream::Test, 0, 2, i as u32).is_multiple_of(5);
        let other: Vec<bool> = kept.iter().enumerate().map(|(i, &k)| k != flip(i)).collect();
        let after = Pattern::from_mask(Form::Free, rows, inner, &bits(&other)).unwrap();
        let (old, new) = (before.flat(), after.flat());
        for (entry, origin) in after.origin(&before).into_iter().enumerate() {
            match origin {
                Some(o) => prop_assert_eq!(old[o as usize], new[entry]),
                None => prop_assert!(!kept[new[entry] as usize]),
            }
        }
    }
}

/// N of every M with a random choice in every group, M up to somewhat more than a byte holds.
fn groups() -> impl Strategy<Value = Pattern> {
    let size = || prop::sample::select(vec![0usize, 1, 63, 65, 257]);
    let of = prop_oneof![4 => 1usize..=256, 1 => 257usize..=300, 1 => Just(256usize)];
    let numbers = of.prop_flat_map(|of| (prop_oneof![4 => 1..=of, 1 => Just(of)], Just(of)));
    (numbers, size(), size(), any::<u64>()).prop_map(|((keep, of), rows, inner, seed)| {
        let random = |i: usize| crate::random::word(seed, crate::random::Stream::Test, 0, 0, i as u32);
        let mut indices = Vec::new();
        for first in (0..rows).flat_map(|row| (0..inner).step_by(of).map(move |c| row * inner + c)) {
            let mut group: Vec<usize> = (first..first + (inner - first % inner).min(of)).collect();
            group.sort_unstable_by_key(|&i| (random(i), i));
            group.truncate(keep);
            group.sort_unstable();
            indices.extend(group.into_iter().map(|i| i as u32));
        }
        Pattern::from_indices(Form::Groups { keep, of }, rows, inner, &indices)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// As `shaders/ops/product/packed/entries_groups.wgsl` reads them.
    #[test]
    fn bytes_of_groups_lead_back_to_the_inputs(pattern in groups()) {
        prop_assert!(pattern.is_of_its_form());
        let Form::Groups { keep, of } = pattern.form else { unreachable!() };
        let words = pattern.offsets();
        if pattern.form.by_bytes().is_none() {
            prop_assert!(!(2..=256).contains(&of));
            prop_assert_eq!(words, pattern.columns);
            return Ok(());
        }
        prop_assert_eq!(words.len(), pattern.entries().div_ceil(4));
        let byte = |entry: usize| (words[entry / 4] >> (entry % 4 * 8)) as usize & 255;
        let each = pattern.form.per_row(pattern.inner).unwrap();
        for row in 0..pattern.rows {
            prop_assert_eq!(pattern.starts[row] as usize, row * each);
            for (index, &column) in pattern.row(row).iter().enumerate() {
                prop_assert_eq!(index / keep * of + byte(row * each + index), column as usize);
            }
        }
        let (starts, rows, numbers) = pattern.transposed();
        let placed = pattern.rows_and_slots(&rows, &numbers);
        for input in 0..pattern.inner {
            for i in starts[input] as usize..starts[input + 1] as usize {
                let (row, slot) = ((placed[i] >> 8) as usize, (placed[i] & 255) as usize);
                let number = row * each + input / of * keep + slot;
                prop_assert_eq!((row as u32, number as u32), (rows[i], numbers[i]));
                prop_assert_eq!(pattern.columns[number] as usize, input);
            }
        }
    }
}

#[test]
fn groups_are_held_to_their_count() {
    let form = Form::Groups { keep: 2, of: 4 };
    // A ragged last group of three keeps two, too.
    let good = [1, 0, 0, 1, 0, 1, 1].map(|b| b == 1);
    let pattern = Pattern::from_mask(form, 1, 7, &bits(&good)).unwrap();
    assert_eq!((pattern.kept(), form.per_row(7)), (4, Some(4)));
    assert_eq!(pattern.offsets(), [3 << 8 | 1 << 16 | 2 << 24]);
    let bad = [1, 1, 0, 1, 0, 1, 0].map(|b| b == 1);
    assert!(Pattern::from_mask(form, 1, 7, &bits(&bad)).is_none());
    assert_eq!(Form::Groups { keep: 2, of: 4 }.per_row(9), Some(5));
}
