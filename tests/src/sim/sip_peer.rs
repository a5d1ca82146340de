//! A SIP peer over datagrams: a user agent that asks (RFC 3261 §17.1.2) and one that is asked
//! (§17.2.2), both by hand. As asker it sends one MESSAGE of a conversation after the other
//! (RFC 3428 §8); as the one who is asked it answers as it is told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip_cm_core::headers::HeaderId;
use sip_cm_core::wire::Message;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const TIMER_F: Duration = Duration::from_secs(32);

/// A text from one address to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The bare address of the sender.
    pub from: String,
    /// The bare address of the recipient.
    pub to: String,
    /// What was written.
    pub text: String,
}

impl Note {
    /// A text.
    #[must_use]
    pub fn new(from: &str, to: &str, text: impl Into<String>) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), text: text.into() }
    }
}

/// What the asker heard about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was asked.
    pub note: Note,
    /// The final responses, each different one once; none: nobody answered in time.
    pub finals: Vec<u16>,
    /// From the first sending to the first final response, or to giving up.
    pub took: Duration,
}

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With this status, at once.
    Status(u16),
    /// Not at all.
    Silent,
}

#[derive(Debug)]
struct Call {
    note: Note,
    to: SocketAddr,
    bytes: Bytes,
    began: Instant,
    wait: Duration,
    again: Instant,
    finals: Vec<(u16, Bytes)>,
    took: Option<Duration>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct SipPeer {
    /// Where it listens and sends from.
    pub address: SocketAddr,
    /// How it answers.
    pub manner: Manner,
    /// Requests that came, each transaction once.
    pub got: Vec<Note>,
    /// Datagrams that it sent again.
    pub retransmissions: usize,
    calls: BTreeMap<String, Call>,
    open: BTreeSet<String>,
    queues: BTreeMap<(String, String), VecDeque<(Note, SocketAddr)>>,
    talking: BTreeSet<(String, String)>,
    served: BTreeMap<String, Option<Bytes>>,
    out: Vec<(SocketAddr, Bytes)>,
    count: u64,
}

impl SipPeer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            manner: Manner::Status(200),
            got: Vec::new(),
            retransmissions: 0,
            calls: BTreeMap::new(),
            open: BTreeSet::new(),
            queues: BTreeMap::new(),
            talking: BTreeSet::new(),
            served: BTreeMap::new(),
            out: Vec::new(),
            count: 0,
        }
    }

    /// Sends a MESSAGE, when the one before it in its conversation has been answered.
    pub(crate) fn say(&mut self, note: Note, to: SocketAddr, now: Instant) {
        let key = (note.from.clone(), note.to.clone());
        self.queues.entry(key.clone()).or_default().push_back((note, to));
        self.go_on(&key, now);
    }

    /// Requests that ended, in the order in which they were sent.
    #[must_use]
    pub fn answers(&self) -> Vec<Answered> {
        let mut calls: Vec<&Call> = self.calls.values().collect();
        calls.sort_by_key(|call| call.began);
        calls
            .into_iter()
            .filter_map(|call| {
                let finals = call.finals.iter().map(|(code, _)| *code).collect();
                Some(Answered { note: call.note.clone(), finals, took: call.took? })
            })
            .collect()
    }

    /// Requests that are still to be sent or answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.open.len() + self.queues.values().map(VecDeque::len).sum::<usize>()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = |call: &Call| call.again.min(call.began + TIMER_F);
        self.open.iter().filter_map(|branch| self.calls.get(branch)).map(due).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for branch in self.open.clone() {
            let Some(call) = self.calls.get_mut(&branch) else { continue };
            if now >= call.began + TIMER_F {
                self.over(&branch, now);
            } else if now >= call.again {
                call.wait = (call.wait * 2).min(T2);
                call.again = now + call.wait;
                self.retransmissions += 1;
                self.out.push((call.to, call.bytes.clone()));
            }
        }
    }

    pub(crate) fn datagram(&mut self, from: SocketAddr, bytes: Bytes, now: Instant) {
        let message = Message::parse(bytes.clone()).expect("openfed sends sound messages");
        match message.code() {
            None => self.request(&message, from),
            Some(code) => self.response(&message, code, bytes, now),
        }
    }

    pub(crate) fn take_out(&mut self) -> Vec<(SocketAddr, Bytes)> {
        std::mem::take(&mut self.out)
    }

    fn go_on(&mut self, key: &(String, String), now: Instant) {
        if self.talking.contains(key) {
            return;
        }
        let next = self.queues.get_mut(key).and_then(VecDeque::pop_front);
        let Some((note, to)) = next else { return };
        self.talking.insert(key.clone());
        self.count += 1;
        let branch = format!("z9hG4bK{}x{}", self.address.port(), self.count);
        let bytes = self.message(&note, &branch);
        self.out.push((to, bytes.clone()));
        let (wait, again) = (T1, now + T1);
        let call =
            Call { note, to, bytes, began: now, wait, again, finals: Vec::new(), took: None };
        self.open.insert(branch.clone());
        self.calls.insert(branch, call);
    }

    fn message(&self, note: &Note, branch: &str) -> Bytes {
        let Note { from, to, text } = note;
        let (address, count) = (self.address, self.count);
        Bytes::from(format!(
            "MESSAGE sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{from}>;tag=t{count}\r\nTo: <sip:{to}>\r\n\
             Call-ID: c{count}@{address}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        ))
    }

    fn over(&mut self, branch: &str, now: Instant) {
        self.open.remove(branch);
        let Some(call) = self.calls.get_mut(branch) else { return };
        call.took = Some(now - call.began);
        let key = (call.note.from.clone(), call.note.to.clone());
        self.talking.remove(&key);
        self.go_on(&key, now);
    }

    fn response(&mut self, message: &Message, code: u16, bytes: Bytes, now: Instant) {
        let via = message.top_via().expect("a Via");
        let branch = via.branch().map(|branch| branch.to_string()).unwrap_or_default();
        let Some(call) = self.calls.get_mut(&branch) else { return };
        if code < 200 {
            (call.wait, call.again) = (T2, now + T2);
        } else if !call.finals.iter().any(|(_, known)| *known == bytes) {
            call.finals.push((code, bytes));
            if self.open.contains(&branch) {
                self.over(&branch, now);
            }
        }
    }

    fn request(&mut self, message: &Message, from: SocketAddr) {
        let via = message.top_via().expect("a Via");
        let branch = via.branch().map(|branch| branch.to_string()).unwrap_or_default();
        if let Some(before) = self.served.get(&branch) {
            self.out.extend(before.clone().map(|bytes| (from, bytes)));
            return;
        }
        self.got.push(note_of(message));
        let answer = match self.manner {
            Manner::Silent => None,
            Manner::Status(code) => {
                let mut response = Message::response_to(message, code, "As Told");
                response.set_to_tag("peer");
                Some(response.to_bytes())
            }
        };
        self.out.extend(answer.clone().map(|bytes| (from, bytes)));
        self.served.insert(branch, answer);
    }
}

fn note_of(message: &Message) -> Note {
    let address = |id: HeaderId| {
        let address = message.address(id).expect("an address");
        let uri = address.uri().to_string();
        uri.trim_start_matches("sip:").split(';').next().unwrap_or_default().to_owned()
    };
    let text = String::from_utf8_lossy(message.body()).into_owned();
    Note { from: address(HeaderId::From), to: address(HeaderId::To), text }
}
