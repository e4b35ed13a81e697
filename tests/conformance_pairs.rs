//! The conformance table through every ordered pair of engines: rows of the first copy and rows from the log, from the hub to
//! a client and back, on real servers. What has to come of each is in `support/conformance.rs`.

#[path = "support/conformance.rs"]
mod conformance;
#[path = "support/roster.rs"]
mod roster;
#[path = "support/servers.rs"]
mod servers;

use std::collections::{HashMap, HashSet};

use conformance::{Column, Engine, Expected, Sample, columns};
use roster::{ColumnKind, Roster, Session, Table};
use rosterd::ops::history::HeldBack;

macro_rules! pairs {
    ($($test:ident: $hub:ident, $client:ident;)*) => {
        const PAIRS: &[(Engine, Engine)] = &[$((Engine::$hub, Engine::$client)),*];
        $(#[test]
        fn $test() {
            drive(Engine::$hub, Engine::$client);
        })*
    };
}

pairs! {
    mariadb_is_the_hub_of_mariadb: MariaDb, MariaDb;
    mariadb_is_the_hub_of_mysql: MariaDb, MySql;
    mariadb_is_the_hub_of_postgres: MariaDb, Postgres;
    mariadb_is_the_hub_of_sqlite: MariaDb, Sqlite;
    mysql_is_the_hub_of_mariadb: MySql, MariaDb;
    mysql_is_the_hub_of_mysql: MySql, MySql;
    mysql_is_the_hub_of_postgres: MySql, Postgres;
    mysql_is_the_hub_of_sqlite: MySql, Sqlite;
    postgres_is_the_hub_of_mariadb: Postgres, MariaDb;
    postgres_is_the_hub_of_mysql: Postgres, MySql;
    postgres_is_the_hub_of_postgres: Postgres, Postgres;
    postgres_is_the_hub_of_sqlite: Postgres, Sqlite;
    sqlite_is_the_hub_of_mariadb: Sqlite, MariaDb;
    sqlite_is_the_hub_of_mysql: Sqlite, MySql;
    sqlite_is_the_hub_of_postgres: Sqlite, Postgres;
    sqlite_is_the_hub_of_sqlite: Sqlite, Sqlite;
}

#[test]
fn every_ordered_pair_is_driven() {
    let pairs: HashSet<_> = PAIRS.iter().copied().collect();
    assert_eq!(pairs.len(), Engine::ALL.len() * Engine::ALL.len());
}

/// A column has fewer samples than this.
const SAMPLES_MAX: usize = 500;
/// Between the ids of one way and the next: by it, an id says which sample it is.
const STRIDE: usize = 2 * SAMPLES_MAX;

/// A way that rows take: inserted at one site, expected at the other.
#[derive(Clone, Copy)]
struct Way {
    from: usize,
    to: usize,
    /// Inserted while the daemon runs, and not before it.
    log: bool,
}

const WAYS: [Way; 4] = [
    Way { from: 0, to: 1, log: false },
    Way { from: 1, to: 0, log: false },
    Way { from: 0, to: 1, log: true },
    Way { from: 1, to: 0, log: true },
];

impl Way {
    fn expect(self, sample: &Sample, engines: [Engine; 2]) -> Option<Expected> {
        match self.from {
            0 => sample.expect(engines[0], engines[1]),
            _ => sample.expect_at_hub(engines[1], engines[0]),
        }
    }

    fn id(self, sample: usize) -> usize {
        (2 * self.from + usize::from(self.log)) * STRIDE + sample
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.from == 0 { "from the hub" } else { "from the client" })?;
        f.write_str(if self.log { " by log" } else { " by first copy" })
    }
}

struct Pair {
    roster: Roster,
    /// The hub's, then the client's.
    engines: [Engine; 2],
    sessions: [Session; 2],
    columns: Vec<&'static Column>,
}

fn drive(hub: Engine, client: Engine) {
    let mut pair = Pair::new(hub, client);
    pair.insert(false);
    pair.roster.start();
    pair.roster.settle();
    pair.insert(true);
    pair.roster.settle();
    let wrong = pair.wrong();
    assert!(wrong.is_empty(), "{hub:?} is the hub of {client:?}; {} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    pair.roster.stop();
}

/// The newest server of an engine as the hub, the oldest as the client.
fn newest_and_oldest(hub: Engine, client: Engine) -> [roster::Engine; 2] {
    use roster::Engine::*;
    let newest = match hub {
        Engine::MariaDb => MariaDb118,
        Engine::MySql => MySql97,
        Engine::Postgres => Postgres18,
        Engine::Sqlite => Sqlite,
    };
    let oldest = match client {
        Engine::MariaDb => MariaDb1011,
        Engine::MySql => MySql97,
        Engine::Postgres => Postgres15,
        Engine::Sqlite => Sqlite,
    };
    [newest, oldest]
}

impl Pair {
    fn new(hub: Engine, client: Engine) -> Pair {
        let mut roster = Roster::new(&newest_and_oldest(hub, client));
        let columns: Vec<&'static Column> = columns().filter(|column| column.joins(hub, client)).collect();
        for column in &columns {
            let columns = &[("id", ColumnKind::Plain), ("v", ColumnKind::Plain)];
            roster.share_existing(Table::new(format!("c_{}", column.name).leak(), "", columns), "");
        }
        let sessions = [roster.sites[0].session(), roster.sites[1].session()];
        let mut pair = Pair { roster, engines: [hub, client], sessions, columns };
        for site in [0, 1] {
            pair.create(site);
        }
        pair
    }

    /// The tables at one site. Those that are not shared have what the others' samples are to be here, and after
    /// [`SAMPLES_MAX`] this site's own.
    fn create(&mut self, site: usize) {
        let here = self.engines[site];
        let arrives_by = WAYS.into_iter().find(|way| way.to == site).expect("rows go to every site");
        let session = &mut self.sessions[site];
        session.sql(here.session());
        for column in &self.columns {
            let ddl = column.ddl(here).expect("the column joins the pair");
            let mut script = match (here, column.first) {
                (Engine::Postgres, first) if !first.is_empty() => format!("{first};\n"),
                _ => String::new(),
            };
            for table in ["c", "r"] {
                script += &format!("CREATE TABLE {table}_{} (id INT PRIMARY KEY, v {ddl});\n", column.name);
            }
            for (at, sample) in column.samples.iter().enumerate() {
                let arriving = match arrives_by.expect(sample, self.engines) {
                    Some(Expected::Arrives(literal)) => Some((at, literal)),
                    _ => None,
                };
                let own = sample.literal(here).map(|literal| (SAMPLES_MAX + at, literal));
                for (id, literal) in arriving.into_iter().chain(own) {
                    script += &format!("INSERT INTO r_{} VALUES ({id}, {literal});\n", column.name);
                }
            }
            session.sql(&script);
        }
    }

    fn insert(&mut self, log: bool) {
        for way in WAYS.into_iter().filter(|way| way.log == log) {
            for column in &self.columns {
                let mut script = String::new();
                for (at, sample) in column.samples.iter().enumerate() {
                    if let Some(literal) = sample.literal(self.engines[way.from]) {
                        script += &format!("INSERT INTO c_{} VALUES ({}, {literal});\n", column.name, way.id(at));
                    }
                }
                self.sessions[way.from].sql(&script);
            }
        }
    }

    /// What is not as the conformance table says.
    fn wrong(&mut self) -> Vec<String> {
        let all_held = self.roster.daemon().held_back();
        let sites = [0, 1].map(|site| self.roster.sites[site].name.as_str());
        let mut wrong = Vec::new();
        for column in &self.columns {
            let found = [0, 1].map(|site| Found::read(&mut self.sessions[site], self.engines[site], column));
            let held: Vec<&HeldBack> = all_held.iter().filter(|held| held.table == format!("c_{}", column.name)).collect();
            for (way, (at, sample)) in WAYS.iter().flat_map(|way| column.samples.iter().enumerate().map(move |sample| (way, sample))) {
                let Some(expected) = way.expect(sample, self.engines) else { continue };
                let held = held.iter().copied().filter(|held| held.key == way.id(at).to_string()).collect();
                let fate = Fate { way: *way, at, held, from: &found[way.from], to: &found[way.to] };
                if let Some(complaint) = fate.complaint(expected, sites) {
                    wrong.push(format!("  {}, {:?}, {way}, {expected:?}: {complaint}", column.name, sample.label));
                }
            }
        }
        wrong
    }
}

/// What a site has of a column.
struct Found {
    /// By id: what clients are shown.
    rows: HashMap<usize, Option<String>>,
    /// Ids of two rows with the same value: of the shared table, and of the one beside it.
    same: HashSet<(usize, usize)>,
}

impl Found {
    fn read(session: &mut Session, engine: Engine, column: &Column) -> Found {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<usize>().ok()).expect("a number");
        let rows = session.rows(&format!("SELECT id, v FROM c_{}", column.name));
        let same = session.rows(&format!(
            "SELECT c.id, r.id FROM c_{0} c JOIN r_{0} r ON c.id % {STRIDE} = r.id % {SAMPLES_MAX} WHERE {1}",
            column.name,
            engine.same("c.v", "r.v")
        ));
        Found {
            rows: rows.into_iter().map(|row| (number(&row[0]), row[1].clone())).collect(),
            same: same.iter().map(|row| (number(&row[0]), number(&row[1]))).collect(),
        }
    }
}

/// What has become of one sample.
struct Fate<'a> {
    way: Way,
    at: usize,
    held: Vec<&'a HeldBack>,
    from: &'a Found,
    to: &'a Found,
}

impl Fate<'_> {
    fn complaint(&self, expected: Expected, sites: [&str; 2]) -> Option<String> {
        let id = self.way.id(self.at);
        if !self.from.same.contains(&(id, SAMPLES_MAX + self.at)) {
            return Some(format!("where it was inserted it is {:?}", self.from.rows.get(&id)));
        }
        let (source, target) = (sites[self.way.from], sites[self.way.to]);
        match expected {
            Expected::Arrives(_) if self.to.same.contains(&(id, self.at)) && self.held.is_empty() => None,
            Expected::Arrives(_) => Some(format!("it arrived as {:?}; held back: {:?}", self.to.rows.get(&id), self.held)),
            _ if self.to.rows.contains_key(&id) => Some(format!("it arrived as {:?}", self.to.rows[&id])),
            Expected::Unreadable => self.refused_at(&[source]),
            Expected::Quarantined if self.way.from == 0 => self.refused_at(&[target]),
            // The hub's type gives the column its family: what that has no form for is refused where it is.
            Expected::Quarantined => self.refused_at(&[source, target]),
        }
    }

    /// It is held back once, at one of these sites, without its value being told.
    fn refused_at(&self, sites: &[&str]) -> Option<String> {
        let [held] = self.held[..] else { return Some(format!("held back: {:?}", self.held)) };
        let value = self.from.rows[&self.way.id(self.at)].as_deref().unwrap_or_default();
        if !sites.contains(&held.site.as_str()) || held.kind != "value" || !held.reason.starts_with("column v: ") {
            return Some(format!("not at {sites:?} for its value: {held:?}"));
        }
        // Three characters may be in any sentence that tells no value.
        (value.chars().count() > 3 && held.reason.contains(value)).then(|| format!("the reason tells the value: {:?}", held.reason))
    }
}
