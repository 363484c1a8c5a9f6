//! The harness that runs a kernel on a device and on its CPU twin and compares every output.
//!
//! A [`Check`] builds the same plan twice from seeded inputs. The comparison fails on NaN, and names the
//! tensor, the index, both values, the bound and the largest error.

use super::device::Gpu;
use super::plan::{Plan, Recorder};
use super::tensor::{Dtype, Tensor};
use crate::error::{Error, Kind, Result};
use crate::random::{self, Stream};

/// How far two results may lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub abs: f32,
    pub rel: f32,
}

impl Tolerance {
    /// The same bits.
    pub const EXACT: Tolerance = Tolerance { abs: 0.0, rel: 0.0 };
    /// A few roundings of f32.
    pub const ROUNDING: Tolerance = Tolerance { abs: 1e-6, rel: 2e-6 };
    /// A sum of `terms` products of values up to 1 in any order, against the same sum in f64: the error
    /// grows with the root of the number of terms; four times that is never seen. In long sums what is added to grows so,
    /// too, and each rounding with it.
    pub fn sum(terms: usize) -> Tolerance {
        let root = (terms as f32).sqrt().max(1.0);
        Tolerance { abs: 8.0 * f32::EPSILON * root * (root / 16.0).max(1.0), rel: 4.0 * f32::EPSILON }
    }
    /// False for NaN on either side, unless both have the same bits.
    pub fn close(&self, got: f32, want: f32) -> bool {
        got.to_bits() == want.to_bits() || (got - want).abs() <= self.abs + self.rel * want.abs()
    }
}

/// A kernel's test: a builder of the same work for any device.
pub struct Check {
    /// The kernel's name.
    pub name: String,
    build: Box<Build>,
    shares_lanes: bool,
}

type Build = dyn Fn(&mut Trial, usize) -> Result<()> + Send + Sync;

/// The sizes that every kernel is tried on: none, one, odd, and around powers of two.
pub const SIZES: [usize; 6] = [0, 1, 3, 63, 65, 257];

/// One plan under construction, its seeded inputs, and the outputs that will be compared.
pub struct Trial {
    pub gpu: Gpu,
    pub rec: Recorder,
    outputs: Vec<Output>,
    inputs: u32,
}

/// What is compared.
struct Output {
    tensor: Tensor,
    tolerance: Tolerance,
    /// It may hold NaN, of any bits, where the twin's does.
    odd: bool,
}

/// What is no ordinary number: kernels let NaN through, and agree on the rest.
const ODD: [f32; 6] = [f32::NAN, f32::INFINITY, -0.0, f32::NEG_INFINITY, -f32::NAN, 0.0];
/// Devices may take them for 0: only for kernels that move values.
const DENORMAL: [f32; 2] = [1e-40, -1e-40];

impl Trial {
    fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), rec: Recorder::new(gpu), outputs: Vec::new(), inputs: 0 }
    }
    fn words(&mut self, len: usize) -> Vec<u32> {
        self.inputs += 1;
        let number = self.inputs;
        (0..len as u32).map(|i| random::word(11, Stream::Test, 0, number, i)).collect()
    }
    /// Values in -1 .. 1, the same on every device.
    pub fn values(&mut self, len: usize) -> Vec<f32> {
        self.words(len).into_iter().map(|word| random::unit(word) * 2.0 - 1.0).collect()
    }
    /// A tensor of values in -1 .. 1.
    pub fn input(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.values(shape.iter().product());
        self.gpu.upload_f32(label, shape, &values)
    }
    /// As [`Trial::input`], with NaN, infinities and zeros of both signs in each third place from `first` on, and with
    /// denormal numbers, too, if so asked.
    pub fn odd_input(&mut self, label: &str, len: usize, first: usize, denormal: bool) -> Result<Tensor> {
        let mut values = self.values(len);
        let odd = if denormal { [&ODD[..], &DENORMAL].concat() } else { ODD.to_vec() };
        let places = values.iter_mut().skip(first).step_by(3);
        places.zip(odd.iter().cycle()).for_each(|(value, odd)| *value = *odd);
        self.gpu.upload_f32(label, &[len], &values)
    }
    /// Logits (classes, cols), of which each column has one odd number: every kind in every class.
    pub fn odd_logits(&mut self, classes: usize, cols: usize) -> Result<Tensor> {
        let mut values = self.values(classes * cols);
        (0..cols).for_each(|col| values[col % classes * cols + col] = ODD[col / classes % ODD.len()]);
        self.gpu.upload_f32("logits", &[classes, cols], &values)
    }
    /// An odd number for each row of a product as its bias, and a tensor for the result (rows, cols).
    pub fn odd_rows(
        &mut self,
        shape: &[usize],
        dtype: Dtype,
        tolerance: Tolerance,
    ) -> Result<(Tensor, Tensor)> {
        let bias: Vec<f32> = ODD.into_iter().cycle().take(shape[0]).collect();
        let result = self.gpu.tensor("y of odd biases", dtype, shape)?;
        self.compare_odd(&result, tolerance);
        Ok((self.gpu.upload_f32("odd biases", &[bias.len()], &bias)?, result))
    }
    /// A tensor of numbers below `bound`.
    pub fn indices(&mut self, label: &str, shape: &[usize], bound: u32) -> Result<Tensor> {
        let len = shape.iter().product();
        let values: Vec<u32> = self.words(len).into_iter().map(|word| word % bound.max(1)).collect();
        self.gpu.upload_u32(label, shape, &values)
    }
    /// A tensor of random bits.
    pub fn bits(&mut self, label: &str, words: usize) -> Result<Tensor> {
        let values = self.words(words);
        self.gpu.upload_u32(label, &[words], &values)
    }
    /// An f32 tensor of zeros to be compared afterwards.
    pub fn output(&mut self, label: &str, shape: &[usize], tolerance: Tolerance) -> Result<Tensor> {
        let tensor = self.gpu.tensor(label, Dtype::F32, shape)?;
        self.compare(&tensor, tolerance);
        Ok(tensor)
    }
    /// A u32 tensor of zeros to be compared, bit for bit, afterwards.
    pub fn output_u32(&mut self, label: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.gpu.tensor(label, Dtype::U32, shape)?;
        self.compare(&tensor, Tolerance::EXACT);
        Ok(tensor)
    }
    /// Compares this tensor, too.
    pub fn compare(&mut self, tensor: &Tensor, tolerance: Tolerance) {
        self.outputs.push(Output { tensor: tensor.clone(), tolerance, odd: false });
    }
    /// Compares this tensor, too; it may hold NaN, of whatever bits, exactly where the twin's does.
    pub fn compare_odd(&mut self, tensor: &Tensor, tolerance: Tolerance) {
        self.outputs.push(Output { tensor: tensor.clone(), tolerance, odd: true });
    }
}

impl Check {
    /// `build` records the kernel on inputs of the given size and says which tensors to compare.
    pub fn new(
        name: impl Into<String>,
        build: impl Fn(&mut Trial, usize) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), build: Box::new(build), shares_lanes: false }
    }
    /// The kernel needs lanes that share: see [`Gpu::shares_lanes`].
    pub fn sharing_lanes(self, shares_lanes: bool) -> Self {
        Self { shares_lanes, ..self }
    }
    /// Whether the kernel can run there; elsewhere no plan takes it.
    pub fn applies_to(&self, gpu: &Gpu) -> bool {
        !self.shares_lanes || !gpu.is_device() || gpu.shares_lanes()
    }

    /// Runs the check at one size on `gpu` and on the twin. Returns the largest absolute error.
    ///
    /// # Errors
    /// `Kind::Check` with the first difference and the largest one.
    ///
    /// On a device that only counts, nothing runs: the bindings alone are checked.
    pub fn run(&self, gpu: &Gpu, size: usize) -> Result<f32> {
        let (device, twin) = (self.trial(gpu, size)?, self.trial(&Gpu::twin(), size)?);
        if gpu.is_counted() {
            return Ok(0.0);
        }
        let mut largest = 0.0f32;
        for (got, want) in device.iter().zip(&twin) {
            let context = format!("kernel {}, size {size}", self.name);
            let (got, want, tolerance, odd) = (&got.tensor, &want.tensor, got.tolerance, got.odd);
            let error = if odd { compare_odd(got, want, tolerance) } else { compare(got, want, tolerance) };
            largest = largest.max(error.map_err(|e| e.at(context))?);
        }
        Ok(largest)
    }

    fn trial(&self, gpu: &Gpu, size: usize) -> Result<Vec<Output>> {
        let mut trial = Trial::new(gpu);
        (self.build)(&mut trial, size).map_err(|e| e.at(format!("kernel {}, size {size}", self.name)))?;
        trial.rec.finish()?.replay()?;
        Ok(trial.outputs)
    }
}

/// Compares a tensor with its twin, element by element; `Ok` holds the largest absolute error. All but f32 must have the
/// same bits, whatever the tolerance.
///
/// # Errors
/// `Kind::Check` naming tensor, index, both values, the bound and the largest error.
pub fn compare(got: &Tensor, want: &Tensor, tolerance: Tolerance) -> Result<f32> {
    if got.shape != want.shape || got.dtype() != want.dtype() {
        return Err(Error::new(Kind::Check, format!("{got:?} and {want:?} differ in shape or type")));
    }
    match got.dtype() {
        Dtype::U32 | Dtype::Bf16 => {
            let (got_words, want_words) = (got.words().read_u32()?, want.words().read_u32()?);
            match got_words.iter().zip(&want_words).position(|(a, b)| a != b) {
                None => Ok(0.0),
                Some(i) => Err(Error::new(Kind::Check, format!("{got:?}[{i}] differs"))
                    .at(format!("got {:#x}, its twin has {:#x}", got_words[i], want_words[i]))),
            }
        }
        Dtype::F32 => compare_f32(got.label(), &got.read_f32()?, &want.read_f32()?, tolerance),
    }
}

/// As [`compare`], by value: NaN equals NaN, whatever its bits. Where a kernel only moves values, zeros have the same sign.
fn compare_odd(got: &Tensor, want: &Tensor, tolerance: Tolerance) -> Result<f32> {
    let plain = |values: Vec<f32>| -> Vec<f32> {
        values.into_iter().map(|value| if value.is_nan() { f32::NAN } else { value }).collect()
    };
    let (got_values, want_values) = (plain(got.read_f32()?), plain(want.read_f32()?));
    let largest = compare_f32(got.label(), &got_values, &want_values, tolerance)?;
    let same = |i: &usize| got_values[*i].to_bits() == want_values[*i].to_bits();
    match (0..got_values.len()).find(|i| tolerance == Tolerance::EXACT && !same(i)) {
        None => Ok(largest),
        Some(i) => Err(Error::new(Kind::Check, format!("{}[{i}] has another sign", got.label()))
            .at(format!("got {:?}, its twin has {:?}", got_values[i], want_values[i]))),
    }
}

/// As [`compare`], for plain slices.
pub fn compare_f32(name: &str, got: &[f32], want: &[f32], tolerance: Tolerance) -> Result<f32> {
    if got.len() != want.len() {
        return Err(Error::new(Kind::Check, format!("{name}: {} values, {} wanted", got.len(), want.len())));
    }
    let error = |i: usize| (got[i] - want[i]).abs();
    // The same infinities, and NaN of the same bits, are no error.
    let error = |i: usize| if got[i].to_bits() == want[i].to_bits() { 0.0 } else { error(i) };
    let worst = (0..got.len()).max_by(|&a, &b| rank(error(a)).total_cmp(&rank(error(b))));
    match (0..got.len()).find(|&i| !tolerance.close(got[i], want[i])) {
        None => Ok(worst.map_or(0.0, error)),
        Some(i) => {
            Err(Error::new(Kind::Check, format!("{name}[{i}] is {}, its twin has {}", got[i], want[i]))
                .at(format!("bound: {} + {} * |wanted|", tolerance.abs, tolerance.rel))
                .at(format!("largest error: {} at [{}]", error(worst.unwrap_or(i)), worst.unwrap_or(i))))
        }
    }
}

/// NaN counts as the largest error of all.
fn rank(error: f32) -> f32 {
    if error.is_nan() { f32::INFINITY } else { error }
}

/// Replays two recordings of the same work in lockstep and names the first dispatch whose outputs differ.
///
/// # Errors
/// `Kind::Check` with the dispatch, the tensor and the values.
pub fn lockstep(left: &Plan, right: &Plan, tolerance: Tolerance) -> Result<()> {
    if left.dispatches.len() != right.dispatches.len() {
        return Err(Error::new(Kind::Check, "the two plans have different lengths"));
    }
    for index in 0..left.dispatches.len() {
        left.replay_one(index)?;
        right.replay_one(index)?;
        let (a, b) = (&left.dispatches[index], &right.dispatches[index]);
        for (got, want) in a.outputs().iter().zip(b.outputs()) {
            compare(got, want, tolerance).map_err(|e| e.at(format!("dispatch {index}: {}", a.label)))?;
        }
    }
    Ok(())
}
