//! `openfed`, the operator's command. See `openfed --help`.

mod admin;
pub mod api;
mod audit;
mod backup;
mod check;
pub mod cli;
mod demo;
mod domain;
mod explain;
mod flows;
mod front;
mod health;
mod manual;
mod nodes;
mod progress;
mod route;
mod table;
mod token;
mod transfer;
mod ua;
mod up;
mod welcome;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Failure};

/// The whole of the command: reads the command line, does it, says what went wrong.
pub fn main() -> ExitCode {
    Cli::parse().run(&mut io::stdout()).unwrap_or_else(|failure| {
        if !matches!(failure, Failure::Settings(_)) {
            // With stderr gone, too, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "openfed: {failure}");
        }
        failure.exit_code()
    })
}
