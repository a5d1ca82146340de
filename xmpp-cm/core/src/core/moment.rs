//! The moment at which a stream ends that its peer may write on and nobody here wants open.
//!
//! What a peer with stream management (XEP-0198) writes between our last words and its reading of
//! them stays with it, and it bounces that. So the stream ends when nothing has come for a while. Where
//! that does not happen less and less is asked for, down to a breath after a stanza: as a rule none
//! follows at once.
//!
//! ```text
//!   open ──unwanted──▶ waits ──silence, or patience is over──▶ closed
//!     ▲                  │
//!     └───wanted again───┘
//! ```

use std::time::{Duration, Instant};

use super::conn::Conn;
use crate::stream::Stream;

/// Which silence is asked for after what comes when a stream has been unwanted for so long. In steps:
/// a demand that shrinks slowly would be met just before the next stanza of a steady flow.
const SILENCE: [(Duration, Duration); 3] = [
    (Duration::from_secs(1), Duration::from_millis(2)),
    (Duration::from_millis(500), Duration::from_millis(8)),
    (Duration::ZERO, Duration::from_millis(60)),
];
/// No stream waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Since when a stream waits for its moment, and when that is if nothing comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwanted {
    since: Instant,
    pub(super) moment: Instant,
}

impl Unwanted {
    fn new(heard: Instant, now: Instant) -> Self {
        Self { since: now, moment: heard + silence_after(Duration::ZERO) }
    }

    /// Something came just now.
    pub(super) fn hear(&mut self, now: Instant) {
        let silence = silence_after(now.saturating_duration_since(self.since));
        self.moment = (now + silence).min(self.since + PATIENCE);
    }
}

fn silence_after(waited: Duration) -> Duration {
    let asked = SILENCE.iter().find(|(after, _)| waited >= *after);
    asked.map_or(Duration::ZERO, |(_, silence)| *silence)
}

impl Conn {
    /// Whether this is the moment, if the stream is unwanted. One that we opened needs none: nobody
    /// but us writes stanzas there.
    pub(super) fn may_end(&mut self, unwanted: bool, now: Instant) -> bool {
        if !unwanted || !self.is_accepted() {
            self.unwanted = None;
            return unwanted;
        }
        let mut it = self.unwanted.unwrap_or_else(|| Unwanted::new(self.heard, now));
        let begun = self.stream.as_ref().is_some_and(Stream::has_begun);
        let complete = begun && !self.inbox.is_held();
        let over = now >= it.since + PATIENCE;
        let ends = over || (complete && now >= it.moment);
        if !complete {
            it.hear(now);
        }
        self.unwanted = (!ends).then_some(it);
        ends
    }
}
