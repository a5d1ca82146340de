//! The router's loop: one fact from the world, then all that follows from it.

use std::sync::Arc;
use std::time::Duration;

use openfed_node::link::LinkEvent;
use openfed_node::shutdown::Shutdown;
use openfed_proto::domain::Domain;
use openfed_proto::link::FromCm;
use openfed_proto::packet::Direction;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use xcp_router_core::{Explanation, LinkId, NodeView, Router, StoreFact, WayTried};

use crate::asking::Answer;
use crate::catalogue::Catalogue;
use crate::now;
use crate::perform::Performer;

/// Link events taken at once, so that the timer is armed once for many packets.
const BATCH: usize = 128;

/// A question of the API.
#[derive(Debug)]
pub(crate) enum Ask {
    Explain {
        domain: Domain,
        direction: Direction,
        reply: oneshot::Sender<Explanation>,
    },
    Nodes {
        reply: oneshot::Sender<Vec<NodeView>>,
    },
    /// Has all xmpp-cm tell of their streams; gives the names of those that were asked.
    Streams {
        reply: oneshot::Sender<Vec<String>>,
    },
    /// Has managers look whether the domain can be reached; gives who looks at what.
    Try {
        domain: Domain,
        number: u64,
        reply: oneshot::Sender<Vec<WayTried>>,
    },
    /// Whether there is such a node.
    Drain {
        node: String,
        on: bool,
        reply: oneshot::Sender<bool>,
    },
}

/// The core, the world it acts on, and everything it hears from.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) router: Router,
    /// This node, as operators see it.
    pub(crate) own: NodeView,
    pub(crate) performer: Performer,
    pub(crate) link_events: mpsc::Receiver<LinkEvent<FromCm>>,
    pub(crate) store_facts: mpsc::Receiver<StoreFact>,
    pub(crate) store_answers: mpsc::Receiver<Answer>,
    pub(crate) asked: mpsc::Receiver<Ask>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) shutdown: Shutdown,
    /// Taking no new packets any more.
    pub(crate) draining: bool,
}

impl Engine {
    /// Runs until drained or cut.
    pub(crate) async fn run(mut self) -> Performer {
        let mut batch = Vec::with_capacity(BATCH);
        let mut busy = false;
        loop {
            let wake = self.router.poll_timeout().map_or_else(far_away, Instant::from_std);
            tokio::select! {
                1.. = self.link_events.recv_many(&mut batch, BATCH) => {
                    busy = batch.len() == BATCH;
                    batch.drain(..).for_each(|event| self.link_event(event));
                }
                Some(fact) = self.store_facts.recv() => self.store_fact(fact),
                Some(answer) = self.store_answers.recv() => self.store_answer(answer),
                Some(ask) = self.asked.recv() => self.answer(ask),
                () = sleep_until(wake) => self.router.handle_timeout(now()),
                () = self.shutdown.draining(), if !self.draining => self.drain(),
                () = self.shutdown.stopped() => break,
            }
            self.perform();
            self.performer.gauge(self.router.in_flight(), self.router.rows());
            if self.draining && self.router.in_flight() == 0 {
                break;
            }
            if std::mem::take(&mut busy) {
                // The links are read between batches: what waits, waits where it is seen.
                tokio::task::yield_now().await;
            }
        }
        self.performer
    }

    fn link_event(&mut self, event: LinkEvent<FromCm>) {
        match event {
            LinkEvent::Up { link, hello, address } => {
                let address = address.to_string();
                self.router.handle_link_up(LinkId(link.0), hello, address, now());
            }
            LinkEvent::Frame { link, frame, at } => {
                if let FromCm::Usage(uses) = &frame {
                    self.performer.count(uses);
                }
                let now = now();
                let waited = now.instant.saturating_duration_since(at);
                self.router.handle_frame(LinkId(link.0), frame, waited, now);
            }
            LinkEvent::Down { link, reason } => {
                tracing::info!(link = link.0, reason, "link lost");
                self.router.handle_link_down(LinkId(link.0), now());
            }
        }
        // At once: an outcome may free what the next event of the batch needs.
        self.perform();
    }

    /// Ready is whoever has read the store once: without it even a blocked domain could not be
    /// told from another. A store that goes away later leaves the router ready, and degraded.
    fn store_fact(&mut self, fact: StoreFact) {
        match fact {
            StoreFact::Down => self.performer.store_is_down(),
            _ => self.performer.store_is_up(),
        }
        self.router.handle_store(fact, now());
        self.perform();
        self.performer.set_ready(self.router.is_ready());
        self.catalogue.announce();
    }

    fn store_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Inserted(id, result) => self.router.handle_inserted(id, result, now()),
            Answer::Due(due) => self.router.handle_due(due, now()),
            Answer::Claimed(id, ours) => self.router.handle_claimed(id, ours, now()),
        }
    }

    fn answer(&mut self, ask: Ask) {
        // An asker that has gone needs no answer.
        match ask {
            Ask::Explain { domain, direction, reply } => {
                let _ = reply.send(self.router.explain(&domain, direction, now()));
            }
            Ask::Nodes { reply } => drop(reply.send(self.nodes())),
            Ask::Try { domain, number, reply } => {
                drop(reply.send(self.router.handle_try(number, &domain)));
            }
            Ask::Streams { reply } => drop(reply.send(self.router.handle_list_streams())),
            Ask::Drain { node, on, reply } => {
                let known = self.router.handle_drain(&node, on, now());
                self.perform();
                self.performer.set_ready(self.router.is_ready());
                let _ = reply.send(known);
            }
        }
    }

    /// This router first, then who is linked to it.
    fn nodes(&self) -> Vec<NodeView> {
        let own = NodeView {
            in_flight: u32::try_from(self.router.in_flight()).unwrap_or(u32::MAX),
            draining: self.router.is_draining(),
            ..self.own.clone()
        };
        [vec![own], self.router.nodes()].concat()
    }

    /// The end begins: what is under way may end, within the time of the drain.
    fn drain(&mut self) {
        self.draining = true;
        self.performer.set_ready(false);
        self.router.handle_shutdown(self.shutdown.grace(), now());
    }

    /// Does all that the core asks for.
    fn perform(&mut self) {
        while let Some(command) = self.router.next_command() {
            self.performer.perform(command);
        }
    }
}

/// When nothing is due: any moment will do, since every event arms the timer anew.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
