//! Every timer of RFC 3261 §17, RFC 6026 and RFC 4320, by a clock moved by hand.

mod client;

use super::*;
use crate::command::FlowId;
use crate::headers::HeaderId;
use crate::random::{Random, some_instant};
use openfed_proto::route::Transport;

struct Layer {
    layer: Transactions,
    start: Instant,
    now: Instant,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn text(method: &str, branch: &str, transport: &str) -> Message {
    let text = format!(
        "{method} sip:bob@partner.example SIP/2.0\r\n\
         Via: SIP/2.0/{transport} 192.0.2.10:5060;branch={branch}\r\n\
         From: <sip:alice@corp.example>;tag=a1\r\n\
         To: <sip:bob@partner.example>\r\n\
         Call-ID: c1\r\n\
         CSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("a sound request")
}

fn reply(request: &Message, code: u16) -> Message {
    let mut reply = Message::response_to(request, code, "Words");
    if code > 100 {
        reply.set_to_tag("b1");
    }
    reply
}

fn arrival(transport: Transport) -> Arrival {
    let source = "192.0.2.10:5060".parse().expect("an address");
    Arrival { source, transport, flow: FlowId(1) }
}

fn hop(transport: Transport) -> Hop {
    let address = "192.0.2.20:5060".parse().expect("an address");
    Hop { transport, address, flow: None, name: None }
}

impl Layer {
    fn new() -> Self {
        let start = some_instant();
        let layer = Transactions::new(10, Random::new(|| 3).seed());
        Layer { layer, start, now: start }
    }

    /// Runs until `at` ms after the start; gives the times at which something was sent.
    fn run(&mut self, at: u64) -> Vec<u64> {
        let until = self.start + ms(at);
        let mut times = Vec::new();
        while let Some(next) = self.layer.poll_timeout().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            self.layer.handle_timeout(self.now);
            while self.layer.next_send().is_some() {
                let time = (self.now - self.start).as_millis();
                times.push(u64::try_from(time).expect("small"));
            }
        }
        self.now = until;
        times
    }

    fn receive(&mut self, request: &Message, transport: Transport) -> Arrived {
        self.layer.receive_request(request, &arrival(transport), self.now)
    }

    fn new_server(&mut self, method: &str, transport: Transport) -> (Message, ServerId) {
        let request = text(method, "z9hG4bKx", "UDP");
        match self.receive(&request, transport) {
            Arrived::New(id) => (request, id),
            other => panic!("expected a new transaction, got {other:?}"),
        }
    }

    fn client(&mut self, method: &str, transport: Transport) -> (Message, ClientId) {
        let request = text(method, "z9hG4bKours", "UDP");
        let id = self.layer.request(&request, hop(transport), self.now);
        assert!(self.layer.next_send().is_some());
        (request, id)
    }

    fn sends(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.layer.next_send())
            .map(|send| {
                let text = String::from_utf8_lossy(&send.bytes).into_owned();
                text.split(' ').take(2).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.layer.next_event()).collect()
    }
}

#[test]
fn timers_g_h_and_i_a_failure_of_an_invite_is_repeated_until_the_ack() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("INVITE", Transport::Udp);
    assert!(l.layer.respond(id, &reply(&request, 486), l.now));
    l.sends();
    assert_eq!(
        l.run(31_999),
        [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    );
    l.run(32_000);
    assert_eq!(l.events(), [Event::ServerGone(id)]);

    let mut l = Layer::new();
    let (request, id) = l.new_server("INVITE", Transport::Udp);
    l.layer.respond(id, &reply(&request, 486), l.now);
    l.run(600);
    let ack = text("ACK", "z9hG4bKx", "UDP");
    assert_eq!(l.receive(&ack, Transport::Udp), Arrived::Retransmission);
    assert!(l.run(5_599).is_empty());
    assert_eq!(l.receive(&ack, Transport::Udp), Arrived::Retransmission);
    l.run(5_600);
    assert_eq!(l.layer.open(), (0, 0));
    assert_eq!(l.receive(&ack, Transport::Udp), Arrived::Ack);
}

#[test]
fn over_tcp_a_failure_of_an_invite_is_sent_once_and_the_ack_ends_it() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("INVITE", Transport::Tcp);
    l.layer.respond(id, &reply(&request, 486), l.now);
    assert_eq!(l.sends(), ["SIP/2.0 486"]);
    assert!(l.run(20_000).is_empty());
    assert_eq!(l.receive(&text("ACK", "z9hG4bKx", "UDP"), Transport::Tcp), Arrived::Retransmission);
    assert_eq!(l.layer.open(), (0, 0));
}

#[test]
fn rfc6026_timer_l_an_accepted_invite_absorbs_its_copies_and_lets_2xx_out() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("INVITE", Transport::Udp);
    assert!(l.layer.respond(id, &reply(&request, 200), l.now));
    assert!(l.layer.respond(id, &reply(&request, 200), l.now));
    assert!(!l.layer.respond(id, &reply(&request, 486), l.now));
    assert_eq!(l.sends(), ["SIP/2.0 200", "SIP/2.0 200"]);
    assert_eq!(l.receive(&request, Transport::Udp), Arrived::Retransmission);
    // An ACK with the branch of its INVITE (RFC 2543) still is the dialog's.
    assert_eq!(l.receive(&text("ACK", "z9hG4bKx", "UDP"), Transport::Udp), Arrived::Ack);
    assert!(l.run(31_999).is_empty());
    l.run(32_000);
    assert_eq!(l.events(), [Event::ServerGone(id)]);
}

#[test]
fn timer_j_a_repeated_non_invite_gets_the_same_final_response() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("MESSAGE", Transport::Udp);
    assert!(l.layer.respond(id, &reply(&request, 200), l.now));
    assert!(!l.layer.respond(id, &reply(&request, 486), l.now));
    assert_eq!(l.sends(), ["SIP/2.0 200"]);
    l.run(31_000);
    assert_eq!(l.receive(&request, Transport::Udp), Arrived::Retransmission);
    assert_eq!(l.sends(), ["SIP/2.0 200"]);
    l.run(32_000);
    assert_eq!(l.events(), [Event::ServerGone(id)]);
    assert!(matches!(l.receive(&request, Transport::Udp), Arrived::New(_)));

    let mut l = Layer::new();
    let (request, id) = l.new_server("MESSAGE", Transport::Tcp);
    l.layer.respond(id, &reply(&request, 200), l.now);
    assert_eq!(l.layer.open(), (0, 0));
}

#[test]
fn rfc4320_a_100_is_due_when_the_senders_timer_has_grown_to_t2_and_not_before() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("MESSAGE", Transport::Udp);
    l.run(3_499);
    assert_eq!(l.events(), []);
    l.run(3_500);
    assert_eq!(l.events(), [Event::TryingDue(id)]);
    l.layer.respond(id, &reply(&request, 100), l.now);
    assert_eq!(l.receive(&request, Transport::Udp), Arrived::Retransmission);
    assert_eq!(l.sends(), ["SIP/2.0 100", "SIP/2.0 100"]);
    l.layer.respond(id, &reply(&request, 200), l.now);
    l.run(60_000);
    assert_eq!(l.events(), [Event::ServerGone(id)]);
}

#[test]
fn e06_requests_are_one_transaction_by_branch_sent_by_and_method() {
    let mut l = Layer::new();
    let (request, _) = l.new_server("MESSAGE", Transport::Udp);
    assert_eq!(l.receive(&request, Transport::Udp), Arrived::Retransmission);
    let mut cases = [
        text("INFO", "z9hG4bKx", "UDP"),
        text("MESSAGE", "z9hG4bKy", "UDP"),
        text("MESSAGE", "z9hG4bKx", "UDP"),
    ];
    cases[2].pop_via().expect("Via");
    cases[2].push_via("SIP/2.0/UDP 192.0.2.11:5060;branch=z9hG4bKx");
    for case in &cases {
        assert!(matches!(l.receive(case, Transport::Udp), Arrived::New(_)));
    }
}

#[test]
fn a_peer_of_rfc_2543_is_matched_without_a_branch() {
    let mut l = Layer::new();
    let old = text("INVITE", "1", "UDP");
    let Arrived::New(id) = l.receive(&old, Transport::Udp) else { panic!("new") };
    assert_eq!(l.receive(&old, Transport::Udp), Arrived::Retransmission);
    l.layer.respond(id, &reply(&old, 486), l.now);
    let mut ack = text("ACK", "1", "UDP");
    ack.set(HeaderId::To, "<sip:bob@partner.example>;tag=b1");
    assert_eq!(l.receive(&ack, Transport::Udp), Arrived::Retransmission);
}

#[test]
fn a_cancel_finds_its_invite_and_is_a_transaction_of_its_own() {
    let mut l = Layer::new();
    let (_, invite) = l.new_server("INVITE", Transport::Udp);
    let cancel = text("CANCEL", "z9hG4bKx", "UDP");
    let Arrived::Cancel { own, meant } = l.receive(&cancel, Transport::Udp) else {
        panic!("a CANCEL")
    };
    assert_eq!(meant, Some(invite));
    l.layer.respond(own, &reply(&cancel, 200), l.now);
    assert_eq!(l.receive(&cancel, Transport::Udp), Arrived::Retransmission);
    assert_eq!(l.sends(), ["SIP/2.0 200", "SIP/2.0 200"]);
    let stray = text("CANCEL", "z9hG4bKz", "UDP");
    assert!(matches!(l.receive(&stray, Transport::Udp), Arrived::Cancel { meant: None, .. }));
}

#[test]
fn e04_the_same_request_with_another_branch_is_merged_while_the_first_is_there() {
    let mut l = Layer::new();
    let (request, id) = l.new_server("MESSAGE", Transport::Udp);
    assert!(!l.layer.is_merged(&request, id));
    let again = text("MESSAGE", "z9hG4bKy", "UDP");
    let Arrived::New(second) = l.receive(&again, Transport::Udp) else { panic!("new") };
    assert!(l.layer.is_merged(&again, second));
    l.layer.respond(id, &reply(&request, 200), l.now);
    l.layer.respond(second, &reply(&again, 482), l.now);
    l.run(40_000);
    let (later, third) = l.new_server("MESSAGE", Transport::Udp);
    assert!(!l.layer.is_merged(&later, third));
}

#[test]
fn e08_responses_go_where_rfc_3261_and_3581_say() {
    let source: std::net::SocketAddr = "203.0.113.5:40000".parse().expect("an address");
    let to = |via: &str, transport| {
        let mut request = text("MESSAGE", "z9hG4bKx", "UDP");
        request.pop_via().expect("Via");
        request.push_via(via);
        request.mark_source(source).expect("Via");
        let arrival = Arrival { source, transport, flow: FlowId(5) };
        response_hop(&request, &arrival).address.to_string()
    };
    let udp = "SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKx";
    assert_eq!(to(udp, Transport::Udp), "203.0.113.5:5070");
    assert_eq!(to(&format!("{udp};rport"), Transport::Udp), "203.0.113.5:40000");
    assert_eq!(to(&format!("{udp};maddr=224.0.1.75"), Transport::Udp), "203.0.113.5:5070");
    let bare = "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx";
    assert_eq!(to(bare, Transport::Udp), "203.0.113.5:5060");
    assert_eq!(to(bare, Transport::Tls), "203.0.113.5:5061");
    assert_eq!(to(udp, Transport::Tcp), "203.0.113.5:5070");
}

#[test]
fn a_full_table_opens_no_transaction_but_still_knows_the_old_ones() {
    let mut l = Layer::new();
    for n in 0..10 {
        let request = text("MESSAGE", &format!("z9hG4bK{n}"), "UDP");
        assert!(matches!(l.receive(&request, Transport::Udp), Arrived::New(_)));
    }
    assert_eq!(l.receive(&text("MESSAGE", "z9hG4bKnew", "UDP"), Transport::Udp), Arrived::Full);
    assert_eq!(
        l.receive(&text("MESSAGE", "z9hG4bK1", "UDP"), Transport::Udp),
        Arrived::Retransmission
    );
}

#[test]
fn a_full_table_lets_the_oldest_answered_request_go_for_a_new_one() {
    let mut l = Layer::new();
    let mut answered = Vec::new();
    for n in 0..10 {
        let request = text("MESSAGE", &format!("z9hG4bK{n}"), "UDP");
        let Arrived::New(id) = l.receive(&request, Transport::Udp) else { panic!("new") };
        if n % 2 == 0 {
            l.layer.respond(id, &reply(&request, 200), l.now);
            answered.push((request, id));
        }
    }
    let new = text("MESSAGE", "z9hG4bKnew", "UDP");
    assert!(matches!(l.receive(&new, Transport::Udp), Arrived::New(_)));
    assert_eq!(l.events(), [Event::ServerGone(answered[0].1)]);
    assert_eq!(l.receive(&answered[1].0, Transport::Udp), Arrived::Retransmission);
}

#[test]
fn a_table_at_its_limit_never_moves() {
    let mut layer = Layer::new();
    // Just as many as would fill a table without spare room.
    let limit = 1_700;
    layer.layer = Transactions::new(limit, Random::new(|| 3).seed());
    let room = |layer: &Transactions| {
        [&layer.by_key, &layer.merged, &layer.by_key_of_ours].map(slots::Index::room)
    };
    let (before, mut ours) = (room(&layer.layer), VecDeque::new());
    for number in 0..20 * limit {
        let request = text("MESSAGE", &format!("z9hG4bK{number}"), "UDP").to_bytes();
        let request = String::from_utf8_lossy(&request).replace("c1", &format!("c{number}"));
        let request = Message::parse(Bytes::from(request)).expect("a sound request");
        let Arrived::New(id) = layer.receive(&request, Transport::Udp) else {
            panic!("refused: {number}");
        };
        layer.layer.respond(id, &reply(&request, 200), layer.now);
        ours.push_back(layer.layer.request(&request, hop(Transport::Udp), layer.now));
        if ours.len() > limit / 2 {
            layer.layer.forget(ours.pop_front().expect("there are some"));
        }
        while layer.layer.next_send().is_some() {}
        let grew = room(&layer.layer).iter().zip(&before).any(|(now, before)| now > before);
        assert!(!grew, "after {number}");
    }
    assert_eq!(layer.layer.open(), (limit, limit / 2));
}

#[test]
fn there_are_never_more_than_there_are_places() {
    let layer = Transactions::new(slots::MOST + 1, Random::new(|| 3).seed());
    assert_eq!(layer.limit, slots::MOST);
}
