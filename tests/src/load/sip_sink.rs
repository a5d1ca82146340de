//! A SIP user agent server that answers 200 at once and counts what came.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};

use super::ledger::Current;
use super::mark::Mark;
use crate::Result;

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// What a burst may put in a socket, in bytes: a tool must not be what loses datagrams.
const BUFFER: usize = 8 << 20;
/// The headers that an answer repeats (RFC 3261 §8.2.6.2), and their compact forms.
const REPEATED: [&[u8]; 8] =
    [b"via", b"v", b"from", b"f", b"call-id", b"i", b"cseq", b"record-route"];

/// A running sink; dropped means gone.
pub struct SipSink {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SipSink {
    /// Starts it over UDP; what comes is entered in the current ledger.
    pub fn start(address: SocketAddr, current: Current) -> Result<Self> {
        let socket = bind(address)?;
        socket.set_read_timeout(Some(LOOK))?;
        let over = Arc::new(AtomicBool::new(false));
        let sink =
            Sink { socket, current, over: Arc::clone(&over), answer: Vec::with_capacity(1024) };
        let thread = std::thread::Builder::new().name("sip sink".to_owned());
        let thread = Some(thread.spawn(move || sink.run())?);
        Ok(Self { address, over, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SipSink {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends within LOOK; a panic in it has been printed.
            let _ = thread.join();
        }
    }
}

/// A UDP socket with room for bursts.
pub(crate) fn bind(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    // Beyond the system's limit only root may go.
    set_socket_recv_buffer_size_force(&socket, BUFFER)
        .or_else(|_| set_socket_recv_buffer_size(&socket, BUFFER))?;
    Ok(socket)
}

struct Sink {
    socket: UdpSocket,
    current: Current,
    over: Arc<AtomicBool>,
    answer: Vec<u8>,
}

impl Sink {
    fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        while !self.over.load(Ordering::Relaxed) {
            // An error is the end of LOOK, or the ICMP answer to an earlier datagram.
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { continue };
            let datagram = &buffer[..length];
            if !datagram.starts_with(b"MESSAGE ") {
                continue;
            }
            let transaction = write_answer(datagram, &mut self.answer);
            if let Some(mark) = Mark::find(datagram)
                && let Some(ledger) = self.current.of(mark)
            {
                ledger.arrived(mark, Some(transaction));
            }
            let _ = self.socket.send_to(&self.answer, from);
        }
    }
}

/// Writes the 200 to a request, and gives a number by which its transaction is known.
fn write_answer(request: &[u8], answer: &mut Vec<u8>) -> u32 {
    answer.clear();
    answer.extend_from_slice(b"SIP/2.0 200 OK\r\n");
    let mut transaction = 0;
    for line in request.split_inclusive(|byte| *byte == b'\n').skip(1) {
        if line.trim_ascii().is_empty() {
            break;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
        let is = |wanted: &&[u8]| name.eq_ignore_ascii_case(wanted);
        if REPEATED.iter().any(is) {
            answer.extend_from_slice(line);
            if transaction == 0 {
                transaction = hash(line);
            }
        } else if name.eq_ignore_ascii_case(b"to") || name.eq_ignore_ascii_case(b"t") {
            answer.extend_from_slice(line.trim_ascii_end());
            answer.extend_from_slice(b";tag=sink\r\n");
        }
    }
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    transaction
}

/// FNV-1a, never 0: the first repeated header of a request is its top Via.
fn hash(line: &[u8]) -> u32 {
    let fold = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    line.iter().fold(0x811c_9dc5, fold).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_repeats_what_it_must() {
        let request = "MESSAGE sip:b@known.example SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1\r\n\
            Via: SIP/2.0/UDP b;branch=2\r\nMax-Forwards: 69\r\nFrom: <sip:a@a>;tag=1\r\n\
            To: <sip:b@b>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: 3\r\n\r\nvia";
        let mut answer = Vec::new();
        let first = write_answer(request.as_bytes(), &mut answer);
        let expected = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=1\r\n\
            Via: SIP/2.0/UDP b;branch=2\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=sink\r\n\
            Call-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&answer), expected);
        let other = request.replace("branch=1", "branch=3");
        assert_ne!(write_answer(other.as_bytes(), &mut answer), first);
    }
}
