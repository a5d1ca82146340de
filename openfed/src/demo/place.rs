//! Where the demo happens: free ports, a directory, a settings file.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use openfed_node::settings::{HostPort, HttpUrl, Settings};

use crate::api::Api;
use crate::cli::Failure;
use crate::token;

const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Gone, with all that the services wrote, when dropped.
pub(super) struct Place {
    directory: PathBuf,
    pub(super) settings: Arc<Settings>,
    /// Where sip-cm takes MESSAGEs.
    pub(super) sip: SocketAddr,
}

impl Place {
    /// The settings of a small operator; foreign domains are looked up at `names`.
    pub(super) fn make(names: SocketAddr) -> Result<Self, Failure> {
        let name = format!("openfed-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)?;
        let sip = UdpSocket::bind(ANY)?;
        let [link, http, sip_http, xmpp, xmpp_http, home] =
            [(); 6].map(|()| TcpListener::bind(ANY));
        // The ports are free again when this function ends, and are taken at once by the services.
        let ports = Ports {
            sip: sip.local_addr()?,
            link: link?.local_addr()?,
            http: http?.local_addr()?,
            sip_http: sip_http?.local_addr()?,
            xmpp: xmpp?.local_addr()?,
            xmpp_http: xmpp_http?.local_addr()?,
            home: home?.local_addr()?,
        };
        let file = directory.join("openfed.toml");
        std::fs::write(&file, ports.settings(&directory.display().to_string(), names))?;
        let settings = Settings::load(Some(&file), std::iter::empty())
            .map_err(|faults| Failure::Demo(faults.to_string()))?;
        Ok(Self { directory, settings: Arc::new(settings), sip: ports.sip })
    }

    /// The router's API, with the token that the router keeps for whoever reads its files.
    pub(super) fn api(&self) -> Api {
        let at = self.settings.router.http;
        let api = Api::new(HttpUrl(HostPort { host: at.ip().to_string(), port: at.port() }));
        api.showing(token::of_router(self.settings.token_file().unwrap_or_default()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

struct Ports {
    sip: SocketAddr,
    link: SocketAddr,
    http: SocketAddr,
    sip_http: SocketAddr,
    xmpp: SocketAddr,
    xmpp_http: SocketAddr,
    /// Nobody is there: the demo's local user speaks SIP.
    home: SocketAddr,
}

impl Ports {
    fn settings(&self, directory: &str, names: SocketAddr) -> String {
        let Self { sip, link, http, sip_http, xmpp, xmpp_http, home } = self;
        format!(
            r#"
domains.local = ["corp.example"]
store.url = "embedded:{directory}/data"
cm.routers = ["http://{link}"]
telemetry.log = "error"

[router]
link = "{link}"
http = "{http}"
first_administrator = false

[sip]
listen = ["udp:{sip}"]
http = "{sip_http}"

[xmpp]
listen = "{xmpp}"
http = "{xmpp_http}"
home = [{{ domain = "corp.example", address = "{home}" }}]
resolver.servers = ["{names}"]
tls.directory = "{directory}/tls"
"#
        )
    }
}
