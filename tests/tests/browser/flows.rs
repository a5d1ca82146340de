//! The documented hop, drawn while it happens.

use openfed_tests::openfed::Setup;
use openfed_tests::scene::play;
use openfed_tests::{Failure, Result};
use serde_json::Value;

use super::desk::Desk;

/// The lanes and verdicts of the first picture, from top to bottom.
const DRAWN: &str = "const svg = document.querySelector('.flow svg'); \
    const lanes = {}; \
    svg.querySelectorAll('.role').forEach((e) => lanes[e.getAttribute('x')] = e.textContent); \
    const dots = [...svg.querySelectorAll('.dot')]; \
    const texts = [...svg.querySelectorAll('text:not(.role)')]; \
    return dots.map((dot, at) => \
        [lanes[dot.getAttribute('cx')], texts[at].firstChild.textContent.trim()])";

fn pairs(drawn: &Value) -> Vec<(&str, &str)> {
    let dots = drawn.as_array().into_iter().flatten();
    dots.filter_map(|dot| Some((dot[0].as_str()?, dot[1].as_str()?))).collect()
}

#[test]
fn the_documented_hop_is_drawn_as_it_happens_and_leads_to_its_trace() {
    play(async |place| {
        let more = "traces_url = \"http://jaeger.example:16686/trace/{trace}\"";
        let setup = Setup { more: more.to_owned(), ..Setup::default() };
        let mut desk = Desk::with(place, setup).await?;
        desk.openfed.open_towards(desk.hop.address()?).await?;
        desk.browser.open("/flows").await?;
        desk.browser.shows("#none", "No packet has passed").await?;
        desk.browser.stays().await?;
        desk.browser.listens().await?;
        assert_eq!(desk.write_to("unknown.example").await?, 200);

        let browser = &mut desk.browser;
        browser.shows("#flows", "unknown.example").await?;
        assert!(browser.has_stayed().await?);
        let drawn = browser.script(DRAWN, Vec::new()).await?;
        assert_eq!(
            pairs(&drawn),
            [
                ("SIP CM", "received"),
                ("Router", "discover"),
                ("XMPP CM", "remote-server-not-found"),
                ("Router", "fallback"),
                ("SIP CM", "delivered"),
            ]
        );
        let read = browser.script("return document.querySelector('.hops').innerText", vec![]);
        let read = read.await?.to_string();
        assert!(read.contains("Router (") && read.contains("fallback, +"), "{read}");
        let link = browser.find(".flow a").await?.attr("href").await?.unwrap_or_default();
        assert!(link.starts_with("http://jaeger.example:16686/trace/"), "{link}");
        assert_eq!(link.rsplit('/').next().map(str::len), Some(32));
        browser.picture("flows").await?;
        filters(&desk).await?;
        desk.browser.end().await
    });
}

/// By domain and outcome: what is there, and what comes.
async fn filters(desk: &Desk) -> Result<()> {
    desk.openfed.command(&["domain", "block", "blocked.example"]).await?;
    let browser = &desk.browser;
    browser.open("/flows?outcome=failed").await?;
    browser.shows("#none", "No packet that is kept matches").await?;
    browser.listens().await?;
    desk.openfed.command(&["route", "block", ".*"]).await?;
    assert_eq!(desk.write_to("other.example").await?, 404);
    browser.shows("#flows", "other.example").await?;
    browser.open("/flows?domain=unknown").await?;
    browser.shows("#flows", "unknown.example").await?;
    let text = browser.text("#flows").await?;
    match text.contains("other.example") {
        false => Ok(()),
        true => Err(Failure::new(text)),
    }
}
