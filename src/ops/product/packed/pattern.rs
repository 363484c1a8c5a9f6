//! Which weights of a matrix are kept: rows of blocks, each with its inputs in rising order.

/// What is kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Single weights, anywhere.
    Free,
    /// Blocks of this many rows by one input.
    Block { height: usize },
    /// Blocks of any size; never packed.
    Tile { rows: usize, columns: usize },
    /// `keep` of every `of` consecutive inputs of a row; the last group of a row may be shorter.
    Groups { keep: usize, of: usize },
}

impl Form {
    /// Rows of a block.
    pub fn height(self) -> usize {
        match self {
            Form::Block { height } => height,
            _ => 1,
        }
    }
    /// Rows and columns of what is kept or pruned together; the last ones of a matrix may have fewer.
    pub fn block(self) -> (usize, usize) {
        match self {
            Form::Tile { rows, columns } => (rows, columns),
            _ => (self.height(), 1),
        }
    }
    /// Whether a matrix (rows, inner) consists of whole blocks.
    pub fn divides(self, rows: usize, inner: usize) -> bool {
        let (height, width) = self.block();
        rows.is_multiple_of(height) && inner.is_multiple_of(width)
    }
    /// Whether there are products over packed weights of this form.
    pub fn is_packable(self) -> bool {
        !matches!(self, Form::Tile { .. })
    }
    /// N and M where a packed entry is a byte, its place within its group; other entries are words, the input itself.
    pub fn by_bytes(self) -> Option<(usize, usize)> {
        match self {
            Form::Groups { keep, of } if (2..=256).contains(&of) => Some((keep, of)),
            _ => None,
        }
    }
    /// What a row of `inner` inputs keeps, where the form fixes that.
    pub fn per_row(self, inner: usize) -> Option<usize> {
        match self {
            Form::Groups { keep, of } => Some(inner / of * keep + (inner % of).min(keep)),
            _ => None,
        }
    }
    /// `1x1`, `8x1` or `2:4`.
    pub fn name(self) -> String {
        match self {
            Form::Free => "1x1".into(),
            Form::Block { height } => format!("{height}x1"),
            Form::Tile { rows, columns } => format!("{rows}x{columns}"),
            Form::Groups { keep, of } => format!("{keep}:{of}"),
        }
    }
}

/// The kept weights of a matrix (rows, inner).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub form: Form,
    pub rows: usize,
    pub inner: usize,
    /// Where the entries of each row of blocks begin, and the number of all.
    pub starts: Vec<u32>,
    /// The input of each entry.
    pub columns: Vec<u32>,
}

impl Pattern {
    /// From kept places in rising order, as `row * inner + input`; of a block, that of its first row, with
    /// `rows / height` rows in all.
    ///
    /// # Panics
    /// Where places do not rise or lie outside: a fault of the caller.
    pub fn from_places(form: Form, rows: usize, inner: usize, places: &[u32]) -> Self {
        let heads = rows / form.height();
        let mut starts = Vec::with_capacity(heads + 1);
        let mut columns = Vec::with_capacity(places.len());
        starts.push(0);
        let mut last = None;
        for &place in places {
            assert!(last.is_none_or(|last| last < place), "places rise");
            last = Some(place);
            let (row, column) = (place as usize / inner, place as usize % inner);
            assert!(row < heads, "place {place} lies outside {rows} x {inner}");
            while starts.len() <= row {
                starts.push(columns.len() as u32);
            }
            columns.push(column as u32);
        }
        starts.resize(heads + 1, columns.len() as u32);
        Self { form, rows, inner, starts, columns }
    }

    /// From a mask of one bit a weight, i % 32 of word i / 32; `None` where it is not of this form.
    pub fn from_mask(form: Form, rows: usize, inner: usize, mask: &[u32]) -> Option<Self> {
        let height = form.height();
        if !rows.is_multiple_of(height) {
            return None;
        }
        let bit = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
        let mut places = Vec::new();
        for row in 0..rows / height {
            for column in 0..inner {
                let kept = (0..height).filter(|r| bit((row * height + r) * inner + column)).count();
                if kept != 0 && kept != height {
                    return None;
                }
                if kept == height {
                    places.push((row * inner + column) as u32);
                }
            }
        }
        let pattern = Self::from_places(form, rows, inner, &places);
        pattern.is_of_its_form().then_some(pattern)
    }

    /// Whether every group of an N:M form holds exactly what it has to.
    pub fn is_of_its_form(&self) -> bool {
        let Form::Groups { keep, of } = self.form else { return true };
        (0..self.heads()).all(|row| {
            let mut counts = vec![0; self.inner.div_ceil(of)];
            self.row(row).iter().for_each(|&column| counts[column as usize / of] += 1);
            let room = |group: usize| (self.inner - group * of).min(of);
            counts.iter().enumerate().all(|(group, &count)| count == keep.min(room(group)))
        })
    }

    /// Rows of blocks.
    pub fn heads(&self) -> usize {
        self.starts.len() - 1
    }
    pub fn entries(&self) -> usize {
        self.columns.len()
    }
    /// Weights that are kept; as many values are stored.
    pub fn kept(&self) -> usize {
        self.entries() * self.form.height()
    }
    /// Kept and pruned weights.
    pub fn len(&self) -> usize {
        self.rows * self.inner
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The inputs of one row of blocks.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.columns[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// The place of every entry, in order: that of its first row in a matrix of the heads alone.
    pub fn places(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.heads())
            .flat_map(move |row| self.row(row).iter().map(move |&column| (row * self.inner) as u32 + column))
    }

    /// For every value in storage order, its place in the dense matrix.
    pub fn flat(&self) -> Vec<u32> {
        let height = self.form.height();
        let mut all = Vec::with_capacity(self.kept());
        for row in 0..self.heads() {
            for &column in self.row(row) {
                all.extend((0..height).map(|r| ((row * height + r) * self.inner) as u32 + column));
            }
        }
        all
    }

    /// The values in rising order of their place in the dense matrix, which is how files hold them.
    pub fn in_order(&self, values: &[f32]) -> Vec<f32> {
        let flat = self.flat();
        self.order(&flat).map_or_else(|| values.to_vec(), |order| order.iter().map(|&i| values[i]).collect())
    }
    /// As values are stored, from those in rising order of their place.
    pub fn from_order(&self, values: &[f32]) -> Vec<f32> {
        let flat = self.flat();
        let Some(order) = self.order(&flat) else { return values.to_vec() };
        let mut stored = vec![0.0; values.len()];
        order.iter().zip(values).for_each(|(&i, &value)| stored[i] = value);
        stored
    }
    /// Which stored value comes when, if that is not how they are stored.
    fn order(&self, flat: &[u32]) -> Option<Vec<usize>> {
        if self.form.height() == 1 {
            return None;
        }
        let mut order: Vec<usize> = (0..flat.len()).collect();
        order.sort_unstable_by_key(|&i| flat[i]);
        Some(order)
    }

    /// One bit a weight.
    pub fn mask(&self) -> Vec<u32> {
        let mut mask = vec![0u32; self.len().div_ceil(32)];
        self.flat().iter().for_each(|&i| mask[i as usize / 32] |= 1 << (i % 32));
        mask
    }

    /// The dense matrix of these values.
    pub fn dense(&self, values: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; self.len()];
        self.flat().iter().zip(values).for_each(|(&i, &value)| all[i as usize] = value);
        all
    }

    /// The entries by input: where those of each input begin, the row of blocks of each, and its number in
    /// row order. Rows rise within an input.
    pub fn transposed(&self) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; self.inner + 1];
        self.columns.iter().for_each(|&column| starts[column as usize + 1] += 1);
        for input in 0..self.inner {
            starts[input + 1] += starts[input];
        }
        let mut next = starts.clone();
        let (mut rows, mut from) = (vec![0; self.entries()], vec![0; self.entries()]);
        for row in 0..self.heads() {
            for entry in self.starts[row]..self.starts[row + 1] {
                let slot = &mut next[self.columns[entry as usize] as usize];
                rows[*slot as usize] = row as u32;
                from[*slot as usize] = entry;
                *slot += 1;
            }
        }
        (starts, rows, from)
    }

    /// For entries of an N:M weight by their rows and numbers, the row, and in the low byte which of its group's it is.
    pub fn rows_and_slots(&self, rows: &[u32], numbers: &[u32]) -> Vec<u32> {
        let Form::Groups { keep, .. } = self.form else { return rows.to_vec() };
        let word =
            |(&row, &number): (&u32, &u32)| (row << 8) | ((number - self.starts[row as usize]) % keep as u32);
        rows.iter().zip(numbers).map(word).collect()
    }

    /// Pieces of rows of at most `each` entries: row and first entry. Every row has one, for its bias.
    pub fn chunks(&self, each: usize) -> Vec<[u32; 2]> {
        let mut all = Vec::with_capacity(most_chunks(self.entries(), self.heads(), each));
        for row in 0..self.heads() {
            let (begin, end) = (self.starts[row], self.starts[row + 1]);
            all.push([row as u32, begin]);
            all.extend((begin as usize + each..end as usize).step_by(each).map(|e| [row as u32, e as u32]));
        }
        all
    }

    /// For each entry of `self`, its number in `before`, if it was there.
    pub fn origin(&self, before: &Pattern) -> Vec<Option<u32>> {
        let mut all = Vec::with_capacity(self.entries());
        for row in 0..self.heads() {
            let mut old = before.starts[row];
            let end = before.starts[row + 1];
            for &column in self.row(row) {
                while old < end && before.columns[old as usize] < column {
                    old += 1;
                }
                let there = old < end && before.columns[old as usize] == column;
                all.push(there.then_some(old));
            }
        }
        all
    }

    /// The offsets within their groups, four to a word, which is what an N:M weight stores in place of inputs, unless
    /// its groups are too large for that.
    pub fn offsets(&self) -> Vec<u32> {
        let Some((_, of)) = self.form.by_bytes() else { return self.columns.clone() };
        let byte = |&column: &u32| column % of as u32;
        let pack = |four: &[u32]| {
            four.iter().enumerate().fold(0, |word, (place, column)| word | byte(column) << (8 * place))
        };
        self.columns.chunks(4).map(pack).collect()
    }
}

/// As many chunks as patterns of so many entries can need.
pub fn most_chunks(entries: usize, heads: usize, each: usize) -> usize {
    entries / each + heads
}

#[cfg(test)]
mod tests {
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
                let random =
                    |i: usize| crate::random::word(seed, crate::random::Stream::Test, 0, 0, i as u32);
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
        fn places_of_entries_lead_back((form, rows, inner, kept) in masks()) {
            let pattern = Pattern::from_mask(form, rows, inner, &bits(&kept)).unwrap();
            let places: Vec<u32> = pattern.places().collect();
            prop_assert_eq!(Pattern::from_places(form, rows, inner, &places), pattern);
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
            let mut places = Vec::new();
            for first in (0..rows).flat_map(|row| (0..inner).step_by(of).map(move |c| row * inner + c)) {
                let mut group: Vec<usize> = (first..first + (inner - first % inner).min(of)).collect();
                group.sort_unstable_by_key(|&i| (random(i), i));
                group.truncate(keep);
                group.sort_unstable();
                places.extend(group.into_iter().map(|i| i as u32));
            }
            Pattern::from_places(Form::Groups { keep, of }, rows, inner, &places)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// As `shaders/ops/product/packed/columns_groups.wgsl` and `placed_groups.wgsl` read them.
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
                for (place, &column) in pattern.row(row).iter().enumerate() {
                    prop_assert_eq!(place / keep * of + byte(row * each + place), column as usize);
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
}
