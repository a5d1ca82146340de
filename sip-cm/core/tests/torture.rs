//! E-17: the torture messages of RFC 4475 and RFC 5118, with the result that the RFC documents.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[path = "torture/notation.rs"]
mod notation;

use bytes::Bytes;
use sip_cm_core::headers::HeaderId;
use sip_cm_core::uri::{Host, Scheme, Uri};
use sip_cm_core::wire::{Message, Rejected};

const RFC4475: &str = include_str!("rfc4475.txt");
/// With the Content-Length of the bodies as printed: the RFC's own counts do not fit them.
const RFC5118: &str = include_str!("rfc5118.txt");
const SOURCE: &str = "192.0.2.200:5099";

fn bytes(collection: &str, name: &str) -> Bytes {
    notation::message(collection, name).into()
}

/// Given the named message, when it is parsed, then it is well formed and leaves as it came.
fn well_formed(collection: &str, name: &str) -> Message {
    let bytes = bytes(collection, name);
    let message = Message::parse(bytes.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(message.to_bytes(), bytes, "{name} is written as it was read");
    let mut edited = message.clone();
    edited.push("X-Touched", "1");
    assert!(edited.remove_named("x-touched"));
    assert_eq!(edited.to_bytes(), bytes, "{name} is written as it was read, line by line");
    message
}

fn rejected(name: &str) -> Rejected {
    Message::parse(bytes(RFC4475, name)).err().unwrap_or_else(|| panic!("{name} was accepted"))
}

/// Given the named request, when it is parsed, then the sender can be told `code`.
fn refused_with(name: &str, code: u16) {
    let answer = rejected(name).answer(SOURCE.parse().unwrap());
    let answer = answer.unwrap_or_else(|| panic!("{name} has no answer"));
    assert_eq!(answer.code(), Some(code), "{name}");
    assert_eq!(answer.cseq().is_ok(), name != "scalar02", "{name}");
}

/// Given the named message, when it is parsed, then it is dropped.
fn dropped(name: &str) {
    assert!(rejected(name).answer(SOURCE.parse().unwrap()).is_none(), "{name}");
}

#[test]
fn the_collections_are_complete() {
    assert_eq!(notation::names(RFC4475).len(), 49);
    assert_eq!(notation::names(RFC5118).len(), 12);
}

#[test]
fn rfc4475_3_1_1_1_short_tortuous_invite() {
    let message = well_formed(RFC4475, "wsinv");
    assert_eq!(message.to().unwrap().tag(), Some("1918181833n"));
    let from = message.from().unwrap();
    assert_eq!(from.display_name().unwrap(), "J Rosenberg \\\"");
    assert_eq!(from.tag(), Some("98asjd8"));
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    assert_eq!(message.cseq().unwrap().to_string(), "9 INVITE");
    assert_eq!(message.text(HeaderId::Subject).unwrap().unwrap(), "");
    assert_eq!(message.header_named("unknownheaderwithunusualvalue").unwrap().value(), b";;,,;;,;");
    let vias = message.vias().unwrap();
    let branches: Vec<_> = vias.iter().map(|via| via.branch().unwrap()).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    let hosts: Vec<_> = vias.iter().map(|via| via.host().to_string()).collect();
    assert_eq!(hosts, ["192.0.2.2", "spindle.example.com", "192.168.255.111"]);
    assert_eq!(vias[1].transport(), "TCP");
    let contact = &message.addresses(HeaderId::Contact).unwrap()[0];
    assert_eq!(contact.display_name().unwrap(), "Quoted string \"\"");
    assert_eq!(contact.params().value("newparam"), Some("newvalue"));
    assert_eq!(contact.params().get("secondparam"), Some(None));
    assert_eq!(contact.params().value("q"), Some("0.33"));
    let route = &message.addresses(HeaderId::Route).unwrap()[0];
    assert!(route.uri().is_loose_router());
    assert_eq!(message.uri().unwrap().unwrap().params().get("unknownparam"), Some(None));
    assert_eq!(message.body().len(), 150);
}

#[test]
fn rfc4475_3_1_1_2_wide_range_of_characters() {
    let message = well_formed(RFC4475, "intmeth");
    assert_eq!(message.method(), Some("!interesting-Method0123456789_*+`.%indeed'~"));
    let uri = message.uri().unwrap().unwrap();
    assert_eq!(uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(uri.host().unwrap().name(), Some("example.com"));
    assert_eq!(message.to().unwrap().display_name().unwrap(), "BEL:\u{7} NUL:\0 DEL:\u{7f}");
    let from = message.from().unwrap();
    assert_eq!(from.display_name().unwrap(), "token1~` token2'+_ token3*%!.-");
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(from.params().value("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(message.top_via().unwrap().branch(), Some("z9hG4bK-.!%66*_+`'~"));
    assert_eq!(message.header_named("extensionHeader-!.%*+_`'~").unwrap().value().len(), 12);
}

#[test]
fn rfc4475_3_1_1_3_percent_escapes() {
    let message = well_formed(RFC4475, "esc01");
    let uri = message.uri().unwrap().unwrap();
    assert_eq!(uri.user_decoded().unwrap().unwrap(), "sips:user@example.com");
    assert_eq!(uri.host().unwrap().name(), Some("example.net"));
    assert_eq!(message.to().unwrap().uri().user_decoded().unwrap().unwrap(), "user");
    assert!(
        message
            .to()
            .unwrap()
            .uri()
            .is_equivalent(&Uri::parse(&"sip:user@example.com".into()).unwrap())
    );
    assert_eq!(message.from().unwrap().uri().user_decoded().unwrap().unwrap(), "I have spaces");
    let contact = message.addresses(HeaderId::Contact).unwrap().remove(0);
    assert!(contact.uri().is_loose_router(), "%6C%72 is lr");
    let same: Uri = Uri::parse(&"sip:caller@host5.example.net;lr;name=value%2541".into()).unwrap();
    assert!(contact.uri().is_equivalent(&same));
    let other: Uri = Uri::parse(&"sip:caller@host5.example.net;lr;name=valueA".into()).unwrap();
    assert!(!contact.uri().is_equivalent(&other), "unescaping is not recursive");
}

#[test]
fn rfc4475_3_1_1_4_escaped_nulls_stay_two_contacts() {
    let message = well_formed(RFC4475, "escnull");
    assert_eq!(message.to().unwrap().uri().user_decoded().unwrap().unwrap(), "null-\0-null");
    let contacts = message.addresses(HeaderId::Contact).unwrap();
    assert_eq!(contacts.len(), 2);
    assert!(!contacts[0].uri().is_equivalent(contacts[1].uri()));
}

#[test]
fn rfc4475_3_1_1_5_percent_is_no_escape_in_method_and_header_names() {
    let message = well_formed(RFC4475, "esc02");
    assert_eq!(message.method(), Some("RE%47IST%45R"));
    assert_eq!(message.to().unwrap().display_name().unwrap(), "%Z%45");
    assert_eq!(message.addresses(HeaderId::Contact).unwrap().len(), 2);
}

#[test]
fn rfc4475_3_1_1_6_no_space_before_the_bracket() {
    let from = well_formed(RFC4475, "lwsdisp").from().unwrap();
    assert_eq!(from.display_name().unwrap(), "caller");
    assert_eq!(from.uri().as_str(), "sip:caller@example.com");
}

#[test]
fn rfc4475_3_1_1_7_long_values() {
    let message = well_formed(RFC4475, "longreq");
    assert_eq!(message.vias().unwrap().len(), 34);
    assert_eq!(message.from().unwrap().tag().unwrap().len(), 155);
    assert_eq!(message.addresses(HeaderId::Contact).unwrap().len(), 1);
    assert_eq!(message.body().len(), 150);
}

#[test]
fn rfc4475_3_1_1_8_trailing_octets_are_no_second_request() {
    let datagram = bytes(RFC4475, "dblreq");
    let message = Message::parse(datagram.clone()).unwrap();
    assert_eq!(message.method(), Some("REGISTER"));
    let written = message.to_bytes();
    assert!(datagram.starts_with(&written) && written.ends_with(b"Content-Length: 0\r\n\r\n"));
}

#[test]
fn rfc4475_3_1_1_9_semicolon_in_the_user_part() {
    let uri = well_formed(RFC4475, "semiuri").uri().unwrap().unwrap();
    assert_eq!(uri.user_decoded().unwrap().unwrap(), "user;par=u@example.net");
    assert_eq!(uri.host().unwrap().name(), Some("example.com"));
}

#[test]
fn rfc4475_3_1_1_10_unknown_transports() {
    let vias = well_formed(RFC4475, "transports").vias().unwrap();
    let transports: Vec<_> = vias.iter().map(|via| via.transport()).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn rfc4475_3_1_1_11_binary_multipart() {
    let message = well_formed(RFC4475, "mpart01");
    assert_eq!(message.body().len(), 553);
    let kind = message.content_type().unwrap().unwrap();
    assert!(kind.is("multipart/mixed"));
    assert_eq!(kind.params().value("boundary"), Some("7a9cbec02ceef655"));
    assert_eq!(message.date().unwrap().unwrap().unix_seconds, 1_129_351_496);
    assert_eq!(message.top_via().unwrap().rport(), Some(None));
}

#[test]
fn rfc4475_3_1_1_12_and_13_reason_phrases() {
    let message = well_formed(RFC4475, "unreason");
    assert_eq!(message.code(), Some(200));
    assert_eq!(well_formed(RFC4475, "noreason").code(), Some(100));
}

#[test]
fn rfc4475_3_1_2_invalid_requests_are_answered_400() {
    for name in [
        "badinv01",
        "clerr",
        "ncl",
        "scalar02",
        "quotbal",
        "ltgtruri",
        "lwsruri",
        "lwsstart",
        "trws",
        "escruri",
        "badaspec",
        "baddn",
        "mismatch01",
        "mismatch02",
    ] {
        refused_with(name, 400);
    }
}

#[test]
fn rfc4475_3_1_2_5_and_19_invalid_responses_are_dropped() {
    dropped("scalarlg");
    dropped("bigcode");
}

#[test]
fn rfc4475_3_1_2_12_a_bad_date_matters_only_to_who_asks() {
    assert!(well_formed(RFC4475, "baddate").date().is_err());
}

#[test]
fn rfc4475_3_1_2_13_a_contact_with_escaped_header_needs_brackets() {
    assert!(well_formed(RFC4475, "regbadct").addresses(HeaderId::Contact).is_err());
}

#[test]
fn rfc4475_3_1_2_16_other_version() {
    refused_with("badvers", 505);
}

#[test]
fn rfc4475_3_2_1_branch_without_identifier() {
    let via = well_formed(RFC4475, "badbranch").top_via().unwrap();
    assert_eq!(via.branch(), Some("z9hG4bK"));
}

#[test]
fn rfc4475_3_3_1_missing_headers() {
    refused_with("insuf", 400);
}

#[test]
fn rfc4475_3_3_2_to_4_other_uri_schemes() {
    for name in ["unkscm", "novelsc"] {
        let uri = well_formed(RFC4475, name).uri().unwrap().unwrap();
        assert_eq!(uri.scheme(), Scheme::Other, "{name}");
    }
    let message = well_formed(RFC4475, "unksm2");
    assert_eq!(message.to().unwrap().uri().as_str(), "isbn:2983792873");
    assert_eq!(message.addresses(HeaderId::Contact).unwrap().len(), 1);
}

#[test]
fn rfc4475_3_3_5_extensions_are_listed() {
    let message = well_formed(RFC4475, "bext01");
    assert!(message.has_token(HeaderId::Require, "nothingSupportsThisEither"));
    assert_eq!(message.list(HeaderId::ProxyRequire).unwrap().len(), 2);
}

#[test]
fn rfc4475_3_3_6_and_7_unknown_content_and_authorization() {
    let message = well_formed(RFC4475, "invut");
    assert!(message.content_type().unwrap().unwrap().is("application/unknownformat"));
    assert_eq!(message.body().len(), 40);
    let authorization = well_formed(RFC4475, "regaut01").text(HeaderId::Authorization);
    assert_eq!(authorization.unwrap().unwrap(), "NoOneKnowsThisScheme opaque-data=here");
}

#[test]
fn rfc4475_3_3_8_and_9_repeated_single_headers() {
    refused_with("multi01", 400);
    refused_with("mcl01", 400);
}

#[test]
fn rfc4475_3_3_10_broadcast_via_is_readable() {
    let vias = well_formed(RFC4475, "bcast").vias().unwrap();
    assert_eq!(vias[1].host(), &Host::V4(std::net::Ipv4Addr::BROADCAST));
}

#[test]
fn rfc4475_3_3_11_max_forwards_zero() {
    let mut message = well_formed(RFC4475, "zeromf");
    assert_eq!(message.max_forwards(), Ok(Some(0)));
    assert!(message.decrement_max_forwards().is_err());
}

#[test]
fn rfc4475_3_3_12_to_14_where_a_parameter_belongs() {
    let contact = |name| well_formed(RFC4475, name).addresses(HeaderId::Contact).unwrap().remove(0);
    let of_header = contact("cparam01");
    assert_eq!(of_header.params().get("unknownparam"), Some(None));
    assert_eq!(of_header.uri().params().get("unknownparam"), None);
    let of_uri = contact("cparam02");
    assert_eq!(of_uri.params().get("unknownparam"), None);
    assert_eq!(of_uri.uri().params().get("unknownparam"), Some(None));
    assert_eq!(contact("regescrt").uri().headers(), "Route=%3Csip:sip.example.com%3E");
}

#[test]
fn rfc4475_3_3_15_unacceptable_accept() {
    let message = well_formed(RFC4475, "sdp01");
    assert!(message.has_token(HeaderId::Accept, "text/nobodyKnowsThis"));
}

#[test]
fn rfc4475_3_4_1_rfc_2543_syntax() {
    let message = well_formed(RFC4475, "inv2543");
    assert_eq!(message.top_via().unwrap().branch(), None);
    assert_eq!(message.from().unwrap().tag(), None);
    assert_eq!(message.max_forwards(), Ok(None));
    assert_eq!(message.to().unwrap().params().value("user"), Some("phone"));
    assert!(message.body().ends_with(b"RTP/AVP 0\r\n"));
}

#[test]
fn rfc5118_4_1_and_4_2_ipv6_needs_brackets() {
    let message = well_formed(RFC5118, "ipv6-good");
    let host = Host::V6("2001:db8::10".parse().unwrap());
    assert_eq!(message.uri().unwrap().unwrap().host(), Some(&host));
    let rejected = Message::parse(bytes(RFC5118, "ipv6-bad")).unwrap_err();
    let answer = rejected.answer(SOURCE.parse().unwrap()).unwrap();
    assert_eq!(answer.code(), Some(400));
}

#[test]
fn rfc5118_4_3_and_4_4_where_the_port_is() {
    let ambiguous = well_formed(RFC5118, "port-ambiguous").uri().unwrap().unwrap();
    assert_eq!(ambiguous.port(), None);
    assert_eq!(ambiguous.host(), Some(&Host::V6("2001:db8::10:5070".parse().unwrap())));
    let clear = well_formed(RFC5118, "port-unambiguous").uri().unwrap().unwrap();
    assert_eq!(clear.port(), Some(5070));
}

#[test]
fn rfc5118_4_5_received_with_and_without_brackets() {
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        let via = well_formed(RFC5118, name).top_via().unwrap();
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()), "{name}");
    }
}

#[test]
fn rfc5118_4_6_to_4_9_addresses_of_both_kinds() {
    well_formed(RFC5118, "ipv6-in-sdp");
    let vias = well_formed(RFC5118, "mult-ip-in-header").vias().unwrap();
    assert_eq!(vias[0].port(), Some(6050));
    assert_eq!(vias[2].received(), Some("192.0.2.200".parse().unwrap()));
    well_formed(RFC5118, "mult-ip-in-sdp");
    let mapped = well_formed(RFC5118, "ipv4-mapped-ipv6").top_via().unwrap();
    assert_eq!(mapped.host(), &Host::V6("::ffff:192.0.2.10".parse().unwrap()));
    assert_eq!(mapped.port(), Some(19823));
}

#[test]
fn rfc5118_4_10_the_third_colon_is_tolerated() {
    let host = |name| well_formed(RFC5118, name).uri().unwrap().unwrap().host().cloned();
    let expected = Some(Host::V6("2001:db8::192.0.2.1".parse().unwrap()));
    assert_eq!(host("ipv6-bug-abnf-3-colons"), expected);
    assert_eq!(host("ipv6-correct-abnf-2-colons"), expected);
}
