//! The links: one between each connection manager and each router, in order, with latency; a cut
//! one loses what is in flight, both ends notice at their own time, and the connection manager
//! dials again.

use std::time::Duration;

use openfed_proto::link::{FromCm, FromRouter};
use sip_cm_core::command::RouterId as SipRouterId;
use xcp_router_core::LinkId;
use xmpp_cm_core::core::RouterId as XmppRouterId;

use super::nodes::hello;
use super::{Event, Node, Sim};

/// How soon a connection manager dials again.
const REDIAL: Duration = Duration::from_millis(100);
/// A broken link is noticed within this time, at each end at its own.
const NOTICED_MS: u64 = 400;

/// A connection manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cm {
    /// A sip-cm by its number.
    Sip(usize),
    /// An xmpp-cm by its number.
    Xmpp(usize),
}

/// Where a link can be.
#[derive(Debug)]
pub(super) struct Cable {
    cm: Cm,
    router: usize,
    /// The link that works now.
    live: Option<u64>,
    /// The link that the connection manager believes in.
    believed: Option<u64>,
    /// No link comes about before this.
    dark_until: Option<std::time::Instant>,
    /// One end is gone for good.
    is_unplugged: bool,
}

impl Sim {
    pub(super) fn lay_cables(&mut self) {
        let sips = (0..self.sips.len()).map(Cm::Sip);
        let cms: Vec<Cm> = sips.chain((0..self.xmpps.len()).map(Cm::Xmpp)).collect();
        for cm in cms {
            for router in 0..self.routers.len() {
                let (live, believed, dark_until) = (None, None, None);
                let cable = Cable { cm, router, live, believed, dark_until, is_unplugged: false };
                self.cables.push(cable);
                self.agenda.plan(self.now + REDIAL, Event::Dial(self.cables.len() - 1));
            }
        }
    }

    pub(super) fn dial(&mut self, at: usize) {
        let cable = &mut self.cables[at];
        if cable.is_unplugged || cable.believed.is_some() {
            return;
        }
        if let Some(until) = cable.dark_until.filter(|until| *until > self.now) {
            return self.agenda.plan(until.max(self.now + REDIAL), Event::Dial(at));
        }
        self.next_serial += 1;
        let serial = self.next_serial;
        (cable.live, cable.believed) = (Some(serial), Some(serial));
        let (cm, router) = (cable.cm, cable.router);
        // Greetings cross; what the router says next comes behind its greeting.
        self.agenda.plan(self.now + self.latency, Event::CmUp { cable: at, serial });
        let (address, now) = ("192.0.2.99:1".to_owned(), self.both_clocks());
        let greeting = hello(Node::Cm(cm));
        self.routers[router]
            .if_alive(|core, now| core.handle_link_up(LinkId(serial), greeting, address, now), now);
    }

    pub(super) fn cm_up(&mut self, at: usize, serial: u64) {
        let Cable { cm, router, live, .. } = self.cables[at];
        if live != Some(serial) {
            return;
        }
        let greeting = hello(Node::Router(router));
        let now = self.now;
        match cm {
            Cm::Sip(n) => self.sips[n].if_alive(
                |core, now| core.handle_link_up(SipRouterId(serial), &greeting, now),
                now,
            ),
            Cm::Xmpp(n) => self.xmpps[n].if_alive(
                |core, now| core.handle_link_up(XmppRouterId(serial), &greeting, now),
                now,
            ),
        }
    }

    fn cable_of(&self, serial: u64) -> Option<usize> {
        self.cables.iter().position(|cable| cable.live == Some(serial))
    }

    pub(super) fn send_to_router(&mut self, serial: u64, frame: FromCm) {
        let Some(cable) = self.cable_of(serial) else { return self.seen.cut += 1 };
        self.seen.frames += usize::from(matches!(frame, FromCm::Submit { .. } | FromCm::Ended(_)));
        let frame = Box::new(frame);
        self.agenda.plan(self.now + self.latency, Event::ToRouter { cable, serial, frame });
    }

    pub(super) fn send_to_cm(&mut self, serial: u64, frame: FromRouter) {
        let Some(cable) = self.cable_of(serial) else { return self.seen.cut += 1 };
        let counts = matches!(frame, FromRouter::Attempt(_) | FromRouter::Outcome(_));
        self.seen.frames += usize::from(counts);
        let frame = Box::new(frame);
        self.agenda.plan(self.now + self.latency, Event::ToCm { cable, serial, frame });
    }

    pub(super) fn arrive_at_router(&mut self, at: usize, serial: u64, frame: FromCm) {
        let Cable { router, live, .. } = self.cables[at];
        if live != Some(serial) {
            return self.seen.cut += 1;
        }
        let now = self.both_clocks();
        self.routers[router].if_alive(
            |core, now| core.handle_frame(LinkId(serial), frame, Duration::ZERO, now),
            now,
        );
    }

    pub(super) fn arrive_at_cm(&mut self, at: usize, serial: u64, frame: FromRouter) {
        let Cable { cm, live, .. } = self.cables[at];
        if live != Some(serial) {
            return self.seen.cut += 1;
        }
        let now = self.now;
        match cm {
            Cm::Sip(n) => self.sips[n].if_alive(
                |core, now| core.handle_frame(SipRouterId(serial), frame, Duration::ZERO, now),
                now,
            ),
            Cm::Xmpp(n) => self.xmpps[n].if_alive(
                |core, now| core.handle_frame(XmppRouterId(serial), frame, Duration::ZERO, now),
                now,
            ),
        }
    }

    pub(super) fn cut(&mut self, cm: Cm, router: usize, time: Duration) {
        let it = |cable: &Cable| cable.cm == cm && cable.router == router;
        let Some(at) = self.cables.iter().position(it) else { return };
        self.cables[at].dark_until = Some(self.now + time);
        self.lose(at);
    }

    /// A router does not want the link any more.
    pub(super) fn break_link(&mut self, serial: u64) {
        if let Some(at) = self.cable_of(serial) {
            self.lose(at);
        }
    }

    fn lose(&mut self, cable: usize) {
        let Some(serial) = self.cables[cable].live.take() else { return };
        let mut soon = || Duration::from_millis(1 + self.chance.below(NOTICED_MS));
        let (first, second) = (self.now + soon(), self.now + soon());
        self.agenda.plan(first, Event::CmNotices { cable, serial });
        self.agenda.plan(second, Event::RouterNotices { cable, serial });
    }

    pub(super) fn cm_notices(&mut self, at: usize, serial: u64) {
        let cable = &mut self.cables[at];
        if cable.believed.take_if(|it| *it == serial).is_none() {
            return;
        }
        self.agenda.plan(self.now + REDIAL, Event::Dial(at));
        let (cm, now) = (cable.cm, self.now);
        match cm {
            Cm::Sip(n) => self.sips[n]
                .if_alive(|core, now| core.handle_link_down(SipRouterId(serial), now), now),
            Cm::Xmpp(n) => self.xmpps[n]
                .if_alive(|core, now| core.handle_link_down(XmppRouterId(serial), now), now),
        }
    }

    pub(super) fn router_notices(&mut self, at: usize, serial: u64) {
        let (router, now) = (self.cables[at].router, self.both_clocks());
        self.routers[router].if_alive(|core, now| core.handle_link_down(LinkId(serial), now), now);
    }

    /// All links of a service break for good.
    pub(super) fn unplug(&mut self, node: Node) {
        for at in 0..self.cables.len() {
            let cable = &mut self.cables[at];
            if node == Node::Cm(cable.cm) || node == Node::Router(cable.router) {
                cable.is_unplugged = true;
                self.lose(at);
            }
        }
    }

    pub(super) fn links_of(&self, node: Node) -> Vec<u64> {
        let is_its =
            |cable: &&Cable| node == Node::Cm(cable.cm) || node == Node::Router(cable.router);
        self.cables.iter().filter(is_its).filter_map(|cable| cable.live).collect()
    }
}
