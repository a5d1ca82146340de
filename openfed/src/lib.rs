//! `openfed`, the operator's command. See `openfed --help`.

pub mod api;
mod check;
pub mod cli;
mod dns;
mod domain;
mod explain;
mod flows;
mod nodes;
mod route;
mod table;
mod ua;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// The whole of the command: reads the command line, does it, says what went wrong.
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&cli::Failure::Output(error)),
    };
    let mut out = std::io::stdout();
    match runtime.block_on(cli.run(&mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &cli::Failure) -> ExitCode {
    if !matches!(failure, cli::Failure::Settings(_)) {
        // With stderr gone, too, there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "openfed: {failure}");
    }
    failure.exit_code()
}
