//! Numbered messages both ways at a steady rate, and what became of each of them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep};

use crate::Result;
use crate::openfed::LOCAL;
use crate::sip::Outgoing;
use crate::sip_peer::SipPeer;
use crate::xmpp_client::{XmppClient, condition, text_of};

/// The domain of the SIP people; whoever starts traffic makes it known to openfed.
pub const DOMAIN: &str = "load.example";
/// So many people write and are written to on the SIP side, each a conversation.
const PEOPLE: usize = 40;
/// An XMPP user hears of a failure no later than this; SIP has Timer F (RFC 3261 §17.1.2.2).
const LAST_WORD: Duration = Duration::from_secs(45);
/// What might still come twice comes within this.
const QUIET: Duration = Duration::from_secs(3);

/// What the sender of a message was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It arrived (SIP 2xx).
    Success,
    /// It did not arrive.
    Failure(String),
    /// Time ran out: it may have arrived or not, and nobody can know (RFC 4320 §4.2; in XMPP,
    /// `remote-server-timeout`).
    Doubt(String),
}

/// The messages so far, by their texts.
#[derive(Default)]
struct Ledger {
    told: HashMap<String, Option<Told>>,
    /// Texts of stanzas that were sent, by stanza id.
    stanzas: HashMap<String, String>,
}

/// What became of all messages. Every message is exactly one of delivered, told, lost or doubled.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// All of them.
    pub sent: usize,
    /// Arrived once.
    pub delivered: usize,
    /// Did not arrive, and the sender was told an error.
    pub told: usize,
    /// Among the delivered ones, those whose sender was told that time ran out: it knows that they
    /// may have arrived.
    pub doubtful: usize,
    /// Neither arrived nor was an error told, or a success was told of what did not arrive.
    pub lost: Vec<String>,
    /// Arrived more than once, or arrived although the sender was told that they did not.
    pub doubled: Vec<String>,
    /// How often which error was told.
    pub errors: Vec<(String, usize)>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {}, delivered {} (of which {} were said to have timed out), errors told {}, \
             lost {}, doubled {}",
            self.sent,
            self.delivered,
            self.doubtful,
            self.told,
            self.lost.len(),
            self.doubled.len()
        )?;
        self.errors.iter().try_for_each(|(error, times)| write!(f, "; {times} × {error}"))
    }
}

/// Running traffic.
pub struct Traffic {
    ends: Arc<Ends>,
    pace: JoinHandle<()>,
}

/// Those who write and are written to.
struct Ends {
    sip: SipPeer,
    user: XmppClient,
    /// Where SIP goes in, as a load balancer keeps it.
    targets: Mutex<Vec<SocketAddr>>,
    ledger: Mutex<Ledger>,
    over: AtomicBool,
    /// No stanza is written for the time being.
    quiet: AtomicBool,
}

impl Traffic {
    /// Starts it: `per_second` messages, half of them each way, between the XMPP user and people of
    /// [`DOMAIN`] at `sip`, which is the domain's next hop. SIP goes in at `targets`.
    pub fn start(
        sip: SipPeer,
        user: XmppClient,
        targets: Vec<SocketAddr>,
        per_second: u32,
    ) -> Self {
        let (targets, ledger) = (Mutex::new(targets), Mutex::default());
        let (over, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
        let ends = Arc::new(Ends { sip, user, targets, ledger, over, quiet });
        let pause = Duration::from_secs(2) / per_second;
        Self { pace: tokio::spawn(Arc::clone(&ends).write(pause)), ends }
    }

    /// From now on SIP goes in at `targets`.
    pub fn enters_at(&self, targets: Vec<SocketAddr>) {
        *lock(&self.ends.targets) = targets;
    }

    /// Keeps the XMPP user from writing, or lets it go on.
    pub fn hush_xmpp(&self, quiet: bool) {
        self.ends.quiet.store(quiet, Ordering::Relaxed);
    }

    /// What became of the messages so far; those under way count as lost.
    pub fn so_far(&self) -> Account {
        self.ends.account()
    }

    /// Ends it, waits for the last word on every message, and says what became of all.
    pub async fn end(self) -> Result<Account> {
        self.ends.over.store(true, Ordering::Relaxed);
        self.pace.await?;
        let over = Instant::now() + LAST_WORD;
        while !self.ends.account().lost.is_empty() && Instant::now() < over {
            sleep(Duration::from_millis(500)).await;
        }
        sleep(QUIET).await;
        Ok(self.ends.account())
    }
}

impl Ends {
    async fn write(self: Arc<Self>, pause: Duration) {
        let (mut turn, mut under_way) = (interval(pause), JoinSet::new());
        for number in 0_usize.. {
            turn.tick().await;
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let person = format!("person{}@{DOMAIN}", number % PEOPLE);
            if !self.quiet.load(Ordering::Relaxed) {
                self.write_stanza(&person, format!("to SIP {number}"));
            }
            under_way.spawn(Arc::clone(&self).write_sip(person, format!("to XMPP {number}")));
        }
        under_way.join_all().await;
    }

    fn write_stanza(&self, to: &str, text: String) {
        let mut ledger = lock(&self.ledger);
        let told = match self.user.say(to, &text) {
            Ok(id) => {
                ledger.stanzas.insert(id, text.clone());
                None
            }
            Err(failure) => Some(Told::Failure(format!("{failure:?}"))),
        };
        ledger.told.insert(text, told);
    }

    /// Tries one entry after the other while they say 503, as RFC 3263 §4.3 has it.
    async fn write_sip(self: Arc<Self>, from: String, text: String) {
        lock(&self.ledger).told.insert(text.clone(), None);
        let user =
            format!("sip:{}@{LOCAL}", self.user.jid().node().map_or("", |node| node.as_str()));
        let message = Outgoing::message(&format!("sip:{from}"), &user, &text);
        let mut targets = lock(&self.targets).clone();
        let number = text.bytes().fold(0, |sum, byte| sum + usize::from(byte));
        let turn = number % targets.len().max(1);
        targets.rotate_left(turn);
        let mut told = Told::Failure("no target".to_owned());
        for target in targets {
            told = match self.sip.send(&message, target).await.map(|response| response.status()) {
                Ok(Some(200..=299)) => Told::Success,
                Ok(Some(status @ (408 | 504))) => Told::Doubt(format!("SIP {status}")),
                Ok(status) => Told::Failure(format!("SIP {}", status.unwrap_or_default())),
                Err(_) => Told::Doubt("no SIP response".to_owned()),
            };
            if told != Told::Failure("SIP 503".to_owned()) {
                break;
            }
        }
        lock(&self.ledger).told.insert(text, Some(told));
    }

    fn account(&self) -> Account {
        let mut arrived = HashMap::<String, usize>::new();
        let mut ledger = lock(&self.ledger);
        for request in self.sip.requests.all() {
            *arrived.entry(request.body).or_default() += 1;
        }
        for stanza in self.user.stanzas.all() {
            if stanza.attr("type") == Some("error") {
                let text = stanza.attr("id").and_then(|id| ledger.stanzas.get(id)).cloned();
                let told = match condition(&stanza).unwrap_or_default() {
                    doubt if doubt == "remote-server-timeout" => Told::Doubt(doubt),
                    failure => Told::Failure(failure),
                };
                if let Some(text) = text {
                    ledger.told.insert(text, Some(told));
                }
            } else if let Some(text) = text_of(&stanza) {
                *arrived.entry(text).or_default() += 1;
            }
        }
        let mut account = Account::default();
        for (text, told) in &ledger.told {
            account.enter(text, told.as_ref(), arrived.get(text).copied().unwrap_or_default());
        }
        account
    }
}

impl Account {
    /// Adds what became of one message.
    pub fn enter(&mut self, text: &str, told: Option<&Told>, arrived: usize) {
        self.sent += 1;
        let line = || format!("{text}: arrived {arrived} times, told {told:?}");
        match (arrived, told) {
            (0, None | Some(Told::Success)) => self.lost.push(line()),
            (0, Some(_)) => self.told += 1,
            (1, None | Some(Told::Success)) => self.delivered += 1,
            (1, Some(Told::Doubt(_))) => {
                self.delivered += 1;
                self.doubtful += 1;
            }
            (1, Some(Told::Failure(_))) | (2.., _) => self.doubled.push(line()),
        }
        if let Some(Told::Failure(error) | Told::Doubt(error)) = told {
            match self.errors.iter_mut().find(|(known, _)| known == error) {
                Some((_, times)) => *times += 1,
                None => self.errors.push((error.clone(), 1)),
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
