//! Damaged IDX files: each is a named error, none a panic.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;
use crate::data::folder::{IMAGES, LABELS};
use crate::error::Kind;

/// Two samples of 2 x 3.
fn small() -> Vec<u8> {
    let mut file = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
    file.extend(1..=12);
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// The message of the error that must come.
fn refused(file: &[u8]) -> String {
    let error = read("some-file", file, IMAGES).expect_err("a damaged file was accepted");
    assert_eq!(error.kind, Kind::Data);
    let text = error.to_string();
    assert!(text.contains("some-file") && text.contains("offset"), "{text}");
    text
}

#[test]
fn plain_and_packed_files_read_alike() {
    let want = Idx { name: "some-file".into(), extents: vec![2, 2, 3], bytes: (1..=12).collect() };
    assert_eq!(read("some-file", &small()[..], IMAGES).unwrap(), want);
    assert_eq!(read("some-file", &gzip(&small())[..], IMAGES).unwrap(), want);
    assert_eq!(want.header_bytes(), 16);
}

#[test]
fn every_cut_is_a_named_error() {
    let (plain, packed) = (small(), gzip(&small()));
    for length in 0..plain.len() {
        assert!(refused(&plain[..length]).contains("cut off"), "plain, {length} bytes");
    }
    for length in 0..packed.len() {
        refused(&packed[..length]);
    }
    assert!(refused(&plain[..20]).contains("offset 16: expected 12 bytes of values, found 4"));
}

#[test]
fn every_flipped_bit_of_the_header_is_a_named_error() {
    for bit in 0..16 * 8 {
        let mut file = small();
        file[bit / 8] ^= 1 << (bit % 8);
        refused(&file);
    }
}

/// The check sum of gzip covers the data; a flipped time stamp or file system in its header is harmless.
#[test]
fn a_flipped_bit_of_a_packed_file_is_an_error_or_changes_nothing() {
    let (want, packed) = (read("some-file", &small()[..], IMAGES).unwrap(), gzip(&small()));
    let mut errors = 0;
    for bit in 0..packed.len() * 8 {
        let mut file = packed.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        match read("some-file", &file[..], IMAGES) {
            Ok(got) => assert_eq!(got, want, "bit {bit}"),
            Err(error) => {
                assert_eq!(error.kind, Kind::Data, "bit {bit}: {error}");
                errors += 1;
            }
        }
    }
    assert!(errors > (packed.len() - 10) * 8, "only {errors} flips were seen");
}

#[test]
fn trailing_bytes_are_an_error() {
    let (mut plain, mut packed) = (small(), gzip(&small()));
    plain.push(0);
    assert!(refused(&plain).contains("offset 28: expected the end, found 00"));
    assert!(refused(&gzip(&plain)).contains("goes on after its last value"));
    packed.extend(b"more");
    assert!(refused(&packed).contains("end"));
}

#[test]
fn wrong_magic_says_what_was_found() {
    let labels = [0, 0, 8, 1, 0, 0, 0, 1, 7];
    let text = refused(&labels);
    assert!(text.contains("expected the magic number 00000803 or 00000804, found 00000801"), "{text}");
    refused(b"<!DOCTYPE html><html></html>");
}

#[test]
fn extents_of_zero_and_extents_that_overflow_are_errors() {
    let with = |extents: [u32; 3]| {
        let mut file = vec![0, 0, 8, 3];
        file.extend(extents.into_iter().flat_map(u32::to_be_bytes));
        refused(&file)
    };
    assert!(with([0, 2, 3]).contains("holds no samples"));
    assert!(with([2, 0, 3]).contains("holds no samples"));
    assert!(with([u32::MAX; 3]).contains("more data than is read"));
    assert!(with([1 << 31, 2, 1]).contains("more data than is read"));
    // One more byte than the limit is refused for its size, the limit itself only for being absent.
    assert!(with([(1 << 31) + 1, 1, 1]).contains("more data than is read"));
    assert!(with([1 << 31, 1, 1]).contains("cut off"));
}

/// A source without end: reading stops one byte after what the header declares.
#[test]
fn no_more_is_read_than_declared() {
    let file = small();
    let endless = file.chain(std::io::repeat(0));
    let error = read("some-file", BufReader::new(endless), IMAGES).unwrap_err();
    assert!(error.to_string().contains("goes on after its last value"), "{error}");
    let mut bomb = small();
    bomb.resize(64 << 20, 0);
    let packed = gzip(&bomb);
    assert!(packed.len() < 128 << 10);
    let mut left = &packed[..];
    let error = read("some-file", BufReader::with_capacity(256, &mut left), IMAGES).unwrap_err();
    assert!(error.to_string().contains("goes on after its last value"), "{error}");
    assert!(
        left.len() > packed.len() / 2,
        "{} of {} bytes were unpacked",
        packed.len() - left.len(),
        packed.len()
    );
}

#[test]
fn an_absent_file_is_a_data_error() {
    let error = open(Path::new("no/such/file"), IMAGES).unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(error.to_string().contains("no/such/file"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, rank in 1u8..5) {
        let mut file = vec![0, 0, 8, rank];
        file.extend(&bytes);
        for file in [&bytes, &file, &gzip(&file)] {
            if let Ok(idx) = read("some-file", &file[..], &[rank]) {
                prop_assert_eq!(idx.extents.iter().product::<usize>(), idx.bytes.len());
            }
        }
    }
}

#[test]
fn a_file_that_is_something_else_is_told_what_it_is() {
    for (start, ranks, words) in [
        (&b"<!DOCTYPE html>"[..], IMAGES, "it is a web page, or XML\n  try: the download failed"),
        (b"PK\x03\x04", IMAGES, "it is a zip archive"),
        (&[0, 0, 0x0c, 3], IMAGES, "it is IDX of int32\n  try: values from 0 to 255"),
        (&[0, 0, 0x0e, 1], LABELS, "it is IDX of float64"),
        (
            &[0, 0, 8, 2],
            IMAGES,
            "expected the magic number 00000803 or 00000804, found 00000802\n  it is IDX of 2 extents",
        ),
        (&[0, 0, 8, 1], IMAGES, "as labels are\n  try: are images and labels in each other's place?"),
        (&[0, 0, 8, 3], LABELS, "as images are\n  try: are images and labels in each other's place?"),
        (b"3,4,5", IMAGES, "begins as no IDX file does: as a text, \"3,4,..\""),
    ] {
        let text = read("some-file", start, ranks).unwrap_err().to_string();
        assert!(text.contains(words), "{words} is not in {text}");
        assert_eq!(text.contains("each other's place"), words.contains("place"), "{text}");
    }
}
