//! The comparison of all sites, row by row, by SELECTs of its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Trouble;
use super::database::{Cells, Database};
use super::sites::DemoSite;

/// A shared table: its columns, the key first, and which of its rows are shared.
struct Shared {
    name: &'static str,
    key: usize,
    columns: &'static [&'static str],
    rows: &'static str,
}

const CITY: [&str; 9] =
    ["entity_type", "entity_id", "deleted", "delta", "language", "revision_id", "bundle", "field_city_value", "field_city_format"];

/// `picture` is not among them: it is the number of a file that only its own site has.
const SHARED: [Shared; 5] = [
    Shared {
        name: "users",
        key: 1,
        columns: &[
            "uid",
            "name",
            "pass",
            "mail",
            "signature",
            "created",
            "changed",
            "access",
            "login",
            "status",
            "timezone",
            "language",
            "init",
            "data",
        ],
        rows: "uid > 1",
    },
    Shared { name: "sessions", key: 2, columns: &["sid", "ssid", "uid", "hostname", "timestamp", "session"], rows: "uid > 1" },
    Shared { name: "users_roles", key: 2, columns: &["uid", "role"], rows: "uid > 1" },
    Shared { name: "field_data_field_city", key: 5, columns: &CITY, rows: "entity_type = 'user' AND entity_id > 1" },
    Shared { name: "field_revision_field_city", key: 6, columns: &CITY, rows: "entity_type = 'user' AND entity_id > 1" },
];

/// What one site has.
type Content = BTreeMap<&'static str, BTreeMap<Cells, Cells>>;

/// The outcome for all sites.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Per table, how many rows each site has.
    pub counts: Vec<(&'static str, Vec<usize>)>,
    /// In words; empty when all sites are equal.
    pub differences: Vec<String>,
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    pub fn rows(&self) -> usize {
        self.counts.iter().map(|(_, counts)| counts[0]).sum()
    }
}

/// A look at every site, on connections of its own.
pub struct Comparer<'a> {
    sites: &'a [DemoSite],
    databases: Vec<Database>,
}

impl<'a> Comparer<'a> {
    pub async fn open(sites: &'a [DemoSite]) -> Result<Comparer<'a>, Trouble> {
        let mut databases = Vec::new();
        for site in sites {
            databases.push(site.open().await?);
        }
        Ok(Comparer { sites, databases })
    }

    pub async fn compare(&mut self) -> Result<Comparison, Trouble> {
        let mut contents = Vec::new();
        for (site, db) in self.sites.iter().zip(&mut self.databases) {
            contents.push(read(site, db).await?);
        }
        let mut comparison = Comparison::default();
        for shared in &SHARED {
            let tables: Vec<_> = contents.iter().map(|content| &content[shared.name]).collect();
            comparison.counts.push((shared.name, tables.iter().map(|table| table.len()).collect()));
            for (site, table) in self.sites.iter().zip(&tables).skip(1) {
                comparison.differences.extend(differences(shared, &self.sites[0].name, tables[0], &site.name, table));
            }
        }
        Ok(comparison)
    }

    /// Compares until all are equal, with nobody writing any more; after `deadline`, gives what differs.
    pub async fn settle(&mut self, deadline: Duration) -> Result<Comparison, Trouble> {
        let until = Instant::now() + deadline;
        loop {
            let comparison = self.compare().await?;
            if comparison.is_equal() || Instant::now() > until {
                return Ok(comparison);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many shared rows each site has.
    pub async fn counts(&mut self) -> Result<Vec<u64>, Trouble> {
        let parts: Vec<String> =
            SHARED.iter().map(|shared| format!("(SELECT count(*) FROM {} WHERE {})", shared.name, shared.rows)).collect();
        let query = format!("SELECT {}", parts.join(" + "));
        let mut counts = Vec::new();
        for db in &mut self.databases {
            counts.push(db.cell(&query).await?.parse().unwrap_or(0));
        }
        Ok(counts)
    }

    /// `users` rows that are each site's own, for those who doubt it.
    pub async fn own_mails(&mut self) -> Result<Vec<String>, Trouble> {
        let mut mails = Vec::new();
        for db in &mut self.databases {
            mails.push(db.cell("SELECT mail FROM users WHERE uid = 1").await?);
        }
        Ok(mails)
    }
}

async fn read(site: &DemoSite, db: &mut Database) -> Result<Content, Trouble> {
    let mut content = Content::new();
    for shared in &SHARED {
        let bytes = |column: &&str| match *column {
            "data" | "session" => site.engine.bytes_shown(column),
            column => column.to_owned(),
        };
        let columns: Vec<String> = shared.columns.iter().map(bytes).collect();
        let rows = db.rows(&format!("SELECT {} FROM {} WHERE {}", columns.join(", "), shared.name, shared.rows)).await?;
        let keyed = rows.into_iter().map(|mut row| {
            let rest = row.split_off(shared.key);
            (row, rest)
        });
        content.insert(shared.name, keyed.collect());
    }
    Ok(content)
}

fn differences(shared: &Shared, hub: &str, ours: &BTreeMap<Cells, Cells>, site: &str, theirs: &BTreeMap<Cells, Cells>) -> Vec<String> {
    let name = |key: &Cells| {
        let parts = shared.columns.iter().zip(key).map(|(column, value)| format!("{column} {}", value.as_deref().unwrap_or("NULL")));
        format!("{} ({})", shared.name, parts.collect::<Vec<_>>().join(", "))
    };
    let mut out = Vec::new();
    for (key, row) in ours {
        match theirs.get(key) {
            None => out.push(format!("{} is at {hub} and not at {site}", name(key))),
            Some(other) if other != row => {
                let cells = shared.columns[shared.key..].iter().zip(row.iter().zip(other)).filter(|(_, (a, b))| a != b);
                let cells: Vec<String> = cells
                    .map(|(column, (a, b))| {
                        let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "NULL".into(), |value| format!("'{value}'"));
                        format!("{column} is {} at {hub}, {} at {site}", shown(a), shown(b))
                    })
                    .collect();
                out.push(format!("{}: {}", name(key), cells.join("; ")));
            }
            Some(_) => {}
        }
    }
    out.extend(theirs.keys().filter(|key| !ours.contains_key(*key)).map(|key| format!("{} is at {site} and not at {hub}", name(key))));
    out
}
