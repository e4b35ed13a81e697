//! SQLite: each call runs on a thread that may block, as the driver does.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::ValueRef;

use super::Cells;

/// As PHP's driver sets it for Backdrop and Drupal.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Connection(Arc<Mutex<rusqlite::Connection>>);

impl Connection {
    pub async fn open(path: &Path) -> Result<Connection, String> {
        let path = path.to_owned();
        let open = move || -> rusqlite::Result<rusqlite::Connection> {
            let db = rusqlite::Connection::open(path)?;
            db.busy_timeout(BUSY_TIMEOUT)?;
            db.pragma_update(None, "journal_mode", "wal")?;
            Ok(db)
        };
        let db = blocking(open).await?;
        Ok(Connection(Arc::new(Mutex::new(db))))
    }

    pub async fn begin(&mut self, mut statements: Vec<String>) -> Result<(), String> {
        statements.insert(0, "BEGIN IMMEDIATE".into());
        self.run(statements).await
    }

    pub async fn run(&mut self, statements: Vec<String>) -> Result<(), String> {
        let db = self.0.clone();
        blocking(move || {
            let db = db.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            statements.iter().try_for_each(|statement| db.prepare(statement)?.raw_execute().map(|_| ()))
        })
        .await
    }

    pub async fn rows(&mut self, query: String) -> Result<Vec<Cells>, String> {
        let db = self.0.clone();
        blocking(move || {
            let db = db.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut statement = db.prepare_cached(&query)?;
            let width = statement.column_count();
            let mut rows = statement.query([])?;
            let mut out = Vec::new();
            while let Some(row) = rows.next()? {
                out.push((0..width).map(|i| row.get_ref(i).map(text)).collect::<rusqlite::Result<Cells>>()?);
            }
            Ok(out)
        })
        .await
    }
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("the demo was stopped".into()),
    }
}
