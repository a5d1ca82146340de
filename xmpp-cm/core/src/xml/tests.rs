use super::*;

#[test]
fn a_stanza_is_written_without_xmlns() {
    let stanza = from_bytes(
        b"<message to='a@b.example'><body>hi &amp; ho</body></message>",
        Limits::default(),
    )
    .unwrap();
    assert!(stanza.is("message", ns::CLIENT));
    assert_eq!(
        &to_bytes(&stanza)[..],
        b"<message to='a@b.example'><body>hi &amp; ho</body></message>"
    );
}
