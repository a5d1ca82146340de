use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(&text.into()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn error(text: &str) -> UriError {
    Uri::parse(&text.into()).expect_err(text)
}

#[test]
fn a_dot_in_the_user_part_is_no_host() {
    let uri = uri("sip:first.last@example.org:5070;transport=tcp;lr?subject=hi");
    assert_eq!(uri.user(), Some("first.last"));
    assert_eq!(uri.host().unwrap().name(), Some("example.org"));
    assert_eq!(uri.port(), Some(5070));
    assert_eq!(uri.params().value("Transport"), Some("tcp"));
    assert!(uri.is_loose_router());
    assert_eq!(uri.headers(), "subject=hi");
}

#[test]
fn every_part_is_found() {
    let full = uri("sips:alice:secret@[2001:db8::1]:5061");
    assert_eq!(full.scheme(), Scheme::Sips);
    assert_eq!((full.user(), full.password()), (Some("alice"), Some("secret")));
    assert_eq!(full.host().unwrap().to_string(), "[2001:db8::1]");
    assert_eq!(full.port(), Some(5061));
    let bare = uri("SIP:example.com.");
    assert_eq!((bare.user(), bare.scheme()), (None, Scheme::Sip));
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!((tel.scheme(), tel.user()), (Scheme::Tel, Some("+1-201-555-0123")));
    assert_eq!(tel.params().value("phone-context"), Some("example.com"));
    let other = uri("urn:service:sos");
    assert_eq!((other.scheme(), other.host()), (Scheme::Other, None));
}

#[test]
fn s_018_im_and_pres_name_a_user_like_sip() {
    for text in ["im:fu%C3%BC@corp.example", "PRES:fu%C3%BC@corp.example"] {
        let abstract_uri = uri(text);
        assert_eq!(abstract_uri.scheme(), Scheme::Abstract);
        assert_eq!(abstract_uri.user_decoded(), Ok(Some("fuü".into())));
        assert_eq!(abstract_uri.host().unwrap().name(), Some("corp.example"));
        assert_eq!(abstract_uri.as_sip().as_deref(), Some("sip:fu%C3%BC@corp.example"));
    }
    assert_eq!(error("im:"), UriError::Host);
    assert_eq!(uri("sip:a@b.example").as_sip(), None);
    assert_eq!(error("im:a@b@c.example"), UriError::User);
}

#[test]
fn what_is_no_uri_says_why() {
    let cases = [
        ("example.com", UriError::Scheme),
        ("1sip:a@b.example", UriError::Scheme),
        ("sip:a@b@c.example", UriError::User),
        ("sip:@b.example", UriError::User),
        ("sip:a%4@b.example", UriError::User),
        ("sip:a{b}@b.example", UriError::User),
        ("sip:a b@c.example", UriError::Character),
        ("sip:a@b.example;p=<x>", UriError::Character),
        ("sip:a@", UriError::Host),
        ("sip:a@b_c.exa mple", UriError::Character),
        ("sip:a@-..example", UriError::Host),
        ("sip:a@1.2.3", UriError::Host),
        ("sip:a@1.2.3.256", UriError::Host),
        ("sip:a@[::1", UriError::Host),
        ("sip:a@münchen.example", UriError::Host),
        ("sip:a@b.example:", UriError::Port),
        ("sip:a@b.example:65536", UriError::Port),
        ("sip:a@b.example:+60", UriError::Port),
        ("tel:", UriError::User),
        ("urn:", UriError::Character),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
    assert_eq!(error(&format!("sip:{}@b.example", "a".repeat(MAX_URI))), UriError::TooLong);
}

#[test]
fn s_012_a_user_part_that_is_no_utf8_is_not_decoded() {
    assert_eq!(uri("sip:f%C3%BC@sip.example").user_decoded(), Ok(Some("fü".into())));
    assert_eq!(uri("sip:f%FC@sip.example").user_decoded(), Err(UriError::User));
    assert_eq!(uri("sip:sip.example").user_decoded(), Ok(None));
}

#[test]
fn s_019_a_user_part_is_escaped_as_the_grammar_asks() {
    let made = Uri::sip(Some("m&m tschüss@x"), "xmpp.example", Some(5070)).unwrap();
    assert_eq!(made.as_str(), "sip:m&m%20tsch%C3%BCss%40x@xmpp.example:5070");
    assert_eq!(made.user_decoded().unwrap().unwrap(), "m&m tschüss@x");
    assert_eq!(Uri::sip(None, "[::1]", None).unwrap().as_str(), "sip:[::1]");
    assert_eq!(Uri::sip(None, "a b", None), Err(UriError::Character));
}

#[test]
fn a_telephone_feature_code_passes() {
    assert_eq!(uri("sip:*72#@pbx.example").user(), Some("*72#"));
}

#[test]
fn e_15_equivalent_uris() {
    let sets: [&[&str]; 6] = [
        &["sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;security=on"],
        &[
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ],
        &[
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ],
        &["tel:+1-201-555-0123", "tel:+12015550123"],
    ];
    for set in sets {
        assert!(uri(set[0]).is_equivalent(&uri(set[1])), "{set:?}");
        assert!(uri(set[1]).is_equivalent(&uri(set[0])), "{set:?}");
    }
}

#[test]
fn e_15_different_uris() {
    let pairs = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b.example", "sips:a@b.example"),
        ("sip:a@b.example", "sip:a@b.example;user=phone"),
        ("sip:a@b.example", "sip:a@b.example;maddr=192.0.2.1"),
        ("sip:a@b.example", "sip:b.example"),
        ("sip:a%2Fb@b.example", "sip:a/b@b.example"),
        ("urn:a:B", "urn:a:b"),
        ("sip:a@b.example", "tel:+1"),
    ];
    for (a, b) in pairs {
        assert!(!uri(a).is_equivalent(&uri(b)), "{a} {b}");
        assert!(!uri(b).is_equivalent(&uri(a)), "{a} {b}");
    }
}
