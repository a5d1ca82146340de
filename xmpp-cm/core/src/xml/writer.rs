//! Elements to bytes, for use inside a stream whose header declared `jabber:server` as the default
//! namespace and the prefixes `stream` and `db`.

use std::fmt::Write as _;
use std::slice::Iter;

use bytes::Bytes;
use minidom::{Element, Node};

use super::ns;

/// The default namespace in force at some depth.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Default {
    Content,
    Other(String),
}

struct Frame<'a> {
    element: &'a Element,
    prefix: &'static str,
    nodes: Iter<'a, Node>,
    default: Default,
}

/// The element as it is written inside a `jabber:server` stream: stanzas carry no `xmlns`.
pub fn to_bytes(element: &Element) -> Bytes {
    let mut out = String::with_capacity(256);
    write_element(element, &mut out);
    Bytes::from(out)
}

/// Appends what [`to_bytes`] returns. Walks the tree with a stack of its own, so no depth can
/// exhaust the thread's.
pub fn write_element(element: &Element, out: &mut String) {
    let mut stack = Vec::with_capacity(8);
    stack.extend(open(element, &Default::Content, out));
    while let Some(frame) = stack.last_mut() {
        match frame.nodes.next() {
            Some(Node::Text(text)) => escape_text(text, out),
            Some(Node::Element(child)) => {
                let opened = open(child, &frame.default, out);
                stack.extend(opened);
            }
            None => {
                let _ = write!(out, "</{}{}>", frame.prefix, frame.element.name());
                stack.pop();
            }
        }
    }
}

/// Writes the start tag; an element without children is complete with that.
fn open<'a>(element: &'a Element, inherited: &Default, out: &mut String) -> Option<Frame<'a>> {
    // COMPAT(ejabberd, Openfire): dialback is recognised by its literal prefix (XEP-0220 §2.1.2).
    let prefix = match () {
        () if element.has_ns(ns::DIALBACK) => "db:",
        () if element.has_ns(ns::STREAM) => "stream:",
        () => "",
    };
    out.push('<');
    out.push_str(prefix);
    out.push_str(element.name());
    let default = if prefix.is_empty() {
        let own = default_for(element, inherited);
        if own != *inherited {
            let uri = match &own {
                Default::Content => ns::SERVER,
                Default::Other(uri) => uri,
            };
            push_attribute(out, "xmlns", uri);
        }
        own
    } else {
        inherited.clone()
    };
    write_attributes(element, out);
    let nodes = element.nodes();
    if nodes.len() == 0 {
        out.push_str("/>");
        return None;
    }
    out.push('>');
    Some(Frame { element, prefix, nodes, default })
}

fn default_for(element: &Element, inherited: &Default) -> Default {
    match inherited {
        Default::Content if element.has_ns(ns::CLIENT) || element.has_ns(ns::SERVER) => {
            Default::Content
        }
        Default::Other(uri) if element.has_ns(uri.as_str()) => inherited.clone(),
        // Below foreign content both stanza namespaces are namespaces like any other.
        _ => Default::Other(element.ns()),
    }
}

fn write_attributes(element: &Element, out: &mut String) {
    for (index, ((namespace, name), value)) in element.attrs().iter().enumerate() {
        if namespace.is_none() {
            push_attribute(out, name, value);
        } else if *namespace == rxml::XMLNS_XML {
            out.push_str(" xml:");
            push_value(out, name, value);
        } else {
            let _ = write!(out, " xmlns:a{index}='{}' a{index}:", escape_attribute(namespace));
            push_value(out, name, value);
        }
    }
}

/// Appends an attribute to a start tag that is open.
pub(crate) fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    push_value(out, name, value);
}

fn push_value(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("='");
    escape(value, out, attribute_escape);
    out.push('\'');
}

/// A value as it may stand between single quotes.
pub fn escape_attribute(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    escape(value, &mut out, attribute_escape);
    out
}

/// Appends text between tags.
pub(crate) fn escape_text(text: &str, out: &mut String) {
    escape(text, out, text_escape);
}

fn escape(value: &str, out: &mut String, with: fn(char) -> Option<&'static str>) {
    if !value.bytes().any(is_suspect) {
        out.push_str(value);
        return;
    }
    let mut clean = 0;
    for (index, found) in value.char_indices() {
        if let Some(instead) = with(found) {
            out.push_str(&value[clean..index]);
            out.push_str(instead);
            clean = index + found.len_utf8();
        }
    }
    out.push_str(&value[clean..]);
}

/// Every byte with which something begins that may have to be escaped; 0xEF begins U+FFFE.
fn is_suspect(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'"' | 0xef)
}

fn text_escape(found: char) -> Option<&'static str> {
    match found {
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '&' => Some("&amp;"),
        '\r' => Some("&#xd;"),
        '\t' | '\n' => None,
        // XML 1.0 §2.2 has no way to write these; one of them would cost the whole stream.
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => None,
    }
}

fn attribute_escape(found: char) -> Option<&'static str> {
    match found {
        '\'' => Some("&apos;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#x9;"),
        '\n' => Some("&#xa;"),
        other => text_escape(other),
    }
}
