//! HTML to blocks: a reader of tags that takes whatever comes, and a builder that lets each element
//! stand only where it may.

mod entity;

use super::{Block, Inline, Span};
use crate::message::text::legal;

/// A longer tag is no tag: so a text of many `<` costs no more than its length times this.
const MAX_TAG: usize = 2_048;
/// Elements of a kind in each other; what is deeper stands where it is.
const MAX_DEPTH: usize = 8;
/// Their content is nothing that is said.
const UNSAID: [&str; 4] = ["script", "style", "title", "template"];
/// Elements that begin a line of their own, besides lists and quotes.
const LINES: [&str; 22] = [
    "p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "dl", "dt", "dd", "table", "tr",
    "address", "section", "article", "header", "footer", "main", "body", "html",
];
/// Schemes that a link may have. Others may be programs.
const SCHEMES: [&str; 9] =
    ["http:", "https:", "mailto:", "xmpp:", "sip:", "sips:", "tel:", "im:", "geo:"];

struct Tag<'a> {
    name: String,
    closes: bool,
    attributes: &'a str,
}

pub(super) fn blocks(source: &str) -> Vec<Block> {
    let mut build = Builder { blank: true, ..Builder::default() };
    let mut rest = source;
    loop {
        let (plain, markup) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        build.text(&entity::decoded(plain));
        let Some(inside) = markup.strip_prefix('<') else { return build.finish() };
        rest = match (comment(inside), tag(inside)) {
            (Some(after), _) => after,
            (None, Some((tag, after))) if UNSAID.contains(&tag.name.as_str()) && !tag.closes => {
                behind(&tag.name, after)
            }
            (None, Some((tag, after))) => {
                build.tag(&tag);
                after
            }
            (None, None) => {
                build.text("<");
                inside
            }
        };
    }
}

/// What follows a comment or a declaration.
fn comment(inside: &str) -> Option<&str> {
    let (inside, end) = match inside.strip_prefix("!--") {
        Some(inside) => (inside, "-->"),
        None if inside.starts_with(['!', '?']) => (inside, ">"),
        None => return None,
    };
    Some(inside.split_once(end).map_or("", |(_, after)| after))
}

/// The tag that begins here, and what follows it.
fn tag(inside: &str) -> Option<(Tag<'_>, &str)> {
    let (closes, inside) = match inside.strip_prefix('/') {
        Some(inside) => (true, inside),
        None => (false, inside),
    };
    let length = inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(length);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let mut quote = None;
    let end = rest.bytes().take(MAX_TAG).position(|byte| {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        quote.is_none() && byte == b'>'
    })?;
    let (attributes, after) = rest.split_at(end);
    let name = name.to_ascii_lowercase();
    Some((Tag { name, closes, attributes }, after.strip_prefix('>').unwrap_or(after)))
}

/// What follows the end of an element whose content is no markup.
fn behind<'a>(name: &str, inside: &'a str) -> &'a str {
    let ends =
        |after: &str| after.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
    let mut closing = inside.match_indices("</").filter_map(|(at, _)| inside.get(at + 2..));
    let end = closing.find(|after| ends(after)).unwrap_or_default();
    end.split_once('>').map_or("", |(_, after)| after)
}

impl Tag<'_> {
    /// The value of an attribute, without its quotes and entities.
    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            let value = after.trim_ascii_start().strip_prefix('=').map(str::trim_ascii_start);
            let (value, after) = match value {
                None => ("", after),
                Some(value) => quoted(value),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(entity::decoded(value));
            }
            // A name that is empty would stand here for ever.
            rest = match after.len() < rest.len() {
                true => after,
                false => return None,
            };
        }
    }
}

fn quoted(value: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inside) = value.strip_prefix(quote) {
            return inside.split_once(quote).unwrap_or((inside, ""));
        }
    }
    value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len()))
}

/// An element that holds blocks and is not closed yet.
enum Open {
    Quote(Vec<Block>),
    List { ordered: bool, items: Vec<Vec<Block>> },
    Item(Vec<Block>),
}

#[derive(Default)]
struct Builder {
    done: Vec<Block>,
    /// The outermost first.
    open: Vec<Open>,
    /// The paragraph that is being written, and the spans in it that are not closed yet.
    line: Vec<Inline>,
    spans: Vec<(Span, Vec<Inline>)>,
    /// White space would be at the beginning of a line, or behind other.
    blank: bool,
    /// So many elements say that white space is meant.
    exact: usize,
}

impl Builder {
    fn text(&mut self, text: &str) {
        for c in legal(text).chars() {
            match c {
                '\n' if self.exact > 0 => self.push(Inline::Break),
                ' ' | '\t' | '\n' if self.exact == 0 => {
                    if !self.blank {
                        self.push_char(' ');
                    }
                    self.blank = true;
                }
                c => {
                    self.push_char(c);
                    self.blank = false;
                }
            }
        }
    }

    fn push_char(&mut self, c: char) {
        let inside = self.inside();
        match inside.last_mut() {
            Some(Inline::Text(text)) => text.push(c),
            _ => inside.push(Inline::Text(c.into())),
        }
    }

    fn push(&mut self, part: Inline) {
        self.inside().push(part);
        self.blank = true;
    }

    fn inside(&mut self) -> &mut Vec<Inline> {
        self.spans.last_mut().map_or(&mut self.line, |(_, inside)| inside)
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        match (tag.name.as_str(), tag.closes) {
            ("b" | "strong", closes) => self.span(Span::Strong, closes),
            ("i" | "em", closes) => self.span(Span::Emphasis, closes),
            ("cite", closes) => self.span(Span::Citation, closes),
            ("a", closes) => self.link(tag.attribute("href").filter(|_| !closes)),
            ("br", _) => self.push(Inline::Break),
            ("img", _) => self.text(&tag.attribute("alt").unwrap_or_default()),
            ("td" | "th", _) => self.text(" "),
            (name @ ("ul" | "ol"), false) => {
                self.begin(Open::List { ordered: name == "ol", items: Vec::new() });
            }
            ("ul" | "ol", true) => self.end(|open| matches!(open, Open::List { .. })),
            ("li", false) => self.item(),
            ("li", true) => self.end(|open| matches!(open, Open::Item(_))),
            ("blockquote", false) => self.begin(Open::Quote(Vec::new())),
            ("blockquote", true) => self.end(|open| matches!(open, Open::Quote(_))),
            ("pre", closes) => {
                self.end_line();
                self.exact = if closes { self.exact.saturating_sub(1) } else { self.exact + 1 };
            }
            (name, _) if LINES.contains(&name) => self.end_line(),
            _ => {}
        }
    }

    fn span(&mut self, span: Span, closes: bool) {
        if closes {
            self.close_span(|open| *open == span);
        } else if self.spans.len() < MAX_DEPTH {
            self.spans.push((span, Vec::new()));
        }
    }

    /// `target`: `None` where a link ends. Links are not in each other.
    fn link(&mut self, target: Option<String>) {
        self.close_span(|open| matches!(open, Span::Link(_)));
        let target = target.map(|it| legal(it.trim()));
        let allowed = |target: &String| {
            SCHEMES.iter().any(|scheme| {
                target.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme))
            })
        };
        if let Some(target) = target.filter(allowed) {
            self.span(Span::Link(target), false);
        }
    }

    /// Closes the innermost such span, and what was opened in it.
    fn close_span(&mut self, is_meant: impl Fn(&Span) -> bool) {
        let Some(at) = self.spans.iter().rposition(|(span, _)| is_meant(span)) else { return };
        while self.spans.len() > at {
            let Some((span, inside)) = self.spans.pop() else { return };
            if !inside.is_empty() {
                self.inside().push(Inline::Span(span, inside));
            }
        }
    }

    /// The paragraph is over; open spans go on in the next one.
    fn end_line(&mut self) {
        let open: Vec<Span> = self.spans.iter().map(|(span, _)| span.clone()).collect();
        while let Some((span, inside)) = self.spans.pop() {
            if !inside.is_empty() {
                self.inside().push(Inline::Span(span, inside));
            }
        }
        let line = std::mem::take(&mut self.line);
        if line.iter().any(says_something) {
            self.add(Block::Paragraph(line));
        }
        self.spans = open.into_iter().map(|span| (span, Vec::new())).collect();
        self.blank = true;
    }

    fn add(&mut self, block: Block) {
        match self.open.last_mut() {
            Some(Open::Quote(blocks) | Open::Item(blocks)) => blocks.push(block),
            Some(Open::List { items, .. }) => items.push(vec![block]),
            None => self.done.push(block),
        }
    }

    fn begin(&mut self, open: Open) {
        self.end_line();
        if self.open.len() < MAX_DEPTH {
            self.open.push(open);
        }
    }

    /// A list has items alone, and nothing else has any.
    fn item(&mut self) {
        self.end_line();
        let holder = self.open.iter().rposition(|open| !matches!(open, Open::Item(_)));
        if let Some(at) = holder
            && matches!(self.open.get(at), Some(Open::List { .. }))
        {
            self.close_down_to(at + 1);
            self.open.push(Open::Item(Vec::new()));
        }
    }

    /// Closes the innermost such element, and what was opened in it.
    fn end(&mut self, is_meant: impl Fn(&Open) -> bool) {
        self.end_line();
        if let Some(at) = self.open.iter().rposition(is_meant) {
            self.close_down_to(at);
        }
    }

    fn close_down_to(&mut self, length: usize) {
        while self.open.len() > length {
            match self.open.pop() {
                Some(Open::Quote(blocks)) if !blocks.is_empty() => self.add(Block::Quote(blocks)),
                Some(Open::List { ordered, items }) if !items.is_empty() => {
                    self.add(Block::List { ordered, items });
                }
                Some(Open::Item(blocks)) if !blocks.is_empty() => {
                    if let Some(Open::List { items, .. }) = self.open.last_mut() {
                        items.push(blocks);
                    }
                }
                _ => {}
            }
        }
    }

    fn finish(mut self) -> Vec<Block> {
        self.end_line();
        self.close_down_to(0);
        self.done
    }
}

fn says_something(part: &Inline) -> bool {
    match part {
        Inline::Text(text) => !text.trim().is_empty(),
        Inline::Break => false,
        Inline::Span(_, inside) => inside.iter().any(says_something),
    }
}
