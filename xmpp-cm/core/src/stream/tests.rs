//! Two streams wired to each other in memory, and streams against a peer that is typed in.

mod dialogue;
mod hostile;
mod managed;
mod random;
mod scripted;

use std::time::{Duration, Instant};

use super::*;

pub(super) fn domain(name: &str) -> Name {
    Name::parse(name).unwrap()
}

/// The moment at which every scene begins.
#[expect(clippy::disallowed_methods, reason = "a scene needs some instant to count from")]
pub(super) fn start() -> Instant {
    Instant::now()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn initiator(settings: Settings) -> Stream {
    let (local, remote) = (domain("a.example"), domain("b.example"));
    Stream::initiator(InitiatorConfig { local, remote, settings }, start())
}

pub(super) fn responder(settings: Settings) -> Stream {
    let mut next = 0;
    let mut random = || {
        next += 1;
        next
    };
    Stream::responder(ResponderConfig { settings }, &mut random, start())
}

pub(super) fn settings(tls: Tls) -> Settings {
    Settings { tls, ..Settings::default() }
}

/// Everything that a stream wants now: its text, and its events without the text.
pub(super) fn drain(stream: &mut Stream) -> (String, Vec<Event>) {
    let (mut text, mut events) = (String::new(), Vec::new());
    while let Some(event) = stream.next_event() {
        match event {
            Event::Transmit(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            event => events.push(event),
        }
    }
    (text, events)
}

pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    from='a.example' to='b.example' version='1.0'>";

/// A responder that has accepted [`HEADER`] and whose features are written.
pub(super) fn opened(settings: Settings) -> Stream {
    let mut stream = responder(settings);
    stream.handle_bytes(HEADER.as_bytes(), start());
    stream.accept_header(start());
    drain(&mut stream);
    stream
}

/// A responder to which `a.example` may send stanzas for `b.example`.
pub(super) fn authenticated(settings: Settings) -> Stream {
    let mut stream = opened(settings);
    stream.handle_bytes(b"<db:result from='a.example' to='b.example'>k</db:result>", start());
    stream.answer_dialback(&domain("a.example"), &domain("b.example"), &Verdict::Valid);
    drain(&mut stream);
    stream
}

/// The condition with which we closed.
pub(super) fn our_error(events: &[Event]) -> Option<StreamCondition> {
    match events.last() {
        Some(Event::Closed(CloseReason::Local(error))) => Some(error.condition.clone()),
        _ => None,
    }
}
