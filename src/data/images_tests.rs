//! Folders of pictures, whole, mixed and damaged.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use toml::Table;

use super::super::{Dataset, Samples, open_with, options};
use super::*;

fn rgb(width: u32, height: u32, seed: u8) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([seed, (x * 10) as u8, (y * 10) as u8])).into()
}

fn grey(width: u32, height: u32, seed: u8) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| image::Luma([seed + (x + 2 * y) as u8])).into()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(image: &DynamicImage) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn open_folder(folder: &tempfile::TempDir, settings: &str) -> Result<Dataset> {
    let settings: Table = toml::from_str(settings).unwrap();
    open_with(&format!("images:{}", folder.path().display()), 0.0, &settings.into())
}

fn open_files(files: &[(&str, Vec<u8>)], settings: &str) -> Result<Dataset> {
    open_folder(&folder(files), settings)
}

fn refused(files: &[(&str, Vec<u8>)], settings: &str, words: &[&str]) {
    let error = open_files(files, settings).expect_err(words[0]);
    assert_eq!(error.kind, Kind::Data);
    let text = error.to_string();
    words.iter().for_each(|word| assert!(text.contains(word), "{word} is not in {text}"));
}

fn bytes(split: &Split) -> &[u8] {
    let Samples::Bytes(bytes) = &split.images else { panic!("pictures are bytes") };
    bytes
}

/// Two classes of four pictures each, 3 x 2.
fn small() -> Vec<(&'static str, Vec<u8>)> {
    let names = ["b/1.png", "b/2.PNG", "b/3.png", "b/4.png", "a/1.png", "a/2.png", "a/in/3.png", "a/4.png"];
    names.into_iter().zip(0u8..).map(|(name, seed)| (name, png(&rgb(3, 2, seed * 20)))).collect()
}

#[test]
fn classes_are_folders_and_a_share_is_held_out() {
    let set = open_files(&small(), "").unwrap();
    assert_eq!(
        (set.class_names.as_slice(), set.shape.as_slice()),
        (&["a".into(), "b".into()][..], &[3, 2, 3][..])
    );
    assert_eq!(
        (set.train.labels.as_slice(), set.test.labels.as_slice()),
        (&[0, 0, 0, 1, 1, 1][..], &[0, 1][..])
    );
    assert_eq!(set.scale.len(), 3);
    assert!(set.warnings().is_empty(), "{:?}", set.warnings());
    let again = open_files(&small(), "test = 0.2\nfit = 'stretch'").unwrap();
    assert_eq!(set.hash, again.hash, "a function of the files");
    // Channels first; rows top down.
    let first = &bytes(&set.train)[..18];
    assert_eq!(first[6..], [0, 10, 20, 0, 10, 20, 0, 0, 0, 10, 10, 10]);
    assert!(first[..6].iter().all(|red| *red == first[0] && red.is_multiple_of(20)));
}

#[test]
fn parts_of_their_own_are_taken() {
    let mut files: Vec<(String, Vec<u8>)> =
        small().into_iter().map(|(name, bytes)| (format!("train/{name}"), bytes)).collect();
    files.push(("test/b/x.png".into(), png(&rgb(3, 2, 7))));
    let named: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let set = open_files(&named, "").unwrap();
    assert_eq!((set.train.len(), set.test.labels.as_slice(), bytes(&set.test)[0]), (8, &[1][..], 7));
    let stranger = [named, vec![("test/c/x.png", png(&rgb(3, 2, 7)))]].concat();
    refused(
        &stranger,
        "",
        &["is a class that the training part lacks", "classes of the training part: a, b"],
    );
}

#[test]
fn sizes_that_differ_are_told_and_brought_to_one() {
    let mut files = small();
    files.push(("b/5.png", png(&rgb(5, 4, 3))));
    refused(&files, "", &["differ in size", "2 x 3 (8), 4 x 5 (1)", "size = [2, 3]"]);
    let set = open_files(&files, "size = [4, 6]").unwrap();
    assert_eq!(set.shape, [3, 4, 6]);
    assert_eq!(open_files(&files, "size = 3").unwrap().shape, [3, 3, 3]);
    // A wide picture whose left and right end are dark: cropped, the ends are gone.
    let wide = |seed: u8| -> DynamicImage {
        GrayImage::from_fn(9, 3, |x, _| image::Luma([if (3..6).contains(&x) { 200 + seed } else { 0 }]))
            .into()
    };
    let files: Vec<(&str, Vec<u8>)> = [("a/1.png", 0), ("a/2.png", 1), ("b/1.png", 2), ("b/2.png", 3)]
        .map(|(name, seed)| (name, png(&wide(seed))))
        .to_vec();
    let cropped = open_files(&files, "size = 3\nfit = 'crop'").unwrap();
    assert!(bytes(&cropped.train).iter().all(|value| *value >= 200), "{:?}", bytes(&cropped.train));
    let stretched = open_files(&files, "size = 3").unwrap();
    assert!(bytes(&stretched.train).contains(&0) || bytes(&stretched.train)[0] < 100);
}

#[test]
fn grey_and_colour_mixed_is_colour_and_told() {
    let mut files = small();
    files.push(("b/5.png", png(&grey(3, 2, 50))));
    let set = open_files(&files, "").unwrap();
    let text = set.warnings()[0].to_string();
    assert!(text.starts_with("1 of 9 pictures are grey, and are read as colour"), "{text}");
    assert_eq!(set.shape[0], 3);
    let grey_set = open_files(&files, "colour = 'grey'").unwrap();
    assert_eq!((grey_set.shape[0], grey_set.warnings().len()), (1, 0));
    let all: Vec<(&str, Vec<u8>)> =
        files.iter().zip(0u8..).map(|((name, _), seed)| (*name, png(&grey(3, 2, seed)))).collect();
    assert_eq!(open_files(&all, "").unwrap().shape[0], 1);
    assert_eq!(open_files(&all, "colour = 'rgb'").unwrap().shape[0], 3);
}

#[test]
fn jpeg_and_deep_png_are_read() {
    let deep: DynamicImage = image::ImageBuffer::from_fn(8, 8, |x, y| {
        image::Rgba([(x * 8000) as u16, (y * 8000) as u16, 30_000, 65_535 - (x * 100) as u16])
    })
    .into();
    let jpeg = |seed| encoded(&rgb(8, 8, seed), ImageFormat::Jpeg);
    let files = [
        ("a/1.jpg", jpeg(1)),
        ("a/2.JPEG", jpeg(90)),
        ("b/1.png", png(&deep)),
        ("b/2.png", png(&rgb(8, 8, 9))),
    ];
    let set = open_files(&files, "").unwrap();
    assert_eq!((set.shape.as_slice(), set.train.len()), (&[3, 8, 8][..], 2));
}

/// A picture that is stored lying and looked at standing, as cameras write it (EXIF, orientation 6).
#[test]
fn pictures_are_read_as_they_are_looked_at() {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turned = |seed: u8| {
        let plain = encoded(&rgb(16, 8, seed), ImageFormat::Jpeg);
        let length = (exif.len() as u16 + 2).to_be_bytes();
        [&plain[..2], &[0xff, 0xe1], &length, &exif[..], &plain[2..]].concat()
    };
    let files =
        [("a/1.jpg", turned(1)), ("a/2.jpg", turned(2)), ("b/1.jpg", turned(3)), ("b/2.jpg", turned(4))];
    let set = open_files(&files, "").unwrap();
    assert_eq!(set.shape, [3, 16, 8]);
    // Green grows along the stored width, which is now the height, from top to bottom.
    let green = &bytes(&set.train)[128..256];
    assert!(green[0] < 30 && green[15 * 8] > 120, "{green:?}");
}

#[test]
fn damaged_files_are_named_or_counted() {
    let whole = png(&rgb(3, 2, 1));
    let jpeg = encoded(&rgb(64, 64, 1), ImageFormat::Jpeg);
    // The width of a PNG stands at 16 .. 20, and its sum is that of the header.
    let oversized = {
        let mut bytes = png(&grey(1, 1, 0));
        bytes[16..20].copy_from_slice(&20_000u32.to_be_bytes());
        let sum = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty.png", Vec::new(), "is empty"),
        ("text.png", b"not a picture".to_vec(), "is no picture that can be read"),
        ("gif.jpg", b"GIF89a\x01\0\x01\0\0\0\0".to_vec(), "expected: PNG or JPEG"),
        ("head.png", whole[..20].to_vec(), "is damaged"),
        ("cut.png", whole[..whole.len() - 20].to_vec(), "is damaged"),
        ("cut.jpg", jpeg[..jpeg.len() / 2].to_vec(), "is cut off"),
        ("large.png", oversized, "at most 16384 pixels a side; found: 1 x 20000"),
    ];
    for (name, bytes, words) in &cases {
        let path = format!("b/{name}");
        let files = [small(), vec![(path.as_str(), bytes.clone())]].concat();
        refused(&files, "size = [2, 3]", &[name, words, "skip_damaged = true"]);
        let set = open_files(&files, "size = [2, 3]\nskip_damaged = true").unwrap();
        assert_eq!(set.train.len() + set.test.len(), 8, "{name}");
        let text = set.warnings()[0].to_string();
        assert!(text.starts_with("1 of 9 pictures cannot be read, and are left out\n"), "{text}");
        assert!(text.contains(name), "{text}");
    }
    let all: Vec<(&str, Vec<u8>)> = small().into_iter().map(|(name, _)| (name, Vec::new())).collect();
    refused(&all, "skip_damaged = true", &["has no pictures to train or to test on", "1.png is empty"]);
}

/// One with colour or of another size, were it whole, changes neither the number of channels nor the size.
#[test]
fn what_is_left_out_decides_nothing() {
    let cut = |image: &DynamicImage| {
        let whole = png(image);
        whole[..whole.len() - 20].to_vec()
    };
    let greys = || {
        (0..6).map(|i| {
            (["a/0.png", "a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/5.png"][i], png(&grey(3, 2, i as u8)))
        })
    };
    for broken in [cut(&rgb(3, 2, 9)), cut(&grey(30, 20, 9)), cut(&rgb(30, 20, 9))] {
        let files: Vec<_> = greys().chain([("b/broken.png", broken)]).collect();
        let set = open_files(&files, "skip_damaged = true").unwrap();
        assert_eq!((set.shape.as_slice(), set.train.len() + set.test.len()), (&[1, 2, 3][..], 6));
        let warnings = set.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].to_string().contains("broken.png"), "{warnings:?}");
    }
    // Whole ones still do.
    let files: Vec<_> = greys().chain([("b/whole.png", png(&rgb(3, 2, 9)))]).collect();
    assert_eq!(open_files(&files, "skip_damaged = true").unwrap().shape, [3, 2, 3]);
}

#[test]
fn changed_bytes_are_an_error_or_a_picture_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for whole in [png(&rgb(5, 4, 1)), encoded(&rgb(17, 9, 1), ImageFormat::Jpeg)] {
        let mut read = 0;
        for (at, bit) in (0..whole.len()).flat_map(|at| [(at, 1u8), (at, 0x80), (at, 0xff)]) {
            let mut bytes = whole.clone();
            bytes[at] ^= bit;
            std::fs::write(&path, &bytes).unwrap();
            let mut place = vec![0; 3 * 3 * 3];
            let pixels = picture::pixels(&path, [3, 3], options::Fit::Crop, Colour::Rgb, &mut place);
            read += usize::from(picture::head(&path).is_ok() && pixels.is_ok());
        }
        assert!(read < 3 * whole.len(), "some are noticed");
    }
}

/// The sum of PNG's chunks, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[test]
fn other_files_are_told_and_hidden_ones_are_not() {
    let more =
        vec![("b/notes.txt", b"x".to_vec()), ("b/.DS_Store", b"x".to_vec()), (".git/x/y.png", b"x".to_vec())];
    let set = open_files(&[small(), more].concat(), "").unwrap();
    let text = set.warnings()[0].to_string();
    assert_eq!(text, "1 files are neither .png nor .jpg, and are not read\n  notes.txt");
}

#[test]
fn folders_that_are_no_set_are_told() {
    refused(&[("x.png", png(&rgb(1, 1, 1)))], "", &["holds no classes", "DIR/CLASS/x.png"]);
    refused(&[small(), vec![("c/notes.txt", b"x".to_vec())]].concat(), "", &["c holds no pictures"]);
    let error = super::super::open("images:no/such/folder", 0.0).unwrap_err();
    assert!(error.kind == Kind::Data && error.to_string().contains("no/such/folder"), "{error}");
    let one: Vec<_> = small().into_iter().filter(|(name, _)| name.starts_with('a')).collect();
    refused(&one, "", &["one class alone"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_circles_and_an_unreadable_file_end() {
    let round = folder(&small());
    std::os::unix::fs::symlink(round.path().join("b"), round.path().join("b").join("again")).unwrap();
    let text = open_folder(&round, "").unwrap_err().to_string();
    assert!(text.contains("does a link lead in circles?"), "{text}");
    let gone = folder(&small());
    std::os::unix::fs::symlink(gone.path().join("nowhere"), gone.path().join("b").join("0.png")).unwrap();
    let text = open_folder(&gone, "").unwrap_err().to_string();
    assert!(text.contains("cannot read") && text.contains("0.png"), "{text}");
}
