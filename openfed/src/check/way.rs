//! The whole way and back: a user of the home server writes to an echo that only SIP reaches.
//!
//! home server → xmpp-cm → xcp-router → sip-cm → echo (this process) → sip-cm → xcp-router →
//! xmpp-cm → home server. A static route to the echo exists for the time of the check.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use openfed_proto::address::Address;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::message::{Message, MessageType};
use tokio_xmpp::parsers::ns;

use super::Report;
use super::home_user::{HomeUser, Login, Trouble};
use crate::api::model::{Explanation, Flow, Page};
use crate::api::{Api, segment};
use crate::cli::Failure;
use crate::ua::{self, Peer, Request};

/// How long each half of the way may take: longer than an XMPP attempt and its answer.
const HALF: Duration = Duration::from_secs(15);

/// Where the way is broken, if it is.
type Walked<T> = Result<T, Break>;

struct Break {
    subject: &'static str,
    finding: String,
    advice: String,
}

impl Break {
    fn new(subject: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, finding: finding.into(), advice: advice.into() }
    }
}

impl From<Trouble> for Break {
    fn from(trouble: Trouble) -> Self {
        Self::new("home server", trouble.finding, trouble.advice)
    }
}

pub(super) async fn check(
    report: &mut Report<'_>,
    api: &Api,
    login: Login<'_>,
) -> Result<(), Failure> {
    let mut user = match HomeUser::login(login).await {
        Ok(user) => user,
        Err(trouble) => return report.bad("login", &trouble.finding, trouble.advice),
    };
    report.good("login", "the home server lets the user in")?;
    let mut echo = match Echo::start(api).await {
        Ok(echo) => echo,
        Err(cause) => {
            let finding = format!("no route to the echo could be made: {cause}");
            return report.bad("echo", &finding, "this needs the router's API");
        }
    };
    let token = format!("{:016x}", rand::random::<u64>());
    let there = there(api, &mut user, &mut echo, &token).await;
    let walked = match there {
        Ok(sip_cm) => {
            report.good("way there", "the message has reached the echo over SIP")?;
            back(&mut user, &echo, login.jid, sip_cm, &token).await
        }
        Err(broken) => Err(broken),
    };
    user.leave().await;
    if let Err(error) = api.delete(&echo.route()).await {
        let finding = format!("the route to the echo could not be removed: {error}");
        report.doubt("echo", &finding, &format!("openfed route remove '{}'", echo.pattern))?;
    }
    match walked {
        Ok(()) => report.good("way back", "the echo's answer has reached the user over XMPP"),
        Err(Break { subject, finding, advice }) => report.bad(subject, &finding, &advice),
    }
}

/// The first half. Gives the address of sip-cm, as the echo sees it.
async fn there(api: &Api, user: &mut HomeUser, echo: &mut Echo, token: &str) -> Walked<SocketAddr> {
    let to = format!("echo@{}", echo.domain);
    let to: Jid = to.parse().map_err(|_| Break::new("echo", "its address is no JID", "-"))?;
    user.say(to, token, &format!("openfed check {token}")).await?;
    let deadline = Instant::now() + HALF;
    loop {
        tokio::select! {
            Some((request, from)) = echo.peer.next() => {
                if request.body().contains(token) {
                    return Ok(from);
                }
            }
            heard = timeout_at(deadline, user.hear()) => match heard {
                Ok(heard) => {
                    let heard = heard?;
                    if heard.type_ == MessageType::Error {
                        let answer = format!("was answered with {}", condition(&heard));
                        return Err(stopped(api, &echo.domain, &answer).await);
                    }
                }
                Err(_) => {
                    return Err(stopped(api, &echo.domain, "was never answered").await);
                }
            }
        }
    }
}

/// The second half: the echo answers by SIP.
async fn back(
    user: &mut HomeUser,
    echo: &Echo,
    jid: &str,
    sip_cm: SocketAddr,
    token: &str,
) -> Walked<()> {
    let address = Address::from_jid(jid).and_then(|address| address.bare().to_sip_uri());
    let to =
        address.map_err(|error| Break::new("way back", error.to_string(), "another --user"))?;
    let from = format!("sip:echo@{}", echo.domain);
    let text = format!("echo of openfed check {token}");
    let request = Request { method: "MESSAGE", to: &to, from: &from, text: &text };
    let answer = ua::ask(sip_cm, &request, HALF).await.map_err(|error| {
        Break::new(
            "way back",
            format!("sip-cm at {sip_cm} does not answer the echo: {error}"),
            "the address that it sends from must be one that it listens at",
        )
    })?;
    let status = answer.status().unwrap_or_default();
    if !(200..300).contains(&status) {
        let finding = format!("sip-cm refuses the echo's answer: {}", answer.status_line());
        return Err(Break::new("way back", finding, refusal_advice(status)));
    }
    let heard = timeout(HALF, async {
        loop {
            let heard = user.hear().await?;
            if heard.bodies.values().any(|body| body.contains(token)) {
                return Ok(());
            }
        }
    });
    heard.await.unwrap_or_else(|_| {
        Err(Break::new(
            "way back",
            "the home server has taken the echo's answer, but did not hand it to this session",
            "is another client of the user logged in with a higher priority?",
        ))
    })
}

fn refusal_advice(status: u16) -> &'static str {
    match status {
        403 => "add this machine's address to sip.trusted",
        404 | 604 => "is the user's domain in domains.local, and does the user exist?",
        408 | 480 | 500..=599 => "does xmpp-cm reach the home server? See its log",
        _ => "see the flows: openfed flows",
    }
}

/// Where the message has stopped, by what the router saw of it.
async fn stopped(api: &Api, domain: &str, answer: &str) -> Break {
    let Some(flow) = flow(api, domain).await else {
        return Break::new(
            "home server",
            format!("the message {answer}, and it has never come to xmpp-cm"),
            "the home server must hand every foreign domain to xmpp-cm: point its resolver at \
             xmpp.dns.listen (deploy/home-servers shows how)",
        );
    };
    let hops: Vec<_> =
        flow.hops.iter().map(|hop| format!("{} ({})", hop.role, hop.verdict)).collect();
    let finding = format!("the message {answer}; it went {}", hops.join(" → "));
    let advice = match flow.hops.last().map(|hop| hop.role.as_str()) {
        Some("sip-cm") => "sip-cm must reach this machine over UDP: look at firewalls between them",
        Some("xmpp-cm") => "the router has no answer: is sip-cm linked? See openfed nodes",
        _ => "see openfed nodes: sip-cm and xmpp-cm must both be linked",
    };
    Break::new("way there", finding, advice)
}

async fn flow(api: &Api, domain: &str) -> Option<Flow> {
    let answer = api.get("/api/v1/flows?limit=100").await.ok()?;
    let page: Page<Flow> = api.read(&answer).ok()?;
    page.items.into_iter().find(|flow| flow.domain == domain)
}

fn condition(message: &Message) -> String {
    let errors = message.payloads.iter().filter(|payload| payload.name() == "error");
    let mut conditions = errors.flat_map(|error| error.children());
    let condition = conditions.find(|child| child.ns() == ns::XMPP_STANZAS);
    condition.map_or("an error without a condition", |child| child.name()).to_owned()
}

/// A SIP user of a domain that exists for one check.
struct Echo {
    peer: Peer,
    domain: String,
    pattern: String,
}

impl Echo {
    async fn start(api: &Api) -> Result<Self, String> {
        let here = api.own_address().await.map_err(|error| error.to_string())?;
        let started = Peer::start((here, 0).into()).await;
        let peer = started.map_err(|error| format!("{here} cannot be listened at: {error}"))?;
        let label = format!("check-{:08x}", rand::random::<u32>());
        let echo = Self {
            peer,
            // RFC 6761 §6.5 keeps .example free of real names.
            domain: format!("{label}.openfed.example"),
            pattern: format!(".example.openfed.{label}"),
        };
        let route = json!({
            "pattern": echo.pattern,
            "type": "domain",
            "description": "openfed check, for a moment",
            "next_hop": here.to_string(),
            "port": echo.peer.address().port(),
            "protocol": "udp",
        });
        let made = api.send(Method::POST, "/api/v1/static-routes", &route).await;
        made.map_err(|error| error.to_string())?;
        echo.settle(api).await;
        Ok(echo)
    }

    /// Waits until the router knows the route, and the time in which the others hear of it.
    async fn settle(&self, api: &Api) {
        let path = format!("/api/v1/explain/{}", segment(&self.domain));
        for _ in 0..20 {
            let answer = api.get(&path).await.unwrap_or_default();
            let known = api.read::<Explanation>(&answer);
            sleep(Duration::from_millis(100)).await;
            if known.is_ok_and(|known| known.decision == "configured") {
                return;
            }
        }
    }

    fn route(&self) -> String {
        format!("/api/v1/static-routes/{}", segment(&self.pattern))
    }
}
