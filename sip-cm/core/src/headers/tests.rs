use super::*;
use std::net::SocketAddr;

fn via(text: &str) -> Via {
    Via::parse(&text.into()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(&text.into(), HeaderId::Contact).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn source(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn names_are_known_in_every_form() {
    for id in HeaderId::ALL {
        assert_eq!(HeaderId::of(id.name().as_bytes()), *id);
        assert_eq!(HeaderId::of(id.name().to_uppercase().as_bytes()), *id);
    }
    let compact = [
        ("i", HeaderId::CallId),
        ("M", HeaderId::Contact),
        ("e", HeaderId::ContentEncoding),
        ("l", HeaderId::ContentLength),
        ("c", HeaderId::ContentType),
        ("f", HeaderId::From),
        ("s", HeaderId::Subject),
        ("k", HeaderId::Supported),
        ("t", HeaderId::To),
        ("v", HeaderId::Via),
        ("o", HeaderId::Event),
        ("u", HeaderId::AllowEvents),
        ("r", HeaderId::ReferTo),
        ("b", HeaderId::ReferredBy),
        ("x", HeaderId::SessionExpires),
    ];
    for (name, id) in compact {
        assert_eq!(HeaderId::of(name.as_bytes()), id);
    }
    assert_eq!(HeaderId::of(b""), HeaderId::Other);
    assert_eq!(HeaderId::of(&[b'v'; 300]), HeaderId::Other);
}

#[test]
fn a_token_is_made_of_what_the_rfc_says() {
    let tokens: Vec<u8> = (0..=255).filter(|byte| is_token(*byte)).collect();
    let mut wanted: Vec<u8> = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').collect();
    wanted.extend(b"-.!%*_+`'~");
    wanted.sort_unstable();
    assert_eq!(tokens, wanted);
}

#[test]
fn our_own_value_never_opens_a_line() {
    let header = Header::new("Subject", "a\r\nRoute: <sip:evil.example>\0");
    assert_eq!(header.line(), "Subject: a  Route: <sip:evil.example> ");
    assert_eq!(header.value(), b"a  Route: <sip:evil.example>");
}

#[test]
fn a_folded_value_is_one_line_of_text_and_stays_folded() {
    let header = Header::parse("Subject:\r\n  I know\r\n\tyou're there ".into()).unwrap();
    assert_eq!(header.text().unwrap(), "I know  \tyou're there");
    assert_eq!(header.value(), b"I know\r\n\tyou're there");
    assert!(Header::parse("Subject \t: x".into()).unwrap().is_named("s"));
    for bad in ["no colon", ": x", "a b: x", "sub\u{e9}ct: x"] {
        assert!(Header::parse(bad.to_owned().into()).is_err(), "{bad}");
    }
}

#[test]
fn commas_separate_only_where_they_may() {
    let text = "<sip:a,b@c.example>, \"x, \\\"y\" <sip:d.example> ,, z".into();
    let values: Vec<_> = split_list(&text).map(|value| value.to_string()).collect();
    assert_eq!(values, ["<sip:a,b@c.example>", "\"x, \\\"y\" <sip:d.example>", "", "z"]);
}

#[test]
fn via_in_all_its_parts() {
    let via = via("SIP/2.0/UDP first.example.com:4000;ttl=16;maddr=224.2.0.1;branch=z9hG4bKa7;x");
    assert_eq!(via.transport(), "UDP");
    assert_eq!((via.host().name(), via.port()), (Some("first.example.com"), Some(4000)));
    assert_eq!((via.ttl(), via.maddr()), (Some(16), Some("224.2.0.1")));
    assert_eq!(via.branch(), Some("z9hG4bKa7"));
    assert_eq!(via.params().get("x"), Some(None));
    assert_eq!(via.reply_to(), ("224.2.0.1".into(), Some(4000)));
}

#[test]
fn broken_vias_are_refused() {
    use crate::wire::WireError;
    assert_eq!(Via::parse(&"SIP/3.0/UDP a.example".into()), Err(WireError::Version));
    let bad = [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/UDP a.example;;",
        "SIP/2.0/UDP a.example;=x",
        "SIP/2.0/UDP a.example;branch=",
        "SIP/2.0/UDP a.example;b=\"",
        "SIP/2.0/UDP a.example:99999",
        "SIP/2.0/U@P a.example",
    ];
    for text in bad {
        assert_eq!(Via::parse(&text.into()), Err(WireError::Value(HeaderId::Via)), "{text}");
    }
}

#[test]
fn e_06_the_real_source_is_written_into_the_via() {
    let cases = [
        ("SIP/2.0/UDP 192.0.2.1:5070;branch=z", "192.0.2.1:5070", None),
        (
            "SIP/2.0/UDP 192.0.2.1;branch=z",
            "192.0.2.9:5060",
            Some("SIP/2.0/UDP 192.0.2.1;branch=z;received=192.0.2.9"),
        ),
        (
            "SIP/2.0/UDP a.example ; branch=z",
            "192.0.2.9:1024",
            Some("SIP/2.0/UDP a.example;branch=z;received=192.0.2.9"),
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;rport;branch=z",
            "192.0.2.1:9988",
            Some("SIP/2.0/UDP 192.0.2.1;rport=9988;branch=z;received=192.0.2.1"),
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;received=198.51.100.1;rport=1;branch=z",
            "[2001:db8::1]:5060",
            Some("SIP/2.0/UDP 192.0.2.1;rport=5060;branch=z;received=2001:db8::1"),
        ),
        (
            "SIP/2.0/UDP 192.0.2.1;received=198.51.100.1;branch=z",
            "192.0.2.1:5060",
            Some("SIP/2.0/UDP 192.0.2.1;branch=z"),
        ),
        ("SIP/2.0/UDP 192.0.2.1;branch=z", "[::ffff:192.0.2.1]:5060", None),
    ];
    for (written, from, expected) in cases {
        assert_eq!(via(written).marked(source(from)).as_deref(), expected, "{written} {from}");
    }
}

#[test]
fn e_08_where_a_response_goes() {
    let reply = |text: &str| via(text).reply_to();
    assert_eq!(reply("SIP/2.0/UDP a.example"), ("a.example".into(), None));
    assert_eq!(reply("SIP/2.0/UDP a.example:5070"), ("a.example".into(), Some(5070)));
    let nat = "SIP/2.0/UDP a.example:5070;rport=40000;received=192.0.2.9";
    assert_eq!(reply(nat), ("192.0.2.9".into(), Some(40000)));
    let plain = "SIP/2.0/UDP a.example;received=192.0.2.9";
    assert_eq!(reply(plain), ("192.0.2.9".into(), Some(5060)));
}

#[test]
fn addresses_with_and_without_brackets() {
    let full = address("\"A \\\"B\\\" \\\\\" <sip:a@b.example;lr>;tag=x;q=\"1;2\"");
    assert_eq!(full.display_name().unwrap(), "A \"B\" \\");
    assert!(full.uri().is_loose_router());
    assert_eq!((full.tag(), full.params().value("q")), (Some("x"), Some("1;2")));
    let bare = address("sip:a@b.example;tag=x");
    assert_eq!((bare.uri().as_str(), bare.tag()), ("sip:a@b.example", Some("x")));
    assert_eq!(bare.display_name(), None);
    assert_eq!(address("Jörg Müller <sip:a@b.example>").display_name().unwrap(), "Jörg Müller");
    let made = NameAddr::write(Some("A \"B\" \\"), full.uri());
    assert_eq!(made, "\"A \\\"B\\\" \\\\\" <sip:a@b.example;lr>");
    assert_eq!(address(&made).display_name(), full.display_name());
    for bad in ["*", "<sip:a@b.example", "\"x <sip:a@b.example>", "a, b <sip:c.example>", "<>", ""]
    {
        assert!(NameAddr::parse(&bad.into(), HeaderId::To).is_err(), "{bad}");
    }
}

#[test]
fn cseq_has_its_range() {
    let cseq = CSeq::parse(&"0009 \t INVITE".into()).unwrap();
    assert_eq!((cseq.number, &*cseq.method), (9, "INVITE"));
    for bad in ["", "9", "9 ", "INVITE 9", "-1 INVITE", "2147483648 INVITE", "9 IN VITE"] {
        assert!(CSeq::parse(&bad.into()).is_err(), "{bad}");
    }
}

#[test]
fn e_57_dates_in_gmt() {
    let seconds = |text| parse_date(text).map(|at| at.unix_seconds);
    assert_eq!(seconds("Sat, 13 Nov 2010 23:29:00 GMT"), Some(1_289_690_940));
    assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    for bad in ["Sat, 13 Nov 2010 23:29:00 EST", "13 Nov 2010", "Sat, 13 Nov 2010 24:00:00 GMT"] {
        assert_eq!(seconds(bad), None, "{bad}");
    }
}

#[test]
fn media_types() {
    let kind = MediaType::parse(&"Text/Plain; charset=\"UTF-8\"".into()).unwrap();
    assert!(kind.is("text/plain"));
    assert_eq!((kind.kind(), kind.subtype()), ("Text", "Plain"));
    assert_eq!(kind.params().value("charset"), Some("UTF-8"));
    for bad in ["text", "text/", "/plain", "te xt/plain", "text/plain;;"] {
        assert!(MediaType::parse(&bad.into()).is_none(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn a_separator_counts_where_a_scan_of_every_byte_finds_it(text in "[a;,\"<>\\\\ ]{0,12}") {
        let raw = text.as_bytes();
        for separator in [b';', b','] {
            let mut scan = list::Scan::Plain;
            let found = raw.iter().position(|byte| {
                let found = scan == list::Scan::Plain && *byte == separator;
                scan = scan.after(*byte);
                found
            });
            let until = list::plain_until(raw, separator);
            proptest::prop_assert_eq!(until, found.unwrap_or(raw.len()), "{:?}", text);
        }
    }
}

#[test]
fn the_first_of_joined_values_is_found_in_every_form() {
    let first = |line: &str| Header::parse(line.to_owned().into()).unwrap().first_value();
    assert_eq!(first("Via: a").unwrap(), "a");
    assert_eq!(first("Via: a ,b").unwrap(), "a");
    assert_eq!(first("Via:\r\n a\r\n ,b").unwrap(), "a");
    assert_eq!(first("Via: a\r\n b").unwrap(), "a   b");
    assert_eq!(first("Via: ,b").unwrap(), "");
    assert_eq!(first("Via: \"a,b\";c, d").unwrap(), "\"a,b\";c");
    let broken = Header::parse(b"Via: a, \xff".as_slice().into()).unwrap();
    assert_eq!(broken.first_value(), Err(crate::wire::WireError::Value(HeaderId::Via)));
}
