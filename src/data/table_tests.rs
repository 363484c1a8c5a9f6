//! Tables with and without names, of numbers and of words, and damaged ones.

use toml::Table as Toml;

use super::super::{Dataset, open_with};
use super::*;
use crate::error::Kind;

fn open_text(text: impl AsRef<[u8]>, settings: &str) -> Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let settings: Toml = toml::from_str(settings).unwrap();
    open_with(&format!("csv:{}", path.display()), 0.0, &settings.into())
}

fn refused(text: impl AsRef<[u8]>, settings: &str, words: &str) {
    let error = open_text(text, settings).expect_err(words);
    let text = error.to_string();
    assert!(text.contains(words), "{words} is not in {text}");
}

const FLOWERS: &str = "long,wide,kind\n1.5,2,rose\n 2.5 , 4 ,daisy\n1,7,rose\n3,8,\"daisy\"\n";

#[test]
fn words_are_classes_in_their_order() {
    for header in ["", "header = true", "label = 'kind'"] {
        let set = open_text(FLOWERS, header).unwrap();
        assert_eq!(set.class_names, ["daisy", "rose"]);
        assert_eq!((set.shape.as_slice(), set.classes), (&[2][..], 2));
        assert_eq!((set.train.len(), set.test.len()), (2, 2), "one of each class is for testing");
        assert_eq!(set.test.labels, [1, 0], "in the order of the file");
    }
    let set = open_text("kind;a\nx;1\ny;2\nx;3\ny;4\n", "label = 'kind'").unwrap();
    assert_eq!((set.class_names.len(), set.features()), (2, 1));
}

#[test]
fn numbers_are_classes_as_they_are_and_each_column_has_its_scale() {
    let rows: String = (0..40).map(|i| format!("{i}\t{}\t{}\n", 1000 - i % 7, i % 4)).collect();
    let set = open_text(&rows, "").unwrap();
    assert_eq!((set.classes, set.class_names.len(), set.scale.len()), (4, 0, 2));
    assert_eq!((set.train.len(), set.test.len()), (32, 8));
    let x = set.columns(&set.train, &(0..32).collect::<Vec<u32>>());
    for column in x.chunks(32) {
        let mean = column.iter().sum::<f32>() / 32.0;
        let square = column.iter().map(|value| value * value).sum::<f32>() / 32.0;
        assert!(mean.abs() <= 1e-4 && (square - 1.0).abs() <= 1e-4, "mean {mean}, mean square {square}");
    }
    let given = open_text(&rows, "mean = [0.0]\ndeviation = [1.0]").unwrap();
    assert_eq!(given.columns(&given.train, &[0]).len(), 2);
    assert_eq!((given.scale, given.shift), (vec![1.0], vec![0.0]));
    assert_eq!(open_text(&rows, "test = 0.5").unwrap().test.len(), 20);
}

#[test]
fn a_mark_of_utf8_is_no_part_of_a_name() {
    let set = open_text(format!("\u{feff}{FLOWERS}"), "label = 'long'\nheader = true");
    // The column is found; its values are then no sample's, since `kind` holds words.
    assert!(
        set.unwrap_err().to_string().contains("line 2, column 3 (kind): expected a number, found `rose`")
    );
}

#[test]
fn what_is_no_sample_is_told_with_line_and_column() {
    let long = "1,2,0\n".repeat(7);
    refused(format!("{long}1,x,0\n"), "", "line 8, column 2: expected a number, found `x`");
    refused(format!("{long}1,,0\n"), "", "line 8, column 2: expected a number, found nothing");
    refused(format!("{long}1,nan,0\n"), "", "expected a number, found `nan`");
    refused(format!("{long}1,1e99,0\n"), "", "expected a number, found `1e99`");
    refused(format!("{long}1,2,\n"), "", "line 8, column 3: expected a label, found nothing");
    refused(format!("{long}1,2\n"), "", "line 8: expected 3 fields as in the first line, found 2");
    refused([long.as_bytes(), b"1,2,\xff\n"].concat(), "", "line 8: column 3: expected text in UTF-8");
    refused(FLOWERS, "header = false", "line 1, column 1: expected a number, found `long`");
    refused(
        FLOWERS,
        "label = 'kinds'",
        "has no column `kinds`\n  line 1: long, wide, kind\n  try: label = \"kind\"",
    );
    refused(FLOWERS, "label = 'wide'", "line 2, column 3 (kind): expected a number, found `rose`");
    refused(FLOWERS, "label = 'kind'\nheader = false", "`data.label` names a column");
    refused("", "", "is empty");
    refused("a,b\n", "", "holds no samples");
    refused("1\n2\n", "", "has one column");
    refused("1,a\n2,b\n", "", "nothing to test on");
    refused("1,5\n2,5\n3,5\n4,5\n", "", "one class alone");
    let words: String = (0..300).map(|i| format!("1,w{i}\n")).collect();
    refused(words, "", "has 300 different labels");
    let error = super::super::open("csv:no/such/file.csv", 0.0).unwrap_err();
    assert_eq!(error.kind, Kind::Data);
    assert!(error.to_string().contains("cannot read no/such/file.csv"), "{error}");
}

#[test]
fn a_constant_column_is_told() {
    let rows: String = (0..40).map(|i| format!("{i},7,{}\n", i % 4)).collect();
    let set = open_text(rows, "").unwrap();
    let text = set.warnings()[0].to_string();
    assert!(text.starts_with("1 of 2 channels hold one value alone\n  channels, from 0: 1;"), "{text}");
}
