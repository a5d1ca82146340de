use super::*;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;

/// A DNS server that knows a few names. Others do not exist; names that it knows only of another
/// kind have no records; names that begin with `silent` get no answer, Below
/// `broken.example` and beside `_sip._tcp.half.example` it fails.
struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

type Zone = HashMap<String, Vec<RData>>;

impl Dns {
    async fn serve(zone: &[(&str, RData)]) -> Self {
        let mut names = Zone::new();
        for (name, data) in zone {
            names.entry(format!("{name}.")).or_default().push(data.clone());
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name().to_ascii().to_lowercase();
                log.lock().unwrap().push(format!("{} {name}", question.query_type()));
                if name.starts_with("silent") {
                    continue;
                }
                let mut answer = query.clone();
                answer.metadata.message_type = MessageType::Response;
                answer.additionals.clear();
                answer.edns = None;
                match names.get(&name) {
                    _ if name.contains(".broken.")
                        || name.starts_with("_sip._udp.half.")
                        || (name == "half.example."
                            && question.query_type() == RecordType::NAPTR) =>
                    {
                        answer.metadata.response_code = ResponseCode::ServFail;
                    }
                    None => answer.metadata.response_code = ResponseCode::NXDomain,
                    Some(records) => {
                        let kind = question.query_type();
                        for data in records.iter().filter(|data| data.record_type() == kind) {
                            let owner = question.name().clone();
                            answer.add_answer(Record::from_rdata(owner, 60, data.clone()));
                        }
                    }
                }
                socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        });
        Self { address, asked }
    }

    async fn find(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
    ) -> Result<Vec<String>, ResolveError> {
        let resolver = Resolver::new(&[self.address]).unwrap();
        let targets = resolver.resolve(host, port, transport, &mut |_| 0).await?;
        assert!(targets.iter().all(|target| target.name == host.trim_matches(['[', ']'])));
        let show = |t: Target| format!("{} {}", t.transport.as_str(), t.address);
        Ok(targets.into_iter().map(show).collect())
    }
}

fn a(text: &str) -> RData {
    RData::A(A(text.parse().unwrap()))
}

fn aaaa(text: &str) -> RData {
    RData::AAAA(AAAA(text.parse().unwrap()))
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, weight, port, Name::from_str(target).unwrap()))
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let replacement = Name::from_str(replacement).unwrap();
    let service = service.as_bytes().into();
    RData::NAPTR(NAPTR::new(order, 10, (*b"s").into(), service, (*b"").into(), replacement))
}

#[tokio::test]
async fn e_16_an_address_literal_needs_no_dns() {
    let dns = Dns::serve(&[]).await;
    let find = async |host, port, transport| dns.find(host, port, transport).await.unwrap();
    assert_eq!(find("192.0.2.1", None, None).await, ["udp 192.0.2.1:5060"]);
    assert_eq!(find("192.0.2.1", Some(0), Some(Transport::Tls)).await, ["tls 192.0.2.1:5061"]);
    assert_eq!(
        find("[2001:db8::1]", Some(70), Some(Transport::Tcp)).await,
        ["tcp [2001:db8::1]:70"]
    );
    assert!(dns.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn e_16_a_port_leaves_srv_out() {
    let dns = Dns::serve(&[
        ("_sip._tcp.hop.example", srv(1, 1, 7000, "other.example.")),
        ("hop.example", a("192.0.2.7")),
        ("hop.example", aaaa("2001:db8::7")),
    ])
    .await;
    let found = dns.find("hop.example", Some(5070), Some(Transport::Tcp)).await.unwrap();
    assert_eq!(found, ["tcp 192.0.2.7:5070", "tcp [2001:db8::7]:5070"]);
    assert!(!dns.asked.lock().unwrap().iter().any(|asked| asked.starts_with("SRV")));
}

#[tokio::test]
async fn e_16_srv_gives_order_and_ports_and_the_name_stays() {
    let dns = Dns::serve(&[
        ("_sips._tcp.hop.example", srv(20, 0, 5063, "c.example.")),
        ("_sips._tcp.hop.example", srv(10, 0, 5061, "a.example.")),
        ("_sips._tcp.hop.example", srv(15, 0, 5062, "gone.example.")),
        ("a.example", a("192.0.2.1")),
        ("a.example", a("192.0.2.2")),
        ("c.example", a("192.0.2.3")),
    ])
    .await;
    let found = dns.find("hop.example", Some(0), Some(Transport::Tls)).await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[..2].contains(&"tls 192.0.2.1:5061".into()));
    assert!(found[..2].contains(&"tls 192.0.2.2:5061".into()));
    assert_eq!(found[2], "tls 192.0.2.3:5063");
}

#[tokio::test]
async fn e_16_without_srv_the_default_port() {
    let dns = Dns::serve(&[("hop.example", a("192.0.2.7"))]).await;
    let find = async |transport| dns.find("hop.example", None, transport).await.unwrap();
    assert_eq!(find(Some(Transport::Tcp)).await, ["tcp 192.0.2.7:5060"]);
    assert_eq!(find(Some(Transport::Tls)).await, ["tls 192.0.2.7:5061"]);
    assert_eq!(find(None).await, ["udp 192.0.2.7:5060"]);
}

#[tokio::test]
async fn e_16_naptr_only_without_a_transport() {
    let dns = Dns::serve(&[
        ("hop.example", naptr(20, "SIP+D2U", "_sip._udp.hop.example.")),
        ("hop.example", naptr(10, "SIP+D2T", "_x.hop.example.")),
        ("hop.example", naptr(5, "SIP+D2S", "_y.hop.example.")),
        ("_x.hop.example", srv(1, 1, 6000, "a.example.")),
        ("_sip._udp.hop.example", srv(1, 1, 6001, "a.example.")),
        ("a.example", a("192.0.2.1")),
    ])
    .await;
    let found = dns.find("hop.example", None, None).await.unwrap();
    assert_eq!(found, ["tcp 192.0.2.1:6000", "udp 192.0.2.1:6001"]);
    dns.asked.lock().unwrap().clear();
    let found = dns.find("hop.example", None, Some(Transport::Udp)).await.unwrap();
    assert_eq!(found, ["udp 192.0.2.1:6001"]);
    assert!(!dns.asked.lock().unwrap().iter().any(|asked| asked.starts_with("NAPTR")));
}

#[tokio::test]
async fn each_kind_of_nothing_is_told_apart() {
    let dns = Dns::serve(&[
        ("mail.example", srv(1, 1, 1, "x.example.")),
        ("_sip._tcp.off.example", srv(0, 0, 0, ".")),
        ("off.example", a("192.0.2.1")),
        ("_sip._tcp.dangling.example", srv(0, 0, 5060, "gone.example.")),
    ])
    .await;
    let tcp = Some(Transport::Tcp);
    let find = async |host, port| dns.find(host, port, tcp).await.unwrap_err();
    assert_eq!(find("none.example", Some(5060)).await, ResolveError::Lack(Lack::NoSuchName));
    assert_eq!(find("none.example", None).await, ResolveError::Lack(Lack::NoSuchName));
    assert_eq!(find("mail.example", Some(5060)).await, ResolveError::Lack(Lack::NoRecords));
    assert_eq!(find("off.example", None).await, ResolveError::NotOffered);
    assert_eq!(find("dangling.example", None).await, ResolveError::Lack(Lack::NoSuchName));
    assert_eq!(find("bad..name", Some(1)).await, ResolveError::Lack(Lack::BadName));
    assert_eq!(find("silent.example", Some(1)).await, ResolveError::Lack(Lack::Timeout));
}

#[tokio::test]
async fn answers_are_kept_for_their_time() {
    let dns =
        Dns::serve(&[("hop.example", a("192.0.2.7")), ("hop.example", aaaa("2001:db8::7"))]).await;
    let resolver = Resolver::new(&[dns.address]).unwrap();
    for _ in 0..3 {
        resolver.resolve("hop.example", Some(1), None, &mut |_| 0).await.unwrap();
    }
    assert_eq!(dns.asked.lock().unwrap().len(), 2, "one A and one AAAA");
}

#[tokio::test]
async fn a_fault_of_dns_hides_no_next_hop_and_is_said_where_it_does() {
    let dns = Dns::serve(&[
        ("part.broken.example", a("192.0.2.7")),
        ("_sip._tcp.half.example", srv(1, 1, 7000, "a.example.")),
        ("a.example", a("192.0.2.1")),
    ])
    .await;
    let tcp = Some(Transport::Tcp);
    let lack = dns.find("part.broken.example", None, tcp).await.unwrap_err();
    assert!(matches!(lack, ResolveError::Lack(Lack::Failed(_))), "{lack}");
    // An old DNS server fails at NAPTR and at services that it was not told of.
    for transport in [tcp, None] {
        let found = dns.find("half.example", None, transport).await.unwrap();
        assert_eq!(found, ["tcp 192.0.2.1:7000"]);
    }
}
