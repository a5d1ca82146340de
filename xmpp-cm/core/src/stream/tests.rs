use super::*;
use std::time::Instant;

#[test]
fn an_initiator_begins_with_its_header() {
    let domain = |name: &str| Domain::parse(name).unwrap();
    let config = InitiatorConfig {
        local: domain("a.example"),
        remote: domain("b.example"),
        settings: Settings::default(),
    };
    #[allow(clippy::disallowed_methods)]
    let mut stream = Stream::initiator(config, Instant::now());
    assert!(matches!(stream.next_event(), Some(Event::Transmit(_))));
    assert_eq!(stream.next_event(), None);
}
