//! One database as two sites: refused with both names, whichever way it is reached.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::TABLES;
use crate::pair::Pair;
use crate::servers::{Kind, Server};

const KINDS: [Kind; 5] = Kind::ALL;

#[test]
fn hosts_and_accounts_that_lead_to_one_database_are_refused() {
    for kind in KINDS {
        let (server, database) = with_users(kind);
        let url = server.url(&database);
        let other_host = url.replace("127.0.0.1", "localhost");
        let other_account = url.replace("//root@", "//other@").replace("//postgres@", "//other@");
        for other in [other_host, other_account] {
            let pair = Pair::new();
            pair.configure("", &[("hub", &url, ""), ("nj", &other, "")], TABLES);
            for command in ["run", "check"] {
                pair.expect(&[command], 2, &["site \"nj\"", "the same database as site \"hub\"", "one site is one database"]);
            }
        }
    }
}

#[test]
fn a_socket_and_a_port_that_lead_to_one_database_are_refused() {
    for kind in KINDS {
        let (server, database) = with_users(kind);
        let pair = Pair::new();
        let other = by_socket(server, &database, &server_socket(server));
        pair.configure("", &[("hub", &server.url(&database), ""), ("nj", &other, "")], TABLES);
        for (command, code) in [("run", 2), ("check", 1)] {
            pair.expect(&[command], code, &["nj", "it is the same database as site hub", "correct its url"]);
        }
        let ours = format!("{OURS} AND table_schema IN ('public', '{database}')");
        assert!(server.rows(&database, &ours).is_empty(), "something was made in the database of {}", kind.name());
    }
}

const OURS: &str = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'rosterd%'";

#[test]
fn links_that_lead_to_one_file_are_refused() {
    let pair = Pair::new();
    symlink(pair.path("hub.db"), pair.path("soft.db")).unwrap();
    std::fs::hard_link(pair.path("hub.db"), pair.path("hard.db")).unwrap();
    for (other, words) in [("soft.db", "the same database as site \"hub\""), ("hard.db", "the same database as site hub")] {
        pair.configure("", &[("hub", "sqlite:hub.db", ""), ("nj", &format!("sqlite:{other}"), "")], TABLES);
        pair.expect(&["run"], 2, &["nj", words]);
    }
}

/// The second one can't be reached when the daemon starts, so that it is seen later what it is.
#[test]
fn a_site_that_turns_out_to_be_another_ones_database_stops() {
    for kind in [Kind::MariaDb118, Kind::MySql97, Kind::Postgres18] {
        let (server, database) = with_users(kind);
        let pair = Pair::new();
        let socket = pair.path(server_socket(server).file_name().unwrap().to_str().unwrap());
        pair.configure("", &[("hub", &server.url(&database), ""), ("nj", &by_socket(server, &database, &socket), "")], TABLES);
        let mut running = pair.start();
        pair.until(&mut running, "the hub to be followed", || pair.log().contains("following"));
        symlink(server_socket(server), &socket).unwrap();
        let told = "site nj: it is the same database as site hub; correct the url of one of the two";
        pair.until(&mut running, "the second one to be refused", || pair.log().contains(told));
    }
}

fn with_users(kind: Kind) -> (&'static Server, String) {
    let server = Server::shared(kind);
    let database = server.create_database("twice");
    server.sql(&database, "CREATE TABLE users (uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE)");
    (server, database)
}

/// The socket itself.
fn server_socket(server: &Server) -> std::path::PathBuf {
    match server.kind().is_postgres() {
        true => server.socket().join(format!(".s.PGSQL.{}", server.port())),
        false => server.socket(),
    }
}

fn by_socket(server: &Server, database: &str, socket: &Path) -> String {
    match server.kind().is_postgres() {
        true => format!("postgres://postgres@/{database}?host={}", socket.display()),
        false => format!("mysql://root@localhost/{database}?socket={}", socket.display()),
    }
}
