//! Where one message ends and the next begins on TCP and TLS (RFC 3261 §18.3, RFC 5626 §3.5.1).
//!
//! ```text
//! Between ──CRLF──▶ Between (ping, pong)      Head ──empty line──▶ Body(n) ──n bytes──▶ Between
//!    └──any other byte──▶ Head                  └─────── error ───────┴──▶ Broken, for good
//! ```

#[cfg(test)]
mod tests;

use crate::wire::{MAX_MESSAGE, Message, Rejected, WireError, body_length_of_head};
use bytes::{Buf, BytesMut};

/// Who opened the connection: only the opener pings (RFC 5626 §4.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// The peer: CRLF CRLF is its ping.
    Peer,
    /// We: CRLF is the answer to our ping.
    Us,
}

/// What the stream held.
#[derive(Debug)]
pub enum Frame {
    /// A whole message.
    Message(Message),
    /// A whole frame that is no acceptable message: answer it; the stream goes on.
    Rejected(Rejected),
    /// The peer asks whether the connection lives: send CRLF.
    Ping,
    /// The peer answers our ping.
    Pong,
}

/// The stream cannot be followed any more: answer with [`Rejected::answer`], then close.
#[derive(Debug, thiserror::Error)]
#[error("stream framing lost: {0}")]
pub struct FramingError(pub Rejected);

#[derive(Debug, Clone, Copy)]
enum State {
    Between,
    /// The head up to this many bytes holds no empty line.
    Head {
        searched: usize,
    },
    /// Head and body together have this many bytes.
    Body {
        total: usize,
    },
    Broken,
}

/// Cuts a stream into messages. Holds at most one message ([`MAX_MESSAGE`]) and what one read
/// brought beyond it.
#[derive(Debug)]
pub struct Framer {
    opener: Opener,
    state: State,
    buffer: BytesMut,
}

impl Framer {
    /// A framer for a new connection.
    #[must_use]
    pub fn new(opener: Opener) -> Self {
        Self { opener, state: State::Between, buffer: BytesMut::new() }
    }

    /// Takes what was read. To be followed by [`Framer::next_frame`] until it gives `None`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer for a read to append to; the same as [`Framer::feed`] without a copy.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether a message has begun and is not yet whole, once [`Framer::next_frame`] has given
    /// `None`: the reader then sets a deadline. Half a ping is no message.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        !matches!(self.state, State::Between)
    }

    /// The next frame, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FramingError`] once the end of a message cannot be told; then `None` for ever.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        loop {
            match self.state {
                State::Broken => return Ok(None),
                State::Between => match self.between() {
                    Some(Step::Frame(frame)) => return Ok(Some(frame)),
                    Some(Step::Go) => {}
                    None => return Ok(None),
                },
                State::Head { searched } => {
                    if !self.head(searched)? {
                        return Ok(None);
                    }
                }
                State::Body { total } => return self.body(total),
            }
        }
    }

    fn between(&mut self) -> Option<Step> {
        let ping = match self.opener {
            Opener::Peer => &b"\r\n\r\n"[..],
            Opener::Us => b"\r\n",
        };
        if self.buffer.starts_with(ping) {
            self.buffer.advance(ping.len());
            let frame = if self.opener == Opener::Peer { Frame::Ping } else { Frame::Pong };
            return Some(Step::Frame(frame));
        }
        // The beginning of a ping, or nothing: only the next bytes can tell.
        if ping.starts_with(&self.buffer) {
            return None;
        }
        if self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
            return Some(Step::Go);
        }
        if matches!(self.buffer.first(), Some(0 | b' ' | b'\t' | b'\n')) {
            self.buffer.advance(1);
            return Some(Step::Go);
        }
        self.state = State::Head { searched: 0 };
        Some(Step::Go)
    }

    /// Looks for the empty line; `false` if it has not come yet.
    fn head(&mut self, searched: usize) -> Result<bool, FramingError> {
        let from = searched.saturating_sub(3);
        let window = self.buffer.get(from..).unwrap_or_default();
        let end = memchr::memmem::find(window, b"\r\n\r\n");
        let head = window.get(..end.unwrap_or(window.len())).unwrap_or_default();
        // Lines that end in LF alone: this head is over, and its end by the rules may never come.
        if memchr::memmem::find(head, b"\n\n").is_some() {
            return Err(self.broken(WireError::HeaderLine("stray CR or LF")));
        }
        let Some(at) = end else {
            if self.buffer.len() > MAX_MESSAGE {
                return Err(self.broken(WireError::TooLarge));
            }
            self.state = State::Head { searched: self.buffer.len() };
            return Ok(false);
        };
        let head_len = from + at + 4;
        match body_length_of_head(self.buffer.get(..head_len).unwrap_or_default()) {
            Ok(length) => {
                self.state = State::Body { total: head_len + length };
                Ok(true)
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    fn body(&mut self, total: usize) -> Result<Option<Frame>, FramingError> {
        if self.buffer.len() < total {
            self.buffer.reserve(total - self.buffer.len());
            return Ok(None);
        }
        self.state = State::Between;
        let frame = self.buffer.split_to(total).freeze();
        match Message::parse(frame) {
            Ok(message) => Ok(Some(Frame::Message(message))),
            Err(rejected) if rejected.loses_the_frame() => {
                self.state = State::Broken;
                self.buffer.clear();
                Err(FramingError(rejected))
            }
            Err(rejected) => Ok(Some(Frame::Rejected(rejected))),
        }
    }

    fn broken(&mut self, error: WireError) -> FramingError {
        self.state = State::Broken;
        let mut bytes = std::mem::take(&mut self.buffer).freeze();
        bytes.truncate(MAX_MESSAGE);
        FramingError(Rejected::from_broken_stream(error, bytes))
    }
}

enum Step {
    Frame(Frame),
    Go,
}
