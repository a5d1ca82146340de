//! Datagrams: each goes to the replica of its call with a header that names its client, and the answer
//! comes back with the same one. Nothing is kept of clients.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use openfed_node::proxy::Header;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::call_id::{answers, call_id};
use super::kept::{Kept, call};
use super::replicas::Replicas;

/// Longest datagram.
const DATAGRAM: usize = 65_535;
/// Kernel buffers in bytes, as far as the system allows.
const BUFFER: usize = 4 << 20;
/// Replicas that are tried for one datagram.
const TRIES: usize = 3;
/// How long answers are still taken from a replica whose name is gone: it may be draining.
const LEAVES: Duration = Duration::from_secs(32);
/// After an error that is no word of a replica.
const PAUSE: Duration = Duration::from_millis(50);

/// One address that is listened at.
pub(super) struct Datagrams {
    outside: Arc<UdpSocket>,
    asked: SocketAddr,
    replicas: Arc<Replicas>,
    inside: HashMap<SocketAddr, Inside>,
    kept: Kept,
}

/// The socket towards one replica. It is connected: it hears that replica alone, and is told when
/// nobody listens there.
struct Inside {
    socket: Arc<UdpSocket>,
    answers: AbortHandle,
    /// Since when the name does not lead there any more.
    left: Option<Instant>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

impl Datagrams {
    pub(super) fn bind(address: SocketAddr, replicas: &Arc<Replicas>) -> io::Result<Self> {
        let outside = socket(address)?;
        let asked = outside.local_addr()?;
        let (outside, replicas) = (Arc::new(outside), replicas.clone());
        let kept = Kept::new(Instant::now());
        Ok(Self { outside, asked, replicas, inside: HashMap::new(), kept })
    }

    /// Where it is, also when the system chose the port.
    pub(super) fn address(&self) -> SocketAddr {
        self.asked
    }

    /// Passes on until it is dropped.
    pub(super) async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM];
        let mut known = self.replicas.follow();
        known.mark_changed();
        let outside = self.outside.clone();
        loop {
            tokio::select! {
                biased;
                Ok(()) = known.changed() => {
                    let known = known.borrow_and_update().iter().map(|it| it.address).collect();
                    self.follow(known, Instant::now());
                }
                received = outside.recv_from(&mut buffer) => match received {
                    Ok((length, client)) => {
                        self.pass(buffer.get(..length).unwrap_or_default(), client);
                    }
                    // The word of a client that he takes no answers any more.
                    Err(error) => tracing::debug!(%error, "UDP receive"),
                },
            }
        }
    }

    /// A socket for each replica; those of replicas that are gone are closed after a while.
    fn follow(&mut self, known: Vec<SocketAddr>, now: Instant) {
        for (address, inside) in &mut self.inside {
            let gone = !known.contains(address);
            inside.left = gone.then(|| inside.left.unwrap_or(now));
        }
        let over = |left: Instant| now.duration_since(left) >= LEAVES;
        self.inside.retain(|_, inside| !inside.left.is_some_and(over));
        for address in known {
            if self.inside.contains_key(&address) {
                continue;
            }
            match inside(address) {
                Ok(socket) => {
                    let (own, outside) = (socket.clone(), self.outside.clone());
                    let back = back(own, address, outside, self.replicas.clone());
                    let answers = tokio::spawn(back).abort_handle();
                    self.inside.insert(address, Inside { socket, answers, left: None });
                }
                Err(error) => tracing::warn!(%address, %error, "no socket towards a replica"),
            }
        }
    }

    fn pass(&mut self, datagram: &[u8], client: SocketAddr) {
        let now = Instant::now();
        // An answer is only of use to whoever asked.
        let asker = answers(datagram).filter(|address| self.inside.contains_key(address));
        let call = call_id(datagram).map_or_else(|| call(&client), |id| call(&id));
        let order = match asker {
            Some(address) => vec![address],
            None => self.kept.order(call, self.replicas.usable(), now),
        };
        let whole = Header::before_datagram(client, self.asked, datagram);
        for address in order.into_iter().take(TRIES) {
            let Some(inside) = self.inside.get(&address) else { continue };
            match inside.socket.try_send(&whole) {
                Ok(_) => {
                    if asker.is_none() {
                        self.kept.keep(call, address);
                    }
                    return count("in");
                }
                // It takes no more, or this is too long: as on every network.
                Err(error) if is_of_the_datagram(&error) => break,
                // What came before has found nobody there: so would this.
                Err(_) => self.replicas.rest(address),
            }
        }
        count("dropped");
    }
}

/// What a replica sends goes to the client that its header names.
async fn back(
    inside: Arc<UdpSocket>,
    replica: SocketAddr,
    outside: Arc<UdpSocket>,
    replicas: Arc<Replicas>,
) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match inside.recv(&mut buffer).await {
            Ok(length) => {
                let whole = buffer.get(..length).unwrap_or_default();
                let sent = match Header::split(whole) {
                    Ok((Header::Of { client, .. }, answer)) => outside.try_send_to(answer, client),
                    _ => Err(io::ErrorKind::InvalidData.into()),
                };
                count(if sent.is_ok() { "out" } else { "dropped" });
            }
            Err(error) => {
                replicas.rest(replica);
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    tracing::debug!(%replica, %error, "UDP receive");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_of_the_datagram(error: &io::Error) -> bool {
    const EMSGSIZE: i32 = 90;
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(EMSGSIZE)
}

fn count(way: &'static str) {
    metrics::counter!("openfed_front_datagrams_total", "way" => way).increment(1);
}

fn inside(replica: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let any: IpAddr = match replica {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = socket(SocketAddr::new(any, 0))?;
    SockRef::from(&socket).connect(&replica.into())?;
    Ok(Arc::new(socket))
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may give less (net.core.rmem_max); less only means earlier loss.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
