use super::*;
use crate::headers::HeaderId;
use std::net::SocketAddr;

const REQUEST: &str = "MESSAGE sip:bob@example.org SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport , SIP/2.0/TCP b.example;branch=z9hG4bK0\r\n\
    v : SIP/2.0/TLS c.example;branch=z9hG4bKc\r\n\
    Max-Forwards: 70\r\n\
    rOUTE:   <sip:p1.example;lr>,\r\n <sip:p2.example;lr>\r\n\
    f: <sip:alice@example.com>;tag=a\r\n\
    t: \"Bob\" <sip:bob@example.org>\r\n\
    i: c1\r\n\
    CSeq: 7 MESSAGE\r\n\
    X-Strange:\tkept   as is \r\n\
    l: 4\r\n\
    \r\n\
    \x00\x01hi";

fn request() -> Message {
    parse(REQUEST)
}

fn parse(text: &str) -> Message {
    Message::parse(text.to_owned().into()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn error(text: &str) -> WireError {
    Message::parse(text.to_owned().into()).expect_err(text).error
}

fn written(message: &Message) -> String {
    String::from_utf8(message.to_bytes().to_vec()).unwrap()
}

fn source() -> SocketAddr {
    "192.0.2.9:4321".parse().unwrap()
}

#[test]
fn an_untouched_message_is_its_own_input() {
    let input = Bytes::from(format!("\r\n\r\n{REQUEST}excess"));
    let message = Message::parse(input.clone()).unwrap();
    assert_eq!(message.to_bytes(), REQUEST);
    assert_eq!(message.to_bytes().as_ptr(), input[4..].as_ptr(), "without a copy");
    assert_eq!(message.body(), "\0\u{1}hi");
}

#[test]
fn a_body_may_begin_with_white_space() {
    for body in [" hi!", "\thi!", "\r\n\r\n"] {
        let text = REQUEST.replace("\0\u{1}hi", body);
        assert_eq!(parse(&text).body(), body);
    }
}

#[test]
fn edits_touch_their_own_header_only() {
    let mut message = request();
    message.push_via("SIP/2.0/UDP us.example;branch=z9hG4bKus");
    assert_eq!(message.decrement_max_forwards(), Ok(69));
    message.set_uri("sip:bob@192.0.2.7");
    message.push_record_route("<sip:us.example;lr>");
    let expected = REQUEST
        .replace("MESSAGE sip:bob@example.org SIP", "MESSAGE sip:bob@192.0.2.7 SIP")
        .replacen("Via:", "Via: SIP/2.0/UDP us.example;branch=z9hG4bKus\r\nVia:", 1)
        .replace("Max-Forwards: 70", "Max-Forwards: 69")
        .replacen("SIP/2.0\r\n", "SIP/2.0\r\nRecord-Route: <sip:us.example;lr>\r\n", 1);
    assert_eq!(written(&message), expected);
    assert_eq!(message.uri().unwrap().unwrap().as_str(), "sip:bob@192.0.2.7");
}

#[test]
fn e_02_max_forwards_absent_becomes_70_and_zero_is_refused() {
    let mut message = parse(&REQUEST.replace("Max-Forwards: 70\r\n", ""));
    assert_eq!(message.decrement_max_forwards(), Ok(70));
    assert_eq!(message.max_forwards(), Ok(Some(70)));
    let mut message = parse(&REQUEST.replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert!(message.decrement_max_forwards().is_err());
}

#[test]
fn vias_are_taken_off_one_value_at_a_time() {
    let mut message = request();
    let mut branches = Vec::new();
    while let Ok(via) = message.pop_via() {
        branches.push(via.branch().unwrap().to_owned());
        if branches.len() == 1 {
            let head = "SIP/2.0\r\nVia: SIP/2.0/TCP b.example;branch=z9hG4bK0\r\nv : SIP/2.0/TLS";
            assert!(written(&message).contains(head), "{}", written(&message));
        }
    }
    assert_eq!(branches, ["z9hG4bK1", "z9hG4bK0", "z9hG4bKc"]);
    assert_eq!(message.header(HeaderId::Via), None);
}

#[test]
fn routes_are_taken_off_one_value_at_a_time() {
    let mut message = request();
    assert_eq!(message.pop_route().unwrap().unwrap().uri().as_str(), "sip:p1.example;lr");
    assert!(written(&message).contains("\r\nrOUTE:   <sip:p2.example;lr>\r\nf:"));
    assert_eq!(message.pop_route().unwrap().unwrap().uri().as_str(), "sip:p2.example;lr");
    assert_eq!(message.pop_route(), Ok(None));
    assert!(!written(&message).contains("OUTE"));
}

#[test]
fn e_06_the_source_is_marked_inside_a_list() {
    let mut message = request();
    message.mark_source(source()).unwrap();
    let marked = "Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport=4321;received=192.0.2.9 , \
        SIP/2.0/TCP b.example;branch=z9hG4bK0\r\n";
    assert!(written(&message).contains(marked), "{}", written(&message));
}

#[test]
fn a_response_copies_what_rfc_3261_8_2_6_2_names() {
    let mut message = request();
    message.mark_source(source()).unwrap();
    let mut response = Message::response_to(&message, 404, "Not\r\nFound");
    response.set_to_tag("ours");
    response.set_to_tag("twice");
    let expected = "SIP/2.0 404 Not  Found\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;rport=4321;received=192.0.2.9 , \
        SIP/2.0/TCP b.example;branch=z9hG4bK0\r\n\
        v : SIP/2.0/TLS c.example;branch=z9hG4bKc\r\n\
        f: <sip:alice@example.com>;tag=a\r\n\
        t: \"Bob\" <sip:bob@example.org>;tag=ours\r\n\
        i: c1\r\n\
        CSeq: 7 MESSAGE\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(written(&response), expected);
    assert_eq!(parse(expected).code(), Some(404));
}

#[test]
fn e_01_a_request_from_scratch() {
    let mut message = Message::request("MESS AGE", "sip:bob@example.org\r\nX: y");
    message.push("Via", "SIP/2.0/TCP us.example;branch=z9hG4bKx");
    message.push("Max-Forwards", "70");
    message.push("From", "<sip:a@example.com>;tag=1");
    message.push("To", "<sip:bob@example.org>");
    message.push("Call-ID", "x@us");
    message.push("CSeq", "1 MESSAGE");
    message.set_body(Some("text/plain"), Bytes::from_static(b"hello"));
    message.set_body(Some("text/html"), Bytes::from_static(b"hello again"));
    let text = written(&message);
    assert!(text.starts_with("MESSAGE sip:bob@example.orgX:y SIP/2.0\r\n"));
    assert!(text.ends_with("Content-Type: text/html\r\nContent-Length: 11\r\n\r\nhello again"));
}

#[test]
fn a_set_header_is_there_once() {
    let mut message = parse(&REQUEST.replace("X-Strange", "Subject: a\r\ns: b\r\nX-Strange"));
    message.set(HeaderId::Subject, "c\r\nEvil: 1");
    let subjects: Vec<_> =
        message.headers_of(HeaderId::Subject).map(|h| h.line().clone()).collect();
    assert_eq!(subjects, ["Subject: c  Evil: 1"]);
    assert!(message.remove(HeaderId::Subject) && !message.remove(HeaderId::Subject));
}

#[test]
fn e_09_a_datagram_shorter_than_its_length_is_refused() {
    assert_eq!(error(REQUEST.strip_suffix("i").unwrap()), WireError::Truncated);
    assert_eq!(error(REQUEST.split("\r\n\r\n").next().unwrap()), WireError::Truncated);
    let open = parse(&REQUEST.replace("l: 4\r\n", ""));
    assert_eq!(open.body().len(), 4, "without Content-Length the body is the rest");
}

#[test]
fn content_length_is_one_sound_number() {
    for (value, expected) in [
        ("l: 4\r\nContent-Length: 4", "repeated"),
        ("l: 4\r\nContent-Length: 5", "repeated"),
        ("l: 4, 4", "bad"),
        ("l: -4", "bad"),
        ("l: +4", "bad"),
        ("l: 0x4", "bad"),
        ("l: four", "bad"),
        ("l:", "bad"),
        ("l: 4294967296", "bad"),
        ("l: 18446744073709551620", "bad"),
    ] {
        let text = REQUEST.replace("l: 4", value);
        assert_eq!(error(&text), WireError::ContentLength(expected), "{value}");
    }
}

#[test]
fn stray_line_breaks_are_refused() {
    for (old, new) in [
        ("i: c1\r\n", "i: c1\n"),
        ("i: c1\r\n", "i: c1\r"),
        ("kept   as", "kept\nas"),
        ("kept   as", "kept\ras"),
        ("kept   as", "kept\r\r\n as"),
        ("i: c1\r\n", "i: c1\n\r\n"),
    ] {
        let text = REQUEST.replace(old, new);
        assert!(matches!(error(&text), WireError::HeaderLine(_)), "{new:?}");
    }
}

#[test]
fn the_start_line_is_strict() {
    let start = |line: &str| error(&REQUEST.replace("MESSAGE sip:bob@example.org SIP/2.0", line));
    assert!(matches!(start("hello"), WireError::StartLine(_)));
    assert!(matches!(start("MES SAGE"), WireError::StartLine(_)));
    assert!(matches!(start("M@ sip:bob@example.org SIP/2.0"), WireError::StartLine(_)));
    assert!(matches!(start("MESSAGE sip:bob@example.org HTTP/1.1"), WireError::StartLine(_)));
    assert_eq!(start("MESSAGE sip:bob@example.org SIP/2.1"), WireError::Version);
    assert_eq!(start("MESSAGE sip:bo b@example.org SIP/2.0"), WireError::RequestUri);
    assert_eq!(start("MESSAGE  SIP/2.0"), WireError::RequestUri);
    assert_eq!(start("message sip:bob@example.org SIP/2.0"), WireError::MethodMismatch);
    assert!(matches!(start("SIP/2.0 99 x"), WireError::StartLine(_)));
    assert!(matches!(start("SIP/2.0 700 x"), WireError::StartLine(_)));
    assert!(matches!(start("SIP/2.0 2000"), WireError::StartLine(_)));
    assert_eq!(start("SIP/3.0 200 OK"), WireError::Version);
    assert!(matches!(error("\r\n\r\n"), WireError::StartLine("empty")));
}

#[test]
fn limits_hold() {
    let long_uri = format!("MESSAGE sip:{}@example.org SIP", "b".repeat(1100));
    let text = REQUEST.replace("MESSAGE sip:bob@example.org SIP", &long_uri);
    assert_eq!(error(&text), WireError::UriTooLong);
    let text = REQUEST.replace("kept", &"k".repeat(MAX_HEADER_LINE));
    assert_eq!(error(&text), WireError::HeaderLine("too long"));
    let lines = "X: y\r\n".repeat(MAX_HEADER_LINES);
    let text = REQUEST.replace("X-Strange", &format!("{lines}X-Strange"));
    assert_eq!(error(&text), WireError::TooMany("header lines"));
    let vias = "SIP/2.0/UDP a.example,".repeat(MAX_VIA_VALUES);
    let text = REQUEST.replace("v : ", &format!("v: {vias}"));
    assert_eq!(error(&text), WireError::TooMany("Via values"));
    let text = REQUEST.replace("l: 4\r\n", "") + &"x".repeat(MAX_MESSAGE);
    assert_eq!(error(&text), WireError::TooLarge);
}

#[test]
fn the_answer_says_what_is_wrong_and_where_it_goes() {
    let answer = |text: &str| {
        let rejected = Message::parse(text.to_owned().into()).expect_err(text);
        rejected.answer(source())
    };
    let refused = answer(&REQUEST.replace("CSeq: 7 MESSAGE", "CSeq: 7 INVITE")).unwrap();
    let text = written(&refused);
    assert!(text.starts_with("SIP/2.0 400 CSeq method does not match\r\n"), "{text}");
    assert!(text.contains("rport=4321;received=192.0.2.9"));
    assert_eq!(
        answer(&REQUEST.replace("SIP/2.0\r\nVia", "SIP/9.0\r\nVia")).unwrap().code(),
        Some(505)
    );
    let without_via = REQUEST.replace("Via:", "X:").replace("v :", "X:");
    assert!(answer(&without_via).is_none(), "without Via");
    let ack = REQUEST.replace("MESSAGE", "ACK").replace("l: 4", "l: x");
    assert!(answer(&ack).is_none(), "an ACK is never answered");
    assert!(answer("SIP/2.0 200 OK\r\n\r\n").is_none(), "a response is never answered");
    assert!(answer("\0\u{1}garbage").is_none());
}

/// RFC 3261 §8.2.7: who hears an answer twice must not take it for the answers of two.
#[test]
fn each_copy_of_a_refused_request_is_answered_with_the_same_tag() {
    let tag = |text: &str| {
        let rejected = Message::parse(text.to_owned().into()).expect_err(text);
        let to = rejected.answer(source()).expect("an answer").to().expect("To");
        to.tag().expect("a tag").to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    for bad in [
        REQUEST.replace("SIP/2.0\r\nVia", "SIP/9.0\r\nVia"),
        REQUEST.replace("CSeq: 7 MESSAGE", "CSeq: 7 INVITE"),
        REQUEST.replace("CSeq: 7 MESSAGE", "CSeq: 8 INVITE"),
        REQUEST.replace("i: c1", "i: c1\r\ni: c2"),
        REQUEST.replace("l: 4", "l: x"),
    ] {
        assert_eq!(tag(&bad), tag(&bad), "{bad}");
        seen.insert(tag(&bad));
    }
    assert!(seen.len() >= 4, "and two requests are told apart: {seen:?}");
}

/// Whose request is answered by nobody repeats it for 32 s, and hears a time-out.
#[test]
fn a_request_that_cannot_be_used_is_answered_with_what_it_has() {
    let cases = [
        ("f: <sip:alice@example.com>;tag=a\r\n", "", "Missing From"),
        ("t: \"Bob\" <sip:bob@example.org>\r\n", "", "Missing To"),
        ("i: c1\r\n", "", "Missing Call-ID"),
        ("CSeq: 7 MESSAGE\r\n", "", "Missing CSeq"),
        (">;tag=a", ">;tag=a, <sip:eve@example.com>;tag=e", "Malformed From"),
        (">;tag=a", ">;tag=a\r\nFrom: <sip:eve@example.com>;tag=e", "Repeated From"),
        ("kept", "ke\0pt", "Malformed header line: NUL"),
        ("i: c1", "i: c\0x", "Malformed header line: NUL"),
        ("\r\nt:", "\nt:", "Malformed header line: stray CR or LF"),
        ("\r\nt:", "\rt:", "Malformed header line: stray CR or LF"),
        ("\r\ni:", "\n\r\ni:", "Malformed header line: stray CR or LF"),
        ("\r\n", "\n", "Malformed start line: stray CR or LF"),
        ("\r\nX-Strange", "\nX-Strange", "Malformed header line: stray CR or LF"),
        ("\r\nVia", "\nVia", "Malformed start line: stray CR or LF"),
    ];
    for (old, new, reason) in cases {
        let text = REQUEST.replace(old, new);
        let rejected = Message::parse(text.clone().into()).expect_err(&text);
        let answer = rejected.answer(source()).unwrap_or_else(|| panic!("no answer to {text:?}"));
        let answer = written(&answer);
        assert!(answer.starts_with(&format!("SIP/2.0 400 {reason}\r\n")), "{new:?}: {answer:?}");
        assert!(answer.contains("branch=z9hG4bK1;rport=4321;received=192.0.2.9"), "{answer:?}");
        let head = answer.strip_suffix("\r\n\r\n").expect("a whole head");
        let mended = head.replace("\r\n", "");
        assert!(!mended.contains(['\r', '\n', '\0']), "sound itself: {answer:?}");
        let heads = |name: char| head.contains(&format!("\r\n{name}: ")) || text == REQUEST;
        assert!(heads('f') || old.starts_with('f'), "{new:?}: {answer:?}");
        assert!(heads('i') || old.starts_with("i: c1\r"), "{new:?}: {answer:?}");
    }
    let quoted = REQUEST.replace("\"Bob\"", "\"B\\\0b\"");
    parse(&quoted);
}

#[test]
fn stray_bytes_before_a_message_are_none_of_it() {
    for stray in ["\0", "\r\n\0", "\0\0\r\n", " \t\r\n", "\n\n"] {
        assert_eq!(parse(&format!("{stray}{REQUEST}")).to_bytes(), REQUEST, "{stray:?}");
    }
}

#[test]
fn nothing_private_is_printed() {
    let message = request();
    let debug = format!("{message:?} {:?} {:?}", message.start(), message.headers());
    assert!(!debug.contains("bob") && !debug.contains("alice") && !debug.contains("hi"), "{debug}");
}
