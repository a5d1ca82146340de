//! Any order of events: every packet gets exactly one ending, and nothing stays.

use std::collections::BTreeMap;
use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::finding::{Finding, Ground};
use openfed_proto::link::{Attempt, FromCm, FromRouter};
use openfed_proto::packet::{Cause, Packet, PacketId, Protocol, Role};
use openfed_proto::route::{Origin, StaticRoute};
use proptest::prelude::*;
use xcp_router_core::{InsertResult, LinkId, StoreFact, TableChange};

use crate::scene::*;

#[derive(Clone, Debug)]
enum Happening {
    Submit { way: u8, domain: u8, accepted: bool },
    SubmitAgain(prop::sample::Index),
    End(prop::sample::Index, u8),
    Inserted(prop::sample::Index, bool),
    Unlink(u8),
    Link(u8, bool),
    Leaving(u8),
    Credit(u8),
    Routes(bool),
    Block(bool),
    Row(u8, bool),
    Store(bool),
    Due(u8),
    Pass(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        6 => (0..4u8, 0..3u8, any::<bool>())
            .prop_map(|(way, domain, accepted)| Submit { way, domain, accepted }),
        1 => any::<prop::sample::Index>().prop_map(SubmitAgain),
        6 => (any::<prop::sample::Index>(), 0..8u8).prop_map(|(index, how)| End(index, how)),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, ok)| Inserted(i, ok)),
        1 => (0..4u8).prop_map(Unlink),
        2 => (0..4u8, any::<bool>()).prop_map(|(node, restarted)| Link(node, restarted)),
        1 => (0..4u8).prop_map(Leaving),
        1 => (0..4u8).prop_map(Credit),
        1 => any::<bool>().prop_map(Routes),
        1 => any::<bool>().prop_map(Block),
        1 => (0..3u8, any::<bool>()).prop_map(|(domain, there)| Row(domain, there)),
        1 => any::<bool>().prop_map(Store),
        1 => (0..6u8).prop_map(Due),
        1 => (0..12_000u16).prop_map(Pass),
    ]
}

const NODES: [(Role, &str); 4] = [
    (Role::SipCm, "sip-1"),
    (Role::SipCm, "sip-2"),
    (Role::XmppCm, "xmpp-1"),
    (Role::XmppCm, "xmpp-2"),
];

struct Play {
    scene: Scene,
    links: [Option<LinkId>; 4],
    epochs: [u64; 4],
    attempts: Vec<(LinkId, Attempt)>,
    inserts: Vec<PacketId>,
    packets: Vec<Packet>,
    ends: BTreeMap<PacketId, u32>,
    serial: u32,
    version: u64,
}

impl Play {
    fn new() -> Self {
        let mut scene = Scene::bare(|config| config.waiting_per_domain = 4);
        scene.snapshot(vec![open_route()], &[]);
        let links = NODES.map(|(role, name)| Some(scene.link_as(role, name, 1, 8)));
        Play {
            scene,
            links,
            epochs: [1; 4],
            attempts: Vec::new(),
            inserts: Vec::new(),
            packets: Vec::new(),
            ends: BTreeMap::new(),
            serial: 0,
            version: 100,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Submit { way, domain, accepted } => self.submit(way, domain, accepted),
            Happening::SubmitAgain(index) => {
                let Some(packet) = get(&self.packets, index) else { return };
                let link = self.links[usize::from(packet.id.0[15])];
                if let Some(link) = link.filter(|_| self.ends[&packet.id] == 0) {
                    self.scene.submit(link, packet);
                }
            }
            Happening::End(index, how) => {
                let Some((link, attempt)) = get(&self.attempts, index) else { return };
                self.scene.end(link, &attempt, ending(how));
            }
            Happening::Inserted(index, ok) => {
                let Some(id) = get(&self.inserts, index) else { return };
                self.version += 1;
                let present = InsertResult::Present { version: self.version };
                let result = if ok { present } else { InsertResult::Unavailable };
                self.scene.router.handle_inserted(id, result, self.scene.now);
                self.scene.collect();
            }
            Happening::Unlink(node) => {
                if let Some(link) = self.links[usize::from(node)].take() {
                    self.scene.unlink(link);
                }
            }
            Happening::Link(node, restarted) => {
                let node = usize::from(node);
                self.epochs[node] += u64::from(restarted);
                let (role, name) = NODES[node];
                let link = self.scene.link_as(role, name, self.epochs[node], 8);
                self.links[node] = Some(link);
            }
            Happening::Leaving(node) => self.say(node, FromCm::Leaving(Duration::from_secs(5))),
            Happening::Credit(node) => self.say(node, FromCm::Credit(4)),
            other => self.world(other),
        }
        self.harvest();
    }

    fn world(&mut self, happening: Happening) {
        let domain_of = |number: u8| domain(&format!("d{number}.example"));
        let change = match happening {
            Happening::Routes(true) => TableChange::Routes(vec![open_route()]),
            Happening::Routes(false) => TableChange::Routes(vec![StaticRoute::predefined()]),
            Happening::Block(true) => TableChange::Blocked(vec!["d0.example".parse().unwrap()]),
            Happening::Block(false) => TableChange::Blocked(Vec::new()),
            Happening::Row(number, true) => TableChange::Row(domain_of(number), Origin::Discovered),
            Happening::Row(number, false) => TableChange::RowRemoved(domain_of(number)),
            Happening::Store(true) => return self.scene.store(StoreFact::Up),
            Happening::Store(false) => return self.scene.store(StoreFact::Down),
            Happening::Due(number) => {
                let ground = Ground::new(Finding::Silent, 1);
                let due = vec![(domain_of(number), ground), (domain_of(number + 1), ground)];
                self.scene.router.handle_due(due, self.scene.now);
                return self.scene.collect();
            }
            Happening::Pass(millis) => {
                return self.scene.pass(Duration::from_millis(u64::from(millis)));
            }
            _ => return,
        };
        self.version += 1;
        let changes = vec![change];
        self.scene.store(StoreFact::Changes { version: self.version, changes });
    }

    fn submit(&mut self, way: u8, number: u8, accepted: bool) {
        let name = format!("d{number}.example");
        let (node, packet) = match way {
            0 => (2, self.scene.xmpp_out(&name)),
            1 => (0, self.scene.sip_out(&name)),
            2 => (1, self.scene.sip_in(&name)),
            _ => {
                let iq = self.scene.xmpp_out(&name);
                (3, opaque(iq, "iq"))
            }
        };
        let Some(link) = self.links[node] else { return };
        self.serial += 1;
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.serial.to_be_bytes());
        id[15] = u8::try_from(node).unwrap();
        let packet = Packet { id: PacketId(id), ..packet };
        self.packets.push(packet.clone());
        self.ends.insert(packet.id, 0);
        let accepted_in = self.packets.first().filter(|_| accepted && way == 2).map(|p| p.id);
        let again = self.serial.is_multiple_of(3);
        let kept = self.serial.is_multiple_of(2);
        self.scene.frame(link, FromCm::Submit { packet, accepted_in, again, kept });
    }

    fn say(&mut self, node: u8, frame: FromCm) {
        if let Some(link) = self.links[usize::from(node)] {
            self.scene.frame(link, frame);
        }
    }

    fn harvest(&mut self) {
        while !self.scene.acts().is_empty() {
            match self.scene.act() {
                Act::Attempt { link, attempt, .. } => self.attempts.push((link, attempt)),
                Act::Insert { id, .. } => self.inserts.push(id),
                // Every second question is another router's.
                Act::Claim { id, .. } => {
                    let ours = id.0[0].is_multiple_of(2);
                    self.scene.router.handle_claimed(id, ours, self.scene.now);
                    self.scene.collect();
                }
                Act::Finished(finished) => {
                    *self.ends.get_mut(&finished.outcome.id).unwrap() += 1;
                }
                // Every second time it is silent; the packet's id says what it has.
                Act::Frame { link, frame: FromRouter::Recall { packet, instruction } } => {
                    if packet.0[3].is_multiple_of(2) {
                        let known = packet.0[3].is_multiple_of(4);
                        let frame = FromCm::Recalled { packet, instruction, known };
                        self.scene.frame(link, frame);
                    }
                }
                Act::Frame { .. }
                | Act::Refused(_)
                | Act::Settle { .. }
                | Act::Close(_)
                | Act::Streams { .. }
                | Act::Tried { .. } => {}
            }
        }
    }
}

fn get<T: Clone>(list: &[T], index: prop::sample::Index) -> Option<T> {
    (!list.is_empty()).then(|| index.get(list).clone())
}

fn ending(how: u8) -> openfed_proto::packet::Ending {
    match how {
        0..3 => delivered(Protocol::Sip),
        3 => not_found(),
        4 => unreachable(),
        5 => failed(Condition::ItemNotFound, Cause::Remote),
        6 => failed(Condition::ResourceConstraint, Cause::Leaving),
        _ => failed(Condition::ResourceConstraint, Cause::Busy),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_ends_exactly_once(story in prop::collection::vec(happening(), 1..80)) {
        let mut play = Play::new();
        for happening in story {
            play.happen(happening);
        }
        // Then nothing more happens, and time runs out for whatever is left.
        play.scene.pass(Duration::from_secs(40));
        play.harvest();
        for (id, ends) in &play.ends {
            prop_assert_eq!(*ends, 1, "packet {} ended {} times", id, ends);
        }
        prop_assert_eq!(play.scene.router.in_flight(), 0);
        play.scene.pass(Duration::from_secs(700));
        play.harvest();
        prop_assert_eq!(play.scene.router.remembered(), 0);
        // Without a store, nobody is asked again.
        play.scene.store(StoreFact::Down);
        prop_assert_eq!(play.scene.router.poll_timeout(), None);
    }
}
