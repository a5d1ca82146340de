//! Links come and go, windows fill: every packet still ends exactly once.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Instruction, Refused};
use openfed_proto::packet::{
    Cause, Direction, Ending, Failure, Outcome, Packet, PacketId, Protocol, Role, TraceContext,
};
use openfed_proto::route::Origin;
use xcp_router_core::{Decision, Event, LinkId, TableChange};

use crate::scene::*;

/// By then an instance whose link was lost is given up.
const GONE: Duration = Duration::from_millis(1_500);

#[test]
fn the_attempt_of_a_lost_link_goes_to_another_instance_with_the_same_id() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("foreign.example");
    let id = scene.submit(XMPP, packet);
    scene.expect(Instruction::Reach, XMPP);
    let other = scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    scene.unlink(XMPP);
    scene.quiet();
    scene.pass(GONE);
    let attempt = scene.expect(Instruction::Reach, other);
    assert_eq!((attempt.packet.id, attempt.number), (id, 2));
    // Its origin was the lost instance, which comes back for the outcome.
    scene.end(other, &attempt, delivered(Protocol::Xmpp));
    let finished = scene.finished();
    assert_eq!(finished.link, None);
    let back = scene.link(Role::XmppCm, "xmpp-1");
    let outcome = (0..3).map(|_| scene.frame_to(back)).last();
    assert!(matches!(outcome, Some(FromRouter::Outcome(outcome)) if outcome.id == id));
    // It is sent once.
    scene.unlink(back);
    scene.link(Role::XmppCm, "xmpp-1");
    assert!(scene.acts().len() == 2, "tables and invalidation only");
    scene.forget_frames();
}

#[test]
fn without_another_instance_a_lost_link_is_a_temporary_failure() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.expect(Instruction::Probe, XMPP);
    scene.unlink(XMPP);
    scene.pass(GONE);
    let finished = scene.finished();
    assert_eq!(why(&finished), (Condition::ResourceConstraint, Cause::Leaving));
}

#[test]
fn an_instance_that_comes_back_at_once_gets_its_own_attempt_again() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    let first = scene.expect(Instruction::Probe, XMPP);
    scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    scene.unlink(XMPP);
    scene.pass(GONE / 2);
    let back = scene.link(Role::XmppCm, "xmpp-1");
    scene.forget_frames();
    let again = scene.expect(Instruction::Probe, back);
    assert_eq!((again.packet.id, again.number), (first.packet.id, first.number));
    scene.pass(GONE);
    scene.quiet();
    scene.end(back, &again, failed(Condition::RemoteServerTimeout, Cause::Untrusted));
    assert_eq!(why(&scene.finished()).1, Cause::Untrusted);
}

#[test]
fn an_instance_that_was_restarted_gets_a_new_attempt() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.expect(Instruction::Probe, XMPP);
    scene.unlink(XMPP);
    let back = scene.link_as(Role::XmppCm, "xmpp-1", 99, 1_000);
    scene.forget_frames();
    let again = scene.expect(Instruction::Probe, back);
    assert_eq!(again.number, 2);
    scene.end(back, &again, failed(Condition::RemoteServerTimeout, Cause::Untrusted));
    scene.finished();
}

/// Two packets of one conversation; the first one is at `sip-1` when its link is lost, the second one
/// comes then, while `sip-2` is there.
fn the_first_is_out_of_sight() -> (Scene, PacketId, PacketId, LinkId) {
    let mut scene = Scene::known();
    let first = scene.xmpp_out("known.example");
    let second = scene.xmpp_out("known.example");
    let first = scene.submit(XMPP, first);
    scene.expect(Instruction::Send, SIP);
    let other = scene.link(Role::SipCm, "sip-2");
    scene.forget_frames();
    scene.unlink(SIP);
    let second = scene.submit(XMPP, second);
    scene.quiet();
    (scene, first, second, other)
}

#[test]
fn nothing_overtakes_what_is_out_of_sight_with_its_instance() {
    let (mut scene, first, second, other) = the_first_is_out_of_sight();
    let back = scene.link(Role::SipCm, "sip-1");
    scene.forget_frames();
    let again = scene.expect(Instruction::Send, back);
    assert_eq!(again.packet.id, first);
    let (link, next, _) = scene.attempt();
    assert!([back, other].contains(&link) && next.packet.id == second);
    for (link, attempt) in [(back, again), (link, next)] {
        scene.end(link, &attempt, delivered(Protocol::Sip));
        assert!(is_delivered(&scene.finished()));
    }
}

#[test]
fn what_waits_behind_an_instance_that_is_gone_goes_on_with_another_one() {
    let (mut scene, first, second, other) = the_first_is_out_of_sight();
    scene.pass(GONE);
    let finished = scene.finished();
    assert_eq!(finished.outcome.id, first);
    assert_eq!(why(&finished), (Condition::RemoteServerTimeout, Cause::Busy));
    let next = scene.expect(Instruction::Send, other);
    assert_eq!(next.packet.id, second);
    scene.end(other, &next, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn who_waits_behind_another_packet_has_no_more_time_for_it() {
    let mut scene = Scene::known();
    let first = scene.xmpp_out("known.example");
    let mut second = scene.xmpp_out("known.example");
    second.remaining = Duration::from_millis(300);
    scene.submit(XMPP, first);
    scene.expect(Instruction::Send, SIP);
    scene.unlink(SIP);
    let second = scene.submit(XMPP, second);
    scene.pass(Duration::from_secs(1));
    let finished = scene.finished();
    assert_eq!(finished.outcome.id, second);
    assert_eq!(why(&finished), (Condition::RemoteServerTimeout, Cause::Unreachable));
    // The one ahead is not touched by that.
    let back = scene.link(Role::SipCm, "sip-1");
    scene.forget_frames();
    scene.play(Instruction::Send, back, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn a_late_ending_of_a_lost_attempt_changes_nothing() {
    let mut scene = Scene::open();
    let other = scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    let (first, attempt, _) = scene.attempt();
    let (name, second) = if first == XMPP { ("xmpp-1", other) } else { ("xmpp-2", XMPP) };
    scene.unlink(first);
    scene.pass(GONE);
    let again = scene.expect(Instruction::Probe, second);
    let back = scene.link(Role::XmppCm, name);
    scene.forget_frames();
    scene.end(back, &attempt, not_found());
    scene.quiet();
    let untrusted = failed(Condition::RemoteServerTimeout, Cause::Untrusted);
    scene.end(second, &again, untrusted.clone());
    assert_eq!(why(&scene.finished()).1, Cause::Untrusted);
    scene.end(second, &again, untrusted);
    scene.quiet();
}

#[test]
fn what_may_have_arrived_when_its_instance_died_is_told_and_never_sent_twice() {
    let mut scene = Scene::open();
    scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    for comes_back in [true, false] {
        let packet = scene.sip_out("foreign.example");
        scene.submit(SIP, packet);
        let (has_it, ..) = scene.attempt();
        let name = if has_it == XMPP { "xmpp-1" } else { "xmpp-2" };
        scene.unlink(has_it);
        if comes_back {
            scene.link_as(Role::XmppCm, name, 99, 1_000);
            scene.forget_frames();
        } else {
            scene.pass(GONE);
        }
        assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Busy));
        scene.forget_frames();
    }
}

#[test]
fn what_two_dead_instances_had_is_told_when_its_sender_repeats_it() {
    let mut scene = Scene::open();
    scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet.clone());
    let (has_it, ..) = scene.attempt();
    scene.unlink(SIP);
    scene.unlink(has_it);
    scene.pass(GONE);
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Busy));
    let back = scene.link_as(Role::SipCm, "sip-1", 2, 100);
    scene.forget_frames();
    scene.submit(back, packet);
    let told = scene.frame_to(back);
    let FromRouter::Outcome(told) = told else { panic!("expected an outcome, got {told:?}") };
    assert!(matches!(told.ending, Ending::Failed(failure) if failure.cause == Cause::Busy));
    scene.quiet();
}

#[test]
fn a_request_pending_at_a_sip_cm_waits_for_that_sip_cm() {
    let mut scene = Scene::known();
    let other = scene.link(Role::SipCm, "sip-2");
    scene.forget_frames();
    let packet = scene.sip_out("known.example");
    let id = scene.submit(SIP, packet.clone());
    let attempt = scene.expect(Instruction::Send, SIP);
    scene.unlink(SIP);
    scene.quiet();
    // It comes back, gets the same attempt, and submits again: nothing starts anew.
    let back = scene.link(Role::SipCm, "sip-1");
    scene.forget_frames();
    let again = scene.expect(Instruction::Send, back);
    assert_eq!((again.packet.id, again.number), (id, attempt.number));
    scene.submit(back, packet);
    scene.quiet();
    scene.end(back, &again, delivered(Protocol::Sip));
    assert_eq!(scene.finished().link, Some(back));
    assert_ne!(back, other);
}

#[test]
fn a_restarted_sip_cm_has_forgotten_its_requests() {
    let mut scene = Scene::known();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    scene.expect(Instruction::Send, SIP);
    scene.unlink(SIP);
    scene.link_as(Role::SipCm, "sip-1", 2, 100);
    let frames = 2;
    for _ in 0..frames {
        scene.act();
    }
    let finished = scene.finished();
    assert_eq!((finished.link, why(&finished).1), (None, Cause::Leaving));
}

#[test]
fn what_failed_after_its_xmpp_cm_had_died_is_told_by_the_next_life_of_it() {
    for back_first in [false, true] {
        let mut scene = Scene::known();
        let failing = scene.xmpp_out("known.example");
        let arriving = scene.xmpp_out("known.example");
        for packet in [&failing, &arriving] {
            scene.submit(XMPP, packet.clone());
        }
        let attempts = [0, 1].map(|_| scene.expect(Instruction::Send, SIP));
        scene.unlink(XMPP);
        if back_first {
            scene.link_as(Role::XmppCm, "xmpp-1", 2, 100);
        }
        scene.end(SIP, &attempts[0], not_found());
        scene.end(SIP, &attempts[1], delivered(Protocol::Sip));
        if !back_first {
            scene.link_as(Role::XmppCm, "xmpp-1", 2, 100);
        }
        let frames: Vec<FromRouter> = std::iter::from_fn(|| scene.undelivered()).collect();
        let Ending::Failed(failure) = not_found() else { unreachable!() };
        let stanza = failing.original.bytes.clone();
        assert_eq!(frames, [FromRouter::Undelivered { stanza, failure }], "{back_first}");
    }
}

#[test]
fn a_sip_cm_that_never_comes_back_costs_no_more_than_the_packets_time() {
    let mut scene = Scene::known();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    scene.expect(Instruction::Send, SIP);
    scene.unlink(SIP);
    scene.pass(Duration::from_secs(33));
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Leaving));
    scene.pass(Duration::from_secs(62));
    assert_eq!(scene.router.remembered(), 0);
}

#[test]
fn a_repeated_submit_gets_the_remembered_outcome_for_a_minute() {
    let mut scene = Scene::known();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet.clone());
    scene.submit(XMPP, packet.clone());
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
    scene.pass(Duration::from_secs(50));
    scene.submit(XMPP, packet.clone());
    assert!(
        matches!(scene.frame_to(XMPP), FromRouter::Outcome(outcome) if outcome.id == packet.id)
    );
    scene.pass(Duration::from_secs(12));
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
}

#[test]
fn a_full_window_goes_to_another_instance_then_refuses_aloud() {
    let mut scene = Scene::bare(|_| {});
    scene.snapshot(vec![open_route()], &[("known.example", Origin::Configured)]);
    let xmpp = scene.link(Role::XmppCm, "xmpp-1");
    let first = scene.link_as(Role::SipCm, "sip-1", 1, 1);
    let second = scene.link_as(Role::SipCm, "sip-2", 1, 1);
    scene.forget_frames();
    let mut taken = Vec::new();
    for _ in 0..2 {
        let packet = scene.xmpp_out("known.example");
        scene.submit(xmpp, packet);
        let (link, attempt, _) = scene.attempt();
        taken.push((link, attempt));
    }
    let mut links: Vec<LinkId> = taken.iter().map(|(link, _)| *link).collect();
    links.sort();
    assert_eq!(links, [first, second]);
    let packet = scene.xmpp_out("known.example");
    scene.submit(xmpp, packet);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Busy));
    // Ended is not enough; the instance itself says when it has room.
    let (link, attempt) = taken.remove(0);
    scene.end(link, &attempt, delivered(Protocol::Sip));
    scene.finished();
    scene.frame(link, FromCm::Credit(1));
    let packet = scene.xmpp_out("known.example");
    scene.submit(xmpp, packet);
    scene.play(Instruction::Send, link, delivered(Protocol::Sip));
    scene.finished();
    let (link, attempt) = taken.remove(0);
    scene.end(link, &attempt, delivered(Protocol::Sip));
    scene.finished();
}

#[test]
fn credit_goes_back_for_every_submitted_packet_exactly_once() {
    let mut scene = Scene::with(|config| config.capacity = 4);
    scene.change(vec![TableChange::Row(domain("known.example"), Origin::Configured)]);
    scene.forget_frames();
    for round in 1..=12 {
        let packet = scene.xmpp_out("known.example");
        scene.submit(XMPP, packet.clone());
        scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
        scene.finished();
        assert_eq!(scene.credit[&XMPP], round);
    }
}

#[test]
fn a_draining_instance_gets_nothing_new_and_its_refusals_go_elsewhere() {
    let mut scene = Scene::open();
    let other = scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet);
    let (link, attempt, _) = scene.attempt();
    let rest = if link == XMPP { other } else { XMPP };
    scene.frame(link, FromCm::Leaving(Duration::from_secs(10)));
    scene.end(link, &attempt, failed(Condition::ResourceConstraint, Cause::Leaving));
    scene.play(Instruction::Reach, rest, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Reach, rest, delivered(Protocol::Xmpp));
    scene.finished();
}

#[test]
fn a_newer_link_of_a_node_replaces_the_older_one() {
    let mut scene = Scene::known();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    scene.expect(Instruction::Send, SIP);
    let newer = scene.link(Role::SipCm, "sip-1");
    assert!(matches!(scene.act(), Act::Close(link) if link == SIP));
    scene.forget_frames();
    let attempt = scene.expect(Instruction::Send, newer);
    scene.unlink(SIP);
    scene.quiet();
    scene.end(newer, &attempt, delivered(Protocol::Sip));
    assert_eq!(scene.finished().link, Some(newer));
}

#[test]
fn a_router_that_leaves_tells_everybody_and_ends_what_it_has() {
    let mut scene = Scene::known();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    let attempt = scene.expect(Instruction::Send, SIP);
    scene.router.handle_shutdown(Duration::from_secs(10), scene.now);
    scene.collect();
    for link in [SIP, XMPP] {
        assert_eq!(scene.frame_to(link), FromRouter::Leaving(Duration::from_secs(10)));
    }
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Leaving));
    scene.end(SIP, &attempt, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn a_manager_is_taken_out_and_back_in_by_its_name() {
    let mut scene = Scene::known();
    let second = scene.link(Role::SipCm, "sip-2");
    scene.forget_frames();
    assert!(scene.router.handle_drain("sip-2", true, scene.now));
    scene.collect();
    assert_eq!(scene.frame_to(second), FromRouter::Drain(true));
    let drains = |scene: &Scene, node: &str| {
        scene.router.nodes().iter().any(|view| view.node == node && view.draining)
    };
    assert!(!drains(&scene, "sip-2"), "it has not said so yet");
    scene.frame(second, FromCm::Leaving(Duration::ZERO));
    assert!(drains(&scene, "sip-2"));
    for _ in 0..8 {
        let packet = scene.xmpp_out("known.example");
        scene.submit(XMPP, packet);
        let attempt = scene.expect(Instruction::Send, SIP);
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        scene.finished();
    }
    assert!(scene.router.handle_drain("sip-2", false, scene.now));
    scene.collect();
    assert_eq!(scene.frame_to(second), FromRouter::Drain(false));
    scene.frame(second, FromCm::Serving);
    assert!(!drains(&scene, "sip-2"));
    let leaving =
        |event: &Event| matches!(event, Event::NodeLeaving { node, .. } if node == "sip-2");
    let serving =
        |event: &Event| matches!(event, Event::NodeServing { node, .. } if node == "sip-2");
    assert!(scene.events.iter().any(leaving) && scene.events.iter().any(serving));
    assert!(!scene.router.handle_drain("nobody", true, scene.now));
}

#[test]
fn a_router_that_is_taken_out_sends_others_away_but_routes_what_still_comes() {
    let mut scene = Scene::known();
    assert!(scene.router.handle_drain("router-1", true, scene.now));
    scene.collect();
    for link in [SIP, XMPP] {
        assert_eq!(scene.frame_to(link), FromRouter::Leaving(Duration::ZERO));
    }
    assert!(!scene.router.is_ready() && scene.router.is_draining());
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    let attempt = scene.expect(Instruction::Send, SIP);
    scene.end(SIP, &attempt, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
    // Whoever comes now is told at once.
    let third = scene.link(Role::SipCm, "sip-3");
    assert!(matches!(scene.frame_to(third), FromRouter::Tables(_)));
    assert_eq!(scene.frame_to(third), FromRouter::Invalidate(None));
    assert_eq!(scene.frame_to(third), FromRouter::Leaving(Duration::ZERO));

    assert!(scene.router.handle_drain("router-1", false, scene.now));
    scene.collect();
    for link in [SIP, XMPP, third] {
        assert_eq!(scene.frame_to(link), FromRouter::Serving);
    }
    assert!(scene.router.is_ready());
    // Once it ends, there is no way back.
    scene.router.handle_shutdown(Duration::from_secs(10), scene.now);
    scene.router.handle_drain("router-1", false, scene.now);
    assert!(scene.router.is_draining());
    scene.collect();
    scene.forget_frames();
}

#[test]
fn a_known_domain_without_any_sip_cm_is_a_temporary_failure() {
    let mut scene = Scene::known();
    scene.unlink(SIP);
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Leaving));
}

#[test]
fn a_sip_cm_that_does_not_answer_ends_in_a_timeout() {
    let mut scene = Scene::known();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, Packet { remaining: Duration::from_secs(5), ..packet });
    scene.expect(Instruction::Send, SIP);
    scene.pass(Duration::from_secs(6));
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Unreachable));
}

#[test]
fn hops_may_come_whole_or_only_the_new_one() {
    use openfed_proto::link::AttemptEnded;
    use openfed_proto::packet::{Hop, Outcome};
    let mut scene = Scene::known();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    let attempt = scene.expect(Instruction::Send, SIP);
    let hop = Hop {
        node: "sip-1".into(),
        role: Role::SipCm,
        verdict: "delivered".into(),
        at_us: scene.now.unix_us,
    };
    let outcome =
        Outcome { id: attempt.packet.id, ending: delivered(Protocol::Sip), hops: vec![hop] };
    let ended = AttemptEnded { outcome, number: attempt.number, route: None };
    scene.frame(SIP, FromCm::Ended(ended));
    assert_eq!(scene.finished().outcome.hops.len(), 3);
}

#[test]
fn an_answer_that_strayed_goes_to_the_other_instances_of_that_manager_alone() {
    let mut scene = Scene::open();
    let other = scene.link(Role::XmppCm, "xmpp-2");
    scene.forget_frames();
    scene.frame(XMPP, FromCm::Astray("<iq/>".into()));
    assert_eq!(scene.frame_to(other), FromRouter::Astray("<iq/>".into()));
    scene.quiet();
}

#[test]
fn packets_that_waited_too_long_for_the_router_fail_for_the_time_being() {
    let mut scene = Scene::known();
    let late = Duration::from_millis(250);
    let first = scene.sip_in("known.example");
    scene.submit_late(late, SIP, first);
    let attempt = scene.expect(Instruction::Home, XMPP);
    scene.pass(Duration::from_millis(1_050));
    let second = scene.sip_in("known.example");
    scene.submit_late(late, SIP, second);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Busy));
    // What was taken before goes on, whenever its end comes.
    scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
    scene.finished();
    let third = scene.sip_in("known.example");
    scene.submit_late(Duration::ZERO, SIP, third);
    let attempt = scene.expect(Instruction::Home, XMPP);
    scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
    scene.finished();
}

#[test]
fn only_managers_of_xmpp_are_asked_for_their_streams_and_what_they_tell_is_bounded() {
    use super::scene::Act;
    use openfed_proto::link::{STREAMS_SHOWN, StreamView};
    let mut scene = Scene::open();
    scene.forget_frames();
    assert_eq!(scene.router.handle_list_streams(), ["xmpp-1"]);
    scene.collect();
    assert_eq!(scene.frame_to(XMPP), FromRouter::ListStreams);
    scene.quiet();
    let view = StreamView {
        local: None,
        remote: None,
        dialed: true,
        encrypted: true,
        authenticated: false,
        pairs: 1,
        queued: 0,
    };
    let streams = vec![view; STREAMS_SHOWN + 7];
    scene.frame(XMPP, FromCm::Streams { streams, total: 900 });
    match scene.act() {
        Act::Streams { node, streams, total } => {
            assert_eq!((node.as_str(), streams.len(), total), ("xmpp-1", STREAMS_SHOWN, 900));
        }
        other => panic!("no streams but {other:?}"),
    }
}

#[test]
fn what_a_manager_refused_by_itself_is_shown_like_what_a_router_refused() {
    let mut scene = Scene::open();
    scene.forget_frames();
    for (condition, decision) in [
        (Condition::PolicyViolation, Decision::Blocked),
        (Condition::NotAllowed, Decision::Refused),
    ] {
        let refused = Refused {
            outcome: Outcome::failed(PacketId([9; 16]), Failure::new(condition, Cause::Policy)),
            domain: domain("evil.example"),
            direction: Direction::Inbound,
            trace: TraceContext::default(),
        };
        let now = scene.now;
        scene.router.handle_frame(
            SIP,
            FromCm::Refused(Box::new(refused.clone())),
            Duration::ZERO,
            now,
        );
        scene.collect();
        let Act::Refused(shown) = scene.act() else { panic!("it is shown") };
        assert_eq!((shown.decision, shown.show), (decision, true));
        assert_eq!((shown.link, &shown.outcome), (None, &refused.outcome));
    }
    scene.quiet();
}
