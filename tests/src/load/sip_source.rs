//! A SIP user agent client that sends MESSAGEs at the times of a pace, whatever the answers, and
//! repeats itself as RFC 3261 §17.1.2 has it.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use memchr::memmem::find;
use rustix::event::{PollFd, Timespec, poll};

use super::ledger::{Ledger, Word};
use super::mark::{BLANK, Mark};
use super::pace::Pace;
use super::sip_wire::{Transport, Wire};
use super::template::{PERSON, Template};
use crate::openfed::LOCAL;
use crate::{Failure, Result};

/// Sockets from which it sends, so that a receiver with several of its own uses them all.
const SOCKETS: usize = 4;
/// How long it waits for an answer before it repeats itself, at first and then each time (T1 to T2
/// of RFC 3261 §17.1.2.2), and when it gives up.
const WAITS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
const TIMER_F: Duration = Duration::from_secs(32);
/// What is due within this is sent together: waking up for each message would cost more than it.
const SLICE: Duration = Duration::from_micros(250);
/// The text of a message, to its usual length.
const TEXT: &str = "Shall we meet at noon, as we said, or a little later? Bring the papers along.";

/// Whom a source writes to, and as whom.
#[derive(Clone, Debug)]
pub struct Route {
    /// The source's address.
    pub from_ip: IpAddr,
    /// The senders' domain.
    pub from: &'static str,
    /// The receivers' domain.
    pub to: &'static str,
    /// Where messages go in, in turn; one that is refused with 503 tries the next (RFC 3263 §4.3).
    pub targets: Vec<SocketAddr>,
    /// What it goes over; connections lead to the first target.
    pub transport: Transport,
    /// Keeps back the share that it is told to keep back (RFC 7339).
    pub heeds: bool,
}

/// See the head of this file.
pub struct SipSource {
    sockets: Vec<(Wire, Template)>,
    targets: Vec<SocketAddr>,
    repeats: Repeats,
    /// Which attempt those are at that were refused with 503.
    attempts: HashMap<u32, u8>,
    control: Option<Control>,
}

/// Messages that wait for their answers, by the interval that they wait for: each queue is in order.
#[derive(Default)]
struct Repeats([VecDeque<Repeat>; WAITS.len()]);

#[derive(Clone, Copy)]
struct Repeat {
    number: u32,
    attempt: u8,
    first: Duration,
    due: Duration,
}

impl SipSource {
    /// A source on this route.
    pub fn new(route: &Route) -> Result<Self> {
        let socket = || {
            let target = *route.targets.first().ok_or_else(|| Failure::new("no target"))?;
            let wire = Wire::open(route.transport, route.from_ip, target)?;
            let template = Template::new(message(route, wire.address()?));
            Ok((wire, template))
        };
        let sockets = (0..SOCKETS).map(|_| socket()).collect::<Result<_>>()?;
        let (targets, repeats, attempts) =
            (route.targets.clone(), Repeats::default(), HashMap::new());
        let control = route.heeds.then(Control::default);
        Ok(Self { sockets, targets, repeats, attempts, control })
    }

    /// Sends all, and goes on until all are answered or `patience` is over after the last one.
    pub fn run(&mut self, ledger: &Ledger, pace: &Pace, patience: Duration) -> Result<()> {
        let mut buffer = vec![0; 65_536];
        let (mut next, mut heard) = (0, 0);
        self.repeats = Repeats::default();
        self.attempts.clear();
        let end = pace.length() + patience;
        loop {
            let now = ledger.now();
            while let Some(due) = pace.due(next)
                && due <= now
            {
                ledger.sent(next);
                if self.control.as_mut().is_some_and(|control| control.keeps_back(now)) {
                    ledger.heard(ledger.mark(next), Word::Failure, || "kept back".to_owned());
                    heard += 1;
                } else {
                    self.begin(ledger, next, 0, now);
                }
                next += 1;
            }
            heard += self.repeat_due(ledger, now);
            if next == pace.messages() && (heard >= next || now > end) {
                return Ok(());
            }
            let due = [pace.due(next), self.repeats.next()].into_iter().flatten().min();
            let wait = due.map_or(WAITS[0], |due| due.saturating_sub(ledger.now()));
            heard += self.receive(ledger, wait.clamp(SLICE, WAITS[0]), &mut buffer)?;
        }
    }

    fn begin(&mut self, ledger: &Ledger, number: u32, attempt: u8, now: Duration) {
        self.send(ledger.mark(number), attempt);
        let first = Repeat { number, attempt, first: now, due: now + WAITS[0] };
        self.repeats.0[0].push_back(first);
    }

    fn send(&mut self, mark: Mark, attempt: u8) {
        let number = usize::try_from(mark.number).unwrap_or_default();
        let count = self.sockets.len();
        let target = self.targets[(number + usize::from(attempt)) % self.targets.len()];
        let (wire, template) = &mut self.sockets[number % count];
        wire.send(template.fill(mark, attempt), target);
    }

    /// Repeats what is due; gives how many are given up.
    fn repeat_due(&mut self, ledger: &Ledger, now: Duration) -> u32 {
        let mut given_up = 0;
        while let Some((repeat, interval)) = self.repeats.pop(now) {
            let Repeat { number, attempt, first, .. } = repeat;
            let other = self.attempts.get(&number).is_some_and(|current| *current != attempt);
            if other || ledger.is_heard(number) {
                continue;
            }
            if now - first >= TIMER_F {
                ledger.heard(ledger.mark(number), Word::Doubt, || "no response".to_owned());
                given_up += 1;
                continue;
            }
            if !self.sockets[0].0.is_reliable() {
                ledger.resent(number);
                self.send(ledger.mark(number), attempt);
            }
            let interval = (interval + 1).min(WAITS.len() - 1);
            self.repeats.0[interval].push_back(Repeat { due: now + WAITS[interval], ..repeat });
        }
        given_up
    }

    /// Waits for responses and takes those that are there; gives how many were first final ones.
    fn receive(&mut self, ledger: &Ledger, wait: Duration, buffer: &mut [u8]) -> Result<u32> {
        let wait = Timespec::try_from(wait).map_err(|_| Failure::new("no time to wait"))?;
        let all = self.sockets.iter();
        let all = all.map(|(wire, _)| PollFd::from_borrowed_fd(wire.fd(), wire.interest()));
        let mut all: Vec<_> = all.collect();
        poll(&mut all, Some(&wait))?;
        let ready: Vec<_> = all.iter().map(|socket| !socket.revents().is_empty()).collect();
        let (mut heard, mut moved) = (0, Vec::new());
        let Self { sockets, targets, attempts, control, .. } = self;
        for ((wire, _), _) in sockets.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            wire.receive(buffer, |response| {
                if let Some(control) = control {
                    control.note(response, ledger.now());
                }
                match hear(ledger, attempts, targets.len(), response) {
                    Heard::Last => heard += 1,
                    Heard::Nothing => {}
                    Heard::Elsewhere(number, attempt) => moved.push((number, attempt)),
                }
            })?;
        }
        for (number, attempt) in moved {
            self.begin(ledger, number, attempt, ledger.now());
        }
        Ok(heard)
    }
}

/// What the other side told us to keep back, in hundredths, and until when.
#[derive(Default)]
struct Control {
    loss: u32,
    valid: Duration,
    /// Hundredths of a message that are to be kept back still.
    debt: u32,
}

impl Control {
    /// Reads it from the Via of a response (RFC 7339 §4.1).
    fn note(&mut self, response: &[u8], now: Duration) {
        let number = |name: &[u8]| {
            let digits = response.get(find(response, name)? + name.len()..)?;
            let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
            std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
        };
        if let (Some(loss), Some(valid)) = (number(b";oc="), number(b";oc-validity=")) {
            self.loss = loss;
            self.valid = now + Duration::from_millis(valid.into());
        }
    }

    fn keeps_back(&mut self, now: Duration) -> bool {
        self.debt += if now < self.valid { self.loss } else { 0 };
        let keeps = self.debt >= 100;
        self.debt -= if keeps { 100 } else { 0 };
        keeps
    }
}

/// What a response means for its message.
enum Heard {
    /// It is the last word.
    Last,
    /// Nothing new.
    Nothing,
    /// This attempt, at the next target, is to be made.
    Elsewhere(u32, u8),
}

fn hear(
    ledger: &Ledger,
    attempts: &mut HashMap<u32, u8>,
    targets: usize,
    response: &[u8],
) -> Heard {
    let Some((status, mark, attempt)) = read(response) else { return Heard::Nothing };
    let current = attempts.get(&mark.number).copied().unwrap_or_default();
    if attempt != current || ledger.is_heard(mark.number) || status < 200 {
        return Heard::Nothing;
    }
    if status == 503 && usize::from(attempt) + 1 < targets {
        attempts.insert(mark.number, attempt + 1);
        return Heard::Elsewhere(mark.number, attempt + 1);
    }
    let word = match status {
        200..=299 => Word::Success,
        408 | 504 => Word::Doubt,
        _ => Word::Failure,
    };
    ledger.heard(mark, word, || {
        let retry = find(response, b"\r\nRetry-After:").map(|_| " with Retry-After");
        format!("SIP {status}{}", retry.unwrap_or_default())
    });
    Heard::Last
}

/// Status, message and attempt of a response.
fn read(response: &[u8]) -> Option<(u16, Mark, u8)> {
    let status = response.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    let status = std::str::from_utf8(status).ok()?.parse().ok()?;
    // The branch of the only Via: the mark, a dash, and the attempt.
    let branch = find(response, b"branch=z9hG4bK")? + b"branch=z9hG4bK".len();
    let attempt = response.get(branch + BLANK.len() + 1)?.checked_sub(b'0')?;
    Some((status, Mark::find(&response[branch..])?, attempt))
}

impl Repeats {
    /// One that is due, and which interval it has waited.
    fn pop(&mut self, now: Duration) -> Option<(Repeat, usize)> {
        let due = |queue: &VecDeque<Repeat>| queue.front().is_some_and(|first| first.due <= now);
        let interval = self.0.iter().position(due)?;
        Some((self.0[interval].pop_front()?, interval))
    }

    fn next(&self) -> Option<Duration> {
        self.0.iter().filter_map(|queue| queue.front()).map(|first| first.due).min()
    }
}

fn message(route: &Route, sent_by: SocketAddr) -> String {
    let Route { from, to, transport, heeds, .. } = route;
    let (transport, control) = (transport.name(), if *heeds { ";oc;oc-algo=\"loss\"" } else { "" });
    // The home server of the tools has one user in its own domain.
    let person = |domain: &str| format!("sip:{PERSON}@{domain}");
    let receiver = if *to == LOCAL { format!("sip:alice@{to}") } else { person(to) };
    let (sender, body) = (person(from), format!("{BLANK} {TEXT}"));
    format!(
        "MESSAGE {receiver} SIP/2.0\r\nVia: SIP/2.0/{transport} {sent_by};branch=z9hG4bK{BLANK}-0;rport{control}\r\n\
         Max-Forwards: 70\r\nFrom: <{sender}>;tag={BLANK}\r\nTo: <{receiver}>\r\n\
         Call-ID: {BLANK}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
