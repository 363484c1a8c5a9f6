//! How a weight is stored in C, without its zeros where that is smaller.

use super::text::{array, number};

/// A weight (rows, inputs).
#[derive(Debug, PartialEq)]
pub struct Weight {
    pub stored: Stored,
    pub values: Vec<f32>,
}

/// Which weights the values are of.
#[derive(Debug, PartialEq)]
pub enum Stored {
    /// All.
    Dense,
    /// Of each row so many, each so far behind the one before it, the first behind the row's start. Where that is farther
    /// than so many bits reach, a weight that is 0 stands between.
    Gaps { bits: usize, kept: Vec<usize>, gaps: Vec<u8> },
}

impl Weight {
    /// As it takes the fewest bytes. A bit for each weight would hardly take fewer, but time for each that is not kept.
    pub fn of(values: &[f32], inputs: usize) -> Self {
        let all = [gaps(values, inputs, 8), gaps(values, inputs, 4), dense(values)];
        all.into_iter().min_by_key(Weight::bytes).expect("there are three")
    }

    pub fn bytes(&self) -> usize {
        let of_counts = self.counts().map_or(0, |(rows, most)| count_bytes(most) * rows);
        of_counts + self.bytes_beside_counts()
    }

    /// All but the numbers of weights in its rows, which have one type in a whole file.
    pub fn bytes_beside_counts(&self) -> usize {
        4 * self.values.len()
            + match &self.stored {
                Stored::Dense => 0,
                Stored::Gaps { bits, gaps, .. } => (bits * gaps.len()).div_ceil(8),
            }
    }

    /// The last word of the functions that read it.
    pub fn form(&self) -> &'static str {
        match self.stored {
            Stored::Dense => "dense",
            Stored::Gaps { bits: 4, .. } => "gaps4",
            Stored::Gaps { .. } => "gaps8",
        }
    }

    /// What those are handed, in order, of a layer of this name.
    pub fn arguments(&self, name: &str) -> String {
        match self.stored {
            Stored::Dense => format!("{name}_weight"),
            Stored::Gaps { .. } => format!("{name}_kept, {name}_gaps, {name}_weight"),
        }
    }

    pub fn arrays(&self, name: &str) -> String {
        let which = match &self.stored {
            Stored::Dense => String::new(),
            Stored::Gaps { bits, kept, gaps } => {
                // The first of those in a byte in the lowest bits.
                let byte = |some: &[u8]| (0..).zip(some).map(|(at, gap)| gap << (at * bits)).sum::<u8>();
                let gaps = gaps.chunks(8 / bits).map(|some| byte(some).to_string());
                array("count", &format!("{name}_kept"), kept.iter().map(usize::to_string))
                    + &array("uint8_t", &format!("{name}_gaps"), gaps)
            }
        };
        which + &floats(&format!("{name}_weight"), &self.values)
    }

    /// Where weights are counted by row: how many rows, and the largest number.
    pub fn counts(&self) -> Option<(usize, usize)> {
        let Stored::Gaps { kept, .. } = &self.stored else { return None };
        Some((kept.len(), kept.iter().copied().max().unwrap_or(0)))
    }
}

/// Bytes of a number of weights in a row, up to the largest.
pub fn count_bytes(most: usize) -> usize {
    match most {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

pub fn floats(name: &str, values: &[f32]) -> String {
    array("float", name, values.iter().copied().map(number))
}

fn dense(values: &[f32]) -> Weight {
    Weight { stored: Stored::Dense, values: values.to_vec() }
}

fn gaps(values: &[f32], inputs: usize, bits: usize) -> Weight {
    let farthest = (1 << bits) - 1;
    let (mut kept, mut gaps, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for row in values.chunks(inputs) {
        let (start, mut at) = (own.len(), 0);
        for (input, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            while input - at > farthest {
                gaps.push(farthest as u8);
                own.push(0.0);
                at += farthest;
            }
            gaps.push((input - at) as u8);
            own.push(value);
            at = input;
        }
        kept.push(own.len() - start);
    }
    Weight { stored: Stored::Gaps { bits, kept, gaps }, values: own }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the functions in C read it.
    fn unpacked(weight: &Weight, rows: usize, inputs: usize) -> Vec<f32> {
        let mut values = weight.values.iter().copied();
        let mut all = vec![0.0; rows * inputs];
        match &weight.stored {
            Stored::Dense => return weight.values.clone(),
            Stored::Gaps { bits, kept, gaps } => {
                assert!(gaps.iter().all(|&gap| usize::from(gap) < 1 << bits));
                let mut gaps = gaps.iter();
                for (row, &kept) in kept.iter().enumerate() {
                    let mut at = row * inputs;
                    for _ in 0..kept {
                        at += usize::from(*gaps.next().unwrap());
                        all[at] = values.next().unwrap();
                    }
                }
            }
        }
        assert!(values.next().is_none());
        all
    }

    #[test]
    fn every_form_comes_back_and_the_smallest_is_taken() {
        let sizes = [(3, 1), (2, 8), (5, 9), (4, 255), (4, 256), (3, 257), (2, 1025)];
        for ((rows, inputs), every) in
            sizes.into_iter().flat_map(|size| [1, 2, 3, 11, 300].map(|every| (size, every)))
        {
            // The last weight of each row, and one of so many others.
            let keeps = |i: usize| i.is_multiple_of(every) || i % inputs == inputs - 1;
            let values: Vec<f32> =
                (0..rows * inputs).map(|i| if keeps(i) { i as f32 + 0.5 } else { 0.0 }).collect();
            let all = [dense(&values), gaps(&values, inputs, 4), gaps(&values, inputs, 8)];
            for weight in &all {
                assert_eq!(unpacked(weight, rows, inputs), values, "{} {rows} x {inputs}", weight.form());
            }
            let least = all.iter().map(Weight::bytes).min().unwrap();
            assert_eq!(Weight::of(&values, inputs).bytes(), least);
        }
        let sparse: Vec<f32> = (0..1000).map(|i| f32::from(u8::from(i % 20 == 3))).collect();
        assert_eq!(Weight::of(&sparse, 100).form(), "gaps8");
        assert_eq!(Weight::of(&[1.0, 0.0, 2.0, 0.0].repeat(40), 16).form(), "gaps4");
        assert_eq!(Weight::of(&[1.0; 64], 16).form(), "dense");
        assert_eq!(Weight::of(&[0.0; 64], 16).values, [0.0; 0]);
        let packed = gaps(&[0.0, 1.0, 0.0, 2.0, 3.0, 0.0], 6, 4).arrays("w");
        assert!(packed.contains("w_gaps[2] = {\n    33, 1,"), "gaps of 1, 2 and 1: {packed}");
    }
}
