//! Whatever comes in whatever order: no panic, one final answer per request, one end per attempt.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const USERS: [&str; 6] = [
    "alice@corp.example",
    "bob@partner.example",
    "carol@other.example",
    "dave@corp.example;gr=x",
    "198.51.100.1:5060",
    "%FF@odd.example",
];
const METHODS: [&str; 7] = ["MESSAGE", "INVITE", "OPTIONS", "SUBSCRIBE", "WINK", "ACK", "CANCEL"];
const ADDRESSES: [&str; 3] = [PEER, HOP, "203.0.113.9:5060"];

#[derive(Clone, Debug)]
enum Step {
    Request { method: usize, from: usize, to: usize, branch: u8, dialog: bool, source: usize },
    Answer { which: usize, code: u16 },
    SendFails { which: usize },
    Attempt { which: usize, instruction: Instruction, from_xmpp: Option<u8> },
    Outcome { which: usize, good: bool },
    Verdict { user: usize, sip: bool },
    Routes { blocked: bool, service: bool, name: bool },
    Resolved { hops: bool },
    Link { up: bool, second: bool },
    Credit,
    Pass { ms: u64 },
}

fn instruction() -> impl Strategy<Value = Instruction> {
    prop_oneof![
        Just(Instruction::Send),
        Just(Instruction::Discover),
        Just(Instruction::Accept),
        Just(Instruction::Home),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        Just(100_u16),
        Just(180),
        Just(200),
        Just(202),
        Just(302),
        Just(404),
        Just(407),
        Just(408),
        Just(482),
        Just(487),
        Just(503),
        Just(603),
    ];
    prop_oneof![
        4 => (0..METHODS.len(), 0..USERS.len(), 0..USERS.len(), 0..6_u8, any::<bool>(), 0..3_usize)
            .prop_map(|(method, from, to, branch, dialog, source)| Step::Request {
                method, from, to, branch, dialog, source
            }),
        4 => (0..8_usize, code).prop_map(|(which, code)| Step::Answer { which, code }),
        1 => (0..8_usize).prop_map(|which| Step::SendFails { which }),
        3 => (0..6_usize, instruction(), proptest::option::of(0..5_u8)).prop_map(
            |(which, instruction, from_xmpp)| Step::Attempt { which, instruction, from_xmpp }
        ),
        3 => (0..6_usize, any::<bool>()).prop_map(|(which, good)| Step::Outcome { which, good }),
        1 => (0..USERS.len(), any::<bool>()).prop_map(|(user, sip)| Step::Verdict { user, sip }),
        1 => (any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(blocked, service, name)| Step::Routes { blocked, service, name }),
        1 => any::<bool>().prop_map(|hops| Step::Resolved { hops }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(up, second)| Step::Link { up, second }),
        1 => Just(Step::Credit),
        3 => (0..40_000_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// The world, and a count of all that it said.
struct Watch {
    world: World,
    requests: Vec<Message>,
    packets: Vec<Packet>,
    /// Final responses other than 2xx to INVITE, by their top Via and CSeq; each a set of bytes.
    finals: BTreeMap<String, Vec<Bytes>>,
    asked: BTreeMap<(PacketId, u32), i32>,
    number: u32,
    /// A branch that comes again after 32 s names another transaction; after an ACK, 5 s are
    /// enough (timer I).
    epoch: (u32, u64),
    sends_failed: bool,
}

impl Watch {
    fn new() -> Self {
        let mut world = World::open();
        world.link(R2, "r2", 5);
        Watch {
            world,
            requests: Vec::new(),
            packets: Vec::new(),
            finals: BTreeMap::new(),
            asked: BTreeMap::new(),
            number: 0,
            epoch: (0, 0),
            sends_failed: false,
        }
    }

    fn look(&mut self) {
        for send in self.world.sent.drain(..) {
            let message = Message::parse(send.bytes.clone()).expect("we send sound messages");
            match message.code() {
                None => self.requests.push(message),
                Some(code) if code >= 200 => {
                    let via = message.top_via().expect("Via");
                    let key = format!(
                        "{} {}",
                        via.as_str(),
                        header(&message, crate::headers::HeaderId::CSeq)
                    );
                    let seen = self.finals.entry(key).or_default();
                    if !seen.contains(&send.bytes) {
                        seen.push(send.bytes);
                    }
                }
                Some(_) => {}
            }
        }
        for (_, frame) in self.world.frames.drain(..) {
            match frame {
                FromCm::Submit { packet, .. } => self.packets.push(packet),
                FromCm::Ended(ended) => {
                    *self.asked.entry((ended.outcome.id, ended.number)).or_default() -= 1;
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Request { method, from, to, branch, dialog, source } => {
                let (method, from, to) = (METHODS[method], USERS[from], USERS[to]);
                let mut text = request(method, from, to, "Content-Type: text/plain\r\n", "hello")
                    .replace("peer1", &format!("peer{branch}-{}", self.epoch.0));
                if dialog {
                    text = text.replace("\r\nCall-ID", ";tag=b1\r\nCall-ID");
                }
                self.world.arrives(ADDRESSES[source], &text);
                if method == "ACK" {
                    self.epoch.1 = self.epoch.1.max(26_000);
                }
            }
            Step::Answer { which, code } => {
                let request = self.requests.iter().rev().nth(which).cloned();
                if let Some(request) = request.filter(|r| r.method() != Some("ACK")) {
                    let more = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
                    self.world.arrives(HOP, &response(&request, code, more));
                }
            }
            Step::SendFails { which } => {
                self.sends_failed = true;
                let token = Token(u64::try_from(which).expect("small") * 3);
                self.world.core.handle_send_failed(token, self.world.now);
                self.world.collect();
            }
            Step::Attempt { which, instruction, from_xmpp } => {
                let packet = match from_xmpp {
                    Some(number) => Some(packet_from_xmpp(number, "bob@partner.example", "hi")),
                    None => self.packets.iter().rev().nth(which).cloned(),
                };
                if let Some(packet) = packet.filter(|_| self.world.core.links.is_up(R1)) {
                    self.number += 1;
                    self.asked.insert((packet.id, self.number), 1);
                    self.world.attempt(&packet, self.number, instruction);
                }
            }
            Step::Outcome { which, good } => {
                if let Some(id) = self.packets.iter().rev().nth(which).map(|packet| packet.id) {
                    let bad = failed(Condition::ItemNotFound, Cause::Remote);
                    self.world.outcome(id, if good { delivered() } else { bad });
                }
            }
            step => self.take_more(step),
        }
    }

    fn take_more(&mut self, step: Step) {
        match step {
            Step::Verdict { user, sip } => {
                let host = USERS[user].rsplit('@').next().unwrap_or_default();
                if let Ok(domain) = Domain::parse(host.split(';').next().unwrap_or_default()) {
                    let lease = secs(60);
                    self.world.frame(R1, FromRouter::Verdict { domain, sip, lease });
                }
            }
            Step::Routes { blocked, service, name } => {
                let mut open = open_route(HOP, Transport::Udp);
                (open.blocked, open.in_service) = (blocked, service);
                if name {
                    open.next_hop = "sbc.example".into();
                }
                self.world.tables(vec![route(".example.other", HOP_2, 1), open]);
            }
            Step::Resolved { hops } => {
                if let Some((token, ..)) = self.world.look_ups.pop_front() {
                    let address = HOP.parse().expect("an address");
                    let hop = Hop { transport: Transport::Tcp, address, flow: None, name: None };
                    let hops = if hops { vec![hop] } else { Vec::new() };
                    self.world.core.handle_resolved(token, hops, self.world.now);
                    self.world.collect();
                }
            }
            Step::Link { up, second } => {
                let (router, name) = if second { (R2, "r2") } else { (R1, "r1") };
                let is_up = self.world.core.links.is_up(router);
                if up && !is_up {
                    self.world.link(router, name, 5);
                } else if !up && is_up {
                    self.world.core.handle_link_down(router, self.world.now);
                    self.world.collect();
                }
            }
            Step::Credit => self.world.frame(R1, FromRouter::Credit(3)),
            Step::Pass { ms } => {
                self.epoch.1 += ms;
                if self.epoch.1 > 30_000 {
                    self.epoch = (self.epoch.0 + 1, 0);
                }
                self.world.pass(Duration::from_millis(ms));
            }
            _ => {}
        }
    }

    fn check(mut self) -> Result<(), TestCaseError> {
        self.world.pass(secs(600));
        self.world.look_ups.clear();
        self.look();
        prop_assert_eq!(self.world.core.load(), Load::default());
        prop_assert!(self.world.core.is_idle());
        for (key, finals) in &self.finals {
            let two_hundreds = finals.iter().all(|bytes| bytes.starts_with(b"SIP/2.0 2"))
                && key.contains("INVITE");
            prop_assert!(finals.len() <= 1 || two_hundreds, "{} has {}", key, finals.len());
        }
        for (attempt, owed) in &self.asked {
            prop_assert!((0..=1).contains(owed), "{:?} ended {} times", attempt, 1 - owed);
        }
        let unanswered = self.world.facts.iter().any(|fact| {
            matches!(fact, Fact::Ended(end) if end.kind == StageKind::Receive && end.status.is_none())
        });
        prop_assert!(!unanswered || self.sends_failed, "a request has no answer");
        let (began, ended) = (stages(&self.world.facts, true), stages(&self.world.facts, false));
        prop_assert_eq!(began, ended);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_order_of_anything_ends_everything_once(steps in proptest::collection::vec(step(), 1..60)) {
        let mut watch = Watch::new();
        for step in steps {
            watch.take(step);
            watch.look();
        }
        watch.check()?;
    }

    #[test]
    fn any_bytes_after_a_message_began_do_not_panic(
        cut in 0..400_usize,
        junk in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut world = World::open();
        let mut bytes = message("alice@corp.example", "bob@partner.example").into_bytes();
        bytes.truncate(cut);
        bytes.extend_from_slice(&junk);
        bytes.extend_from_slice(b"\r\n\r\n");
        world.arrives_by(Transport::Udp, PEER, &bytes);
        world.pass(secs(100));
        prop_assert_eq!(world.core.load(), Load::default());
    }
}
