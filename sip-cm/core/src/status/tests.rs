use super::*;
use bytes::Bytes;

fn request() -> Message {
    let text = "MESSAGE sip:bob@partner.example SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx\r\n\
        From: <sip:alice@corp.example>;tag=a1\r\n\
        To: <sip:bob@partner.example>\r\n\
        Call-ID: c1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    Message::parse(Bytes::from_static(text.as_bytes())).expect("a sound request")
}

#[test]
fn every_refusal_has_its_status() {
    let table = [
        (Refusal::Forbidden(Rule::Relay), 403),
        (Refusal::Forbidden(Rule::Source), 403),
        (Refusal::Forbidden(Rule::BlockedDomain), 403),
        (Refusal::Scheme, 416),
        (Refusal::Loop, 482),
        (Refusal::Merged, 482),
        (Refusal::TooManyHops, 483),
        (Refusal::Malformed("x"), 400),
        (Refusal::Extension("x".into()), 420),
        (Refusal::Method { known: true }, 405),
        (Refusal::Method { known: false }, 501),
        (Refusal::MediaType, 415),
        (Refusal::Encoding(CHARSETS), 415),
        (Refusal::OutOfService, 503),
        (Refusal::Busy, 500),
        (Refusal::NoDialog, 481),
        (Refusal::NotFound, 404),
        (Refusal::Unreachable, 504),
    ];
    for (refusal, status) in table {
        assert_eq!(refusal.answer().status, status, "{refusal:?}");
        assert!(refusal.answer().condition.is_some());
        assert!(refusal.failure().cause.is_local());
    }
}

/// 415 is about the media type; where that was none of the trouble, it says what was.
#[test]
fn e03_415_names_the_character_set_or_the_encoding_if_that_was_the_reason() {
    let told = |refusal: Refusal| {
        let response = refusal.answer().to_message(&request(), "t1");
        assert_eq!(response.text(HeaderId::Accept), Ok(Some(ACCEPT.into())));
        response.text(HeaderId::Warning).expect("text").map(|it| it.to_string())
    };
    let charsets = "399 openfed \"character sets: utf-8, us-ascii, iso-8859-1\"";
    assert_eq!(told(Refusal::Encoding(CHARSETS)).as_deref(), Some(charsets));
    assert!(told(Refusal::Encoding(TRANSFER_ENCODINGS)).is_some_and(|it| it.contains("base64")));
    assert_eq!(told(Refusal::MediaType), None);
}

#[test]
fn s_027_to_s_032_every_condition_answers_as_the_table_says() {
    for condition in Condition::all() {
        for one_device in [false, true] {
            let failure = Failure::new(condition.clone(), Cause::Remote);
            let answer = Answer::failed(&failure, one_device);
            assert_eq!(answer.status, condition.to_sip_status(one_device));
            assert_ne!(answer.status, 503, "S-032: it would condemn the whole server");
            assert!(!matches!(answer.status, 401 | 407), "S-033: no challenge of ours");
            let response = answer.to_message(&request(), "t1");
            assert_eq!(response.code(), Some(answer.status));
            assert_eq!(response.to().expect("To").tag(), Some("t1"));
            assert_eq!(
                answer.status == 405 || answer.status == 501,
                response.header(HeaderId::Allow).is_some()
            );
        }
    }
}

#[test]
fn s_034_to_s_040_every_final_response_has_its_ending() {
    for code in 200..=699 {
        let response = Message::response_to(&request(), code, "Words");
        match ending_of("MESSAGE", &response) {
            Ending::Delivered { by, status } => {
                assert_eq!((by, status), (Protocol::Sip, code));
                assert!(code < 300);
            }
            Ending::Failed(failure) => {
                assert!(code >= 300);
                assert_eq!(failure.cause, Cause::Remote);
                assert_eq!(failure.condition, Condition::from_sip_response(code, None));
                assert_eq!(failure.text, Some(format!("SIP {code} Words")));
            }
        }
    }
}

#[test]
fn s_040_a_new_address_is_carried_both_ways() {
    let mut moved = Message::response_to(&request(), 301, "Moved");
    moved.push("Contact", "<sip:bob@new.example>");
    let Ending::Failed(failure) = ending_of("MESSAGE", &moved) else { panic!("it failed") };
    assert_eq!(failure.condition, Condition::Gone(Some("sip:bob@new.example".into())));
    let back = Answer::failed(&failure, false).to_message(&request(), "t1");
    assert_eq!(back.code(), Some(301));
    let contact = back.addresses(HeaderId::Contact).expect("Contact");
    assert_eq!(contact[0].uri().as_str(), "sip:bob@new.example");
}

#[test]
fn s_041_a_reason_phrase_is_one_short_line_of_text() {
    let text =
        |reason: &str| match ending_of("MESSAGE", &Message::response_to(&request(), 486, reason)) {
            Ending::Failed(failure) => failure.text.expect("a text"),
            Ending::Delivered { .. } => panic!("it failed"),
        };
    assert_eq!(text("Besetzt, später"), "SIP 486 Besetzt, später");
    assert_eq!(text(""), "SIP 486");
    assert_eq!(text("a\tb"), "SIP 486 a b");
    assert!(text(&"ü".repeat(200)).len() <= MAX_TEXT + 8);
}

#[test]
fn s_041_a_text_cannot_leave_its_header() {
    let failure = Failure::new(Condition::Forbidden, Cause::Remote)
        .with_text(format!("a\r\nContact: <sip:x>\"\\{}", "ü".repeat(200)));
    let response = Answer::failed(&failure, false).to_message(&request(), "t1");
    let warning = response.text(HeaderId::Warning).expect("UTF-8").expect("a warning");
    assert!(warning.starts_with("399 openfed \"aContact: <sip:x>ü"), "{warning}");
    assert!(warning.len() < 160);
    assert!(response.header(HeaderId::Contact).is_none());
}
