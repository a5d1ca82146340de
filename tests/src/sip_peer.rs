//! A SIP user agent of the tests over UDP: it answers as told, or keeps silent, or loses datagrams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::seen::Seen;
use crate::sip::{Outgoing, Sip, unique};
use crate::{Failure, Result};

/// RFC 3261 §17.1.2.2: the first retransmission interval, the longest, and Timer F.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const TIMER_F: Duration = Duration::from_secs(32);

/// What a user agent does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It answers with this status and reason phrase.
    Status(u16, &'static str),
    /// It answers with this status, reason phrase and further header lines (each ended by CRLF).
    With(u16, &'static str, String),
    /// It never answers.
    Silence,
}

type Rule = Box<dyn Fn(&Sip) -> Reply + Send + Sync>;

struct State {
    rule: Rule,
    /// The answer to each request so far, by branch and method, for its retransmissions.
    answered: HashMap<(String, String), Option<String>>,
    /// Who waits for the final response with this branch.
    waiting: HashMap<String, oneshot::Sender<Sip>>,
    loss: Loss,
}

/// A running user agent; dropped means gone.
pub struct SipPeer {
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    /// The requests that came, each once, whatever was retransmitted.
    pub requests: Arc<Seen<Sip>>,
    /// Datagrams that `rsip` could not read; openfed must not send any.
    pub unreadable: Arc<Seen<String>>,
    task: JoinHandle<()>,
}

impl SipPeer {
    /// Starts a user agent that answers 200 to everything.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(UdpSocket::bind(address).await?))
    }

    /// The same over a socket that is there already.
    pub fn over(socket: UdpSocket) -> Self {
        let socket = Arc::new(socket);
        let state = Arc::new(Mutex::new(State {
            rule: Box::new(|_| Reply::Status(200, "OK")),
            answered: HashMap::new(),
            waiting: HashMap::new(),
            loss: Loss { percent: 0, state: 1 },
        }));
        let requests = Arc::<Seen<Sip>>::default();
        let unreadable = Arc::<Seen<String>>::default();
        let reader = Reader {
            socket: Arc::clone(&socket),
            state: Arc::clone(&state),
            requests: Arc::clone(&requests),
            unreadable: Arc::clone(&unreadable),
        };
        let task = tokio::spawn(reader.run());
        Self { socket, state, requests, unreadable, task }
    }

    /// From now on requests that come are answered by this rule.
    pub fn answer_by(&self, rule: impl Fn(&Sip) -> Reply + Send + Sync + 'static) {
        self.with_state(|state| state.rule = Box::new(rule));
    }

    /// From now on every request gets this answer.
    pub fn answer(&self, reply: Reply) {
        self.answer_by(move |_| reply.clone());
    }

    /// From now on this share of all datagrams is lost, in each direction.
    pub fn lose(&self, percent: u8, seed: u64) {
        self.with_state(|state| state.loss = Loss { percent, state: seed | 1 });
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Sends a request to `target`, retransmits it as RFC 3261 §17.1.2 says, and gives the final
    /// response.
    pub async fn send(&self, request: &Outgoing, target: SocketAddr) -> Result<Sip> {
        let branch = format!("z9hG4bK{}", unique());
        let (sender, mut response) = oneshot::channel();
        self.with_state(|state| state.waiting.insert(branch.clone(), sender));
        let text = request.write(&self.address()?.to_string(), &branch);
        let exchange = async {
            let mut interval = T1;
            loop {
                if !self.with_state(|state| state.loss.hits()) {
                    self.socket.send_to(text.as_bytes(), target).await?;
                }
                if let Ok(response) = timeout(interval, &mut response).await {
                    return Ok(response?);
                }
                interval = T2.min(interval * 2);
            }
        };
        let outcome = timeout(TIMER_F, exchange).await;
        self.with_state(|state| state.waiting.remove(&branch));
        outcome.unwrap_or_else(|_| Err(Failure::new(format!("no final response to {text}"))))
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for SipPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Reader {
    socket: Arc<UdpSocket>,
    state: Arc<Mutex<State>>,
    requests: Arc<Seen<Sip>>,
    unreadable: Arc<Seen<String>>,
}

impl Reader {
    async fn run(self) {
        let mut buffer = vec![0; 65_536];
        loop {
            // An error here is the ICMP answer to an earlier datagram.
            let Ok((length, from)) = self.socket.recv_from(&mut buffer).await else { continue };
            if let Some(answer) = self.take(&buffer[..length]) {
                let _ = self.socket.send_to(answer.as_bytes(), from).await;
            }
        }
    }

    /// Takes a datagram and gives the answer to it, if one is due and not lost.
    fn take(&self, datagram: &[u8]) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A keepalive of line ends only (RFC 5626 §3.5.1) is no message.
        if state.loss.hits() || datagram.trim_ascii().is_empty() {
            return None;
        }
        let message = match Sip::parse(datagram) {
            Ok(message) => message,
            Err(failure) => {
                self.unreadable.push(format!("{failure:?}"));
                return None;
            }
        };
        let branch = message.branch().unwrap_or_default().to_owned();
        if let Some(status) = message.status() {
            if status >= 200
                && let Some(waiting) = state.waiting.remove(&branch)
            {
                // Whoever waited may have given up.
                let _ = waiting.send(message);
            }
            return None;
        }
        if message.method() == "ACK" {
            self.requests.push(message);
            return None;
        }
        let transaction = (branch, message.method().to_owned());
        let answer = match state.answered.get(&transaction) {
            Some(answer) => answer.clone(),
            None => {
                let answer = match (state.rule)(&message) {
                    Reply::Status(status, reason) => Some(message.answer(status, reason, "")),
                    Reply::With(status, reason, extra) => {
                        Some(message.answer(status, reason, &extra))
                    }
                    Reply::Silence => None,
                };
                state.answered.insert(transaction, answer.clone());
                self.requests.push(message);
                answer
            }
        };
        if state.loss.hits() { None } else { answer }
    }
}

/// Which datagrams are lost: a given share, the same ones for the same seed (xorshift).
struct Loss {
    percent: u8,
    state: u64,
}

impl Loss {
    fn hits(&mut self) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % 100 < u64::from(self.percent)
    }
}
