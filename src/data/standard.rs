//! Published data sets that are looked for on this machine, and recognised when they are found.

use std::path::{Path, PathBuf};

use super::folder;
use super::statistics::Moments;
use super::{Source, Split};
use crate::error::{Error, Result};

/// The variable that names a folder of data sets.
pub const VARIABLE: &str = "COPPICE_DATA";

/// What is known of a published data set with the four files of MNIST.
pub struct Standard {
    pub name: &'static str,
    /// Where a package puts it, if there is one.
    pub package_folder: Option<&'static str>,
    /// How to get it.
    pub hint: &'static str,
    /// (height, width).
    pub extents: [usize; 2],
    pub classes: usize,
    /// Scale and shift: published mean and deviation of `byte / 255` over the training part.
    pub mean: f64,
    pub deviation: f64,
    pub train: Part,
    pub test: Part,
}

/// What a part is recognised by. MNIST and Fashion-MNIST agree in file names, shape and number, and either
/// may lie in `$COPPICE_DATA` itself: a score must not be reported under the wrong name.
pub struct Part {
    pub samples: usize,
    pub first_labels: [u8; 10],
}

impl Standard {
    /// Looks in the package's folder, in `$COPPICE_DATA/NAME` and in `$COPPICE_DATA`.
    pub fn open(&self) -> Result<Source> {
        self.open_among(&self.places(std::env::var_os(VARIABLE).map(PathBuf::from).as_deref()))
    }

    fn places(&self, data: Option<&Path>) -> Vec<PathBuf> {
        let package = self.package_folder.map(PathBuf::from);
        let own = data.into_iter().flat_map(|data| [data.join(self.name), data.to_path_buf()]);
        package.into_iter().chain(own).collect()
    }

    /// Reads the first of `places` where the training images are.
    fn open_among(&self, places: &[PathBuf]) -> Result<Source> {
        let first = "train-images-idx3-ubyte";
        let holds = |place: &&PathBuf| folder::find(place, first).is_some();
        let Some(place) = places.iter().find(holds) else {
            return Err(absent(self.name, &format!("{first} or {first}.gz"), places, self.hint));
        };
        let train = self.part(place, "train", &self.train)?;
        let test = self.part(place, "t10k", &self.test)?;
        let (scale, shift) = Moments::one(self.mean, self.deviation).scale_and_shift(255.0);
        let shape = vec![1, self.extents[0], self.extents[1]];
        let origin = place.display().to_string();
        Ok(Source { scale, shift, origin, ..Source::new(self.name, shape, self.classes, train, test) })
    }

    fn part(&self, place: &Path, name: &str, known: &Part) -> Result<Split> {
        let (shape, split) = folder::part(place, name, self.classes)?;
        let wrong = |what: String| {
            Error::data(format!("the {name} files in {} are not those of {}", place.display(), self.name))
                .at(what)
                .hint(format!("name = \"idx:{}\" for a data set of your own", place.display()))
        };
        let expected = [1, self.extents[0], self.extents[1]];
        if (split.len(), &shape[..]) != (known.samples, &expected[..]) {
            return Err(wrong(format!(
                "images, offset 4: expected {} samples of {expected:?}, found {} of {shape:?}",
                known.samples,
                split.len()
            )));
        }
        if !split.labels.starts_with(&known.first_labels) {
            let (expected, found) =
                (known.first_labels, &split.labels[..known.first_labels.len().min(split.len())]);
            return Err(wrong(format!("labels, offset 8: expected {expected:?} and so on, found {found:?}")));
        }
        Ok(split)
    }
}

/// The error for a data set that lies in none of `places`.
pub fn absent(name: &str, file: &str, places: &[PathBuf], hint: &str) -> Error {
    let places = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
    Error::data(format!("{name} is not on this machine"))
        .at(format!("looked for {file} in: {places} (${VARIABLE} adds a folder)"))
        .hint(hint)
        .hint("name = \"fashion-mini\" or \"digits\", which need no files")
}

#[cfg(test)]
mod tests {
    use super::folder::tests::{NAMES, file_of};
    use super::*;
    use crate::error::Kind;

    const LABELS: [u8; 10] = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1];
    const SMALL: Standard = Standard {
        name: "small",
        package_folder: None,
        hint: "install it",
        extents: [1, 1],
        classes: 4,
        mean: 0.5,
        deviation: 0.25,
        train: Part { samples: 10, first_labels: LABELS },
        test: Part { samples: 10, first_labels: LABELS },
    };

    fn write(folder: &Path, samples: u32, labels: &[u8]) {
        std::fs::create_dir_all(folder).unwrap();
        for (i, name) in NAMES.iter().enumerate() {
            let images = file_of(&[samples, 1, 1], &vec![255; samples as usize]);
            let file = if i % 2 == 0 { images } else { file_of(&[samples], labels) };
            std::fs::write(folder.join(name), file).unwrap();
        }
    }

    #[test]
    fn the_folder_of_the_name_comes_before_the_folder_of_all() {
        let data = tempfile::tempdir().unwrap();
        let places = SMALL.places(Some(data.path()));
        assert_eq!(places, [data.path().join("small"), data.path().to_path_buf()]);
        write(data.path(), 10, &LABELS);
        assert_eq!(SMALL.open_among(&places).unwrap().origin, data.path().display().to_string());
        write(&data.path().join("small"), 10, &LABELS);
        let source = SMALL.open_among(&places).unwrap();
        assert_eq!(source.origin, data.path().join("small").display().to_string());
        assert_eq!(255.0 * source.scale[0] + source.shift[0], 2.0);
    }

    #[test]
    fn an_absent_set_says_where_it_was_looked_for_and_how_to_get_it() {
        let error = SMALL.open_among(&SMALL.places(Some(Path::new("no/such/folder")))).unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        let text = error.to_string();
        assert!(text.contains(&Path::new("no/such/folder").join("small").display().to_string()), "{text}");
        assert!(text.contains("try: install it"), "{text}");
    }

    #[test]
    fn another_set_of_the_same_shape_and_a_part_of_the_set_are_refused() {
        let data = tempfile::tempdir().unwrap();
        let places = [data.path().to_path_buf()];
        let refused = || SMALL.open_among(&places).expect_err("another data set was accepted").to_string();
        write(data.path(), 10, &[3; 10]);
        assert!(refused().contains("labels, offset 8"));
        write(data.path(), 9, &LABELS[..9]);
        assert!(refused().contains("expected 10 samples of [1, 1, 1], found 9 of [1, 1, 1]"));
        write(data.path(), 10, &[4; 10]);
        assert!(refused().contains("expected a label below 4, found 4"));
    }
}
