//! The page at `listen`: what it answers to whom, and what people see of it in a browser.

#[path = "page/answers.rs"]
mod answers;
#[path = "page/browser.rs"]
mod browser;
#[path = "page/http.rs"]
mod http;
#[path = "page/pictures.rs"]
mod pictures;
#[path = "support/roster.rs"]
mod roster;
#[path = "page/seen.rs"]
mod seen;
#[path = "support/servers.rs"]
mod servers;
#[path = "page/stage.rs"]
mod stage;
