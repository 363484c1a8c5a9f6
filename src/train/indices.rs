//! Where kept values belong, as files say it: of several ways the one that takes the fewest words.
//!
//! `fc1.weight.mask` has a bit a weight, `fc1.weight.indices` a number for each that is kept. Beside `fc1.weight.blocks`,
//! the rows and columns of a block, these are bits and numbers of blocks. `fc1.weight.groups` holds N and M of an N:M
//! weight and, for each kept weight, its place within its group in as few bits as M needs.

use crate::error::{Error, Result};
use crate::ops::packed::Form;
use crate::param::{Matrix, mask_of};
use crate::store::{Array, Arrays};

pub const MASK: &str = ".mask";
const PLACES: &str = ".places";
const BLOCKS: &str = ".blocks";
const GROUPS: &str = ".groups";
/// What may follow a weight's name.
pub const SUFFIXES: [&str; 4] = [MASK, PLACES, BLOCKS, GROUPS];

fn holds(arrays: &Arrays, weight: &str, suffix: &str) -> bool {
    arrays.contains_key(&format!("{weight}{suffix}"))
}

/// Whether it is said where a weight's kept values belong.
pub fn are_in(arrays: &Arrays, weight: &str) -> bool {
    [MASK, PLACES, GROUPS].iter().any(|suffix| holds(arrays, weight, suffix))
}

/// Whether it is said otherwise than by a bit a weight.
pub fn are_compact(arrays: &Arrays, weight: &str) -> bool {
    [PLACES, BLOCKS, GROUPS].iter().any(|suffix| holds(arrays, weight, suffix))
}

/// Adds the indices of the kept values of a weight, which rise.
pub fn insert(arrays: &mut Arrays, weight: &str, form: Form, shape: &[usize], indices: &[u32]) {
    let mut add = |suffix: &str, words: &[u32]| {
        arrays.insert(format!("{weight}{suffix}"), Array::u32(vec![words.len()], words));
    };
    let single = fewest(indices, shape.iter().product());
    if let Some(groups) = groups(form, shape, indices).filter(|groups| groups.len() < single.1.len()) {
        return add(GROUPS, &groups);
    }
    if let Some((block, numbers, count)) = blocks(form, shape, indices) {
        let (suffix, words) = fewest(&numbers, count);
        if words.len() + block.len() < single.1.len() {
            add(BLOCKS, &block);
            return add(suffix, &words);
        }
    }
    add(single.0, &single.1);
}

/// Rising numbers below `len` as bits or, if that is smaller, as a list.
fn fewest(numbers: &[u32], len: usize) -> (&'static str, Vec<u32>) {
    if numbers.len() < len.div_ceil(32) { (PLACES, numbers.to_vec()) } else { (MASK, mask_of(numbers, len)) }
}

/// Adds bits, one a weight, as they are or, if that is smaller, as a list of those that are set.
pub fn insert_bits(arrays: &mut Arrays, name: &str, bits: &[u32]) {
    let (suffix, words) = fewest(&crate::param::indices(bits), 32 * bits.len());
    arrays.insert(format!("{name}{suffix}"), Array::u32(vec![words.len()], &words));
}

/// The bits that [`insert_bits`] added, if it did.
///
/// # Errors
/// `Kind::Checkpoint` where they do not fit `len` weights.
pub fn bits(arrays: &Arrays, name: &str, len: usize) -> Result<Option<Vec<u32>>> {
    if are_in(arrays, name) { Ok(Some(mask_of(&read(arrays, name, &[len])?, len))) } else { Ok(None) }
}

fn damaged(weight: &str, what: &str) -> Error {
    Error::checkpoint(format!("the mask of `{weight}` is damaged")).at(what)
}

/// The indices of the kept values of a weight of this shape, in rising order.
///
/// # Errors
/// `Kind::Checkpoint` where they are missing or do not fit.
pub fn read(arrays: &Arrays, weight: &str, shape: &[usize]) -> Result<Vec<u32>> {
    let words = |suffix: &str| arrays.get(&format!("{weight}{suffix}")).map(Array::to_u32).transpose();
    if let Some(groups) = words(GROUPS)? {
        return indices_of_groups(&groups, shape).map_err(|what| damaged(weight, what));
    }
    let block = words(BLOCKS)?.map(|block| Tiling::new(&block, shape)).transpose();
    let block = block.map_err(|what| damaged(weight, what))?;
    let len = block.as_ref().map_or(shape.iter().product(), Tiling::count);
    let numbers = match (words(PLACES)?, words(MASK)?) {
        (Some(list), _) => list,
        (None, Some(mask)) if mask.len() == len.div_ceil(32) => crate::param::indices(&mask),
        (None, Some(_)) => return Err(damaged(weight, "it has another length than the weight")),
        (None, None) => {
            return Err(Error::checkpoint(format!("the mask of `{weight}` is missing"))
                .hint("the recipe that these weights were trained with"));
        }
    };
    let rise = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    if !rise || numbers.last().is_some_and(|&last| last as usize >= len) {
        return Err(damaged(weight, "indices do not rise, or lie outside"));
    }
    Ok(block.map_or(numbers.clone(), |block| block.indices(&numbers)))
}

/// A matrix in blocks; the last ones of a row or column may be cut off.
struct Tiling {
    rows: usize,
    inner: usize,
    high: usize,
    wide: usize,
}

impl Tiling {
    fn new(block: &[u32], shape: &[usize]) -> Result<Self, &'static str> {
        let (rows, inner) = (Matrix::of(shape).rows, Matrix::of(shape).inner());
        match *block {
            [high, wide] if high > 0 && wide > 0 => {
                Ok(Self { rows, inner, high: high as usize, wide: wide as usize })
            }
            _ => Err("a block has rows and columns"),
        }
    }
    fn across(&self) -> usize {
        self.inner.div_ceil(self.wide)
    }
    fn count(&self) -> usize {
        self.rows.div_ceil(self.high) * self.across()
    }
    /// The block of a weight.
    fn block(&self, index: u32) -> u32 {
        let (row, column) = (index as usize / self.inner, index as usize % self.inner);
        (row / self.high * self.across() + column / self.wide) as u32
    }
    /// All weights of these blocks, in rising order.
    fn indices(&self, blocks: &[u32]) -> Vec<u32> {
        let mut all = Vec::new();
        for &block in blocks {
            let (top, left) =
                (block as usize / self.across() * self.high, block as usize % self.across() * self.wide);
            for row in top..(top + self.high).min(self.rows) {
                let columns = left..(left + self.wide).min(self.inner);
                all.extend(columns.map(|column| (row * self.inner + column) as u32));
            }
        }
        all.sort_unstable();
        all
    }
}

/// Rows and columns of a block, the numbers of those that are kept, and how many there are: if all are kept whole.
fn blocks(form: Form, shape: &[usize], indices: &[u32]) -> Option<(Vec<u32>, Vec<u32>, usize)> {
    let block = match form {
        Form::Block { height } if height > 1 => vec![height as u32, 1],
        Form::Tile { rows, columns } => vec![rows as u32, columns as u32],
        _ => return None,
    };
    let tiling = Tiling::new(&block, shape).ok()?;
    let mut numbers: Vec<u32> = indices.iter().map(|&index| tiling.block(index)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    (tiling.indices(&numbers) == indices).then(|| (block, numbers, tiling.count()))
}

/// Bits that an index within a group of so many takes.
fn bits_of(among: u32) -> u32 {
    (u32::BITS - (among - 1).leading_zeros()).max(1)
}

/// N, M and the index of each kept weight within its group: if every group keeps as many as it should.
fn groups(form: Form, shape: &[usize], indices: &[u32]) -> Option<Vec<u32>> {
    let Form::Groups { keep, of } = form else { return None };
    let (keep, among, inner) = (keep as u32, of as u32, Matrix::of(shape).inner() as u32);
    let bits = bits_of(among);
    let mut words = vec![keep, among];
    words.resize(2 + (indices.len() * bits as usize).div_ceil(32), 0);
    for (number, &index) in indices.iter().enumerate() {
        let (offset, at) = (index % inner % among, number * bits as usize);
        let (word, shift) = (2 + at / 32, at as u32 % 32);
        words[word] |= offset << shift;
        if shift + bits > 32 {
            words[word + 1] |= offset >> (32 - shift);
        }
    }
    indices_of_groups(&words, shape).is_ok_and(|read| read == indices).then_some(words)
}

/// What [`groups`] wrote.
fn indices_of_groups(words: &[u32], shape: &[usize]) -> Result<Vec<u32>, &'static str> {
    let (rows, inner) = (Matrix::of(shape).rows, Matrix::of(shape).inner());
    let [keep, among, ref packed @ ..] = *words else { return Err("groups have N and M") };
    if keep == 0 || keep > among {
        return Err("N is not between 1 and M");
    }
    let (bits, (keep, among)) = (bits_of(among), (keep as usize, among as usize));
    let row = Form::Groups { keep, of: among }.per_row(inner).unwrap_or(0);
    if packed.len() != (rows * row * bits as usize).div_ceil(32) {
        return Err("it has another length than the weight");
    }
    let mut all = Vec::with_capacity(rows * row);
    for number in 0..rows * row {
        let (at, of_row) = (number * bits as usize, number % row);
        let (word, shift) = (at / 32, at as u32 % 32);
        let pair = packed[word] as u64 | (packed.get(word + 1).copied().unwrap_or(0) as u64) << 32;
        let offset = (pair >> shift) as usize & ((1usize << bits) - 1);
        let column = of_row / keep * among + offset;
        let rises = of_row % keep == 0 || all.last().is_some_and(|&last| (last as usize % inner) < column);
        if offset >= among || column >= inner || !rises {
            return Err("indices do not rise, or lie outside");
        }
        all.push((number / row * inner + column) as u32);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(arrays: &Arrays) -> usize {
        arrays.values().map(Array::len).sum()
    }

    /// A rising list of weights of which whole blocks, or N of each group, are kept.
    fn of_form(form: Form, rows: usize, inner: usize, noise: &[u8], below: u8) -> Vec<u32> {
        let noise = |i: usize| noise[i % noise.len()];
        let rank = |row: usize, c: usize| (noise(row * 31 + c * 7), c);
        let kept = |index: usize| {
            let (row, column) = (index / inner, index % inner);
            match form {
                Form::Groups { keep, of } => {
                    let group = column / of * of..(column / of * of + of).min(inner);
                    group.filter(|&other| rank(row, other) > rank(row, column)).count() < keep
                }
                Form::Block { height } => noise(row / height * 17 + column) < below,
                Form::Tile { rows, columns } => noise(row / rows * 17 + column / columns) < below,
                Form::Free | Form::Parts { .. } => noise(index) < below,
            }
        };
        (0..rows * inner).filter(|&index| kept(index)).map(|index| index as u32).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn every_form_comes_back(
            form in prop::sample::select(vec![
                Form::Free,
                Form::Block { height: 4 },
                Form::Block { height: 8 },
                Form::Tile { rows: 2, columns: 3 },
                Form::Parts { number: 2 },
                Form::Groups { keep: 2, of: 4 },
                Form::Groups { keep: 1, of: 32 },
                Form::Groups { keep: 3, of: 7 },
                Form::Groups { keep: 1, of: 300 },
            ]),
            (rows, inner) in (0..40usize, 1..70usize),
            noise in prop::collection::vec(0..40u8, 1..997),
            below in 0..41u8,
        ) {
            let indices = of_form(form, rows, inner, &noise, below);
            let (mut own, mut single) = (Arrays::new(), Arrays::new());
            insert(&mut own, "w", form, &[rows, inner], &indices);
            insert(&mut single, "w", Form::Free, &[rows, inner], &indices);
            prop_assert_eq!(read(&own, "w", &[rows, inner]).unwrap(), indices.clone());
            prop_assert_eq!(read(&single, "w", &[rows, inner]).unwrap(), indices);
            prop_assert!(words(&own) <= words(&single));
            prop_assert!(are_in(&own, "w") && own.keys().all(|key| SUFFIXES.contains(&&key[1..])));
        }

        /// Matrices without rows or inputs, and around the sizes of words and bytes; groups that keep all, or that are
        /// longer than a row.
        #[test]
        fn sizes_at_the_edges_come_back(
            (rows, inner) in (edges(), edges()),
            form in prop_oneof![
                Just(Form::Free),
                (1usize..9).prop_map(|height| Form::Block { height }),
                (1usize..9, 1usize..70).prop_map(|(rows, columns)| Form::Tile { rows, columns }),
                (1usize..=300).prop_flat_map(|of| (1..=of).prop_map(move |keep| Form::Groups { keep, of })),
                (1usize..=300).prop_map(|of| Form::Groups { keep: of, of }),
            ],
            noise in prop::collection::vec(0..40u8, 1..997),
            below in 0..41u8,
        ) {
            let indices = of_form(form, rows, inner, &noise, below);
            let (mut own, mut single) = (Arrays::new(), Arrays::new());
            insert(&mut own, "w", form, &[rows, inner], &indices);
            insert(&mut single, "w", Form::Free, &[rows, inner], &indices);
            prop_assert_eq!(read(&own, "w", &[rows, inner]).unwrap(), indices.clone());
            let fewest = indices.len().min((rows * inner).div_ceil(32));
            prop_assert!(words(&own) <= words(&single) && words(&single) == fewest);
            if let Some(groups) = groups(form, &[rows, inner], &indices) {
                prop_assert_eq!(indices_of_groups(&groups, &[rows, inner]), Ok(indices));
            } else {
                prop_assert!(!matches!(form, Form::Groups { .. }), "of its form");
            }
        }
    }

    fn edges() -> impl Strategy<Value = usize> {
        prop::sample::select(vec![0usize, 1, 2, 31, 32, 63, 64, 65, 256, 257])
    }

    #[test]
    fn a_form_takes_what_it_needs() {
        let noise: Vec<u8> = (0..=250).collect();
        let stored = |form: Form| {
            let mut all = Arrays::new();
            insert(&mut all, "w", form, &[64, 96], &of_form(form, 64, 96, &noise, 25));
            (all.keys().map(|key| key[1..].to_string()).collect::<Vec<_>>(), words(&all))
        };
        // 192 kept of 6,144, five bits each: 30 words and N and M, where a bit a weight takes 192.
        assert_eq!(stored(Form::Groups { keep: 1, of: 32 }), (vec![".groups".into()], 32));
        // 768 blocks, a bit each.
        assert_eq!(stored(Form::Block { height: 8 }), (vec![".blocks".into(), ".mask".into()], 26));
        // As many bits as weights: there is nothing to gain.
        assert_eq!(stored(Form::Groups { keep: 4, of: 8 }).0, [".mask"]);
    }

    #[test]
    fn a_mask_that_is_not_of_its_form_is_stored_all_the_same() {
        for form in [Form::Groups { keep: 1, of: 4 }, Form::Block { height: 2 }] {
            let mut all = Arrays::new();
            let indices: Vec<u32> = (0..64).filter(|index| index % 4 < 2 && *index != 9).collect();
            insert(&mut all, "w", form, &[8, 8], &indices);
            assert_eq!(read(&all, "w", &[8, 8]).unwrap(), indices);
            assert_eq!(all.keys().collect::<Vec<_>>(), ["w.mask"]);
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let arrays = |of: &[(&str, &[u32])]| -> Arrays {
            of.iter()
                .map(|(name, words)| (format!("w{name}"), Array::u32(vec![words.len()], words)))
                .collect()
        };
        let read = |of: &[(&str, &[u32])]| read(&arrays(of), "w", &[2, 4]);
        // One of four, in two bits: the indices 3 and 4.
        assert_eq!(read(&[(GROUPS, &[1, 4, 0b0011])]).unwrap(), [3, 4]);
        assert_eq!(read(&[(BLOCKS, &[2, 2]), (PLACES, &[1])]).unwrap(), [2, 3, 6, 7]);
        let damaged: [&[(&str, &[u32])]; 9] = [
            &[(GROUPS, &[1])],
            &[(GROUPS, &[0, 4])],
            &[(GROUPS, &[5, 4, 0])],
            &[(GROUPS, &[1, 4])],
            &[(GROUPS, &[2, 4, 0b0000])],
            &[(GROUPS, &[1, 3, 0b1111])],
            &[(BLOCKS, &[2]), (PLACES, &[1])],
            &[(BLOCKS, &[2, 2]), (PLACES, &[2])],
            &[(BLOCKS, &[2, 2])],
        ];
        for of in damaged {
            assert!(read(of).is_err(), "{of:?}");
        }
    }
}
