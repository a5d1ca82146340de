//! Many messages both ways over networks that lose some: none lost, none doubled, none overtaken.

use std::time::Duration;

use openfed_tests::sim::{Plan, Sim};

use super::ledger::{Balance, Ledger};

/// Conversations at a time, each way.
const TALKS: u64 = 20;
/// Messages of each.
const EACH: u64 = 50;

/// 1,000 messages from XMPP to SIP, 1,000 from SIP to XMPP, one each `pause` in every
/// conversation.
fn talk(loss: u64, pause: Duration) -> (Sim, Balance) {
    let mut sim = Sim::new(&Plan { seed: 7 + loss, loss, ..Plan::default() });
    let mut ledger = Ledger::default();
    for n in 0..EACH {
        for who in 0..TALKS {
            let domain = format!("partner{}.example", who % 4);
            let later = pause * u32::try_from(n).expect("few") + Duration::from_millis(who * 13);
            ledger.xmpp_out(&mut sim, later, who, &domain);
            ledger.sip_in(&mut sim, later, who, &domain);
        }
    }
    sim.pass(pause * 50 + Duration::from_secs(120));
    let balance = ledger.check(&mut sim);
    assert_eq!(sim.unfinished(), 0);
    (sim, balance)
}

#[test]
fn without_loss_two_thousand_messages_arrive_at_once_and_in_order() {
    let (mut sim, balance) = talk(0, Duration::from_millis(100));
    assert_eq!(balance, Balance { delivered: 2_000, ..Balance::default() });
    assert_eq!(sim.peer(openfed_tests::sim::NEXT_HOP).retransmissions, 0);
}

#[test]
fn with_five_percent_of_datagrams_lost_nothing_is_lost() {
    let (sim, balance) = talk(50, Duration::from_secs(2));
    assert!(sim.seen.lost > 100, "{:?}", sim.seen);
    assert_eq!(balance, Balance { delivered: 2_000, ..Balance::default() });
}

#[test]
fn with_thirty_percent_of_datagrams_lost_nothing_is_lost_in_silence() {
    let (sim, balance) = talk(300, Duration::from_secs(10));
    assert!(sim.seen.lost > 1_000, "{:?}", sim.seen);
    assert_eq!(balance.delivered + balance.unsure + balance.failed, 2_000);
    assert!(balance.delivered >= 1_990, "{balance:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (sim, balance) = talk(100, Duration::from_secs(2));
        (sim.seen.clone(), balance)
    };
    assert_eq!(run(), run());
}
