//! Two replicas of each service, which end and come back while load runs.

use std::net::SocketAddr;

use crate::openfed::{Openfed, SERVICES};
use crate::place::{Host, Place};
use crate::process::{Process, until};
use crate::scene::SOON;
use crate::{Failure, Result, http};

/// One replica of one service.
pub struct Replica {
    /// The program.
    pub service: &'static str,
    /// Its name, for people.
    pub name: &'static str,
    /// The running process; `None` while it is down.
    pub process: Option<Process>,
    overrides: Vec<(&'static str, String)>,
    http: SocketAddr,
}

/// See the head of this file.
pub struct Fleet {
    /// All of them, in the order in which they are restarted.
    pub replicas: Vec<Replica>,
}

/// How a replica is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it drains first.
    Drained,
    /// SIGKILL.
    Killed,
}

impl Fleet {
    /// Where the replicas live.
    pub const HOSTS: [Host; 2] = [Host::Openfed, Host::Second];
    const NAMES: [[&str; 2]; 3] =
        [["xcp-router 1", "xcp-router 2"], ["sip-cm 1", "sip-cm 2"], ["xmpp-cm 1", "xmpp-cm 2"]];

    /// The routers besides the first, as the settings name them.
    pub fn more_routers(place: &Place) -> Vec<String> {
        vec![format!("http://{}", place.at(Self::HOSTS[1], 7400))]
    }

    /// Starts all, and waits until they are ready.
    pub async fn start(place: &Place, openfed: &Openfed) -> Result<Self> {
        let mut replicas = Vec::new();
        for (at, host) in Self::HOSTS.into_iter().enumerate() {
            for (service, (names, port)) in
                SERVICES.into_iter().zip(Self::NAMES.into_iter().zip(7480..))
            {
                replicas.push(Replica {
                    service,
                    name: names[at],
                    process: None,
                    overrides: overrides(place, host, names[at]),
                    http: place.at(host, port),
                });
            }
        }
        for replica in &mut replicas {
            replica.start(place, openfed).await?;
        }
        Ok(Self { replicas })
    }
}

impl Replica {
    /// Starts it (again), and waits until it is ready.
    pub async fn start(&mut self, place: &Place, openfed: &Openfed) -> Result<()> {
        let overrides: Vec<_> =
            self.overrides.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.process = Some(openfed.service(place, self.service, &overrides)?);
        let ready = async || {
            let answer = http::get(self.http, "/readyz").await;
            answer.is_ok_and(|answer| answer.status == 200)
        };
        let name = self.name;
        until(ready).await.map_err(|_| Failure::new(format!("{name} is not ready")))
    }

    /// Ends it.
    pub async fn end(&mut self, how: End) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        match how {
            End::Killed => process.kill().await,
            End::Drained => {
                let status = process.terminate(SOON).await?;
                let failure = || Failure::new(format!("{} ended with {status}", self.name));
                status.success().then_some(()).ok_or_else(failure)
            }
        }
    }
}

/// What a replica does not share with the settings file.
fn overrides(place: &Place, host: Host, name: &str) -> Vec<(&'static str, String)> {
    let at = |port| place.at(host, port).to_string();
    vec![
        ("OPENFED__NODE__NAME", name.replace(' ', "-")),
        ("OPENFED__ROUTER__LINK", at(7400)),
        ("OPENFED__ROUTER__HTTP", at(7480)),
        ("OPENFED__SIP__LISTEN", format!("udp:{0},tcp:{0}", at(5060))),
        ("OPENFED__SIP__HTTP", at(7481)),
        ("OPENFED__XMPP__LISTEN", at(5269)),
        ("OPENFED__XMPP__HTTP", at(7482)),
        ("OPENFED__XMPP__DNS__LISTEN", at(53)),
    ]
}
