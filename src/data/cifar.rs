//! CIFAR-10 and CIFAR-100: 32 x 32 colour pictures. Krizhevsky, *Learning multiple layers of features from tiny images*, 2009.
//! The binary files, from a folder or from `$COPPICE_DATA`; never embedded, never downloaded.

use std::path::{Path, PathBuf};

use super::options::PICTURES;
use super::standard::{VARIABLE, absent};
use super::statistics::Moments;
use super::{Entry, Source, Split};
use crate::error::{Error, Result};

pub const TEN: Entry = Entry {
    name: "cifar10",
    argument: "[DIR]",
    about: "50,000 + 10,000 colour pictures, 32x32, 10 classes; the binary files, from DIR or $COPPICE_DATA",
    keys: PICTURES,
    open: |folder, _| CIFAR_10.open(folder),
};

pub const HUNDRED: Entry = Entry {
    name: "cifar100",
    argument: "[DIR]",
    about: "50,000 + 10,000 colour pictures, 32x32, 100 classes (fine labels); the binary files, from DIR or $COPPICE_DATA",
    keys: PICTURES,
    open: |folder, _| CIFAR_100.open(folder),
};

/// (channels, height, width).
const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// What is known of one of the two.
struct Cifar {
    name: &'static str,
    /// The folder that its archive holds.
    unpacked: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// In each training file, and in the test file.
    records: [usize; 2],
    /// Bytes before the pixels, of which the last is the label.
    label_bytes: usize,
    classes: usize,
    names: &'static str,
    /// Published, of `byte / 255` over the training part.
    mean: [f64; 3],
    deviation: [f64; 3],
}

const CIFAR_10: Cifar = Cifar {
    name: "cifar10",
    unpacked: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    records: [10_000, 10_000],
    label_bytes: 1,
    classes: 10,
    names: "batches.meta.txt",
    mean: [0.4914, 0.4822, 0.4465],
    deviation: [0.2470, 0.2435, 0.2616],
};

const CIFAR_100: Cifar = Cifar {
    name: "cifar100",
    unpacked: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    records: [50_000, 10_000],
    label_bytes: 2, // the coarse one comes first
    classes: 100,
    names: "fine_label_names.txt",
    mean: [0.5071, 0.4865, 0.4409],
    deviation: [0.2673, 0.2564, 0.2762],
};

impl Cifar {
    fn open(&self, folder: &str) -> Result<Source> {
        let data = std::env::var_os(VARIABLE).map(PathBuf::from);
        self.open_among(&self.places(folder, data.as_deref()))
    }

    /// The folder that was named, or those below `$COPPICE_DATA`.
    fn places(&self, folder: &str, data: Option<&Path>) -> Vec<PathBuf> {
        if !folder.is_empty() {
            return vec![PathBuf::from(folder), Path::new(folder).join(self.unpacked)];
        }
        let own = |data: &Path| {
            let inside = data.join(self.name);
            [inside.join(self.unpacked), inside, data.join(self.unpacked), data.to_path_buf()]
        };
        data.map(own).into_iter().flatten().collect()
    }

    fn open_among(&self, places: &[PathBuf]) -> Result<Source> {
        let Some(place) = places.iter().find(|place| place.join(self.train[0]).exists()) else {
            let hint = format!(
                "unpack the archive \"binary version\" of {} and set COPPICE_DATA to the folder that {} lies in, or name = \"{}:DIR\"",
                self.name, self.unpacked, self.name
            );
            return Err(absent(self.name, self.train[0], places, &hint));
        };
        let mut train = Split::bytes(Vec::new(), Vec::new());
        for file in self.train {
            self.read(&place.join(file), self.records[0], &mut train)?;
        }
        let mut test = Split::bytes(Vec::new(), Vec::new());
        self.read(&place.join(self.test), self.records[1], &mut test)?;
        let moments = Moments { mean: self.mean.to_vec(), deviation: self.deviation.to_vec() };
        let (scale, shift) = moments.scale_and_shift(255.0);
        Ok(Source {
            scale,
            shift,
            class_names: self.class_names(place)?,
            origin: place.display().to_string(),
            ..Source::new(self.name, SHAPE.to_vec(), self.classes, train, test)
        })
    }

    /// Appends the records of a file: labels, then the pixels of red, green and blue.
    fn read(&self, path: &Path, records: usize, into: &mut Split) -> Result<()> {
        let name = path.display();
        let unreadable =
            |error: std::io::Error| Error::data(format!("cannot read {name}")).at(error.to_string());
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        let record = self.label_bytes + PIXELS;
        if length != (records * record) as u64 {
            return Err(Error::data(format!("{name} is not the file of {} that it should be", self.name))
                .at(format!("expected {records} records of {record} bytes, {} in all; found {length} bytes", records * record))
                .hint("the archive \"binary version\", unpacked whole; name = \"npy:DIR\" or \"images:DIR\" for a set of your own"));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        for (row, record) in bytes.chunks_exact(record).enumerate() {
            let (labels, pixels) = record.split_at(self.label_bytes);
            let label = labels[self.label_bytes - 1];
            if usize::from(label) >= self.classes {
                return Err(Error::data(format!("{name} holds a label that is out of range"))
                    .at(format!("record {row}: expected a label below {}, found {label}", self.classes)));
            }
            into.push_bytes(pixels, label);
        }
        Ok(())
    }

    /// The lines of the file of names, where it is there.
    fn class_names(&self, place: &Path) -> Result<Vec<String>> {
        let path = place.join(self.names);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
        if names.len() != self.classes {
            return Err(Error::data(format!("{} does not name the classes", path.display()))
                .at(format!("expected {} lines with a name, found {}", self.classes, names.len()))
                .hint("restore the file, or remove it: it is for people alone"));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Samples};
    use super::*;
    use crate::error::Kind;

    /// As the two, of two records a file.
    const SMALL: Cifar = Cifar { records: [2, 2], ..CIFAR_10 };
    const FINE: Cifar = Cifar { records: [2, 2], ..CIFAR_100 };

    fn record(labels: &[u8], red: u8) -> Vec<u8> {
        let pixels = (0..PIXELS).map(|i| if i < 1024 { red } else { (i / 1024) as u8 });
        labels.iter().copied().chain(pixels).collect()
    }

    fn write(kind: &Cifar, folder: &Path) {
        for (number, file) in kind.train.iter().chain([&kind.test]).enumerate() {
            let number = number as u8;
            let labels = |fine: u8| [vec![19; kind.label_bytes - 1], vec![fine]].concat();
            let records = [record(&labels(number), 255), record(&labels(9 - number), 0)].concat();
            std::fs::write(folder.join(file), records).unwrap();
        }
    }

    #[test]
    fn records_become_planes_scaled_by_channel() {
        let folder = tempfile::tempdir().unwrap();
        write(&SMALL, folder.path());
        let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
        std::fs::write(folder.path().join("batches.meta.txt"), names).unwrap();
        let source = SMALL.open_among(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!(source.train.labels, [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]);
        assert_eq!(source.test.labels, [5, 4]);
        let set = Dataset::from_arrays(source, 0.0).unwrap();
        assert_eq!((set.shape.as_slice(), set.class_name(9)), (&[3, 32, 32][..], "truck".to_string()));
        let x = set.columns(&set.train, &[0]);
        let want = |value: f64, channel: usize| {
            ((value / 255.0 - CIFAR_10.mean[channel]) / CIFAR_10.deviation[channel]) as f32
        };
        for (i, value, channel) in [(0, 255.0, 0), (1023, 255.0, 0), (1024, 1.0, 1), (3071, 2.0, 2)] {
            assert!((x[i] - want(value, channel)).abs() <= 1e-6, "value {i}: {}", x[i]);
        }
    }

    #[test]
    fn fine_labels_are_read_and_names_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        write(&FINE, folder.path());
        let source = FINE.open_among(&[folder.path().to_path_buf()]).unwrap();
        assert_eq!((source.train.labels, source.test.labels), (vec![0, 9], vec![1, 8]));
        assert!(source.class_names.is_empty() && matches!(source.train.images, Samples::Bytes(_)));
    }

    #[test]
    fn damaged_and_absent_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |words: &str| {
            let error = SMALL.open_among(&SMALL.places(folder.path().to_str().unwrap(), None)).err().unwrap();
            assert_eq!(error.kind, Kind::Data);
            assert!(error.to_string().contains(words), "{words} is not in {error}");
        };
        refused("cifar10 is not on this machine\n  looked for data_batch_1.bin in: ");
        write(&SMALL, folder.path());
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("batches.meta.txt"), "cat\n").unwrap();
        refused("expected 10 lines with a name, found 1");
        std::fs::write(file("test_batch.bin"), [record(&[3], 1), record(&[10], 1)].concat()).unwrap();
        refused("record 1: expected a label below 10, found 10");
        std::fs::write(file("data_batch_3.bin"), vec![0; 6145]).unwrap();
        refused("data_batch_3.bin is not the file of cifar10");
        refused("expected 2 records of 3073 bytes, 6146 in all; found 6145 bytes");
        std::fs::remove_file(file("data_batch_3.bin")).unwrap();
        refused("cannot read");
    }

    #[test]
    fn the_folders_of_the_archives_are_found() {
        let data = Path::new("d");
        let places = CIFAR_100.places("", Some(data));
        assert_eq!(places[0], data.join("cifar100").join("cifar-100-binary"));
        assert_eq!(places[2], data.join("cifar-100-binary"));
        assert_eq!(CIFAR_10.places("own", Some(data))[0], Path::new("own"));
    }
}
