//! Tests of arrays from outside, of what is held out, and of the hash.

use super::*;

/// `samples` rows of two values that name their row, in two classes.
fn source(samples: u8) -> Source {
    let split = |from: u8, to: u8| {
        Split::bytes((from..to).flat_map(|v| [v, v]).collect(), (from..to).map(|v| v % 2).collect())
    };
    Source {
        scale: vec![0.5],
        shift: vec![-1.0],
        ..Source::new("rows", vec![2], 2, split(0, samples), split(200, 204))
    }
}

fn rows(split: &Split) -> Vec<u8> {
    let Samples::Bytes(values) = &split.images else { panic!("bytes went in") };
    values.chunks_exact(2).map(|row| row[0]).collect()
}

fn refused(change: impl Fn(&mut Source)) -> String {
    let mut source = source(10);
    change(&mut source);
    let error = Dataset::from_arrays(source, 0.0).expect_err("arrays that do not fit were accepted");
    assert_eq!(error.kind, Kind::Data);
    error.to_string()
}

#[test]
fn nothing_held_out_leaves_an_empty_part() {
    let set = Dataset::from_arrays(source(10), 0.0).unwrap();
    assert!(set.validation.is_empty() && set.validation.images.is_empty());
    assert_eq!(rows(&set.train), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_share_is_split_off_the_training_part_in_order() {
    let set = Dataset::from_arrays(source(100), 0.25).unwrap();
    let (kept, held) = (rows(&set.train), rows(&set.validation));
    assert_eq!((kept.len(), held.len()), (75, 25));
    assert!(kept.is_sorted() && held.is_sorted());
    let mut all = [kept, held.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    assert_ne!(held, (0..25).collect::<Vec<_>>(), "the first rows are no random choice");
    assert_eq!(set.validation.labels, held.iter().map(|row| row % 2).collect::<Vec<_>>());
    assert_eq!(rows(&set.test), [200, 201, 202, 203]);
}

/// Changing the constant or the stream changes every published result: this test has to be changed too.
#[test]
fn what_is_held_out_never_changes() {
    let set = Dataset::from_arrays(source(20), 0.2).unwrap();
    assert_eq!(rows(&set.validation), [9, 13, 15, 16]);
}

#[test]
fn a_share_that_cannot_be_met_is_a_usage_error() {
    for share in [-0.1, 1.0, 2.0, f64::NAN, f64::INFINITY, 0.01, 0.99] {
        let error = Dataset::from_arrays(source(10), share).expect_err("a share was accepted");
        assert_eq!(error.kind, Kind::Usage, "{share}");
    }
}

#[test]
fn columns_are_feature_major_and_scaled() {
    let mut source = source(4);
    source.train.images = Samples::Bytes(vec![0, 10, 1, 11, 2, 12, 3, 13]);
    let set = Dataset::from_arrays(source, 0.0).unwrap();
    assert_eq!(set.features(), 2);
    assert_eq!(set.columns(&set.train, &[3, 1]), [0.5, -0.5, 5.5, 4.5]);
}

#[test]
fn each_channel_has_its_scale() {
    let image = |from: u8| (from..from + 4).collect::<Vec<u8>>();
    let train = Split::bytes([image(0), image(10)].concat(), vec![0, 1]);
    let test = Split::bytes(image(0), vec![0]);
    let source = Source {
        scale: vec![1.0, 2.0],
        shift: vec![0.5, -1.0],
        ..Source::new("two", vec![2, 1, 2], 2, train, test)
    };
    let set = Dataset::from_arrays(source, 0.0).unwrap();
    assert_eq!(set.columns(&set.train, &[1]), [10.5, 11.5, 23.0, 25.0]);
}

#[test]
fn floats_are_taken_as_they_are() {
    let floats = |n: u8| Split::floats((0..2 * n).map(f32::from).collect(), vec![1; n.into()]);
    let source = Source::new("rows", vec![2], 2, floats(8), floats(2));
    let set = Dataset::from_arrays(source, 0.25).unwrap();
    assert_eq!((set.train.len(), set.validation.len()), (6, 2));
    assert_eq!(set.columns(&set.test, &[1]), [2.0, 3.0]);
}

#[test]
fn arrays_that_do_not_fit_are_named() {
    assert!(
        refused(|s| s.train.labels[3] = 2).contains("training sample 3: expected a label below 2, found 2")
    );
    assert!(refused(|s| s.test.labels[0] = 9).contains("test sample 0"));
    assert!(refused(|s| s.train.labels.truncate(9)).contains("expected 9 x 2 values, found 20"));
    assert!(refused(|s| s.train = Split::bytes(vec![], vec![])).contains("found 0"));
    assert!(refused(|s| s.test = Split::bytes(vec![], vec![])).contains("test part"));
    assert!(refused(|s| s.shape = vec![]).contains("shape []"));
    assert!(refused(|s| s.shape = vec![2, 0]).contains("shape [2, 0]"));
    assert!(refused(|s| s.shape = vec![usize::MAX, 2]).contains("shape"));
    assert!(refused(|s| s.shape = vec![usize::MAX / 2]).contains("expected 10 x"));
    assert!(refused(|s| s.classes = 0).contains("found 0"));
    assert!(refused(|s| s.classes = 65537).contains("found 65537"));
    assert!(refused(|s| s.scale = vec![f32::NAN]).contains("NaN"));
    assert!(refused(|s| s.shift = vec![f32::INFINITY]).contains("inf"));
    assert!(
        refused(|s| s.scale = vec![1.0, 2.0]).contains("one of each, or 2 (one a channel), found 2 scales")
    );
    assert!(refused(|s| s.class_names = vec!["a".into()]).contains("expected 2 names of classes, found 1"));
    assert!(refused(|s| s.test = Split::floats(vec![0.0; 2], vec![0])).contains("both"));
    let nan = |s: &mut Source| s.train = Split::floats(vec![0.0, 0.0, 0.0, f32::NAN], vec![0, 0]);
    assert!(refused(nan).contains("training sample 1, value 1"));
}

#[test]
fn the_hash_covers_everything_but_the_names() {
    let hash = |change: &dyn Fn(&mut Source)| {
        let mut source = source(10);
        change(&mut source);
        Dataset::from_arrays(source, 0.0).unwrap().hash
    };
    let plain = hash(&|_| ());
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, hash(&|s| s.name = "another".into()));
    assert_eq!(plain, hash(&|s| s.origin = "elsewhere".into()));
    let changes: [&dyn Fn(&mut Source); 8] = [
        &|s| s.shape = vec![2, 1],
        &|s| s.classes = 3,
        &|s| s.scale = vec![1.0],
        &|s| s.shift = vec![0.0],
        &|s| s.train.labels[9] = 0,
        &|s| s.test.labels[0] = 1,
        &|s| s.test.images = Samples::Bytes(vec![7; 8]),
        &|s| std::mem::swap(&mut s.train, &mut s.test),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert_ne!(plain, hash(change), "change {i} is not covered");
    }
    assert_ne!(plain, Dataset::from_arrays(source(10), 0.1).unwrap().hash);
}

#[test]
fn advice_for_very_small_sets_does_not_repeat_what_failed() {
    let set = |samples: usize| hold_out(Split::bytes(vec![0; samples], vec![0; samples]), 1, 0.1);
    for (samples, advice) in
        [(1, "try: validation = 0 holds nothing out"), (2, "try: validation = 0.50, or 0"), (4, "0.25")]
    {
        let text = set(samples).unwrap_err().to_string();
        assert!(text.contains(advice), "{samples}: {text}");
    }
    assert!(set(5).is_ok());
}
