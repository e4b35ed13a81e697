//! Three sites with an application's tables, and the configuration that `rosterd init` writes for them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::roster::{ColumnKind, Engine, Roster, Site, Table, names};

/// A shared table, which of its rows are shared, and columns that are not.
pub type Shared = (&'static str, &'static str, &'static [&'static str]);

/// The hub on MariaDB, and clients on PostgreSQL and MariaDB.
pub const ENGINES: [Engine; 3] = [Engine::MariaDb1011, Engine::Postgres15, Engine::MariaDb1011];

pub struct Stage {
    pub roster: Roster,
    presets: Vec<&'static str>,
}

impl Stage {
    /// Databases with the tables of `presets`, under a prefix at each site; one with a `.` is a schema in PostgreSQL.
    pub fn new(presets: &[&'static str], prefixes: [&str; 3]) -> Stage {
        let folder = tempfile::Builder::new().prefix("rosterd-presets-").tempdir().expect("a temporary folder");
        let mut sites = Vec::new();
        for ((engine, name), prefix) in ENGINES.into_iter().zip(names(3)).zip(prefixes) {
            let mut site = Site::create(engine, &name, folder.path());
            site.prefix = prefix.into();
            if let Some((schema, _)) = prefix.split_once('.') {
                site.sql(&format!("CREATE SCHEMA {schema}"));
            }
            for preset in presets {
                site.sql(&schema(preset, &site));
            }
            sites.push(site);
        }
        Stage { roster: Roster::of(sites, folder), presets: presets.to_vec() }
    }

    /// SQL of the application: names in braces get the site's prefix.
    pub fn sql(&self, at: usize, text: &str) {
        self.roster.sql(at, &self.prefixed(at, text));
    }

    pub fn prefixed(&self, at: usize, text: &str) -> String {
        text.replace('{', &self.roster.sites[at].prefix).replace('}', "")
    }

    pub fn value(&self, at: usize, query: &str) -> Option<String> {
        self.roster.value(at, &self.prefixed(at, query))
    }

    /// Where PostgreSQL has to log whole rows, since they are not told by their primary key: `init` and `check` say so.
    pub fn log_whole_rows(&self, text: &str, table: &str) {
        let (schema, prefix) = self.roster.sites[1].prefix.split_once('.').unwrap_or(("public", &self.roster.sites[1].prefix));
        let statement = format!("ALTER TABLE \"{schema}\".\"{prefix}{table}\" REPLICA IDENTITY FULL");
        assert!(text.contains(&format!("#   {}: {statement}\n", self.roster.sites[1].name)), "{statement} is not in\n{text}");
        self.roster.sql(1, &statement);
    }

    /// Demands that a query gives the same first value at every site.
    #[track_caller]
    pub fn everywhere(&self, query: &str, expected: &str) {
        for at in 0..self.roster.sites.len() {
            assert_eq!(self.value(at, query).as_deref(), Some(expected), "{query} at {}", self.roster.sites[at].name);
        }
    }

    /// What `init` says and the file that it writes. The PostgreSQL site gets a password that the server does not ask for.
    pub fn init(&self, more: &[&str]) -> (Printed, String) {
        let path = self.roster.folder().join("init.toml");
        let mut arguments: Vec<String> =
            ["init", "--output", path.to_str().unwrap(), "--state-dir", "state", "--force"].map(str::to_owned).into();
        for (at, site) in self.roster.sites.iter().enumerate() {
            let option = if at == 0 { "--hub" } else { "--client" };
            let url = site.url().replace("postgres@", "postgres:correct%20horse@");
            arguments.extend([option.to_owned(), format!("{}={url}", site.name)]);
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let printed = rosterd(&arguments);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(!text.contains("correct"), "a password was written down:\n{text}");
        (printed, text)
    }

    /// Takes what `init` wrote, and has `check` prove it.
    pub fn prove(&mut self, text: &str) {
        let preset: Vec<String> = self.presets.iter().map(|name| format!("{name:?}")).collect();
        let preset = if let [one] = preset.as_slice() { one.clone() } else { format!("[{}]", preset.join(", ")) };
        assert!(text.contains(&format!("\npreset = {preset}\n")), "{text}");
        let secret = self.roster.folder().join(format!("{}.password", self.roster.sites[1].name));
        std::fs::write(&secret, "correct horse\n").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = text.replacen("\n[daemon]\n", "\n[daemon]\nlisten = \"\"\n", 1) + &self.numbers_of_its_own(text);
        self.roster.use_configuration(&text);
        let path = self.roster.configure();
        let checked = rosterd(&["check", "--config", path.to_str().unwrap()].map(str::to_owned));
        assert_eq!(checked.code, 0, "{}{}\n{text}", checked.out, checked.err);
    }

    /// Two of the sites are on one server, which has one setting of numbers: here the actors take numbers that differ.
    fn numbers_of_its_own(&self, text: &str) -> String {
        let leaves_out_roles = text.lines().any(|line| line.starts_with("except") && line.contains("\"role\""));
        let numbered = match self.presets.iter().any(|preset| preset.starts_with("drupal")) && !leaves_out_roles {
            true => &["users", "role"][..],
            false => &["users"],
        };
        numbered.iter().map(|table| format!("\n[[table]]\nname = {table:?}\nsequence = \"\"\n")).collect()
    }

    /// Takes what `init` wrote, has `check` prove it, and starts the daemon.
    pub fn start(&mut self, text: &str, shared: &[Shared]) {
        self.prove(text);
        for (name, filter, exclude) in shared {
            let table = self.presets.iter().find_map(|preset| table(preset, name, filter, exclude));
            self.roster.share_existing(table.unwrap_or_else(|| panic!("no preset has {name}")), "");
        }
        self.roster.start();
        self.roster.settle_equal();
    }
}

/// A command of the real binary.
#[derive(Debug)]
pub struct Printed {
    pub code: i32,
    pub out: String,
    pub err: String,
}

fn rosterd(arguments: &[String]) -> Printed {
    let done = Command::new(env!("CARGO_BIN_EXE_rosterd")).args(arguments).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
}

fn file(preset: &str, engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/apps/{preset}.{engine}.sql"))
}

fn schema(preset: &str, site: &Site) -> String {
    let engine = if site.engine.is_postgres() { "postgres" } else { "mariadb" };
    let text = std::fs::read_to_string(file(preset, engine)).expect("the preset's tables are there");
    // An index is in its table's schema, and named without it.
    let bare = site.prefix.rsplit('.').next().unwrap_or_default();
    text.replace("CREATE INDEX {", &format!("CREATE INDEX {bare}")).replace('{', &site.prefix).replace('}', "")
}

/// A preset's table as the file of its tables has it, for reading it at every site.
fn table(preset: &str, name: &'static str, filter: &'static str, exclude: &[&str]) -> Option<Table> {
    let text = std::fs::read_to_string(file(preset, "mariadb")).expect("the preset's tables are there");
    let (_, body) = text.split_once(&format!("CREATE TABLE {{{name}}} (\n"))?;
    let (body, _) = body.split_once("\n)").expect("a table ends");
    let mut columns: Vec<(&'static str, ColumnKind)> = Vec::new();
    for line in body.lines().map(str::trim) {
        let (column, kind) = line.split_once(' ').expect("a column has a type");
        if ["PRIMARY", "UNIQUE", "KEY"].contains(&column) || exclude.contains(&column) {
            continue;
        }
        let kind = if kind.starts_with("LONGBLOB") { ColumnKind::Blob } else { ColumnKind::Plain };
        columns.push((column.to_owned().leak(), kind));
    }
    Some(Table { name, ddl: "", columns: columns.leak(), filter })
}
