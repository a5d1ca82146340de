//! Header fields: a raw line with a cheap identity, and the typed views over its value.
//!
//! A [`Header`] keeps the line as it was written, folding and letter case included, so that what
//! is not edited leaves as it came. The views ([`Via`], [`NameAddr`], [`CSeq`], …) are parsed only
//! when somebody asks, and share the bytes of the message.

mod cseq;
mod list;
mod name;
mod name_addr;
mod params;
mod span;
mod values;
mod via;

#[cfg(test)]
mod tests;

pub use cseq::CSeq;
pub use list::{split_list, split_ranges};
pub use name::HeaderId;
pub use name_addr::NameAddr;
pub use params::{Params, ParamsRef};
pub(crate) use span::Span;
pub use values::{MediaType, WallTime, parse_date, parse_u32};
pub use via::Via;

use crate::wire::WireError;
use bytes::Bytes;
use bytestring::ByteString;
use std::borrow::Cow;
use std::ops::Range;

/// One header line, as written.
///
/// `line` has no final CRLF; a folded header keeps its inner CRLFs (RFC 3261 §7.3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    id: HeaderId,
    name_len: u32,
    value: (u32, u32),
    line: Bytes,
}

impl Header {
    /// A header of our own making: `Name: value`.
    ///
    /// CR, LF and NUL in the value become spaces: a value can never open a line of its own.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        let value = one_line(value);
        Self::compose(format!("{name}: ").as_bytes(), name.len(), value.as_bytes())
    }

    /// The same header (name and spacing as written) with another value, taken over as it is:
    /// it must come from [`Header::new`] or from a received line.
    pub(crate) fn with_value(&self, value: &[u8]) -> Self {
        let prefix = self.line.get(..self.value.0 as usize).unwrap_or_default();
        let padded;
        let prefix = match prefix.last() {
            Some(b':') => {
                padded = [prefix, b" "].concat();
                &padded
            }
            _ => prefix,
        };
        Self::compose(prefix, self.name_len as usize, value)
    }

    fn compose(prefix: &[u8], name_len: usize, value: &[u8]) -> Self {
        let mut line = Vec::with_capacity(prefix.len() + value.len());
        line.extend_from_slice(prefix);
        line.extend_from_slice(value);
        let name = prefix.get(..name_len).unwrap_or_default();
        Self {
            id: HeaderId::of(name),
            name_len: clip(name_len),
            value: trim_range(&line, prefix.len()..line.len()),
            line: line.into(),
        }
    }

    /// Splits one received line into name and value.
    pub(crate) fn parse(line: Bytes) -> Result<Self, WireError> {
        let colon = memchr::memchr(b':', &line).ok_or(WireError::HeaderLine("no colon"))?;
        let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(WireError::HeaderLine("bad header name"));
        }
        let (id, name_len) = (HeaderId::of(name), name.len());
        Ok(Self {
            id,
            name_len: clip(name_len),
            value: trim_range(&line, colon + 1..line.len()),
            line,
        })
    }

    /// Which header this is, in long or compact form, in any letter case.
    #[must_use]
    pub fn id(&self) -> HeaderId {
        self.id
    }

    /// The name as written.
    #[must_use]
    pub fn name(&self) -> &str {
        let bytes = self.line.get(..self.name_len as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether the name is `name`, in any letter case and, for known headers, in either form.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        match HeaderId::of(name.as_bytes()) {
            HeaderId::Other => self.name().eq_ignore_ascii_case(name),
            id => self.id == id,
        }
    }

    /// The value as written, without the white space around it, folding included.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.line.get(self.value_range()).unwrap_or_default()
    }

    /// The value as one line of text: folds become spaces (RFC 3261 §7.3.1).
    ///
    /// # Errors
    /// [`WireError::Value`] if the value is not UTF-8 (RFC 3261 §25.1).
    pub fn text(&self) -> Result<ByteString, WireError> {
        let value = self.line.slice(self.value_range());
        let bad = |_| WireError::Value(self.id);
        if !value.iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return ByteString::try_from(value).map_err(bad);
        }
        let flat: Vec<u8> =
            value.iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }).collect();
        ByteString::try_from(flat).map_err(bad)
    }

    /// The first of the values that are joined by commas, as one line of text.
    ///
    /// # Errors
    /// As [`Header::text`].
    pub(crate) fn first_value(&self) -> Result<ByteString, WireError> {
        let value = self.value();
        let range = split_ranges(value).next().unwrap_or_default();
        let plain = range.len() == value.len() && memchr::memchr2(b'\r', b'\n', value).is_none();
        if !plain {
            return Ok(split_list(&self.text()?).next().unwrap_or_default());
        }
        let text = self.line.slice(self.value_range());
        ByteString::try_from(text).map_err(|_| WireError::Value(self.id))
    }

    /// The whole line as written, without its final CRLF.
    #[must_use]
    pub fn line(&self) -> &Bytes {
        &self.line
    }

    fn value_range(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }
}

impl std::fmt::Debug for Header {
    /// The name only: values carry user parts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: …", self.name())
    }
}

/// RFC 3261 §25.1 `token`.
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let marks =
            matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        table[byte as usize] = byte.is_ascii_alphanumeric() || marks;
        byte += 1;
    }
    table
};

/// A value without line breaks and NUL, so that it can never open a header line of its own.
pub(crate) fn one_line(value: &str) -> Cow<'_, str> {
    match value.contains(['\r', '\n', '\0']) {
        true => value.replace(['\r', '\n', '\0'], " ").into(),
        false => value.into(),
    }
}

fn trim_range(line: &[u8], range: Range<usize>) -> (u32, u32) {
    let raw = line.get(range.clone()).unwrap_or_default();
    let start = range.start + (raw.len() - raw.trim_ascii_start().len());
    let end = start + raw.trim_ascii().len();
    (clip(start), clip(end))
}

/// Messages are limited to 64 KiB, and our own values to memory: 32 bits hold every offset.
fn clip(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
