//! The store speaks: tables change under running traffic, rows come and go.

use std::time::Duration;

use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground};
use openfed_proto::link::{Instruction, Tables};
use openfed_proto::packet::{Direction, Ending, PacketId, Protocol};
use openfed_proto::route::{DomainRow, Origin, Pattern};

use crate::answers;
use crate::clock::Now;
use crate::command::{Command, Event, InsertResult, StoreFact, TableChange};
use crate::core::Router;
use crate::decide::Decision;
use crate::deliveries::State;
use crate::domains::Effect;

/// The store's own bound is 250 ms; the answer has to come back, too.
const INSERT: Duration = Duration::from_millis(400);
/// More removed domains than this at once are not named one by one.
const NAMED: usize = 256;
/// More new domains than this at once are an import: nobody is told that they are known, only that
/// what was said of them does not hold any more.
const ANNOUNCED: usize = 64;

impl Router {
    pub(crate) fn store_fact(&mut self, fact: StoreFact, now: Now) {
        match fact {
            StoreFact::Up => self.store_up = true,
            StoreFact::Down => self.store_up = false,
            StoreFact::Snapshot { era, version, rows, routes, blocked, pinned } => {
                let tables = Tables { era, version, routes, blocked, pinned };
                if self.domains.went_back(&tables) {
                    let (from, to) = (self.domains.version(), version);
                    self.commands.push_back(Command::Event(Event::StoreWentBack { from, to }));
                }
                let old = self.domains.replace(rows, tables);
                if !old.is_empty() {
                    self.commands.push_back(Command::Discard(old));
                }
                self.store_up = true;
                self.invalidate(None);
                self.tables_changed(now);
            }
            StoreFact::Changes { version, changes } => {
                if version > self.domains.version() {
                    self.apply(version, changes, now);
                }
            }
        }
    }

    fn apply(&mut self, version: u64, changes: Vec<TableChange>, now: Now) {
        let (mut added, mut removed, mut tables) = (Vec::new(), Vec::new(), false);
        for change in changes {
            match self.domains.apply(change) {
                Effect::Nothing => {}
                Effect::Added(domain) => added.push(domain),
                Effect::Removed(domain) => removed.push(domain),
                Effect::Tables => tables = true,
            }
        }
        self.domains.reach(version, tables);
        if !removed.is_empty() {
            self.invalidate((removed.len() <= NAMED).then_some(removed));
        }
        added.iter().for_each(|domain| self.release_waiting(domain));
        if added.len() <= ANNOUNCED {
            added.iter().for_each(|domain| self.announce(domain, now));
        } else {
            self.invalidate(Some(added));
        }
        if tables {
            self.tables_changed(now);
        }
    }

    /// Routes, blocked or pinned domains are others now: told to everybody,
    /// and discoveries under way obey at once.
    fn tables_changed(&mut self, now: Now) {
        self.push_tables();
        self.memory.forget_sip_failures();
        let open = self.domains.routes().is_open();
        for (domain, leader) in self.discoveries.leaders() {
            let routes = self.domains.routes();
            if self.domains.is_blocked(&domain) || routes.blocks(&domain) {
                let mut ending = self.discoveries.waiting(&domain);
                ending.insert(0, leader);
                for id in ending {
                    self.stop(id, Decision::Blocked, answers::blocked(), now);
                }
            } else if !open && self.tries_sip(leader) {
                self.stop(leader, Decision::Refused, answers::closed_meanwhile(), now);
            }
        }
    }

    fn tries_sip(&self, id: PacketId) -> bool {
        let Some(delivery) = self.deliveries.get(id) else { return false };
        delivery.xmpp.is_some()
            && delivery.running().is_some_and(|running| {
                matches!(running.instruction, Instruction::Discover | Instruction::Accept)
            })
    }

    /// A correspondence with an unknown domain succeeded: a row is asked for,
    /// if the rules allow one, and the packet ends when the store has answered.
    pub(crate) fn remember_domain(
        &mut self,
        id: PacketId,
        ending: Ending,
        route: Option<String>,
        now: Now,
    ) {
        if let Some(reason) = self.reason_for_no_row(id, route.as_deref(), now) {
            self.no_row(id, reason);
            return self.finish(id, ending, now);
        }
        let Some(delivery) = self.deliveries.get(id) else { return };
        let due = now.unix_s() + self.config.ask_again.as_secs();
        let ground = delivery.xmpp.as_ref().map(|e| Ground::new(Finding::of(e), due));
        let row = DomainRow {
            domain: delivery.packet.foreign().clone(),
            description: String::new(),
            origin: Origin::Discovered,
            first_seen: now.unix_s(),
            last_seen: now.unix_s(),
            direction: Some(delivery.packet.direction),
            route: match delivery.packet.direction {
                Direction::Inbound => None,
                _ => route.or_else(|| Some(Pattern::Open.to_string())),
            },
            hits: 1,
            last_failure: None,
            ground,
        };
        let cap = self.config.table_cap;
        self.commands.push_back(Command::Insert { id, row, cap });
        let until = now.after(INSERT);
        let snapshots = self.domains.snapshots();
        self.deliveries.change(id, |delivery| {
            delivery.state = State::Inserting { ending, snapshots, until };
        });
    }

    fn reason_for_no_row(
        &mut self,
        id: PacketId,
        route: Option<&str>,
        now: Now,
    ) -> Option<&'static str> {
        let packet = &self.deliveries.get(id)?.packet;
        let open_route = route.is_none_or(|pattern| pattern == Pattern::Open.to_string());
        let full = self.domains.len() as u64 >= self.config.table_cap;
        // What sip-cm answers by itself, OPTIONS, reached no local user.
        let reached_nobody =
            packet.direction == Direction::Inbound && !packet.can_go_by(Protocol::Xmpp);
        let reason = if !self.config.may_have_row(packet.foreign()) {
            Some("not a domain of its own")
        } else if reached_nobody {
            Some("no local user was reached")
        } else if !open_route {
            Some("not by the open route")
        } else if full {
            Some("the domain table is full")
        } else if !self.rates.admit(packet.source, now.instant) {
            Some("too many new domains")
        } else {
            None
        };
        self.report_full(full);
        reason
    }

    fn report_full(&mut self, full: bool) {
        if full != self.table_full {
            self.table_full = full;
            let problem = full.then_some(answers::TABLE_FULL);
            self.commands.push_back(Command::Health { part: "domain table", problem });
        }
    }

    pub(crate) fn no_row(&mut self, id: PacketId, reason: &'static str) {
        let Some(delivery) = self.deliveries.get(id) else { return };
        let domain = delivery.packet.foreign().clone();
        self.commands.push_back(Command::Event(Event::NoRow { domain, reason }));
    }

    pub(crate) fn inserted(&mut self, id: PacketId, result: InsertResult, now: Now) {
        // A late result finds nobody waiting; the change stream has the row.
        let Some(delivery) = self.deliveries.get(id) else { return };
        let State::Inserting { ending, snapshots, .. } = &delivery.state else { return };
        let (ending, snapshots) = (ending.clone(), *snapshots);
        let domain: Domain = delivery.packet.foreign().clone();
        let direction = delivery.packet.direction;
        match result {
            InsertResult::Present { version } => {
                if self.domains.insert_own(&domain, snapshots, version) {
                    self.announce(&domain, now);
                }
                self.commands.push_back(Command::Event(Event::Discovered { domain, direction }));
            }
            InsertResult::Refused(reason) => self.no_row(id, reason),
            InsertResult::Unavailable => self.no_row(id, "the store does not answer"),
        }
        self.finish(id, ending, now);
    }
}
