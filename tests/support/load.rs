//! Applications at work at every site: each writer keeps a tally of what its site has confirmed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::roster::{ColumnKind::Plain, Roster, Session, Site, Table};

/// Each writer counts in its own row.
const TICKET: Table = Table::new("ticket", "k VARCHAR(60) PRIMARY KEY, n INT NOT NULL", &[("k", Plain), ("n", Plain)]);
/// Rows that come and go, each a writer's own.
const PIECE: Table = Table::new("piece", "k VARCHAR(60) PRIMARY KEY, body VARCHAR(200)", &[("k", Plain), ("body", Plain)]);
/// Rows that everybody changes.
const HOT: Table = Table::new("hot", "k INT PRIMARY KEY, a VARCHAR(60), b VARCHAR(60)", &[("k", Plain), ("a", Plain), ("b", Plain)]);

const HOT_ROWS: u64 = 10;
/// An application's pause between two transactions.
const PACE: Duration = Duration::from_millis(4);
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Creates and shares the tables.
pub fn prepare(roster: &mut Roster) {
    roster.share(TICKET, "");
    roster.share(PIECE, "");
    roster.share(HOT, "insert = \"merge\"");
    let rows: Vec<String> = (0..HOT_ROWS).map(|k| format!("({k}, 'a', 'b')")).collect();
    roster.sql(0, &format!("INSERT INTO hot VALUES {}", rows.join(", ")));
}

/// Ends its writers when it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Tally>>,
}

struct Tally {
    key: String,
    n: u64,
    pieces: BTreeSet<String>,
}

impl Load {
    /// A writer at each site. `run` tells the runs of one test apart.
    #[allow(dead_code, reason = "each test file uses a part of this")]
    pub fn start(roster: &Roster, run: u32) -> Load {
        Load::start_at(roster, run, &(0..roster.sites.len()).collect::<Vec<_>>(), PACE)
    }

    /// A writer at each of these sites, with a pause between two of its transactions.
    pub fn start_at(roster: &Roster, run: u32, sites: &[usize], pace: Duration) -> Load {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writers = sites.iter().map(|at| {
            let site = &roster.sites[*at];
            let (site, stop, written) = (site.clone(), stop.clone(), written.clone());
            let tally = Tally { key: format!("{}-{run}", site.name), n: 0, pieces: BTreeSet::new() };
            std::thread::spawn(move || Writer { session: connect(&site, &stop), site, stop, written, tally, pace }.run())
        });
        let writers = writers.collect();
        Load { stop, written, writers }
    }

    /// Waits until this many more transactions have been written.
    #[track_caller]
    pub fn wait_written(&self, more: u64) {
        let end = self.written.load(Ordering::Relaxed) + more;
        let missing = || {
            let written = self.written.load(Ordering::Relaxed);
            (written < end).then(|| format!("{written} of {end} transactions"))
        };
        crate::roster::wait_for(missing).unwrap_or_else(|last| panic!("the applications don't get on: {last}"));
    }

    /// Ends the writers, waits until all sites are equal, and demands that they hold all that was confirmed, once.
    #[track_caller]
    pub fn finish(mut self, roster: &Roster) {
        self.stop.store(true, Ordering::Relaxed);
        let tallies: Vec<Tally> = self.writers.drain(..).map(|writer| writer.join().expect("a writer does not panic")).collect();
        roster.settle_equal();
        for tally in &tallies {
            assert!(tally.n > 10, "{} has written {} times only", tally.key, tally.n);
            let found = roster.value(0, &format!("SELECT n FROM ticket WHERE k = '{}'", tally.key));
            assert_eq!(found, Some(tally.n.to_string()), "what {} has counted", tally.key);
            let mut session = roster.sites[0].session();
            assert_eq!(pieces(&mut session, &tally.key).expect("it answers"), tally.pieces, "rows of {}", tally.key);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            let _ = writer.join();
        }
    }
}

struct Writer {
    site: Site,
    session: Session,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tally: Tally,
    pace: Duration,
}

impl Writer {
    fn run(mut self) -> Tally {
        let key = self.tally.key.clone();
        self.session.sql(&format!("INSERT INTO ticket VALUES ('{key}', 0)"));
        for turn in 0u64.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match self.transaction(turn) {
                Ok(()) => {
                    self.written.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => self.ask_again(),
            }
            std::thread::sleep(self.pace);
        }
        self.tally
    }

    fn transaction(&mut self, turn: u64) -> Result<(), String> {
        let key = self.tally.key.clone();
        let count = format!("UPDATE ticket SET n = n + 1 WHERE k = '{key}'");
        let (script, piece, gone) = match turn % 5 {
            0 | 1 => (count, None, None),
            2 => {
                let piece = format!("{key}-{turn}");
                (format!("BEGIN; {count}; INSERT INTO piece VALUES ('{piece}', 'body of {turn}'); COMMIT"), Some(piece), None)
            }
            3 if turn.is_multiple_of(3) && !self.tally.pieces.is_empty() => {
                let gone = self.tally.pieces.first().cloned().unwrap_or_default();
                (format!("BEGIN; DELETE FROM piece WHERE k = '{gone}'; {count}; COMMIT"), None, Some(gone))
            }
            _ => {
                let (hot, column) = (turn % HOT_ROWS, if turn.is_multiple_of(2) { "a" } else { "b" });
                self.session.try_rows(&format!("UPDATE hot SET {column} = '{key} {turn}' WHERE k = {hot}"))?;
                return Ok(());
            }
        };
        self.session.try_rows(&script)?;
        self.tally.n += 1;
        self.tally.pieces.extend(piece);
        if let Some(gone) = gone {
            self.tally.pieces.remove(&gone);
        }
        Ok(())
    }

    /// After an error it is not known whether the transaction has been committed: the site itself says.
    fn ask_again(&mut self) {
        let key = &self.tally.key;
        let answered = crate::roster::wait_for(|| {
            self.session = match self.site.try_session() {
                Ok(session) => session,
                Err(error) => return Some(error),
            };
            let n = match self.session.try_rows(&format!("SELECT n FROM ticket WHERE k = '{key}'")) {
                Ok(rows) => rows.first().and_then(|row| row[0].clone()).and_then(|n| n.parse().ok()),
                Err(error) => return Some(error),
            };
            let Some(n) = n else { return Some(format!("{key} has no ticket")) };
            match pieces(&mut self.session, key) {
                Ok(pieces) => (self.tally.n, self.tally.pieces) = (n, pieces),
                Err(error) => return Some(error),
            }
            None
        });
        answered.unwrap_or_else(|last| panic!("{} does not answer within {ANSWER_MAX:?}: {last}", self.site.name));
    }
}

fn connect(site: &Site, stop: &AtomicBool) -> Session {
    let mut session = None;
    let connected = crate::roster::wait_for(|| match site.try_session() {
        Ok(found) => {
            session = Some(found);
            None
        }
        Err(error) if stop.load(Ordering::Relaxed) => panic!("{error}"),
        Err(error) => Some(error),
    });
    connected.unwrap_or_else(|last| panic!("{} does not answer: {last}", site.name));
    session.expect("it is connected")
}

fn pieces(session: &mut Session, key: &str) -> Result<BTreeSet<String>, String> {
    let rows = session.try_rows(&format!("SELECT k FROM piece WHERE k LIKE '{key}-%'"))?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
