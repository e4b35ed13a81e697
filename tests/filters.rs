//! Filters mean the same here and in a database: a table of predicates is asked of rows on real servers, by `SELECT ... WHERE` and
//! by rosterd from what it reads there. And rows that move into a filter and out of it go to the other sites and leave them.

#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

#[path = "filters/asked.rs"]
mod asked;
#[path = "filters/moving.rs"]
mod moving;
