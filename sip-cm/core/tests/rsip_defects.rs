//! Why SIP on the wire is our own: what rsip 0.4 makes of messages that this crate passes as they
//! are. Each test fails the day rsip changes, and the claim in ARCHITECTURE.md with it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use bytes::Bytes;
use rsip::headers::UntypedHeader;
use rsip::message::HasHeaders;
use sip_cm_core::headers::HeaderId;
use sip_cm_core::wire::Message;

const REQUEST: &str = "MESSAGE sip:bob@example.org SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example:5060;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:alice@example.com>;tag=1\r\n\
    To: <sip:bob@example.org>\r\n\
    Call-ID: c1@a.example\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Length: 0\r\n\r\n";

const RESPONSE: &str = "SIP/2.0 486 Busy Here\r\n\
    Via: SIP/2.0/UDP a.example:5060;branch=z9hG4bK1\r\n\
    From: <sip:alice@example.com>;tag=1\r\n\
    To: <sip:bob@example.org>;tag=2\r\n\
    Call-ID: c1@a.example\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Length: 0\r\n\r\n";

fn ours(text: &str) -> Message {
    let message = Message::parse(Bytes::from(text.to_owned())).expect("we read it");
    assert_eq!(message.to_bytes(), text, "we write it as we read it");
    message
}

fn theirs(text: &str) -> Result<rsip::SipMessage, rsip::Error> {
    rsip::SipMessage::try_from(text.as_bytes())
}

#[test]
fn the_plain_message_is_read_by_both() {
    ours(REQUEST);
    assert!(theirs(REQUEST).is_ok());
    ours(RESPONSE);
    assert!(theirs(RESPONSE).is_ok());
}

#[test]
fn an_unknown_method_is_rejected() {
    let text = REQUEST.replace("MESSAGE", "NEWMETHOD");
    assert_eq!(ours(&text).method(), Some("NEWMETHOD"));
    assert!(theirs(&text).is_err());
}

#[test]
fn a_dotted_user_part_becomes_the_host() {
    let text = REQUEST.replace("sip:bob@", "sip:first.last@");
    let uri = ours(&text).uri().unwrap().unwrap();
    assert_eq!((uri.user(), uri.host().unwrap().name()), (Some("first.last"), Some("example.org")));
    let Ok(rsip::SipMessage::Request(request)) = theirs(&text) else { panic!("rsip rejects it") };
    assert_eq!(request.uri.user(), None);
    assert_eq!(request.uri.host().to_string(), "first.last@example.org");
}

#[test]
fn ipv6_is_rejected() {
    let text = REQUEST.replace("a.example:5060", "[2001:db8::1]:5060");
    let via = ours(&text).top_via().unwrap();
    assert_eq!((via.host().to_string().as_str(), via.port()), ("[2001:db8::1]", Some(5060)));
    let message = theirs(&text);
    let via = message.ok().and_then(|m| {
        use rsip::prelude::HeadersExt;
        m.via_header().ok().and_then(|via| rsip::typed::Via::try_from(via.clone()).ok())
    });
    assert!(via.is_none());
    let text = REQUEST.replace("bob@example.org SIP", "bob@[2001:db8::1] SIP");
    ours(&text);
    assert!(theirs(&text).is_err());
}

#[test]
fn a_folded_header_is_rejected() {
    let text = REQUEST.replace("Max-", "Subject: one\r\n two\r\nMax-");
    assert_eq!(ours(&text).text(HeaderId::Subject).unwrap().unwrap(), "one   two");
    assert!(theirs(&text).is_err());
}

#[test]
fn a_space_before_the_colon_is_rejected() {
    let text = REQUEST.replace("Call-ID:", "Call-ID :");
    assert_eq!(ours(&text).call_id().unwrap(), "c1@a.example");
    assert!(theirs(&text).is_err());
}

#[test]
fn a_tel_uri_is_rejected() {
    let text = REQUEST.replace("sip:bob@example.org SIP", "tel:+12015550123 SIP");
    ours(&text);
    assert!(theirs(&text).is_err());
}

#[test]
fn compact_headers_are_not_recognised() {
    use rsip::prelude::HeadersExt;
    let text = REQUEST.replace("Call-ID:", "i:");
    assert_eq!(ours(&text).call_id().unwrap(), "c1@a.example");
    assert!(theirs(&text).unwrap().call_id_header().is_err());
}

#[test]
fn a_binary_body_is_corrupted() {
    let body: Vec<u8> = (0..=255).collect();
    let head = REQUEST.replace("Content-Length: 0", "Content-Length: 256");
    let bytes = Bytes::from([head.as_bytes(), &body].concat());
    let message = Message::parse(bytes.clone()).unwrap();
    assert_eq!(message.to_bytes(), bytes);
    let theirs: Vec<u8> = rsip::SipMessage::try_from(&bytes[..]).unwrap().into();
    assert!(theirs.len() > bytes.len());
}

#[test]
fn reason_phrases_are_rewritten() {
    let text = RESPONSE.replace("486 Busy Here", "486 Gone fishing");
    ours(&text);
    assert!(theirs(&text).unwrap().to_string().starts_with("SIP/2.0 486 BusyHere\r\n"));
}

#[test]
fn joined_via_values_are_dropped() {
    use rsip::prelude::HeadersExt;
    let text = REQUEST
        .replace("branch=z9hG4bK1", "branch=z9hG4bK1, SIP/2.0/UDP b.example;branch=z9hG4bK0");
    assert_eq!(ours(&text).vias().unwrap().len(), 2);
    let message = theirs(&text).unwrap();
    let vias = message.headers().iter().filter(|h| matches!(h, rsip::Header::Via(_)));
    let typed: Vec<String> = vias
        .filter_map(|header| match header {
            rsip::Header::Via(via) => rsip::typed::Via::try_from(via.clone()).ok(),
            _ => None,
        })
        .map(|via| via.to_string())
        .collect();
    assert!(!typed.iter().any(|via| via.contains("b.example")), "{typed:?}");
    assert!(message.via_header().unwrap().value().contains("b.example"));
}

#[test]
fn digest_challenges_of_rfc_8760_are_rejected() {
    use rsip::typed::WwwAuthenticate;
    let read = |value: &str| {
        let header = rsip::headers::WwwAuthenticate::new(value);
        WwwAuthenticate::try_from(header)
    };
    assert!(read("Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"").is_ok());
    assert!(read("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"").is_err());
    assert!(read("Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth,auth-int\"").is_err());
}
