use super::*;
use crate::xml::{Limits, from_bytes};

/// An error stanza for the failure, read back.
fn with(failure: &Failure) -> Element {
    let mut text = "<message type='error'>".to_owned();
    write(failure, &mut text);
    text.push_str("</message>");
    from_bytes(text.as_bytes(), Limits::default()).unwrap()
}

fn stanza(text: &str) -> Element {
    text.replacen("<message", "<message xmlns='jabber:client'", 1).parse().unwrap()
}

#[test]
fn s042_every_condition_survives_as_a_stanza_error() {
    for condition in Condition::all() {
        let failure = Failure::new(condition.clone(), Cause::Remote).with_text("<a> & 'b'");
        let stanza = with(&failure);
        let error = stanza.children().next().unwrap();
        assert_eq!(error.attr("type"), Some(condition.error_type().as_str()));
        assert_eq!(from_stanza(&stanza), failure);
    }
}

#[test]
fn whatever_we_find_ourselves_is_explained_to_people() {
    let causes = [
        Cause::NotFound,
        Cause::Unreachable,
        Cause::HostUnknown,
        Cause::NotListed,
        Cause::Denied,
        Cause::Untrusted,
        Cause::Busy,
        Cause::Leaving,
        Cause::Outage,
        Cause::Policy,
        Cause::Unmappable,
    ];
    for cause in causes {
        let text = from_stanza(&with(&Failure::new(Condition::PolicyViolation, cause))).text;
        assert!(text.is_some_and(|text| text.ends_with('.')), "{cause:?}");
    }
    let remote = Failure::new(Condition::PolicyViolation, Cause::Remote);
    assert_eq!(from_stanza(&with(&remote)).text, None);
}

#[test]
fn s040_a_new_address_is_the_text_of_the_condition() {
    for condition in [
        Condition::Gone(Some("sip:new@sip.example".into())),
        Condition::Redirect(Some("sip:other@sip.example".into())),
    ] {
        let stanza = with(&Failure::new(condition.clone(), Cause::Remote));
        assert_eq!(from_stanza(&stanza).condition, condition);
    }
}

#[test]
fn an_error_that_says_nothing_is_still_one() {
    let failure = from_stanza(&stanza("<message type='error'/>"));
    assert_eq!(failure, Failure::new(Condition::UndefinedCondition, Cause::Remote));
    let strange = "<message type='error'><error><text \
        xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>a\r\nb</text></error></message>";
    assert_eq!(from_stanza(&stanza(strange)).text.as_deref(), Some("a b"), "S-041");
}

#[test]
fn only_what_dns_proves_is_told_as_absent() {
    let cases = [
        (ConnectFailure::NotFound, Cause::NotFound, Finding::Absent),
        (ConnectFailure::Deserted, Cause::NotFound, Finding::Refused),
        (ConnectFailure::Refused, Cause::Unreachable, Finding::Refused),
        (ConnectFailure::Unreachable, Cause::Unreachable, Finding::Silent),
        (ConnectFailure::Unresolved, Cause::Unreachable, Finding::DnsFault),
    ];
    for (why, cause, finding) in cases {
        let failure = of_connecting(why);
        assert_eq!((failure.cause, Finding::of(&failure)), (cause, finding), "{why:?}");
    }
}

#[test]
fn e43_the_end_of_a_stream_is_a_timeout_whose_cause_tells_more() {
    let remote = |condition| CloseReason::Remote(crate::stream::StreamError::new(condition));
    let cases = [
        (remote(StreamCondition::HostUnknown), Phase::Header, Cause::HostUnknown),
        (remote(StreamCondition::HostGone), Phase::Ready, Cause::HostUnknown),
        (remote(StreamCondition::NotAuthorized), Phase::Ready, Cause::Remote),
        (CloseReason::TlsFailed, Phase::Negotiation, Cause::Untrusted),
        (CloseReason::Eof(Phase::Header), Phase::Header, Cause::Unreachable),
        (CloseReason::Deadline(Phase::Ready), Phase::Ready, Cause::Untrusted),
        (CloseReason::Done, Phase::Authenticated, Cause::Remote),
    ];
    for (reason, phase, cause) in cases {
        let failure = of_stream(&reason, phase);
        assert_eq!(failure, Failure::new(Condition::RemoteServerTimeout, cause), "{reason:?}");
    }
}
