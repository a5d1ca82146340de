//! What we write, and how a stream of ours ends.

use bytes::Bytes;
use minidom::Element;

use super::{CloseReason, Event, Name, Role, State, Stream, StreamCondition, StreamError};
use crate::xml::{escape_attribute, ns, write_element};

impl Stream {
    /// Our header. The prefixes are literal because servers look for them literally.
    pub(super) fn write_header(&mut self) {
        self.out.push_str(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
             xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'",
        );
        let mut attribute = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                self.out.push_str(&format!(" {name}='{}'", escape_attribute(value)));
            }
        };
        attribute("from", self.local.as_ref().map(Name::own).as_deref());
        attribute("to", self.remote.as_ref().map(Name::written).as_deref());
        if let Role::Responder { .. } = self.role {
            attribute("id", Some(&self.id));
        }
        self.out.push_str(if self.legacy { ">" } else { " version='1.0'>" });
    }

    pub(super) fn write(&mut self, element: &Element) {
        write_element(element, &mut self.out);
    }

    pub(super) fn write_footer(&mut self) {
        self.out.push_str("</stream:stream>");
    }

    /// An error or a footer needs a header before it (RFC 6120 §4.9.1.2).
    pub(super) fn open_for_last_words(&mut self) {
        let answered = !matches!(self.state, State::Header | State::Decision(_));
        if matches!(self.role, Role::Responder { .. }) && !answered {
            self.write_header();
        }
    }

    /// A stream error and the footer, unless nothing can be said any more.
    pub(super) fn write_error(&mut self, error: &StreamError) {
        match self.state {
            State::Closed | State::Handshake => return,
            // The footer is out already.
            State::Closing => return,
            _ => {}
        }
        self.open_for_last_words();
        self.acknowledge_for_good();
        let mut element = Element::bare("error", ns::STREAM);
        element.append_child(error.condition.clone().into());
        if let Some(text) = &error.text {
            element.append_child(
                Element::builder("text", ns::STREAM_ERRORS).append(text.as_str()).build(),
            );
        }
        self.write(&element);
        self.write_footer();
    }

    /// Answers the peer's fault and ends the stream.
    pub(super) fn fail(&mut self, error: StreamError) {
        self.write_error(&error);
        self.end(CloseReason::Local(error));
    }

    pub(super) fn fail_with(&mut self, condition: StreamCondition) {
        self.fail(StreamError::new(condition));
    }

    /// Nothing happens after this.
    pub(super) fn end(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.release_early();
        self.push(Event::Closed(reason));
        self.state = State::Closed;
        self.held = Vec::new();
    }

    /// Queues an event; what was written before it is transmitted before it.
    pub(super) fn push(&mut self, event: Event) {
        if matches!(event, Event::StartTls { .. } | Event::Closed(_)) {
            self.flush();
        }
        self.events.push_back(event);
    }

    pub(super) fn flush(&mut self) {
        if !self.out.is_empty() {
            self.transmitted = self.said();
            let bytes = Bytes::from(std::mem::take(&mut self.out));
            self.events.push_back(Event::Transmit(bytes));
        }
    }
}
