//! Guesses made from faults are made again: XMPP is asked anew about domains without a proof.

use std::time::Duration;

use openfed_proto::finding::Finding;
use openfed_proto::route::Origin;
use openfed_tests::sim::chance::Chance;
use openfed_tests::sim::sip_peer::Note;
use openfed_tests::sim::{LOCAL, NEXT_HOP, Node, OFFICE, Plan, Sim, Step, domain};
use xcp_router_core::TableChange;
use xmpp_cm_core::core::ConnectFailure;

const HOUR: Duration = Duration::from_secs(3_600);

/// What a domain is, first and in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// DNS proves it: a SIP domain.
    Proven,
    /// A fault, behind which there is an XMPP server.
    Faulty,
    /// The same, but an operator has confirmed the row.
    Confirmed,
    /// A fault, behind which there is nothing.
    Nothing,
}

const FATES: [(&str, Fate); 4] = [
    ("proven.example", Fate::Proven),
    ("faulty.example", Fate::Faulty),
    ("confirmed.example", Fate::Confirmed),
    ("nothing.example", Fate::Nothing),
];

fn fault(chance: &mut Chance) -> Option<ConnectFailure> {
    let faults = [
        Some(ConnectFailure::Unreachable),
        Some(ConnectFailure::Refused),
        Some(ConnectFailure::Unresolved),
        Some(ConnectFailure::Deserted),
        None,
    ];
    faults[usize::try_from(chance.next() % 5).expect("a small number")]
}

fn write(sim: &mut Sim, name: &str) {
    let to = format!("bob@{name}");
    sim.step(Step::Sip(OFFICE, Note::new(&format!("office@{LOCAL}"), &to, name)));
    sim.pass(Duration::from_secs(40));
    let answer = sim.peer(OFFICE).answers().pop().expect("a request");
    assert_eq!(answer.finals, [200], "{name}");
}

fn connects(sim: &Sim, name: &str) -> usize {
    sim.seen.connects.get(name).copied().unwrap_or(0)
}

/// First contact while everything fails that can; each domain has a row.
fn discovered(seed: u64) -> (Sim, Chance) {
    let plan = Plan { seed, routers: 2, xmpp_cms: 2, ..Plan::default() };
    let (mut sim, mut chance) = (Sim::new(&plan), Chance::new(seed));
    for (name, fate) in FATES {
        if fate != Fate::Proven {
            sim.dns.insert(name.to_owned(), fault(&mut chance));
        }
        write(&mut sim, name);
        let ground = sim.store.grounds.get(&domain(name)).copied().expect("a ground");
        assert_eq!(ground.finding.is_proof(), fate == Fate::Proven, "{name}: {ground:?}");
    }
    sim.step(Step::Change(TableChange::Row(domain("confirmed.example"), Origin::Configured)));
    (sim, chance)
}

#[test]
fn rows_without_a_proof_go_when_xmpp_answers_and_no_others() {
    for seed in 1..=10 {
        let (mut sim, mut chance) = discovered(seed);
        let asked = FATES.map(|(name, _)| connects(&sim, name));
        // Hours in which nothing mends, and not everybody lives.
        let hours = 1 + u32::try_from(chance.next() % 12).expect("a small number");
        sim.pass(hours * HOUR);
        let mut busy = vec![Step::Store(false)];
        if chance.next().is_multiple_of(2) {
            busy.push(Step::Kill(Node::Router(1)));
        }
        busy.into_iter().for_each(|step| sim.step(step));
        sim.pass(HOUR);
        sim.step(Step::Store(true));
        sim.pass(HOUR);
        assert_eq!(sim.store.rows.len(), 4, "seed {seed}: nothing has answered yet");
        let again = connects(&sim, "faulty.example") - asked[1];
        assert!(
            (2..=12).contains(&again),
            "seed {seed}: asked {again} times in {hours} hours and 2"
        );

        // Everything mends, and within a day all is as it should have been.
        for (name, fate) in FATES {
            sim.dns.remove(name);
            if matches!(fate, Fate::Faulty | Fate::Confirmed) {
                sim.add_server(name);
            }
        }
        sim.pass(25 * HOUR);
        let rows = &sim.store.rows;
        assert!(!rows.contains_key(&domain("faulty.example")), "seed {seed}");
        assert_eq!(sim.store.withdrawn, [domain("faulty.example")], "seed {seed}: once");
        assert_eq!(rows.get(&domain("confirmed.example")), Some(&Origin::Configured));
        assert_eq!(rows.get(&domain("proven.example")), Some(&Origin::Discovered));
        assert_eq!(rows.get(&domain("nothing.example")), Some(&Origin::Discovered));
        let nothing = sim.store.grounds[&domain("nothing.example")];
        assert_eq!((nothing.finding, nothing.due), (Finding::Absent, 0), "proven by now");
        for name in ["proven.example", "confirmed.example"] {
            let at = FATES.iter().position(|(it, _)| *it == name).expect("a domain");
            assert_eq!(connects(&sim, name), asked[at], "seed {seed}: nobody asked about {name}");
        }

        // Messages go there.
        let by_sip = sim.peer(NEXT_HOP).got.len();
        for (name, _) in FATES {
            write(&mut sim, name);
        }
        assert_eq!(sim.server("faulty.example").got.len(), 1, "seed {seed}");
        assert_eq!(sim.peer(NEXT_HOP).got.len(), by_sip + 3, "seed {seed}");
        assert_eq!(sim.unfinished(), 0, "seed {seed}");
    }
}

#[test]
fn one_of_many_routers_asks() {
    let plan = Plan { routers: 4, ..Plan::default() };
    let mut sim = Sim::new(&plan);
    sim.dns.insert("faulty.example".to_owned(), Some(ConnectFailure::Refused));
    write(&mut sim, "faulty.example");
    let first = connects(&sim, "faulty.example");
    // After 10, 30, 70, 150 and 310 minutes.
    sim.pass(6 * HOUR);
    assert_eq!(connects(&sim, "faulty.example") - first, 5);
}
