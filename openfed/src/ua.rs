//! A little SIP user agent: requests outside dialogs over UDP, as far as `demo` and `check` need
//! a person with a SIP phone. Everything that carries traffic is in `sip-cm`.

mod message;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

pub(crate) use message::{Message, Request};

/// T1 and T2 of RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Sends `request` to `peer` and repeats it (RFC 3261 §17.1.2) until its final answer comes.
///
/// # Errors
/// `TimedOut` after `limit`; `ConnectionRefused` and the like as the system reports them.
pub(crate) async fn ask(
    peer: SocketAddr,
    request: &Request<'_>,
    limit: Duration,
) -> io::Result<Message> {
    let socket = UdpSocket::bind(any_port_towards(peer)).await?;
    socket.connect(peer).await?;
    let sent = request.write("UDP", socket.local_addr()?);
    let deadline = Instant::now() + limit;
    let mut pause = T1;
    let mut buffer = vec![0; 65_535];
    loop {
        socket.send(&sent.octets).await?;
        let repeat = deadline.min(Instant::now() + pause);
        pause = T2.min(pause * 2);
        while let Ok(received) = timeout_at(repeat, socket.recv(&mut buffer)).await {
            let answer = Message::parse(&buffer[..received?]);
            if let Some(answer) = answer.filter(|answer| answer.is_final_for(&sent)) {
                return Ok(answer);
            }
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// The unspecified address of `peer`'s family, any port.
fn any_port_towards(peer: SocketAddr) -> SocketAddr {
    if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() }
}

/// A SIP server that takes every request with 200 and tells what came. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    requests: mpsc::Receiver<(Message, SocketAddr)>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Listens at `address`.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub(crate) async fn start(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        let (tell, requests) = mpsc::channel(64);
        let task = tokio::spawn(answer_all(socket, tell));
        Ok(Self { address, requests, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request (a repeated one counts once) and where it came from.
    pub(crate) async fn next(&mut self) -> Option<(Message, SocketAddr)> {
        self.requests.recv().await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer_all(socket: UdpSocket, tell: mpsc::Sender<(Message, SocketAddr)>) {
    let mut buffer = vec![0; 65_535];
    let mut last_branch = String::new();
    loop {
        // Errors are ICMP echoes of answers that nobody waited for.
        let Ok((octets, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(request) = Message::parse(&buffer[..octets]) else { continue };
        let Some(answer) = request.answer(200, "OK") else { continue };
        let _ = socket.send_to(&answer, from).await;
        let branch = request.branch().unwrap_or_default();
        if branch != last_branch {
            branch.clone_into(&mut last_branch);
            let _ = tell.try_send((request, from));
        }
    }
}

#[cfg(test)]
mod tests;
