use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use openfed_node::settings::DnsAnswer;

use super::addresses::{Known, STALE};
use super::answers::{MAX_MESSAGE, Over};
use super::clients::{MAX_PER_SECOND, Verdict};
use super::*;

const UDP: Over = Over::Udp { busy: false };

fn zone(addresses: &[&str]) -> Zone {
    let addresses = addresses.iter().map(|address| ip(address)).collect();
    Zone { addresses, port: 5269, ttl: 60 }
}

fn one() -> Zone {
    zone(&["192.0.2.7"])
}

/// A responder that answers every name with this machine.
pub(crate) async fn all_here(port: u16) -> SocketAddr {
    let (_, zone) = watch::channel(Zone { port, ..zone(&["127.0.0.1"]) });
    let clients = Clients::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let responder = Responder::bind(([127, 0, 0, 1], 0).into(), zone, clients).unwrap();
    let address = responder.local_addr().unwrap();
    tokio::spawn(responder.run());
    address
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn told(zone: &Zone, question: &Message, over: Over, turn: usize) -> Message {
    let answer = zone.answer(&question.to_vec().unwrap(), over, turn).unwrap();
    Message::from_vec(&answer.bytes).unwrap()
}

fn asked(zone: &Zone, name: &str, kind: RecordType) -> Message {
    told(zone, &question(name, kind), UDP, 0)
}

fn data(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

fn outcome(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let answer = asked(&one(), name, kind);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
    (answer.metadata.response_code, data(&answer))
}

#[test]
fn every_name_has_the_one_address() {
    let a = |name| outcome(name, RecordType::A);
    let ours = (ResponseCode::NoError, vec!["192.0.2.7".to_owned()]);
    for name in ["foreign.example.", "a.b.c.d.example.", "localhost.", "xn--bcher-kva.example."] {
        assert_eq!(a(name), ours, "{name}");
    }
    let nothing = (ResponseCode::NoError, vec![]);
    assert_eq!(outcome("foreign.example.", RecordType::AAAA), nothing);
    assert_eq!(outcome("foreign.example.", RecordType::MX), nothing);
    let v6 = zone(&["2001:db8::7"]);
    assert_eq!(asked(&v6, "foreign.example.", RecordType::AAAA).answers.len(), 1);
    assert_eq!(asked(&v6, "foreign.example.", RecordType::A).answers.len(), 0);
}

#[test]
fn all_addresses_are_answered_and_each_is_the_first_one_in_turn() {
    let both = zone(&["10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3"]);
    let a = question("foreign.example.", RecordType::A);
    let turns: Vec<_> = (0..4).map(|turn| data(&told(&both, &a, UDP, turn))).collect();
    assert_eq!(turns[0], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(turns[1], ["10.0.0.2", "10.0.0.3", "10.0.0.1"]);
    assert_eq!(turns[2], ["10.0.0.3", "10.0.0.1", "10.0.0.2"]);
    assert_eq!(turns[3], turns[0]);
    let aaaa = question("foreign.example.", RecordType::AAAA);
    assert_eq!(data(&told(&both, &aaaa, UDP, 7)), ["fd00::1"]);
}

#[test]
fn of_very_many_addresses_every_answer_has_some_and_all_have_their_turn() {
    let many: Vec<_> = (0..40).map(|number| format!("10.0.0.{number}")).collect();
    let many = zone(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let a = question("foreign.example.", RecordType::A);
    let answers: Vec<_> = (0..40).map(|turn| data(&told(&many, &a, UDP, turn))).collect();
    assert!(answers.iter().all(|answer| answer.len() == 16));
    let firsts: std::collections::BTreeSet<_> = answers.iter().map(|answer| &answer[0]).collect();
    assert_eq!(firsts.len(), 40);
}

#[test]
fn without_an_address_hosts_are_a_failure_and_services_are_as_ever() {
    let empty = zone(&[]);
    let code = |name, kind| asked(&empty, name, kind).metadata.response_code;
    assert_eq!(code("foreign.example.", RecordType::A), ResponseCode::ServFail);
    assert_eq!(code("foreign.example.", RecordType::AAAA), ResponseCode::ServFail);
    assert_eq!(code("foreign.example.", RecordType::MX), ResponseCode::NoError);
    assert_eq!(code("_xmpp-server._tcp.foreign.example.", RecordType::SRV), ResponseCode::NoError);
    assert_eq!(
        code("_xmpps-server._tcp.foreign.example.", RecordType::SRV),
        ResponseCode::NXDomain
    );
}

#[test]
fn the_server_to_server_service_is_at_the_domain_itself() {
    let (code, data) = outcome("_Xmpp-Server._TCP.foreign.example.", RecordType::SRV);
    assert_eq!(code, ResponseCode::NoError);
    assert_eq!(data, ["0 0 5269 foreign.example."]);
    for name in
        ["_xmpps-server._tcp.foreign.example.", "_xmpp-server._tcp.", "_sip._udp.a.example."]
    {
        assert_eq!(outcome(name, RecordType::SRV), (ResponseCode::NXDomain, vec![]), "{name}");
    }
}

/// RFC 8020: below a name that does not exist there is nothing, and resolvers know that.
#[test]
fn what_there_is_something_below_exists() {
    for name in ["_tcp.foreign.example.", "_TCP.example.", "foreign.example."] {
        assert_eq!(outcome(name, RecordType::TXT), (ResponseCode::NoError, vec![]), "{name}");
    }
    for name in ["_tcp.", "_udp.foreign.example.", "_tcp._odd.example.", "_odd.example."] {
        assert_eq!(outcome(name, RecordType::TXT), (ResponseCode::NXDomain, vec![]), "{name}");
    }
    let below = outcome("_xmpp-server._tcp._odd.example.", RecordType::SRV);
    assert_eq!(below, (ResponseCode::NXDomain, vec![]), "as the name above it");
}

#[test]
fn a_version_of_edns_that_is_to_come_is_told_ours() {
    let mut query = question("foreign.example.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    query.set_edns(edns);
    let answer = told(&one(), &query, UDP, 0);
    // BADVERS and BADSIG share their number (RFC 6895 §2.3).
    assert_eq!(u16::from(answer.metadata.response_code), 16);
    assert_eq!(answer.edns.map(|edns| edns.version()), Some(0));
    assert!(answer.answers.is_empty() && answer.authorities.is_empty());
}

#[test]
fn a_negative_answer_can_be_kept() {
    let answer = asked(&one(), "_xmpps-server._tcp.foreign.example.", RecordType::SRV);
    assert!(matches!(&answer.authorities[..], [soa] if soa.record_type() == RecordType::SOA));
}

#[test]
fn what_is_no_question_is_refused_or_left_alone() {
    let code = |bytes: &[u8]| {
        let answer = one().answer(bytes, UDP, 0)?;
        Some(Message::from_vec(&answer.bytes).unwrap().metadata.response_code)
    };
    assert_eq!(code(b""), None);
    assert_eq!(code(b"GET / HTTP/1.1"), Some(ResponseCode::FormErr));
    let whole = question("foreign.example.", RecordType::A).to_vec().unwrap();
    assert_eq!(code(&whole[..whole.len() - 3]), Some(ResponseCode::FormErr));
    // An answer is never answered: two responders would talk for ever
    let mut response = question("foreign.example.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(code(&response.to_vec().unwrap()), None);
    let mut two = question("a.example.", RecordType::A);
    two.add_query(Query::query(Name::from_ascii("b.example.").unwrap(), RecordType::A));
    assert_eq!(code(&two.to_vec().unwrap()), Some(ResponseCode::FormErr));
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(&chaos.to_vec().unwrap()), Some(ResponseCode::Refused));
    let mut notify = question("a.example.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(code(&notify.to_vec().unwrap()), Some(ResponseCode::NotImp));
}

#[test]
fn a_datagram_is_never_longer_than_its_source_takes() {
    let many: Vec<_> = (0..16).map(|number| format!("fd00::{number:x}")).collect();
    let many = zone(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let long = format!("{}.example.", ["x".repeat(60), "y".repeat(60)].join("."));
    let plain = question(&long, RecordType::AAAA);
    // Given 16 addresses, whose answer has 590 bytes
    let cut = told(&many, &plain, UDP, 0);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    // When the client says that it takes more, or comes over TCP, then it gets them
    let mut extended = plain.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4_096);
    extended.set_edns(edns);
    for (question, over) in [(&extended, UDP), (&plain, Over::Tcp)] {
        let whole = told(&many, question, over, 0);
        assert!(!whole.metadata.truncation && whole.answers.len() == 16);
        assert_eq!(
            whole.edns.map(|edns| edns.max_payload()),
            question.edns.as_ref().map(|_| MAX_MESSAGE)
        );
    }
}

#[test]
fn a_source_that_asks_too_much_gets_no_more_bytes_than_it_sends() {
    for name in ["a.example.", "_xmpp-server._tcp.foreign.example."] {
        for kind in [RecordType::A, RecordType::SRV] {
            let question = question(name, kind).to_vec().unwrap();
            let answer = one().answer(&question, Over::Udp { busy: true }, 0).unwrap();
            assert!(answer.bytes.len() <= question.len(), "{name} {kind}");
            assert!(Message::from_vec(&answer.bytes).unwrap().metadata.truncation);
        }
    }
}

#[test]
fn only_clients_are_answered_and_each_within_its_measure() {
    let (now, near) = (Instant::now(), ip("10.0.0.1"));
    let mut clients = Clients::new(vec!["10.0.0.0/24".parse().unwrap()]);
    assert_eq!(clients.judge(ip("10.0.1.1"), now), Verdict::Stranger);
    assert!(!clients.is_client(ip("127.0.0.1")) && clients.is_client(ip("::ffff:10.0.0.9")));
    for _ in 0..MAX_PER_SECOND {
        assert_eq!(clients.judge(near, now), Verdict::Welcome);
    }
    assert_eq!(clients.judge(near, now), Verdict::Busy);
    // Another one is not concerned, and a second later all begin anew
    assert_eq!(clients.judge(ip("10.0.0.2"), now), Verdict::Welcome);
    assert_eq!(clients.judge(near, now + Duration::from_secs(1)), Verdict::Welcome);
    // Strangers are told about once a minute
    assert!(clients.tells(now) && !clients.tells(now + Duration::from_secs(59)));
    assert!(clients.tells(now + Duration::from_mins(1)));
}

#[test]
fn addresses_outlive_their_name_for_a_while_and_no_longer() {
    let (start, mut known) = (Instant::now(), Known::nothing());
    known.missed(start);
    assert!(known.addresses().is_empty());
    known.found(vec![ip("10.0.0.2"), ip("10.0.0.1"), ip("10.0.0.2")], start);
    assert_eq!(**known.addresses(), [ip("10.0.0.1"), ip("10.0.0.2")]);
    // A resolver that finds nothing has failed, too
    known.found(vec![], start + STALE / 2);
    known.missed(start + STALE);
    assert_eq!(known.addresses().len(), 2);
    known.missed(start + STALE + Duration::from_millis(1));
    assert!(known.addresses().is_empty());
    known.found(vec![ip("10.0.0.3")], start + STALE * 2);
    known.missed(start + STALE * 3);
    assert_eq!(**known.addresses(), [ip("10.0.0.3")]);
}

#[tokio::test]
async fn a_resolver_is_served_over_udp_and_tcp() {
    let address = DnsAnswer::Address(ip("192.0.2.7"));
    let watched = Watched::new(&address, &[]).unwrap();
    let clients = Clients::new(vec!["127.0.0.1".parse().unwrap()]);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let responder = Responder::bind(listen, watched.zone(5269), clients).unwrap();
    let address = responder.local_addr().unwrap();
    let serving = tokio::spawn(responder.run());
    for server in [NameServerConfig::udp(address.ip()), NameServerConfig::tcp(address.ip())] {
        let mut server = server;
        server.connections[0].port = address.port();
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .unwrap();
        let addresses = resolver.lookup_ip("foreign.example.").await.unwrap();
        assert_eq!(addresses.iter().collect::<Vec<_>>(), [ip("192.0.2.7")]);
        let missing = resolver.lookup("_xmpps-server._tcp.foreign.example.", RecordType::SRV).await;
        assert!(missing.unwrap_err().is_nx_domain());
    }
    serving.abort();
}
