//! `openfed check`: is everything in place, and if not, what is to be done.

mod home_user;
mod names;
mod next_hops;
mod ports;
mod report;
mod way;

use std::path::PathBuf;

use clap::Args;
use openfed_node::dns::Dns;
use openfed_node::process;
use openfed_node::settings::{HostPort, Settings};

use crate::cli::{Failure, Session};

pub(crate) use ports::{connect, reachable, url};
use report::Report;

const EXAMPLES: &str = "\
With --user a message goes the whole way: home server, xmpp-cm, xcp-router, sip-cm, an echo that
this command is itself, and back. A static route to the echo exists meanwhile.
  openfed check
  openfed check --user ada@corp.example --password-file ./ada.password

Certificates of the home server are verified with the system's authorities; SSL_CERT_FILE names
others.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Log in as this user of the home server and send a message the whole way
    #[arg(long, value_name = "JID", requires = "password_file")]
    user: Option<String>,
    /// The file with the user's password
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Where the home server listens for clients [default: as DNS says]
    #[arg(long, value_name = "HOST:PORT", requires = "user")]
    server: Option<HostPort>,
    /// Log in without TLS; only for a --server on this machine
    #[arg(long, requires = "server")]
    no_tls: bool,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        process::install_crypto();
        let settings = match &session.settings_file {
            Some(file) => Some(process::load(Some(file)).map_err(Failure::Settings)?),
            None => None,
        };
        let mut report = Report::new(session.json, &mut *session.out);
        match (&settings, &session.settings_file) {
            (Some(settings), Some(file)) => {
                let local: Vec<&str> = settings.local.iter().map(AsRef::as_ref).collect();
                let local = local.join(", ");
                report.good("settings", &format!("{} is valid; yours: {local}", file.display()))?;
                ports::check(&mut report, settings).await?;
                name_servers(&mut report, settings).await?;
                home_servers(&mut report, settings).await?;
            }
            _ => report.doubt(
                "settings",
                "there is no openfed.toml here, so ports, DNS and home servers are not checked",
                "name the file with --config",
            )?,
        }
        if let Some(settings) = &settings {
            names::check(&mut report, &session.api, settings).await?;
        }
        next_hops::check(&mut report, &session.api, settings.as_ref()).await?;
        if let (Some(user), Some(password_file)) = (&self.user, &self.password_file) {
            let login = home_user::Login {
                jid: user,
                password_file,
                server: self.server.as_ref(),
                no_tls: self.no_tls,
            };
            way::check(&mut report, &session.api, login).await?;
            // The message may have been the first one to the home server.
            if let Some(settings) = &settings {
                ports::delivery(&mut report, settings).await?;
            }
        }
        report.end()
    }
}

/// Unknown domains are looked up before they are tried: no DNS, no federation.
async fn name_servers(report: &mut Report<'_>, settings: &Settings) -> Result<(), Failure> {
    for (key, servers) in [
        ("xmpp.resolver.servers", &settings.xmpp.resolver),
        ("sip.resolver.servers", &settings.sip.resolver),
    ] {
        let whose =
            if servers.is_empty() { "the system's".to_owned() } else { format!("{servers:?}") };
        let answered = match Dns::new(servers) {
            Ok(dns) => dns.answers().await,
            Err(lack) => Err(lack),
        };
        match answered {
            Ok(()) => report.good("dns", &format!("{key}: name servers ({whose}) answer"))?,
            Err(error) => report.bad(
                "dns",
                &format!("{key}: name servers ({whose}) do not answer: {error}"),
                &format!("set {key} to servers that this machine reaches"),
            )?,
        }
    }
    Ok(())
}

/// Each home server must take connections from xmpp-cm.
async fn home_servers(report: &mut Report<'_>, settings: &Settings) -> Result<(), Failure> {
    for domain in &settings.local {
        let Some(home) = settings.home(domain) else {
            report.bad(
                "home server",
                &format!("{domain} has no home server"),
                "add [[xmpp.home]] with its domain and the server-to-server address of its server",
            )?;
            continue;
        };
        let at = &home.address;
        match ports::connect(&at.host, at.port).await {
            Ok(()) => report.good("home server", &format!("{domain}: {at} takes connections"))?,
            Err(error) => report.bad(
                "home server",
                &format!("{domain}: {at} takes no connection: {error}"),
                "start the XMPP server, or correct xmpp.home.address: it is the server-to-server \
                 port (often 5269), not the clients' one",
            )?,
        }
    }
    Ok(())
}
