//! The example that ships is valid, and each mistake gets a message that names the place, the cause and the next step.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rosterd::config::{ColumnPolicy, Config, Direction, Endpoint, Initial, Role, TlsMode, UniquePolicy, rule_for};

const HUB: &str = "[[site]]\nname = \"hub\"\nrole = \"hub\"\nurl = \"mysql://rosterd@db1.example.net/main\"\n";
const NJ: &str = "[[site]]\nname = \"nj\"\nurl = \"mysql://rosterd@db2.example.net/nj\"\n";
const USERS: &str = "[[table]]\nname = \"users\"\n";

fn secret(folder: &Path, name: &str, mode: u32) {
    let path = folder.join(name);
    std::fs::write(&path, "correct horse\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The message that `text` gets as a file in `folder`.
fn refusal_in(folder: &Path, text: &str) -> String {
    let path = folder.join("rosterd.toml");
    std::fs::write(&path, text).unwrap();
    match Config::load(&path) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

fn refused(text: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let message = refusal_in(folder.path(), text);
    for word in words.iter().chain(&["rosterd.toml", "; "]) {
        assert!(message.contains(word), "`{word}` is missing in:\n{message}\nfor:\n{text}");
    }
}

#[test]
fn the_example_is_valid_and_says_what_it_explains() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rosterd.toml");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/config/rosterd.example.toml"), &path).unwrap();
    secret(folder.path(), "hub.password", 0o600);
    secret(folder.path(), "nj.password", 0o400);
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.sites.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["hub", "nj", "ny"]);
    assert_eq!((config.sites[0].role, config.sites[0].tls.mode), (Role::Hub, TlsMode::VerifyFull));
    let Endpoint::MySql(server) = &config.sites[0].endpoint else { panic!("the hub is a MySQL database") };
    assert_eq!(server.password.as_ref().unwrap().reveal(), "correct horse");
    assert_eq!(config.sites[1].prefix.apply("users"), "shared.users");
    assert_eq!(config.sites[1].prefix.apply("sessions"), "nj_sessions");
    assert_eq!(config.sites[1].tables["users"].columns["mail"], "email");
    assert_eq!(config.sites[1].tables["users"].defaults.len(), 2);
    assert_eq!(config.sites[1].tables["users_roles"].values["role"].len(), 2);
    let profile = rule_for(&config.tables, "profile_values").unwrap();
    assert_eq!(profile.direction, Some(Direction::FromHub { keep: false }));
    assert_eq!(profile.conflict["visited"], ColumnPolicy::Max);
    assert_eq!(profile.unique, Some(UniquePolicy::Rename("{value}-{site}".into())));
    assert_eq!(profile.initial, Some(Initial::Newest { column: "changed".into() }));
    assert!(rule_for(&config.tables, "sessions").is_some() && rule_for(&config.tables, "node").is_none());
}

#[test]
fn every_preset_loads_by_name() {
    for name in Config::preset_names() {
        let text = format!("{HUB}[share]\npreset = \"{name}\"\n");
        let config = Config::parse(&text, Path::new("rosterd.toml")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!config.tables.is_empty(), "{name}");
    }
    let except = format!("{HUB}[share]\npreset = \"drupal7\"\nexcept = [\"field_data_body\", \"*_photo\", \"role\"]\n");
    let config = Config::parse(&except, Path::new("rosterd.toml")).unwrap();
    assert!(config.excepts("field_data_photo") && config.excepts("role") && !config.excepts("users"));
    refused(&except.replace("\"role\"", "\"rolle\""), &["except has `rolle`, which nothing shares", "did you mean `role`?"]);
    refused(&format!("{HUB}[share]\npreset = \"drupal8\"\n"), &["unknown preset `drupal8`", "did you mean `drupal7`?"]);
}

#[test]
fn sites_must_be_there_and_differ() {
    refused(USERS, &["no [[site]]", "role = \"hub\""]);
    refused(&format!("{NJ}{USERS}"), &["no site is the hub", "role = \"hub\""]);
    refused(&format!("{HUB}{NJ}role = \"hub\"\n{USERS}"), &["site \"nj\"", "site \"hub\" is the hub already"]);
    refused(&format!("{HUB}{NJ}{}{USERS}", NJ.replace("db2", "db3")), &["site \"nj\"", "same name"]);
    refused(&format!("{HUB}{}{USERS}", HUB.replace("\"hub\"", "\"b\"").replace("role = \"b\"\n", "")), &["same database as site \"hub\""]);
    refused(&format!("{HUB}{}{USERS}", NJ.replace("nj\"\nurl", "New Jersey\"\nurl")), &["New Jersey", "a-z, 0-9, _ and -"]);
    refused(&format!("{HUB}{}{USERS}", NJ.replace("nj\"\nurl", &format!("{}\"\nurl", "n".repeat(41)))), &["41 characters", "1 to 40"]);
    refused(&format!("{HUB}[[site]]\nname = \"nj\"\n{USERS}"), &["site \"nj\"", "no url"]);
    refused(&format!("{HUB}{NJ}role = \"clent\"\n{USERS}"), &["unknown role `clent`", "did you mean `client`?"]);
    refused(&format!("{HUB}tls = \"verify\"\n{USERS}"), &["site \"hub\"", "unknown tls `verify`", "verify-"]);
    refused(&format!("{HUB}schema = \"x\"\n{USERS}"), &["schema is for PostgreSQL only"]);
    refused(&format!("{HUB}key_file = \"x.key\"\n{USERS}"), &["only one of cert_file and key_file"]);
    refused(&format!("{HUB}[site.table.user]\nname = \"x\"\n{USERS}"), &["site \"hub\"", "not shared", "did you mean `users`?"]);
    refused(&format!("{HUB}[site.table.users]\ncolumns = {{ a = \"x\", b = \"x\" }}\n{USERS}"), &["`a` and `b` are both called `x`"]);
}

#[test]
fn two_sites_never_give_out_the_same_numbers() {
    let sites = |hub: &str, nj: &str| format!("{HUB}{hub}\n{NJ}{nj}\n{USERS}");
    refused(
        &sites("", "ids = { offset = 1 }"),
        &["site \"nj\"", "offset of its ids is 1", "site \"hub\", by its place", "ids = { offset = 2 }"],
    );
    refused(&sites("ids = { offset = 2 }", ""), &["site \"hub\"", "so is that of site \"nj\", by its place"]);
    refused(&sites("ids = { offset = 3 }", "ids = { offset = 3 }"), &["site \"nj\"", "so is that of site \"hub\";"]);
    refused(
        &sites("ids = { increment = 10 }", "ids = { offset = 2, increment = 20 }"),
        &["is 20, and that of site \"hub\" is 10", "one increment"],
    );
    refused(&sites("", "ids = { offset = 11 }"), &["site \"nj\"", "offset of its ids is 11", "from 1 to 10"]);
    refused(&sites("ids = { increment = 1 }", ""), &["site \"hub\"", "increment of its ids is 1", "from 2"]);
    refused(&sites("ids = 3", ""), &["{ offset = 3, increment = 10 }"]);
    refused(&sites("ids = { ofset = 3 }", ""), &["unknown key `ofset`", "did you mean `offset`?"]);
}

#[test]
fn where_a_site_differs_is_checked() {
    let of_hub = |lines: &str| format!("{HUB}[site.table.users]\n{lines}\n{USERS}");
    let of_nj = |lines: &str| format!("{HUB}{NJ}[site.table.users]\n{lines}\n{USERS}");
    refused(&of_hub("lacks = [\"mail\"]"), &["lacks is for clients", "exclude"]);
    refused(&of_hub("values = { status = { on = 1 } }"), &["values of `status` at the hub", "at the sites that have others"]);
    refused(&of_nj("lacks = [\"mail\", \"mail\"]"), &["site \"nj\", table \"users\"", "`mail` twice"]);
    refused(&of_nj("lacks = [\"mail\"]\ncolumns = { mail = \"email\" }"), &["`mail` is in lacks and in columns"]);
    refused(&of_nj("lacks = [\"mail\"]\ndefaults = { mail = \"\" }"), &["`mail` is in lacks and in defaults"]);
    refused(&of_nj("defaults = { kind = 1 }\nconstants = { kind = 2 }"), &["`kind` is in constants and in defaults", "keep one"]);
    refused(&of_nj("defaults = { since = 2026-01-31 }"), &["rosterd.toml:9", "a string, a number, true or false"]);
    refused(&of_nj("defaults = { score = inf }"), &["`score` is infinite", "finite"]);
    refused(&of_nj("values = { status = {} }"), &["values of `status` are empty", "{ editor = 4 }"]);
    refused(&of_nj("values = { status = { on = 1, off = 1 } }"), &["`off` and `on` are the same here", "the way back"]);
    refused(&of_nj("default = { a = 1 }"), &["unknown key `default`", "did you mean `defaults`?"]);
}

#[test]
fn urls_are_checked() {
    for (url, words) in [
        ("mysq://rosterd@db1/x", ["unknown url scheme `mysq`", "did you mean `mysql`?"]),
        ("mysql://rosterd@db1/x?sokcet=/a", ["unknown url parameter `sokcet`", "did you mean `socket`?"]),
        ("mysql://rosterd:hunter2@db1/x", ["password in the url", "password_file"]),
        ("mysql://rosterd@db1/", ["names no database", "main_db"]),
    ] {
        let text = format!("[[site]]\nname = \"hub\"\nrole = \"hub\"\nurl = \"{url}\"\n{USERS}");
        refused(&text, &words);
        assert!(!refusal_in(tempfile::tempdir().unwrap().path(), &text).contains("hunter2"));
    }
}

#[test]
fn passwords_must_be_private() {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "open.password", 0o644);
    let message = refusal_in(folder.path(), &format!("{HUB}password_file = \"open.password\"\n{USERS}"));
    assert!(message.contains("mode 644") && message.contains("run: chmod 600") && message.contains("open.password"), "{message}");
    assert!(!message.contains("correct horse"));
    refused(&format!("{HUB}password_file = \"none\"\n{USERS}"), &["site \"hub\"", "none can't be read", "mode 600"]);
    refused(&format!("{HUB}password_env = \"ROSTERD_TEST_UNSET\"\n{USERS}"), &["no variable ROSTERD_TEST_UNSET"]);
    refused(&format!("{HUB}password = \"hunter2\"\n{USERS}"), &["unknown key `password`", "password_file"]);
    refused(&format!("{HUB}password_file = \"a\"\npassword_env = \"B\"\n{USERS}"), &["both password_file and password_env"]);
}

#[test]
fn unknown_keys_show_their_line_and_the_nearest_known_one() {
    refused(&format!("{HUB}pasword_file = \"x\"\n{USERS}"), &["rosterd.toml:5", "did you mean `password_file`?", "pasword_file ="]);
    refused(&format!("{HUB}{USERS}filtr = \"uid > 1\"\n"), &["table \"users\"", "did you mean `filter`?", "filtr = \"uid > 1\""]);
    refused(&format!("[deamon]\n{HUB}{USERS}"), &["rosterd.toml:1", "did you mean `daemon`?"]);
    refused(&format!("[daemon]\nstatedir = \"x\"\n{HUB}{USERS}"), &["[daemon]", "did you mean `state_dir`?"]);
}

#[test]
fn tables_are_checked() {
    refused(HUB, &["no table is shared", "backdrop", "[[table]]"]);
    refused(&format!("{HUB}[[table]]\nname = \"\"\n"), &["name is empty"]);
    refused(&format!("{HUB}[[table]]\nkey = [\"uid\"]\n"), &["has no name"]);
    for (line, words) in [
        ("key = []", ["key is empty", "primary key"]),
        ("key = [\"uid\", \"uid\"]", ["`uid` twice", "keep one"]),
        ("key = [\"uid\"]\nexclude = [\"uid\"]", ["key column `uid` is in exclude", "take it out"]),
        ("filter = \"uid > 1\"\nexclude = [\"uid\"]", ["filter reads the column `uid`", "take it out"]),
        ("filter = \"lower(name) = 'x'\"", ["a function", "^"]),
        ("direction = \"form-hub\"", ["unknown direction `form-hub`", "did you mean `from-hub`?"]),
        ("local_writes = \"keep\"", ["local_writes without direction", "from-hub"]),
        ("conflict = { access = \"maximum\" }", ["unknown conflict policy `maximum`", "did you mean `max`?"]),
        ("delete = \"deletes-win\"", ["unknown delete `deletes-win`", "did you mean `delete-wins`?"]),
        ("insert = \"merg\"", ["unknown insert `merg`", "did you mean `merge`?"]),
        ("unique = \"rename:{value}\"", ["{site}", "rename:{value}-{site}"]),
        ("initial = \"newest\"", ["unknown initial `newest`", "newest(column)"]),
        ("after_apply = [\"DROP TABLE {users}\"]", ["starts with DROP", "one INSERT, UPDATE, DELETE"]),
        ("references = { uid = \"users\" }", ["references has `users`", "table.column"]),
        ("sequence = \"{sequences_value_seq\"", ["sequence has a `{` that is not closed", "{sequences}_value_seq"]),
        ("fuse_percent = 101", ["fuse_percent is 101", "1 to 100"]),
        ("fuse_rows = -1", ["fuse_rows is -1", "from 1 up"]),
    ] {
        refused(&format!("{HUB}{USERS}{line}\n"), &[words[0], words[1], "table \"users\""]);
    }
}

#[test]
fn the_daemon_is_checked() {
    for (line, words) in [
        ("listen = \"localhost:9477\"", ["not an address", "127.0.0.1:9477"]),
        ("listen = \"0.0.0.0:9477\"", ["reached from other hosts", "listen_token_file"]),
        ("listen = \"[2001:db8::1]:9477\"", ["reached from other hosts", "loopback address"]),
        ("listen_token_file = \"listen.token\"", ["listen.token can't be read", "mode 600"]),
        ("listen_token = \"x\"", ["unknown key `listen_token`", "name it in listen_token_file"]),
        ("listen_name = \"https://roster.example.net/\"", ["is not a host's name", "such as roster.example.net"]),
        ("batch_rows_max = 0", ["batch_rows_max is 0", "from 1 to"]),
        ("heartbeat = \"5m\"", ["heartbeat is `5m`", "from \"1s\" to \"10s\""]),
        ("heartbeat = 10", ["string", "rosterd.toml:2"]),
        ("conflict_days = -3", ["conflict_days is -3", "from 1 to"]),
        ("copy_rows_per_second_max = 0", ["copy_rows_per_second_max is 0", "no limit"]),
        ("state_dir = 5", ["string", "rosterd.toml:2"]),
    ] {
        refused(&format!("[daemon]\n{line}\n{HUB}{USERS}"), &words);
    }
}

#[test]
fn a_token_is_long_private_and_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[daemon]\nlisten = \"0.0.0.0:9477\"\nlisten_token_file = \"listen.token\"\n{HUB}{USERS}");
    let write = |token: &str, mode| {
        let path = folder.path().join("listen.token");
        std::fs::write(&path, token).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (token, mode, words) in [
        ("abcdefghijklmno\n", 0o600, ["16 or more", "openssl rand"]),
        ("correct horse battery staple\n", 0o600, ["without blanks", "openssl rand"]),
        ("abcdefghijklmnop\n", 0o640, ["mode 640", "chmod 600"]),
    ] {
        write(token, mode);
        let message = refusal_in(folder.path(), &text);
        words.iter().for_each(|word| assert!(message.contains(word), "{message}"));
        assert!(!message.contains(token.trim()), "{message}");
    }
    write("abcdefghijklmnop\n", 0o600);
    let config = Config::load(&folder.path().join("rosterd.toml")).unwrap_or_else(|error| panic!("{error}"));
    let listen = config.daemon.listen.as_ref().unwrap();
    assert_eq!((listen.address.port(), listen.token.as_ref().unwrap().reveal()), (9477, "abcdefghijklmnop"));
    assert!(!format!("{config:?}").contains("abcdefghijklmnop"));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let message = Config::load(Path::new("/nonexistent/rosterd.toml")).unwrap_err().to_string();
    assert!(message.contains("/nonexistent/rosterd.toml") && message.contains("--config"), "{message}");
}
