//! What the console's table costs with a large domain table, by the browser's own clock: from the
//! request until the answer is there, and until the page stands.
//!
//! `cargo build --release --bins && cargo bench -p openfed-tests --bench console`, as root like the
//! live tests, after `tests/run packages`. OPENFED_ROWS is the number of rows (1,000,000).

use std::time::{Duration, Instant};

use openfed_tests::browser::Browser;
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{Openfed, Setup, program};
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::play_within;
use openfed_tests::{Failure, Result, http};
use serde_json::json;
use tokio::process::Command;

/// How often each page is opened.
const TIMES: usize = 20;
/// An import of a million rows takes its time.
const LIMIT: Duration = Duration::from_secs(900);
const PASSWORD: &str = "correct horse battery";

fn name(number: usize) -> String {
    format!("host{number:07}.example{}.org", number % 50)
}

fn main() {
    let rows = std::env::var("OPENFED_ROWS").ok().and_then(|text| text.parse().ok());
    play_within(LIMIT, async |place| measure(place, rows.unwrap_or(1_000_000)).await);
}

async fn measure(place: &Place, rows: usize) -> Result<()> {
    let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
    let setup =
        Setup { dns: Some(dns.address()), apart: true, log: Some("info"), ..Setup::default() };
    let openfed = Openfed::start(place, &setup).await?;
    import(place, &openfed, rows).await?;
    print_line("memory of the router, imported", &megabytes(&openfed)?);
    let user = json!({ "name": "ada", "role": "viewer", "password": PASSWORD });
    http::call(openfed.api(), "POST", "/api/v1/users", Some(&user)).await?;
    let browser = Browser::start(place, openfed.api()).await?;
    browser.open("/login").await?;
    browser.fill("#name", "ada").await?;
    browser.fill("#password", PASSWORD).await?;
    browser.choose("Log in").await?;
    browser.shows("h1", "Overview").await?;
    for (what, query) in [
        ("first page", String::new()),
        ("deep page", format!("?cursor={}", name(rows / 10 * 7))),
        ("search, one found", format!("?search={}", name(rows / 3))),
        ("search, all found", "?search=example".to_owned()),
        ("search, none found", "?search=nowhere".to_owned()),
        ("search, 1,000 found, sorted by hits", "?search=host0000&sort=-hits".to_owned()),
    ] {
        let (mut answers, mut pages) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let (answer, page) = open(&browser, &format!("/federation/sip{query}")).await?;
            answers.push(answer);
            pages.push(page);
        }
        let value = format!("answer {}; page {}", p50_p99(answers), p50_p99(pages));
        print_line(what, &value);
    }
    print_line("memory of the router, looked at", &megabytes(&openfed)?);
    browser.end().await
}

async fn import(place: &Place, openfed: &Openfed, rows: usize) -> Result<()> {
    let file = place.directory("table")?.join("domains.csv");
    let lines: String = (0..rows).map(|number| name(number) + ",\n").collect();
    std::fs::write(&file, format!("domain,description\n{lines}"))?;
    let started = Instant::now();
    let mut command = Command::new(program("openfed")?);
    command.args(["domain", "import", &file.to_string_lossy()]);
    command.args(["--api", &format!("http://{}", openfed.api())]);
    let done = command.env("OPENFED_TOKEN", http::TOKEN).kill_on_drop(true).output().await?;
    if !done.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    print_line("import", &format!("{rows} rows, {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Opens a page; gives how long the answer took, and all until the page stood, in milliseconds.
async fn open(browser: &Browser, path: &str) -> Result<(f64, f64)> {
    browser.open(path).await?;
    let script = "const n = performance.getEntriesByType('navigation')[0]; \
                  return [n.responseEnd - n.requestStart, n.loadEventEnd - n.startTime]";
    let times = browser.script(script, Vec::new()).await?;
    let time = |at: usize| times[at].as_f64().filter(|time| *time > 0.0);
    let times = time(0).zip(time(1));
    times.ok_or_else(|| Failure::new(format!("the browser measured nothing at {path}")))
}

fn megabytes(openfed: &Openfed) -> Result<String> {
    let router = openfed.processes().find(|(name, _)| *name == "xcp-router");
    let (_, router) = router.ok_or_else(|| Failure::new("no router runs"))?;
    Ok(format!("{} MB", router.resident_kb()? / 1_000))
}

fn p50_p99(mut took: Vec<f64>) -> String {
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn print_line(what: &str, value: &str) {
    println!("{what:<40} {value}");
}
