//! The addresses that are answered: one that never changes, or those of a name, looked up again
//! and again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openfed_node::dns::{Dns, Lack};
use openfed_node::http::Health;
use openfed_node::settings::DnsAnswer;
use tokio::sync::watch;

use super::answers::Zone;

/// Seconds that an answer with the configured address may be kept.
const TTL_FIXED: u32 = 60;
/// The same with the addresses of a name: a replica that is gone is soon forgotten.
const TTL_NAME: u32 = 5;
/// How often a name is looked up, whatever its records allow: container engines say ten minutes.
const REFRESH: Duration = Duration::from_secs(5);
/// How often while no address is known.
const EAGER: Duration = Duration::from_millis(500);
/// How long addresses serve on when their name does not resolve any more. A DNS that restarts
/// must not end federation; replicas that are gone are not to be named for ever (RFC 8767).
pub(super) const STALE: Duration = Duration::from_mins(5);
/// Addresses that are kept.
const MAX_KEPT: usize = 256;
/// The part of the health that is told about.
const PART: &str = "dns";

/// What looking a name up has brought, over time.
#[derive(Debug)]
pub(super) struct Known {
    addresses: Arc<[IpAddr]>,
    /// When they were last confirmed.
    good: Option<Instant>,
}

impl Known {
    pub(super) fn nothing() -> Self {
        Self { addresses: Arc::from([]), good: None }
    }

    /// The name has these addresses, in any order; none is no answer.
    pub(super) fn found(&mut self, mut addresses: Vec<IpAddr>, now: Instant) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_KEPT);
        if addresses.is_empty() {
            return self.missed(now);
        }
        if *self.addresses != *addresses {
            self.addresses = addresses.into();
        }
        self.good = Some(now);
    }

    /// The name did not resolve.
    pub(super) fn missed(&mut self, now: Instant) {
        if self.good.is_some_and(|good| now.duration_since(good) > STALE) {
            *self = Self::nothing();
        }
    }

    /// What is answered now.
    pub(super) fn addresses(&self) -> &Arc<[IpAddr]> {
        &self.addresses
    }
}

/// Where the addresses come from.
pub(super) struct Watched {
    source: Source,
    zone: watch::Sender<Zone>,
}

enum Source {
    Fixed,
    Name { name: String, dns: Box<Dns> },
}

impl Watched {
    /// Of a name nothing is known yet; it is looked up at these servers, or else the system's.
    pub(super) fn new(answer: &DnsAnswer, servers: &[SocketAddr]) -> Result<Self, Lack> {
        let (source, addresses, ttl): (_, Arc<[IpAddr]>, _) = match answer {
            DnsAnswer::Address(address) => (Source::Fixed, Arc::from([*address]), TTL_FIXED),
            DnsAnswer::Name(name) => {
                // A name is only looked up again to learn what is new.
                let dns = Box::new(Dns::uncached(servers)?);
                let source = Source::Name { name: name.clone(), dns };
                (source, Arc::from([]), TTL_NAME)
            }
        };
        Ok(Self { source, zone: watch::Sender::new(Zone { addresses, port: 0, ttl }) })
    }

    /// What is known, at any time, with the port of the service.
    pub(super) fn zone(&self, port: u16) -> watch::Receiver<Zone> {
        self.zone.send_modify(|zone| zone.port = port);
        self.zone.subscribe()
    }

    /// Keeps the addresses right until it is dropped.
    pub(super) async fn keep(self, health: Health) {
        let Source::Name { name, dns } = &self.source else {
            metrics::gauge!("openfed_dns_addresses").set(1);
            return std::future::pending().await;
        };
        let mut known = Known::nothing();
        loop {
            match dns.addresses(name).await {
                Ok(found) => {
                    known.found(found, Instant::now());
                    health.recover(PART);
                    count("ok");
                }
                Err(lack) => {
                    known.missed(Instant::now());
                    health.degrade(PART, problem(name, &known, &lack));
                    count("failed");
                }
            }
            self.publish(name, &known);
            let pause = if known.addresses().is_empty() { EAGER } else { REFRESH };
            tokio::time::sleep(pause).await;
        }
    }

    fn publish(&self, name: &str, known: &Known) {
        let addresses = known.addresses();
        let amount = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        metrics::gauge!("openfed_dns_addresses").set(amount);
        self.zone.send_if_modified(|zone| {
            let is_news = zone.addresses != *addresses;
            if is_news {
                tracing::info!(name, ?addresses, "the addresses of xmpp-cm");
                zone.addresses = Arc::clone(addresses);
            }
            is_news
        });
    }
}

fn problem(name: &str, known: &Known, lack: &Lack) -> String {
    let meanwhile = match known.addresses().len() {
        0 => "the home server is told SERVFAIL",
        _ => "its last addresses are answered",
    };
    let cause = if lack.is_proof() { "has no address" } else { "is not resolved" };
    format!("{name} {cause}: {meanwhile}")
}

fn count(result: &'static str) {
    metrics::counter!("openfed_dns_lookups_total", "result" => result).increment(1);
}
