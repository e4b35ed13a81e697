//! The ledger's own thread: callers hand it work, and what has queued up meanwhile is committed together. A second thread takes commits
//! to the disk: while it waits there, the first goes on with what comes next, and one wait is enough for all that was committed before it.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Error, Ledger, Result};

/// Work for the ledger: runs inside a transaction, answers after its commit.
struct Work {
    run: Run,
    /// The commit has to be on disk before the answer.
    durable: bool,
    /// Nobody waits for it at a site: a copy, a backlog. What people wait for goes first.
    later: bool,
}

type Run = Box<dyn FnOnce(&mut Ledger) -> Result<Reply> + Send>;
type Reply = Box<dyn FnOnce(Result<()>) + Send>;

/// Works of one transaction, at most, and for how long more are added to it.
const GROUP_MAX: usize = 64;
const GROUP_TIME_MAX: Duration = Duration::from_millis(5);
/// Works preferred to one of a copy, at most.
const PREFERRED_MAX: usize = 4;

/// Gives work to the ledger's thread. Clones share it; the thread ends when the last is gone, or after [`Handle::put_away`].
#[derive(Clone)]
pub struct Handle {
    work: mpsc::Sender<Work>,
    pub path: Option<PathBuf>,
}

impl Handle {
    /// `lock`: kept until the ledger is closed, and nobody can write to it any more.
    pub fn start(ledger: Ledger, lock: Option<File>) -> Handle {
        let (work, inbox) = mpsc::channel();
        let path = ledger.path.clone();
        spawn("ledger", move || {
            serve(ledger, &inbox);
            drop(lock);
        });
        Handle { work, path }
    }

    /// Runs `f` in a transaction of the ledger and waits until that is durable. Work of several callers may share the
    /// transaction: if the commit fails, or one of them, all of it is undone, and each caller gets an error.
    pub async fn call<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask(true, false, f).await
    }

    /// As [`Handle::call`], for what copies and repairs do: other work goes first, and hardly waits for it.
    pub async fn call_later<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask(true, true, f).await
    }

    /// As [`Handle::call`], for what may be forgotten when the machine loses power, as it is found out again: it is on disk with the
    /// next durable commit at the latest. A crash of the daemon alone forgets nothing.
    pub async fn call_soon<T: Send + 'static>(&self, f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static) -> Result<T> {
        self.ask(false, false, f).await
    }

    /// As [`Handle::call_soon`] and [`Handle::call_later`].
    pub async fn call_soon_or_later<T: Send + 'static>(
        &self,
        later: bool,
        f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(false, later, f).await
    }

    /// The end: what is on its way into the file goes there, its log is emptied, and it is closed. Other work gets [`Error::Ended`].
    pub async fn put_away(&self) -> Result<()> {
        self.call(|ledger| {
            ledger.ends = true;
            ledger.write_gathered()
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        durable: bool,
        later: bool,
        f: impl FnOnce(&mut Ledger) -> Result<T> + Send + 'static,
    ) -> Result<T> {
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
        self.work.send(Work { run, durable, later }).map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)?
    }
}

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.into()).spawn(run).expect("the system has a thread to give");
}

fn serve(mut ledger: Ledger, inbox: &mpsc::Receiver<Work>) {
    let disk = Disk::start(ledger.log_path().as_deref());
    // Without the second thread, each commit waits by itself.
    while let Err(error) = ledger.set_durable(disk.waiting.is_none()) {
        tracing::error!(%error, "the ledger can't be written");
        std::thread::sleep(Duration::from_secs(1));
    }
    ledger.checkpoint_apart();
    let mut waiting = Waiting::default();
    while waiting.has_come(inbox) {
        let mut committed = Committed { replies: Vec::new(), durable: false };
        let Err(error) = run(&mut ledger, inbox, &mut waiting, &mut committed) else {
            if ledger.ends {
                ledger.empty_log();
                return disk.answer(committed);
            }
            disk.answer(committed);
            continue;
        };
        ledger.ends = false;
        tracing::warn!(%error, "the ledger did not take a batch; it is read again");
        while let Err(error) = ledger.rollback() {
            tracing::error!(%error, "the ledger can't be read");
            std::thread::sleep(Duration::from_secs(1));
        }
        let (full, text) = (matches!(error, Error::Full), error.to_string());
        for reply in committed.replies {
            reply(Err(match full {
                true => Error::Full,
                false => Error::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(1), Some(text.clone()))),
            }));
        }
    }
}

/// One transaction. Who waits for a commit does not wait for everything that comes meanwhile.
fn run(ledger: &mut Ledger, inbox: &mpsc::Receiver<Work>, waiting: &mut Waiting, committed: &mut Committed) -> Result<()> {
    let begun = Instant::now();
    ledger.begin()?;
    while committed.replies.len() < GROUP_MAX
        && begun.elapsed() < GROUP_TIME_MAX
        && let Some(work) = waiting.next(inbox)
    {
        committed.durable |= work.durable;
        committed.replies.push((work.run)(ledger)?);
    }
    ledger.commit()
}

/// Work that has come and has not begun.
#[derive(Default)]
struct Waiting {
    now: VecDeque<Work>,
    later: VecDeque<Work>,
    /// So many were preferred to one that waits.
    preferred: usize,
}

impl Waiting {
    /// Waits for work. False: there will be none.
    fn has_come(&mut self, inbox: &mpsc::Receiver<Work>) -> bool {
        if !self.now.is_empty() || !self.later.is_empty() {
            return true;
        }
        let first = inbox.recv();
        first.map(|work| self.put(work)).is_ok()
    }

    fn put(&mut self, work: Work) {
        if work.later { self.later.push_back(work) } else { self.now.push_back(work) }
    }

    /// What people wait for first, but of the rest one after so many.
    fn next(&mut self, inbox: &mpsc::Receiver<Work>) -> Option<Work> {
        inbox.try_iter().for_each(|work| self.put(work));
        let is_due = self.now.is_empty() || self.preferred >= PREFERRED_MAX;
        let later = if is_due { self.later.pop_front() } else { None };
        match later {
            Some(work) => {
                self.preferred = 0;
                Some(work)
            }
            None => {
                self.preferred = if self.later.is_empty() { 0 } else { self.preferred + 1 };
                self.now.pop_front()
            }
        }
    }
}

/// What has been committed and not been answered.
struct Committed {
    replies: Vec<Reply>,
    /// It has to be on disk before it is answered, and whatever was committed after it too: that may rest on it.
    durable: bool,
}

/// Takes commits to the disk and answers them, in their order.
struct Disk {
    waiting: Option<mpsc::Sender<Committed>>,
    /// Commits handed over and not answered.
    pending: Arc<AtomicUsize>,
}

impl Disk {
    /// `log`: the write-ahead log that holds the commits. None, or one that can't be opened: the ledger's thread waits for the disk itself.
    fn start(log: Option<&Path>) -> Disk {
        let pending = Arc::new(AtomicUsize::new(0));
        let Some(log) = log.and_then(|log| File::open(log).ok()) else { return Disk { waiting: None, pending } };
        let (waiting, committed) = mpsc::channel();
        let unanswered = pending.clone();
        spawn("ledger disk", move || to_disk(&log, &committed, &unanswered));
        Disk { waiting: Some(waiting), pending }
    }

    fn answer(&self, committed: Committed) {
        let waits = committed.durable || self.pending.load(Ordering::Acquire) > 0;
        match &self.waiting {
            Some(waiting) if waits => {
                self.pending.fetch_add(1, Ordering::AcqRel);
                // The thread ends after this sender only.
                let _ = waiting.send(committed);
            }
            _ => committed.replies.into_iter().for_each(|reply| reply(Ok(()))),
        }
    }
}

fn to_disk(log: &File, committed: &mpsc::Receiver<Committed>, pending: &AtomicUsize) {
    while let Ok(first) = committed.recv() {
        let all: Vec<Committed> = std::iter::once(first).chain(committed.try_iter()).collect();
        if all.iter().any(|committed| committed.durable)
            && let Err(error) = log.sync_data()
        {
            // What the system has failed to write it may have thrown away: only what is read from the disk again can be believed.
            tracing::error!(%error, "the ledger's disk has failed; rosterd ends, and goes on from what is on the disk when it is started again");
            std::process::exit(1);
        }
        for Committed { replies, .. } in all {
            replies.into_iter().for_each(|reply| reply(Ok(())));
            pending.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn committed(durable: bool, n: u32, answered: &Arc<Mutex<Vec<u32>>>) -> Committed {
        let answered = answered.clone();
        let reply: Reply = Box::new(move |result| {
            assert!(result.is_ok());
            answered.lock().unwrap().push(n);
        });
        Committed { replies: vec![reply], durable }
    }

    #[test]
    fn a_copy_neither_holds_up_others_nor_waits_for_ever() {
        let (sender, inbox) = mpsc::channel();
        let work = |later| Work { run: Box::new(|_| Ok(Box::new(|_| ()))), durable: false, later };
        for later in [true, true, false, false, false, false, false, false] {
            sender.send(work(later)).unwrap();
        }
        let mut waiting = Waiting::default();
        assert!(waiting.has_come(&inbox));
        let order: Vec<bool> = std::iter::from_fn(|| waiting.next(&inbox)).map(|work| work.later).collect();
        assert_eq!(order, [false, false, false, false, true, false, false, true]);
        drop(sender);
        assert!(!waiting.has_come(&inbox));
    }

    /// A commit that the disk did not take is not answered; the process ends. So this is one of its own.
    #[test]
    fn a_disk_that_fails_ends_the_daemon_before_anybody_is_answered() {
        const VARIABLE: &str = "ROSTERD_TEST_DISK_FAILS";
        const ANSWERED: i32 = 3;
        if std::env::var_os(VARIABLE).is_none() {
            let test = "ledger::thread::tests::a_disk_that_fails_ends_the_daemon_before_anybody_is_answered";
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let output = command.args(["--exact", test]).env(VARIABLE, "").output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
            return;
        }
        // There is no disk behind it: it takes what is written, and can't be synced.
        let disk = Disk::start(Some(Path::new("/dev/null")));
        disk.answer(Committed { replies: vec![Box::new(|_| std::process::exit(ANSWERED))], durable: true });
        std::thread::sleep(Duration::from_secs(30));
    }

    /// What was read from a commit that is not on disk yet must not get out before it.
    #[test]
    fn a_commit_is_answered_after_those_before_it() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let disk = Disk::start(Some(log.path()));
        let answered = Arc::new(Mutex::new(Vec::new()));
        for n in 0..300 {
            disk.answer(committed(n % 3 == 0, n, &answered));
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while answered.lock().unwrap().len() < 300 {
            assert!(std::time::Instant::now() < deadline, "not everything is answered");
            std::thread::yield_now();
        }
        assert!(answered.lock().unwrap().is_sorted());
        assert_eq!(disk.pending.load(Ordering::Acquire), 0);
    }
}
