//! Predicates and rows, asked of each engine and of rosterd.

use std::collections::BTreeSet;
use std::path::Path;

use rosterd::config::Config;
use rosterd::daemon::connect;
use rosterd::model::{Cell, Image, Predicate, SiteId, Table, TableId, Value};
use rosterd::ops::check;
use rosterd::sites::TableDescription;
use rosterd::sites::binding::{self, Plan, PlannedTable};

use crate::roster::Engine::{self, *};
use crate::roster::{Roster, Session};

/// A predicate, and its spelling in an engine's own SQL where that differs: of the MySQL family, PostgreSQL, SQLite.
type Asked = (&'static str, [&'static str; 3]);

const fn all(text: &'static str) -> Asked {
    (text, [text, text, text])
}

/// An engine whose own SQL has no spelling for it.
const NONE: &str = "";

const ASKED: &[Asked] = &[
    all("n = 5"),
    all("5 = n"),
    all("n <> 5"),
    all("n != 5"),
    all("n > 1 AND n <= 7"),
    all("n > -1"),
    all("n >= 1.5"),
    all("n = 5.0"),
    all("n < 99999999999999999999999"),
    all("big = 9223372036854775807"),
    all("big < 9223372036854775807"),
    all("big > 9007199254740992"),
    all("n = 5 OR n IS NULL"),
    all("NOT n > 1"),
    all("NOT (n > 1 AND name = 'ann')"),
    all("NOT (n > 1 OR name = 'ann')"),
    all("n = NULL"),
    all("NOT n = NULL"),
    all("n = NULL OR n = 5"),
    all("n <> NULL AND n = 5"),
    all("n IN (1, 5, 7)"),
    all("n NOT IN (1, 5)"),
    all("n IN (1, NULL)"),
    all("n NOT IN (1, NULL)"),
    all("NOT n NOT IN (1, NULL)"),
    all("5 IN (n, 1)"),
    all("n BETWEEN 1 AND 5"),
    all("n NOT BETWEEN 1 AND 5"),
    all("n BETWEEN 1 AND NULL"),
    all("n NOT BETWEEN 6 AND NULL"),
    all("n BETWEEN 7 AND 1"),
    all("n IS NULL"),
    all("n IS NOT NULL AND name IS NULL"),
    ("n <=> NULL", ["n <=> NULL", "n IS NOT DISTINCT FROM NULL", "n IS NULL"]),
    ("NOT n <=> 5", ["NOT n <=> 5", "n IS DISTINCT FROM 5", "n IS NOT 5"]),
    ("n IS DISTINCT FROM 5", ["NOT (n <=> 5)", "n IS DISTINCT FROM 5", "n IS DISTINCT FROM 5"]),
    ("name IS NOT DISTINCT FROM other", ["name <=> other", "name IS NOT DISTINCT FROM other", "name IS other"]),
    all("n = m"),
    all("n < d"),
    all("n > f"),
    all("d < f"),
    all("d = 1.5"),
    all("d = 1.50"),
    all("d > -1.5 AND d < 2"),
    all("d IN (0, 1.500, 100)"),
    all("f = 0.1"),
    all("f > 1"),
    all("f = 1e3"),
    all("f BETWEEN -2.5 AND 2.5E0"),
    all("name = 'ann'"),
    all("name = 'Ann'"),
    all("name <> 'ann'"),
    all("name = ''"),
    all("name = 'ann '"),
    all("name = 'änn'"),
    all("name = 'it''s'"),
    all("name = '😀'"),
    all("name > 'a'"),
    all("name >= 'ann' AND name < 'b'"),
    all("name > 'Z'"),
    all("name BETWEEN 'A' AND 'ann'"),
    all("name IN ('ann', 'Bob', '')"),
    all("name NOT IN ('ann', NULL)"),
    all("name = other"),
    all("name < other"),
    all("name LIKE 'a%'"),
    all("name LIKE 'A%'"),
    all("name LIKE '_nn'"),
    all("name LIKE '%n%'"),
    all("name LIKE ''"),
    all("name LIKE 'ann '"),
    all("name LIKE '%\\_%'"),
    all("name LIKE '100\\%'"),
    all("name LIKE '_'"),
    all("name NOT LIKE 'a%'"),
    all("NOT name LIKE '%b'"),
    all("day = '2026-01-31'"),
    all("day > '2025-12-31' AND day <= '2026-01-31'"),
    all("day BETWEEN '2026-01-01' AND '2026-12-31'"),
    all("day IS NULL OR day > '2026-06-01'"),
    all("moment = '2026-01-31 10:00:00'"),
    all("moment < '2026-01-31 10:00:00.500000'"),
    all("moment > '2026-01-31 10:00:00'"),
    ("moment > '2026-01-31'", ["moment > '2026-01-31'", "moment > '2026-01-31'", "moment > '2026-01-31 00:00:00'"]),
    all("clock >= '12:00:00'"),
    all("clock = '23:59:59.500000'"),
    all("truth = TRUE"),
    all("truth <> FALSE"),
    all("NOT truth = FALSE"),
    ("truth = 1", ["truth = 1", "truth = TRUE", "truth = 1"]),
    ("raw = X'1F00'", ["raw = X'1F00'", "raw = '\\x1f00'", "raw = X'1F00'"]),
    ("raw > X'1F'", ["raw > X'1F'", "raw > '\\x1f'", "raw > X'1F'"]),
    all("raw IS NULL"),
    ("doc IS NULL", ["doc IS NULL", "doc IS NULL", "doc IS NULL"]),
    ("n = 0x05", ["n = 5", "n = 5", "n = 5"]),
    ("1 = 1", ["1 = 1", "1 = 1", "1 = 1"]),
    ("TRUE = 1", ["TRUE = 1", NONE, "TRUE = 1"]),
];

/// What can't mean the same everywhere, and the words that say so.
const REFUSED: &[(&str, &str)] = &[
    ("n = '5'", "compares n, a whole number, with text"),
    ("n = 'many'", "without quotes"),
    ("n = 5e0", "with an exponent"),
    ("d > '1.5'", "compares d, a decimal number, with text"),
    ("f = '0.1'", "compares f, floating point, with text"),
    ("name = 5", "compares name, text, with a number"),
    ("name = X'61'", "in single quotes"),
    ("name IN ('ann', 5)", "compares name, text, with a number"),
    ("name BETWEEN 1 AND 'b'", "compares name, text, with a number"),
    ("day = '31.1.2026'", "write it as '2026-01-31'"),
    ("day > '2026-01-31 10:00:00'", "compares day, a date, with text"),
    ("day > 20260131", "in single quotes"),
    ("day > '2026-02-31'", "write it as '2026-01-31'"),
    ("moment > '2026-02-31 00:00:00'", "in UTC"),
    ("moment > 'yesterday'", "2026-01-31 23:59:59"),
    ("clock > 12", "compares clock, a time, with a number"),
    ("truth = 'true'", "compares truth, a whole number, with text"),
    ("raw = 'abc'", "X'1F'"),
    ("doc = '{}'", "doc, which is JSON"),
    ("doc = doc", "doc, which is JSON"),
    ("n LIKE '5%'", "LIKE for n, a whole number"),
    ("'ann' LIKE 'a%'", "LIKE for a literal"),
    ("n = name", "compares n, a whole number, with name, text"),
    ("day = moment", "compares day, a date, with moment"),
    ("'a' = 'A'", "two literals"),
    ("nobody = 5", "nobody, which is not shared"),
];

const COLUMNS: &str = "id, n, m, big, d, f, name, other, day, moment, clock, truth, raw, doc";

/// Rows of those columns from `n` on; `raw` in hexadecimal.
const ROWS: &[&str] = &[
    "5, 5, 9223372036854775807, 1.5, 0.1, 'ann', 'ann', '2026-01-31', '2026-01-31 10:00:00', '12:00:00', TRUE, '1F00', '{}'",
    "1, 5, 9007199254740993, -1.5, 1000, 'Ann', 'ann', '2025-12-31', '2026-01-31 10:00:00.500000', '23:59:59.500000', FALSE, '1F', NULL",
    "7, NULL, 9007199254740992, 0, -2.5, 'ann ', 'ann', '2026-12-31', '2026-01-31 00:00:00', '00:00:00', NULL, '', NULL",
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
    "0, 0, 0, 100, 2.5, '', NULL, '2024-02-29', '2024-02-29 23:59:59.999999', '11:59:59.999999', TRUE, '00', '1'",
    "-1, 1, -9223372036854775807, 2, 1.5, 'Bob', 'bob', '1999-12-31', '1999-12-31 23:59:59', '12:00:00.000001', FALSE, 'FF', '[]'",
    "5, 7, 5, 5, 5, 'änn', 'ann', NULL, NULL, NULL, TRUE, NULL, NULL",
    "NULL, 5, 1, 1.499, 0.30000000000000004, 'a_b', '100%', '2026-02-01', '2026-02-01 00:00:00', '12:00:01', NULL, '1F0000', NULL",
    "2, 2, 2, 2.001, 2.001, '100%', 'a_b', '2026-01-01', '2026-01-01 00:00:00', '01:02:03', FALSE, '1E', NULL",
    "3, 3, 3, 3, 3, 'it''s', 'it', '2026-06-02', '2026-06-02 12:00:00', '13:00:00', TRUE, '20', NULL",
    "4, 4, 4, 4, 4, '😀', 'zz', '2026-06-01', '2026-06-01 12:00:00', '14:00:00', TRUE, '2000', NULL",
    "6, 6, 6, 6, 6, 'b', 'B', '2030-01-01', '2030-01-01 12:00:00', '15:00:00', FALSE, 'ABCDEF', NULL",
];

fn family(engine: Engine) -> usize {
    match engine {
        Postgres15 | Postgres18 => 1,
        Sqlite => 2,
        _ => 0,
    }
}

/// Text that compares exactly.
fn exact_text(engine: Engine) -> &'static str {
    match engine {
        MySql97 => "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
        MariaDb1011 | MariaDb118 => "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        Postgres15 | Postgres18 => "VARCHAR(40) COLLATE \"C\"",
        Sqlite => "VARCHAR(40)",
    }
}

fn create(session: &mut Session, engine: Engine) {
    let text = exact_text(engine);
    let (moment, clock, raw, json) = match family(engine) {
        0 => ("DATETIME(6)", "TIME(6)", "VARBINARY(8)", "JSON"),
        1 => ("TIMESTAMP", "TIME", "BYTEA", "JSONB"),
        _ => ("DATETIME", "TIME", "BLOB", "JSON"),
    };
    session.sql(&format!(
        "CREATE TABLE thing (id INT PRIMARY KEY, n INT, m INT, big BIGINT, d DECIMAL(10,3), f DOUBLE PRECISION, name {text}, other {text},
         day DATE, moment {moment}, clock {clock}, truth BOOLEAN, raw {raw}, doc {json})"
    ));
    for (at, row) in ROWS.iter().enumerate() {
        let mut values: Vec<String> = row.split(", ").map(str::to_owned).collect();
        let raw = values.len() - 2;
        if values[raw] != "NULL" {
            values[raw] = if family(engine) == 1 { format!("decode({}, 'hex')", values[raw]) } else { format!("X{}", values[raw]) };
        }
        session.sql(&format!("INSERT INTO thing ({COLUMNS}) VALUES ({at}, {})", values.join(", ")));
    }
    if engine.is_sqlite() {
        session.sql("PRAGMA case_sensitive_like = ON");
    }
}

/// SQLite has an escape only where it is named.
fn with_escape(text: &str) -> String {
    let mut pieces = text.split("LIKE '");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (pattern, rest) = piece.split_once('\'').expect("a pattern that ends");
        out += &format!("LIKE '{pattern}' ESCAPE '\\'{rest}");
    }
    out
}

fn config(url: &str, filter: &str) -> Config {
    let filter = if filter.is_empty() { String::new() } else { format!("filter = '''{filter}'''\n") };
    let text = format!("[[site]]\nname = \"hub\"\nrole = \"hub\"\nurl = {url:?}\n[[table]]\nname = \"thing\"\n{filter}");
    Config::parse(&text, Path::new("rosterd.toml")).unwrap_or_else(|error| panic!("{filter}: {error}"))
}

fn planned(url: &str, filter: &str, descriptions: &[TableDescription]) -> Result<PlannedTable, String> {
    let mut plan = Plan::new(&config(url, filter), descriptions);
    match plan.tables.pop() {
        Some(planned) => Ok(planned),
        None => Err(plan.problems.iter().map(|p| format!("{} {}", p.text, p.remedy.clone().unwrap_or_default())).collect()),
    }
}

/// The rows as rosterd reads them.
async fn read(url: &str) -> (Vec<TableDescription>, Table, Vec<Image>) {
    let config = config(url, "");
    let site = connect(SiteId(1), &config.sites[0], &config.daemon);
    let descriptions = site.describe().await.expect("it is described");
    let planned = planned(url, "", &descriptions).expect("it can be shared");
    let names: Vec<String> = planned.columns.iter().map(|column| column.name.clone()).collect();
    let table = planned.table(TableId(1), &names);
    let bound = binding::bind(&config.sites[0], &planned, &table.clone().into(), &descriptions).expect("it fits");
    let mut reader = site.chunk_reader().await.expect("it is read");
    let rows = reader.chunk(&bound.into(), None, 1000, 1 << 20).await.expect("rows");
    (descriptions, table, rows.into_iter().map(|(_, image)| image).collect())
}

fn matching(predicate: &Predicate, table: &Table, rows: &[Image]) -> BTreeSet<String> {
    let is_shared = |row: &&Image| predicate.evaluate(&|name| table.column(name).and_then(|column| row.get(column))) == Some(true);
    let id = |row: &Image| match &row[0] {
        Cell::Value(Value::Int(id)) => id.to_string(),
        other => panic!("an id is {other:?}"),
    };
    rows.iter().filter(is_shared).map(id).collect()
}

fn asked(engine: Engine) {
    let roster = Roster::new(&[engine]);
    let url = roster.sites[0].url();
    let mut session = roster.sites[0].session();
    create(&mut session, engine);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (descriptions, table, rows) = runtime.block_on(read(&url));
    assert_eq!(rows.len(), ROWS.len());
    let mut wrong = Vec::new();
    for (text, spelled) in ASKED {
        let mut sql = spelled[family(engine)].to_owned();
        if sql == NONE {
            continue;
        }
        if engine.is_sqlite() {
            sql = with_escape(&sql);
        }
        let filter = planned(&url, text, &descriptions).unwrap_or_else(|why| panic!("{text}: {why}")).filter.expect("a filter");
        let here = matching(&filter, &table, &rows);
        let there = session.rows(&format!("SELECT id FROM thing WHERE {sql}"));
        let there: BTreeSet<String> = there.into_iter().map(|row| row[0].clone().expect("an id")).collect();
        if here != there {
            wrong.push(format!("{text}: here {here:?}, in the database {there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{engine:?}: {}\n{}", wrong.len(), wrong.join("\n"));
    for (text, words) in REFUSED {
        let why = planned(&url, text, &descriptions).err().unwrap_or_else(|| panic!("{engine:?} takes {text}"));
        assert!(why.contains(words), "{engine:?}, {text}: {why}");
    }
}

#[test]
fn mariadb_10_11_is_asked() {
    asked(MariaDb1011);
}

#[test]
fn mariadb_11_8_is_asked() {
    asked(MariaDb118);
}

#[test]
fn mysql_9_7_is_asked() {
    asked(MySql97);
}

#[test]
fn postgres_15_is_asked() {
    asked(Postgres15);
}

#[test]
fn postgres_18_is_asked() {
    asked(Postgres18);
}

#[test]
fn sqlite_is_asked() {
    asked(Sqlite);
}

/// Where a site's collation would give another answer, `check` says so.
#[test]
fn check_names_columns_that_a_site_compares_otherwise() {
    let filter = "name = 'ann' AND other LIKE 'a%'";
    for (engine, exact, words) in [
        (MariaDb118, false, ["thing.name", "without regard to letter case"]),
        (MariaDb118, true, ["", ""]),
        (MySql97, false, ["thing.other", "without regard to letter case"]),
        (Postgres18, false, ["", ""]),
        (Sqlite, false, ["thing.other", "with LIKE in a way of its own"]),
    ] {
        let roster = Roster::new(&[engine]);
        let text = if exact { exact_text(engine) } else { "VARCHAR(40)" };
        roster.sql(0, &format!("CREATE TABLE thing (id INT PRIMARY KEY, name {text}, other {text})"));
        let config = config(&roster.sites[0].url(), filter);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sites = vec![connect(SiteId(1), &config.sites[0], &config.daemon)];
        let report = runtime.block_on(check::check(&config, sites, &roster.folder().join("none"), false));
        let said: Vec<&str> =
            report.sites[0].findings.iter().filter(|line| line.subject == "filters").map(|line| line.text.as_str()).collect();
        let said = said.join("; ");
        assert!(words.iter().all(|word| said.contains(word)) && said.is_empty() == words[0].is_empty(), "{engine:?}: {said:?}");
    }
}
