//! Folders of four files, whole and damaged.

use std::io::Write;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};

use super::super::{Dataset, open as open_set};
use super::*;
use crate::error::Kind;

/// The four names, in the order in which they are read.
pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// An IDX file.
pub fn file_of(extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header =
        [0, 0, 8, extents.len() as u8].into_iter().chain(extents.iter().flat_map(|e| e.to_be_bytes()));
    header.chain(bytes.iter().copied()).collect()
}

/// Three training and two test samples of 1 x 2, in three classes.
fn small() -> [Vec<u8>; 4] {
    [
        file_of(&[3, 1, 2], &[0, 4, 8, 4, 0, 8]),
        file_of(&[3], &[0, 2, 1]),
        file_of(&[2, 1, 2], &[1, 2, 3, 4]),
        file_of(&[2], &[1, 0]),
    ]
}

/// Writes the files into a fresh folder, those with an even number packed.
fn folder(files: &[Vec<u8>; 4]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, (name, bytes)) in NAMES.iter().zip(files).enumerate() {
        if i % 2 == 0 {
            let file = std::fs::File::create(folder.path().join(format!("{name}.gz"))).unwrap();
            let mut packed = GzEncoder::new(file, Compression::fast());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap();
        } else {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
    }
    folder
}

fn open_files(files: &[Vec<u8>; 4]) -> Result<Dataset> {
    let folder = folder(files);
    open_set(&format!("idx:{}", folder.path().display()), 0.0)
}

/// The message of the error that must come.
fn refused(change: impl Fn(&mut [Vec<u8>; 4])) -> String {
    let mut files = small();
    change(&mut files);
    let error = open_files(&files).expect_err("damaged files were accepted");
    assert_eq!(error.kind, Kind::Data);
    error.to_string()
}

#[test]
fn a_folder_opens_with_measured_scale() {
    let set = open_files(&small()).unwrap();
    assert_eq!((set.shape.as_slice(), set.classes), (&[1, 1, 2][..], 3));
    assert_eq!((set.train.len(), set.test.len()), (3, 2));
    assert_eq!(set.train.labels, [0, 2, 1]);
    let values = set.columns(&set.train, &[0, 1, 2]);
    let mean = values.iter().sum::<f32>() / 6.0;
    let square = values.iter().map(|value| value * value).sum::<f32>() / 6.0;
    assert!(mean.abs() <= 1e-6 && (square - 1.0).abs() <= 1e-6, "mean {mean}, mean square {square}");
    // The first sample is 0, 4; the mean is 4, the deviation sqrt(32 / 3).
    assert!((set.columns(&set.train, &[0])[0] + 4.0 / (32f32 / 3.0).sqrt()).abs() <= 1e-6);
}

#[test]
fn files_of_four_extents_have_channels() {
    let mut files = small();
    // Three samples of 2 x 1 x 2: the second channel is four times the first, plus one.
    files[0] = file_of(&[3, 2, 1, 2], &[0, 4, 1, 17, 8, 4, 33, 17, 0, 8, 1, 33]);
    files[2] = file_of(&[2, 2, 1, 2], &[1; 8]);
    let set = open_files(&files).unwrap();
    assert_eq!((set.shape.as_slice(), set.scale.len()), (&[2, 1, 2][..], 2));
    let x = set.columns(&set.train, &[0, 1, 2]);
    assert!(x[..6].iter().zip(&x[6..]).all(|(a, b)| (a - b).abs() <= 1e-6), "{x:?}");
    // By the name that their rank gives them, too.
    let folder = folder(&files);
    let old = folder.path().join(format!("{}.gz", NAMES[0]));
    std::fs::rename(old, folder.path().join("train-images-idx4-ubyte.gz")).unwrap();
    let again = open_set(&format!("idx:{}", folder.path().display()), 0.0).unwrap();
    assert_eq!(again.hash, set.hash);
    let given = super::super::open_with(
        &format!("idx:{}", folder.path().display()),
        0.0,
        &toml::from_str::<toml::Table>("mean = [0.1, 0.2]\ndeviation = [1, 2]").unwrap().into(),
    );
    assert_ne!(given.unwrap().hash, set.hash, "other statistics are other data");
}

#[test]
fn every_cut_of_every_file_is_a_named_error() {
    for (i, name) in NAMES.iter().enumerate() {
        for length in 0..small()[i].len() {
            let text = refused(|files| files[i].truncate(length));
            assert!(text.contains(name) && text.contains("cut off"), "{name}, {length} bytes: {text}");
        }
    }
}

#[test]
fn every_flipped_bit_of_every_header_is_a_named_error() {
    for (i, header) in [16, 8, 16, 8].into_iter().enumerate() {
        for bit in 0..header * 8 {
            assert!(
                refused(|files| files[i][bit / 8] ^= 1 << (bit % 8)).contains(NAMES[i]),
                "file {i}, bit {bit}"
            );
        }
    }
}

#[test]
fn counts_that_disagree_are_named_with_both_files() {
    let text = refused(|files| files[1] = file_of(&[2], &[0, 2]));
    assert!(text.contains(NAMES[0]) && text.contains(NAMES[1]) && text.contains("found 2"), "{text}");
}

#[test]
fn a_label_that_no_training_sample_has_is_an_error() {
    let text = refused(|files| files[3] = file_of(&[2], &[1, 3]));
    assert!(text.contains("offset 9: expected a label below 3, found 3"), "{text}");
}

#[test]
fn parts_of_different_shape_are_an_error() {
    assert!(refused(|files| files[2] = file_of(&[2, 2, 1], &[1, 2, 3, 4])).contains("differ in shape"));
}

#[test]
fn swapped_files_and_equal_samples_are_errors() {
    assert!(refused(|files| files.swap(0, 1)).contains("in each other's place"));
    assert!(refused(|files| files[0] = file_of(&[3, 1, 2], &[7; 6])).contains("equal"));
}

#[test]
fn all_256_classes_fit() {
    let mut files = small();
    files[1] = file_of(&[3], &[0, 255, 1]);
    assert_eq!(open_files(&files).unwrap().classes, 256);
}

#[test]
fn an_absent_folder_or_file_says_what_was_expected() {
    let absent = PathBuf::from("no/such/folder");
    let error = open_set(&format!("idx:{}", absent.display()), 0.0).unwrap_err();
    assert!(error.kind == Kind::Data && error.to_string().contains(NAMES[0]), "{error}");
    let folder = folder(&small());
    std::fs::remove_file(folder.path().join(NAMES[3])).unwrap();
    let error = open_set(&format!("idx:{}", folder.path().display()), 0.0).unwrap_err();
    assert!(error.to_string().contains(NAMES[3]), "{error}");
}

#[test]
fn names_with_a_dot_are_found_and_one_class_is_refused() {
    let folder = folder(&small());
    for name in NAMES {
        for ending in ["", ".gz"] {
            let old = folder.path().join(format!("{name}{ending}"));
            if old.exists() {
                std::fs::rename(old, folder.path().join(format!("{}{ending}", name.replace("-idx", ".idx"))))
                    .unwrap();
            }
        }
    }
    let open = || open_set(&format!("idx:{}", folder.path().display()), 0.0);
    assert_eq!(open().unwrap().train.len(), 3);
    std::fs::write(folder.path().join("train-labels.idx1-ubyte"), file_of(&[3], &[1, 1, 1])).unwrap();
    let text = open().unwrap_err().to_string();
    assert!(text.contains("have the label 1") && text.contains("one class alone"), "{text}");
}
