//! The ledger's side of checksums: stretch by stretch of a table, made while the sites are asked for theirs of the one before.

use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use crate::capture::lock;
use crate::ledger::{self, Ledger};
use crate::model::{Stretch, Sum, TableId};

/// Rows of a stretch, about.
const ROWS: usize = 5000;
/// And bytes of their text, which a database has in memory.
const BYTES: usize = 4 << 20;

/// A stretch of a table with the ledger's sums of it, in the order of the choices of columns. None: they can't be told.
pub struct Summed {
    pub stretch: Stretch,
    sums: Option<Vec<Sum>>,
}

type Found = ledger::Result<Summed>;

/// The sums of one table for all sites.
pub struct Sums {
    ledger: Arc<Mutex<Ledger>>,
    table: TableId,
    /// The columns that sites have; most often all have the same.
    choices: Arc<Vec<Vec<usize>>>,
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    all: Vec<Arc<Summed>>,
    next: Option<JoinHandle<Found>>,
}

impl Summed {
    /// Of these columns.
    pub fn of(&self, choice: usize) -> Option<Sum> {
        self.sums.as_ref().and_then(|sums| sums.get(choice)).copied()
    }
}

impl Sums {
    pub fn new(ledger: Arc<Mutex<Ledger>>, table: TableId, mut choices: Vec<Vec<usize>>) -> Sums {
        choices.sort_unstable();
        choices.dedup();
        Sums { ledger, table, choices: Arc::new(choices), known: tokio::sync::Mutex::default() }
    }

    /// The number of a choice of columns. None: no site was said to have it.
    pub fn choice(&self, columns: &[usize]) -> Option<usize> {
        self.choices.iter().position(|choice| choice == columns)
    }

    /// The stretch of that number. None: there are not as many.
    pub async fn get(&self, number: usize) -> ledger::Result<Option<Arc<Summed>>> {
        let mut known = self.known.lock().await;
        while known.all.len() <= number {
            let after = match known.all.last().map(|last| last.stretch.upto) {
                None => None,
                Some(Some(upto)) => Some(upto),
                Some(None) => return Ok(None),
            };
            let next = known.next.take().unwrap_or_else(|| self.begin(after));
            let found = next.await.map_err(|_| ledger::Error::Ended)??;
            known.next = found.stretch.upto.map(|upto| self.begin(Some(upto)));
            known.all.push(Arc::new(found));
        }
        Ok(Some(known.all[number].clone()))
    }

    fn begin(&self, after: Option<i64>) -> JoinHandle<Found> {
        let (ledger, table, choices) = (self.ledger.clone(), self.table, self.choices.clone());
        tokio::task::spawn_blocking(move || {
            let ledger = lock(&ledger);
            let (stretch, sums) = ledger.at_once(|| ledger.sum(table, &choices, after, (ROWS, BYTES)))?;
            Ok(Summed { stretch, sums })
        })
    }
}
