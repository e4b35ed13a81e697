//! Crash points: named moments around every durable step, at which a test has the real process die as by `kill -9`.
//!
//! `ROSTERD_CRASH=batch.committed@nj:3` ends the process at the third passing of that point at site `nj`; without `@nj` it is any site,
//! without `:3` the first passing. Release builds have no crash points: [`crash_point!`](crate::crash_point) is nothing there.

#[cfg(debug_assertions)]
pub use armed::{EXIT_CODE, POINTS, Point, VARIABLE, check, pass};

/// Never called: it is there so that what a place names is checked in release builds too.
#[cfg(not(debug_assertions))]
#[inline]
pub fn pass(_name: &str, _site: &str) {}

/// A moment at which the process can be made to die: its name in [`POINTS`], and the site's name (empty: it is no site's).
#[doc(hidden)]
#[macro_export]
macro_rules! crash_point {
    ($name:literal, $site:expr) => {
        if cfg!(debug_assertions) {
            $crate::crash::pass($name, ::core::convert::AsRef::<str>::as_ref(&$site));
        }
    };
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The environment variable that names the point to die at.
    pub const VARIABLE: &str = "ROSTERD_CRASH";

    /// What the process exits with: no other way of ending gives it.
    pub const EXIT_CODE: i32 = 86;

    /// One crash point.
    #[derive(Clone, Copy, Debug)]
    pub struct Point {
        pub name: &'static str,
        /// Whose sites pass it.
        pub engines: &'static [&'static str],
        /// What has been done by then, and what has not.
        pub moment: &'static str,
    }

    /// `tests/ledger_formats.rs` passes them.
    const NO_SITES: &[&str] = &[];
    const EVERY: &[&str] = &["mariadb", "postgres", "sqlite"];
    const MARIADB_POSTGRES: &[&str] = &["mariadb", "postgres"];
    const MARIADB_SQLITE: &[&str] = &["mariadb", "sqlite"];
    const POSTGRES: &[&str] = &["postgres"];
    const SQLITE: &[&str] = &["sqlite"];

    const fn point(name: &'static str, engines: &'static [&'static str], moment: &'static str) -> Point {
        Point { name, engines, moment }
    }

    /// All of them, in the order of a site's life. MySQL passes those of MariaDB.
    #[rustfmt::skip]
    pub const POINTS: &[Point] = &[
        point("ledger.making", EVERY, "the ledger's tables are made and not committed"),
        point("ledger.made", EVERY, "the ledger is there and empty"),
        point("ledger.upgrading", NO_SITES, "a ledger of an earlier format is rewritten and not committed"),
        point("ledger.upgraded", NO_SITES, "it has the present format"),
        point("ledger.numbered", EVERY, "a stretch of markers' numbers is set aside"),
        point("ledger.site-registered", EVERY, "a site has its number, those after it may not"),
        point("ledger.table-registered", EVERY, "a table has its number, those after it may not"),
        point("ledger.column-registered", EVERY, "columns new to the share have their numbers"),
        point("ledger.committing", EVERY, "a group of work is done in the ledger and not committed"),
        point("ledger.committed", EVERY, "a group of work is committed, and nobody has been answered"),
        point("ledger.shortened", EVERY, "conflicts past their days are forgotten"),
        point("ledger.buried", EVERY, "a tombstone is dropped, and that is not committed"),
        point("site.identified", EVERY, "the ledger knows which database the site is"),
        point("prepare.marker-table", MARIADB_POSTGRES, "the marker table is made"),
        point("prepare.publication", POSTGRES, "the publication is made, the slot is not"),
        point("prepare.published", POSTGRES, "the publication lists other tables than before"),
        point("prepare.slot-dropped", POSTGRES, "a slot that is older than its publication is dropped"),
        point("prepare.slot", POSTGRES, "the slot is made"),
        point("prepare.triggers", SQLITE, "changelog and triggers are made and not committed"),
        point("prepare.done", EVERY, "all that is ours is at the site, and the ledger has no position in its log"),
        point("definitions.settled", EVERY, "the ledger knows which tables fit the site"),
        point("lanes.taken", EVERY, "the site's locks are held, and who holds them is noted there"),
        point("position.first", EVERY, "the ledger has the position at which a new site's log begins"),
        point("reconcile.begun", EVERY, "the ledger has it that the site's tables are to be compared"),
        point("recover.settled", EVERY, "the site has told whether a batch without an answer committed, or has a tombstone for it"),
        point("recover.noted", EVERY, "that answer is in the ledger"),
        point("log-lost.noting", EVERY, "what the markers say after a lost log is taken and not committed"),
        point("log-lost.noted", EVERY, "the lost log is given up: all tables are to be compared"),
        point("fence.drawn", EVERY, "the fence's number is drawn, its watermark is not at the site"),
        point("fence.marked", EVERY, "the fence's watermark is at the site and has not been heard"),
        point("fence.reached", EVERY, "what landed before the start has been heard, and nothing is applied yet"),
        point("landed.noted", EVERY, "markers that were there on connecting are noted as heard"),
        point("capture.taken", EVERY, "items of the log are taken into the ledger and not committed"),
        point("capture.landing", EVERY, "one of our transactions is heard back, and that is not committed"),
        point("capture.committed", EVERY, "items of the log are in the ledger, and are not acknowledged"),
        point("capture.stopping", EVERY, "a fuse has blown: the site's tables stop, and that is not committed"),
        point("log.acknowledged", EVERY, "the log reader has been told what the ledger has"),
        point("slot.advanced", POSTGRES, "the server has been sent what the ledger has"),
        point("changelog.trimmed", SQLITE, "captured rows of the changelog are removed"),
        point("scan.begun", EVERY, "a table is about to be read"),
        point("chunk.opened", EVERY, "a chunk is open in the ledger, no watermark is written"),
        point("chunk.low", EVERY, "the chunk's low watermark is at the site"),
        point("chunk.read", EVERY, "the chunk's rows are read"),
        point("chunk.high", EVERY, "the chunk's high watermark is at the site, the rows are in memory only"),
        point("chunk.closing", EVERY, "the chunk's rows are in the ledger and not committed"),
        point("chunk.closed", EVERY, "the chunk's rows are in the ledger"),
        point("sweep.counted", EVERY, "missing rows are counted, and that is not committed"),
        point("sweep.taken", EVERY, "missing rows are taken as deleted, and that is not committed"),
        point("sweep.committed", EVERY, "a step of a sweep is committed"),
        point("scan.tidied", EVERY, "tombstones are dropped after a scan, and that is not committed"),
        point("scan.known", EVERY, "the table is known"),
        point("batch.taken", EVERY, "a batch is made, nothing is sent"),
        point("batch.begun", SQLITE, "the site's write lock is held, nothing is written (servers get begin, marker and rows at once)"),
        point("batch.marked", SQLITE, "the batch's marker is written, its rows are not"),
        point("batch.written", EVERY, "marker and rows are written and not committed"),
        point("batch.numbered", POSTGRES, "sequences are moved on behind the batch's rows, which no rollback takes back"),
        point("batch.committed", EVERY, "the batch is committed at the site, and nobody knows"),
        point("batch.refused", EVERY, "the site has refused rows, and the batch is rolled back"),
        point("batch.settled", EVERY, "what the site answered is in the ledger"),
        point("after-apply.repeated", EVERY, "after-apply statements have been run once more"),
        point("numbers.aligned", EVERY, "what gives out the site's keys is in its class"),
        point("heartbeat.marked", EVERY, "a heartbeat's watermark is at the site"),
        point("markers.removed", EVERY, "markers are removed at the site, and the ledger does not know"),
        point("markers.forgotten", EVERY, "the ledger has forgotten markers that are removed"),
        point("pause.noted", EVERY, "the ledger has it that the site is paused, its session goes on"),
        point("resume.deciding", EVERY, "what an operator decided on stopped tables is taken and not committed"),
        point("resume.noted", EVERY, "the ledger has it that the site goes on, and how its stopped tables do"),
        point("undo.noted", EVERY, "values that lost a conflict are the merged ones again"),
        point("quarantine.settled", EVERY, "what an operator decided on a row that is held back is in the ledger"),
        point("rekey.written", MARIADB_SQLITE, "a row and what refers to it have the new key, and that is not committed (PostgreSQL gets all at once)"),
        point("rekey.done", EVERY, "a row and what refers to it have the new key at the site"),
        point("remove.slot-dropped", POSTGRES, "a removed site's slot is dropped, its publication is not"),
        point("remove.publication-dropped", POSTGRES, "a removed site's publication is dropped, its marker table is not"),
        point("remove.uninstalled", SQLITE, "a removed site's triggers and tables of ours are dropped, and that is not committed"),
        point("remove.locked", SQLITE, "a removed site has nothing of ours but the lock files"),
        point("remove.dismantled", EVERY, "a removed site has nothing of ours, the ledger still knows it"),
        point("remove.forgetting", EVERY, "a removed site is forgotten, and that is not committed"),
        point("remove.forgotten", EVERY, "a removed site is forgotten"),
    ];

    /// Where and at which passing the process is to die.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Plan {
        name: String,
        /// None: at any site.
        site: Option<String>,
        passing: u32,
    }

    impl Plan {
        fn parse(text: &str) -> Result<Plan, String> {
            let refused = |why: &str| format!("{VARIABLE}={text}: {why}; it is NAME, NAME@SITE, NAME:PASSING or NAME@SITE:PASSING");
            let (place, passing) = match text.rsplit_once(':') {
                Some((place, passing)) => {
                    (place, passing.parse().ok().filter(|n| *n > 0).ok_or_else(|| refused("no passing of that number"))?)
                }
                None => (text, 1),
            };
            let (name, site) = place.split_once('@').map_or((place, None), |(name, site)| (name, Some(site.to_owned())));
            if !POINTS.iter().any(|point| point.name == name) {
                return Err(refused("there is no crash point of that name"));
            }
            Ok(Plan { name: name.into(), site, passing })
        }

        fn is_at(&self, name: &str, site: &str) -> bool {
            self.name == name && self.site.as_deref().is_none_or(|wanted| wanted == site)
        }
    }

    static PLAN: LazyLock<Result<Option<Plan>, String>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok().map(|text| Plan::parse(&text)).transpose());
    static PASSED: AtomicU32 = AtomicU32::new(0);

    /// Whether the variable can be obeyed: the error says what is wrong with it.
    pub fn check() -> Result<(), String> {
        PLAN.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Dies here if it is the moment that the variable names.
    pub fn pass(name: &str, site: &str) {
        let Ok(Some(plan)) = PLAN.as_ref() else { return };
        if plan.is_at(name, site) && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == plan.passing {
            eprintln!("{VARIABLE}: dying at {name} {site}");
            // SAFETY: it has no preconditions, and runs nothing of ours: no destructor, no buffer is written out.
            unsafe { libc::_exit(EXIT_CODE) };
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_variable_names_point_site_and_passing() {
            let plan = |name: &str, site: Option<&str>, passing| Plan { name: name.into(), site: site.map(str::to_owned), passing };
            assert_eq!(Plan::parse("batch.committed"), Ok(plan("batch.committed", None, 1)));
            assert_eq!(Plan::parse("batch.committed@nj"), Ok(plan("batch.committed", Some("nj"), 1)));
            assert_eq!(Plan::parse("batch.committed@nj:3"), Ok(plan("batch.committed", Some("nj"), 3)));
            let here = plan("chunk.low", Some("nj"), 1);
            assert!(here.is_at("chunk.low", "nj") && !here.is_at("chunk.low", "ny") && !here.is_at("chunk.high", "nj"));
            assert!(plan("chunk.low", None, 1).is_at("chunk.low", "nj"));
        }

        #[test]
        fn what_can_not_be_obeyed_is_refused() {
            for text in ["", "batch", "batch.comitted", "batch.committed:0", "batch.committed:x", "@nj"] {
                assert!(Plan::parse(text).is_err_and(|why| why.contains(VARIABLE)), "{text}");
            }
        }

        #[test]
        fn every_point_is_listed_once() {
            let mut names: Vec<&str> = POINTS.iter().map(|point| point.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), POINTS.len());
        }
    }
}
