//! A set as four arrays of NumPy: images and labels for training and for testing.

use std::path::Path;

use super::options::{Options, SCALED};
use super::statistics;
use super::{Entry, Samples, Source, Split};
use crate::error::{Error, Result};
use crate::store::array::Dtype;
use crate::store::{Array, npy};

pub const ENTRY: Entry = Entry {
    name: "npy",
    argument: "DIR",
    about: "your own arrays: {train,test}-{images,labels}.npy in a folder; samples, or (n, c, h, w)",
    keys: SCALED,
    open,
};

fn open(argument: &str, options: &Options) -> Result<Source> {
    let folder = Path::new(argument);
    let (shape, train) = part(folder, "train", None)?;
    let classes = train.labels.iter().max().map_or(0, |&label| usize::from(label) + 1);
    let (test_shape, test) = part(folder, "test", Some(classes))?;
    if shape != test_shape {
        return Err(Error::data(format!("training and test part of {argument} differ in shape")).at(
            format!("test-images.npy: expected {shape:?} as in train-images.npy, found {test_shape:?}"),
        ));
    }
    // Of rows of numbers it is not known which belong together.
    let channels = if shape.len() == 1 { 1 } else { shape[0] };
    let mut source = Source::new(format!("npy:{argument}"), shape, classes, train, test);
    source.origin = argument.to_string();
    if options.moments.is_none() {
        statistics::measure(&mut source, channels)?;
    }
    Ok(source)
}

fn read(folder: &Path, name: &str) -> Result<Array> {
    let path = folder.join(name);
    let shown = path.display().to_string();
    if !path.is_file() {
        return Err(Error::data(format!("a file of the data set is absent from {}", folder.display()))
            .at(format!("expected {name}"))
            .hint(
                "the four files are train-images.npy, train-labels.npy, test-images.npy and test-labels.npy",
            ));
    }
    npy::decode(&super::file::read(&shown)?, &shown)
}

/// One sample's shape, and the samples; labels are to be below `classes`, where that is known.
fn part(folder: &Path, part: &str, classes: Option<usize>) -> Result<(Vec<usize>, Split)> {
    let (images_name, labels_name) = (format!("{part}-images.npy"), format!("{part}-labels.npy"));
    let (images, labels) = (read(folder, &images_name)?, read(folder, &labels_name)?);
    let wrong = |name: &str, expected: &str, found: String| {
        Error::data(format!("{} is not what it should be", folder.join(name).display()))
            .at(format!("expected: {expected}; found: {found}"))
    };
    let shape = match images.shape[..] {
        [_, features] => vec![features],
        [_, height, width] => vec![1, height, width],
        [_, channels, height, width] if width > 4 || channels <= 4 => vec![channels, height, width],
        [..] if images.shape.len() == 4 => {
            return Err(wrong(
                &images_name,
                "channels before height and width",
                format!("{:?}", images.shape),
            )
            .hint("save numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1))"));
        }
        _ => {
            let expected = "(n, features), (n, h, w) or (n, c, h, w)";
            return Err(wrong(&images_name, expected, format!("{:?}", images.shape)));
        }
    };
    let count = match labels.shape[..] {
        [count] | [count, 1] => count,
        _ => return Err(wrong(&labels_name, "one label a sample, (n,)", format!("{:?}", labels.shape))),
    };
    if images.shape[0] != count {
        return Err(Error::data("images and labels disagree in number")
            .at(format!("{images_name}: {} images", images.shape[0]))
            .at(format!("{labels_name}: expected as many labels, found {count}")));
    }
    let images = match images.dtype {
        Dtype::U8 => Samples::Bytes(images.bytes),
        _ => {
            let values = images.to_f32();
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let sample = at / (values.len() / count);
                return Err(wrong(
                    &images_name,
                    "finite numbers of 32 bits",
                    format!("{} in sample {sample}", values[at]),
                ));
            }
            Samples::Floats(values)
        }
    };
    let Some(numbers) = labels.whole() else {
        return Err(wrong(&labels_name, "whole numbers", labels.dtype.name().to_string())
            .hint("save y.astype(numpy.uint8)"));
    };
    let highest = classes.map_or(255, |classes| classes as i64 - 1);
    let label = |(row, number): (usize, i64)| match u8::try_from(number) {
        Ok(label) if number <= highest => Ok(label),
        _ => {
            let expected = format!("a label from 0 to {highest}");
            let error = wrong(&labels_name, &expected, format!("{number} at index {row}"));
            Err(error.hint("classes count from 0, and the training part has to hold the highest one"))
        }
    };
    let labels = numbers.enumerate().map(label).collect::<Result<_>>()?;
    Ok((shape, Split { images, labels }))
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, open};
    use super::*;
    use crate::error::Kind;

    /// Three training and two test samples of 2 x 1 x 2.
    fn small() -> [(&'static str, Array); 4] {
        [
            ("train-images.npy", Array::u8([3, 2, 1, 2], &[0, 4, 9, 1, 4, 0, 9, 1, 8, 8, 5, 1])),
            ("train-labels.npy", Array::new(Dtype::I64, [3], [0i64, 2, 1].map(i64::to_le_bytes).concat())),
            ("test-images.npy", Array::u8([2, 2, 1, 2], &[1, 2, 3, 4, 5, 6, 7, 8])),
            ("test-labels.npy", Array::u8([2, 1], &[1, 0])),
        ]
    }

    fn open_files(files: &[(&str, Array)]) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        for (name, array) in files {
            npy::write(&folder.path().join(name), array).unwrap();
        }
        open(&format!("npy:{}", folder.path().display()), 0.0)
    }

    #[test]
    fn arrays_of_bytes_and_of_floats_open() {
        let set = open_files(&small()).unwrap();
        assert_eq!((set.shape.as_slice(), set.classes, set.scale.len()), (&[2, 1, 2][..], 3, 2));
        assert_eq!((set.train.labels.as_slice(), set.test.labels.as_slice()), (&[0, 2, 1][..], &[1, 0][..]));
        let floats = small().map(|(name, array)| match name.contains("images") {
            true => (name, Array::f32([array.shape[0], 4], &array.to_f32())),
            false => (name, array),
        });
        let set = open_files(&floats).unwrap();
        assert_eq!((set.shape.as_slice(), set.scale.len()), (&[4][..], 1));
        let values = set.columns(&set.train, &[0, 1, 2]);
        let mean = values.iter().sum::<f32>() / 12.0;
        let square = values.iter().map(|value| value * value).sum::<f32>() / 12.0;
        assert!(mean.abs() <= 1e-6 && (square - 1.0).abs() <= 1e-5, "mean {mean}, mean square {square}");
        let square = small().map(|(name, array)| match name.contains("images") {
            true => (name, Array::u8([array.shape[0], 2, 2], &array.bytes)),
            false => (name, array),
        });
        assert_eq!(open_files(&square).unwrap().shape, [1, 2, 2]);
        let wide = small().map(|(name, array)| match name.contains("images") {
            true => (name, Array::u32(array.shape.clone(), &array.to_u32().unwrap())),
            false => (name, array),
        });
        let wide = open_files(&wide).unwrap();
        assert!(matches!(&wide.train.images, Samples::Floats(values) if values[..3] == [0.0, 4.0, 9.0]));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_file() {
        let refused = |number: usize, array: Array, words: &str| {
            let mut files = small();
            files[number].1 = array;
            let error = open_files(&files).expect_err(words);
            assert_eq!(error.kind, Kind::Data);
            let text = error.to_string();
            assert!(text.contains(words), "{words} is not in {text}");
        };
        let labels = |values: &[i64]| {
            Array::new(Dtype::I64, [values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
        };
        refused(0, Array::u8([2, 2, 1, 2], &[0; 8]), "train-labels.npy: expected as many labels, found 3");
        refused(0, Array::u8([12], &[0; 12]), "(n, features), (n, h, w) or (n, c, h, w); found: [12]");
        refused(0, Array::u8([3, 32, 32, 3], &[0; 9216]), "numpy.moveaxis");
        refused(0, Array::u8([3, 2, 1, 2], &[7; 12]), "are equal");
        refused(0, Array::f32([3, 4], &[0.5; 12]), "differ in shape");
        let mut broken = [0.5; 12];
        broken[9] = f32::NAN;
        refused(0, Array::f32([3, 2, 1, 2], &broken), "finite numbers of 32 bits; found: NaN in sample 2");
        refused(1, labels(&[0, -1, 1]), "a label from 0 to 255; found: -1 at index 1");
        refused(1, labels(&[0, 256, 1]), "a label from 0 to 255; found: 256 at index 1");
        refused(1, Array::f32([3], &[0.0; 3]), "whole numbers; found: F32");
        refused(1, Array::u8([3, 2], &[0; 6]), "one label a sample, (n,); found: [3, 2]");
        refused(2, Array::u8([2, 1, 2, 2], &[0; 8]), "test-images.npy: expected [2, 1, 2]");
        refused(3, labels(&[1, 3]), "test-labels.npy");
        refused(3, labels(&[1, 3]), "a label from 0 to 2; found: 3 at index 1");
    }

    #[test]
    fn absent_and_cut_files_are_named() {
        let text = open_files(&small()[..3]).unwrap_err().to_string();
        assert!(text.contains("expected test-labels.npy"), "{text}");
        let folder = tempfile::tempdir().unwrap();
        for (name, array) in small() {
            std::fs::write(folder.path().join(name), &npy::encode(&array)[..130]).unwrap();
        }
        let error = open(&format!("npy:{}", folder.path().display()), 0.0).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert!(error.to_string().contains("train-images.npy cannot be read as .npy"), "{error}");
    }
}
