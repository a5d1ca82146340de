//! Cuts an XML stream into its header, its top-level elements and its end, without reading them.
//!
//! For a peer that is known to write well: our own.

use memchr::{memchr, memchr3};

/// A piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The stream's own start tag.
    Header(&'a [u8]),
    /// A complete element.
    Element(&'a [u8]),
    /// The stream's end tag.
    Footer,
}

/// What has come and is not cut yet.
#[derive(Default)]
pub(crate) struct Cutter {
    buffer: Vec<u8>,
    /// Up to here all has been given out.
    given: usize,
    /// Up to here all tags are counted.
    scanned: usize,
    depth: usize,
}

impl Cutter {
    /// Where bytes of the peer go.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.given > 0 {
            self.buffer.drain(..self.given);
            self.scanned -= self.given;
            self.given = 0;
        }
        &mut self.buffer
    }

    /// The next piece that is complete.
    pub(crate) fn next(&mut self) -> Option<Piece<'_>> {
        loop {
            let start = self.scanned + memchr(b'<', self.buffer.get(self.scanned..)?)?;
            let end = end_of_tag(&self.buffer, start)?;
            let tag = &self.buffer[start..=end];
            if self.depth <= 1 {
                self.given = start;
            }
            self.scanned = end + 1;
            let (before, after) = match tag {
                [b'<', b'?' | b'!', ..] => continue,
                [b'<', b'/', ..] => (self.depth, self.depth.saturating_sub(1)),
                [.., b'/', b'>'] => (self.depth + 1, self.depth),
                _ => (self.depth, self.depth + 1),
            };
            self.depth = after;
            let from = self.given;
            if after <= 1 {
                self.given = self.scanned;
            }
            match (before, after) {
                (0, 1) => return Some(Piece::Header(&self.buffer[from..=end])),
                (2, 1) => return Some(Piece::Element(&self.buffer[from..=end])),
                (1, 0) => return Some(Piece::Footer),
                _ => {}
            }
        }
    }
}

/// Where the tag that begins at `start` ends; a `>` between quotes is none.
fn end_of_tag(buffer: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        at += memchr3(b'>', b'\'', b'"', &buffer[at..])?;
        match buffer[at] {
            b'>' => return Some(at),
            quote => at += 2 + memchr(quote, &buffer[at + 1..])?,
        }
    }
}

/// The value of an attribute of an element's own start tag.
pub(crate) fn attribute<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tag = &element[..=end_of_tag(element, 0)?];
    let is_it = |at: &usize| {
        let (before, after) = (tag[at - 1], tag.get(at + name.len()));
        before.is_ascii_whitespace() && after == Some(&b'=')
    };
    let at = memchr::memmem::find_iter(tag, name).find(is_it)? + name.len() + 1;
    let (quote, rest) = tag.get(at..)?.split_first()?;
    Some(&rest[..memchr(*quote, rest)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream to='a>b' id=\"x\">\
        <stream:features/> <message id='1' to='it&apos;s'><body>a</body><x><y/></x></message>\
        <iq type='get' a='/>'/></stream:stream>";

    fn pieces(cutter: &mut Cutter) -> Vec<String> {
        let mut pieces = Vec::new();
        while let Some(piece) = cutter.next() {
            pieces.push(match piece {
                Piece::Header(bytes) => format!("header {}", bytes.escape_ascii()),
                Piece::Element(bytes) => format!("element {}", bytes.escape_ascii()),
                Piece::Footer => "footer".to_owned(),
            });
        }
        pieces
    }

    #[test]
    fn pieces_are_the_same_however_the_bytes_come() {
        let mut whole = Cutter::default();
        whole.buffer().extend_from_slice(STREAM.as_bytes());
        let expected = pieces(&mut whole);
        assert_eq!(expected.len(), 5, "{expected:#?}");
        assert!(expected[0].starts_with("header <stream:stream to="), "{}", expected[0]);
        assert!(expected[2].starts_with("element <message id="), "{}", expected[2]);
        assert!(expected[2].ends_with("</message>"), "{}", expected[2]);
        for split in 1..STREAM.len() {
            let (mut cutter, mut found) = (Cutter::default(), Vec::new());
            for part in [&STREAM[..split], &STREAM[split..]] {
                cutter.buffer().extend_from_slice(part.as_bytes());
                found.extend(pieces(&mut cutter));
            }
            assert_eq!(found, expected, "split at {split}");
        }
    }

    #[test]
    fn attributes_are_those_of_the_element_itself() {
        let element = b"<iq xid='0' id='1'\n to=\"a'b\"><x from='no'/></iq>";
        assert_eq!(attribute(element, "id"), Some(&b"1"[..]));
        assert_eq!(attribute(element, "to"), Some(&b"a'b"[..]));
        assert_eq!(attribute(element, "from"), None);
    }
}
