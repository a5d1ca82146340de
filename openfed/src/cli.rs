//! The command line: what can be said, and where it goes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use openfed_node::process;
use openfed_node::settings::{HostPort, HttpUrl, Settings};
use serde_json::Value;

use crate::api::{Api, ApiError, ApiUrl};
use crate::check::reachable;
use crate::{
    admin, audit, backup, check, demo, domain, explain, flows, front, health, manual, nodes, route,
    token, up, welcome,
};

/// The settings files that are taken if none is named: the first one that is there.
const NEARBY: [&str; 2] = ["openfed.toml", "/etc/openfed/openfed.toml"];

const AFTER_HELP: &str = "\
First steps:
  openfed demo                                see it work, with nothing else installed
  openfed up --config openfed.toml            all three services in one process
  openfed route show '.*'                     the open route, blocked after first start
  openfed route set '.*' --next-hop sbc.example.net --port 5060 --protocol tcp --unblock
  openfed explain example.org                 what would happen to a message for example.org, and why
  openfed flows --follow                      messages as they pass, hop by hop
  openfed domain list                         the SIP domains known by now
  openfed check                               whether everything is in place

Quote patterns: the shell has its own idea of *.

Exit codes:
   0  done
   1  refused by the API, or a check or the demo failed
   2  the command line is wrong
  64  the settings are wrong; every fault is printed
  65  lines of a file have faults; they are printed
  66  a file named on the command line cannot be read
  69  the API cannot be reached
  70  what answers is not openfed's API
  74  the output cannot be written
  77  not allowed: no token, a wrong one, or one that may not do this";

const DNS_HELP: &str = "\
A home server whose resolver is pointed here finds every foreign domain at xmpp-cm. Where xmpp-cm
has replicas, name them all by one name in [xmpp.dns] answer: it is looked up every five seconds,
and the addresses that it has are answered in turns. While the name does not resolve, the last
addresses are answered for five minutes, then SERVFAIL.

Only [xmpp.dns] clients are answered. [xmpp.dns] http has /metrics, /healthz, and /readyz, which is
200 while there is an address to answer with.

  OPENFED__XMPP__DNS__LISTEN=0.0.0.0:53 OPENFED__XMPP__DNS__ANSWER=xmpp-cm \\
      openfed dns --config openfed.toml";

const FRONT_HELP: &str = "\
Each [[front.pass]] listens at one address and passes on what comes in to one of the replicas that
its name leads to, looked up each second: a connection to the one that has the fewest, a datagram to
the one that its Call-ID belongs to. One whose /readyz says no, that refuses, or whose name is gone
is left out.

The replicas are told by PROXY protocol 2 who it is from, before each connection and each datagram,
and answer datagrams with the same header. They take it from the addresses in their proxy_from, and
nothing else from these: name the front there.

[front] http has /metrics, /healthz, and /readyz, which is 200 while each name has a replica that
takes work. At SIGTERM nobody new is let in; connections have two seconds to end by themselves.

  openfed front --config openfed.toml";

/// Open federation between SIP and XMPP: messages go to any domain, and nobody configures it.
#[derive(Debug, Parser)]
#[command(name = "openfed", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    everywhere: Everywhere,

    /// What is to be done.
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
struct Everywhere {
    /// The router's API [default: router.http of the settings file, else http://127.0.0.1:7480]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    api: Option<ApiUrl>,

    /// The settings file [default: openfed.toml in the working directory, else
    /// /etc/openfed/openfed.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,

    /// A file with an API token [default: OPENFED_TOKEN in the environment, else the token that the
    /// router of the settings keeps on this machine]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    token_file: Option<PathBuf>,

    /// Print the API's own JSON instead of tables; one object per line with --follow
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the three services in this one process
    Up,
    /// Run the DNS responder for home servers as a service of its own (settings: [xmpp.dns])
    #[command(after_help = DNS_HELP)]
    Dns,
    /// Take what comes in at fixed addresses to replicas that come and go (settings: [front])
    #[command(after_help = FRONT_HELP)]
    Front,
    /// See it work, with nothing else installed: the documented hop, then the cached one
    Demo,
    /// Print what completes this command in a shell
    Completions(manual::Completions),
    /// Write manual pages
    Man(manual::Man),
    #[command(flatten)]
    Errand(Errand),
}

/// What is asked of a running router.
#[derive(Debug, Subcommand)]
enum Errand {
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
    /// The router and the processes linked to it: load, version, state; take one out or back in
    Nodes(nodes::Arguments),
    /// Who may use console and API: users and API tokens
    #[command(subcommand)]
    Admin(admin::Command),
    /// Who changed what, when, and what it was before and after
    Audit(audit::Arguments),
    /// Write all state into a file: routes, domains, lists, users, tokens
    Backup(backup::Backup),
    /// Make the state that of a backup
    Restore(backup::Restore),
    /// Whether the services of the settings that run on this machine are ready, for supervisors
    Health(health::Arguments),
    /// Whether everything is in place: settings, ports, DNS, next hops, and a message the whole way
    Check(check::Arguments),
    /// After a start: what runs, where it is seen, and what is still missing for federation
    Welcome(welcome::Arguments),
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
    /// The demo could not show what it should.
    #[error("the demo failed: {0}")]
    Demo(String),
    /// So many checks failed; they are printed already.
    #[error("{0} of the checks failed")]
    Checks(usize),
    /// Lines of a file; each with its fault.
    #[error("{0}")]
    Lines(String),
    /// No service is ready, or one is not.
    #[error("not ready")]
    NotReady,
    /// A file of the operator's.
    #[error("{file} cannot be read: {cause}")]
    Unreadable { file: String, cause: io::Error },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The process's exit code, as `--help` documents them.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Api(ApiError::Refused(_)) | Self::Checks(_) | Self::Demo(_) | Self::NotReady => {
                ExitCode::from(1)
            }
            Self::Lines(_) => ExitCode::from(65),
            Self::Unreadable { .. } => ExitCode::from(66),
            Self::Settings(code) => *code,
            Self::Api(ApiError::Unreachable { .. }) => ExitCode::from(69),
            Self::Api(ApiError::NotOurs { .. }) => ExitCode::from(70),
            Self::Api(ApiError::NotAllowed { .. }) => ExitCode::from(77),
            // `openfed flows | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(_) => ExitCode::from(74),
        }
    }
}

impl Cli {
    /// Does what the command line says; results go to `out`. Not to be called by async code.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, Failure> {
        let Self { everywhere, command } = self;
        match command {
            // A service has a runtime, logs and signals of its own.
            Command::Up => Ok(up::run(everywhere.settings()?)),
            Command::Dns => {
                Ok(process::run("openfed dns", everywhere.settings()?, xmpp_cm::dns::serve))
            }
            Command::Front => {
                Ok(process::run("openfed front", everywhere.settings()?, front::serve))
            }
            Command::Demo => within_runtime(demo::run(out)),
            Command::Completions(shell) => shell.run(out).map(|()| ExitCode::SUCCESS),
            Command::Man(man) => man.run(out).map(|()| ExitCode::SUCCESS),
            Command::Errand(errand) => within_runtime(errand.run(everywhere, out)),
        }
    }
}

fn within_runtime(task: impl Future<Output = Result<(), Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(task);
    // What has not ended by itself is not waited for.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

impl Everywhere {
    /// The settings that a service runs with.
    fn settings(&self) -> Result<Settings, Failure> {
        // Without a file its absence is reported as any other fault is.
        let file = self.settings_file().unwrap_or_else(|| PathBuf::from(NEARBY[0]));
        process::load(Some(&file)).map_err(Failure::Settings)
    }

    /// The file named on the command line, or one that is taken without being named.
    fn settings_file(&self) -> Option<PathBuf> {
        let nearby = || NEARBY.into_iter().map(PathBuf::from).find(|file| file.exists());
        self.config.clone().or_else(nearby)
    }
}

impl Errand {
    /// Does what the command line says; results go to `out`.
    async fn run(self, everywhere: Everywhere, out: &mut dyn Write) -> Result<(), Failure> {
        let settings_file = everywhere.settings_file();
        let shown = token::find(
            everywhere.token_file.as_deref(),
            settings_file.as_deref(),
            everywhere.api.as_ref(),
        )?;
        let api = match everywhere.api {
            Some(url) => url,
            None => api_address(settings_file.as_deref())?,
        };
        let api = Api::new(api).showing(shown);
        let mut session = Session { api, json: everywhere.json, settings_file, out };
        match self {
            Self::Route(command) => command.run(&mut session).await,
            Self::Domain(command) => command.run(&mut session).await,
            Self::Explain(arguments) => arguments.run(&mut session).await,
            Self::Flows(arguments) => arguments.run(&mut session).await,
            Self::Nodes(arguments) => arguments.run(&mut session).await,
            Self::Admin(command) => command.run(&mut session).await,
            Self::Audit(arguments) => arguments.run(&mut session).await,
            Self::Backup(arguments) => arguments.run(&mut session).await,
            Self::Restore(arguments) => arguments.run(&mut session).await,
            Self::Health(arguments) => arguments.run(&mut session).await,
            Self::Check(arguments) => arguments.run(&mut session).await,
            Self::Welcome(arguments) => arguments.run(&mut session).await,
        }
    }
}

/// The API's address as the settings have it.
fn api_address(settings_file: Option<&Path>) -> Result<ApiUrl, Failure> {
    let Some(file) = settings_file else {
        let at = HostPort { host: "127.0.0.1".to_owned(), port: 7480 };
        return Ok(HttpUrl(at).into());
    };
    let settings = process::load(Some(file)).map_err(Failure::Settings)?;
    Ok(ApiUrl::of_router(&settings, reachable(settings.router.http)))
}

/// What every command works with.
pub(crate) struct Session<'a> {
    pub(crate) api: Api,
    pub(crate) json: bool,
    /// The settings file named on the command line, or one that is taken without being named.
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
