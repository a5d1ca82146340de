//! A SIP user agent of the tests over TCP, outside: it writes over one connection, which it opens again
//! when it ends, and answers 200 to whatever comes over those that others open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::outside::Outside;
use crate::seen::Seen;
use crate::sip::{Outgoing, Sip, unique};
use crate::{Failure, Result};

/// RFC 3261 §17.1.2.2, Timer F.
const TIMER_F: Duration = Duration::from_secs(32);
/// SIP's port.
const PORT: u16 = 5060;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Sip>>>>;

/// See the head of this file.
pub struct SipTcp {
    outside: Arc<Outside>,
    open: tokio::sync::Mutex<Option<(OwnedWriteHalf, Waiting)>>,
    /// The requests that came.
    pub requests: Arc<Seen<Sip>>,
    task: JoinHandle<()>,
}

impl SipTcp {
    /// Starts it, listening at port 5060 there.
    pub fn start(outside: &Arc<Outside>) -> Result<Self> {
        let listener = outside.listen(PORT)?;
        let requests = Arc::<Seen<Sip>>::default();
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, seen.clone()));
            }
        });
        let (outside, open) = (outside.clone(), tokio::sync::Mutex::default());
        Ok(Self { outside, open, requests, task })
    }

    /// Sends a request to this machine's port 5060, and gives the final response: an error, if the
    /// connection ends before, or nothing comes in time.
    pub async fn send(&self, request: &Outgoing) -> Result<Sip> {
        let branch = format!("z9hG4bK{}", unique());
        let text = request.write(&format!("{}:{PORT}", self.outside.own), &branch);
        let text = text.replacen("SIP/2.0/UDP", "SIP/2.0/TCP", 1);
        let (sender, response) = oneshot::channel();
        self.write(&branch, sender, &text).await?;
        let response = timeout(TIMER_F, response).await;
        Ok(response.map_err(|_| Failure::new("no final response"))??)
    }

    async fn write(&self, branch: &str, sender: oneshot::Sender<Sip>, text: &str) -> Result<()> {
        let mut open = self.open.lock().await;
        let ended = |waiting: &Waiting| Arc::strong_count(waiting) == 1;
        if open.as_ref().is_none_or(|(_, waiting)| ended(waiting)) {
            let (input, output) = self.outside.connect(PORT).await?.into_split();
            let waiting = Waiting::default();
            tokio::spawn(hear(input, waiting.clone()));
            *open = Some((output, waiting));
        }
        let Some((output, waiting)) = open.as_mut() else { return Err(Failure::new("closed")) };
        lock(waiting).insert(branch.to_owned(), sender);
        Ok(output.write_all(text.as_bytes()).await?)
    }
}

impl Drop for SipTcp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Gives each response to whoever waits for it; at the end, those who wait hear that it has come.
async fn hear(mut input: OwnedReadHalf, waiting: Waiting) {
    let mut buffer = Vec::new();
    while let Some(message) = next(&mut input, &mut buffer).await {
        let final_one = message.status().is_some_and(|status| status >= 200);
        if let Some(sender) = message.branch().filter(|_| final_one) {
            let sender = lock(&waiting).remove(sender);
            // Whoever waited may have given up.
            let _ = sender.map(|sender| sender.send(message));
        }
    }
    lock(&waiting).clear();
}

async fn answer(stream: TcpStream, seen: Arc<Seen<Sip>>) {
    let (mut input, mut output) = stream.into_split();
    let mut buffer = Vec::new();
    while let Some(request) = next(&mut input, &mut buffer).await {
        let answer = request.answer(200, "OK", "");
        seen.push(request);
        if output.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next message of a stream, by its Content-Length (RFC 3261 §18.3).
async fn next(input: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> Option<Sip> {
    loop {
        let begin = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        buffer.drain(..begin);
        let text = String::from_utf8_lossy(buffer);
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text[..head].lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let own = name.trim().eq_ignore_ascii_case("content-length") || name == "l";
                own.then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            let whole = head + 4 + length.unwrap_or_default();
            if buffer.len() >= whole {
                let message: Vec<u8> = buffer.drain(..whole).collect();
                return Sip::parse(&message).ok();
            }
        }
        if input.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Sip>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
