//! What every binary does before and after its service: settings, TLS provider, logs, runtime,
//! signals, exit code.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, Command, value_parser};

use crate::moderation::Moderation;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::{metrics, private, telemetry};

/// Messages are made of small pieces that live for milliseconds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for bad settings (`EX_USAGE` of sysexits).
pub const EXIT_SETTINGS: u8 = 64;

/// The whole of a service's `main`: reads `--config FILE`, runs `serve`, drains on a signal.
pub fn main<E: Error + Send + Sync + 'static>(
    name: &'static str,
    about: &'static str,
    serve: impl AsyncFnOnce(Arc<Settings>, Shutdown) -> Result<(), E>,
) -> ExitCode {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .required(true)
        .help("Settings; OPENFED__SECTION__KEY in the environment overrides");
    let command = Command::new(name).version(env!("CARGO_PKG_VERSION")).about(about).arg(config);
    let arguments = command.get_matches();
    let path = arguments.get_one::<PathBuf>("config");
    match load(path.map(PathBuf::as_path)) {
        Ok(settings) => run(name, settings, serve),
        Err(code) => code,
    }
}

/// Reads the settings of this process; faults go to stderr.
///
/// # Errors
/// The exit code 64.
#[allow(clippy::print_stderr, reason = "there is no log before the settings are known")]
pub fn load(path: Option<&Path>) -> Result<Settings, ExitCode> {
    // A variable that is not Unicode cannot be one of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Settings::load(path, environment).map_err(|errors| {
        eprintln!("{errors}");
        ExitCode::from(EXIT_SETTINGS)
    })
}

/// Runs `serve` to its end under the process's runtime, logs and signals.
pub fn run<E: Error + Send + Sync + 'static>(
    name: &'static str,
    settings: Settings,
    serve: impl AsyncFnOnce(Arc<Settings>, Shutdown) -> Result<(), E>,
) -> ExitCode {
    install_crypto();
    telemetry::start_logs(&settings.telemetry);
    metrics::start();
    settings.keys().for_each(private::look);
    // One thread: a service is one engine and the sockets around it, and waking it on another
    // thread costs more than what it does with a packet. More cores are for more replicas.
    let moderation = Moderation::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || moderation.rest())
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &error),
    };
    let ended = runtime.block_on(async {
        tokio::spawn(metrics::upkeep());
        let shutdown = Shutdown::on_signals(settings.node.drain)?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "{name} starts");
        let stopped = shutdown.clone();
        let served = serve(Arc::new(settings), shutdown);
        // A service that misses the deadline by more than this has lost its way.
        let overdue = async {
            stopped.stopped().await;
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        };
        tokio::select! {
            ended = served => ended.map_err(|error| Box::new(error) as Box<dyn Error>),
            () = overdue => Err("not ended two seconds after the drain deadline".into()),
        }
    });
    runtime.shutdown_background();
    match ended {
        Ok(()) => {
            tracing::info!("{name} ended");
            ExitCode::SUCCESS
        }
        Err(error) => failed(name, error.as_ref()),
    }
}

/// Makes ring the TLS provider of the process; must precede every use of TLS.
pub fn install_crypto() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn failed(name: &str, error: &dyn Error) -> ExitCode {
    tracing::error!("{name} failed: {}", in_words(error));
    ExitCode::FAILURE
}

/// An error with all of its causes, each said once.
pub fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let word = inner.to_string();
        if !text.contains(&word) {
            text = format!("{text}: {word}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
