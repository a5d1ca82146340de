//! The demo's own DNS: no name exists. So the XMPP attempt fails at once, on any machine.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A name server over UDP that answers every query with NXDOMAIN. Ends when dropped.
pub(super) struct NoNames {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl NoNames {
    pub(super) async fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let address = socket.local_addr()?;
        let queries = Arc::<AtomicUsize>::default();
        let task = tokio::spawn(answer_all(socket, queries.clone()));
        Ok(Self { address, queries, task })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many queries have come.
    pub(super) fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }
}

impl Drop for NoNames {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer_all(socket: UdpSocket, queries: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    loop {
        // Errors are ICMP echoes of answers that nobody waited for.
        let Ok((octets, from)) = socket.recv_from(&mut buffer).await else { continue };
        queries.fetch_add(1, Ordering::Relaxed);
        if let Some(answer) = no_such_name(&buffer[..octets]) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// The query's header and question as an answer with RCODE 3 (RFC 1035 §4.1.1), and no records.
fn no_such_name(query: &[u8]) -> Option<Vec<u8>> {
    let question_end = 12 + query.get(12..)?.iter().position(|octet| *octet == 0)? + 5;
    let mut answer = query.get(..question_end)?.to_vec();
    let header = answer.get_mut(..12)?;
    // QR and the query's own OPCODE and RD; RA and NXDOMAIN; one question, nothing else.
    header[2] |= 0x80;
    header[3] = 0x83;
    header[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::no_such_name;

    #[test]
    fn the_question_comes_back_without_its_extras() {
        let mut query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01".to_vec();
        query.extend(b"\x07unknown\x07example\x00\x00\x21\x00\x01");
        let question = query.len();
        query.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00");
        let answer = no_such_name(&query).unwrap();
        assert_eq!(answer[..12], *b"\x12\x34\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00");
        assert_eq!(answer[12..], query[12..question]);
        for end in 0..question {
            assert_eq!(no_such_name(&query[..end]), None, "cut at {end}");
        }
    }
}
