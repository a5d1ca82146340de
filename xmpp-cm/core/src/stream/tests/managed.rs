//! SASL EXTERNAL and what it leads to: stream management (XEP-0178, XEP-0198), both sides.

use std::time::Duration;

use minidom::Element;

use super::*;
use crate::dialback::Secret;

const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";

fn told(stream: &mut Stream, text: &str) -> (String, Vec<Event>) {
    stream.handle_bytes(text.as_bytes(), start());
    drain(stream)
}

/// A responder under TLS whose peer's certificate proves these domains, and its features.
fn certified(domains: &[&str]) -> (Stream, String) {
    let mut stream = opened(Settings::default());
    told(&mut stream, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    stream.certify(domains.iter().map(|it| domain(it).domain().clone()).collect());
    stream.handle_tls_established(start());
    let (features, _) = told(&mut stream, HEADER);
    (stream, features)
}

/// What it says when nothing has come for so many milliseconds since the start.
fn waited(stream: &mut Stream, millis: u64) -> (String, Vec<Event>) {
    stream.handle_timeout(start() + Duration::from_millis(millis));
    drain(stream)
}

/// One that let its peer in by SASL just now.
fn proven() -> Stream {
    let (mut stream, _) = certified(&["a.example"]);
    told(&mut stream, &format!("{AUTH}=</auth>"));
    let (text, _) = told(&mut stream, HEADER);
    assert!(text.starts_with("<?xml") && !text.contains("features>"), "{text}");
    stream
}

fn managed() -> Stream {
    let mut stream = proven();
    assert!(waited(&mut stream, 25).0.contains("features>"));
    assert_eq!(told(&mut stream, ENABLE).0, "<enabled xmlns='urn:xmpp:sm:3'/>");
    stream
}

#[test]
fn a_certificate_that_proves_the_domain_is_taken_instead_of_dialback() {
    let name = "YS5leGFtcGxl";
    for authzid in ["", "=", name] {
        let (mut stream, features) = certified(&["c.example", "a.example"]);
        let before = stream.id().to_owned();
        assert!(features.contains("<mechanism>EXTERNAL</mechanism>"), "{features}");
        assert!(!features.contains("urn:xmpp:sm:3"), "{features}");
        let (text, events) = told(&mut stream, &format!("{AUTH}{authzid}</auth>{HEADER}"));
        assert!(text.starts_with(SUCCESS), "{text}");
        assert_eq!(events, [], "nobody says anything before the features");
        let (features, events) = waited(&mut stream, 25);
        assert!(features.contains("<sm xmlns='urn:xmpp:sm:3'/>"), "{features}");
        assert!(!features.contains("EXTERNAL") && !features.contains("bidi"), "{features}");
        let (local, remote) = (domain("b.example"), domain("a.example"));
        assert_eq!(events, [Event::Authenticated { local, remote, direction: Direction::Inbound }]);
        assert_ne!(stream.id(), before);
        let (_, events) = told(&mut stream, "<presence from='u@a.example' to='v@b.example'/>");
        assert!(matches!(&events[..], [Event::Stanza(_)]));
    }
}

#[test]
fn whom_no_certificate_proves_is_left_to_dialback() {
    let other = "Yy5leGFtcGxl";
    for (domains, mechanism, authzid, condition) in [
        (&["c.example"][..], "EXTERNAL", "=", "not-authorized"),
        (&[], "EXTERNAL", "=", "not-authorized"),
        (&["a.example"], "PLAIN", "=", "invalid-mechanism"),
        (&["a.example", "c.example"], "EXTERNAL", other, "invalid-authzid"),
        (&["a.example"], "EXTERNAL", "%%%", "invalid-authzid"),
    ] {
        let (mut stream, features) = certified(domains);
        assert_eq!(features.contains("EXTERNAL"), domains.contains(&"a.example"));
        let auth = AUTH.replace("EXTERNAL", mechanism);
        let (text, events) = told(&mut stream, &format!("{auth}{authzid}</auth>"));
        assert!(text.contains(&format!("<{condition}")), "{text}");
        assert_eq!(events, []);
        let key = "<db:result from='a.example' to='b.example'>k</db:result>";
        let (_, events) = told(&mut stream, key);
        assert!(matches!(&events[..], [Event::DialbackRequested { .. }]));
    }
}

#[test]
fn after_external_the_peer_is_who_it_was_before() {
    for (changed, condition) in [
        (HEADER.replace("b.example", "c.example"), StreamCondition::HostUnknown),
        (HEADER.replace("a.example", "c.example"), StreamCondition::InvalidFrom),
    ] {
        let (mut stream, _) = certified(&["a.example", "c.example"]);
        let (_, events) = told(&mut stream, &format!("{AUTH}=</auth>{changed}"));
        assert_eq!(our_error(&events), Some(condition));
        assert!(!events.iter().any(|event| matches!(event, Event::Authenticated { .. })));
    }
}

#[test]
fn stanzas_are_counted_from_the_moment_of_enabling() {
    let mut stream = managed();
    let presence = "<presence from='u@a.example' to='v@b.example'/>";
    let (text, events) =
        told(&mut stream, &format!("{presence}{presence}<r xmlns='urn:xmpp:sm:3'/>"));
    assert!(matches!(&events[..], [Event::Counted(_, 1), Event::Counted(_, 2)]), "{events:?}");
    assert_eq!(text, "");
    stream.handled(2);
    assert_eq!(drain(&mut stream).0, "");
    stream.handled(1);
    assert_eq!(drain(&mut stream).0, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    let (text, _) = told(&mut stream, ENABLE);
    assert!(text.starts_with("<failed xmlns='urn:xmpp:sm:3'><unexpected-request"), "{text}");
}

#[test]
fn strangers_get_no_management() {
    let mut stream = opened(settings(Tls::Never));
    let (text, events) = told(&mut stream, &format!("{ENABLE}<r xmlns='urn:xmpp:sm:3'/>"));
    assert!(text.starts_with("<failed xmlns='urn:xmpp:sm:3'>"), "{text}");
    assert_eq!((text.contains("<a "), events), (false, vec![]));
}

#[test]
fn a_stream_that_ends_in_order_leaves_nothing_in_doubt() {
    let presence = "<presence from='u@a.example' to='v@b.example'/>";
    let all = "<a xmlns='urn:xmpp:sm:3' h='2'/>";
    // What has come will be answered, though it is not yet.
    let mut stream = managed();
    told(&mut stream, &format!("{presence}{presence}"));
    stream.handled(1);
    stream.close(start());
    assert_eq!(drain(&mut stream).0, format!("{all}</stream:stream>"));
    stream.handled(2);
    // What comes behind that stays with the peer.
    assert_eq!(told(&mut stream, presence), (String::new(), vec![]));
    // But for answers, which it could not bounce.
    let answer = "<iq type='result' from='a.example' to='b.example' id='1'/>";
    let (text, events) = told(&mut stream, &answer.repeat(100));
    assert!(text.is_empty() && events.len() == 100, "{text}");
    assert!(events.iter().all(|it| matches!(it, Event::Stanza(_))));

    let mut stream = managed();
    told(&mut stream, &format!("{presence}{presence}"));
    stream.close_with_error(StreamError::new(StreamCondition::SystemShutdown));
    let (text, _) = drain(&mut stream);
    assert!(text.starts_with(&format!("{all}<stream:error><system-shutdown")), "{text}");
}

fn numbered(number: u32) -> String {
    format!("<message from='u@a.example' to='v@b.example' id='{number}'/>")
}

fn numbers(events: &[Event]) -> Vec<(String, Option<u64>)> {
    let number = |stanza: &Element| stanza.attr("id").unwrap().to_owned();
    let taken = events.iter().filter_map(|event| match event {
        Event::Stanza(stanza) => Some((number(stanza), None)),
        Event::Counted(stanza, count) => Some((number(stanza), Some(*count))),
        _ => None,
    });
    taken.collect()
}

#[test]
fn what_came_before_the_features_waits_for_what_they_let_through() {
    let enable_and_one = format!("{ENABLE}{}", numbered(5));
    let uncounted = |number: &str| (number.to_owned(), None);
    for (last, counted) in [(enable_and_one, Some(1)), (numbered(5), None)] {
        let mut stream = proven();
        let later = start() + Duration::from_millis(20);
        let early = [numbered(3), numbered(4)].concat();
        stream.handle_bytes(early.as_bytes(), later);
        assert_eq!(drain(&mut stream), (String::new(), vec![]));
        assert_eq!(waited(&mut stream, 44).0, "", "it has just said something");
        assert!(waited(&mut stream, 45).0.contains("features>"));

        let (_, events) = told(&mut stream, &[numbered(1), numbered(2)].concat());
        assert_eq!(numbers(&events), [uncounted("1"), uncounted("2")]);
        let mut all = match counted {
            Some(_) => vec![],
            None => waited(&mut stream, 70).1,
        };
        all.extend(told(&mut stream, &last).1);
        let five = ("5".to_owned(), counted);
        assert_eq!(numbers(&all), [uncounted("3"), uncounted("4"), five]);
    }
}

#[test]
fn who_never_falls_silent_after_sasl_is_served_nevertheless() {
    let mut stream = proven();
    for millis in (0..500).step_by(20) {
        stream.handle_bytes(numbered(2).as_bytes(), start() + Duration::from_millis(millis));
        assert_eq!(waited(&mut stream, millis), (String::new(), vec![]));
    }
    assert!(waited(&mut stream, 500).0.contains("features>"));

    let mut stream = proven();
    let (text, _) = told(&mut stream, &numbered(2).repeat(1_000));
    assert!(text.contains("features>"), "no more than so many wait");
    assert_eq!(numbers(&waited(&mut stream, 25).1).len(), 1_000);
}

#[test]
fn what_came_before_the_features_survives_the_stream() {
    let ends: [fn(&mut Stream); 3] = [
        |stream| stream.handle_closed(),
        |stream| assert!(stream.close(start())),
        |stream| stream.handle_bytes(b"</stream:stream>", start()),
    ];
    for end in ends {
        let mut stream = proven();
        told(&mut stream, &numbered(2));
        end(&mut stream);
        let (text, events) = drain(&mut stream);
        assert_eq!((numbers(&events).len(), text.contains("features>")), (1, false), "{text}");
    }
}

const OFFER: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const SENT: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>\
    YS5leGFtcGxl</auth>";
const COUNTS: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// An initiator under TLS, to which this was offered, and what it said to that.
fn offered(shows: bool) -> (Stream, String, Vec<Event>) {
    let config = InitiatorConfig {
        local: domain("a.example"),
        remote: domain("b.example"),
        settings: Settings { encrypted: true, external: shows, ..Settings::default() },
    };
    let mut stream = Stream::initiator(config, start());
    drain(&mut stream);
    told(&mut stream, &answer("1"));
    let (text, events) = told(&mut stream, OFFER);
    (stream, text, events)
}

fn answer(id: &str) -> String {
    format!(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         from='b.example' to='a.example' id='{id}' version='1.0'>"
    )
}

/// One whose peer counts what it gets.
fn counted() -> Stream {
    let (mut stream, ..) = offered(true);
    told(&mut stream, &format!("{SUCCESS}{}{COUNTS}", answer("2")));
    stream
}

fn send(stream: &mut Stream) -> String {
    let stanza = "<message xmlns='jabber:client' from='u@a.example' to='v@b.example'/>";
    stream.send(&stanza.parse().unwrap()).unwrap();
    drain(stream).0
}

fn a(h: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>")
}

#[test]
fn a_certificate_that_was_shown_is_tried_instead_of_dialback() {
    let (mut stream, text, events) = offered(true);
    assert_eq!((text.as_str(), events), (SENT, vec![]));
    assert!(stream.send(&"<presence xmlns='jabber:client'/>".parse().unwrap()).is_err());
    let (text, events) = told(&mut stream, SUCCESS);
    assert!(text.starts_with("<?xml") && text.contains("to='b.example'"), "{text}");
    assert_eq!(events, []);
    let (text, events) = told(&mut stream, &format!("{}{COUNTS}", answer("2")));
    assert_eq!((text.as_str(), stream.id()), (ENABLE, "2"));
    let (local, remote) = (domain("a.example"), domain("b.example"));
    assert_eq!(events[0], Event::Authenticated { local, remote, direction: Direction::Outbound });
    assert!(matches!(&events[1..], [Event::Ready(features)] if features.management));

    let (mut stream, ..) = offered(true);
    let again = format!("{SUCCESS}{}{OFFER}", answer("2"));
    let (text, events) = told(&mut stream, &again);
    assert!(!text.contains("<auth") && events.len() == 2, "once is enough: {text} {events:?}");
    assert!(!send(&mut stream).contains(ASK), "nobody counts");
}

#[test]
fn without_a_certificate_or_where_it_is_refused_dialback_is_left() {
    let (_, text, events) = offered(false);
    assert!(
        matches!(&events[..], [Event::Ready(features)] if features.external) && text.is_empty()
    );

    let (mut stream, ..) = offered(true);
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    let (_, events) = told(&mut stream, failure);
    assert!(matches!(&events[..], [Event::Ready(features)] if features.external), "{events:?}");
    let (a, b) = (domain("a.example"), domain("b.example"));
    stream.request_dialback(&a, &b, &Secret::new(b"secret")).unwrap();
    assert!(drain(&mut stream).0.contains("<db:result"));

    let (mut stream, ..) = offered(true);
    let (_, events) = told(&mut stream, ENABLE);
    assert_eq!(our_error(&events), Some(StreamCondition::UnsupportedStanzaType));
}

#[test]
fn a_peer_that_counts_is_asked_once_at_a_time() {
    let mut stream = counted();
    assert_eq!(stream.sent(), Some(0));
    assert!(send(&mut stream).ends_with(ASK));
    assert!(!send(&mut stream).contains(ASK));
    assert_eq!(stream.sent(), Some(2));
    assert_eq!(told(&mut stream, &a(1)), (ASK.to_owned(), vec![Event::Arrived(1)]));
    // Less than all is an answer, too, and no reason to ask for ever.
    assert_eq!(told(&mut stream, &a(1)), (String::new(), vec![Event::Arrived(1)]));
    stream.ask_count_again();
    assert_eq!(drain(&mut stream).0, ASK);
    assert_eq!(told(&mut stream, &a(2)), (String::new(), vec![Event::Arrived(2)]));
    assert_eq!(told(&mut stream, &a(3)), (String::new(), vec![Event::Ignored]));
    let nothing = "<a xmlns='urn:xmpp:sm:3'/>";
    assert_eq!(told(&mut stream, nothing), (String::new(), vec![Event::Ignored]));
    let bounce = "<message from='v@b.example' to='u@a.example' type='error'/>";
    let (text, events) = told(&mut stream, &format!("{bounce}{ASK}"));
    assert!(matches!(&events[..], [Event::Bounced(_)]) && text == a(1), "{text} {events:?}");
}

#[test]
fn the_last_words_ask_for_the_count_and_the_answer_is_heard() {
    let mut stream = counted();
    assert!(send(&mut stream).ends_with(ASK));
    told(&mut stream, &a(1));
    let stanza = "<presence xmlns='jabber:client' from='u@a.example' to='v@b.example'/>";
    stream.send(&stanza.parse().unwrap()).unwrap();
    stream.close(start());
    let (text, _) = drain(&mut stream);
    assert!(text.ends_with(&format!("{ASK}</stream:stream>")), "{text}");
    let (text, events) = told(&mut stream, &format!("{}{ASK}", a(2)));
    assert_eq!((text.as_str(), events), ("", vec![Event::Arrived(2)]), "nothing behind the footer");
}

#[test]
fn a_peer_that_does_not_count_after_all_is_asked_no_more() {
    let mut stream = counted();
    let (_, events) = told(&mut stream, "<failed xmlns='urn:xmpp:sm:3'/>");
    assert_eq!((events, stream.sent()), (vec![Event::Uncounted], None));
    assert!(!send(&mut stream).contains(ASK));
}
