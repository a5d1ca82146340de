//! Comma-joined header values (RFC 3261 §7.3.1), aware of quoted strings and angle brackets.

use bytestring::ByteString;
use std::ops::Range;

/// The byte ranges of the values in `raw`, each without the white space around it.
///
/// A comma in a quoted string or between angle brackets separates nothing. An empty place between
/// commas is reported as an empty range: whether it is an error is for the view to say.
pub fn split_ranges(raw: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = start + plain_until(raw.get(start..)?, b',');
        next = (end < raw.len()).then_some(end + 1);
        let value = raw.get(start..end).unwrap_or_default();
        let from = start + (value.len() - value.trim_ascii_start().len());
        Some(from..from + value.trim_ascii().len())
    })
}

/// The values of a header's text, each sharing the bytes of `text`.
pub fn split_list(text: &ByteString) -> impl Iterator<Item = ByteString> + '_ {
    split_ranges(text.as_bytes())
        .map(move |range| text.slice_ref(text.get(range).unwrap_or_default()))
}

/// Where `separator` first stands outside of quoted strings and angle brackets, or the end.
pub(super) fn plain_until(raw: &[u8], separator: u8) -> usize {
    // Nearly always there are neither before it.
    match memchr::memchr3(separator, b'"', b'<', raw) {
        None => return raw.len(),
        Some(at) if raw.get(at) == Some(&separator) => return at,
        Some(_) => {}
    }
    let mut scan = Scan::Plain;
    for (at, byte) in raw.iter().enumerate() {
        if scan == Scan::Plain && *byte == separator {
            return at;
        }
        scan = scan.after(*byte);
    }
    raw.len()
}

/// Where a scan of a structured value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    Plain,
    Quoted,
    Escaped,
    Angle,
}

impl Scan {
    pub(crate) fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Plain, b'"') | (Self::Escaped, _) => Self::Quoted,
            (Self::Plain, b'<') => Self::Angle,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted, b'"') | (Self::Angle, b'>') => Self::Plain,
            (scan, _) => scan,
        }
    }
}
