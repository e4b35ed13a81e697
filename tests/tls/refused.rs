//! Certificates that are not good enough: what is told, and that nothing is sent to such a server.

use crate::certificates::{Authority, Identity};
use crate::pair::Pair;
use crate::servers::{Kind, Server};
use crate::{BY_CERTIFICATE, BY_PASSWORD, PASSWORD, start, url};

const TABLES: &str = "[[table]]\nname = \"users\"\n";
/// Names in the server's certificate; `localhost` is not among them.
const NAMES: [&str; 2] = ["*.db.example.net", "127.0.0.1"];

#[test]
fn mariadb() {
    every_refusal(Kind::MariaDb118);
}

#[test]
fn mysql() {
    every_refusal(Kind::MySql97);
}

#[test]
fn postgres() {
    every_refusal(Kind::Postgres18);
}

/// A server whose certificate `authority` has signed, and a pair whose hub is there.
struct Bed {
    authority: Authority,
    server: Server,
    database: String,
    pair: Pair,
}

fn every_refusal(kind: Kind) {
    let mut bed = Bed::new(kind);
    bed.the_right_authority_and_name_are_taken();
    bed.unknown_authorities_are_refused();
    bed.other_names_are_refused_unless_configured();
    bed.files_that_are_no_good_are_told();
    bed.the_servers_own_demands_are_told();
    bed.an_expired_certificate_is_refused_and_waited_out();
    bed.a_certificate_without_names_is_refused();
}

impl Bed {
    fn new(kind: Kind) -> Bed {
        let (authority, stranger) = (Authority::new("the tests' authority"), Authority::new("a stranger"));
        let server = start(kind, &authority, &authority.server(&NAMES));
        let database = server.create_database("tls");
        server.sql(&database, "CREATE TABLE users (uid INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE)");
        let pair = Pair::new();
        pair.secret("password", PASSWORD);
        pair.secret("ca.pem", &authority.certificate);
        pair.secret("stranger.pem", &stranger.certificate);
        pair.secret("nonsense.pem", "no certificate at all\n");
        for (name, identity) in [("client", authority.client(BY_CERTIFICATE)), ("impostor", stranger.client(BY_CERTIFICATE))] {
            let Identity { certificate, key } = identity;
            pair.secret(&format!("{name}.pem"), &certificate);
            pair.secret(&format!("{name}.key"), &key);
        }
        Bed { authority, server, database, pair }
    }

    /// The hub is reached with these TLS settings, by an account and a host's name.
    fn reach(&self, account: &str, host: &str, tls: &str) {
        let url = url(&self.server, &self.database, account).replace("127.0.0.1", host);
        let hub = format!("password_file = \"password\"\n{tls}");
        self.pair.configure("", &[("hub", &url, &hub), ("nj", "sqlite:nj.db", "")], TABLES);
    }

    #[track_caller]
    fn assert_taken(&self, account: &str, host: &str, tls: &str) {
        self.reach(account, host, tls);
        let (code, text) = self.pair.run(&["check"]);
        assert_eq!(code, 0, "{tls}: {text}");
    }

    /// `run` names the site and says these words, and never the password.
    #[track_caller]
    fn assert_refused(&self, account: &str, host: &str, tls: &str, words: &[&str]) {
        self.reach(account, host, tls);
        let (code, text) = self.pair.run(&["run"]);
        for word in words.iter().chain(&["hub", "rosterd does not start"]) {
            assert!(text.contains(word), "{tls} does not say {word:?}: {text}");
        }
        assert!(!text.contains(PASSWORD), "{text}");
        assert_eq!(code, 2, "{tls}: {text}");
    }

    fn the_right_authority_and_name_are_taken(&self) {
        self.assert_taken(BY_PASSWORD, "127.0.0.1", "tls = \"verify-full\"\nca_file = \"ca.pem\"");
        // A file to verify with is there to be used, also on this machine.
        self.assert_taken(BY_PASSWORD, "127.0.0.1", "ca_file = \"ca.pem\"");
        let client = "ca_file = \"ca.pem\"\ncert_file = \"client.pem\"\nkey_file = \"client.key\"";
        self.assert_taken(BY_CERTIFICATE, "127.0.0.1", client);
    }

    fn unknown_authorities_are_refused(&self) {
        let system = "tls = \"verify-full\"";
        self.assert_refused(BY_PASSWORD, "127.0.0.1", system, &["set ca_file"]);
        for mode in ["verify-full", "verify-ca"] {
            let tls = format!("tls = \"{mode}\"\nca_file = \"stranger.pem\"");
            self.assert_refused(BY_PASSWORD, "127.0.0.1", &tls, &["not signed by an authority that is trusted here", "set ca_file"]);
        }
    }

    fn other_names_are_refused_unless_configured(&self) {
        let full = "tls = \"verify-full\"\nca_file = \"ca.pem\"";
        self.assert_refused(BY_PASSWORD, "localhost", full, &["not valid for name \"localhost\"", "set tls = \"verify-ca\""]);
        self.assert_taken(BY_PASSWORD, "localhost", "tls = \"verify-ca\"\nca_file = \"ca.pem\"");
        let stranger = "tls = \"verify-ca\"\nca_file = \"stranger.pem\"";
        self.assert_refused(BY_PASSWORD, "localhost", stranger, &["not signed by an authority that is trusted here"]);
    }

    fn files_that_are_no_good_are_told(&self) {
        let nonsense = "ca_file = \"nonsense.pem\"";
        self.assert_refused(BY_PASSWORD, "127.0.0.1", nonsense, &["nonsense.pem", "no certificate of an authority", "PEM"]);
        let mixed = "ca_file = \"ca.pem\"\ncert_file = \"client.pem\"\nkey_file = \"impostor.key\"";
        self.assert_refused(BY_CERTIFICATE, "127.0.0.1", mixed, &["client.pem", "don't fit", "its own key"]);
        let no_key = "ca_file = \"ca.pem\"\ncert_file = \"client.pem\"\nkey_file = \"nonsense.pem\"";
        self.assert_refused(BY_CERTIFICATE, "127.0.0.1", no_key, &["nonsense.pem", "can't be read", "PEM"]);
    }

    fn the_servers_own_demands_are_told(&self) {
        self.assert_refused(BY_PASSWORD, "127.0.0.1", "tls = \"off\"", &["set tls = \"verify-full\""]);
        self.assert_refused(BY_CERTIFICATE, "127.0.0.1", "ca_file = \"ca.pem\"", &["cert_file and key_file"]);
        let impostor = "ca_file = \"ca.pem\"\ncert_file = \"impostor.pem\"\nkey_file = \"impostor.key\"";
        self.assert_refused(BY_CERTIFICATE, "127.0.0.1", impostor, &["cert_file and key_file"]);
    }

    fn an_expired_certificate_is_refused_and_waited_out(&mut self) {
        self.reach(BY_PASSWORD, "127.0.0.1", "ca_file = \"ca.pem\"");
        let mut running = self.pair.start();
        self.server.sql(&self.database, "INSERT INTO users VALUES (7, 'before')");
        self.pair.until(&mut running, "the first row at nj", || self.pair.count("nj") == 1);
        self.change_certificate(self.authority.expired_server(&NAMES));
        self.pair.until(&mut running, "the daemon to say so", || self.pair.log().contains("renew the server's certificate"));
        for mode in ["verify-full", "verify-ca"] {
            let tls = format!("tls = \"{mode}\"\nca_file = \"ca.pem\"");
            self.assert_refused(BY_PASSWORD, "127.0.0.1", &tls, &["expired", "renew the server's certificate"]);
        }
        self.server.sql(&self.database, "INSERT INTO users VALUES (8, 'meanwhile')");
        self.change_certificate(self.authority.server(&NAMES));
        self.pair.until(&mut running, "the second row at nj", || self.pair.count("nj") == 2);
    }

    fn a_certificate_without_names_is_refused(&mut self) {
        self.change_certificate(self.authority.server(&[]));
        let full = "tls = \"verify-full\"\nca_file = \"ca.pem\"";
        self.assert_refused(BY_PASSWORD, "127.0.0.1", full, &["not valid for any names", "subjectAltName"]);
        let ca_only = "tls = \"verify-ca\"\nca_file = \"ca.pem\"";
        match self.server.kind().is_postgres() {
            true => self.assert_taken(BY_PASSWORD, "127.0.0.1", ca_only),
            // The driver verifies some name.
            false => self.assert_refused(BY_PASSWORD, "127.0.0.1", ca_only, &["not valid for any names", "subjectAltName, whatever it is"]),
        }
    }

    fn change_certificate(&mut self, Identity { certificate, key }: Identity) {
        self.server.write("own.pem", &certificate);
        self.server.write("own.key", &key);
        self.server.restart();
    }
}
