//! baresip 1.0 of Debian: a SIP user agent, driven by its console.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::place::Place;
use crate::process::{Process, answers_tcp, bound_udp};
use crate::scene::SOON;
use crate::seen::Seen;
use crate::{Failure, Result};

/// The port of its console.
const CONSOLE: u16 = 5555;

/// A running baresip that answers each call at once.
pub struct Baresip {
    process: Process,
    console: OwnedWriteHalf,
    shown: Arc<Seen<String>>,
}

impl Baresip {
    /// Starts it on `address` (UDP) for `identity` (`user@domain`), with `contact` as the one whom
    /// its texts are for; what begins no dialog's target goes to `proxy`.
    pub async fn start(
        place: &Place,
        address: SocketAddr,
        identity: &str,
        contact: &str,
        proxy: SocketAddr,
    ) -> Result<Self> {
        let directory = place.directory(&format!("baresip-{}", address.ip()))?;
        let account =
            format!("<sip:{identity}>;regint=0;answermode=auto;outbound=\"sip:{proxy}\"\n");
        std::fs::write(directory.join("config"), settings(address))?;
        std::fs::write(directory.join("accounts"), account)?;
        std::fs::write(directory.join("contacts"), format!("<sip:{contact}>\n"))?;
        let arguments = ["-f", &directory.to_string_lossy()];
        let process = Process::start(place, &format!("baresip {identity}"), "baresip", &arguments)?;
        let console = SocketAddr::new(address.ip(), CONSOLE);
        bound_udp(address).await?;
        answers_tcp(console).await?;
        let (reader, writer) = TcpStream::connect(console).await?.into_split();
        let shown = Arc::<Seen<String>>::default();
        tokio::spawn(show(reader, Arc::clone(&shown)));
        let mut baresip = Self { process, console: writer, shown };
        baresip.does("/contact_next").await?;
        baresip.shows("Current contact:", "").await?;
        Ok(baresip)
    }

    /// Writes a text of one line to its contact.
    pub async fn writes(&mut self, text: &str) -> Result<()> {
        self.does(&format!("/message {text}")).await
    }

    /// Types a line.
    pub async fn does(&mut self, line: &str) -> Result<()> {
        Ok(self.console.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Waits until its console shows a line that starts and ends so.
    pub async fn shows(&self, start: &str, end: &str) -> Result<()> {
        let what = format!("{start:?} to {end:?} on baresip's console");
        let found = |pieces: &[String]| {
            let text = pieces.concat();
            let mut lines = text.split(['\r', '\n']);
            lines.any(|line| line.starts_with(start) && line.ends_with(end)).then_some(())
        };
        let shown = self.shown.wait_until(&what, SOON, found).await;
        shown.map_err(|failure| {
            Failure::new(format!("{failure:?}; it shows {:?}", self.shown.all().concat()))
        })
    }

    /// Waits until it shows a text from `sender` (bare, `user@domain`), which it shows with all
    /// parameters of the address.
    pub async fn hears(&self, sender: &str, text: &str) -> Result<()> {
        self.shows(&format!("sip:{sender}"), &format!(": \"{text}\"")).await
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

async fn show(mut console: OwnedReadHalf, shown: Arc<Seen<String>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = console.read(&mut buffer).await {
        shown.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
}

/// Sound goes nowhere: what is played is what is recorded.
fn settings(address: SocketAddr) -> String {
    let ip = address.ip();
    format!(
        "sip_listen {address}
net_interface {ip}
module_path /usr/lib/baresip/modules
module cons.so
module g711.so
module aubridge.so
module_tmp account.so
module_app contact.so
module_app menu.so
cons_listen {ip}:{CONSOLE}
audio_source aubridge,none
audio_player aubridge,none
"
    )
}
