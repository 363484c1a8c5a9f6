//! Texts: windows of bytes or characters, each of which is asked for the next one.

use std::io::Read;
use std::path::Path;

use super::letters::Letters;
use super::options::{Options, Unit, Vocabulary};
use super::tokenizer::Tokenizer;
use super::tokens::Tokens;
use super::{Entry, Source, Split};
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
        let text = std::fs::read(argument).map_err(|e| Error::file("read", Path::new(argument), e))?;
        source(format!("text:{argument}"), argument.into(), text, options)
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
    let (stream, names) = match (&options.tokenizer, options.unit) {
        (Some(path), _) => pieces(&text, &origin, Path::new(path))?,
        (None, Unit::Bytes) => {
            (text.iter().map(|&byte| u32::from(byte)).collect(), (0..=255).map(byte_name).collect())
        }
        (None, Unit::Characters) => characters(&text, &origin, options.known.as_ref())?,
    };
    let bytes_per_token = Some(text.len() as f64 / stream.len().max(1) as f64);
    let source = cut(name, stream, names.len(), bytes_per_token, options);
    Ok(Source { class_names: names, origin, ..source })
}

/// Characters by their numbers, and those that there are in the order of Unicode, or those that a run knows.
fn characters(text: &[u8], origin: &str, known: Option<&Vocabulary>) -> Result<(Vec<u32>, Vec<String>)> {
    let text = unicode(text, origin)?;
    if let Some(Vocabulary { names, .. }) = known {
        let read = Letters::new(names).read(text, origin, Kind::Data);
        return read.map(|stream| (stream, names.clone())).map_err(|e| e.hint("a text in these characters"));
    }
    let mut all: Vec<char> = text.chars().collect();
    all.sort_unstable();
    all.dedup();
    let number = |c: char| all.binary_search(&c).expect("it is from there") as u32;
    Ok((text.chars().map(number).collect(), all.iter().map(|c| c.to_string()).collect()))
}

/// Tokens by a file, and what they are called there.
fn pieces(text: &[u8], origin: &str, path: &Path) -> Result<(Vec<u32>, Vec<String>)> {
    let tokenizer = Tokenizer::open(path)?;
    Ok((tokenizer.encode(unicode(text, origin)?)?, tokenizer.names()))
}

fn unicode<'a>(text: &'a [u8], origin: &str) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|e| {
        Error::data(format!("{origin} is not UTF-8"))
            .at(format!("byte {}", e.valid_up_to()))
            .hint("data.unit = \"bytes\", or another encoding of the file")
    })
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
    let array = npy::read(Path::new(argument))?;
    if array.shape.len() != 1 || array.dtype.is_float() {
        return Err(Error::data(format!("{argument} is no list of tokens")).at(format!(
            "expected: one dimension of whole numbers; found: {:?} of {}",
            array.shape,
            array.dtype.name()
        )));
    }
    let stream = array.to_u32().map_err(|error| error.at(argument.to_string()))?;
    if let Some(at) = stream.iter().position(|&token| token as usize >= vocabulary) {
        return Err(Error::data(format!("token {at} of {argument} is {}", stream[at]))
            .at(format!("expected: below data.vocabulary = {vocabulary}")));
    }
    let source = cut(format!("tokens:{argument}"), stream, vocabulary, None, options);
    Ok(Source { origin: argument.into(), ..source })
}

/// Windows of a stream, the end of which is for testing.
fn cut(
    name: String,
    stream: Vec<u32>,
    vocabulary: usize,
    bytes_per_token: Option<f64>,
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
        bytes_per_token,
    };
    let len = all.stream.len();
    let [train, test] = [all.part(0, split), all.part(split, len)].map(Split::of_tokens);
    Source::new(name, vec![context], vocabulary, train, test)
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Order};
    use super::*;

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
        assert_eq!(source.test.tokens().unwrap().stream, [5, 4, 3]);
    }

    #[test]
    fn a_text_is_read_by_the_characters_that_a_run_knows() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let known = Some(Vocabulary { names, pair: None });
        let options = Options { known, ..options("unit = 'characters'\ncontext = 1") };
        let own = |text: &str| source("t".into(), "t".into(), text.as_bytes().to_vec(), &options);
        let read = own("cbcb").unwrap();
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
    fn the_embedded_text_never_changes() {
        let source = (SHAKESPEARE.open)("", &options("")).unwrap();
        let set = Dataset::from_arrays(source, 0.0).unwrap();
        let count = set.train.tokens().unwrap().stream.len() + set.test.tokens().unwrap().stream.len();
        assert_eq!(count, 613_810);
        assert_eq!(set.hash, "3eb65434777429e68bfad8603f89ff9ae403577c2094e711cce3085fdc6fb3ac");
    }
}
