//! What is dead or silent gives an exact error, and gives it in time.

use std::time::Duration;

use openfed_tests::sim::sip_peer::{Manner, Note};
use openfed_tests::sim::{Cm, LOCAL, NEXT_HOP, Node, OFFICE, Plan, Sim, Step};
use xmpp_cm_core::core::ConnectFailure;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A SIP user of ours writes, and waits for the answer: status and time.
#[track_caller]
fn sip_out(sim: &mut Sim) -> (u16, Duration) {
    sip(sim, OFFICE, Note::new(ALICE, BOB, "by sip"))
}

/// Somebody writes to a local user, and waits for the answer.
#[track_caller]
fn sip_in(sim: &mut Sim) -> (u16, Duration) {
    sip(sim, NEXT_HOP, Note::new(BOB, ALICE, "from outside"))
}

#[track_caller]
fn sip(sim: &mut Sim, peer: &'static str, note: Note) -> (u16, Duration) {
    sim.step(Step::Sip(peer, note));
    sim.pass(Duration::from_secs(60));
    let answer = sim.peer(peer).answers().pop().expect("a request");
    assert_eq!(answer.finals.len(), 1, "{answer:?}");
    (answer.finals[0], answer.took)
}

/// A local user writes by XMPP, and waits for the error: condition and time.
#[track_caller]
fn xmpp_out(sim: &mut Sim) -> (String, Duration) {
    let began = sim.now;
    sim.step(Step::Xmpp(LOCAL, Note::new(ALICE, BOB, "by xmpp")));
    sim.pass(Duration::from_secs(60));
    let (_, condition, at) = sim.home().errors.pop().expect("an error");
    (condition, at - began)
}

/// The services are there and know the tables.
fn fresh() -> Sim {
    Sim::new(&Plan::default())
}

/// The same, and `node` has been dead long enough for everybody to know.
fn without(node: Node) -> Sim {
    let mut sim = fresh();
    sim.step(Step::Kill(node));
    sim.pass(ms(1_000));
    sim
}

/// The same, but `node` hangs: its links and connections look well.
fn with_hung(node: Node) -> Sim {
    let mut sim = fresh();
    sim.step(Step::Hang(node));
    sim
}

#[track_caller]
fn within(budget: u64, (status, took): (u16, Duration)) -> u16 {
    assert!(took <= ms(budget), "{status} after {took:?}");
    status
}

#[track_caller]
fn told_within(budget: u64, (condition, took): (String, Duration)) -> String {
    assert!(took <= ms(budget), "{condition} after {took:?}");
    condition
}

#[test]
fn without_any_router_everybody_hears_at_once_that_it_is_temporary() {
    let mut sim = without(Node::Router(0));
    assert_eq!(within(10, sip_out(&mut sim)), 500);
    assert_eq!(within(10, sip_in(&mut sim)), 500);
    assert_eq!(told_within(50, xmpp_out(&mut sim)), "resource-constraint");
}

#[test]
fn a_router_that_hangs_or_dies_in_between_is_a_timeout_within_the_transaction() {
    let mut sim = with_hung(Node::Router(0));
    assert_eq!(within(31_500, sip_out(&mut sim)), 504);
    assert_eq!(within(31_500, sip_in(&mut sim)), 504);
    assert_eq!(told_within(33_500, xmpp_out(&mut sim)), "remote-server-timeout");

    let mut sim = fresh();
    sim.at(ms(3), Step::Kill(Node::Router(0)));
    assert_eq!(within(31_500, sip_out(&mut sim)), 504);
}

#[test]
fn without_any_xmpp_cm_unknown_domains_are_refused_at_once_and_known_ones_go_on() {
    let mut sim = fresh();
    assert_eq!(sip_out(&mut sim).0, 200);
    sim.step(Step::Kill(Node::Cm(Cm::Xmpp(0))));
    sim.pass(ms(1_000));
    assert_eq!(within(10, sip_out(&mut sim)), 200);

    let mut sim = without(Node::Cm(Cm::Xmpp(0)));
    assert_eq!(within(10, sip_out(&mut sim)), 404);
    assert_eq!(within(10, sip_in(&mut sim)), 403);
}

#[test]
fn an_xmpp_cm_that_hangs_costs_its_budget_and_one_that_dies_in_between_less() {
    let mut sim = with_hung(Node::Cm(Cm::Xmpp(0)));
    assert_eq!(within(9_000, sip_out(&mut sim)), 504);
    assert_eq!(within(9_000, sip_in(&mut sim)), 504);

    let mut sim = fresh();
    sim.dns.insert("partner.example".to_owned(), None);
    sim.at(ms(300), Step::Kill(Node::Cm(Cm::Xmpp(0))));
    // It might come back with what it has; 1.5 s later nobody waits for that any more.
    assert_eq!(within(2_500, sip_out(&mut sim)), 504);
}

#[test]
fn without_any_sip_cm_a_stanza_is_refused_at_once_and_with_a_hung_one_in_time() {
    let mut sim = without(Node::Cm(Cm::Sip(0)));
    assert_eq!(told_within(50, xmpp_out(&mut sim)), "resource-constraint");
    // The domain's time-out leaves the word of XMPP standing: E of the rules.
    let mut sim = with_hung(Node::Cm(Cm::Sip(0)));
    assert_eq!(told_within(33_500, xmpp_out(&mut sim)), "remote-server-not-found");
}

#[test]
fn a_dead_home_server_is_a_timeout_within_the_time_of_a_connection_or_a_fence() {
    let mut sim = fresh();
    sim.lose_home(ConnectFailure::Unreachable);
    assert_eq!(within(50, sip_in(&mut sim)), 504);
    assert!(sim.store.rows.is_empty());

    let mut sim = fresh();
    sim.home().is_mute = true;
    assert_eq!(within(8_000, sip_in(&mut sim)), 504);

    let mut sim = fresh();
    assert_eq!(sip_in(&mut sim).0, 200);
    sim.home().is_mute = true;
    assert_eq!(within(10_500, sip_in(&mut sim)), 504);
}

#[test]
fn a_dead_next_hop_leaves_the_word_of_xmpp_for_unknown_domains_and_is_a_timeout_for_known_ones() {
    let mut sim = fresh();
    sim.peer(NEXT_HOP).manner = Manner::Silent;
    assert_eq!(within(31_000, sip_out(&mut sim)), 404);
    assert_eq!(told_within(33_500, xmpp_out(&mut sim)), "remote-server-not-found");
    assert!(sim.store.rows.is_empty());

    let mut sim = fresh();
    assert_eq!(sip_out(&mut sim).0, 200);
    sim.peer(NEXT_HOP).manner = Manner::Silent;
    assert_eq!(within(31_500, sip_out(&mut sim)), 504);
    assert_eq!(told_within(33_500, xmpp_out(&mut sim)), "remote-server-timeout");
}

#[test]
fn a_next_hop_that_answers_503_does_not_condemn_us() {
    let mut sim = fresh();
    sim.peer(NEXT_HOP).manner = Manner::Status(503);
    assert_eq!(within(50, sip_out(&mut sim)), 500);
    assert_eq!(told_within(50, xmpp_out(&mut sim)), "internal-server-error");
    assert!(sim.store.rows.is_empty());
}

#[test]
fn what_dns_and_connections_say_decides_about_the_fallback() {
    for (kind, status, budget) in [
        (Some(ConnectFailure::NotFound), 200, 50),
        (Some(ConnectFailure::Unreachable), 200, 50),
        (None, 200, 8_500),
        (Some(ConnectFailure::Untrusted), 504, 50),
        (Some(ConnectFailure::Busy), 500, 50),
    ] {
        let mut sim = fresh();
        sim.dns.insert("partner.example".to_owned(), kind);
        assert_eq!(within(budget, sip_out(&mut sim)), status, "{kind:?}");
        assert_eq!(sim.store.rows.len(), usize::from(status == 200), "{kind:?}");
    }
}

#[test]
fn without_the_store_unknown_domains_are_put_off_at_once() {
    let mut sim = fresh();
    sim.step(Step::Store(false));
    sim.pass(ms(10));
    assert_eq!(within(10, sip_out(&mut sim)), 500);
    assert_eq!(within(10, sip_in(&mut sim)), 500);
    assert_eq!(told_within(50, xmpp_out(&mut sim)), "resource-constraint");
}
