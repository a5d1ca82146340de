use proptest::prelude::*;

use super::*;

fn jid(text: &str) -> Address {
    Address::from_jid(text).unwrap()
}

fn sip(user: &str) -> Result<Address, AddressError> {
    Address::from_sip(user, "sip.example", None)
}

#[test]
fn s016_the_vectors_of_rfc_7247_from_sip() {
    for (user, gr, expected) in [
        ("f%C3%BC", None, "fü@sip.example"),
        ("o'malley", None, "o\\27malley@sip.example"),
        ("foo", Some("bar"), "foo@sip.example/bar"),
    ] {
        let address = Address::from_sip(user, "sip.example", gr).unwrap();
        assert_eq!(address.to_jid(), expected);
    }
}

#[test]
fn s023_the_vectors_of_rfc_7247_from_xmpp() {
    for (text, expected) in [
        ("m\\26m@xmpp.example", "sip:m&m@xmpp.example"),
        ("tschüss@xmpp.example", "sip:tsch%C3%BCss@xmpp.example"),
        ("baz@xmpp.example/qux", "sip:baz@xmpp.example;gr=qux"),
    ] {
        assert_eq!(jid(text).to_sip_uri(), Ok(expected.to_owned()));
    }
}

#[test]
fn s011_the_first_slash_and_then_the_first_at_divide_a_jid() {
    let address = jid("Juliet@Example.COM/Balcony/a@b");
    assert_eq!(address.local(), Some("juliet"));
    assert_eq!(address.domain().as_str(), "example.com");
    assert_eq!(address.resource(), Some("Balcony/a@b"));
    assert!(address.is_full());
    assert_eq!(address.bare(), jid("juliet@example.com"));
    assert_eq!(jid("example.com").to_sip_uri(), Ok("sip:example.com".to_owned()));
    assert_eq!(jid("example.com/r").to_jid(), "example.com/r");
    assert_eq!(Address::from_domain(jid("a.example").domain().clone()), jid("a.example"));
    assert_eq!(jid("a@b.example").with_resource("Desk").unwrap(), jid("a@b.example/Desk"));
}

/// S-010: the octets that each side's user part may hold bare.
#[test]
fn s010_s013_s019_every_ascii_character_has_its_form_on_both_sides() {
    for octet in 0x21..0x7fu8 {
        let c = char::from(octet);
        let escaped_in_sip = "\"#%:<>@[\\]^`{|}".contains(c);
        let user = if escaped_in_sip { format!("a%{octet:02X}b") } else { format!("a{c}b") };
        let local = match c {
            '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@' => format!("a\\{octet:02x}b"),
            _ => format!("a{}b", c.to_ascii_lowercase()),
        };
        let address = sip(&user).unwrap();
        assert_eq!(address.local(), Some(local.as_str()), "{c}");
        assert_eq!(address.to_sip_user(), Ok(Some(user.replace(c, &c.to_lowercase().to_string()))));
    }
}

#[test]
fn e56_the_ten_sequences_and_the_backslash() {
    for (user, local) in [
        ("space%20cadet", "space\\20cadet"),
        ("call%20me%20%22ishmael%22", "call\\20me\\20\\22ishmael\\22"),
        ("at&t%20guy", "at\\26t\\20guy"),
        ("d'artagnan", "d\\27artagnan"),
        ("/.fanboy", "\\2f.fanboy"),
        ("%3A%3Afoo%3A%3A", "\\3a\\3afoo\\3a\\3a"),
        ("%3Cfoo%3E", "\\3cfoo\\3e"),
        ("user%40host", "user\\40host"),
        // A backslash is escaped where it would read as an escape, and only there.
        ("c%3A%5Cnet", "c\\3a\\net"),
        ("c%3A%5C%5Cnet", "c\\3a\\\\net"),
        ("c%3A%5Ccool%20stuff", "c\\3a\\cool\\20stuff"),
        ("c%3A%5C5commas", "c\\3a\\5c5commas"),
        ("foo%5C20bar", "foo\\5c20bar"),
        ("foo%5C2fbar", "foo\\5c2fbar"),
        ("foo%5C", "foo\\"),
        ("foo%5C%20bar", "foo\\\\20bar"),
    ] {
        let address = sip(user).unwrap();
        assert_eq!(address.local(), Some(local), "{user}");
        assert_eq!(address.to_sip_user(), Ok(Some(user.to_owned())), "{local}");
    }
}

#[test]
fn e56_upper_case_hex_is_the_same_escape() {
    assert_eq!(jid("a\\2Fb@x.example"), jid("a\\2fb@x.example"));
    assert_eq!(sip("a%5C2Fb").unwrap().local(), Some("a\\5c2fb"));
}

#[test]
fn e56_a_space_at_the_edge_has_no_jid() {
    for user in ["%20a", "a%20", "%20"] {
        assert_eq!(sip(user), Err(AddressError::SpaceAtEdge));
    }
}

#[test]
fn s024_a_local_part_that_would_come_back_as_another_stays_in_its_world() {
    for local in ["foo\\5cbar", "\\20foo", "foo\\20", "\\5c"] {
        let address = jid(&format!("{local}@x.example"));
        assert_eq!(address.local(), Some(local));
        assert_eq!(address.to_sip_uri(), Err(AddressError::NotMappable), "{local}");
    }
    // The accent would join the last digit of the escape of `>`.
    assert_eq!(sip("%3E%CC%81"), Err(AddressError::NotMappable));
}

#[test]
fn s014_local_parts_are_prepared_by_precis() {
    for (written, prepared) in [
        ("ΠΣΣ", "πσσ"),
        ("Fußball", "fußball"),
        ("ｆｕｌｌ", "full"),
        ("u\u{308}ber", "über"),
        ("שלום", "שלום"),
    ] {
        let address = jid(&format!("{written}@x.example"));
        assert_eq!(address.local(), Some(prepared));
        assert_eq!(sip(&address.to_sip_user().unwrap().unwrap()).unwrap().local(), Some(prepared));
    }
    assert_eq!(sip("a%EF%BC%A0b").unwrap().local(), Some("a\\40b"), "a full-width at");
}

#[test]
fn e53_each_malformed_jid_has_its_exact_reason() {
    let long = "x".repeat(1024);
    for (text, reason) in [
        ("", AddressError::Domain(DomainError::Empty)),
        ("@x.example", AddressError::Empty(Part::Local)),
        ("a@x.example/", AddressError::Empty(Part::Resource)),
        ("a@", AddressError::Domain(DomainError::Empty)),
        ("a@/r", AddressError::Domain(DomainError::Empty)),
        ("a@b@x.example", AddressError::Domain(DomainError::Characters)),
        ("a@192.0.2.1", AddressError::Domain(DomainError::AddressLiteral)),
        ("a\"b@x.example", AddressError::Reserved),
        ("a&b@x.example", AddressError::Reserved),
        ("a'b@x.example", AddressError::Reserved),
        ("a:b@x.example", AddressError::Reserved),
        ("a<b@x.example", AddressError::Reserved),
        ("a>b@x.example", AddressError::Reserved),
        ("ａ＠b@x.example", AddressError::Reserved),
        ("a b@x.example", AddressError::Characters(Part::Local)),
        ("a\tb@x.example", AddressError::Characters(Part::Local)),
        ("a\u{0}@x.example", AddressError::Characters(Part::Local)),
        ("☃@x.example", AddressError::Characters(Part::Local)),
        ("aא@x.example", AddressError::Characters(Part::Local)),
        ("a@x.example/\u{7}", AddressError::Characters(Part::Resource)),
        (&format!("{long}@x.example"), AddressError::TooLong(Part::Local)),
        (&format!("a@x.example/{long}"), AddressError::TooLong(Part::Resource)),
    ] {
        assert_eq!(Address::from_jid(text), Err(reason), "{text:.30}");
        assert_eq!(reason.condition(), Condition::JidMalformed);
    }
}

#[test]
fn e53_parts_of_1023_octets_are_the_limit() {
    let local = "x".repeat(1023);
    assert!(Address::from_jid(&format!("{local}@x.example/{local}")).is_ok());
    // 600 quotes fit a SIP URI, but their escapes do not fit a local part.
    assert_eq!(sip(&"'".repeat(600)), Err(AddressError::TooLong(Part::Local)));
    // Lower-casing lengthens U+0130.
    let grows = "\u{130}".repeat(500);
    assert_eq!(
        Address::from_jid(&format!("{grows}@x.example")),
        Err(AddressError::TooLong(Part::Local))
    );
}

#[test]
fn s012_each_malformed_sip_part_has_its_exact_reason() {
    for (user, gr, reason) in [
        ("%FF", None, AddressError::NotUtf8(Part::Local)),
        ("a%C3", None, AddressError::NotUtf8(Part::Local)),
        ("%ED%A0%80", None, AddressError::NotUtf8(Part::Local)),
        ("a%", None, AddressError::SipSyntax(Part::Local)),
        ("a%2", None, AddressError::SipSyntax(Part::Local)),
        ("a%+1", None, AddressError::SipSyntax(Part::Local)),
        ("alice:secret", None, AddressError::SipSyntax(Part::Local)),
        ("a@b", None, AddressError::SipSyntax(Part::Local)),
        ("a b", None, AddressError::SipSyntax(Part::Local)),
        ("a>", None, AddressError::SipSyntax(Part::Local)),
        ("a%00", None, AddressError::Characters(Part::Local)),
        ("a%0D%0A", None, AddressError::Characters(Part::Local)),
        ("a", Some("%FF"), AddressError::NotUtf8(Part::Resource)),
        ("a", Some("b;c"), AddressError::SipSyntax(Part::Resource)),
        ("a", Some("%00"), AddressError::Characters(Part::Resource)),
    ] {
        assert_eq!(Address::from_sip(user, "sip.example", gr), Err(reason), "{user} {gr:?}");
    }
    let ip = Address::from_sip("a", "[2001:db8::1]", None);
    assert_eq!(ip, Err(AddressError::Domain(DomainError::AddressLiteral)));
}

#[test]
fn escapes_that_senders_forget_are_forgiven_where_nothing_else_can_be_meant() {
    assert_eq!(sip("#123").unwrap().to_sip_user(), Ok(Some("%23123".to_owned())));
    assert_eq!(sip("fü").unwrap(), sip("f%C3%BC").unwrap());
}

#[test]
fn s015_s021_the_resource_is_the_gr_parameter() {
    let gruu = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let address = Address::from_sip("callee", "example.com", Some(gruu)).unwrap();
    assert_eq!(address.to_jid(), format!("callee@example.com/{gruu}"));
    assert_eq!(address.to_sip_uri().unwrap(), format!("sip:callee@example.com;gr={gruu}"));
    let desk = jid("a@x.example/Büro 1;x=\"y\"");
    assert_eq!(desk.resource_as_gr().unwrap(), "B%C3%BCro%201%3Bx%3D%22y%22");
    let back = Address::from_sip("a", "x.example", desk.resource_as_gr().as_deref());
    assert_eq!(back, Ok(desk));
}

#[test]
fn s022_a_temporary_gruu_is_never_mapped() {
    let temporary =
        Address::from_sip("tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5", "a.com", Some(""));
    assert_eq!(temporary, Err(AddressError::TemporaryGruu));
}

#[test]
fn s025_the_host_is_a_labels_in_sip_and_u_labels_in_a_jid() {
    let from_sip = Address::from_sip("a", "XN--MLLER-KVA.Example.", None).unwrap();
    assert_eq!(from_sip.to_jid(), "a@müller.example");
    assert_eq!(from_sip, jid("a@MÜLLER.example"));
    assert_eq!(from_sip.to_sip_uri().unwrap(), "sip:a@xn--mller-kva.example");
}

#[test]
fn user_parts_stay_out_of_logs() {
    assert_eq!(format!("{:?}", jid("secret@x.example/phone")), "…@x.example/…");
    assert_eq!(format!("{:?}", jid("x.example")), "x.example");
}

/// Texts made of what escapes, percent codes and PRECIS care about.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]",
        3 => Just("\\".to_owned()),
        2 => "(20|22|26|27|2f|2F|3a|3c|3e|40|5c|5C)",
        1 => "[äÖßéİıſΣςσאבｅＥ＠＼２\u{301}\u{308}\u{338}\u{200d}ﬁ日]",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 1..10).prop_map(|pieces| pieces.concat())
}

/// What RFC 3261 §19.1.4 compares, after the one accepted loss: PRECIS's mappings.
fn same_user(written: &str) -> String {
    local::map(&percent::decode(written, percent::Place::User).unwrap()).unwrap().into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn s024_every_local_part_that_goes_to_sip_comes_back(local in tricky()) {
        let Ok(address) = Address::from_jid_parts(Some(&local), "x.example", None) else {
            return Ok(());
        };
        if let Ok(Some(user)) = address.to_sip_user() {
            prop_assert_eq!(Address::from_sip(&user, "x.example", None), Ok(address));
        }
    }

    #[test]
    fn s024_every_sip_user_that_goes_to_xmpp_comes_back(plain in tricky()) {
        let user = percent::encode(&plain, percent::Place::User);
        if let Ok(address) = sip(&user) {
            let back = address.to_sip_user().unwrap().unwrap();
            prop_assert_eq!(same_user(&back), same_user(&user));
            prop_assert_eq!(jid(&address.to_jid()), address);
        }
    }

    #[test]
    fn s024_every_printable_ascii_user_has_a_jid(plain in "[!-~]([ -~]{0,20}[!-~])?") {
        let user = percent::encode(&plain, percent::Place::User);
        let address = sip(&user).unwrap();
        prop_assert!(address.to_sip_user().is_ok());
    }

    #[test]
    fn a_parsed_jid_stays_what_it_is(local in tricky(), resource in tricky()) {
        if let Ok(address) = Address::from_jid_parts(Some(&local), "x.example", Some(&resource)) {
            prop_assert_eq!(Address::from_jid(&address.to_jid()), Ok(address.clone()));
            let gr = address.resource_as_gr();
            let by_sip = Address::from_sip("", "x.example", gr.as_deref()).unwrap();
            prop_assert_eq!(by_sip.resource(), address.resource());
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), host in ".{0,20}", gr in prop::option::of(any::<String>())) {
        let _ = Address::from_jid(&text).map(|a| (a.to_jid(), a.to_sip_uri()));
        let _ = Address::from_sip(&text, &host, gr.as_deref()).map(|a| (a.to_jid(), a.to_sip_uri()));
    }
}
