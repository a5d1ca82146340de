//! Prosody: a home server that uses the shipped settings, or a foreign XMPP domain.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::place::{Host, Place};
use crate::process::{Process, answers_tcp};
use crate::xmpp_client::XmppClient;
use crate::xmpp_typist::Typist;
use crate::{Failure, Result, certificates};

/// The password of every user.
const PASSWORD: &str = "tests-only";

/// Where a Prosody looks foreign domains up, by its own settings.
#[derive(Clone, Copy, Debug)]
pub enum Lookup {
    /// As home server: the shipped settings file, pointing at this DNS server.
    Home(SocketAddr),
    /// As a server elsewhere: this DNS server.
    Elsewhere(SocketAddr),
}

/// A running Prosody with one domain.
pub struct Prosody {
    domain: String,
    ip: IpAddr,
    process: Process,
}

impl Prosody {
    /// Starts it on the standard ports of `host`, serving `domain` with these users.
    pub async fn start(
        place: &Place,
        host: Host,
        domain: &str,
        users: &[&str],
        lookup: Lookup,
    ) -> Result<Self> {
        Self::start_at(place, place.ip(host), domain, users, lookup, &[]).await
    }

    /// The same at any address, behind `enter`, which runs a program where that address is.
    pub async fn start_at(
        place: &Place,
        ip: IpAddr,
        domain: &str,
        users: &[&str],
        lookup: Lookup,
        enter: &[&str],
    ) -> Result<Self> {
        let directory = place.directory(&format!("prosody-{ip}"))?;
        certificates::self_signed(&directory, domain)?;
        write_accounts(&directory, domain, users)?;
        std::fs::write(directory.join("openfed.cfg.lua"), lookup_settings(lookup)?)?;
        let file = directory.join("prosody.cfg.lua");
        let trusted = certificates::authority_of(place)?;
        std::fs::write(&file, settings(&directory, ip, domain, lookup, trusted.as_deref()))?;
        let file = file.to_string_lossy();
        let command = [enter, &["prosody", "-F", "--config", &file]].concat();
        let name = format!("prosody {domain}");
        let process = match command.split_first() {
            Some((program, arguments)) => Process::start(place, &name, program, arguments)?,
            None => return Err(Failure::new("no command")),
        };
        for port in [5222, 5269] {
            answers_tcp(SocketAddr::new(ip, port)).await?;
        }
        Ok(Self { domain: domain.to_owned(), ip, process })
    }

    /// Where other servers connect to.
    pub fn s2s(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 5269)
    }

    /// A user of this server logs in.
    pub async fn login(&self, user: &str) -> Result<XmppClient> {
        let jid = format!("{user}@{}", self.domain);
        XmppClient::login(&jid, PASSWORD, SocketAddr::new(self.ip, 5222)).await
    }

    /// A user who types raw XML logs in.
    pub async fn typist(&self, user: &str) -> Result<Typist> {
        Typist::login((user, &self.domain), PASSWORD, SocketAddr::new(self.ip, 5222)).await
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }
}

/// Accounts as Prosody's storage `internal` keeps them: `<domain>/accounts/<user>.dat`.
fn write_accounts(directory: &Path, domain: &str, users: &[&str]) -> Result<()> {
    let escaped = domain.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() {
            name.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
        name
    });
    let accounts = directory.join(escaped).join("accounts");
    std::fs::create_dir_all(&accounts)?;
    for user in users {
        let account = format!("return {{ [\"password\"] = \"{PASSWORD}\"; }};\n");
        std::fs::write(accounts.join(format!("{user}.dat")), account)?;
    }
    Ok(())
}

fn lookup_settings(lookup: Lookup) -> Result<String> {
    match lookup {
        Lookup::Home(dns) => {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../deploy/home-servers/prosody.cfg.lua");
            let shipped = std::fs::read_to_string(shipped)?;
            let address = format!("\"{}@{}\"", dns.ip(), dns.port());
            let shipped = crate::openfed::fill_in(&shipped, "\"127.0.0.1@5353\"", &address)?;
            // Scenes type faster than people.
            crate::openfed::fill_in(&shipped, "\"10kb/s\"", "\"10mb/s\"")
        }
        Lookup::Elsewhere(dns) => Ok(format!(
            r#"s2s_secure_auth = false
limits = {{ c2s = {{ rate = "10mb/s" }}; s2sin = {{ rate = "10mb/s" }} }}
unbound = {{
    resolvconf = false;
    hoststxt = false;
    forward = {{ "{}@{}" }};
    options = {{ ["do-not-query-localhost:"] = "no" }};
}}
"#,
            dns.ip(),
            dns.port()
        )),
    }
}

fn settings(
    directory: &Path,
    ip: IpAddr,
    domain: &str,
    lookup: Lookup,
    trusted: Option<&Path>,
) -> String {
    let trusted = trusted.map(|file| format!("cafile = {file:?}")).unwrap_or_default();
    let module = match lookup {
        Lookup::Home(_) => "\"openfed_names\";",
        Lookup::Elsewhere(_) => "",
    };
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/home-servers");
    let directory = directory.to_string_lossy();
    format!(
        r#"run_as_root = true
daemonize = false
data_path = "{directory}"
pidfile = "{directory}/prosody.pid"
modules_enabled = {{
    "disco"; "roster"; "saslauth"; "tls"; "dialback"; "ping"; "version"; "smacks"; "carbons";
    "s2s_bidi"; "limits"; "posix"; {module}
}}
plugin_paths = {{ "{plugins}" }}
interfaces = {{ "{ip}" }}
local_interfaces = {{ "{ip}" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
log = {{ info = "*console" }}
ssl = {{ certificate = "{directory}/certificate.pem"; key = "{directory}/key.pem"; {trusted} }}
Include "{directory}/openfed.cfg.lua"
VirtualHost "{domain}"
"#
    )
}
