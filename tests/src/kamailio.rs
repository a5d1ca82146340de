//! Kamailio: a SIP proxy as a next hop, with or without asking for credentials.

use std::net::SocketAddr;

use crate::Result;
use crate::certificates::Files;
use crate::place::Place;
use crate::process::{Process, answers_tcp, bound_udp};

/// The user name that a challenging Kamailio accepts.
pub const USER: &str = "gateway";
/// The password that a challenging Kamailio accepts.
pub const PASSWORD: &str = "tests-only";

/// Whether the proxy asks for credentials before it relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// It does not.
    None,
    /// 407, answered by Proxy-Authorization.
    Proxy,
    /// 401, answered by Authorization.
    Server,
}

/// A running Kamailio.
pub struct Kamailio {
    process: Process,
}

impl Kamailio {
    /// Starts a proxy on `address` (UDP and TCP) that relays every request to `target`.
    pub async fn start(
        place: &Place,
        address: SocketAddr,
        target: SocketAddr,
        challenge: Challenge,
    ) -> Result<Self> {
        let settings = settings(address, target, challenge);
        let kamailio = Self::run(place, address, &settings, "64")?;
        bound_udp(address).await?;
        answers_tcp(address).await?;
        Ok(kamailio)
    }

    /// Starts a proxy that also takes TLS on `address` (its UDP and TCP are one port below), shows
    /// this certificate, and relays every request to `target`.
    pub async fn start_tls(
        place: &Place,
        address: SocketAddr,
        target: SocketAddr,
        files: &Files,
    ) -> Result<Self> {
        let plain = SocketAddr::new(address.ip(), address.port() - 1);
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let tls = format!(
            "enable_tls=yes\nlisten=tls:{address}\nloadmodule \"tls.so\"\n\
             modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
             modparam(\"tls\", \"certificate\", \"{certificate}\")\n\
             modparam(\"tls\", \"private_key\", \"{key}\")\n"
        );
        let settings = tls + &settings(plain, target, Challenge::None);
        let kamailio = Self::run(place, address, &settings, "64")?;
        answers_tcp(address).await?;
        Ok(kamailio)
    }

    /// Starts the relay that openfed is measured against, on `address` (UDP): transactions, and
    /// nothing else that costs. Its memory is for all the transactions of a stretch of load.
    pub async fn start_relay(
        place: &Place,
        address: SocketAddr,
        target: SocketAddr,
    ) -> Result<Self> {
        let kamailio = Self::run(place, address, &relay_settings(address, target), "4096")?;
        bound_udp(address).await?;
        Ok(kamailio)
    }

    fn run(place: &Place, address: SocketAddr, settings: &str, shared_mb: &str) -> Result<Self> {
        let directory = place.directory(&format!("kamailio-{}", address.ip()))?;
        let file = directory.join("kamailio.cfg");
        std::fs::write(&file, settings)?;
        let (file, directory) = (file.to_string_lossy(), directory.to_string_lossy());
        let arguments = ["-f", &file, "-DD", "-E", "-Y", &directory, "-m", shared_mb, "-M", "8"];
        Ok(Self { process: Process::start(place, "kamailio", "kamailio", &arguments)? })
    }

    /// The running process; those that carry the packets are its children.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }
}

fn settings(address: SocketAddr, target: SocketAddr, challenge: Challenge) -> String {
    let ask = match challenge {
        Challenge::None => String::new(),
        Challenge::Proxy => asking("proxy", "Proxy-Authorization"),
        Challenge::Server => asking("www", "Authorization"),
    };
    format!(
        r#"children=2
tcp_children=2
log_stderror=yes
debug=1
listen=udp:{address}
listen=tcp:{address}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "auth.so"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (has_totag() && loose_route()) {{
        if (!t_relay()) sl_reply_error();
        exit;
    }}
{ask}    if (is_method("INVITE|SUBSCRIBE")) record_route();
    $du = "sip:{target}";
    if (!t_relay()) sl_reply_error();
}}
"#
    )
}

fn relay_settings(address: SocketAddr, target: SocketAddr) -> String {
    format!(
        r#"children=2
disable_tcp=yes
log_stderror=yes
debug=1
listen=udp:{address}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    $du = "sip:{target}";
    if (!t_relay()) sl_reply_error();
}}
"#
    )
}

fn asking(kind: &str, header: &str) -> String {
    format!(
        r#"    if (is_present_hf("{header}") && $au != "{USER}" || !pv_{kind}_authenticate("next-hop.example", "{PASSWORD}", "0")) {{
        {kind}_challenge("next-hop.example", "1");
        exit;
    }}
    consume_credentials();
"#
    )
}
