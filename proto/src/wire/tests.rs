use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use super::*;
use crate::address::Address;
use crate::condition::Condition;
use crate::domain::Domain;
use crate::finding::Finding;
use crate::link::*;
use crate::packet::*;
use crate::route::*;

fn packet() -> Packet {
    let from = Address::from_jid("alice@corp.example/desk").expect("address");
    let to = Address::from_jid("bob@unknown.example").expect("address");
    Packet {
        id: PacketId([7; 16]),
        conversation: Conversation::between(&from, &to),
        direction: Direction::Outbound,
        from,
        to,
        body: Body::Message(Message {
            id: Some("m1".into()),
            thread: None,
            chat: true,
            subjects: vec![Text { lang: None, text: "tea".into() }],
            bodies: vec![Text { lang: Some("de".into()), text: "Grüße".into() }],
            html: Some(Html("<p><em>Grüße</em></p>".into())),
        }),
        original: Original { protocol: Protocol::Xmpp, bytes: Bytes::from_static(b"<message/>") },
        trace: TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 },
        hops: vec![Hop {
            node: "xmpp-cm-1".into(),
            role: Role::XmppCm,
            verdict: "received".into(),
            at_us: 42,
        }],
        remaining: Duration::from_secs(30),
        hops_left: MAX_HOPS,
        source: Source(99),
    }
}

fn over_the_wire_from_cm(frame: FromCm) -> Result<FromCm, WireError> {
    let bytes = v1::FromCm::from(frame).encode_to_vec();
    v1::FromCm::decode(bytes.as_slice()).expect("decodes").try_into()
}

fn over_the_wire_from_router(frame: FromRouter) -> Result<FromRouter, WireError> {
    let bytes = v1::FromRouter::from(frame).encode_to_vec();
    v1::FromRouter::decode(bytes.as_slice()).expect("decodes").try_into()
}

fn hello() -> Hello {
    Hello {
        role: Role::SipCm,
        node: "sip-cm-1".into(),
        epoch: 9,
        capacity: 1000,
        version: "0.1.0".into(),
    }
}

#[test]
fn every_frame_of_a_connection_manager_arrives_as_it_was_sent() {
    let failure = Failure::new(Condition::Gone(Some("sip:new@x.example".into())), Cause::Remote)
        .with_text("moved")
        .retry_after(Duration::from_secs(5));
    let frames = [
        FromCm::Hello(hello()),
        FromCm::Submit {
            packet: packet(),
            accepted_in: Some(PacketId([3; 16])),
            again: true,
            kept: true,
        },
        FromCm::Acknowledged(1 << 40),
        FromCm::Ended(AttemptEnded {
            outcome: Outcome::failed(PacketId([7; 16]), failure),
            number: 2,
            route: Some(".*".into()),
        }),
        FromCm::Ended(AttemptEnded {
            outcome: Outcome::delivered(PacketId([7; 16]), Protocol::Sip, 202),
            number: 1,
            route: None,
        }),
        FromCm::Credit(17),
        FromCm::Usage(vec![DomainUse {
            domain: Domain::parse("unknown.example").expect("domain"),
            hits: 3,
            last_seen: 1_700_000_000,
            last_failure: Some("item-not-found".into()),
        }]),
        FromCm::Refused(Box::new(Refused {
            outcome: Outcome::failed(
                PacketId([5; 16]),
                Failure::new(Condition::NotAllowed, Cause::Policy),
            ),
            domain: Domain::parse("unknown.example").expect("domain"),
            direction: Direction::Inbound,
            trace: TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 },
        })),
        FromCm::Leaving(Duration::from_secs(10)),
        FromCm::Serving,
        FromCm::Ask(Domain::parse("unknown.example").expect("domain")),
        FromCm::Astray("<iq/>".into()),
        FromCm::Recalled { packet: PacketId([4; 16]), instruction: Instruction::Home, known: true },
        FromCm::Tried {
            number: 9,
            steps: vec![TrialStep {
                what: "connect to 192.0.2.1:5269".into(),
                finding: "refused".into(),
                good: false,
                took: Duration::from_micros(250),
            }],
        },
        FromCm::Streams {
            streams: vec![
                StreamView {
                    local: Some(Domain::parse("corp.example").expect("domain")),
                    remote: Some(Domain::parse("partner.example").expect("domain")),
                    dialed: true,
                    encrypted: true,
                    authenticated: true,
                    pairs: 2,
                    queued: 3,
                },
                StreamView {
                    local: None,
                    remote: None,
                    dialed: false,
                    encrypted: false,
                    authenticated: false,
                    pairs: 0,
                    queued: 0,
                },
            ],
            total: 700,
        },
    ];
    for frame in frames {
        assert_eq!(over_the_wire_from_cm(frame.clone()), Ok(frame));
    }
}

#[test]
fn every_frame_of_a_router_arrives_as_it_was_sent() {
    let domain = Domain::parse("unknown.example").expect("domain");
    let failure = Failure {
        condition: Condition::Gone(Some("xmpp:new@corp.example".into())),
        text: Some("SIP 410 Gone".into()),
        cause: Cause::Remote,
        retry_after: Some(Duration::from_secs(5)),
        finding: None,
    };
    let user_route = StaticRoute {
        credentials: Some(Credentials { username: "u".into(), password: "p".into() }),
        transport: Transport::Tls,
        port: 5061,
        ..StaticRoute::new(Pattern::user("4930*").expect("pattern"), "sbc.example")
    };
    let mut frames = vec![
        FromRouter::Hello(hello()),
        FromRouter::Outcome(Outcome::delivered(PacketId([7; 16]), Protocol::Xmpp, 200)),
        FromRouter::Credit(4),
        FromRouter::Taken { packets: 1 << 40, held: false },
        FromRouter::Taken { packets: 3, held: true },
        FromRouter::Tables(Tables {
            era: Era { store: u64::MAX, number: 3 },
            version: 12,
            routes: vec![StaticRoute::predefined(), user_route],
            blocked: vec!["*.bad.example".parse().expect("pattern")],
            pinned: vec![domain.clone()],
        }),
        FromRouter::Verdict { domain: domain.clone(), sip: true, lease: Duration::from_secs(60) },
        FromRouter::Invalidate(Some(vec![domain.clone()])),
        FromRouter::Invalidate(None),
        FromRouter::Leaving(Duration::from_millis(1500)),
        FromRouter::Serving,
        FromRouter::Drain(true),
        FromRouter::Drain(false),
        FromRouter::Astray("<iq/>".into()),
        FromRouter::ListStreams,
        FromRouter::Undelivered { stanza: "<message/>".into(), failure },
        FromRouter::Recall { packet: PacketId([4; 16]), instruction: Instruction::Send },
        FromRouter::Try(Trial { number: 9, domain: domain.clone(), hop: None }),
        FromRouter::Try(Trial {
            number: 10,
            domain,
            hop: Some(NextHop {
                host: "sbc.example".into(),
                port: 5061,
                transport: Transport::Tls,
            }),
        }),
    ];
    let every = [
        Instruction::Reach,
        Instruction::Probe,
        Instruction::Home,
        Instruction::Send,
        Instruction::Discover,
        Instruction::Accept,
    ];
    for instruction in every {
        let packet = packet();
        frames.push(FromRouter::Attempt(Attempt { packet, number: 1, instruction }));
    }
    for frame in frames {
        assert_eq!(over_the_wire_from_router(frame.clone()), Ok(frame));
    }
}

#[test]
fn a_frame_with_a_hole_names_the_missing_field() {
    let empty = v1::FromCm { frame: None };
    assert_eq!(FromCm::try_from(empty), Err(WireError::Missing("frame")));

    let mut wire = v1::Packet::from(packet());
    wire.id.pop();
    assert_eq!(Packet::try_from(wire), Err(WireError::Malformed("id")));

    let mut wire = v1::Packet::from(packet());
    wire.direction = 99;
    assert_eq!(Packet::try_from(wire), Err(WireError::Unknown("direction")));
}

/// Nobody knows what a frame of a later version is for, so it is no frame at all, and the link that
/// it came on ends: what its peer waits for is begun again or answered.
#[test]
fn a_frame_of_a_kind_that_this_version_does_not_know_is_none() {
    // Field 1000, a message with nothing in it.
    let later: &[u8] = &[0xc2, 0x3e, 0];
    let from_cm = v1::FromCm::decode(later).expect("fields that are not known are allowed");
    assert_eq!(FromCm::try_from(from_cm), Err(WireError::Missing("frame")));
    let from_router = v1::FromRouter::decode(later).expect("as before");
    assert_eq!(FromRouter::try_from(from_router), Err(WireError::Missing("frame")));
}

/// A manager that is newer than its router counts versions alone.
#[test]
fn tables_without_an_era_are_those_of_an_older_router() {
    let tables = v1::Tables { era: None, version: 12, ..v1::Tables::default() };
    let frame = v1::FromRouter { frame: Some(v1::from_router::Frame::Tables(tables)) };
    let expected = Tables { era: Era { store: 0, number: 0 }, version: 12, ..Tables::default() };
    assert_eq!(FromRouter::try_from(frame), Ok(FromRouter::Tables(expected)));
}

#[test]
fn what_was_found_about_a_domain_arrives() {
    for finding in Finding::ALL {
        let failure = Failure::new(Condition::RemoteServerNotFound, Cause::NotFound);
        let outcome = Outcome::failed(PacketId([7; 16]), failure.with_finding(finding));
        let Ok(read) = Outcome::try_from(v1::Outcome::from(outcome)) else { panic!("{finding:?}") };
        let Ending::Failed(read) = read.ending else { panic!("delivered") };
        assert_eq!(Finding::of(&read), finding);
    }
}

/// A manager of an older version tells none, one of a newer version perhaps one that is not known
/// here: neither is a proof, and neither ends the link.
#[test]
fn a_finding_that_is_missing_or_unknown_is_none() {
    for finding in [0, 99] {
        let failure = Failure::new(Condition::RemoteServerNotFound, Cause::NotFound);
        let mut wire = packet::failure_out(failure.with_finding(Finding::Absent));
        wire.finding = finding;
        let read = packet::failure_in(wire).expect("a failure");
        assert_eq!(Finding::of(&read), Finding::Untold);
    }
}

#[test]
fn neither_user_parts_nor_texts_show_in_debug_output() {
    let shown = format!("{:?}", packet());
    assert!(!shown.contains("alice") && !shown.contains("Grüße") && !shown.contains("tea"));
    let shown = format!("{:?}", v1::Packet::from(packet()));
    assert!(!shown.contains("alice") && !shown.contains("Grüße") && !shown.contains("tea"));
}
