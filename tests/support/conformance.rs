//! The conformance table: what each kind of column holds in each engine, and what becomes of it in every other one.
//!
//! `conformance_pairs.rs` drives every ordered pair of engines through it as hub and client, an engine being paired with
//! itself too. For each [`Column`] that both engines have and that the first may be the hub of, it
//! 1. runs `Column::first` at a PostgreSQL site, then creates `CREATE TABLE c_<name> (id INT PRIMARY KEY, v <ddl>)` at both
//!    sites, and `r_<name>` with the same columns, which is not shared;
//! 2. inserts each [`Sample`] that a site has a literal for into `c_<name>` there, on a session set up by
//!    [`Engine::session`]: once before the daemon starts, for the first copy, and once while it runs, for the log;
//! 3. waits until the daemon has nothing owed, and then demands of each sample what [`Sample::expect`] says, or from the
//!    client to the hub [`Sample::expect_at_hub`]:
//!    - `Arrives(literal)`: the literal, inserted into `r_<name>` at `to`, is [`Engine::same`] as the row in `c_<name>`;
//!    - `Quarantined`: the row is missing at `to` and quarantined there with a reason that does not hold the value. On its
//!      way to the hub it may be held back at the client instead: what the hub's family has no form for is refused there;
//!    - `Unreadable`: the row is missing at `to`, and what `from` holds is reported as having no canonical form.
//!
//!    Where the sample was inserted, it stays as it was.
//!
//! Nothing is named as refused twice: an engine that has no literal for a sample has no place for it in that column.
#![allow(dead_code, reason = "each test file uses a part of this")]

mod conformance_binary;
mod conformance_documents;
mod conformance_moments;
mod conformance_numbers;
mod conformance_texts;

/// The engine has no such column, or no such value in it.
pub const NO: &str = "";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    MariaDb,
    MySql,
    Postgres,
    Sqlite,
}

impl Engine {
    pub const ALL: [Engine; 4] = [Engine::MariaDb, Engine::MySql, Engine::Postgres, Engine::Sqlite];

    /// Statements for the session that inserts literals: strict, zero dates allowed, UTC.
    pub fn session(self) -> &'static str {
        match self {
            Engine::MariaDb | Engine::MySql => "SET NAMES utf8mb4; SET sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'",
            Engine::Postgres => "SET TimeZone = 'UTC'",
            Engine::Sqlite => "",
        }
    }

    /// SQL that is true when two expressions hold the very same value: the same bytes, and not only equal as their type
    /// or collation compares.
    pub fn same(self, a: &str, b: &str) -> String {
        match self {
            Engine::MariaDb | Engine::MySql => {
                format!("({a} <=> {b} AND HEX(CAST({a} AS BINARY)) <=> HEX(CAST({b} AS BINARY)))")
            }
            Engine::Postgres => format!("({a}::text IS NOT DISTINCT FROM {b}::text)"),
            Engine::Sqlite => format!("({a} IS {b} AND typeof({a}) = typeof({b}))"),
        }
    }
}

/// One kind of column. Arrays are in the order of [`Engine::ALL`].
#[derive(Clone, Copy)]
pub struct Column {
    /// A word that can be part of a table's name.
    pub name: &'static str,
    ddl: [&'static str; 4],
    /// What has to be run before at a PostgreSQL site.
    pub first: &'static str,
    never_hub: Option<Engine>,
    pub samples: &'static [Sample],
}

const fn column(name: &'static str, ddl: [&'static str; 4], samples: &'static [Sample]) -> Column {
    Column { name, ddl, first: "", never_hub: None, samples }
}

impl Column {
    const fn first(self, sql: &'static str) -> Column {
        Column { first: sql, ..self }
    }

    /// As the hub, this engine would give the column another family.
    const fn never_hub(self, engine: Engine) -> Column {
        Column { never_hub: Some(engine), ..self }
    }

    /// The column's type in `engine`, as it stands in CREATE TABLE.
    pub fn ddl(&self, engine: Engine) -> Option<&'static str> {
        Some(self.ddl[engine as usize]).filter(|ddl| *ddl != NO)
    }

    /// Whether the pair is to be driven through this column.
    pub fn joins(&self, hub: Engine, client: Engine) -> bool {
        self.never_hub != Some(hub) && self.ddl(hub).is_some() && self.ddl(client).is_some()
    }
}

/// One value.
#[derive(Clone, Copy)]
pub struct Sample {
    pub label: &'static str,
    literals: [&'static str; 4],
    arrives: Option<[&'static str; 4]>,
    /// A hub whose family reads more than the column's own, and what arrives there from a client.
    at_hub: Option<(Engine, &'static str)>,
    canonical: bool,
}

/// What a sample does at another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Arrives(&'static str),
    Quarantined,
    Unreadable,
}

/// One literal for all engines.
const fn all(label: &'static str, literal: &'static str) -> Sample {
    each(label, [literal; 4])
}

/// One literal for MariaDB and MySQL, then PostgreSQL's and SQLite's.
const fn three(label: &'static str, mysql: &'static str, postgres: &'static str, sqlite: &'static str) -> Sample {
    each(label, [mysql, mysql, postgres, sqlite])
}

const fn each(label: &'static str, literals: [&'static str; 4]) -> Sample {
    Sample { label, literals, arrives: None, at_hub: None, canonical: true }
}

impl Sample {
    /// What the value is like where it has arrived, when that is not the literal of that engine.
    const fn arriving(self, literals: [&'static str; 4]) -> Sample {
        Sample { arrives: Some(literals), ..self }
    }

    /// As the hub, this engine gives the column a family in which a client's value has this form.
    const fn arriving_at_hub(self, hub: Engine, literal: &'static str) -> Sample {
        Sample { at_hub: Some((hub, literal)), ..self }
    }

    /// The engine that has it holds something that has no canonical form.
    const fn unreadable(self) -> Sample {
        Sample { canonical: false, ..self }
    }

    /// SQL for the value, to be inserted at `engine`.
    pub fn literal(&self, engine: Engine) -> Option<&'static str> {
        Some(self.literals[engine as usize]).filter(|literal| *literal != NO)
    }

    /// What becomes at `to` of the sample that was inserted at `from`, which is the hub. None: `from` can't hold it.
    pub fn expect(&self, from: Engine, to: Engine) -> Option<Expected> {
        self.literal(from)?;
        let arrives = self.arrives.unwrap_or(self.literals)[to as usize];
        Some(match arrives {
            _ if !self.canonical => Expected::Unreadable,
            NO => Expected::Quarantined,
            literal => Expected::Arrives(literal),
        })
    }

    /// What becomes at the hub of the sample that was inserted at the client. None: the client can't hold it.
    pub fn expect_at_hub(&self, client: Engine, hub: Engine) -> Option<Expected> {
        let expected = self.expect(client, hub)?;
        let read = self.at_hub.filter(|(engine, _)| *engine == hub);
        Some(read.map_or(expected, |(_, literal)| Expected::Arrives(literal)))
    }
}

const NULL: Sample = all("null", "NULL");

/// The whole table.
pub fn columns() -> impl Iterator<Item = &'static Column> {
    [
        conformance_numbers::COLUMNS,
        conformance_texts::COLUMNS,
        conformance_binary::COLUMNS,
        conformance_moments::COLUMNS,
        conformance_documents::COLUMNS,
    ]
    .into_iter()
    .flatten()
}
