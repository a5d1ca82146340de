//! What must be known of a message to turn it away, found without reading the rest of it: under
//! overload, what refusing costs is taken from those who are served.

use memchr::{memchr, memchr_iter};

use crate::stanza::Attributes;

const START: &[u8] = b"<message";
const END: &[u8] = b"</message";
const BODY: &[u8] = b"<body>";

/// A message stanza with a text, looked at.
#[derive(Debug)]
pub(crate) struct Glimpse<'a> {
    pub(crate) attributes: Attributes<'a>,
    /// Its text, if that stands for itself.
    pub(crate) said: Option<&'a str>,
    /// How many bytes it has.
    pub(crate) length: usize,
}

impl<'a> Glimpse<'a> {
    /// Looks at the front of `input`. `None` if no whole message stanza is there that begins with
    /// its text, or one that has anything that needs a closer look: then it is to be read.
    pub(super) fn at(input: &'a [u8]) -> Option<Self> {
        let inside = input.strip_prefix(START)?;
        let head = inside.get(..memchr(b'>', inside)?)?;
        let attributes = attributes(std::str::from_utf8(head).ok()?)?;
        let content = START.len() + head.len() + 1;
        let text = input.get(content..)?.strip_prefix(BODY)?;
        if text.first() == Some(&b'<') {
            return None;
        }
        let length = content + end(input.get(content..)?)?;
        Some(Self { attributes, said: plain(text), length })
    }
}

/// The text up to the next tag, if nothing in it is written in another way.
fn plain(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text.get(..memchr(b'<', text)?)?).ok()?;
    // What XML does not allow (XML 1.0 §2.2) is for the parser to find.
    let stands_for_itself = |c: char| match c {
        '\n' | '\t' => true,
        '&' | '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    text.chars().all(stands_for_itself).then_some(text)
}

/// The attributes of a start tag, if they are nothing but the usual ones and stand for themselves.
fn attributes(head: &str) -> Option<Attributes<'_>> {
    let (mut found, mut lang) = (Attributes::default(), None);
    let mut rest = head;
    while !rest.is_empty() {
        let (name, value) = rest.strip_prefix(' ')?.split_once('=')?;
        let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (value, behind) = value.get(1..)?.split_once(quote)?;
        if value.contains(|it: char| matches!(it, '<' | '&') || it.is_control()) {
            return None;
        }
        let place = match name {
            "from" => &mut found.from,
            "to" => &mut found.to,
            "id" => &mut found.id,
            "type" => &mut found.subtype,
            "xml:lang" => &mut lang,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
        rest = behind;
    }
    Some(found)
}

/// Where the content of a message ends, its end tag included. The first end tag of that name is the
/// one, unless another message is inside, or something in which tags are none.
fn end(content: &[u8]) -> Option<usize> {
    for at in memchr_iter(b'<', content) {
        let tag = content.get(at..)?;
        if let Some(behind) = tag.strip_prefix(END) {
            return (behind.first() == Some(&b'>')).then_some(at + END.len() + 1);
        }
        if tag.starts_with(START) || matches!(tag.get(1), None | Some(b'!' | b'?')) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests;
