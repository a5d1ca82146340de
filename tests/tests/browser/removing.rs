//! A domain is removed: what happens then depends on the open route, and the console says so before.

use openfed_tests::scene::play;

use super::desk::Desk;

#[test]
fn a_removed_domain_stops_while_the_route_is_blocked_and_is_rediscovered_while_it_is_open() {
    play(async |place| {
        let desk = Desk::open(place).await?;
        assert_eq!(desk.write_to("cached.example").await?, 200);
        desk.openfed.row_appears("cached.example").await?;
        let browser = &desk.browser;

        // Open: the console warns that it comes back, and so it does.
        browser.open("/federation/sip").await?;
        browser.choose("Remove").await?;
        browser.shows(".note.warn", "discovers it again").await?;
        browser.choose("Remove").await?;
        browser.shows("[role=status]", "Removed").await?;
        browser.shows("#domains", "No SIP domain is known yet").await?;
        browser.stays().await?;
        assert_eq!(desk.write_to("cached.example").await?, 200);
        browser.shows("#domains tbody", "cached.example").await?;
        assert!(browser.has_stayed().await?);

        // Blocked: the row keeps working, and once it is removed its traffic stops.
        browser.open("/routing/static-routes").await?;
        browser.choose("Block").await?;
        browser.shows("main", "Discovery ends").await?;
        browser.shows("main", "The one SIP domain that is known keeps flowing").await?;
        browser.choose("Block").await?;
        browser.shows("#routes", "blocked").await?;
        assert_eq!(desk.write_to("cached.example").await?, 200);
        assert_eq!(desk.write_to("other.example").await?, 404);
        browser.open("/federation/sip").await?;
        browser.choose("Remove").await?;
        browser.shows(".note.warn", "its traffic stops at once").await?;
        browser.choose("Remove").await?;
        browser.shows("[role=status]", "Removed").await?;
        assert_eq!(desk.write_to("cached.example").await?, 404);
        browser.shows("#domains", "No SIP domain is known yet").await?;
        desk.browser.end().await
    });
}
