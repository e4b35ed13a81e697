//! `rosterd reconcile SITE`: a site's tables compared with the ledger.

use clap::Args;
use rosterd::ops::admin::Request;

use super::{Cli, Exit, instructed};

/// Compare a site's tables with the ledger: after a move, a restore, or when in doubt
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rosterd reconcile nj             what differs there is taken as changed there\n  rosterd reconcile nj --restored  nj is back from a backup: the ledger wins\n\nAlso accepts that the site's database is another one than before. `rosterd status` shows how far it is."
)]
pub struct Reconcile {
    /// Name of the site
    site: String,
    /// The site came back from a backup: what differs there is older, and the ledger wins
    #[arg(long)]
    restored: bool,
}

impl Reconcile {
    pub async fn run(&self, cli: &Cli) -> Exit {
        match cli.load() {
            Ok(config) => instructed(&config, Request::Reconcile { site: self.site.clone(), restored: self.restored }).await,
            Err(exit) => exit,
        }
    }
}
