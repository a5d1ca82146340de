use std::time::Duration;

use super::*;

/// A ledger of five messages, all of them sent.
fn five_sent() -> Ledger {
    let ledger = Ledger::new(3, 5);
    (0..5).for_each(|number| ledger.sent(number));
    ledger
}

fn sum(account: &Account) -> u32 {
    let listed = account.lost.len() + account.doubled.len();
    account.delivered + account.told + u32::try_from(listed).unwrap_or(u32::MAX)
}

#[test]
fn lost_and_doubled_messages_are_found_by_number() {
    let ledger = five_sent();
    let heard = |number, word| ledger.heard(ledger.mark(number), word, || "said".to_owned());
    // 0 arrives and is said to. 1 never arrives, though success is said. 2 arrives twice. 3 is
    // refused. 4 is refused and arrives all the same.
    ledger.arrived(ledger.mark(0), Some(10));
    ledger.arrived(ledger.mark(0), Some(10));
    ledger.arrived(ledger.mark(2), Some(12));
    ledger.arrived(ledger.mark(2), Some(13));
    ledger.arrived(ledger.mark(4), Some(14));
    heard(0, Word::Success);
    heard(1, Word::Success);
    heard(2, Word::Success);
    heard(3, Word::Failure);
    heard(4, Word::Failure);
    let account = ledger.total();
    assert_eq!((account.sent, account.delivered, account.told), (5, 1, 1));
    assert_eq!((account.lost.as_slice(), account.doubled.as_slice()), (&[1][..], &[2, 4][..]));
    assert_eq!(sum(&account), 5);
    assert_eq!(ledger.words(), BTreeMap::from([("said".to_owned(), 2)]));
}

#[test]
fn over_xmpp_what_arrives_needs_no_answer_and_what_comes_again_is_doubled() {
    let ledger = five_sent();
    ledger.arrived(ledger.mark(0), None);
    ledger.arrived(ledger.mark(1), None);
    ledger.arrived(ledger.mark(1), None);
    ledger.heard(ledger.mark(2), Word::Doubt, || "timed out".to_owned());
    ledger.arrived(ledger.mark(3), None);
    ledger.heard(ledger.mark(3), Word::Doubt, || "timed out".to_owned());
    let account = ledger.total();
    assert_eq!((account.delivered, account.doubtful, account.told), (2, 1, 1));
    assert_eq!((account.lost.as_slice(), account.doubled.as_slice()), (&[4][..], &[1][..]));
    assert_eq!(ledger.open(false), 1);
}

#[test]
fn a_late_message_is_counted_as_late_and_shows_in_the_times() {
    let ledger = Ledger::new(1, 100);
    for (number, slot) in (0..100).zip(&ledger.slots) {
        slot.sent.store(1000, Relaxed);
        slot.copies.store(1, Relaxed);
        slot.word.store(Word::Success as u8, Relaxed);
        let took = if number < 2 { 600_000 } else { 2_000 };
        slot.answered.store(1000 + took, Relaxed);
    }
    assert_eq!(ledger.total().late, 2);
    let times = ledger.times(true, Duration::ZERO, Duration::from_secs(1));
    assert_eq!(
        (times.at(500), times.at(990)),
        (Duration::from_millis(2), Duration::from_millis(600))
    );
    assert_eq!(ledger.done_within(true, Duration::ZERO, Duration::from_millis(10)), 98);
}

#[test]
fn what_belongs_to_another_stretch_is_not_counted() {
    let ledger = Arc::new(five_sent());
    ledger.arrived(Mark { stretch: 2, number: 0 }, None);
    assert_eq!(ledger.total().delivered, 0);
    let current = Current::default();
    current.add(&ledger);
    assert!(current.of(Mark { stretch: 2, number: 0 }).is_none());
    assert!(current.of(Mark { stretch: 3, number: 0 }).is_some());
}

#[test]
fn the_first_word_stands() {
    let ledger = five_sent();
    ledger.heard(ledger.mark(0), Word::Doubt, || "first".to_owned());
    ledger.heard(ledger.mark(0), Word::Success, || "second".to_owned());
    assert_eq!(ledger.words(), BTreeMap::from([("first".to_owned(), 1)]));
    assert_eq!(ledger.total().successes, 0);
}
