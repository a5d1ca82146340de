//! A Prosody of the scene's own, and a client of it that speaks just enough.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PASSWORD: &str = "secret";

/// A port that nobody listened at a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// `corp.example` with the user `alice`; ended when dropped.
pub(crate) struct Prosody {
    child: Child,
    pub(crate) c2s: u16,
    pub(crate) s2s: u16,
}

impl Prosody {
    /// Finds every domain by the DNS server at this port.
    pub(crate) async fn start(directory: &Path, dns: u16) -> Self {
        let (c2s, s2s) = (free_port(), free_port());
        write_certificate(directory);
        let accounts = directory.join("corp%2eexample/accounts");
        std::fs::create_dir_all(&accounts).expect("a directory");
        let account = format!("return {{ [\"password\"] = \"{PASSWORD}\"; }};\n");
        std::fs::write(accounts.join("alice.dat"), account).expect("an account");
        let file = directory.join("prosody.cfg.lua");
        std::fs::write(&file, settings(directory, c2s, s2s, dns)).expect("settings");
        let log = std::fs::File::create(directory.join("prosody.log")).expect("a log");
        let child = Command::new("prosody")
            .arg("-F")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("prosody is installed");
        let prosody = Self { child, c2s, s2s };
        for port in [c2s, s2s] {
            answers(port).await;
        }
        prosody
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn answers(port: u16) {
    let connected = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(super::SOON, connected).await.expect("prosody listens");
}

fn write_certificate(directory: &Path) {
    let wanted = rcgen::CertificateParams::new(["corp.example".to_owned()]).expect("a name");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = wanted.self_signed(&key).expect("a certificate");
    std::fs::write(directory.join("certificate.pem"), certificate.pem()).expect("a file");
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).expect("a file");
}

fn settings(directory: &Path, c2s: u16, s2s: u16, dns: u16) -> String {
    let directory = directory.display();
    format!(
        r#"run_as_root = true
daemonize = false
data_path = "{directory}"
pidfile = "{directory}/prosody.pid"
modules_enabled = {{ "roster"; "saslauth"; "tls"; "dialback"; "ping"; "s2s_bidi"; "posix" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
s2s_ports = {{ {s2s} }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
s2s_secure_auth = false
authentication = "internal_plain"
storage = "internal"
log = {{ debug = "*console" }}
ssl = {{ certificate = "{directory}/certificate.pem"; key = "{directory}/key.pem" }}
unbound = {{
    resolvconf = false;
    hoststxt = false;
    forward = {{ "127.0.0.1@{dns}" }};
    options = {{ ["do-not-query-localhost:"] = "no" }};
}}
VirtualHost "corp.example"
"#
    )
}

/// A logged-in user.
pub(crate) struct Client {
    stream: TcpStream,
    unread: String,
}

impl Client {
    pub(crate) async fn login(port: u16, user: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("prosody");
        let mut client = Self { stream, unread: String::new() };
        let header = "<stream:stream xmlns='jabber:client' version='1.0' to='corp.example' \
            xmlns:stream='http://etherx.jabber.org/streams'>";
        client.say(header).await;
        client.hears("</stream:features>").await;
        let plain = base64(format!("\0{user}\0{PASSWORD}").as_bytes());
        let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
        client.say(&format!("<auth xmlns='{sasl}' mechanism='PLAIN'>{plain}</auth>")).await;
        client.hears("<success").await;
        client.say(header).await;
        client.hears("</stream:features>").await;
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>";
        client.say(&format!("<iq type='set' id='bind'>{bind}</iq>")).await;
        client.hears("</iq>").await;
        client.say("<presence/>").await;
        client.hears("<presence").await;
        client
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("prosody listens");
    }

    /// Reads until this came; gives everything up to there and a little more.
    pub(crate) async fn hears(&mut self, wanted: &str) -> String {
        let heard = async {
            let mut buffer = [0; 4096];
            while !self.unread.contains(wanted) {
                let read = self.stream.read(&mut buffer).await.expect("prosody speaks");
                assert!(read > 0, "prosody hung up after {:?}", self.unread);
                self.unread.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        };
        let came = tokio::time::timeout(super::SOON, heard).await;
        assert!(came.is_ok(), "{wanted} did not come: {:?}", self.unread);
        std::mem::take(&mut self.unread)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = group >> (18 - 6 * place) & 63;
            out.push(if place <= chunk.len() { DIGITS[digit].into() } else { '=' });
        }
    }
    out
}
