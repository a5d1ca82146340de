//! The command line: what can be said, and where it goes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use openfed_node::process;
use openfed_node::settings::{HostPort, HttpUrl};
use serde_json::Value;

use crate::api::{Api, ApiError};
use crate::check::reachable;
use crate::{check, domain, explain, flows, nodes, route};

const AFTER_HELP: &str = "\
First steps:
  openfed route show '.*'                     the open route, blocked after first start
  openfed route set '.*' --next-hop sbc.example.net --port 5060 --protocol tcp --unblock
  openfed explain example.org                 what would happen to a message for example.org, and why
  openfed flows --follow                      messages as they pass, hop by hop
  openfed domain list                         the SIP domains known by now
  openfed check                               whether everything is in place

Quote patterns: the shell has its own idea of *.

Exit codes:
   0  done
   1  refused by the API, or a check failed
   2  the command line is wrong
  64  the settings are wrong; every fault is printed
  69  the API cannot be reached
  70  what answers is not openfed's API
  74  the output cannot be written";

/// Open federation between SIP and XMPP: messages go to any domain, and nobody configures it.
#[derive(Debug, Parser)]
#[command(name = "openfed", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// The router's API [default: router.http of the settings file, else http://127.0.0.1:7480]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    api: Option<HttpUrl>,

    /// The settings file [default: openfed.toml in the working directory, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,

    /// Print the API's own JSON instead of tables; one object per line with --follow
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Static routes: where SIP domains are reached, and `.*`, the open route
    #[command(subcommand)]
    Route(route::Command),
    /// The domain table: known SIP domains, blocked domains, domains pinned to XMPP
    #[command(subcommand)]
    Domain(domain::Command),
    /// What would happen now to a message for a domain, step by step, and why
    Explain(explain::Arguments),
    /// Recent messages with their ways through the services
    Flows(flows::Arguments),
    /// The processes linked to the router: load, version, drain
    Nodes,
    /// Whether everything is in place: settings, ports, DNS, next hops, and a message the whole way
    Check(check::Arguments),
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API could not or would not.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The settings are wrong; the faults are printed already.
    #[error("the settings are wrong")]
    Settings(ExitCode),
    /// So many checks failed; they are printed already.
    #[error("{0} of the checks failed")]
    Checks(usize),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The process's exit code, as `--help` documents them.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Api(ApiError::Refused(_)) | Self::Checks(_) => ExitCode::from(1),
            Self::Settings(code) => *code,
            Self::Api(ApiError::Unreachable { .. }) => ExitCode::from(69),
            Self::Api(ApiError::NotOurs { .. }) => ExitCode::from(70),
            // `openfed flows | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(_) => ExitCode::from(74),
        }
    }
}

impl Cli {
    /// Does what the command line says; results go to `out`.
    pub async fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let nearby = || Some(PathBuf::from("openfed.toml")).filter(|file| file.exists());
        let settings_file = self.config.or_else(nearby);
        let api = Api::new(match self.api {
            Some(url) => url,
            None => api_address(settings_file.as_deref())?,
        });
        let mut session = Session { api, json: self.json, settings_file, out };
        match self.command {
            Command::Route(command) => command.run(&mut session).await,
            Command::Domain(command) => command.run(&mut session).await,
            Command::Explain(arguments) => arguments.run(&mut session).await,
            Command::Flows(arguments) => arguments.run(&mut session).await,
            Command::Nodes => nodes::run(&mut session).await,
            Command::Check(arguments) => arguments.run(&mut session).await,
        }
    }
}

/// The API's address as the settings have it.
fn api_address(settings_file: Option<&Path>) -> Result<HttpUrl, Failure> {
    let Some(file) = settings_file else {
        return Ok(HttpUrl(HostPort { host: "127.0.0.1".to_owned(), port: 7480 }));
    };
    let settings = process::load(Some(file)).map_err(Failure::Settings)?;
    let at = reachable(settings.router.http);
    Ok(HttpUrl(HostPort { host: at.ip().to_string(), port: at.port() }))
}

/// What every command works with.
pub(crate) struct Session<'a> {
    pub(crate) api: Api,
    pub(crate) json: bool,
    /// The settings file named on the command line, or the one in the working directory.
    pub(crate) settings_file: Option<PathBuf>,
    pub(crate) out: &'a mut dyn Write,
}

impl Session<'_> {
    /// One sentence for people; machines get nothing.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), Failure> {
        if !self.json {
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    /// The answer itself, if that is wanted. Returns whether it was.
    pub(crate) fn raw(&mut self, answer: &Value) -> Result<bool, Failure> {
        if self.json {
            writeln!(self.out, "{answer:#}")?;
        }
        Ok(self.json)
    }
}
