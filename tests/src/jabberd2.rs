//! jabberd2: a home server that uses the shipped settings, in all else as Debian installs it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::openfed::fill_in;
use crate::place::{Host, Place};
use crate::process::{Process, answers_tcp};
use crate::scene::SOON;
use crate::xmpp_client::XmppClient;
use crate::xmpp_typist::Typist;
use crate::{Failure, Result, certificates};

/// The password of every user.
const PASSWORD: &str = "tests-only";

/// Its four programs, in the order in which they need each other, and what each says when it is
/// there.
const PARTS: [(&str, &str); 4] = [
    ("router", "listening for incoming connections"),
    ("sm", "ready for sessions"),
    ("s2s", "ready for connections"),
    ("c2s", "ready for connections"),
];

/// A running jabberd2 with one domain.
pub struct Jabberd2 {
    domain: String,
    ip: IpAddr,
    parts: Vec<Process>,
}

impl Jabberd2 {
    /// Starts it on the standard ports of `host`, serving `domain` with these users; foreign
    /// domains are looked up at `dns`.
    pub async fn start(
        place: &Place,
        host: Host,
        domain: &str,
        users: &[&str],
        dns: SocketAddr,
    ) -> Result<Self> {
        let ip = place.ip(host);
        let directory = place.directory(&format!("jabberd2-{ip}"))?;
        write_settings(&directory, ip, domain)?;
        let mut parts = Vec::new();
        for (part, ready) in PARTS {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", &format!("jabberd2-{part}"), "-c"]);
            command.arg(directory.join(format!("{part}.xml")));
            command.env("NAMESERVERS", dns.ip().to_string());
            command.env("RES_OPTIONS", format!("port:{}", dns.port()));
            let process = Process::start_command(place, &format!("jabberd2-{part}"), command)?;
            process.line(ready).await?;
            parts.push(process);
        }
        for port in [5222, 5269] {
            answers_tcp(SocketAddr::new(ip, port)).await?;
        }
        let server = Self { domain: domain.to_owned(), ip, parts };
        for user in users {
            server.register(user).await?;
        }
        Ok(server)
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

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        for part in &mut self.parts {
            part.kill().await?;
        }
        Ok(())
    }

    /// In-band registration (XEP-0077), which Debian's settings allow.
    async fn register(&self, user: &str) -> Result<()> {
        let mut socket = TcpStream::connect(SocketAddr::new(self.ip, 5222)).await?;
        let domain = &self.domain;
        let request = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>\
             <iq type='set' id='account'><query xmlns='jabber:iq:register'>\
             <username>{user}</username><password>{PASSWORD}</password></query></iq>"
        );
        socket.write_all(request.as_bytes()).await?;
        let mut heard = Vec::new();
        let answer = async {
            while !heard.ends_with(b"</iq>") && socket.read_buf(&mut heard).await? > 0 {}
            Ok::<_, Failure>(String::from_utf8_lossy(&heard).into_owned())
        };
        let answer = timeout(SOON, answer).await??;
        // It keeps its users when it is started again.
        if answer.contains("id='account' type='result'") || answer.contains("<conflict ") {
            return Ok(());
        }
        Err(Failure::new(format!("cannot register {user}: {answer}")))
    }
}

/// The shipped `s2s.xml`, and what the package brings for the rest.
fn write_settings(directory: &Path, ip: IpAddr, domain: &str) -> Result<()> {
    let files = certificates::self_signed(directory, domain)?;
    let both = std::fs::read_to_string(&files.certificate)? + &std::fs::read_to_string(files.key)?;
    let pem = directory.join("server.pem");
    std::fs::write(&pem, both)?;
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/home-servers/jabberd2-s2s.xml");
    let (own, pem, ip) =
        (directory.to_string_lossy(), pem.to_string_lossy(), format!("<ip>{ip}</ip>"));
    let (connects, listens) = (("<ip>127.0.0.1</ip>", &*ip), ("<ip>0.0.0.0</ip>", &*ip));
    let (serves, keeps) = (("localhost.localdomain", domain), ("/var/lib/jabberd2", &*own));
    // For SQLite somebody must have made the tables.
    let sessions = ("<driver>sqlite</driver>", "<driver>db</driver>");
    let accounts = ("<module>sqlite</module>", "<module>db</module>");
    for (part, file, changes) in [
        ("router", "/etc/jabberd2/router.xml", vec![listens]),
        ("sm", "/etc/jabberd2/sm.xml", vec![connects, serves, keeps, sessions]),
        ("s2s", shipped, vec![connects, listens, ("/etc/jabberd2/server.pem", &*pem)]),
        ("c2s", "/etc/jabberd2/c2s.xml", vec![connects, listens, serves, keeps, accounts]),
    ] {
        let mut settings = std::fs::read_to_string(file)?;
        let everywhere = [("type='file'", "type='stdout'"), ("/var/run/jabberd2", &*own)];
        for (example, value) in everywhere.into_iter().chain(changes) {
            settings = fill_in(&settings, example, value)?;
        }
        std::fs::write(directory.join(format!("{part}.xml")), settings)?;
    }
    Ok(())
}
