//! Datagrams that come by a proxy (PROXY protocol 2), and the way back to it.
//!
//! ```text
//! client ──▶ proxy ── header, datagram ──▶ UDP socket ─▶ strip ─▶ a message of the client's
//! client ◀── proxy ◀── header, datagram ── UDP socket ◀─ wrap ◀── an answer on that flow
//! ```
//! The way by one socket of a proxy to one of ours is a flow of its own, so that answers find back.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openfed_node::proxy::{Header, Proxies, SIGNATURE, refused};
use sip_cm_core::command::FlowId;
use tokio::net::UdpSocket;

use super::flows::Flows;
use super::{SendError, Transports};

/// Ways that are remembered. A proxy has a few sockets, each time it is started; what is answered
/// on a way that was forgotten leaves from our own socket.
const WAYS: usize = 256;

/// The proxies and the ways by them.
#[derive(Debug)]
pub(super) struct Fronted {
    pub(super) proxies: Proxies,
    /// The newest last.
    ways: Mutex<VecDeque<Way>>,
}

/// By one socket of a proxy to one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    flow: FlowId,
    /// The address that we listen at.
    pub(super) listener: FlowId,
    /// The socket of the proxy.
    pub(super) proxy: SocketAddr,
    /// The address of the proxy that the clients ask.
    asked: SocketAddr,
}

impl Way {
    /// What the proxy is given to take to `client`.
    pub(super) fn wrap(&self, client: SocketAddr, bytes: &[u8]) -> Bytes {
        Header::before_datagram(client, self.asked, bytes).into()
    }
}

/// What came, whose it is, and the flow for the answer.
pub(super) type Stripped<'a> = (&'a [u8], SocketAddr, FlowId);

impl Fronted {
    pub(super) fn new(proxies: Proxies) -> Self {
        Self { proxies, ways: Mutex::default() }
    }

    /// The way of a flow, if it is one.
    pub(super) fn way(&self, flow: FlowId) -> Option<Way> {
        if self.proxies.is_none() {
            return None;
        }
        self.ways().iter().rev().find(|way| way.flow == flow).copied()
    }

    fn ways(&self) -> MutexGuard<'_, VecDeque<Way>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flows {
    /// Of a datagram that came at `listener`: itself, or what a proxy has put behind the header. `None`
    /// if it is to be dropped; that is counted.
    pub(super) fn strip<'a>(
        &self,
        datagram: &'a [u8],
        from: SocketAddr,
        listener: FlowId,
    ) -> Option<Stripped<'a>> {
        if !self.fronted.proxies.include(from.ip()) {
            let forged = datagram.starts_with(SIGNATURE);
            return if forged { drop_as("stranger") } else { Some((datagram, from, listener)) };
        }
        match Header::split(datagram) {
            Ok((Header::Of { client, asked }, rest)) => {
                Some((rest, client, self.way_of(listener, from, asked)))
            }
            // It looks whether we are well; whatever it says, the answer goes to itself.
            Ok((Header::Own, rest)) => Some((rest, from, listener)),
            Err(_) => drop_as("header"),
        }
    }

    fn way_of(&self, listener: FlowId, proxy: SocketAddr, asked: SocketAddr) -> FlowId {
        let mut ways = self.fronted.ways();
        let same = |way: &&Way| (way.listener, way.proxy, way.asked) == (listener, proxy, asked);
        if let Some(way) = ways.iter().rev().find(same) {
            return way.flow;
        }
        if ways.len() >= WAYS {
            ways.pop_front();
        }
        let flow = self.next_id();
        ways.push_back(Way { flow, listener, proxy, asked });
        flow
    }
}

impl Transports {
    /// This process will end: from now on nobody behind a proxy is told by UDP to go elsewhere. He
    /// knows one address alone, and what he repeats there reaches another instance.
    pub fn set_ending(&mut self) {
        self.ending = true;
    }

    pub(super) fn withholds(&self, flow: Option<FlowId>, bytes: &[u8]) -> bool {
        self.ending
            && bytes.starts_with(b"SIP/2.0 503 ")
            && flow.is_some_and(|flow| self.flows.fronted.way(flow).is_some())
    }

    /// The socket, what it sends, and where: by the proxy that the flow leads to, if it does.
    pub(super) fn by_udp(
        &self,
        flow: Option<FlowId>,
        to: SocketAddr,
        bytes: Bytes,
    ) -> Result<(&Arc<UdpSocket>, Bytes, SocketAddr), SendError> {
        let way = flow.and_then(|flow| self.flows.fronted.way(flow));
        let (flow, to, bytes) = match way {
            Some(way) => (Some(way.listener), way.proxy, way.wrap(to, &bytes)),
            None => (flow, to, bytes),
        };
        let of_flow = self.udp.iter().find(|udp| Some(udp.flow) == flow);
        let of_family = || self.udp.iter().find(|udp| udp.local.is_ipv4() == to.is_ipv4());
        let listener = of_flow.or_else(of_family).ok_or(SendError::NoSocket)?;
        Ok((&listener.socket, bytes, to))
    }
}

fn drop_as<T>(reason: &'static str) -> Option<T> {
    refused(reason);
    None
}
