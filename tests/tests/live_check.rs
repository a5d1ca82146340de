//! `openfed check` tells an operator whether everything is in place: with a user's password a
//! message goes the whole way, to an echo and back.

use std::net::SocketAddr;

use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::scene::{SOON, play};
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result};

/// Runs the check as alice of the home server.
async fn check(place: &Place, world: &World, password: &str) -> Result<String> {
    let file = place.directory("secrets")?.join("alice.password");
    std::fs::write(&file, password)?;
    let (settings, file) = (world.openfed.settings().to_string_lossy(), file.to_string_lossy());
    let server = SocketAddr::new(place.ip(Host::Home), 5222).to_string();
    let user = format!("alice@{LOCAL}");
    let arguments = ["check", "--config", &settings, "--user", &user, "--password-file", &file];
    world.openfed.command(&[&arguments[..], &["--server", &server, "--no-tls"]].concat()).await
}

fn a_message_goes_the_whole_way(kind: Kind) {
    play(async |place| {
        let world = World::open(place, kind).await?;
        let told = check(place, &world, "tests-only\n").await?;
        assert!(told.contains("echo"), "{told}");
        assert!(told.contains("All is in place"), "{told}");
        // The first stream to the home server has shown what its answers are worth.
        let process = world.openfed.processes().next();
        let (_, process) = process.ok_or_else(|| Failure::new("openfed does not run"))?;
        let proves = |line: &String| line.contains("says when there is no such user");
        process.log().lines.wait_for("the home server's proof", SOON, proves).await?;
        // The way that was made for it is gone again.
        let routes = world.openfed.command(&["route", "list"]).await?;
        assert!(!routes.contains("check"), "{routes}");
        Ok(())
    });
}

#[test]
fn a_message_goes_the_whole_way_on_prosody() {
    a_message_goes_the_whole_way(Kind::Prosody);
}

#[test]
fn a_message_goes_the_whole_way_on_ejabberd() {
    a_message_goes_the_whole_way(Kind::Ejabberd);
}

#[test]
fn a_message_goes_the_whole_way_on_jabberd2() {
    a_message_goes_the_whole_way(Kind::Jabberd2);
}

#[test]
fn a_wrong_password_is_told_as_such() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let told = check(place, &world, "hunter-8571").await.expect_err("refused");
        let told = format!("{told:?}");
        assert!(told.contains("password"), "{told}");
        assert!(!told.contains("hunter"), "the password is not repeated: {told}");
        Ok(())
    });
}

#[test]
fn a_dead_home_server_is_told_with_what_to_do() {
    play(async |place| {
        let mut world = World::open(place, Kind::Prosody).await?;
        world.home.kill().await?;
        let told = check(place, &world, "tests-only").await.expect_err("refused");
        let told = format!("{told:?}");
        assert!(told.contains(LOCAL), "{told}");
        Ok(())
    });
}

#[test]
fn health_is_that_of_all_services_that_answer_and_bad_if_none_does() {
    play(async |place| {
        let mut openfed = Openfed::start(place, &Setup { apart: true, ..Setup::default() }).await?;
        let settings = openfed.settings().to_string_lossy().into_owned();
        let health = ["health", "--config", &settings];
        let all = openfed.command(&health).await?;
        assert_eq!(all.lines().filter(|line| line.ends_with(" ready")).count(), 3, "{all}");
        // Without a router the others are there, and not ready
        openfed.kill("xcp-router").await?;
        let lost = until(async || openfed.command(&health).await.is_err()).await;
        lost.map_err(|_| Failure::new("ready without a router"))?;
        for service in ["sip-cm", "xmpp-cm"] {
            openfed.kill(service).await?;
        }
        assert!(openfed.command(&health).await.is_err());
        Ok(())
    });
}
