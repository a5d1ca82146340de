//! The same bytes in other pieces, and bytes that mean nothing.

use proptest::prelude::*;

use super::*;

const SESSION: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls' />";

const AFTER_TLS: &str = "<db:verify from='a.example' to='b.example' id='7'>k</db:verify> \n\
    <db:result from='a.example' to='b.example'>kéy &amp; <![CDATA[<k>]]></db:result>\
    <message from='u@a.example' to='v@b.example' xml:lang='de'><body>grüße &#x1F600;</body>\
    <x xmlns='urn:x' xmlns:y='urn:y' y:z='1'><y:w/></x></message></stream:stream>";

/// Plays a whole session; the text between the owner's answers comes in pieces.
fn play(pieces: &dyn Fn(&str) -> Vec<Vec<u8>>) -> (String, Vec<Event>) {
    let mut stream = responder(Settings::default());
    let (mut said, mut seen) = (String::new(), Vec::new());
    let headers = [format!("{HEADER}{SESSION}"), format!("{HEADER}{AFTER_TLS}")];
    for text in headers {
        for piece in pieces(&text) {
            stream.handle_bytes(&piece, start());
            loop {
                let (text, events) = drain(&mut stream);
                if text.is_empty() && events.is_empty() {
                    break;
                }
                said.push_str(&text);
                for event in &events {
                    match event {
                        Event::Opened { .. } => stream.accept_header(start()),
                        Event::DialbackRequested { from, to, .. } => {
                            stream.answer_dialback(from, to, &Verdict::Valid);
                        }
                        _ => {}
                    }
                }
                seen.extend(events);
            }
        }
        stream.handle_tls_established(start());
    }
    (said, seen)
}

#[test]
fn split_at_every_byte_the_session_is_the_same() {
    // Given the session with a stanza that has to wait for the answer to the key
    let whole = play(&|text| {
        let at = text.find("<message").unwrap_or(text.len());
        vec![text.as_bytes()[..at].to_vec(), text.as_bytes()[at..].to_vec()]
    });
    let kinds: Vec<_> = whole.1.iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 7, "{:?}", whole.1);
    assert!(matches!(
        whole.1.last(),
        Some(Event::Closed(CloseReason::ClosedByPeer(Phase::Authenticated)))
    ));
    // Then one byte at a time it is the same
    assert_eq!(play(&|text| text.bytes().map(|byte| vec![byte]).collect()), whole);
    // and so it is in two pieces, cut anywhere before that stanza is complete
    let length = HEADER.len() + AFTER_TLS.find("<message").unwrap();
    for cut in 0..length {
        let split = play(&|text| {
            let stanza = text.find("<message").unwrap_or(text.len());
            let (head, tail) = text.as_bytes().split_at(stanza);
            let (first, second) = head.split_at(cut.min(stanza));
            vec![first.to_vec(), second.to_vec(), tail.to_vec()]
        });
        assert_eq!(split, whole, "cut at {cut}");
    }
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "<",
        ">",
        "/>",
        "</",
        "=",
        "'",
        "\"",
        "&",
        ";",
        "<![CDATA[",
        "]]>",
        "<?xml",
        "?>",
        "xmlns",
        "<message",
        "<db:result",
        " from='a.example'",
        " to='b.example'",
        " type='valid'",
        " id='1'",
        "</stream:stream>",
        "<stream:error>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<db:verify",
        "</db:result>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
        HEADER,
        "x",
        " ",
    ]);
    prop_oneof![
        3 => prop::collection::vec(words, 0..40).prop_map(|words| words.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_stream_panic_or_answer_badly(parts in prop::collection::vec(fragments(), 1..4), kind in 0..4) {
        let mut stream = match kind {
            0 => responder(Settings::default()),
            1 => opened(Settings::default()),
            2 => authenticated(Settings::default()),
            _ => initiator(Settings::default()),
        };
        drain(&mut stream);
        for part in parts {
            stream.handle_bytes(&part, start());
            let (_, events) = drain(&mut stream);
            let closed = events.iter().position(|event| matches!(event, Event::Closed(_)));
            prop_assert!(closed.is_none_or(|at| at + 1 == events.len()));
            if events.iter().any(|event| matches!(event, Event::Opened { .. })) {
                stream.accept_header(start());
                drain(&mut stream);
            }
        }
    }
}
