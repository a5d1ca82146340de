//! UDP: several sockets for one address, so that more than one core reads.

use super::flows::Flows;
use super::{Arrived, Event, SendError, Unread, answer, arrived, parse};
use bytes::Bytes;
use openfed_proto::route::Transport;
use sip_cm_core::command::FlowId;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;

/// Sockets per address: the kernel keeps one sender on one socket, and so its order.
const MAX_SOCKETS: usize = 2;
/// Longest datagram.
const DATAGRAM: usize = 65_535;
/// Shorter ones are keep-alives of peers behind NAT, not messages (RFC 5626 §3.5 and habit).
const SHORTEST_MESSAGE: usize = 16;

/// One listening UDP address.
pub(super) struct UdpListener {
    pub(super) flow: FlowId,
    pub(super) local: SocketAddr,
    pub(super) socket: Arc<UdpSocket>,
}

/// Hands a datagram to the kernel. A full kernel buffer is a loss like any other on UDP.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> Result<(), SendError> {
    match socket.try_send_to(bytes, to) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Busy),
        Err(error) => Err(SendError::Udp(error.to_string())),
    }
}

/// Binds the sockets of one address and begins to read.
pub(super) fn bind(
    address: SocketAddr,
    flow: FlowId,
    flows: &Arc<Flows>,
) -> io::Result<UdpListener> {
    // Sockets that share a port would share it with another process, too: ask without, first.
    drop(socket(address, false)?);
    let first = listener(address, flows.limits.udp_buffer)?;
    let local = first.local_addr()?;
    let count = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SOCKETS);
    let first = Arc::new(first);
    let mut sockets = vec![Arc::clone(&first)];
    for _ in 1..count {
        sockets.push(Arc::new(listener(local, flows.limits.udp_buffer)?));
    }
    for socket in sockets {
        let flows = Arc::clone(flows);
        tokio::spawn(async move {
            let stop = flows.stop.clone();
            stop.run_until_cancelled(receive(&socket, flow, &flows)).await
        });
    }
    Ok(UdpListener { flow, local, socket: first })
}

fn listener(address: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = socket(address, true)?;
    // The system may give less (net.core.rmem_max); less only means earlier loss.
    let _ = SockRef::from(&socket).set_recv_buffer_size(buffer);
    let _ = SockRef::from(&socket).set_send_buffer_size(buffer);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

async fn receive(socket: &UdpSocket, listener: FlowId, flows: &Flows) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // ICMP errors of earlier datagrams come up here; the socket stays sound.
                tracing::debug!(%error, "UDP receive");
                continue;
            }
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let Some((datagram, source, flow)) = flows.strip(datagram, from, listener) else {
            continue;
        };
        if datagram.len() < SHORTEST_MESSAGE {
            continue;
        }
        // Copied, so that a message keeps its own bytes alive and not a buffer of 64 KiB.
        let bytes = Bytes::copy_from_slice(datagram);
        let unread = Unread { bytes, source, flow, at: Instant::now() };
        // An answer is read at once: what it ends was begun.
        let begins = !datagram.starts_with(b"SIP/2.0");
        let event = if begins && flows.behind.load(Ordering::Relaxed) {
            Event::Unread(unread)
        } else {
            match read(unread) {
                Some(Ok(arrived)) => Event::Arrived(Box::new(arrived)),
                Some(Err(answer)) => {
                    let _ = match flows.fronted.way(flow) {
                        Some(way) => send(socket, &way.wrap(source, &answer), way.proxy),
                        None => send(socket, &answer, source),
                    };
                    continue;
                }
                None => continue,
            }
        };
        if !offer(flows, event) {
            return;
        }
    }
}

/// Makes a message of a datagram, or an answer to what cannot be one.
pub(super) fn read(unread: Unread) -> Option<Result<Arrived, Bytes>> {
    let Unread { bytes, source, flow, at } = unread;
    match parse(bytes)? {
        Ok(message) => arrived(message, source, Transport::Udp, flow, at).map(Ok),
        Err(rejected) => answer(&rejected, source).map(Err),
    }
}

/// Hands an event to the engine if it can take one; `false` if there is no engine any more.
fn offer(flows: &Flows, event: Event) -> bool {
    match flows.events.try_send(event) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => {
            metrics::counter!("openfed_sip_datagrams_dropped_total").increment(1);
            true
        }
        Err(TrySendError::Closed(_)) => false,
    }
}
