//! The life of one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use xmpp_cm_core::core::{ConnId, TlsSide};

use super::arrival::Arrival;
use super::pipe::Pipe;
use super::{Means, Report};
use crate::tls::Audience;

/// Bytes that are read at once; what is left of a buffer is used up to a quarter.
const CHUNK: usize = 8_192;

/// How often it is looked whether a peer has read what it was sent, while that is much.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the owner wants of a connection.
#[derive(Debug)]
pub(super) enum Order {
    Write(Bytes),
    /// The same, and tell when it is with the system.
    Mark(Bytes, u64),
    StartTls {
        last_words: Bytes,
        side: TlsSide,
    },
    Close(Bytes),
}

/// How a stretch of reading and writing ended.
enum Pause {
    /// The TLS handshake comes now.
    Upgrade { last_words: Bytes, side: TlsSide },
    /// The owner has said its last words.
    Said,
    /// The peer ended or broke the connection, or takes nothing.
    Lost,
}

pub(super) struct Task {
    pub(super) conn: ConnId,
    pub(super) inbox: mpsc::UnboundedReceiver<Order>,
    /// Whether the owner wants more to be read.
    pub(super) reading: watch::Receiver<bool>,
    pub(super) arrival: Arrival,
    pub(super) reporter: mpsc::Sender<Report>,
    pub(super) means: Arc<Means>,
}

impl Task {
    pub(super) async fn report(&self, report: Report) {
        let _ = self.reporter.send(report).await;
    }

    /// Reads and writes until the end.
    pub(super) async fn run(mut self, mut pipe: Pipe) {
        self.arrival.follow(&pipe);
        loop {
            let (mut reader, mut writer) = tokio::io::split(pipe);
            let pause = self.exchange(&mut reader, &mut writer).await;
            pipe = reader.unsplit(writer);
            let (last_words, side) = match pause {
                Pause::Upgrade { last_words, side } => (last_words, side),
                Pause::Said => return self.linger(pipe).await,
                Pause::Lost => break,
            };
            match self.upgrade(pipe, &last_words, &side).await {
                Some(upgraded) => pipe = upgraded,
                None => return,
            }
        }
        self.arrival.settle(&pipe).await;
        self.closed().await;
        self.drain(pipe).await;
    }

    async fn closed(&self) {
        self.report(Report::Closed { conn: self.conn, unconfirmed: 0 }).await;
    }

    async fn exchange(
        &mut self,
        reader: &mut ReadHalf<Pipe>,
        writer: &mut WriteHalf<Pipe>,
    ) -> Pause {
        let (conn, reporter) = (self.conn, self.reporter.clone());
        let stalled = self.means.limits.stalled;
        let mut reading = self.reading.clone();
        tokio::select! {
            () = read(conn, reader, &mut reading, &reporter) => Pause::Lost,
            pause = write(conn, &mut self.inbox, writer, (&mut self.arrival, &reporter), stalled) => {
                pause
            }
        }
    }

    /// The handshake; `None` if it failed and the connection is over.
    async fn upgrade(&mut self, pipe: Pipe, last_words: &[u8], side: &TlsSide) -> Option<Pipe> {
        let conn = self.conn;
        let limit = self.means.limits.handshake;
        let result = timeout(limit, handshake(&self.means, pipe, last_words, side)).await;
        self.arrival.forget(last_words.len());
        match result.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok((pipe, verified)) => {
                let certificate = pipe.certificate();
                self.report(Report::Tls { conn, established: true, verified, certificate }).await;
                Some(pipe)
            }
            Err(error) => {
                tracing::debug!(conn = conn.0, %error, "TLS handshake failed");
                let (established, verified) = (false, false);
                self.report(Report::Tls { conn, established, verified, certificate: None }).await;
                self.closed().await;
                None
            }
        }
    }

    /// After our last words the peer may say its own; a reset would take ours away from it.
    async fn linger(mut self, mut pipe: Pipe) {
        let _ = timeout(self.means.limits.linger, async {
            pipe.shutdown().await?;
            let mut ignored = [0; 1_024];
            while pipe.read(&mut ignored).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
        self.arrival.settle(&pipe).await;
        self.closed().await;
    }

    /// A peer that closed may still read, e.g. our footer as the answer to its own. The orders end
    /// when the owner takes note of the end.
    async fn drain(mut self, mut pipe: Pipe) {
        let _ = timeout(self.means.limits.linger, async {
            while let Some(order) = self.inbox.recv().await {
                let (Order::Write(bytes) | Order::Mark(bytes, _) | Order::Close(bytes)) = order
                else {
                    break;
                };
                pipe.write_all(&bytes).await?;
            }
            pipe.shutdown().await
        })
        .await;
    }
}

/// Until the connection ends. Waits for the owner before it reads more.
async fn read(
    conn: ConnId,
    reader: &mut ReadHalf<Pipe>,
    reading: &mut watch::Receiver<bool>,
    reporter: &mpsc::Sender<Report>,
) {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    // An owner that has forgotten the connection wants nothing of it any more.
    while reading.wait_for(|on| *on).await.is_ok() {
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let bytes = buffer.split().freeze();
        if reporter.send(Report::Bytes { conn, bytes }).await.is_err() {
            return;
        }
        if buffer.capacity() < CHUNK / 4 {
            buffer = BytesMut::with_capacity(CHUNK);
        }
    }
}

/// Until the owner says something else than to write. Tells when much had not arrived, and has.
async fn write(
    conn: ConnId,
    inbox: &mut mpsc::UnboundedReceiver<Order>,
    writer: &mut WriteHalf<Pipe>,
    (arrival, reporter): (&mut Arrival, &mpsc::Sender<Report>),
    stalled: Duration,
) -> Pause {
    let mut was_much = false;
    loop {
        if was_much && !arrival.is_much() {
            was_much = false;
            let _ = reporter.send(Report::Confirmed { conn }).await;
        }
        let order = match was_much {
            false => inbox.recv().await,
            true => match timeout(LOOK_EVERY, inbox.recv()).await {
                Ok(order) => order,
                Err(_) if writer.flush().await.is_ok() => {
                    arrival.looked();
                    continue;
                }
                Err(_) => return Pause::Lost,
            },
        };
        // What has come counts already.
        was_much |= arrival.is_much();
        let (bytes, mark, last) = match order {
            Some(Order::Write(bytes)) => (bytes, None, false),
            Some(Order::Mark(bytes, mark)) => (bytes, Some(mark), false),
            Some(Order::Close(bytes)) => (bytes, None, true),
            Some(Order::StartTls { last_words, side }) => {
                return Pause::Upgrade { last_words, side };
            }
            None => return Pause::Said,
        };
        if !write_all(writer, &bytes, stalled).await {
            return Pause::Lost;
        }
        arrival.wrote(bytes.len());
        if let Some(mark) = mark {
            let _ = reporter.send(Report::Written { conn, mark }).await;
        }
        if last {
            return Pause::Said;
        }
    }
}

/// False if the connection broke, or the peer took nothing for too long.
async fn write_all(writer: &mut WriteHalf<Pipe>, mut bytes: &[u8], stalled: Duration) -> bool {
    while !bytes.is_empty() {
        match timeout(stalled, writer.write(bytes)).await {
            Ok(Ok(written)) if written > 0 => bytes = bytes.get(written..).unwrap_or_default(),
            _ => return false,
        }
    }
    matches!(timeout(stalled, writer.flush()).await, Ok(Ok(())))
}

/// Writes the last words in the clear, then does our part; tells whether the peer's certificate
/// proves its name.
async fn handshake(
    means: &Means,
    pipe: Pipe,
    last_words: &[u8],
    side: &TlsSide,
) -> io::Result<(Pipe, bool)> {
    let Pipe::Plain(mut stream) = pipe else {
        return Err(io::Error::other("the connection is under TLS already"));
    };
    stream.write_all(last_words).await?;
    if let Some((audience, domain)) = Audience::of(side) {
        let config = means.tls.server(domain, audience).map_err(io::Error::other)?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        return Ok((Pipe::Tls(Box::new(stream.into())), false));
    }
    let TlsSide::Client { domain, minted } = side else {
        return Err(io::Error::other("no side"));
    };
    let (config, name, check) =
        means.tls.client(domain, false, minted.as_ref()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok((Pipe::Tls(Box::new(stream.into())), check.verified()))
}

/// Bytes that are not acknowledged for so long end a connection. Keepalive alone does not see that:
/// it waits while there are any.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Small writes go out at once, and a peer that vanished is noticed: within half a minute where
/// something is written, else within two minutes.
pub(super) fn prepare(stream: &TcpStream) {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(3);
    let socket = socket2::SockRef::from(stream);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot set socket options");
    }
}
