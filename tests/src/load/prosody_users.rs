//! The same load written and heard by a real client of a real Prosody, at the rates that they bear.

use std::time::Duration;

use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::message::{Id, Lang, Message};

use super::ledger::{Ledger, Word};
use super::mark::Mark;
use super::pace::Pace;
use super::template::PEOPLE;
use crate::Result;
use crate::xmpp_client::{XmppClient, condition};

/// How often it looks whether all have arrived.
const LOOK: Duration = Duration::from_millis(50);

/// Writes all, and waits until all have arrived or been answered, or `patience` is over.
pub(crate) fn run(
    user: &XmppClient,
    to: &str,
    ledger: &Ledger,
    pace: &Pace,
    patience: Duration,
) -> Result<()> {
    let mut next = 0;
    while let Some(due) = pace.due(next) {
        std::thread::sleep(due.saturating_sub(ledger.now()));
        let to = Jid::new(&format!("person{:03}@{to}", next % PEOPLE))?;
        let text = ledger.mark(next).text();
        let mut message = Message::chat(to).with_body(Lang::new(), text.clone());
        message.id = Some(Id(text));
        ledger.sent(next);
        user.send(message)?;
        next += 1;
    }
    let end = pace.length() + patience;
    while ledger.now() < end && ledger.open(false) > 0 {
        std::thread::sleep(LOOK);
        heard(user, ledger);
    }
    Ok(())
}

/// Enters what the user has heard, answers and messages.
pub(crate) fn heard(user: &XmppClient, ledger: &Ledger) {
    for stanza in user.stanzas.take() {
        let text = String::from(&stanza);
        let Some(mark) = Mark::find(text.as_bytes()) else { continue };
        match condition(&stanza) {
            Some(condition) => {
                let timed_out = condition == "remote-server-timeout";
                let word = if timed_out { Word::Doubt } else { Word::Failure };
                ledger.heard(mark, word, || condition);
            }
            None => ledger.arrived(mark, None),
        }
    }
}
