//! openfed itself: the program as an operator runs it.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::place::{Host, Place};
use crate::process::{Process, until};
use crate::scene::SOON;
use crate::{Failure, Result, http};

/// The local domain of the tests.
pub const LOCAL: &str = "corp.example";

/// What a scene wants of its openfed; the rest is as on an operator's machine.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The store; empty: embedded, in the scene's directory.
    pub store: String,
    /// The trace collector; empty: none.
    pub collector: String,
    /// The DNS server for foreign domains.
    pub dns: Option<SocketAddr>,
    /// A name that both instances of xmpp-cm get in the world's DNS, under which the home server
    /// finds them; empty: there is one.
    pub instances: &'static str,
    /// Further routers, besides the one at its own address.
    pub routers: Vec<String>,
    /// More settings of `[sip]`.
    pub sip: String,
    /// More settings: TOML tables that the rest does not have.
    pub more: String,
    /// More settings of the table `[xmpp]`.
    pub xmpp: &'static str,
    /// More settings of the table `[xmpp.tls]`.
    pub tls: String,
    /// More settings of the home server.
    pub home: &'static str,
    /// The share of packets that are traced; without one, all are.
    pub sample: Option<f64>,
    /// What is logged; without one, nearly everything.
    pub log: Option<&'static str>,
    /// The three services run as programs of their own instead of `openfed up`; in all scenes if
    /// OPENFED_TEST_APART is in the environment.
    pub apart: bool,
}

/// Its three services; each is a program of its own and one third of `openfed up`.
pub const SERVICES: [&str; 3] = ["xcp-router", "sip-cm", "xmpp-cm"];

/// All that our own crates log.
const EVERYTHING: &str = "info,openfed=debug,openfed_node=debug,sip_cm=debug,sip_cm_core=debug,\
    xmpp_cm=debug,xmpp_cm_core=debug,xcp_router=debug,xcp_router_core=debug";

/// The running program, or its three services as programs of their own.
pub struct Openfed {
    ip: IpAddr,
    settings: PathBuf,
    processes: Vec<(&'static str, Process)>,
}

impl Openfed {
    /// Starts it and waits until it can route.
    pub async fn start(place: &Place, setup: &Setup) -> Result<Self> {
        let mut openfed = Self::prepare(place, setup)?;
        if setup.apart || std::env::var_os("OPENFED_TEST_APART").is_some() {
            for service in SERVICES {
                openfed.start_service(place, service)?;
            }
            openfed.is_ready().await?;
            return Ok(openfed);
        }
        let settings = openfed.settings.to_string_lossy().into_owned();
        let arguments = ["up", "--config", &settings];
        let process = Process::start(place, "openfed", &program("openfed")?, &arguments)?;
        openfed.processes.push(("openfed", process));
        openfed.is_ready().await?;
        Ok(openfed)
    }

    /// Starts one of the services (again).
    pub fn start_service(&mut self, place: &Place, service: &'static str) -> Result<()> {
        let process = self.service(place, service, &[])?;
        self.processes.push((service, process));
        Ok(())
    }

    /// Starts one more process of a service, with these overrides of the settings
    /// (`OPENFED__SECTION__KEY`).
    pub fn service(
        &self,
        place: &Place,
        service: &str,
        overrides: &[(&str, &str)],
    ) -> Result<Process> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", &program(service)?]);
        command.arg("--config").arg(&self.settings).envs(overrides.iter().copied());
        Process::start_command(place, service, command)
    }

    /// Kills one of the services (SIGKILL).
    pub async fn kill(&mut self, service: &str) -> Result<()> {
        let at = self.processes.iter().position(|(name, _)| *name == service);
        let at = at.ok_or_else(|| Failure::new(format!("{service} does not run")))?;
        let (_, mut process) = self.processes.remove(at);
        process.kill().await
    }

    /// Asks all to end (SIGTERM), as a service manager does, and waits for it.
    pub async fn stop(mut self) -> Result<()> {
        for (name, process) in &mut self.processes {
            let status = process.terminate(SOON).await?;
            if !status.success() {
                return Err(Failure::new(format!("{name} ended with {status}")));
            }
        }
        Ok(())
    }

    /// Waits until every service says that it is ready.
    pub async fn is_ready(&self) -> Result<()> {
        for server in self.http() {
            let asked = until(async || {
                http::get(server, "/readyz").await.is_ok_and(|answer| answer.status == 200)
            });
            let outcome = asked.await;
            outcome.map_err(|_| Failure::new(format!("{server}/readyz never answered 200")))?;
        }
        Ok(())
    }

    /// Writes its settings alone; its processes are started one by one.
    pub fn prepare(place: &Place, setup: &Setup) -> Result<Self> {
        let directory = place.directory("openfed")?;
        let settings = directory.join("openfed.toml");
        std::fs::write(&settings, toml(place, &directory, setup))?;
        write_secret(&directory.join("admin.token"), http::TOKEN)?;
        Ok(Self { ip: place.ip(Host::Openfed), settings, processes: Vec::new() })
    }

    /// Where it listens for SIP.
    pub fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 5060)
    }

    /// The router's API.
    pub fn api(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 7480)
    }

    /// Where the router, sip-cm and xmpp-cm show metrics and health.
    pub fn http(&self) -> [SocketAddr; 3] {
        [7480, 7481, 7482].map(|port| SocketAddr::new(self.ip, port))
    }

    /// Its processes, by the names of their programs.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, &Process)> {
        self.processes.iter().map(|(name, process)| (*name, process))
    }

    /// What its processes have logged so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.processes.iter().flat_map(|(_, process)| process.log().lines.all()).collect()
    }

    /// Memory that all its processes have in use, in kB.
    pub fn resident_kb(&self) -> Result<u64> {
        self.processes.iter().map(|(_, process)| process.resident_kb()).sum()
    }

    /// Processor time that all its processes have used so far.
    pub fn processor_time(&self) -> Result<Duration> {
        self.processes.iter().map(|(_, process)| process.processor_time()).sum()
    }

    /// The settings file.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Runs `openfed` with these arguments against this one's API and gives its standard output.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        self.command_at(self.api(), arguments).await
    }

    /// The same against the API of another router.
    pub async fn command_at(&self, api: SocketAddr, arguments: &[&str]) -> Result<String> {
        let api = format!("http://{api}");
        let mut command = Command::new(program("openfed")?);
        command.args(arguments).args(["--api", &api]).env("OPENFED_TOKEN", http::TOKEN);
        command.kill_on_drop(true);
        let output = timeout(SOON, command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("openfed {arguments:?}: {}: {text}{error}", output.status)))
    }

    /// Unblocks the open route towards a next hop over UDP.
    pub async fn open_towards(&self, next_hop: SocketAddr) -> Result<()> {
        self.open_by(&next_hop.ip().to_string(), next_hop.port(), "udp").await
    }

    /// Unblocks the open route towards a next hop; `protocol` is `udp`, `tcp` or `tls`.
    pub async fn open_by(&self, host: &str, port: u16, protocol: &str) -> Result<()> {
        let port = port.to_string();
        let route = ["route", "set", ".*", "--next-hop", host, "--port", &port];
        let route = [&route[..], &["--protocol", protocol, "--unblock"]].concat();
        self.command(&route).await.map(|_| ())
    }

    /// The row of a domain in the table of SIP domains, if there is one.
    pub async fn row(&self, domain: &str) -> Result<Option<Value>> {
        let answer = http::get(self.api(), &format!("/api/v1/sip-domains/{domain}")).await?;
        match answer.status {
            200 => Ok(Some(answer.json()?)),
            404 => Ok(None),
            _ => Err(Failure::new(format!("row of {domain}: {answer:?}"))),
        }
    }

    /// Waits until the router has noticed that a service is gone.
    pub async fn is_missed(&self, service: &str) -> Result<()> {
        let missed = until(async || {
            let nodes = http::get(self.api(), "/api/v1/nodes").await;
            nodes.is_ok_and(|nodes| nodes.status == 200 && !nodes.text.contains(service))
        });
        missed.await.map_err(|_| Failure::new(format!("{service} is still listed")))
    }

    /// How many rows the table of SIP domains has.
    pub async fn rows(&self) -> Result<u64> {
        let page = http::get(self.api(), "/api/v1/sip-domains").await?.json()?;
        page["total"].as_u64().ok_or_else(|| Failure::new(format!("no total in {page}")))
    }

    /// Waits for the row of a domain.
    pub async fn row_appears(&self, domain: &str) -> Result<Value> {
        let appeared = until(async || self.row(domain).await.is_ok_and(|row| row.is_some())).await;
        let failure = || Failure::new(format!("no row of {domain} appeared"));
        appeared.map_err(|_| failure())?;
        self.row(domain).await?.ok_or_else(failure)
    }

    /// Waits for a flow of a domain.
    pub async fn flow_appears(&self, domain: &str) -> Result<Value> {
        let any = async || self.flows(domain).await.is_ok_and(|flows| !flows.is_empty());
        let failure = || Failure::new(format!("no flow of {domain} appeared"));
        until(any).await.map_err(|_| failure())?;
        self.flows(domain).await?.pop().ok_or_else(failure)
    }

    /// The recent packets for a domain, oldest first.
    pub async fn flows(&self, domain: &str) -> Result<Vec<Value>> {
        let all = http::get(self.api(), "/api/v1/flows").await?.json()?;
        let items = all["items"].as_array().cloned().unwrap_or_default().into_iter();
        let mut flows: Vec<_> = items.filter(|flow| flow["domain"] == domain).collect();
        flows.sort_by_key(|flow| flow["started"].as_str().map(str::to_owned));
        Ok(flows)
    }
}

/// One of our programs, built beside the running test.
pub fn program(name: &str) -> Result<String> {
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).unwrap_or(&test);
    let program = directory.join(name);
    if !program.exists() {
        return Err(Failure::new(format!("{} is not built: use tests/run", program.display())));
    }
    Ok(program.to_string_lossy().into_owned())
}

/// A file for its owner alone.
fn write_secret(file: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Replaces the one `example` in a shipped file by what the test needs.
pub fn fill_in(shipped: &str, example: &str, value: &str) -> Result<String> {
    if shipped.contains(example) {
        return Ok(shipped.replace(example, value));
    }
    Err(Failure::new(format!("the shipped file has no {example}")))
}

/// The settings file, as `deploy/openfed.toml` explains it.
fn toml(place: &Place, directory: &Path, setup: &Setup) -> String {
    let Setup { sip, more, xmpp, tls, .. } = setup;
    let ip = place.ip(Host::Openfed);
    let home = format!("\"{}\"\n{}", place.at(Host::Home, 5269), setup.home);
    let directory = directory.display();
    let store = match setup.store.as_str() {
        "" => format!("embedded:{directory}/data"),
        url => url.to_owned(),
    };
    let dns = setup.dns.map(|dns| format!("\"{dns}\"")).unwrap_or_default();
    format!(
        r#"[domains]
local = ["{LOCAL}"]
[store]
url = "{store}"
[router]
link = "{ip}:7400"
http = "{ip}:7480"
token_file = "{directory}/admin.token"
requests_per_second = 10000
[cm]
routers = ["http://{ip}:7400"{routers}]
[sip]
listen = ["udp:{ip}:5060", "tcp:{ip}:5060"]
trusted = ["{trusted}/32"]
http = "{ip}:7481"
{sip}
[sip.resolver]
servers = [{dns}]
[xmpp]
listen = "{ip}:5269"
{xmpp}
http = "{ip}:7482"
[[xmpp.home]]
domain = "{LOCAL}"
address = {home}
[xmpp.dns]
listen = "{ip}:53"
answer = "{answer}"
servers = [{dns}]
[xmpp.resolver]
servers = [{dns}]
[xmpp.tls]
directory = "{directory}/tls"
{tls}
[telemetry]
otlp = "{collector}"
sample = {sample:?}
log = "{log}"
{more}"#,
        answer = match setup.instances {
            "" => ip.to_string(),
            name => name.to_owned(),
        },
        trusted = place.ip(Host::SipPeer),
        routers = setup.routers.iter().map(|url| format!(", \"{url}\"")).collect::<String>(),
        collector = setup.collector,
        sample = setup.sample.unwrap_or(1.0),
        log = setup.log.unwrap_or(EVERYTHING),
    )
}
