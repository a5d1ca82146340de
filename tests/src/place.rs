//! A piece of loopback and a directory of one's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use crate::Result;
use crate::process::Log;

/// One 127.x.y.0/24 and one directory that nobody else uses. Every server gets an address of its
/// own, so that all can listen on their protocol's standard ports and scenes can run side by side.
pub struct Place {
    network: [u8; 2],
    directory: TempDir,
    logs: Mutex<Vec<Arc<Log>>>,
    _claim: TcpListener,
}

/// Who lives at which address of a place: the last byte.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Host {
    /// openfed, all of its services.
    Openfed = 1,
    /// The operator's own XMPP server.
    Home = 2,
    /// An XMPP server elsewhere.
    Foreign = 3,
    /// The SIP next hop.
    NextHop = 4,
    /// A SIP user agent or server beyond or beside the next hop.
    SipPeer = 5,
    /// A second SIP user agent.
    SecondSipPeer = 6,
    /// redis-server.
    Redis = 7,
    /// The trace collector.
    Collector = 8,
    /// Second instances of openfed's services.
    Second = 10,
    /// What openfed is measured against.
    Relay = 11,
    /// An address at which nobody listens.
    Nobody = 9,
    /// The DNS server of the tests, for the world outside.
    Dns = 53,
    /// The DNS server that answers the home server, when openfed does not.
    HomeDns = 54,
}

impl Place {
    /// Claims a free piece of loopback; a listening socket in it is the claim. No piece is claimed
    /// twice in a process: the sockets of a scene outlive its claim for a moment.
    pub fn claim() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let directory = TempDir::with_prefix("openfed-scene-")?;
        let start = std::process::id();
        for _ in 0..4096 {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let [.., high, low] = start.wrapping_mul(7).wrapping_add(step).to_be_bytes();
            let network = [high % 200 + 16, low];
            let Ok(claim) = TcpListener::bind((address(network, 250), 9)) else { continue };
            return Ok(Self { network, directory, logs: Mutex::default(), _claim: claim });
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse).into())
    }

    /// The address of a host.
    pub fn ip(&self, host: Host) -> IpAddr {
        IpAddr::V4(address(self.network, host as u8))
    }

    /// A port of a host.
    pub fn at(&self, host: Host, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(host), port)
    }

    /// A new directory that everyone may write, for the files of one server.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path)?;
        open_to_all(self.directory.path())?;
        open_to_all(&path)?;
        Ok(path)
    }

    /// Keeps a log, to print it if the scene fails.
    pub(crate) fn keep(&self, log: Arc<Log>) {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(log);
    }

    pub(crate) fn print_logs(&self) {
        for log in self.logs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            log.print();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

fn address(network: [u8; 2], host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, network[0], network[1], host)
}

/// Servers that give up root must reach their files.
fn open_to_all(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}
