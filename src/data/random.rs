//! Random bytes of a shape: what a network needs whose time and memory are of interest, and nothing that it could learn.

use super::options::Options;
use super::{Entry, Source, Split};
use crate::error::{Error, Result};
use crate::random::{Stream, words};

pub const ENTRY: Entry = Entry {
    name: "random",
    argument: "SHAPE",
    about: "random numbers of a shape, such as random:3x224x224: for plans and measurements of a network at that input",
    keys: &["classes", "samples"],
    open,
};

/// The seed of its values: a constant, so that the set is the same for every run.
const SEED: u64 = 1;
/// Values of a sample at most, as many as a picture of three channels and 4096 x 4096 has; and of all samples.
const MOST: usize = 3 << 24;
const MOST_OF_ALL: usize = 1 << 31;

/// Values in [-1, 1): the deviation of real samples is 1, of these 0.58.
fn open(argument: &str, options: &Options) -> Result<Source> {
    let shape = shape(argument)?;
    let features: usize = shape.iter().product();
    let (classes, samples) = (options.classes, options.samples);
    if samples.checked_mul(features).is_none_or(|values| values > MOST_OF_ALL) {
        return Err(Error::usage(format!("{samples} samples of {argument} are too many"))
            .at(format!("{features} bytes each; all may have 2 GiB together"))
            .hint(format!("data.samples = {}", MOST_OF_ALL / features)));
    }
    let tests = (samples / 8).max(1);
    let source = Source::new(
        format!("{}:{argument}", ENTRY.name),
        shape,
        classes,
        split(samples, features, classes, 0),
        split(tests, features, classes, samples as u32),
    );
    let origin = format!("{samples} + {tests} samples of Philox");
    Ok(Source { scale: vec![1.0 / 128.0], shift: vec![-1.0], origin, ..source })
}

/// Each sample is a tensor of its own to the generator. Labels count up; those of a byte are all that there are.
fn split(samples: usize, features: usize, classes: usize, first: u32) -> Split {
    let mut bytes = Vec::with_capacity(samples * features);
    for sample in (first..).take(samples) {
        let blocks = 0..features.div_ceil(16) as u32;
        let all = blocks.flat_map(|block| words(SEED, Stream::Synthetic, 0, sample, block));
        bytes.extend(all.flat_map(u32::to_le_bytes).take(features));
    }
    Split::bytes(bytes, (0..samples).map(|sample| (sample % classes.min(256)) as u8).collect())
}

fn shape(argument: &str) -> Result<Vec<usize>> {
    let wrong = || {
        Error::usage(format!("\"{argument}\" is not the shape of a sample"))
            .at("expected channels x height x width, or the number of features")
            .hint("name = \"random:3x224x224\"")
    };
    let extents: Option<Vec<usize>> =
        argument.split('x').map(|extent| extent.parse().ok().filter(|extent| *extent > 0)).collect();
    let shape = extents.filter(|shape| [1, 3].contains(&shape.len())).ok_or_else(wrong)?;
    let features = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    features.filter(|&features| features <= MOST).map(|_| shape).ok_or_else(|| {
        Error::usage(format!("a sample of {argument} is too large"))
            .at(format!("it may have {MOST} values"))
            .hint("a smaller height and width")
    })
}

#[cfg(test)]
mod tests {
    use super::super::open_with;
    use crate::data::Dataset;
    use crate::error::{Kind, Result};

    fn open(name: &str, keys: &str) -> Result<Dataset> {
        open_with(name, 0.0, &keys.parse::<toml::Table>().unwrap().into())
    }

    #[test]
    fn samples_have_the_shape_and_classes_asked_for() {
        let set = open("random:3x5x7", "classes = 12\nsamples = 40").unwrap();
        assert_eq!((set.shape.as_slice(), set.classes), (&[3, 5, 7][..], 12));
        assert_eq!((set.train.len(), set.test.len()), (40, 5));
        assert!(set.warnings().is_empty());
        assert_eq!(set.hash, open("random:3x5x7", "classes = 12\nsamples = 40").unwrap().hash);
        assert_eq!(open("random:9", "").unwrap().shape, [9]);
        let rows: Vec<u32> = (0..40).collect();
        let values = set.columns(&set.train, &rows);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.05 && values.iter().all(|v| (-1.0..1.0).contains(v)), "{mean}");
        assert_ne!(values[0], values[1], "no two samples are alike");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (name, keys, words) in [
            ("random:3x224", "", "not the shape of a sample"),
            ("random:3x0x4", "", "not the shape of a sample"),
            ("random:big", "", "name = \"random:3x224x224\""),
            ("random:3x99999x99999", "", "too large"),
            ("random:99999999999x99999999999x3", "", "too large"),
            ("random:3x224x224", "samples = 20000", "data.samples = 14266"),
            ("random:4", "classes = 1", "wrong value for `classes`"),
            ("random:4", "samples = 0", "wrong value for `samples`"),
        ] {
            let error = open(name, keys).expect_err(name);
            assert_eq!(error.kind, Kind::Usage, "{error}");
            assert!(error.to_string().contains(words), "{name}: {error}");
        }
    }
}
