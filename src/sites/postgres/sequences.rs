//! The sequences that number a table's columns, and how they are moved on behind numbers that come from other sites.

use tokio_postgres::{Client, Error, Row};

use super::connect::{ident, literal, qualified};
use super::errors::Fault;
use crate::model::{Class, SiteTable};
use crate::sites::Finding;

/// A sequence that numbers a column.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub column: String,
    pub schema: String,
    pub name: String,
    pub increment: i64,
    /// Numbers that a session draws at once and keeps.
    pub cache: i64,
    /// Our role may read and move it.
    pub may: bool,
    /// The site's own, where the column is a key that sites give out.
    pub class: Option<Class>,
}

/// Numbers drawn one by one in a lane's transaction, at most.
const STEPS_MAX: i64 = 10_000;
/// The same while we alone may set the sequence. So far above `STEPS_MAX` that a lane that draws meanwhile stays below what is set.
const STEPS_LOCKED_MAX: i64 = 100_000;
/// Numbers passed over when a sequence that is in use is brought into its class: applications draw on meanwhile.
const MARGIN_STEPS: i64 = 4;
/// The lock under which rosterd sets sequences of a database.
const LOCK: i64 = 0x726f_7374_6572_6471;

const OF_COLUMNS: &str = "SELECT a.attname, sn.nspname, s.relname, q.seqincrement, q.seqcache, \
    has_sequence_privilege(s.oid, 'UPDATE') AND has_sequence_privilege(s.oid, 'SELECT') \
    FROM (SELECT refobjid AS tbl, refobjsubid AS col, objid AS seq FROM pg_depend \
        WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') \
        UNION SELECT f.adrelid, f.adnum, d.refobjid FROM pg_attrdef f \
        JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass) u \
    JOIN pg_class t ON t.oid = u.tbl JOIN pg_namespace n ON n.oid = t.relnamespace \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = u.col \
    JOIN pg_class s ON s.oid = u.seq AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace \
    JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0 \
    WHERE n.nspname = $1 AND t.relname = $2";

const BY_NAME: &str = "SELECT $3::text, n.nspname, s.relname, q.seqincrement, q.seqcache, \
    has_sequence_privilege(s.oid, 'UPDATE') AND has_sequence_privilege(s.oid, 'SELECT') \
    FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0 \
    WHERE n.nspname = $1 AND s.relname = $2";

/// The sequences of a table's columns; that of its key is the one that the configuration names, if it names one.
pub(super) async fn find(client: &Client, table: &SiteTable) -> Result<Vec<Sequence>, Error> {
    let key = key_column(table);
    let read = |row: &Row| Sequence {
        column: row.get(0),
        schema: row.get(1),
        name: row.get(2),
        increment: row.get(3),
        cache: row.get(4),
        may: row.get(5),
        class: None,
    };
    let rows = client.query(OF_COLUMNS, &[&table.schema, &table.name]).await?;
    let of_key = |sequence: &Sequence| Some(sequence.column.as_str()) == key;
    let mut found: Vec<Sequence> = rows.iter().map(read).collect();
    if let (Some(allocation), Some(key)) = (table.allocation.as_ref(), key) {
        if let Some((schema, name)) = &allocation.sequence {
            found.retain(|sequence| !of_key(sequence));
            found.extend(client.query(BY_NAME, &[schema, name, &key]).await?.iter().map(read));
        }
        found.iter_mut().filter(|sequence| of_key(sequence)).for_each(|sequence| sequence.class = Some(allocation.class));
    }
    Ok(found)
}

pub(super) fn key_column(table: &SiteTable) -> Option<&str> {
    match table.table.key.as_slice() {
        [key] => table.columns.get(*key)?.as_ref().map(|column| column.name.as_str()),
        _ => None,
    }
}

impl Sequence {
    pub fn qualified(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    fn constant(&self) -> String {
        format!("{}::regclass", literal(&self.qualified()))
    }

    /// Draws on until the next number is above `$1`, if it is behind: drawing never takes back what a session has just drawn. Gives a
    /// row where drawing won't do: see [`set`]. All in one statement, which costs nothing when the sequence is far enough.
    pub fn advance(&self) -> String {
        let (name, constant) = (self.qualified(), self.constant());
        let in_class = self
            .class
            .map_or("true".to_owned(), |Class { offset, increment }| format!("step <> {increment} OR (next - {offset}) % {increment} = 0"));
        format!(
            "SELECT FROM (SELECT last_value + CASE WHEN is_called THEN seqincrement ELSE 0 END AS next, seqincrement AS step \
             FROM {name}, pg_sequence WHERE seqrelid = {constant}) s, LATERAL (SELECT ($1::bigint - next) / step + 1 AS behind) b \
             WHERE CASE WHEN NOT ({in_class}) THEN true WHEN next > $1::bigint THEN false WHEN behind <= {STEPS_MAX} \
             THEN (SELECT max(nextval({constant})) FROM generate_series(1, behind)) IS NULL ELSE true END"
        )
    }
}

/// What a sequence gives out next.
struct State {
    next: i64,
    step: i64,
    /// It has given out numbers since it was made or set.
    drawn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Stay,
    /// So many numbers are drawn.
    Step(i64),
    /// The next number is this one.
    Set(i64),
}

/// What brings a sequence into its class and above `highest`, and never back.
fn decide(state: &State, class: Option<Class>, highest: i64) -> Move {
    if let Some(class) = class
        && class.increment == state.step
        && !class.contains(state.next)
    {
        let margin = if state.drawn { MARGIN_STEPS * state.step } else { 0 };
        let least = highest.saturating_add(1).max(state.next.saturating_add(margin));
        return class.next_from(least).map_or(Move::Stay, Move::Set);
    }
    if state.next > highest {
        return Move::Stay;
    }
    let behind = (highest - state.next) / state.step + 1;
    match behind.checked_mul(state.step).and_then(|gap| state.next.checked_add(gap)) {
        Some(next) if behind > STEPS_LOCKED_MAX => Move::Set(next),
        Some(_) => Move::Step(behind),
        None => Move::Stay,
    }
}

/// Inside a transaction: brings the sequence above the table's highest key and `highest`, and into its class. Other sessions of ours
/// wait until the transaction ends; what applications draw meanwhile is below what is set, or of another class.
pub(super) async fn set(client: &Client, table: &SiteTable, sequence: &Sequence, highest: i64) -> Result<Move, Error> {
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let state = format!(
        "SELECT last_value + CASE WHEN is_called THEN seqincrement ELSE 0 END, seqincrement, is_called, \
         (SELECT max({})::bigint FROM {}) FROM {}, pg_sequence WHERE seqrelid = {}",
        ident(&sequence.column),
        qualified(&table.schema, &table.name),
        sequence.qualified(),
        sequence.constant()
    );
    let row = client.query_one(&state, &[]).await?;
    let state = State { next: row.get(0), step: row.get(1), drawn: row.get(2) };
    let highest = row.get::<_, Option<i64>>(3).unwrap_or(0).max(highest);
    let moved = decide(&state, sequence.class, highest);
    let constant = sequence.constant();
    match moved {
        Move::Stay => {}
        Move::Step(steps) => {
            client.execute(&format!("SELECT max(nextval({constant})) FROM generate_series(1, $1::bigint)"), &[&steps]).await?;
        }
        Move::Set(next) => {
            client.execute(&format!("SELECT setval({constant}, $1, false)"), &[&next]).await?;
        }
    }
    Ok(moved)
}

/// Brings the sequence of the table's key into the site's class and above the highest key. Gives what there is to be told.
pub(super) async fn align(client: &Client, table: &SiteTable) -> Result<Vec<Finding>, Error> {
    let mut told = Vec::new();
    for sequence in find(client, table).await?.iter().filter(|sequence| sequence.class.is_some()) {
        let (subject, name) = (format!("table {}", table.table.name), sequence.qualified());
        if !sequence.may {
            let text = format!("sequence {name} may not be moved by rosterd's account, and stays behind numbers of other sites");
            told.push(Finding::warning(subject, text, "`rosterd check` prints the statement"));
            continue;
        }
        if let Some(class) = sequence.class.filter(|class| class.increment != sequence.increment) {
            let text = format!("sequence {name} has INCREMENT BY {}, and leaves the numbers of this site ({class})", sequence.increment);
            told.push(Finding::warning(subject.clone(), text, "`rosterd check` prints the statement"));
        }
        client.batch_execute("BEGIN").await?;
        let moved = set(client, table, sequence, 0).await;
        match moved {
            Ok(moved) => {
                client.batch_execute("COMMIT").await?;
                if let Move::Set(next) = moved {
                    told.push(Finding::fine(subject, format!("sequence {name} goes on with {next}")));
                }
            }
            Err(error) => {
                let Some(fault) = Fault::of(&error) else { return Err(error) };
                client.batch_execute("ROLLBACK").await?;
                told.push(Finding::warning(
                    subject,
                    format!("sequence {name} was not moved: {}", fault.text()),
                    "`rosterd check` looks at it",
                ));
            }
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Option<Class> = Some(Class { offset: 3, increment: 10 });

    fn state(next: i64, step: i64) -> State {
        State { next, step, drawn: true }
    }

    #[test]
    fn a_sequence_in_its_class_draws_on_or_is_set_far_ahead() {
        assert_eq!(decide(&state(13, 10), OWN, 12), Move::Stay);
        assert_eq!(decide(&state(13, 10), OWN, 13), Move::Step(1));
        assert_eq!(decide(&state(13, 10), OWN, 502), Move::Step(49), "503 is next");
        assert_eq!(decide(&state(3, 10), OWN, 1_000_000), Move::Step(100_000));
        assert_eq!(decide(&state(3, 10), OWN, 1_000_003), Move::Set(1_000_013));
        assert_eq!(decide(&state(5, 1), None, 7), Move::Step(3), "a column without a class");
        assert_eq!(decide(&state(5, 1), OWN, 7), Move::Step(3), "a class can't be kept with this increment");
        assert_eq!(decide(&state(3, 10), OWN, i64::MAX), Move::Stay);
    }

    #[test]
    fn a_sequence_out_of_its_class_is_set_forward_into_it() {
        assert_eq!(decide(&State { next: 1, step: 10, drawn: false }, OWN, 0), Move::Set(3));
        assert_eq!(decide(&State { next: 1, step: 10, drawn: false }, OWN, 500), Move::Set(503));
        assert_eq!(decide(&state(501, 10), OWN, 480), Move::Set(543), "applications may draw 501 to 531 meanwhile");
        assert_eq!(decide(&state(501, 10), OWN, 9000), Move::Set(9003));
    }

    #[test]
    fn names_are_quoted_in_the_statement() {
        let sequence =
            Sequence { column: "id".into(), schema: "a b".into(), name: "it's".into(), increment: 10, cache: 1, may: true, class: OWN };
        let sql = sequence.advance();
        assert!(sql.contains("'\"a b\".\"it''s\"'::regclass") && sql.contains("FROM \"a b\".\"it's\""), "{sql}");
        assert!(sql.contains("(next - 3) % 10 = 0"), "{sql}");
    }
}
