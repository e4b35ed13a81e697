//! What is wrong with the databases or the ledger gets a sentence that names the site, the cause and the next step, and an exit code.
//! What is wrong with the configuration itself is tested in `config.rs`.

#[path = "support/servers.rs"]
mod servers;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use servers::{Kind, Server};

const DEADLINE: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

impl Folder {
    /// A hub and a client on SQLite with one table each, and the configuration `rosterd.toml`.
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for site in ["hub", "nj"] {
            folder.sql(site, "CREATE TABLE users (uid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)");
        }
        folder.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sql(&self, site: &str, sql: &str) {
        Connection::open(self.path(&format!("{site}.db"))).unwrap().execute_batch(sql).unwrap();
    }

    fn configure(&self, daemon: &str, sites: &[(&str, &str, &str)], rest: &str) {
        let mut text = format!("[daemon]\nstate_dir = \"state\"\nlisten = \"\"\nconnect_timeout_ms = 2000\n{daemon}\n");
        for (at, (name, url, more)) in sites.iter().enumerate() {
            let role = if at == 0 { "hub" } else { "client" };
            text += &format!("[[site]]\nname = \"{name}\"\nrole = \"{role}\"\nurl = \"{url}\"\n{more}\n");
        }
        std::fs::write(self.path("rosterd.toml"), text + rest).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(arguments).arg("--config").arg(self.path("rosterd.toml")).stdin(Stdio::null()).env_remove("NOTIFY_SOCKET");
        command
    }

    /// Runs a command to its end: exit code, and all that it printed with white space folded.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn expect(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let (found, text) = self.run(arguments);
        for word in words {
            assert!(text.contains(word), "{arguments:?} does not say {word:?}: {text}");
        }
        assert_eq!(found, code, "{arguments:?}: {text}");
    }

    /// Starts the daemon and waits until both sites have the row.
    fn start(&self) -> Running {
        let log = std::fs::File::create(self.path("run.log")).unwrap();
        Running(self.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn until(&self, running: &mut Running, what: &str, fact: impl Fn() -> bool) {
        let begun = Instant::now();
        while !fact() {
            let log = || std::fs::read_to_string(self.path("run.log")).unwrap_or_default();
            assert!(running.0.try_wait().unwrap().is_none(), "the daemon has ended before {what}: {}", log());
            assert!(begun.elapsed() < DEADLINE, "{what} does not happen: {}", log());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn count(&self, site: &str) -> i64 {
        let db = Connection::open(self.path(&format!("{site}.db"))).unwrap();
        db.busy_timeout(DEADLINE).unwrap();
        db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_table_without_a_key_is_refused() {
    let folder = Folder::new();
    folder.sql("hub", "CREATE TABLE notes (text TEXT)");
    folder.sql("nj", "CREATE TABLE notes (text TEXT)");
    folder.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"notes\"\n");
    folder.expect(&["run"], 2, &["hub", "notes", "no primary key", "ALTER TABLE"]);
}

#[test]
fn a_missing_table_and_a_missing_column_are_refused() {
    let folder = Folder::new();
    folder.sql("nj", "ALTER TABLE users RENAME COLUMN name TO login");
    folder.expect(&["run"], 2, &["nj", "users", "no column name", "exclude it"]);
    folder.sql("nj", "DROP TABLE users");
    folder.expect(&["run"], 2, &["nj", "no table main.users", "create it"]);
}

#[test]
fn a_ledger_of_another_configuration_is_refused() {
    let folder = Folder::new();
    let mut running = folder.start();
    folder.sql("hub", "INSERT INTO users VALUES (2, 'two')");
    folder.until(&mut running, "the row at nj", || folder.count("nj") == 1);
    drop(running);
    folder.configure("", &[("hub", "sqlite:hub.db", ""), ("ny", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
    folder.expect(&["run"], 2, &["it knows the site nj, which is not configured", "rosterd site remove nj"]);
    folder.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\nkey = [\"name\"]\n");
    folder.expect(&["run"], 2, &["the key of table users", "state_dir"]);
}

#[test]
fn damaged_newer_and_foreign_ledgers_are_refused() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("state")).unwrap();
    let ledger = folder.path("state/ledger.sqlite");
    std::fs::File::create(&ledger).unwrap().write_all(&[b'x'; 8192]).unwrap();
    folder.expect(&["run"], 2, &["ledger", "damaged", "backup"]);
    std::fs::remove_file(&ledger).unwrap();
    Connection::open(&ledger).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
    folder.expect(&["run"], 2, &["ledger", "another database"]);
    std::fs::remove_file(&ledger).unwrap();
    let db = Connection::open(&ledger).unwrap();
    db.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL); INSERT INTO meta VALUES ('format', 99)").unwrap();
    folder.expect(&["run"], 2, &["format 99", "newer rosterd"]);
}

#[test]
fn a_second_daemon_is_refused_and_told_who_is_there() {
    let folder = Folder::new();
    let mut running = folder.start();
    folder.sql("hub", "INSERT INTO users VALUES (2, 'two')");
    folder.until(&mut running, "the row at nj", || folder.count("nj") == 1);
    folder.expect(&["run"], 2, &["in use by another rosterd", "state_dir"]);
    // Another state directory, the same databases: the first daemon's lock at each site is met.
    let text = std::fs::read_to_string(folder.path("rosterd.toml")).unwrap();
    std::fs::write(folder.path("rosterd.toml"), text.replace("\"state\"", "\"state2\"")).unwrap();
    folder.expect(&["run"], 3, &["second daemon", "rosterd, process", &running.0.id().to_string()]);
}

#[test]
fn the_ledger_and_its_folder_are_the_daemon_users_alone() {
    let folder = Folder::new();
    let mut running = folder.start();
    folder.until(&mut running, "the admin socket", || folder.path("state/admin.sock").exists());
    for (name, mode) in [("state", 0o700), ("state/ledger.sqlite", 0o600), ("state/admin.sock", 0o600)] {
        let found = std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name} has mode {found:o}");
    }
}

#[test]
fn wrong_passwords_are_told_without_the_password() {
    for kind in [Kind::MariaDb1011, Kind::MySql97, Kind::Postgres15] {
        let server = Server::shared(kind);
        let folder = Folder::new();
        let database = server.create_database("bad");
        let account = format!("someone{}", std::process::id());
        match kind.is_postgres() {
            // Trust is how the test servers let everybody in, so what is wrong there is the account.
            true => {}
            false => server.sql(&database, &format!("CREATE USER {account} IDENTIFIED BY 'right'")),
        }
        let url = server.url(&database).replace("//root@", &format!("//{account}@")).replace("//postgres@", "//nobody_here@");
        std::fs::write(folder.path("secret"), "wrong-password").unwrap();
        std::fs::set_permissions(folder.path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
        folder.configure("", &[("hub", &url, "password_file = \"secret\""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
        let (code, text) = folder.run(&["run"]);
        assert_eq!(code, 2, "{}: {text}", kind.name());
        assert!(text.contains("check user") && !text.contains("wrong-password"), "{}: {text}", kind.name());
    }
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    for kind in [Kind::MariaDb1011, Kind::Postgres15] {
        let folder = Folder::new();
        let server = Server::shared(kind);
        let url = server.url(&server.create_database("tls"));
        folder.configure("", &[("hub", &url, "tls = \"verify-full\""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
        let (code, text) = folder.run(&["run"]);
        assert_eq!(code, 2, "{}: {text}", kind.name());
        assert!(text.contains("TLS") && text.contains("set tls = \"off\""), "{}: {text}", kind.name());
    }
}

#[test]
fn a_host_that_does_not_answer_is_given_up_in_time() {
    // It takes connections and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["mysql", "postgres"] {
        let folder = Folder::new();
        let url = format!("{scheme}://rosterd@127.0.0.1:{port}/roster");
        folder.configure("", &[("hub", &url, ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
        let begun = Instant::now();
        folder.expect(&["run"], 3, &["hub", "127.0.0.1", "answer within 2"]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{scheme} took {:?}", begun.elapsed());
    }
}

#[test]
fn a_database_that_takes_no_writes_is_told() {
    let server = Server::start_with(Kind::MariaDb1011, &["--read-only=1"]);
    let database = server.create_database("ro");
    server.sql(&database, "CREATE TABLE users (uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE) ENGINE=InnoDB");
    let folder = Folder::new();
    folder.configure("", &[("hub", &server.url(&database), ""), ("nj", "sqlite:nj.db", "")], "[[table]]\nname = \"users\"\n");
    folder.expect(&["check"], 1, &["hub", "read_only"]);
}
