//! Requests to domains that speak SIP: the few that have an answer are answered here (XEP-0030,
//! XEP-0092, XEP-0199), the others politely refused.

use minidom::Element;
use openfed_proto::condition::Condition;

use crate::stanza::{Head, set};

const PING: &str = "urn:xmpp:ping";
const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
const VERSION: &str = "jabber:iq:version";

/// An iq that asks must have an id and exactly one child (RFC 6120 §8.2.3).
pub(crate) fn check(head: &Head, stanza: &Element) -> Result<(), Condition> {
    let asks = matches!(head.subtype.as_deref(), Some("get" | "set"));
    let answers = matches!(head.subtype.as_deref(), Some("result" | "error"));
    let whole = head.id.is_some() && (answers || asks && stanza.children().count() == 1);
    if whole { Ok(()) } else { Err(Condition::BadRequest) }
}

/// The payload of the result for a checked request, or why there is none.
pub(crate) fn answer(head: &Head, stanza: &Element) -> Result<Option<Element>, Condition> {
    let Some(request) = stanza.children().next() else { return Err(Condition::BadRequest) };
    if head.subtype.as_deref() != Some("get") {
        return Err(Condition::ServiceUnavailable);
    }
    match (request.name(), request.ns().as_str()) {
        ("ping", PING) => Ok(None),
        ("query", DISCO_INFO) if request.attr("node").is_some() => Err(Condition::ItemNotFound),
        ("query", DISCO_INFO) => Ok(Some(info(head.to.local().is_some()))),
        ("query", VERSION) => Ok(Some(version())),
        _ => Err(Condition::ServiceUnavailable),
    }
}

/// The question of a fence: answered by every server, if only with an error.
pub(crate) fn ping() -> Element {
    Element::bare("ping", PING)
}

/// A SIP domain is a gateway, to be seen from here, and its users have accounts there.
fn info(of_user: bool) -> Element {
    let (category, kind) = if of_user { ("account", "registered") } else { ("gateway", "sip") };
    let mut query = Element::bare("query", DISCO_INFO);
    let mut identity = Element::bare("identity", DISCO_INFO);
    set(&mut identity, "category", category);
    set(&mut identity, "type", kind);
    set(&mut identity, "name", "openfed");
    query.append_child(identity);
    for var in [DISCO_INFO, VERSION, PING] {
        let mut feature = Element::bare("feature", DISCO_INFO);
        set(&mut feature, "var", var);
        query.append_child(feature);
    }
    query
}

fn version() -> Element {
    let mut query = Element::bare("query", VERSION);
    for (name, text) in [("name", "openfed"), ("version", env!("CARGO_PKG_VERSION"))] {
        let mut element = Element::bare(name, VERSION);
        element.append_text(text);
        query.append_child(element);
    }
    query
}

#[cfg(test)]
mod tests;
