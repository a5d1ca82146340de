//! The loop: one fact from the world to the core, then all its commands out.

use std::time::{Duration, Instant};

use openfed_node::http::Health;
use openfed_node::link::{LinkClient, LinkEvent, LinkId};
use openfed_node::shutdown::Shutdown;
use openfed_node::trial::Trials;
use openfed_proto::link::{FromCm, FromRouter, Trial};
use openfed_proto::route::Transport;
use sip_cm_core::command::{Arrival, Command, RouterId, StageId, Token};
use sip_cm_core::core::Core;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::lookup::{Question, Resolved, look_up};
use crate::resolve::Resolver;
use crate::stages::Stages;
use crate::transport::{Arrived, Event, Events, SendError, Transports, Unread};
use crate::trial;

/// Events taken at once, so that timers and signals are looked at once for many.
const BATCH: usize = 64;
/// How often the gauges follow what is under way.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// See the head of this file.
pub(crate) struct Engine {
    pub(crate) core: Core,
    pub(crate) transports: Transports,
    pub(crate) links: LinkClient,
    pub(crate) resolver: Resolver,
    pub(crate) stages: Stages,
    pub(crate) trials: Trials,
    pub(crate) health: Health,
}

/// Where facts come from.
pub(crate) struct Inputs {
    pub(crate) sockets: Events,
    pub(crate) routers: Receiver<LinkEvent<FromRouter>>,
    pub(crate) tried: UnboundedReceiver<(LinkId, FromCm)>,
}

impl Engine {
    /// Runs until everything is answered after the shutdown has begun, or it stops.
    pub(crate) async fn run(mut self, mut from: Inputs, shutdown: Shutdown) {
        let _watch = self.health.watch();
        // Bounded by the core's look-ups under way.
        let (answers, mut resolved) = unbounded_channel();
        let mut gauges = tokio::time::interval(GAUGES_EVERY);
        let (mut arrived, mut heard) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let (mut draining, mut busy) = (false, false);
        while !(draining && self.core.is_idle()) {
            let wake = self.core.poll_timeout();
            tokio::select! {
                1.. = from.sockets.recv_many(&mut arrived, BATCH) => {
                    busy = arrived.len() == BATCH;
                    for event in arrived.drain(..) {
                        self.on_socket(event);
                        self.carry_out(&answers);
                    }
                }
                1.. = from.routers.recv_many(&mut heard, BATCH) => {
                    busy = heard.len() == BATCH;
                    for event in heard.drain(..) {
                        self.on_link(event);
                        self.carry_out(&answers);
                    }
                }
                Some((token, hops)) = resolved.recv() => {
                    self.core.handle_resolved(token, hops, Instant::now());
                }
                Some((link, found)) = from.tried.recv() => {
                    // Whoever asked sees that nothing came.
                    let _ = self.links.send(link, found);
                }
                () = until(wake) => self.core.handle_timeout(Instant::now()),
                _ = gauges.tick() => self.stages.measure(self.core.load()),
                () = shutdown.draining(), if !draining => {
                    draining = true;
                    self.transports.set_ending();
                    self.core.handle_draining(shutdown.grace(), Instant::now());
                }
                () = shutdown.stopped() => break,
            }
            self.carry_out(&answers);
            self.transports.hand_over();
            self.health.set_ready(self.core.is_ready());
            self.transports.set_behind(self.core.is_overloaded());
            if std::mem::take(&mut busy) {
                // The sockets are read between batches: what waits, waits where it is seen.
                tokio::task::yield_now().await;
            }
        }
        self.links.close().await;
        self.transports.close();
    }

    fn on_socket(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Arrived(arrived) => self.on_message(*arrived, now),
            Event::Unread(unread) => {
                let Unread { ref bytes, source, flow, at } = unread;
                let arrival = Arrival { source, transport: Transport::Udp, flow };
                let waited = now.saturating_duration_since(at);
                if !self.core.turns_away(bytes, &arrival, waited, now)
                    && let Some(arrived) = self.transports.read(unread)
                {
                    self.on_message(arrived, now);
                }
            }
            Event::SendFailed { token, error } => {
                tracing::debug!(%error, "a message did not get out");
                self.core.handle_send_failed(token, now);
            }
            Event::Closed { .. } => {}
        }
    }

    fn on_message(&mut self, arrived: Arrived, now: Instant) {
        let Arrived { message, source, transport, flow, at } = arrived;
        let arrival = Arrival { source, transport, flow };
        let waited = now.saturating_duration_since(at);
        self.core.handle_message(message, arrival, waited, now);
    }

    fn on_link(&mut self, event: LinkEvent<FromRouter>) {
        let now = Instant::now();
        match event {
            LinkEvent::Up { link, hello, .. } => {
                self.core.handle_link_up(RouterId(link.0), &hello, now);
            }
            LinkEvent::Frame { link, frame: FromRouter::Try(wish), .. } => self.try_out(link, wish),
            LinkEvent::Frame { link, frame, at } => {
                let waited = now.saturating_duration_since(at);
                self.core.handle_frame(RouterId(link.0), frame, waited, now);
            }
            LinkEvent::Down { link, .. } => self.core.handle_link_down(RouterId(link.0), now),
        }
    }

    fn try_out(&self, link: LinkId, Trial { number, hop, .. }: Trial) {
        let resolver = self.resolver.clone();
        let ways = (self.transports.tls_client(), self.transports.bound());
        self.trials.begin(link, number, async move |steps| match hop {
            Some(hop) => trial::next_hop(resolver, ways, hop, steps).await,
            None => steps,
        });
    }

    fn carry_out(&mut self, answers: &UnboundedSender<Resolved>) {
        while let Some(command) = self.core.next_command() {
            match command {
                Command::Send(send) => {
                    let token = send.token;
                    let sent = self.transports.send(send);
                    self.on_sent(token, sent);
                }
                Command::TurnAway(send) => {
                    let token = send.token;
                    let sent = self.transports.turn_away(send);
                    self.on_sent(token, sent);
                }
                Command::Suspect { to, since } => self.transports.suspect(to, since),
                Command::Resolve { token, host, port, transport } => {
                    let question = Question { token, host, port, transport };
                    look_up(self.resolver.clone(), question, answers.clone());
                }
                Command::ToRouter { router, frame, stage } => self.submit(router, *frame, stage),
                Command::Fact(fact) => self.stages.show(fact),
            }
        }
    }

    fn on_sent(&mut self, token: Token, sent: Result<(), SendError>) {
        if let Err(error) = sent {
            tracing::debug!(%error, "a message was not sent");
            self.core.handle_send_failed(token, Instant::now());
        }
    }

    /// A link that takes nothing more is as good as lost: what it had goes over another one.
    fn submit(&mut self, router: RouterId, mut frame: FromCm, stage: Option<StageId>) {
        match (&mut frame, stage) {
            (FromCm::Submit { packet, .. }, Some(stage)) => {
                packet.trace = self.stages.context(stage);
            }
            (FromCm::Refused(refused), Some(stage)) => refused.trace = self.stages.context(stage),
            _ => {}
        }
        if let Err(error) = self.links.send(LinkId(router.0), frame) {
            tracing::debug!(link = router.0, %error, "a frame was not sent");
            self.links.close_link(LinkId(router.0));
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
