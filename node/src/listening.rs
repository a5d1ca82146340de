//! Where a service listens: `[::]` means all addresses of both families everywhere, whatever the
//! system's `net.ipv6.bindv6only` says, and a peer that comes by IPv4 has an IPv4 address.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use openfed_proto::route::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::settings::Listen;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Listens for connections. To be called inside a tokio runtime.
///
/// # Errors
/// If the address cannot be listened at.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // Allows a restart while connections of the last run wait in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The same for datagrams.
///
/// # Errors
/// If the address cannot be listened at.
pub fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lets a connection in, and says whose it is.
///
/// # Errors
/// The system's word.
pub async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    Ok((stream, canonical(peer)))
}

/// Of an IPv4 address in the clothes of IPv6 (RFC 4291 §2.5.5.2) the IPv4 address.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Whether `one` of `all` is `[::]` and to be listened at in both families. Not if IPv4 addresses are
/// named beside it for the same port.
///
/// For services that bind each family on a socket of its own, so that no address is ever an IPv4 one in
/// the clothes of IPv6.
#[must_use]
pub fn takes_both_families(one: &Listen, all: &[Listen]) -> bool {
    let is_udp = |listen: &Listen| listen.transport == Transport::Udp;
    let names_v4 = |other: &Listen| {
        is_udp(other) == is_udp(one)
            && other.address.port() == one.address.port()
            && other.address.is_ipv4()
    };
    one.address.ip() == Ipv6Addr::UNSPECIFIED && !all.iter().any(names_v4)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    const EVERYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

    #[tokio::test]
    async fn the_unspecified_ipv6_address_takes_connections_of_both_families() {
        let listener = tcp(EVERYWHERE).expect("listening");
        let port = listener.local_addr().expect("an address").port();
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let address = SocketAddr::new(ip, port);
            let client = TcpStream::connect(address).await.expect("connected");
            let client = client.local_addr().expect("an address");
            let (_, peer) = accept(&listener).await.expect("accepted");
            assert_eq!(peer, client, "in its own clothes");
        }
    }

    #[tokio::test]
    async fn the_unspecified_ipv6_address_takes_datagrams_of_both_families() {
        let socket = udp(EVERYWHERE).expect("listening");
        let port = socket.local_addr().expect("an address").port();
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let client = UdpSocket::bind(SocketAddr::new(ip, 0)).await.expect("a socket");
            client.send_to(b"x", SocketAddr::new(ip, port)).await.expect("sent");
            let received = timeout(PATIENCE, socket.recv_from(&mut [0; 8])).await;
            let (_, from) = received.expect("in time").expect("received");
            assert_eq!(canonical(from), client.local_addr().expect("an address"));
        }
    }

    #[test]
    fn named_addresses_stay_by_themselves() {
        let listen = |text: &str| text.parse::<Listen>().expect("an address");
        let both = |one: &str, other: &str| {
            let all = [listen(one), listen(other)];
            takes_both_families(&all[0], &all)
        };
        assert!(both("tcp:[::]:5060", "udp:127.0.0.1:5060"));
        assert!(both("tcp:[::]:5060", "tcp:127.0.0.1:5070"));
        assert!(!both("tcp:[::]:5060", "tcp:127.0.0.1:5060"), "the operator has named them");
        assert!(!both("tls:[::]:5060", "tcp:127.0.0.1:5060"), "the port is taken");
        assert!(!both("tcp:[::1]:5060", "tcp:[::]:5060"));
        assert!(!both("udp:0.0.0.0:5060", "udp:[::]:5060"));
    }

    #[test]
    fn an_address_in_the_clothes_of_ipv6_is_seen_through() {
        for (given, expected) in [
            ("[::ffff:192.0.2.1]:5060", "192.0.2.1:5060"),
            ("192.0.2.1:5060", "192.0.2.1:5060"),
            ("[fe80::1%3]:5060", "[fe80::1%3]:5060"),
        ] {
            let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(canonical(address(given)), address(expected));
        }
    }
}
