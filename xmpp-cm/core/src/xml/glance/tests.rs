use proptest::prelude::*;

use super::*;
use crate::xml::{Item, Limits, Parser};

const HEADER: &str = "<stream:stream xmlns='jabber:server' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
const HI: &str = "<message from='a@corp.example/r' to='b@d.example' id='1' type='chat'>\
                  <body>Hi</body></message>";

/// A parser behind the header of a stream.
fn parser() -> Parser {
    let mut parser = Parser::new(Limits::default());
    parser.next(&mut HEADER.as_bytes()).unwrap();
    parser
}

#[test]
fn who_writes_to_whom_is_seen_and_where_the_next_stanza_begins() {
    let more = "<thread>t</thread><html xmlns='urn:h'><body>Hi</body></html></message>";
    let long = HI.replace("</message>", more).replace("id='1'", "xml:lang=\"de\" id=\"1'\"");
    for (text, id) in [(HI, "1"), (&long, "1'")] {
        let input = format!("{text}<message to='c@d.example'>");
        let glimpse = parser().glimpse(input.as_bytes()).unwrap();
        let Attributes { from, to, id: seen, subtype } = glimpse.attributes;
        assert_eq!((from, to), (Some("a@corp.example/r"), Some("b@d.example")));
        assert_eq!((seen, subtype, glimpse.length), (Some(id), Some("chat"), text.len()));
        assert_eq!(glimpse.said, Some("Hi"));
    }
}

#[test]
fn a_text_is_repeated_only_if_it_stands_for_itself() {
    for (text, said) in
        [("ü\n>", Some("ü\n>")), ("a&amp;b", None), ("a\u{1}b", None), ("\u{ffff}", None)]
    {
        let input = HI.replace("Hi", text);
        assert_eq!(parser().glimpse(input.as_bytes()).unwrap().said, said, "{text}");
    }
}

#[test]
fn what_is_no_plain_message_or_not_whole_is_to_be_read() {
    let to_be_read = [
        HI.replace("</message>", "</message"),
        HI.replace("<message", "<presence"),
        HI.replace("<message", "<messages"),
        HI.replace("<message", " <message"),
        HI.replace(" id", "  id"),
        HI.replace(" id", "\nid"),
        HI.replace("'1'", "'&lt;'"),
        HI.replace("'1'", "'a>b'"),
        HI.replace("'1'", "'<'"),
        HI.replace("'1'", "'\t'"),
        HI.replace("'1'", "1"),
        HI.replace(" id", " xmlns='jabber:client' id"),
        HI.replace(" id", " xmlns:x='urn:x' x:id"),
        HI.replace(" id", " id='2' id"),
        HI.replace(" id", " xml:lang='a' xml:lang='b' id"),
        HI.replace("<body>Hi", "<body>"),
        HI.replace("<body>Hi</body>", "<body/>"),
        HI.replace("<body>Hi</body>", ""),
        HI.replace("<body>", "<subject>S</subject><body>"),
        HI.replace("Hi", "<![CDATA[</message>]]>"),
        HI.replace("Hi", "a<![CDATA[</message>]]>"),
        HI.replace("</message>", "<!-- </message> --></message>"),
        HI.replace("</message>", "<?x </message> ?></message>"),
        HI.replace("</message>", "<message></message></message>"),
        HI.replace("</message>", "<messages/></message>"),
        HI.replace("</message>", &format!("</message ><iq/>{HI}")),
        HI.replace("</message>", "</message ></message>"),
        HI.replace("</body></message>", "<"),
    ];
    for text in to_be_read {
        assert!(parser().glimpse(text.as_bytes()).is_none(), "{text}");
    }
    let mut bytes = HI.as_bytes().to_vec();
    bytes[16] = 0xff;
    assert!(parser().glimpse(&bytes).is_none(), "not UTF-8");
}

#[test]
fn only_between_stanzas_is_anything_seen() {
    assert!(Parser::new(Limits::default()).glimpse(HI.as_bytes()).is_none());
    for begun in [" ", "<", "<iq", "<iq ", "<iq><q>", "<iq>text"] {
        let mut parser = parser();
        assert!(matches!(parser.next(&mut begun.as_bytes()), Ok(None)));
        assert!(parser.glimpse(HI.as_bytes()).is_none(), "{begun}");
    }
    let mut parser = parser();
    assert!(matches!(parser.next(&mut "<iq/>".as_bytes()), Ok(Some(Item::Element(_)))));
    assert!(parser.glimpse(HI.as_bytes()).is_some());
    parser.set_element_bytes(HI.len());
    assert!(parser.glimpse(HI.as_bytes()).is_some());
    parser.set_element_bytes(HI.len() - 1);
    assert!(parser.glimpse(HI.as_bytes()).is_none(), "too big");
}

proptest! {
    /// Whatever a peer makes of these pieces: if it is well-formed, reading it finds the same.
    #[test]
    fn what_is_seen_is_what_would_be_read(pieces in proptest::collection::vec(piece(), 1..12)) {
        let text = format!("<message{}", pieces.concat());
        let mut parser = parser();
        let glimpse = parser.glimpse(text.as_bytes());
        let mut rest = text.as_bytes();
        if let (Some(glimpse), Ok(Some(Item::Element(read)))) = (glimpse, parser.next(&mut rest)) {
            prop_assert_eq!(glimpse.length, text.len() - rest.len());
            let Attributes { from, to, id, subtype } = Attributes::of(&read);
            let seen = glimpse.attributes;
            prop_assert_eq!((seen.from, seen.to, seen.id, seen.subtype), (from, to, id, subtype));
        }
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(" from='a@a.example'"),
        Just(" to=\"b@b.example\""),
        Just(" id='>'"),
        Just(" type='chat'"),
        Just(" xml:lang='de'"),
        Just(">"),
        Just("><body>Hi</body>"),
        Just("<body>"),
        Just("text"),
        Just("&lt;"),
        Just("</body>"),
        Just("<message>"),
        Just("<x:message xmlns:x='urn:x'>"),
        Just("</x:message>"),
        Just("<messages/>"),
        Just("</message>"),
        Just("</message >"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<y z='</message>'/>"),
        Just("<y z='>'/>"),
    ]
}
