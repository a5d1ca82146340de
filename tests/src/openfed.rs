//! openfed itself: the program as an operator runs it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::place::{Host, Place};
use crate::process::Process;
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
    /// The home server of [`LOCAL`].
    pub home: Option<SocketAddr>,
    /// More settings: TOML tables that the rest does not have, or `[section]` lines of their own.
    pub more: String,
    /// Lines for sections that the rest has: section name, line.
    pub lines: Vec<(&'static str, String)>,
}

/// The running program: all three services in one process.
pub struct Openfed {
    place_ip: std::net::IpAddr,
    settings: PathBuf,
    process: Process,
}

impl Openfed {
    /// Starts `openfed up` and waits until it can route.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(place: &Place, setup: &Setup) -> Result<Self> {
        let directory = place.directory("openfed")?;
        let settings = directory.join("openfed.toml");
        std::fs::write(&settings, toml(place, &directory, setup))?;
        let arguments = ["up", "--config", &settings.to_string_lossy()];
        let process = Process::start(place, "openfed", &program("openfed")?, &arguments)?;
        let openfed = Self { place_ip: place.ip(Host::Openfed), settings, process };
        openfed.is_ready().await?;
        Ok(openfed)
    }

    /// Where it listens for SIP.
    pub fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.place_ip, 5060)
    }

    /// The router's API.
    pub fn api(&self) -> SocketAddr {
        SocketAddr::new(self.place_ip, 7480)
    }

    /// Where the services `sip-cm` and `xmpp-cm` show metrics and health.
    pub fn metrics(&self, service: &str) -> SocketAddr {
        SocketAddr::new(self.place_ip, if service == "sip-cm" { 7481 } else { 7482 })
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The settings file.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// Runs `openfed` with these arguments against this one's API and gives its standard output.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        let api = format!("http://{}", self.api());
        let mut command = Command::new(program("openfed")?);
        command.args(arguments).args(["--api", &api]).kill_on_drop(true);
        let output = timeout(SOON, command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("openfed {arguments:?}: {}: {text}{error}", output.status)))
    }

    /// Unblocks the open route towards a next hop over UDP.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn open_towards(&self, next_hop: SocketAddr) -> Result<()> {
        let (host, port) = (next_hop.ip().to_string(), next_hop.port().to_string());
        let route = ["route", "set", ".*", "--next-hop", &host, "--port", &port];
        let route = [&route[..], &["--protocol", "udp", "--unblock"]].concat();
        self.command(&route).await.map(|_| ())
    }

    /// The row of a domain in the table of SIP domains, if there is one.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn row(&self, domain: &str) -> Result<Option<Value>> {
        let answer = http::get(self.api(), &format!("/api/v1/sip-domains/{domain}")).await?;
        match answer.status {
            200 => Ok(Some(answer.json()?)),
            404 => Ok(None),
            _ => Err(Failure::new(format!("row of {domain}: {answer:?}"))),
        }
    }

    /// A metric's value of a service, added up over its labels; 0 if it does not exist yet.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn metric(&self, server: SocketAddr, name: &str) -> Result<f64> {
        let answer = http::get(server, "/metrics").await?;
        let own = answer.text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        Ok(own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn is_ready(&self) -> Result<()> {
        let asked = async {
            let mut turn = tokio::time::interval(Duration::from_millis(20));
            loop {
                turn.tick().await;
                let answer = http::get(self.api(), "/readyz").await;
                if answer.is_ok_and(|answer| answer.status == 200) {
                    return;
                }
            }
        };
        let outcome = timeout(SOON, asked).await;
        outcome.map_err(|_| Failure::new("openfed did not become ready"))
    }
}

/// One of our programs, built beside the running test.
///
/// # Errors
/// When it is not there.
pub fn program(name: &str) -> Result<String> {
    let test = std::env::current_exe()?;
    let directory = test.ancestors().nth(2).unwrap_or(&test);
    let program = directory.join(name);
    if !program.exists() {
        return Err(Failure::new(format!("{} is not built: use tests/run", program.display())));
    }
    Ok(program.to_string_lossy().into_owned())
}

/// Replaces the one `example` in a shipped file by what the test needs.
///
/// # Errors
/// When the file does not have it: then the test would not test the file.
pub fn fill_in(shipped: &str, example: &str, value: &str) -> Result<String> {
    if shipped.contains(example) {
        return Ok(shipped.replace(example, value));
    }
    Err(Failure::new(format!("the shipped file has no {example}")))
}

/// The settings file (ARCHITECTURE.md, settings).
fn toml(place: &Place, directory: &Path, setup: &Setup) -> String {
    let ip = place.ip(Host::Openfed);
    let store = match setup.store.as_str() {
        "" => format!("embedded:{}/data", directory.display()),
        url => url.to_owned(),
    };
    let dns = setup.dns.map(|dns| format!("\"{dns}\"")).unwrap_or_default();
    let home = setup.home.map_or_else(String::new, |home| {
        format!("[[xmpp.home]]\ndomain = \"{LOCAL}\"\naddress = \"{home}\"\n")
    });
    let lines = |section: &str| {
        let own = setup.lines.iter().filter(|(name, _)| *name == section);
        own.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    format!(
        r#"[domains]
local = ["{LOCAL}"]
{}[store]
url = "{store}"
[router]
link = "{ip}:7400"
http = "{ip}:7480"
{}[cm]
routers = ["http://{ip}:7400"]
{}[sip]
listen = ["udp:{ip}:5060", "tcp:{ip}:5060"]
trusted = ["{trusted}/32"]
http = "{ip}:7481"
{}[xmpp]
listen = "{ip}:5269"
federation = true
http = "{ip}:7482"
{}{home}[xmpp.dns]
listen = "{ip}:5353"
answer = "{ip}"
[xmpp.resolver]
servers = [{dns}]
[telemetry]
otlp = "{}"
sample = 1.0
log = "debug"
{}{}"#,
        lines("domains"),
        lines("router"),
        lines("cm"),
        lines("sip"),
        lines("xmpp"),
        setup.collector,
        lines("telemetry"),
        setup.more,
        trusted = place.ip(Host::SipPeer),
    )
}
