//! Input that wants our memory, our time or our process (E-58).

use super::*;

fn refused(mut stream: Stream, text: &str) -> StreamCondition {
    stream.handle_bytes(text.as_bytes(), start());
    let (text, events) = drain(&mut stream);
    assert!(text.ends_with("</stream:error></stream:stream>"), "{text}");
    our_error(&events).unwrap_or_else(|| panic!("{events:?}"))
}

#[test]
fn e58_nesting_of_20_000_before_and_after_authentication() {
    let deep = "<a>".repeat(20_000);
    for stream in [opened(Settings::default()), authenticated(Settings::default())] {
        assert_eq!(refused(stream, &deep), StreamCondition::PolicyViolation);
    }
}

#[test]
fn e58_nesting_up_to_the_limit_is_taken() {
    let inner = 63;
    let stanza = format!(
        "<message from='u@a.example' to='v@b.example'>{}{}</message>",
        "<a>".repeat(inner),
        "</a>".repeat(inner)
    );
    let mut stream = authenticated(Settings::default());
    stream.handle_bytes(stanza.as_bytes(), start());
    assert!(matches!(&drain(&mut stream).1[..], [Event::Stanza(_)]));
    let deeper = stanza.replacen("<a>", "<a><a>", 1).replacen("</a>", "</a></a>", 1);
    assert_eq!(
        refused(authenticated(Settings::default()), &deeper),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn e58_a_stanza_of_600_kb() {
    let body = "x".repeat(600_000);
    let stanza =
        format!("<message from='u@a.example' to='v@b.example'><body>{body}</body></message>");
    assert_eq!(
        refused(authenticated(Settings::default()), &stanza),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn e58_before_authentication_an_element_has_16_kib() {
    let key = |size| {
        format!("<db:result from='a.example' to='b.example'>{}</db:result>", "k".repeat(size))
    };
    assert_eq!(
        refused(opened(Settings::default()), &key(17_000)),
        StreamCondition::PolicyViolation
    );
    let mut stream = opened(Settings::default());
    stream.handle_bytes(key(16_000).as_bytes(), start());
    assert!(matches!(&drain(&mut stream).1[..], [Event::DialbackRequested { .. }]));
}

#[test]
fn e58_100_000_attributes() {
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=''")).collect();
    let stanza = format!("<message{attributes}/>");
    assert_eq!(
        refused(authenticated(Settings::default()), &stanza),
        StreamCondition::PolicyViolation
    );
    let header = HEADER.replace(" to=", &format!("{attributes} to="));
    assert_eq!(refused(responder(Settings::default()), &header), StreamCondition::PolicyViolation);
}

#[test]
fn e58_100_000_namespace_declarations() {
    let nested: String =
        (0..2_000).map(|n| format!("<a xmlns:p{n}='u' xmlns:q{n}='u' xmlns:r{n}='u'>")).collect();
    assert_eq!(
        refused(authenticated(Settings::default()), &nested),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn e58_an_attribute_of_1_mb() {
    let stanza = format!("<message id='{}'/>", "x".repeat(1_000_000));
    assert_eq!(
        refused(authenticated(Settings::default()), &stanza),
        StreamCondition::PolicyViolation
    );
    let fitting =
        format!("<message from='u@a.example' to='v@b.example' id='{}'/>", "x".repeat(30_000));
    let mut stream = authenticated(Settings::default());
    stream.handle_bytes(fitting.as_bytes(), start());
    assert!(matches!(&drain(&mut stream).1[..], [Event::Stanza(_)]));
}

#[test]
fn e58_a_name_of_1_kb_and_a_flood_of_elements() {
    let name = format!("<{}/>", "n".repeat(1_000));
    assert_eq!(
        refused(authenticated(Settings::default()), &name),
        StreamCondition::PolicyViolation
    );
    let flood = format!("<message>{}", "<a/>".repeat(20_000));
    assert_eq!(
        refused(authenticated(Settings::default()), &flood),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn e58_an_endless_header() {
    let header = HEADER.replace(" to=", &format!("{} to=", " ".repeat(10_000)));
    assert_eq!(refused(responder(Settings::default()), &header), StreamCondition::PolicyViolation);
    let declaration = format!("<?xml {}", " ".repeat(10_000));
    assert_eq!(
        refused(responder(Settings::default()), &declaration),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn e58_restricted_xml() {
    let cases = [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]>", StreamCondition::RestrictedXml),
        ("<?php echo 1 ?>", StreamCondition::RestrictedXml),
        ("<!-- hello -->", StreamCondition::RestrictedXml),
        ("<message>&bomb;</message>", StreamCondition::RestrictedXml),
        ("<message>\u{1}</message>", StreamCondition::NotWellFormed),
        ("<message></presence>", StreamCondition::NotWellFormed),
        ("<message a='1' a='2'/>", StreamCondition::NotWellFormed),
        ("<message xmlns:x='u' xmlns:y='u' x:a='1' y:a='2'/>", StreamCondition::NotWellFormed),
        ("<p:message/>", StreamCondition::NotWellFormed),
        ("<message", StreamCondition::NotWellFormed),
        ("words", StreamCondition::BadFormat),
        (HEADER, StreamCondition::RestrictedXml),
        ("<stream:stream>", StreamCondition::BadFormat),
    ];
    for (text, expected) in cases {
        // A tag left open is closed by a "<", which no tag may contain
        let text = format!("{text}<");
        assert_eq!(refused(authenticated(Settings::default()), &text), expected, "{text}");
    }
    let doctype = HEADER.replace("?><", "?><!DOCTYPE x><");
    assert_eq!(refused(responder(Settings::default()), &doctype), StreamCondition::RestrictedXml);
}

#[test]
fn e58_invalid_utf_8() {
    let mut stream = authenticated(Settings::default());
    stream.handle_bytes(b"<message>\xff\xfe</message>", start());
    assert_eq!(our_error(&drain(&mut stream).1), Some(StreamCondition::UnsupportedEncoding));
}

#[test]
fn e58_too_much_while_the_owner_decides() {
    let mut stream = responder(Settings::default());
    stream.handle_bytes(HEADER.as_bytes(), start());
    for _ in 0..20 {
        stream.handle_bytes(&[b' '; 1_000], start());
    }
    let (text, events) = drain(&mut stream);
    assert!(text.starts_with("<?xml"), "the error has a header before it");
    assert_eq!(our_error(&events), Some(StreamCondition::PolicyViolation));
}

#[test]
fn after_the_end_nothing_is_heard_and_nothing_said() {
    let mut stream = opened(Settings::default());
    stream.handle_bytes(b"<!-- -->", start());
    drain(&mut stream);
    stream.handle_bytes(HEADER.as_bytes(), start());
    stream.accept_header(start());
    stream.handle_tls_established(start());
    stream.handle_tls_failed();
    stream.handle_timeout(start() + seconds(100));
    stream.close(start());
    stream.close_with_error(StreamError::new(StreamCondition::Reset));
    stream.handle_closed();
    assert_eq!(drain(&mut stream), (String::new(), vec![]));
    assert_eq!(stream.poll_timeout(), None);
}
