//! The admin socket: one request in JSON on a line, one answer on a line. Only the daemon's own account can open it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Name of the socket in the state directory.
pub const SOCKET_FILE: &str = "admin.sock";

const REQUEST_BYTES_MAX: u64 = 1 << 20;
/// How long a daemon that is alive may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// For answers under way when the daemon ends.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(1);
/// Pause after an error of the socket itself, which may be one of a full table of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What can be asked of a running daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    Inspect {
        table: String,
        key: String,
        values: bool,
    },
    Conflicts {
        table: Option<String>,
        limit: usize,
        values: bool,
    },
    /// One conflict, by its number.
    Conflict {
        number: i64,
        values: bool,
    },
    /// Puts back the values that lost a conflict.
    Undo {
        number: i64,
    },
    Quarantine,
    /// Lets a row that is held back go to its site again; `nj:17`.
    Retry {
        name: String,
    },
    /// Gives up a site's own row that stands apart: the merged row goes there.
    Discard {
        name: String,
    },
    /// A site's own row that stands apart goes everywhere.
    SiteWins {
        name: String,
    },
    /// Gives a site's own row that stands apart another key there; `go`: not only to be told what would be done.
    Rekey {
        name: String,
        to: Option<i64>,
        go: bool,
    },
    Pause {
        site: String,
    },
    Resume {
        site: String,
        /// What becomes of tables that have stopped: taken as they are there, or as the ledger has them; None: nothing.
        accept: Option<bool>,
    },
    /// Compares every table of the site with the ledger.
    Reconcile {
        site: String,
        restored: bool,
    },
    /// Reads the configuration again, and begins anew with it when nothing is wrong with it.
    Reload,
    /// Puts rows back as the ledger has them; `keys` as [`crate::model::Key::to_hex`] gives them.
    Repair {
        site: String,
        table: String,
        keys: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Fine(serde_json::Value),
    Refused(String),
}

/// Who answers: the daemon.
#[async_trait]
pub trait Operator: Send + Sync {
    /// The answer, or a sentence that says what was wrong with the request.
    async fn answer(&self, request: Request) -> Result<serde_json::Value, String>;
}

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("rosterd is not running on {0}")]
    NotRunning(PathBuf),
    #[error("the socket {0} can't be opened: run this as the account that rosterd runs as, or as root")]
    Forbidden(PathBuf),
    #[error("the daemon did not answer: {0}")]
    Broken(String),
    #[error("{0}")]
    Refused(String),
}

/// Opens the socket in `state_dir`. The caller holds the directory's lock: a socket that is there is left over.
pub fn listen(state_dir: &Path) -> std::io::Result<UnixListener> {
    let (path, new) = (state_dir.join(SOCKET_FILE), state_dir.join("admin.sock.new"));
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    // Private before anybody can find it under its name.
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, &path)?;
    Ok(listener)
}

/// Answers requests until `end` resolves. Then answers under way get a moment, and callers that only stay are left.
pub async fn serve(listener: UnixListener, operator: Arc<dyn Operator>, end: impl Future<Output = ()>) {
    let (ending, mut callers) = (watch::Sender::new(false), JoinSet::new());
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            () = &mut end => break,
            Some(_) = callers.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                callers.spawn(converse(stream, operator.clone(), ending.subscribe()));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin socket can't take a caller");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let _ = tokio::time::timeout(LAST_ANSWERS_MAX, callers.join_all()).await;
}

async fn converse(stream: UnixStream, operator: Arc<dyn Operator>, mut ending: watch::Receiver<bool>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        let mut limited = (&mut read).take(REQUEST_BYTES_MAX);
        let asked = tokio::select! {
            asked = limited.read_line(&mut line) => asked,
            _ = ending.wait_for(|ending| *ending) => return,
        };
        match asked {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => match operator.answer(request).await {
                Ok(value) => Answer::Fine(value),
                Err(text) => Answer::Refused(text),
            },
            Err(error) => Answer::Refused(format!("the daemon does not know this request: {error}; is it of another version?")),
        };
        let Ok(mut text) = serde_json::to_string(&answer) else { return };
        text.push('\n');
        if write.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Asks the daemon that works on `state_dir`.
pub async fn ask<T: DeserializeOwned>(state_dir: &Path, request: &Request) -> Result<T, Failure> {
    let path = state_dir.join(SOCKET_FILE);
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(Failure::Forbidden(path)),
        Err(_) => return Err(Failure::NotRunning(state_dir.to_path_buf())),
    };
    let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
    let mut text = serde_json::to_string(request).map_err(|error| broken(&error))?;
    text.push('\n');
    let exchange = async {
        stream.write_all(text.as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(&mut stream).read_line(&mut line).await?;
        std::io::Result::Ok(line)
    };
    let line = match tokio::time::timeout(ANSWER_MAX, exchange).await {
        Ok(line) => line.map_err(|error| broken(&error))?,
        Err(_) => return Err(Failure::Broken(format!("it has been silent for {} s", ANSWER_MAX.as_secs()))),
    };
    match serde_json::from_str(&line).map_err(|error| broken(&error))? {
        Answer::Fine(value) => serde_json::from_value(value).map_err(|error| broken(&error)),
        Answer::Refused(text) => Err(Failure::Refused(text)),
    }
}
