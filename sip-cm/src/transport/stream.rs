//! One TCP or TLS connection: a reader and a writer that live and die together.

use super::flows::{Flows, Outgoing, Place, Pulse, Queue};
use super::{Event, SendError, answer, arrived, contained};
use bytes::{Bytes, BytesMut};
use openfed_proto::route::Transport;
use sip_cm_core::command::Token;
use sip_cm_core::framing::{Frame, Framer, FramingError, Opener};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that one read may bring.
const READ: usize = 16 * 1024;
/// Bytes after which messages that wait are written before more are taken.
const BATCH: usize = 64 * 1024;
/// For the answer to a message that ends its connection.
const FAREWELL: Duration = Duration::from_secs(1);
const PING: &[u8] = b"\r\n\r\n";
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// A connection that is open.
pub(super) struct Connection {
    pub(super) flows: Arc<Flows>,
    pub(super) place: Place,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) opener: Opener,
    pub(super) waiting: mpsc::Receiver<Outgoing>,
}

/// Sets what every SIP connection wants of the kernel: no delay, and an early word of a dead peer.
pub(super) fn tune(stream: &TcpStream) {
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

impl Connection {
    /// Carries messages until either side ends it; what then waits fails with an event.
    pub(super) async fn run(self, io: impl AsyncRead + AsyncWrite) {
        let Self { flows, place, transport, peer, opener, mut waiting } = self;
        let Some(queue) = flows.queue(place.flow) else { return };
        let (mut input, output) = tokio::io::split(io);
        let activity = Activity::new();
        let farewell = Notify::new();
        let reader = Reader {
            flows: &flows,
            place: &place,
            queue: &queue,
            transport,
            peer,
            opener,
            activity: &activity,
        };
        let ours = opener == Opener::Us;
        let writer = Writer {
            limit: flows.limits.write,
            activity: &activity,
            farewell: &farewell,
            ping: ours.then_some(flows.limits.ping),
            silent: ours.then_some(&queue.pulse),
        };
        let mut sent = Sent::default();
        let ended = {
            let write = writer.run(&mut waiting, &mut sent, output);
            tokio::pin!(write);
            tokio::select! {
                ended = reader.run(&mut input) => {
                    if matches!(ended, Ended::Broken) {
                        farewell.notify_one();
                        // Reading on until the peer is done keeps the kernel from answering what
                        // it still sends with a reset, which would overtake our last words.
                        let _ = timeout(FAREWELL, async { tokio::join!(write, discard(input)) }).await;
                    }
                    ended
                }
                ended = &mut write => ended,
                () = queue.pulse.given_up.cancelled() => Ended::Silent,
                () = flows.stop.cancelled() => Ended::Stopped,
            }
        };
        let transport = transport.as_str();
        tracing::debug!(flow = place.flow.0, transport, ?ended, "SIP connection closed");
        let by_peer = matches!(ended, Ended::ByPeer | Ended::Failed(_));
        let unheard = by_peer && !queue.pulse.is_alive();
        drop(queue);
        flows.fail(sent.lost(unheard), &SendError::Closed).await;
        close(&flows, place, waiting, &SendError::Closed).await;
    }
}

async fn discard(mut input: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    while matches!(input.read(&mut buffer).await, Ok(1..)) {}
}

/// Gives the place back, then fails what still waits: nobody can queue any more by then.
pub(super) async fn close(
    flows: &Flows,
    place: Place,
    mut waiting: mpsc::Receiver<Outgoing>,
    error: &SendError,
) {
    drop(place);
    waiting.close();
    let mut tokens = Vec::new();
    while let Some(out) = waiting.recv().await {
        tokens.push(out.token);
    }
    flows.fail(tokens, error).await;
}

/// Why a connection ended, for the log.
#[derive(Debug)]
enum Ended {
    /// The peer closed it.
    ByPeer,
    /// The kernel's word.
    Failed(#[allow(dead_code, reason = "shown in the log")] io::ErrorKind),
    /// Nothing came and nothing went.
    Idle,
    /// A message was begun and not finished in time.
    HalfMessage,
    /// The peer took nothing of what was written.
    Stalled,
    /// Nothing came back for what was sent.
    Silent,
    /// Its messages can no longer be told apart.
    Broken,
    /// We end.
    Stopped,
}

/// Who waits for what was written.
#[derive(Default)]
struct Sent {
    under_way: Vec<Option<Token>>,
    /// Of what went out on a connection of ours before the peer said anything at all.
    unheard: Vec<Option<Token>>,
}

/// Messages that wait for a peer's first sign of life and are known; more only wait for an answer.
const MAX_UNHEARD: usize = 1_024;

impl Sent {
    /// What was under way is with the kernel now.
    fn written(&mut self, silent: bool) {
        match silent {
            true if self.unheard.len() < MAX_UNHEARD => self.unheard.append(&mut self.under_way),
            true => {}
            false => self.unheard = Vec::new(),
        }
        self.under_way.clear();
    }

    /// Who waits in vain. A server that closes without having said a word (`unheard`) is one of those
    /// that another may stand in for (RFC 3263 §4.3).
    fn lost(self, unheard: bool) -> impl Iterator<Item = Option<Token>> {
        let unheard = if unheard { self.unheard } else { Vec::new() };
        unheard.into_iter().chain(self.under_way)
    }
}

/// When a connection last carried something, in milliseconds since it began.
struct Activity {
    began: Instant,
    last: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    fn touch(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

struct Reader<'a> {
    flows: &'a Flows,
    place: &'a Place,
    queue: &'a Queue,
    transport: Transport,
    peer: SocketAddr,
    opener: Opener,
    activity: &'a Activity,
}

impl Reader<'_> {
    async fn run(&self, input: &mut (impl AsyncRead + Unpin)) -> Ended {
        let mut framer = Framer::new(self.opener);
        let mut begun: Option<Instant> = None;
        loop {
            let deadline = match begun {
                Some(since) => since + self.flows.limits.message,
                None => self.activity.last() + self.flows.limits.idle,
            };
            framer.buffer().reserve(READ);
            match timeout_at(deadline, input.read_buf(framer.buffer())).await {
                Ok(Ok(0)) => return Ended::ByPeer,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Ended::Failed(error.kind()),
                Err(_) if begun.is_some() => return Ended::HalfMessage,
                // Something was written meanwhile: the connection is not idle.
                Err(_) if self.activity.last() + self.flows.limits.idle > Instant::now() => {
                    continue;
                }
                Err(_) => return Ended::Idle,
            }
            self.queue.pulse.beat();
            // Pings keep a flow alive that the peer opened; our own are no sign of use.
            if self.opener == Opener::Peer {
                self.activity.touch();
            }
            match self.take(&mut framer).await {
                Ok(0) => {}
                Ok(_) => begun = None,
                Err(ended) => return ended,
            }
            begun = framer.is_in_message().then(|| begun.unwrap_or_else(Instant::now));
        }
    }

    /// Handles all whole frames and says how many there were.
    async fn take(&self, framer: &mut Framer) -> Result<usize, Ended> {
        let mut taken = 0;
        loop {
            let Some(frame) = contained(|| framer.next_frame()) else { return Err(Ended::Broken) };
            match frame {
                Ok(None) => return Ok(taken),
                Ok(Some(Frame::Message(message))) => {
                    self.activity.touch();
                    let flow = self.place.flow;
                    let now = Instant::now().into_std();
                    if let Some(arrived) = arrived(message, self.peer, self.transport, flow, now) {
                        let event = Event::Arrived(Box::new(arrived));
                        // Waits while the engine is behind: the peer then feels it by TCP.
                        self.flows.events.send(event).await.map_err(|_| Ended::Stopped)?;
                    }
                }
                Ok(Some(Frame::Rejected(rejected))) => self.reply(answer(&rejected, self.peer)),
                Ok(Some(Frame::Ping)) => self.reply(Some(PONG)),
                Ok(Some(Frame::Pong)) => {}
                Err(FramingError(rejected)) => {
                    self.reply(answer(&rejected, self.peer));
                    return Err(Ended::Broken);
                }
            }
            taken += 1;
        }
    }

    /// Queues what nobody waits for; a peer that does not read loses it.
    fn reply(&self, bytes: Option<Bytes>) {
        if let Some(bytes) = bytes {
            let _ = self.queue.offer(Outgoing { bytes, token: None });
        }
    }
}

struct Writer<'a> {
    limit: Duration,
    activity: &'a Activity,
    farewell: &'a Notify,
    ping: Option<Duration>,
    /// The peer's signs of life, where it matters whether there were any.
    silent: Option<&'a Pulse>,
}

impl Writer<'_> {
    /// Writes what waits; `sent` holds who waits for what is being written.
    async fn run(
        &self,
        waiting: &mut mpsc::Receiver<Outgoing>,
        sent: &mut Sent,
        mut output: impl AsyncWrite + Unpin,
    ) -> Ended {
        let mut batch = BytesMut::new();
        loop {
            match self.next(waiting).await {
                Next::Message(out) => {
                    self.activity.touch();
                    batch.extend_from_slice(&out.bytes);
                    sent.under_way.push(out.token);
                }
                Next::Ping => batch.extend_from_slice(PING),
                // What was queued before the farewell is still written.
                Next::Farewell => waiting.close(),
                Next::Nothing => {
                    let _ = output.shutdown().await;
                    return Ended::Stopped;
                }
            }
            while batch.len() < BATCH
                && let Ok(out) = waiting.try_recv()
            {
                batch.extend_from_slice(&out.bytes);
                sent.under_way.push(out.token);
            }
            let written = timeout(self.limit, async {
                output.write_all(&batch).await?;
                output.flush().await
            });
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Failed(error.kind()),
                Err(_) => return Ended::Stalled,
            }
            batch.clear();
            sent.written(self.silent.is_some_and(|pulse| !pulse.is_alive()));
        }
    }

    async fn next(&self, waiting: &mut mpsc::Receiver<Outgoing>) -> Next {
        let silence = async {
            match self.ping {
                Some(ping) => tokio::time::sleep(ping).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.farewell.notified() => Next::Farewell,
            out = waiting.recv() => out.map_or(Next::Nothing, Next::Message),
            () = silence => Next::Ping,
        }
    }
}

enum Next {
    Message(Outgoing),
    Ping,
    Farewell,
    Nothing,
}
