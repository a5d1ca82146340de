use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::{self, CNAME};
use tokio::net::UdpSocket;

use super::*;

/// What a name server says to a question.
#[derive(Clone)]
enum Says {
    /// These records, with the name of each.
    Records(Vec<(&'static str, RData)>),
    Code(ResponseCode),
    Silence,
}

/// A name server that knows a few questions. What is not among them does not exist; a name of which
/// it knows something else has no such records.
struct Server {
    dns: Dns,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn server(zone: &[(&str, RecordType, Says)]) -> Server {
    let zone: HashMap<(String, RecordType), Says> =
        zone.iter().map(|(name, kind, says)| ((format!("{name}."), *kind), says.clone())).collect();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = &query.queries[0];
            let key = (question.name().to_ascii().to_ascii_lowercase(), question.query_type());
            log.lock().unwrap().push(format!("{} {}", key.1, key.0));
            let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
            answer.add_queries(query.queries.iter().cloned());
            match zone.get(&key) {
                Some(Says::Records(records)) => {
                    answer.add_answers(records.iter().map(|(name, data)| {
                        Record::from_rdata(Name::from_ascii(name).unwrap(), 60, data.clone())
                    }));
                }
                Some(Says::Code(code)) => answer.metadata.response_code = *code,
                Some(Says::Silence) => continue,
                None if zone.keys().any(|(name, _)| *name == key.0) => {}
                None => answer.metadata.response_code = ResponseCode::NXDomain,
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    Server { dns: Dns::new(&[address]).unwrap(), asked }
}

fn record(target: &str) -> RData {
    RData::SRV(rdata::SRV::new(1, 2, 5269, Name::from_ascii(target).unwrap()))
}

fn alias(target: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(target).unwrap()))
}

fn found(target: &str) -> Result<Vec<Srv>, Lack> {
    Ok(vec![Srv { priority: 1, weight: 2, port: 5269, target: target.to_owned() }])
}

const SERVICE: &str = "_xmpp-server._tcp.corp.example";
const HOSTED: &str = "_xmpp-server._tcp.hosting.example";

/// What a recursive name server says of a service that is an alias: the alias and what it leads to.
fn hosted() -> [(&'static str, RecordType, Says); 3] {
    let step = (SERVICE, alias("_xmpp-server._tcp.hosting.example."));
    let end = (HOSTED, record("xmpp.hosting.example."));
    [
        (SERVICE, RecordType::CNAME, Says::Records(vec![step.clone()])),
        (SERVICE, RecordType::SRV, Says::Records(vec![step, end.clone()])),
        (HOSTED, RecordType::SRV, Says::Records(vec![end])),
    ]
}

#[tokio::test]
async fn a_service_behind_an_alias_is_found() {
    let server = server(&hosted()).await;
    for _ in 0..2 {
        assert_eq!(server.dns.srv(SERVICE).await, found("xmpp.hosting.example."));
    }
    assert_eq!(server.dns.srv(HOSTED).await, found("xmpp.hosting.example."));
}

#[tokio::test]
async fn a_service_behind_several_aliases_is_found_whatever_its_host_is() {
    let between = "_xmpp-server._tcp.between.example";
    let steps = vec![
        (SERVICE, alias("_xmpp-server._tcp.between.example.")),
        (between, alias("_xmpp-server._tcp.hosting.example.")),
    ];
    let end = (HOSTED, record("xmpp.hosting.example."));
    let mut zone = hosted().to_vec();
    zone[0].2 = Says::Records(steps[..1].to_vec());
    zone[1].2 = Says::Records([steps.clone(), vec![end.clone()]].concat());
    zone.push((between, RecordType::CNAME, Says::Records(steps[1..].to_vec())));
    zone.push((between, RecordType::SRV, Says::Records(vec![steps[1].clone(), end])));
    // Of its host the resolver wants to know SRV records, too.
    let host = "xmpp.hosting.example";
    for says in [None, Some(Says::Code(ResponseCode::ServFail)), Some(Says::Records(Vec::new()))] {
        let more = says.map(|says| (host, RecordType::SRV, says));
        let zone: Vec<_> = zone.iter().cloned().chain(more).collect();
        let server = server(&zone).await;
        assert_eq!(server.dns.srv(SERVICE).await, found("xmpp.hosting.example."));
    }
}

#[tokio::test]
async fn aliases_that_go_round_end() {
    let to = |name, target| {
        let step = (name, alias(target));
        let target = (HOSTED, record("xmpp.hosting.example."));
        [
            (name, RecordType::CNAME, Says::Records(vec![step.clone()])),
            (name, RecordType::SRV, Says::Records(vec![step, target])),
        ]
    };
    let zone = [to("a.example", "b.example."), to("b.example", "a.example.")].concat();
    let server = server(&zone).await;
    let lack = server.dns.srv("a.example").await.unwrap_err();
    assert!(!lack.is_proof(), "{lack}");
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_is_not_known() {
    let code = |code| Says::Code(code);
    let zone = [
        ("mail.example", RecordType::MX, Says::Records(Vec::new())),
        ("a.example", RecordType::SRV, code(ResponseCode::ServFail)),
        ("b.example", RecordType::SRV, code(ResponseCode::Refused)),
        ("c.example", RecordType::SRV, code(ResponseCode::NotImp)),
        ("silent.example", RecordType::SRV, Says::Silence),
        ("silent.example", RecordType::CNAME, Says::Silence),
    ];
    let server = server(&zone).await;
    assert_eq!(server.dns.srv("none.example").await, Err(Lack::NoSuchName));
    assert_eq!(server.dns.srv("mail.example").await, Err(Lack::NoRecords));
    assert_eq!(server.dns.srv("bad..name").await, Err(Lack::BadName));
    // Nothing is an alias here: nobody is asked for one.
    let asked = server.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|question| question.starts_with("CNAME")), "{asked:?}");
    for name in ["a.example", "b.example", "c.example"] {
        let lack = server.dns.srv(name).await.unwrap_err();
        assert!(matches!(lack, Lack::Failed(_)), "{name}: {lack}");
    }
    assert_eq!(server.dns.srv("silent.example").await, Err(Lack::Timeout));
}

#[tokio::test]
async fn one_family_is_enough_and_a_fault_of_the_other_is_no_proof() {
    let v4 = Says::Records(vec![("v4.example", RData::A("192.0.2.1".parse().unwrap()))]);
    let v6 = Says::Records(vec![("v6.example", RData::AAAA("2001:db8::1".parse().unwrap()))]);
    let fault = Says::Code(ResponseCode::ServFail);
    let none = Says::Records(Vec::new());
    let zone = [
        ("v4.example", RecordType::A, v4),
        ("v4.example", RecordType::AAAA, fault.clone()),
        ("v6.example", RecordType::A, none.clone()),
        ("v6.example", RecordType::AAAA, v6),
        ("half.example", RecordType::A, none.clone()),
        ("half.example", RecordType::AAAA, fault.clone()),
        ("other.example", RecordType::A, fault),
        ("other.example", RecordType::AAAA, none.clone()),
        ("empty.example", RecordType::A, none.clone()),
        ("empty.example", RecordType::AAAA, none),
    ];
    let server = server(&zone).await;
    let addresses = async |name| server.dns.addresses(name).await;
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(addresses("v4.example").await, Ok(vec![ip("192.0.2.1")]));
    assert_eq!(addresses("v6.example").await, Ok(vec![ip("2001:db8::1")]));
    for name in ["half.example", "other.example"] {
        let lack = addresses(name).await.unwrap_err();
        assert!(matches!(lack, Lack::Failed(_)), "{name}: {lack}");
    }
    assert_eq!(addresses("empty.example").await, Err(Lack::NoRecords));
    assert_eq!(addresses("none.example").await, Err(Lack::NoSuchName));
}

fn drawn(records: &[(u16, u16)], random: Random<'_>) -> Vec<(u16, u16)> {
    let srv = |(priority, weight)| Srv { priority, weight, port: 1, target: "a.example.".into() };
    let records: Vec<Srv> = records.iter().copied().map(srv).collect();
    let ordered = in_order(records, |srv| srv, random);
    ordered.into_iter().map(|srv| (srv.priority, srv.weight)).collect()
}

#[test]
fn rfc_2782_lower_priorities_come_first_and_weights_share_what_comes() {
    let order = drawn(&[(3, 100), (1, 0), (2, 5), (1, 7)], &mut |_| 3);
    assert_eq!(order, [(1, 7), (1, 0), (2, 5), (3, 100)]);
    let mut state = 7_u64;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from((state >> 33) % u64::from(below)).unwrap()
    };
    let mut first = HashMap::<u16, u32>::new();
    for _ in 0..3_000 {
        let order = drawn(&[(2, 9), (1, 10), (1, 20), (1, 0)], &mut random);
        assert_eq!((order.len(), order[3]), (4, (2, 9)));
        *first.entry(order[0].1).or_default() += 1;
    }
    assert!((1_700..2_100).contains(&first[&20]), "{first:?}");
    assert!((850..1_150).contains(&first[&10]) && first[&0] < 200, "{first:?}");
}

#[test]
fn without_weights_each_may_be_the_first() {
    let srv = |port| Srv { priority: 1, weight: 0, port, target: "a.example.".into() };
    for want in [1, 2, 3] {
        let drawn = &mut |below: u32| (u32::from(want) - 1).min(below - 1);
        let order = in_order(vec![srv(1), srv(2), srv(3)], |srv| srv, drawn);
        assert_eq!(order[0].port, want);
        assert_eq!(order.len(), 3);
    }
}
