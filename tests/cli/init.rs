//! `rosterd init` on SQLite files: what it writes, and what it refuses.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rosterd::config::Config;
use rusqlite::Connection;

const DRUPAL7: &str = "
    CREATE TABLE users (uid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, pass TEXT NOT NULL, mail TEXT, created INT NOT NULL DEFAULT 0,
        access INT NOT NULL DEFAULT 0, login INT NOT NULL DEFAULT 0, picture INT NOT NULL DEFAULT 0, data BLOB);
    CREATE TABLE sessions (uid INT NOT NULL, sid TEXT NOT NULL, ssid TEXT NOT NULL, timestamp INT NOT NULL DEFAULT 0, PRIMARY KEY (sid, ssid));
    CREATE TABLE role (rid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, weight INT NOT NULL DEFAULT 0);
    CREATE TABLE users_roles (uid INT NOT NULL, rid INT NOT NULL, PRIMARY KEY (uid, rid));
";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        for (name, prefix) in [("main", ""), ("kiosk", "k_")] {
            let tables = DRUPAL7.replace("TABLE ", &format!("TABLE {prefix}"));
            files.open(name).execute_batch(&format!("PRAGMA journal_mode = WAL; {tables}")).unwrap();
        }
        files
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, name: &str) -> Connection {
        Connection::open(self.folder().join(format!("{name}.db"))).unwrap()
    }

    /// Exit code, standard output, standard error; the command runs in the folder.
    fn init(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_rosterd")).arg("init").args(arguments).current_dir(self.folder()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

const SITES: [&str; 4] = ["--hub", "sqlite:main.db", "--client", "sqlite:kiosk.db"];

#[test]
fn init_writes_a_configuration_to_the_terminal_or_a_file_of_its_own() {
    let files = Files::new();
    let (code, out, err) = files.init(&SITES);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let config = Config::parse(&out, &files.folder().join("rosterd.toml")).unwrap_or_else(|error| panic!("{error}\n{out}"));
    let names: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!((names, config.sites[1].prefix.default.as_str()), (vec!["hub", "kiosk"], "k_"), "{out}");
    assert!(out.contains("preset = \"drupal7\"") && out.contains("docs/presets/drupal7.md"), "{out}");

    let to_file = [&SITES[..], &["--output", "rosterd.toml"]].concat();
    let (code, summary, _) = files.init(&to_file);
    assert!(code == 0 && summary.contains("rosterd --config rosterd.toml check"), "{summary}");
    let path = files.folder().join("rosterd.toml");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), out);
    let (code, _, err) = files.init(&to_file);
    assert!(code == 2 && err.contains("is there already") && err.contains("--force"), "{err}");
    std::fs::write(&path, "old").unwrap();
    assert_eq!(files.init(&[&to_file[..], &["--force"]].concat()).0, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), out);
    assert_eq!(
        std::fs::read_dir(files.folder())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml"))
            .count(),
        1
    );
}

#[test]
fn init_says_what_is_missing_and_what_it_can_not_use() {
    let files = Files::new();
    for (arguments, code, words) in [
        (vec!["--hub", "sqlite:main.db", "--client", "sqlite:none.db"], 3, ["none.db", "permissions"]),
        (vec!["--hub", "sqlite:main.db", "--client", "mysql://a:hunter2@127.0.0.1:1/x"], 3, ["site x", "; "]),
        (vec!["--hub", "sqlite:main.db", "--client", "mysq://a:hunter2@b/x"], 2, ["--client number 1", "did you mean `mysql`?"]),
        (
            vec!["--hub", "sqlite:main.db", "--client", "sqlite:./main.db", "--client", "sqlite:./main.db"],
            2,
            ["are the same database", "one site"],
        ),
        ([&SITES[..], &["--preset", "drupal"]].concat(), 2, ["no preset drupal", "drupal7"]),
        ([&SITES[..], &["--prefix", "nj=nj_"]].concat(), 2, ["--prefix is for a site nj", "hub, kiosk"]),
        (vec!["--hub", "sqlite:main.db"], 2, ["--client", "URL"]),
    ] {
        let (found, out, err) = files.init(&arguments);
        assert_eq!(found, code, "{arguments:?}: {err}");
        assert!(words.iter().all(|word| err.contains(word)) && !err.contains("hunter2") && out.is_empty(), "{arguments:?}: {out}{err}");
    }
    files.open("kiosk").execute_batch("DROP TABLE k_users_roles").unwrap();
    let (code, out, err) = files.init(&SITES);
    assert!(
        code == 1 && err.contains("to settle") && out.contains("kiosk, table users_roles: there is no table main.k_users_roles"),
        "{out}{err}"
    );
    files.open("main").execute_batch("DROP TABLE users_roles").unwrap();
    let (code, _, err) = files.init(&SITES);
    assert!(code == 2 && err.contains("--preset (backdrop, drupal7, drupal6, multisite-login, wordpress)"), "{err}");
}
