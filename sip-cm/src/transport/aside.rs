//! Refusals leave on a thread of their own: to hand a datagram to the kernel costs more than to make
//! it, and under overload all that is spent on refusing is taken from those who are served. Nobody
//! waits for them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UdpSocket;

/// Handed over at once, so that the thread is woken once for many.
const BATCH: usize = 64;
/// Batches that wait for the thread; when there is no room, refusals are sent where they are made.
const BATCHES: usize = 64;

/// One datagram.
struct Datagram {
    socket: Arc<UdpSocket>,
    bytes: Bytes,
    to: SocketAddr,
}

/// See the head of this file. Dropping it ends the thread.
pub(super) struct Aside {
    collected: Vec<Datagram>,
    batches: SyncSender<Vec<Datagram>>,
}

impl Aside {
    pub(super) fn start() -> std::io::Result<Self> {
        let (batches, receiver) = sync_channel(BATCHES);
        thread::Builder::new().name("sip-refusals".to_owned()).spawn(move || run(&receiver))?;
        Ok(Self { collected: Vec::with_capacity(BATCH), batches })
    }

    pub(super) fn push(&mut self, socket: Arc<UdpSocket>, bytes: Bytes, to: SocketAddr) {
        self.collected.push(Datagram { socket, bytes, to });
        if self.collected.len() >= BATCH {
            self.hand_over();
        }
    }

    /// To be called when nothing more is at hand: what was collected goes out.
    pub(super) fn hand_over(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        let batch = std::mem::replace(&mut self.collected, Vec::with_capacity(BATCH));
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            self.batches.try_send(batch)
        {
            send(&batch);
        }
    }
}

fn run(batches: &Receiver<Vec<Datagram>>) {
    while let Ok(batch) = batches.recv() {
        send(&batch);
    }
}

fn send(batch: &[Datagram]) {
    for Datagram { socket, bytes, to } in batch {
        // As good as lost, if it fails: the sender repeats itself, and is refused again.
        let _ = SockRef::from(socket.as_ref()).send_to(bytes, &(*to).into());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn socket() -> Arc<UdpSocket> {
        Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket"))
    }

    #[tokio::test]
    async fn what_the_thread_has_no_room_for_is_sent_at_once() {
        // Nobody takes the batches out.
        let (batches, waiting) = sync_channel(1);
        let mut aside = Aside { collected: Vec::new(), batches };
        let (ours, theirs) = (socket().await, socket().await);
        let to = theirs.local_addr().expect("an address");
        for text in ["first", "second"] {
            aside.push(Arc::clone(&ours), Bytes::from(text), to);
            aside.hand_over();
        }
        let mut buffer = [0; 16];
        let received = timeout(Duration::from_secs(20), theirs.recv_from(&mut buffer)).await;
        let (length, _) = received.expect("in time").expect("a datagram");
        assert_eq!(&buffer[..length], b"second");
        let kept = waiting.try_recv().expect("a batch");
        assert_eq!(kept.iter().map(|datagram| &datagram.bytes[..]).collect::<Vec<_>>(), [b"first"]);
        assert!(waiting.try_recv().is_err(), "nothing twice");
    }
}
