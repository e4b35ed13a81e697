//! A draft as a configuration file with comments.

use std::fmt::Write;

use super::{Draft, PasswordLine, Seen};
use crate::config::{Endpoint, Tls, TlsMode};

const COLUMNS_MAX: usize = 118;
/// Remainders of this number are given to sites, so that more sites can come.
const CLASSES: usize = 10;

impl Draft {
    /// The file. `state_dir` as it is to stand in it; None: the default.
    pub fn text(&self, state_dir: Option<&str>) -> String {
        let mut out = self.head();
        out += "\n[daemon]\n# The ledger. It holds what people's rows hold: keep it private, and on a disk that lasts.\n";
        let _ = writeln!(out, "state_dir = {}", quoted(state_dir.unwrap_or("/var/lib/rosterd")));
        for (at, site) in self.sites.iter().enumerate() {
            out += &self.site(at, site);
        }
        out += &self.share();
        for (table, columns, why) in &self.excluded {
            let list: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            let _ = write!(out, "\n[[table]]\nname = {}\n{}exclude = [{}]\n", quoted(table), comment(why), list.join(", "));
        }
        out + &self.numbers()
    }

    fn head(&self) -> String {
        let names: Vec<&str> = self.sites.iter().map(Seen::name).collect();
        let mut out = comment(&format!(
            "One roster of people for {}. Written by `rosterd init`, which looked at the databases and changed nothing there.",
            listed(&names)
        ));
        out += &comment("Every key is explained in docs/configuration.md.");
        out += "#\n# What comes next:\n";
        let steps = [
            "put the passwords where `password_file` says: each alone in a file of mode 600, beside this one",
            "`rosterd grants` prints what an administrator has to allow at each server",
            "`rosterd check` proves this file against the databases, and says what mends what is not right",
            "`rosterd run` copies what there is, and follows",
        ];
        let steps: Vec<&str> = match self.sites.iter().any(|site| matches!(site.password, PasswordLine::ToBeWritten(_))) {
            true => steps.to_vec(),
            false => steps[1..].to_vec(),
        };
        for (at, step) in steps.iter().enumerate() {
            out += &item(&format!("{}.", at + 1), step);
        }
        if !self.statements.is_empty() {
            out += "#\n";
            out += &comment("To be run at PostgreSQL sites, whose log names rows by their primary key only; these are told by another:");
            for (site, statement) in &self.statements {
                // In one line, whatever its length: it is there to be copied.
                let _ = writeln!(out, "#   {site}: {}", statement.replace(char::is_control, " "));
            }
        }
        for (title, texts) in [("To settle first, or `rosterd check` will refuse it", &self.faults), ("Good to know", &self.notes)] {
            if !texts.is_empty() {
                let _ = write!(out, "#\n# {title}:\n");
                texts.iter().for_each(|text| out += &item("-", text));
            }
        }
        out
    }

    fn site(&self, at: usize, site: &Seen) -> String {
        let mut out = format!("\n# {}\n[[site]]\nname = {}\n", site.address, quoted(site.name()));
        if at == 0 {
            out += "role = \"hub\"                 # it is copied first, and wins ties\n";
        }
        let _ = writeln!(out, "url = {}", quoted(&site.url));
        if let Endpoint::MySql(server) | Endpoint::Postgres(server) = &site.config.endpoint {
            if server.user != "rosterd" {
                out += &comment("The account that init looked with. One that may do no more than `rosterd grants` prints is better.");
            }
            out += &password(site.name(), &site.password);
            out += &tls(&site.config.tls, site.config.endpoint.is_local());
            if matches!(&site.config.endpoint, Endpoint::Postgres(server) if server.schema != "public") {
                let _ = writeln!(out, "schema = {}", quoted(&server.schema));
            }
        }
        out += &prefix(site);
        for (table, rule) in site.config.tables.iter().filter(|(_, rule)| !rule.columns.is_empty()) {
            let pairs: Vec<String> = rule.columns.iter().map(|(shared, here)| format!("{} = {}", key(shared), quoted(here))).collect();
            let _ = write!(out, "\n[site.table.{}]\ncolumns = {{ {} }}\n", key(table), pairs.join(", "));
        }
        for (_, table, column, other) in self.alike.iter().filter(|(name, ..)| name == site.name()) {
            out += &comment(&format!("If {other} is here what {column} is elsewhere, say so, and take {column} out of `exclude` below:"));
            let _ = write!(out, "# [site.table.{}]\n# columns = {{ {} = {} }}\n", key(table), key(column), quoted(other));
        }
        out
    }

    fn share(&self) -> String {
        let mut out = String::from("\n[share]\n");
        let pages: Vec<String> = self.presets.iter().map(|name| format!("docs/presets/{name}.md")).collect();
        out += &comment(&format!("What the sites' own settings must be, and what stays local: {}.", pages.join(", ")));
        let names: Vec<String> = self.presets.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(out, "preset = {}", if let [one] = names.as_slice() { one.clone() } else { format!("[{}]", names.join(", ")) });
        let shared: Vec<String> = self.shared.iter().map(|(table, rows)| format!("{table} (about {rows} rows)")).collect();
        out += &comment(&format!("As found, it shares {}.", if shared.is_empty() { "nothing".into() } else { shared.join(", ") }));
        if self.except.is_empty() {
            out += "# except = [\"TABLE\"]             # tables of it that are to stay where they are\n";
            return out;
        }
        out += "# Tables that it would share and that stay where they are:\nexcept = [\n";
        let width = self.except.iter().map(|(table, _)| quoted(table).len()).max().unwrap_or(0);
        for (table, why) in &self.except {
            let why: String = why.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(out, "    {:<width$} # {why}", quoted(table) + ",", width = width + 2);
        }
        out + "]\n"
    }

    /// How sites are kept from giving out the same numbers.
    fn numbers(&self) -> String {
        if self.numbered.is_empty() || self.sites.len() < 2 {
            return String::new();
        }
        let columns: Vec<String> = self.numbered.iter().map(|(table, column)| format!("{table}.{column}")).collect();
        let mut out = String::from("\n");
        out += &comment(&format!(
            "Each site gives out numbers for {} by itself. So that two never give the same one to two people, each takes another remainder:",
            columns.join(", ")
        ));
        let classes = CLASSES.max(self.sites.len());
        for (at, site) in self.sites.iter().enumerate() {
            let how = match &site.config.endpoint {
                Endpoint::MySql(_) => format!("[mysqld] auto_increment_increment = {classes}, auto_increment_offset = {}", at + 1),
                Endpoint::Postgres(_) => {
                    format!("remainder {} of {classes}; how is in docs/presets/{}.md#numbers", at + 1, self.presets[0])
                }
                Endpoint::Sqlite { .. } => "SQLite has no setting for it: let people register at the other sites".to_owned(),
            };
            out += &item(&format!("{}:", site.name()), &how);
        }
        out
    }
}

fn password(site: &str, line: &PasswordLine) -> String {
    let variable = format!("ROSTERD_{}_PASSWORD", site.to_uppercase().replace('-', "_"));
    match line {
        PasswordLine::File(file) => format!("password_file = {}\n", quoted(file)),
        PasswordLine::Env(name) => format!("password_env = {}\n", quoted(name)),
        PasswordLine::None => format!("# password_file = \"{site}.password\"      # init came in without a password\n"),
        PasswordLine::ToBeWritten(file) => {
            let how =
                format!("The password that init was given is not written down. To do so: install -m 600 /dev/null {file}; editor {file}");
            format!(
                "{}password_file = {}\n# password_env = \"{variable}\"         # or from the environment\n",
                comment(&how),
                quoted(file)
            )
        }
    }
}

fn tls(tls: &Tls, local: bool) -> String {
    let mut out = String::new();
    match (tls.mode, local) {
        (TlsMode::Off, true) => return out,
        (TlsMode::Off, false) => {
            out += &comment("Without TLS, passwords and all that is shared can be read on the way:");
            out += "tls = \"off\"\n";
        }
        (TlsMode::VerifyCa, _) => out += "tls = \"verify-ca\"\n",
        (TlsMode::VerifyFull, _) if tls.ca_file.is_none() => {
            out += &comment("TLS: certificate and name are verified. If it was signed by a CA of your own: ca_file = \"ca.pem\"");
        }
        (TlsMode::VerifyFull, _) => {}
    }
    if let Some(file) = &tls.ca_file {
        let _ = writeln!(out, "ca_file = {}", quoted(&file.display().to_string()));
    }
    out
}

fn prefix(site: &Seen) -> String {
    let prefix = &site.config.prefix;
    if prefix.by_table.is_empty() {
        return if prefix.default.is_empty() { String::new() } else { format!("prefix = {}\n", quoted(&prefix.default)) };
    }
    let own = std::iter::once(("default", &prefix.default)).filter(|(_, prefix)| !prefix.is_empty());
    let tables = prefix.by_table.iter().map(|(table, prefix)| (table.as_str(), prefix));
    let pairs: Vec<String> = own.chain(tables).map(|(table, prefix)| format!("{} = {}", key(table), quoted(prefix))).collect();
    format!("prefix = {{ {} }}\n", pairs.join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out + "\""
}

/// A name as a key of TOML.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.to_owned() } else { quoted(name) }
}

fn listed(names: &[&str]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        all => all.join(""),
    }
}

fn comment(text: &str) -> String {
    wrapped(text, "# ", "# ")
}

fn item(mark: &str, text: &str) -> String {
    let indent = " ".repeat(mark.chars().count());
    wrapped(text, &format!("#   {mark} "), &format!("#   {indent} "))
}

/// Text from a database may have line ends in it, and a comment must not end early.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let (mut out, mut line) = (String::new(), first.to_owned());
    let mut is_begun = false;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if is_begun && line.chars().count() + 1 + word.chars().count() > COLUMNS_MAX {
            out += line.trim_end();
            out.push('\n');
            (line, is_begun) = (rest.to_owned(), false);
        }
        if is_begun {
            line.push(' ');
        }
        line += word;
        is_begun = true;
    }
    out + line.trim_end() + "\n"
}
