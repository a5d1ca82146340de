use proptest::prelude::*;

use super::*;
use minidom::Element;

fn read(text: &str) -> Element {
    from_bytes(text.as_bytes(), Limits::default()).unwrap()
}

fn written(element: &Element) -> String {
    String::from_utf8(to_bytes(element).to_vec()).unwrap()
}

#[test]
fn a_stanza_is_read_in_jabber_client_and_written_without_xmlns() {
    let text = "<message to='a@b.example'><body>hi &amp; ho</body></message>";
    let stanza = read(text);
    assert!(stanza.is("message", ns::CLIENT));
    assert!(stanza.get_child("body", ns::CLIENT).is_some());
    assert_eq!(written(&stanza), text);
    assert_eq!(written(&Element::bare("message", ns::SERVER)), "<message/>");
}

#[test]
fn a_stanza_serves_xmpp_parsers_as_it_is_and_the_other_way_round() {
    let stanza = read(
        "<message from='a@b.example' to='c@d.example' type='chat' id='1'><body>x</body></message>",
    );
    let message = xmpp_parsers::message::Message::try_from(stanza).unwrap();
    assert_eq!(message.bodies.values().next().unwrap(), "x");
    let text = written(&message.into());
    assert!(!text.contains("xmlns"), "{text}");
}

#[test]
fn forwarded_stanzas_keep_the_namespace_they_were_written_in() {
    for inner in ["jabber:client", "jabber:server"] {
        let text = format!(
            "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='{inner}'><body>x</body>\
             </message></forwarded></message>"
        );
        let stanza = read(&text);
        let forwarded = stanza.get_child("forwarded", "urn:xmpp:forward:0").unwrap();
        assert!(forwarded.has_child("message", inner));
        assert_eq!(written(&stanza), text);
    }
}

#[test]
fn prefixes_and_namespaced_attributes_survive_in_meaning() {
    let stanza =
        read("<iq xml:lang='de'><p:q xmlns:p='urn:p' p:a='1' b='2'><p:r/><s xmlns=''/></p:q></iq>");
    let text = written(&stanza);
    assert_eq!(
        text,
        "<iq xml:lang='de'><q xmlns='urn:p' b='2' xmlns:a1='urn:p' a1:a='1'><r/><s xmlns=''/>\
         </q></iq>"
    );
    assert_eq!(read(&text), stanza);
}

#[test]
fn dialback_and_stream_elements_carry_their_prefix_literally() {
    let mut result = Element::bare("result", ns::DIALBACK);
    result.append_child(Element::bare("error", ns::CLIENT));
    assert_eq!(written(&result), "<db:result><error/></db:result>");
    assert_eq!(written(&Element::bare("features", ns::STREAM)), "<stream:features/>");
}

#[test]
fn what_xml_cannot_say_is_replaced_before_it_costs_the_stream() {
    let mut body = Element::bare("body", ns::CLIENT);
    body.append_text("a\u{0}b\u{1b}[31m\u{fffe}\r\n<]]>");
    let text = written(&body);
    assert_eq!(text, "<body>a\u{fffd}b\u{fffd}[31m\u{fffd}&#xd;\n&lt;]]&gt;</body>");
    assert_eq!(read(&text).text(), "a\u{fffd}b\u{fffd}[31m\u{fffd}\r\n<]]>");
}

#[test]
fn one_element_is_one_element() {
    for text in ["", " ", "<a/><b/>", "<a>", "a", "<a/>b", "</stream:stream>"] {
        assert!(from_bytes(text.as_bytes(), Limits::default()).is_err(), "{text}");
    }
}

fn tree() -> impl Strategy<Value = Element> {
    let namespaces = || prop::sample::select(vec!["jabber:client", "urn:a", "urn:b", ""]);
    let names = || prop::sample::select(vec!["a", "body", "x-1"]);
    let text = "[a-z<>&'\"\\]\r\n\t é😀]{1,12}";
    let leaf = (names(), namespaces(), text, text).prop_map(|(name, ns, text, value)| {
        let mut element = Element::bare(name, ns);
        element.append_text(text);
        let key = rxml::NcName::try_from("k").unwrap();
        element.attrs_mut().insert(rxml::Namespace::NONE, key.clone(), value.clone());
        element.attrs_mut().insert(rxml::Namespace::from("urn:k"), key, value);
        element
    });
    leaf.prop_recursive(5, 40, 4, move |inner| {
        (names(), namespaces(), prop::collection::vec(inner, 0..4)).prop_map(
            |(name, ns, children)| {
                let mut element = Element::bare(name, ns);
                for child in children {
                    element.append_child(child);
                }
                element
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(inner in tree()) {
        let mut stanza = Element::bare("message", ns::CLIENT);
        stanza.append_child(inner);
        let text = written(&stanza);
        prop_assert_eq!(read(&text), stanza, "{}", text);
    }
}
