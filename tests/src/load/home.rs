//! The operator's own XMPP server, as far as load needs one: server-to-server streams with
//! STARTTLS, dialback, stanzas both ways on the stream that it opened (XEP-0288), and the answers
//! to pings. It believes every dialback key, for all peers are ours.

mod handshake;
mod outbox;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use memchr::{memchr, memmem, memrchr};
use tokio::io::{AsyncReadExt, ReadHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use self::handshake::Secured;
use self::outbox::Outbox;
use self::tls::Tls;
use super::cutter::{Cutter, Piece, attribute};
use super::ledger::{Current, Word};
use super::mark::Mark;
use crate::scene::SOON;
use crate::{Failure, Result};

/// How long it waits before it opens a lost stream again.
const AGAIN: Duration = Duration::from_millis(100);
/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Who it is, and to whom it speaks.
pub struct Names {
    /// Its own domain.
    pub local: &'static str,
    /// The foreign domain.
    pub remote: &'static str,
    /// Where the foreign domain is reached: all instances of xmpp-cm.
    pub peers: Vec<SocketAddr>,
}

/// A running server; dropped means gone.
pub struct Home {
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all its streams share.
struct Shared {
    names: Names,
    current: Current,
    tls: Tls,
    /// Stanzas for the foreign domain; they wait while no stream is there.
    out: Outbox,
    /// Its users do not write for the time being.
    quiet: AtomicBool,
}

impl Home {
    /// Starts it at `address`, with the authority of xmpp-cm, and waits until stanzas may flow.
    pub async fn start(
        address: SocketAddr,
        names: Names,
        authority: &Path,
        current: Current,
    ) -> Result<Self> {
        let tls = Tls::new(names.local, authority)?;
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            names,
            current,
            tls,
            out: Outbox::default(),
            quiet: AtomicBool::new(false),
        });
        let (end, ended) = oneshot::channel();
        let own = Arc::clone(&shared);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            let streams = tokio::task::LocalSet::new();
            streams.spawn_local(Arc::clone(&own).listen(listener));
            streams.spawn_local(own.stay_connected());
            // Whoever holds the other end has dropped it.
            let _ = streams.block_on(&runtime, ended);
        };
        let thread = std::thread::Builder::new().name("home".to_owned()).spawn(work)?;
        let home = Self { shared, end: Some(end), thread: Some(thread) };
        let open = timeout(SOON, home.shared.out.opened()).await;
        open.map_err(|_| Failure::new("the home server's stream was not accepted"))?;
        Ok(home)
    }

    /// Keeps its users from writing, or lets them go on.
    pub(super) fn hush(&self, quiet: bool) {
        self.shared.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Whether they are kept from it.
    pub(super) fn is_quiet(&self) -> bool {
        self.shared.quiet.load(Ordering::Relaxed)
    }

    /// Appends stanzas to the stream; `write` is given its buffer.
    pub(super) fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.shared.out.append(write);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    async fn listen(self: Arc<Self>, listener: std::net::TcpListener) {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        while let Ok((socket, _)) = listener.accept().await {
            let own = Arc::clone(&self);
            spawn_local(async move {
                // A stream that fails is the peer's to open again.
                let _ = own.serve(socket).await;
            });
        }
    }

    /// A stream that a peer opened.
    async fn serve(&self, socket: TcpStream) -> Result<()> {
        let secured = handshake::respond(socket, &self.names, &self.tls).await?;
        let out = Arc::new(Outbox::default());
        let (reader, writer) = split(secured.stream);
        let own = Arc::clone(&out);
        let writing = spawn_local(async move { own.write_to(writer).await });
        let read = self.read(reader, secured.cutter, &out).await;
        writing.abort();
        read
    }

    /// The stream that we open, to one instance after the other.
    async fn stay_connected(self: Arc<Self>) {
        for peer in self.names.peers.iter().cycle() {
            // Whatever ends it, it is opened again.
            let _ = self.speak(*peer).await;
            sleep(AGAIN).await;
        }
    }

    async fn speak(&self, peer: SocketAddr) -> Result<()> {
        let socket = timeout(SOON, TcpStream::connect(peer)).await??;
        let Secured { stream, cutter } =
            timeout(SOON, handshake::initiate(socket, &self.names, &self.tls)).await??;
        let (reader, writer) = split(stream);
        self.out.open(true);
        let ended = tokio::select! {
            read = self.read(reader, cutter, &self.out) => read,
            written = self.out.write_to(writer) => written,
        };
        self.out.open(false);
        // Whoever wrote what was under way may have been heard or not.
        for mark in self.out.take_under_way() {
            if let Some(ledger) = self.current.of(mark) {
                ledger.heard(mark, Word::Doubt, || "stream lost".to_owned());
            }
        }
        ended
    }

    async fn read<S>(&self, mut reader: ReadHalf<S>, mut cutter: Cutter, own: &Outbox) -> Result<()>
    where
        S: tokio::io::AsyncRead,
    {
        loop {
            while let Some(piece) = cutter.next() {
                match piece {
                    Piece::Element(element) => self.take(element, own),
                    Piece::Header(_) => {}
                    Piece::Footer => return Ok(()),
                }
            }
            let buffer = cutter.buffer();
            buffer.reserve(CHUNK);
            if reader.read_buf(buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    fn take(&self, element: &[u8], own: &Outbox) {
        let subtype = attribute(element, "type");
        let marked = || {
            let mark = Mark::find(element)?;
            Some((self.current.of(mark)?, mark))
        };
        match (element, subtype) {
            ([b'<', b'm', ..], Some(b"error")) => {
                let Some((ledger, mark)) = marked() else { return };
                let condition = condition(element);
                let timed_out = condition == b"remote-server-timeout";
                let word = if timed_out { Word::Doubt } else { Word::Failure };
                ledger.heard(mark, word, || String::from_utf8_lossy(condition).into_owned());
            }
            ([b'<', b'm', ..], _) => {
                if let Some((ledger, mark)) = marked() {
                    ledger.arrived(mark, None);
                }
            }
            ([b'<', b'i', ..], Some(b"get")) => self.out.append(|out| answer_ping(element, out)),
            ([b'<', b'd', ..], None) => own.append(|out| handshake::believe(element, out)),
            _ => {}
        }
    }
}

fn answer_ping(ping: &[u8], out: &mut Vec<u8>) {
    let value = |name| attribute(ping, name).unwrap_or_default();
    out.extend_from_slice(b"<iq type='result' id='");
    out.extend_from_slice(value("id"));
    out.extend_from_slice(b"' from='");
    out.extend_from_slice(value("to"));
    out.extend_from_slice(b"' to='");
    out.extend_from_slice(value("from"));
    out.extend_from_slice(b"'/>");
}

/// The name of the element that carries the namespace of stanza errors (RFC 6120 §8.3.2).
fn condition(error: &[u8]) -> &[u8] {
    let namespace = memmem::find(error, b"urn:ietf:params:xml:ns:xmpp-stanzas").unwrap_or(0);
    let start = memrchr(b'<', &error[..namespace]).map_or(0, |at| at + 1);
    let name = &error[start..namespace];
    &name[..memchr(b' ', name).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_and_pings_answered() {
        let error = b"<message type='error' id='load-0001-00000001'><error type='wait'>\
            <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
        assert_eq!(condition(error), b"resource-constraint");
        assert_eq!(condition(b"<message type='error'/>"), b"");
        let mut out = Vec::new();
        answer_ping(b"<iq type='get' id='7' from='a' to='b'><ping/></iq>", &mut out);
        assert_eq!(out, b"<iq type='result' id='7' from='b' to='a'/>");
    }
}
