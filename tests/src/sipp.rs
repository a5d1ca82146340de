//! SIPp: a scenario file played as a client or a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::place::Place;
use crate::process::{Process, bound_udp};
use crate::{Failure, Result};

/// A running SIPp.
pub struct Sipp {
    process: Process,
    messages: PathBuf,
}

impl Sipp {
    /// Plays `scenario` (a file of `tests/scenarios`) as a server on `address` over UDP, for ever;
    /// `[key]` in the scenario is replaced by the value.
    pub async fn server(
        place: &Place,
        scenario: &str,
        address: SocketAddr,
        keys: &[(&str, &str)],
    ) -> Result<Self> {
        let sipp = Self::start(place, scenario, address, keys, &[])?;
        bound_udp(address).await?;
        Ok(sipp)
    }

    /// Plays `scenario` from `address` towards `target` over UDP, `times` times.
    pub fn client(
        place: &Place,
        scenario: &str,
        address: SocketAddr,
        target: SocketAddr,
        times: u32,
        keys: &[(&str, &str)],
    ) -> Result<Self> {
        let (target, times) = (target.to_string(), times.to_string());
        Self::start(place, scenario, address, keys, &[&target, "-m", &times])
    }

    /// Waits for the end; the scenario was played to the letter.
    pub async fn succeeds(mut self, limit: Duration) -> Result<()> {
        let status = self.process.end(limit).await?;
        if status.success() {
            return Ok(());
        }
        let messages = self.messages()?;
        Err(Failure::new(format!("sipp: {status}; its messages:\n{messages}")))
    }

    /// All messages so far, as SIPp logs them.
    pub fn messages(&self) -> Result<String> {
        if self.messages.exists() {
            Ok(std::fs::read_to_string(&self.messages)?)
        } else {
            Ok(String::new())
        }
    }

    fn start(
        place: &Place,
        scenario: &str,
        address: SocketAddr,
        keys: &[(&str, &str)],
        more: &[&str],
    ) -> Result<Self> {
        let directory = place.directory(&format!("sipp-{}", address.ip()))?;
        let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(scenario);
        let text = std::fs::read_to_string(text)?;
        // SIPp's own keys (-key) do not work everywhere, for one in a status line.
        let text =
            keys.iter().fold(text, |text, (key, value)| text.replace(&format!("[{key}]"), value));
        let scenario = directory.join("scenario.xml");
        std::fs::write(&scenario, text)?;
        let (scenario, messages, errors) =
            (scenario.to_string_lossy(), file("messages.log"), file("errors.log"));
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut arguments = vec![
            "-sf",
            &scenario,
            "-i",
            &ip,
            "-p",
            &port,
            "-nostdin",
            "-trace_msg",
            "-message_file",
            &messages,
            "-trace_err",
            "-error_file",
            &errors,
        ];
        arguments.extend(more);
        let name = format!("sipp {}", address.ip());
        let process = Process::start(place, &name, "sipp", &arguments)?;
        Ok(Self { process, messages: directory.join("messages.log") })
    }
}
