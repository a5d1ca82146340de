//! The form of a static route: by keyboard alone, with faults, and by two people at once.

use openfed_tests::Result;
use openfed_tests::browser::Browser;
use openfed_tests::scene::play;

use super::desk::Desk;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

/// Goes on with the Tab key until this has the focus; nothing may hold it.
async fn tab_to(browser: &Browser, name: &str) -> Result<()> {
    let mut passed = Vec::new();
    for _ in 0..40 {
        browser.keys(TAB).await?;
        let focus = browser.focus().await?;
        if focus == name {
            return Ok(());
        }
        passed.push(focus);
    }
    Err(openfed_tests::Failure::new(format!("Tab never comes to {name}, but to {passed:?}")))
}

#[test]
fn a_route_is_configured_by_keyboard_alone() {
    play(async |place| {
        let desk = Desk::closed(place).await?;
        let (hop, browser) = (desk.hop.address()?, &desk.browser);
        browser.open("/").await?;
        // The first stop skips what stands before the page's own content.
        tab_to(browser, "Skip to content").await?;
        browser.keys(ENTER).await?;
        browser.open("/routing/static-routes").await?;
        tab_to(browser, ".*").await?;
        browser.keys(ENTER).await?;
        browser.shows("h1", "Static Route Configuration").await?;
        // In the order in which one reads.
        for field in ["pattern", "description", "next_hop"] {
            tab_to(browser, field).await?;
        }
        browser.keys(&hop.ip().to_string()).await?;
        tab_to(browser, "port").await?;
        browser.keys(&hop.port().to_string()).await?;
        tab_to(browser, "protocol").await?;
        browser.keys("U").await?;
        for field in ["priority", "weight", "allow_less_specific", "in_service", "blocked"] {
            tab_to(browser, field).await?;
        }
        browser.keys(SPACE).await?;
        tab_to(browser, "username").await?;
        tab_to(browser, "Save").await?;
        browser.keys(ENTER).await?;
        browser.shows("[role=status]", "Saved").await?;
        assert_eq!(desk.write_to("unknown.example").await?, 200);
        desk.browser.end().await
    });
}

#[test]
fn what_is_wrong_stands_beside_its_field() {
    play(async |place| {
        let mut desk = Desk::closed(place).await?;
        let browser = &mut desk.browser;
        // Unblocked without the three: each is named.
        browser.open("/routing/static-routes/0").await?;
        browser.click("#blocked").await?;
        browser.choose("Save").await?;
        browser.shows("#next_hop-fault", "is needed before the open route is unblocked").await?;
        browser.shows("#port-fault", "is needed with the next hop").await?;
        let port = browser.find("#port").await?;
        assert_eq!(port.attr("aria-invalid").await?.as_deref(), Some("true"));
        let said_by = port.attr("aria-describedby").await?.unwrap_or_default();
        assert!(said_by.contains("port-fault"), "{said_by}");
        // What was typed is still there, and the summary leads to the field.
        assert!(!browser.find("#blocked").await?.is_selected().await?);
        browser.choose("Next Hop Port").await?;
        assert_eq!(browser.focus().await?, "port");
        browser.picture("form-with-faults").await?;
        browser.is_accessible().await?;

        browser.open("/routing/static-routes/new").await?;
        for (field, text) in
            [("pattern", "no pattern"), ("next_hop", "a b"), ("port", "70000"), ("priority", "0")]
        {
            browser.fill(&format!("#{field}"), text).await?;
        }
        browser.choose("Save").await?;
        browser.shows("#port-fault", "must be a whole number from 0 to 65535").await?;
        browser.shows("#priority-fault", "must be a whole number from 1 to 65535").await?;
        for field in ["pattern", "next_hop"] {
            assert!(!browser.text(&format!("#{field}-fault")).await?.is_empty(), "{field}");
        }
        let typed = browser.find("#port").await?.prop("value").await?;
        assert_eq!(typed.as_deref(), Some("70000"));

        browser.open("/federation/sip/new").await?;
        browser.fill("#domain", "corp.example").await?;
        browser.choose("Add").await?;
        browser.shows("#domain-fault", "is a domain of our own").await?;
        browser.open("/federation/blocked").await?;
        browser.fill("#domain", "*.corp.example").await?;
        browser.click("main button[type=submit]").await?;
        browser.shows("#domain-fault", "The domain").await?;
        desk.browser.end().await
    });
}

#[test]
fn of_two_who_change_one_route_the_second_is_told() {
    play(async |place| {
        let desk = Desk::closed(place).await?;
        let browser = &desk.browser;
        let add = ["route", "add", ".example.shared", "--next-hop", "192.0.2.1", "--port", "5060"];
        desk.openfed.command(&add).await?;
        browser.open("/routing/static-routes").await?;
        browser.choose(".example.shared").await?;
        browser.shows("h1", "Static Route Configuration").await?;
        // Meanwhile somebody else saves another next hop.
        let set = ["route", "set", ".example.shared", "--next-hop", "192.0.2.2", "--port", "5060"];
        desk.openfed.command(&set).await?;
        browser.fill("#weight", "7").await?;
        browser.choose("Save").await?;
        browser.shows("[role=alert]", "Somebody else changed it in the meantime").await?;
        browser.shows("#next_hop-now", "192.0.2.2").await?;
        let typed = browser.find("#weight").await?.prop("value").await?;
        assert_eq!(typed.as_deref(), Some("7"), "one's own values are not lost");
        let stands = desk.openfed.command(&["route", "show", ".example.shared"]).await?;
        assert!(stands.contains("192.0.2.2"), "{stands}");
        // Told of it, one may insist.
        browser.choose("Save").await?;
        browser.shows("[role=status]", "Saved").await?;
        let stands = desk.openfed.command(&["route", "show", ".example.shared"]).await?;
        assert!(stands.contains("192.0.2.1"), "{stands}");
        desk.browser.end().await
    });
}
