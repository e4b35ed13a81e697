//! docs/tutorial.md, as a reader goes through it: every block of it is run in its order against two MariaDB servers, and what it
//! shows is compared with what comes.
//!
//! The blocks are run as they stand, with what the two machines of this test are instead of the reader's:
//!
//! - `-h db1.example.net` and `@db1.example.net/` become 127.0.0.2 with its server's port, `db2.example.net` 127.0.0.3; in what is
//!   printed they turn back, with port 3306.
//! - `/etc/rosterd`, `/etc/systemd`, `/var/lib/rosterd` and `/usr/local/bin/rosterd` are in a temporary folder, also in the configuration that
//!   `init` writes; `ROSTERD_CONFIG` says so to rosterd. Its status page is off, since another test may have its port.
//! - `~` has what the page asks for: the program where cargo puts it, and an administrator's account for the `mariadb` client.
//! - Servers are started with the settings of the `ini` blocks that name them.
//! - `systemctl` is done by this test, from the unit and its drop-in as the page installs them; `useradd`, `userdel` and `chgrp`, which
//!   are root's, do nothing.
//! - The block `rosterd run` goes on in the background, until the page says to press Ctrl-C.
//! - What only looks is repeated until it shows what the page shows, as a reader would; all else is run once.
//!
//! A block ends with exit code 0, or the one that a remark in it names. A `text` block is what the block before it prints, word by
//! word; `...` stands for any number of words.

#[path = "support/servers.rs"]
mod servers;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use servers::{Kind, Server};

/// The longest that anything of the page takes.
const STEP_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// The machines' names in the page, and their addresses here.
const HOSTS: [(&str, &str); 2] = [("db1.example.net", "127.0.0.2"), ("db2.example.net", "127.0.0.3")];
const PLACES: [&str; 4] = ["/etc/rosterd", "/etc/systemd", "/var/lib/rosterd", "/usr/local/bin/rosterd"];
/// Commands of rosterd that change nothing.
const LOOKING: [&str; 6] =
    ["rosterd status", "rosterd inspect", "rosterd conflicts show", "rosterd conflicts ", "rosterd verify", "rosterd check"];

enum Step {
    /// A block: language, text, the line that it begins at.
    Block(String, String, usize),
    /// The reader is told to press Ctrl-C.
    Interrupt,
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorial.md")).expect("the page is there")
}

fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut block) = (Vec::new(), None);
    for (at, line) in page.lines().enumerate() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((language.to_owned(), String::new(), at + 1)),
            (None, None) if line.contains("Press Ctrl-C") => steps.push(Step::Interrupt),
            (None, None) => {}
            (Some((_, text, _)), None) => *text += &format!("{line}\n"),
            (Some(_), Some(_)) => {
                let (language, text, at) = block.take().expect("it is open");
                steps.push(Step::Block(language, text, at));
            }
        }
    }
    assert!(block.is_none(), "a block does not end");
    steps
}

/// Whether `shown` is what was printed: word by word, where `...` stands for any number of words.
fn is_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.split_whitespace().collect(), printed.split_whitespace().collect());
    let parts: Vec<&[&str]> = shown.split(|word| *word == "...").collect();
    let mut rest = printed.as_slice();
    for (at, part) in parts.iter().enumerate() {
        let found = match (at == 0, at + 1 == parts.len()) {
            (true, true) => (rest == *part).then_some(0),
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => rest.ends_with(part).then(|| rest.len() - part.len()),
            (false, false) => (0..=rest.len().saturating_sub(part.len())).find(|from| rest[*from..].starts_with(part)),
        };
        let Some(from) = found else { return false };
        rest = &rest[from + part.len()..];
    }
    true
}

/// The exit code that a block names in a remark.
fn exit_code(block: &str) -> i32 {
    block.split_once("# exit code ").map_or(0, |(_, code)| code.trim().parse().expect("a number"))
}

fn only_looks(language: &str, block: &str) -> bool {
    let mut lines = block.lines().filter(|line| !line.starts_with("--"));
    match language {
        "sql" => lines.all(|line| line.starts_with("SELECT ")),
        _ => lines.all(|line| LOOKING.iter().any(|command| line.starts_with(command)) && !line.contains(" undo ")),
    }
}

/// The machine that the reader works at, and the two servers.
struct Reader {
    servers: Vec<Server>,
    /// What runs in the background, and since where its log has not been compared.
    daemon: Option<Child>,
    log_from: usize,
    root: tempfile::TempDir,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Reader {
    fn new(steps: &[Step]) -> Reader {
        let settings = |host: &str| -> Vec<String> {
            let block = steps.iter().find_map(|step| match step {
                Step::Block(language, text, _) if language == "ini" && text.starts_with(&format!("# {host}\n")) => Some(text),
                _ => None,
            });
            let lines = block.unwrap_or_else(|| panic!("no settings for {host}")).lines().filter_map(|line| line.split_once(" = "));
            lines.map(|(name, value)| format!("--{}={value}", name.replace('_', "-"))).collect()
        };
        let start = |(host, address): &(&str, &str)| {
            let mut options = settings(host);
            assert!(options.len() > 5, "the settings of {host} are not where they were: {options:?}");
            options.push(format!("--bind-address={address}"));
            Server::start_with(Kind::MariaDb118, &options.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let reader = Reader {
            servers: HOSTS.iter().map(start).collect(),
            daemon: None,
            log_from: 0,
            root: tempfile::Builder::new().prefix("rosterd-tutorial-").tempdir().expect("a temporary folder"),
        };
        for folder in ["etc/systemd/system", "var/lib", "usr/local/bin", "home/.cargo/bin", "root-only", "state"] {
            std::fs::create_dir_all(reader.path(folder)).expect("it can be made");
        }
        for (name, text) in [("useradd", "exit 0"), ("userdel", "[ \"$*\" = rosterd ]"), ("chgrp", "[ \"$1\" = rosterd ]")] {
            let script = reader.path("root-only").join(name);
            std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rosterd"), reader.path("home/.cargo/bin/rosterd")).expect("it can be made");
        std::fs::write(reader.path("home/.my.cnf"), "[client]\nuser=root\ndisable-ssl-verify-server-cert\n").expect("it can be written");
        reader
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// A block as it is run here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for ((host, address), server) in HOSTS.iter().zip(&self.servers) {
            text = text.replace(&format!("-h {host}"), &format!("-h {address} -P {}", server.port()));
            text = text.replace(&format!("@{host}/"), &format!("@{address}:{}/", server.port()));
        }
        for place in PLACES {
            text = text.replace(place, &format!("{}{place}", self.root.path().display()));
        }
        text
    }

    /// What was printed, as the reader sees it.
    fn there(&self, printed: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(printed).replace(&self.root.path().display().to_string(), "");
        for ((host, address), server) in HOSTS.iter().zip(&self.servers) {
            text = text.replace(&format!("{address}:{}", server.port()), &format!("{host}:3306"));
        }
        text
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let client = Kind::MariaDb118.home().join("bin");
        let path = [self.path("root-only"), self.path("usr/local/bin"), client].map(|folder| folder.display().to_string()).join(":");
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        command.env("HOME", self.path("home")).env("ROSTERD_CONFIG", self.path("etc/rosterd/rosterd.toml"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command
    }

    /// Runs commands as one shell would that is open all the time. Gives the exit code and what was printed.
    fn shell(&self, commands: &str) -> (i32, String, String) {
        let script = format!(
            "state={}; [ -e $state/shell ] && . $state/shell\ntrap '{{ export -p; umask -p; }} > $state/shell' EXIT\nset -e -o pipefail\n{}",
            self.path("state").display(),
            self.here(commands)
        );
        let seconds = STEP_MAX.as_secs().to_string();
        let output = self.command("timeout").args(["-k", "1", &seconds, "bash", "-c", &script]).output().expect("bash runs");
        self.configure();
        (output.status.code().unwrap_or(-1), self.there(&output.stdout), self.there(&output.stderr))
    }

    /// The configuration that has just been written names places of the reader's.
    fn configure(&self) {
        let path = self.path("etc/rosterd/rosterd.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { return };
        let theirs = "state_dir = \"/var/lib/rosterd\"";
        if text.contains(theirs) {
            std::fs::write(&path, text.replace(theirs, &format!("{}\nlisten = \"\"", self.here(theirs)))).expect("it can be written");
        }
    }

    fn sql(&self, block: &str) -> (i32, String, String) {
        let place = block.lines().next().and_then(|line| line.strip_prefix("-- at ")?.split_once(", in "));
        let (host, database) = place.expect("SQL begins with `-- at HOST, in DATABASE`");
        self.shell(&format!("mariadb --table -h {host} {database} <<'END'\n{block}\nEND"))
    }

    /// The commands of a block, those of systemd done here.
    fn commands(&mut self, block: &str) -> (i32, String, String) {
        if !block.contains("systemctl ") {
            return self.shell(block);
        }
        let (mut all, mut pending) = (String::new(), String::new());
        for line in block.lines() {
            let Some(what) = line.strip_prefix("systemctl ") else {
                pending += &format!("{line}\n");
                continue;
            };
            let (code, out, err) = self.shell(&std::mem::take(&mut pending));
            all += &out;
            if code != 0 {
                return (code, all, err);
            }
            self.systemctl(what);
        }
        let (code, out, err) = self.shell(&pending);
        (code, all + &out, err)
    }

    fn systemctl(&mut self, what: &str) {
        let folder = self.path("etc/systemd/system");
        let unit = || std::fs::read_to_string(folder.join("rosterd.service")).expect("the unit is installed");
        match what {
            "daemon-reload" => {}
            "enable --now rosterd" => {
                let begin =
                    unit().lines().find_map(|line| line.strip_prefix("ExecStart=").map(str::to_owned)).expect("it starts something");
                let credentials = self.credentials(&folder.join("rosterd.service.d/passwords.conf"));
                self.start(&begin, Some(&credentials));
            }
            "disable --now rosterd" => {
                unit();
                self.stop(libc::SIGTERM);
            }
            other => panic!("systemctl {other}: this test does not know how that is done"),
        }
    }

    /// A folder with the credentials that a drop-in names, as systemd makes it.
    fn credentials(&self, drop_in: &Path) -> PathBuf {
        let text = std::fs::read_to_string(drop_in).expect("the drop-in is installed");
        let folder = self.path("credentials");
        std::fs::create_dir(&folder).expect("it can be made");
        for credential in text.lines().filter_map(|line| line.strip_prefix("LoadCredential=")) {
            let (name, file) = credential.split_once(':').expect("NAME:FILE");
            std::fs::copy(file, folder.join(name)).expect("the file is there");
        }
        folder
    }

    fn start(&mut self, command: &str, credentials: Option<&Path>) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let log = File::options().create(true).append(true).open(self.path("log")).expect("it can be written");
        self.log_from = self.log().len();
        let mut child = self.command("bash");
        child.arg("-c").arg(format!("exec {}", self.here(command))).stdout(Stdio::null()).stderr(log);
        if let Some(folder) = credentials {
            child.env("CREDENTIALS_DIRECTORY", folder);
        }
        self.daemon = Some(child.spawn().expect("it starts"));
    }

    fn stop(&mut self, signal: i32) {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        // SAFETY: it has no preconditions.
        unsafe { libc::kill(daemon.id() as i32, signal) };
        let deadline = Instant::now() + STEP_MAX;
        let status = loop {
            if let Some(status) = daemon.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = daemon.kill();
                panic!("the daemon does not stop:\n{}", self.log());
            }
            std::thread::sleep(LOOK);
        };
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log());
    }

    /// Does a block, until what it prints is what the page shows.
    fn follow(&mut self, language: &str, block: &str, shown: Option<&str>, line: usize) {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            let (code, out, err) = match language {
                "sql" => self.sql(block),
                _ => self.commands(block),
            };
            let is_right = code == exit_code(block) && shown.is_none_or(|shown| is_shown(shown, &out));
            if is_right {
                return;
            }
            if !only_looks(language, block) || Instant::now() > deadline {
                panic!(
                    "docs/tutorial.md, line {line}:\n{block}\nexit code {code}\nprinted:\n{out}\n{err}\nthe page shows:\n{}\nthe daemon's log:\n{}",
                    shown.unwrap_or("nothing"),
                    self.log()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    fn wait_logged(&self, shown: &str, line: usize) {
        let deadline = Instant::now() + STEP_MAX;
        // The block shows some of its lines.
        let shown = format!("... {shown} ...");
        while !is_shown(&shown, &self.there(&self.log().as_bytes()[self.log_from..])) {
            assert!(Instant::now() < deadline, "docs/tutorial.md, line {line}: the daemon's log has not\n{shown}\nbut\n{}", self.log());
            std::thread::sleep(LOOK);
        }
    }

    fn rows(&self, host: usize, sql: &str) -> Vec<servers::TextRow> {
        self.servers[host].rows("mysql", sql)
    }
}

#[test]
fn the_tutorial_works_as_it_stands() {
    let page = page();
    let steps = steps(&page);
    let mut reader = Reader::new(&steps);
    let mut run = 0;
    let mut at = 0;
    while at < steps.len() {
        let shown = match steps.get(at + 1) {
            Some(Step::Block(language, text, _)) if language == "text" => Some(text.as_str()),
            _ => None,
        };
        match &steps[at] {
            Step::Interrupt => {
                reader.log_from = reader.log().len();
                reader.stop(libc::SIGINT);
                reader.wait_logged(shown.expect("the page shows how it stops"), 0);
            }
            Step::Block(language, ..) if language == "ini" => {}
            Step::Block(language, text, line) if language == "sh" && text == "rosterd run\n" => {
                reader.start("rosterd run", None);
                reader.wait_logged(shown.expect("the page shows what it says"), *line);
            }
            Step::Block(language, text, line) if language == "sh" || language == "sql" => {
                reader.follow(language, text, shown, *line);
            }
            Step::Block(language, _, line) => panic!("docs/tutorial.md, line {line}: nobody looks at a block of {language}"),
        }
        run += 1;
        at += 1 + usize::from(shown.is_some());
    }
    assert!(run > 30, "the page has only {run} steps");
    reader.leaves_nothing();
}

impl Reader {
    /// At the end of the page there is nothing of rosterd's left, and the people are.
    fn leaves_nothing(&self) {
        for place in PLACES.iter().filter(|place| **place != "/etc/systemd") {
            assert!(!self.root.path().join(&place[1..]).exists(), "{place} is left");
        }
        let units: Vec<_> = std::fs::read_dir(self.path("etc/systemd/system")).expect("it is there").collect();
        assert!(units.is_empty(), "{units:?}");
        for (host, (name, _)) in HOSTS.iter().enumerate() {
            let tables = self.rows(host, "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'rosterd%'");
            assert!(tables.is_empty(), "{tables:?} at {name}");
            assert!(self.rows(host, "SELECT user FROM mysql.user WHERE user = 'rosterd'").is_empty(), "the account is left at {name}");
        }
        let people = "SELECT uid, name, mail, timezone FROM {}.users WHERE uid > 1 ORDER BY uid";
        let hub = self.rows(0, &people.replace("{}", "main_db"));
        assert_eq!((hub.len(), &hub), (3, &self.rows(1, &people.replace("{}", "nj"))));
    }
}

/// `useradd` is not run here: what it would do is the same as elsewhere, for the account that the unit names.
#[test]
fn the_account_is_that_of_the_unit_and_of_the_other_documents() {
    let read = |file: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the file is there");
    let (page, unit) = (page(), read("config/rosterd.service"));
    let account = page.lines().find(|line| line.starts_with("useradd ")).expect("the page makes an account");
    assert!(read("docs/operating.md").contains(account), "docs/operating.md makes it otherwise than `{account}`");
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).expect("the unit has an account");
    assert_eq!(account.rsplit(' ').next(), Some(user));
}

#[test]
fn what_is_shown_is_compared_word_by_word() {
    assert!(is_shown("a b", " a\n  b\n") && is_shown("a ... d", "a b c d") && is_shown("... b\n...\nd", "a b c d"));
    assert!(is_shown("... b ...", "a b c") && is_shown("a ...", "a"));
    for (shown, printed) in [("a b", "a b c"), ("a c", "a b c"), ("... b", "a b c"), ("b ...", "a b c"), ("... c ... b ...", "a b c d")] {
        assert!(!is_shown(shown, printed), "{shown} is not {printed}");
    }
}
