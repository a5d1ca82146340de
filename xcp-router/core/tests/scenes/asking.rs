//! XMPP is asked again about domains without a proof.

use std::time::Duration;

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground, Settled};
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Ending, PacketId, Protocol, Role};
use xcp_router_core::{Event, StoreFact};

use crate::scene::*;

const MINUTE: Duration = Duration::from_secs(60);

fn unproven(asked: u32, due: u64) -> Ground {
    Ground { finding: Finding::Silent, asked, due }
}

/// The store says that it is due, and the router takes the question.
fn claimed(scene: &mut Scene, name: &str, ground: Ground) -> (PacketId, u64) {
    scene.router.handle_due(vec![(domain(name), ground)], scene.now);
    scene.collect();
    let (id, of, due, next) = claim(scene);
    assert_eq!((of, due), (domain(name), ground.due));
    scene.router.handle_claimed(id, true, scene.now);
    scene.collect();
    (id, next)
}

fn claim(scene: &mut Scene) -> (PacketId, Domain, u64, u64) {
    let Act::Claim { id, domain, due, next } = scene.act() else { panic!("no claim") };
    (id, domain, due, next)
}

fn settled(scene: &mut Scene) -> (Domain, Settled) {
    let Act::Settle { domain, settled } = scene.act() else { panic!("nothing is settled") };
    (domain, settled)
}

/// A question that ends so, and what became of it.
fn asked(ending: Ending) -> (Scene, Option<Settled>) {
    let mut scene = Scene::open();
    claimed(&mut scene, "foreign.example", unproven(0, 1));
    scene.play(Instruction::Probe, XMPP, ending);
    let settled = (!scene.acts().is_empty()).then(|| settled(&mut scene).1);
    scene.quiet();
    let told = scene.events.iter().find_map(|event| match event {
        Event::AskedAgain { settled } => Some(*settled),
        _ => None,
    });
    assert_eq!(told, Some(settled));
    (scene, settled)
}

#[test]
fn xmpp_is_asked_without_a_message_and_a_row_goes_when_it_answers() {
    let mut scene = Scene::open();
    let (id, _) = claimed(&mut scene, "foreign.example", unproven(0, 1));
    let (link, attempt, _) = scene.attempt();
    assert_eq!((link, attempt.instruction), (XMPP, Instruction::Probe));
    assert_eq!(attempt.packet.to.to_jid(), "foreign.example");
    assert_eq!(attempt.packet.from.to_jid(), "corp.example");
    assert!(attempt.packet.original.bytes.is_empty() && attempt.packet.id == id);
    scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
    assert_eq!(settled(&mut scene), (domain("foreign.example"), Settled::Reached));
    scene.quiet();
    assert_eq!(scene.router.in_flight(), 0);
}

#[test]
fn only_xmpp_that_works_takes_a_row_away_and_only_dns_proves_it() {
    assert_eq!(asked(delivered(Protocol::Xmpp)).1, Some(Settled::Reached));
    assert_eq!(asked(absent()).1, Some(Settled::Absent));
    for cause in [
        Cause::NotFound,
        Cause::Unreachable,
        Cause::HostUnknown,
        Cause::Remote,
        Cause::Untrusted,
        Cause::Busy,
        Cause::Policy,
    ] {
        assert_eq!(asked(found(cause, Finding::Refused)).1, None, "{cause:?}");
    }
}

#[test]
fn a_domain_whose_row_goes_is_reached_over_xmpp_at_once() {
    let (mut scene, _) = asked(delivered(Protocol::Xmpp));
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, found(Cause::Unreachable, Finding::Silent));
    assert!(!is_delivered(&scene.finished()), "an outage does not make it a SIP domain again");
}

#[test]
fn the_time_between_questions_doubles_up_to_a_day() {
    let mut scene = Scene::open();
    let mut waits = Vec::new();
    for asked in [0, 1, 2, 6, 7, 50, u32::MAX] {
        let (_, next) = claimed(&mut scene, "foreign.example", unproven(asked, 1));
        waits.push((next - scene.now.unix_s()) / 60);
        scene.play(Instruction::Probe, XMPP, found(Cause::Unreachable, Finding::Silent));
        scene.pass(MINUTE);
    }
    assert_eq!(waits, [20, 40, 80, 1280, 1440, 1440, 1440]);
}

#[test]
fn of_two_routers_one_asks() {
    let mut scene = Scene::open();
    let due = vec![(domain("foreign.example"), unproven(0, 1))];
    scene.router.handle_due(due.clone(), scene.now);
    scene.collect();
    let (id, ..) = claim(&mut scene);
    // The same again, while the store is still thinking.
    scene.router.handle_due(due, scene.now);
    scene.router.handle_claimed(id, false, scene.now);
    scene.collect();
    scene.quiet();
}

#[test]
fn few_are_asked_at_once_and_the_next_ones_soon() {
    let mut scene = Scene::open();
    let due = (0..9).map(|n| (domain(&format!("d{n}.example")), unproven(0, 1))).collect();
    scene.router.handle_due(due, scene.now);
    scene.collect();
    let ids: Vec<_> = (0..4).map(|_| claim(&mut scene).0).collect();
    scene.quiet();
    for id in ids {
        scene.router.handle_claimed(id, true, scene.now);
        scene.collect();
        scene.play(Instruction::Probe, XMPP, found(Cause::Unreachable, Finding::Silent));
    }
    scene.looked.clear();
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.looked, [(scene.now.unix_s(), 4)]);
}

#[test]
fn the_store_is_asked_once_a_minute_and_only_by_who_could_ask() {
    let mut scene = Scene::open();
    scene.pass(5 * MINUTE);
    assert_eq!(scene.looked.len(), 5);
    scene.store(StoreFact::Down);
    scene.pass(5 * MINUTE);
    scene.store(StoreFact::Up);
    scene.unlink(XMPP);
    scene.pass(5 * MINUTE);
    assert_eq!(scene.looked.len(), 5);
    scene.link_as(Role::XmppCm, "xmpp-1", 2, 8);
    scene.pass(MINUTE);
    assert_eq!(scene.looked.len(), 6);
    scene.forget_frames();
}

#[test]
fn a_question_whose_xmpp_cm_is_gone_or_silent_is_over() {
    let mut scene = Scene::open();
    claimed(&mut scene, "a.example", unproven(0, 1));
    scene.expect(Instruction::Probe, XMPP);
    scene.unlink(XMPP);
    let again = scene.link_as(Role::XmppCm, "xmpp-1", 2, 8);
    scene.forget_frames();
    claimed(&mut scene, "a.example", unproven(1, 2));
    let silent = scene.expect(Instruction::Probe, again);
    scene.pass(Duration::from_secs(9));
    // An answer that comes too late is none.
    scene.end(again, &silent, delivered(Protocol::Xmpp));
    scene.quiet();
    claimed(&mut scene, "a.example", unproven(2, 3));
    let attempt = scene.expect(Instruction::Probe, again);
    assert_ne!(attempt.packet.id, silent.packet.id);
}
