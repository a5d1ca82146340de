//! A second instance of a service, beside the one of [`Openfed`].

use std::net::SocketAddr;

use crate::openfed::Openfed;
use crate::place::{Host, Place};
use crate::process::{Process, until};
use crate::{Failure, Result, http};

/// A running second instance.
pub struct Second {
    /// The process.
    pub process: Process,
    /// Its metrics and health; of a router, also its API.
    pub http: SocketAddr,
    /// Its name among the nodes.
    pub node: String,
}

/// What the first instances are told, so that they link to a second router.
pub fn router_url(place: &Place) -> String {
    format!("http://{}", place.at(Host::Second, 7400))
}

/// Where a second sip-cm listens.
pub fn sip(place: &Place) -> SocketAddr {
    place.at(Host::Second, 5060)
}

impl Second {
    /// Starts one, and waits until it is ready.
    pub async fn start(place: &Place, openfed: &Openfed, service: &str) -> Result<Self> {
        let ip = place.ip(Host::Second);
        let at = |port: u16| SocketAddr::new(ip, port).to_string();
        let sip = format!("udp:{0},tcp:{0}", at(5060));
        let overrides = [
            ("OPENFED__NODE__NAME", "second".to_owned()),
            ("OPENFED__ROUTER__LINK", at(7400)),
            ("OPENFED__ROUTER__HTTP", at(7480)),
            ("OPENFED__SIP__LISTEN", sip),
            ("OPENFED__SIP__HTTP", at(7481)),
            ("OPENFED__XMPP__LISTEN", at(5269)),
            ("OPENFED__XMPP__HTTP", at(7482)),
            ("OPENFED__XMPP__DNS__LISTEN", at(53)),
        ];
        let overrides: Vec<_> =
            overrides.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let process = openfed.service(place, service, &overrides)?;
        let port = match service {
            "xcp-router" => 7480,
            "sip-cm" => 7481,
            _ => 7482,
        };
        let http = SocketAddr::new(ip, port);
        let second = Self { process, http, node: format!("second-{service}") };
        second.answers(200).await?;
        Ok(second)
    }

    /// Waits until `/readyz` is answered so.
    pub async fn answers(&self, status: u16) -> Result<()> {
        let asked = until(async || {
            http::get(self.http, "/readyz").await.is_ok_and(|answer| answer.status == status)
        });
        asked.await.map_err(|_| Failure::new(format!("{}: readyz is never {status}", self.node)))
    }
}
