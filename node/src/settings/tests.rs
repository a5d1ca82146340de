use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::*;

/// Loads `text` as `openfed.toml`, with the environment `env`.
fn load(text: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    Settings::from_text(Some(Path::new("openfed.toml")), text, owned(env))
}

fn owned(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let pairs: Vec<_> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    pairs.into_iter()
}

fn faults(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let errors = load(text, env).expect_err("these settings have faults");
    errors.0.iter().map(ToString::to_string).collect()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}

const MINIMAL: &str = "[domains]\nlocal = [\"corp.example\"]\n";

#[test]
fn the_example_file_says_what_the_defaults_are() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/openfed.toml");
    let from_file = Settings::load(Some(&file), owned(&[])).expect("the example is valid");
    let address = "127.0.0.1:15269".parse().expect("an address");
    let mut expected = Settings { local: vec![domain("corp.example")], ..Settings::default() };
    expected.xmpp.home = vec![Home { domain: domain("corp.example"), address, names: None }];
    assert_eq!(from_file, expected);
}

#[test]
fn the_settings_of_the_containers_are_valid() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose/openfed.toml");
    let settings = load(&fs::read_to_string(file).expect("readable"), &[]).expect("valid");
    assert!(settings.xmpp.dns.is_some_and(|dns| dns.apart));
}

#[test]
fn passwords_go_over_the_network_in_the_clear_only_if_that_is_said() {
    let http = |more: &str| format!("{MINIMAL}[router]\nhttp = \"192.0.2.1:7480\"\n{more}");
    let told = faults(&http(""), &[]);
    let expected = "openfed.toml:4: router.http: passwords would go over the network in the clear";
    assert!(matches!(told.as_slice(), [one] if one.starts_with(expected)), "{told:?}");
    let said = load(&http("insecure_http = true\n"), &[]).expect("valid");
    assert!(said.router.insecure_http);
    let tls = "[router.tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n";
    assert!(load(&http(tls), &[]).expect("valid").router.tls.is_some());
    let half = faults(&http("insecure_http = true\n[router.tls]\nkey = \"a.key\"\n"), &[]);
    assert!(half[0].contains("router.tls.certificate"), "{half:?}");
}

#[test]
fn the_token_file_lies_beside_an_embedded_store_unless_another_is_named() {
    let file = |more: &str| load(&format!("{MINIMAL}{more}"), &[]).expect("valid").token_file();
    assert_eq!(file(""), Some(PathBuf::from("./openfed-data/admin.token")));
    assert_eq!(file("[store]\nurl = \"embedded:/x\"\n"), Some(PathBuf::from("/x/admin.token")));
    assert_eq!(file("[store]\nurl = \"redis://a:6379/0\"\n"), None);
    assert_eq!(file("[router]\ntoken_file = \"/y\"\n"), Some(PathBuf::from("/y")));
}

#[test]
fn the_example_file_names_every_key() {
    // Given the example with every commented key uncommented
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/openfed.toml");
    let text = fs::read_to_string(file).expect("the example");
    let is_key = |line: &str| {
        line.starts_with('[') && line.ends_with(']')
            || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let lines =
        text.lines().map(|line| line.strip_prefix("# ").filter(|l| is_key(l)).unwrap_or(line));
    let all = lines.collect::<Vec<_>>().join("\n");
    // When it is read, then it is still valid, and nothing optional is left unset
    let settings = load(&all, &[]).expect("valid with all keys");
    assert_eq!(settings.node.name.as_deref(), Some("site1"));
    let router = &settings.router;
    assert!(router.tls.is_some() && router.metrics.is_some() && router.token_file.is_some());
    assert!(settings.sip.advertise.is_some());
    let dns = settings.xmpp.dns.expect("the responder");
    assert!(dns.clients == value::private_ranges() && dns.servers.is_empty() && !dns.apart);
    assert_eq!(dns.http, SocketAddr::from((Ipv4Addr::LOCALHOST, 7483)));
    assert_eq!(settings.xmpp.allow.map(|allow| allow.len()), Some(2));
    for tls in [&settings.sip.tls, &settings.xmpp.tls] {
        assert!(tls.identity.is_some() && tls.ca.is_some());
    }
}

#[test]
fn all_faults_are_reported_at_once_with_file_line_and_key() {
    let text = r#"
[domains]
local = ["corp.example", "not a domain"]
[router]
link = "127.0.0.1"
[sip]
listen = ["sctp:0.0.0.0:5060"]
trusted = ["10.0.0.0/33"]
colour = "red"
[[xmpp.home]]
domain = "other.example"
[discovery]
xmpp_attempt_seconds = 90
table_cap = "many"
[wrong]
"#;
    let found = faults(text, &[("OPENFED__SIP__PORT", "1"), ("OPENFED__TELEMETRY__SAMPLE", "x")]);
    let expected = [
        "openfed.toml:3: domains.local: \"not a domain\" is not a domain",
        "openfed.toml:5: router.link: \"127.0.0.1\" is not an address with port",
        "openfed.toml:7: sip.listen: \"sctp:0.0.0.0:5060\" is not of the form udp|tcp|tls:",
        "openfed.toml:8: sip.trusted: \"10.0.0.0/33\" is not an address range",
        "openfed.toml:9: sip.colour: no such setting",
        "openfed.toml:10: xmpp.home.address: is missing",
        "openfed.toml:13: discovery.xmpp_attempt_seconds: 90 is not between 1 and 30",
        "openfed.toml:14: discovery.table_cap: expected a whole number, found string",
        "openfed.toml:15: wrong: no such setting",
        "OPENFED__TELEMETRY__SAMPLE: \"x\" is not a number",
        "OPENFED__SIP__PORT: no such setting",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} is not: {expected}");
    }
}

#[test]
fn a_broken_document_is_reported_with_its_line_and_nothing_else() {
    let found = faults("[domains]\nlocal = [\n\n[sip]\nlisten == 3\n", &[]);
    assert!(found.iter().all(|fault| fault.starts_with("openfed.toml:")), "{found:#?}");
}

#[test]
fn a_missing_file_is_one_fault_that_names_it() {
    let error = Settings::load(Some(Path::new("/no/such/openfed.toml")), owned(&[]));
    let text = error.expect_err("no file").to_string();
    assert!(text.starts_with("/no/such/openfed.toml: cannot read the settings"), "{text}");
}

#[test]
fn the_environment_overrides_the_file() {
    let env = [
        ("OPENFED__DOMAINS__LOCAL", "a.example, b.example"),
        ("OPENFED__ROUTER__HTTP", "127.0.0.2:1"),
        ("OPENFED__XMPP__DNS__LISTEN", "127.0.0.1:53"),
        ("OPENFED__XMPP__DNS__ANSWER", "10.0.0.9"),
        ("OPENFED__XMPP__FEDERATION", "false"),
        ("OPENFED__XMPP__MESSAGE_TYPE", "chat"),
        ("OPENFED__DISCOVERY__RATE_PER_NODE", "7"),
        ("OPENFED__TELEMETRY__SAMPLE", "0.25"),
        ("OPENFED__SIP__TRUSTED", ""),
        ("OPENFED_OTHER", "not ours"),
        ("PATH", "/bin"),
    ];
    let settings = load("[router]\nhttp = \"127.0.0.1:9\"\n[domains]\nlocal=[\"c.example\"]", &env);
    let settings = settings.expect("valid");
    assert_eq!(settings.local, [domain("a.example"), domain("b.example")]);
    assert_eq!(settings.router.http.to_string(), "127.0.0.2:1");
    let dns = settings.xmpp.dns.expect("switched on by the environment");
    assert_eq!(dns.answer, DnsAnswer::Address(Ipv4Addr::new(10, 0, 0, 9).into()));
    assert!(!settings.xmpp.federation && settings.sip.trusted.is_empty());
    assert_eq!(settings.xmpp.message_type, MessageType::Chat);
    assert_eq!(settings.discovery.rate_per_node, 7);
    assert!((settings.telemetry.sample - 0.25).abs() < f64::EPSILON);
}

#[test]
fn lists_of_tables_cannot_come_from_the_environment() {
    let found = faults(MINIMAL, &[("OPENFED__XMPP__HOME__DOMAIN", "corp.example")]);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("lists of tables can only be set in the file"), "{}", found[0]);
}

#[test]
fn keys_that_belong_together_are_asked_for_together() {
    let text = format!(
        "{MINIMAL}[cm]\nrouters = []\n[sip]\nlisten = [\"tls:0.0.0.0:5061\"]\n\
         [sip.tls]\ncertificate = \"a.pem\"\n\
         [[xmpp.home]]\ndomain = \"Corp.Example.\"\naddress = \"h:1\"\n\
         [[xmpp.home]]\ndomain = \"corp.example\"\naddress = \"h:1\"\n\
         [[xmpp.home]]\ndomain = \"b.example\"\naddress = \"h:1\"\n"
    );
    let found = faults(&text, &[]);
    let expected = [
        "sip.tls.key: certificate and key go together",
        "cm.routers: name at least one router",
        "sip.listen: a tls: listener needs",
        "xmpp.home.domain: corp.example has two home servers",
        "xmpp.home.domain: b.example is not one of domains.local",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found} is not: {expected}");
    }
}

#[test]
fn an_empty_list_of_allowed_domains_allows_none_and_no_list_allows_all() {
    let allow = |text: &str, env: &[_]| {
        let settings = load(&format!("{MINIMAL}[xmpp]\n{text}"), env).expect("valid");
        settings.xmpp.allow.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(allow("", &[]), None);
    assert_eq!(allow("allow = []", &[]), Some(vec![]));
    let both = Some(vec!["a.example".to_owned(), "*.b.example".to_owned()]);
    assert_eq!(allow("allow = [\"A.example\", \"*.b.example\"]", &[]), both);
    assert_eq!(allow("", &[("OPENFED__XMPP__ALLOW", "a.example, *.b.example")]), both);
    assert_eq!(allow("allow = [\"x.example\"]", &[("OPENFED__XMPP__ALLOW", "")]), Some(vec![]));
    let found = faults(&format!("{MINIMAL}[xmpp]\ndeny = [\"a*.example\"]"), &[]);
    assert!(
        found[0].contains("xmpp.deny: \"a*.example\" is not a domain or *.domain"),
        "{found:?}"
    );
}

#[test]
fn no_local_domain_is_a_fault() {
    assert_eq!(faults("", &[]), ["domains.local: name at least one domain of yours"]);
}

#[test]
fn a_misspelt_log_level_is_not_taken_for_a_target() {
    let found = faults(MINIMAL, &[("OPENFED__TELEMETRY__LOG", "verbose")]);
    assert!(found[0].starts_with("OPENFED__TELEMETRY__LOG: \"verbose\" is not a level"));
    load(MINIMAL, &[("OPENFED__TELEMETRY__LOG", "info,xcp_router=debug")]).expect("a list");
}

#[test]
fn a_password_in_the_store_url_is_never_shown() {
    let env = [("OPENFED__STORE__URL", "redis://openfed:hunter2@redis.internal:6379/3")];
    let settings = load(MINIMAL, &env).expect("valid");
    assert_eq!(settings.store.to_string(), "redis://redis.internal:6379/3");
    assert!(!format!("{settings:?}").contains("hunter2"));
    // Nor when the address is at fault.
    for wrong in
        ["redis://a:hunter2@host:99999/0", "http://a:hunter2@b", "redis+sentinel://:hunter2@b"]
    {
        let found = faults(MINIMAL, &[("OPENFED__STORE__URL", wrong)]);
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
    let found = faults(MINIMAL, &[("OPENFED__TELEMETRY__OTLP", "http://a:hunter2@b:1")]);
    assert!(!found.concat().contains("hunter2"), "{found:?}");
}

#[test]
fn a_node_is_named_after_its_place_and_role() {
    let mut settings = Settings::default();
    assert!(settings.node_name(Role::Router).ends_with("-xcp-router"));
    settings.node.name = Some("site1".into());
    assert_eq!(settings.node_name(Role::SipCm), "site1-sip-cm");
}

#[test]
fn address_ranges_hold_their_addresses_and_no_others() {
    let cases = [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false),
        ("::/0", "2001:db8::1", true),
        ("::1", "::1", true),
    ];
    for (range, address, expected) in cases {
        let range: Cidr = range.parse().expect("a range");
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(range.contains(address), expected, "{range} and {address}");
    }
}

#[test]
fn hosts_with_ports_are_read_as_people_write_them() {
    for good in ["home.example:5269", "127.0.0.1:1", "[::1]:5269", "HOST:5"] {
        let host: HostPort = good.parse().expect(good);
        assert_eq!(host.to_string(), good.to_ascii_lowercase());
    }
    for bad in [
        "home.example",
        "home.example:0",
        ":5",
        "::1:5",
        "[::1:5",
        "a b:5",
        "user@host:5",
        "h:99999",
    ] {
        assert!(bad.parse::<HostPort>().is_err(), "{bad}");
    }
    for (bad, why) in [
        ("999.1.1.1:5269", "ends in a number"),
        ("127.1:5269", "ends in a number"),
        ("0.0.0.0:5269", "nothing can be sent there"),
        ("[::]:5269", "nothing can be sent there"),
        ("224.0.0.1:5269", "multicast"),
    ] {
        let error = bad.parse::<HostPort>().expect_err(bad);
        assert!(error.contains(bad) && error.contains(why), "{error}");
    }
    for bad in ["999.1.1.1", "0.0.0.0", "::", "ff02::1"] {
        assert!(bad.parse::<DnsAnswer>().is_err(), "{bad}");
    }
    let url: HttpUrl = "http://[::1]:7400/".parse().expect("a URL");
    assert_eq!(url.0.socket_addr(), Some("[::1]:7400".parse().expect("an address")));
    assert!("https://router:7400".parse::<HttpUrl>().is_err());
}

#[test]
fn a_responder_answers_with_an_address_or_a_name() {
    let name = |text: &str| DnsAnswer::Name(text.to_owned());
    assert_eq!("2001:db8::7".parse(), Ok(DnsAnswer::Address("2001:db8::7".parse().expect("v6"))));
    assert_eq!("XMPP-cm".parse(), Ok(name("xmpp-cm")));
    assert_eq!("project_xmpp-cm_1".parse(), Ok(name("project_xmpp-cm_1")));
    // The final dot keeps search lists out
    assert_eq!("xmpp-cm.openfed.svc.".parse(), Ok(name("xmpp-cm.openfed.svc.")));
    let long = "x".repeat(64);
    for bad in ["10.0.0.300", "10.0.0", "a..b", ".", "-a b", "a:5", "[::1]", long.as_str()] {
        assert!(bad.parse::<DnsAnswer>().is_err(), "{bad}");
    }
}

#[test]
fn a_responder_answers_private_networks_unless_told_whom() {
    let dns = |more: &str| {
        let text =
            format!("{MINIMAL}[xmpp.dns]\nlisten = \"[::]:53\"\nanswer = \"xmpp-cm\"\n{more}");
        load(&text, &[]).expect("valid").xmpp.dns.expect("there")
    };
    let answered = |clients: &[Cidr], who: &str| {
        let who = who.parse().expect("an address");
        clients.iter().any(|range| range.contains(who))
    };
    let private = dns("");
    assert!(!private.apart && private.http.to_string() == "127.0.0.1:7483");
    for near in ["127.0.0.1", "10.1.2.3", "172.31.0.2", "192.168.1.1", "169.254.1.1", "::1"] {
        assert!(answered(&private.clients, near), "{near}");
    }
    for near in ["fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
        assert!(answered(&private.clients, near), "{near}");
    }
    for far in ["192.0.2.1", "8.8.8.8", "172.32.0.1", "2001:db8::1", "::2", "::ffff:8.8.8.8"] {
        assert!(!answered(&private.clients, far), "{far}");
    }
    let one = dns("clients = [\"192.0.2.1\"]");
    assert!(answered(&one.clients, "192.0.2.1") && !answered(&one.clients, "127.0.0.1"));
}

#[test]
fn store_urls_of_both_kinds_are_read() {
    let embedded: StoreUrl = "embedded:/var/lib/openfed".parse().expect("embedded");
    assert_eq!(embedded, StoreUrl::Embedded(PathBuf::from("/var/lib/openfed")));
    assert!(matches!("rediss://h:1/0".parse(), Ok(StoreUrl::Redis(_))));
    let sentinels: StoreUrl = "redis+sentinel://:pw@a:1,b:2/main/0".parse().expect("sentinels");
    assert_eq!(sentinels.to_string(), "redis+sentinel://a:1,b:2/main/0");
    assert!("redis+sentinel://a:1,b:2".parse::<StoreUrl>().is_err_and(|it| it.contains("NAME")));
    assert!("embedded:".parse::<StoreUrl>().is_err());
}
