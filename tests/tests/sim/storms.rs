//! Links break and come back at random moments under load, and everybody still hears the truth.

use std::time::Duration;

use openfed_proto::route::DomainPattern;
use openfed_tests::sim::chance::Chance;
use openfed_tests::sim::store::Keeps;
use openfed_tests::sim::{Cm, LOCAL, Node, Plan, Seen, Sim, Step, domain};
use xcp_router_core::TableChange;
use xmpp_cm_core::core::ConnectFailure;

use super::ledger::{Balance, Ledger};

const FOREIGN: [&str; 2] = ["far.example", "away.example"];
const MILLISECOND: Duration = Duration::from_millis(1);

/// Eight seconds of load in all directions, links cut every now and then.
fn storm(plan: &Plan) -> (Sim, Balance) {
    storm_with(plan, |_| {})
}

fn storm_with(plan: &Plan, change: impl FnOnce(&mut Sim)) -> (Sim, Balance) {
    let mut sim = Sim::new(plan);
    change(&mut sim);
    let mut chance = Chance::new(plan.seed ^ 0xffff);
    let mut ledger = Ledger::default();
    for n in 0..400 {
        let later = MILLISECOND * (n * 20);
        let who = chance.below(10);
        // Some are known by then, some are new.
        let domain = format!("partner{}.example", chance.below(5) + u64::from(n / 20));
        match chance.below(3) {
            0 => ledger.sip_out(&mut sim, later, who, &domain),
            1 => ledger.sip_in(&mut sim, later, who, &domain),
            _ => ledger.xmpp_out(&mut sim, later, who, &domain),
        }
    }
    // Strangers, whose way back is not there yet, write more than any queue holds; where the home
    // server says no error twice.
    let strangers = if sim.home().astray == 0 { &FOREIGN[..] } else { &[] };
    for domain in strangers {
        sim.add_server(domain);
        for half in 0..2 {
            let later = Duration::from_millis(half * 4_000 + chance.below(4_000));
            ledger.xmpp_in(&mut sim, later, domain, 500 + chance.below(2_500));
        }
    }
    for _ in 0..8 {
        let sips = (0..plan.sip_cms).map(Cm::Sip);
        let cms: Vec<Cm> = sips.chain((0..plan.xmpp_cms).map(Cm::Xmpp)).collect();
        let cm = cms[usize::try_from(chance.below(cms.len() as u64)).expect("few")];
        let router = usize::try_from(chance.below(plan.routers as u64)).expect("few");
        let time = Duration::from_millis(chance.below(1_500));
        sim.at(Duration::from_millis(chance.below(8_000)), Step::Cut(cm, router, time));
    }
    sim.pass(Duration::from_secs(180));
    let balance = ledger.check(&mut sim);
    assert_eq!(Ledger::unanswered(&mut sim), 0, "every request has a final answer");
    assert_eq!(sim.unfinished(), 0);
    (sim, balance)
}

#[test]
fn links_cut_and_restored_lose_nothing_and_double_nothing() {
    for seed in 1..=3 {
        let (sim, balance) = storm(&Plan { seed, ..Plan::default() });
        assert!(sim.seen.cut > 0, "seed {seed}: {:?}", sim.seen);
        assert!(balance.delivered > 200, "seed {seed}: {balance:?}");
    }
}

#[test]
fn with_two_routers_most_goes_on_through_cut_links() {
    for seed in [1, 4, 12] {
        let (_, balance) = storm(&Plan { seed, routers: 2, ..Plan::default() });
        assert!(balance.delivered > 300, "seed {seed}: {balance:?}");
    }
}

/// Refusals come back on the stream of the message or on another one, and between them what means
/// nothing: every message still has the outcome that is its own, and no stream ends for it.
#[test]
fn home_servers_that_answer_on_any_stream_are_understood() {
    for seed in 1..=6 {
        let plan = Plan { seed, routers: 2, ..Plan::default() };
        let (mut sim, balance) = storm_with(&plan, |sim| {
            let home = sim.home();
            home.astray = 500;
            home.strangers.extend(["alice2", "alice5", "alice8"].map(str::to_owned));
        });
        assert!(sim.home().bounces > 5, "seed {seed}");
        assert!(balance.delivered > 200, "seed {seed}: {balance:?}");
        assert!(balance.failed > 20, "seed {seed}: {balance:?}");
        let connects = sim.seen.connects.get(LOCAL).copied().unwrap_or_default();
        assert!(connects <= 1, "seed {seed}: {connects} streams to the home server");
    }
}

/// DNS says anything of any domain and changes its mind; the store goes away, is full, says that it
/// keeps what it does not, and goes back in time.
#[test]
fn whatever_dns_and_the_store_do_each_message_ends_once_and_truly() {
    let faults = [
        Some(ConnectFailure::NotFound),
        Some(ConnectFailure::Unreachable),
        Some(ConnectFailure::Untrusted),
        Some(ConnectFailure::Busy),
        None,
    ];
    let mut seen = Balance::default();
    for seed in 1..=8 {
        let plan = Plan { seed, routers: 2, sip_cms: 2, ..Plan::default() };
        let (_, balance) = storm_with(&plan, |sim| {
            let mut chance = Chance::new(seed ^ 0xd15);
            let mut pick = |below: usize| usize::try_from(chance.below(below as u64)).expect("few");
            for n in 0..60 {
                let name = format!("partner{}.example", pick(25));
                let fault = (pick(3) > 0).then(|| faults[pick(faults.len())]);
                sim.at(MILLISECOND * n * 120, Step::Dns(name, fault));
            }
            for n in 0..12 {
                let step = match pick(5) {
                    0 => Step::Store(false),
                    1 => Step::Keeps(Keeps::Nothing),
                    2 => Step::Keeps(Keeps::NothingAndLies),
                    3 => Step::GoBack(pick(10)),
                    _ => Step::Keeps(Keeps::All),
                };
                let later = MILLISECOND * (n * 600);
                sim.at(later, step);
                sim.at(later + MILLISECOND * 500, Step::Store(true));
            }
        });
        seen.delivered += balance.delivered;
        seen.failed += balance.failed;
    }
    assert!(seen.delivered > 1_000 && seen.failed > 400, "{seen:?}");
}

#[test]
fn the_same_storm_twice_is_the_same() {
    let run = || -> (Seen, Balance) {
        let plan = Plan { seed: 3, routers: 2, ..Plan::default() };
        let (sim, balance) = storm(&plan);
        (sim.seen.clone(), balance)
    };
    assert_eq!(run(), run());
}

/// Some of all directions, evenly spaced.
fn load(sim: &mut Sim, ledger: &mut Ledger, messages: u32) {
    for n in 0..messages {
        let (later, who) = (MILLISECOND * (n * 20), u64::from(n % 7));
        let domain = format!("partner{}.example", n % 5);
        match n % 3 {
            0 => ledger.sip_out(sim, later, who, &domain),
            1 => ledger.sip_in(sim, later, who, &domain),
            _ => ledger.xmpp_out(sim, later, who, &domain),
        }
    }
}

#[test]
fn one_of_two_routers_dies_and_the_other_one_goes_on() {
    let mut sim = Sim::new(&Plan { sip_cms: 2, routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    load(&mut sim, &mut ledger, 300);
    sim.at(Duration::from_millis(2_001), Step::Kill(Node::Router(0)));
    sim.pass(Duration::from_secs(120));
    let balance = ledger.check(&mut sim);
    assert_eq!(balance, Balance { delivered: 300, ..Balance::default() });
    assert_eq!(sim.store.rows.len(), 5);
}

#[test]
fn a_router_that_drains_hands_everything_to_the_other_one() {
    let mut sim = Sim::new(&Plan { sip_cms: 2, routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    load(&mut sim, &mut ledger, 300);
    sim.at(Duration::from_secs(2), Step::Drain(Node::Router(0), Duration::from_secs(10)));
    sim.pass(Duration::from_secs(120));
    let balance = ledger.check(&mut sim);
    assert_eq!(balance.unsure, 0);
    assert!(balance.delivered >= 299, "{balance:?}");
}

#[test]
fn connection_managers_that_drain_end_what_they_have_and_refuse_what_is_new() {
    for node in [Node::Cm(Cm::Sip(0)), Node::Cm(Cm::Xmpp(0)), Node::Router(0)] {
        let mut sim = Sim::new(&Plan::default());
        let mut ledger = Ledger::default();
        load(&mut sim, &mut ledger, 300);
        sim.at(Duration::from_millis(3_001), Step::Drain(node, Duration::from_secs(10)));
        sim.pass(Duration::from_secs(120));
        let balance = ledger.check(&mut sim);
        assert_eq!(balance.unsure, 0, "{node:?}: {balance:?}");
        assert!(balance.delivered >= 150 && balance.failed > 0, "{node:?}: {balance:?}");
        assert_eq!(sim.unfinished(), 0);
    }
}

#[test]
fn a_store_that_goes_down_and_comes_back_stops_discoveries_only() {
    let mut sim = Sim::new(&Plan { routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    let (known, new) = ("known.example", "new.example");
    ledger.sip_out(&mut sim, Duration::ZERO, 0, known);
    sim.at(Duration::from_secs(1), Step::Store(false));
    for n in 2..6 {
        ledger.sip_out(&mut sim, Duration::from_secs(n), 1, known);
        ledger.xmpp_out(&mut sim, Duration::from_secs(n), 1, known);
    }
    ledger.sip_in(&mut sim, Duration::from_secs(4), 1, new);
    sim.at(Duration::from_secs(8), Step::Store(true));
    ledger.sip_in(&mut sim, Duration::from_secs(9), 1, new);
    sim.pass(Duration::from_secs(60));
    let balance = ledger.check(&mut sim);
    assert_eq!(balance, Balance { delivered: 10, failed: 1, unsure: 0 });
    assert_eq!(sim.store.rows.len(), 2);
}

/// An operator blocks a domain and frees it; the store goes back to when it was blocked, and once more
/// to before that. What it has is what holds, on all nodes, the whole time.
#[test]
fn what_a_store_that_goes_back_has_is_what_holds() {
    let mut sim = Sim::new(&Plan { sip_cms: 2, xmpp_cms: 2, routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    let evil = vec![DomainPattern::Exact(domain("evil.example"))];
    sim.at(Duration::from_secs(1), Step::Change(TableChange::Blocked(evil)));
    sim.at(Duration::from_secs(2), Step::Change(TableChange::Blocked(Vec::new())));
    // To the row that the first message made, and the block.
    sim.at(Duration::from_secs(3), Step::GoBack(2));
    sim.at(Duration::from_secs(4), Step::GoBack(0));
    let mut expected = Balance::default();
    for (second, delivered) in [(0, true), (1, false), (2, true), (3, false), (4, true)] {
        for n in 0..4 {
            // 100 ms after each change, and later.
            let later = Duration::from_secs(second) + MILLISECOND * (100 + n * 200);
            ledger.sip_out(&mut sim, later, u64::from(n), "evil.example");
            ledger.sip_in(&mut sim, later, u64::from(n), "evil.example");
            ledger.xmpp_out(&mut sim, later, u64::from(n), "evil.example");
        }
        let told = if delivered { &mut expected.delivered } else { &mut expected.failed };
        *told += 12;
    }
    sim.pass(Duration::from_secs(60));
    assert_eq!(ledger.check(&mut sim), expected);
}

#[test]
fn a_store_that_goes_down_during_a_discovery_costs_the_row_and_not_the_message() {
    let mut sim = Sim::new(&Plan::default());
    let mut ledger = Ledger::default();
    ledger.sip_out(&mut sim, Duration::ZERO, 1, "partner.example");
    sim.at(MILLISECOND * 5, Step::Store(false));
    sim.pass(Duration::from_secs(60));
    assert_eq!(ledger.check(&mut sim), Balance { delivered: 1, ..Balance::default() });
    assert!(sim.store.rows.is_empty());
}

#[test]
fn two_of_each_take_what_goes_out_as_one_of_each_does() {
    let mut sim = Sim::new(&Plan { sip_cms: 2, xmpp_cms: 2, routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    for n in 0..300 {
        let (later, who) = (MILLISECOND * (n * 20), u64::from(n % 7));
        let domain = format!("partner{}.example", n % 5);
        match n % 2 {
            0 => ledger.sip_out(&mut sim, later, who, &domain),
            _ => ledger.xmpp_out(&mut sim, later, who, &domain),
        }
    }
    sim.pass(Duration::from_secs(120));
    let balance = ledger.check(&mut sim);
    assert_eq!(balance, Balance { delivered: 300, ..Balance::default() });
    assert_eq!(sim.store.rows.len(), 5);
    assert_eq!(sim.unfinished(), 0);
}

/// A home server without XEP-0288 answers a fence over the stream that it opened itself, which may
/// lead to the other xmpp-cm: then the sender is told of a time-out, as nobody could know better.
#[test]
fn two_of_each_lose_double_and_reorder_nothing() {
    let mut sim = Sim::new(&Plan { sip_cms: 2, xmpp_cms: 2, routers: 2, ..Plan::default() });
    let mut ledger = Ledger::default();
    load(&mut sim, &mut ledger, 300);
    sim.pass(Duration::from_secs(120));
    let balance = ledger.check(&mut sim);
    assert_eq!((balance.delivered + balance.unsure, balance.failed), (300, 0), "{balance:?}");
    assert_eq!(Ledger::unanswered(&mut sim), 0);
    assert_eq!(sim.unfinished(), 0);
}

/// More than the queues hold, at once, from a domain to which no way is up: all of it arrives or is
/// answered.
fn burst(many: u64, prepare: impl FnOnce(&mut Sim)) -> (Sim, Balance) {
    let mut sim = Sim::new(&Plan::default());
    let mut ledger = Ledger::default();
    let far = FOREIGN[0];
    sim.add_server(far);
    ledger.xmpp_in(&mut sim, Duration::ZERO, far, many);
    prepare(&mut sim);
    sim.pass(Duration::from_secs(180));
    let balance = ledger.check(&mut sim);
    assert_eq!(sim.unfinished(), 0);
    (sim, balance)
}

#[test]
fn a_burst_beyond_every_queue_is_delivered_or_answered() {
    for many in [3_000, 20_000] {
        let (_, balance) = burst(many, |_| {});
        let all = usize::try_from(many).expect("few");
        assert_eq!((balance.delivered + balance.failed, balance.unsure), (all, 0), "{balance:?}");
        assert!(balance.delivered >= 1_000, "{balance:?}");
    }
}

#[test]
fn a_burst_while_nobody_is_at_home_is_answered() {
    // More answers than may wait: the server would not be asked whether it is us who calls back.
    let (_, balance) = burst(20_000, |sim| sim.lose_home(ConnectFailure::Unreachable));
    assert_eq!(balance, Balance { failed: 20_000, ..Balance::default() });
}

#[test]
fn a_burst_of_a_server_that_cannot_be_reached_for_a_while_is_answered_when_it_can() {
    let (mut sim, mut ledger) = (Sim::new(&Plan::default()), Ledger::default());
    let far = FOREIGN[0];
    sim.add_server(far);
    ledger.xmpp_in(&mut sim, Duration::ZERO, far, 1);
    sim.pass(Duration::from_secs(1));
    // It has proven itself, and now its port is closed for more than twice five seconds.
    sim.lose_way_to(far, ConnectFailure::Unreachable);
    sim.lose_home(ConnectFailure::Unreachable);
    sim.pass(Duration::from_secs(1));
    ledger.xmpp_in(&mut sim, Duration::ZERO, far, 5_000);
    sim.pass(Duration::from_secs(12));
    assert!(sim.seen.held > 0, "it is read no faster than it can be answered");
    assert!(sim.server(far).errors.is_empty());
    sim.dns.remove(far);
    sim.pass(Duration::from_secs(180));
    let balance = ledger.check(&mut sim);
    assert_eq!(balance, Balance { delivered: 1, failed: 5_000, ..Balance::default() });
    assert_eq!(sim.unfinished(), 0);
}
