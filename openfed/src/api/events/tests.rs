use super::Lines;

#[test]
fn events_are_whole_wherever_the_network_cuts_them() {
    let stream = ": hello\n\nevent: flow\ndata: {\"a\":\ndata: 1}\n\nid: 7\r\ndata:{}\r\n\r\n";
    for cut in 0..stream.len() {
        let mut lines = Lines::default();
        let mut events = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            lines.received.extend_from_slice(part.as_bytes());
            events.extend(std::iter::from_fn(|| lines.next_event()));
        }
        assert_eq!(events, ["{\"a\":\n1}", "{}"], "cut at {cut}");
    }
}
