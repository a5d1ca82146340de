//! `openfed completions` and `openfed man`: the command line for shells and for `man`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Failure};

#[derive(Debug, Args)]
#[command(after_help = "\
  openfed completions bash > /etc/bash_completion.d/openfed
  openfed completions zsh > /usr/local/share/zsh/site-functions/_openfed
  openfed completions fish > ~/.config/fish/completions/openfed.fish")]
pub(crate) struct Completions {
    /// Whose
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
  openfed man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Where the pages go, one for each command: openfed.1, openfed-route.1, …
    directory: PathBuf,
}

impl Completions {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "openfed", &mut script);
        Ok(out.write_all(&script)?)
    }
}

impl Man {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        fs::create_dir_all(&self.directory)?;
        // A page that cannot be written is told by its cause alone: the directory is the user's.
        clap_mangen::generate_to(Cli::command(), &self.directory)?;
        let pages = fs::read_dir(&self.directory)?.count();
        Ok(writeln!(out, "{pages} pages are in {}.", self.directory.display())?)
    }
}
