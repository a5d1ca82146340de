//! Stream management of what the peer sends (XEP-0198): it learns how many of its stanzas are in
//! safety, so that it keeps or bounces the others when the stream breaks. No resumption: what was
//! acknowledged is answered, whatever becomes of the stream.
//!
//! ```text
//!   <enable/> ──▶ counted from here ──stanza──▶ taken ──handled──▶ the first ones without a gap
//!                                                                    │
//!                              <r/> ──▶ <a h='how many those are'/> ─┘ and again when it is more
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use minidom::Element;

use super::{Event, State, Stream};
use crate::stanza::set;
use crate::xml::ns;

/// Answers of which the peer hears at once, though it has not asked since.
const UNTOLD: u64 = 64;
/// Who asks is not answered twice: at once with the old number, and again with the new one. But it
/// waits no longer than this (XEP-0198 §4).
const ANSWER: Duration = Duration::from_millis(100);

/// What came on a stream since its peer enabled management.
#[derive(Debug, Default)]
pub(super) struct Management {
    taken: u64,
    /// So many from the first one on are answered or safe.
    handled: u64,
    /// Of those behind them: which are.
    rest: VecDeque<bool>,
    /// What the peer heard last.
    told: u64,
    /// The peer asked when so many had come, and has not heard that all of those are safe.
    asked: Option<u64>,
    /// It hears the next news at once.
    news_due: bool,
    /// By then it hears the number as it is: it has asked, and has not heard anything since.
    answer_by: Option<Instant>,
}

impl Management {
    pub(super) fn take(&mut self) -> u64 {
        self.taken += 1;
        self.rest.push_back(false);
        self.taken
    }

    fn handle(&mut self, number: u64) {
        let Some(place) = number.checked_sub(self.handled + 1) else { return };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if let Some(it) = self.rest.get_mut(place) {
            *it = true;
        }
        while self.rest.front() == Some(&true) {
            self.rest.pop_front();
            self.handled += 1;
        }
    }

    fn handle_all(&mut self) {
        self.handled = self.taken;
        self.rest.clear();
    }

    fn ask(&mut self, now: Instant) {
        self.asked = Some(self.taken);
        self.news_due = true;
        self.answer_by.get_or_insert(now + ANSWER);
    }

    /// What is to be told now.
    fn due(&mut self) -> Option<u64> {
        let all = self.asked.is_some_and(|asked| self.handled >= asked);
        let news = self.handled - self.told;
        if !all && news < UNTOLD && !(self.news_due && news > 0) {
            return None;
        }
        if all {
            self.asked = None;
        }
        Some(self.tell())
    }

    fn tell(&mut self) -> u64 {
        self.news_due = false;
        self.answer_by = None;
        self.told = self.handled;
        self.handled
    }
}

impl Stream {
    /// An element of XEP-0198.
    pub(super) fn handle_management(&mut self, element: &Element, now: Instant) {
        match element.name() {
            "enable" if self.management.is_none() && !self.pairs.is_empty() => {
                self.begin();
                self.management = Some(Management::default());
                self.write(&Element::bare("enabled", ns::MANAGEMENT));
            }
            "enable" | "resume" => {
                let mut failed = Element::bare("failed", ns::MANAGEMENT);
                failed.append_child(Element::bare("unexpected-request", ns::STANZA_ERRORS));
                self.write(&failed);
            }
            "r" => {
                if let Some(management) = &mut self.management {
                    management.ask(now);
                }
            }
            // Nothing of ours is kept for an acknowledgement.
            _ => {}
        }
    }

    /// A stanza that may be taken is an event, with its number if there is management.
    pub(super) fn take(&mut self, stanza: Element, now: Instant) {
        let Some(stanza) = self.take_early(stanza, now) else { return };
        let event = match &mut self.management {
            Some(management) if self.state != State::Closing => {
                Event::Counted(stanza, management.take())
            }
            _ => Event::Stanza(stanza),
        };
        self.push(event);
    }

    /// A stanza was answered without being read.
    pub(crate) fn turned_away(&mut self) {
        if let Some(management) = &mut self.management {
            let number = management.take();
            management.handle(number);
        }
    }

    /// The stanza with this number ([`Event::Counted`]) is answered, was passed on, or is kept by
    /// somebody who survives this process.
    pub fn handled(&mut self, number: u64) {
        if let Some(management) = &mut self.management {
            management.handle(number);
        }
    }

    /// The peer hears at once of what was handled, whether it has asked or not.
    pub(crate) fn tell_handled(&mut self) {
        if let Some(management) = &mut self.management {
            management.news_due = true;
        }
    }

    /// The last word before the end: all that has come will be answered, for it is the stream alone
    /// that ends. What comes behind this stays with the peer.
    pub(super) fn acknowledge_for_good(&mut self) {
        if let Some(management) = &mut self.management {
            management.handle_all();
            management.news_due = true;
        }
        self.acknowledge();
    }

    /// Writes how many are in safety, when it is time: after the events of what came.
    pub(super) fn acknowledge(&mut self) {
        let Some(handled) = self.management.as_mut().and_then(Management::due) else { return };
        self.write_handled(handled);
    }

    /// Whoever has asked has waited for news long enough.
    pub(super) fn answer_at_last(&mut self, now: Instant) {
        let Some(management) = &mut self.management else { return };
        if management.answer_by.is_some_and(|at| at <= now) {
            let handled = management.tell();
            self.write_handled(handled);
        }
    }

    pub(super) fn answer_by(&self) -> Option<Instant> {
        self.management.as_ref()?.answer_by
    }

    fn write_handled(&mut self, handled: u64) {
        // It wraps around (XEP-0198 §4).
        let h = handled & u64::from(u32::MAX);
        let mut element = Element::bare("a", ns::MANAGEMENT);
        set(&mut element, "h", &h.to_string());
        self.write(&element);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_of_the_first_ones_without_a_gap() {
        let mut management = Management::default();
        let numbers: Vec<u64> = (0..4).map(|_| management.take()).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        management.ask(crate::stream::tests::start());
        assert_eq!(management.due(), None, "who asks is answered when there is news");
        management.handle(2);
        management.handle(2);
        management.handle(4);
        assert_eq!(management.due(), None);
        management.handle(1);
        assert_eq!((management.handled, management.due(), management.due()), (2, Some(2), None));
        management.handle(3);
        assert_eq!(management.due(), Some(4), "all that had come when the peer asked");
        management.handle(9);
        management.handle(0);
        assert_eq!((management.handled, management.due()), (4, None));
        for _ in 0..UNTOLD {
            let number = management.take();
            management.handle(number);
        }
        assert_eq!(management.due(), Some(4 + UNTOLD));
    }
}
