//! Servers that limit the time of statements and sessions, as is done for requests of web sites.

use super::*;
use crate::roster::Engine::{self, *};
use crate::servers::Server;

const MYSQL_LIMITS: [(Engine, &str, &str); 2] =
    [(MariaDb1011, "max_statement_time = 0.001", "BINLOG MONITOR"), (MySql97, "max_execution_time = 1", "REPLICATION CLIENT")];

/// An account whose sessions begin with limits that a chunk of a table and an idle lane are beyond.
fn limit(engine: Engine) {
    let server = Server::shared(engine.kind().expect("it has a server"));
    if engine.is_postgres() {
        let mut limits =
            vec!["statement_timeout = '1ms'", "idle_session_timeout = '1500ms'", "idle_in_transaction_session_timeout = '10ms'"];
        if engine == Postgres18 {
            limits.push("transaction_timeout = '100ms'");
        }
        server.sql("postgres", "CREATE ROLE limited LOGIN SUPERUSER");
        limits.iter().for_each(|limit| server.sql("postgres", &format!("ALTER ROLE limited SET {limit}")));
        return;
    }
    let (_, limit, privilege) = MYSQL_LIMITS.into_iter().find(|(of, ..)| *of == engine).expect("it is listed");
    // It does not count for accounts with an administrator's rights.
    server.sql("mysql", &format!("SET GLOBAL init_connect = 'SET SESSION wait_timeout = 2, {limit}'"));
    server.sql("mysql", "CREATE USER limited");
    server.sql(
        "mysql",
        &format!("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, TRIGGER, REPLICATION SLAVE, {privilege} ON *.* TO limited"),
    );
}

#[test]
fn limits_for_requests_of_web_sites_are_not_for_the_daemon() {
    let engines = [MariaDb1011, MySql97, Postgres18, Postgres15];
    let mut roster = Roster::new(&engines);
    for (site, engine) in roster.sites.iter_mut().zip(engines) {
        limit(engine);
        site.url = Some(site.url().replace("//root@", "//limited@").replace("//postgres@", "//limited@"));
    }
    share_items(&mut roster, 2000, 200);
    roster.set("chunk_rows_max = 2000");
    roster.start();
    roster.settle_equal();

    for (site, engine) in engines.iter().enumerate() {
        // Both lanes, and longer than the limit.
        let idle = if engine.is_postgres() {
            "SELECT count(*) >= 2 FROM pg_stat_activity WHERE usename = 'limited' AND state = 'idle' AND now() - state_change > interval '4 s'"
        } else {
            "SELECT count(*) >= 2 FROM information_schema.processlist WHERE user = 'limited' AND command = 'Sleep' AND time >= 4"
        };
        roster.wait_value(site, idle, if engine.is_postgres() { "t" } else { "1" });
    }
    roster.sql(0, "UPDATE item SET n = 1 WHERE id = 1");
    roster.sql(2, "UPDATE item SET n = 2 WHERE id = 2");
    roster.settle_equal();
    for (site, engine) in engines.iter().enumerate() {
        assert_eq!((roster.connects(site), roster.last_error(site).as_str()), (1, ""), "{engine:?}");
    }
    roster.stop();
}

#[test]
fn a_read_that_somebody_kills_is_told_with_the_cause_and_done_again() {
    // The name of the table: what the next session asks about publications waits for the lock as well.
    let waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'rosterd' AND wait_event_type = 'Lock'
                   AND datname = current_database() AND query LIKE '%item%'";
    killed(Postgres18, "BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE", waiting, "SELECT pg_cancel_backend({id})", "COMMIT", "57014");
    let waiting = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table metadata lock%'
                   AND info LIKE 'SELECT%'";
    killed(MariaDb1011, "LOCK TABLES item WRITE", waiting, "KILL QUERY {id}", "UNLOCK TABLES", "1317");
}

/// The table is locked while it is read for the first time, and the read that waits is ended by an administrator.
fn killed(engine: Engine, lock: &str, waiting: &str, kill: &str, unlock: &str, code: &str) {
    let mut roster = Roster::new(&[Sqlite, engine]);
    share_items(&mut roster, 10, 20);
    let rows: Vec<String> = (1001..3000).map(|id| format!("({id}, 0, 'here before')")).collect();
    roster.sql(1, &format!("INSERT INTO item VALUES {}", rows.join(", ")));
    roster.set("chunk_rows_max = 20");
    roster.set("copy_rows_per_second_max = 1000");
    roster.start();
    roster.wait_value(0, "SELECT count(*) > 100 FROM item", "1");
    let (mut application, mut administrator) = (roster.sites[1].session(), roster.sites[1].session());
    application.sql(lock);
    roster.wait("a read of the daemon to be killed", || {
        if roster.last_error(1).contains(code) {
            return None;
        }
        let id = administrator.rows(waiting).into_iter().next().and_then(|row| row.into_iter().next().flatten());
        let killed = id.map(|id| administrator.try_rows(&kill.replace("{id}", &id)));
        Some(format!("{killed:?}, {}", roster.last_error(1)))
    });
    roster.wait_error(1, &["table item", code, "rosterd sets its own sessions no time limit"]);
    application.sql(unlock);
    roster.settle_equal();
    roster.stop();
}
