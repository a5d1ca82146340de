//! A network beyond this machine's own: a namespace with one address, which knows this machine as its
//! way to everywhere. Whoever sits there sees published ports as the world does.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::{Failure, Result};

/// Addresses for tests of networks (RFC 2544, RFC 6890): no machine has them, and they are no
/// private ones.
const NETWORK: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// See the head of this file. Dropping it removes the namespace with all that is in it.
pub struct Outside {
    name: String,
    /// This machine, as the namespace sees it.
    pub machine: IpAddr,
    /// The address of the namespace.
    pub own: IpAddr,
}

impl Outside {
    /// Makes it; as root.
    pub fn start() -> Result<Self> {
        let id = std::process::id();
        let network = Ipv4Addr::from_bits(NETWORK.to_bits() + ((id & 0x3fff) << 2));
        let address = |last: u32| Ipv4Addr::from_bits(network.to_bits() + last);
        let (name, link) = (format!("outside{id}"), format!("out{id}"));
        let outside =
            Self { name: name.clone(), machine: address(1).into(), own: address(2).into() };
        let (machine, own) = (format!("{}/30", outside.machine), format!("{}/30", outside.own));
        let way = outside.machine.to_string();
        for line in [
            &["netns", "add", &name][..],
            &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name],
            &["address", "add", &machine, "dev", &link],
            &["link", "set", &link, "up"],
            &["-netns", &name, "address", "add", &own, "dev", "eth0"],
            &["-netns", &name, "link", "set", "eth0", "up"],
            &["-netns", &name, "link", "set", "lo", "up"],
            &["-netns", &name, "route", "add", "default", "via", &way],
        ] {
            ip(line)?;
        }
        Ok(outside)
    }

    /// What runs a program there: this, then the program.
    pub fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// A UDP socket there.
    pub fn udp(&self, port: u16) -> Result<UdpSocket> {
        let at = SocketAddr::new(self.own, port);
        let socket = self.within(move || {
            let socket = std::net::UdpSocket::bind(at)?;
            socket.set_nonblocking(true).map(|()| socket)
        })?;
        Ok(UdpSocket::from_std(socket)?)
    }

    /// A listener there.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let at = SocketAddr::new(self.own, port);
        let listener = self.within(move || {
            let listener = std::net::TcpListener::bind(at)?;
            listener.set_nonblocking(true).map(|()| listener)
        })?;
        Ok(TcpListener::from_std(listener)?)
    }

    /// A connection from there to this machine.
    pub async fn connect(&self, port: u16) -> Result<TcpStream> {
        let to = SocketAddr::new(self.machine, port);
        let socket = self.within(tokio::net::TcpSocket::new_v4)?;
        Ok(socket.connect(to).await?)
    }

    /// What is made there stays there, whatever thread uses it: the thread that makes it moves over.
    fn within<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = File::open(format!("/run/netns/{}", self.name))?;
        let made = std::thread::spawn(move || {
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
            make()
        });
        Ok(made.join().map_err(|_| Failure::new("the thread outside panicked"))??)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // Its end of the link goes with it, and so does ours.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("ip {arguments:?}: {error}")))
}
