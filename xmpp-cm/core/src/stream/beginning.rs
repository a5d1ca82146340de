//! The first moments after SASL.
//!
//! COMPAT(Prosody): what waited for the stream goes out when the features are read, but what is
//! written from `<success/>` on goes out at once, and so before it. Therefore the features wait until
//! the peer has nothing to say, and what came before them is taken after what they let through:
//!
//! ```text
//!   header ──▶ silence ──features──▶ what had waited ──<enable/> or silence──▶ what came before
//! ```

use std::time::{Duration, Instant};

use minidom::Element;

use super::{Event, Stream};

/// So long nothing has come: nothing is under way.
const SILENCE: Duration = Duration::from_millis(25);
/// No longer than this, each time.
const PATIENCE: Duration = Duration::from_millis(500);
/// Stanzas that may wait for older ones.
const EARLY: usize = 1_000;

#[derive(Debug)]
pub(super) struct Beginning {
    early: Vec<Element>,
    /// The features are out.
    told: bool,
    silence: Instant,
    patience: Instant,
}

impl Beginning {
    pub(super) fn new(now: Instant) -> Self {
        Self { early: Vec::new(), told: false, silence: now + SILENCE, patience: now + PATIENCE }
    }

    pub(super) fn due(&self) -> Instant {
        self.silence.min(self.patience)
    }
}

impl Stream {
    /// Something is waited for no longer, if it is time.
    pub(super) fn go_on_beginning(&mut self, now: Instant) {
        if self.beginning.as_ref().is_some_and(|it| it.due() <= now) {
            self.end_silence(now);
        }
    }

    fn end_silence(&mut self, now: Instant) {
        let Some(beginning) = &mut self.beginning else { return };
        if beginning.told || beginning.early.is_empty() {
            return self.begin();
        }
        let early = std::mem::take(&mut beginning.early);
        self.beginning = Some(Beginning { early, told: true, ..Beginning::new(now) });
        self.write_features();
    }

    /// The stream is as any other from now on.
    pub(super) fn begin(&mut self) {
        if self.beginning.as_ref().is_some_and(|it| !it.told) {
            self.write_features();
        }
        self.release_early();
    }

    /// Nothing older comes any more.
    pub(super) fn release_early(&mut self) {
        for stanza in self.beginning.take().into_iter().flat_map(|it| it.early) {
            self.push(Event::Stanza(stanza));
        }
    }

    /// A stanza came that may be taken. Gives it back if it need not wait for older ones.
    pub(super) fn take_early(&mut self, stanza: Element, now: Instant) -> Option<Element> {
        let Some(beginning) = &mut self.beginning else { return Some(stanza) };
        beginning.silence = now + SILENCE;
        if beginning.told {
            return Some(stanza);
        }
        beginning.early.push(stanza);
        if beginning.early.len() >= EARLY {
            self.end_silence(now);
        }
        None
    }
}
