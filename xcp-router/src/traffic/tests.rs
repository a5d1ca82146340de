use std::collections::BTreeMap;

use openfed_proto::condition::Condition;
use openfed_proto::packet::{Conversation, Failure, Outcome, PacketId, TraceContext};

use super::*;

const MINUTE: u64 = 60_000_000;

fn finished(domain: &str, ending: Ending, decision: Decision, ended_us: u64) -> Finished {
    let id = PacketId([1; 16]);
    Finished {
        link: None,
        outcome: Outcome { id, ending, hops: Vec::new() },
        domain: Domain::parse(domain).unwrap(),
        direction: Direction::Outbound,
        decision,
        conversation: Conversation(1),
        trace: TraceContext::default(),
        attempts: 1,
        started_us: ended_us,
        ended_us,
        show: true,
    }
}

fn by(protocol: Protocol) -> Ending {
    Ending::Delivered { by: protocol, status: 200 }
}

fn failed(cause: Cause) -> Ending {
    Ending::Failed(Failure::new(Condition::RemoteServerTimeout, cause))
}

fn counted(counts: Counts) -> BTreeMap<String, u64> {
    let named = Way::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    named.map(|(way, count)| (format!("{way:?}"), count)).collect()
}

fn expected(ways: &[(Way, u64)]) -> BTreeMap<String, u64> {
    ways.iter().map(|(way, count)| (format!("{way:?}"), *count)).collect()
}

#[test]
fn packets_are_counted_by_way_and_minute() {
    let traffic = Traffic::default();
    let at = 5 * MINUTE;
    traffic.ended(&finished("a.example", by(Protocol::Sip), Decision::Cached, at));
    traffic.ended(&finished("a.example", by(Protocol::Sip), Decision::Fallback, at + 1));
    traffic.ended(&finished("b.example", by(Protocol::Xmpp), Decision::Discover, at + 2));
    traffic.ended(&finished("c.example", failed(Cause::Policy), Decision::Blocked, at + 3));
    traffic.ended(&finished("d.example", failed(Cause::NotFound), Decision::Discover, at + 4));
    let inbound = finished("e.example", by(Protocol::Xmpp), Decision::Cached, at + 5);
    traffic.ended(&Finished { direction: Direction::Inbound, ..inbound });

    assert_eq!(traffic.minutes(at + 6), (Counts::default(), Counts::default()), "not yet whole");
    let (last, before) = traffic.minutes(at + MINUTE);
    let all = [Way::Known, Way::Discovered, Way::Xmpp, Way::Refused, Way::Failed, Way::Home];
    assert_eq!(counted(last), expected(&all.map(|way| (way, 1))));
    assert_eq!(before, Counts::default());

    let uses = [DomainUse {
        domain: Domain::parse("a.example").unwrap(),
        hits: 40,
        last_seen: 1,
        last_failure: None,
    }];
    traffic.used(&uses, at + MINUTE);
    let (last, before) = traffic.minutes(at + 2 * MINUTE);
    assert_eq!(counted(last), expected(&[(Way::Straight, 40)]));
    assert_eq!(counted(before).len(), 6);
    let (last, before) = traffic.minutes(at + 3 * MINUTE);
    assert_eq!((last, counted(before)), (Counts::default(), expected(&[(Way::Straight, 40)])));
    assert_eq!(traffic.minutes(at + 9 * MINUTE), Default::default(), "long ago");
}

#[test]
fn a_domain_fails_until_something_reaches_it() {
    let traffic = Traffic::default();
    traffic.ended(&finished("a.example", failed(Cause::Unreachable), Decision::Cached, 10));
    traffic.ended(&finished("b.example", failed(Cause::Unreachable), Decision::Cached, 20));
    traffic.ended(&finished("c.example", failed(Cause::Busy), Decision::Cached, 30));
    let names = |traffic: &Traffic| {
        let failing = traffic.failing(10).into_iter();
        failing.map(|own| own.domain.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&traffic), ["b.example", "a.example"]);
    traffic.ended(&finished("b.example", by(Protocol::Sip), Decision::Cached, 40));
    assert_eq!(names(&traffic), ["a.example"]);
}

#[test]
fn of_too_many_failing_domains_the_oldest_is_forgotten() {
    let traffic = Traffic::default();
    for number in 0..=FAILING {
        let domain = format!("host{number}.example");
        let at = number as u64;
        traffic.ended(&finished(&domain, failed(Cause::Unreachable), Decision::Cached, at));
    }
    let failing = traffic.failing(usize::MAX);
    assert_eq!(failing.len(), FAILING);
    assert_eq!(failing.last().map(|own| own.at_us), Some(1));
}
