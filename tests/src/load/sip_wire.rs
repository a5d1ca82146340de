//! Sockets of a SIP source: datagrams, or connections on which messages follow each other.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use memchr::memmem::find;
use rustix::event::PollFlags;

use super::sip_sink::bind;
use crate::{Failure, Result};

/// What SIP goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    #[default]
    Udp,
    /// Connections.
    Tcp,
}

/// One socket.
pub(crate) enum Wire {
    Udp(UdpSocket),
    Tcp(Connection),
}

/// A connection to one target.
pub(crate) struct Connection {
    stream: TcpStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Transport {
    /// As it stands in Via.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

impl Wire {
    /// From this address; a connection leads to `target`.
    pub(crate) fn open(transport: Transport, from: IpAddr, target: SocketAddr) -> Result<Self> {
        if transport == Transport::Udp {
            let socket = bind(SocketAddr::new(from, 0))?;
            socket.set_nonblocking(true)?;
            return Ok(Self::Udp(socket));
        }
        let SocketAddr::V4(_) = target else {
            return Err(Failure::new("places have IPv4 addresses"));
        };
        let kind = (rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM);
        let socket = rustix::net::socket(kind.0, kind.1, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
        rustix::net::connect(&socket, &target)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp(Connection { stream, incoming: Vec::new(), outgoing: Vec::new() }))
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(match self {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Tcp(connection) => connection.stream.local_addr()?,
        })
    }

    pub(crate) fn is_reliable(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(crate) fn send(&mut self, message: &[u8], target: SocketAddr) {
        match self {
            Self::Udp(socket) => {
                // What a full socket does not take is repeated like what is lost elsewhere.
                let _ = socket.send_to(message, target);
            }
            Self::Tcp(connection) => {
                connection.outgoing.extend_from_slice(message);
                connection.flush();
            }
        }
    }

    /// What is to be waited for.
    pub(crate) fn interest(&self) -> PollFlags {
        match self {
            Self::Tcp(connection) if !connection.outgoing.is_empty() => {
                PollFlags::IN | PollFlags::OUT
            }
            _ => PollFlags::IN,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Tcp(connection) => connection.stream.as_fd(),
        }
    }

    /// Gives every message that is there to `take`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<()> {
        match self {
            Self::Udp(socket) => {
                while let Ok(length) = socket.recv(buffer) {
                    take(&buffer[..length]);
                }
                Ok(())
            }
            Self::Tcp(connection) => {
                connection.flush();
                connection.receive(buffer, take)
            }
        }
    }
}

impl Connection {
    /// Writes what the connection takes now.
    fn flush(&mut self) {
        // A broken connection is noticed by whoever reads.
        if let Ok(length) = self.stream.write(&self.outgoing) {
            self.outgoing.drain(..length);
        }
    }

    fn receive(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Failure::new("the SIP connection ended")),
                Ok(length) => self.incoming.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut taken = 0;
        while let Some(length) = whole(&self.incoming[taken..]) {
            take(&self.incoming[taken..taken + length]);
            taken += length;
        }
        self.incoming.drain(..taken);
        Ok(())
    }
}

/// The length of the first message, if it is there as a whole (RFC 3261 §18.3).
fn whole(bytes: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"\r\nContent-Length:";
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let value = find(&bytes[..head], LENGTH).map_or(&b"0"[..], |at| {
        bytes[at + LENGTH.len()..head].split(|byte| *byte == b'\r').next().unwrap_or_default()
    });
    let body: usize = std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()?;
    (bytes.len() >= head + body).then_some(head + body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_on_a_connection_end_where_their_length_says() {
        let first = b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let both = [&first[..], b"SIP/2.0 200 OK\r\n\r\n"].concat();
        assert_eq!(whole(&both), Some(first.len()));
        assert_eq!(whole(&both[first.len()..]), Some(18));
        assert_eq!(whole(&first[..first.len() - 1]), None);
    }
}
