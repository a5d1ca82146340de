use openfed_proto::address::Address;
use openfed_proto::packet::{
    Body, Conversation, Direction, Html, Original, PacketId, Protocol, Source, TraceContext,
};
use std::time::Duration;

use super::*;

fn stanza(text: &str) -> Element {
    text.replacen("<message", "<message xmlns='jabber:client'", 1).parse().unwrap()
}

/// From a stream that says no language.
fn read_plainly(stanza: &Element) -> Option<Message> {
    read(stanza, None)
}

fn packet(from: &str, to: &str, message: Message) -> (Packet, Message) {
    let address = |jid: &str| Address::from_jid(jid).unwrap();
    let packet = Packet {
        id: PacketId([7; 16]),
        conversation: Conversation(1),
        direction: Direction::Inbound,
        from: address(from),
        to: address(to),
        body: Body::Message(message.clone()),
        original: Original { protocol: Protocol::Sip, bytes: "x".into() },
        trace: TraceContext::default(),
        hops: Vec::new(),
        remaining: Duration::from_secs(1),
        hops_left: 3,
        source: Source::default(),
    };
    (packet, message)
}

fn text(lang: Option<&str>, text: &str) -> Text {
    Text { lang: lang.map(str::to_owned), text: text.to_owned() }
}

#[test]
fn s099_a_stanza_is_read_with_id_thread_subject_and_language() {
    let message = read_plainly(&stanza(
        "<message type='chat' id='m' xml:lang='de'><subject>s</subject><thread>t</thread>\
         <body>hallo &lt;du&gt;</body><html xmlns='http://jabber.org/protocol/xhtml-im'/></message>",
    ));
    assert_eq!(
        message,
        Some(Message {
            id: Some("m".into()),
            thread: Some("t".into()),
            chat: true,
            subjects: vec![text(Some("de"), "s")],
            bodies: vec![text(Some("de"), "hallo <du>")],
            html: None,
        })
    );
}

#[test]
fn s109_the_language_that_a_server_writes_on_everything_is_nobodys_word() {
    let langs = |default: Option<&str>| {
        let text = "<message xml:lang='en'><subject>s</subject><body>a</body>\
                    <body xml:lang='fr'>b</body></message>";
        let message = read(&stanza(text), default).unwrap();
        message.bodies.into_iter().map(|body| body.lang).collect::<Vec<_>>()
    };
    let (en, fr) = (Some("en".to_owned()), Some("fr".to_owned()));
    assert_eq!(langs(Some("en")), [None, fr.clone()]);
    assert_eq!(langs(Some("de")), [en.clone(), fr.clone()]);
    assert_eq!(langs(None), [en, fr]);
}

#[test]
fn s109_the_body_in_the_stanzas_own_language_comes_first() {
    let message = read_plainly(&stanza(
        "<message xml:lang='en'><body xml:lang='cs'>ahoj</body><body>hi</body>\
         <body xml:lang='fr'>salut</body></message>",
    ));
    let bodies: Vec<String> = message.unwrap().bodies.into_iter().map(|body| body.text).collect();
    assert_eq!(bodies, ["hi", "ahoj", "salut"]);
}

#[test]
fn s113_what_is_not_a_message_to_a_person_has_no_meaning() {
    for stanza_without in [
        "<message type='groupchat'><body>x</body></message>",
        "<message type='error'><body>x</body></message>",
        "<message><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message><body/></message>",
        "<message><body xmlns='http://www.w3.org/1999/xhtml'>x</body></message>",
    ] {
        assert_eq!(read_plainly(&stanza(stanza_without)), None, "{stanza_without}");
    }
    assert!(read_plainly(&stanza("<message type='strange'><body>x</body></message>")).is_some());
}

#[test]
fn s101_s102_a_sip_message_becomes_a_stanza_from_the_full_jid() {
    let (packet, message) = packet(
        "bob@sip.example/phone",
        "alice@corp.example",
        Message {
            id: Some("z9hG4bK1".into()),
            thread: Some("call@host".into()),
            chat: false,
            subjects: vec![text(None, "s")],
            bodies: vec![text(Some("de"), "a & b"), text(Some("fr"), "c")],
            html: Some(Html("<p>a &amp; <strong>b</strong><br/></p>".into())),
        },
    );
    let stanza = write(&packet, &message, false);
    assert_eq!(stanza.attr("from"), Some("bob@sip.example/phone"));
    assert_eq!(stanza.attr("to"), Some("alice@corp.example"));
    assert_eq!(stanza.attr("type"), None, "S-103");
    assert_eq!(lang(&stanza), Some("de"));
    let html = stanza.children().find(|child| child.name() == "html").expect("S-107");
    let written = String::from(html);
    assert_eq!(
        written,
        "<html xmlns='http://jabber.org/protocol/xhtml-im'>\
         <body xmlns='http://www.w3.org/1999/xhtml'>\
         <p>a &amp; <strong>b</strong><br/></p></body></html>"
    );
    let again = read_plainly(&stanza).unwrap();
    assert_eq!(again.id, message.id);
    assert_eq!(again.thread, message.thread);
    assert_eq!(again.bodies, message.bodies);
    assert_eq!(write(&packet, &message, true).attr("type"), Some("chat"));
}

#[test]
fn a_message_without_id_gets_the_packets() {
    let message = Message {
        id: None,
        thread: None,
        chat: false,
        subjects: Vec::new(),
        bodies: vec![text(None, "x")],
        html: None,
    };
    let (packet, message) = packet("b@sip.example", "a@corp.example", message);
    let stanza = write(&packet, &message, false);
    assert_eq!(stanza.attr("id"), Some("07".repeat(16).as_str()));
    assert_eq!(stanza.attr("from"), Some("b@sip.example/openfed-sip"), "nobody writes bare");
    assert_eq!(stanza.attr("to"), Some("a@corp.example"));
}

#[test]
fn s107_what_is_no_sound_markup_is_left_out() {
    for html in ["<p>", "</body></html><body>", "<p xmlns:x='y'><x:p></p>", "<!-- -->"] {
        let message = Message {
            id: None,
            thread: None,
            chat: false,
            subjects: Vec::new(),
            bodies: vec![text(None, "x")],
            html: Some(Html(html.into())),
        };
        let (packet, message) = packet("b@sip.example", "a@corp.example", message);
        let stanza = write(&packet, &message, false);
        assert!(stanza.children().all(|child| child.name() == "body"), "{html}");
    }
}
