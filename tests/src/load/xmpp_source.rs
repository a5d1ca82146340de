//! Users of the home server who write to a SIP domain, at the times of a pace.

use std::time::Duration;

use super::home::Home;
use super::ledger::Ledger;
use super::mark::BLANK;
use super::pace::Pace;
use super::template::{PERSON, Template};
use crate::openfed::LOCAL;

/// What is due within this is written together, as servers do with what they have at hand.
const SLICE: Duration = Duration::from_millis(1);
/// How often it looks whether all have arrived.
const LOOK: Duration = Duration::from_millis(50);
/// The text of a message, to its usual length.
const TEXT: &str = "Shall we meet at noon, as we said, or a little later? Bring the papers along.";

/// Writes all, and waits until all have arrived or been answered, or `patience` is over.
pub fn run(home: &Home, to: &str, ledger: &Ledger, pace: &Pace, patience: Duration) {
    let mut template = Template::new(format!(
        "<message type='chat' id='{BLANK}' from='{PERSON}@{LOCAL}/desk' to='{PERSON}@{to}'>\
         <body>{BLANK} {TEXT}</body></message>"
    ));
    let (mut next, mut paused) = (0, Duration::ZERO);
    while let Some(due) = pace.due(next) {
        if home.is_quiet() {
            std::thread::sleep(LOOK);
            paused = ledger.now().saturating_sub(due);
            continue;
        }
        let now = ledger.now().saturating_sub(paused);
        if due > now {
            std::thread::sleep((due - now).max(SLICE));
            continue;
        }
        home.say(|out| {
            while pace.due(next).is_some_and(|due| due <= now) {
                ledger.sent(next);
                out.extend_from_slice(template.fill(ledger.mark(next), 0));
                next += 1;
            }
        });
    }
    let end = pace.length() + paused + patience;
    while ledger.now() < end && ledger.open(false) > 0 {
        std::thread::sleep(LOOK);
    }
}
