//! Trials: whether a domain can be reached.

use std::time::Duration;

use openfed_proto::link::{FromCm, FromRouter, NextHop, TRIAL_STEPS, Trial, TrialStep};
use openfed_proto::packet::Role;
use openfed_proto::route::{StaticRoute, Transport};

use xcp_router_core::TableChange;

use super::scene::*;

fn sent(scene: &mut Scene, link: xcp_router_core::LinkId) -> Trial {
    match scene.frame_to(link) {
        FromRouter::Try(trial) => trial,
        other => panic!("no trial but {other:?}"),
    }
}

#[test]
fn a_domain_is_tried_over_xmpp_and_by_the_route_that_would_carry_it() {
    let mut scene = Scene::open();
    let blocked = StaticRoute {
        port: 5061,
        transport: Transport::Tls,
        blocked: true,
        ..route(".example.own")
    };
    scene.change(vec![TableChange::Routes(vec![open_route(), blocked])]);
    for (name, pattern, host, port) in [
        ("own.example", ".example.own", "192.0.2.9", 5061),
        ("other.example", ".*", "sbc.example.net", 0),
    ] {
        scene.forget_frames();
        let ways = scene.router.handle_try(7, &domain(name));
        let seen: Vec<_> =
            ways.iter().map(|way| (way.role, way.node.as_deref(), way.route.as_deref())).collect();
        let expected =
            [(Role::XmppCm, Some("xmpp-1"), None), (Role::SipCm, Some("sip-1"), Some(pattern))];
        assert_eq!(seen, expected);
        scene.collect();
        assert_eq!(sent(&mut scene, XMPP), Trial { number: 7, domain: domain(name), hop: None });
        let transport = if port == 5061 { Transport::Tls } else { Transport::Tcp };
        let hop = NextHop { host: host.into(), port, transport };
        let expected = Trial { number: 7, domain: domain(name), hop: Some(hop) };
        assert_eq!(sent(&mut scene, SIP), expected);
        scene.quiet();
    }
}

#[test]
fn where_nobody_could_look_is_said_and_our_own_domains_are_not_tried_over_sip() {
    let mut scene = Scene::closed();
    let ways = scene.router.handle_try(1, &domain("other.example"));
    assert_eq!((ways[1].role, &ways[1].node, &ways[1].route), (Role::SipCm, &None, &None));
    let ways = scene.router.handle_try(2, &domain("corp.example"));
    assert_eq!(ways.iter().map(|way| way.role).collect::<Vec<_>>(), [Role::XmppCm]);
    scene.unlink(XMPP);
    let ways = scene.router.handle_try(3, &domain("other.example"));
    assert_eq!((ways[0].role, &ways[0].node), (Role::XmppCm, &None));
    scene.collect();
    scene.forget_frames();
}

#[test]
fn what_a_manager_tells_of_a_trial_is_bounded() {
    let mut scene = Scene::open();
    scene.forget_frames();
    let step = TrialStep {
        what: "DNS".into(),
        finding: "no such name".into(),
        good: false,
        took: Duration::from_millis(3),
    };
    scene.frame(SIP, FromCm::Tried { number: 7, steps: vec![step; TRIAL_STEPS + 1] });
    match scene.act() {
        Act::Tried { node, number, steps } => {
            assert_eq!((node.as_str(), number, steps.len()), ("sip-1", 7, TRIAL_STEPS));
        }
        other => panic!("no trial but {other:?}"),
    }
}
