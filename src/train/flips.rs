//! Which weights flipped between two records of a run's masks, however they came to: the difference of what was
//! last recorded and what is.
//!
//! A journal holds the masks of the start and, from then on, flips alone. With them come the weights that were ever
//! kept, whose share of all is the R_s of in-time over-parameterisation (Liu et al., 2021).
//! Nothing is decided by what is read here, and a run that keeps no journal reads nothing.

use super::session::Session;
use super::{compact, indices};
use crate::error::{Error, Result};
use crate::param::{self, Param};
use crate::store::array::elements;
use crate::store::{Array, Arrays};

/// Names of arrays in a record.
const SCHEMA: &str = "schema";
const STEP: &str = "step";
const NAMES: &str = "names";

/// The masks of all prunable weights, as last recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Masks {
    /// They are those before this step, or after the mask update of it.
    pub step: u64,
    /// In the order of the model.
    pub layers: Vec<LayerMask>,
}

/// The mask of one weight, one bit each: bit i % 32 of word i / 32.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMask {
    pub name: String,
    pub shape: Vec<usize>,
    kept: Vec<u32>,
    /// Kept at any record so far.
    ever: Vec<u32>,
}

/// What flipped since the last record.
#[derive(Clone, Debug, PartialEq)]
pub struct Flips {
    pub step: u64,
    /// As in [`Masks`]: every layer, in the same order.
    pub layers: Vec<LayerFlips>,
}

/// What flipped in one weight, one bit each.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerFlips {
    pub name: String,
    grown: Vec<u32>,
    dropped: Vec<u32>,
    /// Weights that were kept at any record so far, this one included.
    pub explored: usize,
}

impl LayerMask {
    fn new(name: &str, shape: &[usize], kept: Vec<u32>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), ever: kept.clone(), kept }
    }
    /// Weights, kept and pruned.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn kept(&self) -> usize {
        param::kept(&self.kept)
    }
    pub fn explored(&self) -> usize {
        param::kept(&self.ever)
    }
    /// One bit a weight.
    pub fn mask(&self) -> &[u32] {
        &self.kept
    }
    pub fn keeps(&self, index: usize) -> bool {
        self.kept[index / 32] >> (index % 32) & 1 == 1
    }
    /// Kept in both, and in either. `None` where the shapes differ.
    pub fn overlap(&self, other: &LayerMask) -> Option<(usize, usize)> {
        let pairs = || self.kept.iter().zip(&other.kept);
        let count = |word: fn(u32, u32) -> u32| -> usize {
            pairs().map(|(&a, &b)| word(a, b).count_ones() as usize).sum()
        };
        (self.shape == other.shape).then(|| (count(|a, b| a & b), count(|a, b| a | b)))
    }

    /// Goes over to the mask `now`, and says what flipped.
    fn become_mask(&mut self, now: Vec<u32>) -> LayerFlips {
        let of = |a: &[u32], b: &[u32]| a.iter().zip(b).map(|(a, b)| a & !b).collect::<Vec<u32>>();
        let (grown, dropped) = (of(&now, &self.kept), of(&self.kept, &now));
        self.ever.iter_mut().zip(&now).for_each(|(ever, now)| *ever |= now);
        self.kept = now;
        LayerFlips { name: self.name.clone(), grown, dropped, explored: self.explored() }
    }

    /// The mask after `grown` and `dropped`; `None` where what grows was there, or what is dropped was not.
    fn after(&self, grown: &[u32], dropped: &[u32]) -> Option<Vec<u32>> {
        let sound = |((kept, grown), dropped): ((&u32, &u32), &u32)| {
            (kept & grown == 0 && !kept & dropped == 0).then_some((kept | grown) & !dropped)
        };
        self.kept.iter().zip(grown).zip(dropped).map(sound).collect()
    }
}

impl LayerFlips {
    pub fn grown(&self) -> usize {
        param::kept(&self.grown)
    }
    pub fn dropped(&self) -> usize {
        param::kept(&self.dropped)
    }
}

impl Masks {
    /// The masks that a run has now.
    pub fn of(run: &Session) -> Result<Self> {
        let layer = |param: &Param| Ok(LayerMask::new(&param.name, &param.shape, param.read_mask()?));
        Ok(Self { step: run.steps_done(), layers: maskable(run).map(layer).collect::<Result<_>>()? })
    }

    /// Whether they are masks of the weights of this run, with all that may have been removed of them.
    pub fn fit(&self, run: &Session) -> bool {
        let own = run.model.params.pairs().filter(|(_, param)| param.prunable);
        let own = own.map(|(id, param)| (&param.name[..], run.whole_shape(id)));
        own.eq(self.layers.iter().map(|layer| (&layer.name[..], &layer.shape[..])))
    }

    /// As the first record of a journal.
    pub fn to_arrays(&self) -> Arrays {
        let names: Vec<&str> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
        let names = names.join("\n");
        let mut all = Arrays::from([
            (SCHEMA.to_string(), Array::u32([1], &[1])),
            (STEP.to_string(), Array::u32([1], &[self.step as u32])),
            (NAMES.to_string(), Array::u8([names.len()], names.as_bytes())),
        ]);
        for layer in &self.layers {
            let shape: Vec<u32> = layer.shape.iter().map(|&extent| extent as u32).collect();
            compact::insert_shape(&mut all, &layer.name, &shape);
            indices::insert_bits(&mut all, &layer.name, &layer.kept);
        }
        all
    }

    /// From the first record of a journal.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where it is not one.
    pub fn from_arrays(arrays: &Arrays) -> Result<Self> {
        let schema = number(arrays, SCHEMA)?;
        if schema != 1 {
            return Err(Error::checkpoint(format!("masks of schema {schema} are not known")));
        }
        let names = find(arrays, NAMES)?;
        let names = std::str::from_utf8(&names.bytes)
            .map_err(|e| Error::checkpoint("the names of the masks are damaged").at(e.to_string()))?;
        let layer = |name: &str| {
            let shape = find(arrays, &format!("{name}.shape"))?.to_u32()?;
            let shape: Vec<usize> = shape.iter().map(|&extent| extent as usize).collect();
            let len = elements(&shape).filter(|&len| len <= u32::MAX as usize);
            let len = len.ok_or_else(|| {
                Error::checkpoint(format!("`{name}` has 2^32 weights or more")).at(format!("{shape:?}"))
            })?;
            let kept = indices::bits(arrays, name, len)?;
            let kept = kept.ok_or_else(|| Error::checkpoint(format!("the mask of `{name}` is missing")))?;
            Ok(LayerMask::new(name, &shape, kept))
        };
        Ok(Self { step: number(arrays, STEP)?, layers: names.lines().map(layer).collect::<Result<_>>()? })
    }

    /// Goes over to what a later record holds.
    ///
    /// # Errors
    /// `Kind::Checkpoint` where it does not follow upon this.
    pub fn follow(&mut self, arrays: &Arrays) -> Result<Flips> {
        let step = number(arrays, STEP)?;
        if step < self.step {
            return Err(Error::checkpoint(format!("step {step} comes after step {}", self.step)));
        }
        let mut layers = Vec::new();
        for layer in &mut self.layers {
            let bits = |what: &str| {
                let found = indices::bits(arrays, &format!("{}.{what}", layer.name), layer.len())?;
                Ok(found.unwrap_or_else(|| vec![0; layer.kept.len()]))
            };
            let now = layer.after(&bits("grown")?, &bits("dropped")?).ok_or_else(|| {
                Error::checkpoint(format!("the flips of `{}` do not fit the mask before them", layer.name))
                    .at(format!("step {step}"))
            })?;
            layers.push(layer.become_mask(now));
        }
        self.step = step;
        Ok(Flips { step, layers })
    }
}

impl Flips {
    /// As a record of a journal. Layers without a flip are left out.
    pub fn to_arrays(&self) -> Arrays {
        let mut all = Arrays::from([(STEP.to_string(), Array::u32([1], &[self.step as u32]))]);
        for layer in &self.layers {
            for (what, bits) in [("grown", &layer.grown), ("dropped", &layer.dropped)] {
                if bits.iter().any(|&word| word != 0) {
                    indices::insert_bits(&mut all, &format!("{}.{what}", layer.name), bits);
                }
            }
        }
        all
    }

    /// The step of a record.
    pub fn step_of(arrays: &Arrays) -> Result<u64> {
        number(arrays, STEP)
    }
}

impl Session {
    /// What flipped since the masks were last recorded; `None` where no journal is kept.
    pub(super) fn take_flips(&mut self, step: u64) -> Result<Option<Flips>> {
        let Some(mut recorded) = self.recorded.take() else { return Ok(None) };
        let flip = |(layer, param): (&mut LayerMask, &Param)| Ok(layer.become_mask(param.read_mask()?));
        let layers = recorded.layers.iter_mut().zip(maskable(self)).map(flip).collect::<Result<_>>()?;
        recorded.step = step;
        self.recorded = Some(recorded);
        Ok(Some(Flips { step, layers }))
    }
}

fn maskable(run: &Session) -> impl Iterator<Item = &Param> {
    run.model.params.iter().filter(|param| param.prunable)
}

fn find<'a>(arrays: &'a Arrays, name: &str) -> Result<&'a Array> {
    arrays.get(name).ok_or_else(|| Error::checkpoint(format!("`{name}` is missing")))
}

fn number(arrays: &Arrays, name: &str) -> Result<u64> {
    match find(arrays, name)?.to_u32()?[..] {
        [number] => Ok(number.into()),
        _ => Err(Error::checkpoint(format!("`{name}` is not one number"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masks(len: usize, kept: Vec<u32>) -> Masks {
        Masks { step: 0, layers: vec![LayerMask::new("fc.weight", &[1, len], kept)] }
    }

    proptest! {
        /// Flags of (now, later, last) by index against what records give back.
        #[test]
        fn records_give_the_masks_back(flags in prop::collection::vec(any::<[bool; 3]>(), 1..200)) {
            let len = flags.len();
            let mask = |k: usize| {
                let set: Vec<u32> = (0..len as u32).filter(|&i| flags[i as usize][k]).collect();
                param::mask_of(&set, len)
            };
            let mut written = masks(len, mask(0));
            let mut read = Masks::from_arrays(&written.to_arrays()).unwrap();
            prop_assert_eq!(&read, &written);
            for k in [1, 2] {
                let flips = Flips { step: k as u64, layers: vec![written.layers[0].become_mask(mask(k))] };
                written.step = k as u64;
                let got = read.follow(&flips.to_arrays()).unwrap();
                prop_assert_eq!(&read, &written);
                let count = |what: fn(&[bool; 3], usize) -> bool| flags.iter().filter(|f| what(f, k)).count();
                prop_assert_eq!(got.layers[0].grown(), count(|f, k| f[k] && !f[k - 1]));
                prop_assert_eq!(got.layers[0].dropped(), count(|f, k| !f[k] && f[k - 1]));
                prop_assert_eq!(got.layers[0].explored, count(|f, k| f[..=k].contains(&true)));
                prop_assert_eq!(got, flips);
            }
        }
    }

    #[test]
    fn a_record_that_does_not_follow_is_refused() {
        let record = |step, grown, dropped| {
            let (grown, dropped) = (vec![grown], vec![dropped]);
            let layer = LayerFlips { name: "fc.weight".into(), grown, dropped, explored: 0 };
            Flips { step, layers: vec![layer] }.to_arrays()
        };
        let mut masks = masks(8, vec![0b0011]);
        assert!(masks.follow(&record(1, 0b1000, 0b0001)).is_ok());
        for (step, grown, dropped, why) in [
            (2, 0b0010, 0, "do not fit the mask before them"),
            (2, 0, 0b0001, "do not fit the mask before them"),
            (2, 0x100, 0, "`fc.weight.grown` is damaged"),
            (0, 0b0100, 0, "step 0 comes after step 1"),
        ] {
            let error = masks.follow(&record(step, grown, dropped)).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert_eq!(masks.layers[0].mask(), [0b1010]);
        assert!(Masks::from_arrays(&record(1, 1, 0)).is_err());
    }
}
