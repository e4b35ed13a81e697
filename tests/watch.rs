//! What operators watch: metrics, health, alerts and the dashboard, heartbeats, logs, systemd's line, the terminal, and JSON.

#[path = "watch/ask.rs"]
mod ask;
#[path = "watch/health.rs"]
mod health;
#[path = "watch/heartbeat.rs"]
mod heartbeat;
#[path = "watch/json.rs"]
mod json;
#[path = "watch/logs.rs"]
mod logs;
#[path = "support/roster.rs"]
mod roster;
#[path = "watch/scrape.rs"]
mod scrape;
#[path = "support/servers.rs"]
mod servers;
#[path = "watch/systemd.rs"]
mod systemd;
#[path = "watch/terminal.rs"]
mod terminal;
