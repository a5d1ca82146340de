//! Our initiator and our responder talk to each other.

use minidom::Element;

use super::*;
use crate::dialback::Secret;
use crate::xml;

/// Two ends of one connection; what happened at each, without the bytes.
struct Wire {
    a: Stream,
    b: Stream,
    at_a: Vec<Event>,
    at_b: Vec<Event>,
}

impl Wire {
    fn new(a: Settings, b: Settings) -> Self {
        Self { a: initiator(a), b: responder(b), at_a: Vec::new(), at_b: Vec::new() }
    }

    /// Carries bytes until both are silent. TLS is a word between the two; every header is
    /// accepted.
    fn run(&mut self) {
        loop {
            let (to_b, from_a) = step(&mut self.a, &mut self.b);
            let (to_a, from_b) = step(&mut self.b, &mut self.a);
            if !to_a && !to_b && from_a.is_empty() && from_b.is_empty() {
                return;
            }
            let tls = |events: &[Event]| events.iter().any(|e| matches!(e, Event::StartTls { .. }));
            if tls(&from_a) {
                self.b.handle_tls_established(start());
                self.a.handle_tls_established(start());
            }
            self.at_a.extend(from_a);
            self.at_b.extend(from_b);
        }
    }

    fn events(&mut self) -> (Vec<Event>, Vec<Event>) {
        self.run();
        (std::mem::take(&mut self.at_a), std::mem::take(&mut self.at_b))
    }
}

fn step(from: &mut Stream, to: &mut Stream) -> (bool, Vec<Event>) {
    let (mut sent, mut events) = (false, Vec::new());
    while let Some(event) = from.next_event() {
        match event {
            Event::Transmit(bytes) => {
                to.handle_bytes(&bytes, start());
                sent = true;
            }
            Event::Opened { .. } => {
                from.accept_header(start());
                events.push(event);
            }
            event => events.push(event),
        }
    }
    (sent, events)
}

fn stanza(from: &str, to: &str) -> Element {
    let text = format!("<message from='{from}' to='{to}' id='m1'><body>hi</body></message>");
    xml::from_bytes(text.as_bytes(), xml::Limits::default()).unwrap()
}

/// Both ends negotiated; returns the wire and the id of the stream.
fn negotiated(tls: Tls) -> (Wire, String) {
    let mut wire = Wire::new(settings(tls), settings(tls));
    let (at_a, at_b) = wire.events();
    assert!(matches!(at_a.last(), Some(Event::Ready(_))), "{at_a:?}");
    assert!(matches!(at_b.first(), Some(Event::Opened { .. })), "{at_b:?}");
    let id = wire.a.id().to_owned();
    assert_eq!(id, wire.b.id());
    (wire, id)
}

#[test]
fn e49_starttls_is_negotiated_and_both_streams_start_again() {
    let mut wire = Wire::new(settings(Tls::Required), settings(Tls::Required));
    let (at_a, at_b) = wire.events();
    let (a, b) = (domain("a.example"), domain("b.example"));
    let features = Features {
        encrypted: true,
        dialback: true,
        dialback_errors: true,
        external: false,
        bidi: true,
        management: false,
    };
    assert_eq!(at_a, [Event::StartTls { domain: b.domain().clone() }, Event::Ready(features)]);
    let first = "0000000000000001".to_owned() + "0000000000000002";
    assert_eq!(
        at_b,
        [
            Event::Opened {
                from: Some(a.domain().clone()),
                to: b.domain().clone(),
                id: first.clone(),
            },
            Event::StartTls { domain: b.domain().clone() },
        ]
    );
    assert!(wire.a.is_encrypted() && wire.b.is_encrypted());
    assert_ne!(wire.b.id(), first, "the id before TLS was seen in the clear");
}

#[test]
fn without_tls_the_stream_is_ready_in_the_clear() {
    let mut wire = Wire::new(settings(Tls::Never), settings(Tls::Opportunistic));
    let (at_a, _) = wire.events();
    let [Event::Ready(features)] = &at_a[..] else { panic!("{at_a:?}") };
    assert!(features.dialback && !features.encrypted && !features.bidi);
}

#[test]
fn direct_tls_needs_no_starttls() {
    let direct = Settings { encrypted: true, ..settings(Tls::Required) };
    let mut wire = Wire::new(direct.clone(), direct);
    let (at_a, _) = wire.events();
    let [Event::Ready(features)] = &at_a[..] else { panic!("{at_a:?}") };
    assert!(features.encrypted && features.bidi);
}

#[test]
fn tls_required_by_one_and_unknown_to_the_other_ends_the_stream() {
    let mut wire = Wire::new(settings(Tls::Required), settings(Tls::Never));
    let (at_a, at_b) = wire.events();
    assert_eq!(at_a, [Event::Closed(CloseReason::TlsFailed)]);
    assert_eq!(at_b.last(), Some(&Event::Closed(CloseReason::TlsFailed)));
}

#[test]
fn e50_dialback_in_all_four_roles() {
    // Given a stream from a.example to b.example, and the secret of a.example
    let secret = Secret::new(b"the secret of a.example");
    let (a, b) = (domain("a.example"), domain("b.example"));
    let (mut wire, id) = negotiated(Tls::Opportunistic);

    // When the originating server sends its key
    wire.a.request_dialback(&a, &b, &secret).unwrap();
    let (_, at_b) = wire.events();
    let [Event::DialbackRequested { from, to, id: seen, key }] = &at_b[..] else {
        panic!("{at_b:?}")
    };
    assert_eq!((from, to, seen), (&a, &b, &id));

    // and the receiving server asks the authoritative one on a stream of its own
    let (mut check, _) = negotiated(Tls::Opportunistic);
    check.a.request_verify(&b, &a, &id, key).unwrap();
    let (_, at_authority) = check.events();
    let [Event::DialbackVerifyRequested { from, to, id: asked, key }] = &at_authority[..] else {
        panic!("{at_authority:?}")
    };
    assert_eq!((from, to, asked), (&b, &a, &id));
    assert!(secret.verify(from, to, asked, key));
    check.b.answer_verify(from, to, asked, &Verdict::Valid);
    let (at_receiver, _) = check.events();
    let verdict = Verdict::Valid;
    assert_eq!(
        at_receiver,
        [Event::DialbackVerified { local: b.clone(), remote: a.clone(), id, verdict }]
    );

    // Then its answer lets stanzas flow, from a to b only
    wire.b.answer_dialback(&a, &b, &Verdict::Valid);
    let (at_a, at_b) = wire.events();
    let direction = Direction::Outbound;
    assert_eq!(
        at_a,
        [
            Event::DialbackResult { local: a.clone(), remote: b.clone(), verdict: Verdict::Valid },
            Event::Authenticated { local: a.clone(), remote: b.clone(), direction },
        ]
    );
    let direction = Direction::Inbound;
    assert_eq!(at_b, [Event::Authenticated { local: b, remote: a, direction }]);
    let message = stanza("u@a.example/r", "v@b.example");
    wire.a.send(&message).unwrap();
    assert_eq!(wire.events().1, [Event::Stanza(message)]);
    let back = stanza("v@b.example", "u@a.example");
    assert_eq!(wire.b.send(&back), Err(SendError::NotAuthenticated));
}

#[test]
fn e45_a_message_is_looked_at_only_from_whom_and_to_whom_it_may_be() {
    let secret = Secret::new(b"the secret of a.example");
    let (a, b) = (domain("a.example"), domain("b.example"));
    let (mut wire, _) = negotiated(Tls::Opportunistic);
    let text = "<message from='u@a.example/r' to='v@b.example'><body>hi</body></message>";
    wire.a.request_dialback(&a, &b, &secret).unwrap();
    wire.run();
    assert!(wire.b.glimpse(text.as_bytes()).is_none());
    wire.b.answer_dialback(&a, &b, &Verdict::Valid);
    wire.run();
    let (_, from, to) = wire.b.glimpse(text.as_bytes()).unwrap();
    assert_eq!((&from, &to), (a.domain(), b.domain()));
    for (domain, other) in [("a.example", "c.example"), ("b.example", "c.example")] {
        assert!(wire.b.glimpse(text.replace(domain, other).as_bytes()).is_none(), "{other}");
    }
    assert_eq!(wire.a.send_text(&a, &b, text), Ok(()));
    assert_eq!(wire.b.send_text(&b, &a, text), Err(SendError::NotAuthenticated));
    wire.b.close(start());
    assert!(wire.b.glimpse(text.as_bytes()).is_none());
    assert_eq!(wire.b.send_text(&b, &a, text), Err(SendError::NotOpen));
}

#[test]
fn e50_a_wrong_key_and_an_unknown_host_are_told_and_let_nothing_through() {
    let secret = Secret::new(b"the secret of a.example");
    let (a, b) = (domain("a.example"), domain("b.example"));
    for verdict in [Verdict::Invalid, Verdict::Error(StanzaCondition::ItemNotFound)] {
        let (mut wire, _) = negotiated(Tls::Never);
        wire.a.request_dialback(&a, &b, &secret).unwrap();
        wire.run();
        wire.b.answer_dialback(&a, &b, &verdict);
        wire.at_b.clear();
        let (at_a, at_b) = wire.events();
        let (local, remote) = (a.clone(), b.clone());
        assert_eq!(at_a, [Event::DialbackResult { local, remote, verdict }]);
        assert_eq!(at_b, []);
        assert_eq!(
            wire.a.send(&stanza("u@a.example", "b.example")),
            Err(SendError::NotAuthenticated)
        );
    }
}

#[test]
fn e50_further_pairs_of_domains_share_the_stream() {
    let secret = Secret::new(b"secret");
    let (mut wire, _) = negotiated(Tls::Opportunistic);
    let pairs =
        [("a.example", "b.example"), ("c.example", "b.example"), ("a.example", "d.example")];
    for (from, to) in pairs {
        wire.a.request_dialback(&domain(from), &domain(to), &secret).unwrap();
    }
    wire.run();
    wire.b.answer_dialback(&domain("c.example"), &domain("b.example"), &Verdict::Valid);
    wire.b.answer_dialback(&domain("a.example"), &domain("d.example"), &Verdict::Valid);
    wire.b.answer_dialback(&domain("a.example"), &domain("b.example"), &Verdict::Invalid);
    wire.run();
    let sent = |wire: &mut Wire, from: &str, to: &str| wire.a.send(&stanza(from, to));
    assert_eq!(sent(&mut wire, "u@c.example", "v@b.example"), Ok(()));
    assert_eq!(sent(&mut wire, "u@a.example", "v@d.example"), Ok(()));
    assert_eq!(sent(&mut wire, "u@a.example", "v@b.example"), Err(SendError::NotAuthenticated));
    assert_eq!(sent(&mut wire, "u@c.example", "v@d.example"), Err(SendError::NotAuthenticated));
    let (_, at_b) = wire.events();
    assert_eq!(at_b.iter().filter(|event| matches!(event, Event::Stanza(_))).count(), 2);
}

#[test]
fn a_proper_close_is_answered_and_loses_no_stanza() {
    let secret = Secret::new(b"secret");
    let (mut wire, _) = negotiated(Tls::Never);
    let (a, b) = (domain("a.example"), domain("b.example"));
    wire.a.request_dialback(&a, &b, &secret).unwrap();
    wire.run();
    wire.b.answer_dialback(&a, &b, &Verdict::Valid);
    wire.events();
    // The last stanza and the other side's footer cross each other
    let last = stanza("u@a.example", "v@b.example");
    wire.a.send(&last).unwrap();
    wire.b.close(start());
    let (at_a, at_b) = wire.events();
    assert_eq!(at_a, [Event::Closed(CloseReason::ClosedByPeer(Phase::Authenticated))]);
    assert_eq!(at_b, [Event::Stanza(last), Event::Closed(CloseReason::Done)]);
    assert_eq!(wire.a.poll_timeout(), None);
}

#[test]
fn idn_domains_go_over_the_wire_as_u_labels() {
    let mut stream = Stream::initiator(
        InitiatorConfig {
            local: Domain::parse("xn--bcher-kva.example").unwrap().into(),
            remote: domain("b.example"),
            settings: Settings::default(),
        },
        start(),
    );
    assert!(drain(&mut stream).0.contains("from='bücher.example'"));
}
