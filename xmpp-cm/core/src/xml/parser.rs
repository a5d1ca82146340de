//! Bytes to stream items. The tree is built from the parser's events on a stack of our own, and
//! every limit is checked on the event, before anything is built.

use minidom::Element;
use rxml::error::{EndOrError, Error};
use rxml::parser::RawQName;
use rxml::{AttrMap, Namespace, Options, Parse, RawEvent, RawParser, WithOptions};
use xmpp_parsers::stream_error::DefinedCondition as Condition;

use super::glance::Glimpse;
use super::limits::Limits;
use super::ns;
use super::scope::{ScopeError, Scopes, declared_prefix, is_xml_itself};

/// The peer's XML cannot go on: the stream error to answer with (RFC 6120 §4.9.3) and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{condition}: {text}")]
pub struct XmlError {
    /// The condition for the stream error.
    pub condition: Condition,
    /// What was wrong, in words of ours; never the peer's.
    pub text: &'static str,
}

impl XmlError {
    fn new(condition: Condition, text: &'static str) -> Self {
        Self { condition, text }
    }

    fn policy(text: &'static str) -> Self {
        Self::new(Condition::PolicyViolation, text)
    }
}

/// A stream header as it came, not yet judged (RFC 6120 §4.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Local name of the root element; `stream` in a valid header.
    pub name: String,
    /// Namespace of the root element.
    pub namespace: String,
    /// Default namespace declared on the header: the content namespace.
    pub content: String,
    /// `from` attribute.
    pub from: Option<String>,
    /// `to` attribute.
    pub to: Option<String>,
    /// `id` attribute.
    pub id: Option<String>,
    /// `version` attribute.
    pub version: Option<String>,
    /// `xml:lang` attribute.
    pub lang: Option<String>,
}

/// One thing that a stream consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The stream header.
    Header(Header),
    /// A complete top-level element; content elements are in `jabber:client`.
    Element(Element),
    /// A complete top-level element that was in `jabber:client` itself, as only clients speak.
    Misplaced,
    /// `</stream:stream>`.
    Footer,
}

/// Incremental parser of one XML stream. After an error it is of no further use, and after
/// STARTTLS a new one is needed (RFC 6120 §4.3.3).
#[derive(Debug)]
pub struct Parser {
    raw: RawParser,
    limits: Limits,
    scopes: Scopes,
    head: Option<Head>,
    place: Place,
    /// The open elements below the stream, outermost first.
    open: Vec<Open>,
    /// Bytes of the current header or top-level element that made complete events.
    spent: usize,
    /// Bytes read since the last complete event.
    pending: usize,
    /// Elements inside the current top-level element.
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeHeader,
    InStream,
    AfterFooter,
}

/// A start tag of which the attributes are still coming.
#[derive(Debug)]
struct Head {
    name: RawQName,
    attributes: Vec<(RawQName, String)>,
    seen: usize,
}

#[derive(Debug)]
struct Open {
    element: Element,
    /// Reached from the top level through content elements only.
    content: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        let options = Options { max_token_length: limits.attribute_bytes, ..Options::default() };
        Self {
            raw: RawParser::with_options(options),
            limits,
            scopes: Scopes::default(),
            head: None,
            place: Place::BeforeHeader,
            open: Vec::new(),
            spent: 0,
            pending: 0,
            count: 0,
        }
    }

    /// Changes how many bytes one top-level element may have: small before the peer is known.
    pub fn set_element_bytes(&mut self, bytes: usize) {
        self.limits.element_bytes = bytes;
    }

    /// Takes bytes from the front of `input` up to the end of the next item. `None` says that all
    /// of `input` is taken and more is needed.
    ///
    /// # Errors
    /// The peer broke the rules of XML or a limit; the stream ends with the error it names.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>, XmlError> {
        self.check_start(input)?;
        loop {
            let before = input.len();
            let result = self.raw.parse(input, false);
            self.pending += before - input.len();
            match result {
                Ok(Some(event)) => {
                    self.spent += std::mem::take(&mut self.pending);
                    let item = self.handle_event(event)?;
                    self.check_bytes()?;
                    if item.is_some() {
                        self.spent = 0;
                        return Ok(item);
                    }
                }
                Ok(None) => return Ok(None),
                Err(EndOrError::NeedMoreData) => {
                    self.check_bytes()?;
                    return Ok(None);
                }
                Err(EndOrError::Error(error)) => return Err(self.explain(error)),
            }
        }
    }

    /// What can be seen of the message at the front of `input` without reading it; `None` if that is
    /// not to be had, or something else is there. Behind it, parsing goes on as if it had not been.
    pub(crate) fn glimpse<'a>(&self, input: &'a [u8]) -> Option<Glimpse<'a>> {
        let between = self.place == Place::InStream && self.open.is_empty() && self.head.is_none();
        if !between || self.pending > 0 {
            return None;
        }
        Glimpse::at(input.get(..self.limits.element_bytes).unwrap_or(input))
    }

    /// Other protocols are told at once, not when a `<` happens to come.
    fn check_start(&self, input: &[u8]) -> Result<(), XmlError> {
        let fresh = self.place == Place::BeforeHeader && self.spent + self.pending == 0;
        match input.first() {
            Some(byte) if fresh && *byte != b'<' && !byte.is_ascii_whitespace() => {
                Err(XmlError::new(Condition::NotWellFormed, "not XML"))
            }
            _ => Ok(()),
        }
    }

    fn check_bytes(&self) -> Result<(), XmlError> {
        let bytes = self.spent + self.pending;
        match self.place {
            Place::BeforeHeader if bytes > self.limits.header_bytes => {
                Err(XmlError::policy("stream header too long"))
            }
            Place::InStream if bytes > self.limits.element_bytes => {
                Err(XmlError::policy("stanza too big"))
            }
            _ => Ok(()),
        }
    }

    fn handle_event(&mut self, event: RawEvent) -> Result<Option<Item>, XmlError> {
        match event {
            RawEvent::XmlDeclaration(..) => Ok(None),
            RawEvent::ElementHeadOpen(_, name) => self.open_head(name).map(|()| None),
            RawEvent::Attribute(_, name, value) => self.add_attribute(name, value).map(|()| None),
            RawEvent::ElementHeadClose(_) => self.close_head(),
            RawEvent::ElementFoot(_) => self.close_element(),
            RawEvent::Text(_, text) => self.add_text(text).map(|()| None),
        }
    }

    fn open_head(&mut self, name: RawQName) -> Result<(), XmlError> {
        self.check_name(&name)?;
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::policy("nested too deep"));
        }
        self.count += 1;
        if self.count > self.limits.elements {
            return Err(XmlError::policy("too many elements in one stanza"));
        }
        self.scopes.open();
        self.head = Some(Head { name, attributes: Vec::new(), seen: 0 });
        Ok(())
    }

    fn check_name(&self, (prefix, local): &RawQName) -> Result<(), XmlError> {
        let bytes = prefix.as_ref().map_or(0, |prefix| prefix.len()) + local.len();
        if bytes > self.limits.name_bytes {
            return Err(XmlError::policy("name too long"));
        }
        Ok(())
    }

    fn add_attribute(&mut self, name: RawQName, value: String) -> Result<(), XmlError> {
        self.check_name(&name)?;
        let Some(head) = self.head.as_mut() else { return Ok(()) };
        head.seen += 1;
        if head.seen > self.limits.attributes {
            return Err(XmlError::policy("too many attributes"));
        }
        match declared_prefix(name.0.as_ref(), &name.1) {
            Some(prefix) if is_xml_itself(prefix.as_ref(), &value) => Ok(()),
            Some(prefix) => self.scopes.declare(prefix, value).map_err(explain_scope),
            None => {
                head.attributes.push((name, value));
                Ok(())
            }
        }
    }

    fn close_head(&mut self) -> Result<Option<Item>, XmlError> {
        let Some(head) = self.head.take() else { return Ok(None) };
        let namespace = self.scopes.element(head.name.0.as_ref()).map_err(explain_scope)?;
        let mut attributes = AttrMap::new();
        for ((prefix, local), value) in head.attributes {
            let of = self.scopes.attribute(prefix.as_ref()).map_err(explain_scope)?;
            if attributes.insert(of, local, value).is_some() {
                return Err(explain_scope(ScopeError::Duplicate));
            }
        }
        let name = head.name.1.to_string();
        match self.place {
            Place::InStream => self.start_element(name, &namespace, attributes).map(|()| None),
            _ => Ok(Some(self.start_stream(name, &namespace, &mut attributes))),
        }
    }

    fn start_stream(
        &mut self,
        name: String,
        namespace: &Namespace<'static>,
        attributes: &mut AttrMap,
    ) -> Item {
        self.place = Place::InStream;
        self.count = 0;
        let mut take = |name: &str| attributes.remove(&Namespace::NONE, name);
        Item::Header(Header {
            name,
            namespace: namespace.to_string(),
            content: self.scopes.default_namespace().to_string(),
            from: take("from"),
            to: take("to"),
            id: take("id"),
            version: take("version"),
            lang: attributes.remove(&Namespace::XML, "lang"),
        })
    }

    fn start_element(
        &mut self,
        name: String,
        namespace: &Namespace<'static>,
        attributes: AttrMap,
    ) -> Result<(), XmlError> {
        let top = self.open.is_empty();
        if top && *namespace == ns::STREAM && name == "stream" {
            return Err(XmlError::new(Condition::BadFormat, "second stream header"));
        }
        let chained = self.open.last().is_none_or(|parent| parent.content);
        let content = chained && *namespace == ns::SERVER;
        let shown = if content { ns::CLIENT } else { namespace.as_str() };
        let mut element = Element::bare(name, shown);
        *element.attrs_mut() = attributes;
        self.open.push(Open { element, content });
        Ok(())
    }

    fn close_element(&mut self) -> Result<Option<Item>, XmlError> {
        self.scopes.close();
        let Some(done) = self.open.pop() else {
            self.place = Place::AfterFooter;
            return Ok(Some(Item::Footer));
        };
        match self.open.last_mut() {
            Some(parent) => {
                parent.element.append_child(done.element);
                Ok(None)
            }
            None => {
                self.count = 0;
                let misplaced = !done.content && done.element.has_ns(ns::CLIENT);
                Ok(Some(if misplaced { Item::Misplaced } else { Item::Element(done.element) }))
            }
        }
    }

    fn add_text(&mut self, text: String) -> Result<(), XmlError> {
        if let Some(parent) = self.open.last_mut() {
            parent.element.append_text(text);
            return Ok(());
        }
        // Whitespace between stanzas is a keepalive (RFC 6120 §4.6.1) and belongs to no stanza.
        self.spent = 0;
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(());
        }
        Err(XmlError::new(Condition::BadFormat, "text outside of stanzas"))
    }

    fn explain(&self, error: Error) -> XmlError {
        match error {
            Error::RestrictedXml("long name or reference" | "event too long") => {
                XmlError::policy("name or attribute too long")
            }
            Error::RestrictedXml("only utf-8 encoding is allowed") | Error::InvalidUtf8Byte(_) => {
                XmlError::new(Condition::UnsupportedEncoding, "only UTF-8 is spoken here")
            }
            Error::RestrictedXml(_) | Error::UndeclaredEntity => {
                XmlError::new(Condition::RestrictedXml, "comment, processing instruction, entity")
            }
            // "<!" that begins neither CDATA nor a comment: a DTD or a part of one.
            Error::InvalidSyntax("malformed cdata or comment section start") => {
                XmlError::new(Condition::RestrictedXml, "document type declaration")
            }
            _ => XmlError::new(Condition::NotWellFormed, "not well-formed"),
        }
    }
}

fn explain_scope(error: ScopeError) -> XmlError {
    match error {
        ScopeError::Undeclared => XmlError::new(Condition::NotWellFormed, "undeclared prefix"),
        ScopeError::Duplicate => XmlError::new(Condition::NotWellFormed, "duplicate attribute"),
        ScopeError::TooMany => XmlError::policy("too many namespace declarations"),
    }
}

/// Reads back one element that [`super::to_bytes`] wrote, or that came from elsewhere in the
/// context of a `jabber:server` stream.
///
/// # Errors
/// As [`Parser::next`]; also when `bytes` is not exactly one element.
pub fn from_bytes(bytes: &[u8], limits: Limits) -> Result<Element, XmlError> {
    let mut parser = Parser::new(limits);
    let mut header: &[u8] = b"<stream:stream xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'>";
    parser.next(&mut header)?;
    let mut rest = bytes;
    let item = parser.next(&mut rest)?;
    match item {
        Some(Item::Element(element)) if rest.iter().all(u8::is_ascii_whitespace) => Ok(element),
        _ => Err(XmlError::new(Condition::BadFormat, "not exactly one element")),
    }
}
