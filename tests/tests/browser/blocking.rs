//! A domain is blocked under traffic.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openfed_tests::openfed::LOCAL;
use openfed_tests::scene::play;
use openfed_tests::sip::Outgoing;
use openfed_tests::{Failure, Result};
use tokio::time::interval;

use super::desk::Desk;

const TROUBLE: &str = "trouble.example";
const QUIET: &str = "quiet.example";
/// Messages to each of the two domains: together 100 a second.
const EVERY: Duration = Duration::from_millis(20);
/// What the rules promise (§2).
const PROMISED: f64 = 100.0;

/// A message: to which domain, when (ms since the Unix epoch), and its status.
type Sent = (&'static str, f64, u16);

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// Writes to both domains in turns, until the time is up.
async fn write(desk: &Desk, sent: &Mutex<Vec<Sent>>) -> Result<()> {
    let (mut turn, from) = (interval(EVERY), format!("sip:alice@{LOCAL}"));
    loop {
        turn.tick().await;
        let one = async |domain: &'static str| {
            let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "hello");
            let at = now_ms();
            let answer = desk.trusted.send(&message, desk.openfed.sip()).await?;
            let status = answer.status().unwrap_or_default();
            sent.lock().map_err(|_| Failure::new("poisoned"))?.push((domain, at, status));
            Ok::<_, Failure>(())
        };
        tokio::try_join!(one(TROUBLE), one(QUIET))?;
    }
}

#[test]
fn a_domain_blocked_under_traffic_is_refused_within_100_ms_and_others_go_on() {
    play(async |place| {
        let desk = Desk::open(place).await?;
        for domain in [TROUBLE, QUIET] {
            assert_eq!(desk.write_to(domain).await?, 200);
            desk.openfed.row_appears(domain).await?;
        }
        let sent = Mutex::new(Vec::new());
        let block = async {
            let browser = &desk.browser;
            browser.open(&format!("/federation/sip?search={TROUBLE}")).await?;
            browser.click("#domains tbody .acts a:last-child").await?;
            let prefilled = browser.find("#domain").await?.prop("value").await?;
            assert_eq!(prefilled.as_deref(), Some(TROUBLE));
            browser.fill("#note", "sends advertisements").await?;
            browser.click("main button[type=submit]").await?;
            browser.shows("#blocked", TROUBLE).await?;
            browser.shows("#blocked", "sends advertisements").await?;
            // When the browser began to send the form.
            let script = "const n = performance.getEntriesByType('navigation')[0]; \
                          return performance.timeOrigin + n.redirectStart";
            let began = browser.script(script, Vec::new()).await?;
            let began = began.as_f64().ok_or_else(|| Failure::new("no time"))?;
            // Enough of them after that.
            let after = |own: &&Sent| own.1 > began + PROMISED;
            let enough =
                async || sent.lock().is_ok_and(|sent| sent.iter().filter(after).count() > 60);
            openfed_tests::process::until(enough).await?;
            Ok::<_, Failure>(began)
        };
        let began = tokio::select! {
            began = block => began?,
            written = write(&desk, &sent) => return written,
        };
        let sent = sent.into_inner().map_err(|_| Failure::new("poisoned"))?;
        let wrong: Vec<_> = sent
            .iter()
            .map(|(domain, at, status)| (*domain, at - began, *status))
            .filter(|(domain, after, status)| match *domain {
                QUIET => *status != 200,
                _ => (*after > PROMISED && *status != 403) || (*after < 0.0 && *status != 200),
            })
            .collect();
        assert!(wrong.is_empty(), "domain, ms after the form was sent, status: {wrong:?}");
        desk.browser.end().await
    });
}
