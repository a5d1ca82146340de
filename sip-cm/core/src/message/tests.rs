use super::names::{branch_of_id, call_id_of_thread, id_of_branch, thread_of_call_id};
use super::*;
use crate::status::{CHARSETS, TRANSFER_ENCODINGS};
use proptest::prelude::*;

fn read_body(headers: &str, body: &[u8]) -> Result<InstantMessage, Refusal> {
    let mut bytes = format!(
        "MESSAGE sip:alice@corp.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKx\r\n\
         From: <sip:bob@partner.example>;tag=b1\r\n\
         To: <sip:alice@corp.example>\r\n\
         Call-ID: c1\r\nCSeq: 1 MESSAGE\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    read(&Message::parse(Bytes::from(bytes)).expect("a sound request"))
}

fn text_of(headers: &str, body: &[u8]) -> String {
    read_body(headers, body).expect("readable").bodies[0].text.clone()
}

#[test]
fn s_106_character_sets_and_what_xml_cannot_hold() {
    assert_eq!(text_of("", "grüß".as_bytes()), "grüß");
    assert_eq!(text_of("Content-Type: text/plain\r\n", "grüß".as_bytes()), "grüß");
    let latin = "Content-Type: Text/Plain; charset=\"iso-8859-1\"\r\n";
    assert_eq!(text_of(latin, b"gr\xfc\xdf"), "grüß");
    let controls = "a\u{0}b\u{8}\u{b}c\u{fffe}d\te\r\nf\rg";
    assert_eq!(text_of("", controls.as_bytes()), "abcd\te\nf\ng");
    assert_eq!(text_of("", b""), "");
    let malformed = |result: Result<_, _>| matches!(result, Err(Refusal::Malformed(_)));
    assert!(malformed(read_body("", b"gr\xfc")));
    assert!(malformed(read_body("Content-Type: text/plain;charset=us-ascii\r\n", b"gr\xfc")));
    let koi = "Content-Type: text/plain;charset=koi8-r\r\n";
    assert_eq!(read_body(koi, b"x"), Err(Refusal::Encoding(CHARSETS)));
    let inner = b"From: <im:b@p.example>\r\n\r\nContent-Type: text/plain;charset=koi8-r\r\n\r\nx";
    let cpim = read_body("Content-Type: message/cpim\r\n", inner);
    assert_eq!(cpim, Err(Refusal::Encoding(CHARSETS)));
}

#[test]
fn s_108_other_content_is_refused() {
    for kind in ["text/xml", "application/im-iscomposing+xml", "multipart/mixed", "x/y"] {
        let headers = format!("Content-Type: {kind}\r\n");
        assert_eq!(read_body(&headers, b"x"), Err(Refusal::MediaType));
    }
    assert_eq!(read_body("Content-Encoding: gzip\r\n", b"x"), Err(Refusal::MediaType));
    assert!(read_body("Content-Encoding: identity\r\n", b"x").is_ok());
}

#[test]
fn s_108_a_cpim_envelope_is_opened() {
    let cpim = "Content-Type: message/cpim\r\n";
    let body = "From: Bob <im:bob@partner.example>\r\nTo: <im:alice@corp.example>\r\n\
        Subject:;lang=fr bonjour\r\n\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\n\r\ngr\u{0}";
    let mut bytes = body.as_bytes().to_vec();
    *bytes.last_mut().expect("a body") = 0xfc;
    let message = read_body(cpim, &bytes).expect("readable");
    assert_eq!(message.bodies[0].text, "grü");
    assert_eq!(message.subjects[0].text, "bonjour");

    let bare = b"From: <im:b@p.example>\r\n\r\n\r\nhello";
    assert_eq!(text_of(cpim, bare), "hello");
    let xml = b"From: <im:b@p.example>\r\n\r\nContent-Type: text/xml\r\n\r\nhello";
    assert_eq!(read_body(cpim, xml), Err(Refusal::MediaType));
    assert!(matches!(read_body(cpim, b"no end"), Err(Refusal::Malformed(_))));
    assert!(matches!(read_body(cpim, b"\xff\r\n\r\n\r\nx"), Err(Refusal::Malformed(_))));
}

#[test]
fn s_107_html_becomes_text_and_stays_formatted_if_it_was() {
    let html = "Content-Type: Text/HTML; charset=iso-8859-1\r\n";
    let message = read_body(html, b"<b>gr\xfc\xdf</b> dich<br>").expect("readable");
    assert_eq!(message.bodies[0].text, "grüß dich");
    let markup = message.html.map(|html| html.0);
    assert_eq!(markup.as_deref(), Some("<p><strong>grüß</strong> dich<br/></p>"));
    let inner = b"From: <im:b@p.example>\r\n\r\nContent-Type: text/html\r\n\r\n<p>hello</p>";
    let message = read_body("Content-Type: message/cpim\r\n", inner).expect("readable");
    assert_eq!((message.bodies[0].text.as_str(), message.html), ("hello", None));
    let plain = read_body("", b"<b>as it stands</b>").expect("readable");
    assert_eq!((plain.bodies[0].text.as_str(), plain.html), ("<b>as it stands</b>", None));
}

fn in_cpim(mime: &str, body: &[u8]) -> Result<String, Refusal> {
    let head = format!("From: <im:b@p.example>\r\n\r\nContent-Type: text/plain\r\n{mime}\r\n");
    let whole = [head.as_bytes(), body].concat();
    read_body("Content-Type: message/cpim\r\n", &whole).map(|it| it.bodies[0].text.clone())
}

#[test]
fn s_108_a_part_is_shown_as_it_was_before_it_was_encoded() {
    let told = |encoding: &str, body: &[u8]| {
        in_cpim(&format!("Content-Transfer-Encoding: {encoding}\r\n"), body)
    };
    let is = |text: &str| Ok(text.to_owned());
    for plain in ["7bit", "8BIT", "Binary", "7bit (US)"] {
        assert_eq!(told(plain, "grüß=20".as_bytes()), is("grüß=20"), "{plain}");
    }
    for written in ["Z3LDvMOfZQ==", "Z3LDvMOfZQ", "Z3LD\r\n vMOf\nZQ==\r\n"] {
        assert_eq!(told("base64", written.as_bytes()), is("grüße"), "{written}");
        assert_eq!(told("BASE64 (RFC 2045)", written.as_bytes()), is("grüße"), "{written}");
    }
    assert_eq!(told("base64", b""), is(""));
    for (written, text) in [
        ("gr=C3=BC=c3=9fe", "grüße"),
        ("one=\r\n two=  \r\nthree", "one twothree"),
        ("a  \r\nb\t\nc=20", "a\nb\nc "),
        ("1=3D1\r\n", "1=1\n"),
        ("the end=", "the end"),
    ] {
        assert_eq!(told("Quoted-Printable", written.as_bytes()), is(text), "{written}");
    }
    assert!(matches!(told("base64", b"Z3L8"), Err(Refusal::Malformed(_))), "not UTF-8");
    let bytes =
        b"From: <im:b@p.example>\r\n\r\ncontent-type: text/plain;\r\n charset=iso-8859-1\r\n\
        Content-transfer-encoding:\r\n\tbase64\r\n\r\nZ3L8";
    assert_eq!(text_of("Content-Type: message/cpim\r\n", bytes), "grü");
}

#[test]
fn s_108_a_whole_body_may_be_encoded_too() {
    let headers = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n";
    assert_eq!(text_of(headers, b"Z3LDvMOfZQ=="), "grüße");
    let headers = "Content-Type: message/cpim\r\nContent-Transfer-Encoding: quoted-printable\r\n";
    let cpim = b"From: <im:b@p.example>\r\n\r\nContent-Type: text/plain; charset=3Dutf-8\r\n\r\n\
        gr=C3=BC";
    assert_eq!(text_of(headers, cpim), "grü");
}

#[test]
fn s_108_what_cannot_be_decoded_is_refused() {
    let told = |encoding: &str, body: &[u8]| {
        in_cpim(&format!("Content-Transfer-Encoding: {encoding}\r\n"), body)
    };
    for unknown in ["x-uuencode", "gzip", "", "base 64"] {
        assert_eq!(told(unknown, b"x"), Err(Refusal::Encoding(TRANSFER_ENCODINGS)), "{unknown}");
    }
    for (encoding, body) in [
        ("base64", &b"Z3L*"[..]),
        ("base64", b"Z"),
        ("quoted-printable", b"a=C"),
        ("quoted-printable", b"a=XY"),
        ("quoted-printable", b"a= b"),
        ("quoted-printable", b"gr=FC"),
    ] {
        assert!(matches!(told(encoding, body), Err(Refusal::Malformed(_))), "{encoding}");
    }
    assert_eq!(in_cpim("Content-Encoding: gzip\r\n", b"x"), Err(Refusal::MediaType));
    assert!(in_cpim("Content-Encoding: Identity\r\n", b"x").is_ok());
    let multipart =
        b"From: <im:b@p.example>\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\nx\r\n--b--";
    assert_eq!(read_body("Content-Type: message/cpim\r\n", multipart), Err(Refusal::MediaType));
}

#[test]
fn s_109_the_first_sound_language() {
    let lang = |headers: &str| read_body(headers, b"x").expect("readable").bodies[0].lang.clone();
    assert_eq!(lang("Content-Language: de-CH, en\r\n").as_deref(), Some("de-CH"));
    assert_eq!(lang(""), None);
    assert_eq!(lang("Content-Language: <x>\r\n"), None);
}

#[test]
fn s_112_a_thread_that_is_a_call_id_stays_itself() {
    for plain in ["call1", "a-b.c@host.example", "f81d4fae-7dec-11d0"] {
        assert_eq!(call_id_of_thread(plain), plain);
    }
    assert_eq!(call_id_of_thread("two words"), "%-two%20words");
    assert_eq!(call_id_of_thread("a@b@c"), "%-a%40b%40c");
    assert_eq!(call_id_of_thread("50%"), "%-50%25");
    // A Call-ID of somebody else that only looks like one of ours.
    assert_eq!(thread_of_call_id("%-%zz"), "%-%zz");
}

#[test]
fn s_099_s_101_ids_come_back_from_our_branches_and_others_stay_themselves() {
    let unique = "0123456789abcdef";
    assert_eq!(id_of_branch(&branch_of_id(unique, Some("stanza 1"))), "stanza 1");
    assert_eq!(id_of_branch("z9hG4bK-524287-1---abc"), "-524287-1---abc");
    assert_eq!(id_of_branch("z9hG4bK0123456789abcdef-00"), "0123456789abcdef-00");
    let long = branch_of_id(unique, Some(&"x".repeat(500)));
    assert_eq!(long, "z9hG4bK0123456789abcdef.");
}

proptest! {
    #[test]
    fn s_112_every_thread_comes_back_and_every_call_id_is_legal(thread in "\\PC{1,40}") {
        let call_id = call_id_of_thread(&thread);
        prop_assert_eq!(thread_of_call_id(&call_id), thread);
        let line = format!("Call-ID: {call_id}\r\n");
        prop_assert!(call_id.bytes().all(|b| b.is_ascii_graphic()), "{}", line);
        prop_assert!(call_id.split('@').count() <= 2);
    }

    #[test]
    fn s_099_every_short_id_comes_back(id in "\\PC{1,14}") {
        let branch = branch_of_id("0123456789abcdef", Some(&id));
        prop_assert!(branch.starts_with("z9hG4bK"));
        prop_assert!(branch.bytes().all(|b| b.is_ascii_graphic() && !b";,\"=<>".contains(&b)));
        if branch.len() > 24 {
            prop_assert_eq!(id_of_branch(&branch), id);
        }
    }

    #[test]
    fn no_body_makes_reading_fail_badly(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in ["text/plain", "message/cpim", "text/plain;charset=latin1"] {
            for encoding in ["binary", "base64", "quoted-printable"] {
                let encoding = format!("Content-Transfer-Encoding: {encoding}\r\n");
                if let Ok(message) = read_body(&format!("Content-Type: {kind}\r\n{encoding}"), &body) {
                    prop_assert_eq!(message.bodies.len(), 1);
                }
                let _ = in_cpim(&encoding, &body);
            }
        }
    }
}
