//! Folders of pictures: a folder a class, with `train/` and `test/` above them or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::classes::named;
use super::options::{Colour, Options};
use super::{Entry, Source, Split, held, parallel, picture, statistics};
use crate::error::{Error, Kind, Result};

pub const ENTRY: Entry = Entry {
    name: "images",
    argument: "DIR",
    about: "your own pictures, PNG or JPEG: a folder a class, with or without train/ and test/ above them",
    keys: &["size", "fit", "colour", "skip_damaged", "test", "mean", "deviation"],
    open,
};

/// Folders within that of a class may lie so deep: a link may lead in circles.
const DEEPEST: usize = 16;

/// The pictures of a part, and what else lies there.
#[derive(Default)]
struct Listing {
    /// Each with its class.
    files: Vec<(PathBuf, u8)>,
    /// Files that are neither .png nor .jpg.
    others: Vec<String>,
}

/// A picture that is to be read: how large it is, and whether it is grey.
struct Picture {
    path: PathBuf,
    label: u8,
    head: picture::Head,
}

/// What pictures of both parts have in common.
struct Reading<'a> {
    name: &'a str,
    options: &'a Options,
    /// Files that were left out, with the reason.
    damaged: Vec<String>,
    read: usize,
}

fn open(argument: &str, options: &Options) -> Result<Source> {
    let root = Path::new(argument);
    let (train, test) = (root.join("train"), root.join("test"));
    let is_cut = test.is_dir() && train.is_dir();
    let home = if is_cut { &train } else { root };
    let class_names = folders(home)?;
    let mut all = list(home, &class_names)?;
    let mut tests =
        if is_cut { list(&test, &of_training(&test, &class_names)?)? } else { Listing::default() };
    let others = [std::mem::take(&mut all.others), std::mem::take(&mut tests.others)].concat();

    let mut reading = Reading { name: argument, options, damaged: Vec::new(), read: 0 };
    let mut pictures = [reading.heads(all)?, reading.heads(tests)?];
    // What is left out decides nothing: where heads disagree, damaged files are found before anything follows from them.
    if options.skip_damaged && reading.disagree(&pictures) {
        let [all, tests] = pictures;
        pictures = [reading.whole(all)?, reading.whole(tests)?];
    }
    let [height, width] = reading.size(&pictures)?;
    let (colour, mixed) = reading.colour(&pictures);
    let [all, tests] = pictures;
    let size = ([height, width], colour);
    let all = reading.pixels(all, size)?;
    let (train, test) = match is_cut {
        true => (all, reading.pixels(tests, size)?),
        false if all.is_empty() => return Err(reading.nothing()),
        false => held::cut(argument, &all, options.test)?,
    };
    if train.is_empty() || test.is_empty() {
        return Err(reading.nothing());
    }
    let channels = if colour == Colour::Rgb { 3 } else { 1 };
    let warnings = [mixed, reading.left_out(), ignored(&others)].into_iter().flatten().collect();
    let mut source = Source {
        warnings,
        origin: if is_cut {
            argument.to_string()
        } else {
            format!("{argument}; {}", held::in_words(options.test))
        },
        ..Source::new(
            format!("images:{argument}"),
            vec![channels, height, width],
            class_names.len(),
            train,
            test,
        )
    };
    source.class_names = class_names;
    if options.moments.is_none() {
        statistics::measure(&mut source, channels)?;
    }
    Ok(source)
}

/// The names of the folders within a folder, in the order of their bytes: the classes.
fn folders(home: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (name, path) in entries(home)? {
        if path.is_dir() {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(Error::data(format!("{} holds no classes", home.display()))
            .at("expected: a folder for each class, with its pictures; found none")
            .hint("DIR/CLASS/x.png, or DIR/train/CLASS/x.png and DIR/test/CLASS/y.png"));
    }
    if names.len() > 256 {
        return Err(Error::data(format!("{} holds {} folders", home.display(), names.len()))
            .at("expected: at most 256 classes"));
    }
    Ok(names)
}

/// The classes of the training part, if the test part has no other.
fn of_training(test: &Path, classes: &[String]) -> Result<Vec<String>> {
    match folders(test)?.into_iter().find(|name| !classes.contains(name)) {
        Some(name) => {
            Err(Error::data(format!("{} is a class that the training part lacks", test.join(name).display()))
                .at(format!("classes of the training part: {}", named(classes))))
        }
        None => Ok(classes.to_vec()),
    }
}

/// What a folder holds, in the order of the bytes of names; hidden files and folders aside.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let unreadable = |error: std::io::Error| {
        Error::data(format!("cannot read the folder {}", folder.display())).at(error.to_string())
    };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::data(format!("{} is not Unicode", folder.join(name).display())).hint("another name for it")
        })?;
        if !name.starts_with('.') {
            all.push((name, entry.path()));
        }
    }
    all.sort();
    Ok(all)
}

fn list(home: &Path, classes: &[String]) -> Result<Listing> {
    let mut listing = Listing::default();
    for (label, class) in classes.iter().enumerate().filter(|(_, class)| home.join(class).is_dir()) {
        let before = listing.files.len();
        gather(&home.join(class), label as u8, 0, &mut listing)?;
        if listing.files.len() == before {
            return Err(Error::data(format!("{} holds no pictures", home.join(class).display()))
                .at("expected: files .png, .jpg or .jpeg")
                .hint("a folder that is no class goes elsewhere"));
        }
    }
    Ok(listing)
}

fn gather(folder: &Path, label: u8, depth: usize, listing: &mut Listing) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::data(format!("{} lies too deep", folder.display()))
            .at(format!("expected: at most {DEEPEST} folders within that of a class"))
            .hint("does a link lead in circles?"));
    }
    for (name, path) in entries(folder)? {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        if path.is_dir() {
            gather(&path, label, depth + 1, listing)?;
        } else if ["png", "jpg", "jpeg"].contains(&ending.as_str()) {
            listing.files.push((path, label));
        } else {
            listing.others.push(name);
        }
    }
    Ok(())
}

impl Reading<'_> {
    /// What the first bytes of all files say. Damaged ones are left out if the recipe says so.
    fn heads(&mut self, listing: Listing) -> Result<Vec<Picture>> {
        let skips = self.options.skip_damaged;
        let heads = parallel::each(listing.files.iter(), |(path, _)| match picture::head(path) {
            Err(error) if skips => Ok(Err(error)),
            other => other.map(Ok),
        });
        let mut all = Vec::new();
        for ((path, label), head) in listing.files.into_iter().zip(heads.map_err(may_skip)?) {
            match head {
                Ok(head) => all.push(Picture { path, label, head }),
                Err(error) => self.damaged.push(error.what().to_string()),
            }
        }
        Ok(all)
    }

    /// Whether something that the recipe leaves open depends on which pictures there are.
    fn disagree(&self, pictures: &[Vec<Picture>]) -> bool {
        let heads = || pictures.iter().flatten().map(|picture| picture.head);
        let first = heads().next();
        let others = |differs: fn(picture::Head, picture::Head) -> bool| {
            first.is_some_and(|first| heads().any(|head| differs(head, first)))
        };
        self.options.size.is_none() && others(|a, b| a.size != b.size)
            || self.options.colour.is_none() && others(|a, b| a.is_grey != b.is_grey)
    }

    /// Those that can be decoded; the others are left out.
    fn whole(&mut self, pictures: Vec<Picture>) -> Result<Vec<Picture>> {
        let outcomes = parallel::each(pictures.iter(), |picture| Ok(picture::decoded(&picture.path).err()))?;
        let mut all = Vec::new();
        for (picture, error) in pictures.into_iter().zip(outcomes) {
            match error {
                Some(error) => self.damaged.push(error.what().to_string()),
                None => all.push(picture),
            }
        }
        Ok(all)
    }

    /// The size that the recipe asks for, or else that of all pictures.
    fn size(&self, pictures: &[Vec<Picture>]) -> Result<[usize; 2]> {
        if let Some(size) = self.options.size {
            return Ok(size);
        }
        let mut sizes: BTreeMap<[usize; 2], usize> = BTreeMap::new();
        pictures.iter().flatten().for_each(|picture| *sizes.entry(picture.head.size).or_default() += 1);
        let mut sizes: Vec<([usize; 2], usize)> = sizes.into_iter().collect();
        sizes.sort_by_key(|(_, count)| std::cmp::Reverse(*count)); // a stable sort
        match sizes[..] {
            [] => Err(self.nothing()),
            [(size, _)] => Ok(size),
            [(first, _), ..] => {
                let words: Vec<String> = sizes
                    .iter()
                    .map(|([height, width], count)| format!("{height} x {width} ({count})"))
                    .collect();
                Err(Error::data(format!("the pictures of {} differ in size", self.name))
                    .at(format!("height x width (pictures): {}", named(&words)))
                    .hint(format!(
                        "size = [{}, {}] under [data], to which all are brought",
                        first[0], first[1]
                    )))
            }
        }
    }

    /// What the recipe asks for; or else colour, where any picture has it, with a warning where some are grey.
    fn colour(&self, pictures: &[Vec<Picture>]) -> (Colour, Option<Error>) {
        let (count, grey) = pictures
            .iter()
            .flatten()
            .fold((0, 0), |(count, grey), picture| (count + 1, grey + usize::from(picture.head.is_grey)));
        match self.options.colour {
            Some(colour) => (colour, None),
            None if grey == count => (Colour::Grey, None),
            None => {
                let mixed = (grey > 0).then(|| {
                    Error::data(format!("{grey} of {count} pictures are grey, and are read as colour"))
                        .hint("colour = \"rgb\" under [data] if that is right, or colour = \"grey\" for all")
                });
                (Colour::Rgb, mixed)
            }
        }
    }

    /// The pixels of all pictures, channels first.
    fn pixels(&mut self, pictures: Vec<Picture>, (size, colour): ([usize; 2], Colour)) -> Result<Split> {
        let features = size[0] * size[1] * if colour == Colour::Rgb { 3 } else { 1 };
        let bytes = features.checked_mul(pictures.len());
        let mut pixels: Vec<u8> = Vec::new();
        if bytes.is_none_or(|bytes| pixels.try_reserve_exact(bytes).is_err()) {
            return Err(Error::new(Kind::Memory, format!("no memory for the pictures of {}", self.name))
                .at(format!("{} pictures of {features} bytes", pictures.len()))
                .hint("a smaller size"));
        }
        pixels.resize(features * pictures.len(), 0);
        let (skips, fit) = (self.options.skip_damaged, self.options.fit);
        let places = pixels.chunks_exact_mut(features).zip(&pictures);
        let outcomes = parallel::each(places, |(place, picture)| {
            match picture::pixels(&picture.path, size, fit, colour, place) {
                Err(error) if skips => Ok(Some(error)),
                other => other.map(|()| None),
            }
        });
        let outcomes = outcomes.map_err(may_skip)?;
        self.damaged.extend(outcomes.iter().flatten().map(|error| error.what().to_string()));
        self.read += outcomes.iter().filter(|outcome| outcome.is_none()).count();
        let labels = pictures.iter().map(|picture| picture.label).collect();
        let all = Split::bytes(pixels, labels);
        Ok(match outcomes.iter().any(Option::is_some) {
            true => all.filter(features, |row| outcomes[row].is_none()),
            false => all,
        })
    }

    fn nothing(&self) -> Error {
        let error = Error::data(format!("{} has no pictures to train or to test on", self.name));
        if self.damaged.is_empty() { error } else { error.at(format!("left out: {}", named(&self.damaged))) }
    }

    fn left_out(&self) -> Option<Error> {
        let (left_out, all) = (self.damaged.len(), self.damaged.len() + self.read);
        (left_out > 0).then(|| {
            Error::data(format!("{left_out} of {all} pictures cannot be read, and are left out"))
                .at(named(&self.damaged))
                .hint("restore them, or remove them")
        })
    }
}

fn may_skip(error: Error) -> Error {
    error.hint(
        "restore the file, or skip_damaged = true under [data], which counts such files and leaves them out",
    )
}

fn ignored(others: &[String]) -> Option<Error> {
    (!others.is_empty()).then(|| {
        Error::data(format!("{} files are neither .png nor .jpg, and are not read", others.len()))
            .at(named(others))
    })
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
