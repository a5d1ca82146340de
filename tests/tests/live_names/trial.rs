//! One name, one home server, one direction: delivered to exactly that user, or refused with a
//! reason.

use std::fmt;
use std::time::Duration;

use openfed_proto::address::Address;
use openfed_tests::openfed::LOCAL;
use openfed_tests::scene::SOON;
use openfed_tests::sip::Outgoing;
use openfed_tests::world::World;
use openfed_tests::xmpp_client::Element;
use openfed_tests::xmpp_typist::Typist;
use openfed_tests::{Failure, Result};
use tokio::time::{Instant, timeout};

/// Longer nobody waits for what cannot be: the shortest time-out in the system is 5 s.
const AT_ONCE: Duration = Duration::from_secs(4);

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Refused,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delivered => "yes",
            Self::Refused => "no",
        })
    }
}

/// A foreign user as somebody writes it: local part (without escapes) and domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) local: &'a str,
    pub(crate) domain: &'a str,
}

impl Name<'_> {
    /// As SIP writes it. Domains are A-labels there, where they can be.
    fn uri(&self) -> String {
        let escaped: String = self.local.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let host = match openfed_proto::domain::Domain::parse(self.domain) {
            Ok(domain) if !self.domain.is_ascii() => domain.to_string(),
            _ => self.domain.to_owned(),
        };
        format!("sip:{escaped}@{host}")
    }

    /// As somebody types it into an XMPP client that changes nothing, inside an attribute.
    fn typed(&self) -> String {
        let local = self.local.replace(' ', "\\20").replace('&', "\\26").replace('\'', "\\27");
        format!("{local}@{}", self.domain)
    }

    /// The one user that is meant, if there can be one.
    pub(crate) fn address(&self) -> Option<Address> {
        let escaped: String = self.local.bytes().map(|byte| format!("%{byte:02X}")).collect();
        Address::from_sip(&escaped, self.domain, None).ok()
    }
}

/// SIP from this name to alice; if she hears it, she answers to the address that she is shown.
pub(crate) async fn from_sip(
    world: &World,
    alice: &mut Typist,
    name: Name<'_>,
    text: &str,
) -> Result<Fate> {
    let message = Outgoing::message(&name.uri(), &format!("sip:alice@{LOCAL}"), text);
    let began = Instant::now();
    let response = world.hop.send(&message, world.openfed.sip()).await?;
    let wrong = |what: &str| Failure::new(format!("{name:?} from SIP: {what}: {response:?}"));
    if began.elapsed() > AT_ONCE {
        return Err(wrong("too late"));
    }
    if response.status() != Some(200) {
        let refused = response.status().is_some_and(|status| (400..500).contains(&status));
        // What is malformed is named by the reason phrase (RFC 3261 §21.4.1).
        let named = response.start.starts_with("SIP/2.0 400 Malformed");
        let reason = named || response.header("Warning").is_some();
        let fate = (refused && reason).then_some(Fate::Refused);
        return fate.ok_or_else(|| wrong("refused without a reason"));
    }
    let said = |it: &Element| body(it).as_deref() == Some(text);
    let heard = alice.stanzas.wait_for(&format!("{name:?}: {text}"), SOON, said).await?;
    let shown = heard.attr("from").unwrap_or_default().to_owned();
    let back = format!("{text}-back");
    alice.types(&typed_message(&shown, &back)).await?;
    let answered = |it: &openfed_tests::sip::Sip| it.body == back;
    let answer = world.hop.requests.wait_for(&back, SOON, answered).await?;
    let uri = name.address().and_then(|address| address.to_sip_uri().ok());
    match answer.uri().split(';').next() == uri.as_deref() {
        true => Ok(Fate::Delivered),
        false => Err(wrong(&format!("shown as {shown}, answered at {}", answer.uri()))),
    }
}

/// Alice types this name.
pub(crate) async fn to_sip(
    world: &World,
    alice: &mut Typist,
    name: Name<'_>,
    text: &str,
) -> Result<Fate> {
    alice.types(&typed_message(&name.typed(), text)).await?;
    let said = |it: &openfed_tests::sip::Sip| it.body == text;
    let failed = |it: &Element| it.attr("type") == Some("error") && it.attr("id") == Some(text);
    let outcome = async {
        tokio::select! {
            request = world.hop.requests.wait_for(text, SOON, said) => request.map(Ok),
            error = alice.stanzas.wait_for(text, SOON, failed) => error.map(Err),
        }
    };
    let late = |_| Failure::new(format!("{name:?} to SIP: neither delivered nor answered"));
    match timeout(AT_ONCE, outcome).await.map_err(late)?? {
        Ok(request) => {
            let uri = name.address().and_then(|address| address.to_sip_uri().ok());
            match uri.as_deref() == Some(request.uri()) {
                true => Ok(Fate::Delivered),
                false => Err(Failure::new(format!("{name:?} was sent to {}", request.uri()))),
            }
        }
        // A condition is always there; whether words are is the home server's choice.
        Err(error) if error.children().any(|child| child.name() == "error") => Ok(Fate::Refused),
        Err(error) => Err(Failure::new(format!("{name:?}: no error in {error:?}"))),
    }
}

/// SIP to this local user, who does not exist.
pub(crate) async fn to_nobody(world: &World, local: &str) -> Result<()> {
    let name = Name { local, domain: LOCAL };
    let message = Outgoing::message("sip:bob@far.example", &name.uri(), "anyone?");
    let began = Instant::now();
    let response = world.hop.send(&message, world.openfed.sip()).await?;
    match response.status() {
        Some(400 | 404) if began.elapsed() < AT_ONCE => Ok(()),
        _ => Err(Failure::new(format!("nobody is called {local}: {response:?}"))),
    }
}

fn typed_message(to: &str, text: &str) -> String {
    let to = to.replace('&', "&amp;").replace('\'', "&apos;").replace('<', "&lt;");
    format!("<message to='{to}' id='{text}' type='chat'><body>{text}</body></message>")
}

fn body(stanza: &Element) -> Option<String> {
    let plain = stanza.name() == "message" && stanza.attr("type") != Some("error");
    let body = stanza.children().filter(|_| plain).find(|child| child.name() == "body");
    body.map(Element::text)
}
