//! An XMPP server of the simulation, home or foreign: it hosts domains, proves them by dialback,
//! delivers to its users in order, answers pings, and refuses messages for users it does not have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use minidom::Element;
use openfed_proto::domain::Domain;
use xmpp_cm_core::dialback::Secret;
use xmpp_cm_core::stream::{
    Event, InitiatorConfig, Name, ResponderConfig, Settings, Stream, StreamCondition, StreamError,
    Tls, Verdict,
};
use xmpp_cm_core::xml::to_bytes;

use super::chance::Chance;
use super::sip_peer::Note;

const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
const PING: &str = "urn:xmpp:ping";

/// A connection between a server and an xmpp-cm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId(pub(crate) u64);

/// From whom to whom.
type Pair = (Name, Name);

/// What the server wants of the network.
#[derive(Debug)]
pub(crate) enum Act {
    Dial(WireId),
    Bytes(WireId, Bytes),
    HangUp(WireId),
}

#[derive(Debug)]
struct End {
    /// `None` until the connection is there.
    stream: Option<Stream>,
    /// We opened it, for this pair.
    opened: Option<Pair>,
    ready: bool,
    /// Our key for the pair is sent.
    asked: bool,
}

/// A claim that is being verified.
#[derive(Debug)]
struct Doubt {
    claimed: WireId,
    over: WireId,
    from: Name,
    to: Name,
    id: String,
    key: String,
}

/// See the head of this file.
#[derive(Debug)]
pub struct XmppServer {
    hosted: BTreeSet<Domain>,
    secret: Secret,
    chance: Chance,
    ends: BTreeMap<WireId, End>,
    doubts: Vec<Doubt>,
    outbox: BTreeMap<Pair, VecDeque<Element>>,
    acts: Vec<Act>,
    next_wire: u64,
    /// Local parts that it does not know.
    pub strangers: BTreeSet<String>,
    /// Messages that its users got.
    pub got: Vec<Note>,
    /// Errors that its users got: id of the stanza, condition, when.
    pub errors: Vec<(String, String, Instant)>,
    /// Pings that it answered.
    pub pings: usize,
    /// Whoever shows a certificate is let in by it, and told what of it has come (XEP-0198).
    pub trusts: bool,
    /// Takes connections and says nothing.
    pub is_mute: bool,
    /// Answers on any stream: of a thousand answers, so many go back on the stream that the question
    /// came on, also where the server may not speak; and there it says other things, too.
    pub astray: u64,
    /// Answers that it gave there.
    pub bounces: usize,
}

impl XmppServer {
    pub(crate) fn new(name: &str, number: usize, mut chance: Chance) -> Self {
        Self {
            hosted: BTreeSet::from([domain(name)]),
            secret: Secret::new(format!("the secret of {name}").as_bytes()),
            trusts: chance.happens(500),
            chance,
            ends: BTreeMap::new(),
            doubts: Vec::new(),
            outbox: BTreeMap::new(),
            acts: Vec::new(),
            next_wire: (number as u64 + 1) << 32,
            strangers: BTreeSet::new(),
            got: Vec::new(),
            errors: Vec::new(),
            pings: 0,
            is_mute: false,
            astray: 0,
            bounces: 0,
        }
    }

    /// A user of this server writes a message; its id is the text.
    pub(crate) fn say(&mut self, note: &Note) {
        let Note { from, to, text } = note;
        let message = stanza(&format!(
            "<message xmlns='jabber:client' type='chat' id='{text}' from='{from}/desk' to='{to}'>\
             <body>{text}</body></message>"
        ));
        self.post(message);
    }

    pub(crate) fn accept(&mut self, wire: WireId, now: Instant) {
        let config = ResponderConfig { settings: settings() };
        let mut chance = self.chance.fork();
        let stream = Stream::responder(config, &mut || chance.next(), now);
        let end = End { stream: Some(stream), opened: None, ready: false, asked: false };
        self.ends.insert(wire, end);
    }

    pub(crate) fn connected(&mut self, wire: WireId, now: Instant) {
        let Some(end) = self.ends.get_mut(&wire) else { return };
        let Some((local, remote)) = end.opened.clone() else { return };
        let config = InitiatorConfig { local, remote, settings: settings() };
        end.stream = Some(Stream::initiator(config, now));
    }

    pub(crate) fn bytes(&mut self, wire: WireId, bytes: &[u8], now: Instant) {
        if self.is_mute {
            return;
        }
        if let Some(stream) = self.stream(wire) {
            stream.handle_bytes(bytes, now);
        }
    }

    /// The connection is gone: what waited for it goes back to its senders.
    pub(crate) fn closed(&mut self, wire: WireId, now: Instant) {
        let Some(end) = self.ends.remove(&wire) else { return };
        self.doubts.retain(|doubt| doubt.over != wire);
        let Some(queue) = end.opened.and_then(|pair| self.outbox.remove(&pair)) else { return };
        for stanza in queue.iter().filter(|stanza| stanza.attr("type") == Some("chat")) {
            let id = stanza.attr("id").unwrap_or_default().to_owned();
            self.errors.push((id, "not sent".to_owned(), now));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ends.values().filter_map(|end| end.stream.as_ref()?.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ends
            .values_mut()
            .filter_map(|end| end.stream.as_mut())
            .for_each(|s| s.handle_timeout(now));
    }

    /// Everything that follows from what happened.
    pub(crate) fn take_acts(&mut self, now: Instant) -> Vec<Act> {
        loop {
            let mut busy = self.send_posted();
            for wire in self.ends.keys().copied().collect::<Vec<_>>() {
                while let Some(event) = self.stream(wire).and_then(Stream::next_event) {
                    busy = true;
                    self.on_event(wire, event, now);
                }
            }
            if !busy {
                return std::mem::take(&mut self.acts);
            }
        }
    }

    fn stream(&mut self, wire: WireId) -> Option<&mut Stream> {
        self.ends.get_mut(&wire)?.stream.as_mut()
    }

    fn on_event(&mut self, wire: WireId, event: Event, now: Instant) {
        match event {
            Event::Transmit(bytes) => self.acts.push(Act::Bytes(wire, bytes)),
            Event::Opened { to, .. } => {
                let hosted = self.hosted.contains(&to);
                let Some(stream) = self.stream(wire) else { return };
                match hosted {
                    true => stream.accept_header(now),
                    false => stream.refuse_header(StreamError::new(StreamCondition::HostUnknown)),
                }
            }
            Event::StartTls { .. } => {
                let trusts = self.trusts;
                let Some(stream) = self.stream(wire) else { return };
                stream
                    .certify(stream.domains().1.filter(|_| trusts).cloned().into_iter().collect());
                stream.handle_tls_established(now);
            }
            Event::Ready(_) => {
                self.ends.get_mut(&wire).into_iter().for_each(|end| end.ready = true);
                self.ask(wire);
            }
            Event::DialbackRequested { from, to, id, key } => {
                let over = self.open((to.clone(), from.clone()));
                self.doubts.push(Doubt { claimed: wire, over, from, to, id, key });
                self.ask(over);
            }
            Event::DialbackVerifyRequested { from, to, id, key } => {
                let is_ours = self.secret.verify(&from, &to, &id, &key);
                let verdict = if is_ours { Verdict::Valid } else { Verdict::Invalid };
                let Some(stream) = self.stream(wire) else { return };
                stream.answer_verify(&from, &to, &id, &verdict);
            }
            Event::DialbackVerified { local, remote, id, verdict } => {
                let is_it = |it: &Doubt| it.id == id && it.to == local && it.from == remote;
                let Some(at) = self.doubts.iter().position(is_it) else { return };
                let doubt = self.doubts.remove(at);
                let Some(stream) = self.stream(doubt.claimed) else { return };
                stream.answer_dialback(&remote, &local, &verdict);
            }
            Event::Stanza(stanza) => self.on_stanza(wire, &stanza, now),
            Event::Counted(stanza, number) => {
                self.on_stanza(wire, &stanza, now);
                self.stream(wire).into_iter().for_each(|stream| stream.handled(number));
            }
            Event::Closed(_) => {
                self.closed(wire, now);
                self.acts.push(Act::HangUp(wire));
            }
            Event::DialbackResult { .. } | Event::Authenticated { .. } | Event::BidiEnabled => {}
            Event::Bounced(_) | Event::Ignored | Event::Misaddressed { .. } => {}
            Event::Arrived(_) | Event::Uncounted => {}
        }
    }

    fn on_stanza(&mut self, wire: WireId, stanza: &Element, now: Instant) {
        let attr = |name: &str| stanza.attr(name).unwrap_or_default().to_owned();
        let text = stanza.get_child("body", "jabber:client").map(Element::text);
        match (stanza.name(), attr("type").as_str(), text) {
            ("iq", "get", _) if stanza.has_child("ping", PING) => {
                self.pings += 1;
                self.reply(wire, answer("iq", "result", stanza, ""));
            }
            ("message", "error", _) => {
                let error = stanza.get_child("error", "jabber:client");
                let condition = error.and_then(|error| error.children().find(|c| c.has_ns(ERRORS)));
                let condition = condition.map(Element::name).unwrap_or_default();
                self.errors.push((attr("id"), condition.to_owned(), now));
            }
            ("message", _, Some(text)) => {
                let (from, to) = (bare(&attr("from")), bare(&attr("to")));
                let user = to.split('@').next().unwrap_or_default();
                if self.strangers.contains(user) {
                    let error = format!(
                        "<error type='cancel'><service-unavailable xmlns='{ERRORS}'/></error>"
                    );
                    self.reply(wire, answer("message", "error", stanza, &error));
                } else {
                    self.got.push(Note { from, to, text });
                }
            }
            _ => {}
        }
    }

    /// Back over the stream that the question came on, if it goes both ways (XEP-0288); else over
    /// a stream of our own. One that answers anywhere may also refuse on the stream of the question,
    /// as ejabberd does, and says there what means nothing.
    fn reply(&mut self, wire: WireId, stanza: Element) {
        if self.chance.happens(self.astray) {
            self.babble(wire, &stanza);
        }
        let refuses = stanza.attr("type") == Some("error");
        if refuses && self.chance.happens(self.astray) {
            self.bounces += 1;
            return self.acts.push(Act::Bytes(wire, to_bytes(&stanza)));
        }
        let sent = self.stream(wire).is_some_and(|stream| stream.send(&stanza).is_ok());
        if !sent {
            self.post(stanza);
        }
    }

    /// Says an answer where it is none: as clients would write it, and for what nobody asked.
    fn babble(&mut self, wire: WireId, stanza: &Element) {
        let attr = |name| stanza.attr(name).unwrap_or_default();
        let (kind, subtype) = (stanza.name(), attr("type"));
        let (id, from, to) = (attr("id"), attr("from"), attr("to"));
        let words = match self.chance.below(4) {
            0 => format!(
                "<{kind} xmlns='jabber:client' type='{subtype}' id='{id}' from='{from}' to='{to}'/>"
            ),
            1 => format!("<iq type='result' id='{id}' from='{from}' to='{to}'/>"),
            2 => format!("<message type='error' id='of nobody' from='{from}' to='{to}'/>"),
            _ => format!("<presence from='{from}' to='{to}'/>"),
        };
        self.acts.push(Act::Bytes(wire, words.into()));
    }

    fn post(&mut self, stanza: Element) {
        let domain_of = |name: &str| {
            let jid = bare(stanza.attr(name).unwrap_or_default());
            domain(jid.rsplit('@').next().unwrap_or_default())
        };
        let pair = (domain_of("from").into(), domain_of("to").into());
        self.outbox.entry(pair).or_default().push_back(stanza);
    }

    /// The stream that we opened for the pair; if there is none, it is opened.
    fn open(&mut self, pair: Pair) -> WireId {
        if let Some((wire, _)) =
            self.ends.iter().find(|(_, end)| end.opened.as_ref() == Some(&pair))
        {
            return *wire;
        }
        self.next_wire += 1;
        let wire = WireId(self.next_wire);
        let end = End { stream: None, opened: Some(pair), ready: false, asked: false };
        self.ends.insert(wire, end);
        self.acts.push(Act::Dial(wire));
        wire
    }

    fn ask(&mut self, over: WireId) {
        let Some(end) = self.ends.get_mut(&over).filter(|end| end.ready) else { return };
        let Some(stream) = end.stream.as_mut() else { return };
        for doubt in self.doubts.iter().filter(|doubt| doubt.over == over) {
            // A question that was asked already is not asked again.
            let _ = stream.request_verify(&doubt.to, &doubt.from, &doubt.id, &doubt.key);
        }
    }

    /// Sends what is in the outbox, as far as streams are there.
    fn send_posted(&mut self) -> bool {
        let mut busy = false;
        if self.is_mute {
            return busy;
        }
        let pairs: Vec<Pair> = self.outbox.keys().cloned().collect();
        for pair in pairs {
            if self.outbox.get(&pair).is_none_or(VecDeque::is_empty) {
                continue;
            }
            let wire = self.open(pair.clone());
            let (Some(end), Some(queue)) = (self.ends.get_mut(&wire), self.outbox.get_mut(&pair))
            else {
                continue;
            };
            let Some(stream) = end.stream.as_mut() else { continue };
            if stream.may_send(&pair.0, &pair.1) {
                for stanza in queue.drain(..) {
                    stream.send(&stanza).expect("the stream may send it");
                    busy = true;
                }
            } else if end.ready && !end.asked {
                end.asked = true;
                busy = stream.request_dialback(&pair.0, &pair.1, &self.secret).is_ok();
            }
        }
        busy
    }
}

fn settings() -> Settings {
    Settings { tls: Tls::Opportunistic, ..Settings::default() }
}

fn stanza(text: &str) -> Element {
    text.parse().expect("a stanza")
}

/// A stanza back to the sender of another.
fn answer(kind: &str, subtype: &str, to: &Element, payload: &str) -> Element {
    let attr = |name| to.attr(name).unwrap_or_default();
    stanza(&format!(
        "<{kind} xmlns='jabber:client' type='{subtype}' id='{}' from='{}' to='{}'>{payload}</{kind}>",
        attr("id"),
        attr("to"),
        attr("from")
    ))
}

fn bare(jid: &str) -> String {
    jid.split('/').next().unwrap_or_default().to_owned()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}
