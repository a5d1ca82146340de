use hickory_proto::op::Query;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::*;

const ANSWERS: Answers = Answers { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), port: 5269 };

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn asked(answers: Answers, name: &str, kind: RecordType) -> Message {
    let answer = answers.answer(&question(name, kind).to_vec().unwrap()).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn outcome(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let answer = asked(ANSWERS, name, kind);
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
    let data = answer.answers.iter().map(|record| record.data.to_string()).collect();
    (answer.metadata.response_code, data)
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
    let v6 = Answers { address: "2001:db8::7".parse().unwrap(), port: 5269 };
    assert_eq!(asked(v6, "foreign.example.", RecordType::AAAA).answers.len(), 1);
    assert_eq!(asked(v6, "foreign.example.", RecordType::A).answers.len(), 0);
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

#[test]
fn a_negative_answer_can_be_kept() {
    let answer = asked(ANSWERS, "_xmpps-server._tcp.foreign.example.", RecordType::SRV);
    assert!(matches!(&answer.authorities[..], [soa] if soa.record_type() == RecordType::SOA));
}

#[test]
fn what_is_no_question_is_refused_or_left_alone() {
    let code = |bytes: &[u8]| {
        ANSWERS
            .answer(bytes)
            .map(|answer| Message::from_vec(&answer).unwrap().metadata.response_code)
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
fn only_near_sources_are_answered() {
    for near in
        ["127.0.0.1", "10.1.2.3", "172.17.0.2", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
    {
        assert!(is_near(near.parse().unwrap()), "{near}");
    }
    for far in ["192.0.2.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8"] {
        assert!(!is_near(far.parse().unwrap()), "{far}");
    }
}

#[tokio::test]
async fn a_resolver_is_served_over_udp_and_tcp() {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let responder = Responder::bind(listen, ANSWERS).await.unwrap();
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
        assert_eq!(addresses.iter().collect::<Vec<_>>(), [ANSWERS.address]);
        let missing = resolver.lookup("_xmpps-server._tcp.foreign.example.", RecordType::SRV).await;
        assert!(missing.unwrap_err().is_nx_domain());
    }
    serving.abort();
}
