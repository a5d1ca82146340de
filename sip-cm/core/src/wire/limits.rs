//! What is refused before it is looked into.

use super::WireError;
use crate::headers::HeaderId;

/// Longest message, head and body, in bytes: what fits a UDP datagram.
pub const MAX_MESSAGE: usize = 65_535;
/// Most header lines.
pub const MAX_HEADER_LINES: usize = 256;
/// Longest header line in bytes, folds included.
pub const MAX_HEADER_LINE: usize = 8 * 1024;
/// Most Via values: as many hops as Max-Forwards begins with (RFC 3261 §8.1.1.6).
pub const MAX_VIA_VALUES: usize = 70;

/// The one sound number among the values of a message's Content-Length lines, or none.
///
/// Two of them, even if equal, are refused: readers that take different ones can be made to
/// disagree on where the message ends.
///
/// # Errors
/// [`WireError::ContentLength`].
pub(super) fn content_length<'a>(
    values: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<usize>, WireError> {
    let mut found = None;
    for value in values {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let length = crate::headers::parse_u32(text).and_then(|n| usize::try_from(n).ok());
        let length = length.ok_or(WireError::ContentLength("bad"))?;
        if found.replace(length).is_some() {
            return Err(WireError::ContentLength("repeated"));
        }
    }
    Ok(found)
}

/// The length of the body that follows `head` (start line and headers up to the empty line) on a
/// stream, where Content-Length is required (RFC 3261 §18.3).
///
/// COMPAT(RFC 2543 and proxies of today): a response without it has no body if it has no
/// Content-Type either, which a body needs (§20.15).
///
/// # Errors
/// [`WireError::ContentLength`] if it is absent otherwise, repeated or no number;
/// [`WireError::TooLarge`] if the message would be longer than [`MAX_MESSAGE`].
pub fn body_length_of_head(head: &[u8]) -> Result<usize, WireError> {
    let mut typed = false;
    let values = super::parse::lines(head).skip(1).filter_map(|range| {
        let line = head.get(range)?;
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let id = HeaderId::of(name.trim_ascii_end());
        typed |= id == HeaderId::ContentType;
        let value = || value.get(1..).unwrap_or_default().trim_ascii();
        (id == HeaderId::ContentLength).then(value)
    });
    let written = content_length(values)?;
    let ends_here =
        !typed && head.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    let length = written.or(ends_here.then_some(0)).ok_or(WireError::ContentLength("missing"))?;
    if length.saturating_add(head.len()) > MAX_MESSAGE {
        return Err(WireError::TooLarge);
    }
    Ok(length)
}
