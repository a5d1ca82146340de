//! The proof of honesty: numbered messages both ways while services are killed and stopped at random,
//! and at the end every one of them has arrived or its sender was told.
//!
//! ```text
//!   40 SIP people ──▶ sip-cm 1, 2 ─┐                       ┌─ xmpp-cm 1, 2 ──▶ Prosody ──▶ carol
//!                 ◀──              ├─ xcp-router 1, 2, Redis ─┤              ◀──         ◀──
//!                     at most one of each pair is down, for a while of its own, by kill or by stop
//! ```

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::dns::DnsServer;
use crate::load::fleet::{End, Fleet};
use crate::openfed::{Openfed, Setup};
use crate::place::{Host, Place};
use crate::redis::Redis;
use crate::sim::chance::Chance;
use crate::sip_peer::SipPeer;
use crate::traffic::{DOMAIN, Traffic};
use crate::world::{Home, Kind};
use crate::{Failure, Result};

/// The name of both instances of xmpp-cm.
const INSTANCES: &str = "xmpp-cm.inside.example";
/// So long after the last replica is back, and at most so much longer, the next one ends.
const CALM: Duration = Duration::from_secs(1);
const MORE_CALM: Duration = Duration::from_secs(6);
/// A replica is down for at most so long: from shorter than a router waits for it to longer.
const DOWN: Duration = Duration::from_secs(6);
/// A line is told this often.
const MINUTE: Duration = Duration::from_secs(60);

/// What is wanted of a proof.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How long.
    pub minutes: u32,
    /// Messages per second, half of them each way.
    pub rate: u32,
    /// Which replicas end when, and how: the same seed gives the same order.
    pub seed: u64,
}

/// A proof under way.
struct Proof<'a> {
    place: &'a Place,
    openfed: Openfed,
    fleet: Fleet,
    redis: Option<Redis>,
    traffic: Traffic,
    chance: Chance,
    ended: u32,
    /// In it no foreign domain exists.
    _dns: DnsServer,
    _home: Home,
}

/// Plays it; `told` hears a line every minute. A failure says what was wrong.
pub async fn play(place: &Place, wanted: Wanted, told: &dyn Fn(&str)) -> Result<()> {
    let mut proof = Proof::begin(place, wanted).await?;
    let began = Instant::now();
    for minute in 1..=wanted.minutes {
        let mut ended = Vec::new();
        while Instant::now() < began + MINUTE * minute {
            ended.push(proof.hardship().await?);
        }
        told(&format!("minute {minute}: {}; {}", ended.join(", "), proof.traffic.so_far()));
    }
    proof.judge(told).await
}

impl<'a> Proof<'a> {
    async fn begin(place: &'a Place, wanted: Wanted) -> Result<Self> {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        for host in Fleet::HOSTS {
            dns.host(INSTANCES, place.ip(host));
        }
        let redis = Redis::start(place).await?;
        let setup = Setup {
            store: redis.url(),
            dns: Some(dns.address()),
            instances: INSTANCES,
            routers: Fleet::more_routers(place),
            log: Some("warn"),
            ..Setup::default()
        };
        let openfed = Openfed::prepare(place, &setup)?;
        let fleet = Fleet::start(place, &openfed).await?;
        let home = Home::start(place, Kind::Prosody, &["carol"]).await?;
        let sip = SipPeer::start(place.at(Host::SecondSipPeer, 5060)).await?;
        let next_hop = sip.address()?.ip().to_string();
        let pattern =
            DOMAIN.rsplit('.').fold(String::new(), |pattern, label| pattern + "." + label);
        let route = ["route", "add", &pattern, "--next-hop", &next_hop, "--port", "5060"];
        openfed.command(&[&route[..], &["--protocol", "udp"]].concat()).await?;
        let carol = home.login("carol").await?;
        let entries = Fleet::HOSTS.map(|host| place.at(host, 5060)).to_vec();
        let traffic = Traffic::start(sip, carol, entries, wanted.rate);
        let (redis, chance) = (Some(redis), Chance::new(wanted.seed));
        Ok(Self { place, openfed, fleet, redis, traffic, chance, ended: 0, _dns: dns, _home: home })
    }

    /// Something ends, stays away for a while and comes back. Says what.
    async fn hardship(&mut self) -> Result<String> {
        let calm = CALM + self.up_to(MORE_CALM);
        sleep(calm).await;
        self.ended += 1;
        let count = self.fleet.replicas.len();
        // Redis is one of them, but the least often.
        match self.below(count + 1) {
            at if at < count => self.end_replica(at).await,
            _ => self.restart_redis().await,
        }
    }

    async fn end_replica(&mut self, at: usize) -> Result<String> {
        let how = if self.below(2) == 0 { End::Killed } else { End::Drained };
        let back = Instant::now() + self.up_to(DOWN);
        let replica = &mut self.fleet.replicas[at];
        replica.end(how).await?;
        sleep_until(back).await;
        replica.start(self.place, &self.openfed).await?;
        let how = if how == End::Killed { "killed" } else { "stopped" };
        Ok(format!("{} {how}", replica.name))
    }

    async fn restart_redis(&mut self) -> Result<String> {
        let away = self.up_to(DOWN);
        if let Some(redis) = self.redis.take() {
            redis.kill().await?;
        }
        sleep(away).await;
        self.redis = Some(Redis::start(self.place).await?);
        Ok("Redis killed".to_owned())
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.chance.below(limit as u64)).unwrap_or_default()
    }

    fn up_to(&mut self, limit: Duration) -> Duration {
        Duration::from_secs_f64(limit.as_secs_f64() * self.chance.below(1_000) as f64 / 1_000.0)
    }

    /// The last word on every message: sent = delivered + told, nothing said to have arrived that did
    /// not, nothing twice.
    async fn judge(self, told: &dyn Fn(&str)) -> Result<()> {
        let account = self.traffic.end().await?;
        let verdict = format!("{} ends of services; {account}", self.ended);
        let faults = [account.lost.as_slice(), &account.doubled].concat();
        if faults.is_empty() && account.delivered + account.told == account.sent {
            told(&format!("passed: {verdict}"));
            return Ok(());
        }
        Err(Failure::new(format!("failed: {verdict}\n{}", faults.join("\n"))))
    }
}
