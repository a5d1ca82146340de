//! Hostile input: nothing panics, limits hold, and what is accepted is written as it was read.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[path = "torture/notation.rs"]
mod notation;

use bytes::Bytes;
use proptest::prelude::*;
use sip_cm_core::digest::{Answered, Credentials, Password, authorize};
use sip_cm_core::framing::{Frame, Framer, Opener};
use sip_cm_core::headers::HeaderId;
use sip_cm_core::uri::Uri;
use sip_cm_core::wire::{MAX_HEADER_LINES, MAX_MESSAGE, MAX_VIA_VALUES, Message};

const RFC4475: &str = include_str!("rfc4475.txt");
const RFC5118: &str = include_str!("rfc5118.txt");

fn corpus() -> Vec<Vec<u8>> {
    let of = |collection: &'static str| {
        notation::names(collection).into_iter().map(|name| notation::message(collection, name))
    };
    of(RFC4475).chain(of(RFC5118)).collect()
}

/// Asks a message everything that can be asked, and edits all that can be edited.
fn exercise(mut message: Message) {
    for id in HeaderId::ALL {
        let _ = (message.text(*id), message.list(*id), message.addresses(*id), message.number(*id));
        let _ = message.has_token(*id, "x");
    }
    let _ = (message.uri(), message.date(), message.content_type(), message.retry_after());
    if let (Some(Ok(a)), Ok(b)) = (message.uri(), message.to()) {
        let _ = (a.is_equivalent(b.uri()), a.user_decoded(), a.is_loose_router());
        assert!(a.is_equivalent(&a));
    }
    let response = Message::response_to(&message, 401, "Unauthorized");
    let answer = |message: &mut Message| {
        let password = Password::new("p".into());
        let credentials = Credentials { username: "u".into(), password, realm: None };
        let _ = authorize(message, &response, &credentials, "c", &mut Answered::default());
    };
    answer(&mut message);
    let _ = message.mark_source("192.0.2.1:5060".parse().unwrap());
    let _ = (message.decrement_max_forwards(), message.pop_route());
    message.set_to_tag("t");
    message.push_via("SIP/2.0/UDP us.example;branch=z9hG4bKus");
    let written = message.to_bytes();
    if written.len() <= MAX_MESSAGE && message.headers().len() <= MAX_HEADER_LINES {
        let vias = message.vias().map_or(0, |vias| vias.len());
        if message.is_request() && vias <= MAX_VIA_VALUES && vias > 0 {
            Message::parse(written).expect("what we edited is sound");
        }
    }
    while message.pop_via().is_ok() {}
}

fn parse(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    match Message::parse(bytes.clone()) {
        Ok(message) => {
            let written = message.to_bytes();
            let start = bytes.len() - bytes.strip_prefix(b"\r\n").map_or(bytes.len(), <[u8]>::len);
            assert!(start > 0 || bytes.starts_with(&written), "written as read");
            assert!(message.headers().len() <= MAX_HEADER_LINES && written.len() <= MAX_MESSAGE);
            assert_eq!(Message::parse(written.clone()).unwrap().to_bytes(), written);
            exercise(message);
        }
        Err(rejected) => {
            let (code, reason) = rejected.error.status();
            assert!((400..600).contains(&code) && !reason.contains(['\r', '\n']));
            if let Some(answer) = rejected.answer("192.0.2.1:5060".parse().unwrap()) {
                assert_eq!(answer.code(), Some(code));
                let _ = Message::parse(answer.to_bytes());
            }
        }
    }
}

fn frame(bytes: &[u8], cuts: &[usize]) -> Vec<String> {
    let mut framer = Framer::new(Opener::Peer);
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().map(|cut| cut % 97 + 1);
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
        rest = tail;
        framer.feed(head);
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(message))) => out.push(format!("{:?}", message.to_bytes())),
                Ok(Some(frame)) => out.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => out.push(error.to_string()),
            }
        }
        assert!(framer.buffer().len() <= MAX_MESSAGE + 97);
    }
    out
}

/// A message of the corpus with a few bytes changed, cut out, or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>(), 1..40_usize);
    let corpus = prop::sample::select(corpus());
    (corpus, prop::collection::vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
        const TELLING: &[u8] = b"\r\n\t ,;:=<>\"\\@%[]/?\0\xff0";
        for (at, kind, byte, length) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = TELLING[usize::from(byte) % TELLING.len()],
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = frame(&bytes, &[7, 1, 50]);
        parse(bytes);
    }

    #[test]
    fn mutated_messages_never_panic(bytes in mutated()) {
        parse(bytes);
    }

    #[test]
    fn a_mutated_stream_reads_the_same_however_it_is_cut(
        bytes in prop::collection::vec(mutated(), 1..3),
        cuts in prop::collection::vec(any::<usize>(), 0..60),
    ) {
        let bytes = bytes.concat();
        prop_assert_eq!(frame(&bytes, &[]), frame(&bytes, &cuts));
    }

    #[test]
    fn random_uris_never_panic(text in "(sip:|sips:|tel:|x:)?[a-z0-9@:;?&=%\\[\\].,+ü/-]{0,40}") {
        if let Ok(uri) = Uri::parse(&text.as_str().into()) {
            prop_assert_eq!(uri.as_str(), &text);
            prop_assert!(uri.is_equivalent(&uri));
            let _ = uri.user_decoded();
        }
    }

    #[test]
    fn s_024_every_user_part_comes_back(user in "\\PC{1,30}") {
        let uri = Uri::sip(Some(&user), "sip.example", None).unwrap();
        prop_assert_eq!(uri.user_decoded().unwrap().unwrap(), user);
    }
}

#[test]
fn fourteen_thousand_via_parameters_are_refused_unread() {
    let line = format!("Via: SIP/2.0/UDP a.example{}\r\n", ";a=b".repeat(14_000));
    let text = format!("OPTIONS sip:a@b.example SIP/2.0\r\n{line}CSeq: 1 OPTIONS\r\n\r\n");
    assert!(Message::parse(Bytes::from(text)).is_err());
}
