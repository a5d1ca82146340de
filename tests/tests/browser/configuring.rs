//! From a fresh install to the first domain that was discovered, by the steps of the product.

use openfed_tests::Result;
use openfed_tests::scene::play;

use super::desk::{Desk, PASSWORD};

#[test]
fn the_open_route_is_configured_in_seven_steps_and_a_row_appears_without_reload() {
    play(async |place| {
        let mut desk = Desk::fresh(place).await?;
        let first = desk.first_password().await?;
        assert_eq!(desk.write_to("unknown.example").await?, 404, "closed after a fresh install");
        let next_hop = desk.hop.address()?;

        // 1: the administrator logs in, and the console says that open federation is not active,
        // and why.
        desk.browser.open("/").await?;
        desk.browser.shows("h1", "Log in").await?;
        desk.browser.picture("step-1-log-in").await?;
        desk.log_in("administrator", &first).await?;
        let browser = &mut desk.browser;
        browser.shows("h1", "Change your password").await?;
        browser.is_accessible().await?;
        browser.fill("#old", &first).await?;
        browser.fill("#new", PASSWORD).await?;
        browser.fill("#again", PASSWORD).await?;
        browser.choose("Change it").await?;
        browser.shows("#overview", "not active").await?;
        browser.shows("#overview", "no next hop, port and protocol yet").await?;
        browser.picture("step-1-overview").await?;
        // 2: Presence › Routing › Static Routes.
        browser.choose("Static Routes").await?;
        browser.shows("h1", "Static Routes").await?;
        browser.picture("step-2-static-routes").await?;
        // 3: the pre-defined route is found and opened, with its fields filled in.
        browser.fill("#find", ".*").await?;
        browser.choose("Find").await?;
        browser.shows("#routes caption", "1 of 1 static routes").await?;
        browser.choose(".*").await?;
        browser.shows("h1", "Static Route Configuration").await?;
        for (field, value) in
            [("pattern", ".*"), ("type", "domain"), ("priority", "1"), ("weight", "1")]
        {
            let field = browser.find(&format!("#{field}")).await?;
            assert_eq!(field.prop("value").await?.as_deref(), Some(value));
        }
        assert!(browser.find("#allow_less_specific").await?.is_selected().await?);
        browser.picture("step-3-pre-filled").await?;
        // 4: next hop, port and protocol.
        browser.fill("#next_hop", &next_hop.ip().to_string()).await?;
        browser.fill("#port", &next_hop.port().to_string()).await?;
        browser.select("#protocol", "udp").await?;
        browser.picture("step-4-next-hop").await?;
        // 5: Service is on.
        assert!(browser.find("#in_service").await?.is_selected().await?);
        browser.picture("step-5-service").await?;
        // 6: Block Route is unchecked.
        assert!(browser.find("#blocked").await?.is_selected().await?);
        browser.click("#blocked").await?;
        browser.picture("step-6-unblocked").await?;
        // 7: saved, and in effect at once.
        browser.choose("Save").await?;
        browser.shows("[role=status]", "Saved").await?;
        browser.shows("#routes", "open").await?;
        browser.picture("step-7-saved").await?;
        browser.open("/").await?;
        browser.shows("#overview", "active").await?;
        browser.hides("#overview", "not active").await?;

        a_row_appears(&mut desk).await?;
        desk.browser.end().await
    });
}

/// Somebody looks at the table while the first message to a domain is sent.
async fn a_row_appears(desk: &mut Desk) -> Result<()> {
    desk.browser.open("/federation/sip").await?;
    desk.browser.shows("#domains", "No SIP domain is known yet").await?;
    desk.browser.stays().await?;
    assert_eq!(desk.write_to("unknown.example").await?, 200);
    let browser = &mut desk.browser;
    browser.shows("#domains tbody", "unknown.example").await?;
    browser.shows("#domains tbody", "cached").await?;
    assert!(browser.has_stayed().await?, "the page was loaded anew");
    browser.picture("row-appeared").await.map(|_| ())
}
