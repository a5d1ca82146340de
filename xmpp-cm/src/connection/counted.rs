//! A TCP connection that knows how much of what was written to it has arrived.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::ioctl::{Getter, ioctl};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes since the connection was made.
#[derive(Debug, Default)]
pub(super) struct Totals {
    written: AtomicU64,
    acknowledged: AtomicU64,
}

impl Totals {
    /// Handed to the kernel.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// In the hands of the peer's kernel, when it was last looked.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Counted {
    stream: TcpStream,
    totals: Arc<Totals>,
}

impl Counted {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, totals: Arc::default() }
    }

    pub(super) fn totals(&self) -> Arc<Totals> {
        self.totals.clone()
    }

    /// COMPAT(Prosody): it writes with Nagle's algorithm, so its second small write, an answer or
    /// what follows the TLS session tickets, waits for our acknowledgement, which the kernel would
    /// keep back for 40 ms. Asked anew after every read, because the kernel forgets.
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
    }

    /// Looks how much has arrived. A peer whose process is gone acknowledges nothing any more.
    pub(super) fn look(&self) {
        let pending = unacknowledged(&self.stream).unwrap_or(0);
        let acknowledged = self.totals.written().saturating_sub(pending);
        self.totals.acknowledged.store(acknowledged, Ordering::Relaxed);
    }

    /// Whether the peer has reset the connection.
    pub(super) fn is_broken(&self) -> bool {
        !matches!(socket2::SockRef::from(&self.stream).take_error(), Ok(None))
    }

    fn wrote(&self, bytes: usize) {
        self.totals.written.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }
}

/// What is in the send queue of a socket or on its way, as `ioctl(SIOCOUTQ)` says, tcp(7).
#[expect(unsafe_code, reason = "no safe call asks for it")]
fn unacknowledged(stream: &TcpStream) -> io::Result<u64> {
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int, and reads nothing.
    let pending = unsafe { ioctl(stream, Getter::<SIOCOUTQ, std::ffi::c_int>::new()) }?;
    Ok(u64::try_from(pending).unwrap_or(0))
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let counted = self.get_mut();
        let result = ready!(Pin::new(&mut counted.stream).poll_read(cx, buf));
        counted.acknowledge();
        Poll::Ready(result)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = ready!(Pin::new(&mut counted.stream).poll_write(cx, buf))?;
        counted.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let counted = self.get_mut();
        let written = ready!(Pin::new(&mut counted.stream).poll_write_vectored(cx, bufs))?;
        counted.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let counted = self.get_mut();
        ready!(Pin::new(&mut counted.stream).poll_flush(cx))?;
        counted.look();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
