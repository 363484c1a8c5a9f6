//! How a weight is stored in C, without its zeros where that is smaller.

use super::text::{array, number};

/// The farthest that a gap reaches.
const FARTHEST: usize = 255;

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
    /// Those whose bit is set; each row begins with a byte.
    Bits(Vec<u8>),
    /// Of each row so many, each so far behind the one before it, the first behind the row's start. Where that is farther
    /// than a byte reaches, a weight that is 0 stands between.
    Gaps { kept: Vec<usize>, gaps: Vec<u8> },
}

impl Weight {
    /// As it takes the fewest bytes.
    pub fn of(values: &[f32], inputs: usize) -> Self {
        // Of equals the first: gaps take no time for what is not kept, and dense weights no test.
        let all = [gaps(values, inputs), dense(values), bits(values, inputs)];
        all.into_iter().min_by_key(Weight::bytes).expect("there are three")
    }

    pub fn bytes(&self) -> usize {
        4 * self.values.len()
            + match &self.stored {
                Stored::Dense => 0,
                Stored::Bits(bits) => bits.len(),
                Stored::Gaps { kept, gaps } => count_bytes(self.most()) * kept.len() + gaps.len(),
            }
    }

    /// The last word of the functions that read it.
    pub fn form(&self) -> &'static str {
        match self.stored {
            Stored::Dense => "dense",
            Stored::Bits(_) => "bits",
            Stored::Gaps { .. } => "gaps",
        }
    }

    /// What those are handed, in order, of a layer of this name.
    pub fn arguments(&self, name: &str) -> String {
        match self.stored {
            Stored::Dense => format!("{name}_weight"),
            Stored::Bits(_) => format!("{name}_bits, {name}_weight"),
            Stored::Gaps { .. } => format!("{name}_kept, {name}_gaps, {name}_weight"),
        }
    }

    pub fn arrays(&self, name: &str) -> String {
        let bytes = |what: &str, bytes: &[u8]| {
            array("uint8_t", &format!("{name}_{what}"), bytes.iter().map(u8::to_string))
        };
        let which = match &self.stored {
            Stored::Dense => String::new(),
            Stored::Bits(bits) => bytes("bits", bits),
            Stored::Gaps { kept, gaps } => {
                array("count", &format!("{name}_kept"), kept.iter().map(usize::to_string))
                    + &bytes("gaps", gaps)
            }
        };
        which + &floats(&format!("{name}_weight"), &self.values)
    }

    /// The largest number of weights in a row, where they are counted.
    pub fn most(&self) -> usize {
        if let Stored::Gaps { kept, .. } = &self.stored { kept.iter().copied().max().unwrap_or(0) } else { 0 }
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

fn bits(values: &[f32], inputs: usize) -> Weight {
    let byte = |eight: &[f32]| (0..).zip(eight).map(|(bit, &v)| u8::from(v != 0.0) << bit).sum();
    let bits = values.chunks(inputs).flat_map(|row| row.chunks(8).map(byte)).collect();
    Weight { stored: Stored::Bits(bits), values: values.iter().copied().filter(|&v| v != 0.0).collect() }
}

fn gaps(values: &[f32], inputs: usize) -> Weight {
    let (mut kept, mut gaps, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for row in values.chunks(inputs) {
        let (start, mut at) = (own.len(), 0);
        for (input, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            while input - at > FARTHEST {
                gaps.push(FARTHEST as u8);
                own.push(0.0);
                at += FARTHEST;
            }
            gaps.push((input - at) as u8);
            own.push(value);
            at = input;
        }
        kept.push(own.len() - start);
    }
    Weight { stored: Stored::Gaps { kept, gaps }, values: own }
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
            Stored::Bits(bits) => {
                for (i, number) in all.iter_mut().enumerate() {
                    let (row, input) = (i / inputs, i % inputs);
                    if bits[row * inputs.div_ceil(8) + input / 8] >> (input % 8) & 1 == 1 {
                        *number = values.next().unwrap();
                    }
                }
            }
            Stored::Gaps { kept, gaps } => {
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
            let all = [dense(&values), bits(&values, inputs), gaps(&values, inputs)];
            for weight in &all {
                assert_eq!(unpacked(weight, rows, inputs), values, "{} {rows} x {inputs}", weight.form());
            }
            let least = all.iter().map(Weight::bytes).min().unwrap();
            assert_eq!(Weight::of(&values, inputs).bytes(), least);
        }
        let sparse: Vec<f32> = (0..1000).map(|i| f32::from(u8::from(i % 20 == 3))).collect();
        assert_eq!(Weight::of(&sparse, 100).form(), "gaps");
        assert_eq!(Weight::of(&[1.0, 0.0, 2.0, 0.0].repeat(40), 16).form(), "bits");
        assert_eq!(Weight::of(&[1.0; 64], 16).form(), "dense");
        assert_eq!(Weight::of(&[0.0; 64], 16).values, [0.0; 0]);
    }
}
