//! Whatever happens in whatever order: no panic, and everything that came in ends once.

use std::collections::BTreeMap;
use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Cause, Failure, Outcome, PacketId, Protocol};
use proptest::prelude::*;

use super::world::{ROUTER, World, hello};
use crate::core::{ConnectFailure, Fact};

const NAMES: [&str; 3] = ["one.example", "two.example", "three.example"];

#[derive(Clone, Debug)]
enum Step {
    HomeSays(usize, u8),
    ForeignSays(usize),
    Attempt(usize, u8),
    Outcome(bool),
    Link(bool),
    Break(usize, bool),
    HangUp(usize),
    Crash,
    Knows(usize),
    Forget,
    Garbage(Vec<u8>),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => (name.clone(), any::<u8>()).prop_map(|(name, kind)| Step::HomeSays(name, kind)),
        2 => name.clone().prop_map(Step::ForeignSays),
        4 => (name.clone(), any::<u8>()).prop_map(|(name, kind)| Step::Attempt(name, kind)),
        4 => any::<bool>().prop_map(Step::Outcome),
        1 => any::<bool>().prop_map(Step::Link),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, it)| Step::Break(name, it)),
        1 => name.clone().prop_map(Step::HangUp),
        1 => Just(Step::Crash),
        1 => name.prop_map(Step::Knows),
        1 => Just(Step::Forget),
        1 => proptest::collection::vec(any::<u8>(), 0..64).prop_map(Step::Garbage),
        2 => (0_u16..20_000).prop_map(Step::Wait),
    ]
}

#[derive(Default)]
struct Ledger {
    open: Vec<PacketId>,
    submitted: BTreeMap<PacketId, usize>,
    asked: BTreeMap<PacketId, usize>,
    ended: BTreeMap<PacketId, usize>,
}

fn take(world: &mut World, ledger: &mut Ledger) {
    for (_, frame) in std::mem::take(&mut world.frames) {
        match frame {
            FromCm::Submit { packet, .. } => {
                ledger.open.push(packet.id);
                *ledger.submitted.entry(packet.id).or_default() += 1;
            }
            FromCm::Ended(ended) => *ledger.ended.entry(ended.outcome.id).or_default() += 1,
            _ => {}
        }
    }
    for server in world.servers.values_mut() {
        server.got.clear();
    }
}

fn play(world: &mut World, ledger: &mut Ledger, step: Step) {
    let now = world.now;
    match step {
        Step::HomeSays(name, kind) => {
            let users = format!("from='a@corp.example/r' to='b@{}' id='x'", NAMES[name]);
            world.home_says(&match kind % 5 {
                0 => format!("<presence {users}></presence>"),
                1 => format!("<iq type='get' {users}><ping xmlns='urn:xmpp:ping'/></iq>"),
                2 => format!("<message type='error' {users}></message>"),
                _ => format!("<message {users}><body>x</body></message>"),
            });
        }
        Step::ForeignSays(name) => {
            let users = format!("from='b@{}' to='a@corp.example'", NAMES[name]);
            world.server(NAMES[name]).say(&format!("<message {users}><body>x</body></message>"));
            world.run();
        }
        Step::Attempt(name, kind) => {
            let (ours, theirs) = ("a@corp.example", format!("b@{}", NAMES[name]));
            let (packet, instruction) = match kind % 3 {
                0 => (world.sip_message(ours, &theirs, "x"), Instruction::Reach),
                1 => (world.sip_message(&theirs, ours, "x"), Instruction::Home),
                _ => (world.sip_message(&theirs, ours, "x"), Instruction::Probe),
            };
            *ledger.asked.entry(packet.id).or_default() += 1;
            world.attempt(&packet, instruction);
        }
        Step::Outcome(good) => {
            let Some(id) = ledger.open.pop() else { return };
            let failure = Failure::new(Condition::ItemNotFound, Cause::Remote);
            let outcome = match good {
                true => Outcome::delivered(id, Protocol::Sip, 200),
                false => Outcome::failed(id, failure),
            };
            world.frame(FromRouter::Outcome(outcome));
        }
        Step::Link(true) => world.core.handle_link_up(ROUTER, &hello("r1"), now),
        Step::Link(false) => world.core.handle_link_down(ROUTER, now),
        Step::Break(name, true) => world.break_name(NAMES[name], ConnectFailure::Unreachable),
        Step::Break(name, false) => drop(world.broken.remove(NAMES[name]).is_some()),
        Step::HangUp(name) => world.server(NAMES[name]).hang_up(now),
        Step::Crash => {
            let mut home = world.servers.remove("corp.example").unwrap();
            home.crash(&mut world.core, now);
            world.servers.insert("corp.example", home);
        }
        Step::Knows(name) => world.knows_sip(NAMES[name]),
        Step::Forget => world.frame(FromRouter::Invalidate(None)),
        Step::Garbage(bytes) => {
            let peer = "192.0.2.7:7".parse().unwrap();
            if let Some(conn) = world.core.handle_accepted(peer, now) {
                world.core.handle_bytes(conn, &bytes, now);
            }
        }
        Step::Wait(millis) => world.wait(Duration::from_millis(millis.into())),
    }
    world.run();
    take(world, ledger);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_that_came_in_ends_exactly_once(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        NAMES.iter().for_each(|name| world.add(name));
        let mut ledger = Ledger::default();
        let unbroken = !steps.iter().any(|step| matches!(step, Step::Link(_)));
        for step in steps {
            play(&mut world, &mut ledger, step);
        }
        // The time of an answer, the pause before its last try, and that try.
        world.wait(Duration::from_secs(60 + 5 + 8));
        take(&mut world, &mut ledger);
        prop_assert!(world.core.is_idle());
        prop_assert!(world.core.fences.is_empty());
        for id in ledger.submitted.keys() {
            let told = world.facts.iter().filter(|fact| {
                matches!(fact, Fact::Ended { id: ended, .. } if ended == id)
            });
            prop_assert_eq!(told.count(), 1);
        }
        for (id, asked) in &ledger.asked {
            let ended = ledger.ended.get(id).copied().unwrap_or_default();
            prop_assert!(ended <= *asked);
            prop_assert!(!unbroken || ended == *asked);
        }
        world.wait(Duration::from_secs(700));
        take(&mut world, &mut ledger);
        prop_assert!(world.core.conns.is_empty(), "{:?}", world.core.conns);
        prop_assert_eq!(world.core.strangers, 0);
        prop_assert!(world.core.verifications.is_empty());
        world.typed.clear();
    }
}
