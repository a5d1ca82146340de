//! The peers without openfed: what the live tests stand on does work.

use std::time::Duration;

use hickory_proto::rr::RecordType;
use openfed_tests::dns::DnsServer;
use openfed_tests::ejabberd::Ejabberd;
use openfed_tests::kamailio::{Challenge, Kamailio};
use openfed_tests::place::{Host, Place};
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::redis::Redis;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::{Reply, SipPeer};
use openfed_tests::sipp::Sipp;
use openfed_tests::{Failure, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A DNS server that knows where the server of `domain` is.
async fn dns_with(place: &Place, server: Host, domains: &[(&str, Host)]) -> Result<DnsServer> {
    let dns = DnsServer::start(place.at(server, 53)).await?;
    for (domain, host) in domains {
        let target = format!("xmpp.{domain}");
        dns.srv(&format!("_xmpp-server._tcp.{domain}"), 0, 0, 5269, &target)?;
        dns.host(&target, place.ip(*host));
    }
    Ok(dns)
}

#[test]
fn two_prosodies_federate_through_the_dns_of_the_tests() {
    play(async |place| {
        let domains = [("corp.example", Host::Home), ("foreign.example", Host::Foreign)];
        let dns = dns_with(place, Host::Dns, &domains).await?;
        let lookup = Lookup::Home(dns.address());
        let home = Prosody::start(place, Host::Home, "corp.example", &["alice"], lookup).await?;
        let lookup = Lookup::Elsewhere(dns.address());
        let foreign =
            Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup).await?;
        let alice = home.login("alice").await?;
        let bob = foreign.login("bob").await?;

        alice.say("bob@foreign.example", "over there?")?;
        let heard = bob.hears("over there?").await?;
        assert!(heard.attr("from").is_some_and(|from| from.starts_with("alice@corp.example/")));
        bob.say("alice@corp.example", "and back")?;
        alice.hears("and back").await?;

        assert!(dns.queries_about("_xmpp-server._tcp.foreign.example") > 0);
        let lost = alice.say("bob@nowhere.example", "hello?")?;
        assert_eq!(alice.condition_of(&lost, SOON).await?, "remote-server-not-found");
        Ok(())
    });
}

#[test]
fn ejabberd_serves_its_users_and_finds_foreign_domains_by_the_shipped_files() {
    play(async |place| {
        let domains = [("corp.example", Host::Home), ("foreign.example", Host::Foreign)];
        let dns = dns_with(place, Host::Dns, &domains).await?;
        let users = ["alice", "carol"];
        let home = Ejabberd::start(place, Host::Home, "corp.example", &users, dns.address());
        let lookup = Lookup::Elsewhere(dns.address());
        let foreign = Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup);
        let (home, foreign) = tokio::try_join!(home, foreign)?;
        let alice = home.login("alice").await?;
        let carol = home.login("carol").await?;
        let bob = foreign.login("bob").await?;

        alice.say("carol@corp.example", "inside")?;
        carol.hears("inside").await?;
        alice.say("bob@foreign.example", "over there?")?;
        bob.hears("over there?").await?;
        bob.say("alice@corp.example", "and back")?;
        alice.hears("and back").await?;
        Ok(())
    });
}

#[test]
fn sipp_reaches_sipp_through_kamailio() {
    play(async |place| {
        let (hop, far) = (place.at(Host::NextHop, 5060), place.at(Host::SipPeer, 5060));
        let _kamailio = Kamailio::start(place, hop, far, Challenge::None).await?;
        let keys = [("status", "200"), ("reason", "OK")];
        let server = Sipp::server(place, "message_server.xml", far, &keys).await?;
        let near = place.at(Host::SecondSipPeer, 5060);
        let (to, from) = ("sip:bob@unknown.example", "sip:alice@corp.example");
        let keys = [("to", to), ("from", from), ("text", "by proxy")];
        let client = Sipp::client(place, "message_client.xml", near, hop, 3, &keys)?;

        client.succeeds(SOON).await?;
        assert!(server.messages()?.contains("by proxy"));
        Ok(())
    });
}

#[test]
fn sipp_notices_a_refusal() {
    play(async |place| {
        let far = place.at(Host::SipPeer, 5060);
        let keys = [("status", "404"), ("reason", "Not Found")];
        let _server = Sipp::server(place, "message_server.xml", far, &keys).await?;
        let near = place.at(Host::SecondSipPeer, 5060);
        let keys = [("to", "sip:b@x.example"), ("from", "sip:a@y.example"), ("text", "hello")];
        let client = Sipp::client(place, "message_client.xml", near, far, 1, &keys)?;
        assert!(client.succeeds(SOON).await.is_err());
        Ok(())
    });
}

#[test]
fn a_challenging_kamailio_refuses_who_shows_no_credentials() {
    play(async |place| {
        let (hop, far) = (place.at(Host::NextHop, 5060), place.at(Host::SipPeer, 5060));
        let far = SipPeer::start(far).await?;
        let _kamailio = Kamailio::start(place, hop, far.address()?, Challenge::Proxy).await?;
        let near = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        let message = Outgoing::message("sip:a@corp.example", "sip:b@x.example", "who am I");
        let response = near.send(&message, hop).await?;
        assert_eq!(response.status(), Some(407));
        let asked = response.header("Proxy-Authenticate").unwrap_or_default();
        assert!(asked.contains("realm=\"next-hop.example\""), "{asked}");
        assert_eq!(far.requests.all().len(), 0);
        Ok(())
    });
}

#[test]
fn a_sip_peer_answers_as_told_and_retransmissions_make_up_for_loss() {
    play(async |place| {
        let far = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
        let near = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        far.answer_by(|request| match request.body.as_str() {
            "no" => Reply::Status(480, "Temporarily Unavailable"),
            _ => Reply::Status(200, "OK"),
        });
        far.lose(30, 42);
        let target = far.address()?;
        for text in ["no", "yes", "perhaps"] {
            let message = Outgoing::message("sip:a@corp.example", "sip:b@x.example", text);
            let response = near.send(&message, target).await?;
            assert_eq!(response.status(), Some(if text == "no" { 480 } else { 200 }));
        }
        let bodies = far.requests.all().into_iter().map(|request| request.body);
        assert_eq!(bodies.collect::<Vec<_>>(), ["no", "yes", "perhaps"]);
        Ok(())
    });
}

#[test]
fn redis_hangs_goes_on_dies_and_comes_back_with_its_data() {
    play(async |place| {
        async fn ask(redis: &Redis, command: &str) -> Result<String> {
            let mut stream = TcpStream::connect(redis.address()).await?;
            stream.write_all(command.as_bytes()).await?;
            let mut answer = [0; 64];
            let length = timeout(Duration::from_millis(500), stream.read(&mut answer)).await??;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        }
        let redis = Redis::start(place).await?;
        assert_eq!(ask(&redis, "SET row 1\r\n").await?, "+OK\r\n");
        redis.freeze()?;
        assert!(ask(&redis, "PING\r\n").await.is_err());
        redis.thaw()?;
        assert_eq!(ask(&redis, "PING\r\n").await?, "+PONG\r\n");
        let address = redis.address();
        redis.kill().await?;
        assert!(TcpStream::connect(address).await.is_err());
        let redis = Redis::start(place).await?;
        assert_eq!(ask(&redis, "GET row\r\n").await?, "$1\r\n1\r\n");
        Ok(())
    });
}

#[test]
fn the_dns_of_the_tests_answers_what_it_has_and_counts_who_was_asked_for() {
    play(async |place| {
        let dns = dns_with(place, Host::Dns, &[("foreign.example", Host::Foreign)]).await?;
        async fn dig(dns: &DnsServer, arguments: &[&str]) -> Result<String> {
            let server = format!("@{}", dns.address().ip());
            let mut command = tokio::process::Command::new("dig");
            let output = command.arg(server).args(["+time=1", "+tries=1"]).args(arguments).output();
            Ok(String::from_utf8_lossy(&output.await?.stdout).into_owned())
        }
        let srv = dig(&dns, &["+short", "_xmpp-server._tcp.foreign.example", "SRV"]).await?;
        assert_eq!(srv.trim(), "0 0 5269 xmpp.foreign.example.");
        let host = dig(&dns, &["+short", "+tcp", "xmpp.foreign.example", "A"]).await?;
        assert_eq!(host.trim(), place.ip(Host::Foreign).to_string());
        assert!(dig(&dns, &["foreign.example", "A"]).await?.contains("status: NOERROR"));
        assert!(dig(&dns, &["unknown.example", "A"]).await?.contains("status: NXDOMAIN"));
        assert_eq!(dns.queries_about("foreign.example"), 3);
        let asked = ("unknown.example".to_owned(), RecordType::A);
        assert!(dns.queries().contains(&asked));
        dns.silence(true);
        assert!(dig(&dns, &["foreign.example", "A"]).await?.contains("timed out"));
        Ok(())
    });
}

#[test]
fn a_failure_says_what_was_waited_for() {
    let seen = openfed_tests::seen::Seen::<u8>::default();
    let waiting = seen.wait_for("seven", Duration::from_millis(1), |item| *item == 7);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let failure = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(waiting));
    assert_eq!(format!("{failure:?}"), "Err(no seven within 1ms)");
}

#[test]
fn the_peers_themselves_carry_ten_thousand_messages_with_one_datagram_in_twenty_lost() {
    play(async |place| {
        let far = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
        let near = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        far.lose(5, 3);
        let (near, target) = (&near, far.address()?);
        let people = (0..100).map(|person| async move {
            let to = format!("sip:person{person}@x.example");
            for number in 0..100 {
                let text = format!("number {number}");
                near.send(&Outgoing::message("sip:a@corp.example", &to, &text), target).await?;
            }
            Ok::<_, Failure>(())
        });
        futures_util::future::try_join_all(people).await?;
        assert_eq!(far.requests.all().len(), 10_000);

        let lookup = Lookup::Elsewhere(place.at(Host::Dns, 53));
        let users = ["alice", "carol"];
        let home = Prosody::start(place, Host::Home, "corp.example", &users, lookup).await?;
        let (alice, carol) = (home.login("alice").await?, home.login("carol").await?);
        let texts: Vec<_> = (0..10_000).map(|number| format!("number {number}")).collect();
        for text in &texts {
            alice.say("carol@corp.example", text)?;
        }
        carol.hears("number 9999").await?;
        assert_eq!(carol.heard_from("alice@corp.example"), texts);
        Ok(())
    });
}
