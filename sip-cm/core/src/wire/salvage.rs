//! What a request that cannot be read was meant to say: for its answer, and for nothing else.

use super::parse::read_start_line;
use super::{MAX_HEADER_LINE, MAX_HEADER_LINES, Message};
use crate::headers::Header;
use bytes::Bytes;

/// The head, read as by somebody who takes any CR or LF for the end of a line, and NUL for a blank.
///
/// Readers disagree on such requests, so none is let in; but their senders should hear of it.
pub(super) fn head_as_meant(bytes: &[u8]) -> Option<Message> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n");
    let end = end.or_else(|| memchr::memmem::find(bytes, b"\n\n")).unwrap_or(bytes.len());
    let mut lines = lines_as_meant(bytes.get(..end)?).into_iter();
    let start_raw = lines.next()?;
    let start = read_start_line(&start_raw).0?;
    let short = lines.take(MAX_HEADER_LINES).filter(|line| line.len() <= MAX_HEADER_LINE);
    let headers = short.filter_map(|line| Header::parse(line).ok()).collect();
    Some(Message { source: None, start, start_raw, headers, body: Bytes::new() })
}

/// The lines that are not empty, folded ones as one (RFC 3261 §7.3.1).
fn lines_as_meant(head: &[u8]) -> Vec<Bytes> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for piece in head.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|piece| !piece.is_empty())
    {
        let piece = piece.iter().map(|byte| if *byte == 0 { b' ' } else { *byte });
        match lines.last_mut() {
            Some(line) if matches!(piece.clone().next(), Some(b' ' | b'\t')) => line.extend(piece),
            _ => lines.push(piece.collect()),
        }
    }
    lines.into_iter().map(Bytes::from).collect()
}
