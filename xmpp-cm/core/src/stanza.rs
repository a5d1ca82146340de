//! What every stanza has: a kind, addresses, an id, and the right to one answer (RFC 6120 §8).

use std::ops::Range;

use minidom::Element;
use openfed_proto::address::{Address, AddressError};
use openfed_proto::packet::Failure;

use crate::content::Content;
use crate::error;
use crate::peers::Pair;
use crate::stream::Name;
use crate::xml::{escape_text, push_attribute, write_element};

/// Bytes of a message's text that an error for it repeats.
const MAX_SAID: usize = 1_024;

/// The three kinds of stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Presence,
    Iq,
}

impl Kind {
    fn of(stanza: &Element) -> Self {
        match stanza.name() {
            "iq" => Self::Iq,
            "presence" => Self::Presence,
            _ => Self::Message,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

/// The attributes that stanzas have, as written.
///
/// Found in one go: to look up one of them by its name costs as much as to see them all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) subtype: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(stanza: &'a Element) -> Self {
        let mut found = Self::default();
        for ((namespace, name), value) in stanza.attrs() {
            let place = match name.as_str() {
                _ if !namespace.is_none() => continue,
                "from" => &mut found.from,
                "to" => &mut found.to,
                "id" => &mut found.id,
                "type" => &mut found.subtype,
                _ => continue,
            };
            *place = Some(value);
        }
        found
    }
}

/// What decides where a stanza goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// The `type` as written.
    pub(crate) subtype: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) from: Address,
    pub(crate) to: Address,
}

impl Head {
    pub(crate) fn read(stanza: &Element) -> Result<Self, AddressError> {
        let Attributes { from, to, id, subtype } = Attributes::of(stanza);
        Ok(Self {
            kind: Kind::of(stanza),
            subtype: subtype.map(str::to_owned),
            id: id.map(str::to_owned),
            from: Address::from_jid(from.unwrap_or_default())?,
            to: Address::from_jid(to.unwrap_or_default())?,
        })
    }

    pub(crate) fn is(&self, kind: Kind, subtype: &str) -> bool {
        self.kind == kind && self.subtype.as_deref() == Some(subtype)
    }

    /// Whether it is itself an answer: an error, or the result of an iq.
    pub(crate) fn is_answer(&self) -> bool {
        self.subtype.as_deref() == Some("error") || self.is(Kind::Iq, "result")
    }

    /// For people: `iq/get`, `presence`, `message/groupchat`.
    pub(crate) fn describe(&self) -> String {
        match &self.subtype {
            Some(subtype) if is_known(self.kind, subtype) => {
                format!("{}/{subtype}", self.kind.as_str())
            }
            _ => self.kind.as_str().to_owned(),
        }
    }
}

/// A type that the RFC names; anything else is foreign text and stays out of what people see.
fn is_known(kind: Kind, subtype: &str) -> bool {
    let known: &[&str] = match kind {
        Kind::Message => &["chat", "error", "groupchat", "headline", "normal"],
        Kind::Iq => &["error", "get", "result", "set"],
        Kind::Presence => &[
            "error",
            "probe",
            "subscribe",
            "subscribed",
            "unavailable",
            "unsubscribe",
            "unsubscribed",
        ],
    };
    known.contains(&subtype)
}

/// The right to answer one stanza, once: it is used up by answering.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    kind: Kind,
    id: Option<String>,
    /// As the stanza wrote them, so that its sender recognises the answer.
    from: String,
    to: String,
}

impl Reply {
    /// `None` for what must not be answered, errors and results (RFC 6120 §8.3.1, §8.2.3), and for
    /// messages that ask for no answer: nobody wrote them, and people would read an error (S-113).
    pub(crate) fn to(stanza: &Element) -> Option<Self> {
        let (kind, written) = (Kind::of(stanza), Attributes::of(stanza));
        match (kind, written.subtype) {
            (_, Some("error")) | (Kind::Iq, Some("result")) => return None,
            (Kind::Message, _) if Content::of(stanza) == Content::Quiet => return None,
            _ => {}
        }
        Some(Self {
            kind,
            id: written.id.map(str::to_owned),
            from: written.from?.to_owned(),
            to: written.to?.to_owned(),
        })
    }

    /// The domains that the stanza went from and to, as it wrote them.
    pub(crate) fn asked(&self) -> Option<Pair> {
        Some(Pair { local: domain_of(&self.from)?, remote: domain_of(&self.to)? })
    }

    /// The error stanza that tells the sender what became of it, written out, with the text that
    /// the stanza said.
    pub(crate) fn error(&self, failure: &Failure, said: Option<&str>) -> String {
        write_error(self.kind, &self.attributes(), failure, said)
    }

    /// The result of an iq, written out.
    pub(crate) fn result(&self, payload: Option<&Element>) -> String {
        write_answer(self.kind, "result", &self.attributes(), |out| {
            if let Some(payload) = payload {
                write_element(payload, out);
            }
        })
    }

    fn attributes(&self) -> Attributes<'_> {
        let (from, to) = (Some(&*self.from), Some(&*self.to));
        Attributes { from, to, id: self.id.as_deref(), subtype: None }
    }
}

/// The error stanza for the sender of a stanza, written out.
///
/// COMPAT(libpurple): it shows an error only if that repeats the body of the message (RFC 6120
/// §8.3.1 lets it).
pub(crate) fn write_error(
    kind: Kind,
    asked: &Attributes<'_>,
    failure: &Failure,
    said: Option<&str>,
) -> String {
    write_answer(kind, "error", asked, |out| {
        if let Some(said) = said.filter(|_| kind == Kind::Message) {
            write_body(said, out);
        }
        error::write(failure, out);
    })
}

fn write_body(said: &str, out: &mut String) {
    let end = said.floor_char_boundary(MAX_SAID);
    out.push_str("<body>");
    escape_text(said.get(..end).unwrap_or_default(), out);
    if end < said.len() {
        out.push('…');
    }
    out.push_str("</body>");
}

fn write_answer(
    kind: Kind,
    subtype: &str,
    asked: &Attributes<'_>,
    payload: impl FnOnce(&mut String),
) -> String {
    let mut out = String::with_capacity(320);
    out.push('<');
    out.push_str(kind.as_str());
    let ours = [("type", Some(subtype)), ("id", asked.id), ("from", asked.to), ("to", asked.from)];
    for (name, value) in ours {
        if let Some(value) = value {
            push_attribute(&mut out, name, value);
        }
    }
    out.push('>');
    payload(&mut out);
    out.push_str("</");
    out.push_str(kind.as_str());
    out.push('>');
    out
}

/// Whether a stanza is itself an answer, and gets none (RFC 6120 §8.3.1, §8.2.3).
pub(crate) fn is_answer(stanza: &Element) -> bool {
    match Attributes::of(stanza).subtype {
        Some("error") => true,
        Some("result") => stanza.name() == "iq",
        _ => false,
    }
}

/// Sets an attribute without namespace.
pub(crate) fn set(element: &mut Element, name: &'static str, value: &str) {
    if let Ok(name) = rxml::NcName::try_from(name) {
        element.attrs_mut().insert(rxml::Namespace::NONE, name, value.to_owned());
    }
}

/// `xml:lang` of an element itself.
pub(crate) fn lang(element: &Element) -> Option<&str> {
    element.attr_ns(rxml::XMLNS_XML, "lang").filter(|lang| !lang.is_empty())
}

/// Sets `xml:lang`.
pub(crate) fn set_lang(element: &mut Element, lang: &str) {
    if let Ok(name) = rxml::NcName::try_from("lang") {
        element.attrs_mut().insert(rxml::Namespace::XML, name, lang.to_owned());
    }
}

/// The domain of an address, without judging its other parts.
pub(crate) fn domain_of(jid: &str) -> Option<Name> {
    Name::parse(jid.get(domain_span(jid))?)
}

/// Where the domain stands in an address.
fn domain_span(jid: &str) -> Range<usize> {
    let end = jid.find('/').unwrap_or(jid.len());
    let start = jid.get(..end).and_then(|bare| bare.find('@')).map_or(0, |at| at + 1);
    start..end
}

/// Writes the domains that a stanza goes from and to as they are written here.
pub(crate) fn spell(stanza: &mut Element, from: &Name, to: &Name) {
    for (name, domain) in [("from", from), ("to", to)] {
        let Some(jid) = stanza.attr(name).map(str::to_owned) else { continue };
        if domain_of(&jid).is_some_and(|written| written != *domain && **domain == *written) {
            let (mut spelled, span) = (jid.clone(), domain_span(&jid));
            spelled.replace_range(span, &domain.written());
            set(stanza, name, &spelled);
        }
    }
}

#[cfg(test)]
mod tests;
