//! Server-sent events, as far as openfed's API uses them: the `data` of each event.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// A running stream of events.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    lines: Lines,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, lines: Lines::default() }
    }

    /// The next event whose data is JSON; `None` when the server has ended the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(data) = self.lines.next_event() {
                if let Ok(event) = serde_json::from_str(&data) {
                    return Some(event);
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(octets) = frame.into_data() {
                self.lines.received.extend_from_slice(&octets);
            }
        }
    }
}

/// Cuts what was received into events; network chunks end anywhere.
#[derive(Debug, Default)]
struct Lines {
    received: Vec<u8>,
    data: String,
}

impl Lines {
    /// The data of the next complete event. Comments (keep-alives) and other fields are skipped.
    fn next_event(&mut self) -> Option<String> {
        while let Some(end) = self.received.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                return Some(std::mem::take(&mut self.data));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
