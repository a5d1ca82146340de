//! The XML of a stream: bytes to elements and back, with every limit checked before memory is
//! given away (RFC 6120 §11, E-58).
//!
//! Elements of the stream's content namespace are handed out in `jabber:client`, the namespace to
//! which `xmpp-parsers` binds its stanza types, and [`to_bytes`] writes `jabber:client` and
//! `jabber:server` alike as the stream's default namespace. So a stanza that arrived in
//! `jabber:server` can be parsed, built and sent without a conversion in between. Only the chain
//! of content elements that hangs on the top-level element is renamed: a forwarded message
//! (XEP-0297) keeps the namespace that it was written in.

mod glance;
mod limits;
mod parser;
mod scope;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use glance::Glimpse;
pub use limits::Limits;
pub use parser::{Header, Item, Parser, XmlError, from_bytes};
pub use writer::{escape_attribute, to_bytes, write_element};
pub(crate) use writer::{escape_text, push_attribute};

/// Namespaces of the stream and of its negotiation.
pub mod ns {
    /// RFC 6120 §4.8.1: the stream element, its features and its errors.
    pub const STREAM: &str = "http://etherx.jabber.org/streams";
    /// RFC 6120 §4.8.2: stanzas between servers.
    pub const SERVER: &str = "jabber:server";
    /// RFC 6120 §4.8.2: stanzas as clients write them, and as `xmpp-parsers` reads them.
    pub const CLIENT: &str = "jabber:client";
    /// RFC 6120 §4.9.2: conditions of stream errors.
    pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
    /// RFC 6120 §8.3.2: conditions of stanza errors.
    pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// RFC 6120 §5.
    pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
    /// RFC 6120 §6.
    pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// XEP-0220.
    pub const DIALBACK: &str = "jabber:server:dialback";
    /// XEP-0220 §2.3.
    pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
    /// XEP-0198.
    pub const MANAGEMENT: &str = "urn:xmpp:sm:3";
    /// XEP-0288.
    pub const BIDI: &str = "urn:xmpp:bidi";
    /// XEP-0288 §2.1.
    pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
}
