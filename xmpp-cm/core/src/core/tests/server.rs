//! An XMPP server of the scenes: hosts domains, answers dialback, keeps what it gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use minidom::Element;

use super::super::stanzas::pair_of;
use super::super::{ConnId, Core};
use super::domain;
use crate::dialback::Secret;
use crate::peers::Pair;
use crate::stream::{
    Domain, Event, InitiatorConfig, Name, ResponderConfig, Settings, StanzaCondition, Stream,
    StreamCondition, StreamError, Tls, Verdict,
};

struct End {
    stream: Stream,
    /// We opened it, for this pair.
    opened: Option<Pair>,
    ready: bool,
    /// Our key for the pair is sent.
    asked: bool,
}

/// What a server does to who connects to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Fault {
    /// It closes at once.
    Closes,
    /// It cannot do TLS.
    Tls,
    /// It does not know its own domain, and says so by dialback.
    Unknown,
}

struct Doubt {
    /// Where the claim came from, and the connection that it is verified over.
    claimed: ConnId,
    over: ConnId,
    from: Name,
    to: Name,
    id: String,
    key: String,
}

/// See the head of this file.
pub(in crate::core) struct Server {
    hosted: Vec<Domain>,
    secret: Secret,
    ends: BTreeMap<ConnId, End>,
    doubts: Vec<Doubt>,
    outbox: VecDeque<Element>,
    /// Stanzas that came.
    pub(in crate::core) got: Vec<Element>,
    /// Answers pings at once.
    pub(in crate::core) pongs: bool,
    /// Accepts a second domain on a stream.
    pub(in crate::core) multiplexes: bool,
    /// Refuses every stream with this.
    pub(in crate::core) refuses: Option<StreamCondition>,
    /// What else is wrong with it.
    pub(in crate::core) fault: Option<Fault>,
    /// Calls every key wrong.
    pub(in crate::core) distrusts: bool,
    /// Takes connections and keeps silent.
    pub(in crate::core) mute: bool,
    /// Foreign names as they were written to it in dialback: of keys, and of questions about its own.
    pub(in crate::core) spellings: Vec<String>,
    /// Connections that it still holds, but neither reads nor writes.
    hung: BTreeSet<ConnId>,
    /// Bytes that came while it was mute.
    unheard: BTreeMap<ConnId, usize>,
    /// What it shows in TLS handshakes, whoever began.
    pub(in crate::core) certificate: Option<[u8; 32]>,
    /// Whether SASL EXTERNAL was offered, on each stream that it opened.
    pub(in crate::core) external: Vec<bool>,
    /// How many of its stanzas were acknowledged, each time it was told (XEP-0198).
    pub(in crate::core) acknowledged: Vec<u32>,
    /// Domains that a certificate shown to it proves.
    pub(in crate::core) trusts: Vec<Domain>,
    /// Says what it has got, when asked (XEP-0198).
    pub(in crate::core) counts: bool,
    /// Offers SASL EXTERNAL to refuse it and close the stream.
    pub(in crate::core) refuses_sasl: bool,
    /// Connections that came so far.
    pub(in crate::core) accepted: usize,
}

fn settings() -> Settings {
    Settings { tls: Tls::Opportunistic, ..Settings::default() }
}

impl Server {
    pub(in crate::core) fn new(name: &str) -> Self {
        Self {
            hosted: vec![domain(name)],
            secret: Secret::new(name.as_bytes()),
            ends: BTreeMap::new(),
            doubts: Vec::new(),
            outbox: VecDeque::new(),
            got: Vec::new(),
            pongs: true,
            multiplexes: true,
            refuses: None,
            fault: None,
            distrusts: false,
            mute: false,
            spellings: Vec::new(),
            hung: BTreeSet::new(),
            unheard: BTreeMap::new(),
            certificate: None,
            external: Vec::new(),
            acknowledged: Vec::new(),
            trusts: Vec::new(),
            counts: true,
            refuses_sasl: false,
            accepted: 0,
        }
    }

    /// Claims to host a domain that it may not own.
    pub(in crate::core) fn claim(&mut self, name: &str) {
        self.hosted.push(domain(name));
    }

    /// The connection that it opened to speak to a domain.
    pub(in crate::core) fn opened_to(&self, name: &str) -> Option<ConnId> {
        let leads = |end: &End| end.opened.as_ref().is_some_and(|it| it.remote.as_str() == name);
        self.ends.iter().find(|(_, end)| leads(end)).map(|(conn, _)| *conn)
    }

    /// The connection that the core opened to it.
    pub(in crate::core) fn opened_here(&self) -> Option<ConnId> {
        self.ends.iter().find(|(_, end)| end.opened.is_none()).map(|(conn, _)| *conn)
    }

    /// The core connected to this server.
    pub(in crate::core) fn accept(&mut self, conn: ConnId, now: Instant) {
        let mut seed = conn.0 << 8;
        let mut random = || {
            seed += 1;
            seed
        };
        let config = ResponderConfig { settings: settings() };
        let stream = Stream::responder(config, &mut random, now);
        self.accepted += 1;
        self.ends.insert(conn, End { stream, opened: None, ready: false, asked: false });
    }

    pub(in crate::core) fn bytes(&mut self, conn: ConnId, bytes: &[u8], now: Instant) {
        if self.mute {
            *self.unheard.entry(conn).or_default() += bytes.len();
            return;
        }
        let text = std::str::from_utf8(bytes).unwrap();
        let told = text.split("<a xmlns='urn:xmpp:sm:3' h='").skip(1);
        self.acknowledged
            .extend(told.map(|h| h.split('\'').next().unwrap().parse::<u32>().unwrap()));
        if let Some(end) = self.ends.get_mut(&conn).filter(|_| !self.hung.contains(&conn)) {
            if self.refuses_sasl && text.contains("<auth ") {
                end.stream.certify(Vec::new());
                end.stream.handle_bytes(bytes, now);
                end.stream.close(now);
                return;
            }
            end.stream.handle_bytes(bytes, now);
            if text.contains("<stream:stream") {
                // Nothing comes before its features.
                end.stream.handle_timeout(now + Duration::from_millis(25));
            }
        }
    }

    pub(in crate::core) fn has(&self, conn: ConnId) -> bool {
        self.ends.contains_key(&conn)
    }

    /// What waited for the stream is given up.
    pub(in crate::core) fn closed(&mut self, conn: ConnId) {
        let end = self.ends.remove(&conn);
        self.doubts.retain(|doubt| doubt.over != conn);
        if let Some(pair) = end.and_then(|end| end.opened) {
            self.outbox.retain(|it| pair_of(it).is_none_or(|its| its.remote != pair.remote));
        }
    }

    /// Sends a stanza, over a stream of its own.
    pub(in crate::core) fn say(&mut self, stanza: &str) {
        let text = stanza.replacen('>', " xmlns='jabber:client'>", 1);
        self.outbox.push_back(text.parse().unwrap());
    }

    /// The last bytes of every stream count as never received.
    pub(in crate::core) fn deny_last(&mut self, bytes: usize) {
        let conns = self.ends.keys().copied();
        self.unheard = conns.map(|conn| (conn, bytes)).collect();
    }

    /// What it could not send yet is never sent.
    pub(in crate::core) fn gives_up(&mut self) {
        self.outbox.clear();
    }

    /// The connections that the core opened stay and are dead from now on; or those that it opened
    /// itself.
    pub(in crate::core) fn hangs(&mut self, own: bool) {
        let dead = self.ends.iter().filter(|(_, end)| end.opened.is_some() == own);
        self.hung.extend(dead.map(|(conn, _)| *conn));
    }

    /// Ends all streams properly.
    pub(in crate::core) fn hang_up(&mut self, now: Instant) {
        for end in self.ends.values_mut() {
            end.stream.close(now);
        }
    }

    /// Loses all connections without a word; the core is told.
    pub(in crate::core) fn crash(&mut self, core: &mut Core, now: Instant) {
        for conn in std::mem::take(&mut self.ends).into_keys() {
            let unheard = self.unheard.remove(&conn).unwrap_or(0);
            core.handle_closed(conn, unheard, now);
        }
    }

    /// Does what is to be done; false if that was nothing.
    pub(in crate::core) fn pump(&mut self, core: &mut Core, now: Instant) -> bool {
        let mut busy = self.post(core, now);
        let alive = self.ends.keys().filter(|conn| !self.hung.contains(conn));
        let conns: Vec<ConnId> = alive.copied().collect();
        for conn in conns {
            while let Some(event) = self.ends.get_mut(&conn).and_then(|end| end.stream.next_event())
            {
                busy = true;
                self.on_event(conn, event, core, now);
            }
        }
        busy
    }

    fn end(&mut self, conn: ConnId) -> &mut Stream {
        &mut self.ends.get_mut(&conn).unwrap().stream
    }

    fn on_event(&mut self, conn: ConnId, event: Event, core: &mut Core, now: Instant) {
        match event {
            Event::Transmit(bytes) => core.handle_bytes(conn, &bytes, now),
            Event::StartTls { .. } => {
                let trusts = self.trusts.clone();
                self.end(conn).certify(trusts);
                self.end(conn).handle_tls_established(now);
            }
            Event::Opened { to, .. } => match self.refuses.clone() {
                Some(condition) => self.end(conn).refuse_header(StreamError::new(condition)),
                None if !self.hosted.contains(&to) => {
                    let error = StreamError::new(StreamCondition::HostUnknown);
                    self.end(conn).refuse_header(error);
                }
                None => self.end(conn).accept_header(now),
            },
            Event::Ready(features) => {
                if self.ends[&conn].opened.is_some() {
                    self.external.push(features.external);
                }
                self.on_ready(conn);
            }
            Event::DialbackRequested { from, to, id, key } => {
                self.on_key(conn, (from, to), (id, key), core, now);
            }
            Event::DialbackVerifyRequested { from, to, id, key } => {
                self.spellings.push(from.written().into_owned());
                let valid = self.secret.verify(&from, &to, &id, &key);
                let verdict = if valid { Verdict::Valid } else { Verdict::Invalid };
                self.end(conn).answer_verify(&from, &to, &id, &verdict);
            }
            Event::DialbackVerified { local, remote, id, verdict } => {
                let at = self
                    .doubts
                    .iter()
                    .position(|it| it.id == id && it.to == local && it.from == remote);
                let doubt = self.doubts.remove(at.unwrap());
                if self.ends.contains_key(&doubt.claimed) {
                    self.end(doubt.claimed).answer_dialback(&remote, &local, &verdict);
                }
            }
            Event::Stanza(stanza) => self.on_stanza(stanza),
            Event::Counted(stanza, number) => {
                self.on_stanza(stanza);
                if self.counts {
                    self.end(conn).handled(number);
                }
            }
            Event::Closed(_) => {
                self.closed(conn);
                core.handle_closed(conn, 0, now);
            }
            Event::DialbackResult { .. } | Event::Authenticated { .. } | Event::BidiEnabled => {}
            Event::Bounced(_) | Event::Ignored | Event::Misaddressed { .. } => {}
            Event::Arrived(_) | Event::Uncounted => {}
        }
    }

    fn on_key(
        &mut self,
        conn: ConnId,
        (from, to): (Name, Name),
        (id, key): (String, String),
        core: &mut Core,
        now: Instant,
    ) {
        self.spellings.push(from.written().into_owned());
        let guest = self.ends[&conn].ready && !self.multiplexes;
        if self.fault == Some(Fault::Unknown) {
            let verdict = Verdict::Error(StanzaCondition::ItemNotFound);
            self.end(conn).answer_dialback(&from, &to, &verdict);
            return;
        }
        if self.distrusts || guest {
            self.end(conn).answer_dialback(&from, &to, &Verdict::Invalid);
            return;
        }
        self.ends.get_mut(&conn).unwrap().ready = true;
        let over = self.open(Pair::new(&to, &from), core, now);
        self.doubts.push(Doubt { claimed: conn, over, from, to, id, key });
        self.ask(over);
    }

    fn on_stanza(&mut self, stanza: Element) {
        let ping = stanza.has_child("ping", "urn:xmpp:ping");
        if self.pongs && ping {
            let (id, from) = (stanza.attr("id").unwrap(), stanza.attr("from").unwrap());
            let to = stanza.attr("to").unwrap();
            self.say(&format!("<iq type='result' id='{id}' from='{to}' to='{from}'></iq>"));
        }
        self.got.push(stanza);
    }

    /// A stream of our own for the pair.
    fn open(&mut self, pair: Pair, core: &mut Core, now: Instant) -> ConnId {
        let known = self.ends.iter().find(|(_, end)| end.opened.as_ref() == Some(&pair));
        if let Some((conn, _)) = known {
            return *conn;
        }
        let conn = core.handle_accepted("192.0.2.1:40000".parse().unwrap(), now).unwrap();
        let Pair { local, remote } = pair.clone();
        let config = InitiatorConfig { local, remote, settings: settings() };
        let stream = Stream::initiator(config, now);
        self.ends.insert(conn, End { stream, opened: Some(pair), ready: false, asked: false });
        conn
    }

    fn on_ready(&mut self, conn: ConnId) {
        self.ends.get_mut(&conn).unwrap().ready = true;
        self.ask(conn);
    }

    fn ask(&mut self, over: ConnId) {
        let end = self.ends.get_mut(&over).unwrap();
        if !end.ready {
            return;
        }
        for doubt in self.doubts.iter().filter(|doubt| doubt.over == over) {
            end.stream.request_verify(&doubt.to, &doubt.from, &doubt.id, &doubt.key).unwrap();
        }
    }

    /// Sends what is in the outbox, in order, as far as streams are there.
    fn post(&mut self, core: &mut Core, now: Instant) -> bool {
        let mut busy = false;
        while let Some(stanza) = self.outbox.front() {
            let pair = pair_of(stanza).unwrap();
            let stanza = stanza.clone();
            let conn = self.open(pair.clone(), core, now);
            let end = self.ends.get_mut(&conn).unwrap();
            if end.stream.may_send(&pair.local, &pair.remote) {
                end.stream.send(&stanza).unwrap();
                self.outbox.pop_front();
                busy = true;
            } else {
                if end.ready && !end.asked {
                    let secret = self.secret.clone();
                    let _ = end.stream.request_dialback(&pair.local, &pair.remote, &secret);
                    end.asked = true;
                }
                break;
            }
        }
        busy
    }
}
