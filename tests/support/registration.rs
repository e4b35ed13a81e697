//! Registrations as Drupal 7 makes them: `MAX(uid)`, a number above it through the table `sequences`, then the row; and beside
//! it a row whose key the database numbers.

use crate::roster::{Session, Site};

/// A connection at a site through which people register.
pub struct Registrar {
    session: Session,
    postgres: bool,
    prefix: String,
}

pub struct Registered {
    pub uid: i64,
    pub account: i64,
    /// The sequence was behind, so that Drupal restarted it, in whichever class.
    pub restarted: bool,
}

/// Attempts of a registration that met a deadlock, as the page would be asked for again.
const ATTEMPTS_MAX: u32 = 50;

/// The site's own tables: `sequences`, and `account`, which the database numbers.
#[track_caller]
pub fn create_tables(site: &Site) {
    let p = &site.prefix;
    site.sql(&match site.engine.is_postgres() {
        true => format!(
            "CREATE TABLE {p}sequences (value SERIAL PRIMARY KEY, CHECK (value >= 0)); \
             CREATE TABLE {p}account (id SERIAL PRIMARY KEY, name VARCHAR(60) NOT NULL)"
        ),
        false => format!(
            "CREATE TABLE {p}sequences (value INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY); \
             CREATE TABLE {p}account (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60) NOT NULL)"
        ),
    });
}

impl Registrar {
    #[track_caller]
    pub fn new(site: &Site) -> Registrar {
        Registrar { session: site.session(), postgres: site.engine.is_postgres(), prefix: site.prefix.clone() }
    }

    /// One person's.
    #[track_caller]
    pub fn register(&mut self, name: &str) -> Registered {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.attempt(name) {
                Ok(registered) => return registered,
                Err(error) => {
                    // 1020: MariaDB 11.8 refuses to change what has changed since its transaction began.
                    let is_passing = error.to_lowercase().contains("deadlock") || error.contains("ERROR 1020");
                    assert!(is_passing, "{name} can't register: {error}");
                    last = error;
                    let unlock = if self.postgres { "; SELECT pg_advisory_unlock_all()" } else { "" };
                    self.session.sql(&format!("ROLLBACK{unlock}"));
                }
            }
        }
        panic!("{name} met a deadlock {ATTEMPTS_MAX} times: {last}");
    }

    fn attempt(&mut self, name: &str) -> Result<Registered, String> {
        let p = self.prefix.clone();
        self.session.try_rows("BEGIN")?;
        let highest = self.number(&format!("SELECT coalesce(max(uid), 0) FROM {p}users"))?;
        let (uid, restarted) = if self.postgres { self.next_id_postgres(highest)? } else { (self.next_id_mysql(highest)?, false) };
        self.session.try_rows(&format!("INSERT INTO {p}users (uid, name) VALUES ({uid}, '{name}')"))?;
        let account = if self.postgres {
            self.number(&format!("INSERT INTO {p}account (name) VALUES ('{name}') RETURNING id"))?
        } else {
            self.inserted(&format!("INSERT INTO {p}account (name) VALUES ('{name}')"))?
        };
        self.session.try_rows("COMMIT")?;
        if !self.postgres {
            self.clean_up();
        }
        Ok(Registered { uid, account, restarted })
    }

    fn number(&mut self, sql: &str) -> Result<i64, String> {
        let rows = self.session.try_rows(sql)?;
        let text = rows.first().and_then(|row| row.first().cloned().flatten()).ok_or_else(|| format!("nothing from {sql}"))?;
        text.parse().map_err(|_| format!("{text} from {sql}"))
    }

    fn inserted(&mut self, sql: &str) -> Result<i64, String> {
        self.session.try_rows(sql)?;
        self.number("SELECT LAST_INSERT_ID()")
    }

    fn next_id_mysql(&mut self, existing: i64) -> Result<i64, String> {
        let p = self.prefix.clone();
        let draw = format!("INSERT INTO {p}sequences () VALUES ()");
        let id = self.inserted(&draw)?;
        if existing < id {
            return Ok(id);
        }
        self.session.try_rows(&format!("INSERT INTO {p}sequences (value) VALUES ({existing}) ON DUPLICATE KEY UPDATE value = value"))?;
        self.inserted(&draw)
    }

    /// At the end of the page; what fails is left for the next.
    fn clean_up(&mut self) {
        let p = self.prefix.clone();
        if let Ok(highest) = self.number(&format!("SELECT max(value) FROM {p}sequences")) {
            let _ = self.session.try_rows(&format!("DELETE FROM {p}sequences WHERE value < {highest}"));
        }
    }

    /// Gives whether the sequence had to be restarted.
    fn next_id_postgres(&mut self, existing: i64) -> Result<(i64, bool), String> {
        let sequence = format!("{}sequences_value_seq", self.prefix);
        let draw = format!("SELECT nextval('{sequence}')");
        let id = self.number(&draw)?;
        if id > existing {
            return Ok((id, false));
        }
        self.session.try_rows("SELECT pg_advisory_lock(1000)")?;
        let mut id = self.number(&draw)?;
        let restarted = id <= existing;
        if restarted {
            self.session.try_rows(&format!("ALTER SEQUENCE {sequence} RESTART WITH {}", existing + 1))?;
            id = self.number(&draw)?;
        }
        self.session.try_rows("SELECT pg_advisory_unlock(1000)")?;
        Ok((id, restarted))
    }
}
