//! `rosterd completions`: what a shell needs to complete commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, print};

/// A script that lets a shell complete rosterd's commands and options
///
/// The Debian package has those for bash, zsh and fish in place already.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd completions bash > ~/.local/share/bash-completion/completions/rosterd\n  rosterd completions fish > ~/.config/fish/completions/rosterd.fish\n  rosterd completions zsh > ~/.zfunc/_rosterd    the folder has to be in fpath\n\nIt takes effect in shells that are opened afterwards."
)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "rosterd", &mut script);
        print::out(&String::from_utf8_lossy(&script));
        Exit::Fine
    }
}
