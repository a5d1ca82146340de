//! `openfed demo`: the documented hop, then the cached one, with nothing else installed.
//!
//! Everything is on loopback, at free ports, in a directory that is gone afterwards.

mod no_names;
mod place;

use std::io::Write;
use std::time::{Duration, Instant};

use hyper::Method;
use openfed_node::shutdown::Shutdown;
use openfed_node::{metrics, process, telemetry};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::api::Api;
use crate::api::model::{Flow, Node, Page, Route, SipDomain};
use crate::cli::Failure;
use crate::ua::{self, Peer, Request};
use crate::{domain, flows, up};
use no_names::NoNames;
use place::Place;

const FROM: &str = "sip:ada@corp.example";
const TO: &str = "sip:bob@unknown.example";
const DOMAIN: &str = "unknown.example";

/// The documented hop for an unknown domain.
const HOP: [&str; 5] = ["sip-cm", "xcp-router", "xmpp-cm", "xcp-router", "sip-cm"];

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts everything, shows it, ends everything.
pub(crate) async fn run(out: &mut dyn Write) -> Result<(), Failure> {
    process::install_crypto();
    metrics::start();
    let names = NoNames::start().await?;
    let place = Place::make(names.address())?;
    telemetry::start_logs(&place.settings.telemetry);
    let shutdown = Shutdown::on_signals(Duration::from_secs(3))?;
    let mut services = tokio::spawn(up::serve(place.settings.clone(), shutdown.clone()));
    let shown = tokio::select! {
        shown = show(out, &place, &names) => shown,
        ended = &mut services => {
            let cause = match ended {
                Ok(Err(ended)) => process::in_words(&ended),
                _ => "interrupted".to_owned(),
            };
            return Err(Failure::Demo(cause));
        }
    };
    shutdown.begin();
    // What is shown is shown; the end of the process ends what does not drain in time.
    let _ = timeout(Duration::from_secs(5), services).await;
    shown
}

async fn show(out: &mut dyn Write, place: &Place, names: &NoNames) -> Result<(), Failure> {
    writeln!(out, "Three services in one process, an embedded store, all on loopback.\n")?;
    let api = wait_for_links(place).await?;

    let mut peer = Peer::start(([127, 0, 0, 1], 0).into()).await?;
    let port = peer.address().port();
    writeln!(out, "1. The open route is blocked after first start. The operator opens it:")?;
    writeln!(
        out,
        "   openfed route set '.*' --next-hop 127.0.0.1 --port {port} --protocol udp --unblock\n"
    )?;
    open_the_route(&api, port).await?;

    writeln!(out, "2. {FROM} writes to {TO}; nobody has configured {DOMAIN}:")?;
    let took = write_to_bob(place, &mut peer, "Hello, whoever you are").await?;
    writeln!(out, "   200 OK after {}\n", flows::milliseconds(took))?;
    let flow = first_flow(&api).await?;
    flows::print(out, &flow)?;
    if !flow.hops.iter().map(|hop| hop.role.as_str()).eq(HOP) {
        return Err(Failure::Demo(format!("that was not the way {}", HOP.join(" → "))));
    }

    writeln!(out, "\n3. The row that has appeared:\n")?;
    let answer = api.get(&format!("/api/v1/sip-domains?limit=10&search={DOMAIN}")).await?;
    let rows = api.read::<Page<SipDomain>>(&answer)?.items;
    if rows.len() != 1 {
        return Err(Failure::Demo(format!("there are {} rows for {DOMAIN}", rows.len())));
    }
    domain::print_rows(out, rows)?;

    writeln!(out, "\n4. She writes again, and sip-cm knows the way:")?;
    let (queries, packets) = (names.queries(), flows_of_bob(&api).await?.len());
    let took = write_to_bob(place, &mut peer, "Hello again").await?;
    writeln!(out, "   200 OK after {}", flows::milliseconds(took))?;
    let (queries, packets) = (names.queries() - queries, flows_of_bob(&api).await?.len() - packets);
    writeln!(out, "   packets over the links: {packets}, DNS queries for XMPP: {queries}")?;
    if queries + packets != 0 {
        return Err(Failure::Demo("the second message did not go straight".to_owned()));
    }
    Ok(())
}

/// Both connection managers are linked to the router, which can route.
async fn wait_for_links(place: &Place) -> Result<Api, Failure> {
    let linked = async {
        loop {
            // The router makes its token while it starts.
            let api = place.api();
            if let Ok(answer) = api.get("/api/v1/nodes").await {
                let nodes = api.read::<Page<Node>>(&answer)?.items;
                let linked = |role| nodes.iter().any(|node| node.role == role);
                if linked("sip-cm") && linked("xmpp-cm") {
                    return Ok(api);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let late = || Failure::Demo("the services have not linked up".to_owned());
    timeout(PATIENCE, linked).await.unwrap_or_else(|_| Err(late()))
}

async fn open_the_route(api: &Api, port: u16) -> Result<(), Failure> {
    let body = json!({
        "next_hop": "127.0.0.1", "port": port, "protocol": "udp", "blocked": false
    });
    let answer = api.send(Method::PATCH, "/api/v1/static-routes/.%2A", &body).await?;
    api.read::<Route>(&answer)?;
    Ok(())
}

/// Sends a MESSAGE through sip-cm; gives the microseconds until its 200.
async fn write_to_bob(place: &Place, peer: &mut Peer, text: &str) -> Result<u64, Failure> {
    let request = Request { method: "MESSAGE", to: TO, from: FROM, text };
    let start = Instant::now();
    let answer = ua::ask(place.sip, &request, Duration::from_secs(32)).await?;
    let took = start.elapsed();
    if answer.status() != Some(200) {
        return Err(Failure::Demo(format!("sip-cm answered {}", answer.status_line())));
    }
    let delivered = timeout(Duration::from_secs(1), peer.next()).await;
    match delivered {
        Ok(Some((request, _))) if request.body() == text => {
            Ok(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
        }
        _ => Err(Failure::Demo("200 OK, but the SIP peer does not have the message".to_owned())),
    }
}

/// The first message's way, as soon as its outcome is known to the router.
async fn first_flow(api: &Api) -> Result<Flow, Failure> {
    let ended = async {
        loop {
            let flow = flows_of_bob(api).await?.into_iter().find(|flow| flow.outcome.is_some());
            match flow {
                Some(flow) => return Ok(flow),
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let late = || Failure::Demo("the router does not show the message".to_owned());
    timeout(PATIENCE, ended).await.unwrap_or_else(|_| Err(late()))
}

async fn flows_of_bob(api: &Api) -> Result<Vec<Flow>, Failure> {
    let answer = api.get("/api/v1/flows?limit=100").await?;
    let mut flows = api.read::<Page<Flow>>(&answer)?.items;
    flows.retain(|flow| flow.domain == DOMAIN);
    Ok(flows)
}
