//! SIP user agents of well-known libraries, each a small program of `tests/agents` that obeys lines
//! and tells by lines what it sees; `tests/agents/sofia.c` says which.

pub mod scenes;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::time::timeout;

use crate::place::Place;
use crate::process::Process;
use crate::scene::SOON;
use crate::{Failure, Result};

/// The library that an agent is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// sofia-sip 1.12 of Debian, in C; compiled when it is needed.
    Sofia,
    /// sipgo, in Go; `OPENFED_SIPGO_AGENT` names the program.
    Sipgo,
    /// JAIN SIP, in Java; `OPENFED_JAIN_AGENT` names the program.
    Jain,
}

impl Library {
    async fn program(self, place: &Place) -> Result<String> {
        let variable = match self {
            Self::Sofia => return compiled(place).await,
            Self::Sipgo => "OPENFED_SIPGO_AGENT",
            Self::Jain => "OPENFED_JAIN_AGENT",
        };
        let program = std::env::var(variable);
        program.map_err(|_| Failure::new(format!("{variable} is not set: use tests/run agents")))
    }
}

/// A running user agent.
pub struct Agent {
    process: Process,
    input: ChildStdin,
    /// How many lines it had told before the last order: what it says from there on is the answer.
    told: usize,
}

impl Agent {
    /// Starts an agent on `address` (UDP) that speaks for `identity` (`user@domain`) and sends all
    /// that begins no dialog's target to `proxy`.
    pub async fn start(
        place: &Place,
        library: Library,
        address: SocketAddr,
        identity: &str,
        proxy: SocketAddr,
    ) -> Result<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", &library.program(place).await?]);
        command.args([&address.to_string(), identity, &proxy.to_string()]);
        let name = format!("{library:?} {identity}");
        let (process, input) = Process::start_with_input(place, &name, command)?;
        process.line("ready").await?;
        Ok(Self { process, input, told: 0 })
    }

    /// Sends a text outside a call.
    pub async fn sends(&mut self, to: &str, text: &str) -> Result<()> {
        self.does(&format!("message {to} {}", HEXLOWER.encode(text.as_bytes()))).await
    }

    /// Sends a text in the call.
    pub async fn says(&mut self, text: &str) -> Result<()> {
        self.does(&format!("say {}", HEXLOWER.encode(text.as_bytes()))).await
    }

    /// Obeys a line.
    pub async fn does(&mut self, line: &str) -> Result<()> {
        self.told = self.process.log().lines.all().len();
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// Waits for the final response to what it was last told to send, and gives its status.
    pub async fn status(&self, method: &str) -> Result<u16> {
        let start = format!("answer {method} ");
        let line = self.line_since(self.told, &start).await?;
        Ok(line.trim_start_matches(&start).parse()?)
    }

    /// Waits for a text from `sender` (bare, `user@domain`) outside a call.
    pub async fn hears(&self, sender: &str, text: &str) -> Result<()> {
        let line = format!("message sip:{sender} text/plain {}", HEXLOWER.encode(text.as_bytes()));
        self.line_since(0, &line).await.map(|_| ())
    }

    /// Waits for a text in the call.
    pub async fn is_told(&self, text: &str) -> Result<()> {
        let line = format!("said {}", HEXLOWER.encode(text.as_bytes()));
        self.line_since(0, &line).await.map(|_| ())
    }

    /// Waits until it says `state` of its call: `called`, `talking` or `ended`.
    pub async fn is(&self, state: &str) -> Result<()> {
        self.line_since(0, state).await.map(|_| ())
    }

    async fn line_since(&self, since: usize, start: &str) -> Result<String> {
        let lines = &self.process.log().lines;
        let what = format!("line {start:?}");
        let found =
            |all: &[String]| all.iter().skip(since).find(|line| line.starts_with(start)).cloned();
        lines.wait_until(&what, SOON, found).await
    }
}

/// Compiles the agent of sofia-sip.
async fn compiled(place: &Place) -> Result<String> {
    let program = place.directory("sofia")?.join("agent");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("agents/sofia.c");
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "sofia-sip-ua"]).output();
    let flags = String::from_utf8(flags.await?.stdout)?;
    let mut compiler = Command::new("cc");
    compiler.arg("-o").arg(&program).arg(source).args(flags.split_whitespace());
    let output = timeout(Duration::from_secs(30), compiler.kill_on_drop(true).output()).await??;
    if output.status.success() {
        return Ok(program.to_string_lossy().into_owned());
    }
    Err(Failure::new(String::from_utf8_lossy(&output.stderr)))
}
