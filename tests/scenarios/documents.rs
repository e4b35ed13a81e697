//! Big values: a row of 20 MB, and PostgreSQL's values that a log leaves out because they did not change.

use crate::roster::{ColumnKind::*, Engine, Roster, Table};

const COLUMNS: &[(&str, crate::roster::ColumnKind)] = &[("k", Plain), ("body", Plain), ("data", Blob), ("n", Plain)];
const DDL: &str = "k VARCHAR(40) PRIMARY KEY, body $text, data $blob, n INT NOT NULL";
const DOCUMENT: Table = Table::new("document", DDL, COLUMNS);
/// Where PostgreSQL logs old rows whole.
const PAPER: Table = Table::new("paper", DDL, COLUMNS);

const HUGE_BYTES: usize = 20 << 20;

pub fn prepare(roster: &mut Roster) {
    roster.share(DOCUMENT, "");
    roster.share(PAPER, "");
    for site in roster.sites.iter().filter(|site| site.engine.is_postgres()) {
        site.sql("ALTER TABLE paper REPLICA IDENTITY FULL");
    }
}

pub fn run(roster: &Roster) {
    values_left_out(roster);
    // Every engine is the hub of one roster.
    huge(roster, 0);
    roster.settle_equal();
}

/// About 100 kB that don't compress, as text and as bytes.
fn incompressible(engine: Engine, seed: usize) -> [String; 2] {
    match engine {
        engine if engine.is_postgres() => {
            let text = format!("(SELECT string_agg(md5((i + {seed})::text), '') FROM generate_series(1, 3000) i)");
            [text.clone(), format!("decode({text}, 'hex')")]
        }
        _ => {
            let mut state = seed as u64 + 1;
            let mut hex = String::new();
            while hex.len() < 100_000 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                hex += &format!("{state:016x}");
            }
            [format!("'{hex}'"), format!("X'{hex}'")]
        }
    }
}

fn values_left_out(roster: &Roster) {
    let sites = roster.sites.len();
    let tables = ["document", "paper"];
    for at in 0..sites {
        let [text, bytes] = incompressible(roster.sites[at].engine, at * 10_000);
        for table in tables {
            for row in ["counted", "moved", "edited"] {
                roster.sql(at, &format!("INSERT INTO {table} VALUES ('{row} {at}', {text}, {bytes}, 1)"));
            }
        }
    }
    roster.settle_equal();
    let before = roster.rows(0, "document");
    for at in 0..sites {
        for table in tables {
            roster.sql(at, &format!("UPDATE {table} SET n = n + 1 WHERE k LIKE 'counted%'"));
            roster.sql(at, &format!("UPDATE {table} SET k = 'away {at}', n = 5 WHERE k = 'moved {at}'"));
            roster.sql(at, &format!("UPDATE {table} SET body = 'short now' WHERE k = 'edited {at}'"));
        }
        roster.settle_equal();
    }
    for table in tables {
        let after = roster.rows(0, table);
        assert_eq!(after.len(), before.len());
        for at in 0..sites {
            let row = |rows: &[crate::roster::Row], key: String| rows.iter().find(|row| row[0] == format!("{key:?}")).unwrap().clone();
            let (old, new) = (row(&before, format!("counted {at}")), row(&after, format!("counted {at}")));
            assert_eq!((&old[1], &old[2], format!("\"{}\"", 1 + sites)), (&new[1], &new[2], new[3].clone()), "{table}");
            let (old, new) = (row(&before, format!("moved {at}")), row(&after, format!("away {at}")));
            assert_eq!((&old[1], &old[2]), (&new[1], &new[2]), "{table}");
            let (old, new) = (row(&before, format!("edited {at}")), row(&after, format!("edited {at}")));
            assert_eq!((new[1].as_str(), &old[2]), ("\"short now\"", &new[2]), "{table}");
        }
    }
}

fn huge(roster: &Roster, at: usize) {
    let site = &roster.sites[at];
    let bytes = match site.engine {
        engine if engine.is_postgres() => format!("convert_to(repeat('0123456{at}', {}), 'UTF8')", HUGE_BYTES / 8),
        engine if engine.is_mysql_family() => format!("REPEAT('0123456{at}', {})", HUGE_BYTES / 8),
        _ => format!("CAST(replace(hex(zeroblob({})), '00', '0123456{at}') AS BLOB)", HUGE_BYTES / 8),
    };
    site.sql(&format!("INSERT INTO document VALUES ('huge {at}', 'x', {bytes}, 1)"));
    let length = format!("SELECT length(data) FROM document WHERE k = 'huge {at}'");
    for other in 0..roster.sites.len() {
        roster.wait_value(other, &length, &HUGE_BYTES.to_string());
    }
    // It is small to follow what happens beside a huge value, and the row can go again.
    roster.sql(at, &format!("UPDATE document SET n = 2 WHERE k = 'huge {at}'"));
    roster.settle_equal();
    roster.sql((at + 1) % roster.sites.len(), &format!("DELETE FROM document WHERE k = 'huge {at}'"));
}
