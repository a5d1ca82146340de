//! Every page, on a desk and on a phone, light and dark: for everybody, and as the guide shows it.

use std::path::{Path, PathBuf};

use openfed_tests::browser::{Browser, DESK, PHONE};
use openfed_tests::openfed::Setup;
use openfed_tests::scene::play;
use openfed_tests::{Failure, Result};

use super::desk::Desk;

/// Each page with the name of its picture.
const PAGES: [(&str, &str); 12] = [
    ("/", "overview"),
    ("/routing/static-routes", "static-routes"),
    ("/routing/static-routes/0", "static-route-configuration"),
    ("/routing/static-routes/0/block", "block-route"),
    ("/federation/sip", "sip-federation"),
    ("/federation/sip/customer.example", "sip-domain"),
    ("/federation/xmpp", "xmpp-federation"),
    ("/federation/blocked", "blocked-domains"),
    ("/explain?domain=unknown.example", "explain-unknown"),
    ("/flows", "flows-recent"),
    ("/nodes", "nodes"),
    ("/audit", "audit"),
];

/// Something to look at on every page.
async fn filled(desk: &Desk) -> Result<()> {
    for command in [
        &["domain", "add", "customer.example", "--description", "by contract"][..],
        &["domain", "block", "*.ads.example"],
        &["domain", "pin", "partner.example"],
    ] {
        desk.openfed.command(command).await?;
    }
    for domain in ["customer.example", "unknown.example", "another.example"] {
        assert_eq!(desk.write_to(domain).await?, 200);
        desk.openfed.row_appears(domain).await?;
    }
    Ok(())
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

#[test]
fn the_guide_shows_every_page() -> Result<()> {
    let text = std::fs::read_to_string(guide().join("console.md"))?;
    for (path, name) in PAGES {
        assert!(text.contains(&format!("](console/{name}.webp)")), "no picture of {path}");
        let size = std::fs::metadata(guide().join(format!("console/{name}.webp")))?.len();
        assert!((1..=150 * 1024).contains(&size), "the picture of {path} has {size} bytes");
    }
    Ok(())
}

/// A page must not be wider than its window.
async fn fits(browser: &Browser) -> Result<()> {
    let script =
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let beyond = browser.script(script, Vec::new()).await?;
    match beyond.as_i64() {
        Some(0) => Ok(()),
        _ => Err(Failure::new(format!("{} is wider by {beyond}", browser.path().await?))),
    }
}

#[test]
fn every_page_is_accessible_on_desk_and_phone_light_and_dark() {
    play(async |place| {
        let more = "[node]\nname = \"edge\"\n".to_owned();
        let mut desk = Desk::with(place, Setup { more, ..Setup::default() }).await?;
        desk.openfed.open_towards(desk.hop.address()?).await?;
        filled(&desk).await?;
        let browser = &mut desk.browser;
        for (path, name) in PAGES {
            for (size, scheme, suffix) in [(DESK, "light", ""), (PHONE, "dark", "-phone")] {
                browser.resize(size).await?;
                browser.prefer(scheme).await?;
                browser.open(path).await?;
                assert!(browser.has("main h1").await?, "{path}");
                browser.is_accessible().await?;
                fits(browser).await?;
                let picture = browser.picture(&format!("{name}{suffix}")).await?;
                if suffix.is_empty() && std::env::var_os("OPENFED_PICTURES").is_some() {
                    std::fs::copy(picture, guide().join(format!("console/{name}.webp")))?;
                }
            }
        }
        assert!(!browser.has("iframe, object, embed").await?);
        // The menu at phone width, by its button.
        browser.open("/").await?;
        assert!(!browser.find("#pages").await?.is_displayed().await?);
        browser.click("#menu").await?;
        browser.choose("Nodes").await?;
        browser.shows("h1", "Nodes").await?;
        desk.browser.end().await
    });
}

#[test]
fn what_a_page_is_made_of_is_asked_for_again_only_when_it_changed() {
    play(async |place| {
        let desk = Desk::closed(place).await?;
        let browser = &desk.browser;
        browser.open("/").await?;
        let again = "const done = arguments[0]; \
            fetch('/assets/console.css').then(async (first) => { \
                const tag = first.headers.get('etag'); \
                const again = await fetch('/assets/console.css', \
                    { headers: { 'if-none-match': tag }, cache: 'no-store' }); \
                done([first.status, again.status, (await again.text()).length]); })";
        let answers = browser.script_that_waits(again).await?;
        assert_eq!(answers, serde_json::json!([200, 304, 0]));
        browser.open("/assets/..%2f..%2fetc%2fpasswd").await?;
        assert!(!browser.text("body").await?.contains("root:"));
        desk.browser.end().await
    });
}

#[test]
fn a_node_is_drained_and_resumed_and_the_audit_says_so() {
    play(async |place| {
        let desk = Desk::open(place).await?;
        let browser = &desk.browser;
        browser.open("/nodes").await?;
        browser.click("tr[data-key$=sip-cm] a").await?;
        browser.shows(".note.warn", "the only sip-cm that serves").await?;
        browser.choose("Drain").await?;
        browser.shows("[role=status]", "Drained").await?;
        browser.shows("tr[data-key$=sip-cm]", "draining").await?;
        assert_eq!(desk.write_to("unknown.example").await?, 503);
        browser.click("tr[data-key$=sip-cm] a").await?;
        browser.choose("Resume").await?;
        browser.shows("tr[data-key$=sip-cm]", "serving").await?;
        assert_eq!(desk.write_to("unknown.example").await?, 200);
        browser.open("/audit").await?;
        browser.shows("#audit", "drain node").await?;
        browser.shows("#audit", "resume node").await?;
        browser.shows("#audit", "change static route").await?;
        desk.browser.end().await
    });
}
