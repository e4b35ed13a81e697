//! A history checker: clients at every site write down what each of their transactions saw, while the daemon is killed, servers are
//! killed and restarted, connections are cut, and clocks step. When all has settled, what was written, what is there and what was told
//! of conflicts have to fit together (see `history/checker.rs`).
//!
//! `ROSTERD_SEED=17` draws the same choices again; which of them meet is the machine's affair. `ROSTERD_HISTORY_SECONDS=600` goes on for longer.

#[path = "history/checker.rs"]
mod checker;
#[path = "history/ending.rs"]
mod ending;
#[path = "history/faults.rs"]
mod faults;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/roster.rs"]
mod roster;
#[path = "history/seeded.rs"]
mod seeded;
#[path = "support/servers.rs"]
mod servers;
#[path = "history/workload.rs"]
mod workload;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use checker::{Belongs, Ending, Fault, Write};
use faults::Troubled;
use roster::Roster;
use seeded::Seeded;
use workload::{Client, Town};

const SECONDS: u64 = 60;
const CLIENTS_PER_SITE: usize = 2;
const FAULTS_SHOWN: usize = 10;

/// Nobody who is blocked or gone has a session that was made or kept by somebody who knew.
const BELONGS: [Belongs; 1] = [Belongs { child: "session", parent: "account", barred: ("status", "blocked") }];

#[test]
fn a_history_with_faults_is_without_fault() {
    let number =
        |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{variable} is a number")));
    let seed = number("ROSTERD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let seconds = number("ROSTERD_HISTORY_SECONDS").unwrap_or(SECONDS);
    println!("ROSTERD_SEED={seed} ROSTERD_HISTORY_SECONDS={seconds}");

    let mut troubled = Troubled::new(seed);
    workload::prepare(&mut troubled.roster);
    let town = Town::new(troubled.roster.sites.len());
    troubled.start();
    let mut clients = Vec::new();
    for at in 0..troubled.roster.sites.len() {
        for n in 0..CLIENTS_PER_SITE {
            let random = Seeded::new(seed, (1 + at * CLIENTS_PER_SITE + n) as u64);
            let client = Client::new(&troubled.roster, at, random, &town);
            clients.push(std::thread::spawn(move || client.run()));
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        troubled.trouble(&town);
    }
    town.stop.store(true, Ordering::Relaxed);
    let writes: Vec<Write> = clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect();
    troubled.calm();

    let ending = ending::read(&troubled.roster);
    let faults = checker::check(&writes, &ending, &BELONGS);
    println!(
        "{} transactions, {} writes to rows, {} conflicts, {} sessions of somebody who was blocked or deleted meanwhile; {}",
        town.committed.load(Ordering::Relaxed),
        writes.len(),
        ending.told.len(),
        checker::stranded(&ending, &BELONGS),
        troubled.told(),
    );
    assert!(faults.is_empty(), "ROSTERD_SEED={seed}: {} faults\n{}", faults.len(), explained(&faults, &writes, &ending, &troubled.roster));
    assert_eq!(troubled.roster.quarantined(), Vec::<[String; 4]>::new());
    assert!(ending.told.len() > 10 && writes.len() > 100, "too little has happened to prove anything");
    troubled.stop();
}

/// The first faults, each with all that is known of the row.
fn explained(faults: &[Fault], writes: &[Write], ending: &Ending, roster: &Roster) -> String {
    let mut text = String::new();
    for fault in faults.iter().take(FAULTS_SHOWN) {
        text += &format!("{fault:?}\n");
        let row = fault.row();
        for write in writes.iter().filter(|write| write.row == *row) {
            text += &format!("    {}: {:?}\n", roster.sites[write.site].name, write.act);
        }
        for (at, rows) in ending.sites.iter().enumerate() {
            text += &format!("    in the end, {}: {:?}\n", roster.sites[at].name, rows.get(row));
        }
        for told in ending.told.iter().filter(|told| told.row == *row) {
            text += &format!("    told of: {} {}\n", told.column, told.tag);
        }
    }
    text
}
