use super::*;
use crate::command::FlowId;
use crate::config::Listener;
use crate::uri::Host;
use bytes::Bytes;
use openfed_proto::route::{Pattern, StaticRoute};

fn config() -> Config {
    let listener = |transport, address: &str, host: &str| Listener {
        transport,
        address: address.parse().expect("an address"),
        reached: "198.51.100.7".parse().expect("an address"),
        advertised: (Host::parse(&host.into()).expect("a host"), 5060),
    };
    Config {
        node: "n".into(),
        local: vec!["corp.example".parse().expect("a domain")],
        listeners: vec![
            listener(Transport::Udp, "0.0.0.0:5060", "edge.corp.example"),
            listener(Transport::Tcp, "[::1]:5080", "[::1]"),
        ],
        trusted: crate::config::Trusted::new(|_| false),
        intradomain: false,
        without_gr: Vec::new(),
        capacity: 1,
        max_transactions: 1,
        max_requests: 1,
    }
}

fn request(more: &str) -> Message {
    let text = format!(
        "INVITE sip:bob@partner.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bKx\r\n\
         From: <sip:alice@corp.example>;tag=a1\r\n\
         To: <sip:bob@partner.example>\r\n\
         Call-ID: c1\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("a sound request")
}

fn hop(transport: Transport, address: &str) -> Hop {
    Hop { transport, address: address.parse().expect("an address"), flow: None, name: None }
}

#[test]
fn our_own_routes_are_taken_off_and_no_others() {
    let routes = "Route: <sip:EDGE.corp.example;lr>, <sip:[::1]:5080;transport=tcp;lr>\r\n\
        Route: <sip:other.example;lr>\r\n";
    let base = unrouted(&request(routes), &config()).expect("sound");
    let left = base.addresses(HeaderId::Route).expect("Route");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].uri().as_str(), "sip:other.example;lr");
    assert_eq!(base.max_forwards(), Ok(Some(70)));
}

/// What is left of these Route values.
fn left_of(to_tag: &str, routes: &[&str]) -> Vec<String> {
    let lines: String = routes.iter().map(|route| format!("Route: <{route}>\r\n")).collect();
    let mut message = request(&lines);
    message.set(HeaderId::To, &format!("<sip:bob@partner.example>{to_tag}"));
    let base = unrouted(&message, &config()).expect("sound");
    let left = base.addresses(HeaderId::Route).expect("Route");
    left.iter().map(|route| route.uri().to_string()).collect()
}

#[test]
fn a_route_by_any_of_our_names_is_ours() {
    let ours = [
        "sip:corp.example;lr",
        "sip:CORP.example.:5060;transport=tcp;lr",
        "sips:corp.example:5061;lr",
        "sip:alice@corp.example:5080;lr",
        "sip:edge.corp.example;lr",
        "sips:edge.corp.example:5060;lr",
        "sip:127.0.0.1;lr",
        "sip:198.51.100.7:5060;lr",
        "sip:[::1]:5080;lr",
    ];
    for to_tag in ["", ";tag=b1"] {
        for route in ours {
            assert_eq!(left_of(to_tag, &[route]), [""; 0], "{route}{to_tag}");
        }
        for route in [
            "sip:sub.corp.example;lr",
            "sip:corp.example:5070;lr",
            "sip:edge.corp.example:5070;lr",
            "sip:127.0.0.1:5070;lr",
            "tel:+4930",
        ] {
            assert_eq!(left_of(to_tag, &[route, ours[0]]), [route, ours[0]], "{route}{to_tag}");
        }
    }
    assert_eq!(left_of("", &ours), [""; 0], "a client may name us more than once");
}

#[test]
fn in_a_dialog_a_proxy_of_our_domain_keeps_its_record() {
    let (first, second) = ("sip:edge.corp.example:5060;lr", "sip:[::1]:5080;transport=tcp;lr");
    let domain = "sip:corp.example;lr";
    let left = |routes: &[&str]| left_of(";tag=b1", routes);
    assert_eq!(left(&[first, second, domain]), [domain]);
    assert_eq!(left(&[first, domain]), [domain]);
    assert_eq!(left(&[domain, first]), [""; 0]);
    assert_eq!(left(&[first, second, first]), [first], "we record ourselves twice at most");
}

#[test]
fn what_a_strict_router_before_us_did_is_undone() {
    let mut message = request("Route: <sip:a.example;lr>, <sip:bob@192.0.2.9>\r\n");
    message.set_uri("sip:edge.corp.example:5060;lr");
    let mut base = unrouted(&message, &config()).expect("sound");
    assert_eq!(base.uri().expect("a request").expect("a URI").as_str(), "sip:bob@192.0.2.9");
    let next = next_hop(&mut base).expect("a hop");
    assert_eq!((next.host.as_str(), next.port), ("a.example", None));
}

#[test]
fn e16_where_uris_and_routes_lead() {
    let to = |uri: &str| {
        let mut message = request("");
        message.set_uri(uri);
        let next = next_hop(&mut message).expect("a hop");
        (next.host, next.port, next.transport)
    };
    assert_eq!(to("sip:bob@a.example"), ("a.example".into(), None, None));
    assert_eq!(to("sip:bob@a.example:5070"), ("a.example".into(), Some(5070), None));
    assert_eq!(
        to("sip:bob@[2001:db8::1];transport=TCP"),
        ("2001:db8::1".into(), Some(5060), Some(Transport::Tcp))
    );
    assert_eq!(to("sips:bob@192.0.2.1"), ("192.0.2.1".into(), Some(5061), Some(Transport::Tls)));
    let mut tel = request("");
    tel.set_uri("tel:+4930");
    assert_eq!(next_hop(&mut tel), Err(Refusal::Scheme));
    let mut by_tel = request("Route: <tel:+4930>\r\n");
    assert!(matches!(next_hop(&mut by_tel), Err(Refusal::Malformed(_))), "no matter of the URI");

    let route = |host: &str, port, transport| {
        let mut route = StaticRoute::new(Pattern::Open, host);
        (route.port, route.transport) = (port, transport);
        let next = NextHop::of_route(&route);
        (next.port, next.address().map(|hop| hop.address.to_string()))
    };
    assert_eq!(route("sbc.example", 0, Transport::Tcp), (None, None));
    assert_eq!(route("sbc.example", 5070, Transport::Tcp), (Some(5070), None));
    let v6 = route("[2001:db8::1]", 0, Transport::Tls);
    assert_eq!(v6, (Some(5061), Some("[2001:db8::1]:5061".into())));
}

#[test]
fn a_name_without_a_port_is_ours_at_whatever_port() {
    let mut config = config();
    config.listeners[0].address.set_port(15_060);
    config.listeners[0].advertised.1 = 15_060;
    let is_us = |host: &str, port| config.is_us(&Host::parse(&host.into()).expect("a host"), port);
    assert!(is_us("edge.corp.example", None));
    assert!(is_us("edge.corp.example", Some(15_060)));
    assert!(!is_us("edge.corp.example", Some(5060)));
    assert!(!is_us("127.0.0.1", None), "of an address that means 5060 (RFC 3261 §19.1.2)");
    assert!(is_us("127.0.0.1", Some(15_060)));
}

#[test]
fn our_listeners_are_known_in_each_form() {
    let config = config();
    for (transport, address, ours) in [
        (Transport::Udp, "127.0.0.1:5060", true),
        (Transport::Udp, "198.51.100.7:5060", true),
        (Transport::Udp, "192.0.2.1:5060", false),
        (Transport::Tcp, "[::1]:5080", true),
        (Transport::Tls, "[::1]:5080", true),
        (Transport::Udp, "[::1]:5080", false),
        (Transport::Tcp, "127.0.0.1:5060", false),
    ] {
        assert_eq!(config.is_own_listener(&hop(transport, address)), ours, "{address}");
    }
}

#[test]
fn the_hop_that_a_request_came_from_is_known_by_its_via_too() {
    let source = "192.0.2.10:41000".parse().expect("an address");
    let arrival = Arrival { source, transport: Transport::Tcp, flow: FlowId(1) };
    let from = |address| is_origin(&request(""), &arrival, &hop(Transport::Tcp, address));
    assert!(from("192.0.2.10:41000"));
    assert!(from("192.0.2.10:5062"));
    assert!(!from("192.0.2.10:5063"));
    assert!(!from("192.0.2.11:5062"));
}

#[test]
fn e37_the_loop_hash_covers_what_routes_a_request_but_not_its_method() {
    let hash = |message: &Message| loops::routing_hash(message);
    let base = request("");
    let mut other = base.clone();
    other.set_uri("sip:carol@partner.example");
    assert_ne!(hash(&base), hash(&other));
    assert_ne!(hash(&base), hash(&request("Route: <sip:a.example;lr>\r\n")));
    assert_ne!(hash(&base), hash(&request("Proxy-Require: x\r\n")));
    assert_eq!(hash(&base), hash(&request("Subject: x\r\n")));
    let cancel = Message::parse(Bytes::from(
        String::from_utf8_lossy(&base.to_bytes()).replace("INVITE", "CANCEL"),
    ));
    assert_eq!(hash(&base), hash(&cancel.expect("sound")));
}
