//! Transactions (RFC 3261 §17, RFC 6026, RFC 4320): what is a retransmission, what is new, what
//! is sent again and when to give up.
//!
//! ```text
//! request in ──▶ Transactions ──New──▶ user ──respond──▶ Transactions ──▶ Send
//! user ──request──▶ Transactions ──▶ Send … response in ──▶ Transactions ──Fresh──▶ user
//! ```
//! Both tables are bounded; a request that finds them full is refused aloud.

mod client;
mod derived;
mod due;
mod facts;
mod key;
mod server;
mod slots;
mod turned_away;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::command::{Arrival, Hop, Send, Token};
use crate::random::Seed;
use crate::timer::Timers;
use crate::wire::{Glance, Message};
use client::Client;
use server::Server;
use slots::{Index, Slots};

pub(crate) use derived::{cancel_of, hop_by_via, response_hop};
pub(crate) use facts::{Arrived, Event};
use turned_away::TurnedAway;

pub(crate) use key::ServerKey;
use key::{ClientKey, merge_key};
pub(crate) use key::{is_in_dialog, origin, packet_id};

/// RFC 3261 §17.1.1.1: the estimated round-trip time.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// The longest interval between retransmissions.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// How long a message may stay in the network.
pub(crate) const T4: Duration = Duration::from_secs(5);
/// 64*T1: when a transaction gives up.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(32);
/// RFC 4320 §4.1: when a client's Timer E has grown to T2, and a 100 calms it down.
const TRYING_AFTER: Duration = Duration::from_millis(3_500);

/// A request from a peer and our answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServerId(pub(crate) u64);

/// A request of ours and the peer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invite,
    Other,
}

impl Kind {
    fn of(method: &str) -> Self {
        if method == "INVITE" { Kind::Invite } else { Kind::Other }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Server(ServerId),
    Client(ClientId),
}

/// All transactions of this service.
#[derive(Debug)]
pub(crate) struct Transactions {
    limit: usize,
    seed: Seed,
    next_number: u64,
    servers: Slots<Server>,
    by_key: Index,
    /// Requests being answered, by what stays the same when they come on two ways (E-04).
    merged: Index,
    /// Answered non-INVITEs that only wait for their copies (timer J), oldest first.
    answered: VecDeque<ServerId>,
    clients: Slots<Client>,
    by_key_of_ours: Index,
    turned_away: TurnedAway,
    timers: Timers<Owner>,
    sends: VecDeque<Send>,
    events: VecDeque<Event>,
}

impl Transactions {
    pub(crate) fn new(limit: usize, seed: Seed) -> Self {
        let limit = limit.min(slots::MOST);
        // An index that outgrows its room moves all that it has while everybody waits, and one that
        // is nearly full does so in the end, though nothing is added but what takes another's place.
        // Requests of peers stay for 32 s, ours for 5 s.
        let (requests, ours) = (limit * 2, limit);
        Transactions {
            limit,
            seed,
            next_number: 1,
            servers: Slots::new(limit),
            by_key: Index::with_room(requests),
            merged: Index::with_room(requests),
            answered: VecDeque::new(),
            clients: Slots::new(limit),
            by_key_of_ours: Index::with_room(ours),
            turned_away: TurnedAway::default(),
            timers: Timers::new(),
            sends: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Ids are never used twice; tokens of sends are drawn from the same numbers.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        slots::without_place(self.next_number())
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn server_by_key(&self, key: ServerKey) -> Option<ServerId> {
        let found = self.by_key.find(&self.servers, key.number(), |server| server.key == key);
        found.map(ServerId)
    }

    /// The first request with this key (RFC 3261 §8.2.2.2).
    fn by_merge_key(&self, key: u64) -> Option<ServerId> {
        let found = self.merged.find(&self.servers, key, |server| server.merge == Some(key));
        found.map(ServerId)
    }

    fn client_by_key(&self, key: ClientKey) -> Option<ClientId> {
        let found = self.by_key_of_ours.find(&self.clients, key.number(), |it| it.key == key);
        found.map(ClientId)
    }

    /// Takes a request whose source is already marked in its top Via.
    pub(crate) fn receive_request(
        &mut self,
        request: &Message,
        arrival: &Arrival,
        now: Instant,
    ) -> Arrived {
        let Some(key) = ServerKey::of(request, self.seed) else { return Arrived::Full };
        let method = request.method().unwrap_or_default();
        if method == "ACK" {
            return match self.server_by_key(key.invite(self.seed)) {
                Some(id) if self.acknowledge(id, now) => Arrived::Retransmission,
                _ => Arrived::Ack,
            };
        }
        if let Some(id) = self.server_by_key(key) {
            if let Some(server) = self.servers.get(id.0)
                && let Some(bytes) = server.repeat()
            {
                let to = server.reply_to.clone();
                self.sends.push_back(Send { token: Token(id.0), to, bytes });
            }
            return Arrived::Retransmission;
        }
        if self.servers.len() >= self.limit && !self.make_room() {
            return Arrived::Full;
        }
        let meant = (method == "CANCEL").then(|| self.server_by_key(key.invite(self.seed)));
        let own = self.open_server(request, key, arrival, now);
        match meant {
            Some(meant) => Arrived::Cancel { own, meant },
            None => Arrived::New(own),
        }
    }

    /// The key of a request that would begin something: no copy, no part of a dialog, no CANCEL.
    pub(crate) fn new_key(&self, request: &Message) -> Option<ServerKey> {
        let begins = merge_key(request, self.seed).is_some() && request.method() != Some("ACK");
        let key = begins.then(|| ServerKey::of(request, self.seed)).flatten();
        key.filter(|key| self.server_by_key(*key).is_none())
    }

    /// The same of a request that was only looked at.
    pub(crate) fn new_key_at_a_glance(&self, glance: &Glance<'_>) -> Option<ServerKey> {
        let begins = !matches!(glance.method, "ACK" | "CANCEL");
        let key = || ServerKey::by_branch(&glance.via, glance.method, self.seed);
        let key = begins.then(key).flatten();
        key.filter(|key| self.server_by_key(*key).is_none())
    }

    /// Whether requests were turned away lately.
    pub(crate) fn remembers(&mut self, now: Instant) -> bool {
        self.turned_away.forget_old(now);
        !self.turned_away.is_empty()
    }

    /// Whether a copy of the request was turned away.
    pub(crate) fn was_turned_away(&self, key: ServerKey) -> bool {
        self.turned_away.contains(key)
    }

    /// Refuses a request without a transaction; copies of it are to hear the same. Gives what is to
    /// be sent.
    pub(crate) fn turn_away(
        &mut self,
        key: ServerKey,
        answer: Bytes,
        to: Hop,
        now: Instant,
    ) -> Send {
        self.turned_away.insert(key, now);
        Send { token: Token(self.fresh_id()), to, bytes: answer }
    }

    fn open_server(
        &mut self,
        request: &Message,
        key: ServerKey,
        arrival: &Arrival,
        now: Instant,
    ) -> ServerId {
        let kind = Kind::of(request.method().unwrap_or_default());
        let merge = merge_key(request, self.seed);
        let number = self.next_number();
        let is_first = merge.is_some_and(|merge| self.by_merge_key(merge).is_none());
        let server = Server::new(kind, key, merge, response_hop(request, arrival));
        let id = self.servers.insert(number, server);
        self.by_key.insert(&self.servers, id, |server| server.key.number());
        if is_first {
            self.merged.insert(&self.servers, id, |server| server.merge.unwrap_or_default());
        }
        let id = ServerId(id);
        if kind == Kind::Other {
            self.timers.set(now + TRYING_AFTER, Owner::Server(id));
        }
        id
    }

    /// Whether the same request came before on another way (RFC 3261 §8.2.2.2, E-04).
    pub(crate) fn is_merged(&self, request: &Message, id: ServerId) -> bool {
        merge_key(request, self.seed)
            .and_then(|key| self.by_merge_key(key))
            .is_some_and(|first| first != id)
    }

    /// Sends a response to the request. Says whether it went out: a second final response never
    /// does, except further 2xx to an INVITE (RFC 6026 §7.1).
    pub(crate) fn respond(&mut self, id: ServerId, response: &Message, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id.0) else { return false };
        let Some(bytes) = server.respond(response, now) else { return false };
        self.sends.push_back(Send { token: Token(id.0), to: server.reply_to.clone(), bytes });
        if server.only_waits_for_copies() {
            self.answered.push_back(id);
        }
        self.settle_server(id);
        true
    }

    /// Ends the oldest answered request early: better a copy that comes very late is taken for
    /// new than a new request for too much.
    fn make_room(&mut self) -> bool {
        while let Some(id) = self.answered.pop_front() {
            if self.servers.contains(id.0) {
                self.close_server(id);
                return true;
            }
        }
        false
    }

    /// Sends a request. Its top Via is ours; if another has the same branch (a peer sent its request
    /// anew after its connection was lost), responses are for this one.
    pub(crate) fn request(&mut self, request: &Message, to: Hop, now: Instant) -> ClientId {
        let client = Client::new(request, to, self.seed, now);
        if let Some(older) = self.client_by_key(client.key) {
            self.by_key_of_ours.remove(client.key.number(), older.0);
        }
        let (bytes, to) = (client.bytes(), client.to.clone());
        let number = self.next_number();
        let id = self.clients.insert(number, client);
        self.by_key_of_ours.insert(&self.clients, id, |client| client.key.number());
        let id = ClientId(id);
        self.sends.push_back(Send { token: Token(id.0), to, bytes });
        self.settle_client(id);
        id
    }

    /// Whether another client transaction may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.clients.len() < self.limit
    }

    /// Takes a response. Gives the request it belongs to, if the user must see it: each
    /// provisional, the first final one, and every 2xx to an INVITE.
    pub(crate) fn receive_response(
        &mut self,
        response: &Message,
        now: Instant,
    ) -> Option<ClientId> {
        let via = response.top_via().ok()?;
        let method = response.cseq().ok()?.method;
        let key = ClientKey::new(via.branch()?, &method, self.seed);
        let id = self.client_by_key(key)?;
        let client = self.clients.get_mut(id.0)?;
        let fresh = client.receive(response, now);
        if let Some(ack) = client.ack_to_send() {
            let to = client.to.clone();
            self.sends.push_back(Send { token: Token(id.0), to, bytes: ack });
        }
        self.settle_client(id);
        fresh.then_some(id)
    }

    /// The request is of no more interest to its user; a late response is absorbed or dropped.
    pub(crate) fn forget(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(id.0) {
            self.by_key_of_ours.remove(client.key.number(), id.0);
        }
    }

    /// The request as it was sent, where it went to: what a CANCEL is made from.
    pub(crate) fn sent_invite(&self, id: ClientId) -> Option<(&Message, &Hop)> {
        let client = self.clients.get(id.0)?;
        Some((client.invite()?, &client.to))
    }

    /// A [`Send`] with this token did not leave.
    pub(crate) fn send_failed(&mut self, token: Token) {
        let (client, server) = (ClientId(token.0), ServerId(token.0));
        if let Some(gone) = self.clients.get(client.0) {
            if gone.awaits_final() {
                self.events.push_back(Event::Unsent(client));
            }
            self.forget(client);
            self.events.push_back(Event::ClientGone(client));
        } else if self.servers.get(server.0).is_some_and(|server| server.is_reliable()) {
            self.close_server(server);
        }
        // Over UDP the peer asks again; without the transaction its copy would be a new request,
        // and a message delivered twice.
    }

    pub(crate) fn next_send(&mut self) -> Option<Send> {
        self.sends.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Requests of peers and of ours that are not yet over.
    pub(crate) fn open(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }

    /// Sends a message outside of any transaction: an ACK for a 2xx, a response without state.
    pub(crate) fn send_stateless(&mut self, bytes: Bytes, to: Hop) {
        let token = Token(self.fresh_id());
        self.sends.push_back(Send { token, to, bytes });
    }

    fn acknowledge(&mut self, id: ServerId, now: Instant) -> bool {
        let absorbed = self.servers.get_mut(id.0).is_some_and(|server| server.acknowledge(now));
        self.settle_server(id);
        absorbed
    }

    fn close_server(&mut self, id: ServerId) {
        if let Some(server) = self.servers.remove(id.0) {
            self.by_key.remove(server.key.number(), id.0);
            if let Some(merge) = server.merge {
                self.merged.remove(merge, id.0);
            }
            while self.answered.front().is_some_and(|id| !self.servers.contains(id.0)) {
                self.answered.pop_front();
            }
            self.events.push_back(Event::ServerGone(id));
        }
    }
}
