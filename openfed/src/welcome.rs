//! `openfed welcome`: after a start, in one block: what runs, where it is seen, what is still missing.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use clap::Args;
use openfed_node::process;
use openfed_node::settings::{Cidr, Settings};
use openfed_proto::route::Transport;
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::api::model::{Node, Page, Route};
use crate::check::connect;
use crate::cli::{Failure, Session};

/// Roles in the order of a message's way.
const ROLES: [&str; 3] = ["sip-cm", "xmpp-cm", "xcp-router"];
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(500);
const LINE: &str = "----------------------------------------------------------------------";

#[derive(Debug, Args)]
#[command(after_help = "\
It is the last service of deploy/compose.yaml. With --wait it looks until all three roles run, and
then says what there is, whatever is missing.
  openfed welcome --wait 60 --run 'docker compose exec xcp-router' --console http://127.0.0.1:7480")]
pub(crate) struct Arguments {
    /// How many seconds to wait for all services
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// The console, as people here reach it
    #[arg(long, value_name = "URL")]
    console: Option<String>,
    /// What shows the first password
    #[arg(long, value_name = "COMMAND")]
    password: Option<String>,
    /// The traces, as people here reach them
    #[arg(long, value_name = "URL")]
    traces: Option<String>,
    /// What a command of openfed is put behind
    #[arg(long, value_name = "COMMAND", default_value = "")]
    run: String,
    /// The settings file, as people here know it
    #[arg(long, value_name = "FILE")]
    settings: Option<String>,
    /// What starts the demo
    #[arg(long, value_name = "COMMAND", default_value = "openfed demo")]
    demo: String,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let settings =
            process::load(session.settings_file.as_deref()).map_err(Failure::Settings)?;
        let over = Instant::now() + Duration::from_secs(self.wait);
        let running = loop {
            let running = running(&session.api).await;
            if running.iter().all(|count| *count > 0) || Instant::now() >= over {
                break running;
            }
            sleep(AGAIN).await;
        };
        let missing = self.missing(&session.api, &settings, running).await;
        let block = self.block(&settings, running, &missing);
        // At once: other processes write to the same terminal.
        Ok(session.out.write_all(block.as_bytes())?)
    }

    fn block(&self, settings: &Settings, running: [usize; 3], missing: &[String]) -> String {
        let counts = ROLES.iter().zip(running).map(|(role, count)| format!("{count} {role}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let local: Vec<&str> = settings.local.iter().map(AsRef::as_ref).collect();
        let mut block = format!("\n{LINE}\n openfed runs for {}: {counts}\n\n", local.join(", "));
        let mut line = |name: &str, text: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(block, "   {name:<9} {text}");
        };
        for (name, port, how) in listened(settings) {
            line(name, &format!("port {port}, {how}"));
        }
        if let Some(console) = &self.console {
            line("console", console);
        }
        if let Some(password) = &self.password {
            line("", &format!("the first password is in: {password}"));
        }
        if let Some(traces) = &self.traces {
            line("traces", traces);
        }
        match missing {
            [] => {
                block.push_str("\n Nothing is missing for federation that can be seen from here.\n")
            }
            missing => {
                block.push_str("\n Still missing for federation:\n");
                for one in missing {
                    let _ = writeln!(block, "   - {one}");
                }
            }
        }
        let _ = write!(block, "\n See it play, with people on both sides: {}\n{LINE}\n", self.demo);
        block
    }

    /// What an operator has to do yet, with the command or the place for it.
    async fn missing(&self, api: &Api, settings: &Settings, running: [usize; 3]) -> Vec<String> {
        let mut missing = Vec::new();
        for (role, _) in ROLES.iter().zip(running).filter(|(_, count)| *count == 0) {
            missing.push(format!("no {role} is linked: its log says why"));
        }
        let file = self.settings.as_deref().unwrap_or("the settings");
        for domain in &settings.local {
            let Some(home) = settings.home(domain) else {
                missing.push(format!("{domain} has no [[xmpp.home]] in {file}"));
                continue;
            };
            let at = &home.address;
            if connect(&at.host, at.port).await.is_err() {
                missing.push(format!(
                    "the XMPP server of {domain} takes no connection at {at}: start it, or set \
                     [domains] and [[xmpp.home]] in {file}"
                ));
            }
        }
        let here = |range: &Cidr| range.contains(Ipv4Addr::LOCALHOST.into());
        if settings.sip.trusted.iter().all(here) {
            missing.push(format!(
                "no SIP server of yours speaks for your users: [sip] trusted in {file}"
            ));
        }
        if let Some(open) = open_route(api).await {
            let set = |what: &str| format!("{} openfed route {what}", self.run).trim().to_owned();
            if open.next_hop.is_empty() {
                let set = set("set '.*' --next-hop HOST --port N --protocol udp --unblock");
                missing.push(format!("the open route has no next hop: {set}"));
            } else if open.blocked {
                missing.push(format!("the open route is blocked: {}", set("unblock '.*'")));
            }
        }
        missing
    }
}

/// How many of each role there are: the router that is asked, and who is linked to it.
async fn running(api: &Api) -> [usize; 3] {
    let nodes = async {
        let answer = api.list("/api/v1/nodes").await.ok()?;
        api.read::<Page<Node>>(&answer).ok()
    };
    let nodes = nodes.await.map(|page| page.items).unwrap_or_default();
    ROLES.map(|role| nodes.iter().filter(|node| node.role == role).count())
}

async fn open_route(api: &Api) -> Option<Route> {
    let answer = api.list("/api/v1/static-routes").await.ok()?;
    let routes = api.read::<Page<Route>>(&answer).ok()?.items;
    routes.into_iter().find(|route| route.predefined)
}

/// The ports of the two protocols: those of the front, if there is one.
fn listened(settings: &Settings) -> [(&'static str, u16, &'static str); 2] {
    let passed = |listens: u16| {
        let passes = settings.front.pass.iter().filter(|pass| pass.to.port == listens);
        passes.map(|pass| pass.listen.address.port()).next().unwrap_or(listens)
    };
    let by_udp = settings.sip.listen.iter().any(|at| at.transport == Transport::Udp);
    let how = if by_udp { "by UDP and TCP" } else { "by TCP" };
    let sip = settings.sip.listen.first().map_or(5060, |at| at.address.port());
    let xmpp = settings.xmpp.listen.port();
    [("SIP", passed(sip), how), ("XMPP", passed(xmpp), "from server to server")]
}
