//! A roster in trouble: its daemon and servers are killed and restarted, its connections cut, its clocks set.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rosterd::ops::admin::Request;

use crate::proxy::Proxy;
use crate::roster::Engine::*;
use crate::roster::{Binary, Roster, wait_for};
use crate::seeded::Seeded;
use crate::servers::Server;
use crate::workload::Town;

/// The pause between two faults, and how long something stays down, at most.
const PAUSE_MS: usize = 1000;
const DOWN_MS: usize = 1200;
/// How far a clock steps, at most.
const STEP_SECONDS: usize = 7200;

pub struct Troubled {
    pub roster: Roster,
    /// Of the sites but the last, which is a file.
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
    daemon: Option<Binary>,
    random: Seeded,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    daemon_kills: u32,
    daemon_stops: u32,
    server_kills: u32,
    server_restarts: u32,
    connections_cut: usize,
    clock_steps: u32,
}

impl Troubled {
    /// Servers of its own; which of them is the hub is drawn.
    pub fn new(seed: u64) -> Troubled {
        let mut engines = [MariaDb118, Postgres18, MySql97, Sqlite];
        engines[..3].rotate_left((seed % 3) as usize);
        let (servers, mut roster) = Roster::on_own_servers(&engines, |_| &[]);
        let proxies = roster.sites[..3].iter_mut().map(Proxy::before).collect();
        let random = Seeded::new(seed, 0);
        Troubled { roster, servers, proxies, daemon: None, random, counts: Counts::default() }
    }

    pub fn start(&mut self) {
        self.daemon = Some(self.roster.spawn());
    }

    fn wait(&mut self, ms_max: usize) {
        std::thread::sleep(Duration::from_millis(self.random.below(ms_max) as u64));
    }

    /// As systemd keeps it: started again when it has not found its hub or its locks.
    fn tend(&mut self) {
        let daemon = self.daemon.as_mut().expect("it was started");
        if let Some(status) = daemon.ended() {
            assert_eq!(status.code(), Some(3), "the daemon ended by itself:\n{}", daemon.log());
            self.start();
        }
    }

    /// One fault, after a pause.
    pub fn trouble(&mut self, town: &Town) {
        self.wait(PAUSE_MS);
        self.tend();
        match self.random.below(100) {
            0..30 => self.kill_daemon(),
            30..35 => self.restart_daemon(),
            35..60 => self.cut(),
            60..80 => self.server_down(),
            _ => self.step_clock(town),
        }
    }

    fn kill_daemon(&mut self) {
        self.daemon.take().expect("it was started").kill();
        self.counts.daemon_kills += 1;
        self.wait(DOWN_MS);
        self.start();
    }

    fn restart_daemon(&mut self) {
        self.daemon.take().expect("it was started").stop();
        self.counts.daemon_stops += 1;
        self.start();
    }

    fn cut(&mut self) {
        let at = self.random.below(self.proxies.len());
        self.counts.connections_cut += self.proxies[at].cut();
    }

    fn server_down(&mut self) {
        let at = self.random.below(self.servers.len());
        if self.random.chance(60) {
            self.servers[at].kill();
            self.counts.server_kills += 1;
        } else {
            self.servers[at].stop();
            self.counts.server_restarts += 1;
        }
        self.wait(DOWN_MS);
        self.servers[at].restart();
    }

    fn step_clock(&mut self, town: &Town) {
        let clocks: Vec<usize> = (0..self.servers.len()).filter(|at| self.roster.sites[*at].engine.is_mysql_family()).collect();
        let at = clocks[self.random.below(clocks.len())];
        let seconds = self.random.below(2 * STEP_SECONDS) as i64 - STEP_SECONDS as i64;
        town.clocks[at].store(seconds, Ordering::Relaxed);
        self.counts.clock_steps += 1;
    }

    /// Waits until everything is settled, with nothing going wrong any more.
    pub fn calm(&mut self) {
        let waited = wait_for(|| {
            self.tend();
            let status = match self.roster.ask(&Request::Status) {
                Ok(status) => status,
                Err(error) => return Some(error.to_string()),
            };
            let sites = status["sites"].as_array().expect("the status has sites");
            sites
                .iter()
                .find(|site| site["state"] != "following")
                .map(|site| format!("{} is {}: {}", site["name"], site["state"], site["last_error"]))
        });
        waited.unwrap_or_else(|last| panic!("the daemon does not get to work: {last}"));
        self.roster.settle();
    }

    pub fn stop(&mut self) {
        assert!(self.daemon.take().expect("it was started").stop().success());
    }

    /// What has been done to it, in words.
    pub fn told(&self) -> String {
        let Counts { daemon_kills, daemon_stops, server_kills, server_restarts, connections_cut, clock_steps } = self.counts;
        format!(
            "the daemon was killed {daemon_kills} times and stopped {daemon_stops} times, servers were killed {server_kills} times and restarted \
             {server_restarts} times, {connections_cut} connections were cut, clocks stepped {clock_steps} times"
        )
    }
}
