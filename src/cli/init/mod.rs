//! `rosterd init`: a configuration written from live databases.

mod look;
mod output;
mod sites;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rosterd::config::{Config, TlsMode};
use rosterd::ops::init::{self, Preset};

use super::{Exit, print};
use sites::Wanted;

/// Write a configuration from live databases: finds prefixes, which tables there are, and where the sites differ
///
/// It looks only, and changes nothing at any site. What it writes has comments, and is made for `rosterd check`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd init --preset drupal7 --hub mariadb://rosterd@db1.example.net/main_db \\\n      --client nj=mariadb://rosterd@db2.example.net/nj --password-file nj=nj.password \\\n      --client ny=postgres://rosterd@db3.example.net/ny --output rosterd.toml\n  rosterd init --hub sqlite:main.db --client sqlite:kiosk.db      guesses the preset, prints to the terminal\n\nA password in a URL is used for looking and never written down; others can see it in the list of processes, so a file is better.\n\nExit code: 0 fine, 1 written, with something that `rosterd check` would refuse, 2 usage, 3 a site does not answer."
)]
pub struct Init {
    /// The database that has the roster now; NAME is `hub` unless given
    #[arg(long, value_name = "[NAME=]URL")]
    hub: String,
    /// A database to share it with; may be given several times
    #[arg(long, value_name = "[NAME=]URL", required = true)]
    client: Vec<String>,
    /// The application: backdrop, drupal7, drupal6, multisite-login, wordpress; may be given several times. Else it is guessed
    #[arg(long, value_name = "NAME")]
    preset: Vec<String>,
    /// Where to write; else to the terminal. Made with mode 640
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    force: bool,
    /// File (mode 600) with the password, of that site or of all
    #[arg(long, value_name = "[SITE=]FILE")]
    password_file: Vec<String>,
    /// Environment variable with the password, of that site or of all
    #[arg(long, value_name = "[SITE=]NAME")]
    password_env: Vec<String>,
    /// What stands before table names at a site, where init can't tell
    #[arg(long, value_name = "SITE=PREFIX")]
    prefix: Vec<String>,
    /// TLS with sites that are not on this machine: verify-full unless given
    #[arg(long, value_name = "MODE")]
    tls: Option<Mode>,
    /// PEM file: who signed the servers' certificates
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Folder of the ledger; /var/lib/rosterd unless given
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    VerifyFull,
    VerifyCa,
    Off,
}

impl Mode {
    fn mode(self) -> TlsMode {
        match self {
            Mode::VerifyFull => TlsMode::VerifyFull,
            Mode::VerifyCa => TlsMode::VerifyCa,
            Mode::Off => TlsMode::Off,
        }
    }
}

impl Init {
    pub async fn run(&self) -> Exit {
        let prepared = self.presets().and_then(|presets| Ok((presets, Wanted::all(self)?)));
        let (presets, wanted) = match prepared.and_then(|prepared| self.writable().map(|()| prepared)) {
            Ok(prepared) => prepared,
            Err(text) => return Exit::Usage(text),
        };
        let sites = match look::describe(wanted).await {
            Ok(sites) => sites,
            Err(text) => return Exit::Unreachable(text),
        };
        let presets = match guessed(presets, &sites[0]).await {
            Ok(presets) => presets,
            Err(exit) => return exit,
        };
        let (sites, doubts) = match look::closely(sites, &presets).await {
            Ok(looked) => looked,
            Err(text) => return Exit::Unreachable(text),
        };
        let draft = init::draft(&presets, sites, doubts);
        let text = draft.text(self.state_dir.as_deref());
        match &self.output {
            None => print::out(&text),
            Some(path) => {
                if let Err(text) = output::write(path, &text, self.force) {
                    return Exit::Usage(text);
                }
                print::out(&output::summary(&draft, path));
            }
        }
        match draft.faults.len() {
            0 => Exit::Fine,
            count => {
                eprintln!("to settle before `rosterd check`: {count}, named at the head of the configuration");
                Exit::BadNews
            }
        }
    }

    /// Refuses before anything is looked at.
    fn writable(&self) -> Result<(), String> {
        match &self.output {
            Some(path) if path.exists() && !self.force => Err(output::refusal(path)),
            _ => Ok(()),
        }
    }

    fn presets(&self) -> Result<Vec<Preset>, String> {
        let named = self.preset.iter().flat_map(|names| names.split(','));
        let preset = |name: &str| {
            Preset::named(name).ok_or_else(|| format!("there is no preset {name}; there are {}", Config::preset_names().join(", ")))
        };
        named.map(preset).collect()
    }
}

/// The presets that were named, or else those that fit the hub.
async fn guessed(named: Vec<Preset>, hub: &look::Looked) -> Result<Vec<Preset>, Exit> {
    if !named.is_empty() {
        return Ok(named);
    }
    let names = look::guessed(hub).await.map_err(Exit::Unreachable)?;
    if names.is_empty() {
        return Err(Exit::Usage(format!(
            "site {} ({}) has not all the tables of any application that rosterd knows; name the nearest with --preset ({}), \
             or name tables yourself, as config/rosterd.example.toml shows",
            hub.0.config.name,
            hub.0.address,
            Config::preset_names().join(", ")
        )));
    }
    Ok(names.iter().filter_map(|name| Preset::named(name)).collect())
}

/// Relative paths mean the folder that the person is in, not the configuration's.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
