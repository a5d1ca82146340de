//! Connections: let in within limits, carried to the replica that has the fewest.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openfed_node::proxy::Header;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::replicas::Replicas;

/// Connections at once, and from one address. The services have narrower limits of their own.
const MOST: usize = 16_384;
const FROM_ONE: usize = 1_024;
/// Connections that the kernel keeps until they are taken.
const BACKLOG: i32 = 1_024;
/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);
/// For a replica to take a connection: it is next door.
const CONNECT: Duration = Duration::from_secs(1);
/// Bytes under way in each direction of a connection.
const BUFFER: usize = 16 * 1024;

/// How many there are, by address. All doors share them.
#[derive(Default)]
pub(super) struct Places {
    taken: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// The place of one connection.
struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let from_one = taken.1.get(&source).copied().unwrap_or(0);
        if taken.0 >= MOST || from_one >= FROM_ONE {
            return None;
        }
        taken.0 += 1;
        taken.1.insert(source, from_one + 1);
        metrics::gauge!("openfed_front_connections").increment(1);
        Some(Place { places: self.clone(), source })
    }

    fn taken(&self) -> MutexGuard<'_, (usize, HashMap<IpAddr, usize>)> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("openfed_front_connections").decrement(1);
        let mut taken = self.places.taken();
        taken.0 = taken.0.saturating_sub(1);
        match taken.1.get_mut(&self.source) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.1.remove(&self.source)),
        }
    }
}

/// One address that is listened at.
pub(super) struct Door {
    listener: TcpListener,
    replicas: Arc<Replicas>,
    places: Arc<Places>,
}

impl Door {
    pub(super) fn bind(
        address: SocketAddr,
        replicas: &Arc<Replicas>,
        places: &Arc<Places>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Allows a restart while connections of the last run wait in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok(Self { listener, replicas: replicas.clone(), places: places.clone() })
    }

    /// Where it is, also when the system chose the port.
    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(([0, 0, 0, 0], 0).into())
    }

    /// Lets connections in, each carried by a task that `carried` knows and `end` ends.
    pub(super) async fn run(self, carried: TaskTracker, end: CancellationToken) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Some(place) = self.places.enter(peer.ip().to_canonical()) else {
                count("refused");
                reset(&stream);
                continue;
            };
            let (replicas, end) = (self.replicas.clone(), end.clone());
            carried.spawn(async move {
                let _place = place;
                end.run_until_cancelled(carry(stream, peer, &replicas)).await
            });
        }
    }
}

/// Carries a connection to its end, or closes it if no replica takes it.
async fn carry(mut client: TcpStream, peer: SocketAddr, replicas: &Arc<Replicas>) {
    tune(&client);
    let Ok(asked) = client.local_addr() else { return };
    for address in replicas.by_connections() {
        // Counted before it stands, so that many at once do not go to one.
        let _counted = replicas.count(address);
        let connected = timeout(CONNECT, TcpStream::connect(address)).await;
        let Ok(Ok(mut replica)) = connected else {
            replicas.rest(address);
            continue;
        };
        tune(&replica);
        count("passed");
        let header = Header::of_stream(peer, asked);
        let carried = async {
            replica.write_all(&header).await?;
            copy_bidirectional_with_sizes(&mut client, &mut replica, BUFFER, BUFFER).await
        };
        if carried.await.is_err() {
            // Whoever still has something under way is to hear that it did not arrive.
            reset(&client);
            reset(&replica);
        }
        return;
    }
    count("unreachable");
    reset(&client);
}

fn count(result: &'static str) {
    metrics::counter!("openfed_front_connections_total", "result" => result).increment(1);
}

/// No delay, and an early word of a dead peer.
fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let socket = SockRef::from(stream);
    // A system that cannot do one of these only notices a dead peer later.
    let _ = stream.set_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_secs(30)));
}

/// Has the connection end in a reset when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
