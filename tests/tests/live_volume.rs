//! Ten thousand numbered messages each way: none lost, none doubled, in order per conversation.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use openfed_tests::openfed::LOCAL;
use openfed_tests::place::Place;
use openfed_tests::scene::play;
use openfed_tests::sip::{Outgoing, Sip};
use openfed_tests::world::{Kind, World};
use openfed_tests::xmpp_client::{Element, XmppClient, condition};
use openfed_tests::{Failure, Result};

/// Conversations at once.
const PEOPLE: usize = 100;
/// Messages in each.
const EACH: usize = 100;
/// Messages of one conversation under way at once; what its queue does not hold, openfed refuses
/// aloud.
const UNDER_WAY: usize = 8;
/// The time that all of them may take.
const LIMIT: Duration = Duration::from_secs(45);

/// What each conversation must be, in order.
fn expected() -> Vec<String> {
    (0..EACH).map(|number| format!("number {number}")).collect()
}

fn assert_complete(conversations: &HashMap<String, Vec<String>>) {
    assert_eq!(conversations.len(), PEOPLE);
    for (person, texts) in conversations {
        assert_eq!(*texts, expected(), "{person}");
    }
}

/// How many messages of each conversation have arrived at the next hop.
#[derive(Default)]
struct Arrived {
    by_person: HashMap<String, usize>,
    looked_at: usize,
}

impl Arrived {
    /// Waits until there are `wanted` of each.
    async fn each(&mut self, wanted: usize, world: &World, alice: &XmppClient) -> Result<()> {
        let complete = |requests: &[Sip]| {
            for request in requests.iter().skip(self.looked_at) {
                *self.by_person.entry(request.uri().to_owned()).or_default() += 1;
            }
            self.looked_at = requests.len();
            let people = self.by_person.values().filter(|number| **number >= wanted).count();
            (wanted == 0 || people == PEOPLE).then_some(())
        };
        let came = world.hop.requests.wait_until("all MESSAGEs", LIMIT, complete).await;
        came.map_err(|failure| {
            let errors: Vec<_> = alice.stanzas.all().iter().filter_map(condition).collect();
            let came = world.hop.requests.all().len();
            Failure::new(format!("{failure:?}: {came} came, and errors {errors:?}"))
        })
    }
}

async fn xmpp_to_sip(place: &Place, loss: u8) -> Result<()> {
    let world = World::open(place, Kind::Prosody).await?;
    let World { hop, openfed, home, .. } = &world;
    openfed.command(&["domain", "add", "known.example"]).await?;
    hop.lose(loss, 7);
    let alice = home.login("alice").await?;
    let mut arrived = Arrived::default();
    for (round, text) in expected().iter().enumerate() {
        arrived.each(round.saturating_sub(UNDER_WAY), &world, &alice).await?;
        for person in 0..PEOPLE {
            alice.say(&format!("person{person}@known.example"), text)?;
        }
    }
    arrived.each(EACH, &world, &alice).await?;

    let mut conversations = HashMap::<_, Vec<_>>::new();
    for request in hop.requests.all() {
        conversations.entry(request.uri().to_owned()).or_default().push(request.body);
    }
    assert_complete(&conversations);
    let errors = alice.stanzas.count(|stanza| stanza.attr("type") == Some("error"));
    assert_eq!(errors, 0);
    Ok(())
}

async fn sip_to_xmpp(place: &Place, loss: u8) -> Result<()> {
    let world = World::open(place, Kind::Prosody).await?;
    let World { hop, openfed, home, .. } = &world;
    openfed.command(&["domain", "add", "known.example"]).await?;
    hop.lose(loss, 11);
    let alice = home.login("alice").await?;
    let to = format!("sip:alice@{LOCAL}");
    let (hop, to, target) = (&hop, &to, openfed.sip());
    let people = (0..PEOPLE).map(|person| async move {
        let from = format!("sip:person{person}@known.example");
        for text in expected() {
            let response = hop.send(&Outgoing::message(&from, to, &text), target).await?;
            if response.status() != Some(200) {
                return Err(Failure::new(format!("{from}, {text}: {}", response.start)));
            }
        }
        Ok(())
    });
    try_join_all(people).await?;

    // Every 200 was true: each message is there already, or on its last metres.
    let texts = |stanzas: &[Element]| {
        let texts = stanzas.iter().filter(|stanza| stanza.name() == "message").count();
        (texts >= PEOPLE * EACH).then_some(())
    };
    alice.stanzas.wait_until("all messages", LIMIT, texts).await?;
    let conversations = (0..PEOPLE).map(|person| format!("person{person}@known.example"));
    let conversations =
        conversations.map(|person| (person.clone(), alice.heard_from(&person))).collect();
    assert_complete(&conversations);
    Ok(())
}

#[test]
fn ten_thousand_messages_from_xmpp_to_sip() {
    play(async |place| xmpp_to_sip(place, 0).await);
}

#[test]
fn ten_thousand_messages_from_sip_to_xmpp() {
    play(async |place| sip_to_xmpp(place, 0).await);
}

#[test]
fn ten_thousand_messages_from_xmpp_to_sip_with_one_datagram_in_twenty_lost() {
    play(async |place| xmpp_to_sip(place, 5).await);
}

#[test]
fn ten_thousand_messages_from_sip_to_xmpp_with_one_datagram_in_twenty_lost() {
    play(async |place| sip_to_xmpp(place, 5).await);
}
