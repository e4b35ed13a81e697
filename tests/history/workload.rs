//! Applications at every site, each transaction with a note of what it saw: registrations, edits, logins, page views, logouts, blocks,
//! deletes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::checker::{Act, Cells, Column, OF, RowName, Write};
use crate::roster::{ColumnKind::Plain, Roster, Session, Site, Table, wait_for};
use crate::seeded::Seeded;

pub const ACCOUNT: Table = Table::new(
    "account",
    "uid INT PRIMARY KEY, mail VARCHAR(40) NOT NULL, city VARCHAR(40) NOT NULL, status VARCHAR(40) NOT NULL, seen BIGINT NOT NULL",
    &[("uid", Plain), ("mail", Plain), ("city", Plain), ("status", Plain), ("seen", Plain)],
);
pub const PROFILE: Table = Table::new("profile", "uid INT PRIMARY KEY, bio VARCHAR(40) NOT NULL", &[("uid", Plain), ("bio", Plain)]);
/// `whose`: the account, and which status of the account its maker had seen.
pub const SESSION: Table = Table::new(
    "session",
    "sid VARCHAR(40) PRIMARY KEY, uid INT NOT NULL, whose VARCHAR(60) NOT NULL, stamp BIGINT NOT NULL",
    &[("sid", Plain), ("uid", Plain), ("whose", Plain), ("stamp", Plain)],
);

/// An application's pause between two transactions, at most.
const PACE_MS: usize = 12;
/// Accounts that everybody works on.
const POPULAR: usize = 12;

/// What all clients have in common.
pub struct Town {
    pub stop: AtomicBool,
    /// Numbers of transactions: no value is written twice.
    next: AtomicU64,
    pub committed: AtomicU64,
    /// By site: how far its clock is off, in seconds.
    pub clocks: Vec<AtomicI64>,
    uids: Mutex<Vec<i64>>,
    sids: Mutex<Vec<String>>,
}

impl Town {
    pub fn new(sites: usize) -> Arc<Town> {
        Arc::new(Town {
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            committed: AtomicU64::new(0),
            clocks: (0..sites).map(|_| AtomicI64::new(0)).collect(),
            uids: Mutex::default(),
            sids: Mutex::default(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics here")
}

/// Creates and shares the tables, by the rules that the presets have for such tables.
pub fn prepare(roster: &mut Roster) {
    roster.share(ACCOUNT, "insert = \"quarantine\"\nurgent = true\nconflict = { seen = \"max\" }\ndelete = \"delete-wins\"");
    roster.share(PROFILE, "insert = \"merge\"\nreferences = { uid = \"account.uid\" }");
    roster.share(
        SESSION,
        "insert = \"merge\"\nurgent = true\nconflict = { stamp = \"max\" }\ndelete = \"delete-wins\"\nreferences = { uid = \"account.uid\" }",
    );
    for site in &roster.sites {
        // Local: which transactions committed, for those whose answer was lost.
        site.sql("CREATE TABLE journal (op BIGINT PRIMARY KEY); CREATE INDEX session_uid ON session (uid)");
    }
}

/// One application's connection.
pub struct Client {
    at: usize,
    site: Site,
    session: Session,
    random: Seeded,
    town: Arc<Town>,
    writes: Vec<Write>,
}

/// A transaction under way.
struct Turn {
    op: u64,
    writes: Vec<Write>,
    new_uid: Option<i64>,
    new_sid: Option<String>,
}

impl Client {
    pub fn new(roster: &Roster, at: usize, random: Seeded, town: &Arc<Town>) -> Client {
        let site = roster.sites[at].clone();
        let session = site.session();
        Client { at, site, session, random, town: town.clone(), writes: Vec::new() }
    }

    /// Works until it is stopped; gives everything that has been committed.
    pub fn run(mut self) -> Vec<Write> {
        while !self.town.stop.load(Ordering::Relaxed) {
            let op = self.town.next.fetch_add(1, Ordering::Relaxed);
            let mut turn = Turn { op, writes: Vec::new(), new_uid: None, new_sid: None };
            let committed = match self.transaction(&mut turn) {
                Ok(done) => done,
                Err(_) => self.ask_again(op),
            };
            if committed {
                self.take(turn);
            }
            std::thread::sleep(Duration::from_millis(self.random.below(PACE_MS) as u64));
        }
        self.writes
    }

    fn take(&mut self, turn: Turn) {
        self.town.committed.fetch_add(1, Ordering::Relaxed);
        self.writes.extend(turn.writes);
        lock(&self.town.uids).extend(turn.new_uid);
        lock(&self.town.sids).extend(turn.new_sid);
    }

    /// After an error it is not known whether the transaction was committed: the site's journal says.
    fn ask_again(&mut self, op: u64) -> bool {
        let mut committed = false;
        let answered = wait_for(|| {
            self.session = match self.site.try_session() {
                Ok(session) => session,
                Err(error) => return Some(error),
            };
            match self.session.try_rows(&format!("SELECT op FROM journal WHERE op = {op}")) {
                Ok(rows) => committed = !rows.is_empty(),
                Err(error) => return Some(error),
            }
            None
        });
        answered.unwrap_or_else(|last| panic!("{} does not answer: {last}", self.site.name));
        committed
    }

    /// Gives whether something was committed; an error leaves that open.
    fn transaction(&mut self, turn: &mut Turn) -> Result<bool, String> {
        self.set_clock()?;
        self.session.try_rows(if self.site.engine.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
        let did = match self.random.below(100) {
            0..12 => self.register(turn)?,
            12..42 => self.edit(turn)?,
            42..57 => self.edit_profile(turn)?,
            57..74 => self.log_in(turn)?,
            74..87 => self.view_page(turn)?,
            87..92 => self.log_out(turn)?,
            92..96 => self.block(turn)?,
            _ => self.delete_account(turn)?,
        };
        if !did {
            self.session.try_rows("ROLLBACK")?;
            return Ok(false);
        }
        self.session.try_rows(&format!("INSERT INTO journal VALUES ({})", turn.op))?;
        self.session.try_rows("COMMIT")?;
        Ok(true)
    }

    /// MySQL and MariaDB let a session say what time it is; the others have the machine's only.
    fn set_clock(&mut self) -> Result<(), String> {
        if self.site.engine.is_mysql_family() {
            let off = self.town.clocks[self.at].load(Ordering::Relaxed);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
            let time = if off == 0 { "DEFAULT".to_owned() } else { (now + off).to_string() };
            self.session.try_rows(&format!("SET timestamp = {time}"))?;
        }
        Ok(())
    }

    /// The first row of a query, held until the end of the transaction.
    fn held(&mut self, query: &str) -> Result<Vec<Vec<String>>, String> {
        let lock = if self.site.engine.is_sqlite() { "" } else { " FOR UPDATE" };
        let rows = self.session.try_rows(&format!("{query}{lock}"))?;
        Ok(rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect())
    }

    fn run_sql(&mut self, sql: &str) -> Result<(), String> {
        self.session.try_rows(sql).map(drop)
    }

    /// One of the popular accounts, or any.
    fn some_uid(&mut self) -> Option<i64> {
        let uids = lock(&self.town.uids).clone();
        let among = if self.random.chance(70) { &uids[uids.len().saturating_sub(POPULAR)..] } else { &uids[..] };
        if among.is_empty() { None } else { Some(among[self.random.below(among.len())]) }
    }

    fn account(&mut self, uid: i64) -> Result<Option<Cells>, String> {
        let row = self.held(&format!("SELECT mail, city, status, seen FROM account WHERE uid = {uid}"))?.pop();
        Ok(row.map(|row| cells(["mail", "city", "status", "seen"], row)))
    }

    fn note(&self, turn: &mut Turn, table: &'static str, key: impl ToString, act: Act) {
        turn.writes.push(Write { site: self.at, row: RowName { table, key: key.to_string() }, act });
    }

    fn register(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let (op, uid) = (turn.op, turn.op as i64 * 10 + self.at as i64);
        self.run_sql(&format!("INSERT INTO account VALUES ({uid}, 'mail-{op}', 'city-{op}', 'open-{op}', {op})"))?;
        self.run_sql(&format!("INSERT INTO profile VALUES ({uid}, 'bio-{op}')"))?;
        let new =
            [("mail", format!("mail-{op}")), ("city", format!("city-{op}")), ("status", format!("open-{op}")), ("seen", op.to_string())];
        self.note(turn, "account", uid, Act::Insert(new.into()));
        self.note(turn, "profile", uid, Act::Insert([("bio", format!("bio-{op}"))].into()));
        turn.new_uid = Some(uid);
        Ok(true)
    }

    /// Writes columns of a row that is held.
    fn change(
        &mut self,
        turn: &mut Turn,
        row: (&'static str, &'static str, String),
        saw: &Cells,
        to: &[(Column, String)],
    ) -> Result<(), String> {
        let (table, key, value) = row;
        let set: Vec<String> = to.iter().map(|(column, tag)| format!("{column} = '{tag}'")).collect();
        self.run_sql(&format!("UPDATE {table} SET {} WHERE {key} = '{value}'", set.join(", ")))?;
        let changed: BTreeMap<_, _> = to.iter().map(|(column, tag)| (*column, (saw[column].clone(), tag.clone()))).collect();
        self.note(turn, table, value, Act::Change(changed));
        Ok(())
    }

    fn edit(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some(uid) = self.some_uid() else { return Ok(false) };
        let Some(saw) = self.account(uid)? else { return Ok(false) };
        let all = [("mail", format!("mail-{}", turn.op)), ("city", format!("city-{}", turn.op))];
        let some = [&all[..], &all[..1], &all[1..]][self.random.below(3)];
        self.change(turn, ("account", "uid", uid.to_string()), &saw, some)?;
        Ok(true)
    }

    fn edit_profile(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some(uid) = self.some_uid() else { return Ok(false) };
        let Some(row) = self.held(&format!("SELECT bio FROM profile WHERE uid = {uid}"))?.pop() else { return Ok(false) };
        let to = [("bio", format!("bio-{}", turn.op))];
        self.change(turn, ("profile", "uid", uid.to_string()), &cells(["bio"], row), &to)?;
        Ok(true)
    }

    fn log_in(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some(uid) = self.some_uid() else { return Ok(false) };
        let Some(saw) = self.account(uid)?.filter(|saw| saw["status"].starts_with("open")) else { return Ok(false) };
        let (op, of) = (turn.op, format!("{uid}@{}", saw["status"]));
        let sid = format!("s{op}");
        self.run_sql(&format!("INSERT INTO session VALUES ('{sid}', {uid}, '{of}', {op})"))?;
        self.note(turn, "session", &sid, Act::Insert([(OF, of), ("stamp", op.to_string())].into()));
        self.change(turn, ("account", "uid", uid.to_string()), &saw, &[("seen", op.to_string())])?;
        turn.new_sid = Some(sid);
        Ok(true)
    }

    fn session(&mut self) -> Result<Option<(String, Cells)>, String> {
        let sids = lock(&self.town.sids).clone();
        if sids.is_empty() {
            return Ok(None);
        }
        let sid = sids[sids.len() - 1 - self.random.below(sids.len().min(3 * POPULAR))].clone();
        let row = self.held(&format!("SELECT whose, stamp FROM session WHERE sid = '{sid}'"))?.pop();
        Ok(row.map(|row| (sid, cells([OF, "stamp"], row))))
    }

    fn view_page(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some((sid, saw)) = self.session()? else { return Ok(false) };
        let to = [("stamp", turn.op.to_string())];
        self.change(turn, ("session", "sid", sid), &saw, &to)?;
        Ok(true)
    }

    fn log_out(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some((sid, saw)) = self.session()? else { return Ok(false) };
        self.delete_sessions(turn, vec![(sid, saw)])?;
        Ok(true)
    }

    fn sessions_of(&mut self, uid: i64) -> Result<Vec<(String, Cells)>, String> {
        let rows = self.held(&format!("SELECT sid, whose, stamp FROM session WHERE uid = {uid}"))?;
        Ok(rows.into_iter().map(|mut row| (row.remove(0), cells([OF, "stamp"], row))).collect())
    }

    fn delete_sessions(&mut self, turn: &mut Turn, sessions: Vec<(String, Cells)>) -> Result<(), String> {
        for (sid, saw) in sessions {
            self.run_sql(&format!("DELETE FROM session WHERE sid = '{sid}'"))?;
            self.note(turn, "session", sid, Act::Delete(saw));
        }
        Ok(())
    }

    /// Or unblocks.
    fn block(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some(uid) = self.some_uid() else { return Ok(false) };
        let Some(saw) = self.account(uid)? else { return Ok(false) };
        let to = if saw["status"].starts_with("open") { "blocked" } else { "open" };
        self.change(turn, ("account", "uid", uid.to_string()), &saw, &[("status", format!("{to}-{}", turn.op))])?;
        if to == "blocked" {
            let sessions = self.sessions_of(uid)?;
            self.delete_sessions(turn, sessions)?;
        }
        Ok(true)
    }

    fn delete_account(&mut self, turn: &mut Turn) -> Result<bool, String> {
        let Some(uid) = self.some_uid() else { return Ok(false) };
        let Some(saw) = self.account(uid)? else { return Ok(false) };
        let sessions = self.sessions_of(uid)?;
        self.delete_sessions(turn, sessions)?;
        if let Some(row) = self.held(&format!("SELECT bio FROM profile WHERE uid = {uid}"))?.pop() {
            self.run_sql(&format!("DELETE FROM profile WHERE uid = {uid}"))?;
            self.note(turn, "profile", uid, Act::Delete(cells(["bio"], row)));
        }
        self.run_sql(&format!("DELETE FROM account WHERE uid = {uid}"))?;
        self.note(turn, "account", uid, Act::Delete(saw));
        Ok(true)
    }
}

pub fn cells<const N: usize>(columns: [Column; N], row: Vec<String>) -> Cells {
    assert_eq!(row.len(), N, "no value is NULL");
    columns.into_iter().zip(row).collect()
}
