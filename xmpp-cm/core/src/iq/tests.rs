use super::*;

fn request(to: &str, kind: &str, payload: &str) -> (Head, Element) {
    let text = format!(
        "<iq xmlns='jabber:client' type='{kind}' id='q' from='a@corp.example/r' to='{to}'>\
         {payload}</iq>"
    );
    let stanza: Element = text.parse().unwrap();
    (Head::read(&stanza).unwrap(), stanza)
}

#[test]
fn a_server_is_asked_for_what_it_is() {
    for (payload, answered) in [
        ("<ping xmlns='urn:xmpp:ping'/>", true),
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", true),
        ("<query xmlns='jabber:iq:version'/>", true),
        ("<query xmlns='http://jabber.org/protocol/disco#items'/>", false),
        ("<vCard xmlns='vcard-temp'/>", false),
    ] {
        let (head, stanza) = request("sip.example", "get", payload);
        assert_eq!(check(&head, &stanza), Ok(()));
        assert_eq!(answer(&head, &stanza).is_ok(), answered, "{payload}");
    }
    let node = "<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>";
    let (head, stanza) = request("sip.example", "get", node);
    assert_eq!(answer(&head, &stanza), Err(Condition::ItemNotFound));
}

#[test]
fn a_request_has_one_child_an_id_and_a_known_type() {
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    for (kind, payload, valid) in [
        ("get", ping.to_owned(), true),
        ("get", String::new(), false),
        ("set", format!("{ping}{ping}"), false),
        ("other", ping.to_owned(), false),
        ("result", String::new(), true),
        ("error", ping.to_owned(), true),
    ] {
        let (head, stanza) = request("sip.example", kind, &payload);
        assert_eq!(check(&head, &stanza).is_ok(), valid, "{kind} {payload}");
    }
    let (head, stanza) = request("sip.example", "get", ping);
    let nameless = Head { id: None, ..head };
    assert_eq!(check(&nameless, &stanza), Err(Condition::BadRequest));
}
