//! What every user agent must be able to do through openfed.

use super::{Agent, Library};
use crate::Result;
use crate::openfed::LOCAL;
use crate::place::{Host, Place};
use crate::world::{Kind, World};

/// Texts of which each octet counts: quotes, markup, line ends, scripts from right to left, letters
/// of four octets in UTF-8, what combines with what stands before, and one that is as long as a request
/// of 1,300 bytes has room for (S-105).
fn texts() -> Vec<String> {
    let short = [
        "plain",
        "\"quoted\" & <marked> 'up' %40 \\n",
        "two\nlines, then\n\nan empty one",
        "  spaces at both ends  ",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202b}\u{627}\u{644}\u{644}\u{63a}\u{629}\u{202c}",
        "\u{65e5}\u{672c}\u{8a9e} \u{20bb7} e\u{301} \u{1f469}\u{200d}\u{1f680}",
    ];
    let long = "0123456789 ".repeat(45).trim_end().to_owned();
    short.into_iter().map(str::to_owned).chain([long]).collect()
}

/// Texts go both ways to the letter between an XMPP user and an agent that is the next hop.
pub async fn texts_go_both_ways(place: &Place, library: Library) -> Result<()> {
    let world = World::closed(place, Kind::Prosody).await?;
    let at = place.at(Host::SecondSipPeer, 5060);
    world.openfed.open_towards(at).await?;
    let alice = world.home.login("alice").await?;
    let sip = world.openfed.sip();
    let mut bob = Agent::start(place, library, at, "bob@unknown.example", sip).await?;
    let alice_at = format!("alice@{LOCAL}");
    for text in texts() {
        alice.say("bob@unknown.example", &text)?;
        bob.hears(&alice_at, &text).await?;
        let text = format!("{text} (back)");
        bob.sends(&format!("sip:{alice_at}"), &text).await?;
        assert_eq!(bob.status("MESSAGE").await?, 200, "{text}");
        alice.hears(&text).await?;
    }
    Ok(())
}

/// What an agent is answered (RFC 3261 §8.2, §21.4): no such user, a method that is not for us, a
/// capability question.
pub async fn answers_are_by_the_rfc(place: &Place, library: Library) -> Result<()> {
    let world = World::closed(place, Kind::Prosody).await?;
    let at = place.at(Host::SecondSipPeer, 5060);
    world.openfed.open_towards(at).await?;
    let sip = world.openfed.sip();
    let mut bob = Agent::start(place, library, at, "bob@unknown.example", sip).await?;
    bob.sends(&format!("sip:nobody@{LOCAL}"), "anybody there?").await?;
    assert_eq!(bob.status("MESSAGE").await?, 404);
    bob.does(&format!("ask REGISTER sip:{LOCAL}")).await?;
    assert_eq!(bob.status("REGISTER").await?, 405);
    bob.does(&format!("ask OPTIONS sip:{LOCAL}")).await?;
    assert_eq!(bob.status("OPTIONS").await?, 200);
    Ok(())
}

/// A call between two agents through openfed, with texts in its dialog both ways, ended by the one
/// who was called (RFC 3261 §12.2, §16.12).
pub async fn texts_go_within_a_call(place: &Place, library: Library) -> Result<()> {
    let world = World::closed(place, Kind::Prosody).await?;
    let at = place.at(Host::SecondSipPeer, 5060);
    world.openfed.open_towards(at).await?;
    world.openfed.command(&["domain", "add", "known.example"]).await?;
    let sip = world.openfed.sip();
    let mut callee = Agent::start(place, library, at, "bob@known.example", sip).await?;
    let at = place.at(Host::SipPeer, 5070);
    let identity = format!("alice@{LOCAL}");
    let mut caller = Agent::start(place, library, at, &identity, sip).await?;
    texts_in_a_call(&mut caller, &mut callee).await
}

/// The call itself.
pub async fn texts_in_a_call(caller: &mut Agent, callee: &mut Agent) -> Result<()> {
    caller.does("call sip:bob@known.example").await?;
    assert_eq!(caller.status("INVITE").await?, 200);
    callee.is("talking").await?;
    for text in texts() {
        caller.says(&text).await?;
        callee.is_told(&text).await?;
        assert_eq!(caller.status("MESSAGE").await?, 200, "{text}");
        let text = format!("{text} (back)");
        callee.says(&text).await?;
        caller.is_told(&text).await?;
        assert_eq!(callee.status("MESSAGE").await?, 200, "{text}");
    }
    callee.does("end").await?;
    assert_eq!(callee.status("BYE").await?, 200);
    caller.is("ended").await
}
