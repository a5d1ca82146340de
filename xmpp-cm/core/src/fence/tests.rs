use openfed_proto::domain::Domain;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, PacketId};
use std::time::Duration;

use super::*;

fn pair(local: &str) -> Pair {
    let domain = |name| Domain::parse(name).unwrap();
    Pair::new(domain(local), domain("corp.example"))
}

fn address(jid: &str) -> Address {
    Address::from_jid(jid).unwrap()
}

fn message(number: u8, id: &str) -> Written {
    Written {
        key: key(number),
        id: id.to_owned(),
        from: address("bob@sip.example/phone"),
        to: address("alice@corp.example"),
        refused: None,
    }
}

fn keys(answered: Option<(ConnId, Vec<Written>)>) -> Option<Vec<Key>> {
    answered.map(|(_, messages)| messages.into_iter().map(|message| message.key).collect())
}

fn key(number: u8) -> Key {
    (PacketId([number; 16]), Instruction::Home)
}

#[expect(clippy::disallowed_methods, reason = "a scene needs some instant to count from")]
fn now() -> Instant {
    Instant::now()
}

fn line(local: &str, conn: u64) -> Line {
    Line { pair: pair(local), conn: ConnId(conn) }
}

/// Three messages: the first is behind a ping in flight, two wait for the next.
fn batch() -> (Fences, Instant) {
    let (mut fences, now) = (Fences::default(), now());
    let line = line("sip.example", 1);
    fences.wrote(line.clone(), message(1, "a"), now);
    assert_eq!(fences.next_due(), Some(line.clone()));
    fences.sent(line.clone(), "ping-1".into(), now, now + Duration::from_secs(10));
    fences.wrote(line.clone(), message(2, "b"), now);
    fences.wrote(line, message(3, "b"), now);
    assert_eq!(fences.next_due(), None, "one ping in flight");
    (fences, now)
}

#[test]
fn an_answer_proves_what_was_written_before_the_ping_and_no_more() {
    let (mut fences, now) = batch();
    assert_eq!(keys(fences.answered(&pair("sip.example"), "ping-1")), Some(vec![key(1)]));
    assert_eq!(fences.answered(&pair("sip.example"), "ping-1"), None, "once");
    let line = fences.next_due().unwrap();
    fences.sent(line, "ping-2".into(), now, now);
    assert_eq!(keys(fences.answered(&pair("sip.example"), "ping-2")), Some(vec![key(2), key(3)]));
    assert!(fences.is_empty());
}

#[test]
fn the_answer_counts_only_from_the_server_that_was_asked() {
    let (mut fences, _) = batch();
    assert_eq!(fences.answered(&pair("other.example"), "ping-1"), None);
    assert_eq!(fences.answered(&pair("sip.example"), "ping-2"), None);
}

#[test]
fn an_error_ends_the_one_message_that_it_names_the_older_first() {
    let (mut fences, _) = batch();
    let (user, sender) = (address("alice@corp.example"), address("bob@sip.example/phone"));
    let failure = Failure::new(Condition::NotAcceptable, Cause::Remote);
    let mut error = |id: &str, from: &Address, to: &Address| {
        let place = fences.refused(&pair("sip.example"), id, from, to)?;
        fences.refuse(&place, &failure)
    };
    assert_eq!(error("c", &user, &sender), None);
    assert_eq!(error("b", &user, &sender), Some(key(2)));
    assert_eq!(error("b", &user, &sender), Some(key(3)));
    assert_eq!(error("b", &user, &sender), None);
    assert_eq!(error("a", &user, &sender), Some(key(1)));
}

#[test]
fn an_error_in_another_form_of_the_address_is_the_outcome_too() {
    let (mut fences, now) = batch();
    fences.wrote(
        line("sip.example", 1),
        Written { to: address("carol@corp.example"), ..message(4, "b") },
        now,
    );
    let sender = address("bob@sip.example/phone");
    let failure = Failure::new(Condition::NotAcceptable, Cause::Remote);
    let mut error = |id: &str, from: &Address| {
        let place = fences.refused(&pair("sip.example"), id, from, &sender)?;
        fences.refuse(&place, &failure)
    };
    assert_eq!(error("b", &address("carol@corp.example")), Some(key(4)), "the likeliest");
    assert_eq!(error("b", &address("strasse@corp.example")), Some(key(2)), "the first of its id");
    assert_eq!(error("a", &address("strasse@corp.example")), Some(key(1)));
    assert_eq!(error("a", &address("strasse@corp.example")), None);
}

#[test]
fn a_ping_without_answer_ends_its_messages_and_lets_the_next_go() {
    let (mut fences, now) = batch();
    assert_eq!(fences.expire(now + Duration::from_secs(9)), []);
    let expired = fences.expire(now + Duration::from_secs(10));
    let line = line("sip.example", 1);
    assert_eq!(expired, [Expired { line, sent: now, messages: vec![message(1, "a")] }]);
    assert_eq!(fences.answered(&pair("sip.example"), "ping-1"), None, "too late");
    assert!(fences.next_due().is_some());
}

#[test]
fn a_lost_answer_keeps_nobody_waiting_but_those_whom_it_was_for() {
    let (mut fences, start) = batch();
    let line = line("sip.example", 1);
    fences.ask_again(start + PATIENCE / 2);
    assert_eq!(fences.next_due(), None);
    let later = start + PATIENCE;
    assert_eq!(fences.next_timer(), Some(later));
    fences.ask_again(later);
    assert_eq!(fences.next_due(), Some(line.clone()));
    fences.sent(line.clone(), "ping-2".into(), later, later + Duration::from_secs(10));
    // What follows waits for this one, and asks by itself once that takes long.
    fences.wrote(line.clone(), message(4, "d"), later);
    assert_eq!(fences.next_due(), None);
    fences.wrote(line.clone(), message(5, "e"), later + PATIENCE);
    assert_eq!(fences.next_due(), Some(line.clone()));
    fences.sent(line.clone(), "ping-3".into(), later + PATIENCE, later + PATIENCE);
    // Each proves what was written since the one before.
    assert_eq!(keys(fences.answered(&pair("sip.example"), "ping-3")), Some(vec![key(4), key(5)]));
    assert_eq!(keys(fences.answered(&pair("sip.example"), "ping-2")), Some(vec![key(2), key(3)]));
    let messages = vec![message(1, "a")];
    let expired = fences.expire(start + Duration::from_secs(10));
    assert_eq!(expired, [Expired { line, sent: start, messages }]);
    assert!(fences.is_empty());
    fences.ask_again(start + Duration::from_secs(10));
    assert_eq!((fences.next_due(), fences.next_timer()), (None, None));
}

#[test]
fn an_error_is_found_behind_any_ping() {
    let (mut fences, start) = batch();
    let later = start + PATIENCE;
    fences.ask_again(later);
    let line = fences.next_due().unwrap();
    fences.sent(line, "ping-2".into(), later, later + Duration::from_secs(10));
    let (user, sender) = (address("alice@corp.example"), address("bob@sip.example/phone"));
    let failure = Failure::new(Condition::NotAcceptable, Cause::Remote);
    for (id, of) in [("b", 2), ("a", 1), ("b", 3)] {
        let place = fences.refused(&pair("sip.example"), id, &user, &sender).unwrap();
        assert_eq!(fences.refuse(&place, &failure), Some(key(of)));
    }
}

#[test]
fn a_lost_stream_ends_what_was_written_on_it_and_nothing_else() {
    let (mut fences, now) = batch();
    fences.wrote(line("sip.example", 2), message(4, "d"), now);
    fences.wrote(line("two.example", 1), message(5, "e"), now);
    let mut lost =
        |conn| fences.lost(conn).into_iter().map(|(_, message)| message.key).collect::<Vec<_>>();
    assert_eq!(lost(ConnId(1)), [key(1), key(2), key(3), key(5)]);
    assert_eq!(fences.next_due(), Some(line("sip.example", 2)));
    assert_eq!(fences.next_due(), None);
    assert_eq!(fences.lost(ConnId(2)), [(pair("sip.example"), message(4, "d"))]);
    assert!(fences.is_empty());
}

#[test]
fn that_there_is_nobody_waits_for_the_ping_and_is_said_once() {
    let (mut fences, _) = batch();
    let (user, sender) = (address("alice@corp.example"), address("bob@sip.example/phone"));
    let failure = Failure::new(Condition::ItemNotFound, Cause::Remote);
    let place = fences.refused(&pair("sip.example"), "a", &user, &sender).unwrap();
    assert_eq!(fences.refuse(&place, &failure), None);
    assert!(fences.refused(&pair("sip.example"), "a", &user, &sender).is_none());
    let (_, messages) = fences.answered(&pair("sip.example"), "ping-1").unwrap();
    assert_eq!(messages, [Written { refused: Some(failure), ..message(1, "a") }]);
}
