//! What a large domain table costs: how long it takes to import, to start with, to look up, to list,
//! and until a removed row is gone everywhere.
//!
//! `cargo build --release --bins && cargo bench -p openfed-tests --bench state`, as root like the live
//! tests. OPENFED_ROWS is the number of rows (1,000,000).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::route::Origin;
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup, program};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::redis::Redis;
use openfed_tests::scene::play;
use openfed_tests::second::{self, Second};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::{Failure, Result, http};
use tokio::process::Command;
use xcp_router_core::Rows;

/// How often each page is asked for, and how many rows are removed.
const TIMES: usize = 20;
const TABLE: &str = "/api/v1/sip-domains";

fn name(number: usize) -> String {
    format!("host{number:07}.example{}.org", number % 50)
}

fn main() {
    let rows = std::env::var("OPENFED_ROWS").ok().and_then(|text| text.parse().ok());
    let rows: usize = rows.unwrap_or(1_000_000);
    print_line(&format!("{:<34} {rows} rows", "lookup in the router's table"), &look_up(rows));
    play(async |place| {
        let redis = Redis::start(place).await?;
        measure(place, "Redis", redis.url(), rows).await
    });
    play(async |place| measure(place, "embedded", String::new(), rows).await);
}

/// The mean time of a lookup, of known and of unknown names in turns, in no order.
fn look_up(rows: usize) -> String {
    let domains: Vec<Domain> =
        (0..2 * rows).filter_map(|number| Domain::parse(&name(number)).ok()).collect();
    let mut table = Rows::new(7);
    table.extend(domains.iter().take(rows).map(|it| (it.clone(), Origin::Discovered)));
    let started = Instant::now();
    let mut found = 0;
    let (mut at, step) = (0, 7_919 * 31);
    for _ in 0..2_000_000 {
        at = (at + step) % domains.len();
        found += usize::from(domains.get(at).is_some_and(|it| table.get(it).is_some()));
    }
    let mean = started.elapsed() / 2_000_000;
    format!("{} ns, {} % known", mean.as_nanos(), found / 20_000)
}

/// One store, from nothing to all rows and back by a few.
async fn measure(place: &Place, store: &str, url: String, rows: usize) -> Result<()> {
    let shared = !url.is_empty();
    let routers = if shared { vec![second::router_url(place)] } else { Vec::new() };
    let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
    let setup = Setup {
        store: url,
        dns: Some(dns.address()),
        routers,
        apart: true,
        log: Some("info"),
        ..Setup::default()
    };
    let mut openfed = Openfed::start(place, &setup).await?;
    let print = |what: &str, value: &str| print_line(&format!("{store:<9} {what}"), value);
    let _hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
    openfed.open_towards(place.at(Host::NextHop, 5060)).await?;
    openfed.command(&["route", "block", ".*"]).await?;
    print("memory of the router, empty", &megabytes(&openfed)?);

    let file = place.directory("table")?.join("domains.csv");
    let lines: String = (0..rows).map(|number| name(number * 7_919 % rows) + ",\n").collect();
    std::fs::write(&file, format!("domain,description\n{lines}"))?;
    drop(lines);
    let took = run(&openfed, &["domain", "import", &file.to_string_lossy()]).await?;
    print("import, checked before", &rate(rows, took));
    let took = run(&openfed, &["domain", "export", &file.to_string_lossy()]).await?;
    print("export", &rate(rows, took));
    has(openfed.api(), rows).await?;
    print("memory of the router, imported", &megabytes(&openfed)?);

    openfed.kill("xcp-router").await?;
    let started = Instant::now();
    openfed.start_service(place, "xcp-router")?;
    openfed.is_ready().await?;
    print("start until ready with all rows", &format!("{:.2} s", started.elapsed().as_secs_f64()));
    has(openfed.api(), rows).await?;
    print("memory of the router, started", &megabytes(&openfed)?);

    for (what, query) in [
        ("first page", String::new()),
        ("deep page", format!("?cursor={}", name(rows / 10 * 7))),
        ("search, one found", format!("?search={}", name(rows / 3))),
        ("search, all found", "?search=example".to_owned()),
        ("search, none found", "?search=nowhere".to_owned()),
    ] {
        let mut took = Vec::new();
        for _ in 0..TIMES {
            let started = Instant::now();
            http::get(openfed.api(), &format!("{TABLE}{query}")).await?;
            took.push(started.elapsed());
        }
        print(what, &p50_p99(took));
    }
    let second = match shared {
        true => Some(Second::start(place, &openfed, "xcp-router").await?),
        false => None,
    };
    removals(place, &openfed, second.as_ref(), print).await
}

/// From the wish to remove a row until nobody goes by it any more.
async fn removals(
    place: &Place,
    openfed: &Openfed,
    second: Option<&Second>,
    print: impl Fn(&str, &str),
) -> Result<()> {
    let trusted = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
    let (mut here, mut there, mut at_the_edge) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..TIMES {
        let domain = name(number);
        if status(&trusted, openfed, &domain).await? != 200 {
            return Err(Failure::new(format!("{domain} is not known")));
        }
        let started = Instant::now();
        let path = format!("{TABLE}/{domain}");
        let (removed, own, other, edge) = tokio::join!(
            http::call(openfed.api(), "DELETE", &path, None),
            forgotten(openfed.api(), &domain, started),
            async {
                match second {
                    Some(second) => forgotten(second.http, &domain, started).await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                loop {
                    let asked = started.elapsed();
                    if status(&trusted, openfed, &domain).await? != 200 {
                        return Ok::<_, Failure>(asked);
                    }
                }
            }
        );
        removed?;
        here.push(own?);
        there.extend(other?);
        at_the_edge.push(edge?);
    }
    print("removal, on the router asked", &p50_p99(here));
    if !there.is_empty() {
        print("removal, on the other router", &p50_p99(there));
    }
    print("removal, at sip-cm", &p50_p99(at_the_edge));
    Ok(())
}

/// When a router decides by the removal, which it says when it explains.
async fn forgotten(api: SocketAddr, domain: &str, started: Instant) -> Result<Duration> {
    loop {
        let asked = started.elapsed();
        let answer = http::get(api, &format!("/api/v1/explain/{domain}")).await?.json()?;
        if answer["decision"] != "configured" {
            return Ok(asked);
        }
    }
}

async fn status(trusted: &SipPeer, openfed: &Openfed, domain: &str) -> Result<u16> {
    let from = format!("sip:alice@{LOCAL}");
    let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "known?");
    Ok(trusted.send(&message, openfed.sip()).await?.status().unwrap_or_default())
}

async fn has(api: SocketAddr, rows: usize) -> Result<()> {
    until(async || {
        let page = http::get(api, &format!("{TABLE}?limit=1")).await;
        page.is_ok_and(|page| page.json().is_ok_and(|page| page["total"] == rows))
    })
    .await
}

/// Runs a command for as long as it takes.
async fn run(openfed: &Openfed, arguments: &[&str]) -> Result<Duration> {
    let (api, started) = (format!("http://{}", openfed.api()), Instant::now());
    let mut command = Command::new(program("openfed")?);
    command.args(arguments).args(["--api", &api]).env("OPENFED_TOKEN", http::TOKEN);
    let done = command.kill_on_drop(true).output().await?;
    if !done.status.success() {
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(Failure::new(format!("openfed {arguments:?}: {error}")));
    }
    Ok(started.elapsed())
}

fn megabytes(openfed: &Openfed) -> Result<String> {
    let router = openfed.processes().find(|(name, _)| *name == "xcp-router");
    let (_, router) = router.ok_or_else(|| Failure::new("no router runs"))?;
    Ok(format!("{} MB", router.resident_kb()? / 1_000))
}

fn rate(rows: usize, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("{seconds:.1} s, {:.0} rows/s", rows as f64 / seconds)
}

fn p50_p99(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    format!("p50 {:.1} ms, p99 {:.1} ms", milliseconds(at(50)), milliseconds(at(99)))
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn print_line(what: &str, value: &str) {
    println!("{what:<44} {value}");
}
