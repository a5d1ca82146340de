//! `text/html` (RFC 7572 §7, S-107): the text that it says, and its formatting in the few elements
//! that every reader of messages knows, each where it may stand. All else that was written, such as
//! scripts, styles and pictures, is gone here, so there is nothing to be cleaned further on.

mod read;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

/// What the HTML comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Html {
    pub(super) text: String,
    /// As [`openfed_proto::packet::Html`]; `None` if nothing is formatted.
    pub(super) markup: Option<String>,
}

#[derive(Debug)]
enum Block {
    Paragraph(Vec<Inline>),
    List { ordered: bool, items: Vec<Vec<Block>> },
    Quote(Vec<Block>),
}

#[derive(Debug)]
enum Inline {
    Text(String),
    Break,
    Span(Span, Vec<Inline>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Span {
    Strong,
    Emphasis,
    Citation,
    Link(String),
}

/// Reads HTML as people and programs write it, well-formed or not.
pub(super) fn convert(source: &str) -> Html {
    let blocks = read::blocks(source);
    let mut text = String::new();
    say_blocks(&blocks, &mut text);
    let markup = (!blocks.iter().all(is_plain)).then(|| {
        let mut markup = String::new();
        mark_blocks(&blocks, &mut markup);
        markup
    });
    // What keeps words together is a space to those who read the text alone.
    Html { text: text.trim().replace('\u{a0}', " "), markup }
}

fn is_plain(block: &Block) -> bool {
    let Block::Paragraph(line) = block else { return false };
    line.iter().all(|part| !matches!(part, Inline::Span(..)))
}

fn say_blocks(blocks: &[Block], out: &mut String) {
    for block in blocks {
        new_line(out);
        match block {
            Block::Paragraph(line) => say_line(line, out),
            Block::Quote(inside) => say_blocks(inside, out),
            Block::List { ordered, items } => {
                for (item, number) in items.iter().zip(1..) {
                    let mut said = String::new();
                    say_blocks(item, &mut said);
                    new_line(out);
                    let _ = match ordered {
                        true => write!(out, "{number}. {}", said.trim()),
                        false => write!(out, "- {}", said.trim()),
                    };
                }
            }
        }
    }
}

fn new_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn say_line(line: &[Inline], out: &mut String) {
    for part in line {
        match part {
            Inline::Text(text) => out.push_str(text),
            Inline::Break => out.push('\n'),
            Inline::Span(span, inside) => {
                let before = out.len();
                say_line(inside, out);
                let said = out.get(before..).unwrap_or_default().trim();
                // A link is said unless its text says it already, all but the scheme.
                if let Span::Link(target) = span
                    && (said.is_empty() || !target.ends_with(said))
                {
                    let link = format!(" ({target})");
                    out.push_str(&link);
                }
            }
        }
    }
}

fn mark_blocks(blocks: &[Block], out: &mut String) {
    for block in blocks {
        match block {
            Block::Paragraph(line) => within("p", out, |out| mark_line(line, out)),
            Block::Quote(inside) => within("blockquote", out, |out| mark_blocks(inside, out)),
            Block::List { ordered, items } => {
                let name = if *ordered { "ol" } else { "ul" };
                within(name, out, |out| items.iter().for_each(|item| mark_item(item, out)));
            }
        }
    }
}

fn mark_item(item: &[Block], out: &mut String) {
    within("li", out, |out| match item {
        [Block::Paragraph(line)] => mark_line(line, out),
        blocks => mark_blocks(blocks, out),
    });
}

fn mark_line(line: &[Inline], out: &mut String) {
    for part in line {
        match part {
            Inline::Text(text) => escape(text, out),
            Inline::Break => out.push_str("<br/>"),
            Inline::Span(Span::Link(target), inside) => {
                out.push_str("<a href=\"");
                escape(target, out);
                out.push_str("\">");
                mark_line(inside, out);
                out.push_str("</a>");
            }
            Inline::Span(Span::Strong, inside) => within("strong", out, |o| mark_line(inside, o)),
            Inline::Span(Span::Emphasis, inside) => within("em", out, |o| mark_line(inside, o)),
            Inline::Span(Span::Citation, inside) => within("cite", out, |o| mark_line(inside, o)),
        }
    }
}

fn within(name: &str, out: &mut String, inside: impl FnOnce(&mut String)) {
    let _ = write!(out, "<{name}>");
    inside(out);
    let _ = write!(out, "</{name}>");
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}
