//! Who may see and do what at the console.

use openfed_tests::scene::play;

use super::desk::{Desk, PASSWORD};

#[test]
fn nobody_sees_a_page_before_logging_in_nor_after_logging_out() {
    play(async |place| {
        let desk = Desk::fresh(place).await?;
        desk.add_user("ada", "administrator").await?;
        let browser = &desk.browser;
        for path in ["/", "/federation/sip", "/flows", "/explain?domain=a.example", "/nowhere"] {
            browser.open(path).await?;
            browser.shows("h1", "Log in").await?;
        }
        browser.is_accessible().await?;
        desk.log_in("ada", "wrong password").await?;
        browser.shows("[role=alert]", "Name or password is wrong").await?;
        let name = browser.find("#name").await?.prop("value").await?;
        assert_eq!(name.as_deref(), Some("ada"));
        browser.is_accessible().await?;
        desk.log_in("ada", PASSWORD).await?;
        browser.shows("h1", "Overview").await?;
        browser.shows(".who", "ada (administrator)").await?;

        // Another password: the two must be the same, and long enough.
        browser.choose("Password").await?;
        for (again, fault) in [("something else", "#again-fault"), ("short", "#new-fault")] {
            browser.fill("#old", PASSWORD).await?;
            browser.fill("#new", "short").await?;
            browser.fill("#again", again).await?;
            browser.choose("Change it").await?;
            browser.shows(fault, "The ").await?;
        }
        browser.open("/").await?;
        browser.choose("Log out").await?;
        browser.shows("h1", "Log in").await?;
        browser.open("/audit").await?;
        browser.shows("h1", "Log in").await?;
        desk.browser.end().await
    });
}

#[test]
fn a_viewer_sees_everything_and_changes_nothing() {
    play(async |place| {
        let desk = Desk::fresh(place).await?;
        desk.add_user("vera", "viewer").await?;
        desk.openfed.command(&["domain", "add", "customer.example"]).await?;
        desk.openfed.command(&["domain", "block", "blocked.example"]).await?;
        desk.log_in("vera", PASSWORD).await?;
        let browser = &desk.browser;
        browser.shows(".who", "vera (viewer)").await?;
        for path in [
            "/routing/static-routes",
            "/routing/static-routes/0",
            "/federation/sip",
            "/federation/sip/customer.example",
            "/federation/xmpp",
            "/federation/blocked",
            "/nodes",
        ] {
            browser.open(path).await?;
            let change = "main form[method=post] button, main td.acts a";
            assert!(!browser.has(change).await?, "{path} offers a change");
            assert!(browser.has("main h1").await?);
        }
        // Whoever knows the address is refused, with the right token in the form.
        browser.open("/routing/static-routes/0/block").await?;
        assert!(!browser.has("main button").await?);
        let send = "const done = arguments[0]; \
            const form = new URLSearchParams(new FormData(document.querySelector('main form'))); \
            fetch(location.href, { method: 'POST', body: form }).then((own) => done(own.status))";
        assert_eq!(browser.script_that_waits(send).await?, 403);
        desk.browser.end().await
    });
}
