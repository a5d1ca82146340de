//! The streams of XMPP, while they stand.

use openfed_tests::browser::Browser;
use openfed_tests::openfed::LOCAL;
use openfed_tests::scene::play;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, http};
use serde_json::json;

use super::desk::{PASSWORD, log_in};

#[test]
fn the_home_servers_stream_is_seen_as_soon_as_a_user_writes() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let api = world.openfed.api();
        let user = json!({ "name": "ada", "role": "administrator", "password": PASSWORD });
        let made = http::call(api, "POST", "/api/v1/users", Some(&user)).await?;
        if made.status != 201 {
            return Err(Failure::new(format!("{made:?}")));
        }
        let browser = Browser::start(place, api).await?;
        log_in(&browser, "ada", PASSWORD).await?;
        browser.shows("h1", "Overview").await?;
        browser.open("/federation/xmpp").await?;
        browser.shows("#streams", "No stream is open now").await?;
        browser.stays().await?;

        let alice = world.home.login("alice").await?;
        alice.say("bob@unknown.example", "hello")?;
        browser.shows("#streams tbody", LOCAL).await?;
        browser.shows("#streams tbody", "unknown.example").await?;
        browser.shows("#streams tbody", "incoming").await?;
        browser.shows("#streams tbody", "dialback").await?;
        assert!(browser.has_stayed().await?);
        browser.is_accessible().await?;
        browser.end().await
    });
}
