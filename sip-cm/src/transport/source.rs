//! Which of our addresses a connection of ours leaves from: the one that we listen at, by which
//! firewalls and next hops know us, as it is over UDP.

use openfed_node::settings::Listen;
use openfed_proto::route::Transport;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};

/// The address, with any port, from which to reach `to`. `None` leaves it to the system: we listen
/// at all addresses of the family, at none, or at one that leads nowhere but here.
pub(crate) fn towards(
    listening: &[Listen],
    transport: Transport,
    to: SocketAddr,
) -> Option<SocketAddr> {
    let family = |listen: &&Listen| listen.address.is_ipv4() == to.is_ipv4();
    let same = |listen: &&Listen| family(listen) && listen.transport == transport;
    let mut from = listening.iter().find(same).or_else(|| listening.iter().find(family))?.address;
    let ip = from.ip();
    from.set_port(0);
    let leads = !ip.is_unspecified() && (!ip.is_loopback() || to.ip().is_loopback());
    leads.then_some(from)
}

/// Connects to `to`, from that address if it is given.
///
/// # Errors
/// The system's word.
pub(crate) async fn connect(from: Option<SocketAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        // Connections that ended a moment ago must not keep their ports from us.
        socket.set_reuseaddr(true)?;
        socket.bind(from)?;
    }
    socket.connect(to).await
}
