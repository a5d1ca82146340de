use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::*;

/// A zone that is typed in: what is not in it does not exist; `None` is a server failure.
#[derive(Default)]
struct Zone(HashMap<(String, RecordType), Option<Vec<RData>>>);

impl Zone {
    fn srv(mut self, service: &str, records: &[(u16, u16, u16, &str)]) -> Self {
        let data = records
            .iter()
            .map(|(priority, weight, port, target)| {
                let target = Name::from_ascii(target).unwrap();
                RData::SRV(SRV::new(*priority, *weight, *port, target))
            })
            .collect();
        self.0.insert((format!("{service}._tcp.foreign.example."), RecordType::SRV), Some(data));
        self
    }

    fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        for address in addresses {
            let (kind, data) = match address.parse().unwrap() {
                IpAddr::V4(v4) => (RecordType::A, RData::A(v4.into())),
                IpAddr::V6(v6) => (RecordType::AAAA, RData::AAAA(v6.into())),
            };
            let entry = self.0.entry((format!("{name}."), kind)).or_default();
            entry.get_or_insert_default().push(data);
        }
        self
    }

    fn broken(mut self, name: &str, kind: RecordType) -> Self {
        self.0.insert((format!("{name}."), kind), None);
        self
    }

    fn answer(&self, query: &Message) -> Message {
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.add_queries(query.queries.iter().cloned());
        let asked = &query.queries[0];
        let key = (asked.name().to_ascii().to_ascii_lowercase(), asked.query_type());
        match self.0.get(&key) {
            Some(Some(data)) => {
                let record =
                    |data: &RData| Record::from_rdata(asked.name().clone(), 60, data.clone());
                response.add_answers(data.iter().map(record));
            }
            Some(None) => response.metadata.response_code = ResponseCode::ServFail,
            None if self.0.keys().any(|(name, _)| *name == key.0) => {}
            None => response.metadata.response_code = ResponseCode::NXDomain,
        }
        response
    }
}

/// A resolver that asks a server with this zone, and how many questions the server got.
async fn resolver(zone: Zone, random: Random) -> (Resolver, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let questions = count.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = zone.answer(&Message::from_vec(&buffer[..length]).unwrap());
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    (Resolver::new(&[address], random).unwrap(), questions)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn found(zone: Zone) -> Resolution {
    let (resolver, _) = resolver(zone, Box::new(|_| 0)).await;
    resolver.resolve(&Domain::parse("foreign.example").unwrap(), soon()).await
}

fn endpoints(list: &[(&str, bool)]) -> Vec<Endpoint> {
    let endpoint = |(address, direct_tls): &(&str, bool)| Endpoint {
        address: address.parse().unwrap(),
        direct_tls: *direct_tls,
    };
    list.iter().map(endpoint).collect()
}

#[tokio::test]
async fn e43_a_domain_that_does_not_exist_is_not_found() {
    assert_eq!(found(Zone::default()).await, Resolution::NotFound);
}

#[tokio::test]
async fn e43_a_domain_with_mail_only_is_not_found() {
    let zone = Zone::default();
    let mut zone = zone;
    zone.0.insert(("foreign.example.".to_owned(), RecordType::MX), Some(vec![]));
    assert_eq!(found(zone).await, Resolution::NotFound);
}

#[tokio::test]
async fn e44_without_srv_the_domain_itself_is_guessed() {
    let zone = Zone::default().host("foreign.example", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    assert_eq!(
        found(zone).await,
        Resolution::Guessed(endpoints(&[
            ("[2001:db8::1]:5269", false),
            ("192.0.2.1:5269", false),
            ("192.0.2.2:5269", false),
        ]))
    );
}

#[tokio::test]
async fn srv_records_of_both_kinds_are_one_list_by_priority() {
    let zone = Zone::default()
        .srv("_xmpp-server", &[(10, 0, 5269, "a.example."), (30, 0, 5269, "b.example.")])
        .srv("_xmpps-server", &[(20, 0, 5270, "b.example."), (20, 0, 5271, "nowhere.example.")])
        .host("a.example", &["192.0.2.1"])
        .host("b.example", &["192.0.2.2"]);
    assert_eq!(
        found(zone).await,
        Resolution::Announced(endpoints(&[
            ("192.0.2.1:5269", false),
            ("192.0.2.2:5270", true),
            ("192.0.2.2:5269", false),
        ]))
    );
}

#[tokio::test]
async fn e43_the_target_dot_is_a_no() {
    let no = Zone::default()
        .srv("_xmpp-server", &[(0, 0, 0, ".")])
        .host("foreign.example", &["192.0.2.1"]);
    assert_eq!(found(no).await, Resolution::NotFound);
    // But no direct TLS is no no to STARTTLS
    let starttls_only = Zone::default()
        .srv("_xmpps-server", &[(0, 0, 0, ".")])
        .host("foreign.example", &["192.0.2.1"]);
    let guessed = Resolution::Guessed(endpoints(&[("192.0.2.1:5269", false)]));
    assert_eq!(found(starttls_only).await, guessed);
    let direct_only = Zone::default()
        .srv("_xmpp-server", &[(0, 0, 0, ".")])
        .srv("_xmpps-server", &[(0, 0, 443, "foreign.example.")])
        .host("foreign.example", &["192.0.2.1"]);
    let announced = Resolution::Announced(endpoints(&[("192.0.2.1:443", true)]));
    assert_eq!(found(direct_only).await, announced);
}

#[tokio::test]
async fn a_failing_server_is_no_answer_and_no_no() {
    // RFC 6120 §3.2.1 item 9: the domain itself is tried, but what that shows is no proof.
    for service in ["_xmpp-server._tcp.foreign.example", "_xmpps-server._tcp.foreign.example"] {
        let srv = Zone::default()
            .broken(service, RecordType::SRV)
            .host("foreign.example", &["192.0.2.1"]);
        let tried = Resolution::Tried(endpoints(&[("192.0.2.1:5269", false)]));
        assert_eq!(found(srv).await, tried);
        let nothing_else = Zone::default().broken(service, RecordType::SRV);
        assert_eq!(found(nothing_else).await, Resolution::Unanswered);
    }
    // One kind of service is enough.
    let direct = Zone::default()
        .broken("_xmpp-server._tcp.foreign.example", RecordType::SRV)
        .srv("_xmpps-server", &[(0, 0, 443, "a.example.")])
        .host("a.example", &["192.0.2.1"]);
    let announced = Resolution::Announced(endpoints(&[("192.0.2.1:443", true)]));
    assert_eq!(found(direct).await, announced);
    let host = Zone::default()
        .srv("_xmpp-server", &[(0, 0, 5269, "a.example.")])
        .broken("a.example", RecordType::A)
        .broken("a.example", RecordType::AAAA);
    assert_eq!(found(host).await, Resolution::Unanswered);
    let guess = Zone::default()
        .broken("foreign.example", RecordType::A)
        .broken("foreign.example", RecordType::AAAA);
    assert_eq!(found(guess).await, Resolution::Unanswered);
    let srv_without_host = Zone::default().srv("_xmpp-server", &[(0, 0, 5269, "a.example.")]);
    assert_eq!(found(srv_without_host).await, Resolution::NotFound);
}

#[tokio::test]
async fn a_silent_server_is_left_at_the_deadline() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let resolver = Resolver::new(&[silent.local_addr().unwrap()], Box::new(|_| 0)).unwrap();
    let deadline = Instant::now() + Duration::from_millis(200);
    let domain = Domain::parse("foreign.example").unwrap();
    assert_eq!(resolver.resolve(&domain, deadline).await, Resolution::Unanswered);
    assert!(Instant::now() < deadline + Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time() {
    let zone = Zone::default()
        .srv("_xmpp-server", &[(0, 0, 5269, "a.example.")])
        .host("a.example", &["192.0.2.1", "2001:db8::1"]);
    let (resolver, questions) = resolver(zone, Box::new(|_| 0)).await;
    let domain = Domain::parse("foreign.example").unwrap();
    let first = resolver.resolve(&domain, soon()).await;
    let asked = questions.load(Ordering::Relaxed);
    assert_eq!(resolver.resolve(&domain, soon()).await, first);
    // Only the negative answer without an SOA is asked for again
    assert!(questions.load(Ordering::Relaxed) <= asked + 1);
}
