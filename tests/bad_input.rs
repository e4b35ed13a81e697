//! What is wrong with the databases or the ledger gets a sentence that names the site, the cause and the next step, and an exit code.
//! What is wrong with the configuration itself is tested in `config.rs`, what is wrong with certificates in `tls.rs`.

#[path = "support/pair.rs"]
mod pair;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "bad_input/accounts.rs"]
mod accounts;
#[path = "bad_input/ledger.rs"]
mod ledger;
#[path = "bad_input/read_only.rs"]
mod read_only;
#[path = "bad_input/silent.rs"]
mod silent;
#[path = "bad_input/tables.rs"]
mod tables;
#[path = "bad_input/twice.rs"]
mod twice;

/// The rules of the sites that a [`pair::Pair`] has.
const TABLES: &str = "[[table]]\nname = \"users\"\n";
