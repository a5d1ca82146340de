//! The documented hop and its neighbours: who is asked, who answers, what is remembered.

use std::time::Duration;

use openfed_proto::route::Origin;
use openfed_tests::sim::sip_peer::{Manner, Note};
use openfed_tests::sim::{LOCAL, NEXT_HOP, OFFICE, Plan, Seen, Sim, Step, domain};

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

fn second() -> Duration {
    Duration::from_secs(1)
}

/// The statuses of all requests that a peer sent.
fn statuses(sim: &mut Sim, peer: &str) -> Vec<Vec<u16>> {
    sim.peer(peer).answers().into_iter().map(|answer| answer.finals).collect()
}

#[test]
fn a_sip_message_to_an_unknown_domain_takes_the_documented_hop_and_the_next_goes_straight() {
    let mut sim = Sim::new(&Plan::default());

    sim.step(Step::Sip(OFFICE, Note::new(ALICE, BOB, "1")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, OFFICE), [[200]]);
    assert_eq!(sim.peer(NEXT_HOP).got, [Note::new(ALICE, BOB, "1")]);
    assert_eq!(sim.store.rows.get(&domain("partner.example")), Some(&Origin::Discovered));
    assert_eq!(sim.seen.connects.get("partner.example"), Some(&1));
    // Submit, Reach and its end, Discover and its end, the outcome.
    assert_eq!(sim.seen.frames, 6);

    sim.seen = Seen::default();
    sim.step(Step::Sip(OFFICE, Note::new(ALICE, BOB, "2")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, OFFICE), [[200], [200]]);
    assert_eq!(sim.peer(NEXT_HOP).got.len(), 2);
    assert_eq!(sim.seen, Seen::default(), "no frame, no connection");
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn a_stanza_to_an_unknown_domain_takes_the_same_hop_and_the_next_makes_no_xmpp_attempt() {
    let mut sim = Sim::new(&Plan::default());

    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, BOB, "1")));
    sim.pass(second());

    assert_eq!(sim.peer(NEXT_HOP).got, [Note::new(ALICE, BOB, "1")]);
    assert_eq!(sim.home().errors, []);
    assert_eq!(sim.store.rows.get(&domain("partner.example")), Some(&Origin::Discovered));
    assert_eq!(sim.seen.frames, 6);

    sim.seen = Seen::default();
    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, BOB, "2")));
    sim.pass(second());

    assert_eq!(sim.peer(NEXT_HOP).got.len(), 2);
    assert_eq!(sim.seen.connects.get("partner.example"), None);
    // Submit, Send and its end, the outcome.
    assert_eq!(sim.seen.frames, 4);
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn an_inbound_request_of_an_unknown_domain_is_accepted_and_leaves_a_row() {
    let mut sim = Sim::new(&Plan::default());

    sim.step(Step::Sip(NEXT_HOP, Note::new(BOB, ALICE, "1")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, NEXT_HOP), [[200]]);
    assert_eq!(sim.home().got, [Note::new(BOB, ALICE, "1")]);
    assert_eq!(sim.store.rows.get(&domain("partner.example")), Some(&Origin::Discovered));
    assert_eq!(sim.seen.connects.get("partner.example"), Some(&1));
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn a_user_that_the_home_server_does_not_know_is_404_and_leaves_no_row() {
    let mut sim = Sim::new(&Plan::default());
    sim.home().strangers.insert("nobody".to_owned());

    sim.step(Step::Sip(NEXT_HOP, Note::new(BOB, "nobody@corp.example", "1")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, NEXT_HOP), [[404]]);
    assert!(sim.store.rows.is_empty());
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn a_404_of_the_next_hop_comes_back_as_it_is_to_sip_and_as_item_not_found_to_xmpp() {
    let mut sim = Sim::new(&Plan::default());
    sim.peer(NEXT_HOP).manner = Manner::Status(404);

    sim.step(Step::Sip(OFFICE, Note::new(ALICE, BOB, "1")));
    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, "bob@other.example", "2")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, OFFICE), [[404]]);
    let errors: Vec<String> =
        sim.home().errors.iter().map(|(.., error, _)| error.clone()).collect();
    assert_eq!(errors, ["item-not-found"]);
    assert!(sim.store.rows.is_empty());
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn a_domain_that_speaks_xmpp_gets_xmpp_and_no_row() {
    let mut sim = Sim::new(&Plan::default());
    sim.add_server("partner.example");

    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, BOB, "1")));
    sim.step(Step::Sip(OFFICE, Note::new(ALICE, BOB, "2")));
    sim.pass(second());

    // They came in at two places at once, so neither is the first.
    sim.server("partner.example").got.sort();
    assert_eq!(
        sim.server("partner.example").got,
        [Note::new(ALICE, BOB, "1"), Note::new(ALICE, BOB, "2")]
    );
    assert_eq!(statuses(&mut sim, OFFICE), [[200]]);
    assert_eq!(sim.peer(NEXT_HOP).got, []);
    assert!(sim.store.rows.is_empty());
    assert_eq!(sim.unfinished(), 0);
}

#[test]
fn a_closed_feature_is_invisible() {
    let mut sim = Sim::new(&Plan { open: false, ..Plan::default() });

    sim.step(Step::Sip(OFFICE, Note::new(ALICE, BOB, "1")));
    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, BOB, "2")));
    sim.pass(second());

    assert_eq!(statuses(&mut sim, OFFICE), [[404]]);
    let errors: Vec<String> =
        sim.home().errors.iter().map(|(.., error, _)| error.clone()).collect();
    assert_eq!(errors, ["remote-server-not-found"]);
    assert_eq!(sim.peer(NEXT_HOP).got, []);
    assert_eq!(sim.unfinished(), 0);
}
