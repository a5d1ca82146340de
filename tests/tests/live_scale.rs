//! Twenty thousand rows at once: imported under traffic, on all nodes, listed, removed, exported. How
//! fast a million are, `benches/state.rs` measures.

use std::net::SocketAddr;
use std::path::PathBuf;

use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::redis::Redis;
use openfed_tests::scene::play;
use openfed_tests::second::{self, Second};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::{Failure, Result, http};
use serde_json::Value;

const ROWS: usize = 20_000;
/// One of them.
const ONE: &str = "host12345.number5.example";
const TABLE: &str = "/api/v1/sip-domains";

fn name(number: usize) -> String {
    format!("host{number}.number{}.example", number % 10)
}

fn names() -> Vec<String> {
    let mut names: Vec<_> = (0..ROWS).map(name).collect();
    names.sort_unstable();
    names
}

/// A file as an operator may have it: any order, a second column, quoted fields.
fn write_file(place: &Place) -> Result<PathBuf> {
    let file = place.directory("table")?.join("domains.csv");
    let lines =
        (0..ROWS).map(|number| format!("\"number {number}, of many\",{}\r\n", name(number)));
    let text: String = std::iter::once("description,domain\r\n".to_owned()).chain(lines).collect();
    std::fs::write(&file, text)?;
    Ok(file)
}

async fn page(api: SocketAddr, query: &str) -> Result<Value> {
    http::get(api, &format!("{TABLE}?{query}")).await?.json()
}

async fn has_all(api: SocketAddr) -> Result<()> {
    let has = until(async || page(api, "limit=1").await.is_ok_and(|page| page["total"] == ROWS));
    has.await.map_err(|_| Failure::new(format!("{api} never had all rows")))
}

/// All names, page by page.
async fn walk(api: SocketAddr, search: &str) -> Result<Vec<String>> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(api, &format!("limit=1000&search={search}{cursor}")).await?;
        let items = page["items"].as_array().into_iter().flatten();
        names.extend(items.filter_map(|row| row["domain"].as_str().map(str::to_owned)));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(names),
        }
    }
}

async fn status(trusted: &SipPeer, openfed: &Openfed, domain: &str) -> Result<u16> {
    let from = format!("sip:alice@{LOCAL}");
    let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "is it known?");
    Ok(trusted.send(&message, openfed.sip()).await?.status().unwrap_or_default())
}

/// What holds with either store.
async fn fills(place: &Place, openfed: &Openfed, trusted: &SipPeer) -> Result<()> {
    let hop = place.at(Host::NextHop, 5060);
    openfed.open_towards(hop).await?;
    openfed.command(&["route", "block", ".*"]).await?;
    openfed.command(&["domain", "add", "known.example"]).await?;
    assert_eq!(status(trusted, openfed, ONE).await?, 404);

    let file = write_file(place)?;
    let file = file.to_string_lossy();
    let import = ["domain", "import", &file];
    // Messages pass while rows come.
    let (told, passed) = tokio::join!(openfed.command(&import), async {
        for _ in 0..50 {
            assert_eq!(status(trusted, openfed, "known.example").await?, 200);
        }
        Ok::<_, Failure>(())
    });
    passed?;
    let counted = format!("Of {ROWS} rows, {ROWS} added, 0 made configured, 0 left as they are.\n");
    assert_eq!(told?, counted);
    openfed.command(&["domain", "remove", "known.example"]).await?;
    has_all(openfed.api()).await?;
    assert_eq!(status(trusted, openfed, ONE).await?, 200);
    let again = openfed.command(&import).await?;
    assert!(again.contains(&format!("{ROWS} left as they are")), "{again}");

    assert_eq!(walk(openfed.api(), "").await?, names());
    let search: Vec<_> = names().into_iter().filter(|name| name.contains("99.number")).collect();
    assert_eq!(walk(openfed.api(), "99.number").await?, search);
    let exported = openfed.command(&["domain", "export"]).await?;
    let line = format!("\r\n{ONE},\"number 12345, of many\",configured,");
    assert!(exported.contains(&line), "{}", &exported[..200]);
    let domains = exported.lines().skip(1).filter_map(|line| line.split(',').next());
    assert_eq!(domains.collect::<Vec<_>>(), names());
    Ok(())
}

#[test]
fn twenty_thousand_rows_are_on_both_routers_and_a_removed_one_nowhere() {
    play(async |place| {
        let redis = Redis::start(place).await?;
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let setup = Setup {
            dns: Some(dns.address()),
            store: redis.url(),
            apart: true,
            routers: vec![second::router_url(place)],
            ..Setup::default()
        };
        let openfed = Openfed::start(place, &setup).await?;
        let router = Second::start(place, &openfed, "xcp-router").await?;
        let (_hop, trusted) = peers(place).await?;
        fills(place, &openfed, &trusted).await?;
        has_all(router.http).await?;
        assert_eq!(walk(router.http, "").await?, names());

        // Its lease in the near cache of sip-cm ends, too.
        openfed.command(&["domain", "remove", ONE]).await?;
        let gone =
            async || page(router.http, "limit=1").await.is_ok_and(|it| it["total"] == ROWS - 1);
        until(gone).await?;
        let stopped = async || status(&trusted, &openfed, ONE).await.is_ok_and(|code| code == 404);
        until(stopped).await?;

        // A router that starts late has them all by a snapshot.
        drop(router);
        let late = Second::start(place, &openfed, "xcp-router").await?;
        assert_eq!(page(late.http, "limit=1").await?["total"], ROWS - 1);
        Ok(())
    });
}

#[test]
fn twenty_thousand_rows_are_kept_by_the_embedded_store() {
    play(async |place| {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let setup = Setup { dns: Some(dns.address()), ..Setup::default() };
        let openfed = Openfed::start(place, &setup).await?;
        let (_hop, trusted) = peers(place).await?;
        fills(place, &openfed, &trusted).await?;
        openfed.stop().await?;
        let openfed = Openfed::start(place, &setup).await?;
        assert_eq!(walk(openfed.api(), "").await?, names());
        assert_eq!(status(&trusted, &openfed, ONE).await?, 200);
        Ok(())
    });
}

async fn peers(place: &Place) -> Result<(SipPeer, SipPeer)> {
    let hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
    let trusted = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
    Ok((hop, trusted))
}
