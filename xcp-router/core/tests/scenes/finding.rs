//! Why a row is there: what XMPP found goes into it.

use openfed_proto::finding::{Finding, Ground};
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Protocol};

use crate::scene::*;

#[test]
fn a_row_remembers_why_xmpp_did_not_reach_its_domain() {
    let cases = [
        (Cause::NotFound, Finding::Absent),
        (Cause::NotFound, Finding::Refused),
        (Cause::Unreachable, Finding::Refused),
        (Cause::Unreachable, Finding::Silent),
        (Cause::Unreachable, Finding::DnsFault),
        (Cause::HostUnknown, Finding::HostUnknown),
        (Cause::NotListed, Finding::NotListed),
    ];
    for (cause, finding) in cases {
        let mut scene = Scene::open();
        let row = scene.discover_after("foreign.example", found(cause, finding));
        let due = if finding == Finding::Absent { 0 } else { scene.now.unix_s() + 600 };
        assert_eq!(row.ground, Some(Ground { finding, asked: 0, due }), "{cause:?}");
    }
}

#[test]
fn what_an_older_xmpp_cm_says_is_no_proof() {
    let mut scene = Scene::open();
    let row = scene.discover_after("foreign.example", not_found());
    assert_eq!(row.unproven().map(|ground| ground.finding), Some(Finding::Untold));
}

#[test]
fn a_domain_that_was_let_in_by_sip_remembers_it_too() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, found(Cause::Unreachable, Finding::DnsFault));
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
    let row = scene.insert();
    assert_eq!(row.unproven().map(|ground| ground.finding), Some(Finding::DnsFault));
    scene.announced("foreign.example");
    scene.finished();
}
