//! `cargo bench --bench replication`: rosterd beside each engine's own replication, in one run, on real servers.
//!
//! `-- --quick` runs smaller cases; `-- --case NAME` (lag, drain, idle, memory) one of them. Every commit is durable on both sides, and the
//! end states are compared. Figures are of this machine and this run: read ratios, not digits.

mod daemon;
mod database;
mod drain;
mod lag;
mod resources;
#[path = "../../tests/support/servers.rs"]
mod servers;

use servers::Kind;

/// What a case runs on.
pub struct Scale {
    pub lag_seconds: u64,
    pub lag_rate: u64,
    pub drain_transactions: u64,
    pub memory_rows: u64,
    pub idle_seconds: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let case = arguments.iter().position(|argument| argument == "--case").and_then(|at| arguments.get(at + 1)).cloned();
    let wanted = |name: &str| case.as_ref().is_none_or(|case| case == name);
    let scale = match quick {
        true => Scale { lag_seconds: 5, lag_rate: 200, drain_transactions: 5_000, memory_rows: 20_000, idle_seconds: 5 },
        false => Scale { lag_seconds: 20, lag_rate: 200, drain_transactions: 50_000, memory_rows: 200_000, idle_seconds: 30 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    for kind in [Kind::MariaDb1011, Kind::Postgres15] {
        if wanted("lag") || wanted("drain") {
            let trio = database::Trio::start(kind);
            runtime.block_on(trio.prepare(1_000));
            if wanted("lag") {
                runtime.block_on(lag::run(&trio, &scale));
            }
            if wanted("drain") {
                runtime.block_on(drain::run(&trio, &scale));
            }
        }
    }
    if wanted("memory") {
        runtime.block_on(resources::memory(&scale));
    }
    if wanted("idle") {
        runtime.block_on(resources::idle(&scale));
    }
}

/// The value at `percent` of sorted `values`.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let at = ((values.len() as f64 * percent / 100.0) as usize).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(f64::NAN)
}
