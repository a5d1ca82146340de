//! Timers of transactions: what is sent again, what ends.

use std::time::Instant;

use super::{ClientId, Event, Owner, ServerId, Transactions, client, server};
use crate::command::{Send, Token};

impl Transactions {
    /// Retransmits and gives up what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(owner) = self.timers.due(now) {
            match owner {
                Owner::Server(id) => self.server_due(id, now),
                Owner::Client(id) => self.client_due(id, now),
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn server_due(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id.0) else { return };
        match server.due(now) {
            server::Due::Nothing => {}
            server::Due::Trying => self.events.push_back(Event::TryingDue(id)),
            server::Due::Resend(bytes) => {
                let to = server.reply_to.clone();
                self.sends.push_back(Send { token: Token(id.0), to, bytes });
            }
            server::Due::Over => return self.close_server(id),
        }
        self.settle_server(id);
    }

    fn client_due(&mut self, id: ClientId, now: Instant) {
        let Some(client) = self.clients.get_mut(id.0) else { return };
        match client.due(now) {
            client::Due::Nothing => {}
            client::Due::Resend(bytes) => {
                let to = client.to.clone();
                self.sends.push_back(Send { token: Token(id.0), to, bytes });
            }
            client::Due::TimedOut => {
                self.forget(id);
                self.events.push_back(Event::TimedOut(id));
                self.events.push_back(Event::ClientGone(id));
                return;
            }
            client::Due::Over => {
                self.forget(id);
                self.events.push_back(Event::ClientGone(id));
                return;
            }
        }
        self.settle_client(id);
    }

    /// Sets the timer that the server's new state asks for, or ends it.
    pub(super) fn settle_server(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id.0) else { return };
        if server.is_over() {
            self.close_server(id);
        } else if let Some(at) = server.take_timer() {
            self.timers.set(at, Owner::Server(id));
        }
    }

    pub(super) fn settle_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id.0) else { return };
        if client.is_over() {
            self.forget(id);
            self.events.push_back(Event::ClientGone(id));
        } else if let Some(at) = client.take_timer() {
            self.timers.set(at, Owner::Client(id));
        }
    }
}
