//! SQLite sites, through the contract, with real files and several connections.

mod bed;
mod follow;
mod land;
mod lose;
mod rates;
mod schema;
