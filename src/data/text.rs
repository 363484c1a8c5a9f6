//! Texts: windows of bytes or characters, each of which is asked for the next one.

use std::io::Read;
use std::path::Path;

use super::letters::Letters;
use super::options::{Options, Unit, Vocabulary};
use super::tokenizer::Tokenizer;
use super::tokens::{ByteCounts, Tokens};
use super::{Entry, Source, Split, file};
use crate::error::{Error, Kind, Result};
use crate::store::npy;

/// Keys of all of these.
const KEYS: &[&str] = &["unit", "tokenizer", "context", "order", "test"];

pub const SHAKESPEARE: Entry = Entry {
    name: "shakespeare",
    argument: "",
    about: "five plays, 613,810 bytes: windows of `context` tokens, each asked for the next; embedded",
    keys: KEYS,
    open: |_, options| {
        let packed = include_bytes!("../../assets/data/shakespeare.txt.gz");
        let mut text = Vec::new();
        let read = flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut text);
        read.map_err(|e| Error::internal(format!("the embedded text: {e}")))?;
        let origin = "embedded; Project Gutenberg (public domain), by way of the package shakespeare 0.6";
        source("shakespeare".into(), origin.into(), text, options)
    },
};

pub const TEXT: Entry = Entry {
    name: "text",
    argument: "FILE",
    about: "your own text: windows of `context` bytes, characters or tokens of `tokenizer`, each asked for the next; the end is the test part",
    keys: KEYS,
    open: |argument, options| {
        source(format!("text:{argument}"), argument.into(), file::read(argument)?, options)
    },
};

pub const TOKENS: Entry = Entry {
    name: "tokens",
    argument: "FILE",
    about: "your own tokens: one list of whole numbers below `vocabulary`, as .npy; else as `text`",
    keys: &["vocabulary", "context", "order", "test"],
    open: tokens,
};

fn source(name: String, origin: String, text: Vec<u8>, options: &Options) -> Result<Source> {
    let cuts = match (&options.tokenizer, options.unit) {
        (Some(path), _) => pieces(unicode(&text, &origin)?, Path::new(path))?,
        (None, Unit::Bytes) => bytes(&text),
        (None, Unit::Characters) => characters(unicode(&text, &origin)?, &origin, options.known.as_ref())?,
    };
    let source = cut(name, cuts.stream, cuts.names.len(), Some(cuts.bytes), options);
    Ok(Source { class_names: cuts.names, origin, ..source })
}

/// What a text is cut into.
struct Cuts {
    stream: Vec<u32>,
    /// By token, what it is called.
    names: Vec<String>,
    bytes: ByteCounts,
}

fn bytes(text: &[u8]) -> Cuts {
    let stream = text.iter().map(|&byte| u32::from(byte)).collect();
    Cuts { stream, names: (0..=255).map(byte_name).collect(), bytes: ByteCounts::One }
}

/// Characters by their numbers: those that a run knows, or those that there are.
fn characters(text: &str, origin: &str, known: Option<&Vocabulary>) -> Result<Cuts> {
    let (stream, names) = match known {
        Some(Vocabulary { names, .. }) => {
            let read = Letters::new(names).read(text, origin, Kind::Data);
            (read.map_err(|error| error.hint("a text in these characters"))?, names.clone())
        }
        None => numbered(text),
    };
    let bytes = ByteCounts::ByToken(names.iter().map(|name| name.len() as u32).collect());
    Ok(Cuts { stream, names, bytes })
}

/// The characters of a text by their numbers in the order of Unicode, and those that there are.
fn numbered(text: &str) -> (Vec<u32>, Vec<String>) {
    let mut all: Vec<char> = text.chars().collect();
    all.sort_unstable();
    all.dedup();
    let number = |c: char| all.binary_search(&c).expect("it is from there") as u32;
    (text.chars().map(number).collect(), all.iter().map(|c| c.to_string()).collect())
}

/// Tokens by a file.
fn pieces(text: &str, path: &Path) -> Result<Cuts> {
    let tokenizer = Tokenizer::open(path)?;
    let (stream, bytes) = tokenizer.cut(text)?;
    Ok(Cuts { stream, names: tokenizer.names(), bytes: ByteCounts::ByPosition(bytes) })
}

fn unicode<'a>(text: &'a [u8], origin: &str) -> Result<&'a str> {
    let hint = "data.unit = \"bytes\", or another encoding of the file";
    file::unicode(text, origin).map_err(|error| error.hint(hint))
}

/// What a byte is called: as it is printed, or by its number.
fn byte_name(byte: u8) -> String {
    match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        _ => format!("0x{byte:02x}"),
    }
}

fn tokens(argument: &str, options: &Options) -> Result<Source> {
    let Some(vocabulary) = options.vocabulary else {
        return Err(Error::usage("`data.vocabulary` is missing: data set `tokens` needs it")
            .hint("the number of different tokens, such as 50257"));
    };
    let array = npy::decode(&file::read(argument)?, argument)?;
    let wrong = |expected: &str, found: String| {
        Error::data(format!("{argument} is no list of tokens"))
            .at(format!("expected: {expected}; found: {found}"))
    };
    if array.shape.len() != 1 {
        return Err(wrong("one dimension, (n,)", format!("{:?}", array.shape)).hint("save x.reshape(-1)"));
    }
    let numbers = array.whole().ok_or_else(|| {
        wrong("whole numbers", array.dtype.name().to_string()).hint("save x.astype(numpy.uint32)")
    })?;
    let token = |(at, number): (usize, i64)| match u32::try_from(number) {
        Ok(token) if (token as usize) < vocabulary => Ok(token),
        _ => Err(Error::data(format!("token {at} of {argument} is {number}"))
            .at(format!("expected: from 0 to below data.vocabulary = {vocabulary}"))),
    };
    let stream = numbers.enumerate().map(token).collect::<Result<_>>()?;
    let source = cut(format!("tokens:{argument}"), stream, vocabulary, None, options);
    Ok(Source { origin: argument.into(), ..source })
}

/// Windows of a stream, the end of which is for testing.
fn cut(
    name: String,
    stream: Vec<u32>,
    vocabulary: usize,
    bytes: Option<ByteCounts>,
    options: &Options,
) -> Source {
    let context = options.context;
    let split = stream.len() - (options.test * stream.len() as f64) as usize;
    let all = Tokens {
        stream,
        vocabulary,
        every: context,
        reads: context,
        skips: 0,
        padding: None,
        order: options.order,
        bytes,
    };
    let len = all.stream.len();
    let [train, test] = [all.part(0, split), all.part(split, len)].map(Split::of_tokens);
    Source::new(name, vec![context], vocabulary, train, test)
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Order};
    use super::*;
    use crate::store::{Array, Dtype};

    fn options(text: &str) -> Options {
        Options::read(&TEXT, &toml::from_str::<toml::Table>(text).unwrap().into()).unwrap()
    }
    fn read(text: &str, keys: &str) -> Result<Source> {
        source("text".into(), "text".into(), text.as_bytes().to_vec(), &options(keys))
    }

    #[test]
    fn characters_are_numbered_in_their_order() {
        let source = read("banana ünd", "unit = 'characters'\ncontext = 2\ntest = 0.3").unwrap();
        assert_eq!(source.class_names, [" ", "a", "b", "d", "n", "ü"]);
        assert_eq!((source.classes, &source.shape[..]), (6, &[2][..]));
        let tokens = source.train.tokens().unwrap();
        assert_eq!((&tokens.stream[..], tokens.len()), (&[2, 1, 4, 1, 4, 1, 0][..], 3));
        let test = source.test.tokens().unwrap();
        assert_eq!(test.stream, [5, 4, 3]);
        // The character of two bytes is the first of the test part, and nobody is asked for it.
        assert_eq!((tokens.bytes_per_label(3), test.bytes_per_label(1)), (Some(1.0), Some(1.0)));
        let other =
            read("ünd banana b\u{fc}\u{20ac}", "unit = 'characters'\ncontext = 2\ntest = 0.3").unwrap();
        let bytes = [&other.train, &other.test].map(|part| part.tokens().unwrap().bytes_per_label(1));
        assert_eq!(bytes, [Some(1.0), Some(1.5)], "of a, ' ' b ü €: the labels are b and ü");
        assert_eq!(
            read("\u{feff}ab ab ab", "unit = 'characters'\ncontext = 2").unwrap().class_names,
            [" ", "a", "b"]
        );
    }

    #[test]
    fn a_text_is_read_by_the_characters_that_a_run_knows() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let known = Some(Vocabulary { names, pair: None });
        let options = Options { known, ..options("unit = 'characters'\ncontext = 1") };
        let own = |text: &str| source("t".into(), "t".into(), text.as_bytes().to_vec(), &options);
        let read = own("\u{feff}cbcb").unwrap();
        assert_eq!((&read.train.tokens().unwrap().stream[..], read.classes), (&[2, 1, 2, 1][..], 3));
        let error = own("cb\nd").unwrap_err().to_string();
        assert!(error.contains("`\\n` (line 1, column 3), `d` (line 2, column 1)"), "{error}");
    }

    #[test]
    fn parts_are_cut_by_position_and_what_is_held_out_ends_the_first() {
        let text: String = (0..1000).map(|i| char::from(b'a' + (i * i % 26) as u8)).collect();
        let set = Dataset::from_arrays(read(&text, "context = 8\ntest = 0.1").unwrap(), 0.2).unwrap();
        let lens = [&set.train, &set.validation, &set.test].map(|split| split.tokens().unwrap().stream.len());
        assert_eq!(lens, [900 - (22 * 8 + 1), 22 * 8 + 1, 100]);
        assert_eq!((set.validation.len(), set.vocabulary(), set.labels()), (22, Some(256), 8));
        let joined = [&set.train, &set.validation, &set.test]
            .map(|split| split.tokens().unwrap().stream.clone())
            .concat();
        assert_eq!(joined, text.bytes().map(u32::from).collect::<Vec<_>>());
        let other = read(&text, "context = 8\norder = 'streams'").unwrap();
        assert_eq!(other.train.tokens().unwrap().order, Order::Streams);
        assert_ne!(set.hash, Dataset::from_arrays(other, 0.2).unwrap().hash);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let error = source("t".into(), "t".into(), vec![b'a', 0xff], &options("unit = 'characters'"));
        assert!(error.unwrap_err().to_string().contains("byte 1"));
        let short = Dataset::from_arrays(read("abc", "context = 8").unwrap(), 0.0).unwrap_err().to_string();
        assert!(short.contains("is shorter than a sample") && short.contains("`context`"), "{short}");
    }

    #[test]
    fn tokens_of_every_width_are_read_and_what_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.npy");
        let keys = "vocabulary = 300\ncontext = 2\ntest = 0.3";
        let options = Options::read(&TOKENS, &toml::from_str::<toml::Table>(keys).unwrap().into()).unwrap();
        let open = |array: Array| {
            npy::write(&path, &array).unwrap();
            tokens(path.to_str().unwrap(), &options)
        };
        let whole = |values: &[i64]| {
            Array::new(Dtype::I64, [values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
        };
        let source = open(whole(&[0, 1, 299, 3, 4, 5, 6, 7, 8, 9])).unwrap();
        assert_eq!(source.train.tokens().unwrap().stream, [0, 1, 299, 3, 4, 5, 6]);
        for (array, words) in [
            (whole(&[0, 1, -1]), "token 2 of"),
            (whole(&[0, 300]), "is 300\n  expected: from 0 to below data.vocabulary = 300"),
            (whole(&[0, 1 << 40]), "is 1099511627776"),
            (Array::f32([2], &[1.0, 2.0]), "x.astype(numpy.uint32)"),
            (Array::u32([1, 2], &[1, 2]), "x.reshape(-1)"),
        ] {
            let error = open(array).unwrap_err();
            assert!(error.kind == Kind::Data && error.to_string().contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn the_embedded_text_never_changes() {
        let source = (SHAKESPEARE.open)("", &options("")).unwrap();
        let set = Dataset::from_arrays(source, 0.0).unwrap();
        let count = set.train.tokens().unwrap().stream.len() + set.test.tokens().unwrap().stream.len();
        assert_eq!(count, 613_810);
        assert_eq!(set.hash, "3eb65434777429e68bfad8603f89ff9ae403577c2094e711cce3085fdc6fb3ac");
    }
}
