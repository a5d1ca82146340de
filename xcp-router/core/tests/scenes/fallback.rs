//! After which errors of XMPP a packet goes on by SIP: the fallback set.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Protocol, Role};
use xcp_router_core::Decision;

use crate::scene::*;

/// Every cause, its usual condition, and whether SIP may be tried after it.
fn causes() -> [(Cause, Condition, bool); 11] {
    [
        (Cause::NotFound, Condition::RemoteServerNotFound, true),
        (Cause::Unreachable, Condition::RemoteServerTimeout, true),
        (Cause::HostUnknown, Condition::RemoteServerNotFound, true),
        (Cause::NotListed, Condition::NotAllowed, true),
        (Cause::Denied, Condition::NotAllowed, false),
        (Cause::Untrusted, Condition::RemoteServerTimeout, false),
        (Cause::Busy, Condition::ResourceConstraint, false),
        (Cause::Leaving, Condition::ResourceConstraint, false),
        (Cause::Outage, Condition::RemoteServerTimeout, false),
        (Cause::Policy, Condition::PolicyViolation, false),
        (Cause::Unmappable, Condition::FeatureNotImplemented, false),
    ]
}

#[test]
fn outbound_falls_back_after_these_errors_and_no_others() {
    for (cause, condition, falls_back) in causes() {
        let mut scene = Scene::open();
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
        scene.play(Instruction::Reach, XMPP, failed(condition.clone(), cause));
        if falls_back {
            scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
            scene.insert();
            scene.announced("foreign.example");
            assert!(is_delivered(&scene.finished()), "{cause:?}");
        } else {
            assert_eq!(why(&scene.finished()), (condition, cause));
        }
    }
}

#[test]
fn inbound_is_accepted_after_these_errors_and_no_others() {
    for (cause, condition, falls_back) in causes() {
        let mut scene = Scene::open();
        let packet = scene.sip_in("foreign.example");
        scene.submit(SIP, packet);
        scene.play(Instruction::Probe, XMPP, failed(condition.clone(), cause));
        if falls_back {
            scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
            scene.insert();
            scene.announced("foreign.example");
            assert!(is_delivered(&scene.finished()), "{cause:?}");
        } else {
            assert_eq!(why(&scene.finished()), (condition, cause));
        }
    }
}

#[test]
fn a_closed_feature_is_invisible() {
    for (cause, condition, falls_back) in causes() {
        let mut scene = Scene::closed();
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
        scene.play(Instruction::Reach, XMPP, failed(condition.clone(), cause));
        assert_eq!(why(&scene.finished()), (condition, cause), "outbound: unchanged");
        if falls_back {
            let packet = scene.sip_in("other.example");
            scene.submit(SIP, packet);
            let said = failed(Condition::RemoteServerNotFound, cause);
            scene.play(Instruction::Probe, XMPP, said);
            let finished = scene.finished();
            assert_eq!(why(&finished), (Condition::NotAllowed, Cause::Policy), "inbound: 403");
            assert_eq!(Condition::NotAllowed.to_sip_status(false), 403);
        }
    }
}

#[test]
fn the_options_take_timeouts_and_unlisted_domains_out_of_the_set() {
    for cause in [Cause::Unreachable, Cause::NotListed] {
        let mut scene = Scene::with(|config| {
            config.fallback_on_timeout = false;
            config.fallback_on_not_listed = false;
        });
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
        scene.play(Instruction::Reach, XMPP, failed(Condition::RemoteServerTimeout, cause));
        assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, cause));
    }
}

#[test]
fn an_outage_does_not_turn_a_domain_into_sip() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    scene.finished();
    for _ in 0..2 {
        scene.pass(Duration::from_secs(60));
        // Another xmpp-cm, which has not seen it work, says unreachable.
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
        scene.play(Instruction::Reach, XMPP, unreachable());
        assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Unreachable));
    }
    // After ten minutes the rule is over.
    scene.pass(Duration::from_secs(600));
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, unreachable());
    scene.play(Instruction::Discover, SIP, failed(Condition::Forbidden, Cause::Remote));
    scene.finished();
}

#[test]
fn a_domain_that_moves_from_xmpp_to_sip_is_found_there() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    scene.finished();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    scene.finished();
}

#[test]
fn iq_and_other_xmpp_only_stanzas_never_fall_back_but_their_verdict_serves_messages() {
    for kind in ["iq", "message/groupchat", "presence"] {
        let mut scene = Scene::open();
        let iq = scene.xmpp_out("foreign.example");
        let message = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, opaque(iq, kind));
        scene.submit(XMPP, message);
        scene.play(Instruction::Reach, XMPP, not_found());
        assert_eq!(why(&scene.finished()), (Condition::RemoteServerNotFound, Cause::NotFound));
        // The message visits no XMPP again.
        scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
        scene.insert();
        scene.announced("foreign.example");
        scene.finished();
    }
}

#[test]
fn without_xmpp_federation_open_federation_is_refused_and_health_says_so() {
    for federation in [true, false] {
        let mut scene = Scene::with(|config| config.federation = federation);
        if federation {
            scene.unlink(XMPP);
        }
        assert!(scene.health.contains_key("open federation"));
        let packet = scene.sip_out("foreign.example");
        scene.submit(SIP, packet);
        let finished = scene.finished();
        assert_eq!(finished.decision, Decision::Refused);
        assert_eq!(why(&finished).0, Condition::RemoteServerNotFound);
        let packet = scene.sip_in("foreign.example");
        scene.submit(SIP, packet);
        assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
        if federation {
            scene.link(Role::XmppCm, "xmpp-1");
            scene.forget_frames();
            assert!(scene.health.is_empty());
        }
    }
}

#[test]
fn require_xmpp_off_means_as_if_xmpp_had_found_nothing() {
    let mut scene = Scene::with(|config| config.require_xmpp = false);
    scene.unlink(XMPP);
    assert!(scene.health.is_empty());
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    assert!(is_delivered(&scene.finished()));
    let packet = scene.sip_in("other.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
    scene.insert();
    scene.announced("other.example");
    assert!(is_delivered(&scene.finished()));
}
