//! Stream management of what we send (XEP-0198): the peer says how many of our stanzas it has in
//! hand. No resumption: what it has not said so of when the stream ends is in doubt.
//!
//! ```text
//!   <enable/> ──▶ counted from here ──stanza, <r/>──▶ asked ──<a h=''/>──▶ so many have arrived
//! ```

use minidom::Element;

use super::{Event, State, Stream};
use crate::stanza::set;
use crate::xml::ns;

/// What was sent on a stream since we enabled management.
#[derive(Debug, Default)]
pub(super) struct Sending {
    sent: u64,
    arrived: u64,
    /// How many had been sent when it was asked last.
    asked: u64,
    /// That is not answered yet.
    waits: bool,
    /// Stanzas that came from the peer: errors for what it cannot read.
    heard: u32,
}

impl Sending {
    /// The peer's count, which wraps around (XEP-0198 §4), as a number of ours; `None` if so many
    /// were not sent.
    fn read(&self, h: &str) -> Option<u64> {
        let h: u32 = h.parse().ok()?;
        let known = u32::try_from(self.arrived & u64::from(u32::MAX)).ok()?;
        let more = h.wrapping_sub(known);
        Some(self.arrived + u64::from(more)).filter(|number| *number <= self.sent)
    }
}

impl Stream {
    /// Counts what is sent from now on.
    pub(super) fn count_sent(&mut self) {
        self.write(&Element::bare("enable", ns::MANAGEMENT));
        self.sending = Some(Sending::default());
    }

    /// A stanza of ours was written.
    pub(super) fn wrote_stanza(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.sent += 1;
        }
    }

    /// A stanza came on a stream that we opened.
    pub(super) fn heard_stanza(&mut self) {
        if let Some(sending) = &mut self.sending {
            sending.heard = sending.heard.wrapping_add(1);
        }
    }

    /// The number of the stanza that was written last, if the peer counts.
    pub(crate) fn sent(&self) -> Option<u64> {
        self.sending.as_ref().map(|sending| sending.sent)
    }

    /// An element of XEP-0198, on a stream that we opened.
    pub(super) fn handle_count(&mut self, element: &Element) {
        let Some(sending) = &mut self.sending else { return self.push(Event::Ignored) };
        match element.name() {
            "enabled" => {}
            "a" => match element.attr("h").and_then(|h| sending.read(h)) {
                Some(number) => {
                    sending.waits = false;
                    sending.arrived = number;
                    self.push(Event::Arrived(number));
                }
                None => self.push(Event::Ignored),
            },
            "r" if self.state != State::Open => {}
            "r" => {
                let mut answer = Element::bare("a", ns::MANAGEMENT);
                set(&mut answer, "h", &sending.heard.to_string());
                self.write(&answer);
            }
            "failed" => {
                self.sending = None;
                self.push(Event::Uncounted);
            }
            _ => self.push(Event::Ignored),
        }
    }

    /// The last answer was not all, and may be by now.
    pub(crate) fn ask_count_again(&mut self) {
        if let Some(sending) = &mut self.sending {
            (sending.waits, sending.asked) = (false, sending.arrived);
        }
    }

    /// Asks for the count, behind what was written. The peer may answer with less than it will have
    /// in the end, so it is asked again only for more.
    pub(super) fn ask_count(&mut self) {
        if self.state != State::Open {
            return;
        }
        if let Some(sending) = self.sending.as_mut().filter(|it| !it.waits && it.sent > it.asked) {
            (sending.waits, sending.asked) = (true, sending.sent);
            self.write(&Element::bare("r", ns::MANAGEMENT));
        }
    }
}
