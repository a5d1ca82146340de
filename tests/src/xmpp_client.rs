//! A person with an XMPP client: `tokio-xmpp`, logged in at a home server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_xmpp::Stanza;
use tokio_xmpp::connect::{DnsConfig, TcpServerConnector};
use tokio_xmpp::jid::Jid;
pub use tokio_xmpp::minidom::Element;
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::message::{Id, Lang, Message};
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::stanzastream::{Event, StanzaStream, StreamEvent};
use tokio_xmpp::xmlstream::Timeouts;

use crate::scene::SOON;
use crate::seen::Seen;
use crate::sip::unique;
use crate::{Failure, Result};

/// Stanzas that wait in each direction before the stream is held up: more than a scene has.
const QUEUE: usize = 32_768;

/// How many stanzas a failure shows.
const LAST_STANZAS: usize = 20;

/// A logged-in client; dropped means gone.
pub struct XmppClient {
    outgoing: mpsc::UnboundedSender<Stanza>,
    /// All stanzas that came.
    pub stanzas: Arc<Seen<Element>>,
    bound: Jid,
    task: JoinHandle<()>,
}

impl XmppClient {
    /// Logs in at the server at `address`, without TLS, and becomes available.
    pub async fn login(jid: &str, password: &str, address: SocketAddr) -> Result<Self> {
        let connector = TcpServerConnector::from(DnsConfig::Addr { addr: address.to_string() });
        let jid = Jid::new(jid)?;
        let stream = StanzaStream::new_c2s(
            connector,
            jid.clone(),
            password.to_owned(),
            Timeouts::tight(),
            QUEUE,
        );
        let (outgoing, requests) = mpsc::unbounded_channel();
        let stanzas = Arc::<Seen<Element>>::default();
        let online = Arc::<Seen<Jid>>::default();
        let task = tokio::spawn(run(stream, requests, Arc::clone(&stanzas), Arc::clone(&online)));
        let bound = online.wait_for(&format!("login of {jid}"), SOON, |_| true).await?;
        let client = Self { outgoing, stanzas, bound, task };
        client.send(Presence::available())?;
        // The server has processed the presence when it has answered what came after it.
        let server = client.bound.domain().as_str().to_owned();
        client.ping(&server).await?;
        Ok(client)
    }

    /// The full address that the server gave.
    pub fn jid(&self) -> &Jid {
        &self.bound
    }

    /// Sends a stanza.
    pub fn send(&self, stanza: impl Into<Stanza>) -> Result<()> {
        Ok(self.outgoing.send(stanza.into())?)
    }

    /// Sends a chat message and gives its id.
    pub fn say(&self, to: &str, body: &str) -> Result<String> {
        self.say_message(Message::chat(Jid::new(to)?).with_body(Lang::new(), body.to_owned()))
    }

    /// Sends a message as it is, but with an id of its own, and gives that.
    pub fn say_message(&self, mut message: Message) -> Result<String> {
        let id = unique();
        message.id = Some(Id(id.clone()));
        self.send(message)?;
        Ok(id)
    }

    /// Waits for the message with this body.
    pub async fn hears(&self, body: &str) -> Result<Element> {
        let what = format!("message {body:?} for {}", self.bound);
        let found = |stanza: &Element| {
            text_of(stanza).is_some_and(|text| text == body) && stanza.attr("type") != Some("error")
        };
        let found = self.stanzas.wait_for(&what, SOON, found).await;
        found.map_err(|failure| self.with_all(&failure))
    }

    /// Waits for the error that answers the message with this id, and gives its condition.
    pub async fn condition_of(&self, id: &str, limit: Duration) -> Result<String> {
        let what = format!("error for message {id} of {}", self.bound);
        let found = |stanza: &Element| {
            stanza.name() == "message"
                && stanza.attr("type") == Some("error")
                && stanza.attr("id") == Some(id)
        };
        let found = self.stanzas.wait_for(&what, limit, found).await;
        let error = found.map_err(|failure| self.with_all(&failure))?;
        condition(&error).ok_or_else(|| Failure::new(format!("no condition in {error:?}")))
    }

    /// Sends a get request and waits for the result or error.
    pub async fn ask(&self, to: &str, payload: Element) -> Result<Element> {
        let id = unique();
        let to = Some(Jid::new(to)?);
        self.send(Stanza::Iq(Iq::Get { from: None, to, id: id.clone(), payload }))?;
        let what = format!("answer to iq {id} of {}", self.bound);
        let is_answer = |stanza: &Element| {
            stanza.name() == "iq"
                && stanza.attr("id") == Some(&id)
                && matches!(stanza.attr("type"), Some("result" | "error"))
        };
        self.stanzas.wait_for(&what, SOON, is_answer).await
    }

    /// Pings (XEP-0199).
    pub async fn ping(&self, to: &str) -> Result<Element> {
        self.ask(to, Element::builder("ping", "urn:xmpp:ping").build()).await
    }

    /// Asks for identity and features (XEP-0030).
    pub async fn disco(&self, to: &str) -> Result<Element> {
        let query = Element::builder("query", "http://jabber.org/protocol/disco#info").build();
        self.ask(to, query).await
    }

    /// The bodies of the messages, other than errors, that came from `from` (bare), in order.
    pub fn heard_from(&self, from: &str) -> Vec<String> {
        let of_sender = |stanza: &Element| {
            let sender = stanza.attr("from")?.split('/').next()?;
            let wanted = sender == from && stanza.attr("type") != Some("error");
            if wanted { text_of(stanza) } else { None }
        };
        self.stanzas.all().iter().filter_map(of_sender).collect()
    }

    fn with_all(&self, failure: &Failure) -> Failure {
        let all = self.stanzas.all();
        let last = all.iter().rev().take(LAST_STANZAS).rev();
        let last = last.map(String::from).collect::<Vec<_>>().join("\n");
        Failure::new(format!("{failure:?}; {} stanzas came, the last ones:\n{last}", all.len()))
    }
}

impl Drop for XmppClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body of a message.
pub fn text_of(stanza: &Element) -> Option<String> {
    if stanza.name() != "message" {
        return None;
    }
    let body = stanza.children().find(|child| child.name() == "body")?;
    Some(body.text())
}

/// The defined condition of an error stanza (RFC 6120 §8.3.3).
pub fn condition(stanza: &Element) -> Option<String> {
    let error = stanza.children().find(|child| child.name() == "error")?;
    let condition = error.children().find(|child| child.name() != "text")?;
    Some(condition.name().to_owned())
}

/// What an error stanza says to people (RFC 6120 §8.3.2).
pub fn explanation(stanza: &Element) -> Option<String> {
    let error = stanza.children().find(|child| child.name() == "error")?;
    Some(error.children().find(|child| child.name() == "text")?.text())
}

fn element(stanza: Stanza) -> Element {
    match stanza {
        Stanza::Iq(iq) => Element::from(iq),
        Stanza::Message(message) => Element::from(message),
        Stanza::Presence(presence) => Element::from(presence),
    }
}

async fn run(
    mut stream: StanzaStream,
    mut requests: mpsc::UnboundedReceiver<Stanza>,
    stanzas: Arc<Seen<Element>>,
    online: Arc<Seen<Jid>>,
) {
    loop {
        tokio::select! {
            event = stream.next() => match event {
                Some(Event::Stanza(stanza)) => stanzas.push(element(stanza)),
                Some(Event::Stream(StreamEvent::Reset { bound_jid, .. })) => online.push(bound_jid),
                Some(Event::Stream(_)) => {}
                None => return,
            },
            request = requests.recv() => match request {
                Some(stanza) => drop(stream.send(Box::new(stanza)).await),
                None => return,
            },
        }
    }
}
