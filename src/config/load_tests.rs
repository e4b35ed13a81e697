//! What a file means, default by default.

use super::*;
use crate::config::{Endpoint, Host, TlsMode, rule_for};

const HUB: &str = "[[site]]\nname = \"hub\"\nrole = \"hub\"\nurl = \"mysql://r@db1/x\"\n";
const TABLE: &str = "[[table]]\nname = \"users\"\n";

fn parse(text: &str) -> Result<Config, Error> {
    parse_with(text, Path::new("/etc/rosterd/rosterd.toml"), &|name| (name == "PW").then(|| "hunter2".into()))
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn bad(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_small_file_gets_the_defaults() {
    let config = good(&format!("{HUB}{TABLE}"));
    assert_eq!(config.daemon.state_dir, Path::new("/var/lib/rosterd"));
    assert_eq!(config.daemon.listen.unwrap().address.to_string(), "127.0.0.1:9477");
    assert_eq!((config.daemon.batch_rows_max, config.daemon.batch_bytes_max, config.daemon.chunk_rows_max), (500, 1 << 20, 1000));
    assert_eq!((config.daemon.connect_timeout.as_secs(), config.daemon.lock_wait.as_secs()), (10, 1));
    assert_eq!((config.daemon.after_apply_repeat.as_secs(), config.daemon.conflict_days), (1, 30));
    assert_eq!(config.daemon.copy_rows_per_second_max, None);
    assert_eq!(config.sites[0].tls.mode, TlsMode::VerifyFull);
}

#[test]
fn the_hub_comes_first_and_presets_before_tables() {
    let text = format!(
        "[[site]]\nname = \"nj\"\nurl = \"postgres:///x?host=/run/pg\"\npassword_env = \"PW\"\nprefix = \"nj_\"\nschema = \"s\"\n\
         {HUB}[share]\npreset = [\"drupal6\", \"multisite-login\"]\n[[table]]\nname = \"users\"\nurgent = false\n"
    );
    let config = good(&text);
    assert_eq!(config.sites.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["hub", "nj"]);
    let nj = &config.sites[1];
    let Endpoint::Postgres(server) = &nj.endpoint else { panic!("{:?}", nj.endpoint) };
    assert_eq!((server.schema.as_str(), server.password.as_ref().unwrap().reveal()), ("s", "hunter2"));
    assert_eq!((&server.host, nj.tls.mode), (&Host::Socket("/run/pg".into()), TlsMode::Off));
    assert_eq!(nj.prefix.apply("users"), "nj_users");
    let users = rule_for(&config.tables, "users").unwrap();
    assert_eq!((users.urgent, users.key), (Some(false), Some(vec!["uid".into()])));
    assert!(rule_for(&config.tables, "multisite_login").is_some());
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn relative_paths_start_from_the_file() {
    let text = "[daemon]\nstate_dir = \"state\"\nlisten = \"\"\n[[site]]\nname = \"a\"\nrole = \"hub\"\nurl = \"sqlite:a.db\"\n[[table]]\nname = \"t\"\n";
    let config = good(text);
    assert_eq!(config.daemon.state_dir, Path::new("/etc/rosterd/state"));
    assert!(config.daemon.listen.is_none());
    assert!(matches!(&config.sites[0].endpoint, Endpoint::Sqlite { path } if path == Path::new("/etc/rosterd/a.db")));
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = format!(
        "[daemon]\nlisten = \"here\"\nbatch_rows_max = 0\n{HUB}tls = \"on\"\n{HUB}[[table]]\nname = \"users\"\nfilter = \"uid >\"\nfuse_percent = 101\n"
    );
    let told = bad(&text);
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("/etc/rosterd/rosterd.toml:")).collect();
    let numbers: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "8", "15", "16"], "{told}");
}

#[test]
fn a_wrong_type_or_shape_is_told_once() {
    assert_eq!(bad("[daemon]\nlisten = 5\n").matches("rosterd.toml:").count(), 1);
    let shape = bad("[site]\nname = \"hub\"\n");
    assert!(shape.contains("[[site]]") && shape.matches("rosterd.toml:").count() == 1, "{shape}");
    assert!(bad("[daemon\n").contains("rosterd.toml:1"));
}

#[test]
fn no_password_shows_in_any_message() {
    for line in ["url = \"mysql://r:hunter2@db1/x\"", "password = \"hunter2\"", "url = \"mysql://r:hunter2@db1/x", "pass_word = 'hunter2'"]
    {
        let told = bad(&format!("[[site]]\nname = \"hub\"\nrole = \"hub\"\n{line}\n{TABLE}"));
        assert!(!told.contains("hunter2") && told.contains("rosterd.toml:4"), "{told}");
    }
}

fn classes(config: &Config) -> Vec<(i64, i64, bool)> {
    config.sites.iter().map(|site| (site.ids.class.offset, site.ids.class.increment, site.ids.named)).collect()
}

fn client(n: usize) -> String {
    format!("[[site]]\nname = \"c{n}\"\nurl = \"mysql://r@db{n}/c\"\n")
}

#[test]
fn each_site_gives_out_its_own_numbers() {
    let clients: String = (1..3).map(client).collect();
    assert_eq!(classes(&good(&format!("{clients}{HUB}{TABLE}"))), [(1, 10, false), (2, 10, false), (3, 10, false)], "the hub is the first");
    let named = good(&format!("{}ids = {{ offset = 7, increment = 20 }}\n{HUB}{}{TABLE}", client(1), client(2)));
    assert_eq!(classes(&named), [(1, 20, false), (7, 20, true), (3, 20, false)]);
    let many: String = (1..11).map(client).collect();
    assert_eq!(classes(&good(&format!("{HUB}{many}{TABLE}")))[10], (11, 100, false), "eleven sites need more than ten classes");
}

#[test]
fn tables_name_what_numbers_their_keys() {
    use crate::config::Sequence;
    let config = good(&format!("{HUB}[share]\npreset = \"drupal7\"\n[[table]]\nname = \"role\"\nsequence = \"\"\n"));
    let of = |table: &str| rule_for(&config.tables, table).and_then(|rule| rule.sequence);
    assert_eq!(of("users").and_then(|sequence| sequence.at(&config.sites[0].prefix)).as_deref(), Some("sequences_value_seq"));
    assert_eq!((of("role"), of("sessions")), (Some(Sequence::Application), None));
}

#[test]
fn what_is_out_of_all_proportion_is_refused() {
    let tables: String = (0..=TABLES_MAX).map(|n| format!("[[table]]\nname = \"t{n}\"\n")).collect();
    assert!(bad(&format!("{HUB}{tables}")).contains("2001 [[table]] sections"));
    assert!(bad(&" ".repeat(CONFIG_BYTES_MAX + 1)).contains("more than 1048576 bytes"));
    let columns: String = (0..5000).map(|n| format!("'c{n}',")).collect();
    assert!(bad(&format!("{HUB}{TABLE}key = [{columns}]\n")).contains("key has 5000 columns"));
    let word = "x".repeat(10_000);
    let told = bad(&format!("{HUB}{TABLE}{word} = 1\n"));
    assert!(told.contains("unknown key") && told.len() < 4000, "{} bytes", told.len());
    let keys: String = (0..500).map(|n| format!("k{n} = 1\n")).collect();
    let told = bad(&format!("{keys}{HUB}{TABLE}"));
    assert_eq!(told.matches("unknown key").count(), 100);
}
