//! Drafts made of tables described by hand.

use std::path::Path;

use super::*;
use crate::config::{Address, Role, Tls, TlsMode};
use crate::model::{Charset, ColumnType, SiteColumn};
use crate::sites::ColumnDescription;

/// `"uid, name"` with the key `"uid"`; a column with `*` is numbered by the database.
fn table(schema: &str, name: &str, key: &str, columns: &str) -> TableDescription {
    let names = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let column = |(ordinal, name): (usize, String)| {
        let bare = name.trim_end_matches('*').to_owned();
        let text = ColumnType::Text { chars_max: Some(60), bytes_max: 240, charset: Charset::Unicode };
        let is_number = ["uid", "rid", "entity_id", "fid", "timestamp"].contains(&bare.as_str());
        let ty = if is_number { ColumnType::Int { bits: 32, unsigned: false } } else { text };
        ColumnDescription {
            has_default: true,
            generated: false,
            numbered: bare != name,
            exact: crate::sites::Exactness { equality: true, order: true, pattern: true },
            case_insensitive: false,
            column: SiteColumn { name: bare, ty, ordinal, nullable: false, values: None },
        }
    };
    TableDescription {
        schema: schema.into(),
        name: name.into(),
        columns: names(columns).into_iter().enumerate().map(column).collect(),
        key: names(key),
        unique: Vec::new(),
        foreign: Vec::new(),
        triggers: Vec::new(),
        unfit: None,
        rows_estimated: 3,
    }
}

fn seven(schema: &str, prefix: &str) -> Vec<TableDescription> {
    let table = |name: &str, key: &str, columns: &str| table(schema, &format!("{prefix}{name}"), key, columns);
    vec![
        table("users", "uid", "uid, name, pass, mail, created, access, login, picture, data"),
        table("sessions", "sid, ssid", "uid, sid, ssid, timestamp, session"),
        table("role", "rid", "rid*, name, weight"),
        table("users_roles", "uid, rid", "uid, rid"),
        table("sequences", "value", "value*"),
    ]
}

fn field(prefix: &str, name: &str) -> TableDescription {
    let columns = format!("entity_type, bundle, deleted, entity_id, revision_id, language, delta, {name}_value");
    table("nj", &format!("{prefix}field_data_{name}"), "entity_type, entity_id, deleted, delta, language", &columns)
}

fn seen(name: &str, url: &str, tables: Vec<TableDescription>) -> Seen {
    let address = Address::parse(url, Path::new("/srv")).unwrap();
    let role = if name == "hub" { Role::Hub } else { Role::Client };
    let tls = Tls { mode: TlsMode::VerifyFull, ca_file: None, cert_file: None, key_file: None };
    let config = SiteConfig {
        name: name.into(),
        role,
        endpoint: address.endpoint,
        tls,
        prefix: Default::default(),
        ids: Default::default(),
        tables: Default::default(),
    };
    Seen { config, url: address.url, address: url.into(), password: PasswordLine::None, tables, answers: Default::default() }
}

fn placed(mut site: Seen, preset: &Preset) -> (Seen, Vec<String>) {
    let doubts = settle(&preset.rules, &mut site.config, &site.tables, None);
    (site, doubts)
}

fn drupal7() -> Preset {
    Preset::named("drupal7").unwrap()
}

fn answer(site: &mut Seen, schema: &str, table: &str, rows: &[&[&str]]) {
    let rows = rows.iter().map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect()).collect();
    site.answers.insert((schema.into(), table.into()), rows);
}

/// The text is a configuration, whatever it says.
fn parsed(draft: &Draft) -> Config {
    let text = draft.text(None);
    Config::parse(&text, Path::new("/srv/rosterd.toml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_newest_application_that_fits_is_taken() {
    let all = Preset::all();
    let site = seen("hub", "mysql://db/nj", seven("nj", "x_"));
    assert_eq!(guess(&all, &site.config, &site.tables), ["drupal7"]);
    let mut six = seven("nj", "");
    six[1] = table("nj", "sessions", "sid", "uid, sid, timestamp, session");
    six.push(table("nj", "multisite_login", "sid", "sid, timestamp"));
    assert_eq!(guess(&all, &site.config, &six), ["drupal6", "multisite-login"]);
    let mut backdrop = seven("nj", "");
    backdrop.truncate(2);
    backdrop.push(table("nj", "users_roles", "uid, role", "uid, role"));
    assert_eq!(guess(&all, &site.config, &backdrop), ["backdrop"]);
    let blog = [
        table("nj", "wp_users", "ID", "ID*, user_login"),
        table("nj", "wp_usermeta", "umeta_id", "umeta_id*, user_id, meta_key, meta_value"),
    ];
    assert_eq!(guess(&all, &site.config, &blog), ["wordpress"]);
    assert!(guess(&all, &site.config, &blog[..1]).is_empty());
}

#[test]
fn prefixes_are_found_and_doubts_told() {
    let two = [seven("nj", "old_"), seven("nj", "nj_")].concat();
    let (site, doubts) = placed(seen("nj", "mysql://db/nj", two.clone()), &drupal7());
    assert_eq!(site.config.prefix.default, "nj_");
    assert!(doubts[0].contains("\"old_\"") && doubts[0].contains("--prefix nj=old_"), "{doubts:?}");
    let mut named = seen("nj", "mysql://db/nj", two);
    assert!(settle(&drupal7().rules, &mut named.config, &named.tables, Some("old_")).is_empty());
    assert_eq!(named.config.prefix.default, "old_");
}

#[test]
fn tables_shared_through_another_database_are_found_there() {
    let mut own = seven("nj", "nj_");
    own.retain(|table| !["nj_users", "nj_sessions"].contains(&table.name.as_str()));
    let (lone, _) = placed(seen("nj", "mysql://db/nj", own.clone()), &drupal7());
    assert!(lacks(&drupal7().rules, &lone.config, &lone.tables));
    let mut shared = seven("main_db", "");
    shared.retain(|table| ["users", "sessions"].contains(&table.name.as_str()));
    shared.push(table("main_db", "authmap", "aid", "aid*, uid, authname, module"));
    let (site, doubts) = placed(seen("nj", "mysql://db/nj", [own, shared].concat()), &drupal7());
    assert!(doubts.is_empty() && !lacks(&drupal7().rules, &site.config, &site.tables), "{doubts:?}");
    let mut main = seen("hub", "mysql://db/main_db", site.tables.clone());
    settle(&drupal7().rules, &mut main.config, &main.tables, Some(""));
    let both = draft(&[drupal7()], vec![main, site.clone()], vec![]);
    assert!(both.faults.iter().any(|fault| fault.contains("hub and nj have users in one and the same place")), "{:?}", both.faults);
    let prefix = &site.config.prefix;
    assert_eq!(
        (prefix.apply("users"), prefix.apply("role"), prefix.apply("authmap")),
        ("main_db.users".into(), "nj_role".into(), "main_db.authmap".into())
    );
}

#[test]
fn a_schema_of_postgres_is_found() {
    let (site, _) = placed(seen("ny", "postgres://db/ny", seven("web", "d7_")), &drupal7());
    let Endpoint::Postgres(server) = &site.config.endpoint else { panic!("it is PostgreSQL") };
    assert_eq!((server.schema.as_str(), site.config.prefix.default.as_str()), ("web", "d7_"));
}

#[test]
fn fields_of_contents_and_tables_of_one_site_stay() {
    let mut hub = seven("nj", "");
    hub.extend([
        field("", "city"),
        field("", "body"),
        field("", "phone"),
        field("", "shoe"),
        table("nj", "realname", "uid", "uid, realname"),
    ]);
    let mut hub = placed(seen("hub", "mysql://db/nj", hub), &drupal7()).0;
    answer(&mut hub, "nj", "field_data_city", &[&["user"], &["node"]]);
    answer(&mut hub, "nj", "field_data_body", &[&["node"]]);
    answer(&mut hub, "nj", "field_data_phone", &[&["user"]]);
    let mut client = seven("nj", "nj_");
    client.extend([field("nj_", "city"), field("nj_", "body"), field("nj_", "badge"), field("nj_", "shoe")]);
    let mut client = placed(seen("nj", "mysql://other/nj", client), &drupal7()).0;
    answer(&mut client, "nj", "nj_field_data_badge", &[&["user"]]);
    let draft = draft(&[drupal7()], vec![hub, client], vec![]);
    let except: Vec<(&str, &str)> = draft.except.iter().map(|(table, why)| (table.as_str(), why.as_str())).collect();
    assert_eq!(except, [("field_data_body", "only of: node"), ("field_data_phone", "not at nj"), ("realname", "not at nj")]);
    assert!(draft.notes.iter().any(|note| note.contains("only nj has field_data_badge")), "{:?}", draft.notes);
    assert!(draft.notes.iter().any(|note| note.contains("no table cache_field at hub, nj")), "{:?}", draft.notes);
    assert!(draft.faults.is_empty(), "{:?}", draft.faults);
    let config = parsed(&draft);
    assert!(config.excepts("field_data_body") && !config.excepts("field_data_shoe"));
    assert_eq!(config.sites[1].prefix.default, "nj_");
    let text = draft.text(None);
    assert!(
        text.contains("#   nj:  [mysqld] auto_increment_increment = 10, auto_increment_offset = 2")
            || text.contains("#   nj: [mysqld] auto_increment_increment = 10, auto_increment_offset = 2"),
        "{text}"
    );
}

#[test]
fn roles_with_other_numbers_are_not_shared() {
    let site = |name: &str, url: &str, four: &str| {
        let mut site = placed(seen(name, url, seven("nj", "")), &drupal7()).0;
        answer(&mut site, "nj", "role", &[&["3", "administrator"], &["4", four]]);
        site
    };
    let same = draft(&[drupal7()], vec![site("hub", "mysql://a/nj", "editor"), site("nj", "mysql://b/nj", "editor")], vec![]);
    assert!(same.except.is_empty() && !parsed(&same).excepts("role"), "{:?}", same.except);
    let other = draft(&[drupal7()], vec![site("hub", "mysql://a/nj", "editor"), site("nj", "mysql://b/nj", "trader")], vec![]);
    let except: Vec<&str> = other.except.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(except, ["role", "users_roles"]);
    assert!(other.notes.iter().any(|note| note.contains("4 is editor at hub, trader at nj")), "{:?}", other.notes);
    assert!(parsed(&other).excepts("users_roles"));
}

#[test]
fn columns_that_differ_are_mapped_or_stay() {
    let hub = placed(seen("hub", "mysql://a/nj", seven("nj", "")), &drupal7()).0;
    let mut other = seven("public", "");
    other[0] = table("public", "users", "uid", "uid, NAME, pass, email, created, access, login, picture, data");
    other.remove(3);
    let client = placed(seen("ny", "postgres://rosterd@b.example.net/ny", other), &drupal7()).0;
    let draft = draft(&[drupal7()], vec![hub, client], vec![]);
    assert_eq!(draft.excluded, [("users".into(), vec!["picture".into(), "mail".into()], "mail is not at ny".into())]);
    assert!(
        draft.faults.iter().any(|fault| fault.contains("ny, table users_roles: there is no table public.users_roles")),
        "{:?}",
        draft.faults
    );
    let text = draft.text(Some("state"));
    let config = parsed(&draft);
    assert_eq!(config.sites[1].tables["users"].columns, [("name".to_owned(), "NAME".to_owned())].into());
    for part in
        ["# columns = { mail = \"email\" }", "# TLS: certificate and name are verified.", "state_dir = \"state\"", "To settle first"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn what_databases_say_can_not_end_a_comment() {
    let mut hub = placed(seen("hub", "mysql://a/nj", [seven("nj", ""), vec![field("", "x")]].concat()), &drupal7()).0;
    answer(&mut hub, "nj", "field_data_x", &[&["no\nname = \"de\""]]);
    let client = placed(seen("nj", "mysql://b/nj", seven("nj", "")), &drupal7()).0;
    let mut draft = draft(&[drupal7()], vec![hub, client], vec!["a\n[daemon]\nb".into()]);
    draft.sites[0].password = PasswordLine::Env("HUB_PASSWORD".into());
    draft.sites[1].password = PasswordLine::ToBeWritten("nj.password".into());
    let text = draft.text(None);
    assert_eq!(text.lines().filter(|line| *line == "[daemon]").count(), 1, "{text}");
    assert!(text.contains("password_env = \"HUB_PASSWORD\"\n") && text.contains("password_file = \"nj.password\"\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
}
