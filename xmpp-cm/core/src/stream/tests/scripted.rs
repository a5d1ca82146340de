//! One stream against a peer whose every word is typed in.

use minidom::Element;

use super::*;

fn told(stream: &mut Stream, text: &str) -> (String, Vec<Event>) {
    stream.handle_bytes(text.as_bytes(), start());
    drain(stream)
}

/// An initiator that has read a response header with features.
fn answered(settings: Settings, features: &str) -> (Stream, String, Vec<Event>) {
    let mut stream = initiator(settings);
    drain(&mut stream);
    let header = HEADER.replace(" version='1.0'>", " id='s1' version='1.0'>");
    let (text, events) = told(&mut stream, &format!("{header}{features}"));
    (stream, text, events)
}

#[test]
fn the_initial_header_carries_the_dialback_prefix() {
    let (text, events) = drain(&mut initiator(Settings::default()));
    assert!(text.contains("xmlns:db='jabber:server:dialback'"));
    assert!(text.contains("from='a.example' to='b.example' version='1.0'>"));
    assert_eq!(events, []);
}

#[test]
fn dialback_keys_carry_the_literal_prefix() {
    let (mut stream, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    let secret = crate::dialback::Secret::new(b"s");
    stream.request_dialback(&domain("a.example"), &domain("b.example"), &secret).unwrap();
    let (text, _) = drain(&mut stream);
    assert!(text.starts_with("<db:result from='a.example' to='b.example'>"), "{text}");
    assert!(text.ends_with("</db:result>"));
}

#[test]
fn dialback_is_understood_with_any_prefix() {
    let mut stream = opened(settings(Tls::Never));
    let key = "<result xmlns='jabber:server:dialback' from='a.example' to='b.example'>k</result>";
    let (_, events) = told(&mut stream, key);
    assert!(matches!(&events[..], [Event::DialbackRequested { key, .. }] if key == "k"));
}

#[test]
fn the_owner_refuses_a_domain_with_a_header_before_the_error() {
    let mut stream = responder(Settings::default());
    let (text, events) = told(&mut stream, HEADER);
    assert_eq!(text, "");
    assert!(matches!(&events[..], [Event::Opened { .. }]));
    stream.refuse_header(StreamError::new(StreamCondition::HostUnknown));
    let (text, events) = drain(&mut stream);
    assert!(text.starts_with("<?xml version='1.0'?><stream:stream "), "{text}");
    assert!(text.contains("from='b.example' to='a.example' id='"), "{text}");
    assert!(text.ends_with(
        "><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         </stream:error></stream:stream>"
    ));
    assert_eq!(our_error(&events), Some(StreamCondition::HostUnknown));
}

#[test]
fn what_came_with_the_header_waits_for_the_decision() {
    let mut stream = responder(settings(Tls::Never));
    let key = "<db:result from='a.example' to='b.example'>k</db:result>";
    let (_, events) = told(&mut stream, &format!("{HEADER}{key}"));
    assert!(matches!(&events[..], [Event::Opened { .. }]));
    stream.accept_header(start());
    let (text, events) = drain(&mut stream);
    assert!(text.contains("<stream:features><dialback xmlns='urn:xmpp:features:dialback'>"));
    assert!(matches!(&events[..], [Event::DialbackRequested { .. }]));
}

#[test]
fn every_bad_header_gets_a_header_and_its_error() {
    let cases = [
        (HEADER.replace("etherx", "ether"), StreamCondition::InvalidNamespace),
        (HEADER.replace("'jabber:server'", "'jabber:client'"), StreamCondition::InvalidNamespace),
        (HEADER.replace("stream:stream", "stream:flood"), StreamCondition::BadFormat),
        (HEADER.replace("version='1.0'>", "version='new'>"), StreamCondition::UnsupportedVersion),
        (HEADER.replace(" to='b.example'", ""), StreamCondition::ImproperAddressing),
        (HEADER.replace("b.example", "b..example"), StreamCondition::ImproperAddressing),
        (HEADER.replace("a.example", "a example"), StreamCondition::InvalidFrom),
        ("</stream:stream>".to_owned(), StreamCondition::NotWellFormed),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), StreamCondition::NotWellFormed),
        ("\u{16}\u{3}\u{1}\0".to_owned(), StreamCondition::NotWellFormed),
        (HEADER.replace("?><", " encoding='latin1'?><"), StreamCondition::UnsupportedEncoding),
        (HEADER.replace("from=", "pad:from="), StreamCondition::NotWellFormed),
    ];
    for (header, condition) in cases {
        let mut stream = responder(Settings::default());
        let (text, events) = told(&mut stream, &header);
        assert_eq!(our_error(&events), Some(condition), "{header}");
        assert_eq!(text.matches("<stream:stream ").count(), 1, "{header}");
        assert!(text.ends_with("</stream:error></stream:stream>"), "{text}");
        assert_eq!(events.len(), 1);
    }
}

#[test]
fn a_header_without_version_gets_no_features_and_may_do_dialback() {
    let mut stream = responder(settings(Tls::Opportunistic));
    told(&mut stream, &HEADER.replace(" version='1.0'>", ">"));
    stream.accept_header(start());
    let (text, _) = drain(&mut stream);
    assert!(!text.contains("features"));
    // RFC 6120 §4.7.5: nor is it answered as one of 1.0.
    assert!(!text.contains(" version='1.0'>"), "{text}");
    let (_, events) = told(&mut stream, "<db:result from='a.example' to='b.example'>k</db:result>");
    assert!(matches!(&events[..], [Event::DialbackRequested { .. }]));
}

#[test]
fn e49_required_tls_is_announced_and_enforced() {
    let mut stream = responder(settings(Tls::Required));
    told(&mut stream, HEADER);
    stream.accept_header(start());
    let (text, _) = drain(&mut stream);
    assert!(text.ends_with(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>\
         </starttls></stream:features>"
    ));
    let key = "<db:result from='a.example' to='b.example'>k</db:result>";
    let (_, events) = told(&mut stream, key);
    assert_eq!(our_error(&events), Some(StreamCondition::PolicyViolation));
}

#[test]
fn e49_starttls_is_tried_when_required_though_not_offered() {
    let (mut stream, text, events) = answered(settings(Tls::Required), "<stream:features/>");
    assert_eq!(
        (text.as_str(), events),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", vec![])
    );
    let (text, events) =
        told(&mut stream, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    assert_eq!(text, "</stream:stream>");
    assert_eq!(events, [Event::Closed(CloseReason::TlsFailed)]);
}

#[test]
fn plain_text_behind_starttls_is_not_believed() {
    let mut stream = opened(Settings::default());
    let (text, events) = told(
        &mut stream,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
         <db:result from='a.example' to='b.example'>k</db:result>",
    );
    assert_eq!(text, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(
        events,
        [
            Event::StartTls { domain: domain("b.example").domain().clone() },
            Event::Closed(CloseReason::TlsFailed)
        ]
    );
}

#[test]
fn a_failed_handshake_ends_the_stream_without_a_word() {
    let mut stream = opened(Settings::default());
    told(&mut stream, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    stream.handle_tls_failed();
    assert_eq!(drain(&mut stream), (String::new(), vec![Event::Closed(CloseReason::TlsFailed)]));
}

#[test]
fn after_tls_the_names_must_be_the_same() {
    for (changed, condition) in [
        (HEADER.replace("b.example", "c.example"), StreamCondition::HostUnknown),
        (HEADER.replace("a.example", "c.example"), StreamCondition::InvalidFrom),
    ] {
        let mut stream = opened(Settings::default());
        told(&mut stream, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        stream.handle_tls_established(start());
        let (_, events) = told(&mut stream, &changed);
        assert_eq!(our_error(&events), Some(condition));
    }
}

#[test]
fn bidi_is_offered_under_tls_and_opens_both_ways() {
    // Given a responder under TLS
    let mut stream = opened(Settings { encrypted: true, ..Settings::default() });
    let (a, b) = (domain("a.example"), domain("b.example"));
    // When the peer enables bidi and then authenticates
    let (_, events) = told(&mut stream, "<bidi xmlns='urn:xmpp:bidi'/>");
    assert_eq!(events, [Event::BidiEnabled]);
    told(&mut stream, "<db:result from='a.example' to='b.example'>k</db:result>");
    stream.answer_dialback(&a, &b, &Verdict::Valid);
    // Then stanzas go both ways for that pair, and for no other
    let (_, events) = drain(&mut stream);
    let direction = Direction::Both;
    assert_eq!(events, [Event::Authenticated { local: b.clone(), remote: a.clone(), direction }]);
    assert!(stream.may_send(&b, &a) && !stream.may_send(&a, &b));
    let (_, events) = told(&mut stream, "<presence from='u@a.example' to='v@b.example'/>");
    let [Event::Stanza(stanza)] = &events[..] else { panic!("{events:?}") };
    assert!(stanza.is("presence", "jabber:client"));
    let mut back = stanza.clone();
    for (name, value) in [("from", "v@b.example"), ("to", "u@a.example")] {
        back.set_attr(rxml::Namespace::NONE, name.try_into().unwrap(), value);
    }
    stream.send(&back).unwrap();
    assert_eq!(drain(&mut stream).0, "<presence from='v@b.example' to='u@a.example'/>");
}

#[test]
fn bidi_in_the_clear_or_too_late_is_refused() {
    let mut plain = opened(Settings::default());
    let (_, events) = told(&mut plain, "<bidi xmlns='urn:xmpp:bidi'/>");
    assert_eq!(our_error(&events), Some(StreamCondition::PolicyViolation));
    let mut late = authenticated(Settings { encrypted: true, ..Settings::default() });
    let (_, events) = told(&mut late, "<bidi xmlns='urn:xmpp:bidi'/>");
    assert_eq!(our_error(&events), Some(StreamCondition::PolicyViolation));
}

#[test]
fn a_stanza_to_somewhere_else_is_the_owners_to_judge() {
    for (to, expected) in [
        ("v@c.example", StreamCondition::HostUnknown),
        ("v@a..b", StreamCondition::ImproperAddressing),
    ] {
        let mut stream = authenticated(Settings::default());
        let text = format!("<message from='u@a.example' to='{to}' id='1'/>");
        let (said, events) = told(&mut stream, &text);
        assert_eq!(said, "", "the stream goes on");
        let [Event::Misaddressed { local, remote, stanza, condition }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((local.as_str(), remote.as_str()), ("b.example", "a.example"));
        assert_eq!((stanza.attr("to"), condition), (Some(to), &expected));
    }
}

/// COMPAT(ejabberd): it knows the name that its user typed, and no other form of it.
#[test]
fn dialback_is_answered_in_the_names_that_were_written() {
    let mut stream = opened(Settings::default());
    let (from, to) = (domain("a.example"), domain("b.example"));
    told(&mut stream, "<db:result from='a.example' to='B.Example.'>k</db:result>");
    let written = stream.asked_as(&from, &to).unwrap();
    let (mut asking, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    asking.request_verify_as(&written, (&to, &from), "7", "k").unwrap();
    let (text, _) = drain(&mut asking);
    assert_eq!(text, "<db:verify from='B.Example.' id='7' to='a.example'>k</db:verify>");
    stream.answer_dialback(&from, &to, &Verdict::Valid);
    let (text, _) = drain(&mut stream);
    assert_eq!(text, "<db:result from='B.Example.' to='a.example' type='valid'/>");
    told(&mut stream, "<db:verify from='a.example' to='b。example' id='7'>k</db:verify>");
    stream.answer_verify(&from, &to, "7", &Verdict::Invalid);
    let (text, _) = drain(&mut stream);
    assert_eq!(text, "<db:verify from='b。example' id='7' to='a.example' type='invalid'/>");
}

#[test]
fn e45_stanzas_of_others_are_refused() {
    let cases = [
        ("<iq from='u@a.example' to='v@b.example' type='get' id='1'/>", None),
        ("<iq from='a.example' to='b.example' type='get' id='1'/>", None),
        ("<message from='u@A.Example/r/@c.example' to='b.example'/>", None),
        ("<message from='u@c.example' to='v@b.example'/>", Some(StreamCondition::InvalidFrom)),
        // Answers come where the first pair of a stream gets its own, but only from its sender.
        ("<message from='u@a.example' to='v@c.example' type='error' id='1'/>", None),
        ("<iq from='a.example' to='c.example' type='result' id='1'/>", None),
        (
            "<iq from='c.example' to='b.example' type='result' id='1'/>",
            Some(StreamCondition::InvalidFrom),
        ),
        ("<message to='v@b.example'/>", Some(StreamCondition::ImproperAddressing)),
        ("<message from='u@a.example'/>", Some(StreamCondition::ImproperAddressing)),
        ("<message from='' to='v@b.example'/>", Some(StreamCondition::ImproperAddressing)),
        ("<whatever/>", Some(StreamCondition::UnsupportedStanzaType)),
        ("<x xmlns='urn:x'/>", Some(StreamCondition::UnsupportedStanzaType)),
        ("<message xmlns='jabber:client'/>", Some(StreamCondition::InvalidNamespace)),
        ("<stream:features/>", Some(StreamCondition::UnsupportedStanzaType)),
        ("<db:result from='a.example'>k</db:result>", Some(StreamCondition::ImproperAddressing)),
        (
            "<db:result from='a.example' to='b.example' type='valid'/>",
            Some(StreamCondition::InvalidFrom),
        ),
        (
            "<db:verify from='a.example' to='b.example' id='1' type='valid'/>",
            Some(StreamCondition::InvalidFrom),
        ),
        (
            "<db:verify from='a.example' to='b.example'>k</db:verify>",
            Some(StreamCondition::BadFormat),
        ),
        (
            "<db:result from='a.example' to='b.example' type='maybe'/>",
            Some(StreamCondition::BadFormat),
        ),
    ];
    for (stanza, expected) in cases {
        let mut stream = authenticated(Settings::default());
        let (_, events) = told(&mut stream, stanza);
        assert_eq!(our_error(&events), expected, "{stanza}");
        if expected.is_none() {
            assert!(matches!(&events[..], [Event::Stanza(_)]), "{stanza}");
        }
    }
}

/// An initiator that may send stanzas from `a.example` to `b.example`.
fn speaking() -> Stream {
    let (mut stream, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    let secret = crate::dialback::Secret::new(b"s");
    stream.request_dialback(&domain("a.example"), &domain("b.example"), &secret).unwrap();
    told(&mut stream, "<db:result from='b.example' to='a.example' type='valid'/>");
    assert!(stream.may_send(&domain("a.example"), &domain("b.example")));
    stream
}

#[test]
fn nothing_that_is_said_about_stanzas_ends_a_stream_of_ours() {
    let errors = [
        "<message from='v@b.example' to='u@a.example' type='error' id='1'/>",
        "<message from='v w@b.example' to='u@a.example' type='error' id='1'/>",
        "<message from='v@c.example' to='u@d.example' type='error' id='1'/>",
        "<message type='error'/>",
        "<iq from='b.example' to='a.example' type='error' id='1'/>",
        "<presence from='v@b.example' to='u@a.example' type='error'/>",
    ];
    let others = [
        "<message from='v@b.example' to='u@a.example'><body>hello</body></message>",
        "<iq from='b.example' to='a.example' type='result' id='1'/>",
        "<iq xmlns='jabber:client' from='b.example' to='a.example' type='result' id='1'/>",
        "<message xmlns='jabber:client' type='error' from='v@b.example' to='u@a.example' id='1'/>",
        "<x:iq xmlns:x='jabber:client' type='error'><x:error/></x:iq>",
        "<whatever/>",
        "<a xmlns='urn:xmpp:sm:3' h='1'/>",
        "<stream:features/>",
    ];
    let cases = errors.map(|text| (text, true)).into_iter().chain(others.map(|it| (it, false)));
    for (text, bounced) in cases {
        let mut fresh = answered(settings(Tls::Never), "<stream:features/>").0;
        drain(&mut fresh);
        for mut stream in [speaking(), fresh] {
            let (said, events) = told(&mut stream, text);
            assert_eq!(said, "", "{text}");
            match bounced {
                true => assert!(matches!(&events[..], [Event::Bounced(_)]), "{text}: {events:?}"),
                false => assert_eq!(events, [Event::Ignored], "{text}"),
            }
        }
    }
}

const ASCII: &str = "xn--mnchen-3ya.example";
const UNICODE: &str = "m\u{fc}nchen.example";

#[test]
fn a_peer_is_answered_in_the_form_in_which_it_writes_a_name() {
    for name in [ASCII, UNICODE] {
        let mut stream = responder(settings(Tls::Never));
        told(&mut stream, &HEADER.replace("b.example", name));
        stream.accept_header(start());
        let (text, _) = drain(&mut stream);
        assert!(text.contains(&format!("from='{name}' to='a.example'")), "{text}");
        let key = format!("<db:result from='a.example' to='{name}'>k</db:result>");
        let (_, events) = told(&mut stream, &key);
        let [Event::DialbackRequested { from, to, .. }] = &events[..] else { panic!("{events:?}") };
        stream.answer_dialback(from, to, &Verdict::Valid);
        let (text, _) = drain(&mut stream);
        assert_eq!(text, format!("<db:result from='{name}' to='a.example' type='valid'/>"));
        // Its stanzas count in either form.
        for form in [ASCII, UNICODE] {
            let stanza = format!("<presence from='u@a.example' to='v@{form}'/>");
            let (_, events) = told(&mut stream, &stanza);
            assert!(matches!(&events[..], [Event::Stanza(_)]), "{events:?}");
        }
    }
}

/// An initiator that has asked about the keys of two streams, `1` and `2`.
fn asking() -> Stream {
    let (mut stream, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    let secret = crate::dialback::Secret::new(b"s");
    let (a, b) = (domain("a.example"), domain("b.example"));
    stream.request_dialback(&a, &b, &secret).unwrap();
    stream.request_verify(&a, &b, "1", "k").unwrap();
    stream.request_verify(&domain(ASCII), &b, "2", "k").unwrap();
    let (text, _) = drain(&mut stream);
    assert!(text.contains(&format!("<db:verify from='{ASCII}' id='2' to='b.example'>k")), "{text}");
    stream
}

#[test]
fn a_bad_answer_about_a_key_ends_that_question_alone() {
    let answers = [
        "from='c.example' to='a.example' id='1' type='valid'",
        "from='b.example' to='c.example' id='1' type='valid'",
        "from='b example' to='a.example' id='1' type='valid'",
        "from='b.example' id='1' type='valid'",
        "from='b.example' to='a.example' id='1' type='maybe'",
        "from='b.example' to='a.example' id='1' type='invalid'",
    ];
    for answer in answers {
        let mut stream = asking();
        let (_, events) = told(&mut stream, &format!("<db:verify {answer}/>"));
        let [Event::DialbackVerified { local, remote, id, verdict }] = &events[..] else {
            panic!("{answer}: {events:?}")
        };
        assert_eq!((local, remote, &**id), (&domain("a.example"), &domain("b.example"), "1"));
        assert_eq!(*verdict, Verdict::Invalid, "{answer}");
        // The other question is answered, in another form of the name, and our own key as well.
        let (_, events) = told(
            &mut stream,
            &format!("<db:verify from='b.example' to='{UNICODE}' id='2' type='valid'/>"),
        );
        let good = |event: &Event| match event {
            Event::DialbackVerified { local, verdict, .. } => {
                *local == domain(ASCII) && *verdict == Verdict::Valid
            }
            _ => false,
        };
        assert!(events.iter().any(good), "{events:?}");
        told(&mut stream, "<db:result from='b.example' to='a.example' type='valid'/>");
        assert!(stream.may_send(&domain("a.example"), &domain("b.example")));
    }
}

/// jabberd2 sends keys for several domains on one stream, so these have one id.
#[test]
fn several_keys_of_one_stream_are_each_answered() {
    let (mut stream, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    let home = domain("home.example");
    let ours = [ASCII, UNICODE, "b.example", "a.example"].map(domain);
    for local in &ours {
        stream.request_verify(local, &home, "1", "k").unwrap();
    }
    let answer = |local: &str, verdict: &str| {
        format!("<db:verify from='home.example' to='{local}' id='1' type='{verdict}'/>")
    };
    for (local, asked, verdict) in [
        ("a.example", "a.example", Verdict::Valid),
        (ASCII, ASCII, Verdict::Valid),
        ("b.example", "b.example", Verdict::Invalid),
        ("a.example", UNICODE, Verdict::Invalid),
    ] {
        let said = if local == "b.example" { "invalid" } else { "valid" };
        let (_, events) = told(&mut stream, &answer(local, said));
        let expected = Event::DialbackVerified {
            local: domain(asked),
            remote: home.clone(),
            id: "1".into(),
            verdict,
        };
        assert_eq!(events, [expected]);
    }
    assert_eq!(told(&mut stream, &answer(UNICODE, "valid")).1, [Event::Ignored]);
}

#[test]
fn an_answer_that_nobody_asked_for_ends_no_stream_of_ours() {
    for words in [
        "<db:verify from='b.example' to='a.example' id='9' type='valid'/>",
        "<db:verify from='b.example' to='a.example' id='9' type='maybe'/>",
        "<db:verify from='b.example' to='a.example' type='valid'/>",
        "<db:result from='c.example' to='a.example' type='valid'/>",
        "<db:result from='b.example' type='valid'/>",
        "<db:result from='b.example' to='a.example' type='maybe'/>",
        "<db:result from='b.example' to='a.example'>key</db:result>",
    ] {
        let mut stream = asking();
        assert_eq!(told(&mut stream, words).1, [Event::Ignored], "{words}");
        assert!(!stream.may_send(&domain("a.example"), &domain("b.example")));
    }
}

#[test]
fn a_stanza_before_authentication_is_not_authorized() {
    let mut stream = opened(Settings::default());
    let (text, events) = told(&mut stream, "<message from='u@a.example' to='v@b.example'/>");
    assert_eq!(our_error(&events), Some(StreamCondition::NotAuthorized));
    assert!(text.starts_with("<stream:error><not-authorized "));
}

#[test]
fn the_same_key_twice_is_one_question() {
    let mut stream = opened(Settings::default());
    let key = "<db:result from='a.example' to='b.example'>k</db:result>";
    let (_, events) = told(&mut stream, &format!("{key}{key}"));
    assert_eq!(events.len(), 1);
}

#[test]
fn too_many_pairs_are_refused() {
    let mut stream = opened(Settings { max_pairs: 2, ..Settings::default() });
    let key = |n| format!("<db:result from='a{n}.example' to='b.example'>k</db:result>");
    let (_, events) = told(&mut stream, &format!("{}{}{}", key(1), key(2), key(3)));
    assert_eq!(events.len(), 3);
    assert_eq!(our_error(&events), Some(StreamCondition::ResourceConstraint));
}

#[test]
fn a_peers_stream_error_is_read_and_answered_with_the_footer() {
    let (mut stream, _, _) = answered(settings(Tls::Never), "<stream:features/>");
    let (text, events) = told(
        &mut stream,
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>who?</text></stream:error>\
         </stream:stream>",
    );
    assert_eq!(text, "</stream:stream>");
    let error = StreamError::new(StreamCondition::HostUnknown).with_text("who?");
    assert_eq!(events, [Event::Closed(CloseReason::Remote(error))]);
}

#[test]
fn a_peers_stream_error_instead_of_features_is_read_too() {
    let (_, text, events) = answered(
        Settings::default(),
        "<stream:error><remote-connection-failed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         </stream:error></stream:stream>",
    );
    assert_eq!(text, "</stream:stream>");
    let error = StreamError::new(StreamCondition::RemoteConnectionFailed);
    assert_eq!(events, [Event::Closed(CloseReason::Remote(error))]);
}

#[test]
fn a_response_without_id_is_useless() {
    let mut stream = initiator(Settings::default());
    drain(&mut stream);
    let (_, events) = told(&mut stream, HEADER);
    assert_eq!(our_error(&events), Some(StreamCondition::BadFormat));
}

#[test]
fn a_response_without_version_is_ready_unless_tls_is_required() {
    let header = HEADER.replace(" version='1.0'>", " id='s1'>");
    let mut stream = initiator(settings(Tls::Opportunistic));
    drain(&mut stream);
    assert_eq!(told(&mut stream, &header).1, [Event::Ready(Features::default())]);
    let mut stream = initiator(settings(Tls::Required));
    drain(&mut stream);
    let (text, events) = told(&mut stream, &header);
    assert_eq!(text, "</stream:stream>");
    assert_eq!(events, [Event::Closed(CloseReason::TlsFailed)]);
}

#[test]
fn features_are_reported() {
    let (_, _, events) = answered(
        Settings { encrypted: true, ..Settings::default() },
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>EXTERNAL</mechanism></mechanisms><bidi xmlns='urn:xmpp:features:bidi'/>\
         </stream:features>",
    );
    let features = Features {
        encrypted: true,
        dialback: false,
        dialback_errors: false,
        external: true,
        bidi: true,
        management: false,
    };
    assert_eq!(events, [Event::Ready(features)]);
}

#[test]
fn the_end_of_the_connection_says_how_far_it_had_come() {
    let ended = |mut stream: Stream| {
        drain(&mut stream);
        stream.handle_closed();
        drain(&mut stream).1
    };
    let eof = |phase| [Event::Closed(CloseReason::Eof(phase))];
    assert_eq!(ended(initiator(Settings::default())), eof(Phase::Header));
    assert_eq!(ended(answered(Settings::default(), "").0), eof(Phase::Negotiation));
    assert_eq!(ended(answered(Settings::default(), "<stream:features/>").0), eof(Phase::Ready));
    assert_eq!(ended(responder(Settings::default())), eof(Phase::Header));
    assert_eq!(ended(authenticated(Settings::default())), eof(Phase::Authenticated));
}

#[test]
fn a_footer_in_mid_negotiation_is_answered() {
    let (_, text, events) = answered(Settings::default(), "</stream:stream>");
    assert_eq!(text, "</stream:stream>");
    assert_eq!(events, [Event::Closed(CloseReason::ClosedByPeer(Phase::Negotiation))]);
    let mut stream = opened(Settings::default());
    let (text, events) = told(&mut stream, "</stream:stream>");
    assert_eq!(text, "</stream:stream>");
    assert_eq!(events, [Event::Closed(CloseReason::ClosedByPeer(Phase::Ready))]);
}

#[test]
fn a_header_that_is_footer_too_is_answered_in_full() {
    let mut stream = responder(Settings::default());
    told(&mut stream, &HEADER.replace("'>", "'/>"));
    stream.accept_header(start());
    let (text, events) = drain(&mut stream);
    assert!(text.ends_with("</stream:features></stream:stream>"), "{text}");
    assert_eq!(events, [Event::Closed(CloseReason::ClosedByPeer(Phase::Ready))]);
}

#[test]
fn a_slow_peer_meets_its_deadline() {
    // No header: after ten seconds
    let mut silent = responder(Settings::default());
    let began = start();
    assert!(silent.poll_timeout().unwrap() <= began + seconds(10));
    silent.handle_timeout(began + seconds(9));
    assert_eq!(drain(&mut silent).1, []);
    silent.handle_timeout(began + seconds(11));
    let (text, events) = drain(&mut silent);
    assert!(text.contains("<stream:error><connection-timeout "), "{text}");
    assert_eq!(events, [Event::Closed(CloseReason::Deadline(Phase::Header))]);
    // No authentication: after thirty
    let mut anonymous = opened(Settings::default());
    anonymous.handle_timeout(began + seconds(29));
    assert_eq!(drain(&mut anonymous).1, []);
    anonymous.handle_timeout(began + seconds(31));
    assert_eq!(drain(&mut anonymous).1, [Event::Closed(CloseReason::Deadline(Phase::Ready))]);
    // Authenticated: idling is the owner's business
    assert_eq!(authenticated(Settings::default()).poll_timeout(), None);
}

#[test]
fn a_stream_that_only_verifies_keys_stays_as_long_as_it_asks() {
    let mut stream = opened(Settings::default());
    let later = start() + seconds(20);
    stream.handle_bytes(b"<db:verify from='b.example' to='a.example' id='1'>k</db:verify>", later);
    assert_eq!(drain(&mut stream).1.len(), 1);
    stream.handle_timeout(start() + seconds(40));
    assert_eq!(drain(&mut stream).1, []);
    stream.handle_timeout(later + seconds(31));
    assert_eq!(drain(&mut stream).1, [Event::Closed(CloseReason::Deadline(Phase::Ready))]);
}

#[test]
fn a_close_that_is_not_answered_ends_by_itself() {
    let mut stream = authenticated(Settings::default());
    stream.close(start());
    assert_eq!(drain(&mut stream).0, "</stream:stream>");
    stream.handle_timeout(start() + seconds(6));
    assert_eq!(drain(&mut stream).1, [Event::Closed(CloseReason::Done)]);
    assert_eq!(stream.send(&Element::bare("message", "jabber:client")), Err(SendError::NotOpen));
}

#[test]
fn whitespace_between_stanzas_is_a_keepalive() {
    let mut stream = authenticated(Settings::default());
    let (text, events) = told(&mut stream, &" \n".repeat(200_000));
    assert_eq!((text.as_str(), events), ("", vec![]));
    let (_, events) = told(&mut stream, "<presence from='u@a.example' to='b.example'/>");
    assert_eq!(events.len(), 1);
}
