//! The first moments after SASL.
//!
//! COMPAT(Prosody): what waited for the stream goes out when the features are read, but what is
//! written from `<success/>` on goes out at once, and so before it. Therefore the features wait until
//! the peer has nothing to say, and what came before them is taken after what they let through. Nor
//! does it hear stanzas of ours before it has read them (XEP-0288), so until then nobody is told that
//! it is let in.
//!
//! ```text
//!   header ──▶ silence ──features──▶ what had waited ──<enable/> or silence──▶ what came before
//! ```

use std::time::{Duration, Instant};

use minidom::Element;

use super::{Direction, Event, Name, Stream};

/// So long nothing has come: nothing is under way.
const SILENCE: Duration = Duration::from_millis(25);
/// No longer than this, each time.
const PATIENCE: Duration = Duration::from_millis(500);
/// Stanzas that may wait for older ones.
const EARLY: usize = 1_000;

/// Our name and the peer's.
type Pair = (Name, Name);

#[derive(Debug)]
pub(super) struct Beginning {
    early: Vec<Element>,
    /// Who is let in when the features are out.
    proven: Option<(Pair, Direction)>,
    silence: Instant,
    patience: Instant,
}

impl Beginning {
    pub(super) fn new(pair: Pair, direction: Direction, now: Instant) -> Self {
        let (silence, patience) = (now + SILENCE, now + PATIENCE);
        Self { early: Vec::new(), proven: Some((pair, direction)), silence, patience }
    }

    pub(super) fn due(&self) -> Instant {
        self.silence.min(self.patience)
    }
}

impl Stream {
    /// Whether it is past the first moments after SASL.
    pub(crate) fn has_begun(&self) -> bool {
        self.beginning.is_none()
    }

    /// Something is waited for no longer, if it is time.
    pub(super) fn go_on_beginning(&mut self, now: Instant) {
        if self.beginning.as_ref().is_some_and(|it| it.due() <= now) {
            self.end_silence(now);
        }
    }

    fn end_silence(&mut self, now: Instant) {
        let Some(beginning) = &mut self.beginning else { return };
        if beginning.proven.is_none() || beginning.early.is_empty() {
            return self.begin();
        }
        (beginning.silence, beginning.patience) = (now + SILENCE, now + PATIENCE);
        self.write_features();
        self.let_in();
    }

    /// The stream is as any other from now on.
    pub(super) fn begin(&mut self) {
        if self.beginning.as_ref().is_some_and(|it| it.proven.is_some()) {
            self.write_features();
        }
        self.release_early();
    }

    /// Nothing older comes any more.
    pub(super) fn release_early(&mut self) {
        self.let_in();
        for stanza in self.beginning.take().into_iter().flat_map(|it| it.early) {
            self.push(Event::Stanza(stanza));
        }
    }

    fn let_in(&mut self) {
        let proven = self.beginning.as_mut().and_then(|it| it.proven.take());
        if let Some((pair, direction)) = proven {
            self.authenticated(pair, direction);
        }
    }

    /// A stanza came that may be taken. Gives it back if it need not wait for older ones.
    pub(super) fn take_early(&mut self, stanza: Element, now: Instant) -> Option<Element> {
        let Some(beginning) = &mut self.beginning else { return Some(stanza) };
        beginning.silence = now + SILENCE;
        if beginning.proven.is_none() {
            return Some(stanza);
        }
        beginning.early.push(stanza);
        if beginning.early.len() >= EARLY {
            self.end_silence(now);
        }
        None
    }
}
