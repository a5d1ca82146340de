//! What a message stanza says to a protocol that carries text alone: a text, nothing that anybody
//! waits for, or something that has to be refused (S-113).
//!
//! ```text
//! stanza ─┬─ <body/>, else XHTML, a link, a subject ──▶ Text
//!         ├─ states, receipts, markers, hints alone ──▶ Quiet     ends here, and is counted
//!         └─ anything else ───────────────────────────▶ Unsayable its sender is told
//! ```

use minidom::Element;
use openfed_proto::packet::Text;

use crate::stanza::{Attributes, lang};
use crate::xml::ns;

mod xhtml;

pub(crate) use xhtml::formatted;

/// XEP-0066.
const OOB: &str = "jabber:x:oob";
/// XEP-0353.
const CALL: &str = "urn:xmpp:jingle-message:0";
/// XEP-0384, as most clients speak it, and its newest form.
const OMEMO: [&str; 2] = ["eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2"];

/// What asks for no answer, whatever becomes of it: nobody wrote it.
const QUIET: [&str; 18] = [
    // Typing (XEP-0085), and its forerunner (XEP-0022).
    "http://jabber.org/protocol/chatstates",
    "jabber:x:event",
    // Receipts and markers (XEP-0184, XEP-0333).
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    // Hints and ids (XEP-0334, XEP-0359), and what goes with an encrypted text (XEP-0380).
    "urn:xmpp:hints",
    "urn:xmpp:sid:0",
    "urn:xmpp:eme:0",
    // When it was sent (XEP-0203, XEP-0091), and by whom (XEP-0172, XEP-0033).
    "urn:xmpp:delay",
    "jabber:x:delay",
    "http://jabber.org/protocol/nick",
    "http://jabber.org/protocol/address",
    // News of an account (XEP-0060, XEP-0163), copies and archives (XEP-0280, XEP-0297, XEP-0313).
    "http://jabber.org/protocol/pubsub#event",
    "urn:xmpp:carbons:2",
    "urn:xmpp:forward:0",
    "urn:xmpp:mam:2",
    // What people in rooms are told (XEP-0045).
    "http://jabber.org/protocol/muc#user",
    // What a correction or an answer refers to says nothing by itself (XEP-0308, XEP-0461).
    "urn:xmpp:message-correct:0",
    "urn:xmpp:reply:0",
];

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text,
    Quiet,
    Unsayable,
}

impl Content {
    /// What this message stanza is.
    pub(crate) fn of(stanza: &Element) -> Self {
        match Attributes::of(stanza).subtype {
            // An answer; nobody answers it.
            Some("error") => Self::Quiet,
            Some("groupchat") => Self::Unsayable,
            _ if has_text(stanza) => Self::Text,
            _ if stanza.children().all(is_quiet) => Self::Quiet,
            _ => Self::Unsayable,
        }
    }
}

fn has_text(stanza: &Element) -> bool {
    let says = |child: &Element| match child.name() {
        "body" | "subject" => child.is(child.name(), ns::CLIENT) && is_filled(child),
        "html" => child.is("html", xhtml::NAMESPACE) && !xhtml::text(child).is_empty(),
        "x" => url(child).is_some(),
        _ => false,
    };
    stanza.children().any(says)
}

fn is_filled(element: &Element) -> bool {
    element.texts().any(|text| !text.is_empty())
}

fn is_quiet(child: &Element) -> bool {
    let namespace = child.ns();
    match child.name() {
        // Without a text they were filled with nothing.
        "body" | "subject" | "thread" if namespace == ns::CLIENT => true,
        // A call that is offered waits for somebody; what comes after it does not.
        "propose" => namespace != CALL && QUIET.contains(&&*namespace),
        _ if namespace == CALL => true,
        // Keys alone, without a message in them.
        "encrypted" if OMEMO.contains(&&*namespace) => {
            !child.children().any(|part| part.name() == "payload")
        }
        _ => QUIET.contains(&&*namespace),
    }
}

/// The texts that a person reads, one for each language, the stanza's own first. `own` is that
/// language, if it is the sender's word.
pub(crate) fn texts(stanza: &Element, own: Option<&str>) -> Vec<Text> {
    let mut bodies = named(stanza, "body", own);
    bodies.retain(|body| !body.text.is_empty());
    if bodies.is_empty() {
        bodies.extend(instead(stanza, own));
    }
    // S-109: where only one fits, it is the one in the stanza's own language.
    if let Some(best) = bodies.iter().position(|body| body.lang.as_deref() == own) {
        bodies[..=best].rotate_right(1);
    }
    if let Some(url) = stanza.children().find_map(url) {
        for body in bodies.iter_mut().filter(|body| !body.text.contains(&url)) {
            body.text.push('\n');
            body.text.push_str(&url);
        }
    }
    bodies
}

/// What a message without a body says.
fn instead(stanza: &Element, own: Option<&str>) -> Option<Text> {
    let text = |text: String| Text { lang: own.map(str::to_owned), text };
    let html = stanza.children().find(|child| child.is("html", xhtml::NAMESPACE));
    let html = html.map(xhtml::text).filter(|text| !text.is_empty()).map(text);
    html.or_else(|| stanza.children().find_map(url).map(text)).or_else(|| {
        named(stanza, "subject", own).into_iter().find(|subject| !subject.text.is_empty())
    })
}

/// The texts of the children of that name.
pub(crate) fn named(stanza: &Element, name: &str, own: Option<&str>) -> Vec<Text> {
    stanza
        .children()
        .filter(|child| child.is(name, ns::CLIENT))
        .map(|child| Text { lang: lang(child).or(own).map(str::to_owned), text: child.text() })
        .collect()
}

/// The link that a child gives.
fn url(child: &Element) -> Option<String> {
    let url = child.is("x", OOB).then(|| child.get_child("url", OOB)).flatten()?.text();
    Some(url.trim().to_owned()).filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests;
