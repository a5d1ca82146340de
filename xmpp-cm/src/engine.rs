//! The loop: one fact from the world to the core, then all its commands out.

use std::net::IpAddr;
use std::time::Instant;

use openfed_node::http::Health;
use openfed_node::link::{LinkClient, LinkEvent, LinkId};
use openfed_node::shutdown::Shutdown;
use openfed_node::trial::Trials;
use openfed_proto::domain::Domain;
use openfed_proto::link::{FromCm, FromRouter, Trial};
use tokio::sync::mpsc::Receiver;
use xmpp_cm_core::core::{Command, Core, RouterId};

use crate::connection::{Connections, Report};
use crate::shown::Shown;

/// Events taken at once, so that timers and signals are looked at once for many.
const BATCH: usize = 64;

/// See the head of this file.
pub(crate) struct Engine {
    core: Core,
    connections: Connections,
    links: LinkClient,
    /// The links that are up.
    routers: Vec<LinkId>,
    shown: Shown,
    health: Health,
    /// Whom trials speak for.
    local: Vec<Domain>,
}

impl Engine {
    pub(crate) fn new(
        core: Core,
        connections: Connections,
        links: LinkClient,
        (shown, health): (Shown, Health),
        local: Vec<Domain>,
    ) -> Self {
        Engine { core, connections, links, routers: Vec::new(), shown, health, local }
    }

    /// Runs until everything is answered after the shutdown has begun, or it stops.
    pub(crate) async fn run(
        mut self,
        mut events: Receiver<LinkEvent<FromRouter>>,
        mut homes: Receiver<Vec<IpAddr>>,
        shutdown: Shutdown,
    ) {
        let (trials, mut tried) = Trials::new();
        let mut heard = Vec::with_capacity(BATCH);
        let (mut draining, mut busy) = (false, false);
        while !(draining && self.core.is_idle()) {
            let wake = self.core.poll_timeout();
            tokio::select! {
                report = self.connections.next() => {
                    self.on_report(report);
                    for _ in 1..BATCH {
                        let Some(report) = self.connections.at_hand() else { break };
                        self.obey();
                        self.on_report(report);
                    }
                }
                1.. = events.recv_many(&mut heard, BATCH) => {
                    busy = heard.len() == BATCH;
                    for event in heard.drain(..) {
                        self.on_link(event, &trials);
                        self.obey();
                    }
                }
                Some(addresses) = homes.recv() => {
                    self.shown.know_homes(&addresses);
                    self.connections.trust(addresses);
                }
                Some((link, found)) = tried.recv() => {
                    // Whoever asked sees that nothing came.
                    let _ = self.links.send(link, found);
                }
                () = until(wake) => self.core.handle_timeout(Instant::now()),
                () = shutdown.draining(), if !draining => {
                    draining = true;
                    self.leave(&shutdown);
                }
                () = shutdown.stopped() => break,
            }
            self.carry_out();
            let serves = self.core.is_serving() && !draining;
            self.health.set_ready(!self.routers.is_empty() && serves);
            if std::mem::take(&mut busy) {
                // The links are read between batches: what waits, waits where it is seen.
                tokio::task::yield_now().await;
            }
        }
        self.core.handle_stop(Instant::now());
        self.carry_out();
        self.links.close().await;
    }

    fn leave(&mut self, shutdown: &Shutdown) {
        self.core.handle_leaving();
        for router in &self.routers {
            // A link that takes nothing more is about to end anyway.
            let _ = self.links.send(*router, FromCm::Leaving(shutdown.grace()));
        }
    }

    fn on_report(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Accepted(accepted) => {
                if let Some(conn) = self.core.handle_accepted(accepted.peer, now) {
                    self.connections.adopt(conn, accepted);
                }
            }
            Report::Connected { conn, encrypted, found } => {
                self.core.handle_connected(conn, encrypted, found, now);
            }
            Report::ConnectFailed { conn, why } => self.core.handle_connect_failed(conn, why, now),
            Report::Bytes { conn, bytes } => self.core.handle_bytes(conn, &bytes, now),
            Report::Confirmed { conn } => {
                let unconfirmed = self.connections.unconfirmed(conn);
                self.core.handle_unconfirmed(conn, unconfirmed, now);
            }
            Report::Written { conn, mark } => self.core.handle_written(conn, mark),
            Report::Tls { conn, established, certificate, .. } => {
                self.core.handle_tls(conn, established, certificate, now);
            }
            Report::Closed { conn, unconfirmed } => {
                self.core.handle_closed(conn, unconfirmed, now);
            }
        }
    }

    fn on_link(&mut self, event: LinkEvent<FromRouter>, trials: &Trials) {
        let now = Instant::now();
        match event {
            LinkEvent::Up { link, hello, .. } => {
                self.routers.push(link);
                self.core.handle_link_up(RouterId(link.0), &hello, now);
            }
            LinkEvent::Frame { link, frame: FromRouter::Try(wish), .. } => {
                let (Trial { number, domain, .. }, connections) = (wish, &self.connections);
                let local = self.speaker(&domain);
                let names = self.core.tell_names(&domain, now);
                trials
                    .begin(link, number, |steps| connections.try_out(domain, local, names, steps));
            }
            LinkEvent::Frame { link, mut frame, at } => {
                let waited = now.saturating_duration_since(at);
                self.shown.arriving(&mut frame);
                self.core.handle_frame(RouterId(link.0), frame, waited, now);
            }
            LinkEvent::Down { link, .. } => {
                self.routers.retain(|up| *up != link);
                self.core.handle_link_down(RouterId(link.0), now);
            }
        }
    }

    /// Who asks in a trial. A home server lets nobody in who claims to be itself.
    fn speaker(&self, domain: &Domain) -> Domain {
        let foreign = || Domain::parse("trial.invalid").ok();
        let local = self.local.first().filter(|_| !self.local.contains(domain));
        local.cloned().or_else(foreign).unwrap_or_else(|| domain.clone())
    }

    fn carry_out(&mut self) {
        loop {
            let obeyed = self.obey();
            let (core, now) = (&mut self.core, Instant::now());
            let cut =
                self.connections.flush(|conn, bytes| core.handle_unconfirmed(conn, bytes, now));
            // What was read may let others be read.
            if cut.is_empty() && !obeyed {
                return;
            }
            for (conn, unconfirmed) in cut {
                tracing::warn!(conn = conn.0, "cut off: the peer does not read what it is sent");
                self.core.handle_closed(conn, unconfirmed, Instant::now());
            }
        }
    }

    /// Does what the core wants. Whether that was anything.
    fn obey(&mut self) -> bool {
        let mut obeyed = false;
        while let Some(command) = self.core.next_command() {
            obeyed = true;
            match command {
                Command::Connect { conn, target, tried } => {
                    self.connections.connect(conn, target, tried);
                }
                Command::Transmit { conn, bytes } => self.connections.transmit(conn, &bytes),
                Command::Mark { conn, mark } => self.connections.mark(conn, mark),
                Command::StartTls { conn, side } => self.connections.start_tls(conn, side),
                Command::Close { conn } => self.connections.close(conn),
                Command::Read { conn, on } => self.connections.read(conn, on),
                Command::ToRouter { router, frame } => self.send(LinkId(router.0), frame),
                Command::Listen(true) => self.connections.resume(),
                Command::Listen(false) => self.connections.pause(),
                Command::Note(fact) => self.shown.show(fact),
            }
        }
        obeyed
    }

    /// A link that takes nothing more is as good as lost: what it had goes over another one.
    fn send(&mut self, router: LinkId, mut frame: FromCm) {
        let core = &self.core;
        self.shown.leaving(&mut frame, |domain| core.knows_sip(domain, Instant::now()));
        if let Err(error) = self.links.send(router, frame) {
            tracing::debug!(link = router.0, %error, "a frame was not sent");
            self.links.close_link(router);
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
