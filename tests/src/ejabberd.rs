//! ejabberd: a home server that uses the shipped settings.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::place::{Host, Place};
use crate::process::{Process, answers_tcp};
use crate::xmpp_client::XmppClient;
use crate::xmpp_typist::Typist;
use crate::{Failure, Result, certificates, http};

/// The password of every user.
const PASSWORD: &str = "tests-only";

/// A running ejabberd with one domain.
pub struct Ejabberd {
    domain: String,
    ip: IpAddr,
    process: Process,
}

impl Ejabberd {
    /// Starts it on the standard ports of `host`, serving `domain` with these users; foreign
    /// domains are looked up at `dns` (port 53), by the shipped settings.
    pub async fn start(
        place: &Place,
        host: Host,
        domain: &str,
        users: &[&str],
        dns: SocketAddr,
    ) -> Result<Self> {
        let ip = place.ip(host);
        let directory = place.directory(&format!("ejabberd-{domain}"))?;
        let trusted = certificates::authority_of(place)?;
        write_settings(&directory, (ip, dns), domain, trusted.as_deref())?;
        let process = Process::start_command(place, "ejabberd", command(&directory, ip)?)?;
        for port in [5222, 5269, 5280] {
            answers_tcp(SocketAddr::new(ip, port)).await?;
        }
        let server = Self { domain: domain.to_owned(), ip, process };
        for user in users {
            server.register(user).await?;
        }
        Ok(server)
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

    async fn register(&self, user: &str) -> Result<()> {
        let api = SocketAddr::new(self.ip, 5280);
        let account = json!({ "user": user, "host": self.domain, "password": PASSWORD });
        let answer = http::request(api, "POST", "/api/register", Some(&account)).await?;
        if answer.status == 200 {
            return Ok(());
        }
        Err(Failure::new(format!("cannot register {user}: {answer:?}")))
    }
}

/// ejabberd by its own start script, as the user that its package made, without `epmd`, on a
/// machine of its own as far as `/etc/resolv.conf` goes.
fn command(directory: &Path, ip: IpAddr) -> Result<Command> {
    use std::os::unix::fs::{MetadataExt, chown};
    let owner = std::fs::metadata("/var/lib/ejabberd")?;
    let give = |path: &Path| chown(path, Some(owner.uid()), Some(owner.gid()));
    give(directory)?;
    for entry in std::fs::read_dir(directory)? {
        give(&entry?.path())?;
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c"]);
    command.arg("mount --bind resolv.conf /etc/resolv.conf && exec setpriv \"$@\"").arg("ejabberd");
    command.args(["--pdeathsig", "KILL", "--reuid", "ejabberd", "--regid", "ejabberd"]);
    command.args(["--clear-groups", "ejabberdctl"]);
    for (option, name) in [("--config-dir", ""), ("--logs", "logs"), ("--spool", "spool")] {
        let path = directory.join(name);
        std::fs::create_dir_all(&path)?;
        give(&path)?;
        command.arg(option).arg(path);
    }
    command.args(["--node", &format!("openfed{}@localhost", ip.to_string().replace('.', "-"))]);
    command.arg("foreground").current_dir(directory).env("HOME", directory);
    Ok(command)
}

fn write_settings(
    directory: &Path,
    (ip, dns): (IpAddr, SocketAddr),
    domain: &str,
    trusted: Option<&Path>,
) -> Result<()> {
    let shipped = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/home-servers").join(name);
        std::fs::read_to_string(path)
    };
    if dns.port() != 53 {
        return Err(Failure::new("the C library asks name servers on port 53 only"));
    }
    std::fs::write(directory.join("resolv.conf"), format!("nameserver {}\n", dns.ip()))?;
    std::fs::write(directory.join("inetrc"), shipped("inetrc")?)?;
    std::fs::write(directory.join("openfed.yml"), shipped("ejabberd.yml")?)?;
    let address = ip.to_string();
    let control =
        format!("ERL_DIST_PORT=4369\nINET_DIST_INTERFACE={address}\nERL_OPTIONS=\"+S 2:2\"\n");
    std::fs::write(directory.join("ejabberdctl.cfg"), control)?;
    let trusted = match trusted {
        Some(authority) => {
            // Its user cannot look into other directories.
            let file = directory.join("authority.pem");
            std::fs::copy(authority, &file)?;
            format!("ca_file: {file:?}\n")
        }
        None => String::new(),
    };
    let settings = trusted + &settings(directory, &address, domain);
    std::fs::write(directory.join("ejabberd.yml"), settings)?;
    let files = certificates::self_signed(directory, domain)?;
    let both = std::fs::read_to_string(&files.certificate)? + &std::fs::read_to_string(files.key)?;
    std::fs::write(files.certificate, both)?;
    Ok(())
}

fn settings(directory: &Path, ip: &str, domain: &str) -> String {
    let directory = directory.to_string_lossy();
    format!(
        r#"loglevel: info
hosts:
  - "{domain}"
certfiles:
  - "{directory}/certificate.pem"
listen:
  - port: 5222
    ip: "{ip}"
    module: ejabberd_c2s
    starttls: true
  - port: 5269
    ip: "{ip}"
    module: ejabberd_s2s_in
    max_stanza_size: 524288
  - port: 5280
    ip: "{ip}"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
acl:
  loopback:
    ip: 127.0.0.0/8
api_permissions:
  tests:
    who: {{ access: {{ allow: {{ acl: loopback }} }} }}
    what: register
modules:
  mod_disco: {{}}
  mod_http_api: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
  mod_stream_mgmt: {{}}
  mod_version: {{}}
include_config_file:
  - "{directory}/openfed.yml"
"#
    )
}
