use super::*;
use bytes::Bytes;

/// A request with a binary body, a response, and a request whose body looks like a head.
fn stream() -> Vec<Vec<u8>> {
    let head = "Via: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@a.example>;tag=1\r\n\
        To: <sip:b@b.example>\r\nCall-ID: 1\r\n";
    let message = |start: &str, method: &str, body: &[u8]| {
        let text = format!("{start}\r\n{head}CSeq: 1 {method}\r\nl:\r\n {}\r\n\r\n", body.len());
        [text.as_bytes(), body].concat()
    };
    vec![
        message("MESSAGE sip:b@b.example SIP/2.0", "MESSAGE", b"\r\n\r\n\0\xff binary \r\n\r\n"),
        message("SIP/2.0 200 Fein ü", "MESSAGE", b""),
        message("NEW sip:b@b.example SIP/2.0", "NEW", b" OPTIONS sip:x SIP/2.0\r\n\r\n"),
        message("SIP/2.0 486 ", "INVITE", b"\x00\x80\r"),
    ]
}

/// What a framer makes of `pieces`, each frame as text.
fn frames(opener: Opener, pieces: &[&[u8]]) -> Vec<String> {
    let mut framer = Framer::new(opener);
    let mut out = Vec::new();
    for piece in pieces {
        framer.feed(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(Frame::Message(message))) => out.push(format!("{:?}", message.to_bytes())),
                Ok(Some(frame)) => out.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(FramingError(rejected)) => {
                    let answer = rejected.answer("192.0.2.1:1".parse().unwrap());
                    out.push(format!("lost: {:?}", answer.and_then(|a| a.code())));
                }
            }
        }
    }
    out
}

#[test]
fn a_message_split_at_every_byte_is_the_same() {
    let messages = stream();
    let expected: Vec<_> =
        messages.iter().map(|m| format!("{:?}", Bytes::from(m.clone()))).collect();
    let whole = messages.concat();
    assert_eq!(frames(Opener::Peer, &[&whole]), expected);
    for at in 0..=whole.len() {
        let (head, tail) = whole.split_at(at);
        assert_eq!(frames(Opener::Peer, &[head, tail]), expected, "split at {at}");
        assert_eq!(frames(Opener::Us, &[head, tail]), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(frames(Opener::Peer, &bytes), expected, "byte by byte");
}

#[test]
fn e_41_pings_and_pongs_split_anywhere() {
    let message = stream().remove(0);
    let whole = [&b"\r\n\r\n\r\n\r\n\r\n"[..], &message, b"\r\n\r\n"].concat();
    let text = format!("{:?}", Bytes::from(message));
    for at in 0..=whole.len() {
        let (head, tail) = whole.split_at(at);
        let seen = frames(Opener::Peer, &[head, tail]);
        assert_eq!(seen, ["Ping", "Ping", &text, "Ping"], "split at {at}");
        let seen = frames(Opener::Us, &[head, tail]);
        let pongs = ["Pong", "Pong", "Pong", "Pong", "Pong", &text, "Pong", "Pong"];
        assert_eq!(seen, pongs, "split at {at}");
    }
}

#[test]
fn a_refused_message_leaves_the_stream_usable() {
    let good = stream().remove(1);
    let text = String::from_utf8(good.clone()).unwrap();
    let bad = text.replace("SIP/2.0 200", "NEW sip:a b SIP/2.0\r\nX: 200");
    let seen = frames(Opener::Peer, &[bad.as_bytes(), &good]);
    assert_eq!(seen.len(), 2);
    assert!(seen[0].starts_with("Rejected") && seen[1].contains("200 Fein"), "{seen:?}");
}

#[test]
fn a_stream_of_unknown_length_is_given_up_with_an_answer() {
    let text = String::from_utf8(stream().remove(2)).unwrap();
    for (bad, code) in [
        ("", "Some(400)"),
        ("l: 3\r\nContent-Length: 3\r\n", "Some(400)"),
        ("l: -1\r\n", "Some(400)"),
        ("l: 99999999999\r\n", "Some(400)"),
        ("l: 65535\r\n", "Some(513)"),
        ("l: 1\r\nbroken line\r\n", "Some(400)"),
        ("l: 1\r\nX: a\nY: b\r\n", "Some(400)"),
    ] {
        let length = text.find("l:\r\n").unwrap();
        let end = text.find("\r\n\r\n").unwrap() + 2;
        let lost = format!("{}{bad}{}", &text[..length], &text[end..]);
        let seen = frames(Opener::Peer, &[lost.as_bytes(), text.as_bytes()]);
        assert_eq!(seen, [format!("lost: {code}")], "{bad:?}: nothing after it is read");
    }
    assert_eq!(frames(Opener::Peer, &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]), ["lost: None"]);
}

#[test]
fn an_endless_head_is_given_up() {
    let mut framer = Framer::new(Opener::Peer);
    let mut fed = 0;
    let error = loop {
        framer.feed(&[b'x'; 1000]);
        fed += 1000;
        match framer.next_frame() {
            Ok(None) => assert!(fed < MAX_MESSAGE + 2000),
            Ok(Some(frame)) => panic!("{frame:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.0.error, WireError::TooLarge);
    framer.feed(b"more");
    assert!(framer.next_frame().unwrap().is_none());
}

#[test]
fn a_begun_message_is_seen_as_such() {
    let mut framer = Framer::new(Opener::Peer);
    assert!(!framer.is_in_message());
    framer.feed(b"\r\n\r\nMESS");
    assert!(matches!(framer.next_frame(), Ok(Some(Frame::Ping))));
    assert!(matches!(framer.next_frame(), Ok(None)));
    assert!(framer.is_in_message());
    let mut framer = Framer::new(Opener::Peer);
    framer.feed(b"\r\n");
    assert!(matches!(framer.next_frame(), Ok(None)));
    assert!(!framer.is_in_message(), "half a ping is no message");
}

/// Old clients keep a connection open with NUL or blanks; a server that leaves Content-Length out
/// of an answer has no body to measure.
#[test]
fn stray_bytes_between_messages_are_no_message() {
    let message = stream().remove(1);
    let text = format!("{:?}", Bytes::from(message.clone()));
    for stray in [&b"\0"[..], b"\0\0\0\0", b" ", b"\n", b"\t\0 "] {
        let whole = [stray, &message, stray, &message].concat();
        for at in 0..=whole.len() {
            let (head, tail) = whole.split_at(at);
            for opener in [Opener::Peer, Opener::Us] {
                assert_eq!(frames(opener, &[head, tail]), [&*text, &*text], "{stray:?} at {at}");
            }
        }
        let mut framer = Framer::new(Opener::Peer);
        framer.feed(stray);
        assert!(matches!(framer.next_frame(), Ok(None)));
        assert!(!framer.is_in_message(), "{stray:?} is not waited for");
        let pings = [b"\r\n", stray, &message].concat();
        assert_eq!(frames(Opener::Us, &[&pings]), ["Pong", &*text], "{stray:?}");
    }
}

#[test]
fn a_response_without_length_and_type_ends_with_its_head() {
    let good = stream().remove(1);
    let text = String::from_utf8(good.clone()).unwrap();
    let bare = text.replace("l:\r\n 0\r\n", "");
    assert_ne!(bare, text);
    let whole = [bare.as_bytes(), &good].concat();
    let expected = [bare.as_bytes(), &good].map(|m| format!("{:?}", Bytes::copy_from_slice(m)));
    for at in 0..=whole.len() {
        let (head, tail) = whole.split_at(at);
        assert_eq!(frames(Opener::Us, &[head, tail]), expected, "split at {at}");
    }
    let typed = bare.replace("\r\n\r\n", "\r\nc: text/plain\r\n\r\nhi");
    assert_eq!(frames(Opener::Us, &[typed.as_bytes()]), ["lost: None"], "its end is not certain");
    let request = String::from_utf8(stream().remove(2)).unwrap();
    let request = request.replace("l:\r\n 26\r\n", "");
    assert_eq!(frames(Opener::Peer, &[request.as_bytes()]), ["lost: Some(400)"]);
}

#[test]
fn a_head_of_bare_line_feeds_is_answered_at_once() {
    let request = String::from_utf8(stream().remove(2)).unwrap().replace("\r\n", "\n");
    let head = request.split_inclusive("\n\n").next().unwrap();
    for at in 0..head.len() {
        let (head, tail) = head.split_at(at);
        let seen = frames(Opener::Peer, &[head.as_bytes(), tail.as_bytes()]);
        assert_eq!(seen, ["lost: Some(400)"], "split at {at}");
    }
}
