//! jabberd2 as home server: what people write arrives, and what does not is told.

use futures_util::future::try_join_all;
use openfed_tests::Failure;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::Reply;
use openfed_tests::world::{Home, Kind, World};
use openfed_tests::xmpp_client::{explanation, text_of};
use tokio::time::timeout;

fn from_bob_to(user: &str, text: &str) -> Outgoing {
    Outgoing::message("sip:bob@unknown.example", &format!("sip:{user}@{LOCAL}"), text)
}

#[test]
fn a_message_from_a_sip_user_arrives_before_its_200() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("alice", "hello alice"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let heard = alice.hears("hello alice").await?;
        assert_eq!(heard.attr("from"), Some("bob@unknown.example/openfed-sip"));
        Ok(())
    });
}

#[test]
fn a_message_for_nobody_is_answered_404() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let World { hop, openfed, .. } = &world;
        for text in ["anyone?", "anyone now?"] {
            let response = hop.send(&from_bob_to("nobody", text), openfed.sip()).await?;
            assert_eq!(response.status(), Some(404));
        }
        Ok(())
    });
}

#[test]
fn what_a_user_writes_to_a_sip_user_arrives() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let alice = world.home.login("alice").await?;
        alice.say("bob@unknown.example", "hello bob")?;
        let request = world.hop.requests.wait_for("MESSAGE", SOON, |_| true).await?;
        assert_eq!(request.uri(), "sip:bob@unknown.example");
        assert_eq!(request.body, "hello bob");
        let from = request.address("From").unwrap_or_default();
        assert!(from.starts_with(&format!("sip:alice@{LOCAL};gr=")), "{from}");
        world.openfed.row_appears("unknown.example").await?;
        Ok(())
    });
}

#[test]
fn what_a_sip_user_refuses_is_told_with_the_reason() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        world.hop.answer(Reply::Status(480, "Gone Fishing"));
        let alice = world.home.login("alice").await?;
        let id = alice.say("bob@unknown.example", "are you there?")?;
        assert_eq!(alice.condition_of(&id, SOON).await?, "recipient-unavailable");
        let all = alice.stanzas.all();
        let told: Vec<_> = all.iter().filter(|stanza| stanza.attr("id") == Some(&id)).collect();
        assert_eq!(told.len(), 1, "once");
        assert_eq!(explanation(told[0]).as_deref(), Some("SIP 480 Gone Fishing"));
        assert_eq!(text_of(told[0]).as_deref(), Some("are you there?"));
        Ok(())
    });
}

#[test]
fn messages_keep_their_order_both_ways() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let texts: Vec<_> = (0..50).map(|number| format!("number {number}")).collect();
        for text in &texts {
            alice.say("bob@unknown.example", text)?;
            let response = hop.send(&from_bob_to("alice", text), openfed.sip()).await?;
            assert_eq!(response.status(), Some(200));
        }
        alice.hears("number 49").await?;
        assert_eq!(alice.heard_from("bob@unknown.example"), texts);
        hop.requests.wait_for("the last MESSAGE", SOON, |own| own.body == "number 49").await?;
        let came: Vec<_> = hop.requests.all().into_iter().map(|request| request.body).collect();
        assert_eq!(came, texts);
        Ok(())
    });
}

/// Its TLS library breaks the next connection on which more than one read of it comes, unless we take
/// the error away that its own connection to us has left there.
#[test]
fn many_messages_at_once_arrive_though_it_has_just_connected() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("alice", "alone"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let (hop, target) = (&hop, openfed.sip());
        let all = (0..30).map(|number| async move {
            let message = from_bob_to("alice", &format!("number {number}"));
            Ok::<_, Failure>(hop.send(&message, target).await?.status())
        });
        assert_eq!(try_join_all(all).await?, [Some(200); 30]);
        alice.hears("number 29").await?;
        assert_eq!(alice.heard_from("bob@unknown.example").len(), 31);
        Ok(())
    });
}

#[test]
fn while_it_is_away_sip_users_are_told_and_nothing_needs_a_restart() {
    play(async |place| {
        let mut world = World::open(place, Kind::Jabberd2).await?;
        let World { hop, openfed, home, .. } = &mut world;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to("alice", "alive"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("alive").await?;
        home.kill().await?;
        let response = hop.send(&from_bob_to("alice", "and now?"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(504));

        let home = Home::start(place, Kind::Jabberd2, &["alice"]).await?;
        let alice = home.login("alice").await?;
        let welcomed = async {
            loop {
                let message = from_bob_to("alice", "welcome back");
                match hop.send(&message, openfed.sip()).await?.status() {
                    Some(200) => return Ok::<_, Failure>(()),
                    other => assert_eq!(other, Some(504)),
                }
            }
        };
        timeout(SOON, welcomed).await??;
        alice.hears("welcome back").await?;
        Ok(())
    });
}

#[test]
fn while_openfed_is_away_its_users_are_told_and_it_needs_no_restart() {
    play(async |place| {
        let World { dns, collector, hop, trusted: _trusted, openfed, home } =
            World::open(place, Kind::Jabberd2).await?;
        let alice = home.login("alice").await?;
        alice.say("bob@unknown.example", "before")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "before").await?;
        openfed.row_appears("unknown.example").await?;
        openfed.stop().await?;
        let lost = alice.say("bob@unknown.example", "is anybody there?")?;
        assert_eq!(alice.condition_of(&lost, SOON).await?, "service-unavailable");

        let setup =
            Setup { dns: Some(dns.address()), collector: collector.url(), ..Setup::default() };
        let _openfed = Openfed::start(place, &setup).await?;
        alice.say("bob@unknown.example", "after")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "after").await?;
        Ok(())
    });
}

#[test]
fn users_write_to_several_domains_at_once() {
    play(async |place| {
        let world = World::open(place, Kind::Jabberd2).await?;
        let alice = world.home.login("alice").await?;
        for domain in ["one", "two", "three"] {
            alice.say(&format!("bob@{domain}.example"), domain)?;
        }
        for domain in ["one", "two", "three"] {
            world.hop.requests.wait_for(domain, SOON, |own| own.body == domain).await?;
        }
        Ok(())
    });
}
