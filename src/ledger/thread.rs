//! The ledger's own thread: callers hand it work, and what has queued up meanwhile is committed together.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Error, Ledger, Result};

/// Work for the ledger: runs inside a transaction, answers after its commit.
struct Work {
    run: Run,
    /// The commit has to be on disk before the answer.
    durable: bool,
}

type Run = Box<dyn FnOnce(&mut Ledger) -> Result<Reply> + Send>;
type Reply = Box<dyn FnOnce(Result<()>) + Send>;

const GROUP_MAX: usize = 64;

/// Gives work to the ledger's thread. Clones share it; the thread ends when the last is gone.
#[derive(Clone)]
pub struct Handle {
    work: mpsc::Sender<Work>,
    pub path: Option<PathBuf>,
}

impl Handle {
    pub fn start(ledger: Ledger) -> Handle {
        let (work, inbox) = mpsc::channel();
        let path = ledger.path.clone();
        std::thread::Builder::new().name("ledger".into()).spawn(move || serve(ledger, &inbox)).expect("the system has a thread to give");
        Handle { work, path }
    }

    /// Runs `f` in a transaction of the ledger and waits until that is durable. Work of several callers may share the
    /// transaction: if the commit fails, or one of them, all of it is undone, and each caller gets an error.
    pub async fn call<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask(true, f).await
    }

    /// As [`Handle::call`], for what may be forgotten when the machine loses power, as it is found out again: it is on disk with the
    /// next durable commit at the latest. A crash of the daemon alone forgets nothing.
    pub async fn call_soon<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask(false, f).await
    }

    async fn ask<T: Send + 'static>(&self, durable: bool, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let run = Box::new(move |ledger: &mut Ledger| {
            let value = f(ledger);
            let reply: Reply = match value {
                Ok(value) => Box::new(move |committed| {
                    let _ = answer.send(committed.map(|()| value));
                }),
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return Err(Error::Ended);
                }
            };
            Ok(reply)
        });
        self.work.send(Work { run, durable }).map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)?
    }
}

fn serve(mut ledger: Ledger, inbox: &mpsc::Receiver<Work>) {
    while let Ok(first) = inbox.recv() {
        let group = std::iter::once(first).chain(inbox.try_iter()).take(GROUP_MAX).collect();
        let mut replies = Vec::new();
        let outcome = run(&mut ledger, group, &mut replies);
        if let Err(error) = &outcome {
            tracing::warn!(%error, "the ledger did not take a batch; it is read again");
            while let Err(error) = ledger.rollback() {
                tracing::error!(%error, "the ledger can't be read");
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        let text = outcome.err().map(|error| (matches!(error, Error::Full), error.to_string()));
        for reply in replies {
            reply(match &text {
                None => Ok(()),
                Some((true, _)) => Err(Error::Full),
                Some((false, text)) => Err(Error::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(1), Some(text.clone())))),
            });
        }
    }
}

fn run(ledger: &mut Ledger, group: Vec<Work>, replies: &mut Vec<Reply>) -> Result<()> {
    ledger.set_durable(group.iter().any(|work| work.durable))?;
    ledger.begin()?;
    for work in group {
        replies.push((work.run)(ledger)?);
    }
    ledger.commit()
}
