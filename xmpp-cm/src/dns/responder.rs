//! The responder's sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openfed_node::listening;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answers::{MAX_MESSAGE, Over, Zone};
use super::clients::{Clients, Verdict};

/// Longest question that is read; a real one has one name of at most 255 bytes.
const MAX_QUESTION: usize = MAX_MESSAGE as usize;
/// TCP connections served at once; more wait in the kernel.
const MAX_TCP: usize = 64;
/// How long a TCP connection may be idle or slow.
const TCP_PATIENCE: Duration = Duration::from_secs(10);
/// After an error of the sockets themselves, e.g. out of files.
const PAUSE: Duration = Duration::from_millis(50);

/// The responder with its sockets.
#[derive(Debug)]
pub(super) struct Responder {
    says: Arc<Says>,
    udp: UdpSocket,
    tcp: TcpListener,
}

/// What is known, whose turn it is, and who is told.
#[derive(Debug)]
struct Says {
    zone: watch::Receiver<Zone>,
    turn: AtomicUsize,
    clients: Mutex<Clients>,
}

impl Says {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn_away(&self, from: SocketAddr) {
        count("stranger");
        if self.clients().tells(Instant::now()) {
            let source = from.ip();
            tracing::warn!(%source, "a DNS question from an address outside [xmpp.dns] clients");
        }
    }

    fn answer(&self, question: &[u8], over: Over) -> Option<Vec<u8>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let answer = self.zone.borrow().answer(question, over, turn)?;
        count(answer.kind);
        Some(answer.bytes)
    }
}

impl Responder {
    /// Binds UDP and TCP of one address.
    pub(super) fn bind(
        listen: SocketAddr,
        zone: watch::Receiver<Zone>,
        clients: Clients,
    ) -> io::Result<Self> {
        let tcp = listening::tcp(listen)?;
        let udp = listening::udp(tcp.local_addr()?)?;
        let (turn, clients) = (AtomicUsize::new(0), Mutex::new(clients));
        Ok(Self { says: Arc::new(Says { zone, turn, clients }), udp, tcp })
    }

    /// Where it listens.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers until it is dropped.
    pub(super) async fn run(self) {
        tokio::join!(serve_udp(&self.udp, &self.says), serve_tcp(&self.tcp, &self.says));
    }
}

async fn serve_udp(socket: &UdpSocket, says: &Says) {
    // One byte more than is read, so that a longer question is seen to be one.
    let mut buffer = [0; MAX_QUESTION + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let client = listening::canonical(from);
        let verdict = says.clients().judge(client.ip(), Instant::now());
        let busy = match verdict {
            Verdict::Welcome => false,
            Verdict::Busy => true,
            Verdict::Stranger => {
                says.turn_away(client);
                continue;
            }
        };
        let question = buffer.get(..length).filter(|_| length <= MAX_QUESTION);
        if let Some(answer) = question.and_then(|bytes| says.answer(bytes, Over::Udp { busy })) {
            // A lost answer is asked for again.
            let _ = socket.try_send_to(&answer, from);
        }
    }
}

async fn serve_tcp(listener: &TcpListener, says: &Arc<Says>) {
    let room = Arc::new(Semaphore::new(MAX_TCP));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listening::accept(listener).await {
            Ok((stream, from)) if says.clients().is_client(from.ip()) => {
                let says = Arc::clone(says);
                connections.spawn(async move {
                    let _ = serve_connection(stream, &says).await;
                    drop(permit);
                });
            }
            Ok((_, from)) => says.turn_away(from),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_connection(mut stream: TcpStream, says: &Says) -> io::Result<()> {
    let mut buffer = [0; MAX_QUESTION];
    loop {
        let length = usize::from(timeout(TCP_PATIENCE, stream.read_u16()).await??);
        let Some(question) = buffer.get_mut(..length) else { return Ok(()) };
        timeout(TCP_PATIENCE, stream.read_exact(question)).await??;
        let Some(answer) = says.answer(question, Over::Tcp) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(TCP_PATIENCE, stream.write_all(&framed)).await??;
    }
}

fn count(result: &'static str) {
    metrics::counter!("openfed_dns_questions_total", "result" => result).increment(1);
}
