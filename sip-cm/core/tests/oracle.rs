//! What we build reads in rsip too, an independent parser, and means the same there.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use bytes::Bytes;
use proptest::prelude::*;
use rsip::headers::UntypedHeader;
use rsip::prelude::HeadersExt;
use sip_cm_core::headers::{HeaderId, NameAddr};
use sip_cm_core::uri::Uri;
use sip_cm_core::wire::{Message, reason_phrase};

/// A request as a user agent builds it. User parts are kept free of dots, which rsip misreads.
fn request(user: &str, display: &str, subject: &str, body: &str) -> Message {
    let uri = Uri::sip(Some(user), "example.org", None).unwrap();
    let from = Uri::sip(Some(user), "example.com", Some(5070)).unwrap();
    let mut request = Message::request("MESSAGE", uri.as_str());
    request.push_via("SIP/2.0/TCP us.example:5060;branch=z9hG4bKx1");
    request.push("Max-Forwards", "70");
    request.push("From", &(NameAddr::write(Some(display), &from) + ";tag=t1"));
    request.push("To", &NameAddr::write(None, &uri));
    request.push("Call-ID", "c1@us.example");
    request.push("CSeq", "1 MESSAGE");
    request.push("Subject", subject);
    request.set_body(Some("text/plain"), Bytes::from(body.to_owned()));
    request
}

fn theirs(message: &Message) -> rsip::SipMessage {
    rsip::SipMessage::try_from(&message.to_bytes()[..]).expect("rsip reads what we build")
}

fn check(message: &Message) {
    let read = theirs(message);
    assert_eq!(read.call_id_header().unwrap().value(), "c1@us.example");
    let via = rsip::typed::Via::try_from(read.via_header().unwrap().clone()).unwrap();
    let ours = message.top_via().unwrap();
    assert_eq!(via.branch().map(|b| b.to_string()).as_deref(), ours.branch());
    let from = rsip::typed::From::try_from(read.from_header().unwrap().clone()).unwrap();
    let ours = message.from().unwrap();
    assert_eq!(from.uri.user(), ours.uri().user());
    assert_eq!(from.tag().map(|t| t.to_string()).as_deref(), ours.tag());
    let cseq = rsip::typed::CSeq::try_from(read.cseq_header().unwrap().clone()).unwrap();
    assert_eq!(cseq.seq, message.cseq().unwrap().number);
    let own = Message::parse(message.to_bytes()).expect("we read what we build");
    assert_eq!(own.to_bytes(), message.to_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn requests_and_their_responses(
        user in "[a-z0-9 ü&'*+-]{1,12}",
        display in "[A-Za-z äöü]{1,12}",
        subject in "[ -~äöü\r\n]{0,40}",
        body in "\\PC{0,80}",
        port in 1024..65535_u16,
    ) {
        let mut request = request(&user, &display, &subject, &body);
        check(&request);
        let read = theirs(&request);
        prop_assert_eq!(read.body(), &body.as_bytes().to_vec());
        request.mark_source(([192, 0, 2, 9], port).into()).unwrap();
        check(&request);
        request.push_record_route("<sip:us.example;lr>");
        request.decrement_max_forwards().unwrap();
        check(&request);
        for code in [200, 404, 480, 503] {
            let mut response = Message::response_to(&request, code, reason_phrase(code));
            response.set_to_tag("ours");
            check(&response);
            let rsip::SipMessage::Response(read) = theirs(&response) else { panic!("a response") };
            prop_assert_eq!(read.status_code.code(), code);
        }
    }
}

#[test]
fn an_answer_to_a_refused_request_reads_too() {
    let text = String::from_utf8(request("bob", "B", "s", "x").to_bytes().to_vec()).unwrap();
    let bad = text.replace("Max-Forwards: 70", "Max-Forwards: 700");
    let rejected = Message::parse(Bytes::from(bad)).unwrap_err();
    let answer = rejected.answer("192.0.2.9:5060".parse().unwrap()).unwrap();
    check(&answer);
    assert!(answer.to().unwrap().tag().is_some());
    assert_eq!(answer.number(HeaderId::ContentLength), Ok(Some(0)));
}
