//! IDX, the file format of MNIST: a magic number, big-endian extents, then bytes. Plain or gzip.
//! <http://yann.lecun.com/exdb/mnist/>
//!
//! A file is not trusted: memory grows with what it really holds, at most what its header declares, and
//! a header that declares more than [`LARGEST`] is refused. So neither a false header nor a gzip bomb can
//! take the machine's memory.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// The most bytes a file may declare.
pub const LARGEST: u64 = 2 << 30;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTES: u8 = 8;
const AGAIN: &str = "fetch or unpack the file again; IDX of unsigned bytes is expected, plain or gzip";

/// An array of unsigned bytes.
#[derive(Debug, PartialEq)]
pub struct Idx {
    /// Where it came from, for messages.
    pub name: String,
    /// None is 0, and their product is `bytes.len()`.
    pub extents: Vec<usize>,
    /// Row-major.
    pub bytes: Vec<u8>,
}

impl Idx {
    /// How many bytes stand before the first value in the (unpacked) file.
    pub fn header_bytes(&self) -> usize {
        4 + 4 * self.extents.len()
    }
}

/// Reads the file `path`, which holds an array of as many extents as one of `ranks`.
pub fn open(path: &Path, ranks: &[u8]) -> Result<Idx> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read(&name, BufReader::new(file), ranks),
        Err(error) => Err(Error::data(format!("cannot open {name}")).at(error.to_string())),
    }
}

/// Reads an array of as many extents as one of `ranks` from `source`. Whether it is packed is seen from its first two bytes,
/// which differ between IDX and gzip, and not from its name.
pub fn read(name: &str, mut source: impl BufRead, ranks: &[u8]) -> Result<Idx> {
    let mut start = Vec::new();
    source.by_ref().take(2).read_to_end(&mut start).map_err(|error| unreadable(name, 0, &error))?;
    if start == GZIP_MAGIC {
        unpacked(name, MultiGzDecoder::new(start.chain(source)), ranks)
    } else {
        unpacked(name, start.chain(source), ranks)
    }
}

fn unpacked(name: &str, mut source: impl Read, ranks: &[u8]) -> Result<Idx> {
    let mut input = Input { name, source: &mut source, offset: 0 };
    let magic = input.take(4, "magic number")?;
    let known = ranks.iter().find(|&&rank| magic == [0, 0, UNSIGNED_BYTES, rank]);
    let Some(&rank) = known else {
        let show = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let expected: Vec<String> = ranks.iter().map(|&rank| show(&[0, 0, UNSIGNED_BYTES, rank])).collect();
        let error = Error::data(format!("{name} is not the IDX file it should be")).at(format!(
            "offset 0: expected the magic number {}, found {}",
            expected.join(" or "),
            show(&magic)
        ));
        let (is, advice) = found(&magic, ranks);
        return Err(error.at(format!("it {is}")).hint(advice));
    };
    let extents: Vec<u32> = input
        .take(4 * u64::from(rank), "extents")?
        .chunks_exact(4)
        .map(|bytes| bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
        .collect();
    let declared = declared_bytes(name, &extents)?;
    let bytes = input.take(declared, "values")?;
    input.finish()?;
    Ok(Idx {
        name: name.to_string(),
        extents: extents.iter().map(|&extent| extent as usize).collect(),
        bytes,
    })
}

/// What a file is that begins with these bytes, and what to do where an array of one of `ranks` was to be there.
fn found(magic: &[u8], ranks: &[u8]) -> (String, &'static str) {
    let of = |what: &str| format!("is {what}");
    match *magic {
        [0, 0, UNSIGNED_BYTES, 1] if !ranks.contains(&1) => {
            (of("IDX of one extent, as labels are"), "are images and labels in each other's place?")
        }
        [0, 0, UNSIGNED_BYTES, extents @ (3 | 4)] if !ranks.contains(&extents) => (
            of("IDX of three or four extents, as images are"),
            "are images and labels in each other's place?",
        ),
        [0, 0, UNSIGNED_BYTES, extents] => (format!("is IDX of {extents} extents"), AGAIN),
        [0, 0, kind, _] if (0x09..=0x0e).contains(&kind) && kind != 0x0a => {
            let kinds = ["int8", "", "int16", "int32", "float32", "float64"];
            (format!("is IDX of {}", kinds[usize::from(kind) - 9]), "values from 0 to 255 as unsigned bytes")
        }
        [b'<', ..] => (of("a web page, or XML"), "the download failed: fetch the data itself"),
        [b'P', b'K', ..] => (of("a zip archive"), "unpack it"),
        [0x89, b'P', b'N', b'G'] => (of("a PNG picture"), AGAIN),
        _ => (format!("begins as no IDX file does{}", text_of(magic)), AGAIN),
    }
}

fn text_of(magic: &[u8]) -> String {
    match std::str::from_utf8(magic) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            format!(": as a text, \"{text}..\"")
        }
        _ => String::new(),
    }
}

/// The product of the extents, if it is neither 0 nor too large.
fn declared_bytes(name: &str, extents: &[u32]) -> Result<u64> {
    let declared = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(u64::from(extent)));
    match declared {
        Some(0) => Err(Error::data(format!("{name} holds no samples"))
            .at(format!("offset 4: expected extents above 0, found {extents:?}"))
            .hint(AGAIN)),
        Some(declared) if declared <= LARGEST => Ok(declared),
        _ => Err(Error::data(format!("{name} declares more data than is read"))
            .at(format!("offset 4: expected at most {LARGEST} bytes, found the extents {extents:?}"))
            .hint("is the header damaged? split a data set that is really as large")),
    }
}

/// A source that knows how far it was read.
struct Input<'a> {
    name: &'a str,
    source: &'a mut dyn Read,
    offset: u64,
}

impl Input<'_> {
    /// The next `count` bytes. The buffer grows with what arrives, not with what was declared.
    fn take(&mut self, count: u64, what: &str) -> Result<Vec<u8>> {
        let (name, offset) = (self.name, self.offset);
        let mut bytes = Vec::new();
        let outcome = self.source.take(count).read_to_end(&mut bytes);
        let found = bytes.len() as u64;
        self.offset += found;
        match outcome {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                Err(unreadable(name, self.offset, &error))
            }
            _ if found < count => Err(Error::data(format!("{name} is cut off"))
                .at(format!("offset {offset}: expected {count} bytes of {what}, found {found}"))
                .hint(AGAIN)),
            _ => Ok(bytes),
        }
    }

    /// Refuses anything after the last value. A packed stream is checked against its sum here.
    fn finish(&mut self) -> Result<()> {
        let (name, offset) = (self.name, self.offset);
        let mut bytes = Vec::new();
        match self.source.take(1).read_to_end(&mut bytes) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::data(format!("{name} goes on after its last value"))
                .at(format!("offset {offset}: expected the end, found {:02x}", bytes[0]))
                .hint(AGAIN)),
            Err(error) => Err(Error::data(format!("{name} does not end as it should"))
                .at(format!("offset {offset}: expected the end of the gzip stream, found: {error}"))
                .hint(AGAIN)),
        }
    }
}

fn unreadable(name: &str, offset: u64, error: &std::io::Error) -> Error {
    Error::data(format!("cannot read {name}")).at(format!("offset {offset}: {error}")).hint(AGAIN)
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
