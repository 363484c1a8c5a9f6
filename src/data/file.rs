//! The one file that some data sets are read from: what is wrong with it is wrong with the data.

use crate::error::{Error, Result};

/// The mark that some editors set before a text in UTF-8. It is no part of the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// All of its bytes.
///
/// # Errors
/// `Kind::Data` where it is absent or cannot be read.
pub fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::data(format!("cannot read {path}")).at(error.to_string()))
}

/// Its text, without a byte order mark; `origin` names it in errors.
///
/// # Errors
/// `Kind::Data` with the line and the byte, both of the file, of what is not UTF-8.
pub fn unicode<'a>(bytes: &'a [u8], origin: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
        Error::data(format!("{origin} is not UTF-8")).at(format!("line {line}, byte {at} of the file"))
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn what_is_wrong_is_wrong_with_the_data() {
        let error = read("no/such/file.txt").unwrap_err();
        assert!(error.kind == Kind::Data && error.to_string().contains("no/such/file.txt"), "{error}");
        let error = unicode(b"ab\ncd\xff", "x.txt").unwrap_err();
        assert_eq!(error.kind, Kind::Data);
        assert_eq!(error.to_string(), "x.txt is not UTF-8\n  line 2, byte 5 of the file");
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(unicode("\u{feff}a\u{feff}".as_bytes(), "x").unwrap(), "a\u{feff}");
        assert_eq!(unicode(b"", "x").unwrap(), "");
    }
}
