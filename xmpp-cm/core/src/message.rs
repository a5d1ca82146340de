//! Message stanza ⇄ [`Message`] (RFC 7572, S-098…S-113).

use minidom::Element;
use openfed_proto::packet::{Message, Packet, Text};

use crate::content::{self, Content};
use crate::resource;
use crate::stanza::{Attributes, lang, set, set_lang};
use crate::xml::ns;

/// The text of a message stanza, in the stanza's own language if there are several.
pub(crate) fn said(stanza: &Element) -> Option<String> {
    let own = lang(stanza);
    let bodies = || stanza.children().filter(|child| child.is("body", ns::CLIENT));
    let body = bodies().find(|body| lang(body).or(own) == own).or_else(|| bodies().next());
    body.map(Element::text).filter(|text| !text.is_empty())
}

/// The meaning of a message stanza, if it has one for another protocol ([`Content::Text`]).
///
/// `default` is the language of the peer's stream (RFC 6120 §4.7.4).
///
/// COMPAT(Prosody): it writes that one on every stanza without a language; so it is no statement of
/// the sender.
pub(crate) fn read(stanza: &Element, default: Option<&str>) -> Option<Message> {
    if Content::of(stanza) != Content::Text {
        return None;
    }
    let Attributes { id, subtype, .. } = Attributes::of(stanza);
    let own = lang(stanza).filter(|own| Some(*own) != default);
    let thread = stanza.children().find(|child| child.is("thread", ns::CLIENT));
    Some(Message {
        id: id.map(str::to_owned),
        thread: thread.map(Element::text).filter(|thread| !thread.is_empty()),
        // A type that nobody knows counts as normal (RFC 6121 §5.2.2).
        chat: subtype == Some("chat"),
        subjects: content::named(stanza, "subject", own),
        bodies: content::texts(stanza, own),
        // What is formatted has its text beside it; no other protocol is told more.
        html: None,
    })
}

/// The stanza for a message. `chat` gives it `type='chat'` even if its sender's protocol knows
/// no such thing (S-103). It always has an id: errors and receipts refer to it.
pub(crate) fn write(packet: &Packet, message: &Message, chat: bool) -> Element {
    let mut stanza = Element::bare("message", ns::CLIENT);
    set(&mut stanza, "from", &resource::given(&packet.from));
    set(&mut stanza, "to", &packet.to.to_jid());
    set(&mut stanza, "id", &stanza_id(packet, message));
    if chat || message.chat {
        set(&mut stanza, "type", "chat");
    }
    let own = message.bodies.first().and_then(|body| body.lang.as_deref());
    if let Some(own) = own {
        set_lang(&mut stanza, own);
    }
    append(&mut stanza, "subject", &message.subjects, own);
    append(&mut stanza, "body", &message.bodies, own);
    if let Some(html) = message.html.as_ref().and_then(content::formatted) {
        stanza.append_child(html);
    }
    if let Some(thread) = &message.thread {
        let mut element = Element::bare("thread", ns::CLIENT);
        element.append_text(thread.as_str());
        stanza.append_child(element);
    }
    stanza
}

/// The id that the stanza of this packet has.
fn stanza_id(packet: &Packet, message: &Message) -> String {
    message.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| packet.id.to_string())
}

fn append(stanza: &mut Element, name: &str, texts: &[Text], own: Option<&str>) {
    for text in texts {
        let mut element = Element::bare(name, ns::CLIENT);
        match text.lang.as_deref() {
            Some(other) if Some(other) != own => set_lang(&mut element, other),
            _ => {}
        }
        element.append_text(text.text.as_str());
        stanza.append_child(element);
    }
}

#[cfg(test)]
mod tests;
