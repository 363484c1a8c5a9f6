//! Which weights of a matrix are kept: rows of blocks, each with its inputs in rising order.

use super::form::Form;

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
    /// From kept indices in rising order, as `row * inner + input`; of a block, that of its first row, with
    /// `rows / height` rows in all.
    ///
    /// # Panics
    /// Where indices do not rise or lie outside: a fault of the caller.
    pub fn from_indices(form: Form, rows: usize, inner: usize, indices: &[u32]) -> Self {
        let heads = rows / form.height();
        let mut starts = Vec::with_capacity(heads + 1);
        let mut columns = Vec::with_capacity(indices.len());
        starts.push(0);
        let mut last = None;
        for &index in indices {
            assert!(last.is_none_or(|last| last < index), "indices rise");
            last = Some(index);
            let (row, column) = (index as usize / inner, index as usize % inner);
            assert!(row < heads, "index {index} lies outside {rows} x {inner}");
            while starts.len() <= row {
                starts.push(columns.len() as u32);
            }
            columns.push(column as u32);
        }
        starts.resize(heads + 1, columns.len() as u32);
        Self { form, rows, inner, starts, columns }
    }

    /// The same entries in so many matrices, one below the other.
    pub fn repeated(self, parts: usize) -> Self {
        if parts == 1 {
            return self;
        }
        let len = (self.rows * self.inner) as u32;
        let of = |part: u32| self.indices().map(move |index| part * len + index);
        let indices: Vec<u32> = (0..parts as u32).flat_map(of).collect();
        Self::from_indices(self.form, parts * self.rows, self.inner, &indices)
    }

    /// From a mask of one bit a weight, i % 32 of word i / 32; `None` where it is not of this form.
    pub fn from_mask(form: Form, rows: usize, inner: usize, mask: &[u32]) -> Option<Self> {
        let height = form.height();
        if !rows.is_multiple_of(height) {
            return None;
        }
        let bit = |i: usize| mask[i / 32] >> (i % 32) & 1 == 1;
        let mut indices = Vec::new();
        for row in 0..rows / height {
            for column in 0..inner {
                let kept = (0..height).filter(|r| bit((row * height + r) * inner + column)).count();
                if kept != 0 && kept != height {
                    return None;
                }
                if kept == height {
                    indices.push((row * inner + column) as u32);
                }
            }
        }
        let pattern = Self::from_indices(form, rows, inner, &indices);
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

    /// The index of every entry, in order: that of its first row in a matrix of the heads alone.
    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
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

    /// The values in rising order of their index in the dense matrix, which is how files hold them.
    pub fn in_order(&self, values: &[f32]) -> Vec<f32> {
        let flat = self.flat();
        self.order(&flat).map_or_else(|| values.to_vec(), |order| order.iter().map(|&i| values[i]).collect())
    }
    /// As values are stored, from those in rising order of their index.
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

    /// As [`Pattern::transposed`] by the channel of the input that an entry reads, where `channel_of` says which that is of
    /// a row of blocks and an input, and its tap; tap by tap. Beside each row stands its tap.
    pub fn transposed_by_channel(
        &self,
        channels: usize,
        channel_of: impl Fn(usize, usize) -> (usize, usize),
    ) -> (Vec<u32>, Vec<[u32; 2]>, Vec<u32>) {
        let mut all: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(self.entries());
        for row in 0..self.heads() {
            let first = self.starts[row];
            for (number, &input) in (first..).zip(self.row(row)) {
                let (channel, tap) = channel_of(row, input as usize);
                all.push((channel as u32, tap as u32, row as u32, number));
            }
        }
        all.sort_unstable();
        let starts = (0..=channels).map(|channel| all.partition_point(|one| one.0 < channel as u32) as u32);
        let placed = all.iter().map(|&(_, tap, row, _)| [row, tap]);
        (starts.collect(), placed.collect(), all.iter().map(|one| one.3).collect())
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
            four.iter().enumerate().fold(0, |word, (index, column)| word | byte(column) << (8 * index))
        };
        self.columns.chunks(4).map(pack).collect()
    }
}

/// As many chunks as patterns of so many entries can need.
pub fn most_chunks(entries: usize, heads: usize, each: usize) -> usize {
    entries / each + heads
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
