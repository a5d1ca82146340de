use proptest::prelude::*;

use super::*;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

#[test]
fn s025_any_way_of_writing_a_host_gives_one_form() {
    for (written, meant) in [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("r3---sn-4g5e.example", "r3---sn-4g5e.example"),
        ("127.1", "127.1"),
        ("MÜLLER.example", "xn--mller-kva.example"),
        ("mu\u{308}ller.example", "xn--mller-kva.example"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
        ("XN--MLLER-KVA.EXAMPLE", "xn--mller-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ．com", "example.com"),
        ("مثال.example", "xn--mgbh0fb.example"),
    ] {
        assert_eq!(Domain::parse(written).map(|d| d.as_str().to_owned()), Ok(meant.to_owned()));
    }
}

#[test]
fn s025_what_is_no_host_name_is_refused_with_the_reason() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = vec!["a".repeat(60); 5].join(".");
    let absurd = "ü".repeat(100_000);
    for (written, reason) in [
        ("", DomainError::Empty),
        (".", DomainError::Empty),
        ("example..com", DomainError::EmptyLabel),
        ("example.com..", DomainError::EmptyLabel),
        (".example.com", DomainError::EmptyLabel),
        (&long_label, DomainError::TooLong),
        (&long_name, DomainError::TooLong),
        (&absurd, DomainError::TooLong),
        ("exa mple.com", DomainError::Characters),
        ("ex_ample.com", DomainError::Characters),
        ("-example.com", DomainError::Characters),
        ("example-.com", DomainError::Characters),
        ("example.com:5060", DomainError::Characters),
        ("user@example.com", DomainError::Characters),
        ("example.com/x", DomainError::Characters),
        ("*.example.com", DomainError::Characters),
        ("xn--a", DomainError::Characters),
        ("xn--mller-kva\u{0}.example", DomainError::Characters),
        ("a\u{200d}b.example", DomainError::Characters),
        ("192.0.2.1", DomainError::AddressLiteral),
        ("192.0.2.1.", DomainError::AddressLiteral),
        ("１９２.0.2.1", DomainError::AddressLiteral),
        ("[2001:db8::1]", DomainError::AddressLiteral),
        ("2001:db8::1", DomainError::AddressLiteral),
    ] {
        assert_eq!(Domain::parse(written), Err(reason), "{:.40}", written);
    }
}

#[test]
fn labels_and_parents_walk_the_name() {
    let name = domain("im.corp.example");
    assert_eq!(name.labels().collect::<Vec<_>>(), ["im", "corp", "example"]);
    let parents: Vec<_> = std::iter::successors(Some(name), Domain::parent).collect();
    assert_eq!(parents, [domain("im.corp.example"), domain("corp.example"), domain("example")]);
}

#[test]
fn only_whole_labels_make_a_subdomain() {
    let ancestor = domain("example.com");
    for (name, within) in [
        ("example.com", true),
        ("EXAMPLE.COM.", true),
        ("im.example.com", true),
        ("a.b.example.com", true),
        ("notexample.com", false),
        ("example-evil.com", false),
        ("example.com.evil.org", false),
        ("com", false),
    ] {
        assert_eq!(domain(name).is_within(&ancestor), within, "{name}");
    }
}

#[test]
fn a_row_needs_two_labels_and_no_number_that_resolves_as_address() {
    for (name, federable) in [
        ("example.com", true),
        ("a.b.c.example", true),
        ("xn--mller-kva.xn--zckzah", true),
        ("3com.com", true),
        ("localhost", false),
        ("127.1", false),
        ("10.0.1", false),
        ("host.0x7f", false),
        ("example.0x", false),
    ] {
        assert_eq!(domain(name).is_federable(), federable, "{name}");
    }
}

#[test]
fn people_and_jids_see_u_labels() {
    assert_eq!(domain("xn--mller-kva.example").to_unicode(), "müller.example");
    assert_eq!(domain("Example.Com").to_unicode(), "example.com");
}

#[test]
fn maps_of_domains_are_asked_with_text() {
    let rows = std::collections::HashMap::from([(domain("Example.com"), 1)]);
    assert_eq!(rows.get("example.com"), Some(&1));
}

#[test]
fn hosts_take_addresses_and_write_them_as_uris_do() {
    for (written, shown) in [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("SBC.Example.com.", "sbc.example.com"),
    ] {
        assert_eq!(Host::parse(written).map(|host| host.to_string()), Ok(shown.to_owned()));
    }
    assert_eq!(Host::parse("[192.0.2.1]"), Err(DomainError::Characters));
    assert_eq!(Host::parse("sbc").unwrap().name(), Some(&domain("sbc")));
    assert_eq!(Host::parse("::1").unwrap().name(), None);
}

proptest! {
    #[test]
    fn no_text_panics_and_a_parsed_name_stays_what_it_is(text in ".{0,80}") {
        if let Ok(name) = Domain::parse(&text) {
            prop_assert_eq!(Domain::parse(name.as_str()), Ok(name.clone()));
            prop_assert_eq!(Domain::parse(&name.to_unicode()), Ok(name.clone()));
            prop_assert!(name.as_str().len() <= 253);
            prop_assert!(name.is_within(&name));
        }
    }

    #[test]
    fn s025_every_label_like_text_round_trips_through_u_labels(
        text in "[a-zäöüßéàœłжщαβ日本ه\u{308}0-9-]{1,12}(\\.[a-zäжβ本0-9-]{1,8}){0,3}"
    ) {
        if let Ok(name) = Domain::parse(&text) {
            prop_assert_eq!(Domain::parse(&name.to_unicode()), Ok(name.clone()));
            prop_assert_eq!(Domain::parse(&name.as_str().to_uppercase()), Ok(name));
        }
    }

    #[test]
    fn a_plain_name_is_what_the_tables_would_make_of_it(
        text in "(xn--)?[a-z0-9x-]{1,5}(-{0,2}[a-z0-9]{1,30}){0,3}(\\.[a-z0-9x-]{1,4}){0,3}"
    ) {
        if super::is_plain(&text) {
            let plain = Domain::parse(&text);
            prop_assert_eq!(plain.as_ref().map(Domain::as_str), Ok(text.as_str()));
            prop_assert_eq!(Domain::by_tables(&text), plain);
        }
    }
}

#[test]
fn names_that_resolvers_do_not_ask_about() {
    for (name, zone) in [
        ("anonymous.invalid", Some("invalid")),
        ("pbx.home.arpa", Some("home.arpa")),
        ("a.b.onion", Some("onion")),
        ("localhost", Some("localhost")),
        ("voiceipg", Some("one label")),
        ("invalid.example", None),
        ("notinvalid.example", None),
        ("xinvalid", Some("one label")),
        ("arpa.example", None),
    ] {
        assert_eq!(domain(name).special_use(), zone, "{name}");
    }
}
