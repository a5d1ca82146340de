//! Edits, each touching only its own header (RFC 3261 §16.6, §16.7).

use super::{Message, StartLine, WireError};
use crate::headers::{Header, HeaderId, NameAddr, Via, split_ranges};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// What Max-Forwards begins with where it was absent (RFC 3261 §16.6 step 3).
const FIRST_MAX_FORWARDS: u8 = 70;

impl Message {
    /// Sets the one header of this identity: replaces the first, removes others, or appends.
    pub fn set(&mut self, id: HeaderId, value: &str) {
        match self.headers.iter().position(|header| header.id() == id) {
            Some(at) => {
                self.replace_value(at, crate::headers::one_line(value).as_bytes());
                let mut index = 0;
                self.headers.retain(|header| {
                    index += 1;
                    header.id() != id || index == at + 1
                });
            }
            None => self.push(id.name(), value),
        }
    }

    /// Appends a header line.
    pub fn push(&mut self, name: &str, value: &str) {
        self.touch();
        self.headers.push(Header::new(name, value));
    }

    /// Inserts a header line before the first one of the same identity, or at the top.
    pub fn push_front(&mut self, id: HeaderId, value: &str) {
        self.touch();
        let at = self.headers.iter().position(|header| header.id() == id).unwrap_or(0);
        self.headers.insert(at, Header::new(id.name(), value));
    }

    /// Removes all header lines of this identity and says whether there were any.
    pub fn remove(&mut self, id: HeaderId) -> bool {
        self.retain(|header| header.id() != id)
    }

    /// Removes all header lines of this name and says whether there were any.
    pub fn remove_named(&mut self, name: &str) -> bool {
        self.retain(|header| !header.is_named(name))
    }

    /// Removes all header lines that `which` is true of.
    pub(crate) fn remove_lines(&mut self, which: impl Fn(&Header) -> bool) {
        self.retain(|header| !which(header));
    }

    /// Puts our own Via on top, as a line of its own (RFC 3261 §16.6 step 8).
    pub fn push_via(&mut self, value: &str) {
        self.push_front(HeaderId::Via, value);
    }

    /// Takes the topmost Via value off, alone or out of a comma-joined list (§16.7 step 3).
    ///
    /// # Errors
    /// As [`Message::top_via`]; the value is then left.
    pub fn pop_via(&mut self) -> Result<Via, WireError> {
        let via = self.top_via()?;
        self.pop_first(HeaderId::Via);
        Ok(via)
    }

    /// Writes into the top Via where the request really came from (RFC 3261 §18.2.1, RFC 3581).
    ///
    /// To be called once for each request that arrives, before anything else uses its Via.
    ///
    /// # Errors
    /// As [`Message::top_via`].
    pub fn mark_source(&mut self, source: SocketAddr) -> Result<(), WireError> {
        if let Some(value) = self.top_via()?.marked(source) {
            self.replace_first(HeaderId::Via, value.as_bytes());
        }
        Ok(())
    }

    /// Writes into the top Via which share of its requests the sender should keep back, if it asks
    /// (RFC 7339 §4). `unix_us`: the time, which orders what it is told.
    pub fn mark_control(&mut self, loss: u32, valid: Duration, unix_us: u64) {
        let via = self.header(HeaderId::Via).map(Header::value).unwrap_or_default();
        // Few ask: nobody else's Via is read for it.
        if !via.windows(2).any(|name| name.eq_ignore_ascii_case(b"oc")) {
            return;
        }
        let Ok(via) = self.top_via() else { return };
        if let Some(value) = via.controlled(loss, valid, unix_us) {
            self.replace_first(HeaderId::Via, value.as_bytes());
        }
    }

    /// Takes the topmost Route value off (RFC 3261 §16.4).
    ///
    /// # Errors
    /// [`WireError::Value`]; the value is then left.
    pub fn pop_route(&mut self) -> Result<Option<NameAddr>, WireError> {
        let Some(first) = self.addresses(HeaderId::Route)?.into_iter().next() else {
            return Ok(None);
        };
        self.pop_first(HeaderId::Route);
        Ok(Some(first))
    }

    /// Puts a Record-Route on top, as a line of its own (RFC 3261 §16.6 step 4).
    pub fn push_record_route(&mut self, value: &str) {
        self.push_front(HeaderId::RecordRoute, value);
    }

    /// Counts Max-Forwards down and says what is left; absent: 70 is put in (E-02).
    ///
    /// # Errors
    /// [`WireError::Value`] if it is malformed or already 0: to be answered 483 before this.
    pub fn decrement_max_forwards(&mut self) -> Result<u8, WireError> {
        let left = match self.max_forwards()? {
            Some(n) => n.checked_sub(1).ok_or(WireError::Value(HeaderId::MaxForwards))?,
            None => FIRST_MAX_FORWARDS,
        };
        self.set(HeaderId::MaxForwards, &left.to_string());
        Ok(left)
    }

    /// Replaces the Request-URI. No effect on a response.
    pub fn set_uri(&mut self, uri: &str) {
        if let StartLine::Request { method, .. } = &self.start {
            let method = method.clone();
            self.touch();
            let clean: String = uri.chars().filter(|c| !c.is_control() && *c != ' ').collect();
            self.start_raw = Bytes::from(format!("{method} {clean} SIP/2.0"));
            self.start = StartLine::Request { method, uri: clean.into() };
        }
    }

    /// Adds our tag to To unless it has one (RFC 3261 §8.2.6.2).
    pub fn set_to_tag(&mut self, tag: &str) {
        let tagged = self.to().is_ok_and(|to| to.tag().is_some());
        if let Some(at) = self.headers.iter().position(|h| h.id() == HeaderId::To)
            && !tagged
        {
            let mut value = self.headers.get(at).map(|h| h.value().to_vec()).unwrap_or_default();
            value.extend_from_slice(b";tag=");
            value.extend_from_slice(tag.as_bytes());
            self.replace_value(at, &value);
        }
    }

    /// Sets the body with its Content-Length and, if given, Content-Type.
    pub fn set_body(&mut self, content_type: Option<&str>, body: Bytes) {
        if let Some(content_type) = content_type {
            self.set(HeaderId::ContentType, content_type);
        }
        self.set(HeaderId::ContentLength, &body.len().to_string());
        self.body = body;
    }

    /// Leaves one line of From, To, Call-ID and CSeq each, so that an answer to a request that
    /// repeats them is sound itself.
    pub(super) fn keep_first_of_each(&mut self) {
        for id in [HeaderId::From, HeaderId::To, HeaderId::CallId, HeaderId::CSeq] {
            let mut count = 0;
            self.retain(|header| {
                count += usize::from(header.id() == id);
                header.id() != id || count == 1
            });
        }
    }

    fn touch(&mut self) {
        self.source = None;
    }

    fn retain(&mut self, keep: impl FnMut(&Header) -> bool) -> bool {
        let before = self.headers.len();
        self.headers.retain(keep);
        let removed = self.headers.len() < before;
        if removed {
            self.touch();
        }
        removed
    }

    fn replace_value(&mut self, at: usize, value: &[u8]) {
        self.touch();
        if let Some(header) = self.headers.get_mut(at) {
            *header = header.with_value(value);
        }
    }

    /// Replaces the first value of a list header, leaving the others as written.
    fn replace_first(&mut self, id: HeaderId, value: &[u8]) {
        let Some(at) = self.headers.iter().position(|header| header.id() == id) else { return };
        let written = self.headers.get(at).map(|h| h.value().to_vec()).unwrap_or_default();
        let end = split_ranges(&written).next().map_or(0, |first| first.end);
        let rest = written.get(end..).unwrap_or_default();
        self.replace_value(at, &[value, rest].concat());
    }

    fn pop_first(&mut self, id: HeaderId) {
        let Some(at) = self.headers.iter().position(|header| header.id() == id) else { return };
        let written = self.headers.get(at).map(|h| h.value().to_vec()).unwrap_or_default();
        let second = split_ranges(&written).nth(1);
        match second {
            Some(second) => {
                let rest = written.get(second.start..).unwrap_or_default();
                self.replace_value(at, rest);
            }
            None => {
                self.touch();
                self.headers.remove(at);
            }
        }
    }
}
