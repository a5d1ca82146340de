//! SASL EXTERNAL and what it leads to: stream management (XEP-0178, XEP-0198).

use super::*;

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

fn managed() -> Stream {
    let (mut stream, _) = certified(&["a.example"]);
    told(&mut stream, &format!("{AUTH}=</auth>"));
    told(&mut stream, HEADER);
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
        let (success, features) = text.split_at(SUCCESS.len());
        assert_eq!(success, SUCCESS);
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
    assert_eq!(text, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
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

    let mut stream = managed();
    told(&mut stream, &format!("{presence}{presence}"));
    stream.close_with_error(StreamError::new(StreamCondition::SystemShutdown));
    let (text, _) = drain(&mut stream);
    assert!(text.starts_with(&format!("{all}<stream:error><system-shutdown")), "{text}");
}
