//! Formatted text (XEP-0071) as the plain text that it says; nothing but text comes out, so there is
//! nothing to be cleaned. And the other way, from what a packet has beside its text (S-107).

use minidom::{Element, Node};
use openfed_proto::packet::Html;

use crate::xml::{Limits, from_bytes};

/// XEP-0071.
pub(super) const NAMESPACE: &str = "http://jabber.org/protocol/xhtml-im";
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// Elements that begin a line of their own.
const BLOCKS: [&str; 14] = [
    "p",
    "div",
    "blockquote",
    "pre",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "h1",
    "h2",
    "h3",
    "h4",
    "address",
];

/// The text of the first body.
pub(super) fn text(html: &Element) -> String {
    let mut out = String::new();
    if let Some(body) = html.children().find(|child| child.is("body", XHTML)) {
        write(body, &mut out);
    }
    out.trim().to_owned()
}

/// The element for it; `None` if it is not what it should be.
pub(crate) fn formatted(Html(html): &Html) -> Option<Element> {
    let whole = format!("<html xmlns='{NAMESPACE}'><body xmlns='{XHTML}'>{html}</body></html>");
    from_bytes(whole.as_bytes(), Limits::default()).ok()
}

fn write(element: &Element, out: &mut String) {
    for node in element.nodes() {
        match node {
            Node::Text(text) => write_words(text, out),
            Node::Element(child) => write_element(child, out),
        }
    }
}

fn write_element(element: &Element, out: &mut String) {
    match element.name() {
        "br" => out.push('\n'),
        "li" => {
            new_line(out);
            out.push_str("- ");
            write(element, out);
        }
        "img" => write_words(element.attr("alt").unwrap_or_default(), out),
        "a" => {
            let before = out.len();
            write(element, out);
            let target = element.attr("href").unwrap_or_default().trim();
            let said = out.get(before..).unwrap_or_default().trim();
            if !target.is_empty() && said != target {
                let link = if said.is_empty() { target.to_owned() } else { format!(" ({target})") };
                out.push_str(&link);
            }
        }
        "style" | "script" | "head" => {}
        name if BLOCKS.contains(&name) => {
            new_line(out);
            write(element, out);
            new_line(out);
        }
        _ => write(element, out),
    }
}

fn new_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// White space between words is one blank.
fn write_words(text: &str, out: &mut String) {
    let blank = |out: &mut String| {
        if !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
    };
    if text.starts_with(char::is_whitespace) {
        blank(out);
    }
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            blank(out);
        }
        out.push_str(word);
    }
    if text.ends_with(char::is_whitespace) && !text.trim().is_empty() {
        blank(out);
    }
}
